"""How a run moves: one resumable kernel that steps, jumps and stops wherever its caller wants to listen.

``advance`` walks ticks and candles by the phases of :mod:`bkcore.machine.phases` until the frame ends or something
happens that the caller asked to hear (``Listen``). Listening to everything makes it the step driver, to nothing
the run driver, and with ``state.skips`` it jumps over quiet candles. All three are this one function.
"""

from __future__ import annotations

from typing import Any

from numba import int64

from bkcore.jit import routine
from bkcore.machine.codes import Listen, Phase, Wake
from bkcore.machine.gliding import set_until_row
from bkcore.machine.phases import (
    activate,
    admit,
    announce,
    ask,
    begin_tick,
    enter,
    finish_candle,
    leave_or_stay,
    leave_trade,
    manage,
    reach_breakeven,
    reach_levels,
    rest,
    route,
    settle,
    wake_caller,
    wake_if,
)
from bkcore.machine.records import NEW_WAKE
from bkcore.machine.rules import price_extremes


@routine
def advance(candles: Any, prices: Any, plan: Any, tables: Any, scratch: Any, state: Any) -> Any:
    """Move a run on until its caller has something to do; returns a ``Wake`` code.

    candles   :class:`bkcore.machine.market.Candles`
    prices    :class:`bkcore.machine.market.PriceSeries`: the price of each candle (spec engine.md 3; its close at real
              prices), what levels are held against, and the block index of that
    plan      :class:`bkcore.machine.records.Plan`: settings, policy, candidates, parameters
    tables    :class:`bkcore.machine.records.RunTables`, which fill up; ``Wake.GROW`` asks for room
    scratch   :class:`bkcore.machine.records.Scratch`
    state     a record of ``STATE``

    Call it again to continue; nothing is lost or repeated between calls.
    """
    listen = state.listen
    jumps = state.skips != 0 and listen & (int64(Listen.IDLE) | int64(Listen.TICK)) == 0
    glides = state.skips != 0 and listen & (int64(Listen.ACTIVE_PING) | int64(Listen.MONITORED)) == 0
    glides = glides and state.manage_address == 0
    stops = listen >= int64(Listen.EVENTS)
    if state.has_wake == NEW_WAKE:
        state.has_wake = 1
        if state.pending:
            set_until_row(state, plan.settings, tables.trades[state.current], candles.timestamps)
    phase = state.phase
    wake = int64(Wake.NONE)
    while wake == Wake.NONE:
        # A phase that nobody has to act on falls through to the next one below, or comes around again.
        if phase == Phase.TICK:
            phase, wake = begin_tick(state, candles, prices, plan, tables, jumps)
        if phase == Phase.ASK and wake == Wake.NONE:
            phase, wake = ask(state, candles, plan, scratch)
        if phase == Phase.ROUTE and wake == Wake.NONE:
            phase, wake = route(state, plan, scratch)
        if phase == Phase.CANDIDATE and wake == Wake.NONE:
            phase, wake = admit(state, candles, plan, scratch, tables)
        if phase == Phase.IDLE and wake == Wake.NONE:
            phase, wake = Phase.AFTER_IDLE, wake_if(listen & int64(Listen.IDLE), Wake.IDLE)
        if phase == Phase.AFTER_IDLE and wake == Wake.NONE:
            state.frame_index += 1
            phase = Phase.TICK
            continue
        if phase == Phase.ENTRY and wake == Wake.NONE:
            phase, wake = enter(state, plan, tables)
        if phase == Phase.RESTING and wake == Wake.NONE:
            phase, wake = rest(state, candles, prices, plan, tables)
        if phase == Phase.ACTIVATION and wake == Wake.NONE:
            phase, wake = activate(state, candles, prices, plan, tables)
        if phase == Phase.AFTER_RESTING and wake == Wake.NONE:
            state.row += 1
            phase = Phase.RESTING
            continue
        if phase == Phase.EXIT and wake == Wake.NONE:
            phase, wake = leave_or_stay(state, candles, prices, plan, tables, glides, stops)
        if phase == Phase.WAKE and wake == Wake.NONE:
            phase, wake = wake_caller(state, candles, prices, plan, tables)
        if phase == Phase.PING and wake == Wake.NONE:
            phase, wake = Phase.AFTER_PING, wake_if(listen & int64(Listen.ACTIVE_PING), Wake.ACTIVE_PING)
        if phase == Phase.AFTER_PING and wake == Wake.NONE:
            phase, wake = manage(state, candles, prices, plan, tables, scratch)
        if phase == Phase.BREAKEVEN and wake == Wake.NONE:
            phase, wake = reach_breakeven(state, candles, prices, plan, tables)
        if phase == Phase.LEVELS and wake == Wake.NONE:
            phase, wake = reach_levels(state, candles, prices, tables)
        if phase == Phase.MONITORED and wake == Wake.NONE:
            phase, wake = Phase.SETTLED, wake_if(listen & int64(Listen.MONITORED), Wake.MONITORED)
        if phase == Phase.SETTLED and wake == Wake.NONE:
            phase = settle(state)
        if phase == Phase.COMMITS and wake == Wake.NONE:
            phase, wake = announce(state, candles, tables)
        if phase == Phase.NEXT and wake == Wake.NONE:
            phase, wake = finish_candle(state, candles, prices, plan, tables)
        if phase == Phase.AFTER_TRADE and wake == Wake.NONE:
            phase = leave_trade(state, tables)
    state.phase = phase
    if state.pending:
        price_extremes(tables.trades[state.current], tables.entries, tables.partials, plan.settings)
    return wake
