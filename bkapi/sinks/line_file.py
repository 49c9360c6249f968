"""Writes records to a slow place in batches: a thread writes, and every call has a time limit.

``put`` returns at once; a batch is written when it is full or a twentieth of a second old. When records come rarely,
``put`` returns after its record is written. A crash of the process loses at most the batch in hand, never half a line.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

logger = logging.getLogger("bkapi.reporting")

#: Seconds that a write may take before its caller gets a TimeoutError.
WRITE_SECONDS: Final = 15.0
_IDLE_SECONDS: Final = 5.0
_open: weakref.WeakSet[Batched[Any]] = weakref.WeakSet()


class Batched(ABC, Generic[T]):
    """A storage that takes records one by one and writes them in batches; a subclass says how."""

    #: So many records make a batch, and so many batches may wait.
    batch_size: int = 1024
    most_waiting: int = 64
    #: How old a batch in hand may become, and whether a record of a quiet producer is written at once.
    seconds_in_hand: float = 0.05
    at_once: bool = True

    def __init__(self, on_error: Callable[[Exception], None] | None = None) -> None:
        self._batch: list[T] = []
        self._waiting: list[list[T]] = []
        self._changed = threading.Condition()
        self._is_writing = False
        self._is_closed = False
        self._last = 0.0
        self._error: Exception | None = None
        self._on_error = on_error
        self._thread: threading.Thread | None = None
        _open.add(self)

    @abstractmethod
    def write_batch(self, batch: list[T]) -> None:
        """Write records in order; called by one thread at a time."""

    def finish(self) -> None:
        """Close the storage, after the last batch."""

    def put(self, record: T, seconds: float = WRITE_SECONDS) -> None:
        """Hand over a record, which is written soon. Raises TimeoutError when there is no room within ``seconds``."""
        with self._changed:
            if self._is_closed:
                raise ValueError("it is closed")
            self._batch.append(record)
            now = time.monotonic()
            is_quiet = self.at_once and now - self._last >= self.seconds_in_hand and self._is_idle()
            self._last = now
            if is_quiet:
                self._hand_over()
                self._wait(self._is_idle, seconds)
            elif len(self._batch) >= self.batch_size:
                self._hand_over()
                if len(self._waiting) > self.most_waiting:
                    self._wait(lambda: len(self._waiting) <= self.most_waiting, seconds)
            elif len(self._batch) == 1:
                self._start()
                self._changed.notify_all()

    def _is_idle(self) -> bool:
        return not self._waiting and not self._is_writing

    def flush(self, seconds: float = WRITE_SECONDS) -> None:
        """Wait until everything is written. Raises TimeoutError after ``seconds``."""
        with self._changed:
            self._hand_over()
            self._wait(self._is_idle, seconds)

    def close(self, seconds: float = WRITE_SECONDS) -> None:
        """Flush and close; any number of times."""
        with self._changed:
            if self._is_closed:
                return
        try:
            self.flush(seconds)
        finally:
            with self._changed:
                self._is_closed = True
                self._changed.notify_all()
            self.finish()

    def _hand_over(self) -> None:
        if self._batch:
            self._waiting.append(self._batch)
            self._batch = []
            self._start()
            self._changed.notify_all()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=_work, args=(weakref.ref(self),), name="bk-writer", daemon=True
            )
            self._thread.start()

    def _wait(self, done: Callable[[], bool], seconds: float) -> None:
        if not self._changed.wait_for(done, seconds):
            raise TimeoutError(f"a write did not complete in {seconds:g} s")

    def step(self) -> bool:
        """Write the next batch if one is full or old enough; False when the storage is closed and empty."""
        with self._changed:
            if not self._waiting:
                self._changed.wait(self.seconds_in_hand if self._batch else _IDLE_SECONDS)
                if not self._waiting and self._batch:
                    self._waiting.append(self._batch)
                    self._batch = []
            if not self._waiting:
                return not self._is_closed
            batch = self._waiting.pop(0)
            self._is_writing = True
        try:
            self.write_batch(batch)
        except Exception as error:  # noqa: BLE001 - a full disk and the like: told, and the run goes on
            self._failed(error)
        finally:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
        return True

    def _failed(self, error: Exception) -> None:
        if self._error is None:
            logger.warning("a batch could not be written: %s", error)
        self._error = error
        if self._on_error is not None:
            self._on_error(error)


def _work(place: weakref.ref[Batched[Any]]) -> None:
    while (batched := place()) is not None and batched.step():
        del batched


def close_all() -> None:
    """Flush and close every open storage, each within the time limit."""
    for batched in [*_open]:
        try:
            batched.close()
        except TimeoutError as error:
            logger.warning("%s", error)


atexit.register(close_all)


class LineFile(Batched[bytes]):
    """A file that lines are appended to; each batch is one write of whole lines.

    If a crash cut off the last line, it is ended first, so that the next one stands on its own.
    """

    def __init__(self, path: Path, on_error: Callable[[Exception], None] | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._handle = os.open(path, flags, 0o644)
        size = os.fstat(self._handle).st_size
        if size:
            os.lseek(self._handle, size - 1, os.SEEK_SET)
            if os.read(self._handle, 1) != b"\n":
                os.write(self._handle, b"\n")
        super().__init__(on_error)

    def write_batch(self, batch: list[bytes]) -> None:
        """Append whole lines."""
        data = memoryview(b"".join(batch))
        size = os.fstat(self._handle).st_size
        written = 0
        try:
            while written < len(data):
                written += os.write(self._handle, data[written:])
        except OSError:
            if written and os.fstat(self._handle).st_size == size + written:
                os.ftruncate(self._handle, size)  # no half line stays
            raise

    def finish(self) -> None:
        """Sync and close the file."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.fsync(handle)
            os.close(handle)


def read_lines(path: str | Path) -> Iterator[Any]:
    """The records of a JSON Lines file; lines that a crash cut off are skipped with a warning."""
    import orjson

    path = Path(path)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError:
                logger.warning("%s: line %d is cut off (%d bytes), it is skipped.", path, number, len(line))
