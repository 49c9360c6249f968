"""In which order do trades close, and which value is the middle one? (spec reports.md 6.2) Without allocating."""

from __future__ import annotations

from typing import Any

from bkcore.jit import rule


@rule
def write_close_order(close: Any, is_backward: Any, order: Any) -> None:
    """Indices of the rows by ``close``, stable over the visiting order; uses ``order[: 2 * n]``.

    The rows are visited last to first when ``is_backward``, so that rows which close at the same time stay
    newest first (spec 6.2). Rows that already rise or strictly fall cost two passes and no sorting.
    """
    size = close.size
    is_rising = True
    is_falling = True
    for k in range(size):
        order[k] = size - 1 - k if is_backward else k
        if k > 0:
            if close[order[k]] < close[order[k - 1]]:
                is_rising = False
            else:
                is_falling = False
    if is_rising:
        return
    if is_falling:
        for k in range(size):
            order[k] = k if is_backward else size - 1 - k
        return
    source = 0
    target = size
    width = 1
    while width < size:
        for left in range(0, size, 2 * width):
            middle = min(left + width, size)
            right = min(left + 2 * width, size)
            i = left
            j = middle
            for k in range(left, right):
                if i < middle and (j >= right or close[order[source + i]] <= close[order[source + j]]):
                    order[target + k] = order[source + i]
                    i += 1
                else:
                    order[target + k] = order[source + j]
                    j += 1
        source, target = target, source
        width *= 2
    if source > 0:
        for k in range(size):
            order[k] = order[source + k]


@rule
def take_rank(values: Any, size: Any, rank: Any) -> Any:
    """The value at ``rank`` (from 0) when ``values[:size]`` is sorted (size > rank, no NaN).

    Selects in place: afterwards nothing before ``rank`` is larger and nothing after it is smaller.
    """
    low = 0
    high = size - 1
    while low < high:
        first, middle, last = values[low], values[(low + high) // 2], values[high]
        pivot = max(min(first, middle), min(max(first, middle), last))
        i = low
        j = high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return values[rank]


@rule
def take_median(values: Any, size: Any) -> Any:
    """Median of ``values[:size]`` (size > 0, no NaN), the mean of two middles for an even size.

    Selects in place: the values are in another order afterwards.
    """
    rank = size // 2
    upper = take_rank(values, size, rank)
    if size % 2 == 1:
        return upper
    below = values[0]
    for k in range(1, rank):
        below = max(below, values[k])
    return (below + upper) / 2.0
