"""A sweep by paths measures what the machine measures: whatever the policy and the candles."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import assume, given, strategies as st
from numpy.typing import NDArray

from bkapi.schemas.policy import Policy
from bkcore.intervals import interval_step_ms
from bkcore.machine.codes import Sound
from bkcore.machine.commands import signal_violations
from bkcore.machine.market import Market
from bkcore.machine.run import Frame, Records
from bkcore.machine.settings import EngineSettings
from bkcore.statistics.metrics import METRIC_NAMES, Metric
from bkcore.sweeps.paths import PathSweep, find_sounds
from bkcore.sweeps.slots import reason_against_slots, slots_of
from bkcore.sweeps.static import StaticSweep
from bkcore.sweeps.tables import Levels
from bkcore.sweeps.walks import Depth, Measured
from bkcore.sweeps.whole_runs import MachineSweep
from tests.property.scenes import Planned, Scene, policies, scenes
from tests.property.test_base_step import pairs
from tests.property.test_sweep_tables import (
    NEEDS_EXTREMES,
    NEEDS_TRADES,
    PRICE_PROFILE,
    count_unclear,
    signal_tables,
    trailing,
)
from tests.shares import share

Column = NDArray[np.float64]
LEFT_OUT: dict[Depth, tuple[int, ...]] = {
    Depth.ALL: (),
    Depth.DRAWDOWN: NEEDS_TRADES,
    Depth.RESULTS: (*NEEDS_TRADES, *NEEDS_EXTREMES),
}
#: What a sweep adds up in the order of the list of trades, by the same rules.
EXACT = (
    *(
        Metric.TOTAL_TRADES,
        Metric.WIN_COUNT,
        Metric.LOSS_COUNT,
        Metric.MAX_WIN_STREAK,
        Metric.MAX_LOSS_STREAK,
    ),
    *(Metric.MAX_DRAWDOWN, Metric.RECOVERY_FACTOR, Metric.PEAK_PROFIT_PNL, Metric.MAX_DRAWDOWN_PNL),
)
#: Scenes on candles of a minute and of longer ones; in half of them something is open most of the time.
worlds = st.one_of(scenes(), scenes(busy=True), pairs().map(lambda pair: pair[1]))
threads = st.integers(1, 2)


def plainly(scene: Scene) -> Scene:
    """The scene without what needs whole runs: resting orders and ids. Levels are prices, some of them faulty."""
    left_out = ("price_open", "id")

    def plain(one: Planned) -> Planned:
        if one.signal is None:
            return one
        return Planned(one.minute, {name: v for name, v in one.signal.items() if name not in left_out})

    return replace(scene, plan=tuple(plain(one) for one in scene.plan))


@st.composite
def inputs(draw: st.DrawFn) -> tuple[bool, Scene, tuple[Market, EngineSettings, Frame, Records]]:
    """Whether levels are percents, a scene, and what every sweep is made of."""
    scene, in_percent = draw(worlds), draw(st.booleans())
    if in_percent:
        signals = draw(signal_tables(scene))
    else:
        scene = plainly(scene)
        signals = scene.table().records
    given = (scene.market(), scene.settings, scene.frame, signals)
    assume(not reason_against_slots(*given))
    return in_percent, scene, given


@st.composite
def brackets(draw: st.DrawFn, count: int, *, in_percent: bool) -> tuple[Column, Column, Column]:
    """Brackets of some combinations; NaN leaves the signals' own, which are prices unless they are in percent."""
    takes = st.sampled_from([math.nan, 0.3, 0.6, 1.0, 3.0, 120.0] if in_percent else [math.nan])
    stops = st.sampled_from([math.nan, 0.3, 0.7, 1.0, 3.0, 19.0, 20.5] if in_percent else [math.nan])
    lifetimes = st.sampled_from([math.nan, 1.0, 5.0, 15.0, 60.0, 240.0, math.inf])
    take, stop, lifetime = (
        np.array([draw(axis) for _ in range(count)]) for axis in (takes, stops, lifetimes)
    )
    return take, stop, lifetime


def assert_same(
    got: Measured,
    wanted: tuple[Column, NDArray[np.int64]],
    left_out: tuple[int, ...],
    told: tuple[str, Depth],
    exact: tuple[int, ...] = EXACT,
) -> None:
    """Metrics and refused signals are equal, except where the sweep says that it cannot know.

    exact   what is equal to the last bit
    """
    metrics, refused, unclear = got
    count_unclear(told[0], unclear, wanted[0])
    for row in np.flatnonzero(~unclear):
        assert refused[row] == wanted[1][row], (told, row)
        for metric in Metric:
            if metric in left_out:
                continue
            one, other = metrics[row, metric], wanted[0][row, metric]
            same = np.isclose(one, other, rtol=1e-9, atol=1e-9, equal_nan=True)
            if metric in exact:
                same = np.array_equal(one, other, equal_nan=True)
            assert same, (told, row, METRIC_NAMES[metric], one, other)


@given(inputs(), st.lists(policies(), min_size=1, max_size=4), st.booleans(), st.data())
def test_paths_measure_what_the_machine_measures(
    world: tuple[bool, Scene, tuple[Any, ...]], rules: list[Policy], has_policy: bool, data: st.DataObject
) -> None:
    in_percent, scene, given = world
    interval_ms = interval_step_ms(scene.strategy_interval)
    count = len(rules)
    bracket = data.draw(brackets(count, in_percent=in_percent))
    records = np.concatenate([policy.record() for policy in rules]) if has_policy else None
    wanted = MachineSweep(
        *given, interval_ms=interval_ms, threads=data.draw(threads), has_policy=has_policy
    ).measure(*bracket, records)
    slots = slots_of(*(given[0], given[2], given[3]), interval_ms)
    for depth in Depth:
        got = PathSweep(*given, slots, depth=depth, threads=data.draw(threads)).measure(*bracket, records)
        assert_same(got, wanted, LEFT_OUT[depth], ("paths", depth))


trails = st.lists(
    st.tuples(st.sampled_from([-np.inf, 0.0, 0.3, 1.0]), st.sampled_from([0.1, 0.3, 1.0, 3.0])),
    min_size=1,
    max_size=4,
    unique=True,
).map(sorted)


@given(inputs(), trails, st.data())
def test_trails_are_measured_alike_by_every_plan(
    world: tuple[bool, Scene, tuple[Any, ...]], trails: list[tuple[float, float]], data: st.DataObject
) -> None:
    in_percent, scene, given = world
    interval_ms = interval_step_ms(scene.strategy_interval)
    count = data.draw(st.integers(1, 8))
    bracket = data.draw(brackets(count, in_percent=in_percent))
    chosen = np.array([data.draw(st.integers(0, len(trails) - 1)) for _ in range(count)])
    records = np.concatenate([trailing(trails[k]) for k in chosen])
    slots = slots_of(*(given[0], given[2], given[3]), interval_ms)
    wanted = MachineSweep(*given, interval_ms=interval_ms, has_policy=True).measure(*bracket, records)
    axes = [np.unique(values) for values in bracket]
    places = [np.searchsorted(axis, values) for axis, values in zip(axes, bracket, strict=True)]
    levels = Levels(*axes, np.array(trails))
    for depth in Depth:
        paths = PathSweep(*given, slots, depth=depth, threads=data.draw(threads))
        assert_same(paths.measure(*bracket, records), wanted, LEFT_OUT[depth], ("paths", depth))
        # NaN is the signals' own level: the tables know it only alone on its axis.
        if any(np.isnan(axis).any() and axis.size > 1 for axis in axes):
            continue
        tables = StaticSweep(*given, slots, levels, depth=depth, threads=data.draw(threads))
        left_out = (*LEFT_OUT[depth], *PRICE_PROFILE)
        # A trailed stop comes out a rounding apart.
        assert_same(tables.measure(*places, chosen), wanted, left_out, ("tables", depth), exact=())


edges = st.sampled_from([0.0, 1e-7, 0.01, 0.1, 0.5, 1.0, 5.0, 20.0, 50.0])
nudges = st.sampled_from([0.0, 1e-15, -1e-15, 1e-12, -1e-12, 2e-9, -2e-9, 1e-3])


def rising(count: int) -> st.SearchStrategy[list[float]]:
    """Levels within their limits, mostly: the limit below, the level, the limit above."""
    some = st.lists(edges, min_size=count, max_size=count)
    return st.one_of(some, some.map(sorted), some.map(sorted))


@given(rising(2), nudges, rising(3), nudges, st.floats(1e-90, 1e90), st.sampled_from([1, -1]), st.data())
def test_sound_brackets_break_no_rule_at_any_price(
    takes: list[float], take_nudge: float, stops: list[float], stop_nudge: float,
    price: float, side: int, data: st.DataObject,
) -> None:  # fmt: skip
    (least_take, take), (least_stop, stop, most_stop) = takes, stops
    lifetime = data.draw(st.sampled_from([1.0, 60.0, 1.0, 60.0, 0.0, 1.5, 1e9, np.inf]))
    settings_ = EngineSettings(
        min_take_profit_percent=least_take, min_stop_loss_percent=least_stop, max_stop_loss_percent=most_stop
    )
    gain, loss = take * (1.0 + take_nudge) / 100.0, stop * (1.0 + stop_nudge) / 100.0
    sounds = np.empty(1, np.int8)
    record = settings_.record()
    find_sounds(record, np.array([gain]), np.array([loss]), np.array([lifetime]), sounds)
    is_sound = bool(sounds[0] & (Sound.LONG if side > 0 else Sound.SHORT))
    share("brackets that are sound", is_sound, least=0.03)
    if is_sound:
        levels = (price * (1.0 + side * gain), price * (1.0 - side * loss))
        cost = float(record["entry_cost"][0])
        assert signal_violations(record, side, price, *levels, lifetime, cost, price, 0) == 0


def test_usual_brackets_are_sound_and_disabled_sides_are_not() -> None:
    sounds = np.empty(2, np.int8)
    usual = (np.array([0.01, np.nan]), np.array([0.01, 0.01]), np.array([60.0, np.nan]))
    find_sounds(EngineSettings(fill="vwap").record(), *usual, sounds)
    assert sounds.tolist() == [Sound.LONG | Sound.SHORT, 0]
    find_sounds(EngineSettings(fill="vwap", short_enabled=False).record(), *usual, sounds)
    assert sounds.tolist() == [Sound.LONG, 0]
