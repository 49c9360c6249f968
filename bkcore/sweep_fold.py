"""Many combinations over one table: each walks from slot to slot by look-ups, and what its trades sum up to.

Two combinations walk side by side, so that the processor works on one while it waits for the memory of the other. A
combination keeps its sums between tables; :func:`finish_walks` makes metrics of them by the formulas of
:mod:`bkcore.metrics`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba import int32, int64, types, uint64

from bkcore.jit import f8, i8, kernel, rule
from bkcore.metrics import (
    MINUTE,
    Minutes,
    Runs,
    Scope,
    Totals,
    hide_infinite,
    write_minutes,
    write_nothing,
    write_runs,
    write_totals,
)
from bkcore.sweep_tables import EVEN, LOSS, OFFSET_SHIFT, RANK_SHIFT, WIN, Rank

_f8_out = types.Array(types.float64, 1, "C")
_f8_table = types.Array(types.float64, 2, "C")
_i8_out = types.Array(types.int64, 1, "C")
_i4_out = types.Array(types.int32, 1, "C")
_i4 = types.Array(types.int32, 1, "C", readonly=True)

#: Per combination: count, result, its square and candles, for each of win, even and loss.
SUMS: Final = 12
#: Per combination: longest run and number of runs, for each of win, even and loss.
RUNS: Final = 6
#: Equity, its peak, its drawdown; sums of peaks and falls, the highest peak and the lowest fall.
EQUITY, EQUITY_PEAK, DRAWDOWN, PEAK_TOTAL, FALL_TOTAL, HIGHEST, LOWEST, CURVE = range(8)
#: Slot, length and class of the run, refused signals, first and last slot, candles of the last trade, unclear exits.
SLOT, RUN, KIND, REFUSALS, FIRST, LAST, HELD, UNCLEAR = range(8)
CURSOR: Final = 8
NO_KIND = 3
NOWHERE = np.uint64(np.iinfo(np.int64).max)
#: Below this share of the sum of squares, the deviation of one-pass sums is lost in rounding.
_CANCELLED = 1e-6


@rule
def fold_trade(
    extremes: Any,
    c: Any,
    here: Any,
    result: Any,
    outcome: Any,
    offset: Any,
    peak: Any,
    fall: Any,
    sums: Any,
    runs: Any,
    walk: Any,
) -> Any:
    """Add one trade to combination ``c``; returns what it carries along.

    here     slot, from the beginning of its part
    offset   candles held
    peak, fall   best and worst moment, percent; read where ``extremes`` are wanted
    """
    run, kind, refusals, begun, _, _, unclear, curve = walk
    begun = here if kind == NO_KIND else begun
    at = c * uint64(SUMS) + uint64(outcome) * uint64(4)
    sums[at] += 1.0
    sums[at + uint64(1)] += result
    sums[at + uint64(2)] += result * result
    sums[at + uint64(3)] += float(offset)
    same = outcome == kind
    run = run + 1 if same else int64(1)
    at = c * uint64(RUNS) + uint64(outcome) * uint64(2)
    runs[at] = max(runs[at], int32(run))
    runs[at + uint64(1)] += int32(0 if same else 1)
    equity, top, drawdown, kept, peak_total, fall_total, highest, lowest = curve
    if extremes:
        peak_total += peak
        fall_total += fall
        highest = max(highest, peak)
        lowest = min(lowest, fall)
        if fall < 0.0:
            trough = equity * (1.0 + fall * 0.01)
            if trough < top * kept:
                drawdown = (top - trough) / top * 100.0
                kept = 1.0 - drawdown * 0.01
            equity = equity if trough > 0.0 else 0.0
    equity = equity * (1.0 + result * 0.01)
    equity = equity if equity > 0.0 else 0.0
    if extremes:
        top = max(top, equity)
        if equity < top * kept:
            drawdown = (top - equity) / top * 100.0
            kept = 1.0 - drawdown * 0.01
    curve = (equity, top, drawdown, kept, peak_total, fall_total, highest, lowest)
    return run, outcome, refusals, begun, here, offset, unclear, curve


@rule
def load_walk(c: Any, curves: Any, cursors: Any) -> Any:
    """What combination ``c`` carries along."""
    k = c * uint64(CURSOR)
    at = c * uint64(CURVE)
    curve = (
        curves[at],
        curves[at + uint64(EQUITY_PEAK)],
        curves[at + uint64(DRAWDOWN)],
        1.0 - curves[at + uint64(DRAWDOWN)] * 0.01,
        curves[at + uint64(PEAK_TOTAL)],
        curves[at + uint64(FALL_TOTAL)],
        curves[at + uint64(HIGHEST)],
        curves[at + uint64(LOWEST)],
    )
    return (
        int64(cursors[k + uint64(RUN)]),
        int64(cursors[k + uint64(KIND)]),
        int64(cursors[k + uint64(REFUSALS)]),
        NOWHERE,
        uint64(0),
        int64(-1),
        cursors[k + uint64(UNCLEAR)] != 0,
        curve,
    )


@rule
def store_walk(c: Any, slot: Any, walk: Any, first: Any, curves: Any, cursors: Any) -> None:
    """Keep what combination ``c`` carries along, and the ``slot`` where it stands; ``first`` begins the part."""
    run, kind, refusals, begun, last, held, unclear, curve = walk
    k = c * uint64(CURSOR)
    if begun != NOWHERE:
        cursors[k + uint64(FIRST)] = int32(first + int64(begun))
    cursors[k] = int32(slot)
    cursors[k + uint64(RUN)] = int32(run)
    cursors[k + uint64(KIND)] = int32(kind)
    cursors[k + uint64(REFUSALS)] = int32(refusals)
    cursors[k + uint64(UNCLEAR)] = int32(unclear)
    if held >= 0:
        cursors[k + uint64(LAST)] = int32(first + int64(last))
        cursors[k + uint64(HELD)] = int32(held)
    at = c * uint64(CURVE)
    curves[at] = curve[0]
    curves[at + uint64(EQUITY_PEAK)] = curve[1]
    curves[at + uint64(DRAWDOWN)] = curve[2]
    curves[at + uint64(PEAK_TOTAL)] = curve[4]
    curves[at + uint64(FALL_TOTAL)] = curve[5]
    curves[at + uint64(HIGHEST)] = curve[6]
    curves[at + uint64(LOWEST)] = curve[7]


@rule
def earliest_exit(trails: Any, keys: Any, pnl: Any, here: Any, where: Any) -> Any:
    """Key and place of the exit that comes first at slot ``here``."""
    take, stop, lifetime, trail = where
    place = here + lifetime
    key = keys[place]
    other = here + take
    if keys[other] < key:
        key = keys[other]
        place = other
    other = here + stop
    if keys[other] < key:
        key = keys[other]
        place = other
    if trails:
        other = here + trail
        # At one candle the tighter stop counts.
        if keys[other] < key or (keys[other] == key and pnl[other] > pnl[place]):
            key = keys[other]
            place = other
    return key, place


@rule
def next_trade(
    trails: Any, extremes: Any, table: Any, here: Any, where: Any, c: Any, sums: Any, runs: Any, walk: Any
) -> Any:
    """Take one trade at slot ``here``; returns the next slot and what the combination carries along."""
    keys, next_slots, pnl, peaks, falls = table
    run, kind, refusals, begun, last, held, unclear, curve = walk
    key, place = earliest_exit(trails, keys, pnl, here, where)
    following = uint64(next_slots[place])
    if key < 0:
        return following, (run, kind, refusals + 1, begun, last, held, unclear, curve)
    if trails:
        unclear |= int64((key >> RANK_SHIFT) & 7) == int64(Rank.UNCLEAR)
    walk = (run, kind, refusals, begun, last, held, unclear, curve)
    peak, fall = (peaks[place], falls[place]) if extremes else (np.nan, np.nan)
    outcome, offset = int64(key & 3), int64(key >> OFFSET_SHIFT)
    return following, fold_trade(
        *(extremes, c, here, pnl[place], outcome, offset, peak, fall, sums, runs, walk)
    )


def _walker(*, trails: bool, extremes: bool) -> Callable[..., Any]:
    """The kernel that walks combinations over one table; it encloses nothing but flags, so that it can be cached."""

    @kernel(
        types.void(
            *(_i4, _i4, f8, f8, f8, int64, int64),
            *(_i4, _i4, _i4, _i4, int64, int64),
            *(_f8_out, _i4_out, _f8_out, _i4_out),
        )
    )
    def walk_table(
        keys: Any,
        next_slots: Any,
        pnl: Any,
        peaks: Any,
        falls: Any,
        first_slot: Any,
        end_slot: Any,
        takes: Any,
        stops: Any,
        lifetimes: Any,
        trailing: Any,
        begin: Any,
        end: Any,
        sums: Any,
        runs: Any,
        curves: Any,
        cursors: Any,
    ) -> None:
        table = (keys, next_slots, pnl, peaks, falls)
        size = uint64(end_slot - first_slot)
        shift = uint64(first_slot)
        pairs = (end - begin) // 2
        for pair in range(pairs + (end - begin) % 2):
            c = uint64(begin + 2 * pair)
            d = c + uint64(pair < pairs)  # the odd one out walks alone
            here = uint64(cursors[c * uint64(CURSOR)]) - shift
            there = uint64(cursors[d * uint64(CURSOR)]) - shift
            one = (uint64(takes[c]), uint64(stops[c]), uint64(lifetimes[c]), uint64(trailing[c]))
            two = (uint64(takes[d]), uint64(stops[d]), uint64(lifetimes[d]), uint64(trailing[d]))
            walk = load_walk(c, curves, cursors)
            other = load_walk(d, curves, cursors)
            if d != c:
                while here < size and there < size:
                    here, walk = next_trade(trails, extremes, table, here, one, c, sums, runs, walk)
                    here -= shift
                    there, other = next_trade(trails, extremes, table, there, two, d, sums, runs, other)
                    there -= shift
                while there < size:
                    there, other = next_trade(trails, extremes, table, there, two, d, sums, runs, other)
                    there -= shift
                store_walk(d, there + shift, other, first_slot, curves, cursors)
            while here < size:
                here, walk = next_trade(trails, extremes, table, here, one, c, sums, runs, walk)
                here -= shift
            store_walk(c, here + shift, walk, first_slot, curves, cursors)

    return walk_table


def _lister(*, trails: bool) -> Callable[..., Any]:
    """The kernel that writes down the trades of combinations in one table, with and without trails."""

    @kernel(
        types.void(
            *(_i4, _i4, f8, f8, f8, f8, int64, int64),
            *(_i4, _i4, _i4, _i4, int64, int64),
            *(i8, int64, _i4_out, _i8_out),
            *(_f8_out, _f8_out, _f8_out, _f8_out, _i8_out, _i8_out),
        )
    )
    def list_trades(
        keys: Any,
        next_slots: Any,
        pnl: Any,
        peaks: Any,
        falls: Any,
        prices: Any,
        first_slot: Any,
        end_slot: Any,
        takes: Any,
        stops: Any,
        lifetimes: Any,
        trailing: Any,
        begin: Any,
        end: Any,
        slot_times: Any,
        step_ms: Any,
        slots: Any,
        places: Any,
        results: Any,
        best: Any,
        worst: Any,
        close_prices: Any,
        pending: Any,
        close: Any,
    ) -> None:
        """Write the trades of combinations ``[begin, end)`` in this table at ``places``, which move on.

        slots : i4[n]   where each combination stands, as ``cursors`` have it
        """
        size = uint64(end_slot - first_slot)
        shift = uint64(first_slot)
        for c in range(begin, end):
            here = uint64(slots[c]) - shift
            where = (uint64(takes[c]), uint64(stops[c]), uint64(lifetimes[c]), uint64(trailing[c]))
            at = places[c]
            while here < size:
                key, place = earliest_exit(trails, keys, pnl, here, where)
                if key >= 0:
                    time = slot_times[first_slot + int64(here)]
                    results[at] = pnl[place]
                    best[at] = peaks[place]
                    worst[at] = falls[place]
                    close_prices[at] = prices[place]
                    pending[at] = time
                    close[at] = time + int64(key >> OFFSET_SHIFT) * step_ms
                    at += 1
                here = uint64(next_slots[place]) - shift
            slots[c] = int32(here + shift)
            places[c] = at

    return list_trades


#: ``walk_table`` by (trails, extremes), and ``list_trades`` by trails.
WALKERS: Final = {
    (trails, extremes): _walker(trails=trails, extremes=extremes)
    for trails in (False, True)
    for extremes in (False, True)
}
LISTERS: Final = {trails: _lister(trails=trails) for trails in (False, True)}


@kernel(types.void(_i4_out, _f8_out, _f8_out, int64, int64))
def begin_walks(cursors: Any, curves: Any, sums: Any, count: Any, first: Any) -> None:
    """Set ``count`` combinations before the slot ``first``, with nothing traded."""
    sums[:] = 0.0
    for c in range(count):
        for k in range(CURSOR):
            cursors[c * CURSOR + k] = 0
        cursors[c * CURSOR + SLOT] = first
        cursors[c * CURSOR + KIND] = NO_KIND
        cursors[c * CURSOR + LAST] = -1
        for k in range(CURVE):
            curves[c * CURVE + k] = 0.0
        curves[c * CURVE + EQUITY] = 1.0
        curves[c * CURVE + EQUITY_PEAK] = 1.0
        curves[c * CURVE + HIGHEST] = -np.inf
        curves[c * CURVE + LOWEST] = np.inf


@kernel(types.void(i8, int64, int64, f8, _i4, f8, _i4, int64, int64, _f8_table, _i8_out, _i8_out))
def finish_walks(
    slot_times: Any,
    step_ms: Any,
    extremes: Any,
    sums: Any,
    runs: Any,
    curves: Any,
    cursors: Any,
    begin: Any,
    end: Any,
    metrics: Any,
    refused: Any,
    unclear: Any,
) -> None:
    """Make metrics of the sums of combinations ``[begin, end)``, and say which ones only the machine can measure.

    Metrics that need more than sums, and without ``extremes`` those that need them, are NaN.
    """
    minutes = step_ms / MINUTE
    for c in range(begin, end):
        row = metrics[c]
        win = c * SUMS + WIN * 4
        even = c * SUMS + EVEN * 4
        loss = c * SUMS + LOSS * 4
        k = c * CURSOR
        refused[c] = cursors[k + REFUSALS]
        unclear[c] = cursors[k + UNCLEAR]
        trades = sums[win] + sums[even] + sums[loss]
        if trades == 0.0:
            write_nothing(row)
            continue
        row[:] = np.nan
        total = sums[win + 1] + sums[loss + 1]
        power = sums[win + 2] + sums[loss + 2]
        squares = power - total * (total / trades)
        if squares < power * _CANCELLED and power > 0.0:
            unclear[c] = 1
        curve = c * CURVE
        last = slot_times[cursors[k + LAST]] + cursors[k + HELD] * step_ms
        equity = curves[curve + EQUITY]
        drawdown = np.nan
        known = 0.0
        if extremes:
            drawdown = curves[curve + DRAWDOWN] if equity > 0.0 else 100.0
            known = trades
        totals = Totals(
            *(trades, sums[win], sums[loss], total, sums[win + 1], sums[loss + 1]),
            *(max(squares, 0.0), sums[loss + 2]),
            *(known, curves[curve + PEAK_TOTAL], curves[curve + HIGHEST]),
            *(known, curves[curve + FALL_TOTAL], curves[curve + LOWEST]),
            *(float(slot_times[cursors[k + FIRST]]), float(last), equity, drawdown),
        )
        write_totals(totals, int64(Scope.SERIES), row)
        write_minutes(
            Minutes(
                trades,
                (sums[win + 3] + sums[even + 3] + sums[loss + 3]) * minutes,
                sums[win],
                sums[win + 3] * minutes,
                sums[loss],
                sums[loss + 3] * minutes,
            ),
            row,
        )
        at = c * RUNS
        write_runs(
            Runs(
                *(runs[at + WIN * 2], runs[at + LOSS * 2], runs[at + WIN * 2 + 1], runs[at + LOSS * 2 + 1]),
                *(sums[win + 1], sums[loss + 1]),
            ),
            row,
        )
        hide_infinite(row)
