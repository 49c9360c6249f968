"""Who may fetch candles now? The candle mutex, and locks for users (spec market-data.md 12)."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from bkapi.base import config
from bkapi.base.activities import Lookup
from bkapi.errors import BkError

_SPIN_SECONDS = 0.05


class LockError(BkError, RuntimeError):
    """Raised by ``Lock().release_lock()``: released more often than acquired."""


class Lock:
    """First come, first served, not re-entrant (spec market-data.md 12.2)."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Lock] = deque()

    def acquire_lock(self) -> None:
        """Wait for the lock and take it."""
        with self._guard:
            if not self._held:
                self._held = True
                return
            gate = threading.Lock()
            gate.acquire()
            self._waiting.append(gate)
        gate.acquire()

    def release_lock(self) -> None:
        """Give the lock to the next in line; raises :class:`LockError` when nobody holds it."""
        with self._guard:
            if not self._held:
                raise LockError(
                    "Extra release in finally block", hint="call release_lock once for every acquire_lock."
                )
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False


class CandleUtils:
    """The candle mutex of the process; the singleton is ``Candle``.

    With ``CC_ENABLE_CANDLE_FETCH_MUTEX`` adapter calls never overlap, whatever the exchange or symbol.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._taken = threading.Condition()
        self._acquisitions = 0
        self._inside: ContextVar[bool] = ContextVar("bk_candle_mutex", default=False)

    def acquire_lock(self, source: str) -> None:
        """Wait for the mutex and take it; does nothing while it is switched off. ``source`` says who asks."""
        if config.value("CC_ENABLE_CANDLE_FETCH_MUTEX"):
            self._lock.acquire_lock()
            with self._taken:
                self._acquisitions += 1
                self._taken.notify_all()

    def release_lock(self, source: str) -> None:
        """Give the mutex back; raises :class:`LockError` when it was not taken."""
        if config.value("CC_ENABLE_CANDLE_FETCH_MUTEX"):
            self._lock.release_lock()

    def spin_lock(self, source: str) -> None:
        """Let another run go first: wait until somebody takes the mutex, for 50 ms at most."""
        wanted = ("CC_ENABLE_CANDLE_FETCH_MUTEX", "CC_ENABLE_BACKTEST_PARALLEL_SPIN")
        if Lookup.is_parallel and all(config.value(name) for name in wanted):
            with self._taken:
                before = self._acquisitions
                self._taken.wait_for(lambda: self._acquisitions != before, _SPIN_SECONDS)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the mutex for a block; a fetch inside a fetch has it already."""
        if self._inside.get() or not config.value("CC_ENABLE_CANDLE_FETCH_MUTEX"):
            yield
            return
        self._lock.acquire_lock()
        token = self._inside.set(True)
        try:
            with self._taken:
                self._acquisitions += 1
                self._taken.notify_all()
            yield
        finally:
            self._inside.reset(token)
            self._lock.release_lock()


Candle = CandleUtils()
