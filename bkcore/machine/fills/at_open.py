"""What happens at the open of a candle: steps 1 to 3 of spec fills.md 3.

A phase does its work and returns ``(phase, wake)``, as those of :mod:`bkcore.machine.phases` do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, uint64

from bkcore.jit import routine, rule
from bkcore.machine.codes import (
    CancelReason,
    CloseReason,
    Deferred,
    EventKind,
    Fill,
    Given,
    Listen,
    OnOpposite,
    OrderKind,
    Phase,
    Status,
    Wake,
)
from bkcore.machine.commands import execute
from bkcore.machine.fills.changes import (
    climb,
    end_order,
    end_trade,
    entry_violations,
    fill_order,
    keep_average,
    order_of,
    place_order,
    sell_next,
)
from bkcore.machine.fills.decisions import exits_side, moves_levels, wish_of
from bkcore.machine.fills.levels import (
    expiry_of,
    is_adverse,
    is_favourable,
    move_stop,
    next_entry,
    next_loss,
    next_profit,
    renew_target,
)
from bkcore.machine.hook_calls import ask_kernel
from bkcore.machine.log_rows import write_event, write_rejection
from bkcore.machine.phases import candidate_of, is_candidate, lacks_room, wake_if
from bkcore.machine.pnl import pnl_percent
from bkcore.machine.records import FROM_SLOT


@rule
def has_status(state: Any, tables: Any, status: Any) -> Any:
    """Whether the row at hand is in this part of its life."""
    return state.current >= 0 and tables.trades[uint64(state.current)].status == status


@rule
def price_of_decision(candles: Any, settings: Any, row: Any) -> Any:
    """At which price the candle ``row`` fills what was decided before it (spec fills.md 2, first row)."""
    return candles.open[row] if settings.fill == Fill.NEXT_OPEN else candles.close[row - 1]


# --------------------------------------------------------------------------------------------- who decides


@rule
def forget_wish(state: Any) -> None:
    """Nobody has asked for anything at this tick."""
    state.candidate = -1
    state.wish_side = 0
    state.wish_exits = 0
    state.wish_opposite = int64(OnOpposite.IGNORE)


@rule
def read_decision(state: Any, decisions: Any, row: Any) -> None:
    """The wish of the row of a signal frame that speaks at the candle ``row``."""
    k = state.decision
    while k < decisions.size and decisions[uint64(k)].row < row:
        k += 1
    state.decision = k
    if k < decisions.size and decisions[uint64(k)].row == row:
        decision = decisions[uint64(k)]
        state.candidate = decision.signal
        state.wish_side = decision.side
        state.wish_exits = decision.exits
        state.wish_opposite = decision.opposite


@rule
def begin_candle(state: Any, candles: Any, plan: Any) -> Any:
    """NEXT_CANDLE: stand before the open of the candle at hand and read what is decided there."""
    forget_wish(state)
    state.has_asked = 0
    state.filled_inside = 0
    row = state.row
    if state.has_decisions:
        read_decision(state, plan.decisions, row)
    if row >= state.end_row:
        return Phase.FRAME_OVER, Wake.NONE
    state.tick_time = candles.timestamps[uint64(row)]
    state.frame_index = (state.tick_time - state.frame_start) // state.frame_step
    state.tick_price = candles.close[uint64(row - 1)] if row > 0 else np.nan
    heard = state.listen & int64(Listen.TICK) != 0 and row > 0
    return Phase.ASK_HELD, wake_if(heard, Wake.TICK)


@rule
def is_time_to_ask(state: Any, candles: Any, step: Any) -> Any:
    """Whether this candle opens at, or after the close that was, a multiple of the strategy's interval."""
    if state.row == 0 or state.has_asked or state.is_paused or state.is_stopped:
        return False
    if state.has_queued:
        return True
    if state.has_callback == 0 and state.kernel_address == 0:
        return False
    closed = candles.timestamps[uint64(state.row - 1)] + step
    return state.tick_time % state.interval == 0 or closed % state.interval == 0


@routine
def ask_strategy(state: Any, candles: Any, plan: Any, scratch: Any) -> Any:
    """Ask ``get_signal`` or the jitted strategy; returns why the caller has to act."""
    state.has_asked = 1
    if state.has_callback or state.has_queued:
        return Wake.GET_SIGNAL
    return wake_if(ask_kernel(state, candles, plan, scratch), Wake.RAISED)


@rule
def ask_while_held(state: Any, candles: Any, plan: Any, tables: Any, scratch: Any) -> Any:
    """ASK_HELD: a strategy that asks for it is asked while it holds a position or an order."""
    held = has_status(state, tables, Status.OPEN) or has_status(state, tables, Status.RESTING)
    if held and state.asks_in_position and is_time_to_ask(state, candles, plan.settings.step_ms):
        return Phase.HELD, ask_strategy(state, candles, plan, scratch)
    return Phase.HELD, Wake.NONE


@rule
def take_answer(state: Any, plan: Any, scratch: Any) -> None:
    """Read the wish of the signal in the slot, once."""
    if state.candidate != FROM_SLOT or state.has_asked != 1:
        return
    state.has_asked = 2
    signal = scratch.slot[0]
    if signal.given & int64(Given.NOTHING):
        forget_wish(state)
        return
    side, exits, opposite, held = wish_of(signal, state.target, plan.policy.on_opposite)
    state.wish_side, state.wish_exits, state.wish_opposite = side, exits, opposite
    state.target = held
    is_target = signal.given & int64(Given.TARGET) != 0
    state.wanted += int64(side != 0)
    if side == 0 and exits == 0 and not is_target and not moves_levels(signal):
        state.wanted += 1  # an entry on no side: it is refused where it would be made
        state.wish_side = 2


# ------------------------------------------------------------------------------- step 1: a position is open


@rule
def reason_to_close(state: Any, plan: Any, position: Any, partials: Any, tick: Any, known: Any) -> Any:
    """Step 1(b): the first reason to close at this open, or 0; ``known`` is the last close."""
    if state.deferred == Deferred.CLOSE:
        return int64(CloseReason.CLOSED)
    if state.wish_exits and exits_side(state.wish_exits, position.side):
        earns = not plan.policy.exit_profit_only
        if earns or pnl_percent(position, partials, plan.settings, known) > 0.0:
            return int64(CloseReason.EXIT_SIGNAL)
    if state.wish_side == -position.side and state.wish_opposite != OnOpposite.IGNORE:
        return int64(CloseReason.REVERSED)
    if tick >= expiry_of(position):
        return int64(CloseReason.TIME_EXPIRED)
    return int64(CloseReason.FRAME_END if tick >= state.frame_end else CloseReason.NONE)


@routine
def obey_commands(state: Any, plan: Any, tables: Any, scratch: Any, price: Any, tick: Any) -> None:
    """Step 1(a): commands that were given at the last close, in their order."""
    position = tables.trades[uint64(state.current)]
    for k in range(state.command_count):
        command = int64(scratch.orders[k, 0])
        if position.status != Status.OPEN or state.deferred == Deferred.CLOSE:
            break
        stop, take = position.active_stop, position.active_take
        entries = position.entry_count
        state.pending = 1
        execute(state, plan.settings, tables, command, price, scratch.orders[k, 1], tick)
        state.commit_told = state.commit_count
        if position.active_stop != stop:
            position.stop_reason = int64(CloseReason.TRAILING_STOP)
        if position.active_take != take:
            position.given_take = position.active_take
        if position.entry_count != entries:
            keep_average(position, plan.policy, tick)
    state.command_count = 0


@rule
def take_row_levels(state: Any, plan: Any, signal: Any, position: Any, tick: Any) -> None:
    """Step 1(c): levels that a row gives the position that it finds open."""
    stop, take = signal.set_stop_loss, signal.set_take_profit
    if not np.isnan(stop):
        if plan.policy.stop_may_loosen and stop != position.active_stop:
            position.active_stop = stop
            position.stop_reason = int64(CloseReason.STOP_LOSS)
        else:
            move_stop(position, stop, int64(CloseReason.STOP_LOSS))
    if not np.isnan(take):
        position.given_take = take
        renew_target(position, plan.policy, tick)


@routine
def jump_gaps(state: Any, plan: Any, tables: Any, price: Any, tick: Any) -> Any:
    """Step 1(d): what the open ``price`` has jumped over is filled at it; whether somebody wants to hear it."""
    position = tables.trades[uint64(state.current)]
    policy, side = plan.policy, position.side
    if is_adverse(side, price, position.active_stop):
        return end_trade(state, plan, tables, position.stop_reason, tick, price, False)
    if is_favourable(side, price, position.active_take):
        return end_trade(state, plan, tables, int64(CloseReason.TAKE_PROFIT), tick, price, False)
    heard = False
    while is_adverse(side, price, next_loss(position, policy)):
        heard = sell_next(state, plan, tables, -1, price, tick, False) or heard
        if position.status != Status.OPEN:
            return heard
    return climb_gap(state, plan, tables, price, tick) or heard


@rule
def climb_gap(state: Any, plan: Any, tables: Any, price: Any, tick: Any) -> Any:
    """Step 1(d) from the ladder on. Where a table is full ``gap_waits`` says that the rest waits until it has grown."""
    position = tables.trades[uint64(state.current)]
    policy, side = plan.policy, position.side
    heard = False
    state.gap_waits = 0
    while is_adverse(side, price, next_entry(position, policy, tables.entries)):
        if lacks_room(state, tables):
            state.gap_waits = 1
            return heard
        heard = climb(state, plan, tables, price, tick, tick, False) or heard
    while is_favourable(side, price, next_profit(position, policy)):
        heard = sell_next(state, plan, tables, 1, price, tick, False) or heard
        if position.status != Status.OPEN:
            return heard
    return heard


@rule
def hold_at_open(state: Any, candles: Any, plan: Any, tables: Any, scratch: Any) -> Any:
    """HELD: step 1."""
    take_answer(state, plan, scratch)
    if not has_status(state, tables, Status.OPEN):
        return Phase.ORDERED, Wake.NONE
    position = tables.trades[uint64(state.current)]
    row, tick = uint64(state.row), state.tick_time
    price = price_of_decision(candles, plan.settings, row)
    if tick >= position.next_step_at:
        renew_target(position, plan.policy, tick)
    if state.command_count:
        obey_commands(state, plan, tables, scratch, price, tick)
    known = candles.close[row - uint64(1)]
    reason = reason_to_close(state, plan, position, tables.partials, tick, known)
    if reason:
        if reason == CloseReason.REVERSED and state.wish_opposite == OnOpposite.CLOSE:
            state.taken += 1
            state.wish_side = 0
        heard = end_trade(state, plan, tables, reason, tick, price, False)
        return Phase.ORDERED, wake_if(heard, Wake.EVENTS)
    if state.candidate != -1:
        signal = candidate_of(state, plan.signals, scratch.slot)
        if moves_levels(signal):
            take_row_levels(state, plan, signal, position, tick)
    heard = jump_gaps(state, plan, tables, candles.open[row], tick)
    if position.status == Status.OPEN:
        state.wish_side = 0  # an entry that meets a position is passed over
    return Phase.ORDERED, wake_if(heard, Wake.EVENTS)


# ---------------------------------------------------------------------------------- step 2: an order rests


@rule
def reason_to_cancel(state: Any, settings: Any, position: Any, tick: Any) -> Any:
    """Step 2(a): why a resting order ends at this open, or 0."""
    leaves = state.wish_exits and exits_side(state.wish_exits, position.side)
    if state.deferred == Deferred.CANCEL or leaves or state.is_stopped:
        return int64(CancelReason.USER)
    if tick - position.scheduled_at >= settings.await_ms or tick >= state.frame_end:
        return int64(CancelReason.TIMEOUT)
    if state.wish_side == -position.side and state.wish_opposite != OnOpposite.IGNORE:
        return int64(CancelReason.USER)
    return int64(CancelReason.NONE)


@rule
def is_reached(position: Any, price: Any) -> Any:
    """Whether ``price`` fills the resting order: a limit from above (long), a stop entry from below."""
    if position.order_kind == OrderKind.STOP:
        return is_favourable(position.side, price, position.price_open)
    return is_adverse(position.side, price, position.price_open)


@rule
def rest_at_open(state: Any, candles: Any, plan: Any, tables: Any) -> Any:
    """ORDERED: step 2, for an order from an earlier candle; what it leaves is free to enter."""
    if not has_status(state, tables, Status.RESTING):
        return Phase.FREE, Wake.NONE
    position = tables.trades[uint64(state.current)]
    tick, opened = state.tick_time, candles.open[uint64(state.row)]
    reason = reason_to_cancel(state, plan.settings, position, tick)
    if reason:
        heard = end_order(state, tables, reason, tick, opened)
        return Phase.FREE, wake_if(heard, Wake.EVENTS)
    state.wish_side = 0  # an entry that meets an order is passed over
    if state.deferred == Deferred.ACTIVATE or is_reached(position, opened):
        return Phase.AT_REST, wake_if(state.is_guarded, Wake.ACTIVATION)
    return Phase.INSIDE, Wake.NONE


@routine
def fill_at_open(state: Any, candles: Any, plan: Any, tables: Any) -> Any:
    """AT_REST: fill the order at the open, unless the caller of a guarded run refuses, and look at its gaps."""
    tick, opened = state.tick_time, candles.open[uint64(state.row)]
    if state.is_refused:
        state.is_refused = 0
        heard = end_order(state, tables, int64(CancelReason.USER), tick, opened)
        return Phase.INSIDE, wake_if(heard, Wake.EVENTS)
    heard = fill_order(state, plan, tables, opened, tick, tick, False)
    heard = jump_gaps(state, plan, tables, opened, tick) or heard
    return Phase.INSIDE, wake_if(heard, Wake.EVENTS)


# --------------------------------------------------------------------------------------- step 3: free to enter


@rule
def look_for_entry(state: Any, candles: Any, plan: Any, tables: Any, scratch: Any) -> Any:
    """FREE: who holds nothing is asked."""
    if has_status(state, tables, Status.OPEN):
        return Phase.INSIDE, Wake.NONE
    if state.candidate == -1 and is_time_to_ask(state, candles, plan.settings.step_ms):
        return Phase.ANSWERED, ask_strategy(state, candles, plan, scratch)
    return Phase.ANSWERED, Wake.NONE


@rule
def judge_entry(state: Any, plan: Any, scratch: Any) -> Any:
    """ANSWERED: an entry is judged next, after the caller of a guarded run; without one the tick is idle."""
    take_answer(state, plan, scratch)
    heard = state.listen & int64(Listen.IDLE) != 0
    if state.wish_side == 0 or state.tick_time >= state.frame_end or state.tick_time < state.free_from:
        return Phase.INSIDE, wake_if(heard, Wake.IDLE)
    signal = candidate_of(state, plan.signals, scratch.slot)
    if not is_candidate(state, signal):
        return Phase.INSIDE, wake_if(heard, Wake.IDLE)
    asks = state.is_guarded and signal.given & int64(Given.FOREIGN_SYMBOL) == 0
    return Phase.JUDGED, wake_if(asks, Wake.CANDIDATE)


@routine
def enter_at_open(state: Any, candles: Any, plan: Any, tables: Any, scratch: Any) -> Any:
    """JUDGED: check the entry; it opens, or rests."""
    row, tick = uint64(state.row), state.tick_time
    if state.is_refused:
        state.is_refused = 0
        state.refused += 1
        return Phase.INSIDE, Wake.NONE
    signal = candidate_of(state, plan.signals, scratch.slot)
    kind, entry = order_of(signal)
    if kind == OrderKind.MARKET:
        entry = price_of_decision(candles, plan.settings, row)
    side = 0 if state.wish_side == 2 else int64(state.wish_side)
    found = entry_violations(state, plan.settings, plan.policy, signal, side, entry)
    if found:
        state.refused += 1
        state.tick_price = entry  # what the refusal is told with
        heard = write_rejection(state, tables.events, found)
        return Phase.INSIDE, wake_if(heard, Wake.EVENTS)
    state.taken += 1
    place_order(state, plan, signal, tables, entry, tick)
    position = tables.trades[uint64(state.current)]
    if kind == OrderKind.MARKET:
        heard = fill_order(state, plan, tables, entry, tick, tick, False)
        heard = jump_gaps(state, plan, tables, candles.open[row], tick) or heard
        return Phase.INSIDE, wake_if(heard, Wake.EVENTS)
    heard = write_event(state, tables.events, tick, int64(EventKind.SCHEDULED), 0, entry)
    if is_reached(position, candles.open[row]):
        return Phase.AT_REST, wake_if(heard, Wake.EVENTS)
    return Phase.INSIDE, wake_if(heard, Wake.EVENTS)


# --------------------------------------------------------------------------------------- the end of the frame


@routine
def end_frame(state: Any, candles: Any, plan: Any, tables: Any, scratch: Any) -> Any:
    """FRAME_OVER: the last tick where no candle opens; its price is the last close, and nothing opens."""
    row = state.row
    if row == 0:
        return Phase.FRAME_OVER, Wake.DONE
    known, last = candles.close[uint64(row - 1)], state.frame_end
    state.tick_time, state.tick_price = last, known
    heard = False
    if has_status(state, tables, Status.OPEN):
        position = tables.trades[uint64(state.current)]
        if state.command_count:
            obey_commands(state, plan, tables, scratch, known, last)
        reason = reason_to_close(state, plan, position, tables.partials, last, known)
        state.taken += int64(reason == CloseReason.REVERSED and state.wish_opposite == OnOpposite.CLOSE)
        heard = end_trade(state, plan, tables, reason, last, known, False)
    elif has_status(state, tables, Status.RESTING):
        position = tables.trades[uint64(state.current)]
        reason = reason_to_cancel(state, plan.settings, position, last)
        heard = end_order(state, tables, reason, last, known)
    return Phase.FRAME_OVER, wake_if(heard, Wake.EVENTS)
