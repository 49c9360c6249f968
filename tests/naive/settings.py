"""What holds when a run configures nothing (spec engine.md 2)."""

from collections.abc import Mapping
from typing import Any

MINUTE = 60_000
"""Milliseconds of a minute; every time of the twin is an integer of milliseconds UTC."""

INTERVAL_MINUTES = {
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

DEFAULTS: dict[str, Any] = {
    "CC_SCHEDULE_AWAIT_MINUTES": 120,
    "CC_AVG_PRICE_CANDLES_COUNT": 5,
    "CC_PERCENT_SLIPPAGE": 0.1,
    "CC_PERCENT_FEE": 0.1,
    "CC_MIN_TAKEPROFIT_DISTANCE_PERCENT": 0.5,
    "CC_MIN_STOPLOSS_DISTANCE_PERCENT": 0.5,
    "CC_MAX_STOPLOSS_DISTANCE_PERCENT": 20,
    "CC_MAX_SIGNAL_LIFETIME_MINUTES": 1440,
    "CC_MAX_CANDLES_PER_REQUEST": 1000,
    "CC_BREAKEVEN_THRESHOLD": 0.2,
    "CC_ENABLE_DCA_EVERYWHERE": False,
    "CC_ENABLE_PPPL_EVERYWHERE": False,
    "CC_ENABLE_TRAILING_EVERYWHERE": False,
    "CC_ENABLE_LONG_SIGNAL": True,
    "CC_ENABLE_SHORT_SIGNAL": True,
    "CC_POSITION_ENTRY_COST": 100,
}


def settings(overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    """The defaults with ``overrides`` on top; keys that do not concern a trade are carried along unused."""
    return {**DEFAULTS, **(overrides or {})}


def interval_ms(interval: str) -> int:
    """Milliseconds of an interval name such as ``"15m"``, or of any number of minutes; else KeyError."""
    if interval not in INTERVAL_MINUTES and interval[:-1].isdigit() and interval.endswith("m"):
        return int(interval[:-1]) * MINUTE
    return INTERVAL_MINUTES[interval] * MINUTE
