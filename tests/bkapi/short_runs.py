"""How a test plays a short run: candles from closes, signals by minute, and what is done at each ping."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

import bkapi as bk

SYMBOL = "BTCUSDT"
CONTEXT = {"strategy_name": "planned", "exchange_name": "memory", "frame_name": "minutes"}
MIDNIGHT = datetime(2024, 1, 1, tzinfo=UTC)
MIDNIGHT_MS = 1_704_067_200_000

#: What is done at a ping of the minute that is its key.
Script = Mapping[int, Callable[[], object]]


def minute_of(timestamp: int) -> int:
    """Minutes since midnight of the first day."""
    return (timestamp - MIDNIGHT_MS) // 60_000


def candles_of(closes: Sequence[float], *, wick: float = 0.0, volumes: Sequence[float] = ()) -> pl.DataFrame:
    """A candle per minute from midnight on, each opening at its close."""
    close = pl.Series(closes, dtype=pl.Float64)
    return pl.DataFrame(
        {
            "timestamp": [MIDNIGHT_MS + minute * 60_000 for minute in range(len(closes))],
            "open": close,
            "high": close + wick,
            "low": close - wick,
            "close": close,
            "volume": list(volumes) or [1.0] * len(closes),
        }
    )


def register(candles: pl.DataFrame, signals: Mapping[int, Mapping[str, Any]], *, first: int = 5) -> None:
    """Register everything for :data:`CONTEXT`: ticks from minute ``first`` on, signals by the minute that asks."""
    bk.add_exchange_schema(exchange_name="memory", candles={SYMBOL: candles})
    bk.add_frame_schema(
        frame_name="minutes",
        start_date=MIDNIGHT + timedelta(minutes=first),
        end_date=MIDNIGHT + timedelta(minutes=len(candles) - 2),
    )
    bk.add_strategy_schema(
        strategy_name="planned",
        get_signal=lambda symbol, when, price: signals.get(minute_of(int(when.timestamp() * 1000))),
    )


def play(active: Script, *, resting: Script | None = None, idle: Script | None = None) -> list[Any]:
    """Run to the end and do at each ping what its script says for the minute; returns the results."""
    for listen, script in (
        (bk.listen_active_ping, active),
        (bk.listen_schedule_ping, resting or {}),
        (bk.listen_idle_ping, idle or {}),
    ):
        if script:
            listen(_player(script))
    return list(bk.Backtest.run(SYMBOL, CONTEXT))


def _player(script: Script) -> Callable[[Any], None]:
    def act(event: Any) -> None:
        script.get(minute_of(event.timestamp), lambda: None)()

    return act
