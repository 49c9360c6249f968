"""How a run moves: one resumable kernel that steps, jumps and stops wherever its caller wants to listen.

``advance`` walks ticks and candles by the rules of :mod:`bkcore.machine` until the frame ends or something
happens that the caller asked to hear (``Listen``). Listening to everything makes it the step driver, to nothing
the run driver, and with ``state.skips`` it jumps over quiet candles. All three are this one function.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64

from bkcore.codes import (
    CancelReason,
    CloseReason,
    Deferred,
    EventKind,
    Given,
    Listen,
    Phase,
    Status,
    Violation,
    Wake,
)
from bkcore.jit import f8, i8, kernel, rule
from bkcore.machine import (
    MINUTE,
    branch_at,
    cancel_row,
    close_position,
    due_band,
    exit_price,
    exit_reason,
    extreme_band,
    mark_fall,
    mark_peak,
    open_position,
    price_extremes,
    progress_percent,
    reaches_breakeven,
    settle_extremes,
    time_of_expiry,
    update_extreme,
    write_row,
)
from bkcore.market import row_at
from bkcore.price_index import leaves_band
from bkcore.records import ENTRY, EVENT, NO_BUCKET, PARTIAL, POSITION, REVISION, SIGNAL, STATE, array_of
from bkcore.settings import SETTINGS

_NO_BUCKET = int(NO_BUCKET)
_EVENTS_PER_CANDLE = 32


@rule
def store_event(events: Any, index: Any, time: Any, kind: Any, code: Any, price: Any, revision: Any) -> None:
    """Fill a row of the log."""
    event = events[index]
    event.time = time
    event.price = price
    event.revision = revision
    event.kind = kind
    event.code = code


@rule
def write_event(state: Any, events: Any, time: Any, kind: Any, code: Any, price: Any) -> Any:
    """Append an event of the current row to the log; returns whether the caller wants to hear it now."""
    if state.logs == 0:
        return False
    store_event(events, state.event_count, time, kind, code, price, state.revision_count - 1)
    state.event_count += 1
    return state.listen & (int64(Listen.EVENTS) << int64(kind)) != 0


@rule
def write_rejection(state: Any, events: Any, found: Any) -> Any:
    """Append an invalid candidate to the log; returns whether the caller wants to hear it now."""
    state.rejected_count += 1
    state.violations = found
    if state.logs == 0:
        return False
    kind = int64(EventKind.REJECTED)
    store_event(events, state.event_count, state.tick_time, kind, 0, state.tick_price, state.candidate)
    state.event_count += 1
    return state.listen & (int64(Listen.EVENTS) << int64(EventKind.REJECTED)) != 0


@rule
def write_revision(state: Any, revisions: Any, position: Any) -> None:
    """Append how the position looks from now on; a row remembers its first revision."""
    if position.status == Status.RESTING:
        position.revision = state.revision_count
    revision = revisions[state.revision_count]
    revision.effective_open = position.effective_open
    revision.take_profit = position.active_take
    revision.stop_loss = position.active_stop
    revision.invested = position.invested
    revision.closed_percent = position.closed_percent
    revision.trade = state.current
    revision.entry_count = position.entry_count
    revision.partial_count = position.partial_count
    state.revision_count += 1


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
            bucket = time // state.interval * state.interval
            tick = max(now, bucket)
            if tick > now:
                index = (tick - state.frame_start + state.frame_step - 1) // state.frame_step
                tick = state.frame_start + index * state.frame_step
            else:
                index = state.frame_index
            offered = (
                time <= tick or state.has_holes
            )  # the tick may lie in a hole, and a later one ask instead
            if bucket != state.last_bucket and offered and tick < bucket + state.interval:
                state.signal_cursor = k
                return index
        k += 1
    state.signal_cursor = k
    return state.frame_count


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
def first_frame_after(state: Any, time: Any) -> Any:
    """Index of the first tick strictly after ``time``."""
    return max(state.frame_index, (time - state.frame_start) // state.frame_step + 1)


@rule
def deferred_reason(deferred: Any) -> Any:
    """Close reason of a command that waited for this candle (spec engine.md 8.1 steps 2 - 4)."""
    if deferred == Deferred.TAKE_PROFIT_FILL:
        return int64(CloseReason.TAKE_PROFIT)
    if deferred == Deferred.STOP_LOSS_FILL:
        return int64(CloseReason.STOP_LOSS)
    return int64(CloseReason.CLOSED)


@rule
def end_position(
    state: Any,
    settings: Any,
    trades: Any,
    entries: Any,
    partials: Any,
    events: Any,
    reason: Any,
    time: Any,
    price: Any,
) -> Any:
    """Close the current position and say so; returns whether the caller wants to hear it."""
    position = trades[state.current]
    price = exit_price(position, reason, price)
    position.by_command = state.deferred != Deferred.NONE and time <= state.frame_end
    close_position(position, entries, partials, settings, reason, time, price)
    state.deferred = int64(Deferred.NONE)
    state.pending = 0
    return write_event(state, events, time, int64(EventKind.CLOSED), reason, price)


@rule
def end_resting(state: Any, trades: Any, events: Any, reason: Any, time: Any, price: Any) -> Any:
    """Cancel the current resting order and say so; returns whether the caller wants to hear it."""
    position = trades[state.current]
    position.by_command = state.deferred != Deferred.NONE
    cancel_row(position, reason, time, price)
    state.deferred = int64(Deferred.NONE)
    state.scheduled = 0
    return write_event(state, events, time, int64(EventKind.CANCELLED), reason, price)


@rule
def set_until_row(state: Any, settings: Any, position: Any, timestamps: Any) -> None:
    """Remember the first row at which the clock changes something: frame end, expiry, end of a chunk."""
    until = min(state.frame_end + 1, time_of_expiry(position))
    if position.lifetime == np.inf:
        until = min(until, state.chunk_end)
    state.until_row = row_at(timestamps, settings.step_ms, until)


@rule
def start_position(state: Any, settings: Any, trades: Any, events: Any, timestamps: Any, time: Any) -> Any:
    """Open the current row at ``time`` and say so; returns whether the caller wants to hear it."""
    position = trades[state.current]
    state.pending = 1
    state.scheduled = 0
    state.last_opened_id = position.id
    open_position(position, time)
    set_until_row(state, settings, position, timestamps)
    return write_event(state, events, time, int64(EventKind.OPENED), 0, position.price_open)


@rule
def tell_extreme(state: Any, position: Any, events: Any, time: Any, price: Any) -> Any:
    """Branch, progress and extreme of a monitored candle, as they are before its ping (spec engine.md 8.2)."""
    state.branch = branch_at(position, price)
    state.progress = progress_percent(position, price)
    kind = update_extreme(position, state.branch, time, price)
    return kind >= 0 and write_event(state, events, time, kind, 0, price)


@rule
def tell_breakeven(state: Any, settings: Any, position: Any, events: Any, time: Any, price: Any) -> Any:
    """Say once that the breakeven threshold is reached (spec engine.md 8.6)."""
    if state.branch > 0 and position.breakeven_reached == 0 and reaches_breakeven(position, settings, price):
        position.breakeven_reached = 1
        return write_event(state, events, time, int64(EventKind.BREAKEVEN), 0, price)
    return False


@rule
def tell_levels(state: Any, position: Any, events: Any, time: Any, price: Any) -> Any:
    """Fire the levels that the progress before the ping has reached (spec engine.md 8.3)."""
    heard = False
    if state.branch > 0:
        while position.profit_level < 10 and state.progress >= 10.0 * (position.profit_level + 1):
            position.profit_level += 1
            level = position.profit_level * 10
            if write_event(state, events, time, int64(EventKind.PARTIAL_PROFIT), level, price):
                heard = True
    elif state.branch < 0:
        while position.loss_level < 10 and -state.progress >= 10.0 * (position.loss_level + 1):
            position.loss_level += 1
            level = position.loss_level * 10
            if write_event(state, events, time, int64(EventKind.PARTIAL_LOSS), level, price):
                heard = True
    return heard


@rule
def lacks_room(state: Any, trades: Any, entries: Any, revisions: Any, events: Any) -> Any:
    """Whether a table could overflow before the next candle or tick asks again."""
    return (
        state.event_count + _EVENTS_PER_CANDLE > events.size
        or state.trade_count >= trades.size
        or state.entry_count >= entries.size
        or state.revision_count >= revisions.size
    )


@rule
def is_candidate(state: Any, signals: Any) -> Any:
    """Whether there is a candidate that is not the last opened signal again (spec engine.md 5, steps 8 to 11)."""
    if state.candidate < 0 or state.is_stopped:
        return False
    signal = signals[state.candidate]
    if signal.given & int64(Given.NOTHING):
        return False
    foreign = signal.given & int64(Given.FOREIGN_SYMBOL) != 0
    return foreign or signal.id < 0 or signal.id != state.last_opened_id


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
def glide(
    state: Any,
    settings: Any,
    trades: Any,
    events: Any,
    timestamps: Any,
    series: Any,
    lows: Any,
    highs: Any,
    stops: Any,
) -> None:
    """Move ``state.row`` to the next candle that needs the ordinary step: one that may close the position.

    Quiet candles are jumped over; candles that only write events are told on the way, unless the caller
    ``stops`` there to listen.
    """
    position = trades[state.current]
    rises = position.side > 0
    end = min(state.until_row, timestamps.size)
    first = state.row
    row = first
    due_low, due_high = due_band(position, settings, state.logs)
    worst, best = due_low, due_high
    if state.logs:
        worst, best = extreme_band(position)
    count = state.event_count  # kept at hand: a store to the log could alias the state
    revision = state.revision_count - 1
    room = events.size - 2 * _EVENTS_PER_CANDLE
    while True:
        row = leaves_band(series, lows, highs, row, end, max(due_low, worst), min(due_high, best))
        if row >= end or stops or count > room:
            break
        price = series[row]
        time = timestamps[row]
        if not due_low < price < due_high:
            if exit_reason(position, state.frame_end, time, price):
                break
            state.event_count = count
            tell_extreme(state, position, events, time, price)
            tell_breakeven(state, settings, position, events, time, price)
            tell_levels(state, position, events, time, price)
            count = state.event_count
            due_low, due_high = due_band(position, settings, state.logs)
            worst, best = extreme_band(position)
        elif price > best or price < worst:
            # A price strictly beyond the extremes is what `update_extreme` would record.
            if (price > best) == rises:
                mark_peak(position, time, price)
                store_event(events, count, time, int64(EventKind.HIGHEST_PROFIT), 0, price, revision)
            else:
                mark_fall(position, time, price)
                store_event(events, count, time, int64(EventKind.MAX_DRAWDOWN), 0, price, revision)
            count += 1
            worst, best = min(worst, price), max(best, price)
        row += 1
    state.event_count = count
    state.row = row
    if state.logs == 0 and row > first:
        settle_extremes(position, timestamps, series, lows, highs, first, row)


@kernel(
    int64(
        i8,
        f8,
        f8,
        f8,
        f8,
        f8,
        array_of(SETTINGS),
        array_of(SIGNAL),
        array_of(STATE),
        array_of(POSITION),
        array_of(ENTRY),
        array_of(PARTIAL),
        array_of(REVISION),
        array_of(EVENT),
    )
)
def advance(
    timestamps: Any,
    high: Any,
    low: Any,
    series: Any,
    lows: Any,
    highs: Any,
    setting: Any,
    signals: Any,
    states: Any,
    trades: Any,
    entries: Any,
    partials: Any,
    revisions: Any,
    events: Any,
) -> Any:
    """Move a run on until its caller has something to do; returns a ``Wake`` code.

    timestamps : i8[n]        candle OPEN times, UTC ms
    high, low, series : f8[n] candle extremes and average price (spec engine.md 3)
    lows, highs               block index of ``series``
    setting, states           one record each (``SETTINGS``, ``STATE``)
    signals                   candidates by time; one slot when the caller answers ``Wake.GET_SIGNAL``
    trades, entries, partials, revisions, events   tables that fill up; ``Wake.GROW`` asks for room

    Call it again to continue; nothing is lost or repeated between calls.
    """
    settings = setting[0]
    state = states[0]
    step = settings.step_ms
    size = timestamps.size
    phase = state.phase
    listen = state.listen
    jumps = state.skips != 0 and listen & (int64(Listen.IDLE) | int64(Listen.TICK)) == 0
    glides = state.skips != 0 and listen & (int64(Listen.ACTIVE_PING) | int64(Listen.MONITORED)) == 0
    stops = listen >= int64(Listen.EVENTS)
    wake = int64(Wake.EVENTS)
    while True:
        if phase == Phase.TICK:
            # ------------------------------------------------------------------ a tick (spec engine.md 4.2, 5)
            if state.is_stopped or state.frame_index >= state.frame_count:
                wake = int64(Wake.DONE)
                break
            if lacks_room(state, trades, entries, revisions, events):
                wake = int64(Wake.GROW)
                break
            if jumps and state.has_callback == 0 and state.has_queued == 0:
                state.frame_index = next_asking_frame(state, signals)
                if state.frame_index >= state.frame_count:
                    continue
            state.tick_time = state.frame_start + state.frame_index * state.frame_step
            row = row_at(timestamps, step, state.tick_time)
            if row == 0 or timestamps[row - 1] != state.tick_time - step:
                state.frame_index += 1  # a hole that the caller chose to keep: nothing to decide on
                continue
            state.row = row
            state.tick_price = series[row - 1]
            phase = int64(Phase.ASK)
            if listen & int64(Listen.TICK):
                wake = int64(Wake.TICK)
                break
        if phase == Phase.ASK:
            bucket = state.tick_time // state.interval * state.interval
            state.candidate = -1
            phase = int64(Phase.ROUTE)
            if state.has_queued or bucket != state.last_bucket:
                state.last_bucket = bucket
                if state.is_paused:
                    state.last_bucket = _NO_BUCKET
                elif state.has_callback or state.has_queued:
                    wake = int64(Wake.GET_SIGNAL)
                    break
                else:
                    state.candidate = offered_signal(state, signals, bucket)
        if phase == Phase.ROUTE:
            phase = int64(Phase.IDLE)
            if is_candidate(state, signals):
                signal = signals[state.candidate]
                found = int64(Violation.SYMBOL)
                if signal.given & int64(Given.FOREIGN_SYMBOL) == 0:
                    found = write_row(state, settings, signal, trades, entries, partials)
                if found:
                    if write_rejection(state, events, found):
                        break
                else:
                    phase = int64(Phase.ENTRY)
                    state.current = state.trade_count
                    state.trade_count += 1
                    state.entry_count += 1
                    write_revision(state, revisions, trades[state.current])
                    chunk = settings.chunk_candles
                    if trades[state.current].was_scheduled:
                        state.scheduled = 1
                        state.chunk_end = state.tick_time + settings.await_ms + chunk * MINUTE
                        heard = write_event(
                            state, events, state.tick_time, int64(EventKind.SCHEDULED), 0, state.tick_price
                        )
                    else:
                        state.chunk_end = state.tick_time + (chunk - settings.window) * MINUTE
                        heard = start_position(state, settings, trades, events, timestamps, state.tick_time)
                    if heard:
                        break
        if phase == Phase.IDLE:
            phase = int64(Phase.AFTER_IDLE)
            if listen & int64(Listen.IDLE):
                wake = int64(Wake.IDLE)
                break
        if phase == Phase.AFTER_IDLE:
            state.frame_index += 1
            phase = int64(Phase.TICK)
            continue
        if phase == Phase.ENTRY:
            # ------------------------------ commands given while the signal was announced (spec engine.md 8.8)
            phase = int64(Phase.EXIT)
            if trades[state.current].status == Status.RESTING:
                phase = int64(Phase.RESTING)
            if state.deferred != Deferred.NONE and state.deferred != Deferred.ACTIVATE:
                phase = int64(Phase.AFTER_TRADE)
                time = state.tick_time
                price = state.tick_price
                if state.deferred == Deferred.CANCEL:
                    heard = end_resting(state, trades, events, int64(CancelReason.USER), time, price)
                else:
                    reason = deferred_reason(state.deferred)
                    heard = end_position(
                        state, settings, trades, entries, partials, events, reason, time, price
                    )
                if heard:
                    break
        if phase == Phase.RESTING:
            # -------------------------------------------------------- a resting order (spec engine.md 7.1, 7.2)
            if state.row >= size:
                wake = int64(Wake.OUT_OF_CANDLES)
                break
            position = trades[state.current]
            time = timestamps[state.row]
            price = series[state.row]
            worst = high[state.row] if position.side < 0 else low[state.row]
            reason = resting_end(state, settings, position, time, worst)
            activates = reason == CancelReason.NONE and (
                state.deferred == Deferred.ACTIVATE or position.side * (worst - position.price_open) <= 0.0
            )
            if activates and state.is_stopped:
                reason = int64(CancelReason.USER)
            if reason:
                phase = int64(Phase.AFTER_TRADE)
                if end_resting(state, trades, events, reason, time, price):
                    break
            elif activates:
                phase = int64(Phase.NEXT)
                position.by_command = state.deferred == Deferred.ACTIVATE
                state.deferred = int64(Deferred.NONE)
                if start_position(state, settings, trades, events, timestamps, time):
                    break
            else:
                phase = int64(Phase.AFTER_RESTING)
                if listen & int64(Listen.SCHEDULE_PING):
                    wake = int64(Wake.SCHEDULE_PING)
                    break
        if phase == Phase.AFTER_RESTING:
            state.row += 1
            phase = int64(Phase.RESTING)
            continue
        if phase == Phase.EXIT:
            # ------------------------------------------------------------- an open position (spec engine.md 8.1)
            if lacks_room(state, trades, entries, revisions, events):
                wake = int64(Wake.GROW)
                break
            if glides and state.deferred == Deferred.NONE:
                glide(state, settings, trades, events, timestamps, series, lows, highs, stops)
            position = trades[state.current]
            ended = state.row >= size
            if ended and (position.lifetime != np.inf or state.deferred != Deferred.NONE):
                wake = int64(Wake.OUT_OF_CANDLES)
                break
            time = timestamps[state.row - ended]
            price = series[state.row - ended]
            if ended:
                reason = int64(CloseReason.TIME_EXPIRED)  # deviation 1: the data end at the present
            elif state.deferred != Deferred.NONE and time <= state.frame_end:
                reason = deferred_reason(state.deferred)
            else:
                reason = exit_reason(position, state.frame_end, time, price)
            if reason:
                phase = int64(Phase.AFTER_TRADE)
                if end_position(state, settings, trades, entries, partials, events, reason, time, price):
                    break
            else:
                phase = int64(Phase.PING)
                if tell_extreme(state, position, events, time, price):
                    break
        if phase == Phase.PING:
            # ------------------------------------------------------------ a monitored candle (spec engine.md 8.2)
            phase = int64(Phase.AFTER_PING)
            if listen & int64(Listen.ACTIVE_PING):
                wake = int64(Wake.ACTIVE_PING)
                break
        if phase == Phase.AFTER_PING:
            phase = int64(Phase.LEVELS)
            if tell_breakeven(
                state, settings, trades[state.current], events, timestamps[state.row], series[state.row]
            ):
                break
        if phase == Phase.LEVELS:
            phase = int64(Phase.MONITORED)
            if tell_levels(state, trades[state.current], events, timestamps[state.row], series[state.row]):
                break
        if phase == Phase.MONITORED:
            phase = int64(Phase.NEXT)
            if listen & int64(Listen.MONITORED):
                wake = int64(Wake.MONITORED)
                break
        if phase == Phase.NEXT:
            phase = int64(Phase.EXIT)
            position = trades[state.current]
            time = timestamps[state.row]
            state.row += 1
            if position.lifetime == np.inf and time >= state.chunk_end:
                chunk = max(1, settings.chunk_candles - settings.window + 1) * MINUTE
                state.chunk_end += ((time - state.chunk_end) // chunk + 1) * chunk
                set_until_row(state, settings, position, timestamps)
                if write_event(state, events, time, int64(EventKind.ACTIVE), 0, series[state.row - 1]):
                    break
            continue
        if phase == Phase.AFTER_TRADE:
            state.frame_index = first_frame_after(state, trades[state.current].ended_at)
            phase = int64(Phase.TICK)
            continue
    state.phase = phase
    if state.pending:
        price_extremes(trades[state.current], entries, partials, settings)
    return wake
