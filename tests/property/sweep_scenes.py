"""Markets, rows and grids for sweeps at real prices: coarse price grids with gaps, holes, and many exact equalities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from hypothesis import strategies as st

from bkcore.intervals import MINUTE_MS
from bkcore.machine.market import Market
from bkcore.machine.run import Frame, Records
from bkcore.machine.settings import EngineSettings
from bkcore.machine.signals import bind_signals

SYMBOL = "TEST"
START_MS = 1_704_067_200_000
LEVELS = ("take_profit_percent", "stop_loss_percent", "minute_estimated_time")


@dataclass(frozen=True)
class SweepScene:
    """A market, a frame, settings, and the rows of a signal frame by column."""

    market: Market
    frame: Frame
    settings: EngineSettings
    rows: dict[str, list[Any]]

    def signals(self, **levels: float) -> Records:
        """The records of the rows, with these levels in place of their own where they are not NaN."""
        columns = dict(self.rows)
        size = len(columns["timestamp"])
        for name, value in levels.items():
            if not np.isnan(value):
                columns[name] = [value] * size
        return bind_signals(frame_of(columns), SYMBOL, at_real_prices=True).records


def frame_of(columns: dict[str, list[Any]]) -> pl.DataFrame:
    """Columns as a frame; those of numbers are floats also where all are null."""
    kinds = {"timestamp": pl.Int64, "position": pl.Int8, "target": pl.Int8, "exit": pl.Boolean}
    return pl.DataFrame(columns, schema={name: kinds.get(name, pl.Float64) for name in columns})


def candles_of(
    rng: np.random.Generator, size: int, grid: float, *, wild: float, holes: bool, step_ms: int
) -> Market:
    """A random walk on a grid, with gaps at opens; some candles may be missing."""
    opened, high, low, close = (np.empty(size) for _ in range(4))
    price = 100.0
    for k in range(size):
        gap = int(rng.integers(-6, 7)) if rng.random() < 0.2 * wild else 0
        first = price + gap * grid
        last = first + int(rng.integers(-2, 3)) * grid * (3 if rng.random() < 0.1 * wild else 1)
        if not 40.0 < min(first, last) < 250.0:
            first = last = 100.0
        opened[k], close[k] = first, last
        high[k] = max(first, last) + int(rng.integers(0, 3)) * grid
        low[k] = min(first, last) - int(rng.integers(0, 3)) * grid
        price = last
    kept = np.ones(size, np.bool_)
    if holes:
        for _ in range(int(rng.integers(1, 5))):
            begin = int(rng.integers(1, size))
            kept[begin : begin + int(rng.integers(1, 8))] = False
    times = START_MS + step_ms * np.arange(size, dtype=np.int64)
    columns = (times, opened, high, low, close, np.ones(size))
    return Market(SYMBOL, *(np.ascontiguousarray(column[kept]) for column in columns), step_ms=step_ms)


@st.composite
def sweep_scenes(draw: st.DrawFn, *, rich: bool = True) -> SweepScene:
    """Scenes; ``rich`` ones also have orders that rest and levels for positions that are open."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    step_ms = draw(st.sampled_from([1, 1, 15])) * MINUTE_MS
    size = draw(st.integers(20, 260))
    market = candles_of(
        rng, size, draw(st.sampled_from([0.25, 0.5, 1.0])),
        wild=draw(st.sampled_from([0.0, 1.0, 3.0])), holes=draw(st.booleans()), step_ms=step_ms,
    )  # fmt: skip
    first = draw(st.integers(-3, 10))
    last = draw(st.sampled_from([size // 2, size - 2, size - 1, size, size + 1, size + 4]))
    frame = Frame.between(START_MS + first * step_ms, START_MS + last * step_ms, step_ms, base_ms=step_ms)
    settings = EngineSettings(
        fill=draw(st.sampled_from(["next_open", "last_close"])),
        step_ms=step_ms,
        fee_percent=draw(st.sampled_from([0.1, 0.0, -0.02])),
        slippage_percent=draw(st.sampled_from([0.1, 0.0])),
        maker_fee_percent=draw(st.sampled_from([None, -0.01])),
        min_take_profit_percent=draw(st.sampled_from([0.0, 0.0, 1.0])),
        min_stop_loss_percent=draw(st.sampled_from([0.0, 0.0, 1.0])),
        max_stop_loss_percent=draw(st.sampled_from([np.inf, np.inf, 3.0])),
        max_lifetime_minutes=draw(st.sampled_from([np.inf, np.inf, 60.0])),
        long_enabled=draw(st.sampled_from([True, True, True, False])),
        short_enabled=draw(st.sampled_from([True, True, True, False])),
    )
    return SweepScene(market, frame, settings, draw(rows_of(rng, size, step_ms, rich=rich)))


@st.composite
def rows_of(
    draw: st.DrawFn, rng: np.random.Generator, size: int, step_ms: int, *, rich: bool
) -> dict[str, list[Any]]:
    """Columns of a signal frame: what it asks for in one way, and some of the optional columns."""
    ticks = np.flatnonzero(rng.random(size + 6) < draw(st.sampled_from([0.05, 0.2, 0.7]))) - 2
    if not ticks.size:
        ticks = np.array([3])
    count = ticks.size

    def some(values: list[Any], odds: float = 1.0) -> list[Any]:
        return [values[int(rng.integers(len(values)))] if rng.random() < odds else None for _ in range(count)]

    rows: dict[str, list[Any]] = {"timestamp": (START_MS + step_ms * ticks).tolist()}
    if draw(st.sampled_from(["position", "position", "target"])) == "position":
        rows["position"] = some(draw(st.sampled_from([[1, -1], [1]])), draw(st.sampled_from([1.0, 0.7])))
        if draw(st.booleans()):
            rows["exit"] = some([True], 0.3)
    else:
        rows["target"] = some([1, 0, -1], 0.8)
    odds = st.sampled_from([0.0, 0.7, 1.0])
    rows["take_profit_percent"] = some([1.0, 2.0, 5.0], draw(odds))
    rows["stop_loss_percent"] = some([1.0, 2.0, 5.0], draw(odds))
    rows["minute_estimated_time"] = some([1.0, 2.5, 15.0, 60.0], draw(st.sampled_from([0.0, 0.5])))
    rows["fee_percent"] = some([0.05], draw(st.sampled_from([0.0, 0.0, 0.5])))
    if rich and draw(st.booleans()):
        rows["price_open"] = some([95.0, 100.0, 103.0], 0.3)
        rows["set_stop_loss"] = some([90.0, 99.0, 101.0], 0.2)
    return rows
