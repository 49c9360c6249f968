"""What happens when a candle has closed: step 6 of spec fills.md 3, and who is told."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, uint64

from bkcore.jit import routine, rule
from bkcore.machine.codes import (
    CancelReason,
    CloseReason,
    Commit,
    Deferred,
    Listen,
    Phase,
    Status,
    Wake,
)
from bkcore.machine.fills.at_open import has_status
from bkcore.machine.fills.changes import end_order, tell_change
from bkcore.machine.fills.inside import fill_inside
from bkcore.machine.fills.levels import at_least, move_stop, renew_target
from bkcore.machine.hook_calls import note_orders
from bkcore.machine.log_rows import tell_breakeven, tell_extreme, tell_levels
from bkcore.machine.phases import wake_if
from bkcore.machine.pnl import pnl_percent
from bkcore.machine.policy import is_woken, trailed_stop, trailed_take
from bkcore.machine.rules import bracket_price, branch_at, progress_percent


@rule
def extremes_seen(state: Any, candles: Any, position: Any) -> Any:
    """Worst and best price of the candle for the position; one that an order filled inside did not see the best."""
    row = uint64(state.row)
    rises = position.side > 0
    adverse = candles.low[row] if rises else candles.high[row]
    if state.filled_inside:
        return adverse, candles.close[row]
    return adverse, candles.high[row] if rises else candles.low[row]


@rule
def tell_extremes(
    state: Any, settings: Any, position: Any, events: Any, time: Any, adverse: Any, favour: Any
) -> Any:
    """Record the worst and the best of a candle and say what they reach, the worst first; whether that is heard."""
    heard = False
    if branch_at(position, adverse) < 0:
        heard = tell_extreme(state, position, events, time, adverse)
        heard = tell_levels(state, position, events, time, adverse) or heard
    if branch_at(position, favour) > 0:
        heard = tell_extreme(state, position, events, time, favour) or heard
        heard = tell_breakeven(state, settings, position, events, time, favour) or heard
        heard = tell_levels(state, position, events, time, favour) or heard
    return heard


@rule
def see_candle(state: Any, candles: Any, plan: Any, position: Any) -> None:
    """The best and the worst price that the rules of a policy go by."""
    adverse, favour = extremes_seen(state, candles, position)
    if plan.policy.by_close:
        adverse = favour = candles.close[uint64(state.row)]
    side = position.side
    if side * (favour - position.best) > 0.0:
        position.best = favour
    if side * (adverse - position.worst) < 0.0:
        position.worst = adverse


@rule
def close_candle(state: Any, candles: Any, plan: Any, tables: Any) -> Any:
    """CANDLE_END: fill the order that the candle reached, then the best and the worst price of a position."""
    heard = False
    if state.filled_inside:
        if state.is_refused:
            state.is_refused = 0
            tick = state.tick_time + plan.settings.step_ms
            heard = end_order(state, tables, int64(CancelReason.USER), tick, candles.close[uint64(state.row)])
        else:
            heard = fill_inside(state, candles, plan, tables)
    if has_status(state, tables, Status.RESTING):
        pings = state.listen & int64(Listen.SCHEDULE_PING) != 0
        return Phase.CANDLE_DONE, wake_if(pings, Wake.SCHEDULE_PING)
    if not has_status(state, tables, Status.OPEN):
        return Phase.CANDLE_DONE, wake_if(heard, Wake.EVENTS)
    position = tables.trades[uint64(state.current)]
    see_candle(state, candles, plan, position)
    adverse, favour = extremes_seen(state, candles, position)
    time = state.tick_time + plan.settings.step_ms
    told = tell_extremes(state, plan.settings, position, tables.events, time, adverse, favour)
    heard = heard or told
    close = candles.close[uint64(state.row)]
    state.branch = branch_at(position, close)
    state.progress = progress_percent(position, close)
    return Phase.CANDLE_WAKE, wake_if(heard, Wake.EVENTS)


@rule
def wake_waiting(state: Any, candles: Any, plan: Any, tables: Any) -> Any:
    """CANDLE_WAKE: say once that a condition holds on which the caller wants to be woken."""
    if state.has_wake:
        position = tables.trades[uint64(state.current)]
        price, time = candles.close[uint64(state.row)], state.tick_time + plan.settings.step_ms
        if is_woken(state, plan.settings, position, tables.entries, tables.partials, price, time):
            state.has_wake = 0
            return Phase.CANDLE_PING, Wake.WOKEN
    return Phase.CANDLE_PING, Wake.NONE


@routine
def follow_policy(state: Any, plan: Any, tables: Any, position: Any, close: Any) -> Any:
    """Breakeven, trailing stop, trailing target, and closes by result: in force from the next candle (spec 5)."""
    policy, side, entry = plan.policy, position.side, position.effective_open
    time, stop, take = state.tick_time + plan.settings.step_ms, position.active_stop, position.active_take
    ahead = side * (position.best / entry - 1.0) * 100.0
    if policy.breakeven_from != np.inf and at_least(ahead, policy.breakeven_from):
        move_stop(
            position,
            bracket_price(entry, side, policy.breakeven_offset / 100.0),
            int64(CloseReason.TRAILING_STOP),
        )
    if not np.isnan(position.trail_distance):
        if at_least(ahead, policy.stop_from_move):
            move_stop(
                position, position.best - side * position.trail_distance, int64(CloseReason.TRAILING_STOP)
            )
    elif policy.stop_from != np.inf and at_least(ahead, policy.stop_from):
        trailed = trailed_stop(side, position.best, policy.stop_distance)
        move_stop(position, trailed, int64(CloseReason.TRAILING_STOP))
    if policy.take_from != np.inf:
        behind = -side * (position.worst / entry - 1.0) * 100.0
        if at_least(behind, policy.take_from):
            trailed = trailed_take(side, position.worst, policy.take_distance)
            if not side * (trailed - position.active_take) >= 0.0:
                position.given_take = trailed
                renew_target(position, policy, state.tick_time)
    heard = False
    if position.active_stop != stop and not np.isnan(position.active_stop):
        code = int64(Commit.TRAILING_STOP)
        heard = tell_change(state, tables, position, code, close, position.active_stop, time)
    if position.active_take != take and not np.isnan(position.active_take):
        code = int64(Commit.TRAILING_TAKE)
        heard = tell_change(state, tables, position, code, close, position.active_take, time) or heard
    if policy.close_profit != np.inf or policy.close_loss != np.inf:
        result = pnl_percent(position, tables.partials, plan.settings, close)
        gains = policy.close_profit != np.inf and at_least(result, policy.close_profit)
        if gains or (policy.close_loss != np.inf and at_least(-result, policy.close_loss)):
            state.deferred = int64(Deferred.CLOSE)
    return heard


@rule
def manage_position(state: Any, candles: Any, prices: Any, plan: Any, tables: Any, scratch: Any) -> Any:
    """MANAGED: the policy speaks after the listeners of the ping, the ``manage`` hook after the policy."""
    position = tables.trades[uint64(state.current)]
    heard = False
    if state.has_policy or not np.isnan(position.trail_distance):
        heard = follow_policy(state, plan, tables, position, candles.close[uint64(state.row)])
    if state.manage_address != 0 and note_orders(state, candles, prices, plan, tables, scratch):
        return Phase.CANDLE_TOLD, Wake.RAISED
    return Phase.CANDLE_TOLD, wake_if(heard, Wake.EVENTS)


@rule
def tell_candle(state: Any) -> Any:
    """CANDLE_TOLD: the end of a candle that a position has survived."""
    return Phase.CANDLE_DONE, wake_if(state.listen & int64(Listen.MONITORED), Wake.MONITORED)
