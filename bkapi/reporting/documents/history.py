"""Which signals closed before the service began to collect? Reads stored signals, once per bucket (spec 2.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bkapi.base.context import RunKey

#: ``reader()``: the rows of the storage of signals, by the flag ``backtest``; whoever keeps a storage puts it here.
readers: dict[bool, Callable[[], Iterable[Mapping[str, Any]]]] = {}


@dataclass(frozen=True)
class Stored:
    """A stored signal as the closed result that it was."""

    signal: Mapping[str, Any]
    backtest: bool
    action: str = "closed"

    def __getattr__(self, name: str) -> Any:
        return self.signal.get(name)


def stored_closes(kind: str, key: RunKey) -> list[Stored]:
    """The stored closes of a bucket, the oldest first; an id counts once."""
    symbol, strategy, exchange, frame, backtest = key
    wanted = {"exchange_name": exchange, "frame_name": frame}
    if kind != "heat":
        wanted |= {"symbol": symbol, "strategy_name": strategy}
    found: dict[str, Stored] = {}
    for flag, stored in readers.items():
        if kind == "heat" and flag != backtest:
            continue
        for row in stored():
            if row.get("status") == "closed" and all(
                (row.get(name) or "") == text for name, text in wanted.items()
            ):
                found.setdefault(row["id"], Stored(row, flag))
    return sorted(found.values(), key=lambda one: one.signal.get("close_timestamp") or 0)
