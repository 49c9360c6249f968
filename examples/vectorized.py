"""A vectorized strategy: the whole signal frame at once, then its statistics, its trades and its event log.

python examples/vectorized.py                  runs it and prints what came of it
bk backtest examples/vectorized.py             the same strategy from the command line, over the whole sample
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from bkapi import Backtest, add_exchange_schema, add_frame_schema, add_strategy_schema

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "synthetic_btcusdt_1m.parquet"
QUARTER_MS = 15 * 60_000


def signals(candles: pl.DataFrame) -> pl.DataFrame:
    """Buy a new four-hour high, sell a new four-hour low, judged every 15 minutes on closed candles.

    ``closed_at`` is the moment from which a candle is known. A signal that looks at a candle carries that moment, never
    ``timestamp``, the moment at which the candle opened.
    """
    highest = pl.col("high").rolling_max(240).shift(1)
    lowest = pl.col("low").rolling_min(240).shift(1)
    position = (
        pl.when(pl.col("close") > highest)
        .then(pl.lit("long"))
        .when(pl.col("close") < lowest)
        .then(pl.lit("short"))
    )
    return (
        candles.select("closed_at", position=position)
        .filter(pl.col("position").is_not_null() & (pl.col("closed_at") % QUARTER_MS == 0))
        .select(
            timestamp="closed_at",
            position="position",
            take_profit_percent=pl.lit(3.0),
            stop_loss_percent=pl.lit(1.5),
            minute_estimated_time=pl.lit(720),
        )
    )


add_strategy_schema(strategy_name="breakout", interval="15m", signals=signals)


def main() -> None:
    """Run it over two months of the bundled candles."""
    add_exchange_schema(exchange_name="sample", candles={"BTCUSDT": SAMPLE})
    add_frame_schema(frame_name="winter", start_date=date(2024, 1, 2), end_date=date(2024, 2, 29))
    context = {"strategy_name": "breakout", "exchange_name": "sample", "frame_name": "winter"}
    run = Backtest.finish("BTCUSDT", context)
    print(run.statistics())

    print("\nHow the positions ended, in percent after fees and slippage:")
    by_end = run.trades.group_by("position", "reason").agg(
        trades=pl.len(), mean=pl.col("pnl_percent").mean(), total=pl.col("pnl_percent").sum()
    )
    print(by_end.sort("position", "reason"))

    print("\nThe log of the best trade, without its new highs and lows:")
    best = run.trades["pnl_percent"].arg_max()
    story = run.events.filter(
        (pl.col("trade") == best) & ~pl.col("kind").is_in(["highest_profit", "max_drawdown"])
    )
    with pl.Config(tbl_rows=20):
        print(story.select("time", "kind", "level", "price", "pnl_percent"))


if __name__ == "__main__":
    main()
