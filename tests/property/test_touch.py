"""Where candles touch levels: the engine is a plain reading of the model, bit by bit where nothing is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, strategies as st

from bkapi.base.config import DEFAULTS
from bkapi.schemas.policy import Policy
from bkcore.intervals import MINUTE_MS, interval_step_ms
from bkcore.machine.codes import CancelReason, CloseReason, Status
from tests.naive.market import Candle
from tests.naive.touch import Trade, Trail, trades_of
from tests.property.playing import play, signals_of
from tests.property.scenes import Scene, scenes, without_ties
from tests.shares import share

DRIVERS = st.sampled_from(["skip", "run", "step"])
trails = st.builds(Trail, st.sampled_from([0.0, 0.3, 1.0, -0.5]), st.sampled_from([0.1, 0.3, 1.0, 2.0]))


def by_hand(scene: Scene, trail: Trail | None = None) -> list[Trade]:
    """The trades of the scene on the twin."""
    names = ("timestamp", "open", "high", "low", "close", "volume")
    rows = zip(*(scene.columns[name].tolist() for name in names), strict=True)
    candles = {row[0]: Candle(*row) for row in rows}
    ticks = range(scene.start_ms, scene.end_ms + 1, interval_step_ms(scene.interval))
    config = {**DEFAULTS, **scene.config}
    return trades_of(
        candles, ticks, scene.answer, config, interval=interval_step_ms(scene.strategy_interval), trail=trail
    )


def reason_of(row: Any) -> str:
    """The name of the reason of a record."""
    kind = CancelReason if row["status"] == Status.CANCELLED else CloseReason
    return kind(row["reason"]).name.lower()


def paths(trades: Any) -> list[tuple[Any, ...]]:
    """What happened when, without prices."""
    return [
        (row["scheduled_at"], row["pending_at"], row["ended_at"], row["side"], reason_of(row))
        for row in trades
    ]


def paths_by_hand(trades: list[Trade]) -> list[tuple[Any, ...]]:
    """The same of the twin."""
    return [
        (one.scheduled_at, one.pending_at, one.ended_at, 1 if one.is_long else -1, one.reason)
        for one in trades
    ]


def entries_of(run: Any) -> Any:
    """The price at which each trade of a run was, or would have been, entered."""
    return run.entries["price"][run.trades["entry_first"]]


@given(scenes(faults=False), DRIVERS)
def test_a_bracket_fills_as_the_twin_says(scene: Scene, driver: Any) -> None:
    check_brackets(scene, driver)


@given(scenes(busy=True), DRIVERS)
def test_brackets_of_many_signals_fill_as_the_twin_says(scene: Scene, driver: Any) -> None:
    check_brackets(scene, driver)


def check_brackets(scene: Scene, driver: Any) -> None:
    """Times, reasons, prices and results are those of the twin, to the last bit."""
    run, wanted = scene.run(driver, fill="touch").finish(), by_hand(scene)
    assert paths(run.trades) == paths_by_hand(wanted)
    assert entries_of(run).tolist() == [one.entry for one in wanted]
    assert run.trades["end_price"].tolist() == [one.exit for one in wanted]
    assert run.trades["pnl_percent"].tolist() == [one.percent for one in wanted]


@given(scenes(busy=True, noise=0.01), trails, DRIVERS)
def test_a_trailed_stop_fills_as_the_twin_says(scene: Scene, trail: Trail, driver: Any) -> None:
    """The stop is moved by a command in percentage points, so its last bits are not those of the twin."""
    scene = without_ties(scene)
    policy = Policy(trailing_stop_from_percent=trail.start, trailing_stop_distance_percent=trail.distance)
    run, wanted = scene.run(driver, fill="touch", policy=policy).finish(), by_hand(scene, trail)
    assert paths(run.trades) == paths_by_hand(wanted)
    np.testing.assert_allclose(run.trades["end_price"], [one.exit for one in wanted], rtol=1e-12)
    np.testing.assert_allclose(run.trades["pnl_percent"], [one.percent for one in wanted], atol=1e-9)


@given(scenes(busy=True, faults=False))
def test_no_fill_lies_outside_its_candle(scene: Scene) -> None:
    """Every price at which something is bought or sold was traded, except where the signal itself names it."""
    run = scene.run(fill="touch").finish()
    market, trades = run.market, run.trades[run.trades["status"] == Status.CLOSED]
    share("runs with a closed trade", trades.size > 0, least=0.5)
    rows = np.searchsorted(market.timestamps, trades["ended_at"])
    assert (trades["end_price"] >= market.low[rows]).all()
    assert (trades["end_price"] <= market.high[rows]).all()
    waited = trades[trades["was_scheduled"] == 1]
    share("runs with an order that rested", waited.size > 0, least=0.2)
    rows = np.searchsorted(market.timestamps, waited["pending_at"])
    prices = run.entries["price"][waited["entry_first"]]
    assert (prices >= market.low[rows]).all()
    assert (prices <= market.high[rows]).all()
    assert (waited["pending_at"] - waited["scheduled_at"] < scene.settings.await_minutes * MINUTE_MS).all()


@given(scenes(busy=True, faults=False))
def test_a_resting_order_does_not_know_what_fills_it(scene: Scene) -> None:
    """Its result shows the limit, also when it is made after the run."""
    results = play(scene, {**signals_of(scene), "fill": "touch"}, kinds=()).results
    resting = [result["signal"] for result in results if result["action"] == "scheduled"]
    share("runs with a resting order", bool(resting), least=0.3)
    for signal in resting:
        assert [entry["price"] for entry in signal["entries"]] == [signal["original_price_open"]]
