"""Measures combinations from a market and their parameters alone, in this process or in another."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bkapi.schemas.space import Column, Space
from bkapi.schemas.strategy import StrategySchema
from bkapi.sweeps.plan import Float, Roles, SignalSet, SweepMarket, Told, rows_of, silent
from bkcore.statistics.metrics import Metric
from bkcore.sweeps.walks import Depth

Numbers = NDArray[np.int64]


class Part(NamedTuple):
    """Combinations of one market that are measured and saved together."""

    place: int
    chunk: int
    numbers: Numbers
    columns: dict[str, Column]


Measured = tuple[Part, Float, Numbers]
#: Measures parts in any order, yields each with its metrics and refused signals, and reports progress.
Engine = Callable[[Iterator[Part], Told], Generator[Measured, None, None]]


class Measurer:
    """Measures combinations of a strategy and a space; keeps the signals that it computed last.

    Pickled, without these signals, it can measure in other processes.
    """

    def __init__(
        self, strategy: StrategySchema, space: Space, roles: Roles, *, depth: Depth, threads: int, memory: int
    ) -> None:
        self.strategy = strategy
        self.space = space
        self.roles = roles
        self.depth = depth
        self.threads = threads
        self.memory = memory
        self._known: tuple[tuple[Any, ...], SignalSet] | None = None

    def elsewhere(self, *, threads: int) -> Measurer:
        """A copy for other processes, without what they do not need and what cannot be sent."""
        bare = {
            name: StrategySchema.model_fields[name].get_default(call_default_factory=True)
            for name in _UNUSED_FIELDS
        }
        for name in ("kernel", "manage"):  # compiled there
            function = getattr(self.strategy, name)
            bare[name] = getattr(function, "py_func", function)
        return Measurer(
            self.strategy.model_copy(update=bare),
            Space(self.space.blocks),
            self.roles,
            depth=self.depth,
            threads=threads,
            memory=self.memory,
        )

    @property
    def sets(self) -> int:
        """The largest number of sets of signal parameters that a market can have."""
        blocks = [b for b in self.space.blocks if not set(self.roles.signals).isdisjoint(b.names)]
        return math.prod(block.size for block in blocks)

    @property
    def set_size(self) -> int:
        """How many combinations share a set of signals, before conditions."""
        return max(1, self.space.size // self.sets)

    def signal_set(self, market: SweepMarket, columns: Mapping[str, Column]) -> SignalSet:
        """The signals for the parameters of the first of these combinations; those of the last call are reused."""
        fixed = {name: columns[name].values[columns[name].codes[0]] for name in self.roles.signals}
        names = market.symbol, market.frame_name
        key = (*names, *((type(value), repr(value)) for value in fixed.values()))
        if self._known is None or self._known[0] != key:
            self._known = None  # frees its tables before there are others
            strategy = self.strategy.model_copy(update={"params": {**self.strategy.params, **fixed}})
            made = SignalSet(
                *(market, strategy, self.space, self.roles),
                depth=self.depth,
                threads=self.threads,
                memory=self.memory,
            )
            self._known = key, made
        return self._known[1]

    def forget(self) -> None:
        """Free the signals and their tables."""
        self._known = None

    def groups(self, columns: Mapping[str, Column], count: int) -> Sequence[Numbers]:
        """Groups of rows that share their signals."""
        if not count:
            return []
        if not self.roles.signals:
            return [np.arange(count)]
        codes = np.stack([columns[name].codes for name in self.roles.signals], axis=1)
        _, which = np.unique(codes, axis=0, return_inverse=True)
        which = which.reshape(-1)
        order = np.argsort(which, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(which[order])) + 1)

    def measure(
        self,
        market: SweepMarket,
        columns: Mapping[str, Column],
        groups: Sequence[Numbers],
        trades: float,
        tell: Told = silent,
        span: tuple[int, int] | None = None,
    ) -> tuple[Float, Numbers]:
        """Metrics f8[n, len(Metric)] and refused signals i8[n] of combinations, group after group.

        groups   those of ``columns``; a plan is chosen for a whole group, whatever the span
        trades   expected number of trades of one combination
        span     first place and end among the rows of all groups; default: all
        """
        first, end = span or (0, sum(chosen.size for chosen in groups))
        found = []
        place = 0
        for chosen in groups:
            rows = chosen[max(first - place, 0) : max(end - place, 0)]
            place += chosen.size
            if rows.size:
                all_of_it = rows_of(columns, chosen)
                signals = self.signal_set(market, all_of_it)
                plan = signals.choose(self.set_size, all_of_it, trades)
                some = all_of_it if rows.size == chosen.size else rows_of(columns, rows)
                found.append(signals.measure(plan, some, rows.size, tell))
        if len(found) == 1:  # not worth another copy
            return found[0]
        metrics = np.concatenate([np.empty((0, len(Metric))), *(part for part, _ in found)])
        return metrics, np.concatenate([np.empty(0, np.int64), *(part for _, part in found)])

    def period_returns(
        self, market: SweepMarket, combinations: Mapping[str, Column], trades: Numbers, edges: Numbers
    ) -> Float:
        """The returns of combinations in each period, f8[periods, n], see :meth:`SignalSet.period_returns`."""
        returns = np.zeros((edges.size - 1, trades.size))
        for chosen in self.groups(combinations, trades.size):
            some = rows_of(combinations, chosen)
            returns[:, chosen] = self.signal_set(market, some).period_returns(some, trades[chosen], edges)
        self.forget()
        return returns

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_known": None}


#: Fields of a strategy that a sweep does not use.
_UNUSED_FIELDS: Final = ("get_signal", "callbacks", "risk_name", "risk_list", "actions", "note", "info")


def in_order(groups: Sequence[Numbers], metrics: Float, refused: Numbers) -> tuple[Float, Numbers]:
    """What was measured group after group, in the order of the combinations."""
    if len(groups) < 2:
        return metrics, refused
    order = np.concatenate(groups)
    found = np.empty_like(metrics), np.empty_like(refused)
    found[0][order], found[1][order] = metrics, refused
    return found


def measured_here(
    measurer: Measurer, markets: Sequence[SweepMarket], trades: float, parts: Iterator[Part], tell: Told
) -> Generator[Measured, None, None]:
    """Measure parts one after the other in threads of this process."""
    try:
        for part in parts:
            groups = measurer.groups(part.columns, part.numbers.size)
            found = measurer.measure(markets[part.place], part.columns, groups, trades, tell)
            yield part, *in_order(groups, *found)
    finally:
        measurer.forget()


def version() -> str:
    """The version of bk and of its kernels, which two processes must share to get equal results."""
    from bkapi import __version__
    from bkcore.kernel_cache import SOURCE_DIGEST

    return f"{__version__} {SOURCE_DIGEST}"
