"""What does a service of documents do? It collects events, keeps the newest rows and writes them (spec reports.md 2.1).

One class serves all kinds but the walker. It gets events through the channels. When nobody else listens to a run, it
gets none, and reads the run's log when somebody asks for the document.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from bkapi.base.context import RunKey
from bkapi.errors import BkError
from bkapi.events.channels import Subscription
from bkapi.events.emitters import emitters
from bkapi.reporting.conditions import conditions_line
from bkapi.reporting.documents.columns import Columns, table_lines
from bkapi.reporting.documents.history import Stored, stored_closes
from bkapi.reporting.documents.layouts import body, legend
from bkapi.reporting.handlers import Handler, handlers_of
from bkapi.reporting.kinds import KINDS, Kind
from bkapi.reporting.paths import read
from bkapi.runs.ledger import KEPT_RUNS, add_collector, remove_collector
from bkapi.sinks.file_names import report_file_name

if TYPE_CHECKING:
    from bkapi.base.context import RunKey
    from bkapi.runs.strategy import StrategyRun

S = TypeVar("S")


class NotSubscribedError(BkError):
    """Raised by ``RiskMarkdownService().get_data(...)`` before ``subscribe()``: nothing was collected."""


class Bucket:
    """The rows of one context: newest first, per symbol where a kind limits each symbol."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Any]] = {}
        self.runs: list[StrategyRun] = []
        self.is_replayed = False
        self.replayed_ids: set[str] = set()
        self.begun: set[tuple[str, str]] = set()

    def all(self) -> list[Any]:
        """All rows, of each symbol the newest first, the symbol seen first last."""
        return [row for rows in reversed(self.rows.values()) for row in rows]

    def insert(self, kind: Kind, row: Any, symbol: str = "") -> None:
        """Put a row in front, and drop the oldest beyond the limit."""
        rows = self.rows.setdefault(symbol, [])
        if kind.place is not None and kind.place(rows, row):
            return
        rows.insert(0, row)
        if len(rows) > kind.row_limit():
            rows.pop()


class MarkdownService(Generic[S]):
    """Documents and statistics of one kind of report.

    ``subscribe()`` begins to collect; ``get_data``, ``get_report`` and ``dump`` need it and raise
    :class:`NotSubscribedError` otherwise. A bucket is one context: symbol, strategy, exchange, frame, backtest.
    """

    kind: ClassVar[Kind]
    _handlers: ClassVar[dict[str, Handler[Any]]] = {}

    def __init_subclass__(cls, *, kind: str = "") -> None:
        if kind:
            cls.kind = KINDS[kind]
            cls._handlers = handlers_of(cls)

    def __init__(self) -> None:
        self._buckets: dict[RunKey, Bucket] = {}
        self._subscriptions: list[Subscription[Any]] = []
        self._detach: Callable[[], None] | None = None
        self._lock = threading.RLock()

    # ------------------------------------------------------------------------------------------ life cycle

    @property
    def is_subscribed(self) -> bool:
        """Whether it collects."""
        return self._detach is not None

    def subscribe(self) -> Callable[[], None]:
        """Begin to collect, once; the returned function ends it and drops what was collected."""
        with self._lock:
            if self._detach is None:
                self._subscriptions = [
                    getattr(emitters, handler.channel).collect(getattr(self, name))
                    for name, handler in self._handlers.items()
                    if handler.channel
                ]
                add_collector(self)
                self._detach = self._end
            return self._detach

    def _end(self) -> None:
        with self._lock:
            self._detach = None
            self._buckets.clear()
            remove_collector(self)
            for subscription in self._subscriptions:
                subscription()
            self._subscriptions = []

    def unsubscribe(self) -> None:
        """Stop collecting and drop what was collected; any number of times."""
        if self._detach is not None:
            self._detach()

    def clear(self, payload: Mapping[str, Any] | None = None) -> None:
        """Drop everything collected, or the bucket of one context; subscriptions stay."""
        with self._lock:
            if payload is None:
                self._buckets.clear()
            else:
                self._buckets.pop(self._key_of(**payload), None)

    # --------------------------------------------------------------------------------------------- collecting

    def accept(self, handler: Handler[Any], event: Any) -> None:
        """Count an event as ``handler`` says."""
        row = handler.convert(event)
        if row is None:
            return
        key, symbol = self._place_of(event, handler)
        with self._lock:
            bucket = self._bucket(key)
            if bucket.replayed_ids and (identity := read(event, "signal.id")) in bucket.replayed_ids:
                bucket.replayed_ids.discard(identity)
                return
            bucket.insert(self.kind, row, symbol)

    def _place_of(self, event: Any, handler: Handler[Any]) -> tuple[RunKey, str]:
        """The bucket of an event, and the symbol within it."""
        forced = self.kind.backtest
        backtest = bool(read(event, "backtest")) if forced is None else forced
        missing = "global" if self.kind.name == "performance" else ""
        symbol, strategy, exchange = (
            read(event, path) or missing for path in ("symbol", handler.strategy, "exchange_name")
        )
        return (symbol, strategy, exchange, read(event, "frame_name") or "", backtest), ""

    def _key_of(
        self,
        symbol: str = "",
        strategy_name: str = "",
        exchange_name: str = "",
        frame_name: str | None = "",
        backtest: bool = False,
    ) -> RunKey:
        return symbol, strategy_name, exchange_name, frame_name or "", backtest

    def _bucket(self, key: RunKey) -> Bucket:
        """The bucket of a context with everything in it that runs and storages hold."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket()
        if not bucket.is_replayed:
            bucket.is_replayed = True
            if self.kind.name in ("backtest", "live", "heat"):
                self._replay(bucket, stored_closes(self.kind.name, key))
        runs, bucket.runs = bucket.runs, []
        for run in runs:
            self._read_log(bucket, run)
        return bucket

    def _replay(self, bucket: Bucket, stored: list[Stored]) -> None:
        """Put stored closes behind the rows, and remember each so that its own delivery is not counted (spec 2.5)."""
        for tick in stored:
            if (tick.symbol, tick.strategy_name) in bucket.begun:
                continue  # a run of this process began anew
            row = next(iter(self._handlers.values())).convert(tick)
            bucket.insert(self.kind, row, self._symbol_of(tick))
            bucket.replayed_ids.add(tick.signal["id"])

    def _symbol_of(self, event: Any) -> str:
        return ""

    # --------------------------------------------------------------------------------------------------- runs

    def _run_key(self, key: RunKey) -> RunKey:
        return key

    def _is_isolated(self) -> bool:
        """Whether a snapshot of the listeners has taken it off its channels: what runs then is none of its business."""
        return bool(self._subscriptions) and not any(one.is_attached for one in self._subscriptions)

    def begin_run(self, key: RunKey) -> None:
        """A run starts: what an earlier one of the same context left is dropped (spec 2.4; deviation 14)."""
        if self._is_isolated():
            return
        if self.kind.backtest is None or self.kind.backtest == key[-1]:
            with self._lock:
                bucket = self._buckets[self._run_key(key)] = Bucket()
                bucket.is_replayed = True

    def take_run(self, run: StrategyRun) -> None:
        """A run has ended that told nobody anything; its log is read when somebody asks."""
        from bkapi.reporting.documents.run_log import LOGGED

        if self.kind.name in LOGGED and not self._is_isolated():
            with self._lock:
                self._buckets.setdefault(self._run_key(run.key), Bucket()).runs.append(run)

    def _read_log(self, bucket: Bucket, run: StrategyRun) -> None:
        from bkapi.reporting.documents.run_log import RunLog

        by_channel = {handler.channel: handler for handler in self._handlers.values()}
        for logged, event in RunLog(run).newest(self.kind.name, self.kind.row_limit()):
            handler = by_channel[_CHANNELS.get(logged.name, "")] if len(by_channel) > 1 else None
            convert = (handler or next(iter(self._handlers.values()))).convert
            row = convert(event)
            if row is not None:
                bucket.insert(self.kind, row, self._symbol_of(event))

    # ----------------------------------------------------------------------------------------------- answers

    def _require(self, doing: str) -> None:
        if not self.is_subscribed:
            from bkapi.reporting.documents.run_log import LOGGED

            logs = f", or run again: the newest {KEPT_RUNS} contexts are answered from their logs"
            raise NotSubscribedError(
                f"{type(self).__name__} not initialized. Call subscribe() before {doing}.",
                hint=f"Markdown.enable({{'{self.kind.name}': True}}) subscribes it; then run"
                f"{logs if self.kind.name in LOGGED else ''}.",
            )

    def _data(self, key: RunKey) -> S:
        with self._lock:
            rows = self._bucket(key).all()
        measured: S = self.kind.measures(rows, key[1])
        return measured

    def _report(self, key: RunKey, strategy_name: str, columns: Columns | None) -> str:
        record: Any = self._data(key)
        title = "# " + self.kind.title.format(symbol=key[0], strategy=strategy_name)
        if not getattr(record, self.kind.counted):
            return "\n".join([title, "", self.kind.empty])
        table = table_lines(self.kind.table(record), self.kind.columns, columns)
        lines = [title, "", *body(self.kind.name, record, table), ""]
        return "\n".join([*lines, *legend(self.kind.name, conditions_line(key, strategy_name))])

    def get_data(
        self, symbol: str, strategy_name: str, exchange_name: str, frame_name: str | None, backtest: bool
    ) -> S:
        """The statistics of one context; an empty record when nothing was collected."""
        self._require("getting data")
        return self._data(self._key_of(symbol, strategy_name, exchange_name, frame_name, backtest))

    def get_report(
        self,
        symbol: str,
        strategy_name: str,
        exchange_name: str,
        frame_name: str | None,
        backtest: bool,
        columns: Columns | None = None,
    ) -> str:
        """The document of one context; ``columns`` replace those in use."""
        self._require("generating reports")
        key = self._key_of(symbol, strategy_name, exchange_name, frame_name, backtest)
        return self._report(key, strategy_name, columns)

    def dump(
        self,
        symbol: str,
        strategy_name: str,
        exchange_name: str,
        frame_name: str | None,
        backtest: bool,
        path: str | None = None,
        columns: Columns | None = None,
    ) -> None:
        """Hand the document to the Markdown writer (spec 10); ``path`` is the folder."""
        self._require("dumping reports")
        key = self._key_of(symbol, strategy_name, exchange_name, frame_name, backtest)
        self._write(key, strategy_name, path, self._report(key, strategy_name, columns))

    def _write(self, key: RunKey, strategy_name: str, path: str | None, content: str) -> None:
        from bkapi.reporting.documents.writer import MarkdownWriter

        symbol, named, exchange_name, frame_name, _ = key
        MarkdownWriter.write_data(
            self.kind.name,
            content,
            {
                "path": self.kind.path if path is None else path,
                "file": report_file_name((symbol, strategy_name, exchange_name), frame_name),
                "symbol": symbol,
                "strategy_name": named,
                "exchange_name": exchange_name,
                "frame_name": frame_name,
                "signal_id": "",
            },
        )


#: Which channel carries a row of the log, where a kind has more than one.
_CHANNELS = {"PARTIAL_PROFIT": "partial_profit_subject", "PARTIAL_LOSS": "partial_loss_subject"}


def service_of_runs(service: type[MarkdownService[S]], runs: Iterable[StrategyRun]) -> MarkdownService[S]:
    """A service that holds finished runs, for those who ask without having subscribed; it hears nothing."""
    holder = service()
    holder._detach = lambda: None
    for run in runs:
        holder.begin_run(run.key)
        holder.take_run(run)
    return holder
