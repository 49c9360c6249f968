"""Which runs there are in this process: in progress, finished, and who collects what they leave behind."""

from __future__ import annotations

from typing import Protocol

from bkapi.base.context import RunKey
from bkapi.runs.finished import FinishedRun
from bkapi.runs.strategy import Results, StrategyRun

#: Runs in progress by context.
running: dict[RunKey, StrategyRun] = {}
#: The newest finished backtest of each context.
finished: dict[RunKey, FinishedRun] = {}


class Collector(Protocol):
    """What a service does about runs."""

    def begin_run(self, key: RunKey) -> None:
        """Forget what an earlier run of the same context has left."""

    def take_run(self, run: StrategyRun) -> None:
        """Remember a run that told nobody anything: its log says it all."""


_collectors: list[Collector] = []


def add_collector(collector: Collector) -> None:
    """Tell ``collector`` about runs from now on."""
    _collectors.append(collector)


def remove_collector(collector: Collector) -> None:
    """Stop telling it."""
    if collector in _collectors:
        _collectors.remove(collector)


def begin_run(key: RunKey) -> None:
    """A run starts."""
    for collector in (*_collectors,):
        collector.begin_run(key)


def _take_run(run: StrategyRun) -> None:
    for collector in (*_collectors,):
        collector.take_run(run)


def results_of(run: StrategyRun) -> Results:
    """Play a run and yield its results; while it lasts ``running`` has it, and its log goes to who collects logs."""
    running[run.key] = run
    try:
        yield from run.results(_take_run)
    finally:
        if running.get(run.key) is run:
            del running[run.key]


def runs_of(key: RunKey) -> list[StrategyRun]:
    """The runs of this process that a key is about; empty parts of symbol and strategy stand for any."""
    runs = {one: run.strategy_run for one, run in finished.items()} | running
    symbol, strategy, exchange, frame, backtest = key
    return [
        run
        for (a, b, c, d, e), run in runs.items()
        if symbol in ("", a) and strategy in ("", b) and exchange == c and frame == d and backtest == e
    ]
