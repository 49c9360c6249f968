"""First passages: when and how a trade that begins at a slot ends, for each take-profit, stop-loss, lifetime, trail.

Each of these exits is a function of the slot and of its own level alone, and a trade ends at the earliest of its
four. So a grid of them costs the sum of its axes in candle work, and a few look-ups per trade and combination. The
rules are those of :mod:`bkcore.machine.rules`: a table asks it candle by candle, as the skip driver does, with one
level at a time.

In which order a candle is read (exit, extreme, policy) say the phases of :mod:`bkcore.machine.phases`; here exits are
found level by level, and :class:`~bkcore.sweeps.cells.Rank` puts them in that order.
``tests/property/test_sweep_tables.py`` holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import int64, types
from numpy.typing import NDArray

from bkcore.jit import direct, f8, f8_out, i8_out, kernel, routine, rule, type_of
from bkcore.machine.codes import CloseReason, Violation
from bkcore.machine.market import Market
from bkcore.machine.policy import move_percent, trailed_stop
from bkcore.machine.price_index import leaves_band
from bkcore.machine.rules import (
    bracket_price,
    branch_at,
    fill_row,
    open_position,
    settle_extremes,
    terms_of,
    update_extreme,
    violations_of,
)
from bkcore.machine.run import Frame, Records
from bkcore.machine.settings import EngineSettings
from bkcore.sweeps.cells import (
    CELLS_OUT,
    SLOTS,
    WIDTH,
    Axis,
    Begun,
    Cells,
    Rank,
    candle_at,
    fill_reached,
    first_open,
    own_exit,
    start_cell,
    write_exit,
)
from bkcore.sweeps.inputs import INPUTS, RUN_TABLES, STATES, inputs_of, row_of_end, states_of, tables_of_trade
from bkcore.sweeps.slots import Slots, slot_after

_TAKE_BITS = int(
    Violation.TAKE_PROFIT
    | Violation.TAKE_PROFIT_SIDE
    | Violation.TAKE_PROFIT_TOO_CLOSE
    | Violation.WOULD_CLOSE_AT_TAKE_PROFIT
)
_STOP_BITS = int(
    Violation.STOP_LOSS
    | Violation.STOP_LOSS_SIDE
    | Violation.STOP_LOSS_TOO_CLOSE
    | Violation.STOP_LOSS_TOO_FAR
    | Violation.WOULD_CLOSE_AT_STOP_LOSS
)
_OTHER_BITS = ~(_TAKE_BITS | _STOP_BITS)
_ROUNDING = 1e-12


class LevelColumns(NamedTuple):
    """The levels of each axis, ascending, and where kernels note what they come to at the slot at hand.

    takes, stops : f8[n]   fractions of the entry price; a single NaN = the signal's own
    lifetimes : f8[n]      minutes, inf for none; a single NaN = the signal's own
    trail_from, trail_distance : f8[n]   percent of gain from which the stop follows, and how many percent behind
    prices : f8[takes + stops]   the price of each target, then of each stop
    clocks : i8[lifetimes]       the candle at which each lifetime is over; -1 = refused
    """

    takes: Any
    stops: Any
    lifetimes: Any
    trail_from: Any
    trail_distance: Any
    prices: Any
    clocks: Any


LEVEL_COLUMNS = type_of(LevelColumns, f8, f8, f8, f8, f8, f8_out, i8_out)


@rule
def terms_with(
    state: Any, settings: Any, signal: Any, take_profit: Any, stop_loss: Any, lifetime: Any
) -> Any:
    """The terms of a candidate under these levels; NaN leaves its own."""
    state.take_profit = take_profit
    state.stop_loss = stop_loss
    state.lifetime = lifetime
    return terms_of(state, settings, signal)


@routine
def is_refused(state: Any, settings: Any, signal: Any, terms: Any, bits: Any) -> Any:
    """Whether a candidate with these terms breaks one of the rules ``bits``."""
    return violations_of(state, settings, signal, terms) & bits != 0


@rule
def refuses_some(state: Any, settings: Any, signal: Any, takes: Any, stops: Any) -> Any:
    """Whether a level of these axes may be refused: what is accepted lies between a lowest and a highest level."""
    for k in (0, -1):
        terms = terms_with(state, settings, signal, takes[k], stops[k], np.nan)
        if is_refused(state, settings, signal, terms, _TAKE_BITS | _STOP_BITS):
            return True
    return False


@rule
def is_near(stop: Any, candle: Any) -> Any:
    """Whether a comparison with ``stop`` could turn out otherwise by rounding."""
    return abs(candle.price - stop) <= stop * _ROUNDING


@rule
def begin_trade(state: Any, settings: Any, signal: Any, levels: Any, tables: Any) -> None:
    """Open the position of a slot, with the first level of each axis and without an end."""
    terms = terms_with(state, settings, signal, levels.takes[0], levels.stops[0], levels.lifetimes[0])
    fill_row(state, settings, terms, signal, tables.trades, tables.entries, tables.partials)
    position = tables.trades[0]
    open_position(position, tables.entries, state.tick_time)
    position.lifetime = np.inf


@rule
def price_levels(begun: Any, state: Any, signal: Any, levels: Any, later: Any) -> None:
    """Start the cells of targets and stops: their prices, and which of them are refused."""
    settings = begun.settings
    judges = refuses_some(state, settings, signal, levels.takes, levels.stops)
    takes_end = levels.takes.size
    for k in range(takes_end):
        terms = terms_with(state, settings, signal, levels.takes[k], np.nan, np.nan)
        levels.prices[k] = terms[2]
        start_cell(begun, k, judges and is_refused(state, settings, signal, terms, _TAKE_BITS), later)
    for k in range(levels.stops.size):
        terms = terms_with(state, settings, signal, np.nan, levels.stops[k], np.nan)
        levels.prices[takes_end + k] = terms[3]
        refused = judges and is_refused(state, settings, signal, terms, _STOP_BITS)
        start_cell(begun, takes_end + k, refused, later)


@rule
def time_lifetimes(begun: Any, state: Any, signal: Any, levels: Any, later: Any) -> Any:
    """Start the cells of lifetimes: the candles at which they are over, and which are refused; returns the last."""
    settings, position = begun.settings, begun.position
    first = levels.takes.size + levels.stops.size
    horizon = begun.row
    for k in range(levels.lifetimes.size):
        terms = terms_with(state, settings, signal, np.nan, np.nan, levels.lifetimes[k])
        refused = is_refused(state, settings, signal, terms, _OTHER_BITS)
        start_cell(begun, first + k, True, later)
        levels.clocks[k] = -1
        if not refused:
            position.lifetime = terms[4]
            levels.clocks[k] = row_of_end(state, settings, position, begun.row)
            horizon = max(horizon, levels.clocks[k])
    position.lifetime = np.inf
    return horizon


@rule
def next_candle(begun: Any, inputs: Any, row: Any, end: Any, one: Any, other: Any) -> Any:
    """The first candle of ``[row, end)`` that reaches one of two prices, else ``end``; what lies before is quiet."""
    timestamps, prices = inputs.candles.timestamps, inputs.prices
    at = leaves_band(
        *(prices.floors, prices.ceilings, prices.lows, prices.highs, row, end),
        *(min(one, other), max(one, other)),
    )
    if begun.cells.peaks.size and at > row:
        settle_extremes(
            *(begun.position, timestamps, prices.values, prices.values, prices.lows, prices.highs),
            *(row, at, 0),
        )
    return at


@rule
def note_extreme(begun: Any, candle: Any) -> None:
    """A candle that has not ended every level may be the best or the worst so far."""
    if begun.cells.peaks.size:
        position, price = begun.position, candle.price
        update_extreme(position, branch_at(position, price), candle.time, price)


@rule
def first_clock(clocks: Any, clock: Any, row: Any) -> Any:
    """The first lifetime from ``clock`` on that is over at ``row`` or later, that is, is not refused."""
    while clock < clocks.size and clocks[clock] < row:
        clock += 1
    return clock


@rule
def end_by_clock(begun: Any, levels: Any, clock: Any, row: Any, following: Any, candle: Any) -> Any:
    """Fill the cells of the lifetimes that are over at a candle; returns the first that is not."""
    first = levels.takes.size + levels.stops.size
    while clock < levels.clocks.size and levels.clocks[clock] == row:
        write_exit(begun, first + clock, row, int64(Rank.CLOCK), following, candle.price)
        clock += 1
    return clock


@routine
def find_static_exits(begun: Any, inputs: Any, slot: Any, levels: Any, horizon: Any) -> None:
    """Fill the cells of targets, stops and lifetimes, as the candles come to them.

    Levels ascend: the candle that reaches one has reached those before it, so only the next of each axis is watched.
    """
    position = begun.position
    takes_end = levels.takes.size
    stops_end = takes_end + levels.stops.size
    never = position.side * np.inf
    take, stop, clock = int64(0), takes_end, int64(0)
    row = begun.row
    while row <= horizon:
        clock = first_clock(levels.clocks, clock, row)
        if clock == levels.clocks.size:
            break
        take = first_open(begun, take, takes_end)
        stop = first_open(begun, stop, stops_end)
        best = levels.prices[take] if take < takes_end else never
        worst = levels.prices[stop] if stop < stops_end else -never
        end = levels.clocks[clock]
        row = next_candle(begun, inputs, row, end, best, worst)
        candle = candle_at(inputs, row)
        following = slot_after(inputs.slots, slot, row)
        if row == end:
            clock = end_by_clock(begun, levels, clock, row, following, candle)
            continue
        position.active_stop = -never
        take = fill_reached(begun, True, levels.prices, take, takes_end, row, candle, following)
        position.active_take = never
        stop = fill_reached(begun, False, levels.prices, stop, stops_end, row, candle, following)
        note_extreme(begun, candle)
        row += 1


@rule
def same_start(levels: Any, trail: Any) -> Any:
    """The end of the trails from ``trail`` on that begin to follow at the same gain."""
    end = trail
    while end < levels.trail_from.size and levels.trail_from[end] == levels.trail_from[trail]:
        end += 1
    return end


@rule
def fill_trailed(
    begun: Any,
    levels: Any,
    trail: Any,
    end: Any,
    best: Any,
    row: Any,
    candle: Any,
    following: Any,
) -> Any:
    """Fill those of the trails ``[trail, end)`` whose stop a candle reaches; returns the first that it does not.

    best       price that the stops follow
    """
    position = begun.position
    first = levels.prices.size + levels.lifetimes.size
    while trail < end:
        stop = trailed_stop(position.side, best, levels.trail_distance[trail])
        position.active_stop = stop
        reason, price = own_exit(position, candle)
        near = is_near(stop, candle)
        if not near and reason != CloseReason.STOP_LOSS:
            break
        rank = int64(Rank.UNCLEAR if near else Rank.STOP)
        write_exit(begun, first + trail, row, rank, following, price)
        trail += 1
    return trail


@routine
def follow_price(
    begun: Any,
    inputs: Any,
    slot: Any,
    levels: Any,
    trail: Any,
    end: Any,
    horizon: Any,
) -> None:
    """Fill the cells of the trails ``[trail, end)``, which begin to follow the price at the same gain.

    They follow the same best price, so the nearest stop is the next to be reached.
    """
    position = begun.position
    side = position.side
    never = side * np.inf
    start = levels.trail_from[trail]
    trigger = bracket_price(position.effective_open, side, start / 100.0)
    follows = False
    best = -never
    row = begun.row
    while trail < end and row < horizon:
        behind = -never
        ahead = trigger - side * abs(trigger) * _ROUNDING
        if follows:
            behind = trailed_stop(side, best, levels.trail_distance[trail])
            behind = behind + side * behind * _ROUNDING
            ahead = best
        row = next_candle(begun, inputs, row, horizon, behind, ahead)
        if row == horizon:
            break
        candle = candle_at(inputs, row)
        price = candle.price
        if follows:
            following = slot_after(inputs.slots, slot, row)
            trail = fill_trailed(begun, levels, trail, end, best, row, candle, following)
        note_extreme(begun, candle)
        if move_percent(position, price) >= start and (not follows or side * (price - best) > 0.0):
            follows = True
            best = price
        row += 1


@rule
def find_trailed_exits(begun: Any, state: Any, inputs: Any, slot: Any, levels: Any, horizon: Any) -> None:
    """Fill the cells of the stops that follow the price, until the last lifetime is over."""
    position = begun.position
    position.active_take = position.side * np.inf
    first = levels.prices.size + levels.lifetimes.size
    trail = int64(0)
    while trail < levels.trail_from.size:
        end = same_start(levels, trail)
        for k in range(trail, end):
            start_cell(begun, first + k, False, inputs.slots.after[slot])
        open_position(position, begun.entries, state.tick_time)
        if levels.trail_from[trail] != np.inf:
            follow_price(begun, inputs, slot, levels, trail, end, horizon)
        trail = end


@kernel(types.void(INPUTS, STATES, RUN_TABLES, int64, int64, LEVEL_COLUMNS, CELLS_OUT))
def fill_tables(
    inputs: Any, states: Any, tables: Any, first_slot: Any, end_slot: Any, levels: Any, cells: Any
) -> None:
    """Fill the cells of slots ``[first_slot, end_slot)``, at most ``SLOTS``, for each level of each axis.

    inputs : Inputs
    states : STATE[1]        of the thread; its ``frame_end`` is set
    tables : RunTables       of the thread, to play a trade in
    levels : LevelColumns    of the thread, which notes there what levels come to
    cells : Cells            the answer
    """
    settings = inputs.settings[0]
    slots = inputs.slots
    state = states[0]
    for slot in range(first_slot, end_slot):
        row = int64(slots.rows[slot])
        signal = inputs.signals[slots.signals[slot]]
        later = slots.after[slot]
        state.tick_time = slots.times[slot]
        state.tick_price = inputs.prices.values[row - 1]
        begin_trade(state, settings, signal, levels, tables)
        begun = Begun(
            *(settings, tables.trades[0], tables.entries, tables.partials),
            *(cells, slot - first_slot, row),
        )
        price_levels(begun, state, signal, levels, later)
        horizon = time_lifetimes(begun, state, signal, levels, later)
        find_static_exits(begun, inputs, slot, levels, horizon)
        find_trailed_exits(begun, state, inputs, slot, levels, horizon)


_fill_tables = direct(fill_tables)


@dataclass(frozen=True, eq=False)
class Levels:
    """The distinct levels of each axis, ascending. A single NaN is the signal's own level.

    takes, stops : f8   percent of the entry price
    lifetimes : f8      minutes, inf for none
    trails : f8[n, 2]   percent of gain from which the stop follows, and how many percent behind the best price
    """

    takes: NDArray[np.float64]
    stops: NDArray[np.float64]
    lifetimes: NDArray[np.float64]
    trails: NDArray[np.float64]

    def __len__(self) -> int:
        return self.takes.size + self.stops.size + self.lifetimes.size + len(self.trails)

    def first_of(self, axis: Axis) -> int:
        """Where the levels of an axis begin among all of them."""
        sizes = (self.takes.size, self.stops.size, self.lifetimes.size)
        return sum(sizes[:axis])


@dataclass(frozen=True, eq=False)
class Table:
    """The cells of the slots ``[first, end)``."""

    first: int
    end: int
    cells: Cells


class TableMaker:
    """Fills tables, one after another; each thread has its own."""

    def __init__(
        self,
        market: Market,
        settings: EngineSettings,
        frame: Frame,
        signals: Records,
        slots: Slots,
        levels: Levels,
        *,
        extremes: bool,
        prices: bool,
    ) -> None:
        self._slots = slots
        self._levels = levels
        self._wanted = (True, extremes, extremes, prices)
        self._inputs = (
            *(inputs_of(market, settings, signals, slots), states_of(frame.end_ms), tables_of_trade()),
        )
        trail_from, trail_distance = np.ascontiguousarray(levels.trails.T)
        self._columns = LevelColumns(
            *(levels.takes / 100.0, levels.stops / 100.0, levels.lifetimes, trail_from, trail_distance),
            *(np.empty(levels.takes.size + levels.stops.size), np.empty(levels.lifetimes.size, np.int64)),
        )

    def make(self, first: int) -> Table:
        """The table of the slots from ``first`` on."""
        end = min(len(self._slots), first + SLOTS)
        count = len(self._levels) * WIDTH
        cells = Cells(
            *(np.empty(count, np.int32), np.empty(count, np.int32)),
            *(np.empty(count if wanted else 0) for wanted in self._wanted),
        )
        _fill_tables(*self._inputs, first, end, self._columns, cells)
        return Table(first, end, cells)
