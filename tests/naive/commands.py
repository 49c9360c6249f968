"""What may a user ask of a position? The commands (spec engine.md 10), named as the public functions."""

import copy
import math
from collections.abc import Mapping
from typing import Any

from tests.naive.events import Pause, Queued
from tests.naive.pnl import Entry, Partial, divide, total_cost
from tests.naive.position import Deferred, Row
from tests.naive.state import State
from tests.naive.validation import is_number, is_price, is_valid

Payload = Mapping[str, Any] | None


class CommandError(Exception):
    """A command that cannot be obeyed; the message says why."""


class Commands(State):
    """Commands of the strategy that runs. ``symbol`` is there because the public functions have it."""

    # more money in

    def commit_average_buy(self, symbol: str, cost: float | None = None) -> bool:
        """Add an entry at the price known now, a new record unless DCA is allowed everywhere."""
        row, price = self.pending, self.price_now()
        if row is None or not is_price(price):
            return False
        earlier = [entry.price for entry in row.entries]
        is_record = price < min(earlier) if row.is_long else price > max(earlier)
        if not is_record and not self.config["CC_ENABLE_DCA_EVERYWHERE"]:
            return False
        spent = self.config["CC_POSITION_ENTRY_COST"] if cost is None else cost
        row.entries.append(Entry(price, spent, self.when))
        return self._committed(row, Queued("average-buy", price, cost=spent))

    # money out

    def commit_partial_profit(self, symbol: str, percent: float) -> bool:
        """Close ``percent`` of what is left, on the profit side of the effective entry."""
        return self._partial("profit", percent)

    def commit_partial_loss(self, symbol: str, percent: float) -> bool:
        """Close ``percent`` of what is left, on the loss side of the effective entry."""
        return self._partial("loss", percent)

    def commit_partial_profit_cost(self, symbol: str, dollars: float) -> bool:
        """Close ``dollars`` of the basis that is left, in profit."""
        return self._partial("profit", self._percent_of_rest(dollars))

    def commit_partial_loss_cost(self, symbol: str, dollars: float) -> bool:
        """Close ``dollars`` of the basis that is left, in loss."""
        return self._partial("loss", self._percent_of_rest(dollars))

    def _percent_of_rest(self, dollars: float) -> float:
        if self.pending is None or not is_number(dollars):
            return math.nan
        return divide(dollars, self.pending.remaining_cost()) * 100

    def _partial(self, side: str, percent: float) -> bool:
        row, price = self.pending, self.price_now()
        if row is None or not is_price(percent) or percent > 100 or not is_price(price):
            return False
        # distances seen from the side that gains: positive in profit, positive up to the target
        sign = 1 if row.is_long else -1
        entry, target, stop = row.effective_open(), row.take_profit(), row.stop_loss()
        above_entry = price > entry if sign == 1 else price < entry
        below_entry = price < entry if sign == 1 else price > entry
        before_target = price < target if sign == 1 else price > target
        before_stop = price > stop if sign == 1 else price < stop
        if not (before_target if side == "profit" else before_stop):
            return False
        on_side = above_entry if side == "profit" else below_entry
        if not on_side and not self.config["CC_ENABLE_PPPL_EVERYWHERE"]:
            return False
        invested, remaining = total_cost(row.entries), row.remaining_cost()
        closes = (row.closed_percent() / 100) * invested + (percent / 100) * remaining
        if closes > invested * (1 + 1e-9):
            return False
        row.partials.append(Partial(side, percent, price, remaining, len(row.entries), self.when))
        self._committed(row, Queued(f"partial-{side}", price, percent_to_close=percent))
        if row.remaining_cost() <= invested * 1e-9:
            self.closed_cmd = Deferred(row, None, "full_partial_close")
            self.pending = None
        return True

    # levels

    def commit_trailing_stop(self, symbol: str, percent_shift: float, current_price: float) -> bool:
        """Move the stop to its original distance plus ``percent_shift`` points of the entry (10.5)."""
        return is_shift(percent_shift) and self._trail_stop(percent_shift, current_price)

    def _trail_stop(self, percent_shift: float, current_price: float) -> bool:
        """The same without a bound of the shift: the way of commands that name a price (deviation 19)."""
        row = self.pending
        if (
            row is None
            or not math.isfinite(percent_shift)
            or percent_shift == 0
            or not is_price(current_price)
        ):
            return False
        entry, target, current = row.effective_open(), row.take_profit(), row.trailing_stop
        distance = abs((entry - row.price_stop_loss) / entry * 100) + percent_shift
        if row.is_long:
            stop = entry * (1 - distance / 100)
            is_refused = current_price < stop or stop >= target
            is_absorbed = current is not None and stop <= current
        else:
            stop = entry * (1 + distance / 100)
            is_refused = current_price > stop or stop <= target
            is_absorbed = current is not None and stop >= current
        if is_refused or (is_absorbed and not self.config["CC_ENABLE_TRAILING_EVERYWHERE"]):
            return False
        row.trailing_stop = stop
        return self._committed(row, Queued("trailing-stop", current_price, percent_shift=percent_shift))

    def commit_trailing_take(self, symbol: str, percent_shift: float, current_price: float) -> bool:
        """Move the target to its original distance plus ``percent_shift`` points of the entry (10.6)."""
        return is_shift(percent_shift) and self._trail_take(percent_shift, current_price)

    def _trail_take(self, percent_shift: float, current_price: float) -> bool:
        """The same without a bound of the shift: the way of commands that name a price (deviation 19)."""
        row = self.pending
        if (
            row is None
            or not math.isfinite(percent_shift)
            or percent_shift == 0
            or not is_price(current_price)
        ):
            return False
        entry, stop, current = row.effective_open(), row.stop_loss(), row.trailing_take
        distance = abs((row.price_take_profit - entry) / entry * 100) + percent_shift
        if row.is_long:
            target = entry * (1 + distance / 100)
            is_refused = current_price > target or target <= stop
            is_absorbed = current is not None and target >= current
        else:
            target = entry * (1 - distance / 100)
            is_refused = current_price < target or target >= stop
            is_absorbed = current is not None and target <= current
        if is_refused or (is_absorbed and not self.config["CC_ENABLE_TRAILING_EVERYWHERE"]):
            return False
        row.trailing_take = target
        return self._committed(row, Queued("trailing-take", current_price, percent_shift=percent_shift))

    def commit_trailing_stop_cost(self, symbol: str, new_price: float) -> bool:
        """Move the stop to about ``new_price``, by way of the shift that leads there."""
        row = self.pending
        if row is None or not is_number(new_price):
            return False
        entry = row.effective_open()
        wanted = (entry - new_price) / entry * 100 if row.is_long else (new_price - entry) / entry * 100
        original = abs((entry - row.price_stop_loss) / entry * 100)
        return self._trail_stop(wanted - original, self.price_now())

    def commit_trailing_take_cost(self, symbol: str, new_price: float) -> bool:
        """Move the target to about ``new_price``, by way of the shift that leads there."""
        row = self.pending
        if row is None or not is_number(new_price):
            return False
        entry = row.effective_open()
        wanted = (new_price - entry) / entry * 100 if row.is_long else (entry - new_price) / entry * 100
        original = abs((row.price_take_profit - entry) / entry * 100)
        return self._trail_take(wanted - original, self.price_now())

    def commit_breakeven(self, symbol: str) -> bool:
        """Move the stop to the effective entry once the price pays for the round trip (10.7)."""
        row, price = self.pending, self.price_now()
        if row is None or not is_price(price):
            return False
        entry, target = row.effective_open(), row.take_profit()
        if entry >= target if row.is_long else entry <= target:
            return False
        if not self.breakeven_allowed(row, price):
            return False
        if not self.stop_is_beyond_entry(row):
            row.trailing_stop = entry
        return self._committed(row, Queued("breakeven", price))

    def breakeven_threshold(self) -> float:
        """Percent the price must gain before the stop may stand at the entry."""
        return float(
            (self.config["CC_PERCENT_SLIPPAGE"] + self.config["CC_PERCENT_FEE"]) * 2
            + self.config["CC_BREAKEVEN_THRESHOLD"]
        )

    def breakeven_reached(self, row: Row, price: float) -> bool:
        """Is ``price`` the threshold away from the effective entry, or more?"""
        entry, threshold = row.effective_open(), self.breakeven_threshold()
        if row.is_long:
            return price >= entry * (1 + threshold / 100)
        return price <= entry * (1 - threshold / 100)

    def stop_is_beyond_entry(self, row: Row) -> bool:
        """Does a trailed stop already lock in a gain?"""
        if row.trailing_stop is None:
            return False
        entry = row.effective_open()
        return row.trailing_stop > entry if row.is_long else row.trailing_stop < entry

    def breakeven_allowed(self, row: Row, price: float) -> bool:
        """Steps 2 and 3 of 10.7: already beyond the entry, or reached and better than the stop in force."""
        if self.stop_is_beyond_entry(row):
            return True
        entry, stop = row.effective_open(), row.stop_loss()
        return self.breakeven_reached(row, price) and (entry > stop if row.is_long else entry < stop)

    # the end of a position or of a resting order

    def commit_close_pending(self, symbol: str, payload: Payload = None) -> None:
        """Close the position on the next candle, at its average."""
        if self.pending is not None:
            self.closed_cmd = deferred(self.pending, payload)
            self.pending = None

    def commit_create_take_profit(self, symbol: str, payload: Payload = None) -> None:
        """The broker filled our target: close there on the next candle."""
        if self.pending is not None:
            self.tp_fill = deferred(self.pending, payload)
            self.pending = None

    def commit_create_stop_loss(self, symbol: str, payload: Payload = None) -> None:
        """The broker filled our stop: close there on the next candle."""
        if self.pending is not None:
            self.sl_fill = deferred(self.pending, payload)
            self.pending = None

    def commit_cancel_scheduled(self, symbol: str, payload: Payload = None) -> None:
        """Drop the resting order on the next candle."""
        if self.scheduled is not None:
            self.cancelled_cmd = deferred(self.scheduled, payload)
            self.scheduled = None

    def commit_activate_scheduled(self, symbol: str, payload: Payload = None) -> None:
        """The broker filled our resting order: open at its limit on the next candle."""
        if self.scheduled is not None and not self.is_stopped:
            self.activated_cmd = deferred(self.scheduled, payload)
            self.scheduled = None

    # the strategy

    def commit_create_signal(self, symbol: str, dto: Mapping[str, Any]) -> None:
        """Queue a signal for the next tick; CommandError when it is invalid or the engine is busy (10.10)."""
        if self.is_stopped:
            raise CommandError(f"the strategy is stopped for symbol={self.symbol}")
        price = self.price_now()
        if not is_valid(self.with_defaults(dto, price), price, self.config):
            raise CommandError(f"invalid signal: {dto!r}")
        busy = {
            "a position is open": self.pending,
            "an order is resting": self.scheduled,
            "a signal is queued": self.user_dto,
            "an activation is asked for": self.activated_cmd,
            "a close is asked for": self.closed_cmd,
            "a cancel is asked for": self.cancelled_cmd,
            "a target fill is reported": self.tp_fill,
            "a stop fill is reported": self.sl_fill,
        }
        for why, holder in busy.items():
            if holder is not None:
                raise CommandError(f"{why} for symbol={self.symbol}")
        self.user_dto = copy.deepcopy(dict(dto))

    def with_defaults(self, dto: Mapping[str, Any], price: float) -> dict[str, Any]:
        """A signal with the fields that may be left out: entry at ``price``, the longest lifetime."""
        filled = {name: value for name, value in dto.items() if value is not None}
        filled.setdefault("price_open", price)
        filled.setdefault("minute_estimated_time", self.config["CC_MAX_SIGNAL_LIFETIME_MINUTES"])
        return filled

    def set_strategy_paused(self, symbol: str, paused: bool) -> None:
        """Open nothing new until resumed; told only when it changes something."""
        if paused != self.is_paused:
            self.is_paused = paused
            self.emit("pause", lambda: Pause(paused, self.when))

    def stop_strategy(self, symbol: str) -> None:
        """Open nothing new for the rest of the run and drop what has not opened (10.13)."""
        self.is_stopped = True
        self.user_dto = None
        row = self.scheduled or (self.activated_cmd.row if self.activated_cmd else None)
        if row is not None and self.cancelled_cmd is None:
            self.set_scheduled(None)
            self.cancelled_cmd = Deferred(row, None, "stop_strategy")

    def _committed(self, row: Row, element: Queued) -> bool:
        self.callback(
            "on_write", lambda: (self.public(row, element.current_price), element.current_price, self.when)
        )
        self.commit_queue.append(element)
        return True


def deferred(row: Row, payload: Payload) -> Deferred:
    """The row set aside with the id and note of the command."""
    chosen = payload or {}
    return Deferred(row, chosen.get("id"), chosen.get("note"))


def is_shift(value: object) -> bool:
    """A trailing shift: finite, not 0, at most 100 points either way."""
    return isinstance(value, int | float) and is_number(value) and value != 0 and -100 <= value <= 100
