"""A search: 120 suggestions of Optuna out of a space of millions, and what the guards say of the best.

python examples/search.py
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from bkapi import Search, Space, add_exchange_schema, add_frame_schema, add_strategy_schema

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "synthetic_btcusdt_1m.parquet"
HALF_HOUR_MS = 30 * 60_000


def signals(
    candles: pl.DataFrame, look_back: int = 60, move: float = 1.0, side: str = "against"
) -> pl.DataFrame:
    """Trade against a move of ``move`` percent, or with it."""
    up, down = ("short", "long") if side == "against" else ("long", "short")
    moved = candles.with_columns(change=100 * (pl.col("close") / pl.col("close").shift(look_back) - 1))
    return moved.filter((pl.col("change").abs() > move) & (pl.col("closed_at") % HALF_HOUR_MS == 0)).select(
        timestamp="closed_at",
        position=pl.when(pl.col("change") > 0).then(pl.lit(up)).otherwise(pl.lit(down)),
        take_profit_percent=pl.lit(1.0),
        stop_loss_percent=pl.lit(1.0),
        minute_estimated_time=pl.lit(240),
    )


add_strategy_schema(
    strategy_name="moves",
    interval="30m",
    signals=signals,
    params={"look_back": 60, "move": 1.0, "side": "against"},
)


def often_and_well(row: Mapping[str, Any]) -> float | None:
    """The average trade, of those that trade often enough to mean something."""
    return row["avg_pnl"] if row["total_trades"] >= 40 else None


def main() -> None:
    """Search, and look at the best."""
    add_exchange_schema(exchange_name="sample", candles={"BTCUSDT": SAMPLE})
    add_frame_schema(frame_name="winter", start_date=date(2024, 1, 2), end_date=date(2024, 2, 29))
    space = Space.grid(side=["against", "with"], lifetime_minutes=[60, 120, 240, 480, 960]) * Space.random(
        1,  # ranges; how many are drawn means nothing to a search
        log="look_back",
        look_back=(15, 480),
        move=(0.4, 2.0),
        take_profit_percent=(0.6, 4.0),
        stop_loss_percent=(0.6, 4.0),
    )
    space = space.where(pl.col("take_profit_percent") >= 0.5 * pl.col("stop_loss_percent"))
    context = {"strategy_name": "moves", "exchange_name": "sample", "frame_name": "winter"}
    result = Search(context, space, symbol="BTCUSDT", objective=often_and_well, trials=120, seed=1).run()
    print(result)
    best = result.best
    print(f"\nThe best, number {best['combination']} of {result.trials}: {best['objective']:+.3f} % a trade")
    print(result.study.best_trial.params)
    print(f"\n{result.overfitting(draws=19)}")


if __name__ == "__main__":
    main()
