"""Whose turn it is, and which thread works while another one waits for it."""

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
    """In a thread that works while the thread ``caller`` waits for it: for a :class:`Turn` the two are one."""
    me = threading.get_ident()
    _waiting[me] = caller
    try:
        yield
    finally:
        del _waiting[me]


def _identity() -> int:
    """The thread on whose behalf this one works: itself, unless it is a companion that somebody waits for."""
    me = threading.get_ident()
    while me in _waiting:
        me = _waiting[me]
    return me


class Turn:
    """Whose turn it is: one thread at a time, first come first served; the holder may enter again.

    A thread that works for the holder while it waits (:func:`working_for`, :class:`Companion`) is the holder, too.
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
    """A thread that does one thing after the other while its caller waits, and that can be left alone with one.

    What it does runs in the context of the caller. It does not keep the interpreter from ending.
    """

    def __init__(self, name: str) -> None:
        self._tasks: SimpleQueue[tuple[Context, Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._ended = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    @property
    def is_there(self) -> bool:
        """Whether it can do more; not so once it was left alone, and in a process that was forked from its own."""
        return not self._ended and self._thread.is_alive()

    def run(self, work: Callable[[], Any], *, slow: float, limit: float, on_slow: Callable[[], None]) -> bool:
        """Do ``work``, raising what it raises; False when it goes on after ``limit`` seconds, unobserved from then on.

        ``on_slow`` is called when it goes on after ``slow`` seconds. A companion that was left alone ends with that.
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
        """Let the thread end when it has done what it does."""
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
