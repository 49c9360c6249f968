"""How the machine's records become public rows: one place that knows both (spec engine.md 1.3)."""

from __future__ import annotations

import uuid
from collections import namedtuple
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from bkapi.context import MethodContext
from bkapi.signals import (
    NO_PEAK,
    NO_PNL,
    CancelledResult,
    CancelReason,
    ClosedResult,
    CloseReason,
    EntryRecord,
    OpenedResult,
    PartialRecord,
    PeakRecord,
    PnlRecord,
    Position,
    PublicSignal,
    ScheduledResult,
)
from bkcore import codes
from bkcore.event_log import as_opened, pnl_at
from bkcore.records import FROM_SLOT, POSITION
from bkcore.run import Run

_Row: Any = namedtuple("_Row", POSITION.names or ())  # type: ignore[misc]
_SIDES: Mapping[int, Position] = {int(codes.Side.LONG): "long", int(codes.Side.SHORT): "short"}
CLOSE_REASONS: Mapping[int, CloseReason] = {
    int(reason): cast(CloseReason, reason.name.lower()) for reason in codes.CloseReason if reason
}
CANCEL_REASONS: Mapping[int, CancelReason] = {
    int(reason): cast(CancelReason, reason.name.lower()) for reason in codes.CancelReason if reason
}
_NAMESPACE = uuid.UUID("6f9a1c52-5a0e-5c55-9d0f-6d2f3b8f1a11")


class Details(NamedTuple):
    """What a signal carries besides numbers."""

    id: str
    note: str = ""
    extra: Mapping[str, Any] = {}


class Rows:
    """Public rows and results of one run.

    ``details`` holds what a signal that was asked for or queued carries besides numbers, by trade; rows of a signal
    table have their ``ids`` and ``notes``.
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
        self._ids = ids
        self._notes = notes
        self._scratch = np.zeros(1, POSITION)

    def details_of(self, row: Any) -> Details:
        """Id, note and further keys of a row; a signal without an id gets the same one in every run."""
        if row.signal == FROM_SLOT:
            known = self.details.get(self.index_of(row))
            return Details(self.generated_id(row.scheduled_at)) if known is None else known
        note = None if self._notes is None else self._notes[row.signal]
        if row.id >= 0:
            return Details(self._ids[row.id], note or "")
        return Details(self.generated_id(row.scheduled_at), note or "")

    def identity(self, trade: int) -> str:
        """Id of the signal of a trade."""
        return self.details_of(self.row(trade)).id

    def index_of(self, row: Any) -> int:
        """Number of the trade that ``row`` shows."""
        return int(self.run.revisions[row.revision]["trade"])

    def generated_id(self, time: int) -> str:
        """Identity of a signal that brought none: 36 characters, the same whenever the run is repeated."""
        names = self.names
        text = f"{self.symbol}:{names.strategy_name}:{names.exchange_name}:{names.frame_name}:{time}"
        return str(uuid.uuid5(_NAMESPACE, text))

    def row(self, trade: int) -> Any:
        """The machine's record of a trade as a named tuple."""
        row: Any = _Row._make(self.run.trades[trade].item())
        return row

    def pnl(self, trade: int, price: float) -> PnlRecord:
        """Result of closing the trade at ``price`` as it is now."""
        return self._pnl(self.run.trades, trade, self.row(trade), price)

    def _pnl(self, table: Any, index: int, row: Any, price: float) -> PnlRecord:
        run = self.run
        percent = pnl_at(table, index, run.entries, run.partials, run.settings, price)
        return PnlRecord(percent, row.effective_open, price, (percent / 100) * row.invested, row.invested)

    def public(self, trade: int, price: float) -> PublicSignal:
        """The trade as it is now, with the result of closing it at ``price``."""
        row = self.row(trade)
        if row.pending_at == 0:
            return self._public(row, NO_PNL, resting=True)
        if row.status == codes.Status.CLOSED and price == row.end_price:
            pnl = PnlRecord(row.pnl_percent, row.effective_open, price, row.pnl_cost, row.invested)
        else:
            pnl = self._pnl(self.run.trades, trade, row, price)
        return self._public(row, pnl)

    def as_opened(self, trade: int) -> PublicSignal:
        """The trade as it was when it opened."""
        run = self.run
        as_opened(run.trades, trade, run.revisions, run.entries, run.partials, run.settings, self._scratch)
        row: Any = _Row._make(self._scratch[0].item())
        return self._public(row, self._pnl(self._scratch, 0, row, row.price_open))

    def _public(self, row: Any, pnl: PnlRecord, *, resting: bool = False) -> PublicSignal:
        details = self.details_of(row)
        names = self.names
        entries = self.run.entries[row.entry_first : row.entry_first + row.entry_count].tolist()
        partials = self.run.partials[row.partial_first : row.partial_first + row.partial_count].tolist()
        return PublicSignal(
            id=details.id,
            position=_SIDES[row.side],
            note=details.note,
            cost=row.cost,
            price_open=row.price_open if resting else row.effective_open,
            price_take_profit=row.take_profit if resting else row.active_take,
            price_stop_loss=row.stop_loss if resting else row.active_stop,
            original_price_open=row.price_open,
            original_price_take_profit=row.take_profit,
            original_price_stop_loss=row.stop_loss,
            minute_estimated_time=row.lifetime,
            scheduled_at=row.scheduled_at,
            pending_at=row.pending_at,
            timestamp=row.scheduled_at,
            symbol=self.symbol,
            strategy_name=names.strategy_name,
            exchange_name=names.exchange_name,
            frame_name=names.frame_name,
            total_entries=row.entry_count,
            total_partials=row.partial_count,
            partial_executed=row.closed_percent,
            pnl=pnl,
            peak_profit=NO_PEAK if resting else _extreme(row, "peak"),
            max_drawdown=NO_PEAK if resting else _extreme(row, "fall"),
            entries=tuple(EntryRecord(*entry) for entry in entries),
            partials=tuple(
                PartialRecord("profit" if kind > 0 else "loss", percent, price, basis, count, time)
                for percent, price, basis, count, time, kind in partials
            ),
            extra=details.extra,
        )

    # ------------------------------------------------------------------------------------------ results

    def _common(self, price: float, time: int) -> dict[str, Any]:
        return {
            "strategy_name": self.names.strategy_name,
            "exchange_name": self.names.exchange_name,
            "frame_name": self.names.frame_name,
            "symbol": self.symbol,
            "current_price": price,
            "backtest": True,
            "created_at": time,
        }

    def scheduled(self, trade: int, price: float) -> ScheduledResult:
        """The result of a resting order just created at tick price ``price``."""
        row = self.row(trade)
        resting = row._replace(pending_at=0, entry_count=1, partial_count=0, closed_percent=0.0)
        signal = self._public(resting, NO_PNL, resting=True)
        return ScheduledResult(signal=signal, **self._common(price, row.scheduled_at))

    def opened(self, trade: int) -> OpenedResult:
        """The result of the opening, as it was then."""
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


def _extreme(row: Any, prefix: str) -> PeakRecord:
    return PeakRecord(
        getattr(row, f"{prefix}_pnl_percent"),
        getattr(row, f"{prefix}_price_open"),
        getattr(row, f"{prefix}_price_close"),
        getattr(row, f"{prefix}_pnl_cost"),
        getattr(row, f"{prefix}_invested"),
        getattr(row, f"{prefix}_price"),
        getattr(row, f"{prefix}_time"),
    )
