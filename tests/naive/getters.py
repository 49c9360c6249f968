"""What can be read of a position? The getters (spec engine.md 11), named as the public functions."""

from collections.abc import Mapping
from typing import Any

from tests.naive.commands import CommandError, Commands
from tests.naive.pnl import Entry, Partial, Pnl
from tests.naive.position import Extreme, PublicRow, Row
from tests.naive.settings import MINUTE

LADDER: Mapping[str, float] = {"upper_percent": 1.5, "lower_percent": 1.5}


class Getters(Commands):
    """Getters of the strategy that runs. ``symbol`` is there because the public functions have it."""

    def get_average_price(self, symbol: str) -> float:
        """The average known now."""
        return self.price_now()

    # rows

    def get_pending_signal(self, symbol: str) -> PublicRow | None:
        """The open position."""
        return None if self.pending is None else self.public(self.pending, self.price_now())

    def get_scheduled_signal(self, symbol: str) -> PublicRow | None:
        """The resting order."""
        return None if self.scheduled is None else self.public(self.scheduled, self.price_now())

    def has_no_pending_signal(self, symbol: str) -> bool:
        """Is no position open?"""
        return self.pending is None

    def has_no_scheduled_signal(self, symbol: str) -> bool:
        """Is no order resting?"""
        return self.scheduled is None

    def get_strategy_paused(self, symbol: str) -> bool:
        """Is the strategy paused?"""
        return self.is_paused

    def get_strategy_status(self, symbol: str) -> dict[str, Any]:
        """What waits for its next candle or tick."""
        waiting = {
            "closed": self.closed_cmd,
            "cancelled": self.cancelled_cmd,
            "activated": self.activated_cmd,
            "take_profit": self.tp_fill,
            "stop_loss": self.sl_fill,
        }
        return {
            **{name: command.row.id if command else None for name, command in waiting.items()},
            "queued_signal": self.user_dto is not None,
            "queued_commits": len(self.commit_queue),
            "is_paused": self.is_paused,
        }

    # getters that raise without a position

    def _position(self, getter: str) -> Row:
        if self.pending is None:
            raise CommandError(f"{getter}: no pending signal for symbol={self.symbol}")
        return self.pending

    def get_position_effective_price(self, symbol: str) -> float:
        """Cost-weighted entry price."""
        return self._position("get_position_effective_price").effective_open()

    def get_position_invested_count(self, symbol: str) -> int:
        """Number of entries."""
        return len(self._position("get_position_invested_count").entries)

    def get_position_invested_cost(self, symbol: str) -> float:
        """USD of all entries."""
        row = self._position("get_position_invested_cost")
        return row.pnl(row.price_open, self.costs).pnl_entries or row.cost

    def get_position_levels(self, symbol: str) -> list[float]:
        """Prices of all entries."""
        return [entry.price for entry in self._position("get_position_levels").entries]

    def get_position_pnl_percent(self, symbol: str) -> float:
        """PnL now, percent of everything invested."""
        return self._position("get_position_pnl_percent").pnl(self.price_now(), self.costs).pnl_percentage

    def get_position_pnl_cost(self, symbol: str) -> float:
        """PnL now, USD."""
        return self._position("get_position_pnl_cost").pnl(self.price_now(), self.costs).pnl_cost

    # getters that answer None without a position

    def get_position_entries(self, symbol: str) -> list[Entry] | None:
        """All entries."""
        return None if self.pending is None else list(self.pending.entries)

    def get_position_partials(self, symbol: str) -> list[Partial] | None:
        """All partial closes."""
        return None if self.pending is None else list(self.pending.partials)

    def get_total_percent_closed(self, symbol: str) -> float | None:
        """Percent still held, whatever the name says (trap 16)."""
        return None if self.pending is None else 100 - self.pending.closed_percent()

    get_total_percent_held = get_total_percent_closed

    def get_total_cost_closed(self, symbol: str) -> float | None:
        """USD of the basis still held, whatever the name says (trap 16)."""
        return None if self.pending is None else self.pending.remaining_cost()

    get_remaining_cost_basis = get_total_cost_closed

    def get_breakeven(self, symbol: str, price: float) -> bool:
        """Could the stop stand at the entry, were ``price`` the market?"""
        return self.pending is not None and self.breakeven_allowed(self.pending, price)

    # clocks

    def _minutes_since(self, timestamp: int | None) -> int | None:
        return None if timestamp is None else (self.when - timestamp) // MINUTE

    def get_position_estimate_minutes(self, symbol: str) -> float | None:
        """Lifetime."""
        return None if self.pending is None else self.pending.minute_estimated_time

    def get_position_active_minutes(self, symbol: str) -> int | None:
        """Minutes since the position opened."""
        return None if self.pending is None else self._minutes_since(self.pending.pending_at)

    def get_position_countdown_minutes(self, symbol: str) -> float | None:
        """Minutes until it expires."""
        if self.pending is None:
            return None
        return max(0, self.pending.minute_estimated_time - (self.when - self.pending.pending_at) // MINUTE)

    def get_position_waiting_minutes(self, symbol: str) -> int | None:
        """Minutes since the resting order was created."""
        return None if self.scheduled is None else self._minutes_since(self.scheduled.scheduled_at)

    # extremes

    def _peak(self) -> Extreme | None:
        return None if self.pending is None else self.pending.peak

    def _fall(self) -> Extreme | None:
        return None if self.pending is None else self.pending.fall

    def _pnl_now(self) -> Pnl | None:
        return None if self.pending is None else self.pending.pnl(self.price_now(), self.costs)

    def get_position_highest_profit_price(self, symbol: str) -> float | None:
        """Best average so far."""
        peak = self._peak()
        return None if peak is None else peak.price

    def get_position_highest_profit_timestamp(self, symbol: str) -> int | None:
        """When it was seen."""
        peak = self._peak()
        return None if peak is None else peak.timestamp

    def get_position_highest_pnl_percentage(self, symbol: str) -> float | None:
        """PnL there, percent."""
        peak = self._peak()
        return None if peak is None else peak.pnl_percentage

    def get_position_highest_pnl_cost(self, symbol: str) -> float | None:
        """PnL there, USD."""
        peak = self._peak()
        return None if peak is None else peak.pnl_cost

    def get_position_highest_profit_breakeven(self, symbol: str) -> bool | None:
        """Was the breakeven threshold of today's effective entry ever reached?"""
        row = self.pending
        if row is None or row.peak.price is None:
            return None
        return self.breakeven_reached(row, row.peak.price)

    def get_position_highest_profit_minutes(self, symbol: str) -> int | None:
        """Minutes since the best average."""
        peak = self._peak()
        return None if peak is None else self._minutes_since(peak.timestamp)

    get_position_drawdown_minutes = get_position_highest_profit_minutes

    def get_position_max_drawdown_price(self, symbol: str) -> float | None:
        """Worst average so far."""
        fall = self._fall()
        return None if fall is None else fall.price

    def get_position_max_drawdown_timestamp(self, symbol: str) -> int | None:
        """When it was seen."""
        fall = self._fall()
        return None if fall is None else fall.timestamp

    def get_position_max_drawdown_pnl_percentage(self, symbol: str) -> float | None:
        """PnL there, percent."""
        fall = self._fall()
        return None if fall is None else fall.pnl_percentage

    def get_position_max_drawdown_pnl_cost(self, symbol: str) -> float | None:
        """PnL there, USD."""
        fall = self._fall()
        return None if fall is None else fall.pnl_cost

    def get_position_max_drawdown_minutes(self, symbol: str) -> int | None:
        """Minutes since the worst average."""
        fall = self._fall()
        return None if fall is None else self._minutes_since(fall.timestamp)

    # distances, never negative

    def get_position_highest_profit_distance_pnl_percentage(self, symbol: str) -> float | None:
        """Percent given back since the peak."""
        peak, now = self._peak(), self._pnl_now()
        return None if peak is None or now is None else max(0, peak.pnl_percentage - now.pnl_percentage)

    def get_position_highest_profit_distance_pnl_cost(self, symbol: str) -> float | None:
        """USD given back since the peak."""
        peak, now = self._peak(), self._pnl_now()
        return None if peak is None or now is None else max(0, peak.pnl_cost - now.pnl_cost)

    def get_position_highest_max_drawdown_pnl_percentage(self, symbol: str) -> float | None:
        """Percent won back since the fall."""
        fall, now = self._fall(), self._pnl_now()
        return None if fall is None or now is None else max(0, now.pnl_percentage - fall.pnl_percentage)

    def get_position_highest_max_drawdown_pnl_cost(self, symbol: str) -> float | None:
        """USD won back since the fall."""
        fall, now = self._fall(), self._pnl_now()
        return None if fall is None or now is None else max(0, now.pnl_cost - fall.pnl_cost)

    def get_max_drawdown_distance_pnl_percentage(self, symbol: str) -> float | None:
        """Percent between peak and fall."""
        peak, fall = self._peak(), self._fall()
        return None if peak is None or fall is None else max(0, peak.pnl_percentage - fall.pnl_percentage)

    def get_max_drawdown_distance_pnl_cost(self, symbol: str) -> float | None:
        """USD between peak and fall."""
        peak, fall = self._peak(), self._fall()
        return None if peak is None or fall is None else max(0, peak.pnl_cost - fall.pnl_cost)

    # overlaps

    def get_position_entry_overlap(
        self, symbol: str, price: float, ladder: Mapping[str, float] = LADDER
    ) -> bool:
        """Is ``price`` near an entry?"""
        levels = [] if self.pending is None else [entry.price for entry in self.pending.entries]
        return overlaps(levels, price, ladder)

    def get_position_partial_overlap(
        self, symbol: str, price: float, ladder: Mapping[str, float] = LADDER
    ) -> bool:
        """Is ``price`` near a partial close?"""
        levels = [] if self.pending is None else [partial.current_price for partial in self.pending.partials]
        return overlaps(levels, price, ladder)


def overlaps(levels: list[float], price: float, ladder: Mapping[str, float]) -> bool:
    """Is ``price`` within the steps of the ladder around any level, bounds included?"""
    return any(
        level - (level * ladder["lower_percent"]) / 100
        <= price
        <= level + (level * ladder["upper_percent"]) / 100
        for level in levels
    )
