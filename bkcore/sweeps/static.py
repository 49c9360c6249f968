"""Grids of static exits at the speed of look-ups: tables of first passages, walked by every combination.

Tables are filled in parallel, and once where memory allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bkcore.jit import direct
from bkcore.machine.market import Market
from bkcore.machine.run import Frame, Records
from bkcore.machine.settings import EngineSettings
from bkcore.sweeps.cells import SLOTS, WIDTH, Axis
from bkcore.sweeps.fold import CURSOR, LISTERS, SLOT, WALKERS, Places, Walks
from bkcore.sweeps.slots import Slots
from bkcore.sweeps.tables import Levels, Table, TableMaker
from bkcore.sweeps.walks import ChunkSweep, Columns, Depth, Listing, Measured, Part

_walkers = {key: direct(compiled) for key, compiled in WALKERS.items()}
_listers = {key: direct(compiled) for key, compiled in LISTERS.items()}

_PART: Final = 32_768  # combinations that a thread takes at a time
_CELL: Final = {Depth.RESULTS: 16, Depth.DRAWDOWN: 32, Depth.ALL: 40}  # bytes

Numbers = NDArray[np.integer[Any]]


def cell_bytes(depth: Depth) -> int:
    """Memory of one level of one slot."""
    return _CELL[depth]


class StaticSweep(ChunkSweep):
    """Combinations of static exits over one market, measured by tables.

    levels       the distinct levels of each axis
    depth        which metrics
    memory       bytes that tables may take; more are made anew for each chunk
    """

    def __init__(
        self,
        market: Market,
        settings: EngineSettings,
        frame: Frame,
        signals: Records,
        slots: Slots,
        levels: Levels,
        *,
        depth: Depth = Depth.ALL,
        threads: int = 1,
        memory: int = 1 << 29,
    ) -> None:
        super().__init__(slots, settings.step_ms, depth=depth, threads=threads, most=_PART)
        self._levels = levels
        trails = len(levels.trails) > 0
        self._walk_table, self._list_trades = _walkers[trails, self._extremes], _listers[trails]
        market.prices(settings)
        self._makers = [
            TableMaker(
                *(market, settings, frame, signals, slots, levels),
                extremes=self._extremes,
                prices=depth is Depth.ALL,
            )
            for _ in range(threads)
        ]
        starts = range(0, len(slots), SLOTS)
        fit = max(threads, memory // (_CELL[depth] * WIDTH * len(levels)))
        self._groups = [starts[k : k + fit] for k in range(0, len(starts), fit)]
        self._kept: list[Table] | None = None

    def measure(
        self,
        takes: Numbers,
        stops: Numbers,
        lifetimes: Numbers,
        trails: Numbers | None = None,
        *,
        progress: Callable[[float], object] = lambda done: None,
    ) -> Measured:
        """Measure a chunk of combinations, each one level of each axis (numbers into :class:`Levels`).

        ``progress`` hears combinations done, in fractions.
        """
        columns = [(Axis.TAKE_PROFIT, takes), (Axis.STOP_LOSS, stops), (Axis.LIFETIME, lifetimes)]
        where = [((self._levels.first_of(axis) + level) * WIDTH).astype(np.int32) for axis, level in columns]
        trail = np.zeros(takes.size, np.int32)
        if trails is not None:
            trail = ((self._levels.first_of(Axis.TRAIL) + trails) * WIDTH).astype(np.int32)
        return self._measure((*where, trail), progress)

    def _stages(self, pool: ThreadPoolExecutor) -> Iterator[tuple[list[Table], float]]:
        if self._kept is not None:
            yield self._kept, 1.0
            return
        for group in self._groups:
            tables = list(pool.map(self._make, group))
            if len(self._groups) == 1:
                self._kept = tables
            yield tables, 1 / len(self._groups)
            if self._kept is None:
                tables.clear()  # before the next are made

    def _make(self, first: int) -> Table:
        maker = self._makers.pop()
        try:
            return maker.make(first)
        finally:
            self._makers.append(maker)

    def _walk(self, stage: list[Table], columns: Columns, part: Part, walks: Walks, listing: Listing) -> None:
        lists = listing.columns.places.size > 0
        slots = walks.cursors[SLOT::CURSOR].copy()
        places = Places(*columns)
        for table in stage:
            span = (table.first, table.end, places, *part)
            if lists:
                times = (self._slots.columns.times, self._step_ms)
                self._list_trades(table.cells, *span, *times, slots, listing.columns)
            else:
                self._walk_table(table.cells, *span, walks)
        if lists:
            begin, end = part
            walks.cursors[SLOT::CURSOR][begin:end] = slots[begin:end]
