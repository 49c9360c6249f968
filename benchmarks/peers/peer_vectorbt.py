"""vectorbt: ``Portfolio.from_signals`` with a signal function of ours, ``from_order_func`` where entries are added.

A grid goes in slices of as many columns as each way is fastest with: wide ones cost memory and cache misses.
"""

from __future__ import annotations

import platform
from typing import Any

import numba
import numpy as np
import pandas as pd
import vectorbt as vbt
from numba import njit
from numpy.typing import NDArray
from vectorbt.portfolio.enums import NoOrder
from vectorbt.portfolio.nb import order_nb
from workload import Workload, trade_list

CASH = 1e9
COLUMNS = 5


@njit
def enter_when_flat(c: Any, signals: Any, entered: Any, lifetime: Any) -> Any:
    """Long entry, long exit, short entry, short exit; the stops of vectorbt come first."""
    if c.position_now == 0.0:
        signal = signals[c.i]
        if signal != 0:
            entered[c.col] = c.i
        return signal > 0, False, signal < 0, False
    is_over = c.i - entered[c.col] >= lifetime
    return False, is_over, False, is_over


@njit
def average_down(c: Any, market: Any, signals: Any, takes: Any, stops: Any, numbers: Any, state: Any) -> Any:
    """One order per candle: the entry, a further one, or the exit.

    A further entry is decided by the close and booked at the close before it, where that is better than all entries.
    ``state`` has a row per column: side, row of the entry, its price, the best entry, entries.
    """
    opened, high, low, close = market
    fee, slippage, cost, step, most, lifetime = numbers
    i, k = c.i, c.col
    side = state[k, 0]
    if side == 0.0:
        if signals[i] == 0:
            return NoOrder
        side, price = float(signals[i]), close[i]
        state[k, 0], state[k, 1], state[k, 2], state[k, 3], state[k, 4] = side, i, price, price, 1.0
        return order_nb(side * cost / (price * (1.0 + side * slippage)), price, fees=fee, slippage=slippage)
    stop = state[k, 2] * (1.0 - side * stops[k])
    take = state[k, 2] * (1.0 + side * takes[k])
    worst, best = (low[i], high[i]) if side > 0.0 else (high[i], low[i])
    price = 0.0
    if i - state[k, 1] > lifetime or side * (opened[i] - stop) <= 0.0 or side * (opened[i] - take) >= 0.0:
        price = opened[i]
    elif side * (worst - stop) <= 0.0:
        price = stop
    elif side * (best - take) >= 0.0:
        price = take
    if price > 0.0:
        state[k, 0] = 0.0
        return order_nb(-c.position_now, price, fees=fee, slippage=slippage)
    price = close[i - 1]
    rung = state[k, 3] * (1.0 - side * step)
    if state[k, 4] < most and side * (close[i] - rung) <= 0.0 and side * (price - state[k, 3]) < 0.0:
        state[k, 3] = price
        state[k, 4] += 1.0
        return order_nb(side * cost / (price * (1.0 + side * slippage)), price, fees=fee, slippage=slippage)
    return NoOrder


class Side:
    """See :mod:`worker`."""

    def __init__(self, columns: dict[str, Any], signals: NDArray[np.int8], workload: Workload) -> None:
        self.workload = workload
        self.columns = columns
        self.signals = signals
        self.takes, self.stops = workload.pairs()
        self.engine = workload.option or "numba"
        vbt.settings["engine"] = self.engine
        is_narrow = self.engine == "rust" or workload.rules == "averaging"
        self.width = width = min(1 if is_narrow else COLUMNS, self.takes.size)
        self.close = pd.DataFrame(np.broadcast_to(columns["close"][:, None], (signals.size, width)))
        self.exits = np.zeros(signals.size, np.bool_)
        self.exits[np.flatnonzero(signals) + workload.lifetime] = True
        self.found: list[Any] = []

    def slice(self, takes: NDArray[Any], stops: NDArray[Any]) -> Any:
        """A portfolio over some combinations."""
        work = self.workload
        close = self.close.iloc[:, : takes.size]
        most_orders = takes.size * (work.most_entries + 2) * int(np.count_nonzero(self.signals))
        if work.rules == "averaging":
            numbers = (
                *(work.fee / 100, work.slippage / 100, work.cost, work.step / 100),
                *(work.most_entries, work.lifetime),
            )
            market = tuple(self.columns[name] for name in ("open", "high", "low", "close"))
            state = np.zeros((takes.size, 5))
            return vbt.Portfolio.from_order_func(
                close,
                average_down,
                market,
                self.signals,
                takes,
                stops,
                numbers,
                state,
                init_cash=CASH,
                max_orders=most_orders,
                freq="1min",
            )
        orders: dict[str, Any]
        if work.signals == "apart":
            entries = {"entries": (self.signals > 0)[:, None], "exits": self.exits[:, None]}
            orders = {**entries, "direction": "longonly", "engine": self.engine}
        else:
            entered = np.zeros(takes.size, np.int64)
            orders = {
                "signal_func_nb": enter_when_flat,
                "signal_args": (self.signals, entered, work.lifetime),
                "upon_opposite_entry": "ignore",
            }
        return vbt.Portfolio.from_signals(
            close,
            **orders,
            **{name: self.columns[name][:, None] for name in ("open", "high", "low")},
            size=work.cost,
            size_type="value",
            fees=work.fee / 100,
            slippage=work.slippage / 100,
            tp_stop=takes[None, :],
            sl_stop=stops[None, :],
            sl_trail=work.rules == "trailing",
            stop_exit_price="stopmarket",
            init_cash=CASH,
            max_orders=most_orders,
            freq="1min",
        )

    def run(self) -> tuple[Any, Any]:
        """Trades and percent of every combination."""
        self.found = []
        counts, sums = np.zeros(self.takes.size), np.zeros(self.takes.size)
        for first in range(0, self.takes.size, self.width):
            end = min(first + self.width, self.takes.size)
            records = self.slice(self.takes[first:end], self.stops[first:end]).trades.records
            self.found.append((first, records))
            counts[first:end] = np.bincount(records["col"], minlength=end - first)
            sums[first:end] = np.bincount(records["col"], records["return"] * 100.0, minlength=end - first)
        return counts, sums

    def trades(self) -> dict[str, NDArray[Any]]:
        """Of the last run."""
        records = pd.concat([rows.assign(col=rows["col"] + first) for first, rows in self.found])
        assert (records["status"] == 1).all(), "a trade is left open"
        return trade_list(
            np.array(self.workload.numbers)[records["col"]],
            records["entry_idx"],
            records["exit_idx"] - (self.workload.rules == "averaging") * self.expired(records),
            np.where(records["direction"] == 0, 1, -1),
            records["return"] * 100.0,
        )

    def expired(self, records: Any) -> Any:
        """1 where a trade has ended at the open of the candle after its lifetime."""
        return (records["exit_idx"] - records["entry_idx"] > self.workload.lifetime).astype(np.int64)

    def versions(self) -> dict[str, str]:
        """Of what computes."""
        found = {
            "python": platform.python_version(),
            "vectorbt": vbt.__version__,
            "numba": numba.__version__,
            "numpy": np.__version__,
            "pandas": pd.__version__,
        }
        if self.engine == "rust":
            from importlib.metadata import version

            found["vectorbt-rust"] = version("vectorbt-rust")
        return found
