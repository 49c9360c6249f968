"""Which tick asks for which signal: the machine visits ticks, a jump skips them, a sweep has them in columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, strategies as st

from bkcore.intervals import interval_step_ms
from bkcore.machine.codes import Given
from bkcore.machine.records import NO_BUCKET, STATE
from bkcore.machine.throttle import (
    bucket_of,
    next_asking_frame,
    next_bucket_frame,
    next_tick_frame,
    offered_signal,
)
from bkcore.sweeps.slots import slots_of
from tests.property.scenes import Scene, scenes
from tests.rules import from_python

_bucket_of, _offered_signal = from_python(bucket_of), from_python(offered_signal)
_next_asking_frame, _next_bucket_frame = from_python(next_asking_frame), from_python(next_bucket_frame)
_next_tick_frame = from_python(next_tick_frame)


def state_of(scene: Scene, tick: int = 0) -> Any:
    """A state that stands before a tick of the scene's frame; nobody has been asked."""
    state: Any = np.zeros(1, STATE).view(np.recarray)[0]
    frame = scene.frame
    state.frame_start, state.frame_step, state.frame_count = frame.start_ms, frame.step_ms, frame.count
    state.frame_index, state.tick_time = tick, frame.start_ms + tick * frame.step_ms
    state.interval = interval_step_ms(scene.strategy_interval)
    state.last_bucket = NO_BUCKET
    return state


def offers(scene: Scene, signals: Any) -> list[tuple[int, int]]:
    """Bucket and offered row of every tick, -1 for none, as a run that visits each tick finds them."""
    states = [state_of(scene, tick) for tick in range(scene.frame.count)]
    buckets = [_bucket_of(state.tick_time, state.interval) for state in states]
    return [
        (bucket, _offered_signal(state, signals, bucket))
        for state, bucket in zip(states, buckets, strict=True)
    ]


@given(scenes())
def test_the_slots_of_a_sweep_are_the_ticks_at_which_the_machine_is_offered_a_signal(scene: Scene) -> None:
    signals = scene.table().records
    if not signals.size:
        return
    slots = slots_of(scene.market(), scene.frame, signals, interval_step_ms(scene.strategy_interval))
    found = [
        (scene.frame.start_ms + tick * scene.frame.step_ms, row)
        for tick, (_, row) in enumerate(offers(scene, signals))
        if row >= 0 and not signals["given"][row] & Given.NOTHING
    ]
    assert list(zip(slots.columns.times.tolist(), slots.columns.signals.tolist(), strict=True)) == found


@given(scenes(), st.data())
def test_a_jump_stands_where_the_first_tick_asks(scene: Scene, data: st.DataObject) -> None:
    signals, count = scene.table().records, scene.frame.count
    listed = offers(scene, signals)
    first = data.draw(st.integers(0, max(0, count - 1)))
    asked = data.draw(st.sampled_from([NO_BUCKET, *(bucket for bucket, _ in listed[: first + 1])]))
    state = state_of(scene, first)
    state.last_bucket = asked
    before = [asked, *(bucket for bucket, _ in listed[first:])]
    asking = [first + k for k, (bucket, _) in enumerate(listed[first:]) if bucket != before[k]]
    assert min(_next_bucket_frame(state), count) == next(iter(asking), count)
    answered = (tick for tick in asking if listed[tick][1] >= 0)
    assert _next_asking_frame(state, signals) == next(answered, count)


@given(scenes(), st.integers(0, 600), st.integers(-1, 1))
def test_after_a_trade_the_first_later_tick_is_next(scene: Scene, tick: int, off: int) -> None:
    frame = scene.frame
    time = frame.start_ms + tick * frame.step_ms + off
    later = next(k for k in range(tick + 3) if frame.start_ms + k * frame.step_ms > time)
    assert _next_tick_frame(state_of(scene), time) == later
