"""What does a row of a signal frame ask for, and may it? (spec fills.md 4 and 6)"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.naive.settings import MINUTE

Row = Mapping[str, Any]

SIDES = {"long": 1, 1: 1, "short": -1, -1: -1, None: 0, 0: 0}
BOTH = frozenset({1, -1})
POSITIVE = (
    "price_open",
    "price_trigger",
    "price_take_profit",
    "take_profit_percent",
    "price_stop_loss",
    "stop_loss_percent",
)


def at_least(value: float, limit: float) -> bool:
    """``value >= limit``, where a difference of the last digits is none."""
    return value >= limit or math.isclose(value, limit, rel_tol=1e-9)


@dataclass(frozen=True)
class Wish:
    """What a row asks for at its tick.

    enter      +1, -1, or 0 for no entry
    exits      the sides to be closed, and whose orders to be cancelled
    opposite   what an entry does to a position of the other side: "ignore", "close" or "reverse"
    """

    row: Row
    enter: int
    exits: frozenset[int]
    opposite: str


NOTHING = Wish({}, 0, frozenset(), "ignore")


class Reader:
    """Reads rows in their order, since a ``target`` means something only where it changes."""

    def __init__(self, on_opposite: str) -> None:
        self.on_opposite = on_opposite
        self.target = 0

    def read(self, row: Row) -> Wish:
        """The wish of a row whose tick has come."""
        if "target" in row:
            return self._target(row)
        if row.get("enter_long") and row.get("enter_short"):
            raise ValueError(f"enter_long and enter_short are both true in {row}")
        enter = SIDES[row.get("position")] + bool(row.get("enter_long")) - bool(row.get("enter_short"))
        exits = {1} if row.get("exit_long") else set()
        if row.get("exit_short"):
            exits.add(-1)
        leave = row.get("exit")
        if leave is True:
            exits |= BOTH
        elif leave:
            exits.add(SIDES[leave])
        return Wish(row, enter, frozenset(exits), self.on_opposite)

    def _target(self, row: Row) -> Wish:
        wanted = row["target"]
        if wanted is None or wanted == self.target:
            return Wish(row, 0, frozenset(), "ignore")
        self.target = wanted
        return Wish(row, wanted, frozenset() if wanted else BOTH, "reverse")


def level(row: Row, price_name: str, percent_name: str, entry: float, direction: int) -> float | None:
    """A level of the row, as a price or as percent of the entry in ``direction``; None when it has none."""
    if row.get(percent_name) is not None:
        return entry * (1 + direction * row[percent_name] / 100)
    price: float | None = row.get(price_name)
    return price


def take_profit(row: Row, side: int, entry: float) -> float | None:
    """The target that the row gives a position entered at ``entry``."""
    return level(row, "price_take_profit", "take_profit_percent", entry, side)


def stop_loss(row: Row, side: int, entry: float) -> float | None:
    """The stop that the row gives a position entered at ``entry``."""
    return level(row, "price_stop_loss", "stop_loss_percent", entry, -side)


def lifetime(row: Row, policy: Mapping[str, Any]) -> float:
    """How long a position of this row may live, in ms."""
    minutes = row.get("minute_estimated_time")
    if minutes is None:
        minutes = policy.get("max_hold_minutes")
    return math.inf if minutes is None else minutes * MINUTE


def is_refused(
    row: Row, side: int, entry: float, market: bool, settings: Mapping[str, Any], policy: Mapping[str, Any]
) -> bool:
    """Whether an entry fails a check.

    entry    where it would fill: the limit, the trigger, or the price of a market entry
    market   a market entry may open beyond its own stop; it is then stopped at once
    """
    if any(row.get(name) is not None and not 0 < row[name] < math.inf for name in POSITIVE):
        return True
    take, stop = take_profit(row, side, entry), stop_loss(row, side, entry)
    least = settings.get("CC_MIN_TAKEPROFIT_DISTANCE_PERCENT", 0)
    if take is not None and (side * (take - entry) <= 0 or not at_least(distance(take, entry), least)):
        return True
    if stop is not None and side * (entry - stop) > 0:
        least = settings.get("CC_MIN_STOPLOSS_DISTANCE_PERCENT", 0)
        most = settings.get("CC_MAX_STOPLOSS_DISTANCE_PERCENT", math.inf)
        if not (at_least(distance(stop, entry), least) and at_least(most, distance(stop, entry))):
            return True
    elif stop is not None and not market:
        return True
    lives, longest = lifetime(row, policy), settings.get("CC_MAX_SIGNAL_LIFETIME_MINUTES", math.inf)
    return longest * MINUTE < lives < math.inf


def distance(price: float, entry: float) -> float:
    """Percent of the entry between it and a level."""
    return abs(price - entry) / entry * 100
