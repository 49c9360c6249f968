"""What a run does in each phase of its life; :func:`bkcore.machine.advance.advance` calls them in turn.

A phase does its work and returns ``(phase, wake)``: where the run goes on, and why its caller has to act before;
``Wake.NONE`` when nobody has to. Shapes and units of what phases are given stand at ``advance``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, uint64

from bkcore.jit import rule
from bkcore.machine.codes import (
    CancelReason,
    CloseReason,
    Commit,
    Deferred,
    EventKind,
    Given,
    Listen,
    Phase,
    Status,
    Wake,
)
from bkcore.machine.commands import write_revision
from bkcore.machine.gliding import glide, set_until_row
from bkcore.machine.hook_calls import ask_kernel, obey_hook
from bkcore.machine.log_rows import (
    tell_breakeven,
    tell_extreme,
    tell_levels,
    write_commit,
    write_event,
    write_rejection,
)
from bkcore.machine.market import known_price, row_at
from bkcore.machine.policy import apply_policy, is_woken
from bkcore.machine.records import EVENTS_PER_CANDLE, FROM_SLOT, ROWS_PER_CANDLE
from bkcore.machine.rules import cancel_row, close_position, exit_of_candle, open_position, write_row
from bkcore.machine.throttle import (
    bucket_of,
    forget_bucket,
    next_asking_frame,
    next_bucket_frame,
    next_tick_frame,
    offered_signal,
)


@rule
def wake_if(heard: Any, wake: Any) -> Any:
    """``wake`` when somebody wants to hear."""
    return wake if heard else Wake.NONE


@rule
def candidate_of(state: Any, signals: Any, slot: Any) -> Any:
    """The candidate at hand: a row of the signals, or the slot that somebody has filled."""
    return slot[0] if state.candidate == FROM_SLOT else signals[state.candidate]


@rule
def lacks_room(state: Any, tables: Any) -> Any:
    """Whether a table could overflow before the next candle or tick asks again."""
    return (
        state.event_count + EVENTS_PER_CANDLE > tables.events.size
        or state.trade_count >= tables.trades.size
        or state.entry_count + ROWS_PER_CANDLE > tables.entries.size
        or state.partial_count + ROWS_PER_CANDLE > tables.partials.size
        or state.revision_count + ROWS_PER_CANDLE > tables.revisions.size
        or state.commit_count + ROWS_PER_CANDLE > tables.commits.size
    )


# -------------------------------------------------------------------------------- how a row begins and ends


@rule
def start_position(state: Any, settings: Any, tables: Any, timestamps: Any, time: Any) -> Any:
    """Open the current row at ``time`` and say so; returns whether the caller wants to hear it."""
    position = tables.trades[state.current]
    state.pending = 1
    state.scheduled = 0
    state.last_opened_id = position.id
    open_position(position, tables.entries, time)
    set_until_row(state, settings, position, timestamps)
    price = tables.entries[position.entry_first].price
    return write_event(state, tables.events, time, int64(EventKind.OPENED), 0, price)


@rule
def end_position(state: Any, settings: Any, tables: Any, reason: Any, time: Any, price: Any) -> Any:
    """Close the current position and say so; returns whether the caller wants to hear it."""
    position = tables.trades[state.current]
    heard = False
    position.by_command = state.deferred != Deferred.NONE and time <= state.frame_end
    if position.by_command:
        heard = write_commit(state, tables, time, int64(Commit.CLOSE_PENDING), price)
    close_position(position, tables.entries, tables.partials, settings, reason, time, price)
    state.deferred = int64(Deferred.NONE)
    state.pending = 0
    state.has_wake = 0
    return write_event(state, tables.events, time, int64(EventKind.CLOSED), reason, price) or heard


@rule
def end_resting(state: Any, tables: Any, reason: Any, time: Any, price: Any, is_new: Any) -> Any:
    """Cancel the current resting order and say so; returns whether the caller wants to hear it.

    A cancel by command is committed after it is told; before that when the order ``is_new``: no candle has passed
    (spec 8.8, 13.2).
    """
    position = tables.trades[state.current]
    heard = False
    position.by_command = state.deferred != Deferred.NONE
    code = int64(Commit.CANCEL_SCHEDULED)
    by_user = reason == CancelReason.USER
    if by_user and is_new:
        heard = write_commit(state, tables, time, code, price)
    cancel_row(position, reason, time, price)
    state.deferred = int64(Deferred.NONE)
    state.scheduled = 0
    if write_event(state, tables.events, time, int64(EventKind.CANCELLED), reason, price):
        heard = True
    if by_user and not is_new and write_commit(state, tables, time, code, price):
        heard = True
    return heard


# --------------------------------------------------------------------------- a tick (spec engine.md 4.2, 5)


@rule
def begin_tick(state: Any, candles: Any, prices: Any, plan: Any, tables: Any, jumps: Any) -> Any:
    """TICK: stand at the next tick that has a candle before it; with ``jumps``, at the next one that asks."""
    if state.is_stopped or state.frame_index >= state.frame_count:
        return Phase.TICK, Wake.DONE
    if lacks_room(state, tables):
        return Phase.TICK, Wake.GROW
    if jumps and state.has_queued == 0:
        if state.has_callback or state.kernel_address:
            state.frame_index = next_bucket_frame(state)
        else:
            state.frame_index = next_asking_frame(state, plan.signals)
        if state.frame_index >= state.frame_count:
            return Phase.TICK, Wake.NONE
    step = plan.settings.step_ms
    state.tick_time = state.frame_start + state.frame_index * state.frame_step
    row = row_at(candles.timestamps, step, state.tick_time)
    in_hole = row == 0 or candles.timestamps[row - 1] != state.tick_time - step
    if in_hole or (row < candles.timestamps.size and candles.timestamps[row] != state.tick_time):
        state.frame_index += 1  # a hole that the caller chose to keep: nothing to decide on, or to open in
        return Phase.TICK, Wake.NONE
    state.row = row
    state.tick_price = prices.values[row - 1]
    return Phase.ASK, wake_if(state.listen & int64(Listen.TICK), Wake.TICK)


@rule
def ask(state: Any, candles: Any, plan: Any, scratch: Any) -> Any:
    """ASK: get a candidate, once per bucket of the interval."""
    bucket = bucket_of(state.tick_time, state.interval)
    state.candidate = -1
    wake = Wake.NONE
    if state.has_queued or bucket != state.last_bucket:
        state.last_bucket = bucket
        if state.is_paused:
            forget_bucket(state)
        elif state.has_callback or state.has_queued:
            wake = Wake.GET_SIGNAL
        elif state.kernel_address:
            wake = wake_if(ask_kernel(state, candles, plan, scratch), Wake.RAISED)
        else:
            state.candidate = offered_signal(state, plan.signals, bucket)
    return Phase.ROUTE, wake


@rule
def is_candidate(state: Any, signal: Any) -> Any:
    """Whether there is a candidate that is not the last opened signal again (spec engine.md 5, steps 8 to 11)."""
    if state.is_stopped or signal.given & int64(Given.NOTHING):
        return False
    foreign = signal.given & int64(Given.FOREIGN_SYMBOL) != 0
    return foreign or signal.id < 0 or signal.id != state.last_opened_id


@rule
def route(state: Any, plan: Any, scratch: Any) -> Any:
    """ROUTE: a candidate is judged next, after the caller of a guarded run; without one the tick is idle."""
    if state.candidate == -1:
        return Phase.IDLE, Wake.NONE
    signal = candidate_of(state, plan.signals, scratch.slot)
    if not is_candidate(state, signal):
        return Phase.IDLE, Wake.NONE
    asks = state.is_guarded and signal.given & int64(Given.FOREIGN_SYMBOL) == 0
    return Phase.CANDIDATE, wake_if(asks, Wake.CANDIDATE)


@rule
def admit(state: Any, candles: Any, plan: Any, scratch: Any, tables: Any) -> Any:
    """CANDIDATE: make it a row that rests or opens at once, or reject it (spec engine.md 5, 6)."""
    if state.is_refused:
        state.is_refused = 0
        forget_bucket(state)  # spec engine.md 5, step 12
        return Phase.IDLE, Wake.NONE
    settings, trades = plan.settings, tables.trades
    signal = candidate_of(state, plan.signals, scratch.slot)
    found = write_row(state, settings, signal, trades, tables.entries, tables.partials)
    if found:
        return Phase.IDLE, wake_if(write_rejection(state, tables.events, found), Wake.EVENTS)
    state.current = state.trade_count
    state.trade_count += 1
    state.entry_count += 1
    position = trades[state.current]
    write_revision(state, tables.revisions, position)
    time, step = state.tick_time, settings.step_ms
    if position.was_scheduled:
        state.scheduled = 1
        state.chunk_end = time + settings.await_ms + settings.chunk_candles * step
        heard = write_event(state, tables.events, time, int64(EventKind.SCHEDULED), 0, state.tick_price)
    else:
        state.chunk_end = time + (settings.chunk_candles - settings.window) * step
        heard = start_position(state, settings, tables, candles.timestamps, time)
    return Phase.ENTRY, wake_if(heard, Wake.EVENTS)


@rule
def enter(state: Any, plan: Any, tables: Any) -> Any:
    """ENTRY: obey commands given while the signal was announced, before any candle (spec engine.md 8.8)."""
    position = tables.trades[state.current]
    if state.deferred == Deferred.NONE or state.deferred == Deferred.ACTIVATE:
        return (Phase.RESTING if position.status == Status.RESTING else Phase.EXIT), Wake.NONE
    time, price = state.tick_time, state.tick_price
    if state.deferred == Deferred.CANCEL:
        heard = end_resting(state, tables, int64(CancelReason.USER), time, price, True)
    else:
        reason, price = deferred_exit(position, state.deferred, price)
        heard = end_position(state, plan.settings, tables, reason, time, price)
    return Phase.AFTER_TRADE, wake_if(heard, Wake.EVENTS)


# --------------------------------------------------------------- a resting order (spec engine.md 7.1 - 7.3)


@rule
def resting_end(state: Any, settings: Any, position: Any, time: Any, worst: Any) -> Any:
    """Why a resting order is dropped at this candle, or 0; ``worst`` is its extreme towards the stop."""
    if time > state.frame_end:
        return int64(CancelReason.TIMEOUT)
    if state.deferred == Deferred.CANCEL:
        return int64(CancelReason.USER)
    if state.deferred == Deferred.ACTIVATE:
        return int64(CancelReason.NONE)
    if time - position.scheduled_at >= settings.await_ms:
        return int64(CancelReason.TIMEOUT)
    if position.side * (worst - position.stop_loss) <= 0.0:
        return int64(CancelReason.PRICE_REJECT)
    return int64(CancelReason.NONE)


@rule
def rest(state: Any, candles: Any, prices: Any, plan: Any, tables: Any) -> Any:
    """RESTING: drop the order, fill it, or let it rest for another candle."""
    row = state.row
    if row >= candles.timestamps.size:
        return Phase.RESTING, Wake.OUT_OF_CANDLES
    position = tables.trades[state.current]
    time = candles.timestamps[row]
    worst = candles.high[row] if position.side < 0 else candles.low[row]
    reason = resting_end(state, plan.settings, position, time, worst)
    activates = reason == CancelReason.NONE and (
        state.deferred == Deferred.ACTIVATE or position.side * (worst - position.price_open) <= 0.0
    )
    if activates and state.is_stopped:
        reason = int64(CancelReason.USER)
    if reason:
        heard = end_resting(state, tables, reason, time, prices.values[row], False)
        return Phase.AFTER_TRADE, wake_if(heard, Wake.EVENTS)
    if activates:
        return Phase.ACTIVATION, wake_if(state.is_guarded, Wake.ACTIVATION)
    return Phase.AFTER_RESTING, wake_if(state.listen & int64(Listen.SCHEDULE_PING), Wake.SCHEDULE_PING)


@rule
def activate(state: Any, candles: Any, prices: Any, plan: Any, tables: Any) -> Any:
    """ACTIVATION: fill the order, unless the caller of a guarded run refuses or a command cancels it."""
    position = tables.trades[state.current]
    time = candles.timestamps[state.row]
    price = prices.values[state.row]
    if state.is_refused or state.deferred == Deferred.CANCEL:
        state.is_refused = 0
        if state.deferred == Deferred.ACTIVATE:
            state.deferred = int64(Deferred.NONE)  # dropped like one that a price has filled
        heard = end_resting(state, tables, int64(CancelReason.USER), time, price, False)
        return Phase.AFTER_TRADE, wake_if(heard, Wake.EVENTS)
    heard = False
    position.by_command = state.deferred == Deferred.ACTIVATE
    if position.by_command:
        heard = write_commit(state, tables, time, int64(Commit.ACTIVATE_SCHEDULED), price)
    state.deferred = int64(Deferred.NONE)
    if start_position(state, plan.settings, tables, candles.timestamps, time):
        heard = True
    return Phase.NEXT, wake_if(heard, Wake.EVENTS)


# ---------------------------------------------------------------------- an open position (spec engine.md 8)


@rule
def deferred_exit(position: Any, deferred: Any, price: Any) -> Any:
    """Reason and price of a command that waited for this candle (spec engine.md 8.1 steps 2 - 4)."""
    if deferred == Deferred.TAKE_PROFIT_FILL:
        return int64(CloseReason.TAKE_PROFIT), position.active_take
    if deferred == Deferred.STOP_LOSS_FILL:
        return int64(CloseReason.STOP_LOSS), position.active_stop
    return int64(CloseReason.CLOSED), price


@rule
def exit_due(state: Any, position: Any, time: Any, price: Any) -> Any:
    """Reason and price at which this candle ends the position, by a command or on its own; reason 0 if it does not."""
    if state.deferred != Deferred.NONE and time <= state.frame_end:
        return deferred_exit(position, state.deferred, price)
    return exit_of_candle(position, state.frame_end, time, price)


@rule
def leave_or_stay(
    state: Any, candles: Any, prices: Any, plan: Any, tables: Any, glides: Any, stops: Any
) -> Any:
    """EXIT: look for a reason to close (spec engine.md 8.1); without one the candle is monitored, its extreme first."""
    if lacks_room(state, tables):
        return Phase.EXIT, Wake.GROW
    if glides and state.deferred == Deferred.NONE:
        glide(state, candles, prices, plan, tables, stops)
    position = tables.trades[uint64(state.current)]
    ended = state.row >= candles.timestamps.size
    if ended and (position.lifetime != np.inf or state.deferred != Deferred.NONE):
        return Phase.EXIT, Wake.OUT_OF_CANDLES
    row = uint64(state.row - ended)
    time = candles.timestamps[row]
    price = prices.values[row]
    reason, exit_price = int64(CloseReason.TIME_EXPIRED), price  # deviation 1: the data end at the present
    if not ended:
        reason, exit_price = exit_due(state, position, time, price)
    if reason:
        heard = end_position(state, plan.settings, tables, reason, time, exit_price)
        return Phase.AFTER_TRADE, wake_if(heard, Wake.EVENTS)
    return Phase.WAKE, wake_if(tell_extreme(state, position, tables.events, time, price), Wake.EVENTS)


@rule
def wake_caller(state: Any, candles: Any, prices: Any, plan: Any, tables: Any) -> Any:
    """WAKE: say once that a condition holds on which the caller wants to be woken."""
    if state.has_wake == 0:
        return Phase.PING, Wake.NONE
    position = tables.trades[state.current]
    price, time = prices.values[state.row], candles.timestamps[state.row]
    if not is_woken(state, plan.settings, position, tables.entries, tables.partials, price, time):
        return Phase.PING, Wake.NONE
    state.has_wake = 0
    set_until_row(state, plan.settings, position, candles.timestamps)
    return Phase.PING, Wake.WOKEN


@rule
def manage(state: Any, candles: Any, prices: Any, plan: Any, tables: Any, scratch: Any) -> Any:
    """AFTER_PING: the policy speaks after the listeners of the ping, the ``manage`` hook after the policy."""
    row = state.row
    if state.has_policy:
        price, known = prices.values[row], known_price(candles, prices, plan.settings, row)
        apply_policy(state, plan.settings, plan.policy, tables, price, known, candles.timestamps[row])
    raised = state.manage_address != 0 and obey_hook(state, candles, prices, plan, tables, scratch)
    return Phase.BREAKEVEN, wake_if(raised, Wake.RAISED)


@rule
def reach_breakeven(state: Any, candles: Any, prices: Any, plan: Any, tables: Any) -> Any:
    """BREAKEVEN: say once that the threshold is reached (spec engine.md 8.6)."""
    position, row = tables.trades[uint64(state.current)], uint64(state.row)
    time, price = candles.timestamps[row], prices.values[row]
    heard = tell_breakeven(state, plan.settings, position, tables.events, time, price)
    return Phase.LEVELS, wake_if(heard, Wake.EVENTS)


@rule
def reach_levels(state: Any, candles: Any, prices: Any, tables: Any) -> Any:
    """LEVELS: say which tenths of the way are reached (spec engine.md 8.3)."""
    position, row = tables.trades[uint64(state.current)], uint64(state.row)
    heard = tell_levels(state, position, tables.events, candles.timestamps[row], prices.values[row])
    return Phase.MONITORED, wake_if(heard, Wake.EVENTS)


@rule
def settle(state: Any) -> Any:
    """SETTLED: commits of this candle are due; those of a position that a fill took are lost (spec engine.md 8.5)."""
    if state.pending == 0 and state.deferred != Deferred.CLOSE:
        state.commit_count = state.commit_told
    state.commit_due = state.commit_count
    return Phase.COMMITS


@rule
def announce(state: Any, candles: Any, tables: Any) -> Any:
    """COMMITS: tell the next commit that is due (spec engine.md 8.5)."""
    if state.commit_told >= state.commit_due:
        return Phase.NEXT, Wake.NONE
    if state.event_count >= tables.events.size:
        return Phase.COMMITS, Wake.GROW
    commit = tables.commits[state.commit_told]
    state.commit_told += 1
    time = candles.timestamps[state.row]
    heard = write_event(state, tables.events, time, int64(EventKind.COMMIT), commit.code, commit.price)
    return Phase.COMMITS, wake_if(heard, Wake.EVENTS)


@rule
def finish_candle(state: Any, candles: Any, prices: Any, plan: Any, tables: Any) -> Any:
    """NEXT: go on to the next candle; of a position without a lifetime say that it lives, once a chunk of candles."""
    settings = plan.settings
    position = tables.trades[uint64(state.current)]
    time = candles.timestamps[uint64(state.row)]
    if position.lifetime == np.inf and time >= state.chunk_end:
        chunk = max(1, settings.chunk_candles - settings.window + 1) * settings.step_ms
        state.chunk_end += ((time - state.chunk_end) // chunk + 1) * chunk
        set_until_row(state, settings, position, candles.timestamps)
        price = prices.values[state.row]
        if write_event(state, tables.events, time, int64(EventKind.ACTIVE), 0, price):
            return Phase.NEXT, Wake.EVENTS
    state.row += 1
    return Phase.EXIT, Wake.NONE


@rule
def leave_trade(state: Any, tables: Any) -> Any:
    """AFTER_TRADE: the next tick is the first one after the end of the row."""
    state.commit_count = state.commit_told
    state.frame_index = next_tick_frame(state, tables.trades[state.current].ended_at)
    return Phase.TICK
