"""What a position is worth: effective entry, closed share and profit (spec engine.md 9).

Every sum is a left fold and every formula keeps the order of the specification: the last bit matters.
``entries`` and ``partials`` are the run's shared tables; a position owns a slice of each.
"""

from __future__ import annotations

from typing import Any

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
def effective_after(entry: Any, partial: Any, entries: Any, first: Any, end: Any) -> Any:
    """Effective entry after ``partial`` and the entries ``[first, end)`` made since (one step of spec 9.2)."""
    left = partial.basis * (1.0 - partial.percent / 100.0)
    coins = 0.0
    costs = 0.0
    for k in range(first, end):
        coins = coins + entries[k].cost / entries[k].price
        costs = costs + entries[k].cost
    total = (0.0 if entry == 0.0 else left / entry) + coins
    return entry if total == 0.0 else (left + costs) / total


@rule
def effective_at_first(position: Any, entries: Any, partials: Any) -> Any:
    """Effective entry at the moment of the first partial (spec 9.2)."""
    partial = partials[position.partial_first]
    coins = 0.0
    for k in range(position.entry_first, position.entry_first + partial.entry_count):
        coins = coins + entries[k].cost / entries[k].price
    return position.price_open if coins == 0.0 else partial.basis / coins


@rule
def renew(position: Any, entries: Any, partials: Any) -> None:
    """Write what follows from entries and partials: effective entry, invested, remaining, closed percent."""
    first = position.entry_first
    end = first + position.entry_count
    costs = 0.0
    coins = 0.0
    for k in range(first, end):
        costs = costs + entries[k].cost
        coins = coins + entries[k].cost / entries[k].price
    position.invested = costs
    if position.partial_count == 0:
        position.effective_open = 0.0 if coins == 0.0 else costs / coins
        position.remaining = costs
        position.closed_percent = 0.0
        return
    entry = effective_at_first(position, entries, partials)
    closed = 0.0
    remaining = 0.0
    last = position.partial_first + position.partial_count - 1
    for k in range(position.partial_first, last + 1):
        partial = partials[k]
        closed = closed + (partial.percent / 100.0) * partial.basis
        remaining = partial.basis * (1.0 - partial.percent / 100.0)
        if k < last:
            entry = effective_after(
                entry, partial, entries, first + partial.entry_count, first + partials[k + 1].entry_count
            )
    newer = first + partials[last].entry_count
    added = 0.0
    for k in range(newer, end):
        added = added + entries[k].cost
    position.effective_open = effective_after(entry, partials[last], entries, newer, end)
    position.remaining = remaining + added
    position.closed_percent = (closed / costs) * 100.0 if costs > 0.0 else 0.0


@rule
def pnl_percent(position: Any, entries: Any, partials: Any, settings: Any, price: Any) -> Any:
    """Result in percent of closing everything at ``price``, fees and slippage included (spec 9.4)."""
    fee = settings.fee_percent
    if position.partial_count == 0:
        percent, ratio = leg(position.side, settings, position.effective_open, price)
        return percent - fee * (1.0 + ratio)
    first = position.entry_first
    invested = position.invested
    entry = effective_at_first(position, entries, partials)
    weighted = 0.0
    fees = fee
    closed = 0.0
    last = position.partial_first + position.partial_count - 1
    for k in range(position.partial_first, last + 1):
        partial = partials[k]
        dollars = (partial.percent / 100.0) * partial.basis
        weight = dollars / invested
        closed = closed + dollars
        percent, ratio = leg(position.side, settings, entry, partial.price)
        weighted = weighted + weight * percent
        fees = fees + fee * weight * ratio
        if k < last:
            entry = effective_after(
                entry, partial, entries, first + partial.entry_count, first + partials[k + 1].entry_count
            )
    weight = (invested - closed) / invested
    if weight > 0.0:
        percent, ratio = leg(position.side, settings, position.effective_open, price)
        weighted = weighted + weight * percent
        fees = fees + fee * weight * ratio
    return weighted - fees
