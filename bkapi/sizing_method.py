"""Whether a sizing is what somebody takes it for (spec market-data.md 20)."""

from __future__ import annotations

from bkapi.errors import BkError
from bkapi.registry import sizings


class SizingMethodError(BkError, ValueError):
    """Raised by ``PositionSize.atr_based(...)`` with a sizing of another method."""


def check_method(name: str, method: str, source: str) -> None:
    """Raise :class:`SizingMethodError` unless the sizing was registered with ``method``; overrides do not count."""
    registered = getattr(sizings.known(name), "method", None)
    if registered != method:
        raise SizingMethodError(
            f'Sizing method mismatch: sizing "{name}" is configured as "{registered}" but "{method}" was requested '
            f"at source={source}",
            hint=f"register a sizing with method={method!r}.",
        )
