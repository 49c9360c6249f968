"""How the price went after a trading idea: its extremes, and the first candle at which each level is touched.

Everything a grid point asks of a path is a first touch, and no touch depends on the levels of another axis: the stop
watches the worst price so far, trailing and lock watch the best price before the candle. So one pass per level and
path serves every combination (spec risk-sizing-walker-sweep.md 4.9). Prices are multiplied by the side before they are
compared, which is exact, so one text serves long and short.

The rules are those of the documented sweep over ideas (spec 4.4), which differ from the machine's; why they stand apart
is said in :mod:`bkcore.ideas.sweep`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
from numba import float64, int64, types

from bkcore.jit import f8, f8_out, i8_out, kernel, rule, type_of
from bkcore.statistics.ordering import take_median

f8_table = types.Array(types.float64, 2, "C")
i8_table = types.Array(types.int64, 2, "C")

#: The candle of what does not happen.
NEVER: Final = int(np.iinfo(np.int64).max)


class Diagnostic(IntEnum):
    """What is told about a path and decides nothing (spec 4.3); percent of the entry price, minutes since the entry."""

    MAX_MFE_PERCENT = 0
    MAX_MAE_PERCENT = 1
    MINUTES_TO_MFE = 2
    MINUTES_TO_MAE = 3
    SHAKEOUT_MAE_PERCENT = 4
    MEDIAN_MOVE_PERCENT = 5
    HIT = 6


class Axes(NamedTuple):
    """The values of a grid: percents f8[levels], ``holds`` whole minutes i8[levels]."""

    stops: Any
    trails: Any
    holds: Any
    locks: Any


class Touches(NamedTuple):
    """Tables [level, path] of first touches, candles since the entry; NEVER where there is none.

    ``stop_at``, ``trail_at`` (which fills at ``trail_price``) and ``lock_at`` end trades. ``missed_at``, ``armed_at``
    and ``locked_at`` grade authors: they count from the entry price without slippage. ``close_at_hold`` is the close
    at which a trade of each hold expires.
    """

    stop_at: Any
    trail_at: Any
    trail_price: Any
    lock_at: Any
    missed_at: Any
    armed_at: Any
    locked_at: Any
    close_at_hold: Any


AXES = type_of(Axes, f8_out, f8_out, i8_out, f8_out)
TOUCHES = type_of(Touches, i8_table, i8_table, f8_table, *[i8_table] * 4, f8_table)


@rule
def first_reached(rising: Any, level: Any) -> Any:
    """First index at which a column that never falls is at least ``level``; NEVER without one."""
    low = 0
    high = rising.size
    while low < high:
        middle = (low + high) // 2
        if rising[middle] >= level:
            high = middle
        else:
            low = middle + 1
    return low if low < rising.size else NEVER


@rule
def first_armed(best: Any, start: Any, level: Any) -> Any:
    """First candle before which the peak, ``start`` or the best price so far, was at least ``level``; else NEVER."""
    if start >= level:
        return 0
    reached = first_reached(best, level)
    return reached if reached == NEVER else reached + 1


@kernel(types.void(f8, f8, f8, float64, float64, f8_out, f8_out))
def diagnose(high: Any, low: Any, close: Any, entry: float, side: float, moves: Any, out: Any) -> None:
    """Fill ``out`` (f8[len(Diagnostic)]) for one path (spec 4.3).

    high, low, close : f8[n]   candles from the entry on, n > 0, quote currency
    entry            : price at the entry
    side             : +1.0 long, -1.0 short
    moves            : f8[n]   scratch
    """
    best = 0.0
    worst = 0.0
    best_at = 0
    worst_at = 0
    shakeout = 0.0
    for i in range(close.size):
        gain = side * ((high[i] if side > 0.0 else low[i]) - entry) / entry * 100.0
        loss = side * ((low[i] if side > 0.0 else high[i]) - entry) / entry * 100.0
        if gain > best:
            best = gain
            best_at = i
            shakeout = worst
        if loss < worst:
            worst = loss
            worst_at = i
        moves[i] = side * (close[i] - entry) / entry * 100.0
    out[Diagnostic.HIT] = 1.0 if moves[close.size - 1] > 0.0 else 0.0
    out[Diagnostic.MAX_MFE_PERCENT] = best
    out[Diagnostic.MAX_MAE_PERCENT] = worst
    out[Diagnostic.MINUTES_TO_MFE] = best_at
    out[Diagnostic.MINUTES_TO_MAE] = worst_at
    out[Diagnostic.SHAKEOUT_MAE_PERCENT] = shakeout
    out[Diagnostic.MEDIAN_MOVE_PERCENT] = take_median(moves, close.size)


@kernel(types.void(f8, f8, f8, float64, float64, float64, AXES, int64, f8_out, f8_out, TOUCHES))
def touch_levels(
    high: Any,
    low: Any,
    close: Any,
    entry: float,
    side: float,
    slippage_percent: float,
    axes: Any,
    path: int,
    best: Any,
    depth: Any,
    touches: Any,
) -> None:
    """Fill column ``path`` of ``touches`` (spec 4.4 and 4.6).

    high, low, close : f8[n]   candles from the entry on, n > 0, quote currency
    entry, side      : price at the entry; +1.0 long, -1.0 short
    best, depth      : f8[n]   scratch: best price so far times side, worst price so far times -side

    A trailing of 0 means off (it never arms and grades nobody); so does a lock that is not above 0.
    """
    count = close.size
    fill = entry * (1.0 + side * (slippage_percent / 100.0))
    start = side * fill
    highest = -np.inf
    deepest = -np.inf
    for i in range(count):
        highest = max(highest, side * (high[i] if side > 0.0 else low[i]))
        deepest = max(deepest, -side * (low[i] if side > 0.0 else high[i]))
        best[i] = highest
        depth[i] = deepest

    for level in range(axes.stops.size):
        fall = 1.0 - side * axes.stops[level] / 100.0
        touches.stop_at[level, path] = first_reached(depth, -side * (fill * fall))
        touches.missed_at[level, path] = first_reached(depth, -side * (entry * fall))

    for level in range(axes.trails.size):
        touches.trail_at[level, path] = NEVER
        touches.armed_at[level, path] = NEVER
        touches.trail_price[level, path] = np.nan
        keep = 1.0 - side * (axes.trails[level] / 100.0)
        if axes.trails[level] != 0.0:
            touches.armed_at[level, path] = first_reached(best, side * (entry / keep))
            for i in range(first_armed(best, start, side * (fill / keep)), count):
                peak = start if i == 0 else max(start, best[i - 1])
                if side * (low[i] if side > 0.0 else high[i]) <= peak * keep:
                    touches.trail_at[level, path] = i
                    touches.trail_price[level, path] = side * (peak * keep)
                    break

    for level in range(axes.locks.size):
        touches.lock_at[level, path] = NEVER
        touches.locked_at[level, path] = NEVER
        if axes.locks[level] > 0.0:
            rise = 1.0 + side * axes.locks[level] / 100.0
            touches.locked_at[level, path] = first_reached(best, side * (entry * rise))
            lock = side * (fill * rise)
            for i in range(first_armed(best, start, lock), count):
                if side * (low[i] if side > 0.0 else high[i]) <= lock:
                    touches.lock_at[level, path] = i
                    break

    for level in range(axes.holds.size):
        touches.close_at_hold[level, path] = close[min(axes.holds[level], count) - 1]
