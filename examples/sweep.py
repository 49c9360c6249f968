"""A bracket sweep: rank take-profit, stop-loss and lifetime in January, then look at the winners in February.

python examples/sweep.py                       sweeps both months and compares
bk sweep examples/sweep.py                     the same strategy from the command line, over the whole sample
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from bkapi import SweepResult, add_exchange_schema, add_frame_schema, add_strategy_schema, sweep_brackets

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "synthetic_btcusdt_1m.parquet"
HALF_HOUR_MS = 30 * 60_000
BRACKET = ["take_profit_percent", "stop_loss_percent", "lifetime_minutes"]
PERCENTS = [0.6, 0.9, 1.2, 1.5, 1.8, 2.1, 2.4, 2.7, 3.0]


def signals(candles: pl.DataFrame) -> pl.DataFrame:
    """Trade against a move of more than 1 % within an hour; the sweep replaces levels and lifetime."""
    moved = candles.with_columns(change=pl.col("close") / pl.col("close").shift(60) - 1)
    return moved.filter((pl.col("change").abs() > 0.01) & (pl.col("closed_at") % HALF_HOUR_MS == 0)).select(
        timestamp="closed_at",
        position=pl.when(pl.col("change") < 0).then(pl.lit("long")).otherwise(pl.lit("short")),
        take_profit_percent=pl.lit(1.0),
        stop_loss_percent=pl.lit(1.0),
        minute_estimated_time=pl.lit(120),
    )


add_strategy_schema(strategy_name="fade", interval="30m", signals=signals)


def month(name: str, first: date, last: date) -> SweepResult:
    """All brackets over the days from ``first`` to ``last``."""
    add_frame_schema(frame_name=name, start_date=first, end_date=last)
    return sweep_brackets(
        "BTCUSDT",
        {"strategy_name": "fade", "exchange_name": "sample", "frame_name": name},
        take_profit_percent=PERCENTS,
        stop_loss_percent=PERCENTS,
        lifetime_minutes=[60, 120, 240, 480, 960],
    )


def main() -> None:
    """Sweep two months apart from each other and compare."""
    add_exchange_schema(exchange_name="sample", candles={"BTCUSDT": SAMPLE})
    january = month("january", date(2024, 1, 2), date(2024, 1, 31))
    february = month("february", date(2024, 2, 1), date(2024, 2, 29))

    print(f"The best of {len(january.frame)} brackets in January, and what they did in February:")
    later = february.frame.select(*BRACKET, february="avg_pnl", rank=pl.col("avg_pnl").rank(descending=True))
    best = january.top(8, by="avg_pnl").select(*BRACKET, january="avg_pnl")
    print(best.join(later, on=BRACKET, how="left", maintain_order="left"))

    print("\nTotal result in January by take-profit (across) and stop-loss (down), best lifetime of each:")
    with pl.Config(tbl_cols=-1, float_precision=1, tbl_rows=20):
        print(january.heatmap(metric="total_pnl"))

    both = january.frame.select(*BRACKET, january="avg_pnl").join(later, on=BRACKET)
    agreement = both.select(pl.corr("january", "february", method="spearman")).item()
    print(f"\nRank correlation of the two months: {agreement:+.2f}.")
    print("The candles are random: brackets differ by what they pay in costs, and by luck.")


if __name__ == "__main__":
    main()
