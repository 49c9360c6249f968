"""Runs tasks at boundaries of an interval, once for all runs of the process (spec market-data.md 17)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bkapi.base.context import execution, method
from bkapi.base.coroutines import settle
from bkapi.base.turns import Companion, Turn
from bkapi.errors import BkError
from bkapi.events.emitters import emitters, report_error
from bkapi.events.payloads import MomentEvent
from bkapi.runs.runtime_info import RuntimeInfo, get_runtime_info
from bkcore.errors import did_you_mean
from bkcore.intervals import CANDLE_INTERVALS, interval_start

logger = logging.getLogger(__name__)

SLOW_SECONDS = 120.0
DEAD_SECONDS = 900.0


class CronError(BkError, ValueError):
    """Raised by ``Cron.register({"name": "a:b", ...})``: an entry that cannot be kept."""


class CronTimeoutError(BkError, TimeoutError):
    """Reported when a handler takes a quarter of an hour: the run goes on alone, and the boundary counts as failed."""


@dataclass(eq=False)
class Entry:
    """A registered task: its fields, what it has done, and its slots in progress."""

    name: str
    interval: str | None
    symbols: tuple[str, ...]
    handler: Callable[[RuntimeInfo], object]
    watermarks: dict[str, int] = field(default_factory=dict)
    fired: set[str] = field(default_factory=set)
    under_way: set[tuple[str, int | str]] = field(default_factory=set)

    def slot(self, symbol: str, timestamp: int) -> tuple[str, int | str] | None:
        """The slot that an event opens, or None."""
        if self.symbols and symbol not in self.symbols:
            return None
        fan = symbol if self.symbols else ""
        if self.interval is None:
            return None if fan in self.fired else (fan, "once")
        boundary = interval_start(timestamp, self.interval)
        known = self.watermarks.get(fan)
        return None if known is not None and boundary <= known else (fan, boundary)


class CronUtils:
    """Runs handlers once per boundary of their interval for all runs of the process; the singleton is ``Cron``.

    A periodic task fires at the first event at or after each boundary, and at the very first event it sees. A task
    without interval fires once. With ``symbols`` it does so for each of them. All runs share the watermarks, which
    outlive them: register again, or :meth:`dispose`, between runs over the same dates.

    A run waits for its handlers, which work in a thread of their own. It warns about one that takes two minutes; after
    a quarter of an hour the run goes on without it, and the next event tries the boundary again.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._subscriptions: list[Callable[[], None]] = []
        self._turn = Turn()
        self._companions: list[Companion] = []
        self._changing = threading.Lock()

    def register(self, entry: Mapping[str, Any] | None = None, /, **fields: Any) -> Callable[[], None]:
        """Add a task, or replace the one of its name: ``Cron.register(name="news", interval="1h", handler=read)``.

        name       a text without ``:``
        interval   1m ... 1d; without one the task fires once
        symbols    fire for each of these, else once for all
        handler    called with the :class:`RuntimeInfo` of the run whose event came first; may be a coroutine function

        Returns a function that removes the task. Raises :class:`CronError`.
        """
        if not isinstance(entry or {}, Mapping):
            raise CronError(f"{entry!r:.60} is no cron entry.", hint="give a mapping, or its fields by name.")
        checked = _checked({**(entry or {}), **fields})
        with self._changing:
            self._entries[checked.name] = checked
        return lambda: self.unregister(checked.name)

    def unregister(self, name: str) -> None:
        """Remove a task; a handler in progress goes on."""
        with self._changing:
            self._entries.pop(name, None)

    def enable(self) -> Callable[[], None]:
        """Listen to the runs; the returned function stops that, and is the same every time."""
        with self._changing:
            if not self._subscriptions:
                channels = (
                    emitters.before_start_subject,
                    emitters.idle_ping_subject,
                    emitters.active_ping_subject,
                    emitters.schedule_ping_subject,
                )
                self._subscriptions = [channel.subscribe(self._tick) for channel in channels]
        return self.disable

    def disable(self) -> None:
        """Stop listening; tasks, marks and watermarks stay."""
        with self._changing:
            for unsubscribe in self._subscriptions:
                unsubscribe()
            self._subscriptions = []

    def dispose(self) -> None:
        """Stop listening and forget every task."""
        self.disable()
        with self._changing:
            self._entries.clear()
            while self._companions:
                self._companions.pop().end()

    def clear(self, symbol: str | None = None) -> None:
        """Let tasks without interval fire again: all, or for ``symbol`` those with ``symbols``."""
        with self._changing:
            for entry in self._entries.values():
                if symbol is None:
                    entry.fired.clear()
                elif entry.symbols:
                    entry.fired.discard(symbol)

    def _tick(self, event: MomentEvent) -> None:
        """Serve every task whose slot an event opens, one event after another (deviation 12)."""
        method.require("CronUtils _tick")
        execution.require("CronUtils _tick")
        with self._turn:
            for entry in [*self._entries.values()]:
                slot = entry.slot(event.symbol, event.timestamp)
                if slot is not None and slot not in entry.under_way:
                    self._serve(entry, slot)

    def _serve(self, entry: Entry, slot: tuple[str, int | str]) -> None:
        fan, boundary = slot
        before = entry.watermarks.get(fan)
        if isinstance(boundary, int):
            entry.watermarks[fan] = boundary
        entry.under_way.add(slot)
        try:
            self._call(entry)
        except Exception as error:  # noqa: BLE001 - documented: reported, never raised to the run
            if isinstance(boundary, int):
                if before is None:
                    entry.watermarks.pop(fan, None)
                else:
                    entry.watermarks[fan] = before
            report_error(error, f"Cron {entry.name}")
        else:
            if boundary == "once":
                entry.fired.add(fan)
        finally:
            entry.under_way.discard(slot)

    def _call(self, entry: Entry) -> None:
        """Run a handler to its end or its limit; raises what it raises, or :class:`CronTimeoutError`."""

        def warn() -> None:
            logger.warning("Cron %s: the handler runs for more than %.0f s", entry.name, SLOW_SECONDS)

        while self._companions and not self._companions[-1].is_there:
            self._companions.pop()
        companion = self._companions.pop() if self._companions else Companion("bk-cron")
        try:
            in_time = companion.run(
                lambda: settle(entry.handler(get_runtime_info())),
                slow=SLOW_SECONDS,
                limit=DEAD_SECONDS,
                on_slow=warn,
            )
        finally:
            if companion.is_there:
                self._companions.append(
                    companion
                )  # a handler that starts another one needs a second companion
        if not in_time:
            raise CronTimeoutError(
                f"Cron {entry.name}: the handler took more than {DEAD_SECONDS:.0f} s and goes on alone.",
                hint="start long work in the background, a run waits for its handlers.",
            )


def _checked(given: Mapping[str, Any]) -> Entry:
    """The entry of these fields; raises :class:`CronError`."""
    fields = ("name", "interval", "symbols", "handler")
    for field_name in given:
        if field_name not in fields:
            raise CronError(
                f"a cron entry has no field {field_name!r}.",
                hint=did_you_mean(str(field_name), fields) + f"known: {', '.join(fields)}.",
            )
    name, interval, symbols, handler = (given.get(field_name) for field_name in fields)
    if not isinstance(name, str) or not name or ":" in name:
        raise CronError(
            f"the name of a cron entry must be a text without ':', got {name!r}.", hint="name it."
        )
    if isinstance(symbols, str) or not isinstance(symbols or (), Iterable):
        raise CronError(
            f"symbols of cron entry {name!r} must be a list, got {symbols!r}.",
            hint='give symbols=["BTCUSDT"].',
        )
    listed = tuple(symbols or ())
    if any(not isinstance(symbol, str) or ":" in symbol for symbol in listed):
        raise CronError(
            f"symbols of cron entry {name!r} must be texts without ':', got {list(listed)!r}.",
            hint='give symbols=["BTCUSDT"].',
        )
    if interval is not None and interval not in CANDLE_INTERVALS:
        raise CronError(
            f"unknown interval={interval!r} of cron entry {name!r}.",
            hint=f"known: {', '.join(CANDLE_INTERVALS)}.",
        )
    if not callable(handler):
        raise CronError(
            f"handler of cron entry {name!r} must be a function, got {handler!r}.",
            hint="give a function of one argument, the runtime info.",
        )
    return Entry(name, interval, listed, handler)


Cron = CronUtils()
