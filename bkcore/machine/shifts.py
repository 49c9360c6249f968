"""How the price of a trailed level and its shift convert into each other (spec engine.md 10.5, 10.6).

A shift counts percentage points of the effective entry, from the distance of the original level. ``direction`` is +1
for a level above the entry and -1 for one below: the side of the position for its target, the other for its stop.
Plain arithmetic, for Python as it is and for kernels as a rule.
"""

from __future__ import annotations


def shift_of(price: float, direction: int, entry: float, original: float) -> float:
    """Shift that brings a level from ``original`` to ``price``."""
    return direction * (price - entry) / entry * 100.0 - abs((original - entry) / entry * 100.0)


def price_of(shift: float, direction: int, entry: float, original: float) -> float:
    """Price to which a ``shift`` brings a level from ``original``."""
    return entry * (1.0 + direction * (abs((original - entry) / entry * 100.0) + shift) / 100.0)
