"""What does a row of a report hold, and how is it made of an event? (spec reports.md 8)

The conversions are data: the path in the event, field by field. A row that uses the time of the context is made while
the event is delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from bkapi.base.context import get_context_timestamp
from bkapi.base.record import Record, record
from bkapi.events.results import ClosedResult, PeakRecord, PnlRecord
from bkapi.reporting.cells import iso
from bkapi.reporting.paths import read, reader
from bkcore.intervals import MINUTE_MS

R = TypeVar("R", bound=Record)

#: Where a field of a row comes from: a path in the event, or a function of the event.
Sources = Mapping[str, "str | Callable[[Any], Any]"]


@record
class TickEvent(Record):
    """A row of the live report: one result of a live run (spec 8.1). Fields that an action has not are None."""

    timestamp: int
    action: str
    current_price: float
    symbol: str | None = None
    signal_id: str | None = None
    position: str | None = None
    note: str | None = None
    price_open: float | None = None
    price_take_profit: float | None = None
    price_stop_loss: float | None = None
    original_price_take_profit: float | None = None
    original_price_stop_loss: float | None = None
    partial_executed: float | None = None
    total_partials: int | None = None
    percent_tp: float | None = None
    percent_sl: float | None = None
    pnl: float | None = None
    pnl_cost: float | None = None
    pnl_entries: float | None = None
    close_reason: str | None = None
    cancel_reason: str | None = None
    duration: float | None = None
    pending_at: int | None = None
    scheduled_at: int | None = None
    peak_pnl: float | None = None
    fall_pnl: float | None = None


@record
class SnapshotEvent(Record):
    """Common part of the rows that show a position at a moment."""

    timestamp: int
    symbol: str
    signal_id: str
    position: str
    current_price: float
    price_open: float
    price_take_profit: float
    price_stop_loss: float
    pnl: PnlRecord | None


@record
class ScheduledEvent(SnapshotEvent):
    """A row of the schedule report: an order came to rest, opened or was cancelled; minutes unrounded (spec 8.2)."""

    action: str
    note: str | None = None
    original_price_take_profit: float | None = None
    original_price_stop_loss: float | None = None
    original_price_open: float | None = None
    total_entries: int | None = None
    total_partials: int | None = None
    partial_executed: float | None = None
    scheduled_at: int | None = None
    pending_at: int | None = None
    close_timestamp: int | None = None
    duration: float | None = None
    cancel_reason: str | None = None
    cancel_id: str | None = None


@record
class BreakevenEvent(SnapshotEvent):
    """A row of the breakeven report: the threshold was reached."""

    strategy_name: str
    original_price_take_profit: float | None = None
    original_price_stop_loss: float | None = None
    total_entries: int | None = None
    total_partials: int | None = None
    original_price_open: float | None = None
    partial_executed: float | None = None
    note: str | None = None
    pending_at: int | None = None
    scheduled_at: int | None = None
    backtest: bool = False


@record
class PartialEvent(BreakevenEvent):
    """A row of the partial report: ``level`` percent of the way to the take-profit or the stop-loss."""

    action: str = "profit"
    level: int = 0


@record
class HighestProfitEvent(SnapshotEvent):
    """A row of the highest profit report: a new best price."""

    strategy_name: str
    max_drawdown: PeakRecord | None = None
    peak_profit: PeakRecord | None = None
    backtest: bool = False


@record
class MaxDrawdownEvent(HighestProfitEvent):
    """A row of the maximum drawdown report: a new worst price."""


@record
class SyncEvent(SnapshotEvent):
    """A row of the sync report: an order was opened or closed outside."""

    strategy_name: str
    exchange_name: str
    frame_name: str
    action: str
    created_at: str
    original_price_take_profit: float | None = None
    original_price_stop_loss: float | None = None
    original_price_open: float | None = None
    scheduled_at: int | None = None
    pending_at: int | None = None
    total_entries: int | None = None
    total_partials: int | None = None
    max_drawdown: PeakRecord | None = None
    peak_profit: PeakRecord | None = None
    close_reason: str | None = None
    backtest: bool = False


@record
class StrategyEvent(Record):
    """A row of the strategy report: a command took effect. Fields that an action has not are None (spec 8.5)."""

    timestamp: int
    symbol: str
    strategy_name: str
    exchange_name: str
    frame_name: str
    signal_id: str
    action: str
    created_at: str
    backtest: bool
    pnl: PnlRecord | None = None
    cancel_id: str | None = None
    close_id: str | None = None
    activate_id: str | None = None
    note: str | None = None
    percent_to_close: float | None = None
    percent_shift: float | None = None
    cost: float | None = None
    effective_price_open: float | None = None
    current_price: float | None = None
    total_partials: int | None = None
    position: str | None = None
    price_open: float | None = None
    price_take_profit: float | None = None
    price_stop_loss: float | None = None
    original_price_take_profit: float | None = None
    original_price_stop_loss: float | None = None
    original_price_open: float | None = None
    total_entries: int | None = None
    scheduled_at: int | None = None
    pending_at: int | None = None


@record
class WalkerStrategyResult(Record):
    """What a walker found for one strategy; times are ms UTC, None without trades (spec 8.3)."""

    strategy_name: str
    stats: Any
    metric_value: float | None
    first_event_time: int | None
    last_event_time: int | None
    parameters: Mapping[str, Any] | None = None


@record
class WalkerSignal(Record):
    """A row of the trades table of a walker report."""

    strategy_name: str
    signal_id: str
    symbol: str
    position: str
    pnl: float
    close_reason: str
    open_time: int
    close_time: int


def converter(kind: type[R], sources: Sources, **constant: Any) -> Callable[[Any], R]:
    """``convert(event)``: a row of ``kind``, its fields read from where ``sources`` says."""
    readers = {
        name: reader(source) if isinstance(source, str) else source for name, source in sources.items()
    }
    make: Any = kind

    def convert(event: Any) -> R:
        row: R = make(**{name: read_field(event) for name, read_field in readers.items()}, **constant)
        return row

    return convert


def _now(_: Any) -> int:
    return get_context_timestamp()


def minutes_between(start: str, end: str) -> Callable[[Any], float | None]:
    """Minutes between two times of an event, unrounded."""
    first, last = reader(start), reader(end)

    def minutes(event: Any) -> float | None:
        begun, ended = first(event), last(event)
        return None if begun is None or ended is None else (ended - begun) / MINUTE_MS

    return minutes


def _same(prefix: str, *names: str) -> dict[str, str]:
    return {name: f"{prefix}{name}" for name in names}


_PRICES: Final = ("price_open", "price_take_profit", "price_stop_loss")
_ORIGINAL_LEVELS: Final = ("original_price_take_profit", "original_price_stop_loss")
_COUNTS: Final = ("total_entries", "total_partials", "partial_executed", "original_price_open")

# -------------------------------------------------------------------------------------------- live (8.1)

_SIGNAL: Final = {
    "signal_id": "signal.id",
    **_same(
        "signal.",
        "symbol",
        "position",
        "note",
        *_PRICES,
        *_ORIGINAL_LEVELS,
        "partial_executed",
        "total_partials",
    ),
}
_PNL: Final = {"pnl": "pnl.pnl_percentage", "pnl_cost": "pnl.pnl_cost", "pnl_entries": "pnl.pnl_entries"}
_TIMES: Final = {"pending_at": "signal.pending_at", "scheduled_at": "signal.scheduled_at"}
_PROGRESS: Final = {"percent_tp": "percent_tp", "percent_sl": "percent_sl"}
_LIVE: Final[Mapping[str, Sources]] = {
    "idle": {"timestamp": _now},
    "scheduled": {**_SIGNAL, "timestamp": "signal.scheduled_at", "scheduled_at": "signal.scheduled_at"},
    "waiting": {**_SIGNAL, **_PROGRESS, **_PNL, "timestamp": _now, "scheduled_at": "signal.scheduled_at"},
    "opened": {
        **_SIGNAL,
        **_TIMES,
        "timestamp": "signal.pending_at",
        "current_price": "signal.price_open",
    },
    "active": {**_SIGNAL, **_PROGRESS, **_PNL, **_TIMES, "timestamp": _now},
    "closed": {
        **_SIGNAL,
        **_PNL,
        **_TIMES,
        "timestamp": "close_timestamp",
        "close_reason": "close_reason",
        "duration": minutes_between("signal.pending_at", "close_timestamp"),
        "peak_pnl": "signal.peak_profit.pnl_percentage",
        "fall_pnl": "signal.max_drawdown.pnl_percentage",
    },
    "cancelled": {
        **_SIGNAL,
        "timestamp": "close_timestamp",
        "cancel_reason": "reason",
        "scheduled_at": "signal.scheduled_at",
    },
}
_LIVE_CONVERTERS: Final = {
    action: converter(TickEvent, {"current_price": "current_price", **sources}, action=action)
    for action, sources in _LIVE.items()
}


def live_row(event: Any) -> TickEvent | None:
    """A result of a live run; None for an unknown action."""
    convert = _LIVE_CONVERTERS.get(read(event, "action"))
    return None if convert is None else convert(event)


# ---------------------------------------------------------------------------------------- schedule (8.2)

_ORDER: Final = {
    "symbol": "signal.symbol",
    "current_price": "current_price",
    "pnl": "signal.pnl",
    "scheduled_at": "signal.scheduled_at",
    "signal_id": "signal.id",
    **_same("signal.", "position", "note", *_PRICES, *_ORIGINAL_LEVELS, *_COUNTS),
}
_SCHEDULE: Final[Mapping[str, Sources]] = {
    "scheduled": {**_ORDER, "timestamp": "signal.scheduled_at"},
    "opened": {
        **_ORDER,
        "timestamp": "signal.pending_at",
        "pending_at": "signal.pending_at",
        "duration": minutes_between("signal.scheduled_at", "signal.pending_at"),
    },
    "cancelled": {
        **_ORDER,
        "timestamp": "close_timestamp",
        "close_timestamp": "close_timestamp",
        "duration": minutes_between("signal.scheduled_at", "close_timestamp"),
        "cancel_reason": "reason",
        "cancel_id": "cancel_id",
    },
}
_SCHEDULE_CONVERTERS: Final = {
    action: converter(ScheduledEvent, sources, action=action) for action, sources in _SCHEDULE.items()
}


def never_rested(event: Any) -> bool:
    """Whether an opened result is of a signal that opened at once."""
    return bool(read(event, "signal.scheduled_at") == read(event, "signal.pending_at"))


def schedule_row(event: Any) -> ScheduledEvent | None:
    """A resting order that was made, opened or cancelled; None for anything else."""
    action = read(event, "action")
    if action not in _SCHEDULE_CONVERTERS or (action == "opened" and never_rested(event)):
        return None
    return _SCHEDULE_CONVERTERS[action](event)


# ------------------------------------------------------------------------------- positions at a moment (8.6)

_SNAPSHOT: Final = {
    **_same("", "timestamp", "symbol", "current_price", "backtest"),
    "signal_id": "data.id",
    **_same(
        "data.",
        "strategy_name",
        "position",
        "note",
        "pnl",
        "pending_at",
        "scheduled_at",
        *_PRICES,
        *_ORIGINAL_LEVELS,
        *_COUNTS,
    ),
}
breakeven_row: Final = converter(BreakevenEvent, _SNAPSHOT)
profit_row: Final = converter(PartialEvent, {**_SNAPSHOT, "level": "level"}, action="profit")
loss_row: Final = converter(PartialEvent, {**_SNAPSHOT, "level": "level"}, action="loss")
_EXTREME: Final = {
    **_same("", "timestamp", "symbol", "current_price", "backtest"),
    "signal_id": "signal.id",
    **_same("signal.", "strategy_name", "position", "pnl", "max_drawdown", "peak_profit", *_PRICES),
}
highest_profit_row: Final = converter(HighestProfitEvent, _EXTREME)
max_drawdown_row: Final = converter(MaxDrawdownEvent, _EXTREME)


def _created_now(_: Any) -> str:
    return iso(get_context_timestamp())


_sync: Final = converter(
    SyncEvent,
    {
        **_same(
            "",
            *("timestamp", "symbol", "strategy_name", "exchange_name", "frame_name", "signal_id", "action"),
            *(
                "current_price",
                "position",
                *_PRICES,
                *_ORIGINAL_LEVELS,
                "original_price_open",
                "scheduled_at",
            ),
            *("pending_at", "total_entries", "total_partials", "close_reason", "backtest"),
        ),
        **_same("signal.", "pnl", "max_drawdown", "peak_profit"),
        "created_at": _created_now,
    },
)


def sync_row(event: Any) -> SyncEvent | None:
    """An order opened or closed outside; None for one that comes to rest."""
    if read(event, "action") == "signal-open" and read(event, "type") == "schedule":
        return None
    return _sync(event)


# ---------------------------------------------------------------------------------------- strategy (8.5)

_SET: Final[dict[str, str]] = _same(
    "",
    *("current_price", "total_partials", "position", *_PRICES, *_ORIGINAL_LEVELS, "original_price_open"),
    *("total_entries", "scheduled_at", "pending_at"),
)
_COMMIT: Final[Sources] = {
    **_same("", "timestamp", "symbol", "strategy_name", "exchange_name", "frame_name", "signal_id", "action"),
    **_same("", "backtest", "pnl"),
    "created_at": lambda event: iso(read(event, "timestamp")),
}

#: Fields of each action, beside the common ones and SET where it says so.
_PERCENT: Final = {**_SET, "percent_to_close": "percent_to_close"}
_SHIFT: Final = {**_SET, "percent_shift": "percent_shift"}
STRATEGY_ACTIONS: Final[Mapping[str, Sources]] = {
    "cancel-scheduled": _same("", "cancel_id", "note"),
    "close-pending": _same("", "close_id", "note"),
    "partial-profit": _PERCENT,
    "partial-loss": _PERCENT,
    "trailing-stop": _SHIFT,
    "trailing-take": _SHIFT,
    "breakeven": _SET,
    "activate-scheduled": {**_SET, **_same("", "activate_id", "note")},
    "average-buy": {**_SET, **_same("", "cost", "effective_price_open")},
}
_STRATEGY_CONVERTERS: Final = {
    action: converter(StrategyEvent, {**_COMMIT, **sources}) for action, sources in STRATEGY_ACTIONS.items()
}


def strategy_row(event: Any) -> StrategyEvent | None:
    """A command that took effect; None for an unknown action."""
    convert = _STRATEGY_CONVERTERS.get(read(event, "action"))
    return None if convert is None else convert(event)


def closed_row(event: Any) -> Any:
    """A closed result is its own row, with a signal that keeps no run alive; None for the others."""
    if read(event, "action") != "closed":
        return None
    signal = read(event, "signal")
    if isinstance(event, ClosedResult) and hasattr(signal, "_row"):  # a view of the tables of its run
        make, values = signal.__reduce__()
        fields = {name: getattr(event, name) for name in event.field_names}
        return ClosedResult(**{**fields, "signal": make(*values)})
    return event
