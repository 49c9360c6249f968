"""What the plans of a sweep share: the sums of combinations, in parts that threads take, and metrics made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bkcore.jit import direct
from bkcore.statistics.metrics import Metric, Scope, trade_metrics
from bkcore.sweeps.fold import Listed, Walks, finish_walks, walks_of
from bkcore.sweeps.slots import Slots

_finish_walks, _trade_metrics = direct(finish_walks), direct(trade_metrics)

LISTED: Final = 4_000_000  # trades that are listed at a time, for metrics that need them all

Part = tuple[int, int]
Columns = tuple[Any, ...]
#: Metrics f8[n, len(Metric)], refused signals i8[n], and which combinations only the machine can measure.
Measured = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]


class Depth(Enum):
    """Which metrics are measured; each depth includes those before it."""

    RESULTS = "results"  # what follows from the results of the trades
    DRAWDOWN = "drawdown"  # and from their best and worst moments: drawdown, recovery, calmar
    ALL = "all"  # and the median and the price profile, which need every trade at once


def parts_of(count: int, threads: int, most: int) -> list[Part]:
    """``count`` combinations in parts for threads to take."""
    size = max(1, min(most, -(-count // threads)))
    return [(begin, min(count, begin + size)) for begin in range(0, count, size)]


def spans(counts: Iterable[int], most: int) -> Iterator[tuple[int, int]]:
    """Neighbours that together hold at most ``most``, or one alone that holds more."""
    begin, held = 0, 0
    k = -1
    for k, count in enumerate(counts):
        if held and held + count > most:
            yield begin, k
            begin, held = k, 0
        held += int(count)
    if k >= begin:
        yield begin, k + 1


class Listing:
    """Columns for the trades of combinations, one combination after another.

    bounds : i8[n + 1]   where the trades of each begin; ``columns.places`` moves on from there
    """

    def __init__(self, trades: NDArray[np.int64]) -> None:
        self.bounds = np.concatenate(([0], np.cumsum(trades)))
        count = self.bounds[-1]
        self.columns = Listed(
            self.bounds[:-1].copy(),
            *(np.empty(count) for _ in range(4)),
            *(np.empty(count, np.int64) for _ in range(2)),
        )

    def measure(self, part: Part, metrics: NDArray[np.float64]) -> None:
        """Write all metrics of the combinations of a part."""
        bounds = self.bounds
        most = int(np.diff(bounds).max(initial=0))
        order, scratch = np.empty(2 * most, np.int64), np.empty(most)
        for c in range(*part):
            own = slice(bounds[c], bounds[c + 1])
            _, pnl, peak, fall, price, pending, close = self.columns
            columns = (pnl[own], peak[own], fall[own], pending[own], close[own], price[own])
            _trade_metrics(*columns, int(Scope.SERIES), order, scratch, metrics[c])


_NO_LISTING = Listing(np.zeros(0, np.int64))


class ChunkSweep(ABC):
    """Measures chunks of combinations over one market, each described by its row of some columns."""

    def __init__(self, slots: Slots, step_ms: int, *, depth: Depth, threads: int, most: int) -> None:
        self._slots = slots
        self._step_ms = step_ms
        self._depth = depth
        self._threads = threads
        self._most = most
        self._extremes = depth is not Depth.RESULTS

    @abstractmethod
    def _stages(self, pool: ThreadPoolExecutor) -> Iterator[tuple[Any, float]]:
        """What combinations walk over, one after another, and which share of the way each is."""

    @abstractmethod
    def _walk(self, stage: Any, columns: Columns, part: Part, walks: Walks, listing: Listing) -> None:
        """Let the combinations of a part walk over a stage; ``listing`` has places where trades are wanted."""

    def _measure(self, columns: Columns, progress: Callable[[float], object]) -> Measured:
        count = len(columns[0])
        walks = walks_of(count, self._slots.first)
        parts = parts_of(count, self._threads, self._most)
        metrics = np.empty((count, len(Metric)))
        refused, unclear = np.empty(count, np.int64), np.empty(count, np.int64)

        def finish(part: Part) -> None:
            times = self._slots.columns.times
            answer = (metrics, refused, unclear)
            _finish_walks(times, self._step_ms, int(self._extremes), walks, *part, *answer)

        with ThreadPoolExecutor(self._threads, thread_name_prefix="bk-sweep") as pool:
            self._pass(pool, columns, parts, walks, _NO_LISTING, progress)
            list(pool.map(finish, parts))
            if self._depth is Depth.ALL:
                self._add_listed(pool, columns, metrics)
        return metrics, refused, unclear.astype(np.bool_)

    def _pass(
        self,
        pool: ThreadPoolExecutor,
        columns: Columns,
        parts: list[Part],
        walks: Walks,
        listing: Listing,
        progress: Callable[[float], object],
    ) -> None:
        for stage, share in self._stages(pool):
            done = pool.map(lambda part, at=stage: self._walk(at, columns, part, walks, listing), parts)
            for (begin, end), _ in zip(parts, done, strict=True):
                progress((end - begin) * share)

    def _add_listed(self, pool: ThreadPoolExecutor, columns: Columns, metrics: NDArray[np.float64]) -> None:
        """Measure once more, from the trades one by one: what sums cannot tell."""
        trades = metrics[:, Metric.TOTAL_TRADES].astype(np.int64)
        for begin, end in spans(trades, LISTED):
            chosen = tuple(column[begin:end] for column in columns)
            parts = parts_of(end - begin, self._threads, self._most)
            listing = self._list(pool, chosen, trades[begin:end], parts)
            part = metrics[begin:end]
            list(pool.map(lambda span, listing=listing, part=part: listing.measure(span, part), parts))

    def _list(
        self, pool: ThreadPoolExecutor, columns: Columns, trades: NDArray[np.int64], parts: list[Part]
    ) -> Listing:
        listing = Listing(trades)
        walks = walks_of(trades.size, self._slots.first)
        self._pass(pool, columns, parts, walks, listing, lambda done: None)
        return listing

    def _listed(self, columns: Columns, trades: NDArray[np.int64]) -> Listing:
        """The trades of combinations one by one, of which each has ``trades``."""
        with ThreadPoolExecutor(self._threads, thread_name_prefix="bk-sweep") as pool:
            return self._list(pool, columns, trades, parts_of(trades.size, self._threads, self._most))
