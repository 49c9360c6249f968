"""What a position is worth: effective entry, closed share and profit (spec engine.md 9).

Every sum is a left fold and every formula keeps the order of the specification: the last bit matters.
``entries`` and ``partials`` are the run's shared tables; a position owns a slice of each.
"""

from __future__ import annotations

from typing import Any

from numba import uint64

from bkcore.jit import rule


@rule
def leg(side: Any, settings: Any, entry: Any, price: Any) -> Any:
    """Result in percent and exit/entry value ratio of one leg, slippage included (spec 9.1)."""
    slippage = settings.slippage
    if side > 0:
        opened = entry * (1.0 + slippage)
        closed = price * (1.0 - slippage)
        percent = ((closed - opened) / opened) * 100.0
    else:
        opened = entry * (1.0 - slippage)
        closed = price * (1.0 + slippage)
        percent = ((opened - closed) / opened) * 100.0
    return percent, closed / opened


@rule
def coins_of(entries: Any, first: Any, end: Any) -> Any:
    """What the entries ``[first, end)`` cost, and how many coins they bought."""
    costs = 0.0
    coins = 0.0
    for k in range(first, end):
        costs = costs + entries[uint64(k)].cost
        coins = coins + entries[uint64(k)].cost / entries[uint64(k)].price
    return costs, coins


@rule
def share_closed(position: Any) -> Any:
    """Percent of what was invested that partial closes have sold."""
    return (position.closed / position.invested) * 100.0 if position.invested > 0.0 else 0.0


@rule
def renew_remaining(position: Any, partial: Any, costs: Any, coins: Any) -> None:
    """Write what follows from the last partial close and from what was bought since (spec 9.2, 9.3)."""
    entry = partial.effective_open
    left = partial.basis * (1.0 - partial.percent / 100.0)
    total = (0.0 if entry == 0.0 else left / entry) + coins
    position.effective_open = entry if total == 0.0 else (left + costs) / total
    position.remaining = left + costs
    position.closed_percent = share_closed(position)


@rule
def renew(position: Any, entries: Any, partials: Any) -> None:
    """Write what follows from the entries: effective entry, invested, remaining, closed percent."""
    first = position.entry_first
    end = first + position.entry_count
    costs, coins = coins_of(entries, first, end)
    position.invested = costs
    if position.partial_count == 0:
        position.effective_open = 0.0 if coins == 0.0 else costs / coins
        position.remaining = costs
        position.closed_percent = 0.0
        return
    last = partials[uint64(position.partial_first + position.partial_count - 1)]
    costs, coins = coins_of(entries, first + last.entry_count, end)
    renew_remaining(position, last, costs, coins)


@rule
def add_partial(position: Any, partial: Any) -> None:
    """Count a partial close whose percent, price and basis are written, and write what follows from it."""
    partial.effective_open = position.effective_open
    partial.dollars = (partial.percent / 100.0) * partial.basis
    position.closed = position.closed + partial.dollars
    position.partial_count += 1
    renew_remaining(position, partial, 0.0, 0.0)


@rule
def pnl_percent(position: Any, entries: Any, partials: Any, settings: Any, price: Any) -> Any:
    """Result in percent of closing everything at ``price``, fees and slippage included (spec 9.4)."""
    fee = settings.fee_percent
    if position.partial_count == 0:
        percent, ratio = leg(position.side, settings, position.effective_open, price)
        return percent - fee * (1.0 + ratio)
    invested = position.invested
    weighted = 0.0
    fees = fee
    closed = 0.0
    for k in range(position.partial_first, position.partial_first + position.partial_count):
        partial = partials[uint64(k)]
        weight = partial.dollars / invested
        closed = closed + partial.dollars
        percent, ratio = leg(position.side, settings, partial.effective_open, partial.price)
        weighted = weighted + weight * percent
        fees = fees + fee * weight * ratio
    weight = (invested - closed) / invested
    if weight > 0.0:
        percent, ratio = leg(position.side, settings, position.effective_open, price)
        weighted = weighted + weight * percent
        fees = fees + fee * weight * ratio
    return weighted - fees
