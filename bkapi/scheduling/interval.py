"""Calls a function once per interval: ``Interval.fn`` in memory, ``Interval.file`` on disk (spec market-data.md 16)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bkapi.scheduling.buckets import FileWrapped, Store, Wrapped, Wrapping

Key = tuple[str, str]


class IntervalFnInstance(Wrapped):
    """A function that fires once per interval, context and key; a result of None does not count as fired."""

    instance = "IntervalFnInstance"
    source = "IntervalUtils.fn"

    @staticmethod
    def default_key(arguments: tuple[Any, ...]) -> Any:
        """The first argument, which is the symbol."""
        return arguments[0] if arguments else ""

    @staticmethod
    def _take(store: Store, key: Key) -> bool:
        """Whether the bucket was free; it is taken from now on."""
        bucket = store.bucket()
        with store.changing:
            known = store.entries.get(key)
            if known is not None and known[0] == bucket:
                return False
            store.entries[key] = (bucket, None)
            return True

    def _now(self, store: Store, key: Key, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        before = store.entries.get(key)
        if not self._take(store, key):
            return None
        value = None
        try:
            value = store.run(*args, **kwargs)
        finally:
            if value is None and before is None:
                store.entries.pop(key, None)
            elif value is None and before is not None:
                store.entries[key] = before
        return value

    async def _later(self, store: Store, key: Key, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self._take(store, key):
            return None
        value = None
        try:
            value = await store.run(*args, **kwargs)
        finally:
            if value is None:
                store.entries.pop(key, None)  # a coroutine forgets what was there before, as recorded
        return value


class IntervalFileInstance(FileWrapped):
    """A function of a symbol that fires once per interval and key, also across restarts."""

    folder = Path("dump/data/interval")
    instance = "IntervalFileInstance"
    source = "IntervalUtils.file"

    def _again(self, known: dict[str, Any]) -> Any:
        return None

    def _kept(self, name: str, value: Any) -> Any:
        return None if value is None else super()._kept(name, value)


class IntervalUtils(Wrapping):
    """Wraps functions so that they fire once per interval; the singleton is ``Interval``.

    ``Interval.fn(run, {"interval": "1h"})`` calls ``run`` at the first call of an interval and returns None at the
    others, per strategy, exchange, frame, mode and key (the first argument). After a result of None it calls again.
    ``Interval.file(run, {"interval": "1d", "name": "news"})`` remembers on disk, under ``./dump/data/interval``.
    """

    wrapped = IntervalFnInstance
    file_wrapped = IntervalFileInstance


Interval = IntervalUtils()
