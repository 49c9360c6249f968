"""Which tick asks for a signal, and which row of a signal frame it is offered (spec engine.md 5, steps 2 and 6).

A strategy is asked once per bucket of its interval, at the bucket's first tick that the run reaches; a row is offered
in the bucket that it lies in. The slots of a sweep (:mod:`bkcore.sweeps.slots`) say the same of all ticks at once, in
columns: these rules are the truth, and ``tests/property/test_throttle.py`` holds the two together.
"""

from __future__ import annotations

from typing import Any

from numba import int64

from bkcore import intervals
from bkcore.jit import rule
from bkcore.machine.records import NO_BUCKET

_NO_BUCKET = int(NO_BUCKET)

bucket_of = rule(intervals.aligned)
first_tick_from = rule(intervals.first_tick_from)
first_tick_after = rule(intervals.first_tick_after)


@rule
def next_asking_frame(state: Any, signals: Any) -> Any:
    """Index of the next tick at which a signal row is offered, without visiting the idle ticks before it.

    A row is offered at the first tick of its interval bucket that asks, if it is not later than that tick.
    """
    k = state.signal_cursor
    now = state.frame_start + state.frame_index * state.frame_step
    index = state.frame_count
    while k < signals.size:
        time = signals[k].time
        if time + state.interval > now:  # else its bucket lies behind
            bucket = bucket_of(time, state.interval)
            tick = max(now, bucket)
            if tick > now:
                index = first_tick_from(tick, state.frame_start, state.frame_step)
                tick = state.frame_start + index * state.frame_step
            else:
                index = state.frame_index
            # In a market with holes the tick may lie in one, and a later tick ask instead.
            offered = time <= tick or state.has_holes
            if bucket != state.last_bucket and offered and tick < bucket + state.interval:
                state.signal_cursor = k
                return index
        k += 1
    state.signal_cursor = k
    return state.frame_count


@rule
def next_bucket_frame(state: Any) -> Any:
    """Index of the next tick that lies in another interval bucket than the last one asked."""
    if state.last_bucket == _NO_BUCKET:
        return state.frame_index
    index = first_tick_from(state.last_bucket + state.interval, state.frame_start, state.frame_step)
    return max(state.frame_index, index)


@rule
def next_tick_frame(state: Any, time: Any) -> Any:
    """Index of the first tick strictly after ``time`` that is not behind the run."""
    return max(state.frame_index, first_tick_after(time, state.frame_start, state.frame_step))


@rule
def offered_signal(state: Any, signals: Any, bucket: Any) -> Any:
    """Latest signal row of the bucket at or before the tick, or -1."""
    k = state.signal_cursor
    while k < signals.size and signals[k].time < bucket:
        k += 1
    state.signal_cursor = k
    chosen = int64(-1)
    while k < signals.size and signals[k].time <= state.tick_time:
        chosen = k
        k += 1
    return chosen


@rule
def forget_bucket(state: Any) -> None:
    """Roll the throttle back: the next tick asks again."""
    state.last_bucket = _NO_BUCKET
