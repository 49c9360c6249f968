"""Which functions of a strategy file are indicators? Those that are marked as such."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__bk_indicator__"


def indicator(function: F) -> F:
    """Mark a function of the candles as an indicator: it returns a value per candle (a column, an array, a frame).

    ``bk lookahead`` then checks its values besides the signals that are made of them.
    """
    setattr(function, _MARK, True)
    return function


def is_indicator(function: object) -> bool:
    """Whether a function was marked by :func:`indicator`."""
    return getattr(function, _MARK, False) is True
