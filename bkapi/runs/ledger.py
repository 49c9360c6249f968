"""Which runs does this process know? Those in progress, the finished ones, and the services that collect their logs."""

from __future__ import annotations

import os
import threading
from contextvars import ContextVar
from typing import Final, Protocol

from bkapi.base.context import RunKey
from bkapi.errors import BkError
from bkapi.runs.finished import FinishedRun
from bkapi.runs.strategy import Results, StrategyRun

#: Runs in progress by context, the newest last; threads may play several of one context at once.
running: dict[RunKey, tuple[StrategyRun, ...]] = {}
_changing = threading.Lock()
#: The run whose code is being executed.
_playing: ContextVar[StrategyRun | None] = ContextVar("bk_run", default=None)
#: The newest finished backtest of each context, of the ``KEPT_RUNS`` contexts that finished last.
finished: dict[RunKey, FinishedRun] = {}
KEPT_RUNS: Final = 128


def keep(run: FinishedRun) -> None:
    """Remember a finished run, in as little room as it needs, and forget the oldest beyond ``KEPT_RUNS``."""
    key = run.strategy_run.key
    run.run.trim()
    with _changing:
        finished.pop(key, None)
        finished[key] = run
        while len(finished) > KEPT_RUNS:
            finished.pop(next(iter(finished)), None)


class ForkError(BkError, RuntimeError):
    """Raised by ``Backtest.run(...)`` in a process that was forked while a run was open: it would hang in Polars."""


_forked_from = 0


def _forked() -> None:
    global _forked_from
    if running or _forked_from:
        _forked_from = _forked_from or os.getppid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def refuse_after_fork() -> None:
    """Raise :class:`ForkError` in a process that was forked while a run was open."""
    if _forked_from:
        raise ForkError(
            f"process {os.getpid()} was forked from {_forked_from} while a run was open there; threads, and with them "
            "Polars, do not survive a fork, so it would hang.",
            hint='start processes with multiprocessing.get_context("spawn"), or fork before bkapi is imported.',
        )


class Collector(Protocol):
    """A service that hears of the beginning and end of runs, and reads their logs."""

    def begin_run(self, key: RunKey) -> None:
        """Forget what an earlier run of the same context has left."""

    def take_run(self, run: StrategyRun) -> None:
        """Remember a run that delivered no events; its log contains them."""


_collectors: list[Collector] = []


def add_collector(collector: Collector) -> None:
    """Let ``collector`` hear of runs from now on."""
    _collectors.append(collector)


def remove_collector(collector: Collector) -> None:
    """Let ``collector`` hear of runs no more."""
    if collector in _collectors:
        _collectors.remove(collector)


def begin_run(key: RunKey) -> None:
    """Tell the collectors that a run begins."""
    for collector in (*_collectors,):
        collector.begin_run(key)


def _take_run(run: StrategyRun) -> None:
    for collector in (*_collectors,):
        collector.take_run(run)


def results_of(run: StrategyRun) -> Results:
    """Play a run and yield its results; ``running`` has it meanwhile. Collectors get its log if it told no events."""
    with _changing:
        running[run.key] = (*running.get(run.key, ()), run)
    _playing.set(run)
    try:
        for result in run.results(_take_run):
            yield result
            refuse_after_fork()
    finally:
        with _changing:
            others = tuple(one for one in running.pop(run.key, ()) if one is not run)
            if others:
                running[run.key] = others


def in_progress(key: RunKey) -> StrategyRun | None:
    """The run in progress of a context: the one around the caller, or else the one that was started last."""
    runs = running.get(key)
    if not runs:
        return None
    newest = runs[-1]
    if newest is runs[0]:
        return newest
    around = _playing.get()
    return around if around in runs else newest


def runs_of(key: RunKey) -> list[StrategyRun]:
    """The runs of this process that match a key; an empty symbol or strategy in it matches any."""
    runs = {one: run.strategy_run for one, run in finished.items()}
    runs |= {one: latest[-1] for one, latest in (*running.items(),)}
    symbol, strategy, exchange, frame, backtest = key
    return [
        run
        for (a, b, c, d, e), run in runs.items()
        if symbol in ("", a) and strategy in ("", b) and exchange == c and frame == d and backtest == e
    ]
