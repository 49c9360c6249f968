"""Where a price series first leaves a band: block minima and maxima, and jumps over quiet blocks.

Blocks of 16, 256 and 4096 values lie aligned in one array per direction, level after level. NaN values
(the warm-up of an average) belong to no block: they never lie inside a position.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import int64, types, uint64
from numpy.typing import NDArray

from bkcore.jit import f8, kernel, rule
from bkcore.numba_internals import intrinsic

_f8_out = types.Array(types.float64, 1, "C")
FIRST_SHIFT, SECOND_SHIFT, THIRD_SHIFT = 4, 8, 12


@rule
def second_offset(size: Any) -> Any:
    """Where the blocks of 256 begin, for a series of ``size`` values."""
    return (size + 15) >> 4


@rule
def third_offset(size: Any) -> Any:
    """Where the blocks of 4096 begin."""
    return second_offset(size) + ((size + 255) >> 8)


@kernel(types.void(f8, f8, _f8_out, _f8_out))
def _fill_blocks(floors: Any, ceilings: Any, lows: Any, highs: Any) -> None:
    size = floors.size
    blocks = (size + 15) >> 4
    for block in range(blocks):
        low = np.inf
        high = -np.inf
        for k in range(block << 4, min(size, (block + 1) << 4)):
            floor = floors[k]
            ceiling = ceilings[k]
            low = floor if floor < low else low
            high = ceiling if ceiling > high else high
        lows[block] = low
        highs[block] = high
    source = 0
    target = blocks
    for _ in range(2):
        count = (blocks + 15) >> 4
        for block in range(count):
            low = np.inf
            high = -np.inf
            for k in range(block << 4, min(blocks, (block + 1) << 4)):
                low = min(low, lows[source + k])
                high = max(high, highs[source + k])
            lows[target + block] = low
            highs[target + block] = high
        source = target
        target += count
        blocks = count


def build_index(
    floors: NDArray[np.float64], ceilings: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Block minima of ``floors`` and block maxima of ``ceilings`` (f8[n]): two read-only f8 arrays of about n / 15."""
    size = floors.size
    count = sum(-(-size // width) for width in (16, 256, 4096))
    lows, highs = np.empty(count), np.empty(count)
    _fill_blocks(floors, ceilings, lows, highs)
    lows.flags.writeable = highs.flags.writeable = False
    return lows, highs


@intrinsic
def _are_inside(
    typing_context: Any, floors: Any, ceilings: Any, first: Any, low: Any, high: Any
) -> tuple[Any, Any]:
    """Whether four values from ``first`` on lie strictly inside the band: two comparisons of vectors."""
    signature = types.boolean(floors, ceilings, types.uint64, types.float64, types.float64)
    lanes, index = ir.VectorType(ir.DoubleType(), 4), ir.IntType(32)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        floors, ceilings, first, low, high = arguments

        def leave(column: Any, kind: Any, comparison: str, limit: Any) -> Any:
            data = context.make_array(kind)(context, builder, column).data
            place = builder.bitcast(builder.gep(data, [first]), lanes.as_pointer())
            nothing = ir.Constant(lanes, ir.Undefined)
            one = builder.insert_element(nothing, limit, index(0))
            limits = builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(index, 4), [0] * 4))
            return builder.fcmp_ordered(comparison, builder.load(place, align=8), limits)

        below = leave(floors, signature.args[0], "<=", low)
        above = leave(ceilings, signature.args[1], ">=", high)
        outside = builder.bitcast(builder.or_(below, above), ir.IntType(4))
        return builder.icmp_unsigned("==", outside, ir.IntType(4)(0))

    return signature, generate


@rule
def leaves_band(
    floors: Any, ceilings: Any, lows: Any, highs: Any, first: Any, end: Any, low: Any, high: Any
) -> Any:
    """First index in ``[first, end)`` whose floor is at or below ``low`` or whose ceiling is at or above ``high``.

    ``end`` when there is none. For a price series floors and ceilings are the series itself, for candles their lows
    and highs; ``lows`` and ``highs`` are the block index of the two.
    """
    if first >= end:
        return int64(end)
    last = uint64(end)
    k = uint64(first)
    while k < last:
        if k & uint64(15) == 0:
            if k & uint64(255) == 0:
                block = uint64(third_offset(floors.size)) + (k >> uint64(12))
                if (
                    k & uint64(4095) == 0
                    and k + uint64(4096) <= last
                    and lows[block] > low
                    and highs[block] < high
                ):
                    k += uint64(4096)
                    continue
                block = uint64(second_offset(floors.size)) + (k >> uint64(8))
                if k + uint64(256) <= last and lows[block] > low and highs[block] < high:
                    k += uint64(256)
                    continue
            block = k >> uint64(4)
            # Four blocks that lie in one of 256 and before the end.
            are_four = k & uint64(255) <= uint64(192) and k + uint64(64) <= last
            if are_four and _are_inside(lows, highs, block, low, high):
                k += uint64(64)
                continue
            if lows[block] > low and highs[block] < high:
                k += uint64(16)
                continue
        stop = min(last, (k | uint64(15)) + uint64(1))
        while k + uint64(4) <= stop and _are_inside(floors, ceilings, k, low, high):
            k += uint64(4)
        while k < stop:
            if floors[k] <= low or ceilings[k] >= high:
                return int64(k)
            k += uint64(1)
    return int64(end)


@rule
def first_maximum(series: Any, highs: Any, first: Any, end: Any, above: Any) -> Any:
    """Index of the largest value in ``[first, end)`` above ``above``, the earliest of equals; -1 for none."""
    second = second_offset(series.size)
    third = third_offset(series.size)
    best = above
    where = int64(-1)
    k = first
    while k < end:
        if k & 15 == 0:
            if k & 4095 == 0 and k + 4096 <= end and not highs[third + (k >> 12)] > best:
                k += 4096
                continue
            if k & 255 == 0 and k + 256 <= end and not highs[second + (k >> 8)] > best:
                k += 256
                continue
            if k + 16 <= end and not highs[k >> 4] > best:
                k += 16
                continue
        stop = min(end, (k | 15) + 1)
        while k < stop:
            if series[k] > best:
                best = series[k]
                where = k
            k += 1
    return where


@rule
def first_minimum(series: Any, lows: Any, first: Any, end: Any, below: Any) -> Any:
    """Index of the smallest value in ``[first, end)`` below ``below``, the earliest of equals; -1 for none."""
    second = second_offset(series.size)
    third = third_offset(series.size)
    best = below
    where = int64(-1)
    k = first
    while k < end:
        if k & 15 == 0:
            if k & 4095 == 0 and k + 4096 <= end and not lows[third + (k >> 12)] < best:
                k += 4096
                continue
            if k & 255 == 0 and k + 256 <= end and not lows[second + (k >> 8)] < best:
                k += 256
                continue
            if k + 16 <= end and not lows[k >> 4] < best:
                k += 16
                continue
        stop = min(end, (k | 15) + 1)
        while k < stop:
            if series[k] < best:
                best = series[k]
                where = k
            k += 1
    return where
