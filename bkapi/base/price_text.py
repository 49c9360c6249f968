"""How is a price written? With the decimals of its tick size, or as many as its size needs (spec engine.md 14)."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Context, Decimal

from bkapi.base.config import is_number
from bkapi.errors import BkError

_MOST_DECIMALS = 100
#: Below it a tick is written with an exponent, and its decimals come from that.
_SMALLEST_PLAIN_TICK = 1e-6
_EXACT = Context(prec=500, rounding=ROUND_HALF_UP)


class PriceTextError(BkError, TypeError):
    """Raised by ``round_ticks("100.5", 0.1)``: only numbers can be written with decimals."""


class TickSizeError(BkError, ValueError):
    """Raised by ``round_ticks(100.5, 0)``: a tick size is a finite number above 0."""


def round_ticks(price: float, tick_size: float) -> str:
    """``price`` with as many decimals as ``tick_size`` has; it is not rounded to a multiple of the tick.

    ``round_ticks(123.456, 0.01)`` is ``"123.46"``. Raises :class:`TickSizeError` unless the tick size is finite and
    above 0.
    """
    if not is_number(tick_size) or tick_size <= 0:
        raise TickSizeError(
            f"tick_size must be a finite number above 0, got {tick_size!r}.",
            hint="give the smallest price step of the exchange, for example 0.01.",
        )
    if tick_size < _SMALLEST_PLAIN_TICK:
        decimals = math.ceil(-math.log10(tick_size))
    else:
        exponent = Decimal(repr(float(tick_size))).normalize().as_tuple().exponent
        decimals = max(0, -int(exponent))
    return to_fixed(price, min(decimals, _MOST_DECIMALS))


def to_fixed(value: float, decimals: int) -> str:
    """``value`` with ``decimals`` decimals: its exact binary value, ties away from zero (spec reports.md 3).

    A negative value that rounds to zero keeps its sign, negative zero has none. Raises :class:`PriceTextError`.
    """
    try:
        if not math.isfinite(value):
            return str(value)
        exact = Decimal(abs(value) if isinstance(value, float | int | Decimal) else abs(float(value)))
    except (TypeError, OverflowError):
        raise PriceTextError(
            f"{value!r:.60} is no number of a price or quantity.", hint="give a float."
        ) from None
    digits = exact.quantize(Decimal(1).scaleb(-decimals, _EXACT), context=_EXACT)
    return f"-{digits:f}" if value < 0 else f"{digits:f}"


def price_scale(price: float) -> int:
    """Decimals for showing ``price``: 2 from 1 upwards and for 0, 4 from 0.1, 6 from 0.01, else 8."""
    if price == 0:
        return 2
    return min(8, max(2, 2 - 2 * math.floor(math.log10(abs(price)))))


get_price_scale = price_scale
