"""The commands as users call them: results, refusals, contexts, and both forms doing the same (spec engine.md 10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import bkapi as bk
import bkapi.positions.commands
from bkapi.positions.commands import PositionCommands
from tests.bkapi.short_runs import CONTEXT, MIDNIGHT_MS, SYMBOL, candles_of, play, register

NAMES = sorted(
    name
    for name in vars(PositionCommands)
    if name.startswith(("commit_", "set_", "stop_")) and name != "price"
)
METHODS = {"set_strategy_paused": "set_paused", "stop_strategy": "stop"}
LONG = {"position": "long", "price_take_profit": 106.0, "price_stop_loss": 92.0, "minute_estimated_time": 45}
SHORT = {
    "position": "short",
    "price_take_profit": 94.0,
    "price_stop_loss": 108.0,
    "minute_estimated_time": 45,
}
FLAT = [100.0] * 90


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    bk.reset()
    yield
    bk.reset()


def lifecycle_closes(sign: int) -> list[float]:
    """Closes of spec engine.md 9.6; ``sign`` -1 mirrors them around 100."""

    def close(minute: int) -> float:
        if minute <= 5:
            return 100.0
        if minute <= 15:
            return 100.0 - sign * 0.4 * (minute - 5)
        return 100.0 + sign * (0.5 * (minute - 15) - 4.0)

    return [close(minute) for minute in range(80)]


def lifecycle(sign: int, signal: dict[str, Any]) -> None:
    closes = lifecycle_closes(sign)
    volumes = [1.0 + minute % 3 for minute in range(len(closes))]
    register(candles_of(closes, wick=0.1, volumes=volumes), {5: signal})


def test_a_full_life_of_a_long_position() -> None:
    """Spec engine.md 9.6, as the reference produced it."""
    lifecycle(1, LONG)
    told: dict[str, Any] = {}

    def at(minute: int, *steps: Callable[[], Any]) -> None:
        told[minute] = [step() for step in steps]

    symbol = SYMBOL
    results = play(
        {
            10: lambda: at(
                10, lambda: bk.commit_average_buy(symbol), lambda: bk.get_position_effective_price(symbol)
            ),
            11: lambda: at(
                11,
                lambda: bk.commit_average_buy(symbol, 50),
                lambda: bk.get_position_effective_price(symbol),
                lambda: bk.get_position_invested_cost(symbol),
            ),
            12: lambda: at(
                12,
                lambda: bk.commit_partial_loss(symbol, 20),
                lambda: bk.get_total_percent_held(symbol),
                lambda: bk.get_remaining_cost_basis(symbol),
                lambda: bk.get_position_effective_price(symbol),
            ),
            14: lambda: at(
                14,
                lambda: bk.commit_average_buy(symbol, 200),
                lambda: bk.get_position_effective_price(symbol),
                lambda: bk.get_total_percent_held(symbol),
                lambda: bk.get_remaining_cost_basis(symbol),
                lambda: [entry.price for entry in bk.get_position_entries(symbol) or []],
                lambda: [(one.type, one.percent) for one in bk.get_position_partials(symbol) or []],
            ),
            22: lambda: at(22, lambda: bk.commit_partial_profit_cost(symbol, 60)),
            24: lambda: at(
                24,
                lambda: bk.commit_trailing_stop(symbol, -5, 99.4),
                lambda: (bk.get_pending_signal(symbol) or pytest.fail()).price_stop_loss,
                lambda: bk.commit_breakeven(symbol),
                lambda: bk.get_position_highest_profit_price(symbol),
                lambda: bk.get_position_max_drawdown_price(symbol),
                lambda: bk.get_position_max_drawdown_pnl_percentage(symbol),
            ),
        }
    )
    assert told == {
        10: [True, 99.63869931754316],
        11: [True, 99.46080918730821, 250],
        12: [True, 80, 200, 99.46080918730821],
        14: [
            True,
            98.49896996055922,
            88.88888888888889,
            400,
            [100.0, 99.28, 98.75555555555555, 97.55555555555557],
            [("loss", 20.0)],
        ],
        22: [False],
        24: [True, 96.92494849802796, False, 100.0, 96.55555555555556, -2.2703523540907504],
    }
    closed = results[-1]
    assert (closed.action, closed.close_reason, closed.current_price) == ("closed", "take_profit", 106)
    assert (closed.pnl.pnl_percentage, closed.pnl.pnl_cost, closed.pnl.pnl_entries) == (
        6.2271071556498665,
        28.0219822004244,
        450,
    )
    assert closed.close_timestamp == MIDNIGHT_MS + 37 * 60_000


@pytest.mark.parametrize("named", [False, True])
def test_the_mirrored_short_in_both_forms(named: bool) -> None:
    """Spec engine.md 9.6, last line; by names the price known in the context is handed in."""
    lifecycle(-1, SHORT)
    run = bk.Backtest

    def known() -> float:
        return bk.get_average_price(SYMBOL)

    def buy(cost: float | None) -> bool:
        if named:
            return run.commit_average_buy(SYMBOL, known(), CONTEXT, cost)
        return bk.commit_average_buy(SYMBOL, cost)

    def sell(percent: float) -> bool:
        if named:
            return run.commit_partial_loss(SYMBOL, percent, known(), CONTEXT)
        return bk.commit_partial_loss(SYMBOL, percent)

    def trail(shift: float, price: float) -> bool:
        if named:
            return run.commit_trailing_stop(SYMBOL, shift, price, CONTEXT)
        return bk.commit_trailing_stop(SYMBOL, shift, price)

    granted: list[bool] = []
    results = play(
        {
            10: lambda: granted.append(buy(None)),
            11: lambda: granted.append(buy(50)),
            12: lambda: granted.append(sell(20)),
            14: lambda: granted.append(buy(200)),
            24: lambda: granted.append(trail(-5, 100.6)),
        }
    )
    assert granted == [True] * 5
    assert (results[-1].pnl.pnl_percentage, results[-1].pnl.pnl_cost) == (
        6.049513579194926,
        27.22281110637717,
    )


def test_every_command_is_public_in_both_forms() -> None:
    assert len(NAMES) == 19
    for name in NAMES:
        assert getattr(bk, name) is getattr(bkapi.positions.commands, name)
        assert callable(getattr(bk.Backtest, METHODS.get(name, name)))


def arguments_of(name: str) -> tuple[Any, ...]:
    """Anything that fits behind the symbol."""
    if name in ("commit_trailing_stop", "commit_trailing_take"):
        return (-1.0, 100.0)
    if name == "commit_create_signal":
        return (LONG,)
    if name == "set_strategy_paused":
        return (True,)
    return (10.0,) if "partial" in name or "trailing" in name else ()


@pytest.mark.parametrize("name", NAMES)
def test_outside_of_a_run_a_command_says_what_is_missing(name: str) -> None:
    arguments = arguments_of(name)
    with pytest.raises(bk.ContextError, match=f"^{name} requires an execution context"):
        getattr(bk, name)(SYMBOL, *arguments)
    with pytest.raises(bk.NoRunError, match=f"^{name}: no run in progress"):
        bk.run_in_mock_context(lambda: getattr(bk, name)(SYMBOL, *arguments))


def test_without_a_position_changes_are_refused_and_ends_do_nothing() -> None:
    register(candles_of(FLAT), {})
    answers: dict[str, Any] = {}

    def ask() -> None:
        for name in NAMES:
            if name.startswith("commit_") and name not in ("commit_create_signal", "commit_signal_notify"):
                answers[name] = getattr(bk, name)(SYMBOL, *arguments_of(name))

    assert play({}, idle={20: ask}) == []
    ends = {
        "commit_close_pending",
        "commit_create_take_profit",
        "commit_create_stop_loss",
        "commit_cancel_scheduled",
        "commit_activate_scheduled",
    }
    assert {name for name, answer in answers.items() if answer is None} == ends
    assert {answer for name, answer in answers.items() if name not in ends} == {False}


def test_malformed_numbers_are_refused() -> None:
    register(candles_of(FLAT), {10: LONG})
    answers: list[bool] = []

    def ask() -> None:
        for bad in (None, "ten", float("nan"), True, -1.0, 101.0):
            answers.append(bk.commit_partial_profit(SYMBOL, bad))  # type: ignore[arg-type]
            answers.append(bk.commit_trailing_stop(SYMBOL, 0 if bad == -1.0 else bad, 100.0))  # type: ignore[arg-type]
            answers.append(bk.Backtest.commit_average_buy(SYMBOL, bad if bad != 101.0 else 0.0, CONTEXT))  # type: ignore[arg-type]

    play({13: ask})
    assert answers == [False] * 18


@pytest.mark.parametrize(
    ("command", "reason", "price"),
    [
        ("commit_close_pending", "closed", 100.0),
        ("commit_create_take_profit", "take_profit", 106.0),
        ("commit_create_stop_loss", "stop_loss", 92.0),
    ],
)
def test_an_end_is_executed_on_the_next_candle(command: str, reason: str, price: float) -> None:
    register(candles_of(FLAT), {10: LONG})
    after: list[bool] = []

    def end() -> None:
        getattr(bk, command)(SYMBOL, {"id": "mine", "note": "enough"})
        after.append(bk.has_no_pending_signal(SYMBOL))
        getattr(bk, command)(SYMBOL, {"id": "too late"})

    closed = play({20: end})[-1]
    assert after == [True]
    assert (closed.action, closed.close_reason, closed.close_id) == ("closed", reason, "mine")
    assert (closed.current_price, closed.close_timestamp) == (price, MIDNIGHT_MS + 21 * 60_000)


@pytest.mark.parametrize("named", [False, True])
def test_a_resting_order_is_cancelled_or_opened_on_request(named: bool) -> None:
    register(candles_of(FLAT), {10: {**LONG, "price_open": 99.0}, 40: {**LONG, "price_open": 99.5}})

    def ask(command: str) -> Callable[[], object]:
        if named:
            return lambda: getattr(bk.Backtest, command)(SYMBOL, CONTEXT, {"id": command})
        return lambda: getattr(bk, command)(SYMBOL, {"id": command})

    results = play({}, resting={15: ask("commit_cancel_scheduled"), 45: ask("commit_activate_scheduled")})
    assert [result.action for result in results] == [
        "scheduled",
        "cancelled",
        "scheduled",
        "opened",
        "closed",
    ]
    assert (results[1].reason, results[1].cancel_id) == ("user", "commit_cancel_scheduled")
    assert results[3].signal.pending_at == MIDNIGHT_MS + 46 * 60_000
    assert results[3].signal.original_price_open == 99.5


def test_a_full_partial_closes_the_position() -> None:
    closes = [100.0] * 15 + [103.0] * 60
    register(candles_of(closes), {10: LONG})
    answers: list[bool] = []

    def sell() -> None:
        answers.append(bk.commit_partial_profit(SYMBOL, 100))
        answers.append(bk.commit_partial_profit(SYMBOL, 50))
        answers.append(bk.has_no_pending_signal(SYMBOL))

    closed = play({30: sell})[-1]
    assert answers == [True, False, True]
    assert (closed.close_reason, closed.close_id, closed.signal.partial_executed) == ("closed", None, 100)


def test_levels_move_to_where_the_conversions_say() -> None:
    closes = [100.0] * 15 + [103.0] * 60
    register(candles_of(closes), {10: LONG})
    levels: list[tuple[float, float]] = []

    def trail() -> None:
        assert bk.commit_trailing_stop(SYMBOL, -4.5, 103.0)
        assert bk.commit_trailing_take(SYMBOL, -1.5, 103.0)
        signal = bk.get_pending_signal(SYMBOL)
        assert signal is not None
        levels.append((signal.price_stop_loss, signal.price_take_profit))
        assert bk.commit_trailing_stop_cost(SYMBOL, 101.0)
        assert bk.Backtest.commit_trailing_take_cost(SYMBOL, 104.0, 103.0, CONTEXT)
        signal = bk.get_pending_signal(SYMBOL)
        assert signal is not None
        levels.append((signal.price_stop_loss, signal.price_take_profit))

    play({30: trail})
    entry = 100.0
    assert levels[0] == (
        bk.sl_percent_shift_to_price(-4.5, 92.0, entry, "long"),
        bk.tp_percent_shift_to_price(-1.5, 106.0, entry, "long"),
    )
    stop_shift = bk.sl_price_to_percent_shift(101.0, 92.0, entry, "long")
    take_shift = bk.tp_price_to_percent_shift(104.0, 106.0, entry, "long")
    assert levels[1] == (
        bk.sl_percent_shift_to_price(stop_shift, 92.0, entry, "long"),
        bk.tp_percent_shift_to_price(take_shift, 106.0, entry, "long"),
    )


def test_breakeven_moves_the_stop_to_the_entry() -> None:
    closes = [100.0] * 15 + [103.0] * 60
    register(candles_of(closes), {10: LONG})
    answers: list[Any] = []

    def move() -> None:
        answers.extend([bk.get_breakeven(SYMBOL, 100.5), bk.get_breakeven(SYMBOL, 100.7)])
        answers.append(bk.commit_breakeven(SYMBOL))
        signal = bk.get_pending_signal(SYMBOL)
        assert signal is not None
        answers.append(signal.price_stop_loss == bk.breakeven_stop_price(signal.price_open))
        answers.append(bk.Backtest.commit_breakeven(SYMBOL, 103.0, CONTEXT))

    play({30: move})
    assert answers == [False, True, True, True, False]


def test_a_signal_of_the_user_opens_on_the_next_tick() -> None:
    register(candles_of(FLAT), {})
    refused: list[str] = []

    def queue() -> None:
        bk.commit_create_signal(SYMBOL, {**LONG, "id": "by-hand"})
        with pytest.raises(bk.SignalError) as error:
            bk.Backtest.commit_create_signal(SYMBOL, CONTEXT, LONG)
        refused.append(error.value.message)
        with pytest.raises(bk.SignalError, match="price_stop_loss"):
            bk.commit_create_signal(SYMBOL, {**LONG, "price_stop_loss": 101.0})

    results = play({}, idle={20: queue})
    assert len(refused) == 1
    assert (results[0].action, results[0].signal.id) == ("opened", "by-hand")
    assert results[0].created_at == MIDNIGHT_MS + 21 * 60_000


@pytest.mark.parametrize("named", [False, True])
def test_pause_and_resume(named: bool) -> None:
    register(candles_of(FLAT), dict.fromkeys(range(20, 90), LONG))
    paused: list[bool] = []

    def pause(flag: bool) -> None:
        if named:
            bk.Backtest.set_paused(SYMBOL, flag, CONTEXT)
            paused.append(bk.Backtest.get_paused(SYMBOL, CONTEXT))
        else:
            bk.set_strategy_paused(SYMBOL, flag)
            paused.append(bk.get_strategy_paused(SYMBOL))

    events: list[bool] = []
    bk.listen_pause(lambda event: events.append(event.paused))
    results = play({}, idle={15: lambda: pause(True), 16: lambda: pause(True), 30: lambda: pause(False)})
    assert paused == [True, True, False]
    assert events == [True, False]
    assert results[0].created_at == MIDNIGHT_MS + 31 * 60_000


def test_a_stopped_strategy_opens_nothing_more() -> None:
    register(candles_of(FLAT), {20: {**LONG, "price_open": 99.0}, 40: LONG})
    results = play({}, resting={25: lambda: bk.stop_strategy(SYMBOL)})
    assert [result.action for result in results] == ["scheduled", "cancelled"]
    assert results[1].reason == "user"


def test_a_note_about_the_position_reaches_its_listeners() -> None:
    register(candles_of(FLAT), {10: {**LONG, "note": "of the signal"}})
    heard: list[Any] = []
    bk.listen_signal_notify(heard.append)

    def tell() -> None:
        bk.commit_signal_notify(SYMBOL)
        bk.Backtest.commit_signal_notify(
            SYMBOL, 101.0, CONTEXT, {"notification_id": "n1", "notification_note": "by hand"}
        )

    def refuse() -> None:
        with pytest.raises(bk.NoPositionError, match="commit_signal_notify no pending signal for symbol"):
            bk.commit_signal_notify(SYMBOL)

    play({20: tell}, idle={7: refuse})
    assert [(event.note, event.notification_id, event.current_price) for event in heard] == [
        ("of the signal", None, 100.0),
        ("by hand", "n1", 101.0),
    ]
    assert heard[0].timestamp == MIDNIGHT_MS + 20 * 60_000
    assert heard[0].data.id == heard[1].data.id
