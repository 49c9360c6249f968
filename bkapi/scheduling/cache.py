"""Keeps results for an interval: ``Cache.fn`` in memory, ``Cache.file`` on disk (spec market-data.md 15)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from bkapi.base.context import execution
from bkapi.scheduling.buckets import FileWrapped, Store, Wrapped, Wrapping

Key = tuple[str, str]


class _Pending:
    """A coroutine in progress, and the loop that runs it."""

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task


class CacheFnInstance(Wrapped):
    """A function that is run once per interval, context and key."""

    instance = "CacheFnInstance"
    source = "CacheUtils.fn"

    @staticmethod
    def default_key(arguments: tuple[Any, ...]) -> Any:
        """The symbol: that of the run, and the first argument where it is a text (deviation 12)."""
        moment = execution.get()
        first = arguments[0] if arguments and isinstance(arguments[0], str) else ""
        return f"{moment.symbol if moment else ''}:{first}"

    def _now(self, store: Store, key: Key, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        bucket = store.bucket()
        known = store.entries.get(key)
        if known is not None and known[0] == bucket:
            return known[1]
        value = store.run(*args, **kwargs)
        store.entries[key] = (bucket, value)
        return value

    async def _later(self, store: Store, key: Key, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        bucket = store.bucket()
        known = store.entries.get(key)
        if known is not None and known[0] == bucket:
            if not isinstance(known[1], _Pending):
                return known[1]
            if known[1].task.get_loop() is asyncio.get_running_loop():
                return await asyncio.shield(known[1].task)
        pending = _Pending(asyncio.ensure_future(store.run(*args, **kwargs)))
        store.entries[key] = entry = (bucket, pending)
        try:
            value = await pending.task
        except BaseException:
            if store.entries.get(key) is entry:
                del store.entries[key]
            raise
        if store.entries.get(key) is entry:
            store.entries[key] = (bucket, value)
        return value


class CacheFileInstance(FileWrapped):
    """A function of a symbol whose results are kept on disk, one per interval and key."""

    folder = Path("dump/data/measure")
    instance = "CacheFileInstance"
    source = "CacheUtils.file"

    def _again(self, known: dict[str, Any]) -> Any:
        return known["data"]


class CacheUtils(Wrapping):
    """Wraps functions so that they are run once per interval; the singleton is ``Cache``.

    ``Cache.fn(run, {"interval": "1h"})`` keeps results in memory per strategy, exchange, frame, mode and key (default:
    the symbol). ``Cache.file(run, {"interval": "1h", "name": "macro"})`` keeps them under ``./dump/data/measure``,
    for every strategy and mode alike; results have to be JSON.
    """

    wrapped = CacheFnInstance
    file_wrapped = CacheFileInstance


Cache = CacheUtils()
