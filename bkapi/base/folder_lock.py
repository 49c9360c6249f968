"""Who may write into a folder now? One process, or thread of one, at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Seconds that a writer waits for another one.
PATIENCE_SECONDS = 60.0


@contextmanager
def only_writer(folder: Path, busy: Exception) -> Iterator[None]:
    """Be the one writer of a folder; waits for another one, for a minute at most, and then raises ``busy``.

    A writer that is killed gives the folder back.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock", timeout=PATIENCE_SECONDS, poll_interval=0.005)
    try:
        held = lock.acquire()
    except Timeout:
        raise busy from None
    with held:
        yield
