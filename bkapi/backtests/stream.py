"""Plays a prepared run: what it yields, and what it tells at its start and end (spec engine.md 4.2)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeVar

from bkapi.base.context import ExecutionContext, MethodContext, begin_time, iterate_in_context, run_key
from bkapi.base.timestamps import from_ms
from bkapi.events.emitters import emitters, report_error
from bkapi.events.payloads import LifecycleEvent
from bkapi.market.frames import FrameConnectionService
from bkapi.risk.services import clear_risks
from bkapi.runs.finished import FinishedRun, finished_run
from bkapi.runs.ledger import begin_run, finished, keep, results_of
from bkapi.runs.remarks import tell_remarks
from bkapi.runs.strategy import BacktestResult, StrategyRun
from bkapi.runs.time_and_price import forget, remember

T = TypeVar("T")


def _tell_frame(frame_name: str, symbol: str) -> None:
    """Call ``on_timeframe`` with the ticks, if there is one."""
    client = FrameConnectionService().get_frame(frame_name)
    if client.schema.callbacks is not None and client.schema.callbacks.on_timeframe is not None:
        client.get_timeframe(symbol)


def forget_earlier(symbol: str, names: MethodContext, risk_names: Sequence[str]) -> None:
    """Drop what an earlier run has left: its results, its time and price, the positions of its risk profiles."""
    finished.pop(run_key(symbol, names), None)
    forget(symbol, names, backtest=True)
    clear_risks(risk_names, names, backtest=True)


def stream(
    strategy_run: StrategyRun, *, keeps: bool = True, quiet: bool = True
) -> Generator[BacktestResult, None, FinishedRun]:
    """Play a prepared run in a context of its own, yield its results and return the finished run.

    What an earlier run of the same context left is forgotten.

    keeps   keep the finished run, so that ``Backtest.last_run`` and the reports of its context answer from it
    quiet   say nothing on stderr at the end (spec fills.md 10)
    """
    symbol, names = strategy_run.symbol, strategy_run.names
    forget_earlier(symbol, names, strategy_run.schema.risks)

    def results() -> Generator[BacktestResult, None, FinishedRun]:
        ended = finished_run(strategy_run)
        begin_time(_tell_frame, names.frame_name, symbol)
        begin_run(strategy_run.key)
        strategy_run.watch.start()
        _tell_lifecycle(strategy_run, start=True)
        try:
            yield from results_of(strategy_run)
        finally:
            remember(strategy_run)
            if keeps:
                keep(ended)
        strategy_run.watch.finish()
        _tell_lifecycle(strategy_run, start=False)
        if not quiet:
            tell_remarks(ended)
        return ended

    moment = ExecutionContext(symbol, strategy_run.frame.start_ms, True)
    return iterate_in_context(results(), names=names, moment=moment)


def to_the_end(results: Generator[Any, None, T]) -> T:
    """Consume a generator; returns what it returns."""
    try:
        while True:
            next(results)
    except StopIteration as end:
        value: T = end.value
        return value


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
                **names.to_dict(),
                backtest=True,
                timestamp=when,
                current_price=get_average_price(strategy_run.symbol),
                when=from_ms(when),
            )
        )
    except Exception as error:  # noqa: BLE001 - reported and ignored, as documented (spec engine.md 4.2)
        report_error(error, channel.name)
