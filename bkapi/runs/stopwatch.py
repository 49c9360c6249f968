"""How long do the ticks and signals of a run take? Measured only for listeners (spec reports.md 8.4)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from bkapi.base.context import begin_time
from bkapi.base.timestamps import now_ms
from bkapi.events.emitters import emitters
from bkapi.events.payloads import MetricType, PerformanceEvent


class Stopwatch:
    """Measures one run: ``backtest_timeframe`` for a tick, ``backtest_signal`` for a signal from its tick to its end.

    Parts follow each other without a gap, so the time that the consumer of results takes counts too. Ticks that are
    jumped over have no time of their own; a listener of ``listen_performance`` makes the run visit every tick. Without
    a listener nothing is measured.

    source   the common fields of the events
    """

    __slots__ = ("_began", "_part", "_previous", "_source", "_started", "_tick")

    def __init__(self, source: Mapping[str, Any]) -> None:
        self._source = source
        self._started = self._began = time.perf_counter()
        self._part: MetricType | None = None
        self._previous: int | None = None
        self._tick: int | None = None

    def start(self) -> None:
        """Begin the run."""
        self._started = time.perf_counter()

    def tick(self, timestamp: int) -> None:
        """Begin a tick, unless it has begun already; ``timestamp`` is ms UTC."""
        if timestamp != self._tick:
            self._tick = timestamp
            self._begin("backtest_timeframe")

    def signal(self) -> None:
        """Begin a signal: the tick has made a position or a resting order."""
        if self._part != "backtest_signal":
            self._begin("backtest_signal")

    def end(self) -> None:
        """End the part that was begun last."""
        part, self._part = self._part, None
        if part is not None:
            self._tell(part, self._began)

    def finish(self) -> None:
        """End the run."""
        self._tell("backtest_total", self._started)

    def _begin(self, part: MetricType) -> None:
        self.end()
        if emitters.performance_emitter.listeners:
            self._part, self._began = part, time.perf_counter()

    def _tell(self, part: MetricType, began: float) -> None:
        channel = emitters.performance_emitter
        if channel.listeners:
            event = PerformanceEvent(
                **self._source,
                timestamp=now_ms(),
                metric_type=part,
                duration=(time.perf_counter() - began) * 1_000,
                previous_timestamp=self._previous,
            )
            self._previous = event.timestamp
            begin_time(channel.emit, event)
