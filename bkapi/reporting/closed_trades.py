"""The closed trades of a run as results, made when somebody reads them, and their statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from bkapi.base.lazy_rows import LazyRows
from bkapi.events.results import ClosedResult
from bkcore.machine.codes import Status

if TYPE_CHECKING:
    from bkapi.runs.strategy import StrategyRun
    from bkapi.statistics.measured import TradeColumns
    from bkapi.statistics.records import BacktestStatistics
    from bkcore.machine.run import Run

#: What the records of trades call ``TRADE_COLUMNS``.
_RECORD_FIELDS: Final = (
    "pnl_percent",
    "peak_pnl_percent",
    "fall_pnl_percent",
    "pending_at",
    "ended_at",
    "end_price",
)


class ClosedTrades(LazyRows[ClosedResult]):
    """Closed trades, the newest first; ``first_opening`` and ``last_close`` are ms UTC, None without trades.

    ``played()`` is the run that made them, kept or played again.
    """

    __slots__ = ("first_opening", "last_close")

    def __init__(self, run: StrategyRun, played: Callable[[], StrategyRun]) -> None:
        trades = run.run.trades
        closed = np.flatnonzero(trades["status"] == Status.CLOSED)
        super().__init__(closed[::-1], lambda trade: cast(ClosedResult, played().rows.ended(trade)))
        self.first_opening = int(trades["pending_at"][closed].min()) if closed.size else None
        self.last_close = int(trades["ended_at"][closed].max()) if closed.size else None


def closed_columns(run: Run) -> TradeColumns:
    """The columns that statistics need of the closed positions of a run, as arrays in order of closing."""
    closed = run.trades[run.trades["status"] == Status.CLOSED]
    return tuple(np.ascontiguousarray(closed[name]) for name in _RECORD_FIELDS)


def all_statistics(run: StrategyRun, played: Callable[[], StrategyRun] | None = None) -> BacktestStatistics:
    """Statistics of all closed trades of a run that has ended, however many (spec reports.md 6; deviation 11).

    played   makes the run again, where it is not to be kept for the sake of its list of trades
    """
    from bkapi.statistics.measured import statistics_of_columns

    return statistics_of_columns(closed_columns(run.run), ClosedTrades(run, played or (lambda: run)))
