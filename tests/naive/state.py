"""What does an engine remember, and who hears of it? State (spec engine.md 1.5) and delivery (13.4)."""

import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tests.naive.events import CALLBACKS, KINDS, Commit, Queued
from tests.naive.market import Market
from tests.naive.pnl import Costs
from tests.naive.position import Deferred, PublicRow, Row

if TYPE_CHECKING:
    from tests.naive.events import Listener, Listeners

OPEN_POSITION_NEEDED = {
    "active_ping",
    "partial_profit",
    "partial_loss",
    "breakeven",
    "highest_profit",
    "max_drawdown",
}
"""Kinds that are heard only while a position is open."""


class State:
    """The variables of an engine, its clock, and the way an event reaches its listeners."""

    def __init__(
        self, market: Market, config: Mapping[str, Any], symbol: str, listeners: "Listeners | None"
    ) -> None:
        self.market = market
        self.config = config
        self.symbol = symbol
        self.costs = Costs(config["CC_PERCENT_SLIPPAGE"], config["CC_PERCENT_FEE"])
        self.when = 0
        self.pending: Row | None = None
        self.scheduled: Row | None = None
        self.closed_cmd: Deferred | None = None
        self.cancelled_cmd: Deferred | None = None
        self.activated_cmd: Deferred | None = None
        self.tp_fill: Deferred | None = None
        self.sl_fill: Deferred | None = None
        self.user_dto: dict[str, Any] | None = None
        self.commit_queue: list[Queued] = []
        self.last_signal_bucket: int | None = None
        self.last_pending_id: str | None = None
        self.is_stopped = False
        self.is_paused = False
        self._ids = 0
        self._listeners: dict[str, list[Listener]] = {}
        for kind, heard in (listeners or {}).items():
            if kind not in KINDS and kind not in CALLBACKS:
                raise ValueError(f"unknown kind of event {kind!r}")
            self._listeners[kind] = [heard] if callable(heard) else list(heard)

    # rows

    def set_pending(self, row: Row | None) -> None:
        """Open a position or clear it; what was deferred for the earlier one is forgotten (1.5)."""
        self.pending = row
        self.closed_cmd = self.tp_fill = self.sl_fill = None
        if row is not None:
            self.set_scheduled(None)

    def set_scheduled(self, row: Row | None) -> None:
        """Rest an order or clear it; what was deferred for the earlier one is forgotten (1.5)."""
        self.scheduled = row
        self.cancelled_cmd = self.activated_cmd = None

    def public(self, row: Row, price: float) -> PublicRow:
        """The row as shown, with the PnL of ``price``."""
        return row.public(price, self.costs)

    def new_id(self) -> str:
        """An identity for a signal that came without one: 36 characters, the same in every run."""
        self._ids += 1
        return str(uuid.UUID(int=self._ids))

    # the price a price-less command or getter sees

    def price_now(self) -> float:
        """The average of the candles that are closed at the moment user code runs in (3.2)."""
        return self.market.average_before(self.when)

    # delivery

    def emit(self, kind: str, make: Callable[[], Any]) -> None:
        """Hand an event to the listeners of ``kind``, in order; it is made only when somebody listens.

        Before each listener the state is asked whether it still matches the event (13.4); what a listener
        raises becomes an error event and stops nobody else.
        """
        event: Any = None
        for listener in self._listeners.get(kind, ()):
            if event is None:
                event = make()
            if not self.is_delivered(kind, event):
                continue
            try:
                listener(self, event)  # type: ignore[arg-type]
            except Exception as error:
                self.error(error)

    def is_delivered(self, kind: str, event: Any) -> bool:
        """Does the state still match the event? (13.4)"""
        if kind in OPEN_POSITION_NEEDED:
            return self.pending is not None
        if kind == "schedule_ping":
            return self.scheduled is not None
        if kind == "idle_ping":
            return self.pending is None
        if kind == "commit" and isinstance(event, Commit):
            if event.action in ("cancel-scheduled", "close-pending") or self.pending is not None:
                return True
            return self.closed_cmd is not None and self.closed_cmd.row.id == event.signal_id
        return True

    def callback(self, name: str, make: Callable[[], tuple[Any, ...]]) -> None:
        """Call a strategy callback with its arguments; only ``on_write`` may break the run (4.6)."""
        for listener in self._listeners.get(name, ()):
            if name == "on_write":
                listener(self, make())  # type: ignore[arg-type]
                continue
            try:
                listener(self, make())  # type: ignore[arg-type]
            except Exception as error:
                self.error(error)

    def error(self, error: Exception) -> None:
        """Tell the error channel; a listener of errors that raises is ignored."""
        for listener in self._listeners.get("error", ()):
            try:
                listener(self, error)  # type: ignore[arg-type]
            except Exception:
                continue

    def announce(
        self,
        action: str,
        row: Row,
        price: float,
        when: int,
        *,
        queued: Queued | None = None,
        deferred: Deferred | None = None,
    ) -> None:
        """Publish a commit: the row as it is now, at ``price`` (13.1)."""

        def make() -> Commit:
            shown = self.public(row, price)
            details: dict[str, Any] = {}
            if action not in ("cancel-scheduled", "close-pending"):
                details = {
                    "current_price": price,
                    "price_open": shown.price_open,
                    "price_take_profit": shown.price_take_profit,
                    "price_stop_loss": shown.price_stop_loss,
                }
            if action == "average-buy":
                details["effective_price_open"] = shown.price_open
            if queued is not None:
                details["percent_to_close"] = queued.percent_to_close
                details["percent_shift"] = queued.percent_shift
                details["cost"] = queued.cost
            if deferred is not None:
                name = {"cancel-scheduled": "cancel_id", "activate-scheduled": "activate_id"}.get(
                    action, "close_id"
                )
                details[name] = deferred.id
            return Commit(
                action=action,
                signal_id=row.id,
                timestamp=when,
                total_entries=shown.total_entries,
                total_partials=shown.total_partials,
                original_price_open=shown.original_price_open,
                signal=shown,
                note=(deferred.note if deferred else None) or row.note,
                pnl=shown.pnl,
                peak_profit=shown.peak_profit,
                max_drawdown=shown.max_drawdown,
                **details,
            )

        self.emit("commit", make)
