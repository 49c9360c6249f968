"""What happens in one candle? Its open, what lies inside it, and its end, step by step (spec fills.md 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.naive.fills.outcome import Order, Outcome
from tests.naive.fills.position import Position
from tests.naive.fills.rows import NOTHING, Reader, Row, Wish, is_refused
from tests.naive.market import Candle
from tests.naive.settings import MINUTE


class Machine:
    """The state between two candles: a position, or an order, or neither."""

    def __init__(
        self, settings: Mapping[str, Any], policy: Mapping[str, Any], last: int, commands: Mapping[int, str]
    ) -> None:
        self.settings, self.policy, self.last, self.commands = settings, policy, last, commands
        self.reader = Reader(policy.get("on_opposite", "ignore"))
        self.outcome = Outcome()
        self.position: Position | None = None
        self.order: Order | None = None
        self.free_from = float("-inf")

    # one candle

    def candle(self, candle: Candle, before: Candle | None, row: Row | None, step: int) -> None:
        """The open of a candle, what happens inside it, and its end; ``before`` is the last one that is closed."""
        wish = NOTHING if row is None else self.reader.read(row)
        tick = candle.timestamp
        if self.settings["CC_FILL_MODEL"] == "next_open":
            price = candle.open
        else:
            assert before is not None, f"nothing is known at the first tick, {tick}"
            price = before.close
        if self.position:
            wish = self.at_open(self.position, wish, candle, price, before)
        elif self.order:
            wish = self.rested(self.order, wish, candle)
        if wish.enter and not self.position and not self.order:
            self.enter(wish, candle, price)
        filled_inside = False
        if self.position:
            self.inside(self.position, candle, step)
        elif self.order:
            filled_inside = self.fill_inside(self.order, candle, step)
        if self.position:
            self.position.see(candle, filled_inside)

    def at_open(
        self, position: Position, wish: Wish, candle: Candle, price: float, before: Candle | None
    ) -> Wish:
        """Step 1: a position that was open; what is left of the wish for step 3."""
        assert before is not None
        reason = self.why_close(position, wish, candle.timestamp, before.close)
        if reason is not None:
            self.close(position, price, candle.timestamp, reason)
            if reason == "reversed" and wish.opposite == "close":
                return self.count("taken")
            return wish
        position.take_row_levels(wish.row)
        self.gaps(position, candle)
        if self.position and wish.enter:
            return self.count("passed_over")
        return wish

    def why_close(self, position: Position, wish: Wish, tick: int, known: float) -> str | None:
        """Step 1(b): the first reason to close at the open; ``known`` is the last close."""
        if self.commands.get(tick) == "close" or position.wants_close:
            return "closed"
        if position.side in wish.exits and (
            not self.policy.get("exit_profit_only") or position.net(known) > 0
        ):
            return "exit_signal"
        if wish.enter == -position.side and wish.opposite != "ignore":
            return "reversed"
        if tick - position.opened_at >= position.lifetime:
            return "time_expired"
        return "frame_end" if tick == self.last else None

    def gaps(self, position: Position, candle: Candle) -> None:
        """Step 1(d): what the open has jumped over is filled at the open."""
        tick, price = candle.timestamp, candle.open
        if position.is_adverse(price, position.stop):
            return self.close(position, price, tick, position.stop_reason)
        if position.is_favourable(price, position.target(tick)):
            return self.close(position, price, tick, "take_profit")
        while self.position and position.is_adverse(price, position.next_partial("loss", tick)):
            self.happen(position, "loss", price, tick, is_maker=False)
        while self.position and position.is_adverse(price, position.next_ladder()):
            self.happen(position, "ladder", price, tick, is_maker=False)
        while self.position and position.is_favourable(price, position.next_partial("profit", tick)):
            self.happen(position, "profit", price, tick, is_maker=False)
        return None

    def rested(self, order: Order, wish: Wish, candle: Candle) -> Wish:
        """Step 2: an order from an earlier candle; what is left of the wish for step 3."""
        outcome = self.why_cancel(order, wish, candle.timestamp)
        if outcome is not None:
            self.end_order(order, candle.timestamp, outcome)
            return wish
        if order.is_reached(candle.open):
            self.fill(order, candle.open, candle.timestamp, is_maker=False)
            self.gaps_of_fresh(candle)
        return self.count("passed_over") if wish.enter else NOTHING

    def why_cancel(self, order: Order, wish: Wish, tick: int) -> str | None:
        """Step 2(a): how a resting order ends at the open, if it does."""
        if self.commands.get(tick) == "cancel" or order.side in wish.exits:
            return "user"
        if tick - order.placed_at >= float(self.settings["CC_SCHEDULE_AWAIT_MINUTES"]) * MINUTE:
            return "timeout"
        if tick == self.last:
            return "timeout"
        if wish.enter == -order.side and wish.opposite != "ignore":
            return "user"
        return None

    def enter(self, wish: Wish, candle: Candle, price: float) -> None:
        """Step 3: an entry row that finds nothing open."""
        tick, row, side = candle.timestamp, wish.row, wish.enter
        if tick == self.last or tick < self.free_from:
            self.count("passed_over")
            return
        limit, trigger = row.get("price_open"), row.get("price_trigger")
        market = limit is None and trigger is None
        where = price if market else limit if limit is not None else trigger
        assert where is not None
        if is_refused(row, side, where, market, self.settings, self.policy):
            self.count("refused")
            return
        self.count("taken")
        if market:
            self.position = Position(side, row, price, tick, False, self.settings, self.policy)
        else:
            self.order = Order(side, "limit" if trigger is None else "stop", where, tick, row)
            if self.order.is_reached(candle.open):
                self.fill(self.order, candle.open, tick, is_maker=False)
        self.gaps_of_fresh(candle)

    def gaps_of_fresh(self, candle: Candle) -> None:
        """1(d) for a position that opened at this open: its path begins there too."""
        if self.position:
            self.gaps(self.position, candle)

    def inside(self, position: Position, candle: Candle, step: int) -> None:
        """Step 4: the adverse extreme first, then the favourable one."""
        tick = candle.timestamp
        adverse, favour = (candle.low, candle.high) if position.side > 0 else (candle.high, candle.low)
        while self.position:
            reached = [
                one for one in position.adverse_levels(tick) if position.is_adverse(adverse, one.price)
            ]
            if not reached:
                break
            level = min(reached, key=lambda one: abs(one.price - candle.open))
            self.happen(position, level.what, level.price, tick + step, is_maker=level.what == "ladder")
        while self.position:
            reached = [
                one for one in position.favourable_levels(tick) if position.is_favourable(favour, one.price)
            ]
            if not reached:
                break
            level = min(reached, key=lambda one: position.side * one.price)
            self.happen(position, level.what, level.price, tick + step, is_maker=True)

    def fill_inside(self, order: Order, candle: Candle, step: int) -> bool:
        """Step 5: an order that rests and is reached; only its stop is judged in the rest of the candle."""
        adverse, favour = (candle.low, candle.high) if order.side > 0 else (candle.high, candle.low)
        if not order.is_reached(favour if order.kind == "stop" else adverse):
            return False
        when = candle.timestamp + step
        position = self.fill(order, order.price, when, is_maker=order.kind == "limit")
        if position.stop is not None and position.is_adverse(adverse, position.stop):
            self.happen(position, "stop", position.stop, when, is_maker=False)
        return True

    def end_in_a_hole(self, known: float, row: Row | None) -> None:
        """The last tick where no candle opens: its price is the last close, and nothing opens."""
        wish = NOTHING if row is None else self.reader.read(row)
        if self.position:
            reason = self.why_close(self.position, wish, self.last, known)
            assert reason is not None
            self.close(self.position, known, self.last, reason)
            if reason == "reversed" and wish.opposite == "close":
                wish = self.count("taken")
        if self.order:
            outcome = self.why_cancel(self.order, wish, self.last)
            assert outcome is not None
            self.end_order(self.order, self.last, outcome)
        if wish.enter:
            self.count("passed_over")

    # what happens

    def happen(self, position: Position, what: str, price: float, when: int, is_maker: bool) -> None:
        """A level of a position is reached."""
        if what == "stop":
            self.close(position, price, when, position.stop_reason)
        elif what == "target":
            self.close(position, price, when, "take_profit", is_maker)
        elif what == "ladder":
            position.climb(price, is_maker, when)
        elif position.leave(what, price, is_maker, when):
            self.close(position, price, when, "closed", is_maker)

    def fill(self, order: Order, price: float, when: int, is_maker: bool) -> Position:
        """An order becomes a position."""
        self.end_order(order, when, "filled")
        self.position = Position(order.side, order.row, price, when, is_maker, self.settings, self.policy)
        return self.position

    def close(self, position: Position, price: float, when: int, reason: str, is_maker: bool = False) -> None:
        """A position ends, and its record is written; its extremes include the exit."""
        result = position.net(price, is_maker)
        position.extremes(price, result)
        self.outcome.add_trade(position, price, when, reason, result)
        self.position = None
        self.free_from = when + self.policy.get("cooldown_minutes", 0) * MINUTE

    def end_order(self, order: Order, when: int, outcome: str) -> None:
        """An order ends: "filled", "timeout" or "user"."""
        self.outcome.add_order(order, when, outcome)
        self.order = None

    # rows

    def count(self, what: str) -> Wish:
        """What became of an entry row; nothing of it is left."""
        self.outcome.rows[what] += 1
        return NOTHING

    def pass_over(self, rows: Iterable[Row]) -> None:
        """Rows whose ticks decided nothing; a target that nobody saw is no entry."""
        for row in rows:
            if "target" not in row and Reader("ignore").read(row).enter:
                self.count("passed_over")
