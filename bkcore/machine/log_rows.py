"""How a run writes its log: an event per row, in the order in which things happen (spec engine.md 8.2 - 8.6, 13.1).

Whoever writes one learns whether the caller of the run wants to hear it at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64

from bkcore.jit import rule
from bkcore.machine.codes import EventKind, Listen
from bkcore.machine.commands import queue_commit
from bkcore.machine.rules import branch_at, progress_percent, reaches_breakeven, reaches_level, update_extreme


@rule
def is_heard(state: Any, kind: Any) -> Any:
    """Whether the caller listens to events of this kind."""
    return state.listen & (int64(Listen.EVENTS) << int64(kind)) != 0


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
    return is_heard(state, kind)


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
    return is_heard(state, kind)


@rule
def write_commit(state: Any, tables: Any, time: Any, code: Any, price: Any) -> Any:
    """Announce the execution of a deferred command; commits that were still waiting are lost (spec engine.md 8.5)."""
    state.commit_count = state.commit_told
    queue_commit(state, tables.commits, int64(code), price, np.nan)
    state.commit_told = state.commit_count
    return write_event(state, tables.events, time, int64(EventKind.COMMIT), int64(code), price)


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
        while reaches_level(position.profit_level, state.progress):
            position.profit_level += 1
            level = position.profit_level * 10
            if write_event(state, events, time, int64(EventKind.PARTIAL_PROFIT), level, price):
                heard = True
    elif state.branch < 0:
        while reaches_level(position.loss_level, -state.progress):
            position.loss_level += 1
            level = position.loss_level * 10
            if write_event(state, events, time, int64(EventKind.PARTIAL_LOSS), level, price):
                heard = True
    return heard
