"""The slow twin of the fill models does what their specification says: one candle, one sentence (spec fills.md)."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.naive.fills import Outcome, run
from tests.naive.fills.costs import Rates, result_percent
from tests.naive.pnl import Costs, Entry, Partial, closing_pnl
from tests.naive.settings import MINUTE

START = 1_700_006_400_000
SETTINGS = {
    "CC_FILL_MODEL": "next_open",
    "CC_PERCENT_FEE": 0.0,
    "CC_PERCENT_SLIPPAGE": 0.0,
    "CC_SCHEDULE_AWAIT_MINUTES": 120,
    "CC_POSITION_ENTRY_COST": 100,
}
Bar = tuple[float, float, float, float]
QUIET: Bar = (100.0, 100.0, 100.0, 100.0)


def minute(number: int) -> int:
    """A tick; the first is 0."""
    return START + number * MINUTE


def play(
    bars: dict[int, Bar],
    rows: dict[int, dict[str, Any]],
    last: int = 9,
    missing: tuple[int, ...] = (),
    commands: dict[int, str] | None = None,
    settings: dict[str, Any] | None = None,
    **policy: Any,
) -> Outcome:
    """A run over a quiet market at 100; ``bars`` are the minutes that are not quiet (open, high, low, close)."""
    return run(
        [(minute(m), *bars.get(m, QUIET), 1.0) for m in range(-1, last + 3) if m not in missing],
        [{"timestamp": minute(m), **row} for m, row in rows.items()],
        {**SETTINGS, **(settings or {})},
        policy,
        start_ms=minute(0),
        end_ms=minute(last),
        interval="1m",
        commands={minute(m): what for m, what in (commands or {}).items()},
    )


def ends(outcome: Outcome) -> list[tuple[int, str, float]]:
    """Minute, reason and price of every exit."""
    return [
        ((one["ended_at"] - START) // MINUTE, one["reason"], one["close_price"]) for one in outcome.trades
    ]


def long(**row: Any) -> dict[str, Any]:
    return {"position": "long", **row}


def short(**row: Any) -> dict[str, Any]:
    return {"position": "short", **row}


def test_with_takers_only_the_result_is_that_of_the_documented_formula() -> None:
    entries = [Entry(100, 100, 0), Entry(95, 100, 1)]
    partials = [Partial("profit", 30, 105, 100, 1, 0), Partial("profit", 50, 102, 170, 2, 1)]
    taker = Rates(fee=0.1, slippage=0.1)
    for side, position in ((1, "long"), (-1, "short")):
        for paid in ([], partials):
            got = result_percent(
                side, [(one, taker) for one in entries], [(one, taker) for one in paid], 108, taker
            )
            wanted = closing_pnl(position, entries, paid, 100, 108, Costs(0.1, 0.1)).pnl_percentage
            assert math.isclose(got, wanted, rel_tol=1e-9)


def test_makers_pay_their_fee_and_no_slippage() -> None:
    settings = {"CC_PERCENT_FEE": 0.2, "CC_PERCENT_MAKER_FEE": -0.05, "CC_PERCENT_SLIPPAGE": 0.1}
    outcome = play(
        {2: (100, 100, 99, 99.5), 4: (100, 110, 100, 105)},
        {1: long(price_open=99.0, price_take_profit=108.9)},
        settings=settings,
    )
    assert outcome.trades[0]["pnl_percent"] == pytest.approx(10 + 0.05 + 0.05 * 1.1)


def test_a_market_entry_fills_at_the_open_or_at_the_last_close() -> None:
    bars = {0: (100, 101, 100, 101), 1: (103, 103, 102, 102)}
    for model, price in (("next_open", 103), ("last_close", 101)):
        trade = play(bars, {1: long()}, settings={"CC_FILL_MODEL": model}).trades[0]
        assert (trade["opened_at"], trade["price_open"]) == (minute(1), price)


def test_of_stop_and_target_in_one_candle_the_stop_counts() -> None:
    levels = {"price_take_profit": 102.0, "price_stop_loss": 98.0}
    assert ends(play({3: (100, 103, 97, 100)}, {1: long(**levels)})) == [(4, "stop_loss", 98)]


def test_an_open_beyond_a_level_is_the_price() -> None:
    levels = {"price_take_profit": 102.0, "price_stop_loss": 98.0}
    assert ends(play({3: (104, 104, 97, 100)}, {1: long(**levels)})) == [(3, "take_profit", 104)]
    assert ends(play({3: (96, 104, 96, 100)}, {1: long(**levels)})) == [(3, "stop_loss", 96)]


def test_a_tie_goes_to_the_stop_then_the_partial_loss_then_the_ladder() -> None:
    bars = {3: (100.0, 100.0, 98.0, 99.0)}
    ladder = {"dca_step_percent": 2.0}
    partial = {"partial_loss_percent": ((2.0, 50),)}
    stopped = play(bars, {1: long(price_stop_loss=98.0)}, **ladder, **partial).trades[0]
    assert (stopped["reason"], stopped["entries"], stopped["partials"]) == ("stop_loss", 1, 0)
    held = play(bars, {1: long()}, **ladder, **partial).trades[0]
    # the partial halves the block at 100 before the ladder joins it at 98
    assert held["price_open"] == pytest.approx(150 / (50 / 100 + 100 / 98))


def test_an_order_filled_inside_a_candle_meets_only_its_stop_there() -> None:
    levels = {"price_open": 99.0, "price_take_profit": 100.0, "price_stop_loss": 98.0}
    touched = play({2: (100, 105, 98.5, 99.5), 3: (99.5, 99.5, 99, 99)}, {1: long(**levels)})
    assert ends(touched) == [(4, "take_profit", 100)]
    assert touched.trades[0]["opened_at"] == minute(3)
    assert ends(play({2: (100, 105, 98, 99.5)}, {1: long(**levels)})) == [(3, "stop_loss", 98)]


def test_a_stop_entry_buys_strength() -> None:
    outcome = play({2: (100, 102, 100, 101), 3: (101, 101, 101, 101)}, {1: long(price_trigger=101.5)})
    assert (outcome.trades[0]["price_open"], outcome.trades[0]["opened_at"]) == (101.5, minute(3))
    (order,) = outcome.orders
    assert (order["kind"], order["outcome"]) == ("stop", "filled")


def test_patience_ends_and_commands_are_executed_at_the_next_open() -> None:
    row = {1: long(price_open=90.0)}
    settings = {"CC_SCHEDULE_AWAIT_MINUTES": 4}
    (order,) = play({}, row, settings=settings).orders
    assert (order["ended_at"], order["outcome"]) == (minute(5), "timeout")
    (order,) = play({}, row, settings=settings, commands={3: "cancel"}).orders
    assert (order["ended_at"], order["outcome"]) == (minute(3), "user")
    assert ends(play({3: (101, 101, 101, 101)}, {1: long()}, commands={3: "close"})) == [(3, "closed", 101)]


def test_the_first_reason_at_an_open_counts() -> None:
    rows = {1: long(minute_estimated_time=2), 3: short(exit=True)}
    assert ends(play({}, rows, last=3, on_opposite="reverse", commands={3: "close"})) == [(3, "closed", 100)]
    assert ends(play({}, rows, last=3, on_opposite="reverse"))[0] == (3, "exit_signal", 100)
    rows[3].pop("exit")
    assert ends(play({}, rows, last=3, on_opposite="reverse"))[0] == (3, "reversed", 100)
    assert ends(play({}, rows, last=3)) == [(3, "time_expired", 100)]
    assert ends(play({}, {1: long()}, last=3)) == [(3, "frame_end", 100)]


def test_on_opposite_says_what_becomes_of_the_row() -> None:
    rows = {1: long(), 3: short()}
    counted = {"ignore": (1, 1, 1), "close": (2, 0, 1), "reverse": (2, 0, 2)}
    for word, (taken, passed_over, trades) in counted.items():
        outcome = play({}, rows, on_opposite=word)
        assert (outcome.rows["taken"], outcome.rows["passed_over"]) == (taken, passed_over)
        assert len(outcome.trades) == trades


def test_a_target_acts_where_it_changes() -> None:
    rows = {m: {"target": value, "stop_loss_percent": 1.0} for m, value in ((1, 1), (3, 1), (4, -1), (6, 0))}
    outcome = play({2: (100, 100, 99, 100)}, rows)
    # stopped at minute 2; the equal target of minute 3 does not reopen
    assert ends(outcome) == [(3, "stop_loss", 99), (6, "exit_signal", 100)]
    assert outcome.rows == {"taken": 2}


def test_both_entries_in_one_row_are_an_error() -> None:
    with pytest.raises(ValueError, match="enter_long and enter_short"):
        play({}, {1: {"enter_long": True, "enter_short": True}})


def test_the_trailing_stop_is_in_force_from_the_next_candle() -> None:
    bars = {2: (100, 110, 100, 109), 3: (109, 109, 99, 100)}
    for by, price in (("extreme", 110 * 0.95), ("close", 109 * 0.95)):
        policy = {
            "trailing_stop_from_percent": 9.0,
            "trailing_stop_distance_percent": 5.0,
            "trailing_by": by,
        }
        assert ends(play(bars, {1: long()}, **policy)) == [(4, "trailing_stop", pytest.approx(price))]
    assert ends(play(bars, {1: long(trail_distance=3.0)})) == [(4, "trailing_stop", 107)]


def test_a_move_of_exactly_the_threshold_counts() -> None:
    bars = {2: (100, 115, 100, 114), 3: (114, 114, 99, 100)}  # 1.15 - 1 is a little less than 0.15
    assert ends(play(bars, {1: long()}, breakeven_from_percent=15.0)) == [(4, "trailing_stop", 100)]


def test_a_stepped_target_comes_down_with_time() -> None:
    bars = {2: (100, 101, 100, 100), 5: (100, 101, 100, 100)}
    policy = {"take_profit_steps": ((0, 4.0), (4, 0.5))}
    assert ends(play(bars, {1: long()}, **policy)) == [(6, "take_profit", pytest.approx(100.5))]


def test_a_set_target_holds_until_the_ladder_moves_the_average() -> None:
    policy = {"target_from_average_percent": 2.0, "dca_step_percent": 4.0}
    rows = {1: long(), 2: {"set_take_profit": 109.0}}
    assert ends(play({3: (100, 103, 100, 103)}, rows, **policy)) == [(9, "frame_end", 100)]
    average = 200 / (100 / 100 + 100 / 96)
    outcome = play({3: (100, 100, 96, 97)}, rows, **policy)
    assert ends(outcome) == [(4, "take_profit", pytest.approx(average * 1.02))]


def test_a_partial_that_leaves_nothing_ends_the_trade() -> None:
    policy = {"partial_profit_percent": ((1.0, 50), (2.0, 100))}
    outcome = play({3: (100, 105, 100, 104)}, {1: long()}, **policy)
    assert ends(outcome) == [(4, "closed", 102)]
    assert outcome.trades[0]["pnl_percent"] == pytest.approx(1.5)


def test_results_at_a_close_decide_at_the_next_open() -> None:
    bars = {3: (100, 103, 100, 103), 4: (101, 101, 101, 101)}
    assert ends(play(bars, {1: long()}, close_at_profit_percent=2.5)) == [(4, "closed", 101)]


def test_the_clock_of_a_cooldown_starts_at_the_end() -> None:
    rows = {1: long(), 3: {"exit": True}, 4: long(), 5: long()}
    outcome = play({}, rows, cooldown_minutes=2)
    assert [(one["opened_at"] - START) // MINUTE for one in outcome.trades] == [1, 5]
    assert outcome.rows == {"taken": 2, "passed_over": 1}


def test_the_close_before_a_hole_decides_at_the_candle_after_it() -> None:
    rows = {1: long(), 4: short(), 5: {"exit": "long"}}
    # minute 5 lies inside the hole 4..6 and decides nothing; minute 4 is decided at minute 7
    outcome = play({7: (101, 101, 101, 101)}, rows, missing=(4, 5, 6), on_opposite="close")
    assert ends(outcome) == [(7, "reversed", 101)]
    with pytest.raises(ValueError, match="fall on one candle"):
        play({}, {4: long(), 7: long()}, missing=(4, 5, 6))


def test_without_a_last_candle_the_last_close_is_the_price() -> None:
    outcome = play({6: (100, 102, 100, 102)}, {1: long(), 8: short()}, missing=(7, 8, 9, 10, 11))
    assert ends(outcome) == [(9, "frame_end", 102)]
    assert outcome.rows == {"taken": 1, "passed_over": 1}


@pytest.mark.parametrize(
    "row",
    [
        long(price_take_profit=100.0),
        long(price_open=99.0, price_stop_loss=99.0),
        long(price_stop_loss=-1.0),
        long(stop_loss_percent=0.0),
        short(take_profit_percent=math.nan),
        long(stop_loss_percent=20.5),
        long(take_profit_percent=0.04),
        long(minute_estimated_time=31),
    ],
)
def test_an_entry_that_fails_a_check_is_refused(row: dict[str, Any]) -> None:
    guards = {
        "CC_MIN_TAKEPROFIT_DISTANCE_PERCENT": 0.5,
        "CC_MAX_STOPLOSS_DISTANCE_PERCENT": 20,
        "CC_MAX_SIGNAL_LIFETIME_MINUTES": 30,
    }
    outcome = play({}, {1: row}, settings=guards)
    assert (outcome.trades, outcome.orders, outcome.rows) == ([], [], {"refused": 1})


def test_a_market_entry_beyond_its_own_stop_is_stopped_at_once() -> None:
    guards = {"CC_MIN_STOPLOSS_DISTANCE_PERCENT": 1.0, "CC_MAX_STOPLOSS_DISTANCE_PERCENT": 20}
    outcome = play({}, {1: long(price_stop_loss=100.0)}, settings=guards)
    assert ends(outcome) == [(1, "stop_loss", 100)]
    assert play({}, {1: long(stop_loss_percent=20.0)}, settings=guards).rows == {"taken": 1}


def test_peak_and_fall_include_the_exit() -> None:
    trade = play({3: (100, 103, 97, 98)}, {1: long(price_stop_loss=97.5)}).trades[0]
    # the candle of the exit counts only by its exit
    assert (trade["peak_price"], trade["fall_price"]) == (100, 97.5)
    assert trade["fall_percent"] == trade["pnl_percent"] == pytest.approx(-2.5)
