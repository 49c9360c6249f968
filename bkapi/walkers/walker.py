"""``Walker``: which of several strategies is best on one market (spec risk-sizing-walker-sweep.md 3)."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

from bkapi.backtests.background import Background, Status
from bkapi.backtests.stream import forget_earlier
from bkapi.base.context import Context, MethodContext, run_key
from bkapi.errors import BkError
from bkapi.events.emitters import emitters
from bkapi.events.payloads import DoneEvent, WalkerStopEvent
from bkapi.guards.overfitting import Overfitting
from bkapi.market.frames import FrameConnectionService
from bkapi.reporting.documents.walker_service import NoWalkerDataError
from bkapi.reporting.facades import WalkerReports
from bkapi.runs.ledger import begin_run, running
from bkapi.schemas.registry import strategies, validate_name, walkers
from bkapi.schemas.walker import WalkerSchema
from bkapi.walkers.logic import DEFAULT_METRIC, Events, Walk, WalkerLogicPublicService, kept, outside


def validate_walker(walker_name: str, source: str, *, runs: bool = False) -> WalkerSchema:
    """The schema of a walker, once its strategies with their risk profiles and actions are known to be registered.

    runs   check exchange and frame too

    Raises :class:`UnknownNameError` for the first name that is not registered.
    """
    validate_name("walker", walker_name, source)
    schema = walkers.lookup(walker_name)
    if runs:
        validate_name("exchange", schema.exchange_name, source)
        validate_name("frame", schema.frame_name, source)
    for strategy_name in schema.strategies:
        validate_name("strategy", strategy_name, source)
    return schema


def _context_of(schema: WalkerSchema) -> dict[str, str]:
    return {
        "walker_name": schema.walker_name,
        "exchange_name": schema.exchange_name,
        "frame_name": schema.frame_name,
    }


def _forget_results(symbol: str, schema: WalkerSchema) -> None:
    """Drop what an earlier comparison has left: its results, and the runs of its strategies."""
    from bkapi.reporting.switches import Markdown

    Markdown.services["walker"].clear(schema.walker_name, symbol)
    kept.clear(schema.walker_name, symbol)
    FrameConnectionService().clear(schema.frame_name)
    for strategy_name in schema.strategies:
        names = MethodContext(strategy_name, schema.exchange_name, schema.frame_name)
        forget_earlier(symbol, names, strategies.lookup(strategy_name).risks)
        begin_run(run_key(symbol, names))


class WalkerCommandService:
    """Checks the names of a walker, then runs it."""

    def __init__(self) -> None:
        self._validated: set[tuple[str, str, str]] = set()

    def validate(self, context: Context, source: str = "WalkerCommandService.validate") -> None:
        """Raise :class:`UnknownNameError` unless walker, exchange, frame and strategies are registered.

        A success is remembered per walker, exchange and frame.
        """
        names = (context["walker_name"], context["exchange_name"], context.get("frame_name") or "")
        if names in self._validated:
            return
        validate_name("exchange", names[1], source)
        if names[2]:
            validate_name("frame", names[2], source)
        validate_walker(names[0], source)
        self._validated.add(names)

    def run(self, symbol: str, context: Context, *, threads: int | None = None) -> Events:
        """As :meth:`WalkerUtils.run`, on the exchange and frame of ``context``; nothing is cleared before."""
        self.validate(context, "WalkerCommandService.run")
        return WalkerLogicPublicService().run(symbol, context, threads=threads)


class BackgroundWalker(Background):
    """A walker in a thread of its own. Calling it cancels: no further strategy starts, and no completion is told.

    ``status`` is ``pending``, then ``fulfilled`` or ``rejected``; ``error`` says why it was rejected.
    """

    def __init__(self, schema: WalkerSchema, walk: Walk) -> None:
        self.symbol = walk.symbol
        self.walker_name = schema.walker_name
        self._schema = schema
        self._walk = walk
        self._telling = threading.Lock()
        self._is_told = False
        walk.listen()  # from now on, so that a request to stop is not too early
        self._start(f"bk-walker-{self.symbol}")

    def _play(self) -> None:
        with closing(outside(self._walk)) as events:
            for _ in events:
                if self._walk.is_cancelled:
                    break

    def __call__(self) -> None:
        """Cancel: the strategy being tested makes no new signals; the done event is emitted now."""
        self._walk.is_cancelled = True
        request_stop(self.symbol, self._schema)
        self._tell_done()

    def _tell_done(self) -> None:
        with self._telling:
            is_told, self._is_told = self._is_told, True
        if not is_told:
            emitters.done_walker_subject.emit(
                DoneEvent(
                    symbol=self.symbol,
                    strategy_name=self.walker_name,
                    exchange_name=self._schema.exchange_name,
                    frame_name=self._schema.frame_name,
                    backtest=True,
                )
            )

    def __repr__(self) -> str:
        return f"BackgroundWalker({self.symbol}, {self.walker_name!r}, {self.status})"


def request_stop(symbol: str, schema: WalkerSchema) -> None:
    """Ask every strategy of a walker to stop, and tell its comparison so."""
    for strategy_name in schema.strategies:
        key = run_key(symbol, {**_context_of(schema), "strategy_name": strategy_name})
        for run in running.get(key, ()):
            run.stop()
        emitters.walker_stop_subject.emit(
            WalkerStopEvent(symbol=symbol, strategy_name=strategy_name, walker_name=schema.walker_name)
        )


class _Instance:
    """What is known about one walker on one symbol."""

    def __init__(self, symbol: str, walker_name: str) -> None:
        self.id = uuid.uuid4().hex
        self.symbol = symbol
        self.walker_name = walker_name
        self.task: BackgroundWalker | None = None

    @property
    def status(self) -> Status:
        return "ready" if self.task is None else self.task.status


class WalkerUtils(WalkerReports):
    """Compares strategies, or combinations of their parameters, on one market; the singleton is ``Walker``.

    ``context`` is ``{"walker_name": ...}``. All methods raise :class:`UnknownNameError` for a name that is not
    registered: the walker, its strategies, their risk profiles and actions.
    """

    def __init__(self) -> None:
        self._instances: dict[tuple[str, str], _Instance] = {}
        self._starting = threading.Lock()

    def _instance(self, symbol: str, walker_name: str) -> _Instance:
        return self._instances.setdefault((symbol, walker_name), _Instance(symbol, walker_name))

    def run(self, symbol: str, context: Context, *, threads: int | None = None) -> Events:
        """Backtest each strategy of the walker, and yield how it did and which is the best so far.

        threads   so many threads play backtests that need no Python (vectorized or jitted strategies without listeners,
                  on candles in memory) before their turn; default: the cores of this process. Events come in the order
                  of the list, and results are those of ``threads=1``

        At the call, what an earlier run of the walker on this symbol has left is dropped. A strategy whose backtest
        raises is left out, and ``listen_error`` hears why. The largest value of the metric wins, the first one of
        equals; strategies without a value never win. What a listener of ``listen_walker`` raises ends the run.
        """
        return outside(self._walk(symbol, context, "Walker.run", threads)[1])

    def _walk(
        self, symbol: str, context: Context, source: str, threads: int | None
    ) -> tuple[WalkerSchema, Walk]:
        schema = validate_walker(context["walker_name"], source, runs=True)
        self._instance(symbol, schema.walker_name)
        walk = WalkerLogicPublicService().walk(symbol, _context_of(schema), threads)
        _forget_results(symbol, schema)
        return schema, walk

    def background(self, symbol: str, context: Context, *, threads: int | None = None) -> BackgroundWalker:
        """The same run in a thread. The returned handle cancels it when called, and can be waited for.

        After a cancel, the strategy being tested makes no new signals and still tells its progress; then the run ends
        without a completion. :meth:`stop` ends it with one. Both tell ``listen_done_walker``.

        Raises :class:`BkError` while a background run of this walker and symbol is pending, and after one that failed.
        """
        name = validate_walker(context["walker_name"], "Walker.background", runs=True).walker_name
        told = f"for symbol={symbol} walkerName={name}"
        with self._starting:
            task = self._instance(symbol, name).task
            if task is not None and task.status == "pending":
                raise BkError(
                    f"Walker.background is already running {told}",
                    hint="wait for it (handle.wait()) or cancel it (handle()).",
                )
            if task is not None and task.status == "rejected":
                raise BkError(
                    f"Walker.background has failed {told}: {task.error}",
                    hint="Walker.run starts it in the foreground; Walker.clear() forgets the failure.",
                )
            schema, walk = self._walk(symbol, context, "Walker.background", threads)
            handle = self._instance(symbol, name).task = BackgroundWalker(schema, walk)
        return handle

    def stop(self, symbol: str, context: Context) -> None:
        """End the comparison after the strategy being tested, which carries its open position to the end.

        The others are not tested; ``on_complete`` and the completion tell the results so far. Without a run nothing
        happens.
        """
        schema = validate_walker(context["walker_name"], "Walker.stop")
        self._instance(symbol, schema.walker_name)
        request_stop(symbol, schema)

    def list(self) -> list[dict[str, str]]:
        """Every walker and symbol that was used: ``id``, ``symbol``, ``walker_name``, ``status``.

        The status is that of its background run: ``ready`` (never started), ``pending``, ``fulfilled``, ``rejected``.
        """
        return [
            {"id": one.id, "symbol": one.symbol, "walker_name": one.walker_name, "status": one.status}
            for one in self._instances.values()
        ]

    def clear(self) -> None:
        """Forget every walker that was used, also failed ones, and what they found."""
        self._instances.clear()
        kept.clear()

    def overfitting(self, symbol: str, context: Context, *, draws: int = 99, seed: int = 0) -> Overfitting:
        """How much of the winner of the last comparison is selection (docs/overfitting.md).

        Every tested candidate counts as a trial. The plateau score needs a winner that is one combination
        of a space.

        draws, seed   runs with random entries to compare the winner with; 0 for none

        Raises :class:`NoWalkerDataError` before the first result, :class:`TooFewTrialsError` without a winner, and,
        with draws, :class:`RandomEntriesError` where Python code commands its positions, or it asks risk profiles.
        """
        schema = validate_walker(context["walker_name"], "Walker.overfitting")
        trials = kept.trials.get((schema.walker_name, symbol))
        if trials is None or not len(trials):
            raise NoWalkerDataError(
                f"walker {schema.walker_name!r} has no result on {symbol}.",
                hint="run it in this process first.",
            )
        return trials.overfitting(draws=draws, seed=seed)

    def _about(self, symbol: str, context: Mapping[str, str], method: str) -> tuple[Any, str, dict[str, str]]:
        from bkapi.reporting.switches import Markdown

        schema = validate_walker(context["walker_name"], f"Walker.{method}")
        self._instance(symbol, schema.walker_name)
        names = {"exchange_name": schema.exchange_name, "frame_name": schema.frame_name}
        service = Markdown.services["walker"]
        if not service.is_subscribed and kept.knows(schema.walker_name, symbol):
            service = kept
        return service, schema.metric or DEFAULT_METRIC, names


Walker: Final = WalkerUtils()
