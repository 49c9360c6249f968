"""What would closing now pay? Effective entry, closed share and PnL of a position (spec engine.md 9)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Entry:
    """Money put in: ``cost`` in USD at ``price``."""

    price: float
    cost: float
    timestamp: int


@dataclass(frozen=True, slots=True)
class Partial:
    """Money taken out: ``percent`` of what was left, which was ``cost_basis_at_close`` USD."""

    type: str
    percent: float
    current_price: float
    cost_basis_at_close: float
    entry_count_at_close: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class Pnl:
    """The record of 1.4: prices without slippage, percent of everything ever invested."""

    pnl_percentage: float
    price_open: float
    price_close: float
    pnl_cost: float
    pnl_entries: float


NO_PNL = Pnl(0, 0, 0, 0, 0)
"""The record of a row that never opened."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Percent of slippage and of fee for each side of a trade."""

    slippage: float
    fee: float


def divide(numerator: float, denominator: float) -> float:
    """IEEE division, where a zero below the line gives an infinity or NaN instead of an exception."""
    if denominator != 0:
        return numerator / denominator
    if numerator == 0 or numerator != numerator:
        return float("nan")
    return float("inf") if numerator > 0 else float("-inf")


def leg(position: str, entry: float, price: float, costs: Costs) -> tuple[float, float]:
    """Result in percent and ratio of exit to entry value of one leg, slippage included (9.1)."""
    if position == "long":
        opened = entry * (1 + costs.slippage / 100)
        closed = price * (1 - costs.slippage / 100)
        return divide(closed - opened, opened) * 100, divide(closed, opened)
    opened = entry * (1 - costs.slippage / 100)
    closed = price * (1 + costs.slippage / 100)
    return divide(opened - closed, opened) * 100, divide(closed, opened)


def total_cost(entries: Sequence[Entry]) -> float:
    """USD put in by ``entries``, added from the first to the last."""
    total = 0.0
    for entry in entries:
        total = total + entry.cost
    return total


def total_coins(entries: Sequence[Entry]) -> float:
    """Units bought by ``entries``."""
    total = 0.0
    for entry in entries:
        total = total + divide(entry.cost, entry.price)
    return total


def left_after(partial: Partial) -> float:
    """USD of the basis that stay in the position after ``partial``."""
    return partial.cost_basis_at_close * (1 - partial.percent / 100)


def entries_at_partials(
    entries: Sequence[Entry], partials: Sequence[Partial], price_open: float
) -> Iterator[float]:
    """Effective entry at the moment of each partial, the first one first (9.2, ``eff_at``)."""
    if not partials:
        return
    coins = total_coins(entries[: partials[0].entry_count_at_close])
    effective = price_open if coins == 0 else partials[0].cost_basis_at_close / coins
    yield effective
    for earlier, later in pairwise(partials):
        added = entries[earlier.entry_count_at_close : later.entry_count_at_close]
        effective = merged_entry(left_after(earlier), effective, added)
        yield effective


def merged_entry(left: float, effective: float, added: Sequence[Entry]) -> float:
    """Effective entry when ``left`` USD bought at ``effective`` are joined by the entries ``added``."""
    old_coins = 0.0 if effective == 0 else left / effective
    coins = old_coins + total_coins(added)
    return effective if coins == 0 else (left + total_cost(added)) / coins


def effective_entry(entries: Sequence[Entry], partials: Sequence[Partial], price_open: float) -> float:
    """Cost-weighted harmonic entry price; a partial shrinks the block before it (9.2)."""
    if not entries:
        return price_open
    if not partials:
        coins = total_coins(entries)
        return 0.0 if coins == 0 else total_cost(entries) / coins
    last = partials[-1]
    *_, base = entries_at_partials(entries, partials, price_open)
    return merged_entry(left_after(last), base, entries[last.entry_count_at_close :])


def closed_share(entries: Sequence[Entry], partials: Sequence[Partial]) -> tuple[float, float]:
    """Percent of all invested money that partials closed, and USD of the basis that are left (9.3)."""
    invested = total_cost(entries)
    if not partials:
        return 0.0, invested
    closed = 0.0
    for partial in partials:
        closed = closed + (partial.percent / 100) * partial.cost_basis_at_close
    remaining = left_after(partials[-1]) + total_cost(entries[partials[-1].entry_count_at_close :])
    return ((closed / invested) * 100 if invested > 0 else 0.0), remaining


def closing_pnl(
    position: str,
    entries: Sequence[Entry],
    partials: Sequence[Partial],
    price_open: float,
    price: float,
    costs: Costs,
) -> Pnl:
    """PnL of closing everything that is left at ``price`` (9.4)."""
    invested = total_cost(entries)
    effective = effective_entry(entries, partials, price_open)
    if not partials:
        result, ratio = leg(position, effective, price, costs)
        percent = result - costs.fee * (1 + ratio)
    else:
        weighted = 0.0
        fees = costs.fee
        closed = 0.0
        known = entries_at_partials(entries, partials, price_open)
        for partial, at_partial in zip(partials, known, strict=True):
            dollars = (partial.percent / 100) * partial.cost_basis_at_close
            weight = divide(dollars, invested)
            closed = closed + dollars
            result, ratio = leg(position, at_partial, partial.current_price, costs)
            weighted = weighted + weight * result
            fees = fees + costs.fee * weight * ratio
        if closed > invested + max(0.001, invested * 1e-8):
            raise ValueError(f"partials close {closed} of {invested} invested")
        rest = divide(invested - closed, invested)
        if rest > 0:
            result, ratio = leg(position, effective, price, costs)
            weighted = weighted + rest * result
            fees = fees + costs.fee * rest * ratio
        percent = weighted - fees
    return Pnl(percent, effective, price, (percent / 100) * invested, invested)
