"""Makes events from the log of a finished run: those that listeners would have received while it ran.

A position is shown as it was: the revision in force, with the best and worst price up to that moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bkapi.events.payloads import ExtremeEvent, LevelEvent, PingEvent
from bkapi.events.results import PublicSignal
from bkapi.runs.event_delivery import commit_event
from bkapi.runs.signal_view import SignalAt, pnl_of
from bkcore.jit import direct
from bkcore.machine.codes import Commit, EventKind, Status
from bkcore.machine.entry_points import take_back_to_opening
from bkcore.machine.record_views import address_of_record

if TYPE_CHECKING:
    from bkapi.runs.strategy import StrategyRun

_take_back_to_opening = direct(take_back_to_opening)

#: Which rows of a log a kind of report is made from.
LOGGED: Final[Mapping[str, tuple[EventKind, ...]]] = {
    "backtest": (EventKind.CLOSED,),
    "heat": (EventKind.CLOSED,),
    "schedule": (EventKind.SCHEDULED, EventKind.OPENED, EventKind.CANCELLED),
    "partial": (EventKind.PARTIAL_PROFIT, EventKind.PARTIAL_LOSS),
    "breakeven": (EventKind.BREAKEVEN,),
    "highest_profit": (EventKind.HIGHEST_PROFIT,),
    "max_drawdown": (EventKind.MAX_DRAWDOWN,),
    "strategy": (EventKind.COMMIT,),
}


class RunLog:
    """The log of one run, read as events."""

    def __init__(self, run: StrategyRun) -> None:
        self._owner = run
        self._rows = run.rows
        self._run = run.run
        self._events = run.run.events
        self._kinds = self._events["kind"]
        self._revisions = run.run.revisions
        self._extremes: dict[int, Any] = {}

    def newest(self, kind: str, count: int) -> Iterator[tuple[EventKind, Any]]:
        """The newest ``count`` events of a kind of report, the oldest of them first."""
        found = np.flatnonzero(np.isin(self._kinds, [int(one) for one in LOGGED[kind]]))
        if kind == "schedule":
            trades = self._run.trades[self._revisions["trade"][self._events["revision"][found]]]
            rested = (self._kinds[found] != EventKind.OPENED) | (
                trades["pending_at"] != trades["scheduled_at"]
            )
            found = found[rested & (trades["was_scheduled"] != 0)]
        elif kind == "strategy":  # commits of resting orders are told among other words, and by users only
            codes = self._events["code"][found]
            found = found[(codes != Commit.ACTIVATE_SCHEDULED) & (codes != Commit.CANCEL_SCHEDULED)]
        for index in found[max(0, len(found) - count) :].tolist():
            logged = EventKind(self._kinds[index])
            yield logged, _TOLD[logged](self, index)

    def _trade(self, index: int) -> int:
        return int(self._revisions["trade"][self._events["revision"][index]])

    def _source(self, index: int) -> dict[str, Any]:
        return {**self._owner.source, "timestamp": int(self._events["time"][index])}

    def _price(self, index: int) -> float:
        return float(self._events["price"][index])

    # ------------------------------------------------------------------------------------- positions as they were

    def _view(self, index: int) -> Any:
        """The trade of an event in the look of its revision, extremes as at its opening."""
        revision = self._revisions[self._events["revision"][index]]
        row = self._rows.row(self._trade(index))
        _take_back_to_opening(self._run.tables.addresses, address_of_record(row))
        row.effective_open = revision["effective_open"]
        row.paid_open = revision["paid_open"]
        row.entry_fee = revision["entry_fee"]
        row.active_take = revision["take_profit"]
        row.active_stop = revision["stop_loss"]
        row.invested = revision["invested"]
        row.closed_percent = revision["closed_percent"]
        row.entry_count = revision["entry_count"]
        row.partial_count = revision["partial_count"]
        row.status = Status.OPEN
        return row

    def _extreme_before(self, kind: EventKind, index: int) -> int:
        """The newest new extreme of the same trade up to an event, -1 when there was none."""
        if kind not in self._extremes:
            self._extremes[kind] = np.flatnonzero(self._kinds == kind)
        found = self._extremes[kind]
        last = int(np.searchsorted(found, index, "right")) - 1
        return int(found[last]) if last >= 0 and self._trade(int(found[last])) == self._trade(index) else -1

    def _signal(self, index: int) -> PublicSignal:
        """The position as listeners saw it at an event."""
        row = self._view(index)
        for name, kind in (("peak", EventKind.HIGHEST_PROFIT), ("fall", EventKind.MAX_DRAWDOWN)):
            extreme = self._extreme_before(kind, index)
            if extreme < 0:
                continue
            pnl = pnl_of(self._view(extreme), self._run.tables, self._price(extreme))
            values = {
                "price": self._price(extreme),
                "time": int(self._events["time"][extreme]),
                "pnl_percent": pnl.pnl_percentage,
                "pnl_cost": pnl.pnl_cost,
                "invested": pnl.pnl_entries,
                "price_open": pnl.price_open,
                "price_close": pnl.price_close,
            }
            for field, value in values.items():
                setattr(row, f"{name}_{field}", value)
        return SignalAt(self._rows, row, self._price(index))

    # ----------------------------------------------------------------------------------------------- events

    def _scheduled(self, index: int) -> Any:
        return self._rows.scheduled(self._trade(index), self._price(index))

    def _opened(self, index: int) -> Any:
        return self._rows.opened(self._trade(index))

    def _ended(self, index: int) -> Any:
        return self._rows.ended(self._trade(index))

    def _extreme(self, index: int) -> ExtremeEvent:
        return ExtremeEvent(
            signal=self._signal(index), current_price=self._price(index), **self._source(index)
        )

    def _level(self, index: int) -> LevelEvent:
        return LevelEvent(
            data=self._signal(index),
            current_price=self._price(index),
            level=int(self._events["code"][index]),
            **self._source(index),
        )

    def _breakeven(self, index: int) -> PingEvent:
        return PingEvent(data=self._signal(index), current_price=self._price(index), **self._source(index))

    def _commit(self, index: int) -> Any:
        row = self._rows.row(self._trade(index))
        is_closed_by_parts = row.partial_count and row.remaining <= row.invested * 1e-9
        number = int(np.count_nonzero(self._kinds[: index + 1] == EventKind.COMMIT)) - 1
        return commit_event(
            self._signal(index),
            int(self._events["code"][index]),
            self._price(index),
            float(self._run.commits["value"][number]),
            (None, "full_partial_close" if is_closed_by_parts else None),
            self._source(index),
        )


_TOLD: Final[Mapping[EventKind, Callable[[RunLog, int], Any]]] = {
    EventKind.SCHEDULED: RunLog._scheduled,
    EventKind.OPENED: RunLog._opened,
    EventKind.CLOSED: RunLog._ended,
    EventKind.CANCELLED: RunLog._ended,
    EventKind.PARTIAL_PROFIT: RunLog._level,
    EventKind.PARTIAL_LOSS: RunLog._level,
    EventKind.BREAKEVEN: RunLog._breakeven,
    EventKind.HIGHEST_PROFIT: RunLog._extreme,
    EventKind.MAX_DRAWDOWN: RunLog._extreme,
    EventKind.COMMIT: RunLog._commit,
}
