"""The thirteen services of records: every event is written as it comes (spec reports.md 11, 12)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final, Generic, TypeVar

from bkapi.events.channels import Subscription
from bkapi.events.emitters import emitters
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
from bkapi.reporting.journal.fields import record_data, search_fields
from bkapi.reporting.journal.writer import ReportWriter

E = TypeVar("E")


class Record(Generic[E]):
    """A method that writes the events of one channel; ``source`` names their fields where the kind does not."""

    def __init__(
        self, channel: str = "", source: str = "", *, swallows: bool = False, waits: bool = False
    ) -> None:
        self.channel = channel
        self.source = source
        self.swallows = swallows
        self.waits = waits
        self.__doc__ = f"Write an event of ``{channel}``." if channel else "Write a command of this action."

    def __get__(self, service: ReportService, owner: type) -> Callable[[E], None]:
        def write(event: E) -> None:
            service.write(self, event)

        return write


class ReportService:
    """Records of one kind: ``subscribe()`` writes every event from then on; there is nothing to read or clear."""

    kind: ClassVar[str]
    _handlers: ClassVar[dict[str, Record[Any]]] = {}

    def __init_subclass__(cls, *, kind: str) -> None:
        cls.kind = kind
        cls._handlers = {name: one for name, one in vars(cls).items() if isinstance(one, Record)}

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

    def write(self, handler: Record[Any], event: Any) -> None:
        """Write an event as ``handler`` says."""
        if handler.waits and not self.is_subscribed:
            return
        try:
            data = record_data(handler.source or self.kind, event)
            if data is not None:
                ReportWriter.write_data(self.kind, data, search_fields(event))
        except Exception:
            if not handler.swallows:
                raise


class BacktestReportService(ReportService, kind="backtest"):
    """Every result of a backtest."""

    tick = Record[TickResult]("signal_backtest_emitter")


class LiveReportService(ReportService, kind="live"):
    """Every result of a live run."""

    tick = Record[TickResult]("signal_live_emitter")


class ScheduleReportService(ReportService, kind="schedule"):
    """Resting orders: made, opened, cancelled."""

    tick = Record[TickResult]("signal_emitter")


class HeatReportService(ReportService, kind="heat"):
    """Closed trades."""

    tick = Record[TickResult]("signal_emitter")


class PerformanceReportService(ReportService, kind="performance"):
    """How long the parts of runs took."""

    track = Record[PerformanceEvent]("performance_emitter")


class PartialReportService(ReportService, kind="partial"):
    """Profit and loss levels that positions reached."""

    tick_profit = Record[LevelEvent]("partial_profit_subject", "partial_profit")
    tick_loss = Record[LevelEvent]("partial_loss_subject", "partial_loss")


class BreakevenReportService(ReportService, kind="breakeven"):
    """Positions that reached their breakeven threshold."""

    tick_breakeven = Record[PingEvent]("breakeven_subject")


class RiskReportService(ReportService, kind="risk"):
    """Signals that a risk profile rejected."""

    tick_rejection = Record[RiskEvent]("risk_subject")


class StrategyReportService(ReportService, kind="strategy"):
    """Commands that took effect; its methods do nothing while it is not subscribed."""

    tick = Record[StrategyCommitEvent]("strategy_commit_subject", waits=True)
    cancel_scheduled = Record[StrategyCommitEvent](waits=True)
    close_pending = Record[StrategyCommitEvent](waits=True)
    partial_profit = Record[StrategyCommitEvent](waits=True)
    partial_loss = Record[StrategyCommitEvent](waits=True)
    trailing_stop = Record[StrategyCommitEvent](waits=True)
    trailing_take = Record[StrategyCommitEvent](waits=True)
    breakeven = Record[StrategyCommitEvent](waits=True)
    activate_scheduled = Record[StrategyCommitEvent](waits=True)
    average_buy = Record[StrategyCommitEvent](waits=True)


class SyncReportService(ReportService, kind="sync"):
    """Orders that are about to be opened or closed; what its handler raises is dropped."""

    tick = Record[OrderSyncEvent]("sync_subject", swallows=True)


class HighestProfitReportService(ReportService, kind="highest_profit"):
    """New best prices of positions."""

    tick = Record[ExtremeEvent]("highest_profit_subject")


class MaxDrawdownReportService(ReportService, kind="max_drawdown"):
    """New worst prices of positions."""

    tick = Record[ExtremeEvent]("max_drawdown_subject")


class WalkerReportService(ReportService, kind="walker"):
    """Strategies that walkers have finished."""

    tick = Record[WalkerEvent]("walker_emitter")


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
