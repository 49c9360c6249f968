"""One machine: however a run is driven, every trade and every event is the same to the last bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings, strategies as st

from bkcore.machine.run import Frame
from tests.property.comparing import ONLY_WITH_LOG, assert_same_records, assert_same_runs
from tests.property.scenes import MINUTE_MS, Scene, market_of, scenes
from tests.shares import share

MANY = settings(max_examples=3 * settings().max_examples)
#: Fields that carry a price.
PRICES = (
    "paid_open",
    *("price_open", "take_profit", "stop_loss", "active_take", "active_stop", "effective_open", "end_price"),
    *(f"{side}_{name}" for side in ("peak", "fall") for name in ("price", "price_open", "price_close")),
)


@MANY
@given(scenes())
def test_skip_and_run_and_step_are_one(scene: Scene) -> None:
    market = scene.market()
    run = scene.run("run", market=market).finish()
    assert_same_runs(run, scene.run("skip", market=market).finish())
    assert_same_runs(run, scene.run("step", market=market).finish())


@MANY
@given(scenes(holes=True))
def test_skip_and_run_and_step_are_one_where_candles_are_missing(scene: Scene) -> None:
    market = scene.market()
    run = scene.run("run", market=market).finish()
    assert_same_runs(run, scene.run("skip", market=market).finish())
    assert_same_runs(run, scene.run("step", market=market).finish())


@given(scenes(holes=True))
def test_the_log_changes_no_trade(scene: Scene) -> None:
    market = scene.market()
    logged = scene.run(market=market).finish()
    for driver in ("skip", "run"):
        silent = scene.run(driver, market=market, logs=False).finish()
        assert_same_runs(logged, silent, without=ONLY_WITH_LOG)


@given(scenes(holes=True), st.data())
def test_later_candles_change_no_earlier_trade(scene: Scene, data: st.DataObject) -> None:
    """What has ended by a moment, and what was told by then, is the same whatever comes after it."""
    times = scene.columns["timestamp"]
    cut = data.draw(st.integers(min(30, times.size - 1), times.size - 1))
    moment = int(times[cut - 1])
    frame = Frame.between(scene.start_ms, moment - MINUTE_MS, scene.frame.step_ms)
    share("cuts behind the first tick", frame.count > 0, least=0.9)
    if frame.count == 0:
        return
    known = market_of({name: column[:cut] for name, column in scene.columns.items()})
    short = replace(scene, minutes=(frame.end_ms - scene.start_ms) // MINUTE_MS)
    early = short.run(market=known).finish()
    late = scene.run().finish()
    last = min(short.frame.end_ms, scene.frame.end_ms, moment)  # a frame end itself is a reason to close
    for table, moments in (("trades", "ended_at"), ("events", "time")):
        one, other = getattr(early, table), getattr(late, table)
        one = one[(one[moments] > 0) & (one[moments] <= last)]
        other = other[(other[moments] > 0) & (other[moments] <= last)]
        share(f"cuts behind {table}", one.size > 0, least=0.1)
        assert_same_records(one, other)


@given(scenes(scales=(1.0,)))
def test_doubled_prices_give_the_same_percents(scene: Scene) -> None:
    doubled = scene.with_prices(lambda prices: prices * 2, plan=scene.with_levels(lambda price: price * 2))
    one, other = scene.run().finish(), doubled.run().finish()
    assert_same_records(one.trades, other.trades, without=PRICES)
    for name in PRICES:
        np.testing.assert_array_equal(one.trades[name] * 2, other.trades[name], err_msg=name)


@given(scenes())
def test_no_state_changes_inside_a_quiet_band(scene: Scene) -> None:
    """Between opening and end no candle is at a level, and the extremes are those of the candles between."""
    run = scene.run().finish()
    series, times = run.series.values, run.market.timestamps
    ended = run.trades[(run.trades["pending_at"] > 0) & (run.trades["ended_at"] > 0)]
    share("runs with a trade", ended.size > 0, least=0.15)
    for trade in ended:
        first, last = np.searchsorted(times, (trade["pending_at"], trade["ended_at"]))
        inside = series[first + bool(trade["was_scheduled"]) : last]
        share("trades of more than a candle", inside.size > 0, least=0.3)
        if not inside.size:
            continue
        side, entry = float(trade["side"]), trade["effective_open"]
        assert (side * (inside - trade["take_profit"]) < 0).all()
        assert (side * (inside - trade["stop_loss"]) > 0).all()
        best, worst = side * max(side * inside), side * min(side * inside)
        wanted_peak = (
            best if side * best > side * max(entry, trade["price_open"], key=lambda p: side * p) else None
        )
        wanted_fall = (
            worst if side * worst < side * min(entry, trade["price_open"], key=lambda p: side * p) else None
        )
        assert trade["peak_price"] == (trade["price_open"] if wanted_peak is None else wanted_peak)
        assert trade["fall_price"] == (trade["price_open"] if wanted_fall is None else wanted_fall)
