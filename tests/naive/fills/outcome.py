"""What did a run give? Records of trades and orders, and what became of entry rows (spec fills.md 7 and 8)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.naive.fills.position import Position
from tests.naive.fills.rows import Row

SIDE_NAMES = {1: "long", -1: "short"}


@dataclass
class Order:
    """A resting order; ``kind`` is "limit" or "stop"."""

    side: int
    kind: str
    price: float
    placed_at: int
    row: Row

    def is_reached(self, candle_price: float) -> bool:
        """Whether a price is at or beyond the order: adverse for a limit, favourable for a stop entry."""
        direction = self.side if self.kind == "stop" else -self.side
        return direction * (candle_price - self.price) >= 0


@dataclass
class Outcome:
    """What a run gave: records of trades and orders in the order of their ends, and entry rows counted."""

    trades: list[dict[str, Any]] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    rows: Counter[str] = field(default_factory=Counter)

    def add_trade(self, position: Position, price: float, when: int, reason: str, result: float) -> None:
        """A position that ended with ``result`` net percent."""
        self.trades.append(
            {
                "side": SIDE_NAMES[position.side],
                "opened_at": position.opened_at,
                "ended_at": when,
                "price_open": position.price(),
                "close_price": price,
                "reason": reason,
                "entries": len(position.entries),
                "partials": len(position.partials),
                "pnl_percent": result,
                "peak_price": position.peak.price,
                "peak_percent": max(position.peak.percent, result),
                "fall_price": position.fall.price,
                "fall_percent": min(position.fall.percent, result),
            }
        )

    def add_order(self, order: Order, when: int, outcome: str) -> None:
        """An order that ended: "filled", "timeout" or "user"."""
        self.orders.append(
            {
                "side": SIDE_NAMES[order.side],
                "kind": order.kind,
                "price": order.price,
                "placed_at": order.placed_at,
                "ended_at": when,
                "outcome": outcome,
            }
        )
