"""Turns the machine's records into public rows and results (spec engine.md 1.3)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from bkapi.base.context import MethodContext
from bkapi.events.results import (
    CancelledResult,
    CancelReason,
    ClosedResult,
    CloseReason,
    OpenedResult,
    PnlRecord,
    PublicSignal,
    ScheduledResult,
)
from bkapi.runs.signal_view import Details, SignalAt, pnl_of
from bkcore.jit import direct
from bkcore.machine import codes
from bkcore.machine.entry_points import take_back_to_opening
from bkcore.machine.record_views import PositionView, address_of_record, copy_of
from bkcore.machine.records import FROM_SLOT
from bkcore.machine.run import Run

CLOSE_REASONS: Mapping[int, CloseReason] = {
    int(reason): cast(CloseReason, reason.name.lower()) for reason in codes.CloseReason if reason
}
CANCEL_REASONS: Mapping[int, CancelReason] = {
    int(reason): cast(CancelReason, reason.name.lower()) for reason in codes.CancelReason if reason
}
_take_back_to_opening = direct(take_back_to_opening)
_NAMESPACE = uuid.UUID("6f9a1c52-5a0e-5c55-9d0f-6d2f3b8f1a11")


@lru_cache(maxsize=256)
def _identity_of(text: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, text))


_NO_DETAILS = Details("")


class Rows:
    """Public rows and results of one run.

    ``details`` holds, by trade, the id, note and further keys of a signal from ``get_signal`` or a command. Rows of a
    signal table have theirs in ``ids`` and ``notes``.
    """

    def __init__(
        self,
        run: Run,
        symbol: str,
        names: MethodContext,
        *,
        ids: Sequence[str] = (),
        notes: Sequence[str | None] | None = None,
    ) -> None:
        self.run = run
        self.symbol = symbol
        self.names = names
        self.details: dict[int, Details] = {}
        self._source = {**names.to_dict(), "symbol": symbol, "backtest": True}
        self._ids = ids
        self._notes = notes

    def details_of(self, row: Any) -> Details:
        """Id, note and further keys of a row; a signal without an id gets the same one in every run."""
        if row.signal == FROM_SLOT:
            known = self.details.get(self.index_of(row), _NO_DETAILS)
            return known if known.id else known._replace(id=self.generated_id(row.scheduled_at))
        identity, note = self.words_of(row.signal, row.id)
        return Details(identity or self.generated_id(row.scheduled_at), note or "")

    def words_of(self, signal: int, identity: int) -> tuple[str | None, str | None]:
        """Id and note of a row of the signal table; ``identity`` is its ``SIGNAL`` id."""
        note = None if self._notes is None else self._notes[signal]
        return (self._ids[identity] if identity >= 0 else None), note

    def identity(self, trade: int) -> str:
        """Id of the signal of a trade."""
        return self.details_of(self.row(trade)).id

    def index_of(self, row: Any) -> int:
        """Number of the trade that ``row`` shows."""
        return int(self.run.revisions["trade"].item(row.revision))

    def generated_id(self, time: int) -> str:
        """Id for a signal that brought none: 36 characters, the same whenever the run is repeated."""
        names = self.names
        text = f"{self.symbol}:{names.strategy_name}:{names.exchange_name}:{names.frame_name}:{time}"
        return _identity_of(text)

    def row(self, trade: int) -> Any:
        """The machine's record of a trade as it is now: the fields of ``POSITION``."""
        return copy_of(PositionView, self.run.tables.trades, trade)

    def pnl(self, trade: int, price: float) -> PnlRecord:
        """Result of closing the trade at ``price`` as it is now."""
        return pnl_of(self.row(trade), self.run.tables, price)

    def public(self, trade: int, price: float) -> PublicSignal:
        """The trade as it is now, with the result of closing it at ``price``."""
        return SignalAt(self, self.row(trade), price)

    def as_opened(self, trade: int) -> PublicSignal:
        """The trade as it was when it opened."""
        row = self.row(trade)
        _take_back_to_opening(self.run.tables.addresses, address_of_record(row))
        return SignalAt(self, row, row.price_open)

    def as_scheduled(self, trade: int) -> PublicSignal:
        """The trade as it was when it came to rest."""
        row = self.row(trade)
        row.pending_at, row.entry_count, row.partial_count, row.closed_percent = 0, 1, 0, 0.0
        return SignalAt(self, row, row.price_open)

    # ------------------------------------------------------------------------------------------ results

    def _common(self, price: float, time: int) -> dict[str, Any]:
        return {**self._source, "current_price": price, "created_at": time}

    def scheduled(self, trade: int, price: float) -> ScheduledResult:
        """The result of a resting order that was just created at tick price ``price``."""
        signal = self.as_scheduled(trade)
        return ScheduledResult(signal=signal, **self._common(price, signal.scheduled_at))

    def opened(self, trade: int) -> OpenedResult:
        """The result of the opening, with the row as it was then."""
        signal = self.as_opened(trade)
        return OpenedResult(signal=signal, **self._common(signal.entries[0].price, signal.pending_at))

    def ended(self, trade: int, note_id: str | None = None) -> ClosedResult | CancelledResult:
        """The result of a closed or cancelled trade; ``note_id`` is the id that a user command gave."""
        row = self.row(trade)
        common = self._common(row.end_price, row.ended_at)
        signal = self.public(trade, row.end_price)
        if row.status == codes.Status.CLOSED:
            return ClosedResult(
                signal=signal,
                close_reason=CLOSE_REASONS[row.reason],
                close_timestamp=row.ended_at,
                pnl=signal.pnl,
                close_id=note_id,
                **common,
            )
        return CancelledResult(
            signal=signal,
            reason=CANCEL_REASONS[row.reason],
            close_timestamp=row.ended_at,
            cancel_id=note_id,
            **common,
        )
