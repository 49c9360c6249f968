"""What does a listener receive? One frozen record per kind of event (spec adapters-and-events.md 1.4).

Times are ms UTC, prices quote currency, percents percent. In live ``frame_name`` is empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal

from bkapi.base.record import Record, record
from bkapi.events.results import (
    CancelReason,
    CloseReason,
    PeakRecord,
    PnlRecord,
    Position,
    PublicSignal,
    SignalInput,
)

CommitAction = Literal[
    "cancel-scheduled",
    "close-pending",
    "partial-profit",
    "partial-loss",
    "trailing-stop",
    "trailing-take",
    "breakeven",
    "average-buy",
    "activate-scheduled",
]
MetricType = Literal["backtest_total", "backtest_timeframe", "backtest_signal", "live_tick"]
OrderType = Literal["schedule", "active"]


@record
class RunEvent(Record):
    """Common part of what a run tells: where it comes from."""

    symbol: str
    strategy_name: str
    exchange_name: str
    frame_name: str
    backtest: bool


@record
class MomentEvent(RunEvent):
    """A :class:`RunEvent` with the moment it belongs to."""

    timestamp: int


@record
class IdlePingEvent(MomentEvent):
    """A minute with nothing open and nothing resting."""

    current_price: float


@record
class PingEvent(MomentEvent):
    """A minute of a position or of a resting order, or its breakeven becoming available."""

    data: PublicSignal
    current_price: float


@record
class CandlePingEvent(PingEvent):
    """A ping at real prices: the candle that has just closed, too (spec fills.md 3); ``current_price`` is its close."""

    open: float
    high: float
    low: float
    close: float


@record
class LevelEvent(PingEvent):
    """The position has come ``level`` percent (10, 20 ... 100) of the way to its take-profit or stop-loss."""

    level: int


@record
class ExtremeEvent(MomentEvent):
    """A new best (highest profit) or worst (maximum drawdown) price of the position."""

    signal: PublicSignal
    current_price: float


@record
class SignalEvent(MomentEvent):
    """A position opened or closed; ``close_reason`` is None when it opened."""

    action: Literal["opened", "closed"]
    data: PublicSignal
    current_price: float
    close_reason: CloseReason | None = None


@record
class ScheduleEvent(MomentEvent):
    """A resting order was created or dropped; ``reason`` is None when it was created."""

    action: Literal["scheduled", "cancelled"]
    data: PublicSignal
    current_price: float
    reason: CancelReason | None = None


@record
class SignalInfoEvent(MomentEvent):
    """A note of the strategy about its open position (``commit_signal_notify``)."""

    data: PublicSignal
    current_price: float
    note: str
    notification_id: str | None = None


@record
class PauseEvent(MomentEvent):
    """New signals were paused or resumed."""

    paused: bool


@record
class RiskEvent(MomentEvent):
    """A risk profile rejected ``current_signal``: a resting order that was about to be filled, or what a strategy gave.

    The latter may lack an id and ``price_open``; it shows results and counts of zero beside its own fields.
    """

    current_signal: SignalInput | PublicSignal
    current_price: float
    active_position_count: int
    rejection_id: str | None
    rejection_note: str


@record
class StrategyCommitEvent(MomentEvent):
    """A command took effect. The fields after ``note`` belong to some actions, for others they are None.

    ``to_dict`` gives exactly the fields of the action.
    """

    action: CommitAction
    signal_id: str
    signal: PublicSignal
    total_entries: int
    total_partials: int
    original_price_open: float
    pnl: PnlRecord
    peak_profit: PeakRecord
    max_drawdown: PeakRecord
    note: str
    cancel_id: str | None = None
    close_id: str | None = None
    activate_id: str | None = None
    current_price: float | None = None
    percent_to_close: float | None = None
    percent_shift: float | None = None
    cost: float | None = None
    effective_price_open: float | None = None
    position: Position | None = None
    price_open: float | None = None
    price_take_profit: float | None = None
    price_stop_loss: float | None = None
    original_price_take_profit: float | None = None
    original_price_stop_loss: float | None = None
    scheduled_at: int | None = None
    pending_at: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The common fields and those of the action, nested records as mappings."""
        own = COMMIT_FIELDS[self.action]
        return {
            name: value
            for name, value in Record.to_dict(self).items()
            if name not in _COMMIT_OPTIONAL or name in own
        }


_POSITION_FIELDS = (
    "position",
    "price_open",
    "price_take_profit",
    "price_stop_loss",
    "original_price_take_profit",
    "original_price_stop_loss",
    "scheduled_at",
    "pending_at",
)

#: Which fields a commit of each action carries beside the common ones.
COMMIT_FIELDS: Mapping[CommitAction, tuple[str, ...]] = {
    "cancel-scheduled": ("cancel_id",),
    "close-pending": ("close_id",),
    "partial-profit": ("percent_to_close", "current_price", *_POSITION_FIELDS),
    "partial-loss": ("percent_to_close", "current_price", *_POSITION_FIELDS),
    "trailing-stop": ("percent_shift", "current_price", *_POSITION_FIELDS),
    "trailing-take": ("percent_shift", "current_price", *_POSITION_FIELDS),
    "breakeven": ("current_price", *_POSITION_FIELDS),
    "average-buy": ("current_price", "cost", "effective_price_open", *_POSITION_FIELDS),
    "activate-scheduled": ("activate_id", "current_price", *_POSITION_FIELDS),
}
_COMMIT_OPTIONAL = frozenset(name for names in COMMIT_FIELDS.values() for name in names)


@record
class OrderEvent(MomentEvent):
    """Common part of the live order events; ``attempt`` counts how often this was tried before."""

    type: OrderType
    signal_id: str
    signal: PublicSignal
    attempt: int
    current_price: float
    pnl: PnlRecord
    peak_profit: PeakRecord
    max_drawdown: PeakRecord
    position: Position
    price_open: float
    price_take_profit: float
    price_stop_loss: float
    original_price_open: float
    original_price_take_profit: float
    original_price_stop_loss: float
    scheduled_at: int
    pending_at: int
    total_entries: int
    total_partials: int


@record
class OrderSyncEvent(OrderEvent):
    """The gate before an order is opened (``cost`` given) or closed (``close_reason`` given)."""

    action: Literal["signal-open", "signal-close"]
    cost: float | None = None
    close_reason: CloseReason | None = None


@record
class OrderCheckEvent(OrderEvent):
    """The gate that asks whether the order still exists."""

    action: ClassVar[Literal["signal-ping"]] = "signal-ping"

    def to_dict(self) -> dict[str, Any]:
        """``action`` first, then the fields."""
        return {"action": self.action, **Record.to_dict(self)}


@record
class OrderFillEvent(OrderSyncEvent):
    """The exchange confirmed an order."""


@record
class OrderRejectEvent(OrderEvent):
    """The exchange refused an order for good; ``message`` says why."""

    action: Literal["signal-open", "signal-close"]
    message: str
    cost: float | None = None
    close_reason: CloseReason | None = None


@record
class OrderContinueEvent(OrderEvent):
    """An order check was passed, or its failure tolerated."""


@record
class OrderStopEvent(OrderEvent):
    """An order check ended the order."""

    reason: Literal["deleted", "exhausted"]


@record
class LifecycleEvent(MomentEvent):
    """A run is about to start, or has ended."""

    current_price: float
    when: datetime


@record
class DoneEvent(RunEvent):
    """A background run has finished. For a walker ``strategy_name`` holds the name of the walker."""


@record
class PerformanceEvent(MomentEvent):
    """How long a part of a run took: ``duration`` in ms of wall clock."""

    metric_type: MetricType
    duration: float
    previous_timestamp: int | None = None


@record
class BacktestProgressEvent(Record):
    """How far a backtest has come: ``progress`` from 0 to 1."""

    exchange_name: str
    strategy_name: str
    symbol: str
    total_frames: int
    processed_frames: int
    progress: float


@record
class WalkerProgressEvent(Record):
    """How far a walker has come: ``progress`` from 0 to 1."""

    walker_name: str
    exchange_name: str
    frame_name: str
    symbol: str
    total_strategies: int
    processed_strategies: int
    progress: float


@record
class WalkerEvent(Record):
    """A walker has finished one strategy; ``stats`` are its trade statistics, ``best_*`` the best so far.

    With a space of parameters it is one combination, which ``parameters`` tells.
    """

    walker_name: str
    exchange_name: str
    frame_name: str
    symbol: str
    strategy_name: str
    stats: Any
    metric_value: float | None
    metric: str
    best_metric: float | None
    best_strategy: str | None
    strategies_tested: int
    total_strategies: int
    parameters: Mapping[str, Any] | None = None


@record
class WalkerCompleteEvent(Record):
    """A walker has finished."""

    walker_name: str
    symbol: str
    exchange_name: str
    frame_name: str
    metric: str
    total_strategies: int
    best_strategy: str | None
    best_metric: float | None
    best_stats: Any
    best_parameters: Mapping[str, Any] | None = None


@record
class WalkerStopEvent(Record):
    """A walker was asked to stop one of its strategies."""

    symbol: str
    strategy_name: str
    walker_name: str
