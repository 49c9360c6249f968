"""When does a strategy want to be called, if not at every candle? ``wake_on``: conditions on price, result, clock."""

from __future__ import annotations

import math

from bkapi.errors import SignalError
from bkapi.positions.forms import Forms, View
from bkapi.runs.validation import as_number
from bkcore.errors import shown
from bkcore.intervals import INTERVAL_MINUTES, MINUTE_MS, interval_step_ms

#: Minutes that no run lasts.
_FOREVER = 1e12


class Wakes(View):
    """A run that can be asked to stop at a later candle."""

    __slots__ = ()

    def wake_on(
        self,
        *,
        above: float | None = None,
        below: float | None = None,
        pnl_above: float | None = None,
        pnl_below: float | None = None,
        after_minutes: float | None = None,
        next_interval: str | None = None,
    ) -> None:
        """Call the strategy at the first later candle of the position at which any of the conditions holds.

        above, below            price of the candle at or beyond, quote currency
        pnl_above, pnl_below    result of closing there, percent, costs included
        after_minutes           minutes from now
        next_interval           the next boundary of an interval: ``"15m"``

        ``listen_wake`` and the callback ``on_wake`` hear it once, before the ping of that candle; call again for more.
        A new call replaces the conditions of the last one, and the end of the position drops them. In between the
        engine runs at kernel speed, so a strategy can watch a position without paying for every candle.
        Raises :class:`SignalError` for a condition that is not a number, an unknown interval, or no condition at all.
        """
        given = {
            "above": above,
            "below": below,
            "pnl_above": pnl_above,
            "pnl_below": pnl_below,
            "after_minutes": after_minutes,
        }
        numbers: dict[str, float] = {}
        for name, value in given.items():
            if value is not None:
                number = numbers[name] = as_number(value)
                if math.isnan(number):
                    raise SignalError(
                        f"wake_on: {name}={shown(value)} is not a number.",
                        hint="give prices and percents as numbers.",
                    )
        if next_interval is not None and not (
            isinstance(next_interval, str) and next_interval in INTERVAL_MINUTES
        ):
            raise SignalError(
                f"wake_on: next_interval={shown(next_interval)} is no interval.",
                hint=f"known: {', '.join(INTERVAL_MINUTES)}.",
            )
        if next_interval is None and not numbers:
            raise SignalError(
                "wake_on: no condition is given.", hint="give one, e.g. wake_on(symbol, pnl_above=2)."
            )
        now = self.run.now_ms()
        minutes = numbers.pop("after_minutes", _FOREVER)
        if not 0.0 <= minutes <= _FOREVER:
            minutes = 0.0 if minutes < 0.0 else _FOREVER
        at_ms = now + math.ceil(minutes * MINUTE_MS)
        if next_interval is not None:
            step = interval_step_ms(next_interval)
            at_ms = min(at_ms, (now // step + 1) * step)
        self.run.wake(**numbers, at_ms=at_ms)


wake_on = Forms(Wakes).ambient(Wakes.wake_on)
