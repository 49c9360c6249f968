"""Which channels does each of the thirteen services of documents listen to? (spec reports.md 1, 2.1)"""

from __future__ import annotations

from typing import Any, Final

from bkapi.base.context import RunKey
from bkapi.reporting import handlers
from bkapi.reporting.documents.columns import Columns
from bkapi.reporting.documents.service import Bucket, MarkdownService
from bkapi.reporting.documents.walker_service import WalkerDocuments
from bkapi.reporting.handlers import Handler
from bkapi.reporting.paths import read
from bkapi.statistics import records


class BacktestMarkdownService(
    handlers.OfBacktest, MarkdownService[records.BacktestStatistics], kind="backtest"
):
    """Closed trades of backtests."""


class LiveMarkdownService(handlers.OfLive, MarkdownService[records.LiveStatistics], kind="live"):
    """Results of live runs, one row per active or waiting signal."""


class ScheduleMarkdownService(
    handlers.OfSchedule, MarkdownService[records.ScheduleStatistics], kind="schedule"
):
    """Resting orders: made, opened, cancelled."""


class PerformanceMarkdownService(
    handlers.OfPerformance, MarkdownService[records.PerformanceStatistics], kind="performance"
):
    """How long the parts of runs took."""


class PartialMarkdownService(handlers.OfPartial, MarkdownService[records.PartialStatistics], kind="partial"):
    """Profit and loss levels that positions reached."""


class BreakevenMarkdownService(
    handlers.OfBreakeven, MarkdownService[records.BreakevenStatistics], kind="breakeven"
):
    """Positions that reached their breakeven threshold."""


class RiskMarkdownService(handlers.OfRisk, MarkdownService[records.RiskStatistics], kind="risk"):
    """Signals that a risk profile rejected."""


class StrategyMarkdownService(
    handlers.OfStrategy, MarkdownService[records.StrategyStatistics], kind="strategy"
):
    """Commands that took effect; its methods do nothing while it is not subscribed."""


class SyncMarkdownService(handlers.OfSync, MarkdownService[records.SyncStatistics], kind="sync"):
    """Orders that were opened or closed outside; what its handler raises is dropped."""


class HighestProfitMarkdownService(
    handlers.OfHighestProfit, MarkdownService[records.HighestProfitStatistics], kind="highest_profit"
):
    """New best prices of positions."""


class MaxDrawdownMarkdownService(
    handlers.OfMaxDrawdown, MarkdownService[records.MaxDrawdownStatistics], kind="max_drawdown"
):
    """New worst prices of positions."""


class HeatMarkdownService(handlers.OfHeat, MarkdownService[records.HeatStatistics], kind="heat"):
    """Closed trades of all symbols of an exchange and frame; the row limit is per symbol."""

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
    ) -> records.HeatStatistics:
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


class WalkerMarkdownService(handlers.OfWalker, WalkerDocuments):
    """What walkers found, per walker and symbol."""


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
