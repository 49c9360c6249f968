"""Reads and writes nested values by a path: ``get(row, "pnl.pnl_percentage")`` (spec market-data.md 2)."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any


def _parts(path: str | Sequence[Any]) -> list[Any]:
    return path.split(".") if isinstance(path, str) else list(path)


def _step(thing: Any, part: Any) -> Any:
    if thing is None:
        return None
    if isinstance(thing, Mapping):
        return thing.get(part)
    if isinstance(thing, list | tuple):
        try:
            return thing[int(part)]
        except (ValueError, IndexError):
            return None
    return getattr(thing, str(part), None)


def get(thing: Any, path: str | Sequence[Any]) -> Any:
    """The value at ``path`` (dotted, or a list of steps) in mappings, lists and attributes; None if it ends early."""
    for part in _parts(path):
        thing = _step(thing, part)
    return thing


def set(thing: Any, path: str | Sequence[Any], value: Any) -> bool:  # noqa: A001 - its documented name
    """Write ``value`` at ``path``; False when there is nothing there to write into."""
    *way, last = _parts(path)
    parent = get(thing, way)
    if isinstance(parent, MutableMapping):
        parent[last] = value
        return True
    try:
        if isinstance(parent, list):
            parent[int(last)] = value
        elif parent is None or isinstance(parent, tuple | Mapping):
            return False
        else:
            setattr(parent, str(last), value)
    except (ValueError, IndexError, AttributeError, TypeError):
        return False
    return True
