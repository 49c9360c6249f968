"""Reads a field of an event by its path, ``signal.peak_profit.pnl_percentage``, in records and mappings alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from bkapi.base.record import Record

Reader = Callable[[Any], Any]

#: What the documents call a field, where our records have another name for it.
_OUR_NAMES = {"_partial": "partials"}


def step(thing: Any, name: str) -> Any:
    """The field ``name`` of a record or a mapping, None where it is not set."""
    if thing is None:
        return None
    if isinstance(thing, Record):
        return getattr(thing, _OUR_NAMES.get(name, name), None)
    if isinstance(thing, Mapping):
        value = thing.get(name)
        return thing.get(_OUR_NAMES[name]) if value is None and name in _OUR_NAMES else value
    return getattr(thing, _OUR_NAMES.get(name, name), None)


@lru_cache(maxsize=1024)
def reader(path: str) -> Reader:
    """``read(event)``: the value at a dotted ``path``, None where a part of the way is not set."""
    names = path.split(".")
    if len(names) == 1:
        return lambda thing: step(thing, names[0])

    def read(thing: Any) -> Any:
        for name in names:
            thing = step(thing, name)
        return thing

    return read


def read(thing: Any, path: str) -> Any:
    """The value at a dotted ``path`` of ``thing``."""
    return reader(path)(thing)
