"""What Cache and Interval share: a store per function, with an entry per interval (spec market-data.md 15, 16)."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from bkapi.base.context import execution, method
from bkapi.base.json_files import RecordFolder, file_name
from bkapi.base.timestamps import from_ms
from bkcore.errors import BkError, did_you_mean
from bkcore.intervals import CANDLE_INTERVALS, interval_start

Function = Callable[..., Any]
KeyFunction = Callable[[tuple[Any, ...]], Any]


class BucketIntervalError(BkError, ValueError):
    """Raised by ``Cache.fn(run, {"interval": "7m"})``: the interval is not a documented one."""


def checked_interval(interval: str) -> str:
    """The interval of a cache; raises :class:`BucketIntervalError`."""
    if interval not in CANDLE_INTERVALS:
        raise BucketIntervalError(
            f"unknown cache ttl interval={interval!r}", hint=f"known: {', '.join(CANDLE_INTERVALS)}."
        )
    return interval


class BucketOptionError(BkError, TypeError):
    """Raised by ``Cache.fn(run)``: an option is missing or unknown, or what is wrapped is no function."""


class BucketValueError(BkError, TypeError):
    """Raised by a function of ``Cache.file`` or ``Interval.file`` whose result cannot be kept on disk."""


def checked_options(
    door: str, run: Any, options: Any, named: Mapping[str, Any], needed: tuple[str, ...]
) -> dict[str, Any]:
    """The options of a wrapper with its ``key``; raises :class:`BucketOptionError`."""
    known = (*needed, "key")
    if not callable(run) or not isinstance(options or {}, Mapping):
        raise BucketOptionError(
            f"{door} takes a function and a mapping of options, not {run!r:.60} and {options!r:.60}.",
            hint=f"known options: {', '.join(known)}.",
        )
    given = {"key": None, **(options or {}), **named}
    for name in given:
        if name not in known:
            raise BucketOptionError(
                f"{door} has no option {name!r}.",
                hint=did_you_mean(str(name), known) + f"known: {', '.join(known)}.",
            )
    for name in needed:
        if name not in given:
            raise BucketOptionError(f"{door} needs {name}.", hint=f"known options: {', '.join(known)}.")
    if given["key"] is not None and not callable(given["key"]):
        raise BucketOptionError(
            f"key={given['key']!r:.60} of {door} is no function.",
            hint="give a function of the tuple of arguments.",
        )
    return given


def is_async(run: Function) -> bool:
    """Whether calling a function returns a coroutine."""
    called = (
        type(run).__call__ if callable(run) else None
    )  # an object may be called like a coroutine function
    return inspect.iscoroutinefunction(run) or inspect.iscoroutinefunction(called)


class Store:
    """The entries of one function: ``key -> (bucket, value)``; the first wrapper called sets interval and key."""

    def __init__(self, run: Function, interval: str, key: KeyFunction) -> None:
        self.run = run
        self.interval = interval
        self.key = key
        self.entries: dict[tuple[str, str], tuple[int, Any]] = {}
        self.changing = threading.Lock()

    def bucket(self) -> int:
        """Start of the interval of the ambient "now"."""
        moment = execution.get()
        assert moment is not None
        return interval_start(moment.when_ms, self.interval)


def scope(source: str) -> str:
    """``strategy:exchange[:frame]:mode`` of the ambient run; raises :class:`ContextError` outside of one."""
    names, moment = method.require(source), execution.require(source)
    parts = [names.strategy_name, names.exchange_name, names.frame_name]
    return ":".join([*(part for part in parts if part), "backtest" if moment.backtest else "live"])


class Wrapped:
    """A function with a memory: it is called like the one it wraps, and has ``clear``, ``gc`` and ``has_value``."""

    instance: ClassVar[str]
    source: ClassVar[str]

    def __init__(
        self, stores: dict[int, Store], run: Function, interval: str, key: KeyFunction | None
    ) -> None:
        self._stores = stores
        self._run = run
        self._interval = checked_interval(interval)
        self._key = key or self.default_key
        self.__name__ = getattr(run, "__name__", type(run).__name__)
        self.__doc__ = run.__doc__
        self.__wrapped__ = run

    @staticmethod
    def default_key(arguments: tuple[Any, ...]) -> Any:
        """What tells entries of one context apart."""
        raise NotImplementedError

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        where = scope(f"{self.instance} run")
        store = self._stores.setdefault(id(self._run), Store(self._run, self._interval, self._key))
        key = (where, str(store.key((*args, *kwargs.values()))))
        if is_async(self._run):
            return self._later(store, key, args, kwargs)
        return self._now(store, key, args, kwargs)

    def _now(self, store: Store, key: tuple[str, str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        raise NotImplementedError

    async def _later(
        self, store: Store, key: tuple[str, str], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        raise NotImplementedError

    def clear(self) -> None:
        """Drop the entries of the ambient strategy, exchange, frame and mode."""
        where = scope(f"{self.source}.clear")
        store = self._stores.get(id(self._run))
        if store is not None:
            for key in [key for key in [*store.entries] if key[0] == where]:
                store.entries.pop(key, None)

    def gc(self) -> int | None:
        """Drop the entries of other buckets in every context; returns how many, None before the first call."""
        scope(f"{self.source}.gc")
        store = self._stores.get(id(self._run))
        if store is None:
            return None
        bucket = store.bucket()
        old = [key for key, entry in [*store.entries.items()] if entry[0] != bucket]
        return sum(store.entries.pop(key, None) is not None for key in old)

    def has_value(self, *args: Any, **kwargs: Any) -> bool:
        """Whether there is an entry of the current bucket for these arguments."""
        where = scope(f"{self.source}.has_value")
        store = self._stores.get(id(self._run))
        if store is None:
            return False
        entry = store.entries.get((where, str(store.key((*args, *kwargs.values())))))
        return entry is not None and entry[0] == store.bucket()


class FileWrapped:
    """A function whose results are kept on disk, one record per key, in a bucket ``{name}_{interval}_{index}``."""

    folder: ClassVar[Path]
    instance: ClassVar[str]
    source: ClassVar[str]

    def __init__(self, run: Function, name: str, interval: str, key: KeyFunction | None, index: int) -> None:
        self._run = run
        self._interval = checked_interval(interval)
        self._key = key
        self.bucket = file_name(f"{name}_{interval}_{index}")
        self._records = RecordFolder(self.folder / self.bucket)
        self.__name__ = getattr(run, "__name__", type(run).__name__)
        self.__doc__ = run.__doc__
        self.__wrapped__ = run

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = self._name(f"{self.instance} run", (*args, *kwargs.values()))
        return (self._later if is_async(self._run) else self._now)(name, args, kwargs)

    def _now(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        known = self._known(name)
        return self._kept(name, self._run(*args, **kwargs)) if known is None else self._again(known)

    async def _later(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        known = self._known(name)
        return self._kept(name, await self._run(*args, **kwargs)) if known is None else self._again(known)

    def _again(self, known: dict[str, Any]) -> Any:
        """What is answered while there is a record."""
        raise NotImplementedError

    def _kept(self, name: str, value: Any) -> Any:
        """Keep a result, and answer it."""
        self._keep(name, value)
        return value

    def _name(self, source: str, args: tuple[Any, ...]) -> str:
        scope(source)
        moment = execution.get()
        assert moment is not None
        symbol = args[0] if args else moment.symbol
        aligned = interval_start(moment.when_ms, self._interval)
        if self._key is None:
            return file_name(f"{quote(str(symbol), safe=' ', errors='replace')}_{aligned}")
        return file_name(str(self._key((symbol, aligned, *args[1:]))))

    def _known(self, name: str) -> dict[str, Any] | None:
        found = self._records.read(name)
        return None if found is None or found.get("removed") else found

    def _keep(self, name: str, data: Any) -> None:
        moment = execution.get()
        assert moment is not None
        record = {"id": name, "data": data, "when": from_ms(moment.when_ms).isoformat(), "removed": False}
        self._write(name, record)

    def _write(self, name: str, record: dict[str, Any]) -> None:
        try:
            self._records.write(name, record)
        except (TypeError, OSError) as error:
            raise BucketValueError(
                f"the result of {self.__name__} cannot be kept in {str(self._records.folder)!r}: {error}.",
                hint="return numbers, texts, lists and mappings of texts; the folder has to be writable.",
            ) from None

    def has_value(self, *args: Any, **kwargs: Any) -> bool:
        """Whether there is a record for these arguments."""
        return self._known(self._name(f"{self.source}.has_value", (*args, *kwargs.values()))) is not None

    def clear(self) -> None:
        """Mark every record of the bucket as removed."""
        for name, record in self._all():
            self._write(name, {**record, "removed": True})

    def _all(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for name in self._records.names():
            record = self._records.read(name)
            if record is not None:
                yield name, record


class Wrapping:
    """The wrappers of the process: a store per function, and the counter that names buckets on disk."""

    wrapped: ClassVar[type[Wrapped]]
    file_wrapped: ClassVar[type[FileWrapped]]

    def __init__(self) -> None:
        self._stores: dict[int, Store] = {}
        self._files: dict[int, FileWrapped] = {}
        self._index = 0

    def fn(self, run: Function, options: Any = None, /, **named: Any) -> Any:
        """``run`` with a memory of the process; ``interval`` and ``key(arguments)``, by name or as one mapping."""
        given = checked_options(self.wrapped.source, run, options, named, ("interval",))
        return self.wrapped(self._stores, run, given["interval"], given["key"])

    def file(self, run: Function, options: Any = None, /, **named: Any) -> Any:
        """``run`` with a memory on disk; ``interval``, ``name`` of the bucket and ``key([symbol, aligned, ...])``."""
        needed = ("interval", "name")
        given = checked_options(self.file_wrapped.source, run, options, named, needed)
        known = self._files.get(id(run))
        if known is None:
            known = self._files[id(run)] = self.file_wrapped(
                run, given["name"], given["interval"], given["key"], self._index
            )
            self._index += 1
        return known

    def dispose(self, run: Function) -> None:
        """Forget the entries of a function; its next memory on disk has a new, empty bucket."""
        run = getattr(run, "__wrapped__", run)
        self._stores.pop(id(run), None)
        self._files.pop(id(run), None)

    def clear(self) -> None:
        """Forget the entries of all functions; those on disk stay."""
        self._stores.clear()
        self._files.clear()

    def reset_counter(self) -> None:
        """Number file buckets from 0 again."""
        self._index = 0
