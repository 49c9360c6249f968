"""What can users read of a running strategy and its position? The getters (spec engine.md 11).

Prices are in quote currency, costs in USD, percents are percent, times ms UTC, durations whole minutes. Getters of an
open position return None without one, unless they say that they raise.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypedDict

from bkapi.errors import NoPositionError
from bkapi.events.results import EntryRecord, PartialRecord, PnlRecord, PublicSignal
from bkapi.positions.forms import Forms, View
from bkcore.intervals import MINUTE_MS
from bkcore.machine.commands import breakeven_allowed


class Ladder(TypedDict):
    """How near is near: percent above and below a level."""

    upper_percent: float
    lower_percent: float


#: The ladder of the overlap getters (spec engine.md 2).
DEFAULT_LADDER: Final[Ladder] = {"upper_percent": 1.5, "lower_percent": 1.5}


class PositionView(View):
    """A strategy that runs, its open position and its resting order, read at one price."""

    __slots__ = ()

    # rows

    def get_pending_signal(self) -> PublicSignal | None:
        """The open position, its ``pnl`` at the price."""
        if self.run.position() is None:
            return None
        return self.run.rows.public(self.run.trade, self.price)

    def get_scheduled_signal(self) -> PublicSignal | None:
        """The resting order; None without one."""
        if self.run.resting() is None:
            return None
        return self.run.rows.public(self.run.trade, self.price)

    def has_no_pending_signal(self) -> bool:
        """Whether no position is open."""
        return self.run.position() is None

    def has_no_scheduled_signal(self) -> bool:
        """Whether no order is resting."""
        return self.run.resting() is None

    # the strategy

    def get_strategy_status(self) -> dict[str, Any]:
        """What waits for the next candle or tick: deferred commands, queued signal, commits, and the pause flag."""
        return self.run.status()

    def get_strategy_paused(self) -> bool:
        """Whether new signals are paused."""
        return self.run.is_paused

    # entries and partial closes

    def get_position_effective_price(self) -> float:
        """Cost-weighted entry price (spec engine.md 9.2). Raises :class:`NoPositionError` without a position."""
        price: float = self._required().effective_open
        return price

    def get_position_invested_count(self) -> int:
        """Number of entries. Raises :class:`NoPositionError` without a position."""
        count: int = self._required().entry_count
        return count

    def get_position_invested_cost(self) -> float:
        """Cost of all entries, closed parts included. Raises :class:`NoPositionError` without a position."""
        position = self._required()
        cost: float = position.invested or position.cost
        return cost

    def get_position_levels(self) -> list[float]:
        """Prices of all entries, the first one first. Raises :class:`NoPositionError` without a position."""
        return self._entry_prices(self._required())

    def get_position_pnl_percent(self) -> float:
        """Result of closing everything at the price, after costs, in percent of what was invested (spec 9.4).

        Raises :class:`NoPositionError` without a position.
        """
        self._required()
        return self._pnl().pnl_percentage

    def get_position_pnl_cost(self) -> float:
        """Result of closing everything at the price, after costs, in USD (spec engine.md 9.4).

        Raises :class:`NoPositionError` without a position.
        """
        self._required()
        return self._pnl().pnl_cost

    def get_position_entries(self) -> list[EntryRecord] | None:
        """Every entry: price, cost and time."""
        signal = self.get_pending_signal()
        return None if signal is None else list(signal.entries)

    def get_position_partials(self) -> list[PartialRecord] | None:
        """Every partial close; empty when there was none."""
        signal = self.get_pending_signal()
        return None if signal is None else list(signal.partials)

    def get_total_percent_closed(self) -> float | None:
        """Percent of the position that is still HELD, whatever the name says (spec engine.md, trap 16)."""
        closed = self._number("closed_percent")
        return None if closed is None else 100 - closed

    def get_total_percent_held(self) -> float | None:
        """Percent of the position that is still held."""
        return self.get_total_percent_closed()

    def get_total_cost_closed(self) -> float | None:
        """Cost basis that is still HELD, whatever the name says (spec engine.md, trap 16)."""
        return self._number("remaining")

    def get_remaining_cost_basis(self) -> float | None:
        """Cost basis that is still held (spec engine.md 9.3)."""
        return self._number("remaining")

    # breakeven and nearness

    def get_breakeven(self) -> bool:
        """Whether the stop could stand at the entry, were the price the market; False without a position.

        The rule of ``commit_breakeven`` without its look at the take-profit (spec engine.md 10.7, steps 2 and 3).
        """
        if self.run.position() is None:
            return False
        machine = self.run.run
        return bool(breakeven_allowed(machine.settings, machine.trades, self.run.trade, self.price))

    def get_position_entry_overlap(self, ladder: Ladder = DEFAULT_LADDER) -> bool:
        """Whether the price is near an entry: within the steps of ``ladder``, bounds included."""
        position = self.run.position()
        return position is not None and _is_near(self.price, self._entry_prices(position), ladder)

    def get_position_partial_overlap(self, ladder: Ladder = DEFAULT_LADDER) -> bool:
        """Whether the price is near a partial close: within the steps of ``ladder``, bounds included."""
        position = self.run.position()
        if position is None:
            return False
        first, count = position.partial_first, position.partial_count
        prices = self.run.run.partials["price"][first : first + count].tolist()
        return _is_near(self.price, prices, ladder)

    # clocks

    def get_position_estimate_minutes(self) -> float | None:
        """Lifetime in minutes, ``inf`` for a position without an end."""
        return self._number("lifetime")

    def get_position_active_minutes(self) -> int | None:
        """Minutes since the position opened."""
        return self._minutes_since(self.run.position(), "pending_at")

    def get_position_countdown_minutes(self) -> float | None:
        """Minutes until the position expires, never below 0."""
        lifetime, active = self._number("lifetime"), self.get_position_active_minutes()
        return None if lifetime is None or active is None else max(0.0, lifetime - active)

    def get_position_waiting_minutes(self) -> int | None:
        """Minutes since the resting order was created; None without one."""
        return self._minutes_since(self.run.resting(), "scheduled_at")

    # the best moment so far

    def get_position_highest_profit_price(self) -> float | None:
        """Best average price so far; the first entry before there was any profit (spec engine.md 8.4)."""
        return self._number("peak_price")

    def get_position_highest_profit_timestamp(self) -> int | None:
        """When the best price was seen, ms UTC."""
        return self._time("peak_time")

    def get_position_highest_profit_minutes(self) -> int | None:
        """Minutes since the best price was seen."""
        return self._minutes_since(self.run.position(), "peak_time")

    def get_position_drawdown_minutes(self) -> int | None:
        """Minutes since the best price was seen."""
        return self.get_position_highest_profit_minutes()

    def get_position_highest_pnl_percentage(self) -> float | None:
        """Result at the best price, percent; 0 before there was any profit."""
        return self._number("peak_pnl_percent")

    def get_position_highest_pnl_cost(self) -> float | None:
        """Result at the best price, USD; 0 before there was any profit."""
        return self._number("peak_pnl_cost")

    def get_position_highest_profit_breakeven(self) -> bool | None:
        """Whether the best price reached the breakeven threshold of today's effective entry (spec 8.6, trap 23)."""
        position = self.run.position()
        if position is None:
            return None
        threshold = position.side * self.run.settings.breakeven_percent
        target = position.effective_open * (1 + threshold / 100)
        return bool(position.side * (position.peak_price - target) >= 0)

    # the worst moment so far

    def get_position_max_drawdown_price(self) -> float | None:
        """Worst average price so far (spec engine.md 8.4)."""
        return self._number("fall_price")

    def get_position_max_drawdown_timestamp(self) -> int | None:
        """When the worst price was seen, ms UTC."""
        return self._time("fall_time")

    def get_position_max_drawdown_minutes(self) -> int | None:
        """Minutes since the worst price was seen."""
        return self._minutes_since(self.run.position(), "fall_time")

    def get_position_max_drawdown_pnl_percentage(self) -> float | None:
        """Result at the worst price, percent; from the start the costs of an immediate exit."""
        return self._number("fall_pnl_percent")

    def get_position_max_drawdown_pnl_cost(self) -> float | None:
        """Result at the worst price, USD; from the start the costs of an immediate exit."""
        return self._number("fall_pnl_cost")

    # distances, never negative

    def get_position_highest_profit_distance_pnl_percentage(self) -> float | None:
        """Percent given back since the best moment: its result minus the present one, at least 0."""
        best = self._number("peak_pnl_percent")
        return None if best is None else max(0.0, best - self._pnl().pnl_percentage)

    def get_position_highest_profit_distance_pnl_cost(self) -> float | None:
        """USD given back since the best moment: its result minus the present one, at least 0."""
        best = self._number("peak_pnl_cost")
        return None if best is None else max(0.0, best - self._pnl().pnl_cost)

    def get_position_highest_max_drawdown_pnl_percentage(self) -> float | None:
        """Percent won back since the worst moment: the present result minus its, at least 0."""
        worst = self._number("fall_pnl_percent")
        return None if worst is None else max(0.0, self._pnl().pnl_percentage - worst)

    def get_position_highest_max_drawdown_pnl_cost(self) -> float | None:
        """USD won back since the worst moment: the present result minus its, at least 0."""
        worst = self._number("fall_pnl_cost")
        return None if worst is None else max(0.0, self._pnl().pnl_cost - worst)

    def get_max_drawdown_distance_pnl_percentage(self) -> float | None:
        """Percent between the best and the worst moment, at least 0."""
        best, worst = self._number("peak_pnl_percent"), self._number("fall_pnl_percent")
        return None if best is None or worst is None else max(0.0, best - worst)

    def get_max_drawdown_distance_pnl_cost(self) -> float | None:
        """USD between the best and the worst moment, at least 0."""
        best, worst = self._number("peak_pnl_cost"), self._number("fall_pnl_cost")
        return None if best is None or worst is None else max(0.0, best - worst)

    # what the getters are made of

    def _required(self) -> Any:
        position = self.run.position()
        if position is None:
            raise NoPositionError(f"{self.source} no pending signal for {self}")
        return position

    def _number(self, field: str) -> float | None:
        position = self.run.position()
        number: float | None = None if position is None else getattr(position, field)
        return number

    def _time(self, field: str) -> int | None:
        position = self.run.position()
        time: int | None = None if position is None else getattr(position, field)
        return time

    def _minutes_since(self, row: Any, field: str) -> int | None:
        return None if row is None else (self.run.now_ms() - int(getattr(row, field))) // MINUTE_MS

    def _pnl(self) -> PnlRecord:
        return self.run.rows.pnl(self.run.trade, self.price)

    def _entry_prices(self, position: Any) -> list[float]:
        first, count = position.entry_first, position.entry_count
        prices: list[float] = self.run.run.entries["price"][first : first + count].tolist()
        return prices


def _is_near(price: float, levels: Iterable[float], ladder: Ladder) -> bool:
    lower, upper = ladder["lower_percent"], ladder["upper_percent"]
    return any(level - (level * lower) / 100 <= price <= level + (level * upper) / 100 for level in levels)


_forms = Forms(PositionView)
get_pending_signal = _forms.ambient(PositionView.get_pending_signal)
get_scheduled_signal = _forms.ambient(PositionView.get_scheduled_signal)
has_no_pending_signal = _forms.ambient(PositionView.has_no_pending_signal)
has_no_scheduled_signal = _forms.ambient(PositionView.has_no_scheduled_signal)
get_strategy_status = _forms.ambient(PositionView.get_strategy_status)
get_strategy_paused = _forms.ambient(PositionView.get_strategy_paused)
get_position_effective_price = _forms.ambient(PositionView.get_position_effective_price)
get_position_invested_count = _forms.ambient(PositionView.get_position_invested_count)
get_position_invested_cost = _forms.ambient(PositionView.get_position_invested_cost)
get_position_levels = _forms.ambient(PositionView.get_position_levels)
get_position_pnl_percent = _forms.ambient(PositionView.get_position_pnl_percent)
get_position_pnl_cost = _forms.ambient(PositionView.get_position_pnl_cost)
get_position_entries = _forms.ambient(PositionView.get_position_entries)
get_position_partials = _forms.ambient(PositionView.get_position_partials)
get_total_percent_closed = _forms.ambient(PositionView.get_total_percent_closed)
get_total_percent_held = _forms.ambient(PositionView.get_total_percent_held)
get_total_cost_closed = _forms.ambient(PositionView.get_total_cost_closed)
get_remaining_cost_basis = _forms.ambient(PositionView.get_remaining_cost_basis)
get_breakeven = _forms.ambient_priced(PositionView.get_breakeven)
get_position_entry_overlap = _forms.ambient_priced(PositionView.get_position_entry_overlap)
get_position_partial_overlap = _forms.ambient_priced(PositionView.get_position_partial_overlap)
get_position_estimate_minutes = _forms.ambient(PositionView.get_position_estimate_minutes)
get_position_active_minutes = _forms.ambient(PositionView.get_position_active_minutes)
get_position_countdown_minutes = _forms.ambient(PositionView.get_position_countdown_minutes)
get_position_waiting_minutes = _forms.ambient(PositionView.get_position_waiting_minutes)
get_position_highest_profit_price = _forms.ambient(PositionView.get_position_highest_profit_price)
get_position_highest_profit_timestamp = _forms.ambient(PositionView.get_position_highest_profit_timestamp)
get_position_highest_profit_minutes = _forms.ambient(PositionView.get_position_highest_profit_minutes)
get_position_drawdown_minutes = _forms.ambient(PositionView.get_position_drawdown_minutes)
get_position_highest_pnl_percentage = _forms.ambient(PositionView.get_position_highest_pnl_percentage)
get_position_highest_pnl_cost = _forms.ambient(PositionView.get_position_highest_pnl_cost)
get_position_highest_profit_breakeven = _forms.ambient(PositionView.get_position_highest_profit_breakeven)
get_position_max_drawdown_price = _forms.ambient(PositionView.get_position_max_drawdown_price)
get_position_max_drawdown_timestamp = _forms.ambient(PositionView.get_position_max_drawdown_timestamp)
get_position_max_drawdown_minutes = _forms.ambient(PositionView.get_position_max_drawdown_minutes)
get_position_max_drawdown_pnl_percentage = _forms.ambient(
    PositionView.get_position_max_drawdown_pnl_percentage
)
get_position_max_drawdown_pnl_cost = _forms.ambient(PositionView.get_position_max_drawdown_pnl_cost)
get_position_highest_profit_distance_pnl_percentage = _forms.ambient(
    PositionView.get_position_highest_profit_distance_pnl_percentage
)
get_position_highest_profit_distance_pnl_cost = _forms.ambient(
    PositionView.get_position_highest_profit_distance_pnl_cost
)
get_position_highest_max_drawdown_pnl_percentage = _forms.ambient(
    PositionView.get_position_highest_max_drawdown_pnl_percentage
)
get_position_highest_max_drawdown_pnl_cost = _forms.ambient(
    PositionView.get_position_highest_max_drawdown_pnl_cost
)
get_max_drawdown_distance_pnl_percentage = _forms.ambient(
    PositionView.get_max_drawdown_distance_pnl_percentage
)
get_max_drawdown_distance_pnl_cost = _forms.ambient(PositionView.get_max_drawdown_distance_pnl_cost)
