"""Combinations whose trades depend on their path: averaging, partials, breakeven and the other rules of a policy.

The sweep driver of the machine: it walks from slot to slot as :mod:`bkcore.sweeps.fold` does, and plays each trade by
the rules of :mod:`bkcore.machine.rules` and :mod:`bkcore.machine.policy`, jumping over quiet candles. All
combinations play the trades of one stretch of candles before they go on to the next, so that the stretch stays near
the core.

In which order a candle is read (exit, extreme, policy) say the phases of :mod:`bkcore.machine.phases`;
:func:`play_trade` keeps to it without what a sweep has no use for: logs, listeners, hooks.
``tests/property/test_sweep_paths.py`` holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import numpy as np
from numba import int8, int64, types, uint64
from numpy.typing import NDArray

from bkcore.jit import direct, f8, kernel, rule, type_of
from bkcore.machine.codes import Deferred, Side, Sound
from bkcore.machine.gliding import quiet_band
from bkcore.machine.market import Market
from bkcore.machine.phases import exit_due
from bkcore.machine.policy import MOST_LEVELS, POLICY, apply_policy
from bkcore.machine.price_index import leaves_band
from bkcore.machine.records import array_of
from bkcore.machine.rules import (
    branch_at,
    close_position,
    is_sound,
    open_position,
    progress_percent,
    settle_extremes,
    update_extreme,
    write_row,
)
from bkcore.machine.run import Frame, Records
from bkcore.machine.settings import SETTINGS, EngineSettings
from bkcore.statistics.metrics import outcome_of
from bkcore.sweeps.fold import (
    CURSOR,
    LISTED,
    WALKS_OUT,
    Trade,
    Walks,
    fold_trade,
    list_trade,
    load_walk,
    noted,
    store_walk,
)
from bkcore.sweeps.inputs import INPUTS, RUN_TABLES, STATES, inputs_of, row_of_end, states_of, tables_of_trade
from bkcore.sweeps.slots import Slots, slot_after
from bkcore.sweeps.walks import ChunkSweep, Columns, Depth, Listing, Measured, Part

_i1_out = types.Array(types.int8, 1, "C")
_i1 = types.Array(types.int8, 1, "C", readonly=True)

#: Candles of a stretch.
STRETCH: Final = 2048
_PART: Final = 1024  # combinations that a thread takes at a time


class Combinations(NamedTuple):
    """Combinations, a row each.

    takes, stops : f8[n]   fractions of the entry price; NaN = the signal's own
    lifetimes : f8[n]      minutes, inf for none; NaN = the signal's own
    policies : POLICY[n]   their rules; empty = none has any
    sounds : i1[n]         bits of ``Sound`` (:func:`find_sounds`)
    """

    takes: Any
    stops: Any
    lifetimes: Any
    policies: Any
    sounds: Any


COMBINATIONS = type_of(Combinations, f8, f8, f8, array_of(POLICY), _i1)


@rule
def take_combination(state: Any, combinations: Any, c: Any) -> Any:
    """Write the bracket of combination ``c`` into the state; returns its policy, which counts if ``has_policy``."""
    state.take_profit = combinations.takes[c]
    state.stop_loss = combinations.stops[c]
    state.lifetime = combinations.lifetimes[c]
    state.sound = combinations.sounds[c]
    return combinations.policies[c if state.has_policy else uint64(0)]


@rule
def begin_trade(state: Any, inputs: Any, tables: Any, slot: Any) -> Any:
    """Open a position at a slot; returns whether, that is, whether its signal is not refused."""
    slots = inputs.slots
    state.tick_time = slots.times[slot]
    state.tick_price = inputs.prices.values[uint64(slots.rows[slot] - 1)]
    state.trade_count = 0
    state.entry_count = 0
    state.partial_count = 0
    signal = inputs.signals[uint64(slots.signals[slot])]
    if write_row(state, inputs.settings[0], signal, tables.trades, tables.entries, tables.partials):
        return False
    state.entry_count = 1
    state.pending = 1
    state.deferred = int64(Deferred.NONE)
    open_position(tables.trades[0], tables.entries, state.tick_time)
    return True


@rule
def play_trade(state: Any, inputs: Any, policy: Any, extremes: Any, tables: Any, row: Any, until: Any) -> Any:
    """Play the position at hand from candle ``row`` to its end, at ``until`` by the clock; returns where.

    extremes   whether its best and worst moments are wanted
    """
    settings, candles, prices = inputs.settings[0], inputs.candles, inputs.prices
    timestamps, series = candles.timestamps, prices.values
    entries, partials = tables.entries, tables.partials
    position = tables.trades[0]
    while True:
        if state.deferred == Deferred.NONE:
            band = quiet_band(state, settings, policy, position, entries, partials, series[uint64(row - 1)])
            at = leaves_band(prices.floors, prices.ceilings, prices.lows, prices.highs, row, until, *band)
            if extremes and at > row:
                settle_extremes(position, timestamps, series, series, prices.lows, prices.highs, row, at, 0)
            row = at
        here = uint64(row)
        time = timestamps[here]
        price = series[here]
        reason, exit_price = exit_due(state, position, time, price)
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


@kernel(types.void(INPUTS, STATES, RUN_TABLES, int64, COMBINATIONS, int64, int64, int64, WALKS_OUT, LISTED))
def walk_paths(
    inputs: Any,
    states: Any,
    tables: Any,
    end_slot: Any,
    combinations: Any,
    extremes: Any,
    begin: Any,
    end: Any,
    walks: Any,
    listed: Any,
) -> None:
    """Play the trades of combinations ``[begin, end)`` that begin before ``end_slot``, and add them to their sums.

    inputs : Inputs
    states : STATE[1]            of the thread; its ``frame_end`` is set
    tables : RunTables           of the thread, with room for the entries and partial closes of a trade
    combinations : Combinations
    extremes : 0 or 1            whether best and worst moments are wanted
    walks : Walks                goes on
    listed : Listed              where trades are written down one by one, if it has places
    """
    settings, slots = inputs.settings[0], inputs.slots
    state = states[0]
    position = tables.trades[0]
    state.has_policy = combinations.policies.size > 0
    lists = listed.places.size > 0
    last_slot = uint64(end_slot)
    for c in range(uint64(begin), uint64(end)):
        slot = uint64(walks.cursors[c * uint64(CURSOR)])
        if slot >= last_slot:
            continue
        policy = take_combination(state, combinations, c)
        walk = load_walk(walks, c)
        while slot < last_slot:
            if not begin_trade(state, inputs, tables, slot):
                walk = noted(walk, 1, 0)
                slot = uint64(slots.after[slot])
                continue
            if not extremes:
                position.fall_unpriced = 0
            row = int64(slots.rows[slot])
            until = row_of_end(state, settings, position, row)
            at = play_trade(state, inputs, policy, extremes, tables, row, until)
            result, peak, fall = position.pnl_percent, position.peak_pnl_percent, position.fall_pnl_percent
            walk = fold_trade(
                extremes, walks, c, walk, Trade(slot, outcome_of(result), at - row, result, peak, fall)
            )
            if lists:
                list_trade(
                    *(listed, c, result, peak, fall),
                    *(position.end_price, position.pending_at, position.ended_at),
                )
            slot = uint64(slot_after(slots, slot, at))
        store_walk(walks, c, walk, slot, 0)


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
        self._inputs = inputs_of(market, settings, signals, slots)
        self._frame_end = frame.end_ms
        rows = np.arange(STRETCH, len(market) + STRETCH, STRETCH)
        ends = np.unique(np.searchsorted(slots.columns.rows, rows))
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
        _find_sounds(self._inputs.settings, *brackets, sounds)
        return (*brackets, rules, sounds)

    def _stages(self, pool: ThreadPoolExecutor) -> Iterator[tuple[list[int], float]]:
        yield self._ends, 1.0

    def _walk(self, stage: list[int], columns: Columns, part: Part, walks: Walks, listing: Listing) -> None:
        combinations = Combinations(*columns)
        most = int(combinations.policies["most_entries"].max(initial=0))
        tables = tables_of_trade(2 + most, 2 * MOST_LEVELS + 2)
        inputs = (self._inputs, states_of(self._frame_end), tables)
        extremes = int(self._extremes or listing.columns.places.size > 0)
        for end_slot in stage:
            _walk_paths(*inputs, end_slot, combinations, extremes, *part, walks, listing.columns)
