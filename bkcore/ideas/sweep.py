"""What a grid of stops, trailings, holds and locks makes of ideas (spec risk-sizing-walker-sweep.md 4.4 to 4.7).

Points are numbered in grid order: stop outermost, then trailing, then hold, lock innermost. A trade is three table
reads; slots, series and figures of a point are one walk over the ideas in order of time.

These are rules of their own and no second telling of the machine's: the specification of this sweep lets candles touch
levels, holds a slot per author, lets one stop beat every floor of its candle and defines its own figures. Nothing else
in the package may say a rule of trading again; see :mod:`bkcore.sweeps.tables` for sweeps over signals.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
from numba import float64, int64, types
from numpy.typing import NDArray

from bkcore.ideas.paths import (
    AXES,
    NEVER,
    TOUCHES,
    Axes,
    Diagnostic,
    Touches,
    diagnose,
    f8_table,
    i8_table,
    touch_levels,
)
from bkcore.jit import f8_out, i8_out, kernel, rule, type_of
from bkcore.statistics.ordering import take_rank

MINUTE: Final = 60_000
DAY: Final = 86_400_000
DAYS_PER_YEAR: Final = 365.0
_CHUNK_TRADES = 1 << 20  # trades a thread evaluates at a time


class ExitReason(IntEnum):
    """Why a trade of an idea ended (spec 4.4)."""

    HARD_STOP = 0
    TRAILING_TAKE = 1
    PROFIT_LOCK = 2
    TIME_EXPIRED = 3
    DATA_TRUNCATED = 4


class Figure(IntEnum):
    """Where each number of a point lies in its row (spec 4.7); percents are percent, ``WIN_RATE`` is 0 to 1."""

    HARD_STOP = 0
    TRAILING_TAKE = 1
    PROFIT_LOCK = 2
    TIME_EXPIRED = 3
    DATA_TRUNCATED = 4
    TRADES = 5
    SKIPPED_BUSY = 6
    TOTAL_PNL_PERCENT = 7
    AVG_PNL_PERCENT = 8
    WIN_RATE = 9
    PROFIT_FACTOR = 10
    MAX_SERIES_DRAWDOWN_PERCENT = 11
    CALMAR_RATIO = 12
    RECOVERY_FACTOR = 13
    AVG_HOLD_MINUTES = 14
    P95_HOLD_MINUTES = 15
    P99_HOLD_MINUTES = 16
    SHARPE = 17
    SORTINO = 18


class Paths(NamedTuple):
    """The ideas in order of time: entry (ms UTC), price, side (+1.0, -1.0), candles, whether cut, author's number."""

    entry_at: Any
    entry: Any
    side: Any
    candles: Any
    truncated: Any
    author: Any


class Costs(NamedTuple):
    """Percent per side."""

    slippage_percent: Any
    fee_percent: Any


class Scratch(NamedTuple):
    """What a thread writes into: i8[authors], f8[ideas], f8[days], and i8[longest hold + 1] that adds up."""

    busy_until: Any
    holds: Any
    buckets: Any
    histogram: Any


class TradeColumns(NamedTuple):
    """The trades of one point, a row per idea; an idea that found its author's slot taken names the holder."""

    exit_index: NDArray[np.int64]
    reason: NDArray[np.int64]
    pnl_percent: NDArray[np.float64]
    holder: NDArray[np.int64]


PATHS = type_of(Paths, i8_out, f8_out, f8_out, i8_out, i8_out, i8_out)
COSTS = type_of(Costs, float64, float64)
SCRATCH = type_of(Scratch, i8_out, f8_out, f8_out, i8_out)


@rule
def levels_of(point: Any, axes: Any) -> Any:
    """``(stop, trail, hold, lock)``, the levels of a point on each axis."""
    rest, lock = point // axes.locks.size, point % axes.locks.size
    rest, hold = rest // axes.holds.size, rest % axes.holds.size
    return rest // axes.trails.size, rest % axes.trails.size, hold, lock


@rule
def trade_of(levels: Any, path: Any, axes: Any, touches: Any, paths: Any, costs: Any) -> Any:
    """``(exit candle, reason, pnl percent)`` of one idea at one point (spec 4.4)."""
    stop, trail, hold, lock = levels
    side = paths.side[path]
    slippage = costs.slippage_percent / 100.0
    fill = paths.entry[path] * (1.0 + side * slippage)
    last = min(axes.holds[hold], paths.candles[path]) - 1
    trail_at = touches.trail_at[trail, path]
    lock_at = touches.lock_at[lock, path]
    floor_at = min(trail_at, lock_at)
    stop_at = touches.stop_at[stop, path]
    if stop_at <= last and stop_at <= floor_at:
        index = stop_at
        reason = int64(ExitReason.HARD_STOP)
        price = fill * (1.0 - side * axes.stops[stop] / 100.0)
    elif floor_at <= last:
        index = floor_at
        trail_price = touches.trail_price[trail, path]
        lock_price = fill * (1.0 + side * axes.locks[lock] / 100.0)
        if lock_at > floor_at or (trail_at == floor_at and side * trail_price >= side * lock_price):
            reason = int64(ExitReason.TRAILING_TAKE)
            price = trail_price
        else:
            reason = int64(ExitReason.PROFIT_LOCK)
            price = lock_price
    else:
        index = last
        price = touches.close_at_hold[hold, path]
        if paths.truncated[path] != 0 and last == paths.candles[path] - 1:
            reason = int64(ExitReason.DATA_TRUNCATED)
        else:
            reason = int64(ExitReason.TIME_EXPIRED)
    exit_fill = price * (1.0 - side * slippage)
    pnl = side * (exit_fill - fill) / fill * 100.0 - 2.0 * costs.fee_percent
    return index, reason, pnl


@rule
def keeps_promise(reason: Any, pnl: Any, stop_percent: Any, lock_percent: Any, costs: Any) -> Any:
    """Whether a trade lost no more than its exit allows (spec 4.4, invariants)."""
    cost = 2.0 * costs.fee_percent + 4.0 * costs.slippage_percent + 0.01
    if not pnl >= -stop_percent - cost:
        return False
    if reason == ExitReason.TRAILING_TAKE:
        return pnl >= -cost
    if reason == ExitReason.PROFIT_LOCK:
        return pnl >= lock_percent - cost
    return True


@rule
def ratio(numerator: Any, denominator: Any, without: Any) -> Any:
    """``numerator / denominator``; over 0 it is inf for a positive ``without``, else 0."""
    if denominator == 0.0:
        return np.inf if without > 0.0 else 0.0
    return numerator / denominator


@rule
def write_daily(buckets: Any, row: Any) -> None:
    """Sharpe and Sortino ratio of daily sums, idle days included, over their root of days (spec 4.7)."""
    days = buckets.size
    total = 0.0
    for day in range(days):
        total += buckets[day]
    mean = total / days
    squares = 0.0
    downside = 0.0
    for day in range(days):
        squares += (buckets[day] - mean) * (buckets[day] - mean)
        downside += min(buckets[day], 0.0) * min(buckets[day], 0.0)
    deviation = math.sqrt(squares / days)
    row[Figure.SHARPE] = 0.0 if deviation == 0.0 else mean / deviation * math.sqrt(days)
    root = math.sqrt(downside / days)
    row[Figure.SORTINO] = (np.inf if mean > 0.0 else 0.0) if root == 0.0 else mean / root * math.sqrt(days)


@kernel(int64(int64, int64, AXES, TOUCHES, PATHS, COSTS, SCRATCH, f8_table))
def evaluate_points(
    first: int, last: int, axes: Any, touches: Any, paths: Any, costs: Any, scratch: Any, out: Any
) -> int:
    """Figures of the points ``first .. last - 1`` into ``out`` (f8[last - first, len(Figure)]); spec 4.5 and 4.7.

    Returns -1, or the first point with a trade that breaks an invariant of spec 4.4.
    """
    days = scratch.buckets.size
    for point in range(first, last):
        row = out[point - first]
        row[:] = 0.0
        levels = levels_of(point, axes)
        stop_percent, lock_percent = axes.stops[levels[0]], axes.locks[levels[3]]
        scratch.busy_until[:] = np.iinfo(np.int64).min
        scratch.buckets[:] = 0.0
        trades = 0
        wins = 0
        minutes = 0
        total = 0.0
        gains = 0.0
        losses = 0.0
        highest = 0.0
        drawdown = 0.0
        for path in range(paths.entry.size):
            entry_at = paths.entry_at[path]
            author = paths.author[path]
            if entry_at < scratch.busy_until[author]:
                row[Figure.SKIPPED_BUSY] += 1.0
                continue
            index, reason, pnl = trade_of(levels, path, axes, touches, paths, costs)
            if not keeps_promise(reason, pnl, stop_percent, lock_percent, costs):
                return point
            exit_at = entry_at + index * MINUTE
            scratch.busy_until[author] = exit_at + MINUTE
            scratch.holds[trades] = index + 1
            scratch.histogram[index + 1] += 1
            minutes += index + 1
            trades += 1
            row[reason] += 1.0
            total += pnl
            if pnl > 0.0:
                wins += 1
                gains += pnl
            else:
                losses -= pnl
            highest = max(highest, total)
            drawdown = max(drawdown, highest - total)
            day = (exit_at - paths.entry_at[0]) // DAY
            scratch.buckets[max(0, min(days - 1, day))] += pnl
        row[Figure.TRADES] = trades
        row[Figure.TOTAL_PNL_PERCENT] = total
        row[Figure.PROFIT_FACTOR] = np.inf if losses == 0.0 else gains / losses
        row[Figure.MAX_SERIES_DRAWDOWN_PERCENT] = drawdown
        row[Figure.CALMAR_RATIO] = ratio(total * DAYS_PER_YEAR / days, drawdown, total)
        row[Figure.RECOVERY_FACTOR] = ratio(total, drawdown, total)
        if trades > 0:
            row[Figure.AVG_PNL_PERCENT] = total / trades
            row[Figure.WIN_RATE] = wins / trades
            row[Figure.AVG_HOLD_MINUTES] = minutes / trades
            rank = min(trades - 1, int64(math.floor(0.95 * trades)))
            row[Figure.P95_HOLD_MINUTES] = take_rank(scratch.holds, trades, rank)
            rank = min(trades - 1, int64(math.floor(0.99 * trades)))
            row[Figure.P99_HOLD_MINUTES] = take_rank(scratch.holds, trades, rank)
        write_daily(scratch.buckets, row)
    return -1


@kernel(types.void(int64, AXES, TOUCHES, PATHS, COSTS, i8_out, i8_out, i8_out, f8_out, i8_out))
def list_trades(
    point: int,
    axes: Any,
    touches: Any,
    paths: Any,
    costs: Any,
    holding: Any,
    exit_index: Any,
    reason: Any,
    pnl: Any,
    holder: Any,
) -> None:
    """The columns of one point, a row per idea; ``holder`` is -1 for a trade, else the idea that holds the slot.

    ``holding`` is scratch, i8[authors].
    """
    levels = levels_of(point, axes)
    holding[:] = -1
    for path in range(paths.entry.size):
        author = paths.author[path]
        keeper = holding[author]
        if keeper >= 0 and paths.entry_at[path] < paths.entry_at[keeper] + (exit_index[keeper] + 1) * MINUTE:
            holder[path] = keeper
            continue
        holder[path] = -1
        holding[author] = path
        exit_index[path], reason[path], pnl[path] = trade_of(levels, path, axes, touches, paths, costs)


@kernel(types.void(i8_out, AXES, TOUCHES, PATHS, i8_table))
def grade_authors(points: Any, axes: Any, touches: Any, paths: Any, hits: Any) -> None:
    """``hits`` (i8[points, authors]): ideas that reach their goal before their stop and in time (spec 4.6)."""
    for k in range(points.size):
        stop, trail, hold, lock = levels_of(points[k], axes)
        for path in range(paths.entry.size):
            goal = min(touches.armed_at[trail, path], touches.locked_at[lock, path])
            in_time = goal < min(axes.holds[hold], paths.candles[path])
            if in_time and goal < touches.missed_at[stop, path]:
                hits[k, paths.author[path]] += 1


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class IdeaGrid:
    """A grid over ideas: follow every path once, then ask for points.

    authors : the number of each idea's author, from 0, the ideas in order of time

    Memory grows with (levels + points) x ideas, never with points x candles; a path is forgotten once followed.
    """

    def __init__(self, axes: Axes, costs: Costs, authors: Sequence[int]) -> None:
        count = len(authors)
        self.axes = axes
        self.costs = costs
        self.author_count = max(authors, default=-1) + 1
        self.paths = Paths(
            np.zeros(count, np.int64),
            np.zeros(count),
            np.zeros(count),
            np.zeros(count, np.int64),
            np.zeros(count, np.int64),
            np.array(authors, np.int64),
        )
        stops, trails, holds, locks = map(len, axes)

        def never(levels: int) -> NDArray[np.int64]:
            return np.full((levels, count), NEVER)

        self.touches = Touches(
            stop_at=never(stops),
            trail_at=never(trails),
            trail_price=np.empty((trails, count)),
            lock_at=never(locks),
            missed_at=never(stops),
            armed_at=never(trails),
            locked_at=never(locks),
            close_at_hold=np.empty((holds, count)),
        )
        self.horizon = int(axes.holds.max())
        #: How many trades of all points held so many minutes, i8[longest path + 1]; after :meth:`evaluate`.
        self.histogram = np.zeros(1, np.int64)
        self._columns = np.empty((2, 0))

    @property
    def point_count(self) -> int:
        """How many points the grid has."""
        return math.prod(map(len, self.axes))

    @property
    def days(self) -> int:
        """Days from the first entry to the end of the last path, at least 1 (spec 4.7)."""
        if not self.paths.entry.size:
            return 1
        known_at = self.paths.entry_at + self.paths.candles * MINUTE
        return max(1, math.ceil((int(known_at.max()) - int(self.paths.entry_at[0])) / DAY))

    def follow(
        self,
        path: int,
        entry_at: int,
        side: int,
        entry: float,
        high: NDArray[np.float64],
        low: NDArray[np.float64],
        close: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Take in the path of one idea, at most ``horizon`` candles; returns its diagnostics, f8[len(Diagnostic)]."""
        count = close.size
        for column, value in zip(
            self.paths, (entry_at, entry, side, count, count < self.horizon), strict=False
        ):
            column[path] = value
        if self._columns.shape[1] < count:
            self._columns = np.empty((2, count))
        out = np.empty(len(Diagnostic))
        best, depth = self._columns[0, :count], self._columns[1, :count]
        diagnose(high, low, close, entry, float(side), best, out)
        touch_levels(
            high,
            low,
            close,
            entry,
            float(side),
            self.costs.slippage_percent,
            self.axes,
            path,
            best,
            depth,
            self.touches,
        )
        return out

    def evaluate(self, figures: NDArray[np.float64]) -> Iterator[tuple[int, int, int]]:
        """Fill ``figures``, f8[points, len(Figure)]; yields ``(first, last, broken)`` in grid order as rows get ready.

        ``broken`` is -1, or the first point with a trade that breaks an invariant; its row and those after it up to
        ``last`` are not filled then. Parallel threads where there is enough to do.
        """
        points, paths = self.point_count, max(1, self.paths.entry.size)
        step = max(1, min(points, _CHUNK_TRADES // paths))
        starts = range(0, points, step)
        threads = min(_cores(), len(starts))
        days, longest = self.days, int(self.paths.candles.max(initial=0))
        free = [
            Scratch(
                np.empty(self.author_count, np.int64),
                np.empty(paths),
                np.empty(days),
                np.zeros(longest + 1, np.int64),
            )
            for _ in range(threads)
        ]
        every = tuple(free)

        def work(first: int) -> tuple[int, int, int]:
            scratch = free.pop()
            last = min(points, first + step)
            try:
                broken = evaluate_points(
                    first,
                    last,
                    self.axes,
                    self.touches,
                    self.paths,
                    self.costs,
                    scratch,
                    figures[first:last],
                )
            finally:
                free.append(scratch)
            return first, last, broken

        if threads == 1:
            yield from map(work, starts)
        else:
            pool = ThreadPoolExecutor(threads, thread_name_prefix="bk-sweep")
            try:
                yield from pool.map(work, starts)
            finally:
                pool.shutdown(cancel_futures=True)
        self.histogram = np.sum([scratch.histogram for scratch in every], axis=0)

    def trades(self, point: int) -> TradeColumns:
        """The trades of one point."""
        count = self.paths.entry.size
        columns = TradeColumns(
            np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count), np.empty(count, np.int64)
        )
        holding = np.empty(self.author_count, np.int64)
        list_trades(point, self.axes, self.touches, self.paths, self.costs, holding, *columns)
        return columns

    def hits(self, points: NDArray[np.int64]) -> NDArray[np.int64]:
        """Hits per rule and author, i8[points, authors] (spec 4.6)."""
        hits = np.zeros((len(points), self.author_count), np.int64)
        grade_authors(points, self.axes, self.touches, self.paths, hits)
        return hits
