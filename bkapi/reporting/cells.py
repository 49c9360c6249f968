"""How is a value written in a cell or a line of a report? (spec reports.md 3)"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from bkapi.base.price_text import price_scale, to_fixed
from bkapi.base.timestamps import from_ms

__all__ = [
    "CODES",
    "NOT_AVAILABLE",
    "iso",
    "number_text",
    "plain_note",
    "price_text",
    "round_half_up",
    "written",
]

NOT_AVAILABLE: Final = "N/A"

#: How notes lose their marks, in this order (spec reports.md 3, ``plain``).
_MARKS: Final = (
    (re.compile(r"```.*?```", re.DOTALL), ""),
    (re.compile(r"`([^`]+)`"), r"\1"),
    (re.compile(r"!\[([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"\[([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"^#{1,6}\s+", re.MULTILINE), ""),
    (re.compile(r"\*\*\*([^*]+)\*\*\*"), r"\1"),
    (re.compile(r"\*\*([^*]+)\*\*"), r"\1"),
    (re.compile(r"\*([^*]+)\*"), r"\1"),
    (re.compile(r"(?<!\w)___([^_]+)___(?!\w)", re.ASCII), r"\1"),
    (re.compile(r"(?<!\w)__([^_]+)__(?!\w)", re.ASCII), r"\1"),
    (re.compile(r"(?<!\w)_([^_]+)_(?!\w)", re.ASCII), r"\1"),
    (re.compile(r"~~(.+?)~~"), r"\1"),
    (re.compile(r"^\s*(?:[-*+]|\d+\.)\s+", re.MULTILINE), "• "),
    (re.compile(r"^\s*>\s?", re.MULTILINE), ""),
    (re.compile(r"^\s*(?:\*{3,}|-{3,}|_{3,})\s*$", re.MULTILINE), ""),
    (re.compile(r"<[^>]+>"), ""),
    (re.compile(r"\s+"), " "),
)


def plain_note(note: str | None) -> str:
    """A note as one line of plain text; ``N/A`` when there is none."""
    if note is None:
        return NOT_AVAILABLE
    for mark, instead in _MARKS:
        note = mark.sub(instead, note)
    return note.strip()


def price_text(value: float) -> str:
    """A price or an amount with the decimals that its size deserves: ``0.2831 USD``."""
    return f"{to_fixed(value, price_scale(value))} USD" if math.isfinite(value) else NOT_AVAILABLE


def number_text(value: float) -> str:
    """The shortest decimal that reads back as ``value``, no trailing ``.0``; with an exponent where it is long."""
    number = float(value)
    if number == 0 or not math.isfinite(number):
        return "0" if number == 0 else NOT_AVAILABLE
    shortest = Decimal(repr(number)).normalize()
    if 1e-6 <= abs(number) < 1e21:
        return f"{shortest:f}"
    sign, digits, _ = shortest.as_tuple()
    first, *rest = map(str, digits)
    fraction = f".{''.join(rest)}" if rest else ""
    return f"{'-' if sign else ''}{first}{fraction}e{shortest.adjusted():+d}"


def round_half_up(value: float) -> int:
    """The nearest integer, halves upwards."""
    return math.floor(value + 0.5)


def iso(timestamp: int) -> str:
    """A moment (ms UTC) as ``2024-01-31T12:00:00.000Z``."""
    moment = from_ms(int(timestamp))
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _fixed(
    decimals: int, suffix: str = "", *, signed: bool = False, scale: float = 1.0
) -> Callable[[Any], str]:
    def text(value: Any) -> str:
        sign = "+" if signed and value > 0 else ""
        return f"{sign}{to_fixed(value * scale if scale != 1.0 else value, decimals)}{suffix}"

    return text


def _signed_price(value: Any) -> str:
    return ("+" if value > 0 else "") + price_text(value)


#: Text of a value by code. A code followed by ``?`` writes ``N/A`` for None, by ``0`` also for zero and nothing.
CODES: Final[Mapping[str, Callable[[Any], str]]] = {
    "T": str,
    "U": lambda value: str(value).upper(),
    "N": plain_note,
    "I": lambda value: str(int(value)),
    "NUM": number_text,
    "PX": price_text,
    "SU": _signed_price,
    "F1": _fixed(1),
    "F2": _fixed(2),
    "F3": _fixed(3),
    "P1": _fixed(1, "%"),
    "P2": _fixed(2, "%"),
    "P3": _fixed(3, "%"),
    "S2": _fixed(2, "%", signed=True),
    "S3": _fixed(3, signed=True),
    "R1": _fixed(1, "%", scale=100.0),
    "ISO": iso,
    "MODE": lambda value: "Backtest" if value else "Live",
}


def written(code: str) -> Callable[[Any], str]:
    """The function that writes a value by ``code``: one of ``CODES``, perhaps followed by ``?`` or ``0``.

    A value that is not there is ``N/A`` in any case: the words None and nan never reach a report (spec 9).
    """
    name = code.rstrip("?0") if code not in CODES else code
    text = CODES[name]
    empty_is_absent = code.endswith("0") and code != name
    if name == "N":
        return text

    def write(value: Any) -> str:
        if (
            value is None
            or (isinstance(value, float) and math.isnan(value))
            or (empty_is_absent and not value)
        ):
            return NOT_AVAILABLE
        return text(value)

    return write
