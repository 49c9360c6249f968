"""Where the levels of a position lie at real prices, and what moves them (spec fills.md 1, 2, 5).

``side`` is +1 or -1. A level that is missing is NaN, and no price is ever at it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, uint64

from bkcore.intervals import MINUTE_MS
from bkcore.jit import rule
from bkcore.machine.policy import MOST_LEVELS
from bkcore.machine.rules import bracket_price

MINUTE = MINUTE_MS
_NEVER = np.iinfo(np.int64).max


@rule
def at_least(value: Any, limit: Any) -> Any:
    """``value >= limit``, inclusive up to 1e-9 relative (spec fills.md 12)."""
    return value >= limit or abs(value - limit) <= 1e-9 * max(abs(value), abs(limit))


@rule
def is_adverse(side: Any, price: Any, level: Any) -> Any:
    """Whether ``price`` is at or beyond ``level`` on the adverse side."""
    return side * (price - level) <= 0.0


@rule
def is_favourable(side: Any, price: Any, level: Any) -> Any:
    """Whether ``price`` is at or beyond ``level`` on the favourable side."""
    return side * (price - level) >= 0.0


@rule
def nearer(side: Any, one: Any, other: Any) -> Any:
    """The target that is reached first; NaN only when both are."""
    if np.isnan(one):
        return other
    return other if side * (other - one) < 0.0 else one


@rule
def renew_target(position: Any, policy: Any, time: Any) -> None:
    """Write the target in force in the candle that opens at ``time``, and until when it holds (spec fills.md 5)."""
    position.next_step_at = _NEVER
    step = np.nan
    if policy.step_count:
        minutes = (time - position.pending_at) / np.float64(MINUTE)
        for k in range(min(policy.step_count, MOST_LEVELS)):
            since = policy.step_minutes[uint64(k)]
            if since > minutes:
                position.next_step_at = position.pending_at + int64(np.ceil(since * MINUTE))
                break
            share = policy.step_percent[uint64(k)] / 100.0
            step = bracket_price(position.effective_open, position.side, share)
    position.active_take = nearer(position.side, position.given_take, step)


@rule
def next_loss(position: Any, policy: Any) -> Any:
    """The level of the next partial loss."""
    number = uint64(position.loss_rules_done)
    if position.loss_rules_done >= policy.loss_count:
        return np.nan
    entry, share = position.effective_open, policy.loss_at[number] / 100.0
    if policy.loss_of_entry:
        return bracket_price(entry, -position.side, share)
    return entry + share * (position.active_stop - entry)


@rule
def next_profit(position: Any, policy: Any) -> Any:
    """The level of the next partial profit."""
    number = uint64(position.profit_rules_done)
    if position.profit_rules_done >= policy.profit_count:
        return np.nan
    entry, share = position.effective_open, policy.profit_at[number] / 100.0
    if policy.profit_of_entry:
        return bracket_price(entry, position.side, share)
    return entry + share * (position.active_take - entry)


@rule
def next_entry(position: Any, policy: Any, entries: Any) -> Any:
    """The level of the ladder: a step beyond the last entry."""
    if position.entry_count >= policy.most_entries:
        return np.nan
    last = entries[uint64(position.entry_first + position.entry_count - 1)].price
    return bracket_price(last, -position.side, policy.ladder_step / 100.0)


@rule
def move_stop(position: Any, price: Any, reason: Any) -> Any:
    """Take a stop that is strictly tighter, with the reason for which it will close; whether it was."""
    if position.side * (price - position.active_stop) <= 0.0:
        return False
    position.active_stop = price
    position.stop_reason = reason
    position.trails_stop = 1
    return True


@rule
def expiry_of(position: Any) -> Any:
    """The first moment (ms) at which the lifetime is over; the largest integer without one."""
    if position.lifetime == np.inf:
        return _NEVER
    return position.pending_at + int64(np.ceil(position.lifetime * MINUTE))
