"""How the rows of a bucket become statistics: frames for :mod:`bkapi.statistics.measured` (spec reports.md 6, 8).

Rows come newest first, as a bucket holds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bkapi.reporting.paths import reader
from bkapi.statistics.records import (
    BacktestStatistics,
    EventStatistics,
    HeatStatistics,
    LiveStatistics,
    PerformanceStatistics,
    RiskStatistics,
    ScheduleStatistics,
)

if TYPE_CHECKING:
    import polars as pl

E = TypeVar("E", bound=EventStatistics)
Rows = Sequence[Any]

_NUMBERS: Final = ("pnl_percent", "peak_percent", "fall_percent", "close_price")
_CLOSED: Final = {
    "pnl_percent": "pnl.pnl_percentage",
    "peak_percent": "signal.peak_profit.pnl_percentage",
    "fall_percent": "signal.max_drawdown.pnl_percentage",
    "pending_at": "signal.pending_at",
    "close_timestamp": "close_timestamp",
    "close_price": "current_price",
}
_LIVE: Final = {
    "action": "action",
    "pnl_percent": "pnl",
    "peak_percent": "peak_pnl",
    "fall_percent": "fall_pnl",
    "pending_at": "pending_at",
    "close_timestamp": "timestamp",
    "close_price": "current_price",
}
_ORDERS: Final = dict.fromkeys(("action", "signal_id", "scheduled_at", "pending_at", "close_timestamp"))
_PERFORMANCE: Final = dict.fromkeys(("metric_type", "timestamp", "previous_timestamp", "duration"))
_TEXTS: Final = ("action", "signal_id", "metric_type", "symbol", "strategy_name")
_FLOATS: Final = (*_NUMBERS, "duration")


def _frame(rows: Rows, paths: Mapping[str, str | None]) -> pl.DataFrame:
    """A column per field, the oldest row first."""
    import polars as pl

    columns = []
    for name, path in paths.items():
        get = reader(path or name)
        kind = pl.String if name in _TEXTS else pl.Float64 if name in _FLOATS else pl.Int64
        columns.append(pl.Series(name, [get(row) for row in reversed(rows)], dtype=kind, strict=False))
    return pl.DataFrame(columns)


def backtest_measures(rows: Rows, _: str) -> BacktestStatistics:
    """Statistics of closed results."""
    from bkapi.statistics.measured import backtest_statistics

    return backtest_statistics(_frame(rows, _CLOSED), rows=rows[::-1], row_limit=None)


def live_measures(rows: Rows, _: str) -> LiveStatistics:
    """Statistics of the rows of a live run."""
    from bkapi.statistics.measured import live_statistics

    return live_statistics(_frame(rows, _LIVE), rows=rows[::-1], row_limit=None)


def heat_measures(rows: Rows, _: str) -> HeatStatistics:
    """Statistics of closed results of several symbols."""
    import polars as pl

    from bkapi.statistics.measured import heat_statistics

    symbol = reader("symbol")
    symbols = pl.Series("symbol", [symbol(row) for row in reversed(rows)], dtype=pl.String)
    return heat_statistics(_frame(rows, _CLOSED).with_columns(symbols), row_limit=None)


def schedule_measures(rows: Rows, _: str) -> ScheduleStatistics:
    """Statistics of resting orders."""
    from bkapi.statistics.measured import schedule_statistics

    return schedule_statistics(_frame(rows, _ORDERS), rows=rows[::-1], row_limit=None)


def performance_measures(rows: Rows, strategy_name: str) -> PerformanceStatistics:
    """Statistics of timing events."""
    from bkapi.statistics.measured import performance_statistics

    return performance_statistics(
        _frame(rows, _PERFORMANCE), strategy_name=strategy_name, rows=rows[::-1], row_limit=None
    )


def risk_measures(rows: Rows, _: str) -> RiskStatistics:
    """Counts of rejections."""
    from bkapi.statistics.measured import risk_statistics

    names = dict.fromkeys(("symbol", "strategy_name"))
    return risk_statistics(_frame(rows, names), rows=rows[::-1], row_limit=None)


def event_measures(kind: type[E], counts_actions: bool) -> Any:
    """Rows and counts of one kind of events."""
    names = dict.fromkeys(("action",) if counts_actions else ("timestamp",))

    def measures(rows: Rows, _: str) -> E:
        from bkapi.statistics.measured import event_statistics

        return event_statistics(kind, _frame(rows, names), rows=rows[::-1], row_limit=None)

    return measures
