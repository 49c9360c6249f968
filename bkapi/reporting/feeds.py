"""Who collects what runs leave behind: the services of documents that are subscribed now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bkapi.strategy import RunKey, StrategyRun


class Collector(Protocol):
    """What a service does about runs."""

    def begin_run(self, key: RunKey) -> None:
        """Forget what an earlier run of the same context has left."""

    def take_run(self, run: StrategyRun) -> None:
        """Remember a run that told nobody anything: its log says it all."""


_collectors: list[Collector] = []


def add(collector: Collector) -> None:
    """Tell ``collector`` about runs from now on."""
    _collectors.append(collector)


def remove(collector: Collector) -> None:
    """Stop telling it."""
    if collector in _collectors:
        _collectors.remove(collector)


def begin_run(key: RunKey) -> None:
    """A run starts."""
    for collector in (*_collectors,):
        collector.begin_run(key)


def take_run(run: StrategyRun) -> None:
    """A run has ended that told nobody anything."""
    for collector in (*_collectors,):
        collector.take_run(run)
