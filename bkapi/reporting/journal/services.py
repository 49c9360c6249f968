"""The thirteen services of records: each writes every event as it comes (spec reports.md 11, 12)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

from bkapi.events.channels import Subscription
from bkapi.events.emitters import emitters
from bkapi.reporting import handlers
from bkapi.reporting.handlers import Handler, handlers_of
from bkapi.reporting.journal.fields import record_data, search_fields
from bkapi.reporting.journal.writer import ReportWriter


class ReportService:
    """Records of one kind: ``subscribe()`` writes every event from then on; there is nothing to read or clear."""

    kind: ClassVar[str]
    _handlers: ClassVar[dict[str, Handler[Any]]] = {}

    def __init_subclass__(cls, *, kind: str) -> None:
        cls.kind = kind
        cls._handlers = handlers_of(cls)

    def __init__(self) -> None:
        self._subscriptions: list[Subscription[Any]] = []

    @property
    def is_subscribed(self) -> bool:
        """Whether events are written."""
        return bool(self._subscriptions)

    def subscribe(self) -> Callable[[], None]:
        """Write every event from now on; the returned function ends it. Further calls change nothing."""
        if not self._subscriptions:
            self._subscriptions = [
                getattr(emitters, handler.channel).subscribe(getattr(self, name))
                for name, handler in self._handlers.items()
                if handler.channel
            ]
        return self.unsubscribe

    def unsubscribe(self) -> None:
        """Stop writing, when what was written has reached its place; any number of times."""
        subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            subscription()
        if subscriptions:
            ReportWriter.flush()

    def accept(self, handler: Handler[Any], event: Any) -> None:
        """Write an event as ``handler`` says."""
        data = record_data(handler.source or self.kind, event)
        if data is not None:
            ReportWriter.write_data(self.kind, data, search_fields(event))


class BacktestReportService(handlers.OfBacktest, ReportService, kind="backtest"):
    """Every result of a backtest."""


class LiveReportService(handlers.OfLive, ReportService, kind="live"):
    """Every result of a live run."""


class ScheduleReportService(handlers.OfSchedule, ReportService, kind="schedule"):
    """Resting orders: made, opened, cancelled."""


class HeatReportService(handlers.OfHeat, ReportService, kind="heat"):
    """Closed trades."""


class PerformanceReportService(handlers.OfPerformance, ReportService, kind="performance"):
    """How long the parts of runs took."""


class PartialReportService(handlers.OfPartial, ReportService, kind="partial"):
    """Profit and loss levels that positions reached."""


class BreakevenReportService(handlers.OfBreakeven, ReportService, kind="breakeven"):
    """Positions that reached their breakeven threshold."""


class RiskReportService(handlers.OfRisk, ReportService, kind="risk"):
    """Signals that a risk profile rejected."""


class StrategyReportService(handlers.OfStrategy, ReportService, kind="strategy"):
    """Commands that took effect; its methods do nothing while it is not subscribed."""


class SyncReportService(handlers.OfSync, ReportService, kind="sync"):
    """Orders that are about to be opened or closed; what its handler raises is dropped."""


class HighestProfitReportService(handlers.OfHighestProfit, ReportService, kind="highest_profit"):
    """New best prices of positions."""


class MaxDrawdownReportService(handlers.OfMaxDrawdown, ReportService, kind="max_drawdown"):
    """New worst prices of positions."""


class WalkerReportService(handlers.OfWalker, ReportService, kind="walker"):
    """Strategies that walkers have finished."""


#: The service of each kind.
REPORT_SERVICES: Final[dict[str, type[ReportService]]] = {
    service.kind: service
    for service in (
        BacktestReportService,
        BreakevenReportService,
        HeatReportService,
        LiveReportService,
        PartialReportService,
        PerformanceReportService,
        RiskReportService,
        StrategyReportService,
        ScheduleReportService,
        WalkerReportService,
        SyncReportService,
        HighestProfitReportService,
        MaxDrawdownReportService,
    )
}
