"""The thirteen services of documents: what each kind listens to (spec reports.md 1, 2.1)."""

from __future__ import annotations

from typing import Any, Final

from bkapi.base.context import RunKey
from bkapi.events.payloads import (
    ExtremeEvent,
    LevelEvent,
    OrderSyncEvent,
    PerformanceEvent,
    PingEvent,
    RiskEvent,
    StrategyCommitEvent,
    WalkerEvent,
)
from bkapi.events.results import TickResult
from bkapi.reporting import rows
from bkapi.reporting.documents.columns import Columns
from bkapi.reporting.documents.service import Bucket, Handler, MarkdownService
from bkapi.reporting.documents.walker_service import WalkerDocuments
from bkapi.reporting.paths import read
from bkapi.statistics.records import (
    BacktestStatistics,
    BreakevenStatistics,
    HeatStatistics,
    HighestProfitStatistics,
    LiveStatistics,
    MaxDrawdownStatistics,
    PartialStatistics,
    PerformanceStatistics,
    RiskStatistics,
    ScheduleStatistics,
    StrategyStatistics,
    SyncStatistics,
)


class BacktestMarkdownService(MarkdownService[BacktestStatistics], kind="backtest"):
    """Closed trades of backtests."""

    tick = Handler[TickResult](rows.closed_row, "signal_backtest_emitter")


class LiveMarkdownService(MarkdownService[LiveStatistics], kind="live"):
    """Results of live runs, one row per active or waiting signal."""

    tick = Handler[TickResult](rows.live_row, "signal_live_emitter")


class ScheduleMarkdownService(MarkdownService[ScheduleStatistics], kind="schedule"):
    """Resting orders: made, opened, cancelled."""

    tick = Handler[TickResult](rows.schedule_row, "signal_emitter")


class PerformanceMarkdownService(MarkdownService[PerformanceStatistics], kind="performance"):
    """How long the parts of runs took."""

    track = Handler[PerformanceEvent](lambda event: event, "performance_emitter")


class PartialMarkdownService(MarkdownService[PartialStatistics], kind="partial"):
    """Profit and loss levels that positions reached."""

    tick_profit = Handler[LevelEvent](
        rows.profit_row, "partial_profit_subject", strategy="data.strategy_name"
    )
    tick_loss = Handler[LevelEvent](rows.loss_row, "partial_loss_subject", strategy="data.strategy_name")


class BreakevenMarkdownService(MarkdownService[BreakevenStatistics], kind="breakeven"):
    """Positions that reached their breakeven threshold."""

    tick_breakeven = Handler[PingEvent](
        rows.breakeven_row, "breakeven_subject", strategy="data.strategy_name"
    )


class RiskMarkdownService(MarkdownService[RiskStatistics], kind="risk"):
    """Signals that a risk profile rejected."""

    tick_rejection = Handler[RiskEvent](lambda event: event, "risk_subject")


class StrategyMarkdownService(MarkdownService[StrategyStatistics], kind="strategy"):
    """Commands that took effect; its methods do nothing while it is not subscribed."""

    tick = Handler[StrategyCommitEvent](rows.strategy_row, "strategy_commit_subject", waits=True)
    cancel_scheduled = Handler[StrategyCommitEvent](rows.strategy_row, waits=True)
    close_pending = Handler[StrategyCommitEvent](rows.strategy_row, waits=True)
    partial_profit = Handler[StrategyCommitEvent](rows.strategy_row, waits=True)
    partial_loss = Handler[StrategyCommitEvent](rows.strategy_row, waits=True)
    trailing_stop = Handler[StrategyCommitEvent](rows.strategy_row, waits=True)
    trailing_take = Handler[StrategyCommitEvent](rows.strategy_row, waits=True)
    breakeven = Handler[StrategyCommitEvent](rows.strategy_row, waits=True)
    activate_scheduled = Handler[StrategyCommitEvent](rows.strategy_row, waits=True)
    average_buy = Handler[StrategyCommitEvent](rows.strategy_row, waits=True)


class SyncMarkdownService(MarkdownService[SyncStatistics], kind="sync"):
    """Orders that were opened or closed outside; what its handler raises is dropped."""

    tick = Handler[OrderSyncEvent](rows.sync_row, "sync_subject", swallows=True)


class HighestProfitMarkdownService(MarkdownService[HighestProfitStatistics], kind="highest_profit"):
    """New best prices of positions."""

    tick = Handler[ExtremeEvent](
        rows.highest_profit_row, "highest_profit_subject", strategy="signal.strategy_name"
    )


class MaxDrawdownMarkdownService(MarkdownService[MaxDrawdownStatistics], kind="max_drawdown"):
    """New worst prices of positions."""

    tick = Handler[ExtremeEvent](
        rows.max_drawdown_row, "max_drawdown_subject", strategy="signal.strategy_name"
    )


class HeatMarkdownService(MarkdownService[HeatStatistics], kind="heat"):
    """Closed trades of all symbols of an exchange and frame; the row limit is per symbol."""

    tick = Handler[TickResult](rows.closed_row, "signal_emitter")

    def _place_of(self, event: Any, handler: Handler[Any]) -> tuple[RunKey, str]:
        (symbol, _, exchange, frame, backtest), _ = super()._place_of(event, handler)
        return ("", "", exchange, frame, backtest), symbol

    def _symbol_of(self, event: Any) -> str:
        return str(read(event, "symbol"))

    def _run_key(self, key: RunKey) -> RunKey:
        _, _, exchange, frame, backtest = key
        return "", "", exchange, frame, backtest

    def begin_run(self, key: RunKey) -> None:
        """A run starts: the rows of an earlier one of the same symbol and strategy are dropped."""
        if self._is_isolated():
            return
        symbol, strategy = key[:2]
        with self._lock:
            bucket = self._buckets.setdefault(self._run_key(key), Bucket())
            bucket.begun.add((symbol, strategy))
            bucket.runs = [run for run in bucket.runs if run.key != key]
            if symbol in bucket.rows:
                kept = [row for row in bucket.rows[symbol] if read(row, "strategy_name") != strategy]
                bucket.rows[symbol] = kept
                if not kept:
                    del bucket.rows[symbol]

    def get_data(  # type: ignore[override]  # the documented arguments of this kind
        self, exchange_name: str, frame_name: str | None, backtest: bool
    ) -> HeatStatistics:
        """The portfolio of an exchange and frame."""
        self._require("getting data")
        return self._data(("", "", exchange_name, frame_name or "", backtest))

    def get_report(  # type: ignore[override]
        self,
        strategy_name: str,
        exchange_name: str,
        frame_name: str | None,
        backtest: bool,
        columns: Columns | None = None,
    ) -> str:
        """The document of an exchange and frame; the strategy is named in its title only."""
        self._require("generating reports")
        return self._report(("", "", exchange_name, frame_name or "", backtest), strategy_name, columns)

    def dump(  # type: ignore[override]
        self,
        strategy_name: str,
        exchange_name: str,
        frame_name: str | None,
        backtest: bool,
        path: str | None = None,
        columns: Columns | None = None,
    ) -> None:
        """Hand the document to the Markdown writer; the strategy is part of title and file name only."""
        self._require("dumping reports")
        key = ("", "", exchange_name, frame_name or "", backtest)
        self._write(key, strategy_name, path, self._report(key, strategy_name, columns))


class WalkerMarkdownService(WalkerDocuments):
    """What walkers found, per walker and symbol."""

    tick = Handler[WalkerEvent](lambda event: event, "walker_emitter")


#: The service of each kind.
MARKDOWN_SERVICES: Final[dict[str, type[Any]]] = {
    "backtest": BacktestMarkdownService,
    "breakeven": BreakevenMarkdownService,
    "heat": HeatMarkdownService,
    "live": LiveMarkdownService,
    "partial": PartialMarkdownService,
    "performance": PerformanceMarkdownService,
    "risk": RiskMarkdownService,
    "strategy": StrategyMarkdownService,
    "schedule": ScheduleMarkdownService,
    "walker": WalkerMarkdownService,
    "sync": SyncMarkdownService,
    "highest_profit": HighestProfitMarkdownService,
    "max_drawdown": MaxDrawdownMarkdownService,
}
