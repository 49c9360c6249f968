"""May this signal reach the market? The violations of a signal, in words (spec engine.md 6)."""

import math
from collections.abc import Mapping
from typing import Any

Fields = Mapping[str, Any]


class InvalidSignalError(Exception):
    """A signal that breaks a rule; the message lists every violation."""


def is_number(value: object) -> bool:
    """A real number, booleans excluded."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_price(value: object) -> bool:
    """A finite number above zero."""
    return isinstance(value, int | float) and is_number(value) and math.isfinite(value) and value > 0


def opens_at_once(signal: Fields, current_price: float) -> bool:
    """The limit is already reached, so that a position opens now instead of an order resting (5, step 13)."""
    if signal["position"] == "long":
        return bool(current_price <= signal["price_open"])
    if signal["position"] == "short":
        return bool(current_price >= signal["price_open"])
    return False


def violations(signal: Fields, config: Mapping[str, Any]) -> list[str]:
    """Rules for every signal (6.1). ``signal`` has its defaults filled in; an absent field is None."""
    found: list[str] = []
    position = signal.get("position")
    if position not in ("long", "short"):
        found.append(f"position must be long or short, got {position!r}")
    elif not config[f"CC_ENABLE_{position.upper()}_SIGNAL"]:
        found.append(f"{position} signals are switched off")
    found.extend(
        f"{name} must be a finite number above 0, got {signal.get(name)!r}"
        for name in ("price_open", "price_take_profit", "price_stop_loss")
        if not is_price(signal.get(name))
    )
    # a cost of 0 would make every percentage NaN; it is refused like any other field (deviation 7)
    cost = signal.get("cost")
    if cost is not None and not is_price(cost):
        found.append(f"cost must be a finite number above 0, got {cost!r}")
    found.extend(lifetime_violations(signal.get("minute_estimated_time"), config))
    if not found:
        found.extend(distance_violations(signal, config))
    return found


def lifetime_violations(minutes: object, config: Mapping[str, Any]) -> list[str]:
    """``minute_estimated_time``: a positive whole number up to the maximum, or inf where that is allowed."""
    longest = config["CC_MAX_SIGNAL_LIFETIME_MINUTES"]
    if not isinstance(minutes, int | float) or not is_number(minutes) or not minutes > 0:
        return [f"minute_estimated_time must be a number above 0, got {minutes!r}"]
    if minutes != math.inf and minutes != math.floor(minutes):
        return [f"minute_estimated_time must be whole, got {minutes!r}"]
    if minutes > longest:
        return [f"minute_estimated_time {minutes!r} is above the maximum {longest!r}"]
    return []


def distance_violations(signal: Fields, config: Mapping[str, Any]) -> list[str]:
    """Levels on the right side of the entry and neither too near nor too far; equality passes.

    A level that is the bracket of a limit is at the limit, however its price was rounded (deviation 18).
    """
    entry, target, stop = signal["price_open"], signal["price_take_profit"], signal["price_stop_loss"]
    found: list[str] = []
    if signal["position"] == "long":
        target_distance = ((target - entry) / entry) * 100
        stop_distance = ((entry - stop) / entry) * 100
    else:
        target_distance = ((entry - target) / entry) * 100
        stop_distance = ((stop - entry) / entry) * 100
    if not (target > entry if signal["position"] == "long" else target < entry):
        found.append("price_take_profit is on the wrong side of price_open")
    if not (stop < entry if signal["position"] == "long" else stop > entry):
        found.append("price_stop_loss is on the wrong side of price_open")
    nearest_target = config["CC_MIN_TAKEPROFIT_DISTANCE_PERCENT"]
    nearest_stop = config["CC_MIN_STOPLOSS_DISTANCE_PERCENT"]
    farthest_stop = config["CC_MAX_STOPLOSS_DISTANCE_PERCENT"]
    side = 1 if signal["position"] == "long" else -1

    def is_bracket(level: float, towards: int, percent: float) -> bool:
        return bool(level == entry * (1 + towards * percent / 100))

    if nearest_target and target_distance < nearest_target and not is_bracket(target, side, nearest_target):
        found.append(f"price_take_profit is {target_distance} % away, less than {nearest_target} %")
    if nearest_stop and stop_distance < nearest_stop and not is_bracket(stop, -side, nearest_stop):
        found.append(f"price_stop_loss is {stop_distance} % away, less than {nearest_stop} %")
    if farthest_stop and stop_distance > farthest_stop and not is_bracket(stop, -side, farthest_stop):
        found.append(f"price_stop_loss is {stop_distance} % away, more than {farthest_stop} %")
    return found


def price_violations(signal: Fields, current_price: float) -> list[str]:
    """A position must not close at once: the price lies strictly between stop and target (6.2)."""
    target, stop = signal["price_take_profit"], signal["price_stop_loss"]
    low, high = (stop, target) if signal["position"] == "long" else (target, stop)
    if low < current_price < high:
        return []
    return [f"current price {current_price} is not between {low} and {high}"]


def check_signal(signal: Fields, current_price: float, opens: bool, config: Mapping[str, Any]) -> None:
    """Raise InvalidSignalError unless ``signal`` may open now (6.2) or rest (6.3).

    A signal has an id in ``signal["id"]``; levels are compared with the market only for what opens now.
    """
    if not signal.get("id") or not is_price(current_price):
        raise InvalidSignalError(f"signal without id or price: {signal!r} at {current_price!r}")
    found = violations(signal, config)
    if not found and opens:
        found = price_violations(signal, current_price)
    if found:
        head = f"Invalid signal for {signal.get('position')} position ({signal.get('symbol')}):"
        raise InvalidSignalError("\n".join([head, *found]))


def is_valid(signal: Fields, current_price: float, config: Mapping[str, Any]) -> bool:
    """The combined validator (6.4): rules of every signal, then the market's where it would open at once."""
    if not is_price(current_price) or violations(signal, config):
        return False
    return not (opens_at_once(signal, current_price) and price_violations(signal, current_price))
