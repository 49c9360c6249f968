"""First passages: when and how a trade that begins at a slot ends, for each take-profit, stop-loss, lifetime, trail.

Each of these exits is a function of the slot and of its own level alone, and a trade ends at the earliest of its four.
So a grid of them costs the sum of its axes in candle work, and a few look-ups per trade and combination. The rules are
those of :mod:`bkcore.machine`: a table asks it candle by candle, as the skip driver does, with one level at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numba import int32, int64, types
from numpy.typing import NDArray

from bkcore.codes import CloseReason, Violation
from bkcore.jit import direct, f8, i8, kernel, routine, rule
from bkcore.machine import (
    branch_at,
    exit_of_candle,
    fill_row,
    open_position,
    price_extremes,
    settle_extremes,
    terms_of,
    time_of_expiry,
    update_extreme,
    violations_of,
)
from bkcore.market import Market, row_at
from bkcore.pnl import pnl_percent
from bkcore.policy import move_percent
from bkcore.price_index import leaves_band
from bkcore.records import ENTRY, PARTIAL, POSITION, SIGNAL, STATE, array_of
from bkcore.run import Frame, Records
from bkcore.settings import SETTINGS, EngineSettings
from bkcore.sweep_slots import Slots

_f8_out = types.Array(types.float64, 1, "C")
_i8_out = types.Array(types.int64, 1, "C")
_i4_out = types.Array(types.int32, 1, "C")
_i4 = types.Array(types.int32, 1, "C", readonly=True)

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
    """What comes first within one candle (:func:`bkcore.machine.exit_of_candle`)."""

    UNCLEAR = 0  # within rounding of a trailed stop: only the machine knows
    CLOCK = 1
    STOP_AT_OPEN = 2
    TAKE_AT_OPEN = 3
    STOP = 4
    TAKE = 5


#: A key is ``((candles since the slot) * 8 + rank) * 4 + class``, so the earliest exit has the smallest key.
RANK_SHIFT, OFFSET_SHIFT = 2, 5
WIN, EVEN, LOSS = 0, 1, 2
REFUSED: Final = -1
NEVER: Final = np.iinfo(np.int32).max

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
_NO_END = np.iinfo(np.int64).max
_ROUNDING = 1e-12


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


@routine
def write_exit(
    tables: Any,
    place: Any,
    offset: Any,
    rank: Any,
    following: Any,
    settings: Any,
    position: Any,
    entries: Any,
    partials: Any,
    price: Any,
) -> None:
    """Fill one cell: the position ends ``offset`` candles after its slot, at ``price``."""
    keys, next_slots, pnl, peaks, falls, prices = tables
    percent = pnl_percent(position, entries, partials, settings, price)
    kind = WIN if percent > 0.0 else (LOSS if percent < 0.0 else EVEN)
    keys[place] = int32(((offset << 3) + int64(rank)) << 2) + int32(kind)
    next_slots[place] = following
    pnl[place] = percent
    if peaks.size:
        price_extremes(position, entries, partials, settings)
        peaks[place] = position.peak_pnl_percent
        falls[place] = position.fall_pnl_percent
    if prices.size:
        prices[place] = price


@rule
def rank_of(settings: Any, price: Any, opened: Any, at_open: Any, inside: Any) -> Any:
    """The rank of an exit at ``price``: touched candles may fill at their open."""
    return int64(at_open) if settings.touches and price == opened else int64(inside)


@rule
def fill_if_ended(
    tables: Any,
    place: Any,
    offset: Any,
    at_open: Any,
    inside: Any,
    following: Any,
    settings: Any,
    position: Any,
    entries: Any,
    partials: Any,
    candle: Any,
) -> Any:
    """Fill a cell, unless it is refused, if the candle reaches the one level that the position has; returns whether."""
    time, price, opened, low, high = candle
    reason, exit_price = exit_of_candle(position, settings, _NO_END, time, price, opened, low, high)
    if not reason:
        return False
    if tables[0][place] != REFUSED:
        rank = rank_of(settings, exit_price, opened, at_open, inside)
        write_exit(
            *(tables, place, offset, rank, following, settings, position, entries, partials, exit_price)
        )
    return True


@rule
def is_near(settings: Any, stop: Any, price: Any, opened: Any, low: Any, high: Any) -> Any:
    """Whether a comparison with ``stop`` could turn out otherwise by rounding."""
    slack = stop * _ROUNDING
    if settings.touches:
        return abs(opened - stop) <= slack or abs(low - stop) <= slack or abs(high - stop) <= slack
    return abs(price - stop) <= slack


@kernel(
    types.void(
        *(i8, f8, f8, f8, f8, f8, f8, f8, f8),
        *(array_of(SETTINGS), int64, array_of(SIGNAL), array_of(STATE)),
        *(array_of(POSITION), array_of(ENTRY), array_of(PARTIAL)),
        *(i8, _i4, _i4, _i4, _i4, _i4, int64, int64),
        *(f8, f8, f8, f8, f8),
        *(_f8_out, _i8_out),
        *(_i4_out, _i4_out, _f8_out, _f8_out, _f8_out, _f8_out),
    )
)
def fill_tables(
    timestamps: Any,
    opened: Any,
    high: Any,
    low: Any,
    series: Any,
    floors: Any,
    ceilings: Any,
    lows: Any,
    highs: Any,
    setting: Any,
    frame_end: Any,
    signals: Any,
    states: Any,
    trades: Any,
    entries: Any,
    partials: Any,
    slot_times: Any,
    slot_rows: Any,
    slot_signals: Any,
    freed: Any,
    after: Any,
    next_after: Any,
    first_slot: Any,
    end_slot: Any,
    takes: Any,
    stops: Any,
    lifetimes: Any,
    trail_from: Any,
    trail_distance: Any,
    levels: Any,
    clocks: Any,
    keys: Any,
    next_slots: Any,
    pnl: Any,
    peaks: Any,
    falls: Any,
    prices: Any,
) -> None:
    """Fill the cells of slots ``[first_slot, end_slot)``; cell ``level * WIDTH + slot`` for each level of each axis.

    takes, stops, lifetimes   levels of the axes, fractions and minutes, ascending; a single NaN = the signal's own
    trail_from, trail_distance   trails, ascending: percent of gain from which the stop follows, and how far behind
    levels : f8[>= takes + stops], clocks : i8[>= lifetimes]   scratch, as are ``states``, ``trades``, ...
    keys, next_slots : i4; pnl, peaks, falls, prices : f8   the cells; the last three may be empty: not wanted
    """
    settings = setting[0]
    state = states[0]
    tables = (keys, next_slots, pnl, peaks, falls, prices)
    wants_extremes = peaks.size > 0
    takes_end = takes.size
    stops_end = takes_end + stops.size
    lifetimes_end = stops_end + lifetimes.size
    for slot in range(first_slot, end_slot):
        cell = slot - first_slot
        row = int64(slot_rows[slot])
        signal = signals[slot_signals[slot]]
        side = signal.side
        state.tick_time = slot_times[slot]
        state.tick_price = series[row - 1]
        later = after[slot]
        bound = freed[slot]
        terms = terms_with(state, settings, signal, takes[0], stops[0], lifetimes[0])
        fill_row(state, terms, signal, trades, entries, partials)
        position = trades[0]
        open_position(position, entries, state.tick_time)
        position.lifetime = np.inf
        # ------------------------------------------------------------------------ which levels are refused
        judges = refuses_some(state, settings, signal, takes, stops)
        for k in range(takes_end):
            terms = terms_with(state, settings, signal, takes[k], np.nan, np.nan)
            levels[k] = terms[2]
            place = k * WIDTH + cell
            keys[place] = int32(NEVER)
            if judges and is_refused(state, settings, signal, terms, _TAKE_BITS):
                keys[place] = int32(REFUSED)
            next_slots[place] = later
        for k in range(stops.size):
            terms = terms_with(state, settings, signal, np.nan, stops[k], np.nan)
            levels[takes_end + k] = terms[3]
            place = (takes_end + k) * WIDTH + cell
            keys[place] = int32(NEVER)
            if judges and is_refused(state, settings, signal, terms, _STOP_BITS):
                keys[place] = int32(REFUSED)
            next_slots[place] = later
        horizon = row
        for k in range(lifetimes.size):
            terms = terms_with(state, settings, signal, np.nan, np.nan, lifetimes[k])
            place = (stops_end + k) * WIDTH + cell
            next_slots[place] = later
            clocks[k] = -1
            keys[place] = int32(REFUSED)
            if not is_refused(state, settings, signal, terms, _OTHER_BITS):
                position.lifetime = terms[4]
                until = min(frame_end + 1, time_of_expiry(position))
                clocks[k] = row_at(timestamps, settings.step_ms, until)
                horizon = max(horizon, clocks[k])
        position.lifetime = np.inf
        # ---------------------------------------------------------------- targets, stops and the clock, as they come
        take = 0
        stop = takes_end
        clock = 0
        never = side * np.inf
        k = row
        while k <= horizon:
            while clock < lifetimes.size and clocks[clock] < k:
                clock += 1  # refused
            if clock == lifetimes.size:
                break
            while take < takes_end and keys[take * WIDTH + cell] == REFUSED:
                take += 1
            while stop < stops_end and keys[stop * WIDTH + cell] == REFUSED:
                stop += 1
            best = levels[take] if take < takes_end else never
            worst = levels[stop] if stop < stops_end else -never
            end = clocks[clock]
            at = leaves_band(floors, ceilings, lows, highs, k, end, min(best, worst), max(best, worst))
            if wants_extremes and at > k:
                settle_extremes(position, timestamps, series, lows, highs, k, at)
            k = at
            price = series[k]
            following = next_after[k] if k >= bound else later
            if k == end:
                exit_price = opened[k] if settings.touches else price
                while clock < lifetimes.size and clocks[clock] == end:
                    place = (stops_end + clock) * WIDTH + cell
                    write_exit(
                        *(tables, place, k - row, int64(Rank.CLOCK), following),
                        *(settings, position, entries, partials, exit_price),
                    )
                    clock += 1
                continue
            candle = (timestamps[k], price, opened[k], low[k], high[k])
            position.active_stop = -never
            while take < takes_end:
                position.active_take = levels[take]
                place = take * WIDTH + cell
                if not fill_if_ended(
                    *(tables, place, k - row, Rank.TAKE_AT_OPEN, Rank.TAKE, following),
                    *(settings, position, entries, partials, candle),
                ):
                    break
                take += 1
            position.active_take = never
            while stop < stops_end:
                position.active_stop = levels[stop]
                place = stop * WIDTH + cell
                if not fill_if_ended(
                    *(tables, place, k - row, Rank.STOP_AT_OPEN, Rank.STOP, following),
                    *(settings, position, entries, partials, candle),
                ):
                    break
                stop += 1
            if wants_extremes:
                update_extreme(position, branch_at(position, price), timestamps[k], price)
            k += 1
        # ------------------------------------------------------------------------------- stops that follow the price
        position.active_take = never
        trail = 0
        farthest = 0.0
        for k in range(takes_end, stops_end):
            farthest = max(farthest, abs(levels[k] / position.effective_open - 1.0))
        while trail < trail_from.size:
            start = trail_from[trail]
            group_end = trail
            while group_end < trail_from.size and trail_from[group_end] == start:
                place = (lifetimes_end + group_end) * WIDTH + cell
                keys[place] = int32(NEVER)
                next_slots[place] = later
                group_end += 1
            open_position(position, entries, state.tick_time)
            if start == np.inf:
                trail = group_end
                continue
            follows = False
            best = -never
            trigger = position.effective_open * (1.0 + side * start / 100.0)
            k = row
            while trail < group_end and k < horizon:
                behind = -never
                if follows:
                    behind = best * (1.0 - side * trail_distance[trail] / 100.0)
                    behind = behind + side * behind * _ROUNDING
                ahead = best if follows else trigger - side * abs(trigger) * _ROUNDING
                at = leaves_band(
                    floors, ceilings, lows, highs, k, horizon, min(behind, ahead), max(behind, ahead)
                )
                if wants_extremes and at > k:
                    settle_extremes(position, timestamps, series, lows, highs, k, at)
                k = at
                if k == horizon:
                    break
                price = series[k]
                while follows and trail < group_end:
                    following_stop = best * (1.0 - side * trail_distance[trail] / 100.0)
                    position.active_stop = following_stop
                    reason, exit_price = exit_of_candle(
                        position, settings, _NO_END, timestamps[k], price, opened[k], low[k], high[k]
                    )
                    near = is_near(settings, following_stop, price, opened[k], low[k], high[k])
                    if not near and reason != CloseReason.STOP_LOSS:
                        break
                    following = next_after[k] if k >= bound else later
                    rank = rank_of(settings, exit_price, opened[k], Rank.STOP_AT_OPEN, Rank.STOP)
                    # A command moves a stop by at most 100 points; beyond that only the machine knows.
                    gained = side * (following_stop / position.effective_open - 1.0)
                    if near or gained + farthest >= 1.0 - _ROUNDING:
                        rank = int64(Rank.UNCLEAR)
                    write_exit(
                        *(tables, (lifetimes_end + trail) * WIDTH + cell, k - row, rank),
                        *(following, settings, position, entries, partials, exit_price),
                    )
                    trail += 1
                if wants_extremes:
                    update_extreme(position, branch_at(position, price), timestamps[k], price)
                if move_percent(position, price) >= start and (not follows or side * (price - best) > 0.0):
                    follows = True
                    best = price
                k += 1
            trail = group_end


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
    """The cells of up to :data:`SLOTS` slots from ``first`` on, flat: ``level * WIDTH + (slot - first)``."""

    first: int
    end: int
    keys: NDArray[np.int32]
    next_slots: NDArray[np.int32]
    pnl: NDArray[np.float64]
    peaks: NDArray[np.float64]
    falls: NDArray[np.float64]
    prices: NDArray[np.float64]


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
            *(market.timestamps, market.open, market.high, market.low, *market.prices(settings)),
            *(settings.record(), frame.end_ms, signals, np.zeros(1, STATE)),
            *(np.zeros(1, POSITION), np.zeros(1, ENTRY), np.zeros(1, PARTIAL)),
            *(slots.times, slots.rows, slots.signals, slots.freed, slots.after, slots.next_after),
        )
        trails = np.ascontiguousarray(levels.trails.T)
        self._levels_columns = (
            *(levels.takes / 100.0, levels.stops / 100.0, levels.lifetimes, *trails),
            np.empty(levels.takes.size + levels.stops.size),
            np.empty(levels.lifetimes.size, np.int64),
        )

    def make(self, first: int) -> Table:
        """The table of the slots from ``first`` on."""
        end = min(len(self._slots), first + SLOTS)
        cells = len(self._levels) * WIDTH
        keys, next_slots = np.empty(cells, np.int32), np.empty(cells, np.int32)
        columns = [np.empty(cells if wanted else 0) for wanted in self._wanted]
        _fill_tables(*self._inputs, first, end, *self._levels_columns, keys, next_slots, *columns)
        return Table(first, end, keys, next_slots, *columns)
