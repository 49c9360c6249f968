"""Which storage does a document or record go to? One per name, made at its first use (spec reports.md 10, 11)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from bkapi.base.coroutines import settle
from bkapi.errors import BkError
from bkapi.events.emitters import emitters

D = TypeVar("D")

#: What a record is stored with: search fields and, for documents, path and file.
Options = Mapping[str, str]
#: Makes the storage of a name.
Factory = Callable[[str], Any]


class WriterAdapter(Generic[D]):
    """Hands what is written to the storage of its name.

    A storage has ``wait_for_init(initial)`` and a method that takes what is written; both may be coroutine functions.
    A new factory counts for names that have no storage yet; ``clear`` forgets all storages.
    """

    #: The method of a storage that takes what is written.
    method: str

    def __init__(self, factory: Factory) -> None:
        self._factory = factory
        self._storages: dict[str, Any] = {}
        self._lock = threading.RLock()

    def _use(self, factory: Factory) -> None:
        self._factory = factory

    def storage(self, name: str) -> Any:
        """The storage of a name."""
        with self._lock:
            found = self._storages.get(name)
            if found is None:
                found = self._factory(name)
                settle(found.wait_for_init(True))
                self._storages[name] = found
            return found

    def write_data(self, name: str, data: D, options: Options) -> None:
        """Write ``data`` under ``name``. Raises what the storage raises."""
        storage = self._storages.get(name) or self.storage(name)
        take = getattr(storage, "take", None)
        if take is not None and _is_ours(storage, self.method):
            take(data, options)
            return
        settle(storage.wait_for_init(False))
        settle(getattr(storage, self.method)(data, options))

    def flush(self) -> None:
        """Wait until everything is written."""
        for storage in [*self._storages.values()]:
            if hasattr(storage, "flush"):
                storage.flush()

    def clear(self) -> None:
        """Close and forget all storages; the next write makes new ones."""
        with self._lock:
            storages, self._storages = self._storages, {}
        for storage in storages.values():
            if hasattr(storage, "close"):
                storage.close()


def _is_ours(storage: Any, method: str) -> bool:
    """Whether the method of a storage is one of this package, so that ``take`` may be called instead."""
    function = getattr(type(storage), method, None)
    return str(getattr(function, "__module__", "")).startswith("bkapi.reporting.")


def tell_exit(error: Exception) -> None:
    """Tell ``exit_emitter`` which storage could not be written, and why (spec 10, 11)."""
    if isinstance(error, OSError):
        error = SinkError(
            f"records cannot be written: {error.strerror or error}.",
            hint="make room; what was written before is kept, whole.",
        )
    emitters.exit_emitter.emit(error)


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """For a block, turn an error of the system into one sentence about ``path``."""
    try:
        yield
    except OSError as error:
        raise SinkError(
            f"{str(path)!r} cannot be opened for writing: {error.strerror or error}.",
            hint="choose another folder, or make room.",
        ) from None


class SinkError(BkError, RuntimeError):
    """Raised by ``MarkdownFileBase("risk").dump(...)`` before ``wait_for_init()``, and when a write takes too long."""
