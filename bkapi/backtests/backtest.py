"""How do users run a strategy over history? By ``Backtest.run`` and ``Backtest.background`` (spec engine.md 4)."""

from __future__ import annotations

from collections.abc import Generator

from bkapi.backtests.background import Background
from bkapi.backtests.prepare import prepare
from bkapi.backtests.stream import stream, to_the_end
from bkapi.base.activities import Lookup
from bkapi.base.context import (
    Context,
    MethodContext,
    RunKey,
    names_of,
    run_key,
)
from bkapi.errors import BkError, FatalError
from bkapi.events.emitters import emitters
from bkapi.events.payloads import DoneEvent
from bkapi.positions.methods import PositionMethods
from bkapi.reporting.facades import BacktestReports
from bkapi.runs import gates
from bkapi.runs.finished import FinishedRun
from bkapi.runs.ledger import KEPT_RUNS, finished
from bkapi.runs.strategy import BacktestResult, StrategyRun
from bkcore.machine.run import Driver

gates.install()


class BackgroundRun(Background):
    """A backtest in a thread of its own. Calling it asks the run to stop once the open position has ended.

    ``status`` is ``pending``, then ``fulfilled`` or ``rejected``; ``error`` says why it was rejected. ``result`` is
    the finished run, None before.
    """

    result: FinishedRun | None = None

    def __init__(
        self, strategy_run: StrategyRun, results: Generator[BacktestResult, None, FinishedRun]
    ) -> None:
        self.symbol = strategy_run.symbol
        self.names = strategy_run.names
        self._run = strategy_run
        self._results = results
        self._start(f"bk-backtest-{self.symbol}")

    def _play(self) -> None:
        context = self.names.to_dict()
        Lookup.add_activity(self.symbol, context, True)
        try:
            self.result = to_the_end(self._results)
        finally:
            Lookup.remove_activity(self.symbol, context, True)

    def _tell_done(self) -> None:
        event = DoneEvent(symbol=self.symbol, **self.names.to_dict(), backtest=True)
        emitters.done_backtest_subject.emit(event)

    def __call__(self) -> None:
        self._run.stop()

    def __repr__(self) -> str:
        return f"BackgroundRun({self.symbol}, {self.names.strategy_name!r}, {self.status})"


class BacktestUtils(PositionMethods, BacktestReports, mode="backtest"):
    """Runs strategies over history; the singleton is ``Backtest``."""

    def __init__(self) -> None:
        self._background: dict[RunKey, BackgroundRun] = {}

    def run(
        self, symbol: str, context: Context, *, driver: Driver = "skip", quiet: bool = False
    ) -> Generator[BacktestResult, None, FinishedRun]:
        """Backtest a registered strategy and yield what opens, closes and is cancelled, as it happens.

        The value that the generator returns is the finished run.

        context   ``{"strategy_name": ..., "exchange_name": ..., "frame_name": ...}``
        driver    how candles are visited: ``skip`` jumps over quiet ones, ``run`` visits each, ``step`` stops at
                  each; the results are the same
        quiet     do not say on stderr, in one line at the end, what was refused, cut or assumed

        Names are checked at the call. Raises :class:`UnknownNameError`, :class:`FatalError` when candles are
        missing, and whatever ``on_write`` raises (spec engine.md 4.2).
        """
        return self._start(symbol, context, source="Backtest.run", driver=driver, quiet=quiet)[1]

    def _start(
        self, symbol: str, context: Context, *, source: str, driver: Driver = "skip", quiet: bool = False
    ) -> tuple[StrategyRun, Generator[BacktestResult, None, FinishedRun]]:
        strategy_run = prepare(symbol, context, source=source, driver=driver)
        return strategy_run, stream(strategy_run, quiet=quiet)

    def background(self, symbol: str, context: Context) -> BackgroundRun:
        """The same run in a thread; the returned handle stops it when called, and can be waited for.

        Raises :class:`BkError` while a background run of the same context is pending.
        """
        names = names_of(context, *MethodContext.field_names)
        key = run_key(symbol, names)
        known = self._background.get(key)
        if known is not None and known.status == "pending":
            raise BkError(
                f"Backtest.background is already running for symbol={symbol} strategyName={names.strategy_name} "
                f"exchangeName={names.exchange_name} frameName={names.frame_name}",
                hint="wait for it (handle.wait()) or stop it (handle()).",
            )
        handle = BackgroundRun(*self._start(symbol, context, source="Backtest.background"))
        self._background[key] = handle
        return handle

    def stop(self, symbol: str, context: Context) -> None:
        """Ask the background run of this context to stop: no new signals, the open position is carried to its end."""
        names = names_of(context, *MethodContext.field_names)
        known = self._background.get(run_key(symbol, names))
        if known is not None:
            known()

    def list(self) -> list[dict[str, str]]:
        """Background runs: ``symbol``, ``strategy_name``, ``exchange_name``, ``frame_name`` and ``status``."""
        return [
            {"symbol": handle.symbol, **handle.names.to_dict(), "status": handle.status}
            for handle in self._background.values()
        ]

    def finish(
        self, symbol: str, context: Context, *, driver: Driver = "skip", quiet: bool = False
    ) -> FinishedRun:
        """Run to the end without making a result object per trade; returns the finished run.

        Listeners hear everything as in :meth:`run`. Arguments and errors: :meth:`run`.
        """
        strategy_run, results = self._start(
            symbol, context, source="Backtest.finish", driver=driver, quiet=quiet
        )
        strategy_run.yields = False
        return to_the_end(results)

    def last_run(self, symbol: str, context: Context) -> FinishedRun:
        """Trades and events of the newest finished run of this context as frames; raises :class:`FatalError` before.

        The runs of the 128 contexts that finished last are kept, for the reports of a context too. Hold what
        :meth:`finish` returns to keep a run longer; a forgotten one is played again by :meth:`finish`.
        """
        names = names_of(context, *MethodContext.field_names)
        key = run_key(symbol, names)
        if key not in finished:
            raise FatalError(
                f"no finished backtest of {names.strategy_name!r} is known on {symbol} in frame {names.frame_name!r}.",
                hint="Backtest.finish(symbol, context) plays it, for the first time or again, and returns it; the "
                f"newest {KEPT_RUNS} contexts are kept.",
            )
        return finished[key]

    def clear(self) -> None:
        """Forget finished and background runs."""
        self._background.clear()
        finished.clear()


Backtest = BacktestUtils()
