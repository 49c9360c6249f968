"""How long is an interval, and when does it begin? The documented intervals in minutes and milliseconds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bkcore.errors import BkError, did_you_mean

MINUTE_MS = 60_000

#: The longest time in minutes: begun before the year 9999, it ends at a moment that an int64 of milliseconds holds.
MOST_MINUTES = 150_000_000_000_000

#: Documented intervals (spec market-data.md 2); candles know all of them but 12h, frames know all.
INTERVAL_MINUTES: dict[str, int] = {
    "1m": 1,
    "3m": 3,
    "5m": 5,
    "15m": 15,
    "30m": 30,
    "1h": 60,
    "2h": 120,
    "4h": 240,
    "6h": 360,
    "8h": 480,
    "12h": 720,
    "1d": 1440,
}

#: Intervals of candles, caches and schedules: all but 12h.
CANDLE_INTERVALS = tuple(interval for interval in INTERVAL_MINUTES if interval != "12h")

#: Strategy throttling intervals (spec engine.md 1.7).
STRATEGY_INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h")


class UnknownIntervalError(BkError, ValueError):
    """Raised by :func:`interval_step_ms` ``("7m")``: the interval is not a documented one."""


def _unknown(interval: object, known: Iterable[str]) -> UnknownIntervalError:
    listed = tuple(known)
    return UnknownIntervalError(
        f"unknown interval={interval!r}; known: {', '.join(listed)}.",
        hint=did_you_mean(str(interval), listed) + "intervals are counted in UTC from the epoch.",
    )


def interval_step_ms(interval: str) -> int:
    """Length of ``interval`` in milliseconds; raises :class:`UnknownIntervalError` for an unknown one."""
    try:
        return INTERVAL_MINUTES[interval] * MINUTE_MS
    except (KeyError, TypeError):
        raise _unknown(interval, INTERVAL_MINUTES) from None


def candle_step_ms(interval: str) -> int:
    """Length in milliseconds of an interval of candles, caches and schedules, all but 12h (spec market-data.md 2)."""
    if interval not in CANDLE_INTERVALS:
        raise _unknown(interval, CANDLE_INTERVALS)
    return interval_step_ms(interval)


def interval_start(timestamp: int, interval: str) -> int:
    """Start (UTC ms) of the ``interval`` that ``timestamp`` (UTC ms) lies in; aligned to the Unix epoch."""
    return int(aligned(timestamp, interval_step_ms(interval)))


def aligned(time: Any, step: Any) -> Any:
    """Start of the stretch of ``step`` ms that ``time`` lies in, from the Unix epoch; a number, or a column of them."""
    return time // step * step


def first_tick_from(time: Any, start: Any, step: Any) -> Any:
    """Index of the first of the ticks ``start + k * step`` at or after ``time`` (ms); numbers or columns."""
    return (time - start + step - 1) // step


def first_tick_after(time: Any, start: Any, step: Any) -> Any:
    """Index of the first of the ticks ``start + k * step`` strictly after ``time`` (ms); numbers or columns."""
    return (time - start) // step + 1
