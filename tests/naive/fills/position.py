"""What does a position hold: its levels in force, its history and its extremes? (spec fills.md 3, 5 and 8)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.naive.fills.costs import Costs, Rates, result_percent
from tests.naive.fills.rows import Row, at_least, lifetime, stop_loss, take_profit
from tests.naive.market import Candle
from tests.naive.pnl import Entry, Partial, closed_share, effective_entry
from tests.naive.settings import MINUTE


class Extreme(NamedTuple):
    """Best or worst price of a position and its net percent there."""

    price: float
    percent: float


class Level(NamedTuple):
    """Where something happens; ``what`` is "stop", "target", "loss", "profit" or "ladder"."""

    price: float
    what: str


class Position:
    """One open position; ``side`` is +1 long, -1 short, times are ms UTC."""

    def __init__(
        self,
        side: int,
        row: Row,
        price: float,
        when: int,
        is_maker: bool,
        settings: Mapping[str, Any],
        policy: Mapping[str, Any],
    ) -> None:
        self.side, self.row, self.opened_at, self.policy = side, row, when, policy
        self.costs = Costs.of(settings, row)
        cost = row.get("cost") or settings["CC_POSITION_ENTRY_COST"]
        self.entries: list[tuple[Entry, Rates]] = []
        self.partials: list[tuple[Partial, Rates]] = []
        self.next_cost = policy.get("dca_cost") or cost
        self.stop, self.stop_reason = stop_loss(row, side, price), "stop_loss"
        self.given_target = take_profit(row, side, price)
        self.enter(price, cost, is_maker, when)
        self.lifetime = lifetime(row, policy)
        self.done = {"loss": 0, "profit": 0}
        self.best = self.worst = price
        self.peak = self.fall = Extreme(price, self.net(price))
        self.wants_close = False

    # what it holds

    def price(self) -> float:
        """Effective entry, raw; of a single entry exactly its price. What is sold does not change it."""
        return self.average

    def _average(self) -> float:
        if len(self.entries) == 1:
            return self.entries[0][0].price
        entries = [entry for entry, _ in self.entries]
        return effective_entry(entries, [partial for partial, _ in self.partials], entries[0].price)

    def net(self, price: float, is_maker: bool = False) -> float:
        """Net percent if all that is left were closed at ``price``, as a taker if nothing else is said."""
        rates = self.costs.maker if is_maker else self.costs.taker
        return result_percent(self.side, self.entries, self.partials, price, rates)

    def enter(self, price: float, cost: float, is_maker: bool, when: int) -> None:
        """The first entry, or one of the ladder; a target that follows the average is set anew."""
        rates = self.costs.maker if is_maker else self.costs.taker
        self.entries.append((Entry(price, cost, when), rates))
        self.average = self._average()
        from_average = self.policy.get("target_from_average_percent")
        if from_average is not None:
            self.given_target = self.price() * (1 + self.side * from_average / 100)

    def climb(self, price: float, is_maker: bool, when: int) -> None:
        """The next entry of the ladder."""
        self.enter(price, self.next_cost, is_maker, when)
        self.next_cost *= self.policy.get("dca_cost_factor", 1)

    def leave(self, what: str, price: float, is_maker: bool, when: int) -> bool:
        """The next partial "loss" or "profit"; whether it leaves nothing."""
        pairs = self.policy.get(f"partial_{what}_percent") or self.policy[f"partial_{what}"]
        percent = pairs[self.done[what]][1]
        self.done[what] += 1
        _, left = closed_share([one for one, _ in self.entries], [one for one, _ in self.partials])
        rates = self.costs.maker if is_maker else self.costs.taker
        self.partials.append((Partial(what, percent, price, left, len(self.entries), when), rates))
        return bool(percent >= 100)

    # levels in force

    def target(self, when: int) -> float | None:
        """The target in force in the candle that opens at ``when``: the nearest of all that are given."""
        minutes = (when - self.opened_at) / MINUTE
        passed = [percent for since, percent in self.policy.get("take_profit_steps", ()) if since <= minutes]
        step = self.price() * (1 + self.side * passed[-1] / 100) if passed else None
        given = [one for one in (self.given_target, step) if one is not None]
        return min(given, key=lambda price: self.side * price, default=None)

    def next_partial(self, what: str, when: int) -> float | None:
        """The level of the next partial "loss" or "profit" in the candle that opens at ``when``."""
        goal, direction = (self.stop, -self.side) if what == "loss" else (self.target(when), self.side)
        number = self.done[what]
        way, percents = self.policy.get(f"partial_{what}", ()), self.policy.get(f"partial_{what}_percent", ())
        if number < len(percents):
            return self.price() * (1 + direction * percents[number][0] / 100)
        if number < len(way) and goal is not None:
            return self.price() + way[number][0] / 100 * (goal - self.price())
        return None

    def next_ladder(self) -> float | None:
        """The level of the next entry."""
        step = self.policy.get("dca_step_percent")
        if step is None or len(self.entries) >= self.policy.get("dca_most_entries", 2):
            return None
        return self.entries[-1][0].price * (1 - self.side * step / 100)

    def adverse_levels(self, when: int) -> list[Level]:
        """Levels that wait on the adverse side; of equal ones the first counts."""
        return levels(stop=self.stop, loss=self.next_partial("loss", when), ladder=self.next_ladder())

    def favourable_levels(self, when: int) -> list[Level]:
        """Levels that wait on the favourable side; of equal ones the first counts."""
        return levels(profit=self.next_partial("profit", when), target=self.target(when))

    def is_adverse(self, price: float, level: float | None) -> bool:
        """Whether ``price`` is at or beyond a level on the adverse side."""
        return level is not None and self.side * (price - level) <= 0

    def is_favourable(self, price: float, level: float | None) -> bool:
        """Whether ``price`` is at or beyond a level on the favourable side."""
        return level is not None and self.side * (price - level) >= 0

    # what moves them

    def move_stop(self, price: float, reason: str) -> None:
        """Only a strictly tighter stop is taken; it brings the reason for which it will close."""
        if self.stop is None or self.side * (price - self.stop) > 0:
            self.stop, self.stop_reason = price, reason

    def take_row_levels(self, row: Row) -> None:
        """``set_stop_loss`` and ``set_take_profit`` of a row that found this position open."""
        stop, target = row.get("set_stop_loss"), row.get("set_take_profit")
        if stop is not None:
            if self.policy.get("stop_may_loosen") and stop != self.stop:
                self.stop, self.stop_reason = stop, "stop_loss"
            else:
                self.move_stop(stop, "stop_loss")
        if target is not None:
            self.given_target = target

    def see(self, candle: Candle, filled_inside: bool) -> None:
        """The end of a candle: the extremes, then the rules of the policy for the next one (step 6)."""
        self._remember(candle, filled_inside)
        s, policy = self.side, self.policy
        ahead = s * (self.best / self.price() - 1) * 100
        from_move = policy.get("breakeven_from_percent")
        if from_move is not None and at_least(ahead, from_move):
            self.move_stop(
                self.price() * (1 + s * policy.get("breakeven_offset_percent", 0) / 100), "trailing_stop"
            )
        in_price, in_percent = self.row.get("trail_distance"), policy.get("trailing_stop_distance_percent")
        if at_least(ahead, policy.get("trailing_stop_from_percent", 0)):
            if in_price is not None:
                self.move_stop(self.best - s * in_price, "trailing_stop")
            elif in_percent is not None:
                self.move_stop(self.best * (1 - s * in_percent / 100), "trailing_stop")
        in_percent = policy.get("trailing_take_distance_percent")
        behind = -s * (self.worst / self.price() - 1) * 100
        if in_percent is not None and at_least(behind, policy.get("trailing_take_from_percent", 0)):
            wanted = self.worst * (1 + s * in_percent / 100)
            target = self.target(candle.timestamp)
            if target is None or s * (wanted - target) < 0:
                self.given_target = wanted
        result = self.net(candle.close)
        profit, loss = policy.get("close_at_profit_percent"), policy.get("close_at_loss_percent")
        self.wants_close = (profit is not None and at_least(result, profit)) or (
            loss is not None and at_least(-result, loss)
        )

    def _remember(self, candle: Candle, filled_inside: bool) -> None:
        s = self.side
        favour, adverse = (candle.high, candle.low) if s > 0 else (candle.low, candle.high)
        if filled_inside:
            favour = candle.close  # what came before the fill was not seen by this position
        self.extremes(favour, self.net(favour))
        self.extremes(adverse, self.net(adverse))
        if self.policy.get("trailing_by") == "close":
            favour = adverse = candle.close
        self.best = max(self.best, favour, key=lambda price: s * price)
        self.worst = min(self.worst, adverse, key=lambda price: s * price)

    def extremes(self, price: float, percent: float) -> None:
        """Let ``price``, at which closing gives ``percent``, count for peak and fall."""
        if self.side * (price - self.peak.price) > 0:
            self.peak = Extreme(price, percent)
        if self.side * (price - self.fall.price) < 0:
            self.fall = Extreme(price, percent)


def levels(**prices: float | None) -> list[Level]:
    """Those of the named levels that there are, in the order given."""
    return [Level(price, what) for what, price in prices.items() if price is not None]
