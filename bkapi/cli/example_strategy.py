"""The built-in example strategy of ``bk demo`` and ``bk backtest example``: two moving averages cross."""

import polars as pl

from bkapi.schemas.doors import add_strategy_schema


def signals(
    candles: pl.DataFrame,
    *,
    fast: int = 20,
    slow: int = 60,
    take_profit_percent: float = 2.0,
    stop_loss_percent: float = 1.0,
    lifetime_minutes: int = 480,
) -> pl.DataFrame:
    """Long when the fast average rises above the slow one, short when it falls below; known at the candle's close.

    candles    1m candles, oldest first; ``closed_at`` is the moment from which a row is known (ms UTC)
    fast, slow windows in candles of 15 minutes

    Levels are percents of the entry price, so ``bk sweep`` can vary them, and ``--vary fast=5:30:5`` the windows.
    """
    bars = candles.group_by(pl.col("timestamp") // 900_000, maintain_order=True).agg(
        pl.col("closed_at", "close").last()
    )
    above = pl.col("close").rolling_mean(fast) > pl.col("close").rolling_mean(slow)
    return (
        bars.with_columns(above=above)
        .filter((pl.col("closed_at") % 900_000 == 0) & (pl.col("above") != pl.col("above").shift(1)))
        .select(
            timestamp="closed_at",
            position=pl.when("above").then(pl.lit("long")).otherwise(pl.lit("short")),
            take_profit_percent=pl.lit(take_profit_percent),
            stop_loss_percent=pl.lit(stop_loss_percent),
            minute_estimated_time=pl.lit(lifetime_minutes),
        )
    )


def register() -> None:
    """Register it as ``sma_cross``."""
    params = {"fast": 20, "slow": 60}
    add_strategy_schema(strategy_name="sma_cross", interval="15m", signals=signals, params=params)
