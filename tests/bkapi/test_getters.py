"""The getters: what they answer with and without a position, in a context and with names given (spec engine.md 11)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import bkapi as bk
import bkapi.positions.getters
from bkapi.positions.getters import PositionView
from tests.bkapi.short_runs import CONTEXT, MIDNIGHT_MS, SYMBOL, candles_of, play, register

NAMES = sorted(name for name in vars(PositionView) if name.startswith(("get_", "has_")))
#: ``(symbol, current_price)`` in a context.
AT_A_PRICE = {"get_breakeven", "get_position_entry_overlap", "get_position_partial_overlap"}
#: ``(symbol, current_price, context)`` with names given.
PRICED = AT_A_PRICE | {
    "get_pending_signal",
    "get_scheduled_signal",
    "get_position_pnl_percent",
    "get_position_pnl_cost",
}
RAISING = {
    "get_position_effective_price",
    "get_position_invested_count",
    "get_position_invested_cost",
    "get_position_levels",
    "get_position_pnl_percent",
    "get_position_pnl_cost",
}
LONG = {"position": "long", "price_take_profit": 106.0, "price_stop_loss": 92.0, "minute_estimated_time": 45}


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    bk.reset()
    yield
    bk.reset()


def in_context(name: str, price: float) -> Any:
    """What the function of a context answers, or what it raises."""
    arguments = (SYMBOL, price) if name in AT_A_PRICE else (SYMBOL,)
    return answer_of(getattr(bk, name), *arguments)


def by_names(name: str, price: float) -> Any:
    """What the method of ``Backtest`` answers, or what it raises."""
    method = "get_paused" if name == "get_strategy_paused" else name
    arguments = (SYMBOL, price, CONTEXT) if name in PRICED else (SYMBOL, CONTEXT)
    return answer_of(getattr(bk.Backtest, method), *arguments)


def answer_of(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except bk.NoPositionError as error:
        return type(error), error.message.removeprefix("Backtest.")


def test_every_getter_is_public_in_both_forms() -> None:
    assert len(NAMES) == 43
    for name in NAMES:
        assert getattr(bk, name) is getattr(bkapi.positions.getters, name)
        assert getattr(bk, name).__name__ == name
        assert "ContextError" in (getattr(bk, name).__doc__ or "")
        method = "get_paused" if name == "get_strategy_paused" else name
        assert callable(getattr(bk.Backtest, method))


@pytest.mark.parametrize("name", NAMES)
def test_outside_of_a_run_a_getter_says_what_is_missing(name: str) -> None:
    arguments = (SYMBOL, 100.0) if name in AT_A_PRICE else (SYMBOL,)
    with pytest.raises(bk.ContextError, match=f"^{name} requires an execution context"):
        getattr(bk, name)(*arguments)
    with pytest.raises(bk.NoRunError, match=f"^{name}: no run in progress for symbol=BTCUSDT"):
        bk.run_in_mock_context(lambda: getattr(bk, name)(*arguments))


def test_names_are_checked_before_a_run_is_looked_for() -> None:
    with pytest.raises(bk.UnknownNameError, match=r"strategy planned not found source=Backtest\.get_paused"):
        bk.Backtest.get_paused(SYMBOL, CONTEXT)
    register(candles_of([100.0] * 30), {})
    for field, kind in (("exchange_name", "exchange"), ("frame_name", "frame")):
        with pytest.raises(bk.UnknownNameError, match=f"{kind} other not found"):
            bk.Backtest.get_position_levels(SYMBOL, {**CONTEXT, field: "other"})
    with pytest.raises(bk.SchemaError, match="missing frame_name"):
        bk.Backtest.get_position_levels(SYMBOL, {"strategy_name": "planned", "exchange_name": "memory"})
    with pytest.raises(bk.NoRunError, match=r"Backtest\.get_position_levels: no run in progress .*minutes"):
        bk.Backtest.get_position_levels(SYMBOL, CONTEXT)


def test_without_a_position() -> None:
    register(candles_of([100.0] * 30), {})
    answers: dict[str, Any] = {}
    play({}, idle={10: lambda: answers.update({name: in_context(name, 100.0) for name in NAMES})})
    status = answers.pop("get_strategy_status")
    assert status["is_paused"] is False
    for name, answer in answers.items():
        if name in RAISING:
            assert answer[0] is bk.NoPositionError
            assert answer[1].startswith(f"{name} no pending signal for symbol=BTCUSDT strategy_name=planned")
        elif name.startswith("has_no"):
            assert answer is True
        elif name in AT_A_PRICE or name == "get_strategy_paused":
            assert answer is False
        else:
            assert answer is None, name


def test_a_flat_position_has_cost_its_round_trip() -> None:
    """Spec engine.md 9.5, example 3, and 1.2: the peak starts at zero, the fall at the costs."""
    register(candles_of([100.0] * 60), {10: LONG})
    answers: dict[str, Any] = {}
    play({13: lambda: answers.update({name: in_context(name, 100.0) for name in NAMES})})
    costs = -0.39960039960038823
    opened = MIDNIGHT_MS + 10 * 60_000
    pending = answers["get_pending_signal"]
    assert (pending.position, pending.pending_at, pending.pnl.pnl_percentage) == ("long", opened, costs)
    assert answers["get_position_entries"] == [bk.EntryRecord(100.0, 100.0, opened)]
    assert answers["get_position_partials"] == []
    expected = {
        "has_no_pending_signal": False,
        "has_no_scheduled_signal": True,
        "get_scheduled_signal": None,
        "get_strategy_paused": False,
        "get_position_effective_price": 100.0,
        "get_position_invested_count": 1,
        "get_position_invested_cost": 100.0,
        "get_position_levels": [100.0],
        "get_position_pnl_percent": costs,
        "get_position_pnl_cost": costs,
        "get_total_percent_closed": 100,
        "get_total_percent_held": 100,
        "get_total_cost_closed": 100.0,
        "get_remaining_cost_basis": 100.0,
        "get_breakeven": False,
        "get_position_entry_overlap": True,
        "get_position_partial_overlap": False,
        "get_position_estimate_minutes": 45,
        "get_position_active_minutes": 3,
        "get_position_countdown_minutes": 42,
        "get_position_waiting_minutes": None,
        "get_position_highest_profit_price": 100.0,
        "get_position_highest_profit_timestamp": opened,
        "get_position_highest_profit_minutes": 3,
        "get_position_drawdown_minutes": 3,
        "get_position_highest_pnl_percentage": 0.0,
        "get_position_highest_pnl_cost": 0.0,
        "get_position_highest_profit_breakeven": False,
        "get_position_max_drawdown_price": 100.0,
        "get_position_max_drawdown_timestamp": opened,
        "get_position_max_drawdown_minutes": 3,
        "get_position_max_drawdown_pnl_percentage": costs,
        "get_position_max_drawdown_pnl_cost": costs,
        "get_position_highest_profit_distance_pnl_percentage": -costs,
        "get_position_highest_profit_distance_pnl_cost": -costs,
        "get_position_highest_max_drawdown_pnl_percentage": 0.0,
        "get_position_highest_max_drawdown_pnl_cost": 0.0,
        "get_max_drawdown_distance_pnl_percentage": -costs,
        "get_max_drawdown_distance_pnl_cost": -costs,
    }
    assert {name: answers[name] for name in expected} == expected
    assert set(NAMES) - set(expected) == {
        "get_pending_signal",
        "get_position_entries",
        "get_position_partials",
        "get_strategy_status",
    }


def test_while_an_order_rests() -> None:
    closes = [100.0] * 40
    register(candles_of(closes), {10: {**LONG, "price_open": 99.0}})
    answers: dict[str, Any] = {}
    play({}, resting={17: lambda: answers.update({name: in_context(name, 100.0) for name in NAMES})})
    scheduled = answers["get_scheduled_signal"]
    assert (scheduled.price_open, scheduled.pending_at, scheduled.pnl.pnl_percentage) == (99.0, 0, 0.0)
    assert answers["get_position_waiting_minutes"] == 7
    assert answers["has_no_scheduled_signal"] is False
    assert answers["has_no_pending_signal"] is True
    assert answers["get_pending_signal"] is None
    assert answers["get_position_levels"][0] is bk.NoPositionError


def test_best_and_worst_moment_and_what_lies_between() -> None:
    """With a window of one candle the averages are the closes."""
    bk.set_config(CC_AVG_PRICE_CANDLES_COUNT=1)
    closes = [100.0] * 11 + [104.0, 96.0, 102.0, 102.0, 102.0] + [102.0] * 40
    register(candles_of(closes), {10: LONG})
    seen: dict[str, Any] = {}
    play({14: lambda: seen.update({name: in_context(name, 102.0) for name in NAMES})})
    best = seen["get_position_highest_pnl_percentage"]
    worst = seen["get_position_max_drawdown_pnl_percentage"]
    now = seen["get_position_pnl_percent"]
    assert (seen["get_position_highest_profit_price"], seen["get_position_max_drawdown_price"]) == (104, 96)
    assert (seen["get_position_highest_profit_minutes"], seen["get_position_max_drawdown_minutes"]) == (3, 2)
    assert seen["get_position_highest_profit_breakeven"] is True
    assert seen["get_breakeven"] is True
    assert worst < now < best
    assert seen["get_position_highest_profit_distance_pnl_percentage"] == best - now
    assert seen["get_position_highest_max_drawdown_pnl_percentage"] == now - worst
    assert seen["get_max_drawdown_distance_pnl_percentage"] == best - worst
    assert seen["get_max_drawdown_distance_pnl_cost"] == pytest.approx(best - worst)  # invested: 100 USD


def test_overlap_includes_its_bounds() -> None:
    register(candles_of([100.0] * 60), {10: LONG})
    answers: list[bool] = []

    def ask() -> None:
        ladder: bk.Ladder = {"upper_percent": 2.0, "lower_percent": 1.0}
        answers.extend(
            bk.get_position_entry_overlap(SYMBOL, price, ladder) for price in (99.0, 98.999, 102.0, 102.001)
        )
        answers.append(bk.get_position_entry_overlap(SYMBOL, 101.5))
        answers.append(bk.get_position_entry_overlap(SYMBOL, float("nan")))

    play({13: ask})
    assert answers == [True, False, True, False, True, False]


def test_names_given_answer_as_the_context_does() -> None:
    closes = [100.0 + minute % 7 for minute in range(60)]
    register(candles_of(closes), {10: LONG, 40: {**LONG, "price_open": 99.0}})
    compared: list[str] = []

    def compare() -> None:
        price = bk.get_average_price(SYMBOL)
        for name in NAMES:
            assert in_context(name, price) == by_names(name, price), name
            compared.append(name)

    script = dict.fromkeys(range(60), compare)
    play(script, resting=script, idle=script)
    assert len(compared) > 10 * len(NAMES)


def test_the_loop_over_the_results_may_ask_too() -> None:
    register(candles_of([100.0] * 80), {10: LONG})
    seen = [
        (result.action, bk.Backtest.has_no_pending_signal(SYMBOL, CONTEXT))
        for result in bk.Backtest.run(SYMBOL, CONTEXT)
    ]
    assert seen[0] == ("opened", False)
    with pytest.raises(bk.NoRunError):
        bk.Backtest.has_no_pending_signal(SYMBOL, CONTEXT)
