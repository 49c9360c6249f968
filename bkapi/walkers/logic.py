"""Goes from candidate to candidate and tells how each did (spec risk-sizing-walker-sweep.md 3.2)."""

from __future__ import annotations

import math
import threading
from collections.abc import Generator, Sequence
from typing import Any

from bkapi.backtests.stream import stream
from bkapi.base.activities import Lookup
from bkapi.base.context import Context, iterate_in_context
from bkapi.base.resources import cores
from bkapi.errors import BkError
from bkapi.events.emitters import call_back, emitters, report_error
from bkapi.events.payloads import WalkerCompleteEvent, WalkerEvent, WalkerProgressEvent, WalkerStopEvent
from bkapi.reporting.closed_trades import all_statistics
from bkapi.reporting.documents.services import WalkerMarkdownService
from bkapi.runs.strategy import StrategyRun
from bkapi.schemas.registry import walkers
from bkapi.schemas.space import Space
from bkapi.schemas.walker import WalkerCallbacks
from bkapi.statistics.records import BacktestStatistics
from bkapi.walkers.ahead import Ahead
from bkapi.walkers.candidates import Candidate, Candidates
from bkapi.walkers.trials import Trials

Events = Generator[WalkerEvent, None, None]
DEFAULT_METRIC = "sharpe_ratio"


class KeptResults(WalkerMarkdownService):
    """The results of the walkers of this process, for users who did not enable the documents.

    trials   of the last comparison, by walker and symbol
    """

    def __init__(self) -> None:
        super().__init__()
        self.trials: dict[tuple[str, str], Trials] = {}

    @property
    def is_subscribed(self) -> bool:
        """True, always: every walker hands its results over itself."""
        return True

    def knows(self, walker_name: str, symbol: str) -> bool:
        """Whether the walker has finished a strategy on the symbol."""
        return (walker_name, symbol) in self._walks

    def clear(self, walker_name: str | None = None, symbol: str | None = None) -> None:
        """Drop everything, or what one walker found (on one symbol)."""
        super().clear(walker_name, symbol)
        for key in [*self.trials]:
            if walker_name in (None, key[0]) and symbol in (None, key[1]):
                del self.trials[key]


kept = KeptResults()


class Walk:
    """One comparison in progress; :meth:`events` plays it.

    context   ``{"walker_name": ..., "exchange_name": ..., "frame_name": ...}``
    threads   so many threads play backtests that need no Python before their turn, with the same results
    """

    def __init__(
        self,
        symbol: str,
        strategies: Sequence[str],
        metric: str,
        context: Context,
        *,
        space: Space | None = None,
        threads: int | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise BkError(f"threads={threads} is below 1.", hint="leave threads out to use every core.")
        self.symbol = symbol
        self.metric = metric
        self.candidates = Candidates(symbol, strategies, context, space)
        #: Whether it ends after the candidate in work without telling a completion.
        self.is_cancelled = False
        self._ahead = Ahead(self.candidates, cores() if threads is None else threads)
        self._source: dict[str, Any] = {
            name: context[name] for name in ("walker_name", "exchange_name", "frame_name")
        }
        self._source["symbol"] = symbol
        self._callbacks = walkers.lookup(context["walker_name"]).callbacks or WalkerCallbacks()
        self._stopped: set[str] = set()
        self._current: StrategyRun | None = None
        self._turn = threading.Lock()
        self._detach: Any = None
        self._tested = 0
        self._best: WalkerEvent | None = None
        self._trials = Trials(metric)

    def listen(self) -> None:
        """Hear requests to stop from now on."""
        if self._detach is None:
            self._detach = emitters.walker_stop_subject.subscribe(self._hear_stop)

    def _hear_stop(self, event: WalkerStopEvent) -> None:
        if (event.symbol, event.walker_name) != (self.symbol, self._source["walker_name"]):
            return
        with self._turn:
            self._stopped.add(event.strategy_name)
            current = self._current
        if current is not None and current.names.strategy_name == event.strategy_name:
            current.stop()

    def events(self) -> Events:
        """Yield an event per tested candidate; closing the generator ends the comparison."""
        try:
            self.listen()
            kept.trials[self._source["walker_name"], self.symbol] = self._trials
            for place, candidate in enumerate(self.candidates):
                if candidate.strategy_name in self._stopped:
                    break
                event = self._test(place, candidate)
                if event is not None:
                    yield event
        finally:
            if self._detach is not None:
                self._detach()
            self._ahead.close()
        if not self.is_cancelled:
            self._complete()

    # -------------------------------------------------------------------------------------------- one candidate

    def _test(self, place: int, candidate: Candidate) -> WalkerEvent | None:
        """Backtest a candidate and tell how it did; None when its backtest raised."""
        call_back(self._callbacks, "on_strategy_start", candidate.name, self.symbol)
        try:
            run, stats = self._play(place, candidate)
        except Exception as error:  # noqa: BLE001 - the others are compared all the same (spec 3.2, step 4)
            report_error(error, f"walker {self._source['walker_name']}, {candidate.name}")
            call_back(self._callbacks, "on_strategy_error", candidate.name, self.symbol, error)
            return None
        value = metric_of(stats, self.metric)
        self._tested += 1
        total = len(self.candidates)
        event = WalkerEvent(
            **self._source,
            strategy_name=candidate.name,
            stats=stats,
            metric_value=value,
            metric=self.metric,
            **self._best_with(candidate.name, value),
            strategies_tested=self._tested,
            total_strategies=total,
            parameters=candidate.parameters,
        )
        is_best = event.best_strategy == candidate.name
        if is_best:
            self._best = event
        self._trials.add(candidate, run, value, is_best=is_best)
        emitters.progress_walker_emitter.emit(
            WalkerProgressEvent(
                **self._source,
                total_strategies=total,
                processed_strategies=self._tested,
                progress=self._tested / total,
            )
        )
        call_back(self._callbacks, "on_strategy_complete", candidate.name, self.symbol, stats, value)
        kept.tick(event)
        emitters.walker_emitter.emit(event)
        return event

    def _best_with(self, name: str, value: float | None) -> dict[str, Any]:
        """The best so far: a greater value replaces it; an equal one or None does not."""
        best = self._best
        if best is None or best.metric_value is None:
            return {"best_metric": value, "best_strategy": None if value is None else name}
        if value is not None and value > best.metric_value:
            return {"best_metric": value, "best_strategy": name}
        return {"best_metric": best.metric_value, "best_strategy": best.strategy_name}

    def _play(self, place: int, candidate: Candidate) -> tuple[StrategyRun, BacktestStatistics]:
        names = {"exchange_name": self._source["exchange_name"], "frame_name": self._source["frame_name"]}
        activity = {"strategy_name": candidate.strategy_name, **names}
        Lookup.add_activity(self.symbol, activity, True)
        try:
            ahead = self._ahead.take(place, is_stopped=lambda: candidate.strategy_name in self._stopped)
            run = self.candidates.prepare(candidate) if ahead is None else ahead.run
            run.yields = False
            self._begin(run)
            for _ in stream(run, keeps=candidate.parameters is None):
                pass
        finally:
            self._current = None
            Lookup.remove_activity(self.symbol, activity, True)
        if ahead is not None and ahead.stats is not None:
            return run, ahead.stats
        repeatable = candidate.parameters is not None and run.needs_no_python and not run.is_stopped
        return run, all_statistics(run, self.candidates.again(candidate, run) if repeatable else None)

    def _begin(self, run: StrategyRun) -> None:
        """Let requests to stop reach a run, also one that was made just before."""
        with self._turn:
            self._current = run
            is_stopped = run.names.strategy_name in self._stopped
        if is_stopped:
            run.stop()

    # --------------------------------------------------------------------------------------------------- telling

    def _complete(self) -> None:
        best = self._best
        results = WalkerCompleteEvent(
            **self._source,
            metric=self.metric,
            total_strategies=len(self.candidates),
            best_strategy=None if best is None else best.strategy_name,
            best_metric=None if best is None else best.metric_value,
            best_stats=None if best is None else best.stats,
            best_parameters=None if best is None else best.parameters,
        )
        call_back(self._callbacks, "on_complete", results)
        emitters.walker_complete_subject.emit(results)


def metric_of(stats: BacktestStatistics, metric: str) -> float | None:
    """The statistic of that name where it is a finite number, else None; any name may be asked for."""
    value = getattr(stats, metric, None)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) else None


class WalkerLogicPrivateService:
    """Backtests strategy after strategy and yields after each how it did and which is the best so far."""

    def run(
        self,
        symbol: str,
        strategies: Sequence[str],
        metric: str,
        context: Context,
        *,
        space: Space | None = None,
        threads: int | None = None,
    ) -> Events:
        """A :class:`WalkerEvent` per tested strategy; arguments of :class:`Walk`.

        A backtest that raises is told to ``listen_error`` and ``on_strategy_error``, and yields nothing. What a
        listener of the walker's own channels raises ends the comparison.
        """
        return outside(Walk(symbol, strategies, metric, context, space=space, threads=threads))


class WalkerLogicPublicService:
    """Takes strategies, metric and space from the schema of the walker."""

    def walk(self, symbol: str, context: Context, threads: int | None = None) -> Walk:
        """The comparison before its first strategy."""
        schema = walkers.lookup(context["walker_name"])
        metric = schema.metric or DEFAULT_METRIC
        return Walk(symbol, schema.strategies, metric, context, space=schema.space, threads=threads)

    def run(self, symbol: str, context: Context, *, threads: int | None = None) -> Events:
        """As :meth:`WalkerLogicPrivateService.run`; ``context`` names walker, exchange and frame."""
        return outside(self.walk(symbol, context, threads))


def outside(walk: Walk) -> Events:
    """The events of a walk; its callbacks and listeners run outside of every context (spec market-data.md 13)."""
    return iterate_in_context(walk.events())
