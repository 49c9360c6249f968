"""What is wrong with a signal, in sentences (spec engine.md 6)? The machine applies the rules."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from bkapi.base import config
from bkapi.events.results import SignalInput, side_of
from bkcore.intervals import MINUTE_MS, MOST_MINUTES
from bkcore.machine.codes import Given, Violation
from bkcore.machine.commands import signal_violations
from bkcore.machine.settings import EngineSettings

logger = logging.getLogger(__name__)

_Sentence = Callable[[SignalInput, float, EngineSettings], str]


def _price(name: str) -> _Sentence:
    return lambda dto, price, settings: f"{name} must be a finite number above 0, got {dto.get(name)!r}"


def _distance(name: str, limit: str, what: str) -> _Sentence:
    return lambda dto, price, settings: (
        f"{name} {dto.get(name)!r} is {what} {getattr(settings, limit)} % of price_open {_entry(dto, price)!r}"
    )


def _entry(dto: SignalInput, price: float) -> Any:
    entry = dto.get("price_open")
    return price if entry is None else entry


def _side(name: str, long: str, short: str) -> _Sentence:
    return lambda dto, price, settings: (
        f"{name} {dto.get(name)!r} must be {long if dto.get('position') == 'long' else short} price_open "
        f"{_entry(dto, price)!r}"
    )


def _lifetime(rule: str) -> _Sentence:
    return lambda dto, price, settings: (
        f"minute_estimated_time {dto.get('minute_estimated_time')!r} {rule.format(_longest(settings))}"
    )


def _longest(settings: EngineSettings) -> str:
    limit = settings.max_lifetime_minutes
    if limit > MOST_MINUTES:
        return f"{MOST_MINUTES:,}, the most that a time in milliseconds holds"
    return f"CC_MAX_SIGNAL_LIFETIME_MINUTES ({limit:g})"


_SENTENCES: dict[Violation, _Sentence] = {
    Violation.CURRENT_PRICE: lambda dto, price, _: (
        f"current_price must be a finite number above 0, got {price!r}"
    ),
    Violation.POSITION: lambda dto, *_: f"position must be 'long' or 'short', got {dto.get('position')!r}",
    Violation.LONG_DISABLED: lambda *_: "long signals are switched off (CC_ENABLE_LONG_SIGNAL)",
    Violation.SHORT_DISABLED: lambda *_: "short signals are switched off (CC_ENABLE_SHORT_SIGNAL)",
    Violation.PRICE_OPEN: _price("price_open"),
    Violation.TAKE_PROFIT: _price("price_take_profit"),
    Violation.STOP_LOSS: _price("price_stop_loss"),
    Violation.TAKE_PROFIT_SIDE: _side("price_take_profit", "above", "below"),
    Violation.STOP_LOSS_SIDE: _side("price_stop_loss", "below", "above"),
    Violation.TAKE_PROFIT_TOO_CLOSE: _distance("price_take_profit", "min_take_profit_percent", "closer than"),
    Violation.STOP_LOSS_TOO_CLOSE: _distance("price_stop_loss", "min_stop_loss_percent", "closer than"),
    Violation.STOP_LOSS_TOO_FAR: _distance("price_stop_loss", "max_stop_loss_percent", "farther than"),
    Violation.LIFETIME: _lifetime("must be above 0"),
    Violation.LIFETIME_FRACTION: _lifetime("must be a whole number of minutes"),
    Violation.LIFETIME_INFINITE: _lifetime("is allowed only when CC_MAX_SIGNAL_LIFETIME_MINUTES is inf"),
    Violation.LIFETIME_TOO_LONG: _lifetime("is longer than {}"),
    Violation.LIFETIME_STEP: lambda dto, _, settings: (
        f"minute_estimated_time {dto.get('minute_estimated_time')!r} is not a multiple of the candles, which are "
        f"{settings.step_ms // MINUTE_MS} minutes long (base_interval of the exchange)"
    ),
    Violation.COST: lambda dto, *_: f"cost must be a finite number above 0, got {dto.get('cost')!r}",
    Violation.WOULD_CLOSE_AT_TAKE_PROFIT: lambda dto, price, _: (
        f"the market ({price!r}) is at or beyond price_take_profit {dto.get('price_take_profit')!r}: "
        "it would close at once"
    ),
    Violation.WOULD_CLOSE_AT_STOP_LOSS: lambda dto, price, _: (
        f"the market ({price!r}) is at or beyond price_stop_loss {dto.get('price_stop_loss')!r}: "
        "it would close at once"
    ),
    Violation.SYMBOL: lambda dto, *_: f"Symbol mismatch: the signal is for {dto.get('symbol')!r}",
}


def violation_lines(found: int, dto: SignalInput, price: float, settings: EngineSettings) -> Iterator[str]:
    """One sentence per bit of ``found``, in the order of the specification."""
    return (sentence(dto, price, settings) for bit, sentence in _SENTENCES.items() if found & bit)


def violation_message(
    found: int, dto: SignalInput, symbol: str, *, price: float, settings: EngineSettings
) -> str:
    """``Invalid signal for <position> position (<symbol>):`` and a line per violation (spec engine.md 6.1)."""
    title = f"Invalid signal for {dto.get('position')} position ({symbol}):"
    return "\n".join([title, *violation_lines(found, dto, price, settings)])


_NUMBERS = (int, float, np.integer, np.floating)


def as_number(value: object) -> float:
    """A number as it is; everything else as NaN, which every rule refuses."""
    if type(value) is float:
        return value
    if isinstance(value, _NUMBERS) and not isinstance(value, bool):
        return float(value)
    return float("nan")


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
    settings = EngineSettings.from_config(config.get_config())
    found = violations_of(dto, current_price, settings)
    if found:
        symbol = str(dto.get("symbol") or "any symbol")
        text = violation_message(found, dto, symbol, price=current_price, settings=settings)
        logger.warning("validate_signal: %s", text)
    return not found
