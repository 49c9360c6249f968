"""Many combinations over one table: each walks from slot to slot by look-ups, and what its trades sum up to.

Two combinations walk side by side, so that the processor works on one while it waits for the memory of the other. A
combination keeps its sums between tables; :func:`finish_walks` makes metrics of them by the formulas of
:mod:`bkcore.statistics.metrics`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numba import int32, int64, types, uint64

from bkcore.jit import f8, f8_out, i4, i4_out, i8, i8_out, kernel, rule, type_of
from bkcore.statistics.metrics import (
    EVEN,
    LOSS,
    MINUTE,
    WIN,
    Account,
    Minutes,
    Runs,
    Scope,
    Totals,
    compound,
    drawdown_of,
    hide_infinite,
    next_account,
    next_run,
    share_kept,
    write_minutes,
    write_nothing,
    write_runs,
    write_totals,
)
from bkcore.sweeps.cells import CELLS, held_of, is_unclear, outcome_of_key

_f8_table = types.Array(types.float64, 2, "C")

#: Per combination: count, result, its square and candles, for each of win, even and loss.
SUMS: Final = 12
COUNT, RESULT, SQUARE, HELD_TOTAL, GROUP = range(5)
#: Per combination: longest run and number of runs, for each of win, even and loss.
RUNS: Final = 6
#: Equity, its peak, its drawdown; sums of peaks and falls, the highest peak and the lowest fall.
EQUITY, EQUITY_PEAK, DRAWDOWN, PEAK_TOTAL, FALL_TOTAL, HIGHEST, LOWEST, CURVE = range(8)
#: Slot, length and class of the run, refused signals, first and last slot, candles of the last trade, unclear exits.
SLOT, RUN, KIND, REFUSALS, FIRST, LAST, HELD, UNCLEAR, CURSOR = range(9)
NO_KIND = 3
NOWHERE = np.uint64(np.iinfo(np.int64).max)
#: Below this share of the sum of squares, the deviation of one-pass sums is lost in rounding.
_CANCELLED = 1e-6


class Walks(NamedTuple):
    """What combinations carry from table to table, flat: so many numbers per combination.

    sums : f8[n * SUMS], runs : i4[n * RUNS], curves : f8[n * CURVE], cursors : i4[n * CURSOR]
    """

    sums: Any
    runs: Any
    curves: Any
    cursors: Any


class Listed(NamedTuple):
    """Columns for trades one by one.

    places : i8[n]   where each combination's next trade is written; empty = nowhere
    results, best, worst : f8   result and best and worst moment of each trade, percent
    prices : f8      closing price, quote currency
    pending, close : i8   when it opened and closed, ms UTC
    """

    places: Any
    results: Any
    best: Any
    worst: Any
    prices: Any
    pending: Any
    close: Any


class Places(NamedTuple):
    """Where in a table the cells of a combination's level of each axis begin: a number, or i4[n] for all."""

    takes: Any
    stops: Any
    lifetimes: Any
    trails: Any


class Moments(NamedTuple):
    """Best and worst moments of trades, percent: their sums, the highest and the lowest."""

    peak_total: Any
    fall_total: Any
    highest: Any
    lowest: Any


class Walk(NamedTuple):
    """What one combination carries from trade to trade.

    run, kind     length of the run that it is in and outcome of its trades; NO_KIND before the first
    refusals      refused signals
    first, last   slots of the first and last trade of this table, from its beginning; NOWHERE without one
    held          candles of the last trade of this table; -1 without one
    unclear       whether only the machine knows an exit, 0 or 1
    """

    run: Any
    kind: Any
    refusals: Any
    first: Any
    last: Any
    held: Any
    unclear: Any
    account: Any
    moments: Any


class Trade(NamedTuple):
    """A trade as sums see it.

    slot          where it began, from the beginning of the table
    outcome       WIN, EVEN or LOSS
    held          candles
    result        percent
    peak, fall    best and worst moment, percent; read where they are wanted
    """

    slot: Any
    outcome: Any
    held: Any
    result: Any
    peak: Any
    fall: Any


WALKS = type_of(Walks, f8, i4, f8, i4)
WALKS_OUT = type_of(Walks, f8_out, i4_out, f8_out, i4_out)
LISTED = type_of(Listed, i8_out, *[f8_out] * 4, i8_out, i8_out)
PLACES = type_of(Places, i4, i4, i4, i4)


@rule
def fold_trade(extremes: Any, walks: Any, c: Any, walk: Any, trade: Any) -> Any:
    """Add one trade to combination ``c``, with its ``extremes`` or without; returns what it carries along."""
    outcome = trade.outcome
    at = c * uint64(SUMS) + uint64(outcome) * uint64(GROUP)
    walks.sums[at] += 1.0
    walks.sums[at + uint64(RESULT)] += trade.result
    walks.sums[at + uint64(SQUARE)] += trade.result * trade.result
    walks.sums[at + uint64(HELD_TOTAL)] += float(trade.held)
    run = next_run(walk.run, walk.kind, outcome)
    at = c * uint64(RUNS) + uint64(outcome) * uint64(2)
    walks.runs[at] = max(walks.runs[at], int32(run))
    walks.runs[at + uint64(1)] += int32(outcome != walk.kind)
    account, moments = walk.account, walk.moments
    if extremes:
        account = next_account(account, trade.result, trade.fall)
        moments = Moments(
            moments.peak_total + trade.peak,
            moments.fall_total + trade.fall,
            max(moments.highest, trade.peak),
            min(moments.lowest, trade.fall),
        )
    else:
        equity = compound(account.equity, trade.result)
        account = Account(equity, account.peak, account.drawdown, account.kept)
    first = trade.slot if walk.kind == NO_KIND else walk.first
    return Walk(run, outcome, walk.refusals, first, trade.slot, trade.held, walk.unclear, account, moments)


@rule
def noted(walk: Any, refusals: Any, unclear: Any) -> Any:
    """What a combination carries along after so many more ``refusals`` (0 or 1) and an ``unclear`` exit, or not."""
    return Walk(
        *(walk.run, walk.kind, walk.refusals + int64(refusals), walk.first, walk.last, walk.held),
        *(walk.unclear | int64(unclear), walk.account, walk.moments),
    )


@rule
def load_walk(walks: Any, c: Any) -> Any:
    """What combination ``c`` carries along."""
    curves, cursors = walks.curves, walks.cursors
    k = c * uint64(CURSOR)
    at = c * uint64(CURVE)
    drawdown = curves[at + uint64(DRAWDOWN)]
    return Walk(
        run=int64(cursors[k + uint64(RUN)]),
        kind=int64(cursors[k + uint64(KIND)]),
        refusals=int64(cursors[k + uint64(REFUSALS)]),
        first=uint64(NOWHERE),
        last=uint64(NOWHERE),
        held=int64(-1),
        unclear=int64(cursors[k + uint64(UNCLEAR)]),
        account=Account(
            curves[at + uint64(EQUITY)], curves[at + uint64(EQUITY_PEAK)], drawdown, share_kept(drawdown)
        ),
        moments=Moments(
            curves[at + uint64(PEAK_TOTAL)],
            curves[at + uint64(FALL_TOTAL)],
            curves[at + uint64(HIGHEST)],
            curves[at + uint64(LOWEST)],
        ),
    )


@rule
def store_walk(walks: Any, c: Any, walk: Any, slot: Any, first_slot: Any) -> None:
    """Keep what combination ``c`` carries along, and its ``slot``; the table begins at ``first_slot``."""
    curves, cursors = walks.curves, walks.cursors
    k = c * uint64(CURSOR)
    if walk.first != NOWHERE:
        cursors[k + uint64(FIRST)] = int32(first_slot + int64(walk.first))
    cursors[k + uint64(SLOT)] = int32(slot)
    cursors[k + uint64(RUN)] = int32(walk.run)
    cursors[k + uint64(KIND)] = int32(walk.kind)
    cursors[k + uint64(REFUSALS)] = int32(walk.refusals)
    cursors[k + uint64(UNCLEAR)] = int32(walk.unclear)
    if walk.held >= 0:
        cursors[k + uint64(LAST)] = int32(first_slot + int64(walk.last))
        cursors[k + uint64(HELD)] = int32(walk.held)
    at = c * uint64(CURVE)
    curves[at + uint64(EQUITY)] = walk.account.equity
    curves[at + uint64(EQUITY_PEAK)] = walk.account.peak
    curves[at + uint64(DRAWDOWN)] = walk.account.drawdown
    curves[at + uint64(PEAK_TOTAL)] = walk.moments.peak_total
    curves[at + uint64(FALL_TOTAL)] = walk.moments.fall_total
    curves[at + uint64(HIGHEST)] = walk.moments.highest
    curves[at + uint64(LOWEST)] = walk.moments.lowest


@rule
def list_trade(
    listed: Any, c: Any, result: Any, peak: Any, fall: Any, price: Any, pending: Any, close: Any
) -> None:
    """Write down one trade of combination ``c``."""
    place = uint64(listed.places[c])
    listed.results[place] = result
    listed.best[place] = peak
    listed.worst[place] = fall
    listed.prices[place] = price
    listed.pending[place] = pending
    listed.close[place] = close
    listed.places[c] += 1


@rule
def places_of(places: Any, c: Any) -> Any:
    """The places of one combination."""
    return Places(
        uint64(places.takes[c]),
        uint64(places.stops[c]),
        uint64(places.lifetimes[c]),
        uint64(places.trails[c]),
    )


@rule
def earliest_exit(trails: Any, cells: Any, here: Any, where: Any) -> Any:
    """Key and place of the exit that comes first at slot ``here``, with ``trails`` or without."""
    keys = cells.keys
    place = here + where.lifetimes
    key = keys[place]
    other = here + where.takes
    if keys[other] < key:
        key = keys[other]
        place = other
    other = here + where.stops
    if keys[other] < key:
        key = keys[other]
        place = other
    if trails:
        other = here + where.trails
        # At one candle the tighter stop counts.
        if keys[other] < key or (keys[other] == key and cells.pnl[other] > cells.pnl[place]):
            key = keys[other]
            place = other
    return key, place


@rule
def next_trade(
    trails: Any, extremes: Any, cells: Any, walks: Any, c: Any, where: Any, here: Any, walk: Any
) -> Any:
    """Take one trade at slot ``here``; returns the next slot and what the combination carries along."""
    key, place = earliest_exit(trails, cells, here, where)
    following = uint64(cells.next_slots[place])
    if key < 0:
        return following, noted(walk, 1, 0)
    if trails:
        walk = noted(walk, 0, is_unclear(key))
    peak, fall = (cells.peaks[place], cells.falls[place]) if extremes else (np.nan, np.nan)
    trade = Trade(here, outcome_of_key(key), held_of(key), cells.pnl[place], peak, fall)
    return following, fold_trade(extremes, walks, c, walk, trade)


def _walker(*, trails: bool, extremes: bool) -> Callable[..., Any]:
    """The kernel that walks combinations over one table; it encloses nothing but flags, so that it can be cached."""

    @kernel(types.void(CELLS, int64, int64, PLACES, int64, int64, WALKS_OUT))
    def walk_table(
        cells: Any, first_slot: Any, end_slot: Any, places: Any, begin: Any, end: Any, walks: Any
    ) -> None:
        """Let combinations ``[begin, end)`` take the trades of a table: of slots ``[first_slot, end_slot)``.

        cells : Cells, places : Places, walks : Walks   the last goes on
        """
        size = uint64(end_slot - first_slot)
        shift = uint64(first_slot)
        cursors = walks.cursors
        pairs = (end - begin) // 2
        for pair in range(pairs + (end - begin) % 2):
            c = uint64(begin + 2 * pair)
            d = c + uint64(pair < pairs)  # the odd one out walks alone
            here = uint64(cursors[c * uint64(CURSOR)]) - shift
            there = uint64(cursors[d * uint64(CURSOR)]) - shift
            one, two = places_of(places, c), places_of(places, d)
            walk, other = load_walk(walks, c), load_walk(walks, d)
            if d != c:
                while here < size and there < size:
                    here, walk = next_trade(trails, extremes, cells, walks, c, one, here, walk)
                    here -= shift
                    there, other = next_trade(trails, extremes, cells, walks, d, two, there, other)
                    there -= shift
                while there < size:
                    there, other = next_trade(trails, extremes, cells, walks, d, two, there, other)
                    there -= shift
                store_walk(walks, d, other, there + shift, first_slot)
            while here < size:
                here, walk = next_trade(trails, extremes, cells, walks, c, one, here, walk)
                here -= shift
            store_walk(walks, c, walk, here + shift, first_slot)

    return walk_table


def _lister(*, trails: bool) -> Callable[..., Any]:
    """The kernel that writes down the trades of combinations in one table, with and without trails."""

    @kernel(types.void(CELLS, int64, int64, PLACES, int64, int64, i8, int64, i4_out, LISTED))
    def list_trades(
        cells: Any,
        first_slot: Any,
        end_slot: Any,
        places: Any,
        begin: Any,
        end: Any,
        slot_times: Any,
        step_ms: Any,
        slots: Any,
        listed: Any,
    ) -> None:
        """Write down the trades of combinations ``[begin, end)`` in a table: of slots ``[first_slot, end_slot)``.

        cells : Cells, places : Places
        slot_times : i8     of all slots, UTC ms; ``step_ms`` is the length of a candle
        slots : i4[n]       where each combination stands, as ``cursors`` have it; goes on
        listed : Listed     the answer
        """
        size = uint64(end_slot - first_slot)
        shift = uint64(first_slot)
        for c in range(begin, end):
            here = uint64(slots[c]) - shift
            where = places_of(places, c)
            while here < size:
                key, place = earliest_exit(trails, cells, here, where)
                if key >= 0:
                    time = slot_times[first_slot + int64(here)]
                    list_trade(
                        *(listed, c, cells.pnl[place], cells.peaks[place], cells.falls[place]),
                        *(cells.prices[place], time, time + held_of(key) * step_ms),
                    )
                here = uint64(cells.next_slots[place]) - shift
            slots[c] = int32(here + shift)

    return list_trades


#: ``walk_table`` by (trails, extremes), and ``list_trades`` by trails.
WALKERS: Final = {
    (trails, extremes): _walker(trails=trails, extremes=extremes)
    for trails in (False, True)
    for extremes in (False, True)
}
LISTERS: Final = {trails: _lister(trails=trails) for trails in (False, True)}


@kernel(types.void(WALKS_OUT, int64, int64))
def begin_walks(walks: Any, count: Any, first: Any) -> None:
    """Set ``count`` combinations before the slot ``first``, with nothing traded."""
    curves, cursors = walks.curves, walks.cursors
    walks.sums[:] = 0.0
    walks.runs[:] = 0
    curves[:] = 0.0
    cursors[:] = 0
    for c in range(count):
        cursors[c * CURSOR + SLOT] = first
        cursors[c * CURSOR + KIND] = NO_KIND
        cursors[c * CURSOR + LAST] = -1
        curves[c * CURVE + EQUITY] = 1.0
        curves[c * CURVE + EQUITY_PEAK] = 1.0
        curves[c * CURVE + HIGHEST] = -np.inf
        curves[c * CURVE + LOWEST] = np.inf


def walks_of(count: int, first_slot: int) -> Walks:
    """``count`` combinations before the slot ``first_slot``."""
    walks = Walks(
        np.empty(count * SUMS),
        np.empty(count * RUNS, np.int32),
        np.empty(count * CURVE),
        np.empty(count * CURSOR, np.int32),
    )
    begin_walks(walks, count, first_slot)
    return walks


@rule
def totals_of(walks: Any, c: Any, extremes: Any, slot_times: Any, step_ms: Any) -> Any:
    """The :class:`Totals` of combination ``c``, which has traded, and whether its deviation is lost in rounding."""
    sums, curves, cursors = walks.sums, walks.curves, walks.cursors
    win, even, loss = c * SUMS + WIN * GROUP, c * SUMS + EVEN * GROUP, c * SUMS + LOSS * GROUP
    trades = sums[win] + sums[even] + sums[loss]
    total = sums[win + RESULT] + sums[loss + RESULT]
    power = sums[win + SQUARE] + sums[loss + SQUARE]
    squares = power - total * (total / trades)
    is_lost = squares < power * _CANCELLED and power > 0.0
    account = load_walk(walks, uint64(c)).account
    k, curve = c * CURSOR, c * CURVE
    last = slot_times[cursors[k + LAST]] + cursors[k + HELD] * step_ms
    known = trades if extremes else 0.0
    drawdown = drawdown_of(account) if extremes else np.nan
    totals = Totals(
        *(trades, sums[win], sums[loss], total, sums[win + RESULT], sums[loss + RESULT]),
        *(max(squares, 0.0), sums[loss + SQUARE]),
        *(known, curves[curve + PEAK_TOTAL], curves[curve + HIGHEST]),
        *(known, curves[curve + FALL_TOTAL], curves[curve + LOWEST]),
        *(float(slot_times[cursors[k + FIRST]]), float(last)),
        *(account.equity, drawdown),
    )
    return totals, is_lost


@rule
def minutes_of_walk(sums: Any, c: Any, minutes: Any) -> Any:
    """The :class:`Minutes` of combination ``c``; a candle has so many ``minutes``."""
    win, even, loss = c * SUMS + WIN * GROUP, c * SUMS + EVEN * GROUP, c * SUMS + LOSS * GROUP
    held = sums[win + HELD_TOTAL] + sums[even + HELD_TOTAL] + sums[loss + HELD_TOTAL]
    return Minutes(
        *(sums[win] + sums[even] + sums[loss], held * minutes),
        *(sums[win], sums[win + HELD_TOTAL] * minutes),
        *(sums[loss], sums[loss + HELD_TOTAL] * minutes),
    )


@rule
def runs_of_walk(walks: Any, c: Any) -> Any:
    """The :class:`Runs` of combination ``c``."""
    win, loss = c * RUNS + WIN * 2, c * RUNS + LOSS * 2
    runs, sums = walks.runs, walks.sums
    return Runs(
        *(runs[win], runs[loss], runs[win + 1], runs[loss + 1]),
        *(sums[c * SUMS + WIN * GROUP + RESULT], sums[c * SUMS + LOSS * GROUP + RESULT]),
    )


@kernel(types.void(i8, int64, int64, WALKS, int64, int64, _f8_table, i8_out, i8_out))
def finish_walks(
    slot_times: Any,
    step_ms: Any,
    extremes: Any,
    walks: Any,
    begin: Any,
    end: Any,
    metrics: Any,
    refused: Any,
    unclear: Any,
) -> None:
    """Make metrics of the sums of combinations ``[begin, end)``, and say which ones only the machine can measure.

    slot_times : i8     of all slots, UTC ms; ``step_ms`` is the length of a candle
    extremes : 0 or 1   whether peaks and falls were summed up
    walks : Walks
    metrics : f8[n, len(Metric)], refused, unclear : i8[n]   the answer

    Metrics that need more than sums, and without ``extremes`` those that need them, are NaN.
    """
    for c in range(begin, end):
        row = metrics[c]
        cursor = c * CURSOR
        refused[c] = walks.cursors[cursor + REFUSALS]
        unclear[c] = walks.cursors[cursor + UNCLEAR]
        if walks.cursors[cursor + LAST] < 0:
            write_nothing(row)
            continue
        row[:] = np.nan
        totals, is_lost = totals_of(walks, c, extremes, slot_times, step_ms)
        if is_lost:
            unclear[c] = 1
        write_totals(totals, int64(Scope.SERIES), row)
        write_minutes(minutes_of_walk(walks.sums, c, step_ms / MINUTE), row)
        write_runs(runs_of_walk(walks, c), row)
        hide_infinite(row)
