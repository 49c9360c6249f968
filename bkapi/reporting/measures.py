"""Turns the rows of a bucket into the frames of :mod:`bkapi.statistics.measured` (spec reports.md 6, 8).

Rows come newest first, as a bucket holds them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from bkapi.base.deferred import pl
from bkapi.reporting.paths import reader
from bkapi.statistics import measured
from bkapi.statistics.records import EventStatistics, HeatStatistics, PerformanceStatistics

E = TypeVar("E", bound=EventStatistics)
R = TypeVar("R")
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
    columns = []
    for name, path in paths.items():
        get = reader(path or name)
        kind = pl.String if name in _TEXTS else pl.Float64 if name in _FLOATS else pl.Int64
        columns.append(pl.Series(name, [get(row) for row in reversed(rows)], dtype=kind, strict=False))
    return pl.DataFrame(columns)


def _measures(measure: Callable[..., R], paths: Mapping[str, str | None]) -> Callable[[Rows, str], R]:
    def measured_of(rows: Rows, _: str) -> R:
        return measure(_frame(rows, paths), rows=rows[::-1], row_limit=None)

    return measured_of


backtest_measures = _measures(measured.backtest_statistics, _CLOSED)
live_measures = _measures(measured.live_statistics, _LIVE)
schedule_measures = _measures(measured.schedule_statistics, _ORDERS)
risk_measures = _measures(measured.risk_statistics, dict.fromkeys(("symbol", "strategy_name")))


def heat_measures(rows: Rows, _: str) -> HeatStatistics:
    """Statistics of closed results of several symbols."""
    return measured.heat_statistics(_frame(rows, {"symbol": "symbol", **_CLOSED}), row_limit=None)


def performance_measures(rows: Rows, strategy_name: str) -> PerformanceStatistics:
    """Statistics of timing events."""
    measure = partial(measured.performance_statistics, strategy_name=strategy_name)
    return _measures(measure, _PERFORMANCE)(rows, "")


def event_measures(kind: type[E], counts_actions: bool) -> Callable[[Rows, str], E]:
    """Rows and counts of one kind of events."""
    names = dict.fromkeys(("action",) if counts_actions else ("timestamp",))
    return _measures(partial(measured.event_statistics, kind), names)
