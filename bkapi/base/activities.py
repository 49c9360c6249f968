"""Which runs are going on in this process? Keeps the list of activities (spec market-data.md 12.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bkapi.base.context import Context, MethodContext, run_key
from bkapi.base.record import Record, record


@record
class Activity(Record):
    """A run in progress: its symbol, names and mode."""

    symbol: str
    context: Mapping[str, str]
    backtest: bool


class LookupUtils:
    """Which background runs go on right now; the singleton is ``Lookup`` (spec market-data.md 12.3)."""

    def __init__(self) -> None:
        self._activities: dict[tuple[Any, ...], Activity] = {}

    def add_activity(self, symbol: str, context: Context | MethodContext, backtest: bool) -> None:
        """Remember a run; one of the same symbol, names and mode is replaced."""
        key = run_key(symbol, context, backtest=backtest)
        named = context.to_dict() if isinstance(context, MethodContext) else dict(context)
        self._activities[key] = Activity(symbol, named, backtest)

    def remove_activity(self, symbol: str, context: Context | MethodContext, backtest: bool) -> None:
        """Forget a run; an unknown one is no error."""
        self._activities.pop(run_key(symbol, context, backtest=backtest), None)

    def list_activity(self) -> list[Activity]:
        """The runs as of now."""
        return [*self._activities.values()]

    @property
    def is_parallel(self) -> bool:
        """Whether more than one run goes on."""
        return len(self._activities) > 1

    def clear(self) -> None:
        """Forget all."""
        self._activities.clear()


Lookup = LookupUtils()
