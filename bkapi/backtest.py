"""How a strategy is run over history: ``Backtest.run`` and ``Backtest.background`` (spec engine.md 4)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from bkapi.base import config
from bkapi.base.activities import Lookup
from bkapi.base.context import (
    Context,
    ExecutionContext,
    MethodContext,
    RunKey,
    begin_time,
    iterate_in_context,
    names_of,
    run_key,
    run_within,
)
from bkapi.base.coroutines import settle
from bkapi.base.timestamps import from_ms, this_minute_ms
from bkapi.errors import BkError, FatalError, SchemaError
from bkapi.events.emitters import emitters, report_error
from bkapi.events.payloads import DoneEvent, LifecycleEvent
from bkapi.market.exchange import client_of
from bkapi.market.frames import FrameConnectionService, ticks
from bkapi.market.source import check_covers
from bkapi.positions.methods import PositionMethods
from bkapi.reporting.facades import BacktestReports
from bkapi.risk.run_risk import RunRisk
from bkapi.risk.services import clear_risks
from bkapi.runs import gates
from bkapi.runs.finished import FinishedRun, finished_run
from bkapi.runs.ledger import begin_run, finished, results_of
from bkapi.runs.strategy import BacktestResult, StrategyRun
from bkapi.runs.time_and_price import forget, remember
from bkapi.schemas.exchange import ExchangeSchema
from bkapi.schemas.registry import frames, risks, strategies
from bkapi.schemas.strategy import StrategySchema
from bkcore.intervals import MINUTE_MS, STRATEGY_INTERVALS, interval_step_ms
from bkcore.market import Market
from bkcore.run import Driver, Frame, Hooks
from bkcore.settings import EngineSettings
from bkcore.signals import SignalTable, bind_signals

if TYPE_CHECKING:
    pass

gates.install()
logger = logging.getLogger("bkapi")

Status = Literal["ready", "pending", "fulfilled", "rejected"]


def prepare(
    symbol: str,
    context: Context,
    *,
    source: str,
    driver: Driver = "skip",
    strategy: StrategySchema | None = None,
    signals: Callable[[StrategySchema, Market, str], SignalTable | None] | None = None,
) -> StrategyRun:
    """Look up and check everything that a run needs, and stand before its first tick.

    strategy   stands in for the registered one of its name
    signals    stands in for :func:`signal_table`

    Raises :class:`UnknownNameError` for an unregistered name, :class:`SchemaError` for a bad interval and
    :class:`FatalError` when the frame is empty or its candles are missing.
    """
    names = names_of(context, *MethodContext.field_names)
    strategy = strategy or strategies.get(names.strategy_name, source)
    for risk_name in strategy.risks:
        risks.get(risk_name, source)
    client = client_of(names.exchange_name, source)
    schema = frames.get(names.frame_name, source)
    FrameConnectionService().clear(names.frame_name)
    frame = ticks(schema, min(schema.end_ms, this_minute_ms()), client.step_ms)
    if strategy.interval not in STRATEGY_INTERVALS:
        raise SchemaError(
            "strategy",
            f"unknown interval {strategy.interval!r} of strategy_name={names.strategy_name!r}.",
            field="interval",
            hint=f"known intervals: {', '.join(STRATEGY_INTERVALS)}.",
        )
    settings = EngineSettings.from_config(config.get_config(), step_ms=client.step_ms, fill=strategy.fill)
    _check_steps(settings, frame, client.schema)
    first = frame.start_ms - settings.average_candles * settings.step_ms
    end = frame.end_ms + 2 * settings.step_ms
    moment = ExecutionContext(symbol, frame.start_ms, True)  # for the functions of the exchange
    market = run_within(client.market, moment, names, symbol, first, end)
    check_covers(market, symbol, first, frame.end_ms - settings.step_ms)
    return StrategyRun(
        symbol,
        names,
        strategy,
        market,
        frame,
        settings,
        table=(signals or signal_table)(strategy, market, symbol),
        policy=None if strategy.policy is None else strategy.policy.record(),
        hooks=hooks_of(strategy),
        risk=RunRisk(symbol, names, strategy.risks, backtest=True) if strategy.risks else None,
        driver=driver,
    )


def run_to_end(
    symbol: str, context: Context, strategy: StrategySchema, bracket: Mapping[str, float]
) -> FinishedRun:
    """Backtest a strategy that is not registered as it is, unheard; ``bracket`` replaces that of every signal."""
    strategy_run = prepare(symbol, context, source="Sweep", strategy=strategy)
    strategy_run.run.set_bracket(**bracket)
    strategy_run.run.finish()
    return finished_run(strategy_run)


def hooks_of(strategy: StrategySchema) -> Hooks:
    """The jitted functions of a strategy, compiled once per function, and its ``params`` as they get them."""
    if strategy.kernel is None and strategy.manage is None:
        return Hooks()
    from bkcore.hooks import KERNEL, MANAGE, compile_hook

    try:
        parameters = np.array([float(value) for value in strategy.params.values()])
    except (TypeError, ValueError):
        raise SchemaError(
            "strategy",
            f"params={dict(strategy.params)!r} of strategy_name={strategy.strategy_name!r} are not all numbers.",
            field="params",
            hint="a jitted function reads its params as numbers, in the order in which they are given.",
        ) from None
    return Hooks(
        None if strategy.kernel is None else compile_hook(strategy.kernel, KERNEL),
        None if strategy.manage is None else compile_hook(strategy.manage, MANAGE),
        parameters,
    )


def _check_steps(settings: EngineSettings, frame: Frame, exchange: ExchangeSchema) -> None:
    """Everything that is counted in minutes has to be a multiple of the exchange's own step."""
    step = settings.step_ms
    counted = {
        "the interval of the frame": frame.step_ms,
        "CC_SCHEDULE_AWAIT_MINUTES": settings.await_minutes * MINUTE_MS,
    }
    if settings.max_lifetime_minutes != float("inf"):
        counted["CC_MAX_SIGNAL_LIFETIME_MINUTES"] = int(settings.max_lifetime_minutes) * MINUTE_MS
    for what, span in counted.items():
        if span % step:
            raise SchemaError(
                "exchange",
                f"{what} ({span // MINUTE_MS} minutes) is not a multiple of base_interval={exchange.base_interval!r} "
                f"of exchange_name={exchange.exchange_name!r}.",
                field="base_interval",
                hint="choose multiples of it, or candles of a shorter interval.",
            )


def signal_table(strategy: StrategySchema, market: Market, symbol: str) -> SignalTable | None:
    """Candidates of a vectorized strategy: its ``signals`` function applied to all candles; None without one.

    The function gets the candle columns and ``closed_at`` (ms UTC): the moment from which a candle is known, so the
    earliest ``timestamp`` of a signal that looks at it. It may take ``params`` by name.
    """
    if strategy.signals is None:
        return None
    import polars as pl

    candles = pl.DataFrame(
        {
            "timestamp": market.timestamps,
            "open": market.open,
            "high": market.high,
            "low": market.low,
            "close": market.close,
            "volume": market.volume,
        }
    ).with_columns(closed_at=pl.col("timestamp") + market.step_ms)
    interval_ms = interval_step_ms(strategy.interval)
    table = bind_signals(settle(strategy.signals(candles, **strategy.params)), symbol, interval_ms)
    if not _any_on_boundary(table.records["time"], interval_ms):
        logger.warning(
            "no signal of strategy_name=%r lies on a boundary of its interval %r (the first: %s): a strategy is asked "
            "once per interval, at the first tick of it. Move the timestamps there, or give the strategy a shorter "
            "interval.",
            strategy.strategy_name,
            strategy.interval,
            from_ms(int(table.records["time"][0])),
        )
    return table


def _any_on_boundary(times: NDArray[np.int64], interval_ms: int) -> bool:
    """Whether a moment is a multiple of the interval; also when there is none. Looks at the first few first."""
    return not times.size or any(bool((part % interval_ms == 0).any()) for part in (times[:64], times[64:]))


def _tell_frame(frame_name: str, symbol: str) -> None:
    """Let ``on_timeframe`` hear of the ticks, where there is one."""
    client = FrameConnectionService().get_frame(frame_name)
    if client.schema.callbacks is not None and client.schema.callbacks.on_timeframe is not None:
        client.get_timeframe(symbol)


class BackgroundRun:
    """A backtest in a thread of its own. Calling it asks the run to stop after the open position.

    ``status`` is ``pending``, then ``fulfilled`` or ``rejected``; ``error`` says why it was rejected.
    """

    def __init__(self, strategy_run: StrategyRun, results: Generator[BacktestResult, None, None]) -> None:
        self.status: Status = "pending"
        self.error: Exception | None = None
        self.symbol = strategy_run.symbol
        self.names = strategy_run.names
        self._run = strategy_run
        self._results = results
        self._thread = threading.Thread(target=self._work, name=f"bk-backtest-{self.symbol}", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        context = self.names.to_dict()
        Lookup.add_activity(self.symbol, context, True)
        try:
            try:
                for _ in self._results:
                    pass
            finally:
                Lookup.remove_activity(self.symbol, context, True)
            self.status = "fulfilled"
            emitters.done_backtest_subject.emit(
                DoneEvent(
                    symbol=self.symbol,
                    strategy_name=self.names.strategy_name,
                    exchange_name=self.names.exchange_name,
                    frame_name=self.names.frame_name,
                    backtest=True,
                )
            )
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to: exit_emitter tells
            self.status = "rejected"
            self.error = error
            emitters.exit_emitter.emit(error)

    def __call__(self) -> None:
        self._run.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end; True when it has come within ``timeout`` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def __repr__(self) -> str:
        return f"BackgroundRun({self.symbol}, {self.names.strategy_name!r}, {self.status})"


def forget_earlier(symbol: str, names: MethodContext, risk_names: Sequence[str]) -> None:
    """Drop what an earlier run has left: its results, its time and price, the positions of its risk profiles."""
    finished.pop(run_key(symbol, names), None)
    forget(symbol, names, backtest=True)
    clear_risks(risk_names, names, backtest=True)


def stream(strategy_run: StrategyRun, *, keeps: bool = True) -> Generator[BacktestResult, None, None]:
    """What a prepared run yields when it is played, in a context of its own; what an earlier run left is forgotten.

    keeps   the finished run is what ``Backtest.last_run`` and the reports of its context answer from
    """
    symbol, names = strategy_run.symbol, strategy_run.names
    forget_earlier(symbol, names, strategy_run.schema.risks)

    def results() -> Generator[BacktestResult, None, None]:
        begin_time(_tell_frame, names.frame_name, symbol)
        begin_run(strategy_run.key)
        strategy_run.watch.start()
        _tell_lifecycle(strategy_run, start=True)
        try:
            yield from results_of(strategy_run)
        finally:
            remember(strategy_run)
            if keeps:
                finished[strategy_run.key] = finished_run(strategy_run)
        strategy_run.watch.finish()
        _tell_lifecycle(strategy_run, start=False)

    moment = ExecutionContext(symbol, strategy_run.frame.start_ms, True)
    return iterate_in_context(results(), names=names, moment=moment)


def _tell_lifecycle(strategy_run: StrategyRun, *, start: bool) -> None:
    channel = emitters.before_start_subject if start else emitters.after_end_subject
    if emitters.progress_backtest_emitter.listeners and not start:
        begin_time(
            emitters.progress_backtest_emitter.emit,
            strategy_run.delivery.progress(strategy_run.frame.count, strategy_run.frame.count),
        )
    if not channel.listeners:
        return
    from bkapi.market.exchange import get_average_price

    names = strategy_run.names
    state = strategy_run.run.now
    when = strategy_run.frame.start_ms if start else state.tick_time
    try:
        strategy_run.delivery.now(when)
        channel.emit(
            LifecycleEvent(
                symbol=strategy_run.symbol,
                strategy_name=names.strategy_name,
                exchange_name=names.exchange_name,
                frame_name=names.frame_name,
                backtest=True,
                timestamp=when,
                current_price=get_average_price(strategy_run.symbol),
                when=from_ms(when),
            )
        )
    except Exception as error:  # noqa: BLE001 - reported and ignored, as documented (spec engine.md 4.2)
        report_error(error, channel.name)


class BacktestUtils(PositionMethods, BacktestReports, mode="backtest"):
    """Run strategies over history; the singleton is ``Backtest``."""

    def __init__(self) -> None:
        self._background: dict[RunKey, BackgroundRun] = {}

    def run(
        self, symbol: str, context: Context, *, driver: Driver = "skip"
    ) -> Generator[BacktestResult, None, None]:
        """Backtest a registered strategy and yield what opens, closes and is cancelled, as it happens.

        context   ``{"strategy_name": ..., "exchange_name": ..., "frame_name": ...}``
        driver    how candles are visited: ``skip`` jumps over quiet ones, ``run`` visits each, ``step`` stops at
                  each; the results are the same

        Names are checked at the call. Raises :class:`UnknownNameError`, :class:`FatalError` when candles are
        missing, and whatever ``on_write`` raises (spec engine.md 4.2).
        """
        return self._start(symbol, context, source="Backtest.run", driver=driver)[1]

    def _start(
        self, symbol: str, context: Context, *, source: str, driver: Driver = "skip"
    ) -> tuple[StrategyRun, Generator[BacktestResult, None, None]]:
        strategy_run = prepare(symbol, context, source=source, driver=driver)
        return strategy_run, stream(strategy_run)

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
            {
                "symbol": handle.symbol,
                "strategy_name": handle.names.strategy_name,
                "exchange_name": handle.names.exchange_name,
                "frame_name": handle.names.frame_name,
                "status": handle.status,
            }
            for handle in self._background.values()
        ]

    def finish(self, symbol: str, context: Context, *, driver: Driver = "skip") -> FinishedRun:
        """Run to the end without making a result object per trade; returns what :meth:`last_run` returns.

        Listeners hear everything as in :meth:`run`. Arguments and errors: :meth:`run`.
        """
        strategy_run, results = self._start(symbol, context, source="Backtest.finish", driver=driver)
        strategy_run.yields = False
        for _ in results:
            pass
        return self.last_run(symbol, context)

    def last_run(self, symbol: str, context: Context) -> FinishedRun:
        """Trades and events of the newest finished run of this context as frames; raises :class:`FatalError` before."""
        names = names_of(context, *MethodContext.field_names)
        key = run_key(symbol, names)
        if key not in finished:
            raise FatalError(
                f"no finished backtest of {names.strategy_name!r} on {symbol} in frame {names.frame_name!r}.",
                hint="consume Backtest.run(symbol, context) first.",
            )
        return finished[key]

    def clear(self) -> None:
        """Forget finished and background runs."""
        self._background.clear()
        finished.clear()


Backtest = BacktestUtils()
