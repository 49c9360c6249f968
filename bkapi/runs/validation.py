"""What is wrong with a signal, in sentences (spec engine.md 6)? The machine applies the rules."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bkapi.base import config
from bkapi.events.results import SignalInput, side_of
from bkcore.errors import shown
from bkcore.intervals import MINUTE_MS, MOST_MINUTES
from bkcore.machine.codes import Given, Violation
from bkcore.machine.commands import signal_violations
from bkcore.machine.settings import EngineSettings

logger = logging.getLogger(__name__)

_Sentence = Callable[[SignalInput, float, EngineSettings], str]


def _price(name: str) -> _Sentence:
    return lambda dto, price, settings: f"{name} must be a finite number above 0, got {shown(dto.get(name))}"


def _entry(dto: SignalInput, price: float) -> Any:
    entry = dto.get("price_open")
    return price if entry is None else entry


@dataclass(frozen=True, slots=True)
class _Level:
    """A level of a signal, in sentences that name it as the signal does: as a price or in percent of the entry."""

    price: str
    percent: str
    least: str
    side: tuple[str, str]

    def given(self, dto: SignalInput) -> tuple[str, Any]:
        name = self.percent if self.percent in dto else self.price
        return name, dto.get(name)

    def unusable(self, dto: SignalInput, price: float, settings: EngineSettings) -> str:
        name, value = self.given(dto)
        if name == self.percent and 0 < as_number(value) < math.inf:
            return f"{name} {shown(value)} puts {self.price} at or below 0"
        return f"{name} must be a finite number above 0, got {shown(value)}"

    def on_the_wrong_side(self, dto: SignalInput, price: float, settings: EngineSettings) -> str:
        name, value = self.given(dto)
        if name == self.percent:
            return f"{name} {shown(value)} must be above 0: it is a distance from the entry"
        where = self.side[dto.get("position") != "long"]
        return f"{name} {shown(value)} must be {where} price_open {shown(_entry(dto, price))}"

    def too_close(self, dto: SignalInput, price: float, settings: EngineSettings) -> str:
        name, value = self.given(dto)
        least = getattr(settings, self.least)
        if name == self.price:
            return f"{name} {shown(value)} is closer than {least} % of price_open {shown(_entry(dto, price))}"
        in_percent = as_number(value) * 100.0
        meant = f": did you mean {in_percent:g}?" if in_percent >= least else ""
        return f"{name} {shown(value)} is closer than {least} %{meant}"

    def too_far(self, dto: SignalInput, price: float, settings: EngineSettings) -> str:
        name, value = self.given(dto)
        of = "" if name == self.percent else f" of price_open {shown(_entry(dto, price))}"
        return f"{name} {shown(value)} is farther than {settings.max_stop_loss_percent} %{of}"

    def beyond(self, dto: SignalInput, price: float, settings: EngineSettings) -> str:
        name, value = self.given(dto)
        return f"the market ({price!r}) is at or beyond {name} {shown(value)}: it would close at once"


_TAKE_PROFIT = _Level(
    "price_take_profit", "take_profit_percent", "min_take_profit_percent", ("above", "below")
)
_STOP_LOSS = _Level("price_stop_loss", "stop_loss_percent", "min_stop_loss_percent", ("below", "above"))

_SIDES_MEANT = {"long": "long", "buy": "long", "short": "short", "sell": "short"}


def _position(dto: SignalInput, price: float, settings: EngineSettings) -> str:
    value = dto.get("position")
    meant = _SIDES_MEANT.get(value.strip().lower()) if isinstance(value, str) else None
    hint = "" if meant is None else f": did you mean {meant!r}?"
    return f"position must be 'long' or 'short', got {shown(value)}{hint}"


def _lifetime(rule: str) -> _Sentence:
    return lambda dto, price, settings: (
        f"minute_estimated_time {shown(dto.get('minute_estimated_time'))} {rule.format(_longest(settings))}"
    )


def _longest(settings: EngineSettings) -> str:
    limit = settings.max_lifetime_minutes
    if limit > MOST_MINUTES:
        return f"{MOST_MINUTES:,}, the most that a time in milliseconds holds"
    return f"CC_MAX_SIGNAL_LIFETIME_MINUTES ({limit:g})"


_SENTENCES: dict[Violation, _Sentence] = {
    Violation.CURRENT_PRICE: lambda dto, price, _: (
        f"current_price must be a finite number above 0, got {shown(price)}"
    ),
    Violation.POSITION: _position,
    Violation.LONG_DISABLED: lambda *_: "long signals are switched off (CC_ENABLE_LONG_SIGNAL)",
    Violation.SHORT_DISABLED: lambda *_: "short signals are switched off (CC_ENABLE_SHORT_SIGNAL)",
    Violation.PRICE_OPEN: _price("price_open"),
    Violation.TAKE_PROFIT: _TAKE_PROFIT.unusable,
    Violation.STOP_LOSS: _STOP_LOSS.unusable,
    Violation.TAKE_PROFIT_SIDE: _TAKE_PROFIT.on_the_wrong_side,
    Violation.STOP_LOSS_SIDE: _STOP_LOSS.on_the_wrong_side,
    Violation.TAKE_PROFIT_TOO_CLOSE: _TAKE_PROFIT.too_close,
    Violation.STOP_LOSS_TOO_CLOSE: _STOP_LOSS.too_close,
    Violation.STOP_LOSS_TOO_FAR: _STOP_LOSS.too_far,
    Violation.LIFETIME: _lifetime("must be above 0"),
    Violation.LIFETIME_FRACTION: _lifetime("must be a whole number of minutes"),
    Violation.LIFETIME_INFINITE: _lifetime("is allowed only when CC_MAX_SIGNAL_LIFETIME_MINUTES is inf"),
    Violation.LIFETIME_TOO_LONG: _lifetime("is longer than {}"),
    Violation.LIFETIME_STEP: lambda dto, _, settings: (
        f"minute_estimated_time {shown(dto.get('minute_estimated_time'))} is not a multiple of the candles, which are "
        f"{settings.step_ms // MINUTE_MS} minutes long (base_interval of the exchange)"
    ),
    Violation.COST: _price("cost"),
    Violation.WOULD_CLOSE_AT_TAKE_PROFIT: _TAKE_PROFIT.beyond,
    Violation.WOULD_CLOSE_AT_STOP_LOSS: _STOP_LOSS.beyond,
    Violation.SYMBOL: lambda dto, *_: f"Symbol mismatch: the signal is for {shown(dto.get('symbol'))}",
}


def violation_lines(found: int, dto: SignalInput, price: float, settings: EngineSettings) -> Iterator[str]:
    """One sentence per bit of ``found``, in the order of the specification."""
    return (sentence(dto, price, settings) for bit, sentence in _SENTENCES.items() if found & bit)


def violation_message(
    found: int, dto: SignalInput, symbol: str, *, price: float, settings: EngineSettings
) -> str:
    """``Invalid signal for <position> position (<symbol>):`` and a line per violation (spec engine.md 6.1)."""
    position = dto.get("position")
    told = position if isinstance(position, str) else shown(position)
    title = f"Invalid signal for {told} position ({symbol}):"
    return "\n".join([title, *violation_lines(found, dto, price, settings)])


_NUMBERS = (int, float, np.integer, np.floating)


def as_number(value: object) -> float:
    """A number as it is; everything else as NaN, which every rule refuses."""
    if type(value) is float:
        return value
    if isinstance(value, _NUMBERS) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:  # an integer beyond the largest float
            pass
    return math.nan


def violations_of(dto: SignalInput, price: float, settings: EngineSettings) -> int:
    """Bits of ``Violation`` that the machine finds in a signal at market ``price`` (spec engine.md 6.4).

    ``price_open`` and ``minute_estimated_time`` get no defaults here: a signal without them is invalid.
    """
    cost = dto.get("cost")
    found: int = signal_violations(
        settings.record(),
        side_of(dto.get("position")),
        as_number(dto.get("price_open")),
        as_number(dto.get("price_take_profit")),
        as_number(dto.get("price_stop_loss")),
        as_number(dto.get("minute_estimated_time")),
        settings.entry_cost if cost is None else as_number(cost),
        as_number(price),
        int(Given.PRICE_OPEN),
    )
    return found


def validate_signal(dto: SignalInput | None, current_price: float) -> bool:
    """Whether the engine would take this signal at market ``current_price`` (spec engine.md 6.4).

    Uses the configuration in force; ``price_open`` and ``minute_estimated_time`` have to be given. What is wrong
    is logged as a warning, a line per violation.
    """
    if not isinstance(dto, Mapping):
        logger.warning("validate_signal: %s is not a mapping of signal fields", type(dto).__name__)
        return False
    settings = config.engine_settings()
    found = violations_of(dto, current_price, settings)
    if found:
        symbol = str(dto.get("symbol") or "any symbol")
        text = violation_message(found, dto, symbol, price=current_price, settings=settings)
        logger.warning("validate_signal: %s", text)
    return not found
