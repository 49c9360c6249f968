"""What does a listener hear? One small record per kind of event (spec adapters-and-events.md 1.4)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.naive.pnl import Pnl
from tests.naive.position import Extreme, PublicRow

if TYPE_CHECKING:
    from tests.naive.engine import Engine

    Listener = Callable[["Engine", Any], object]
    Listeners = Mapping[str, Listener | Sequence[Listener]]

KINDS = (
    "signal",
    "signal_event",
    "order_schedule",
    "active_ping",
    "schedule_ping",
    "idle_ping",
    "highest_profit",
    "max_drawdown",
    "partial_profit",
    "partial_loss",
    "breakeven",
    "commit",
    "pause",
    "error",
)
"""The kinds of events; ``signal`` carries a Result, ``error`` the exception itself."""

CALLBACKS = (
    "on_tick",
    "on_open",
    "on_close",
    "on_idle",
    "on_schedule",
    "on_cancel",
    "on_write",
    "on_partial_profit",
    "on_partial_loss",
    "on_breakeven",
    "on_schedule_ping",
    "on_active_ping",
)
"""Callbacks of the strategy (1.7), never filtered; each is called with the engine and a tuple of its own
arguments between ``symbol`` and ``backtest``."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a tick or a finished trade came to (1.6)."""

    action: str
    signal: PublicRow | None
    current_price: float
    created_at: int
    close_reason: str | None = None
    close_timestamp: int | None = None
    close_id: str | None = None
    reason: str | None = None
    cancel_id: str | None = None
    pnl: Pnl | None = None


@dataclass(frozen=True, slots=True)
class Ping:
    """Active, schedule and idle pings, levels (``level``) and breakeven; ``data`` is None in an idle ping."""

    data: PublicRow | None
    current_price: float
    timestamp: int
    level: int | None = None


@dataclass(frozen=True, slots=True)
class NewExtreme:
    """A new best or worst average of an open position."""

    signal: PublicRow
    current_price: float
    timestamp: int


@dataclass(frozen=True, slots=True)
class SignalEvent:
    """A position opened or closed."""

    action: str
    data: PublicRow
    current_price: float
    timestamp: int
    close_reason: str | None = None


@dataclass(frozen=True, slots=True)
class ScheduleEvent:
    """A resting order appeared or was dropped."""

    action: str
    data: PublicRow
    current_price: float
    timestamp: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """An executed command; the fields below ``max_drawdown`` are None where the action has none (13.1)."""

    action: str
    signal_id: str
    timestamp: int
    total_entries: int
    total_partials: int
    original_price_open: float
    signal: PublicRow
    note: str
    pnl: Pnl
    peak_profit: Extreme
    max_drawdown: Extreme
    current_price: float | None = None
    percent_to_close: float | None = None
    percent_shift: float | None = None
    cost: float | None = None
    effective_price_open: float | None = None
    price_open: float | None = None
    price_take_profit: float | None = None
    price_stop_loss: float | None = None
    cancel_id: str | None = None
    close_id: str | None = None
    activate_id: str | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """The strategy was paused or resumed."""

    paused: bool
    timestamp: int


@dataclass(frozen=True, slots=True)
class Queued:
    """A committed modification that waits to be announced at the end of the candle (8.5)."""

    action: str
    current_price: float
    percent_to_close: float | None = None
    percent_shift: float | None = None
    cost: float | None = None
