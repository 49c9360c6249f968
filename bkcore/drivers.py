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
    Command,
    Commit,
    Deferred,
    EventKind,
    Given,
    Listen,
    Phase,
    Status,
    Wake,
)
from bkcore.commands import execute, queue_commit, write_revision
from bkcore.hooks import MEMORY_SIZE, MOST_ORDERS, RAISED, call_kernel, call_manage
from bkcore.jit import routine, rule
from bkcore.machine import (
    branch_at,
    cancel_row,
    close_position,
    due_band,
    exit_of_candle,
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
from bkcore.pnl import renew
from bkcore.policy import apply_policy, is_woken, policy_band, wake_band
from bkcore.price_index import leaves_band
from bkcore.records import (
    FROM_SLOT,
    NEW_WAKE,
    NO_BUCKET,
)

_NO_BUCKET = int(NO_BUCKET)
_EVENTS_PER_CANDLE = 32
_ROWS_PER_CANDLE = 32  # what policy and hook may add to a table at one candle


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
def write_commit(state: Any, commits: Any, events: Any, time: Any, code: Any, price: Any) -> Any:
    """Announce the execution of a deferred command; commits that were still waiting are lost (spec engine.md 8.5)."""
    state.commit_count = state.commit_told
    queue_commit(state, commits, int64(code), price, np.nan)
    state.commit_told = state.commit_count
    return write_event(state, events, time, int64(EventKind.COMMIT), int64(code), price)


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
    after = state.last_bucket + state.interval - state.frame_start
    return max(state.frame_index, (after + state.frame_step - 1) // state.frame_step)


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
def deferred_exit(position: Any, deferred: Any, price: Any) -> Any:
    """Reason and price of a command that waited for this candle (spec engine.md 8.1 steps 2 - 4)."""
    if deferred == Deferred.TAKE_PROFIT_FILL:
        return int64(CloseReason.TAKE_PROFIT), position.active_take
    if deferred == Deferred.STOP_LOSS_FILL:
        return int64(CloseReason.STOP_LOSS), position.active_stop
    return int64(CloseReason.CLOSED), price


@rule
def exit_due(
    state: Any, settings: Any, position: Any, time: Any, price: Any, opened: Any, low: Any, high: Any
) -> Any:
    """Reason and price at which this candle ends the position, by a command or on its own; reason 0 if it does not."""
    if state.deferred != Deferred.NONE and time <= state.frame_end:
        return deferred_exit(position, state.deferred, opened if settings.touches else price)
    return exit_of_candle(position, settings, state.frame_end, time, price, opened, low, high)


@rule
def end_position(
    state: Any, settings: Any, tables: Any, events: Any, reason: Any, time: Any, price: Any
) -> Any:
    """Close the current position and say so; returns whether the caller wants to hear it."""
    trades, entries, partials, _, commits = tables
    position = trades[state.current]
    heard = False
    position.by_command = state.deferred != Deferred.NONE and time <= state.frame_end
    if position.by_command:
        heard = write_commit(state, commits, events, time, int64(Commit.CLOSE_PENDING), price)
    close_position(position, entries, partials, settings, reason, time, price)
    state.deferred = int64(Deferred.NONE)
    state.pending = 0
    state.has_wake = 0
    return write_event(state, events, time, int64(EventKind.CLOSED), reason, price) or heard


@rule
def end_resting(state: Any, tables: Any, events: Any, reason: Any, time: Any, price: Any) -> Any:
    """Cancel the current resting order and say so; returns whether the caller wants to hear it.

    A cancel by command is committed after it is told, and before that when no candle has passed (spec 8.8, 13.2).
    """
    trades, _, _, _, commits = tables
    position = trades[state.current]
    heard = False
    position.by_command = state.deferred != Deferred.NONE
    code = int64(Commit.CANCEL_SCHEDULED)
    first = reason == CancelReason.USER and state.phase == Phase.ENTRY
    if first:
        heard = write_commit(state, commits, events, time, code, price)
    cancel_row(position, reason, time, price)
    state.deferred = int64(Deferred.NONE)
    state.scheduled = 0
    if write_event(state, events, time, int64(EventKind.CANCELLED), reason, price):
        heard = True
    if reason == CancelReason.USER and not first and write_commit(state, commits, events, time, code, price):
        heard = True
    return heard


@rule
def fill_at_open(state: Any, tables: Any, opened: Any) -> None:
    """Where candles touch levels, a candle that opens beyond the limit fills the order at its open."""
    trades, entries, partials, revisions, _ = tables
    position = trades[state.current]
    if position.side * (opened - position.price_open) < 0.0:
        entries[position.entry_first].price = opened
        renew(position, entries, partials)
        write_revision(state, revisions, position)


@rule
def set_until_row(state: Any, settings: Any, position: Any, timestamps: Any) -> None:
    """Remember the first row at which the clock changes something: frame end, expiry, end of a chunk that is told."""
    until = min(state.frame_end + 1, time_of_expiry(position))
    if position.lifetime == np.inf and state.logs:
        until = min(until, state.chunk_end)
    if state.has_wake:
        until = min(until, state.wake_at)
    state.until_row = row_at(timestamps, settings.step_ms, until)


@rule
def start_position(state: Any, settings: Any, tables: Any, events: Any, timestamps: Any, time: Any) -> Any:
    """Open the current row at ``time`` and say so; returns whether the caller wants to hear it."""
    trades, entries, _, _, _ = tables
    position = trades[state.current]
    state.pending = 1
    state.scheduled = 0
    state.last_opened_id = position.id
    open_position(position, entries, time)
    set_until_row(state, settings, position, timestamps)
    return write_event(state, events, time, int64(EventKind.OPENED), 0, entries[position.entry_first].price)


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
def lacks_room(state: Any, tables: Any, events: Any) -> Any:
    """Whether a table could overflow before the next candle or tick asks again."""
    trades, entries, partials, revisions, commits = tables
    return (
        state.event_count + _EVENTS_PER_CANDLE > events.size
        or state.trade_count >= trades.size
        or state.entry_count + _ROWS_PER_CANDLE > entries.size
        or state.partial_count + _ROWS_PER_CANDLE > partials.size
        or state.revision_count + _ROWS_PER_CANDLE > revisions.size
        or state.commit_count + _ROWS_PER_CANDLE > commits.size
    )


@rule
def is_candidate(state: Any, signal: Any) -> Any:
    """Whether there is a candidate that is not the last opened signal again (spec engine.md 5, steps 8 to 11)."""
    if state.candidate == -1 or state.is_stopped:
        return False
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
def quiet_band(
    state: Any, settings: Any, policy: Any, position: Any, entries: Any, partials: Any, last: Any
) -> Any:
    """Prices ``(low, high)`` strictly between which a candle neither ends the position nor makes anybody act."""
    low, high = due_band(position, settings, state.logs)
    if state.has_policy:
        acts_low, acts_high = policy_band(settings, policy, position, entries, partials, last)
        low, high = max(low, acts_low), min(high, acts_high)
    if state.has_wake:
        acts_low, acts_high = wake_band(state, settings, position, entries, partials)
        low, high = max(low, acts_low), min(high, acts_high)
    return low, high


@rule
def glide(state: Any, settings: Any, policy: Any, tables: Any, events: Any, columns: Any, stops: Any) -> None:
    """Move ``state.row`` to the next candle that needs the ordinary step: one that may close the position.

    Quiet candles are jumped over; candles that only write events are told on the way, unless the caller
    ``stops`` there to listen.
    """
    timestamps, opened, high, low, series, floors, ceilings, lows, highs = columns
    trades, entries, partials, _, _ = tables
    position = trades[state.current]
    rises = position.side > 0
    end = min(state.until_row, timestamps.size)
    first = state.row
    row = first
    if row >= end:
        return
    due_low, due_high = quiet_band(state, settings, policy, position, entries, partials, series[row - 1])
    worst, best = due_low, due_high
    if state.logs:
        worst, best = extreme_band(position)
    count = state.event_count  # kept at hand: a store to the log could alias the state
    revision = state.revision_count - 1
    room = events.size - 2 * _EVENTS_PER_CANDLE
    acts = state.has_policy or state.has_wake
    while True:
        row = leaves_band(floors, ceilings, lows, highs, row, end, max(due_low, worst), min(due_high, best))
        if row >= end or stops or count > room:
            break
        price = series[row]
        time = timestamps[row]
        if floors[row] <= due_low or ceilings[row] >= due_high:
            if acts:
                break
            reason, _ = exit_of_candle(
                position, settings, state.frame_end, time, price, opened[row], low[row], high[row]
            )
            if reason:
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


@rule
def keep_memory(memory: Any) -> None:
    """Copy what a hook remembers: a call that raises is made again from there to find its error."""
    for k in range(MEMORY_SIZE):
        memory[MEMORY_SIZE + k] = memory[k]


@routine
def obey_hook(
    state: Any,
    settings: Any,
    tables: Any,
    columns: Any,
    market: Any,
    parameters: Any,
    memory: Any,
    orders: Any,
    scratch: Any,
) -> Any:
    """Let the ``manage`` hook see the candle and carry out its orders; returns whether it raised.

    It sees a copy of the position and the candles before this one, as a listener of its ping does.
    """
    timestamps, series = columns[0], columns[4]
    trades = tables[0]
    row = state.row
    time = timestamps[row]
    scratch[0] = trades[state.current]
    keep_memory(memory)
    opened, high, low, close, volume = market
    count = call_manage(
        state.manage_address,
        (
            time,
            series[row],
            series[row - 1],
            opened[:row],
            high[:row],
            low[:row],
            close[:row],
            volume[:row],
            scratch[0],
            parameters,
            memory[:MEMORY_SIZE],
            orders,
        ),
    )
    if count == RAISED:
        return True
    for k in range(min(count, MOST_ORDERS)):
        command = int64(orders[k, 0])
        trails = command == Command.TRAILING_STOP or command == Command.TRAILING_TAKE
        price = series[row] if trails else series[row - 1]
        execute(state, settings, tables, command, price, orders[k, 1], time)
    return False


@routine
def ask_kernel(state: Any, slot: Any, market: Any, parameters: Any, memory: Any) -> Any:
    """Ask the jitted strategy for a signal at this tick; returns whether it raised."""
    known = state.row
    signal = slot[0]
    signal.time = state.tick_time
    signal.id = -1
    signal.side = 0
    signal.price_open = np.nan
    signal.take_profit = np.nan
    signal.stop_loss = np.nan
    signal.lifetime = np.nan
    signal.cost = np.nan
    opened, high, low, close, volume = market
    keep_memory(memory)
    answer = call_kernel(
        state.kernel_address,
        (
            state.tick_time,
            state.tick_price,
            opened[:known],
            high[:known],
            low[:known],
            close[:known],
            volume[:known],
            parameters,
            memory[:MEMORY_SIZE],
            signal,
        ),
    )
    if answer == RAISED:
        return True
    if answer != 0:
        given = int64(0)
        if not np.isnan(signal.price_open):
            given |= int64(Given.PRICE_OPEN)
        if not np.isnan(signal.lifetime):
            given |= int64(Given.LIFETIME)
        if not np.isnan(signal.cost):
            given |= int64(Given.COST)
        signal.given = given
        state.candidate = FROM_SLOT
    return False


@routine
def advance(
    timestamps: Any,
    opened: Any,
    high: Any,
    low: Any,
    close: Any,
    volume: Any,
    series: Any,
    floors: Any,
    ceilings: Any,
    lows: Any,
    highs: Any,
    setting: Any,
    policies: Any,
    parameters: Any,
    memory: Any,
    orders: Any,
    signals: Any,
    slot: Any,
    scratch: Any,
    states: Any,
    trades: Any,
    entries: Any,
    partials: Any,
    revisions: Any,
    commits: Any,
    events: Any,
) -> Any:
    """Move a run on until its caller has something to do; returns a ``Wake`` code.

    timestamps : i8[n]        candle OPEN times, UTC ms
    opened, high, low, close, volume : f8[n]
    series : f8[n]            price of each candle (spec engine.md 3; its close where candles touch levels)
    floors, ceilings : f8[n]  what levels are held against; ``lows``, ``highs`` their block index
    setting, policies, states one record each (``SETTINGS``, ``POLICY``, ``STATE``)
    parameters, memory, orders   what hooks get: f8[p], f8[64] and its copy, f8[8, 2]
    signals                   candidates by time
    slot                      one signal: the answer to ``Wake.GET_SIGNAL``, with ``candidate = FROM_SLOT``
    scratch                   one position, for hooks to look at
    trades, entries, partials, revisions, commits, events   tables that fill up; ``Wake.GROW`` asks for room

    Call it again to continue; nothing is lost or repeated between calls.
    """
    settings = setting[0]
    policy = policies[0]
    state = states[0]
    tables = (trades, entries, partials, revisions, commits)
    market = (opened, high, low, close, volume)
    columns = (timestamps, opened, high, low, series, floors, ceilings, lows, highs)
    step = settings.step_ms
    size = timestamps.size
    phase = state.phase
    listen = state.listen
    jumps = state.skips != 0 and listen & (int64(Listen.IDLE) | int64(Listen.TICK)) == 0
    glides = state.skips != 0 and listen & (int64(Listen.ACTIVE_PING) | int64(Listen.MONITORED)) == 0
    glides = glides and state.manage_address == 0
    stops = listen >= int64(Listen.EVENTS)
    wake = int64(Wake.EVENTS)
    if state.has_wake == NEW_WAKE:
        state.has_wake = 1
        if state.pending:
            set_until_row(state, settings, trades[state.current], timestamps)
    while True:
        if phase == Phase.TICK:
            # ------------------------------------------------------------------ a tick (spec engine.md 4.2, 5)
            if state.is_stopped or state.frame_index >= state.frame_count:
                wake = int64(Wake.DONE)
                break
            if lacks_room(state, tables, events):
                wake = int64(Wake.GROW)
                break
            if jumps and state.has_queued == 0:
                if state.has_callback or state.kernel_address:
                    state.frame_index = next_bucket_frame(state)
                else:
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
                elif state.kernel_address:
                    if ask_kernel(state, slot, market, parameters, memory):
                        wake = int64(Wake.RAISED)
                        break
                else:
                    state.candidate = offered_signal(state, signals, bucket)
        if phase == Phase.ROUTE:
            phase = int64(Phase.IDLE)
            if state.candidate != -1:
                signal = slot[0] if state.candidate == FROM_SLOT else signals[state.candidate]
                if is_candidate(state, signal):
                    phase = int64(Phase.CANDIDATE)
                    if state.is_guarded and signal.given & int64(Given.FOREIGN_SYMBOL) == 0:
                        wake = int64(Wake.CANDIDATE)
                        break
        if phase == Phase.CANDIDATE:
            phase = int64(Phase.IDLE)
            if state.is_refused:
                state.is_refused = 0
                state.last_bucket = _NO_BUCKET  # asked again at the next tick (spec engine.md 5, step 12)
            else:
                signal = slot[0] if state.candidate == FROM_SLOT else signals[state.candidate]
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
                        state.chunk_end = state.tick_time + settings.await_ms + chunk * step
                        heard = write_event(
                            state,
                            events,
                            state.tick_time,
                            int64(EventKind.SCHEDULED),
                            0,
                            state.tick_price,
                        )
                    else:
                        state.chunk_end = state.tick_time + (chunk - settings.window) * step
                        heard = start_position(state, settings, tables, events, timestamps, state.tick_time)
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
            position = trades[state.current]
            if state.deferred != Deferred.NONE and state.deferred != Deferred.ACTIVATE:
                state.phase = phase
                phase = int64(Phase.AFTER_TRADE)
                time = state.tick_time
                price = state.tick_price
                if state.deferred == Deferred.CANCEL:
                    heard = end_resting(state, tables, events, int64(CancelReason.USER), time, price)
                else:
                    reason, price = deferred_exit(position, state.deferred, price)
                    heard = end_position(state, settings, tables, events, reason, time, price)
                if heard:
                    break
            else:
                phase = int64(Phase.EXIT)
                if position.status == Status.RESTING:
                    phase = int64(Phase.RESTING)
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
                state.phase = phase
                phase = int64(Phase.AFTER_TRADE)
                if end_resting(state, tables, events, reason, time, price):
                    break
            elif activates:
                phase = int64(Phase.ACTIVATION)
                if state.is_guarded:
                    wake = int64(Wake.ACTIVATION)
                    break
            else:
                phase = int64(Phase.AFTER_RESTING)
                if listen & int64(Listen.SCHEDULE_PING):
                    wake = int64(Wake.SCHEDULE_PING)
                    break
        if phase == Phase.ACTIVATION:
            # ------------------------------------------------------ a resting order is filled (spec engine.md 7.2, 7.3)
            position = trades[state.current]
            time = timestamps[state.row]
            price = series[state.row]
            if state.is_refused or state.deferred == Deferred.CANCEL:
                state.phase = phase
                phase = int64(Phase.AFTER_TRADE)
                state.is_refused = 0
                if state.deferred == Deferred.ACTIVATE:
                    state.deferred = int64(Deferred.NONE)  # dropped like one that a price has filled
                if end_resting(state, tables, events, int64(CancelReason.USER), time, price):
                    break
            else:
                phase = int64(Phase.NEXT)
                heard = False
                position.by_command = state.deferred == Deferred.ACTIVATE
                if position.by_command:
                    code = int64(Commit.ACTIVATE_SCHEDULED)
                    heard = write_commit(state, commits, events, time, code, price)
                elif settings.touches:
                    fill_at_open(state, tables, opened[state.row])
                state.deferred = int64(Deferred.NONE)
                if start_position(state, settings, tables, events, timestamps, time) or heard:
                    break
        if phase == Phase.AFTER_RESTING:
            state.row += 1
            phase = int64(Phase.RESTING)
            continue
        if phase == Phase.EXIT:
            # ------------------------------------------------------------- an open position (spec engine.md 8.1)
            if lacks_room(state, tables, events):
                wake = int64(Wake.GROW)
                break
            if glides and state.deferred == Deferred.NONE:
                glide(state, settings, policy, tables, events, columns, stops)
            position = trades[state.current]
            ended = state.row >= size
            if ended and (position.lifetime != np.inf or state.deferred != Deferred.NONE):
                wake = int64(Wake.OUT_OF_CANDLES)
                break
            row = state.row - ended
            time = timestamps[row]
            price = series[row]
            reason, exit_price = (
                int64(CloseReason.TIME_EXPIRED),
                price,
            )  # deviation 1: the data end at the present
            if not ended:
                reason, exit_price = exit_due(
                    state, settings, position, time, price, opened[row], low[row], high[row]
                )
            if reason:
                phase = int64(Phase.AFTER_TRADE)
                if end_position(state, settings, tables, events, reason, time, exit_price):
                    break
            else:
                phase = int64(Phase.WAKE)
                if tell_extreme(state, position, events, time, price):
                    break
        if phase == Phase.WAKE:
            # ------------------------------------------------------------ a monitored candle (spec engine.md 8.2)
            phase = int64(Phase.PING)
            if state.has_wake:
                position = trades[state.current]
                if is_woken(
                    state, settings, position, entries, partials, series[state.row], timestamps[state.row]
                ):
                    state.has_wake = 0
                    set_until_row(state, settings, position, timestamps)
                    wake = int64(Wake.WOKEN)
                    break
        if phase == Phase.PING:
            phase = int64(Phase.AFTER_PING)
            if listen & int64(Listen.ACTIVE_PING):
                wake = int64(Wake.ACTIVE_PING)
                break
        if phase == Phase.AFTER_PING:
            phase = int64(Phase.BREAKEVEN)
            row = state.row
            if state.has_policy:
                apply_policy(state, settings, policy, tables, series[row], series[row - 1], timestamps[row])
            if state.manage_address and obey_hook(
                state, settings, tables, columns, market, parameters, memory, orders, scratch
            ):
                wake = int64(Wake.RAISED)
                break
        if phase == Phase.BREAKEVEN:
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
            phase = int64(Phase.SETTLED)
            if listen & int64(Listen.MONITORED):
                wake = int64(Wake.MONITORED)
                break
        if phase == Phase.SETTLED:
            phase = int64(Phase.COMMITS)
            if state.pending == 0 and state.deferred != Deferred.CLOSE:
                state.commit_count = state.commit_told  # a fill took the position: its commits are lost
            state.commit_due = state.commit_count
        if phase == Phase.COMMITS:
            # -------------------------------------------------- what was commanded is announced (spec engine.md 8.5)
            if state.commit_told < state.commit_due:
                if state.event_count >= events.size:
                    wake = int64(Wake.GROW)
                    break
                commit = commits[state.commit_told]
                state.commit_told += 1
                if write_event(
                    state, events, timestamps[state.row], int64(EventKind.COMMIT), commit.code, commit.price
                ):
                    break
                continue
            phase = int64(Phase.NEXT)
        if phase == Phase.NEXT:
            position = trades[state.current]
            time = timestamps[state.row]
            if position.lifetime == np.inf and time >= state.chunk_end:
                chunk = max(1, settings.chunk_candles - settings.window + 1) * step
                state.chunk_end += ((time - state.chunk_end) // chunk + 1) * chunk
                set_until_row(state, settings, position, timestamps)
                if write_event(state, events, time, int64(EventKind.ACTIVE), 0, series[state.row]):
                    break
            state.row += 1
            phase = int64(Phase.EXIT)
            continue
        if phase == Phase.AFTER_TRADE:
            state.commit_count = state.commit_told
            state.frame_index = first_frame_after(state, trades[state.current].ended_at)
            phase = int64(Phase.TICK)
            continue
    state.phase = phase
    if state.pending:
        price_extremes(trades[state.current], entries, partials, settings)
    return wake
