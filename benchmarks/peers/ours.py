"""This project's side, by its public sweep."""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from workload import INTERVAL, MINUTE, WARM_UP, Workload, trade_list

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
CONTEXT = {"strategy_name": "cross", "exchange_name": "memory", "frame_name": "year"}
SYMBOL = "BTCUSDT"


def moment(ms: Any) -> datetime:
    """A time in milliseconds as the API takes it."""
    return datetime.fromtimestamp(int(ms) / 1000, UTC)


def register(columns: dict[str, Any], signals: NDArray[np.int8], workload: Workload) -> None:
    """Candles, frame and strategy. Highs and lows reach levels, and the last close is the price of entry."""
    import polars as pl

    import bkapi as bk

    rows = np.flatnonzero(signals)
    frame = pl.DataFrame(
        {
            "timestamp": columns["timestamp"][rows] + MINUTE,
            "position": np.where(signals[rows] > 0, "long", "short"),
            "take_profit_percent": 1.0,
            "stop_loss_percent": 1.0,
            "minute_estimated_time": workload.lifetime,
        }
    )
    bk.reset()
    bk.set_config(
        CC_PERCENT_FEE=workload.fee,
        CC_PERCENT_SLIPPAGE=workload.slippage,
        CC_POSITION_ENTRY_COST=workload.cost,
    )
    bk.add_exchange_schema(
        exchange_name="memory", candles={SYMBOL: bk.CandleFrame(columns, symbol=SYMBOL, interval="1m")}
    )
    bk.add_frame_schema(
        frame_name="year",
        interval="15m",
        start_date=moment(columns["timestamp"][WARM_UP]),
        end_date=moment(columns["timestamp"][-INTERVAL]),
    )
    bk.add_strategy_schema(
        strategy_name="cross",
        interval="15m",
        signals=lambda candles: frame,
        fill="last_close",
        policy=policy(workload),
    )


def policy(workload: Workload) -> Any:
    """What moves during a trade; a distance that trails is a parameter of the sweep."""
    import bkapi as bk

    if workload.rules != "averaging":
        return None
    return bk.Policy(
        dca_step_percent=workload.step, dca_most_entries=workload.most_entries, dca_cost=workload.cost
    )


def sweep(workload: Workload) -> Any:
    """The work that is timed: every combination of the grid with its metrics, from the registered parts."""
    from bkapi import Space, Sweep

    stops = {"stop_loss_percent": workload.stops}
    if workload.rules == "trailing":
        stops["trailing_stop_distance_percent"] = workload.stops
    space = Space.grid(take_profit_percent=workload.takes) * Space.zip(**stops)
    space *= Space.grid(lifetime_minutes=[float(workload.lifetime)])
    sweeping = Sweep(
        CONTEXT, space, symbol=SYMBOL, threads=workload.threads, metrics=workload.option or "drawdown"
    )
    return sweeping.run(progress=False)


class Side:
    """See :mod:`worker`. It always runs the whole grid and tells of the chosen combinations."""

    def __init__(self, columns: dict[str, Any], signals: NDArray[np.int8], workload: Workload) -> None:
        self.workload = workload
        self.start = int(columns["timestamp"][0])
        register(columns, signals, workload)
        self.result: Any = None

    def run(self) -> tuple[Any, Any]:
        """Trades and percent of every combination."""
        self.result = sweep(self.workload)
        frame = self.result.frame[list(self.workload.numbers)]
        return frame["total_trades"].to_numpy(), frame["total_pnl"].to_numpy()

    def trades(self) -> dict[str, NDArray[Any]]:
        """From a whole backtest per combination."""
        import polars as pl

        lists = [
            self.result.trades(number).select(
                pl.lit(number).alias("combination"),
                (pl.col("pending_at", "ended_at").dt.epoch("ms") - self.start) // MINUTE,
                pl.col("reason") == "time_expired",
                side=pl.when(pl.col("position") == "long").then(1).otherwise(-1),
                percent="pnl_percent",
            )
            for number in self.workload.numbers
        ]
        every = pl.concat(lists)
        return trade_list(
            every["combination"],
            every["pending_at"] - 1,  # at the open of a candle, which is the close before it
            every["ended_at"] - every["reason"].cast(pl.Int64),  # likewise when the lifetime is over
            every["side"],
            every["percent"],
        )

    def versions(self) -> dict[str, str]:
        """Of what computes."""
        import numba
        import polars as pl

        import bkapi as bk

        return {
            "python": platform.python_version(),
            "bk": bk.__version__,
            "numba": numba.__version__,
            "numpy": np.__version__,
            "polars": pl.__version__,
        }
