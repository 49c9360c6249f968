"""What does a fill cost, and what does a position pay? Fees and slippage by kind of fill (spec fills.md 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.naive.pnl import Entry, Partial, effective_entry, entries_at_partials, total_cost


@dataclass(frozen=True)
class Rates:
    """Percent of fee and slippage of one kind of fill."""

    fee: float
    slippage: float


@dataclass(frozen=True)
class Costs:
    """What fills cost: a taker takes a price that is there, a maker rested until the price came."""

    taker: Rates
    maker: Rates

    @classmethod
    def of(cls, settings: Mapping[str, Any], row: Mapping[str, Any]) -> Costs:
        """A maker pays no slippage; ``fee_percent`` of the row takes the place of both fees."""
        fee, slippage = settings["CC_PERCENT_FEE"], settings["CC_PERCENT_SLIPPAGE"]
        maker_fee = settings.get("CC_PERCENT_MAKER_FEE")
        if maker_fee is None:
            maker_fee = fee
        if row.get("fee_percent") is not None:
            fee = maker_fee = row["fee_percent"]
        return cls(Rates(fee, slippage), Rates(maker_fee, 0.0))


def result_percent(
    side: int,
    entries: Sequence[tuple[Entry, Rates]],
    partials: Sequence[tuple[Partial, Rates]],
    price: float,
    rates: Rates,
) -> float:
    """Net percent of everything invested, when all that is left is closed at ``price``.

    side       +1 long, -1 short
    entries    money put in, each with the rates of its fill
    partials   money taken out, likewise
    """
    paid = [
        Entry(one.price * (1 + side * its.slippage / 100), one.cost, one.timestamp) for one, its in entries
    ]
    taken = [partial for partial, _ in partials]
    invested = total_cost(paid)
    fees = sum(one.cost * its.fee for one, its in entries) / invested
    result, left = 0.0, 1.0
    known = entries_at_partials(paid, taken, paid[0].price)
    for (partial, its), opened in zip(partials, known, strict=True):
        weight = partial.percent / 100 * partial.cost_basis_at_close / invested
        left -= weight
        closed = partial.current_price * (1 - side * its.slippage / 100)
        result += weight * side * (closed - opened) / opened * 100
        fees += its.fee * weight * closed / opened
    opened = effective_entry(paid, taken, paid[0].price)
    closed = price * (1 - side * rates.slippage / 100)
    result += left * side * (closed - opened) / opened * 100
    fees += rates.fee * left * closed / opened
    return result - fees
