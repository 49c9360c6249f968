"""What a position is worth: effective entry, closed share and profit (spec engine.md 9).

Every sum is a left fold and every formula keeps the order of the specification: the last bit matters.
``entries`` and ``partials`` are the run's shared tables; a position owns a slice of each.
"""

from __future__ import annotations

from typing import Any

from numba import uint64

from bkcore.jit import rule


@rule
def paid_price(side: Any, price: Any, slippage: Any) -> Any:
    """What an entry at ``price`` costs with slippage, a fraction (spec 9.1)."""
    return price * (1.0 + side * slippage)


@rule
def leg(side: Any, paid: Any, slippage: Any, price: Any) -> Any:
    """Result in percent and exit/entry value ratio of one leg (spec 9.1, fills.md 8).

    paid       effective entry with slippage
    slippage   of the exit, a fraction
    """
    closed = price * (1.0 - side * slippage)
    return side * ((closed - paid) / paid) * 100.0, closed / paid


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
def paid_coins_of(side: Any, entries: Any, first: Any, end: Any) -> Any:
    """How many coins the entries ``[first, end)`` would have bought at prices with slippage."""
    coins = 0.0
    for k in range(first, end):
        entry = entries[uint64(k)]
        coins = coins + entry.cost / paid_price(side, entry.price, entry.slippage)
    return coins


@rule
def blend(left: Any, entry: Any, costs: Any, coins: Any) -> Any:
    """Effective entry of a basis ``left`` that was bought at ``entry`` and of what was bought since (spec 9.2)."""
    total = (0.0 if entry == 0.0 else left / entry) + coins
    return entry if total == 0.0 else (left + costs) / total


@rule
def renew_paid(position: Any) -> None:
    """Write the effective entry with slippage, where all entries have the slippage of the first (spec fills.md 8)."""
    position.paid_open = paid_price(position.side, position.effective_open, position.entry_slippage)


@rule
def renew_mixed(position: Any, entries: Any, partials: Any) -> None:
    """Effective entry with slippage and mean fee where makers and takers are among the entries (spec fills.md 8)."""
    first = position.entry_first
    end = first + position.entry_count
    fees = 0.0
    for k in range(first, end):
        fees = fees + entries[uint64(k)].cost * entries[uint64(k)].fee_percent
    position.entry_fee = fees / position.invested
    if position.partial_count == 0:
        position.paid_open = position.invested / paid_coins_of(position.side, entries, first, end)
        return
    last = partials[uint64(position.partial_first + position.partial_count - 1)]
    since = first + last.entry_count
    costs, _ = coins_of(entries, since, end)
    left = last.basis * (1.0 - last.percent / 100.0)
    coins = paid_coins_of(position.side, entries, since, end)
    position.paid_open = blend(left, last.paid_open, costs, coins)


@rule
def renew_remaining(position: Any, partial: Any, costs: Any, coins: Any) -> None:
    """Write what follows from the last partial close and from what was bought since (spec 9.2, 9.3)."""
    left = partial.basis * (1.0 - partial.percent / 100.0)
    position.effective_open = blend(left, partial.effective_open, costs, coins)
    position.remaining = left + costs
    position.closed_percent = share_closed(position)


@rule
def renew(position: Any, entries: Any, partials: Any) -> None:
    """Write what follows from the entries: effective entry raw and paid, fee, invested, remaining, closed percent."""
    first = position.entry_first
    end = first + position.entry_count
    costs, coins = coins_of(entries, first, end)
    position.invested = costs
    if position.partial_count == 0:
        position.effective_open = 0.0 if coins == 0.0 else costs / coins
        position.remaining = costs
        position.closed_percent = 0.0
    else:
        last = partials[uint64(position.partial_first + position.partial_count - 1)]
        costs, coins = coins_of(entries, first + last.entry_count, end)
        renew_remaining(position, last, costs, coins)
    if position.at_real_prices and position.entry_count == 1:
        position.effective_open = entries[uint64(first)].price  # exactly (spec fills.md 5)
    if position.rates_differ:
        renew_mixed(position, entries, partials)
    else:
        renew_paid(position)


@rule
def add_partial(position: Any, partial: Any) -> None:
    """Count a partial close whose percent, price, basis and rates are written, and write what follows from it."""
    entry = position.effective_open
    partial.effective_open = entry
    partial.paid_open = position.paid_open
    partial.dollars = (partial.percent / 100.0) * partial.basis
    position.closed = position.closed + partial.dollars
    position.partial_count += 1
    renew_remaining(position, partial, 0.0, 0.0)
    if position.at_real_prices:
        position.effective_open = entry  # exactly: what is sold does not change it
    else:
        renew_paid(position)


@rule
def pnl_of_fill(position: Any, partials: Any, price: Any, fee: Any, slippage: Any) -> Any:
    """Result in percent of closing everything at ``price`` by a fill of these rates (spec 9.4, fills.md 8)."""
    if position.partial_count == 0:
        percent, ratio = leg(position.side, position.paid_open, slippage, price)
        if fee == position.entry_fee:
            return percent - fee * (1.0 + ratio)  # as documented, to the last bit
        return percent - (position.entry_fee + fee * ratio)
    invested = position.invested
    weighted = 0.0
    fees = position.entry_fee
    closed = 0.0
    for k in range(position.partial_first, position.partial_first + position.partial_count):
        partial = partials[uint64(k)]
        weight = partial.dollars / invested
        closed = closed + partial.dollars
        percent, ratio = leg(position.side, partial.paid_open, partial.slippage, partial.price)
        weighted = weighted + weight * percent
        fees = fees + partial.fee_percent * weight * ratio
    weight = (invested - closed) / invested
    if weight > 0.0:
        percent, ratio = leg(position.side, position.paid_open, slippage, price)
        weighted = weighted + weight * percent
        fees = fees + fee * weight * ratio
    return weighted - fees


@rule
def pnl_percent(position: Any, partials: Any, settings: Any, price: Any) -> Any:
    """Result in percent of closing everything at ``price`` at the market, fees and slippage included."""
    return pnl_of_fill(position, partials, price, position.taker_fee, settings.slippage)
