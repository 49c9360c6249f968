"""How a run moves at real prices: the twin of :mod:`bkcore.machine.advance`, in the order of spec fills.md 3."""

from __future__ import annotations

from typing import Any

from numba import int64

from bkcore.jit import routine
from bkcore.machine.codes import Listen, Phase, Wake
from bkcore.machine.fills.at_end import close_candle, manage_position, tell_candle, wake_waiting
from bkcore.machine.fills.at_open import (
    ask_while_held,
    begin_candle,
    end_frame,
    enter_at_open,
    fill_at_open,
    hold_at_open,
    judge_entry,
    look_for_entry,
    rest_at_open,
)
from bkcore.machine.fills.inside import go_inside
from bkcore.machine.fills.jumping import jump
from bkcore.machine.phases import lacks_room, wake_if
from bkcore.machine.records import NEW_WAKE
from bkcore.machine.rules import price_extremes


@routine
def advance_fills(candles: Any, prices: Any, plan: Any, tables: Any, scratch: Any, state: Any) -> Any:
    """Move a run at real prices on until its caller has something to do; returns a ``Wake`` code.

    Arguments are those of :func:`bkcore.machine.advance.advance`.
    """
    if state.has_wake == NEW_WAKE:
        state.has_wake = 1
    phase = state.phase
    wake = int64(Wake.NONE)
    while wake == Wake.NONE:
        # A phase that nobody has to act on falls through to the next one below, or comes around again.
        if phase == Phase.NEXT_CANDLE:
            if lacks_room(state, tables):
                wake = int64(Wake.GROW)
                break
            if state.skips:
                jump(state, candles, prices, plan, tables)
            phase, wake = begin_candle(state, candles, plan)
        if phase == Phase.ASK_HELD and wake == Wake.NONE:
            phase, wake = ask_while_held(state, candles, plan, tables, scratch)
        if phase == Phase.HELD and wake == Wake.NONE:
            phase, wake = hold_at_open(state, candles, plan, tables, scratch)
        if phase == Phase.ORDERED and wake == Wake.NONE:
            phase, wake = rest_at_open(state, candles, plan, tables)
        if phase == Phase.FREE and wake == Wake.NONE:
            phase, wake = look_for_entry(state, candles, plan, tables, scratch)
        if phase == Phase.ANSWERED and wake == Wake.NONE:
            phase, wake = judge_entry(state, plan, scratch)
        if phase == Phase.JUDGED and wake == Wake.NONE:
            phase, wake = enter_at_open(state, candles, plan, tables, scratch)
        if phase == Phase.AT_REST and wake == Wake.NONE:
            phase, wake = fill_at_open(state, candles, plan, tables)
        if phase == Phase.INSIDE and wake == Wake.NONE:
            phase, wake = go_inside(state, candles, plan, tables)
        if phase == Phase.CANDLE_END and wake == Wake.NONE:
            phase, wake = close_candle(state, candles, plan, tables)
        if phase == Phase.CANDLE_WAKE and wake == Wake.NONE:
            phase, wake = wake_waiting(state, candles, plan, tables)
        if phase == Phase.CANDLE_PING and wake == Wake.NONE:
            pings = state.listen & int64(Listen.ACTIVE_PING) != 0
            phase, wake = Phase.MANAGED, wake_if(pings, Wake.ACTIVE_PING)
        if phase == Phase.MANAGED and wake == Wake.NONE:
            phase, wake = manage_position(state, candles, prices, plan, tables, scratch)
        if phase == Phase.CANDLE_TOLD and wake == Wake.NONE:
            phase, wake = tell_candle(state)
        if phase == Phase.CANDLE_DONE and wake == Wake.NONE:
            state.row += 1
            phase = Phase.NEXT_CANDLE
        if phase == Phase.FRAME_OVER and wake == Wake.NONE:
            phase, wake = end_frame(state, candles, plan, tables, scratch)
            if wake == Wake.NONE:
                wake = int64(Wake.DONE)
    state.phase = phase
    if state.pending:
        price_extremes(tables.trades[state.current], tables.entries, tables.partials, plan.settings)
    return wake
