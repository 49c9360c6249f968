"""A sweep in worker processes of Ray: the same numbers as in this process, on as many machines as a cluster has.

python examples/distributed.py                 starts a small cluster on this machine, and stops it
python examples/distributed.py HOST:6379       uses one that runs already (ray start --head)
"""

from __future__ import annotations

import sys
import tempfile
from datetime import date
from pathlib import Path

import polars as pl

from bkapi import Space, Sweep, add_exchange_schema, add_frame_schema, add_strategy_schema

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "synthetic_btcusdt_1m.parquet"
HALF_HOUR_MS = 30 * 60_000


def signals(candles: pl.DataFrame, look_back: int = 60) -> pl.DataFrame:
    """Trade against a move of more than 1 %. The function travels to the workers as it stands here."""
    moved = candles.with_columns(change=pl.col("close") / pl.col("close").shift(look_back) - 1)
    return moved.filter((pl.col("change").abs() > 0.01) & (pl.col("closed_at") % HALF_HOUR_MS == 0)).select(
        timestamp="closed_at",
        position=pl.when(pl.col("change") < 0).then(pl.lit("long")).otherwise(pl.lit("short")),
        take_profit_percent=pl.lit(1.0),
        stop_loss_percent=pl.lit(1.0),
        minute_estimated_time=pl.lit(240),
    )


add_strategy_schema(strategy_name="fade", interval="30m", signals=signals, params={"look_back": 60})


def main() -> None:
    """Sweep on two workers, then in this process, and compare."""
    add_exchange_schema(exchange_name="sample", candles={"BTCUSDT": SAMPLE})
    add_frame_schema(frame_name="winter", start_date=date(2024, 1, 2), end_date=date(2024, 2, 29))
    space = Space.grid(
        look_back=[30, 60, 120, 240],
        breakeven_from_percent=[None, 0.4, 0.8],
        take_profit_percent=[0.6, 1.2, 1.8, 2.4],
        stop_loss_percent=[0.6, 1.2, 1.8, 2.4],
    )
    context = {"strategy_name": "fade", "exchange_name": "sample", "frame_name": "winter"}
    sweep = Sweep(context, space, symbol="BTCUSDT", threads=2)
    address = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as folder:
        result = sweep.run(
            folder=folder, engine="ray", address=address
        )  # killed, it would go on from the folder
        print(result.top(3, by="avg_pnl").select(result.shown))
        here = sweep.run(progress=False)
        print("the same in this process, to the last bit:", result.frame.equals(here.frame))


if __name__ == "__main__":
    main()
