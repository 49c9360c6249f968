"""Cells of the tables of a sweep: for a slot and a level, when a trade ends by that level, how, and what it brings."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
from numba import int32, int64

from bkcore.jit import f8, f8_out, i4, i4_out, routine, rule, type_of
from bkcore.machine.pnl import pnl_percent
from bkcore.machine.rules import exit_of_candle, price_extremes
from bkcore.statistics.metrics import outcome_of

#: Slots of one table, so few that it stays near the core.
SLOTS: Final = 256
#: Cells from one level to the next: not a power of two, which would crowd the levels into a few lines of the cache.
WIDTH: Final = SLOTS + 16


class Axis(IntEnum):
    """The levels of a static exit; a combination has one of each."""

    TAKE_PROFIT = 0
    STOP_LOSS = 1
    LIFETIME = 2
    TRAIL = 3


class Rank(IntEnum):
    """What comes first within one candle (:func:`bkcore.machine.rules.exit_of_candle`)."""

    UNCLEAR = 0  # within rounding of a trailed stop: only the machine knows
    CLOCK = 1
    STOP = 2
    TAKE = 3


REFUSED: Final = -1
NEVER: Final = np.iinfo(np.int32).max
_NO_END = np.iinfo(np.int64).max


class Cells(NamedTuple):
    """The cells of up to ``SLOTS`` slots from the first of a table on, flat: ``level * WIDTH + (slot - first)``.

    keys : i4             the earliest exit has the smallest (:func:`key_of`); REFUSED, NEVER
    next_slots : i4       the slot at which a combination goes on
    pnl : f8              result, percent
    peaks, falls : f8     best and worst moment of the trade, percent; empty where they are not wanted
    prices : f8           closing price, quote currency; empty where it is not wanted
    """

    keys: Any
    next_slots: Any
    pnl: Any
    peaks: Any
    falls: Any
    prices: Any


#: As they are read, and as they are filled.
CELLS = type_of(Cells, i4, i4, f8, f8, f8, f8)
CELLS_OUT = type_of(Cells, i4_out, i4_out, f8_out, f8_out, f8_out, f8_out)


class Candle(NamedTuple):
    """One candle: when it opens (ms UTC), and the price that decides."""

    time: Any
    price: Any


class Begun(NamedTuple):
    """A position that begins at a slot, with no level of its own, and where its exits are written.

    settings, position     a record each of ``SETTINGS`` and ``POSITION``
    entries, partials      their tables
    cells, cell            the table, and the column of the slot in it
    row                    the first candle monitored
    """

    settings: Any
    position: Any
    entries: Any
    partials: Any
    cells: Any
    cell: Any
    row: Any


@rule
def key_of(held: Any, rank: Any, outcome: Any) -> Any:
    """Candles held, rank and outcome of an exit in one number."""
    return int32(((held << 3) + int64(rank)) << 2) + int32(outcome)


@rule
def held_of(key: Any) -> Any:
    """Candles held."""
    return int64(key >> 5)


@rule
def is_unclear(key: Any) -> Any:
    """Whether only the machine knows if this exit happens."""
    return (int64(key) >> 2) & 7 == int64(Rank.UNCLEAR)


@rule
def outcome_of_key(key: Any) -> Any:
    """WIN, EVEN or LOSS."""
    return int64(key & 3)


@rule
def candle_at(inputs: Any, row: Any) -> Any:
    """The candle of a row."""
    return Candle(inputs.candles.timestamps[row], inputs.prices.values[row])


@rule
def own_exit(position: Any, candle: Any) -> Any:
    """Reason and price at which a candle ends the position by the levels that it has now; the clock stands still."""
    return exit_of_candle(position, _NO_END, candle.time, candle.price)


@rule
def start_cell(begun: Any, level: Any, is_refused: Any, later: Any) -> None:
    """A cell before any candle: the level is refused or never reached."""
    place = level * WIDTH + begun.cell
    begun.cells.keys[place] = int32(REFUSED) if is_refused else int32(NEVER)
    begun.cells.next_slots[place] = later


@routine
def write_exit(begun: Any, level: Any, row: Any, rank: Any, following: Any, price: Any) -> None:
    """Fill one cell: the position ends by ``level`` at candle ``row`` and ``price``; ``following`` is the next slot."""
    settings, position, entries, partials, cells, cell, first_row = begun
    place = level * WIDTH + cell
    percent = pnl_percent(position, partials, settings, price)
    cells.keys[place] = key_of(row - first_row, rank, outcome_of(percent))
    cells.next_slots[place] = following
    cells.pnl[place] = percent
    if cells.peaks.size:
        price_extremes(position, entries, partials, settings)
        cells.peaks[place] = position.peak_pnl_percent
        cells.falls[place] = position.fall_pnl_percent
    if cells.prices.size:
        cells.prices[place] = price


@rule
def first_open(begun: Any, level: Any, end: Any) -> Any:
    """The first of the levels ``[level, end)`` that is not refused; ``end`` without one."""
    while level < end and begun.cells.keys[level * WIDTH + begun.cell] == REFUSED:
        level += 1
    return level


@rule
def fill_reached(
    begun: Any, takes: Any, prices: Any, level: Any, end: Any, row: Any, candle: Any, following: Any
) -> Any:
    """Fill those of the levels ``[level, end)`` that a candle reaches; returns the first that it does not.

    takes      whether they are targets, else stops
    prices     of all levels; the nearest comes first
    """
    position = begun.position
    while level < end:
        if takes:
            position.active_take = prices[level]
        else:
            position.active_stop = prices[level]
        reason, price = own_exit(position, candle)
        if not reason:
            break
        if begun.cells.keys[level * WIDTH + begun.cell] != REFUSED:
            rank = int64(Rank.TAKE if takes else Rank.STOP)
            write_exit(begun, level, row, rank, following, price)
        level += 1
    return level
