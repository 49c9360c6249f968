"""How does an answer of ``get_signal``, or a queued signal, become a record of the machine? (spec fills.md 4)"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from bkapi.errors import SignalError
from bkapi.events.results import SIDES, SignalInput, side_of
from bkapi.runs.validation import as_number
from bkcore.errors import did_you_mean, shown
from bkcore.machine.codes import Exits, Given

#: Fields that a signal knows at real prices alone; each fills the field of ``SIGNAL`` of its name.
REAL_PRICE_FIELDS: Final = (
    *("price_trigger", "size", "set_take_profit", "set_stop_loss"),
    *("trail_distance", "fee_percent"),
)
_PERCENTS = {"take_profit_percent": Given.TAKE_PERCENT, "stop_loss_percent": Given.STOP_PERCENT}
_EXITS: Mapping[Any, Exits] = {True: Exits.BOTH, "long": Exits.LONG, "short": Exits.SHORT}
_ONE_OF = (
    ("price_take_profit", "take_profit_percent"),
    ("price_stop_loss", "stop_loss_percent"),
    ("price_open", "price_trigger"),
    ("position", "target"),
)


def write_answer(slot: Any, dto: SignalInput, *, timestamp: int, is_foreign: bool) -> None:
    """Write a signal of the documented model into ``slot``; what is wrong with it the machine finds."""
    price_open, lifetime, cost = (dto.get(name) for name in ("price_open", "minute_estimated_time", "cost"))
    slot.time = timestamp
    slot.price_open = as_number(price_open)
    slot.take_profit = as_number(dto.get("price_take_profit"))
    slot.stop_loss = as_number(dto.get("price_stop_loss"))
    slot.lifetime = as_number(lifetime)
    slot.cost = as_number(cost)
    slot.side = side_of(dto.get("position"))
    slot.given = (
        (0 if price_open is None else Given.PRICE_OPEN)
        | (0 if lifetime is None else Given.LIFETIME)
        | (0 if cost is None else Given.COST)
        | (Given.FOREIGN_SYMBOL if is_foreign else 0)
    )


def write_answer_at_real_prices(slot: Any, dto: SignalInput, *, timestamp: int, is_foreign: bool) -> None:
    """Write a signal at real prices into ``slot``: it may enter, close, reverse or move levels.

    Raises :class:`SignalError` for a field that is no number, and for two fields that say the same.
    """
    for one, other in _ONE_OF:
        if dto.get(one) is not None and dto.get(other) is not None:
            _refuse(
                f"the signal gives both {one} {shown(dto[one])} and {other} {shown(dto[other])}", "give one."
            )
    write_answer(slot, dto, timestamp=timestamp, is_foreign=is_foreign)
    for name in ("price_open", "price_take_profit", "price_stop_loss", "minute_estimated_time", "cost"):
        _number(dto, name)
    for name in REAL_PRICE_FIELDS:
        setattr(slot, name, _number(dto, name))
    for name, bit in _PERCENTS.items():
        percent = _number(dto, name)
        if not math.isnan(percent):
            setattr(slot, name.removesuffix("_percent"), percent)
            slot.given |= bit
    slot.side = _side(dto.get("position"))
    slot.exits = _exits(dto.get("exit"))
    target = dto.get("target")
    if target is not None:
        if isinstance(target, bool) or target not in (1, 0, -1):
            _refuse(f"target must be 1, 0 or -1, got {shown(target)}", "it is the side to hold from now on.")
        slot.side = int(target)
        slot.given |= Given.TARGET


def _number(dto: SignalInput, name: str) -> float:
    value = dto.get(name)
    number = as_number(value)
    if value is not None and math.isnan(number):
        _refuse(f"{name} must be a number, got {shown(value)}", "leave it out, or give None, for none.")
    return number


def _side(position: Any) -> int:
    if position is None or position == 0:
        return 0
    if position in (1, -1) and not isinstance(position, bool):
        return int(position)
    side = side_of(position)
    if not side:
        hint = did_you_mean(position, SIDES) if isinstance(position, str) else ""
        _refuse(f"position must be 'long' or 'short', got {shown(position)}", f"{hint}None is no entry.")
    return side


def _exits(given: Any) -> int:
    if given is None or given is False:
        return 0
    code = _EXITS.get(given) if isinstance(given, (bool, str)) else None
    if code is None:
        _refuse(
            f"exit must be True, 'long' or 'short', got {shown(given)}",
            "it closes the position of that side.",
        )
    return int(code)


def _refuse(problem: str, hint: str) -> NoReturn:
    raise SignalError(f"{problem}.", hint=hint)
