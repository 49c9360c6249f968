"""Which kinds of report are there? The table behind statistics, documents and records (spec reports.md 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bkapi.reporting import measures
from bkapi.reporting.rows import TickEvent
from bkapi.statistics import records


@dataclass(frozen=True)
class Kind:
    """What varies between the kinds.

    title      of a document, with ``{symbol}`` and ``{strategy}``
    empty      what an empty document says
    measures   ``(rows newest first, strategy_name)``: the statistics record
    counted    the field of the record that is 0 when the document is empty
    table      the rows of the table of a record
    backtest   the flag that rows are kept under, None for the event's own
    place      puts a row in the place of another; True when it did
    """

    name: str
    title: str
    empty: str
    measures: Callable[[Sequence[Any], str], Any]
    counted: str = "total_events"
    table: Callable[[Any], Sequence[Any]] = lambda record: record.event_list
    backtest: bool | None = None
    place: Callable[[list[Any], Any], bool] | None = None

    @property
    def columns(self) -> str:
        """The name of its column set."""
        return f"{self.name}_columns"

    @property
    def path(self) -> str:
        """Where ``dump`` writes unless told otherwise."""
        return f"./dump/{self._documented}"

    @property
    def _documented(self) -> str:
        return "heatmap" if self.name == "heat" else self.name

    def row_limit(self) -> int:
        """How many rows a bucket keeps, as configured now."""
        from bkapi.base import config

        return int(config.value(f"CC_MAX_{self._documented.upper()}_MARKDOWN_ROWS"))


def place_live_row(rows: list[Any], row: TickEvent) -> bool:
    """The replace rules of live rows (spec 8.1): one row per active or waiting signal, one idle row per pause."""
    if row.action in ("active", "waiting"):
        for index, old in enumerate(rows):
            if old.action == row.action and old.signal_id == row.signal_id:
                rows[index] = row
                return True
    elif row.action == "idle":
        for index in range(len(rows) - 1, -1, -1):
            if rows[index].action == "idle":
                if not any(older.action in ("opened", "active") for older in rows[index + 1 :]):
                    rows[index] = row
                    return True
                break
    return False


KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind(
            "backtest",
            "Backtest Report: {strategy}",
            "No signals closed yet.",
            measures.backtest_measures,
            counted="total_signals",
            table=lambda record: record.signal_list,
            backtest=True,
        ),
        Kind(
            "live",
            "Live Trading Report: {strategy}",
            "No events recorded yet.",
            measures.live_measures,
            backtest=False,
            place=place_live_row,
        ),
        Kind(
            "schedule",
            "Scheduled Signals Report: {strategy}",
            "No scheduled signals recorded yet.",
            measures.schedule_measures,
        ),
        Kind(
            "heat",
            "Portfolio Heatmap: {strategy}",
            "*No data available*",
            measures.heat_measures,
            counted="total_symbols",
            table=lambda record: record.symbols,
        ),
        Kind(
            "performance",
            "Performance Report: {strategy}",
            "No performance metrics recorded yet.",
            measures.performance_measures,
            table=lambda record: [*record.metric_stats.values()],
        ),
        Kind(
            "partial",
            "Partial Profit/Loss Report: {symbol}:{strategy}",
            "No partial profit/loss events recorded yet.",
            measures.event_measures(records.PartialStatistics, True),
        ),
        Kind(
            "breakeven",
            "Breakeven Report: {symbol}:{strategy}",
            "No breakeven events recorded yet.",
            measures.event_measures(records.BreakevenStatistics, False),
        ),
        Kind(
            "risk",
            "Risk Rejection Report: {symbol}:{strategy}",
            "No risk rejections recorded yet.",
            measures.risk_measures,
            counted="total_rejections",
        ),
        Kind(
            "strategy",
            "Strategy Report: {symbol}:{strategy}",
            "No strategy events recorded yet.",
            measures.event_measures(records.StrategyStatistics, True),
        ),
        Kind(
            "sync",
            "Signal Sync Report: {symbol}:{strategy}",
            "No sync events recorded yet.",
            measures.event_measures(records.SyncStatistics, True),
        ),
        Kind(
            "highest_profit",
            "Highest Profit Report: {symbol}:{strategy}",
            "No highest profit events recorded yet.",
            measures.event_measures(records.HighestProfitStatistics, False),
        ),
        Kind(
            "max_drawdown",
            "Max Drawdown Report: {symbol}:{strategy}",
            "No max drawdown events recorded yet.",
            measures.event_measures(records.MaxDrawdownStatistics, False),
        ),
    )
}

#: The thirteen flags of ``Markdown.enable`` and ``Report.enable``; walkers have a service of their own.
FLAGS: Final = (
    "backtest",
    "breakeven",
    "heat",
    "live",
    "partial",
    "performance",
    "risk",
    "strategy",
    "schedule",
    "walker",
    "sync",
    "highest_profit",
    "max_drawdown",
)
