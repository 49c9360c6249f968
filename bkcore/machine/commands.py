"""What may be asked of an open position, and when it is granted (spec engine.md 10.3 - 10.7).

``execute`` is the one door: a user's function, a policy and a ``manage`` hook all go through it. A refused command
changes nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float64, int64, uint64

from bkcore.jit import kernel, rule
from bkcore.machine import shifts
from bkcore.machine.codes import Command, Commit, Deferred, Given, Status, Violation
from bkcore.machine.pnl import add_partial, renew
from bkcore.machine.records import POSITION, array_of
from bkcore.machine.rules import is_price, price_extremes, reaches_breakeven, rests, violations
from bkcore.machine.settings import SETTINGS


@rule
def write_revision(state: Any, revisions: Any, position: Any) -> None:
    """Append how the position looks from now on; a row remembers its first revision."""
    if revisions.size == 0:
        return  # a sweep: nobody asks what was
    if position.status == Status.RESTING:
        position.revision = state.revision_count
    revision = revisions[uint64(state.revision_count)]
    revision.effective_open = position.effective_open
    revision.paid_open = position.paid_open
    revision.entry_fee = position.entry_fee
    revision.take_profit = position.active_take
    revision.stop_loss = position.active_stop
    revision.invested = position.invested
    revision.closed_percent = position.closed_percent
    revision.trade = state.current
    revision.entry_count = position.entry_count
    revision.partial_count = position.partial_count
    state.revision_count += 1


@rule
def take_back(position: Any, revision: Any) -> None:
    """Give a copy of a trade the look that it had at ``revision``: the inverse of :func:`write_revision`."""
    position.effective_open = revision.effective_open
    position.paid_open = revision.paid_open
    position.entry_fee = revision.entry_fee
    position.active_take = revision.take_profit
    position.active_stop = revision.stop_loss
    position.invested = revision.invested
    position.closed_percent = revision.closed_percent
    position.entry_count = revision.entry_count
    position.partial_count = revision.partial_count


@rule
def queue_commit(state: Any, commits: Any, code: Any, price: Any, value: Any) -> None:
    """Remember a commit that the log has to tell."""
    if state.logs:
        commit = commits[uint64(state.commit_count)]
        commit.price = price
        commit.value = value
        commit.code = code
        state.commit_count += 1


@rule
def average_buy(
    state: Any, settings: Any, position: Any, entries: Any, price: Any, cost: Any, time: Any
) -> Any:
    """Add an entry at ``price`` if it is better than every entry before (spec 10.3)."""
    if not (is_price(price) and np.isfinite(cost)):
        return False
    first = position.entry_first
    if not settings.dca_everywhere:
        for k in range(first, first + position.entry_count):
            if not position.side * (price - entries[uint64(k)].price) < 0.0:
                return False
    entry = entries[uint64(first + position.entry_count)]
    entry.price = price
    entry.cost = cost
    entry.time = time
    entry.fee_percent = position.taker_fee
    entry.slippage = settings.slippage
    opening = entries[uint64(first)]
    if entry.fee_percent != opening.fee_percent or entry.slippage != opening.slippage:
        position.rates_differ = 1  # at real prices the first entry may have been a maker (spec fills.md 8)
    position.entry_count += 1
    state.entry_count += 1
    return True


@rule
def close_part(
    state: Any, settings: Any, position: Any, partials: Any, kind: Any, price: Any, percent: Any, time: Any
) -> Any:
    """Close ``percent`` of what is left; ``kind`` is +1 in profit and -1 in loss (spec 10.4)."""
    if not (is_price(price) and is_price(percent) and percent <= 100.0):
        return False
    side = position.side
    gained = side * (price - position.effective_open)
    if not kind * gained > 0.0 and not settings.partial_everywhere:
        return False
    if kind > 0:
        if side * (position.active_take - price) <= 0.0:  # a level that is missing is NaN
            return False
    elif side * (price - position.active_stop) <= 0.0:
        return False
    closes = (position.closed_percent / 100.0) * position.invested + (percent / 100.0) * position.remaining
    if closes > position.invested * (1.0 + 1e-9):
        return False
    partial = partials[uint64(position.partial_first + position.partial_count)]
    partial.percent = percent
    partial.price = price
    partial.basis = position.remaining
    partial.entry_count = position.entry_count
    partial.time = time
    partial.kind = kind
    partial.fee_percent = position.taker_fee
    partial.slippage = settings.slippage
    add_partial(position, partial)
    state.partial_count += 1
    return True


shift_of = rule(shifts.shift_of)
price_of = rule(shifts.price_of)


@rule
def stop_shift(position: Any, price: Any) -> Any:
    """Shift that brings the stop to ``price`` (spec 10.5)."""
    return shift_of(price, -position.side, position.effective_open, position.stop_loss)


@rule
def take_shift(position: Any, price: Any) -> Any:
    """Shift that brings the target to ``price`` (spec 10.6)."""
    return shift_of(price, position.side, position.effective_open, position.take_profit)


@rule
def is_shift(shift: Any) -> Any:
    """A shift is finite and not 0."""
    return np.isfinite(shift) and shift != 0.0


@rule
def trail_stop(settings: Any, position: Any, shift: Any, price: Any) -> Any:
    """Move the stop to its original distance plus ``shift`` percentage points (spec 10.5)."""
    if not (is_shift(shift) and is_price(price)) or np.isnan(position.stop_loss):
        return False
    side = position.side
    stop = price_of(shift, -side, position.effective_open, position.stop_loss)
    if side * (price - stop) < 0.0 or side * (position.active_take - stop) <= 0.0:
        return False
    absorbed = position.trails_stop and not side * (stop - position.active_stop) > 0.0
    if absorbed and not settings.trailing_everywhere:
        return False
    position.active_stop = stop
    position.trails_stop = 1
    return True


@rule
def trail_take(settings: Any, position: Any, shift: Any, price: Any) -> Any:
    """Move the target to its original distance plus ``shift`` percentage points (spec 10.6)."""
    if not (is_shift(shift) and is_price(price)) or np.isnan(position.take_profit):
        return False
    side = position.side
    take = price_of(shift, side, position.effective_open, position.take_profit)
    if side * (take - price) < 0.0 or side * (take - position.active_stop) <= 0.0:
        return False
    absorbed = position.trails_take and not side * (position.active_take - take) > 0.0
    if absorbed and not settings.trailing_everywhere:
        return False
    position.active_take = take
    position.trails_take = 1
    return True


@rule
def allows_breakeven(settings: Any, position: Any, price: Any) -> Any:
    """Whether the stop stands beyond the entry, or may move to it at ``price`` (spec 10.7 steps 2 and 3)."""
    gained = position.side * (position.active_stop - position.effective_open)
    if position.trails_stop and gained > 0.0:
        return True
    return gained < 0.0 and reaches_breakeven(position, settings, price)


@rule
def move_to_breakeven(settings: Any, position: Any, price: Any) -> Any:
    """Move the stop to the effective entry (spec 10.7)."""
    entry = position.effective_open
    side = position.side
    if not is_price(price) or side * (position.active_take - entry) <= 0.0:
        return False
    if not allows_breakeven(settings, position, price):
        return False
    if not (position.trails_stop and side * (position.active_stop - entry) > 0.0):
        position.active_stop = entry
        position.trails_stop = 1
    return True


@rule
def execute(
    state: Any,
    settings: Any,
    tables: Any,
    command: Any,
    price: Any,
    value: Any,
    time: Any,
) -> Any:
    """Grant or refuse a ``Command`` on the current position; returns whether it was granted (spec 10.2).

    tables  :class:`bkcore.machine.records.RunTables`, with room for a row more each
    price   what the command is judged and booked at
    value   cost, percent, dollars, shift (within 100 percentage points) or new price, as the command wants
    time    ms UTC
    """
    trades, entries, partials = tables.trades, tables.entries, tables.partials
    if not state.pending:
        return False
    position = trades[uint64(state.current)]
    if position.status != Status.OPEN:
        return False
    if command == Command.CLOSE:
        state.deferred = int64(Deferred.CLOSE)
        state.pending = 0
        return True
    price_extremes(position, entries, partials, settings)
    code = int64(command)
    if command == Command.PARTIAL_PROFIT_COST or command == Command.PARTIAL_LOSS_COST:
        code = int64(Commit.PARTIAL_PROFIT)
        if command == Command.PARTIAL_LOSS_COST:
            code = int64(Commit.PARTIAL_LOSS)
        value = (value / position.remaining) * 100.0
    elif command == Command.TRAILING_STOP or command == Command.TRAILING_TAKE:
        if not -100.0 <= value <= 100.0:
            return False
    elif command == Command.TRAILING_STOP_COST:
        code = int64(Commit.TRAILING_STOP)
        value = stop_shift(position, value)
    elif command == Command.TRAILING_TAKE_COST:
        code = int64(Commit.TRAILING_TAKE)
        value = take_shift(position, value)
    granted = False
    if code == Commit.AVERAGE_BUY:
        granted = average_buy(state, settings, position, entries, price, value, time)
    elif code == Commit.PARTIAL_PROFIT or code == Commit.PARTIAL_LOSS:
        kind = 1 if code == Commit.PARTIAL_PROFIT else -1
        granted = close_part(state, settings, position, partials, kind, price, value, time)
    elif code == Commit.TRAILING_STOP:
        granted = trail_stop(settings, position, value, price)
    elif code == Commit.TRAILING_TAKE:
        granted = trail_take(settings, position, value, price)
    elif code == Commit.BREAKEVEN:
        granted = move_to_breakeven(settings, position, price)
    if not granted:
        return False
    if code == Commit.AVERAGE_BUY:
        renew(position, entries, partials)
    write_revision(state, tables.revisions, position)
    queue_commit(state, tables.commits, code, price, value)
    is_partial = code == Commit.PARTIAL_PROFIT or code == Commit.PARTIAL_LOSS
    if is_partial and position.remaining <= position.invested * 1e-9:
        state.deferred = int64(Deferred.CLOSE)  # everything is sold: the next candle closes it (spec 10.4)
        state.pending = 0
    return True


@kernel(int64(array_of(SETTINGS), array_of(POSITION), int64, float64))
def breakeven_allowed(setting: Any, trades: Any, index: Any, price: Any) -> Any:
    """:func:`allows_breakeven` of the trade at ``index`` at ``price``, for ``get_breakeven``; 1 or 0.

    setting  one record of ``SETTINGS``
    trades   ``POSITION`` records
    """
    return int64(allows_breakeven(setting[0], trades[index], price))


@kernel(int64(array_of(SETTINGS), int64, float64, float64, float64, float64, float64, float64, int64))
def signal_violations(
    setting: Any,
    side: Any,
    price_open: Any,
    take_profit: Any,
    stop_loss: Any,
    lifetime: Any,
    cost: Any,
    price: Any,
    given: Any,
) -> Any:
    """The combined validator of spec engine.md 6.4: bits of ``Violation`` for a signal at market ``price``.

    setting   one record of ``SETTINGS``
    side      code of ``Side``
    price_open, take_profit, stop_loss, price   quote currency
    lifetime  minutes, inf for none
    cost      quote currency
    given     0 or ``Given.PRICE_OPEN``: whether a limit price may make the signal rest
    """
    if not is_price(price):
        return int64(Violation.CURRENT_PRICE)
    resting = given & int64(Given.PRICE_OPEN) != 0 and rests(side, price_open, price)
    return violations(
        *(setting[0], side, price_open, take_profit, stop_loss, lifetime, cost, price, resting, False)
    )
