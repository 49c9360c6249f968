"""How a run at real prices jumps over quiet candles, to the next one at which anything may happen.

An optimisation, never a second meaning: what happens at a candle is said by the phases of a step, and
``tests/property/test_fill_drivers.py`` holds the drivers together. A band may be narrower than necessary, never wider:
the candle at its edge is stepped in the ordinary way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, uint64

from bkcore.jit import routine, rule
from bkcore.machine.codes import Deferred, Listen, OrderKind, Status
from bkcore.machine.fills.at_end import tell_extremes
from bkcore.machine.fills.at_open import has_status
from bkcore.machine.fills.levels import expiry_of, next_entry, next_loss, next_profit
from bkcore.machine.log_rows import store_event
from bkcore.machine.market import row_at
from bkcore.machine.policy import price_of_pnl, trailed_stop, trailed_take
from bkcore.machine.price_index import first_maximum, first_minimum, leaves_band
from bkcore.machine.records import EVENTS_PER_CANDLE
from bkcore.machine.rules import due_band, extreme_band, mark_extreme, settle_extremes

_MARGIN = 4e-9  # relative: more than rounding and the tolerance of a percent
_NEVER = np.iinfo(np.int64).max


@rule
def lower(best: Any, price: Any) -> Any:
    """The lower of two; a price that is missing is none."""
    return price if price < best else best


@rule
def upper(worst: Any, price: Any) -> Any:
    """The higher of two; a price that is missing is none."""
    return price if price > worst else worst


@rule
def moved(side: Any, entry: Any, percent: Any) -> Any:
    """A little less than the side's price that has moved by ``percent`` from ``entry``."""
    way = entry * (percent * 0.01)
    return side * entry + way - _MARGIN * (entry + abs(way))


@routine
def policy_edges(state: Any, plan: Any, position: Any, entries: Any, partials: Any) -> Any:
    """Prices times the side, ``(worst, best)``, strictly between which no rule of the policy acts."""
    settings, policy, side, entry = plan.settings, plan.policy, position.side, position.effective_open
    best, worst = np.inf, -np.inf
    stop, take = side * position.active_stop, side * position.active_take
    if policy.breakeven_from != np.inf:
        at = side * entry + entry * (policy.breakeven_offset * 0.01)
        if not stop >= at + _MARGIN * entry:
            best = lower(best, moved(side, entry, policy.breakeven_from))
    if not np.isnan(position.trail_distance):
        tightens = stop + position.trail_distance
        starts = moved(side, entry, policy.stop_from_move)
        best = lower(best, upper(starts, tightens - _MARGIN * abs(tightens)))
    elif policy.stop_from != np.inf:
        tightens = stop / trailed_stop(side, 1.0, policy.stop_distance)
        starts = moved(side, entry, policy.stop_from)
        best = lower(best, upper(starts, tightens - _MARGIN * abs(tightens)))
    if policy.take_from != np.inf:
        tightens = take / trailed_take(side, 1.0, policy.take_distance)
        starts = -moved(-side, entry, policy.take_from)
        worst = upper(worst, lower(starts, tightens + _MARGIN * abs(tightens)))
    if policy.close_profit != np.inf:
        at = side * price_of_pnl(position, partials, settings, policy.close_profit)
        best = lower(best, at - _MARGIN * (entry + abs(at - side * entry)))
    if policy.close_loss != np.inf:
        at = side * price_of_pnl(position, partials, settings, -policy.close_loss)
        worst = upper(worst, at + _MARGIN * (entry + abs(at - side * entry)))
    return worst, best


@rule
def acting_band(state: Any, plan: Any, position: Any, entries: Any, partials: Any) -> Any:
    """Prices ``(low, high)`` strictly between which a candle changes nothing but the extremes of the position."""
    side, policy = position.side, plan.policy
    worst, best = -np.inf, np.inf
    if state.has_policy or not np.isnan(position.trail_distance):
        worst, best = policy_edges(state, plan, position, entries, partials)
        worst = upper(worst, side * next_loss(position, policy))
        worst = upper(worst, side * next_entry(position, policy, entries))
        best = lower(best, side * next_profit(position, policy))
    worst = upper(worst, side * position.active_stop)
    best = lower(best, side * position.active_take)
    low, high = (worst, best) if side > 0 else (-best, -worst)
    if state.has_wake:
        low, high = upper(low, state.wake_below), lower(high, state.wake_above)
        if state.wake_pnl_above != np.inf or state.wake_pnl_below != -np.inf:
            return np.inf, -np.inf
    return low, high


@rule
def telling_band(position: Any, settings: Any) -> Any:
    """Prices ``(low, high)`` strictly between which the log has nothing but extremes to tell."""
    low, high = due_band(position, settings, 1)
    return upper(-np.inf, low), lower(np.inf, high)


@routine
def tell_jump(state: Any, candles: Any, prices: Any, plan: Any, tables: Any, end: Any, band: Any) -> Any:
    """Write into the log what happens before a candle acts, at ``end`` at the latest; returns the row of that candle.

    band   strictly between its two prices a candle does not act
    """
    position, events = tables.trades[uint64(state.current)], tables.events
    step, rises, (low, high) = plan.settings.step_ms, position.side > 0, band
    room = events.size - 2 * EVENTS_PER_CANDLE
    due_low, due_high = telling_band(position, plan.settings)
    least, most = extreme_band(position)
    count = state.event_count  # kept at hand: a store to the log could alias the state
    revision = state.revision_count - 1
    row = state.row
    while True:
        row = leaves_band(
            *(prices.floors, prices.ceilings, prices.lows, prices.highs, row, end),
            *(max(low, due_low, least), min(high, due_high, most)),
        )
        if row >= end or count > room:
            break
        floor, ceiling = prices.floors[uint64(row)], prices.ceilings[uint64(row)]
        if floor <= low or ceiling >= high:
            break
        time = candles.timestamps[uint64(row)] + step
        if floor <= due_low or ceiling >= due_high:
            adverse, favour = (floor, ceiling) if rises else (ceiling, floor)
            state.event_count = count
            tell_extremes(state, plan.settings, position, events, time, adverse, favour)
            count = state.event_count
            due_low, due_high = telling_band(position, plan.settings)
            least, most = extreme_band(position)
        else:  # strictly beyond the band of `extreme_band`: what `update_extreme` would record, the adverse one first
            for k in range(2):
                if (k == 0) == rises:
                    if floor < least:
                        kind = mark_extreme(position, -1 if rises else 1, time, floor)
                        store_event(events, count, time, kind, 0, floor, revision)
                        count += 1
                        least = floor
                elif ceiling > most:
                    kind = mark_extreme(position, 1 if rises else -1, time, ceiling)
                    store_event(events, count, time, kind, 0, ceiling, revision)
                    count += 1
                    most = ceiling
        row += 1
    state.event_count = count
    return row


@routine
def settle_jump(plan: Any, candles: Any, prices: Any, position: Any, first: Any, end: Any, logs: Any) -> None:
    """Give the position the best and the worst of the candles ``[first, end)`` that were jumped over."""
    if logs == 0:
        settle_extremes(
            *(position, candles.timestamps, prices.floors, prices.ceilings, prices.lows, prices.highs),
            *(first, end, plan.settings.step_ms),
        )
    if plan.policy.by_close == 0:
        position.best, position.worst = position.peak_price, position.fall_price
        return
    settle_closes(candles, prices, position, first, end)


@rule
def settle_closes(candles: Any, prices: Any, position: Any, first: Any, end: Any) -> None:
    """The best and the worst close of ``[first, end)``, where the policy goes by closes."""
    worst, best = position.worst, position.best
    if position.side < 0:
        worst, best = best, worst
    up = first_maximum(candles.close, prices.highs, first, end, best)
    best = candles.close[up] if up >= 0 else best
    down = first_minimum(candles.close, prices.lows, first, end, worst)
    worst = candles.close[down] if down >= 0 else worst
    if position.side < 0:
        worst, best = best, worst
    position.worst, position.best = worst, best


@rule
def row_of_decision(decisions: Any, k: Any) -> Any:
    """The candle of decision ``k``; past all candles where there is none."""
    return decisions[uint64(k)].row if k < decisions.size else _NEVER


@rule
def seek_decision(state: Any, decisions: Any) -> None:
    """Move the cursor to the first decision that is not before the candle at hand."""
    k, row = state.decision, state.row
    width = int64(1)
    while k + width <= decisions.size and decisions[uint64(k + width - 1)].row < row:
        k += width
        width *= 2
    while width > 1:
        width //= 2
        if k + width <= decisions.size and decisions[uint64(k + width - 1)].row < row:
            k += width
    state.decision = k


@rule
def next_concern(state: Any, decisions: Any, side: Any) -> Any:
    """The next candle at which a decision concerns a position, or an order, of ``side``."""
    seek_decision(state, decisions)
    k = state.decision
    if k >= decisions.size:
        return int64(_NEVER)
    decision = decisions[uint64(k)]
    return row_of_decision(decisions, decision.next_long if side > 0 else decision.next_short)


@rule
def next_asking_row(state: Any, candles: Any, step: Any) -> Any:
    """The next candle at which the strategy is asked (see ``is_time_to_ask``)."""
    if state.has_queued:
        return state.row
    if state.has_callback == 0 and state.kernel_address == 0:
        return int64(_NEVER)
    row, timestamps = max(state.row, int64(1)), candles.timestamps
    if row >= timestamps.size:
        return int64(_NEVER)
    closed = timestamps[uint64(row - 1)] + step
    due = -(-closed // state.interval) * state.interval
    while row < state.end_row:
        row = row_at(timestamps, step, due)
        if row >= timestamps.size:
            break
        time, closed = timestamps[uint64(row)], timestamps[uint64(row - 1)] + step
        if time == due or closed == due:
            return row
        due = -(-time // state.interval) * state.interval  # the time that was due lies in a hole
    return int64(_NEVER)


@rule
def jump_held(state: Any, candles: Any, prices: Any, plan: Any, tables: Any, end: Any) -> None:
    """Move on to the next candle that may change the open position; the log is written on the way."""
    position = tables.trades[uint64(state.current)]
    settings, timestamps, step = plan.settings, candles.timestamps, plan.settings.step_ms
    first = state.row
    if state.has_decisions:
        end = min(end, next_concern(state, plan.decisions, position.side))
    until = min(expiry_of(position), position.next_step_at)
    if state.has_wake:
        until = min(until, state.wake_at - step)
    if until != _NEVER:
        end = min(end, row_at(timestamps, step, until))
    if first >= end:
        return
    low, high = acting_band(state, plan, position, tables.entries, tables.partials)
    if state.logs == 0:
        row = leaves_band(prices.floors, prices.ceilings, prices.lows, prices.highs, first, end, low, high)
    elif state.listen >= int64(Listen.EVENTS):
        due_low, due_high = telling_band(position, settings)
        least, most = extreme_band(position)
        row = leaves_band(
            *(prices.floors, prices.ceilings, prices.lows, prices.highs, first, end),
            *(max(low, due_low, least), min(high, due_high, most)),
        )
    else:
        row = tell_jump(state, candles, prices, plan, tables, end, (low, high))
    if row > first:
        settle_jump(plan, candles, prices, position, first, row, state.logs)
        state.row = row


@routine
def jump_resting(state: Any, candles: Any, prices: Any, plan: Any, tables: Any, end: Any) -> None:
    """Move on to the next candle that may fill or end the resting order."""
    position = tables.trades[uint64(state.current)]
    if state.has_decisions:
        end = min(end, next_concern(state, plan.decisions, position.side))
    patience = position.scheduled_at + plan.settings.await_ms
    end = min(end, row_at(candles.timestamps, plan.settings.step_ms, patience))
    if state.row >= end:
        return
    rises = (position.side > 0) == (position.order_kind == OrderKind.STOP)  # it waits for a price above
    low, high = (-np.inf, position.price_open) if rises else (position.price_open, np.inf)
    state.row = leaves_band(
        prices.floors, prices.ceilings, prices.lows, prices.highs, state.row, end, low, high
    )


@rule
def jump(state: Any, candles: Any, prices: Any, plan: Any, tables: Any) -> None:
    """Move ``state.row`` to the next candle at which anything may happen."""
    listen = state.listen
    if listen & int64(Listen.TICK) or state.deferred != Deferred.NONE or state.command_count:
        return
    end = state.end_row
    if end and candles.timestamps[uint64(end - 1)] >= state.frame_end:
        end -= 1  # the candle of the last tick ends what is open
    step = plan.settings.step_ms
    if has_status(state, tables, Status.OPEN):
        if listen & int64(Listen.ACTIVE_PING | Listen.MONITORED) or state.manage_address:
            return
        if state.asks_in_position:
            end = min(end, next_asking_row(state, candles, step))
        jump_held(state, candles, prices, plan, tables, end)
    elif has_status(state, tables, Status.RESTING):
        if listen & int64(Listen.SCHEDULE_PING) or state.is_stopped:
            return
        if state.asks_in_position:
            end = min(end, next_asking_row(state, candles, step))
        jump_resting(state, candles, prices, plan, tables, end)
    elif listen & int64(Listen.IDLE) == 0:
        due = next_asking_row(state, candles, step)
        if state.has_decisions:
            seek_decision(state, plan.decisions)
            k = state.decision
            if k < plan.decisions.size:
                due = min(due, row_of_decision(plan.decisions, plan.decisions[uint64(k)].next_entry))
        state.row = min(max(state.row, due), state.end_row)
