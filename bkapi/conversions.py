"""How levels, shifts, percents and amounts of a position convert into each other (spec engine.md 14).

Prices in quote currency, percents in percent (1.5 = 1.5 %). The shifts are those of ``commit_trailing_stop`` and
``commit_trailing_take``: percentage points of the effective entry, counted from the original level.
"""

from __future__ import annotations

import math
from typing import Final

from bkapi.errors import SignalError
from bkapi.position import Side
from bkcore import shifts


class ConstantUtils:
    """Percents of the way to a level at which to act, to be compared with ``event.level`` of the partial listeners."""

    TP_LEVEL1: Final = 30
    TP_LEVEL2: Final = 60
    TP_LEVEL3: Final = 90
    SL_LEVEL1: Final = 40
    SL_LEVEL2: Final = 80


Constant = ConstantUtils()


def percent_diff(a: float, b: float) -> float:
    """By how many percent the larger of two values exceeds the smaller: 0 when equal, ``inf`` above 0."""
    low, high = min(a, b), max(a, b)
    if low == high:
        return 0.0
    return math.inf if low == 0 else 100 / (low / high) - 100


def percent_value(yesterday: float, today: float) -> float:
    """Change from ``yesterday`` to ``today`` in percent: from 100 to 95 it is about -5."""
    return (today / yesterday - 1) * 100


def invested_cost_to_percent(dollars: float, cost_basis: float) -> float:
    """``dollars`` in percent of ``cost_basis``: what ``commit_partial_profit_cost`` closes of the basis left."""
    return (dollars / cost_basis) * 100


def percent_to_close_cost(percent: float, cost_basis: float) -> float:
    """USD that ``percent`` of ``cost_basis`` are."""
    return (percent / 100) * cost_basis


def sl_percent_shift_to_price(
    percent_shift: float, original_stop_loss: float, effective_price: float, position: Side
) -> float:
    """Stop that ``commit_trailing_stop(symbol, percent_shift, ...)`` sets (spec engine.md 10.5)."""
    return shifts.price_of(percent_shift, -_sign(position), effective_price, original_stop_loss)


def tp_percent_shift_to_price(
    percent_shift: float, original_take_profit: float, effective_price: float, position: Side
) -> float:
    """Target that ``commit_trailing_take(symbol, percent_shift, ...)`` sets (spec engine.md 10.6)."""
    return shifts.price_of(percent_shift, _sign(position), effective_price, original_take_profit)


def sl_price_to_percent_shift(
    new_stop_loss: float, original_stop_loss: float, effective_price: float, position: Side
) -> float:
    """Shift that brings the stop to ``new_stop_loss`` (spec engine.md 10.5): entry 100, 90 to 105 is -15."""
    return shifts.shift_of(new_stop_loss, -_sign(position), effective_price, original_stop_loss)


def tp_price_to_percent_shift(
    new_take_profit: float, original_take_profit: float, effective_price: float, position: Side
) -> float:
    """Shift that brings the target to ``new_take_profit`` (spec 10.6): entry 100, 110 to 107 is about -3."""
    return shifts.shift_of(new_take_profit, _sign(position), effective_price, original_take_profit)


def breakeven_stop_price(effective_price: float) -> float:
    """Where ``commit_breakeven`` puts the stop: at the effective entry itself (spec engine.md 10.7)."""
    return effective_price


def _sign(position: Side) -> int:
    if position not in ("long", "short"):
        raise SignalError(f"position must be 'long' or 'short', got {position!r}.")
    return 1 if position == "long" else -1
