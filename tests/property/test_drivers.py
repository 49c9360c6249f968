"""One machine: however a run is driven, every trade and every event is the same to the last bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bkcore.market import Market
from bkcore.records import EVENT, POSITION
from bkcore.run import Frame, Run
from tests.property.markets import MINUTE, Case, cases

_LOGGED_ONLY = ("profit_level", "loss_level", "breakeven_reached")


def finished(case: Case, **options: Any) -> Run:
    """The case, run to its end."""
    return Run(
        case.market, case.settings, case.frame, case.signals, interval_ms=case.interval_ms, **options
    ).finish()


def assert_same(one: np.ndarray, other: np.ndarray, dtype: np.dtype, leave_out: tuple[str, ...] = ()) -> None:
    """Every field equal, bit for bit."""
    assert one.size == other.size
    for name in dtype.names or ():
        if name not in leave_out:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@given(cases())
def test_skip_equals_run_equals_step(case: Case) -> None:
    skip, run, step = (finished(case, driver=driver) for driver in ("skip", "run", "step"))
    for other in (run, step):
        assert_same(skip.trades, other.trades, POSITION)
        assert_same(skip.events, other.events, EVENT)
        assert skip.state["rejected_count"] == other.state["rejected_count"]
        np.testing.assert_array_equal(
            skip.entries[: skip.state["entry_count"][0]], other.entries[: other.state["entry_count"][0]]
        )


@given(cases())
def test_the_log_changes_no_trade(case: Case) -> None:
    logged = finished(case)
    for driver in ("skip", "run"):
        assert_same(logged.trades, finished(case, driver=driver, logs=False).trades, POSITION, _LOGGED_ONLY)


@given(cases(), st.data())
def test_later_candles_change_no_earlier_trade(case: Case, data: st.DataObject) -> None:
    """What ended by a moment is the same, whatever comes after it."""
    cut = data.draw(st.integers(30, len(case.market) - 1))
    moment = int(case.market.timestamps[cut - 1])
    columns = {
        name: getattr(case.market, name)[:cut] for name in ("open", "high", "low", "close", "volume")
    }
    known = Market(case.market.symbol, case.market.timestamps[:cut], **columns)
    frame = Frame.between(case.frame.start_ms, moment - MINUTE, case.frame.step_ms)
    if frame.count == 0:
        return
    short = finished(replace(case, market=known, frame=frame))
    whole = finished(case)
    for table, moments in (("trades", "ended_at"), ("events", "time")):
        early = getattr(short, table)
        late = getattr(whole, table)
        last = min(frame.end_ms, moment)  # the frame end itself is a reason to close
        early = early[(early[moments] > 0) & (early[moments] <= last)]
        late = late[(late[moments] > 0) & (late[moments] <= last)]
        assert_same(early, late, POSITION if table == "trades" else EVENT)


@given(cases(holes=False))
def test_doubled_prices_give_the_same_percents(case: Case) -> None:
    columns = {name: getattr(case.market, name) * 2 for name in ("open", "high", "low", "close")}
    doubled = Market("BTCUSDT", case.market.timestamps, **columns, volume=case.market.volume)
    signals = case.signals.copy()
    signals["price_open"] *= 2
    if not (signals["given"] & 8).any():
        signals["take_profit"] *= 2
        signals["stop_loss"] *= 2
    one, other = finished(case), finished(replace(case, market=doubled, signals=signals))
    prices = ("price_open", "take_profit", "stop_loss", "active_take", "active_stop", "effective_open", "end_price")
    extremes = tuple(
        f"{side}_{name}" for side in ("peak", "fall") for name in ("price", "price_open", "price_close")
    )
    assert_same(one.trades, other.trades, POSITION, (*prices, *extremes))
    np.testing.assert_array_equal(one.trades["end_price"] * 2, other.trades["end_price"])


@given(cases())
def test_nothing_happens_inside_a_quiet_stretch(case: Case) -> None:
    """Between two events of a position, no candle is beyond the extremes, the levels or the exits."""
    run = finished(case)
    series = run.series.values
    for trade in run.trades[run.trades["pending_at"] > 0]:
        if trade["ended_at"] == 0:
            continue
        first, last = np.searchsorted(case.market.timestamps, (trade["pending_at"], trade["ended_at"]))
        inside = series[first + bool(trade["was_scheduled"]) : last]
        if not inside.size:
            continue
        side = float(trade["side"])
        assert (side * (inside - trade["take_profit"]) < 0).all()
        assert (side * (inside - trade["stop_loss"]) > 0).all()
        reached = np.append(side * inside, side * trade["price_open"])
        assert side * trade["peak_price"] == max(reached.max(), side * trade["price_open"]) or np.isclose(
            trade["effective_open"], trade["peak_price"]
        )
        assert side * trade["fall_price"] == min(reached.min(), side * trade["price_open"]) or np.isclose(
            trade["effective_open"], trade["fall_price"]
        )
