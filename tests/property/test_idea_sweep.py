"""The kernels of the sweep over ideas equal its rules read aloud, whatever the prices, the grid and the costs."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, strategies as st

import bkapi as bk
from bkapi.ideas.feed import CandleTrail
from bkcore.ideas.paths import Axes
from bkcore.ideas.sweep import Costs, ExitReason, Figure, IdeaGrid
from tests.naive import idea_sweep as naive
from tests.naive.idea_sweep import MINUTE, Candle, Path
from tests.shares import share

START = 1_704_067_200_000  # 2024-01-01
TICK = 0.5  # coarse, so that prices meet levels exactly

ticks = st.integers(-4, 4)
candle = st.tuples(ticks, st.integers(0, 3), st.integers(0, 3))


@st.composite
def paths(draw: Any) -> list[Path]:
    """Ideas in order of time, each with candles of its own."""
    entry_at = START
    found = []
    for _ in range(draw(st.integers(0, 8))):
        entry_at += draw(st.sampled_from([0, 1, 2, 5, 30, 1500])) * MINUTE
        entry = close = draw(st.sampled_from([100.0, 99.5, 40.0]))
        candles = []
        for move, above, below in draw(st.lists(candle, min_size=1, max_size=25)):
            opened, close = close, max(close + move * TICK, TICK)
            high, low = max(opened, close) + above * TICK, max(min(opened, close) - below * TICK, TICK / 2)
            candles.append(Candle(high, low, close))
        side = draw(st.sampled_from([1, -1]))
        found.append(Path(draw(st.integers(0, 2)), side, entry_at, entry, tuple(candles)))
    return found


def axis(values: list[Any]) -> st.SearchStrategy[list[Any]]:
    """Some of the values, in any order."""
    return st.lists(st.sampled_from(values), min_size=1, max_size=3)


grids = st.tuples(
    axis([0.0, 0.5, 1.0, 2.0, 3.5, 150.0]),
    axis([0.0, 0.5, 1.0, 2.0, 100.0, 150.0]),
    axis([1, 2, 5, 12, 25]),
    axis([-1.0, 0.0, 0.5, 1.0, 1.5, 3.0]),
)

costs = st.builds(naive.Costs, st.sampled_from([0.0, 0.1, 0.5]), st.sampled_from([0.0, 0.1]))


def grid_of(some: list[Path], axes: tuple[list[Any], ...], cost: naive.Costs) -> IdeaGrid:
    """The grid of the product over the same ideas."""
    stops, trailings, holds, locks = axes
    columns = Axes(
        np.array(stops, float), np.array(trailings, float), np.array(holds), np.array(locks, float)
    )
    numbers: dict[int, int] = {}
    authors = [numbers.setdefault(path.author, len(numbers)) for path in some]
    grid = IdeaGrid(columns, Costs(cost.slippage, cost.fee), authors)
    for number, path in enumerate(some):
        high, low, close = np.array(path.candles, float)[: max(holds)].T.copy()
        grid.follow(number, path.entry_at, path.side, path.entry, high, low, close)
    return grid


def cut(some: list[Path], horizon: int) -> list[Path]:
    """The ideas with at most ``horizon`` candles."""
    return [Path(path.author, path.side, path.entry_at, path.entry, path.candles[:horizon]) for path in some]


@given(paths(), grids, costs)
def test_every_point_equals_the_rules(
    some: list[Path], axes: tuple[list[Any], ...], cost: naive.Costs
) -> None:
    grid = grid_of(some, axes, cost)
    figures = np.empty((grid.point_count, len(Figure)))
    assert all(broken < 0 for _, _, broken in grid.evaluate(figures))
    horizon = max(axes[2])
    some = cut(some, horizon)
    for number, point in enumerate(naive.points_of(*axes)):
        expected = naive.report(some, point, cost, horizon)
        for figure in Figure:
            want, got = expected[figure.name.lower()], figures[number, figure]
            assert math.isclose(want, got, rel_tol=1e-9, abs_tol=1e-12), (point, figure, want, got)
        trades, absorbed = naive.trades_of(some, point, cost, horizon)
        share("points with trades", bool(trades), least=0.3)
        share("points with absorbed ideas", any(absorbed.values()), least=0.02)
        columns = grid.trades(number)
        for trade in trades:
            assert columns.holder[trade.path] == -1
            assert columns.exit_index[trade.path] == trade.index
            assert ExitReason(columns.reason[trade.path]).name.lower() == trade.reason
            assert columns.pnl_percent[trade.path] == trade.pnl
        for holder, ideas in absorbed.items():
            assert np.flatnonzero(columns.holder == holder).tolist() == ideas


@given(paths(), grids, costs)
def test_every_grade_equals_the_rules(
    some: list[Path], axes: tuple[list[Any], ...], cost: naive.Costs
) -> None:
    grid = grid_of(some, axes, cost)
    hits = grid.hits(np.arange(grid.point_count))
    some = cut(some, max(axes[2]))
    authors = list(dict.fromkeys(path.author for path in some))
    for number, point in enumerate(naive.points_of(*axes)):
        expected = [
            sum(naive.is_hit(path, point) for path in some if path.author == author) for author in authors
        ]
        share("points with a hit", any(expected), least=0.1)
        assert hits[number].tolist() == expected


@given(
    st.lists(st.integers(0, 260), min_size=1, max_size=6).map(sorted),
    st.integers(1, 90),
    st.sampled_from([7, 20, 60]),
)
def test_a_path_is_what_its_full_chunks_hold(entries: list[int], horizon: int, chunk: int) -> None:
    count = 300
    timestamps = START + MINUTE * np.arange(count)
    prices = np.arange(1.0, count + 1.0)
    frame = pl.DataFrame(
        {"timestamp": timestamps, **dict.fromkeys(("open", "high", "low", "close", "volume"), prices)}
    )

    def get_candles(symbol: str, interval: str, since: datetime, limit: int, backtest: bool) -> Any:
        return frame.filter(pl.col("timestamp") >= int(since.timestamp() * 1000)).head(limit)

    bk.reset()
    bk.set_config(CC_MAX_CANDLES_PER_REQUEST=chunk)
    bk.add_exchange_schema(exchange_name="memory", get_candles=get_candles)
    trail = CandleTrail("memory", "BTCUSDT")
    for entry in entries:
        full = (count - entry) // chunk * chunk
        got = trail.path(START + entry * MINUTE, horizon)
        assert got[0].tolist() == prices[entry : entry + min(full, horizon)].tolist()
    bk.reset()
