"""What do users see of a signal and its trade? Public rows and tick results (spec engine.md 1).

Prices are in quote currency, costs in USD, percents are percent (1.5 = 1.5 %), times ms UTC. All records are
frozen, because every listener gets the same object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar, Literal, TypeAlias, TypedDict

from bkapi.base.record import Record, record
from bkapi.base.timestamps import from_ms

Position = Literal["long", "short"]
#: What each side multiplies a move of the price with.
SIDES: Mapping[str, int] = {"long": 1, "short": -1}
#: The name of each side.
POSITIONS: Mapping[int, Position] = {1: "long", -1: "short"}
#: Why a position ended; from ``trailing_stop`` on at real prices alone (spec fills.md 7).
CloseReason = Literal[
    "time_expired",
    "take_profit",
    "stop_loss",
    "closed",
    "trailing_stop",
    "exit_signal",
    "reversed",
    "frame_end",
    "liquidated",
]
CancelReason = Literal["timeout", "price_reject", "user"]


class SignalFields(TypedDict, total=False):
    """The fields that ``get_signal`` may return (spec engine.md 1.1); ``None`` counts as left out.

    The documented model needs ``position`` and both levels as prices. At real prices all are optional, and the fields
    from ``exit`` on are known too (spec fills.md 4): a signal may close, reverse or move levels.
    """

    id: str | None
    symbol: str | None
    position: Position | None
    note: str | None
    price_open: float | None
    price_take_profit: float | None
    price_stop_loss: float | None
    minute_estimated_time: float | None
    cost: float | None
    exit: Position | bool | None
    target: Literal[1, 0, -1] | None
    price_trigger: float | None
    take_profit_percent: float | None
    stop_loss_percent: float | None
    set_take_profit: float | None
    set_stop_loss: float | None
    trail_distance: float | None
    fee_percent: float | None
    size: float | None


#: What ``get_signal`` and ``commit_create_signal`` accept: :class:`SignalFields`, further keys are kept.
SignalInput: TypeAlias = Mapping[str, Any]


@record
class PnlRecord(Record):
    """Result of closing a position at ``price_close`` (spec engine.md 9.4); prices without slippage."""

    pnl_percentage: float
    price_open: float
    price_close: float
    pnl_cost: float
    pnl_entries: float

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.pnl_percentage:+.4f} %, {self.pnl_cost:+.4f} USD)"


#: The result of a signal that never opened.
NO_PNL = PnlRecord(0.0, 0.0, 0.0, 0.0, 0.0)


@record
class PeakRecord(PnlRecord):
    """Best or worst moment of a position so far: its result at ``price``, seen at ``timestamp``.

    Both are None in a row that never opened.
    """

    price: float | None
    timestamp: int | None


#: Peak and fall of a row that has not opened.
NO_PEAK = PeakRecord(0.0, 0.0, 0.0, 0.0, 0.0, None, None)


@record
class EntryRecord(Record):
    """One entry of a position: the first, or an average buy."""

    price: float
    cost: float
    timestamp: int


@record
class PartialRecord(Record):
    """One partial close: ``percent`` of ``cost_basis_at_close``, the cost basis left at that moment."""

    type: Literal["profit", "loss"]
    percent: float
    current_price: float
    cost_basis_at_close: float
    entry_count_at_close: int
    timestamp: int


@record
class PublicSignal(Record):
    """A signal row as callbacks, events and getters show it (spec engine.md 1.3).

    ``price_open`` is the effective entry, ``price_take_profit`` / ``price_stop_loss`` the levels in force;
    the ``original_*`` fields are those of the row's creation. ``pending_at`` is 0 until the position opens,
    ``minute_estimated_time`` may be ``inf``. ``extra`` holds the further keys of the signal (and
    ``close_id``, ``close_note``, ``cancel_id``, ``cancel_note``, ``activate_id``, ``activate_note`` once a
    command gave them). A level that the position does not have is None.
    """

    merged: ClassVar[frozenset[str]] = frozenset({"extra"})

    id: str
    position: Position
    note: str
    cost: float
    price_open: float
    price_take_profit: float | None
    price_stop_loss: float | None
    original_price_open: float
    original_price_take_profit: float | None
    original_price_stop_loss: float | None
    minute_estimated_time: float
    scheduled_at: int
    pending_at: int
    timestamp: int
    symbol: str
    strategy_name: str
    exchange_name: str
    frame_name: str
    total_entries: int
    total_partials: int
    partial_executed: float
    pnl: PnlRecord
    peak_profit: PeakRecord
    max_drawdown: PeakRecord
    entries: tuple[EntryRecord, ...]
    partials: tuple[PartialRecord, ...]
    extra: Mapping[str, Any] | None = field(default=None, hash=False)

    def __repr__(self) -> str:
        state = (
            f"opened {_clock(self.pending_at)}"
            if self.pending_at
            else f"scheduled {_clock(self.scheduled_at)}"
        )
        return (
            f"PublicSignal({self.id!r}: {self.symbol} {self.position} at {self.price_open:.8g}, "
            f"take-profit {_level(self.price_take_profit)}, stop-loss {_level(self.price_stop_loss)}, {state}, "
            f"pnl {self.pnl.pnl_percentage:+.4f} %)"
        )


@record
class Result(Record):
    """Common part of the tick results: ``action`` says which it is, ``created_at`` (ms UTC) is its time."""

    action: ClassVar[str]
    extra_in_repr: ClassVar[tuple[str, ...]] = ()

    signal: PublicSignal | None
    strategy_name: str
    exchange_name: str
    frame_name: str
    symbol: str
    current_price: float
    backtest: bool
    created_at: int

    @property
    def signal_id(self) -> str | None:
        """Identity of the signal, None when idle."""
        return None if self.signal is None else self.signal.id

    def to_dict(self) -> dict[str, Any]:
        """``action`` first, then the fields, nested records as mappings."""
        return {"action": self.action, **Record.to_dict(self)}

    def __repr__(self) -> str:
        about = "" if self.signal is None else f" {self.signal.position} {self.signal.id!r}"
        more = "".join(f", {name} {getattr(self, name)!r}" for name in self.extra_in_repr)
        return (
            f"{type(self).__name__}({self.symbol}{about} at {self.current_price:.8g}, "
            f"{_clock(self.created_at)}, {self.strategy_name}{more})"
        )


@record
class IdleResult(Result):
    """Nothing is open and nothing rests."""

    action: ClassVar[Literal["idle"]] = "idle"

    signal: None


@record
class SignalResult(Result):
    """Common part of the results of a signal."""

    signal: PublicSignal


@record
class ScheduledResult(SignalResult):
    """A resting order has just been created; ``current_price`` is the VWAP of the tick."""

    action: ClassVar[Literal["scheduled"]] = "scheduled"


@record
class WaitingResult(SignalResult):
    """A resting order is still waiting (tick mode only)."""

    action: ClassVar[Literal["waiting"]] = "waiting"

    percent_tp: float = 0.0
    percent_sl: float = 0.0
    pnl: PnlRecord = NO_PNL


@record
class OpenedResult(SignalResult):
    """A position has just opened; ``current_price`` is the entry price of the row."""

    action: ClassVar[Literal["opened"]] = "opened"


@record
class ActiveResult(SignalResult):
    """A position is still open (tick mode), or the candles of an infinite one ran out.

    ``percent_tp`` / ``percent_sl``: how far the price has come towards that level, 0 to 100.
    """

    action: ClassVar[Literal["active"]] = "active"
    extra_in_repr: ClassVar[tuple[str, ...]] = ("pnl",)

    percent_tp: float
    percent_sl: float
    pnl: PnlRecord
    backtest_last_timestamp: int | None = None


@record
class ClosedResult(SignalResult):
    """A position has closed; ``close_id`` comes from a user close or a confirmed fill."""

    action: ClassVar[Literal["closed"]] = "closed"
    extra_in_repr: ClassVar[tuple[str, ...]] = ("close_reason", "pnl")

    close_reason: CloseReason
    close_timestamp: int
    pnl: PnlRecord
    close_id: str | None = None


@record
class CancelledResult(SignalResult):
    """A resting order was dropped; ``cancel_id`` comes from a user cancel."""

    action: ClassVar[Literal["cancelled"]] = "cancelled"
    extra_in_repr: ClassVar[tuple[str, ...]] = ("reason",)

    reason: CancelReason
    close_timestamp: int
    cancel_id: str | None = None


#: Every result of a tick; ``result.action`` (or ``isinstance``) tells them apart (spec engine.md 1.6).
TickResult: TypeAlias = (
    IdleResult
    | ScheduledResult
    | WaitingResult
    | OpenedResult
    | ActiveResult
    | ClosedResult
    | CancelledResult
)


def side_of(position: Any) -> int:
    """1 for ``"long"``, -1 for ``"short"``, 0 for anything else."""
    return SIDES.get(position, 0) if isinstance(position, str) else 0


def _level(price: float | None) -> str:
    return "none" if price is None else f"{price:.8g}"


def _clock(timestamp: int) -> str:
    return from_ms(timestamp).strftime("%Y-%m-%d %H:%M UTC")
