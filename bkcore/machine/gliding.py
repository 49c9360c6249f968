"""How a run jumps over quiet candles: the band in which nobody acts, and the way to the candle that leaves it.

An optimisation, never a second meaning: what happens at a candle is said by the rules that a step applies, and
``tests/property/test_quiet_band.py`` looks for a change inside the band.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bkcore.jit import rule
from bkcore.machine.log_rows import store_event, tell_breakeven, tell_extreme, tell_levels
from bkcore.machine.market import row_at
from bkcore.machine.policy import policy_band, wake_band
from bkcore.machine.price_index import leaves_band
from bkcore.machine.records import EVENTS_PER_CANDLE
from bkcore.machine.rules import (
    due_band,
    exit_of_candle,
    extreme_band,
    last_moment,
    mark_extreme,
    settle_extremes,
)


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
def set_until_row(state: Any, settings: Any, position: Any, timestamps: Any) -> None:
    """Remember the first row at which the clock changes something: the end, a chunk that is told, a time to wake."""
    until = last_moment(position, state.frame_end) + 1
    if position.lifetime == np.inf and state.logs:
        until = min(until, state.chunk_end)
    if state.has_wake:
        until = min(until, state.wake_at)
    state.until_row = row_at(timestamps, settings.step_ms, until)


@rule
def glide(state: Any, candles: Any, prices: Any, plan: Any, tables: Any, stops: Any) -> None:
    """Move ``state.row`` to the next candle that needs the ordinary step: one that may close the position.

    Quiet candles are jumped over; candles that only write events are told on the way, unless the caller
    ``stops`` there to listen.
    """
    settings, timestamps, series, events = plan.settings, candles.timestamps, prices.values, tables.events
    position = tables.trades[state.current]
    rises = position.side > 0
    end = min(state.until_row, timestamps.size)
    first = state.row
    row = first
    if row >= end:
        return
    due_low, due_high = quiet_band(
        state, settings, plan.policy, position, tables.entries, tables.partials, series[row - 1]
    )
    worst, best = due_low, due_high
    if state.logs:
        worst, best = extreme_band(position)
    count = state.event_count  # kept at hand: a store to the log could alias the state
    revision = state.revision_count - 1
    room = events.size - 2 * EVENTS_PER_CANDLE
    acts = state.has_policy or state.has_wake
    while True:
        low, high = max(due_low, worst), min(due_high, best)
        row = leaves_band(prices.floors, prices.ceilings, prices.lows, prices.highs, row, end, low, high)
        if row >= end or stops or count > room:
            break
        price = series[row]
        time = timestamps[row]
        if prices.floors[row] <= due_low or prices.ceilings[row] >= due_high:
            if acts:
                break
            reason, _ = exit_of_candle(position, state.frame_end, time, price)
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
            # Strictly beyond the band of `extreme_band`: what `update_extreme` would record.
            kind = mark_extreme(position, 1 if (price > best) == rises else -1, time, price)
            store_event(events, count, time, kind, 0, price, revision)
            count += 1
            worst, best = min(worst, price), max(best, price)
        row += 1
    state.event_count = count
    state.row = row
    if state.logs == 0 and row > first:
        settle_extremes(position, timestamps, series, series, prices.lows, prices.highs, first, row, 0)
