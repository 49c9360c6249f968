"""Which levels has a signal reached? Partial profit and loss, and breakeven (spec adapters-and-events.md 15)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from bkapi.base import config
from bkapi.base.context import MethodContext, method
from bkapi.base.dotted_paths import get as _field
from bkapi.base.forwarding import Forwarding, forwarded
from bkapi.base.timestamps import Moment, to_ms
from bkapi.errors import BkError
from bkapi.events.emitters import EventChannel, emit_guarded, emitters
from bkapi.events.payloads import LevelEvent, PingEvent
from bkapi.events.results import SIDES
from bkapi.schemas.registry import validate_names
from bkcore.machine.records import POSITION

logger = logging.getLogger(__name__)

R = TypeVar("R")

_LEVELS = tuple(range(10, 101, 10))


class TrackerError(BkError):
    """Raised by a tracker that is asked about another signal than its own, or before it is ready."""


def _names(row: Any) -> dict[str, str]:
    """Names of the run that a row belongs to: its own, else those of the ambient run."""
    around = method.get()
    return {
        name: _field(row, name) or (getattr(around, name) if around is not None else "")
        for name in MethodContext.field_names
    }


class _Tracker:
    """What one signal has reached."""

    kind = "tracker"

    def __init__(self, signal_id: str) -> None:
        self.signal_id = signal_id
        self._ready = False

    def wait_for_init(self) -> None:
        """Make it ready; what a live run left behind would be read here."""
        self._ready = True

    def _check(self, row: Any) -> None:
        if not self._ready:
            raise TrackerError(
                f"{self.kind} not initialized. Call wait_for_init() before using.", hint="call it once."
            )
        if _field(row, "id") != self.signal_id:
            raise TrackerError(
                f"Signal ID mismatch: expected {self.signal_id}, got {_field(row, 'id')}",
                hint="ask the tracker of that signal.",
            )


class ClientPartial(_Tracker):
    """The tenths of the way to take-profit and stop-loss that a signal has come, each told once."""

    kind = "ClientPartial"

    def __init__(self, signal_id: str) -> None:
        super().__init__(signal_id)
        self._profit: set[int] = set()
        self._loss: set[int] = set()

    def profit(
        self, symbol: str, row: Any, price: float, percent: float, backtest: bool, when: Moment
    ) -> None:
        """Tell the levels of the way to the take-profit that ``percent`` has reached, lowest first."""
        self._check(row)
        channel = emitters.partial_profit_subject
        _tell_levels(channel, self._profit, symbol, row, price, percent, backtest, to_ms(when))

    def loss(self, symbol: str, row: Any, price: float, percent: float, backtest: bool, when: Moment) -> None:
        """The same on the way to the stop-loss; ``percent`` is above zero."""
        self._check(row)
        channel = emitters.partial_loss_subject
        _tell_levels(channel, self._loss, symbol, row, price, percent, backtest, to_ms(when))

    def clear(self, symbol: str, row: Any, price_close: float, backtest: bool) -> None:
        """Forget every level."""
        self._check(row)
        self._profit.clear()
        self._loss.clear()


def _tell_levels(
    channel: EventChannel[LevelEvent],
    marked: set[int],
    symbol: str,
    row: Any,
    price: float,
    percent: float,
    backtest: bool,
    when_ms: int,
) -> None:
    """Tell what :func:`bkcore.machine.rules.reaches_level` fires, once each, for prices that nobody runs."""
    for level in _LEVELS:
        if level in marked or not percent >= level:
            continue
        marked.add(level)
        event = LevelEvent(
            symbol=symbol,
            **_names(row),
            backtest=backtest,
            timestamp=when_ms,
            data=row,
            current_price=price,
            level=level,
        )
        emit_guarded(channel, event)


class ClientBreakeven(_Tracker):
    """Whether the price of a signal has come so far that breakeven is available, told once."""

    kind = "ClientBreakeven"

    def __init__(self, signal_id: str) -> None:
        super().__init__(signal_id)
        self._reached = False

    def check(self, symbol: str, row: Any, price: float, backtest: bool, when: Moment) -> bool:
        """True at the first price at or beyond the threshold, which is told then (spec engine.md 8.6)."""
        from bkcore.machine.history import breakeven_due

        self._check(row)
        if self._reached:
            return False
        trades = np.zeros(1, POSITION)
        trades[0]["side"] = SIDES[_field(row, "position")]
        trades[0]["effective_open"] = _field(row, "price_open")
        settings = config.engine_settings().record()
        if not breakeven_due(settings, trades, float(price)):
            return False
        self._reached = True
        event = PingEvent(
            symbol=symbol,
            **_names(row),
            backtest=backtest,
            timestamp=to_ms(when),
            data=row,
            current_price=price,
        )
        emit_guarded(emitters.breakeven_subject, event)
        return True

    def clear(self, symbol: str, row: Any, price_close: float, backtest: bool) -> None:
        """Forget that it was reached."""
        self._check(row)
        self._reached = False


K = TypeVar("K", ClientPartial, ClientBreakeven)


class _Connection(Forwarding, Generic[K]):
    """The tracker of each signal and mode, made at its first use and kept until the signal is cleared."""

    model: ClassVar[type[Any]]
    _trackers: ClassVar[dict[tuple[str, bool], Any]]

    def __init_subclass__(cls, *, model: type[Any]) -> None:
        cls.model, cls._trackers = model, {}

    def _get(self, signal_id: str, backtest: bool) -> K:
        """The tracker of a signal, ready; made at its first use."""
        tracker: K | None = self._trackers.get((signal_id, backtest))
        if tracker is None:
            tracker = self._trackers[signal_id, backtest] = self.model(signal_id)
            tracker.wait_for_init()
        return tracker

    def _ask(self, method: Callable[..., R], given: Mapping[str, Any]) -> R:
        return method(self._get(_field(given["row"], "id"), given["backtest"]), **given)

    def clear(self, symbol: str, row: Any, price_close: float, backtest: bool) -> None:
        """Forget what a signal has reached, and its tracker."""
        self._get(_field(row, "id"), backtest).clear(symbol, row, price_close, backtest)
        self._trackers.pop((_field(row, "id"), backtest), None)


class PartialConnectionService(_Connection[ClientPartial], model=ClientPartial):
    """The :class:`ClientPartial` of each signal and mode, made at its first use."""

    get_partial = _Connection._get
    profit = forwarded(ClientPartial.profit)
    loss = forwarded(ClientPartial.loss)


class BreakevenConnectionService(_Connection[ClientBreakeven], model=ClientBreakeven):
    """The :class:`ClientBreakeven` of each signal and mode, made at its first use."""

    get_breakeven = _Connection._get
    check = forwarded(ClientBreakeven.check)


class _Global(Forwarding):
    """Checks the names of a row and logs the call; then the connection service is asked."""

    connection: ClassVar[type[_Connection[Any]]]

    def validate(self, context: Mapping[str, str], source: str) -> bool:
        """True when the names are registered, which the registries remember; raises :class:`UnknownNameError`."""
        return validate_names(context, source, "strategy", "exchange", "frame")

    def _ask(self, method: Callable[..., R], given: Mapping[str, Any]) -> R:
        source = f"{type(self).__name__}.{method.__name__}"
        logger.debug("%s %s", source, given["symbol"])
        self.validate(_names(given["row"]), source)
        return method(self.connection(), **given)


class PartialGlobalService(_Global):
    """The entry point of the level trackers: names are checked, the call is logged."""

    connection = PartialConnectionService
    profit = forwarded(PartialConnectionService.profit)
    loss = forwarded(PartialConnectionService.loss)
    clear = forwarded(PartialConnectionService.clear)


class BreakevenGlobalService(_Global):
    """The entry point of the breakeven trackers: names are checked, the call is logged."""

    connection = BreakevenConnectionService
    check = forwarded(BreakevenConnectionService.check)
    clear = forwarded(BreakevenConnectionService.clear)


def clear_trackers() -> None:
    """Forget every tracker."""
    for service in (PartialConnectionService, BreakevenConnectionService):
        service._trackers.clear()
