"""Which trades does a signal frame make at real prices? One candle after the other, step by step (spec fills.md 3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.naive.fills.position import Position
from tests.naive.fills.rows import NOTHING, Reader, Row, Wish, is_refused
from tests.naive.market import Candle
from tests.naive.settings import MINUTE, interval_ms

SIDE_NAMES = {1: "long", -1: "short"}


@dataclass
class Order:
    """A resting order; ``kind`` is "limit" or "stop"."""

    side: int
    kind: str
    price: float
    placed_at: int
    row: Row

    def is_reached(self, candle_price: float) -> bool:
        """Whether a price is at or beyond the order: adverse for a limit, favourable for a stop entry."""
        direction = self.side if self.kind == "stop" else -self.side
        return direction * (candle_price - self.price) >= 0


@dataclass
class Outcome:
    """What a run gave: records of trades and orders in the order of their ends, and entry rows counted."""

    trades: list[dict[str, Any]] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    rows: Counter[str] = field(default_factory=Counter)


def run(
    candles: Iterable[Sequence[float]],
    rows: Iterable[Row],
    settings: Mapping[str, Any],
    policy: Mapping[str, Any],
    *,
    start_ms: int,
    end_ms: int,
    interval: str,
) -> Outcome:
    """Everything that happens between two times.

    candles    open time in ms UTC, open, high, low, close, volume; sorted, some may be missing
    rows       the signal frame, sorted; columns as in fills.md 4
    settings   CC_ values; a guard that is missing is off
    policy     fields of the policy, and of the strategy (``on_opposite``, ``exit_profit_only``, ...)
    """
    step = interval_ms(interval)
    last = start_ms + (end_ms - start_ms) // step * step
    seen = [Candle(int(row[0]), *row[1:6]) for row in candles if row[0] <= last]
    by_tick = {row["timestamp"]: row for row in rows if start_ms <= row["timestamp"] <= last}
    machine = Machine(settings, policy, last)
    before: Candle | None = None
    for candle in seen:
        if candle.timestamp >= start_ms:
            here = [candle.timestamp]
            if before is not None and start_ms <= before.timestamp + step < candle.timestamp:
                here.insert(0, before.timestamp + step)
            machine.candle(candle, before, [by_tick.pop(tick) for tick in here if tick in by_tick], step)
        before = candle
    if before is not None and before.timestamp < last:
        at_end = [by_tick.pop(last)] if before.timestamp + step == last and last in by_tick else []
        machine.end_in_a_hole(before.close, at_end)
    machine.pass_over(by_tick.values())
    return machine.outcome


class Machine:
    """The state between two candles: a position, or an order, or neither."""

    def __init__(self, settings: Mapping[str, Any], policy: Mapping[str, Any], last: int) -> None:
        self.settings, self.policy, self.last = settings, policy, last
        self.reader = Reader(policy.get("on_opposite", "ignore"))
        self.outcome = Outcome()
        self.position: Position | None = None
        self.order: Order | None = None
        self.free_from = float("-inf")

    # one candle

    def candle(self, candle: Candle, before: Candle | None, rows: Sequence[Row], step: int) -> None:
        """The open of a candle, what happens inside it, and its end."""
        (row,) = rows or [None]
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
        if position.wants_close:
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
        while self.position and position.is_adverse(price, position.next_loss()):
            self.happen(position, "loss", price, tick, is_maker=False)
        while self.position and position.is_adverse(price, position.next_ladder()):
            self.happen(position, "ladder", price, tick, is_maker=False)
        while self.position and position.is_favourable(price, position.next_profit(tick)):
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
        if order.side in wish.exits:
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
            reached = [one for one in position.adverse_levels() if position.is_adverse(adverse, one.price)]
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

    def end_in_a_hole(self, known: float, rows: Sequence[Row]) -> None:
        """The last tick where no candle opens: its price is the last close, and nothing opens."""
        wish = self.reader.read(rows[0]) if rows else NOTHING
        if self.position:
            reason = self.why_close(self.position, wish, self.last, known)
            assert reason is not None
            self.close(self.position, known, self.last, reason)
        if self.order:
            self.end_order(self.order, self.last, "user" if self.order.side in wish.exits else "timeout")
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
            position.enter(price, position.next_cost, is_maker, when)
            position.next_cost *= self.policy.get("dca_cost_factor", 1)
        else:
            name, done = f"partial_{what}", position.profits_done
            if what == "profit":
                position.profits_done += 1
            else:
                done = position.losses_done
                position.losses_done += 1
            pairs = self.policy.get(f"{name}_percent") or self.policy[name]
            if position.leave(price, pairs[done][1], name, is_maker, when):
                self.close(position, price, when, "closed", is_maker)

    def fill(self, order: Order, price: float, when: int, is_maker: bool) -> Position:
        """An order becomes a position."""
        self.end_order(order, when, "filled")
        self.position = Position(order.side, order.row, price, when, is_maker, self.settings, self.policy)
        return self.position

    def close(
        self, position: Position, price: float, when: int, reason: str, is_maker: bool = False
    ) -> None:
        """A position ends, and its record is written; its extremes include the exit."""
        result = position.net(price, is_maker)
        position.extremes(price, result)
        self.outcome.trades.append(
            {
                "side": SIDE_NAMES[position.side],
                "opened_at": position.opened_at,
                "ended_at": when,
                "price_open": position.price(),
                "close_price": price,
                "reason": reason,
                "entries": len(position.entries),
                "partials": len(position.partials),
                "pnl_percent": result,
                "peak_price": position.peak.price,
                "peak_percent": max(position.peak.percent, result),
                "fall_price": position.fall.price,
                "fall_percent": min(position.fall.percent, result),
            }
        )
        self.position = None
        self.free_from = when + self.policy.get("cooldown_minutes", 0) * MINUTE

    def end_order(self, order: Order, when: int, outcome: str) -> None:
        """An order ends: "filled", "timeout" or "user"."""
        self.outcome.orders.append(
            {
                "side": SIDE_NAMES[order.side],
                "kind": order.kind,
                "price": order.price,
                "placed_at": order.placed_at,
                "ended_at": when,
                "outcome": outcome,
            }
        )
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
