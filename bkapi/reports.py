"""What a finished backtest says in numbers: statistics by kind, from its frames (spec reports.md 2.2, 6, 8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from bkapi import config
from bkapi.backtest import FinishedRun, finished
from bkapi.registry import validate_name
from bkapi.statistics_records import (
    BacktestStatistics,
    BreakevenStatistics,
    EventStatistics,
    HeatStatistics,
    HighestProfitStatistics,
    MaxDrawdownStatistics,
    PartialStatistics,
    ScheduleStatistics,
    StrategyStatistics,
)

if TYPE_CHECKING:
    import polars as pl

E = TypeVar("E", bound=EventStatistics)
Context = Mapping[str, str]

#: Statistics record, kinds of events it holds (and the action each counts as; a commit as its own), and the constant
#: that limits its rows.
_EVENT_KINDS: dict[type[EventStatistics], tuple[dict[str, str], str]] = {
    PartialStatistics: (
        {"partial_profit": "profit", "partial_loss": "loss"},
        "CC_MAX_PARTIAL_MARKDOWN_ROWS",
    ),
    BreakevenStatistics: ({"breakeven": ""}, "CC_MAX_BREAKEVEN_MARKDOWN_ROWS"),
    HighestProfitStatistics: ({"highest_profit": ""}, "CC_MAX_HIGHEST_PROFIT_MARKDOWN_ROWS"),
    MaxDrawdownStatistics: ({"max_drawdown": ""}, "CC_MAX_MAX_DRAWDOWN_MARKDOWN_ROWS"),
    StrategyStatistics: ({"commit": "action"}, "CC_MAX_STRATEGY_MARKDOWN_ROWS"),
}


def _finished(symbol: str, context: Context, source: str) -> FinishedRun | None:
    for kind in ("strategy", "exchange"):
        validate_name(kind, context[f"{kind}_name"], source)
    return finished.get(
        (symbol, context["strategy_name"], context["exchange_name"], context.get("frame_name") or "")
    )


def closed_trades(run: FinishedRun) -> pl.DataFrame:
    """Closed positions of a run in order of closing: ``symbol`` and the columns that statistics need."""
    import polars as pl

    return (
        run.trades.filter(pl.col("status") == "closed")
        .select(
            pl.lit(run.symbol).alias("symbol"),
            "pnl_percent",
            "peak_percent",
            "fall_percent",
            pl.col("pending_at", "ended_at").dt.epoch("ms"),
            "close_price",
        )
        .rename({"ended_at": "close_timestamp"})
    )


def _no_trades() -> pl.DataFrame:
    import polars as pl

    names = ("pnl_percent", "peak_percent", "fall_percent", "pending_at", "close_timestamp", "close_price")
    return pl.DataFrame(schema={"symbol": pl.String, **dict.fromkeys(names, pl.Float64)})


def backtest_data(symbol: str, context: Context) -> BacktestStatistics:
    """Statistics of the newest backtest of this context, from its newest 250 trades (spec reports.md 6)."""
    from bkapi.statistics import backtest_statistics

    run = _finished(symbol, context, "Backtest.get_data")
    trades = _no_trades() if run is None else closed_trades(run)
    return backtest_statistics(trades, row_limit=config.value("CC_MAX_BACKTEST_MARKDOWN_ROWS"))


class EventReport:
    """Statistics of one kind of event of the newest backtest of a context."""

    def __init__(self, name: str, statistics: Callable[[FinishedRun | None], Any]) -> None:
        self.name = name
        self._statistics = statistics

    def get_data(self, symbol: str, context: Context, backtest: bool = False) -> Any:
        """The statistics record of one run; an empty one when there was none."""
        run = _finished(symbol, context, f"{self.name}.get_data") if backtest else None
        return self._statistics(run)


def _of_events(kind: type[E]) -> Callable[[FinishedRun | None], E]:
    actions, limit = _EVENT_KINDS[kind]

    def statistics(run: FinishedRun | None) -> E:
        import polars as pl

        from bkapi.statistics import event_statistics

        if run is None:
            events = pl.DataFrame(schema={"kind": pl.String, "action": pl.String})
        else:
            known = [name for name in actions if name in run.events["kind"].dtype.categories]  # type: ignore[attr-defined]
            events = run.events.filter(pl.col("kind").is_in(known))
        events = events.with_columns(
            action=pl.when(pl.col("kind").cast(pl.String) == "commit")
            .then(pl.col("action").cast(pl.String))
            .otherwise(
                pl.col("kind").cast(pl.String).replace_strict(actions, default=None, return_dtype=pl.String)
            )
        )
        return event_statistics(kind, events, row_limit=config.value(limit))

    return statistics


def _schedule(run: FinishedRun | None) -> ScheduleStatistics:
    import polars as pl

    from bkapi.statistics import schedule_statistics

    columns = ("scheduled_at", "pending_at", "close_timestamp")
    if run is None:
        rows = pl.DataFrame(
            schema={"action": pl.String, "signal_id": pl.String, **dict.fromkeys(columns, pl.Int64)}
        )
    else:
        told = run.strategy_run.rows
        ids = [told.details_of(told.row(trade)).id for trade in range(run.run.trades.size)]
        trades = run.trades.select(
            pl.int_range(pl.len()).alias("trade"),
            pl.Series("signal_id", ids, dtype=pl.String),
            pl.col("scheduled_at", "pending_at", "ended_at").dt.epoch("ms"),
        )
        rows = (
            run.events.filter(pl.col("kind").is_in(["scheduled", "opened", "cancelled"]))
            .select("trade", action=pl.col("kind").cast(pl.String))
            .join(trades, on="trade", how="left", maintain_order="left")
            .rename({"ended_at": "close_timestamp"})
        )
    return schedule_statistics(rows, row_limit=config.value("CC_MAX_SCHEDULE_MARKDOWN_ROWS"))


class HeatUtils:
    """Statistics of all symbols of an exchange and frame; the singleton is ``Heat``."""

    def get_data(self, context: Context, backtest: bool = False) -> HeatStatistics:
        """The portfolio of the finished backtests of this exchange and frame (spec reports.md 6.8)."""
        import polars as pl

        from bkapi.statistics import heat_statistics

        runs = [
            run
            for run in finished.values()
            if backtest
            and run.names.exchange_name == context["exchange_name"]
            and run.names.frame_name == (context.get("frame_name") or "")
        ]
        trades = pl.concat([_no_trades(), *(closed_trades(run) for run in runs)], how="vertical_relaxed")
        return heat_statistics(trades, row_limit=config.value("CC_MAX_HEATMAP_MARKDOWN_ROWS"))


Schedule = EventReport("Schedule", _schedule)
Partial = EventReport("Partial", _of_events(PartialStatistics))
Breakeven = EventReport("Breakeven", _of_events(BreakevenStatistics))
HighestProfit = EventReport("HighestProfit", _of_events(HighestProfitStatistics))
MaxDrawdown = EventReport("MaxDrawdown", _of_events(MaxDrawdownStatistics))
Strategy = EventReport("Strategy", _of_events(StrategyStatistics))
Heat = HeatUtils()
