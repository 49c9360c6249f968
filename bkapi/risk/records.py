"""What is a risk profile asked, and what does it know of open positions? (spec risk-sizing-walker-sweep.md 1.2)"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Final

from bkapi.base import config, dotted_paths as dotted
from bkapi.base.record import Record, record
from bkapi.errors import BkError
from bkapi.events.results import NO_PNL, PnlRecord, Position, PublicSignal, SignalInput
from bkapi.positions.profit import to_profit_loss_dto
from bkapi.runs.validation import as_number


class RiskError(BkError, ValueError):
    """Raised by ``RiskGlobalService().check_signal({"symbol": "BTCUSDT"}, ...)``: a part of the question is missing."""


@record
class _Question(Record):
    """Whose signal it is, and at which price and moment (ms UTC) it would open."""

    symbol: str
    strategy_name: str
    exchange_name: str
    frame_name: str
    risk_name: str
    current_price: float
    timestamp: int


@record
class RiskCheck(_Question):
    """The question whether ``current_signal`` may open; ``on_allowed`` and ``on_rejected`` get it.

    ``current_signal`` is the signal as it came: what ``get_signal`` returned, or the resting order that is being
    filled.
    """

    current_signal: SignalInput | PublicSignal


@record
class ActivePosition(Record):
    """An open position, or the place that is held for one. ``minute_estimated_time`` may be ``inf``."""

    strategy_name: str
    exchange_name: str
    frame_name: str
    symbol: str
    position: Position
    price_open: float
    price_stop_loss: float
    price_take_profit: float
    minute_estimated_time: float
    open_timestamp: int


@record
class RiskSignal(Record):
    """The signal that a validation judges, with prices filled in.

    ``price_open`` is the limit price, or else the price now. ``pnl``, ``max_drawdown`` and
    ``peak_profit`` are the result of closing at the price now, zero for a resting order that is being filled. What
    ``get_signal`` left out is None here. ``extra`` is a copy of the further keys of the signal.
    """

    merged: ClassVar[frozenset[str]] = frozenset({"extra"})

    id: str | None
    symbol: str | None
    position: Position
    note: str | None
    cost: float
    timestamp: int
    price_open: float
    price_take_profit: float
    price_stop_loss: float
    original_price_open: float
    original_price_take_profit: float
    original_price_stop_loss: float
    minute_estimated_time: float | None
    scheduled_at: int | None
    pending_at: int | None
    total_entries: int
    total_partials: int
    partial_executed: float
    pnl: PnlRecord
    max_drawdown: PnlRecord
    peak_profit: PnlRecord
    extra: Mapping[str, Any]


@record
class RiskPayload(_Question):
    """What a validation gets: the question, its signal filled in, and the open and reserved positions.

    The place that the strategy itself has reserved on the symbol is not among them (deviation 4).
    """

    current_signal: RiskSignal
    active_position_count: int
    active_positions: Sequence[ActivePosition]


_ASKED: Final = ("symbol", "current_signal", "strategy_name", "exchange_name", "current_price", "timestamp")
_LEVELS: Final = ("price_open", "price_take_profit", "price_stop_loss")


def check_of(params: RiskCheck | Mapping[str, Any], risk_name: str) -> RiskCheck:
    """The question, asked of the risk profile ``risk_name``; raises :class:`RiskError` where a part is missing."""
    if isinstance(params, RiskCheck):
        return params if params.risk_name == risk_name else replace(params, risk_name=risk_name)
    for name in _ASKED:
        if params.get(name) is None:
            raise RiskError(f"a risk check needs {name}.", hint=f"give all of {', '.join(_ASKED)}.")
    if not isinstance(params["current_signal"], Mapping | Record):
        raise RiskError(
            f"current_signal={params['current_signal']!r} is no signal.",
            hint='give {"position": "long", "price_take_profit": ..., "price_stop_loss": ...}.',
        )
    asked: dict[str, Any] = {name: params[name] for name in _ASKED}
    return RiskCheck(**asked, frame_name=params.get("frame_name") or "", risk_name=risk_name)


def payload_of(check: RiskCheck, when_ms: int, active: Sequence[ActivePosition]) -> RiskPayload:
    """The payload for the validations of a check; ``when_ms`` is the clock of the check."""
    return RiskPayload(
        **{name: getattr(check, name) for name in _Question.field_names},
        current_signal=_signal_of(check, when_ms),
        active_position_count=len(active),
        active_positions=active,
    )


def place_of(check: RiskCheck, when_ms: int) -> ActivePosition:
    """The place that a signal has until it opens."""
    signal = check.current_signal
    lifetime = dotted.get(signal, "minute_estimated_time")
    return ActivePosition(
        strategy_name=check.strategy_name,
        exchange_name=check.exchange_name,
        frame_name=check.frame_name,
        symbol=check.symbol,
        position=dotted.get(signal, "position"),
        price_open=dotted.get(signal, "price_open") or check.current_price,
        price_stop_loss=dotted.get(signal, "price_stop_loss"),
        price_take_profit=dotted.get(signal, "price_take_profit"),
        minute_estimated_time=lifetime or config.value("CC_MAX_SIGNAL_LIFETIME_MINUTES"),
        open_timestamp=when_ms,
    )


def told_signal(signal: SignalInput | PublicSignal) -> SignalInput | PublicSignal:
    """A rejected signal as listeners get it: as it came, in the shape of a row to which nothing has happened yet."""
    if not isinstance(signal, Mapping):
        return signal
    given = {name: value for name, value in signal.items() if value is not None}
    original = {f"original_{level}": given[level] for level in _LEVELS if level in given}
    zeros = dict.fromkeys(("total_entries", "total_partials", "partial_executed"), 0)
    return {**original, **zeros, **dict.fromkeys(("pnl", "max_drawdown", "peak_profit"), NO_PNL), **given}


def _signal_of(check: RiskCheck, when_ms: int) -> RiskSignal:
    signal = check.current_signal
    read = signal.get if isinstance(signal, Mapping) else partial(_optional, signal)
    given: dict[str, Any] = {name: read(name) for name in RiskSignal.field_names}
    given["price_open"] = given["price_open"] or check.current_price
    for level in _LEVELS:
        if given[f"original_{level}"] is None:
            given[f"original_{level}"] = given[level]
    pnl = _pnl_of(signal, given["price_open"], check.current_price)
    further: Mapping[str, Any] = signal if isinstance(signal, Mapping) else signal.extra or {}
    return RiskSignal(
        **{
            **given,
            "cost": given["cost"] or config.value("CC_POSITION_ENTRY_COST"),
            "timestamp": given["timestamp"] or when_ms,
            "total_entries": given["total_entries"] or 1,
            "total_partials": given["total_partials"] or 0,
            "partial_executed": given["partial_executed"] or 0.0,
            "pnl": pnl,
            "max_drawdown": pnl,
            "peak_profit": pnl,
            "extra": deepcopy({name: value for name, value in further.items() if name not in given}),
        }
    )


def _optional(row: PublicSignal, name: str) -> Any:
    return getattr(row, name, None)


def _pnl_of(signal: SignalInput | PublicSignal, price_open: Any, price: float) -> PnlRecord:
    """The result of closing at ``price``; zero for a resting order, and for a signal that cannot open anyway."""
    side, cost = dotted.get(signal, "position"), dotted.get(signal, "cost")
    opened_at, spent = as_number(price_open), as_number(cost or config.value("CC_POSITION_ENTRY_COST"))
    can_open = side in ("long", "short") and 0.0 < opened_at < math.inf and 0.0 < spent < math.inf
    if dotted.get(signal, "pending_at") == 0 or not can_open:
        return NO_PNL
    history = {name: dotted.get(signal, name) for name in ("entries", "partials")}
    return to_profit_loss_dto({"position": side, "price_open": opened_at, "cost": spent, **history}, price)
