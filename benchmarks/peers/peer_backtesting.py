"""backtesting.py: a strategy class with bracket orders, an exit in ``next`` and, where it trails, a stop that is moved.

It has no slippage: twice the commission stands for both, so that a trade may differ by a hundredth of a percent. Units
are whole, so prices are scaled down and a unit is a millionth.
"""

from __future__ import annotations

import platform
from typing import Any

import backtesting
import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy
from numpy.typing import NDArray
from workload import Workload, trade_list

CASH = 1e9
SCALE = 1e-6


class Bracket(Strategy):
    """Enters on a signal when flat."""

    signals: list[int]
    close: list[float]
    take = 0.01
    stop = 0.01
    lifetime = 240
    cost = 100.0
    trails = False
    entered = 0

    def init(self) -> None:
        """No indicators: the signals are given."""

    def next(self) -> None:
        """At the close of every candle."""
        row = len(self.data) - 1
        if self.trades:
            trade = self.trades[0]
            if row - self.entered >= self.lifetime:
                trade.close()
            elif self.trails:
                side = 1 if trade.is_long else -1
                stop = self.close[row] * (1.0 - side * self.stop)
                if side * (stop - trade.sl) > 0.0:
                    trade.sl = stop
            return
        side = self.signals[row]
        if side == 0 or (self.closed_trades and self.closed_trades[-1].exit_bar == row):
            return
        price = self.close[row]
        self.entered = row
        order = self.buy if side > 0 else self.sell
        units = max(1, round(self.cost / price))
        order(size=units, tp=price * (1.0 + side * self.take), sl=price * (1.0 - side * self.stop))


class Side:
    """See :mod:`worker`."""

    def __init__(self, columns: dict[str, Any], signals: NDArray[np.int8], workload: Workload) -> None:
        self.workload = workload
        frame = pd.DataFrame(
            {name.capitalize(): columns[name] * SCALE for name in ("open", "high", "low", "close")}
        )
        frame.index = pd.to_datetime(columns["timestamp"], unit="ms")
        close = (columns["close"] * SCALE).tolist()
        rules = {
            "signals": signals.tolist(),
            "close": close,
            "lifetime": workload.lifetime,
            "cost": workload.cost,
            "trails": workload.rules == "trailing",
        }
        self.backtest = Backtest(
            frame,
            type("Rules", (Bracket,), rules),
            cash=CASH,
            commission=(workload.fee + workload.slippage) / 100,
            finalize_trades=True,
        )
        self.found: list[Any] = []

    def run(self) -> tuple[Any, Any]:
        """Trades and percent of every combination."""
        takes, stops = self.workload.pairs()
        self.found = [
            self.backtest.run(take=float(take), stop=float(stop))["_trades"]
            for take, stop in zip(takes, stops, strict=True)
        ]
        return [len(trades) for trades in self.found], [self.percent(trades).sum() for trades in self.found]

    def percent(self, trades: Any) -> Any:
        """Result of each trade, costs included."""
        return trades["PnL"] / (trades["EntryPrice"] * trades["Size"].abs()) * 100.0

    def trades(self) -> dict[str, NDArray[Any]]:
        """Of the last run. An entry fills at the open of the candle after the signal, as does an exit by time."""
        every = pd.concat(
            [trades.assign(number=n) for n, trades in zip(self.workload.numbers, self.found, strict=True)]
        )
        expired = every["ExitBar"] - every["EntryBar"] >= self.workload.lifetime
        return trade_list(
            every["number"],
            every["EntryBar"] - 1,
            every["ExitBar"] - expired.astype(np.int64),
            np.sign(every["Size"]),
            self.percent(every),
        )

    def versions(self) -> dict[str, str]:
        """Of what computes."""
        return {
            "python": platform.python_version(),
            "backtesting": backtesting.__version__,
            "numpy": np.__version__,
            "pandas": pd.__version__,
        }
