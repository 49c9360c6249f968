"""Lets one thread at a time have its turn, and counts a thread that works for a waiting one as the same.

Threads that would wait for each other for ever are told so: whoever waits for the end of another gets the error.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any, Final

from bkapi.errors import BkError

_LOOK_SECONDS: Final = 0.05  # how often a thread in a queue looks whether the thread before it waits for it
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


def _identity(me: int) -> int:
    """The thread on whose behalf a thread works: itself, unless it is a companion whose caller waits."""
    while me in _waiting:
        me = _waiting[me]
    return me


class WaitCycleError(BkError, RuntimeError):
    """Raised by ``handle.wait()`` in a listener that the awaited run has to call, too: neither would ever go on."""

    def __init__(self) -> None:
        super().__init__(
            f"the thread {threading.current_thread().name!r} would wait for ever: for a thread that waits for it.",
            hint="a listener is called by one run at a time, so it cannot wait for a run that it hears: let it start "
            "the run and return, and wait outside of it, or give wait() a timeout.",
        )


class _Wait:
    """A thread that waits for another one: ``whom()`` says which, None when it waits for nobody any more."""

    def __init__(self, whom: Callable[[], int | None], *, for_its_end: bool = False) -> None:
        self.me = threading.get_ident()
        self.whom = whom
        self.for_its_end = for_its_end
        self.over = threading.Event()
        self.is_in_circle = False

    def begin(self) -> None:
        """Add it to what is known; in a circle, wake a thread that waits for the end of another, or else this one."""
        with _graph:
            _waits.append(self)
            circle = self._circle()
            if circle:
                waiter = next((one for one in circle if one.for_its_end), self)
                waiter.is_in_circle = True
                waiter.over.set()

    def end(self) -> None:
        with _graph:
            _waits.remove(self)

    def _circle(self) -> list[_Wait]:
        chain = [self]
        while (holder := chain[-1].whom()) is not None:
            if _identity(holder) == _identity(self.me):
                return chain
            following = (one for one in _waits if _identity(one.me) == _identity(holder) and one not in chain)
            step = next(following, None)
            if step is None:
                break
            chain.append(step)
        return []


_graph = threading.Lock()
_waits: list[_Wait] = []


def wait_for_end(thread: threading.Thread, timeout: float | None = None) -> bool:
    """Wait for a thread; True when it has ended within ``timeout`` seconds (None: however long it takes).

    Raises :class:`WaitCycleError` where the thread itself waits for this one.
    """
    if thread is threading.current_thread():
        raise WaitCycleError
    if timeout is None:
        wait = _Wait(lambda: thread.ident if thread.is_alive() else None, for_its_end=True)
        wait.begin()
        try:
            while thread.is_alive() and not wait.is_in_circle:
                thread.join(_LOOK_SECONDS)
        finally:
            wait.end()
        if wait.is_in_circle:
            raise WaitCycleError
    else:
        thread.join(timeout)
    return not thread.is_alive()


def _is_awaited_by(holder: int) -> bool:
    """Whether code of the thread ``holder`` joins this thread, or waits for the future that it works on."""
    frames = sys._current_frames()
    me = threading.current_thread()
    frame, futures = frames.get(threading.get_ident()), []
    while frame is not None:
        if frame.f_code.co_name == "run" and isinstance(
            of := getattr(frame.f_locals.get("self"), "future", None), Future
        ):
            futures.append(of)
        frame = frame.f_back
    frame = frames.get(holder)
    while frame is not None:
        if frame.f_code is threading.Thread.join.__code__ and frame.f_locals.get("self") is me:
            return frame.f_locals.get("timeout") is None
        if frame.f_code is Future.result.__code__ and frame.f_locals.get("self") in futures:
            return frame.f_locals.get("timeout") is None
        frame = frame.f_back
    return False


class Turn:
    """A re-entrant lock: one thread at a time, first come first served.

    A thread that works for the waiting holder (:func:`working_for`, :class:`Companion`) counts as the holder.
    """

    __slots__ = ("_depth", "_guard", "_holder", "_waiting")

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._holder: int | None = None
        self._depth = 0
        self._waiting: deque[tuple[int, _Wait]] = deque()

    def __enter__(self) -> None:
        me = threading.get_ident()
        if me in _waiting:
            me = _identity(me)
        with self._guard:
            if self._holder is None or self._holder == me:
                self._holder = me
                self._depth += 1
                return
            # A holder that is this thread has just handed over its turn.
            wait = _Wait(lambda: None if self._holder == me else self._holder)
            self._waiting.append((me, wait))
        wait.begin()
        try:
            while not wait.over.wait(_LOOK_SECONDS):
                wait.is_in_circle = self._holder is not None and _is_awaited_by(self._holder)
                if wait.is_in_circle:
                    break
            if wait.is_in_circle and self._left(me, wait):
                raise WaitCycleError
        except KeyboardInterrupt:
            if not self._left(me, wait):
                self.__exit__()  # it was this thread's turn already
            raise
        finally:
            wait.end()

    def _left(self, me: int, wait: _Wait) -> bool:
        """Leave the queue; False when the turn has come meanwhile."""
        with self._guard:
            if (me, wait) not in self._waiting:
                return False
            self._waiting.remove((me, wait))
            return True

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._depth -= 1
            if self._depth == 0:
                if self._waiting:
                    self._holder, wait = self._waiting.popleft()
                    self._depth = 1
                    wait.over.set()
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
