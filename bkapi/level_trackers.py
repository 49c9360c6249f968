"""Which levels a signal has reached: partial profit and loss, and breakeven (spec adapters-and-events.md 15)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import numpy as np

from bkapi import config
from bkapi.context import method
from bkapi.errors import BkError
from bkapi.events import EventChannel, emitters, report_error
from bkapi.moments import Moment, to_ms
from bkapi.payloads import LevelEvent, PingEvent
from bkapi.registry import validate_names
from bkcore.records import POSITION
from bkcore.settings import EngineSettings

logger = logging.getLogger(__name__)

_LEVELS = tuple(range(10, 101, 10))
_SIDES = {"long": 1, "short": -1}


class TrackerError(BkError):
    """Raised by a tracker that is asked about another signal than its own, or before it is ready."""


def _field(row: Any, name: str) -> Any:
    return row.get(name) if isinstance(row, Mapping) else getattr(row, name, None)


def _names(row: Any) -> dict[str, str]:
    """Names of the run that a row belongs to: its own, else those of the ambient run."""
    around = method.get()
    return {
        name: _field(row, name) or (getattr(around, name) if around is not None else "")
        for name in ("strategy_name", "exchange_name", "frame_name")
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
        _tell_levels(
            emitters.partial_profit_subject, self._profit, symbol, row, price, percent, backtest, to_ms(when)
        )

    def loss(self, symbol: str, row: Any, price: float, percent: float, backtest: bool, when: Moment) -> None:
        """The same on the way to the stop-loss; ``percent`` is above zero."""
        self._check(row)
        _tell_levels(
            emitters.partial_loss_subject, self._loss, symbol, row, price, percent, backtest, to_ms(when)
        )

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
    """Tell what :func:`bkcore.machine.reaches_level` fires, once each, for prices that nobody runs."""
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
        try:
            channel.emit(event)
        except Exception as error:  # noqa: BLE001 - documented: one isolated block per level
            report_error(error, channel.name)


class ClientBreakeven(_Tracker):
    """Whether the price of a signal has come so far that breakeven is available, told once."""

    kind = "ClientBreakeven"

    def __init__(self, signal_id: str) -> None:
        super().__init__(signal_id)
        self._reached = False

    def check(self, symbol: str, row: Any, price: float, backtest: bool, when: Moment) -> bool:
        """True at the first price at or beyond the threshold, which is told then (spec engine.md 8.6)."""
        from bkcore.history import breakeven_due

        self._check(row)
        if self._reached:
            return False
        trades = np.zeros(1, POSITION)
        trades[0]["side"] = _SIDES[_field(row, "position")]
        trades[0]["effective_open"] = _field(row, "price_open")
        settings = EngineSettings.from_config(config.get_config()).record()
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
        try:
            emitters.breakeven_subject.emit(event)
        except Exception as error:  # noqa: BLE001 - documented: an isolated block
            report_error(error, emitters.breakeven_subject.name)
        return True

    def clear(self, symbol: str, row: Any, price_close: float, backtest: bool) -> None:
        """Forget that it was reached."""
        self._check(row)
        self._reached = False


K = TypeVar("K", ClientPartial, ClientBreakeven)


class _Trackers(Generic[K]):
    """One tracker per signal and mode, until the signal is cleared."""

    def __init__(self, model: type[K]) -> None:
        self._model: type[K] = model
        self._trackers: dict[tuple[str, bool], K] = {}

    def get(self, signal_id: str, backtest: bool) -> K:
        """The tracker of a signal, ready."""
        tracker = self._trackers.get((signal_id, backtest))
        if tracker is None:
            tracker = self._trackers[signal_id, backtest] = self._model(signal_id)
            tracker.wait_for_init()
        return tracker

    def drop(self, signal_id: str, backtest: bool) -> None:
        """Forget a tracker."""
        self._trackers.pop((signal_id, backtest), None)

    def clear(self) -> None:
        """Forget all."""
        self._trackers.clear()


_partials: _Trackers[ClientPartial] = _Trackers(ClientPartial)
_breakevens: _Trackers[ClientBreakeven] = _Trackers(ClientBreakeven)


class PartialConnectionService:
    """The tracker of each signal and mode, made at its first use."""

    def get_partial(self, signal_id: str, backtest: bool) -> ClientPartial:
        """The tracker of a signal."""
        return _partials.get(signal_id, backtest)

    def profit(
        self, symbol: str, row: Any, price: float, percent: float, backtest: bool, when: Moment
    ) -> None:
        """As :meth:`ClientPartial.profit`."""
        self.get_partial(_field(row, "id"), backtest).profit(symbol, row, price, percent, backtest, when)

    def loss(self, symbol: str, row: Any, price: float, percent: float, backtest: bool, when: Moment) -> None:
        """As :meth:`ClientPartial.loss`."""
        self.get_partial(_field(row, "id"), backtest).loss(symbol, row, price, percent, backtest, when)

    def clear(self, symbol: str, row: Any, price_close: float, backtest: bool) -> None:
        """Forget the levels of a signal, and its tracker."""
        self.get_partial(_field(row, "id"), backtest).clear(symbol, row, price_close, backtest)
        _partials.drop(_field(row, "id"), backtest)


class BreakevenConnectionService:
    """The tracker of each signal and mode, made at its first use."""

    def get_breakeven(self, signal_id: str, backtest: bool) -> ClientBreakeven:
        """The tracker of a signal."""
        return _breakevens.get(signal_id, backtest)

    def check(self, symbol: str, row: Any, price: float, backtest: bool, when: Moment) -> bool:
        """As :meth:`ClientBreakeven.check`."""
        return self.get_breakeven(_field(row, "id"), backtest).check(symbol, row, price, backtest, when)

    def clear(self, symbol: str, row: Any, price_close: float, backtest: bool) -> None:
        """Forget what a signal has reached, and its tracker."""
        self.get_breakeven(_field(row, "id"), backtest).clear(symbol, row, price_close, backtest)
        _breakevens.drop(_field(row, "id"), backtest)


class _Validating:
    """Checks the names of a row; successes are remembered by the registries."""

    def validate(self, context: Mapping[str, str], source: str) -> bool:
        """True when the names are registered; raises :class:`UnknownNameError`."""
        return validate_names(context, source, "strategy", "exchange", "frame")


class PartialGlobalService(_Validating):
    """The entry point of the level trackers: names are checked, the call is logged."""

    def profit(
        self, symbol: str, row: Any, price: float, percent: float, backtest: bool, when: Moment
    ) -> None:
        """As :meth:`ClientPartial.profit`."""
        logger.debug("PartialGlobalService.profit %s %s", symbol, percent)
        self.validate(_names(row), "PartialGlobalService.profit")
        PartialConnectionService().profit(symbol, row, price, percent, backtest, when)

    def loss(self, symbol: str, row: Any, price: float, percent: float, backtest: bool, when: Moment) -> None:
        """As :meth:`ClientPartial.loss`."""
        logger.debug("PartialGlobalService.loss %s %s", symbol, percent)
        self.validate(_names(row), "PartialGlobalService.loss")
        PartialConnectionService().loss(symbol, row, price, percent, backtest, when)

    def clear(self, symbol: str, row: Any, price_close: float, backtest: bool) -> None:
        """As :meth:`PartialConnectionService.clear`."""
        self.validate(_names(row), "PartialGlobalService.clear")
        PartialConnectionService().clear(symbol, row, price_close, backtest)


class BreakevenGlobalService(_Validating):
    """The entry point of the breakeven trackers: names are checked, the call is logged."""

    def check(self, symbol: str, row: Any, price: float, backtest: bool, when: Moment) -> bool:
        """As :meth:`ClientBreakeven.check`."""
        logger.debug("BreakevenGlobalService.check %s %s", symbol, price)
        self.validate(_names(row), "BreakevenGlobalService.check")
        return BreakevenConnectionService().check(symbol, row, price, backtest, when)

    def clear(self, symbol: str, row: Any, price_close: float, backtest: bool) -> None:
        """As :meth:`BreakevenConnectionService.clear`."""
        self.validate(_names(row), "BreakevenGlobalService.clear")
        BreakevenConnectionService().clear(symbol, row, price_close, backtest)


def clear_trackers() -> None:
    """Forget every tracker."""
    _partials.clear()
    _breakevens.clear()
