"""A sweep by tables measures what the machine measures: whatever the market, the signals and the levels."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import polars as pl
from hypothesis import assume, given, strategies as st
from numpy.typing import NDArray

from bkcore.intervals import MINUTE_MS, interval_step_ms
from bkcore.machine.policy import POLICY
from bkcore.machine.run import Records, Run
from bkcore.machine.signals import bind_signals
from bkcore.statistics.metrics import METRIC_NAMES, Metric
from bkcore.sweeps.slots import reason_against_slots, slots_of
from bkcore.sweeps.static import StaticSweep
from bkcore.sweeps.tables import Levels
from bkcore.sweeps.walks import Depth
from bkcore.sweeps.whole_runs import MachineWorker
from tests.property.scenes import SYMBOL, Scene, scenes
from tests.shares import MOST_UNCLEAR, MOST_UNCLEAR_OF_ALL, share

#: A trailed stop comes out a rounding apart, so ties of the price profile may turn; everything else is held equal.
PRICE_PROFILE = range(Metric.MEDIAN_STEP_SIZE, len(Metric))
#: What needs the best and worst moments of trades, and what needs all trades.
NEEDS_EXTREMES = (
    *(Metric.AVG_PEAK_PNL, Metric.AVG_FALL_PNL, Metric.PEAK_PROFIT_PNL, Metric.MAX_DRAWDOWN_PNL),
    *(Metric.MAX_DRAWDOWN, Metric.RECOVERY_FACTOR, Metric.CALMAR_RATIO),
)
NEEDS_TRADES = (Metric.MEDIAN_PNL, *PRICE_PROFILE)


@dataclass(frozen=True)
class Grid:
    """Levels of a sweep; an axis that is [NaN] leaves the signals' own."""

    takes: tuple[float, ...]
    stops: tuple[float, ...]
    lifetimes: tuple[float, ...]
    trails: tuple[tuple[float, float], ...]


own = st.just((np.nan,))


def axis(*values: float) -> st.SearchStrategy[tuple[float, ...]]:
    some = st.lists(st.sampled_from(values), min_size=1, max_size=4, unique=True)
    return st.one_of(some.map(lambda levels: tuple(sorted(levels))), own)


grids = st.builds(
    Grid,
    takes=axis(0.1, 0.5, 0.5000001, 0.7, 1.0, 2.0, 5.0, 120.0),
    stops=axis(0.1, 0.5, 0.7, 1.0, 2.0, 5.0, 19.0, 20.0, 20.5),
    lifetimes=axis(1.0, 3.0, 15.0, 60.0, 240.0, 1440.0, 2000.0, np.inf),
    trails=st.lists(
        st.tuples(st.sampled_from([-np.inf, 0.0, 0.3, 1.0]), st.sampled_from([0.1, 0.3, 1.0, 3.0])),
        max_size=4,
        unique=True,
    ).map(lambda trails: tuple(sorted(trails))),
)


@st.composite
def signal_tables(draw: st.DrawFn, scene: Scene) -> Records:
    """Signals at some minutes, or every few minutes, so that a run has trades of both kinds."""
    some = st.lists(st.integers(0, scene.minutes), min_size=1, max_size=60, unique=True)
    steady = st.integers(5, 15).map(lambda gap: range(0, scene.minutes, gap))
    minutes = draw(st.one_of(some, steady))
    rows = [
        (
            scene.start_ms + minute * MINUTE_MS,
            draw(st.sampled_from(["long", "short", "long", "short", None])),
            draw(st.sampled_from([0.6, 1.0, 3.0])),
            draw(st.sampled_from([0.6, 1.0, 3.0])),
            draw(st.sampled_from([None, 5, 15, 60, 600])),
        )
        for minute in sorted(minutes)
    ]
    names = ("timestamp", "position", "take_profit_percent", "stop_loss_percent", "minute_estimated_time")
    types = {"timestamp": pl.Int64, "position": pl.String, "minute_estimated_time": pl.Float64}
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Float64) | types, orient="row")
    return bind_signals(frame, SYMBOL, interval_step_ms(scene.strategy_interval)).records


def count_unclear(plan: str, unclear: NDArray[np.bool_], wanted: NDArray[np.float64]) -> None:
    """Bound the rows that a plan leaves to a slower one; ``wanted`` is what the machine measures."""
    mixed = (wanted[:, Metric.WIN_COUNT] > 0) & (wanted[:, Metric.LOSS_COUNT] > 0)
    share(f"mixed rows that the {plan} leave", unclear[mixed].sum(), mixed.sum(), most=MOST_UNCLEAR)
    share(f"rows that the {plan} leave", unclear.sum(), unclear.size, most=MOST_UNCLEAR_OF_ALL)


def trailing(trail: tuple[float, float]) -> Records:
    """The policy that a trail stands for."""
    policy = np.zeros(1, POLICY)
    for name in ("close_profit", "close_loss", "breakeven_from", "take_from"):
        policy[name] = np.inf
    policy["stop_from"], policy["stop_distance"] = trail
    return policy


@given(st.one_of(scenes(), scenes(busy=True, noise=0.01)), grids, st.data())
def test_tables_measure_what_the_machine_measures(scene: Scene, grid: Grid, data: st.DataObject) -> None:
    signals = data.draw(signal_tables(scene))
    settings, market, frame = scene.settings, scene.market(), scene.frame
    interval_ms = interval_step_ms(scene.strategy_interval)
    assume(not reason_against_slots(market, settings, frame, signals))
    slots = slots_of(market, frame, signals, interval_ms)
    levels = Levels(
        np.array(grid.takes),
        np.array(grid.stops),
        np.array(grid.lifetimes),
        np.array(grid.trails).reshape(-1, 2),
    )
    trails = grid.trails or (None,)
    axes = (range(len(grid.takes)), range(len(grid.stops)), range(len(grid.lifetimes)), range(len(trails)))
    combinations = list(product(*axes))
    columns = np.array(combinations).T
    chosen = columns if grid.trails else columns[:3]
    measured = {
        depth: StaticSweep(
            *(market, settings, frame, signals, slots, levels),
            depth=depth,
            threads=data.draw(st.integers(1, 2)),
            memory=data.draw(st.sampled_from([0, 1 << 29])),
        ).measure(*chosen)
        for depth in Depth
    }
    for row, (take, stop, lifetime, trail) in enumerate(combinations):
        policy = trails[trail]
        worker = MachineWorker(
            Run(
                *(market, settings, frame, signals),
                interval_ms=interval_ms,
                logs=False,
                policy=None if policy is None else trailing(policy),
            )
        )
        wanted = np.empty(len(Metric))
        refused = worker.measure((grid.takes[take], grid.stops[stop], grid.lifetimes[lifetime]), wanted)
        for depth, (metrics, refusals, unclear) in measured.items():
            count_unclear("tables", unclear[row : row + 1], wanted[np.newaxis])
            if unclear[row]:
                continue
            assert refusals[row] == refused
            for metric in Metric:
                if depth is not Depth.ALL and metric in NEEDS_TRADES:
                    continue
                if depth is Depth.RESULTS and metric in NEEDS_EXTREMES:
                    continue
                if policy is not None and metric in PRICE_PROFILE:
                    continue
                got, want = metrics[row, metric], wanted[metric]
                same = np.isclose(got, want, rtol=1e-9, atol=1e-9, equal_nan=True)
                if policy is None and metric in (Metric.MAX_DRAWDOWN, Metric.MAX_WIN_STREAK):
                    same = np.array_equal(got, want, equal_nan=True)
                assert same, (depth, METRIC_NAMES[metric], got, want, combinations[row])
