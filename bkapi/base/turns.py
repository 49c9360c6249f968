"""Lets one thread at a time have its turn, and counts a thread that works for a waiting one as the same."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any

#: Which thread waits for a companion, by the companion.
_waiting: dict[int, int] = {}


@contextmanager
def working_for(caller: int) -> Iterator[None]:
    """For a block, work on behalf of the waiting thread ``caller``: a :class:`Turn` takes both for one."""
    me = threading.get_ident()
    _waiting[me] = caller
    try:
        yield
    finally:
        del _waiting[me]


def _identity() -> int:
    """The thread on whose behalf this one works: itself, unless it is a companion whose caller waits."""
    me = threading.get_ident()
    while me in _waiting:
        me = _waiting[me]
    return me


class Turn:
    """A re-entrant lock: one thread at a time, first come first served.

    A thread that works for the waiting holder (:func:`working_for`, :class:`Companion`) counts as the holder.
    """

    __slots__ = ("_depth", "_guard", "_holder", "_waiting")

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._holder: int | None = None
        self._depth = 0
        self._waiting: deque[tuple[int, threading.Lock]] = deque()

    def __enter__(self) -> None:
        me = _identity()
        with self._guard:
            if self._holder is None or self._holder == me:
                self._holder = me
                self._depth += 1
                return
            gate = threading.Lock()
            gate.acquire()
            self._waiting.append((me, gate))
        gate.acquire()

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._depth -= 1
            if self._depth == 0:
                if self._waiting:
                    self._holder, gate = self._waiting.popleft()
                    self._depth = 1
                    gate.release()
                else:
                    self._holder = None


class Companion:
    """A thread that does tasks while its caller waits; the caller may go on without it when a task takes too long.

    Tasks run in the context of the caller. The thread does not keep the interpreter from ending.
    """

    def __init__(self, name: str) -> None:
        self._tasks: SimpleQueue[tuple[Context, Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._ended = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    @property
    def is_there(self) -> bool:
        """Whether it can take another task: False after the caller went on without it, and in a forked process."""
        return not self._ended and self._thread.is_alive()

    def run(self, work: Callable[[], Any], *, slow: float, limit: float, on_slow: Callable[[], None]) -> bool:
        """Do ``work`` and raise what it raises; False after ``limit`` seconds: the caller then goes on without it.

        ``on_slow`` is called after ``slow`` seconds. A companion whose caller went on ends with its task.
        """
        future: Future[Any] = Future()
        companion = self._thread.ident or 0
        _waiting[companion] = threading.get_ident()
        try:
            self._tasks.put((copy_context(), work, future))
            if not wait([future], slow).done:
                on_slow()
                wait([future], limit - slow)
        finally:
            del _waiting[companion]
            if not future.done():
                self.end()
        if not self._ended:
            future.result()
        return not self._ended

    def end(self) -> None:
        """Let the thread end after its task."""
        self._ended = True
        self._tasks.put(None)

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            context, work, future = task
            try:
                future.set_result(context.run(work))
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                future.set_exception(error)
            del context, work, future, task
