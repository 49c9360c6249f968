"""What happens inside a candle: steps 4 and 5 of spec fills.md 3, the worst first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, uint64

from bkcore.jit import routine, rule
from bkcore.machine.codes import CloseReason, OrderKind, Phase, Status, Wake
from bkcore.machine.fills.at_open import climb_gap, has_status, is_reached
from bkcore.machine.fills.changes import climb, end_trade, fill_order, sell_next
from bkcore.machine.fills.levels import is_adverse, is_favourable, next_entry, next_loss, next_profit
from bkcore.machine.phases import lacks_room, wake_if

_NOTHING, _STOP, _PARTIAL, _LADDER = 0, 1, 2, 3


@rule
def first_adverse(position: Any, stop: Any, loss: Any, ladder: Any, adverse: Any, opened: Any) -> Any:
    """Which of the levels that ``adverse`` reaches comes first, and where it lies: the nearest to the open."""
    what, level, way = _NOTHING, np.nan, np.inf
    side = position.side
    if is_adverse(side, adverse, stop) and abs(stop - opened) < way:
        what, level, way = _STOP, stop, abs(stop - opened)
    if is_adverse(side, adverse, loss) and abs(loss - opened) < way:
        what, level, way = _PARTIAL, loss, abs(loss - opened)
    if is_adverse(side, adverse, ladder) and abs(ladder - opened) < way:
        what, level = _LADDER, ladder
    return what, level


@rule
def go_adverse(state: Any, plan: Any, tables: Any, adverse: Any, opened: Any, tick: Any, time: Any) -> Any:
    """The way to the adverse extreme, one level at a time; all are worked out anew after each."""
    position = tables.trades[uint64(state.current)]
    policy = plan.policy
    heard = False
    while position.status == Status.OPEN and not lacks_room(state, tables):
        loss, ladder = next_loss(position, policy), next_entry(position, policy, tables.entries)
        what, level = first_adverse(position, position.active_stop, loss, ladder, adverse, opened)
        if what == _NOTHING:
            break
        if what == _STOP:
            heard = end_trade(state, plan, tables, position.stop_reason, time, level, False) or heard
        elif what == _LADDER:
            heard = climb(state, plan, tables, level, time, tick, True) or heard
        else:
            heard = sell_next(state, plan, tables, -1, level, time, False) or heard
    return heard


@rule
def go_favourable(state: Any, plan: Any, tables: Any, favour: Any, time: Any) -> Any:
    """The way to the favourable extreme: it comes from the adverse one, so the level next to that is first."""
    position = tables.trades[uint64(state.current)]
    policy, side = plan.policy, position.side
    heard = False
    while position.status == Status.OPEN:
        take, profit = position.active_take, next_profit(position, policy)
        ends = is_favourable(side, favour, take)
        sells = is_favourable(side, favour, profit) and not (ends and side * (take - profit) < 0.0)
        if sells:
            heard = sell_next(state, plan, tables, 1, profit, time, True) or heard
        elif ends:
            heard = end_trade(state, plan, tables, int64(CloseReason.TAKE_PROFIT), time, take, True) or heard
        else:
            break
    return heard


@rule
def go_inside(state: Any, candles: Any, plan: Any, tables: Any) -> Any:
    """INSIDE: steps 4 and 5; who holds nothing goes on to the next candle."""
    row = uint64(state.row)
    tick, time = state.tick_time, state.tick_time + plan.settings.step_ms
    if lacks_room(state, tables):
        return Phase.INSIDE, Wake.GROW
    if has_status(state, tables, Status.OPEN):
        if state.gap_waits:
            heard = climb_gap(state, plan, tables, candles.open[row], tick)
            return Phase.INSIDE, wake_if(heard, Wake.EVENTS)
        rises = tables.trades[uint64(state.current)].side > 0
        adverse = candles.low[row] if rises else candles.high[row]
        favour = candles.high[row] if rises else candles.low[row]
        heard = go_adverse(state, plan, tables, adverse, candles.open[row], tick, time)
        if lacks_room(state, tables):  # a ladder of many steps: more room, and the rest of the way
            return Phase.INSIDE, Wake.EVENTS if heard else Wake.GROW
        heard = go_favourable(state, plan, tables, favour, time) or heard
        return Phase.CANDLE_END, wake_if(heard, Wake.EVENTS)
    if has_status(state, tables, Status.RESTING):
        position = tables.trades[uint64(state.current)]
        adverse = candles.low[row] if position.side > 0 else candles.high[row]
        favour = candles.high[row] if position.side > 0 else candles.low[row]
        is_limit = position.order_kind == OrderKind.LIMIT
        if is_reached(position, adverse if is_limit else favour):
            state.filled_inside = 1
            return Phase.CANDLE_END, wake_if(state.is_guarded, Wake.ACTIVATION)
    return Phase.CANDLE_END, Wake.NONE


@routine
def fill_inside(state: Any, candles: Any, plan: Any, tables: Any) -> Any:
    """Step 5: the order fills at its own price; in the rest of the candle only its stop is judged."""
    row = uint64(state.row)
    position = tables.trades[uint64(state.current)]
    tick, time = state.tick_time, state.tick_time + plan.settings.step_ms
    adverse = candles.low[row] if position.side > 0 else candles.high[row]
    by_maker = position.order_kind == OrderKind.LIMIT
    heard = fill_order(state, plan, tables, position.price_open, time, tick, by_maker)
    stop = position.active_stop
    if is_adverse(position.side, adverse, stop):
        heard = end_trade(state, plan, tables, position.stop_reason, time, stop, False) or heard
    return heard
