"""A public signal over a machine record: converts a field when a listener reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

from bkapi.base.context import MethodContext
from bkapi.events.results import (
    NO_PEAK,
    NO_PNL,
    POSITIONS,
    EntryRecord,
    PartialRecord,
    PeakRecord,
    PnlRecord,
    PublicSignal,
)
from bkcore.jit import direct
from bkcore.machine.codes import Status
from bkcore.machine.entry_points import pnl_at
from bkcore.machine.record_views import address_of_record, read_entry, read_partial
from bkcore.machine.records import PARTIAL
from bkcore.machine.run import Run
from bkcore.machine.tables import Tables

_pnl_at = direct(pnl_at)


def pnl_of(row: Any, tables: Tables, price: float) -> PnlRecord:
    """Result of closing at ``price`` a position with the fields of ``row``."""
    percent = _pnl_at(tables.addresses, address_of_record(row), price)
    return PnlRecord(percent, row.effective_open, price, (percent / 100) * row.invested, row.invested)


class Details(NamedTuple):
    """The parts of a signal that are not numbers; an empty ``id`` stands for the generated one."""

    id: str
    note: str = ""
    extra: Mapping[str, Any] = {}


class RowSource(Protocol):
    """Supplies what the machine's record does not hold; :class:`bkapi.runs.rows.Rows` is one."""

    run: Run
    symbol: str
    names: MethodContext

    def details_of(self, row: Any) -> Details:
        """Id, note and further keys of a row."""


class SignalAt(PublicSignal):
    """A :class:`PublicSignal` over a copy of the machine's record, as it is now.

    A field is computed when it is read, since most listeners read one or two. It compares, copies and pickles like the
    signal that it shows. A row that has not opened shows its own levels, and no results.
    """

    __slots__ = ("_entries", "_pnl", "_price", "_row", "_rows", "_tables")

    def __init__(self, rows: RowSource, row: Any, price: float) -> None:
        self._rows = rows
        self._row = row
        self._price = price
        self._tables = rows.run.tables
        self._pnl: PnlRecord | None = None
        self._entries: tuple[EntryRecord, ...] | None = None
        if not row.pending_at:
            row.effective_open, row.active_take, row.active_stop = (
                row.price_open,
                row.take_profit,
                row.stop_loss,
            )
            self._pnl = NO_PNL
            _, cost, time, *_ = read_entry(self._tables.entries, row.entry_first)
            self._entries = (
                EntryRecord(row.price_open, cost, time),
            )  # the fill may have another price later

    #: Only the slots can be set; the fields have no setter. Replacing one method alone makes attribute access slow.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__

    __class__ = property(lambda _: PublicSignal)

    def __reduce__(self) -> tuple[Any, ...]:
        return PublicSignal, tuple(getattr(self, name) for name in self.field_names)

    def _details(self) -> Details:
        return self._rows.details_of(self._row)

    def _pnl_of(self) -> PnlRecord:
        if self._pnl is None:
            row, price = self._row, self._price
            if row.status == Status.CLOSED and price == row.end_price:
                self._pnl = PnlRecord(row.pnl_percent, row.effective_open, price, row.pnl_cost, row.invested)
            else:
                self._pnl = pnl_of(row, self._tables, price)
        return self._pnl

    def _entries_of(self) -> tuple[EntryRecord, ...]:
        if self._entries is None:
            first, table = self._row.entry_first, self._tables.entries
            rows = range(first, first + self._row.entry_count)
            self._entries = tuple(EntryRecord(*read_entry(table, k)[:3]) for k in rows)
        return self._entries

    def _partials_of(self) -> tuple[PartialRecord, ...]:
        first, table = self._row.partial_first, self._tables.partials
        rows = (read_partial(table, k)[_CLOSED:] for k in range(first, first + self._row.partial_count))
        return tuple(PartialRecord("profit" if kind > 0 else "loss", *about) for *about, kind in rows)

    def _peak_of(self) -> PeakRecord:
        return PeakRecord(*_peak(self._row)) if self._row.pending_at else NO_PEAK

    def _fall_of(self) -> PeakRecord:
        return PeakRecord(*_fall(self._row)) if self._row.pending_at else NO_PEAK


_CLOSED = (PARTIAL.names or ()).index("percent")
_EXTREME = ("pnl_percent", "price_open", "price_close", "pnl_cost", "invested", "price", "time")
_peak: Callable[[Any], tuple[Any, ...]] = attrgetter(*(f"peak_{name}" for name in _EXTREME))
_fall: Callable[[Any], tuple[Any, ...]] = attrgetter(*(f"fall_{name}" for name in _EXTREME))


def or_none(level: float) -> float | None:
    """A level of a row; None for one that is missing, NaN in the machine."""
    return level if level == level else None


#: Where each field of a public signal comes from.
_SOURCES: Mapping[str, Callable[[Any], Any]] = {
    "id": lambda signal: signal._details().id,
    "position": lambda signal: POSITIONS[signal._row.side],
    "note": lambda signal: signal._details().note,
    "cost": attrgetter("_row.cost"),
    "price_open": attrgetter("_row.effective_open"),
    "price_take_profit": lambda signal: or_none(signal._row.active_take),
    "price_stop_loss": lambda signal: or_none(signal._row.active_stop),
    "original_price_open": attrgetter("_row.price_open"),
    "original_price_take_profit": lambda signal: or_none(signal._row.take_profit),
    "original_price_stop_loss": lambda signal: or_none(signal._row.stop_loss),
    "minute_estimated_time": attrgetter("_row.lifetime"),
    "scheduled_at": attrgetter("_row.scheduled_at"),
    "pending_at": attrgetter("_row.pending_at"),
    "timestamp": attrgetter("_row.scheduled_at"),
    "symbol": attrgetter("_rows.symbol"),
    "strategy_name": attrgetter("_rows.names.strategy_name"),
    "exchange_name": attrgetter("_rows.names.exchange_name"),
    "frame_name": attrgetter("_rows.names.frame_name"),
    "total_entries": attrgetter("_row.entry_count"),
    "total_partials": attrgetter("_row.partial_count"),
    "partial_executed": attrgetter("_row.closed_percent"),
    "pnl": SignalAt._pnl_of,
    "peak_profit": SignalAt._peak_of,
    "max_drawdown": SignalAt._fall_of,
    "entries": SignalAt._entries_of,
    "partials": SignalAt._partials_of,
    "extra": lambda signal: signal._details().extra,
}
for _name in PublicSignal.field_names:
    setattr(SignalAt, _name, property(_SOURCES[_name]))
