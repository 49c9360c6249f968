"""What a finished run looks like as frames: closed trades for statistics, signals with their names for documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from bkapi.backtest import FinishedRun


def closed_trades(run: FinishedRun) -> pl.DataFrame:
    """Closed positions of a run in order of closing: ``symbol`` and the columns that statistics need."""
    import polars as pl

    return (
        run.trades.filter(pl.col("status") == "closed")
        .select(
            pl.lit(run.symbol).alias("symbol"),
            "pnl_percent",
            "peak_percent",
            "fall_percent",
            pl.col("pending_at", "ended_at").dt.epoch("ms"),
            "close_price",
        )
        .rename({"ended_at": "close_timestamp"})
    )
