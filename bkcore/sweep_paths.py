"""Combinations whose trades depend on their path: averaging, partials, breakeven and the other rules of a policy.

The sweep driver of the machine: it walks from slot to slot as :mod:`bkcore.sweep_fold` does, and plays each trade by
the rules of :mod:`bkcore.machine` and :mod:`bkcore.policy`, jumping over quiet candles. All combinations play the
trades of one stretch of candles before they go on to the next, so that the stretch stays near the core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from numba import int8, int64, types, uint64
from numpy.typing import NDArray

from bkcore.codes import Deferred, Side, Sound
from bkcore.gliding import quiet_band
from bkcore.jit import direct, f8, i8, kernel, rule
from bkcore.machine import (
    MINUTE,
    branch_at,
    close_position,
    is_sound,
    open_position,
    progress_percent,
    settle_extremes,
    update_extreme,
    write_row,
)
from bkcore.market import Market, row_at
from bkcore.phases import exit_due
from bkcore.policy import MOST_LEVELS, POLICY, apply_policy
from bkcore.price_index import leaves_band
from bkcore.records import COMMIT, ENTRY, PARTIAL, POSITION, REVISION, SIGNAL, STATE, RunTables, array_of
from bkcore.run import Frame, Records
from bkcore.settings import SETTINGS, EngineSettings
from bkcore.sweep_fold import CURSOR, fold_trade, load_walk, store_walk
from bkcore.sweep_slots import Slots
from bkcore.sweep_tables import EVEN
from bkcore.sweep_walks import ChunkSweep, Columns, Depth, Listing, Measured, Part, Walks

_f8_out = types.Array(types.float64, 1, "C")
_i8_out = types.Array(types.int64, 1, "C")
_i4_out = types.Array(types.int32, 1, "C")
_i1_out = types.Array(types.int8, 1, "C")
_i1 = types.Array(types.int8, 1, "C", readonly=True)
_i4 = types.Array(types.int32, 1, "C", readonly=True)

#: Candles of a stretch.
STRETCH: Final = 2048
_PART: Final = 1024  # combinations that a thread takes at a time


@rule
def play_trade(
    state: Any,
    settings: Any,
    policy: Any,
    extremes: Any,
    tables: Any,
    columns: Any,
    row: Any,
    until: Any,
) -> Any:
    """Play the position of ``tables`` from candle ``row`` to its end, at ``until`` by the clock; returns where."""
    timestamps, opened, high, low, series, floors, ceilings, lows, highs = columns
    entries, partials = tables.entries, tables.partials
    position = tables.trades[0]
    while True:
        if state.deferred == Deferred.NONE:
            band = quiet_band(state, settings, policy, position, entries, partials, series[uint64(row - 1)])
            at = leaves_band(floors, ceilings, lows, highs, row, until, *band)
            if extremes and at > row:
                settle_extremes(position, timestamps, series, lows, highs, row, at)
            row = at
        here = uint64(row)
        time = timestamps[here]
        price = series[here]
        reason, exit_price = exit_due(
            state, settings, position, time, price, opened[here], low[here], high[here]
        )
        if reason:
            close_position(position, entries, partials, settings, reason, time, exit_price)
            return row
        if extremes:
            update_extreme(position, branch_at(position, price), time, price)
        if state.has_policy:
            if policy.profit_count or policy.loss_count:
                state.progress = progress_percent(position, price)
            apply_policy(state, settings, policy, tables, price, series[uint64(row - 1)], time)
        row += 1


@kernel(
    types.void(
        *(i8, f8, f8, f8, f8, f8, f8, f8, f8),
        *(array_of(SETTINGS), array_of(SIGNAL), array_of(STATE)),
        *(array_of(POSITION), array_of(ENTRY), array_of(PARTIAL), array_of(REVISION), array_of(COMMIT)),
        *(i8, _i4, _i4, _i4, _i4, _i4, int64),
        *(f8, f8, f8, array_of(POLICY), _i1, int64, int64, int64),
        *(_f8_out, _i4_out, _f8_out, _i4_out),
        *(_i8_out, _f8_out, _f8_out, _f8_out, _f8_out, _i8_out, _i8_out),
    )
)
def walk_paths(
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
    signals: Any,
    states: Any,
    trades: Any,
    entries: Any,
    partials: Any,
    revisions: Any,
    commits: Any,
    slot_times: Any,
    slot_rows: Any,
    slot_signals: Any,
    freed: Any,
    after: Any,
    next_after: Any,
    end_slot: Any,
    takes: Any,
    stops: Any,
    lifetimes: Any,
    policies: Any,
    sounds: Any,
    extremes: Any,
    begin: Any,
    end: Any,
    sums: Any,
    runs: Any,
    curves: Any,
    cursors: Any,
    places: Any,
    results: Any,
    best: Any,
    worst: Any,
    close_prices: Any,
    pending: Any,
    close: Any,
) -> None:
    """Play the trades of combinations ``[begin, end)`` that begin before ``end_slot``, and add them to their sums.

    states, trades ... commits   scratch; ``states[0].frame_end`` is set, entries and partials have room for a trade
    takes, stops, lifetimes : f8[n]   brackets, fractions and minutes; NaN = the signal's own
    policies : POLICY[n], or empty   the rules of each combination
    sounds : i1[n]   bits of ``Sound``
    places : i8[n], or empty   where to write each combination's next trade in the columns that follow
    """
    settings = setting[0]
    state = states[0]
    tables = RunTables(trades, entries, partials, revisions, commits, ())
    columns = (timestamps, opened, high, low, series, floors, ceilings, lows, highs)
    position = trades[0]
    minutes = settings.step_ms / MINUTE
    last_row = row_at(timestamps, settings.step_ms, state.frame_end + 1)
    state.has_policy = policies.size > 0
    lists = places.size > 0
    last_slot = uint64(end_slot)
    for c in range(uint64(begin), uint64(end)):
        slot = uint64(cursors[c * uint64(CURSOR)])
        if slot >= last_slot:
            continue
        policy = policies[c if state.has_policy else uint64(0)]
        state.take_profit = takes[c]
        state.stop_loss = stops[c]
        state.lifetime = lifetimes[c]
        state.sound = sounds[c]
        walk = load_walk(c, curves, cursors)
        while slot < last_slot:
            signal = signals[uint64(slot_signals[slot])]
            row = int64(slot_rows[slot])
            state.tick_time = slot_times[slot]
            state.tick_price = series[uint64(row - 1)]
            state.trade_count = 0
            state.entry_count = 0
            state.partial_count = 0
            if write_row(state, settings, signal, trades, entries, partials):
                run, kind, refusals, begun, last, held, unclear, curve = walk
                walk = (run, kind, refusals + 1, begun, last, held, unclear, curve)
                slot = uint64(after[slot])
                continue
            state.entry_count = 1
            state.pending = 1
            state.deferred = int64(Deferred.NONE)
            open_position(position, entries, state.tick_time)
            if not extremes:
                position.fall_unpriced = 0
            until = last_row
            if position.lifetime != np.inf:  # without holes, rows are time
                until = min(until, row + int64(position.lifetime / minutes))
            at = play_trade(state, settings, policy, extremes, tables, columns, row, until)
            result = position.pnl_percent
            kind = int64(EVEN) - int64(result > 0.0) + int64(result < 0.0)  # WIN, EVEN, LOSS without a guess
            walk = fold_trade(
                *(extremes, c, slot, result, int64(kind), at - row),
                *(position.peak_pnl_percent, position.fall_pnl_percent, sums, runs, walk),
            )
            if lists:
                place = uint64(places[c])
                results[place] = result
                best[place] = position.peak_pnl_percent
                worst[place] = position.fall_pnl_percent
                close_prices[place] = position.end_price
                pending[place] = position.pending_at
                close[place] = position.ended_at
                places[c] += 1
            slot = uint64(next_after[uint64(at)] if at >= freed[slot] else after[slot])
        store_walk(c, slot, walk, 0, curves, cursors)


@kernel(types.void(array_of(SETTINGS), f8, f8, f8, _i1_out))
def find_sounds(setting: Any, takes: Any, stops: Any, lifetimes: Any, out: Any) -> None:
    """For which sides brackets are valid at whatever price: bits of ``Sound`` for each combination."""
    settings = setting[0]
    for c in range(uint64(takes.size)):
        lifetime = settings.max_lifetime if np.isnan(lifetimes[c]) else lifetimes[c]
        terms = (takes[c], stops[c], lifetime, settings.entry_cost)
        out[c] = 0
        if is_sound(settings, int64(Side.LONG), *terms):
            out[c] |= int8(Sound.LONG)
        if is_sound(settings, int64(Side.SHORT), *terms):
            out[c] |= int8(Sound.SHORT)


_walk_paths, _find_sounds = direct(walk_paths), direct(find_sounds)


class PathSweep(ChunkSweep):
    """Combinations of brackets and policies over one market, each trade played by the rules of the machine."""

    def __init__(
        self,
        market: Market,
        settings: EngineSettings,
        frame: Frame,
        signals: Records,
        slots: Slots,
        *,
        depth: Depth = Depth.ALL,
        threads: int = 1,
    ) -> None:
        super().__init__(slots, settings.step_ms, depth=depth, threads=threads, most=_PART)
        self._columns = (market.timestamps, market.open, market.high, market.low, *market.prices(settings))
        self._settings = settings.record()
        self._frame_end = frame.end_ms
        self._signals = signals
        rows = np.arange(STRETCH, len(market) + STRETCH, STRETCH)
        ends = np.unique(np.searchsorted(slots.rows, rows))
        self._ends = ends[ends > 0].tolist()

    def measure(
        self,
        takes: NDArray[np.float64],
        stops: NDArray[np.float64],
        lifetimes: NDArray[np.float64],
        policies: Records | None = None,
        *,
        progress: Callable[[float], object] = lambda done: None,
    ) -> Measured:
        """Measure a chunk of combinations: brackets in percent and minutes (NaN = the signal's own), and policies.

        ``progress`` hears combinations done, in fractions.
        """
        return self._measure(self._columns_of(takes, stops, lifetimes, policies), progress)

    def listed(
        self,
        takes: NDArray[np.float64],
        stops: NDArray[np.float64],
        lifetimes: NDArray[np.float64],
        policies: Records | None,
        trades: NDArray[np.int64],
    ) -> Listing:
        """The trades of combinations one by one; ``trades``, how many each has, is what was measured before."""
        return self._listed(self._columns_of(takes, stops, lifetimes, policies), trades)

    def _columns_of(
        self,
        takes: NDArray[np.float64],
        stops: NDArray[np.float64],
        lifetimes: NDArray[np.float64],
        policies: Records | None,
    ) -> Columns:
        rules = np.zeros(0, POLICY) if policies is None else policies
        sounds = np.empty(takes.size, np.int8)
        brackets = (takes / 100.0, stops / 100.0, lifetimes)
        _find_sounds(self._settings, *brackets, sounds)
        return (*brackets, rules, sounds)

    def _stages(self, pool: ThreadPoolExecutor) -> Iterator[tuple[list[int], float]]:
        yield self._ends, 1.0

    def _walk(self, stage: list[int], columns: Columns, part: Part, walks: Walks, listing: Listing) -> None:
        policies = columns[3]
        room = 2 + (int(policies["most_entries"].max(initial=0)) if policies.size else 0)
        state = np.zeros(1, STATE)
        state["frame_end"] = self._frame_end
        scratch = (
            *(state, np.zeros(1, POSITION), np.zeros(room, ENTRY), np.zeros(2 * MOST_LEVELS + 2, PARTIAL)),
            *(np.zeros(0, REVISION), np.zeros(1, COMMIT)),
        )
        slots = self._slots
        places = (slots.times, slots.rows, slots.signals, slots.freed, slots.after, slots.next_after)
        for end_slot in stage:
            _walk_paths(
                *(*self._columns, self._settings, self._signals, *scratch, *places, end_slot),
                *(*columns, int(self._extremes or listing.places.size > 0), *part),
                *(*walks.state, *listing.columns),
            )
