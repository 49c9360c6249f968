"""The service of walker documents: a bucket per walker and symbol, a result per strategy (spec 8.3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bkapi.errors import BkError
from bkapi.events.channels import Subscription
from bkapi.events.emitters import emitters
from bkapi.reporting.conditions import conditions_line
from bkapi.reporting.documents.columns import Columns
from bkapi.reporting.documents.layouts import legend, walker_body
from bkapi.reporting.documents.service import NotSubscribedError
from bkapi.reporting.handlers import Handler
from bkapi.reporting.journal.fields import event_times
from bkapi.reporting.paths import read
from bkapi.reporting.rows import WalkerStrategyResult
from bkapi.statistics.records import WalkerStatistics


class NoWalkerDataError(BkError, LookupError):
    """Raised by ``Walker.get_report(...)`` before the walker has finished a strategy."""


@dataclass
class _Walk:
    total_strategies: int = 0
    best_metric: float | None = None
    best_strategy: str | None = None
    best_stats: Any = None
    results: list[WalkerStrategyResult] = field(default_factory=list)


class WalkerDocuments:
    """Collects the progress of walkers and writes it up.

    Deviation 11: results are kept per walker and symbol, and are those of all trades.
    """

    _walks: dict[tuple[str, str], _Walk]

    def __init__(self) -> None:
        self._walks = {}
        self._subscription: Subscription[Any] | None = None

    @property
    def is_subscribed(self) -> bool:
        """Whether it collects."""
        return self._subscription is not None

    def subscribe(self) -> Callable[[], None]:
        """Begin to collect; the returned function ends it and drops what was collected."""
        if self._subscription is None:
            self._subscription = emitters.walker_emitter.collect(lambda event: self.accept(None, event))
        return self.unsubscribe

    def unsubscribe(self) -> None:
        """Stop collecting and drop what was collected; any number of times."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription()
            self._walks.clear()

    def clear(self, walker_name: str | None = None, symbol: str | None = None) -> None:
        """Drop everything, or what one walker found (on one symbol)."""
        for key in [*self._walks]:
            if walker_name in (None, key[0]) and symbol in (None, key[1]):
                del self._walks[key]

    def accept(self, handler: Handler[Any] | None, event: Any) -> None:
        """Store what a walker says about one strategy."""
        name, symbol, strategy = (read(event, field) for field in ("walker_name", "symbol", "strategy_name"))
        walk = self._walks.setdefault((name, symbol), _Walk())
        stats, value = read(event, "stats"), read(event, "metric_value")
        walk.total_strategies = read(event, "total_strategies")
        walk.best_metric, walk.best_strategy = read(event, "best_metric"), read(event, "best_strategy")
        if strategy == walk.best_strategy:
            walk.best_stats = stats
        first, last = event_times(stats)
        usable = isinstance(value, int | float) and math.isfinite(value)
        walk.results.append(
            WalkerStrategyResult(
                strategy, stats, value if usable else None, first, last, read(event, "parameters")
            )
        )

    def _require(self, doing: str) -> None:
        if not self.is_subscribed:
            raise NotSubscribedError(
                f"{type(self).__name__} not initialized. Call subscribe() before {doing}.",
                hint="Markdown.enable({'walker': True}) subscribes it; then run the walker.",
            )

    def _data(
        self, walker_name: str, symbol: str, metric: str, context: Mapping[str, str]
    ) -> WalkerStatistics:
        walk = self._walks.get((walker_name, symbol))
        if walk is None:
            raise NoWalkerDataError(
                "No walker data available - no results added yet",
                hint=f"run the walker {walker_name!r} on {symbol} first.",
            )
        return WalkerStatistics(
            walker_name=walker_name,
            symbol=symbol,
            exchange_name=context["exchange_name"],
            frame_name=context.get("frame_name") or "",
            metric=metric,
            total_strategies=walk.total_strategies,
            best_strategy=walk.best_strategy,
            best_metric=walk.best_metric,
            best_stats=walk.best_stats,
            strategy_results=walk.results[::-1],
        )

    def get_data(
        self, walker_name: str, symbol: str, metric: str, context: Mapping[str, str]
    ) -> WalkerStatistics:
        """What a walker found on a symbol; ``context`` names exchange and frame. Raises before its first result."""
        self._require("getting data")
        return self._data(walker_name, symbol, metric, context)

    def get_report(
        self,
        walker_name: str,
        symbol: str,
        metric: str,
        context: Mapping[str, str],
        strategy_columns: Columns | None = None,
        pnl_columns: Columns | None = None,
    ) -> str:
        """The document of a walker."""
        self._require("generating reports")
        record = self._data(walker_name, symbol, metric, context)
        key = (symbol, "", record.exchange_name, record.frame_name, True)
        lines = [f"# Walker Comparison Report: {walker_name}", ""]
        lines += [*walker_body(record, strategy_columns, pnl_columns), ""]
        return "\n".join([*lines, *legend("walker", conditions_line(key, ""))])

    def dump(
        self,
        walker_name: str,
        symbol: str,
        metric: str,
        context: Mapping[str, str],
        path: str | None = None,
        strategy_columns: Columns | None = None,
        pnl_columns: Columns | None = None,
    ) -> None:
        """Hand the document to the Markdown writer."""
        from bkapi.base.context import get_context_timestamp
        from bkapi.reporting.documents.writer import MarkdownWriter

        self._require("dumping reports")
        content = self.get_report(walker_name, symbol, metric, context, strategy_columns, pnl_columns)
        MarkdownWriter.write_data(
            "walker",
            content,
            {
                "path": "./dump/walker" if path is None else path,
                "file": f"{walker_name}-{get_context_timestamp()}.md",
                "symbol": symbol,
                "strategy_name": "",
                "exchange_name": context["exchange_name"],
                "frame_name": context.get("frame_name") or "",
                "signal_id": "",
            },
        )
