"""How do users ask for statistics and documents? ``Risk.get_data(symbol, context)`` and its like (spec reports.md 2.2).

One class makes all facades. A kind that was not enabled still answers for a finished backtest, from its log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar, cast

from bkapi.base.context import Context, RunKey, names_of
from bkapi.schemas.registry import validate_names
from bkapi.statistics import records

if TYPE_CHECKING:
    from bkapi.reporting.documents.columns import Columns
    from bkapi.reporting.documents.service import MarkdownService

S = TypeVar("S")


def _check(context: Context, source: str, *, frame: bool = True) -> tuple[str, str, str]:
    """The names of a context, registered ones; a strategy with its risks and actions."""
    names = names_of(context, "strategy_name", "exchange_name")
    validate_names(names.to_dict(), source, "strategy", "exchange", *(("frame",) if frame else ()))
    return names.strategy_name, names.exchange_name, names.frame_name


class _Facade(Generic[S]):
    """What all facades share: the service of their kind, or one over the finished run."""

    kind: ClassVar[str]
    checks_frame: ClassVar[bool] = True

    def __init_subclass__(cls, *, kind: str = "", **more: Any) -> None:
        super().__init_subclass__(**more)
        if kind:
            cls.kind = kind

    def _names(self, context: Context, method: str) -> tuple[str, str, str]:
        source = f"{type(self).__name__.removesuffix('Utils')}.{method}"
        return _check(context, source, frame=self.checks_frame)

    def _service(self, symbol: str, names: tuple[str, str, str], backtest: bool) -> MarkdownService[S]:
        from bkapi.reporting.documents.run_log import LOGGED
        from bkapi.reporting.documents.service import service_of_runs
        from bkapi.reporting.switches import Markdown

        service: Any = Markdown.services[self.kind]
        if not service.is_subscribed and backtest and self.kind in LOGGED:
            from bkapi.runs.ledger import runs_of

            strategy = "" if self.kind == "heat" else names[0]
            runs = runs_of((symbol, strategy, names[1], names[2], True))
            if runs:
                service = service_of_runs(type(service), runs)
        return cast("MarkdownService[S]", service)


class _OfSymbol(_Facade[S]):
    """Statistics and documents of one symbol: ``symbol`` and ``context`` say whose.

    context   ``{"strategy_name": ..., "exchange_name": ..., "frame_name": ...}``; no frame in live
    backtest  whether it was a backtest

    All methods raise :class:`UnknownNameError` for names that are not registered, and :class:`NotSubscribedError`
    while the kind is not enabled (``Markdown.enable()``) and no backtest of the context has finished.
    """

    def get_data(self, symbol: str, context: Context, backtest: bool = False) -> S:
        """The statistics; an empty record when nothing happened."""
        names = self._names(context, "get_data")
        return self._service(symbol, names, backtest).get_data(symbol, *names, backtest)

    def get_report(
        self, symbol: str, context: Context, backtest: bool = False, columns: Columns | None = None
    ) -> str:
        """The document as Markdown; ``columns`` replace the default ones."""
        names = self._names(context, "get_report")
        return self._service(symbol, names, backtest).get_report(symbol, *names, backtest, columns)

    def dump(
        self,
        symbol: str,
        context: Context,
        backtest: bool = False,
        path: str | None = None,
        columns: Columns | None = None,
    ) -> None:
        """Write the document into the folder ``path`` (default ``./dump/<kind>``), see ``Markdown.use_md``."""
        names = self._names(context, "dump")
        self._service(symbol, names, backtest).dump(symbol, *names, backtest, path, columns)


class _OfMode(_Facade[S]):
    """Statistics and documents of one symbol in one mode; arguments and errors as for all, without ``backtest``."""

    checks_frame = False
    backtest: ClassVar[bool]

    def _asked(self, symbol: str, context: Context, method: str) -> tuple[MarkdownService[S], RunKey]:
        names = self._names(context if self.backtest else {**context, "frame_name": ""}, method)
        return self._service(symbol, names, self.backtest), (symbol, *names, self.backtest)

    def get_data(self, symbol: str, context: Context) -> S:
        """Statistics of the newest trades or rows of this context (spec reports.md 6)."""
        service, place = self._asked(symbol, context, "get_data")
        return service.get_data(*place)

    def get_report(self, symbol: str, context: Context, columns: Columns | None = None) -> str:
        """Trades or rows, and statistics, as Markdown; ``columns`` replace the default ones."""
        service, place = self._asked(symbol, context, "get_report")
        return service.get_report(*place, columns)

    def dump(
        self, symbol: str, context: Context, path: str | None = None, columns: Columns | None = None
    ) -> None:
        """Write the document into the folder ``path`` (default ``./dump/backtest`` or ``./dump/live``)."""
        service, place = self._asked(symbol, context, "dump")
        service.dump(*place, path, columns)


class BacktestReports(_OfMode[records.BacktestStatistics], kind="backtest"):
    """The reports of ``Backtest``: closed trades of a context."""

    backtest = True


class LiveUtils(_OfMode[records.LiveStatistics], kind="live"):
    """Reports of live runs, whose ``context`` has no frame; the singleton is ``Live``."""

    checks_frame = True
    backtest = False


class WalkerReports:
    """The reports of ``Walker``: ``context`` is ``{"walker_name": ...}``, the rest comes from its schema."""

    def _about(self, symbol: str, context: Context, method: str) -> tuple[Any, str, dict[str, str]]:
        """The service that answers, the metric, and the names of exchange and frame."""
        raise NotImplementedError

    def get_data(self, symbol: str, context: Context) -> records.WalkerStatistics:
        """What the walker found; raises :class:`NoWalkerDataError` before its first result."""
        service, metric, names = self._about(symbol, context, "get_data")
        found: records.WalkerStatistics = service.get_data(context["walker_name"], symbol, metric, names)
        return found

    def get_report(
        self,
        symbol: str,
        context: Context,
        strategy_columns: Columns | None = None,
        pnl_columns: Columns | None = None,
    ) -> str:
        """The comparison as Markdown."""
        service, metric, names = self._about(symbol, context, "get_report")
        text: str = service.get_report(
            context["walker_name"], symbol, metric, names, strategy_columns, pnl_columns
        )
        return text

    def dump(
        self,
        symbol: str,
        context: Context,
        path: str | None = None,
        strategy_columns: Columns | None = None,
        pnl_columns: Columns | None = None,
    ) -> None:
        """Write the comparison into the folder ``path`` (default ``./dump/walker``)."""
        service, metric, names = self._about(symbol, context, "dump")
        service.dump(context["walker_name"], symbol, metric, names, path, strategy_columns, pnl_columns)


class ScheduleUtils(_OfSymbol[records.ScheduleStatistics], kind="schedule"):
    """Resting orders: made, opened, cancelled; the singleton is ``Schedule``."""


class PartialUtils(_OfSymbol[records.PartialStatistics], kind="partial"):
    """Profit and loss levels that positions reached; the singleton is ``Partial``."""


class BreakevenUtils(_OfSymbol[records.BreakevenStatistics], kind="breakeven"):
    """Positions that reached their breakeven threshold; the singleton is ``Breakeven``."""


class RiskUtils(_OfSymbol[records.RiskStatistics], kind="risk"):
    """Signals that a risk profile rejected; the singleton is ``Risk``."""


class StrategyUtils(_OfSymbol[records.StrategyStatistics], kind="strategy"):
    """Commands that took effect; the singleton is ``Strategy``."""


class SyncUtils(_OfSymbol[records.SyncStatistics], kind="sync"):
    """Orders opened or closed outside, in live runs; the singleton is ``Sync``."""


class HighestProfitUtils(_OfSymbol[records.HighestProfitStatistics], kind="highest_profit"):
    """New best prices of positions; the singleton is ``HighestProfit``."""


class MaxDrawdownUtils(_OfSymbol[records.MaxDrawdownStatistics], kind="max_drawdown"):
    """New worst prices of positions; the singleton is ``MaxDrawdown``."""


class PerformanceUtils(_OfSymbol[records.PerformanceStatistics], kind="performance"):
    """How long the parts of runs took; the singleton is ``Performance``."""


class HeatUtils(_Facade[records.HeatStatistics], kind="heat"):
    """The portfolio of an exchange and frame: all symbols, all strategies; the singleton is ``Heat``.

    The strategy of the context is named in title and file name only.
    """

    def get_data(self, context: Context, backtest: bool = False) -> records.HeatStatistics:
        """The statistics per symbol and pooled (spec reports.md 6.8)."""
        names = self._names(context, "get_data")
        service: Any = self._service("", names, backtest)
        record: records.HeatStatistics = service.get_data(*names[1:], backtest)
        return record

    def get_report(self, context: Context, backtest: bool = False, columns: Columns | None = None) -> str:
        """The portfolio as Markdown; ``columns`` replace the default ones."""
        names = self._names(context, "get_report")
        service: Any = self._service("", names, backtest)
        text: str = service.get_report(*names, backtest, columns)
        return text

    def dump(
        self,
        context: Context,
        backtest: bool = False,
        path: str | None = None,
        columns: Columns | None = None,
    ) -> None:
        """Write the portfolio into the folder ``path`` (default ``./dump/heatmap``)."""
        names = self._names(context, "dump")
        service: Any = self._service("", names, backtest)
        service.dump(*names, backtest, path, columns)


Schedule: Final = ScheduleUtils()
Partial: Final = PartialUtils()
Breakeven: Final = BreakevenUtils()
Risk: Final = RiskUtils()
Strategy: Final = StrategyUtils()
Sync: Final = SyncUtils()
HighestProfit: Final = HighestProfitUtils()
MaxDrawdown: Final = MaxDrawdownUtils()
Performance: Final = PerformanceUtils()
Heat: Final = HeatUtils()
Live: Final = LiveUtils()
