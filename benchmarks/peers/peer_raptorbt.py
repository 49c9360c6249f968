"""raptorbt: its batch runner over arrays of entries and exits, which know one direction and no lifetime.

So it is given signals that lie further apart than a lifetime, and an exit where each lifetime is over. Positions are a
millionth of the capital, so that what was earned before hardly changes their size.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
import raptorbt
from numpy.typing import NDArray
from workload import Workload, trade_list

CASH = 1e9
BATCH = 25  # results keep a curve per candle


class Side:
    """See :mod:`worker`."""

    def __init__(self, columns: dict[str, Any], signals: NDArray[np.int8], workload: Workload) -> None:
        assert workload.rules == "static" and workload.signals == "apart"
        self.workload = workload
        names = ("open", "high", "low", "close", "volume")
        self.market = (
            columns["timestamp"] * 1_000_000,
            *(np.ascontiguousarray(columns[name]) for name in names),
        )
        self.entries = signals > 0
        self.exits = np.zeros(signals.size, np.bool_)
        self.exits[np.flatnonzero(signals) + workload.lifetime] = True
        self.sizes = np.full(signals.size, workload.cost / CASH)

    def config(self, take: float, stop: float) -> Any:
        """Costs and levels of one combination."""
        config = raptorbt.BacktestConfig(
            initial_capital=CASH,
            fees=self.workload.fee / 100,
            slippage=self.workload.slippage / 100,
            fill_timing="same_bar_close",
        )
        filled = 1.0 + self.workload.slippage / 100  # its levels are measured from here, ours from the close
        config.set_fixed_target((1.0 + take) / filled - 1.0)
        config.set_fixed_stop(1.0 - (1.0 - stop) / filled)
        return config

    def results(self) -> Iterator[tuple[int, Any]]:
        """Number and result of every combination; no more than a batch is kept."""
        items = [
            raptorbt.BatchSingleItem(
                str(number),
                self.entries,
                self.exits,
                1,
                config=self.config(float(take), float(stop)),
                position_sizes=self.sizes,
            )
            for number, take, stop in zip(self.workload.numbers, *self.workload.pairs(), strict=True)
        ]
        for first in range(0, len(items), BATCH):
            done = raptorbt.batch_single_backtest(*self.market, items[first : first + BATCH])
            yield from sorted(((int(name), result) for name, result in done), key=lambda pair: pair[0])

    def run(self) -> tuple[Any, Any]:
        """Trades of every combination; its results are money, so there is no sum of percents."""
        return [result.metrics.total_trades for _, result in self.results()], None

    def percent(self, trade: Any) -> float:
        """Result of a trade, costs included."""
        return float(trade.pnl / (trade.entry_price * trade.size) * 100.0)

    def trades(self) -> dict[str, NDArray[Any]]:
        """Of a run of their own: as objects they cost as much as the run."""
        every = [(number, trade) for number, result in self.results() for trade in result.trades()]
        return trade_list(
            [number for number, _ in every],
            [trade.entry_idx for _, trade in every],
            [trade.exit_idx for _, trade in every],
            [trade.direction for _, trade in every],
            [self.percent(trade) for _, trade in every],
        )

    def versions(self) -> dict[str, str]:
        """Of what computes."""
        return {
            "python": platform.python_version(),
            "raptorbt": version("raptorbt"),
            "numpy": np.__version__,
        }
