"""May a signal open, given what is open already? One risk profile (spec risk-sizing-walker-sweep.md 1).

A client holds the positions of all strategies that share a risk profile on one exchange, in one frame and mode. One
check runs at a time in the whole process, so what a validation counted is still true when its place is reserved.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import numpy as np

from bkapi.base import dotted_paths as dotted
from bkapi.base.context import MethodContext
from bkapi.base.coroutines import settle
from bkapi.base.record import Record
from bkapi.base.timestamps import from_ms
from bkapi.base.turns import Turn
from bkapi.events.emitters import call_back, emit_guarded, emitters
from bkapi.events.payloads import RiskEvent
from bkapi.risk.records import (
    ActivePosition,
    RiskCheck,
    RiskPayload,
    check_of,
    payload_of,
    place_of,
    told_signal,
)
from bkapi.runs.time_and_price import time_meta
from bkapi.schemas.risk import RiskSchema
from bkcore.intervals import MINUTE_MS

logger = logging.getLogger(__name__)

Params = RiskCheck | Mapping[str, Any]
Context = Mapping[str, Any]

_NO_NOTE = "Validation rejected the signal"


class PositionStore(Protocol):
    """Keeps the positions of live risk profiles beyond the process (spec risk-sizing-walker-sweep.md 1.7)."""

    def read_position_data(
        self, risk_name: str, exchange_name: str, when: datetime
    ) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """Pairs of key and position, in the order of opening."""

    def write_position_data(
        self,
        rows: Sequence[tuple[str, Mapping[str, Any]]],
        risk_name: str,
        exchange_name: str,
        when: datetime,
    ) -> object:
        """Replace what was stored by these."""


class _Stores:
    """The store of live clients; without one a live client starts empty and keeps nothing."""

    positions: PositionStore | None = None


def use_position_store(store: PositionStore | None) -> None:
    """Let live clients made from now on read and write their positions there; None: nowhere."""
    _Stores.positions = store


#: The lock of all risk clients; it is re-entrant, since a validation may ask other risk profiles.
_one_at_a_time = Turn()


class _Rejection(NamedTuple):
    id: str | None
    note: str


def _verdict(answer: Any) -> _Rejection | None:
    """What a validation's return value means: a text, a mapping or False rejects, all else allows (deviation 9)."""
    if isinstance(answer, str):
        return _Rejection(None, answer) if answer else None
    if isinstance(answer, Mapping):
        return _Rejection(answer.get("id") or None, answer.get("note") or _NO_NOTE)
    if isinstance(answer, bool | np.bool_) and not answer:
        return _Rejection(None, _NO_NOTE)
    return None


class ClientRisk:
    """One risk profile on one exchange, in one frame and mode, with the positions of all strategies that share it.

    A position has one place per strategy, exchange and symbol. Every place that a check has reserved must be filled by
    :meth:`add_signal` or given back by :meth:`remove_signal`.
    """

    def __init__(
        self,
        schema: RiskSchema,
        exchange_name: str,
        frame_name: str = "",
        backtest: bool = True,
        *,
        store: PositionStore | None = None,
    ) -> None:
        self.schema = schema
        self.risk_name = schema.risk_name
        self.exchange_name = exchange_name
        self.frame_name = frame_name
        self.backtest = backtest
        self._store = store
        self._places: dict[str, ActivePosition] = {}
        self._reserved: set[str] = set()
        self._is_loaded = store is None

    @property
    def positions(self) -> list[ActivePosition]:
        """All places in the order in which they were taken: open positions and reserved ones."""
        with _one_at_a_time:
            return [*self._places.values()]

    def check_signal(self, params: Params, options: Mapping[str, Any] | None = None) -> bool:
        """Whether every validation allows the signal; ``options={"reserve": True}`` takes a place for it at once.

        ``params`` is a :class:`RiskCheck` or a mapping of its fields. A rejection is told to ``listen_risk``, what a
        validation raises to ``listen_validation``.
        """
        check = check_of(params, self.risk_name)
        when_ms = self._now(check.symbol, check)
        with _one_at_a_time:
            self._load(when_ms)
            active = self._known_to(check)
            rejection = self._rejection(payload_of(check, when_ms, active))
            if rejection is not None:
                self._tell(check, rejection, len(active), when_ms)
                self._call("on_rejected", check)
                return False
            if options is not None and options.get("reserve"):
                self._reserve(check, when_ms)
            self._call("on_allowed", check)
            return True

    def check_signal_and_reserve(self, params: Params) -> bool:
        """:meth:`check_signal` that reserves a place for an allowed signal before another signal is checked."""
        return self.check_signal(params, {"reserve": True})

    def reserve(self, params: Params) -> None:
        """Take a place without asking the validations."""
        check = check_of(params, self.risk_name)
        when_ms = self._now(check.symbol, check)
        with _one_at_a_time:
            self._load(when_ms)
            self._reserve(check, when_ms)

    def _reserve(self, check: RiskCheck, when_ms: int) -> None:
        key = _key(check.symbol, check)
        self._places[key] = place_of(check, when_ms)
        self._reserved.add(key)

    def add_signal(self, symbol: str, context: Context, data: Mapping[str, Any]) -> None:
        """Note that a position has opened; it takes the place reserved for it, or a new one.

        context   ``strategy_name``, ``exchange_name``, ``frame_name``
        data      ``position``, ``price_open``, ``price_stop_loss``, ``price_take_profit``, ``minute_estimated_time``
                  and ``open_timestamp`` (ms UTC)
        """
        when_ms = 0 if self._store is None else self._now(symbol, context)
        with _one_at_a_time:
            self._load(when_ms)
            key = _key(symbol, context)
            self._places[key] = _position({**context, "symbol": symbol, **data})
            self._reserved.discard(key)
            self._save(when_ms)

    def remove_signal(self, symbol: str, context: Context) -> None:
        """Note that the position has ended, or the signal never opened; without a place nothing happens."""
        when_ms = 0 if self._store is None else self._now(symbol, context)
        with _one_at_a_time:
            self._load(when_ms)
            key = _key(symbol, context)
            self._places.pop(key, None)
            self._reserved.discard(key)
            self._save(when_ms)

    # ------------------------------------------------------------------------------------------------- checking

    def _known_to(self, check: RiskCheck) -> list[ActivePosition]:
        """The places that count: all but the one that the asking strategy has reserved itself (deviation 4)."""
        own = _key(check.symbol, check)
        return [place for key, place in self._places.items() if not (key == own and key in self._reserved)]

    def _rejection(self, payload: RiskPayload) -> _Rejection | None:
        """The first rejection, in the order of the validations; later ones are not called."""
        for entry in self.schema.validations or ():
            try:
                validate = entry["validate"] if isinstance(entry, Mapping) else entry
                rejection = _verdict(settle(validate(payload)))
            except Exception as error:  # noqa: BLE001 - documented: whatever a validation raises rejects
                logger.debug("risk %s: a validation raised %r", self.risk_name, error)
                emitters.validation_subject.emit(error)
                rejection = _Rejection(None, str(error) or type(error).__name__)
            if rejection is not None:
                return rejection
        return None

    def _tell(self, check: RiskCheck, rejection: _Rejection, count: int, when_ms: int) -> None:
        channel = emitters.risk_subject
        if not channel.listeners:
            return
        event = RiskEvent(
            symbol=check.symbol,
            **{name: getattr(check, name) for name in MethodContext.field_names},
            backtest=self.backtest,
            timestamp=when_ms,
            current_signal=told_signal(check.current_signal),
            current_price=check.current_price,
            active_position_count=count,
            rejection_id=rejection.id,
            rejection_note=rejection.note,
        )
        emit_guarded(channel, event)

    def _call(self, name: str, check: RiskCheck) -> None:
        call_back(self.schema.callbacks, name, check.symbol, check)

    # ------------------------------------------------------------------------------------------------- the clock

    def _now(self, symbol: str, names: Context | Record) -> int:
        """The moment of the run that asks, ms UTC."""
        context = {name: dotted.get(names, name) or "" for name in MethodContext.field_names}
        return time_meta.get_timestamp(symbol, context, self.backtest)

    # ------------------------------------------------------------------------------------- what outlives the process

    def _load(self, when_ms: int) -> None:
        """Read what an earlier process has stored, once; drop what has expired meanwhile (spec 1.7)."""
        if self._is_loaded or self._store is None:
            return
        for key, row in self._store.read_position_data(self.risk_name, self.exchange_name, from_ms(when_ms)):
            lifetime = row.get("minute_estimated_time")
            place = _position({**row, "minute_estimated_time": math.inf if lifetime is None else lifetime})
            if when_ms >= place.open_timestamp + place.minute_estimated_time * MINUTE_MS:
                logger.warning(
                    "risk %s: the stored position %s has expired and is dropped", self.risk_name, key
                )
            else:
                self._places[key] = place
        self._is_loaded = True

    def _save(self, when_ms: int) -> None:
        """Store the open positions; a place that is only reserved is not stored."""
        if self._store is None:
            return
        rows = [(key, place.to_dict()) for key, place in self._places.items() if key not in self._reserved]
        self._store.write_position_data(rows, self.risk_name, self.exchange_name, from_ms(when_ms))


def _key(symbol: str, names: Context | Record) -> str:
    return f"{dotted.get(names, 'strategy_name')}_{dotted.get(names, 'exchange_name')}_{symbol}"


def _position(fields: Mapping[str, Any]) -> ActivePosition:
    return ActivePosition(**{name: fields.get(name) for name in ActivePosition.field_names})  # type: ignore[arg-type]


class MergeRisk:
    """Several risk profiles as one: all must allow a signal; they are asked in order until one rejects.

    Places are reserved when all have allowed, so a rejection leaves none behind (deviation 5).
    """

    def __init__(self, risks: Mapping[str, ClientRisk]) -> None:
        self._risks = dict(risks)

    def check_signal(self, params: Params, options: Mapping[str, Any] | None = None) -> bool:
        """As :meth:`ClientRisk.check_signal`; only the profile that rejects tells ``listen_risk``."""
        with _one_at_a_time:
            if not all(risk.check_signal(params) for risk in self._risks.values()):
                return False
            if options is not None and options.get("reserve"):
                for risk in self._risks.values():
                    risk.reserve(params)
            return True

    def check_signal_and_reserve(self, params: Params) -> bool:
        """As :meth:`ClientRisk.check_signal_and_reserve`, in all profiles or in none."""
        return self.check_signal(params, {"reserve": True})

    def add_signal(self, symbol: str, context: Context, data: Mapping[str, Any]) -> None:
        """As :meth:`ClientRisk.add_signal`, for each profile; the first error is raised when all have heard."""
        self._each(lambda risk: risk.add_signal(symbol, context, data))

    def remove_signal(self, symbol: str, context: Context) -> None:
        """As :meth:`ClientRisk.remove_signal`, for each profile; the first error is raised when all have heard."""
        self._each(lambda risk: risk.remove_signal(symbol, context))

    def _each(self, tell: Callable[[ClientRisk], None]) -> None:
        errors: list[Exception] = []
        with _one_at_a_time:
            for risk in self._risks.values():
                try:
                    tell(risk)
                except Exception as error:  # noqa: BLE001 - raised below, when the others have heard
                    errors.append(error)
        if errors:
            raise errors[0]
