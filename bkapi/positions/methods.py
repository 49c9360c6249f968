"""The getters and commands as methods of ``Backtest`` and ``Live``, for a run by its names (spec engine.md 10.1)."""

from __future__ import annotations

from bkapi.base.context import Context
from bkapi.positions.commands import PositionCommands
from bkapi.positions.forms import Forms, RunsByContext
from bkapi.positions.getters import PositionView

_read = Forms(PositionView)
_ask = Forms(PositionCommands)


class PositionMethods(RunsByContext):
    """Every getter and command with a ``context``: ``{"strategy_name", "exchange_name", "frame_name"}``.

    They reach a run in progress, from a listener as well as from the loop over its results. Where a value depends on
    a price, or a command needs one, ``current_price`` stands before the context; distances are measured from the
    price known now.
    """

    get_pending_signal = _read.named_priced(PositionView.get_pending_signal)
    get_scheduled_signal = _read.named_priced(PositionView.get_scheduled_signal)
    has_no_pending_signal = _read.named(PositionView.has_no_pending_signal)
    has_no_scheduled_signal = _read.named(PositionView.has_no_scheduled_signal)
    get_strategy_status = _read.named(PositionView.get_strategy_status)
    get_position_effective_price = _read.named(PositionView.get_position_effective_price)
    get_position_invested_count = _read.named(PositionView.get_position_invested_count)
    get_position_invested_cost = _read.named(PositionView.get_position_invested_cost)
    get_position_levels = _read.named(PositionView.get_position_levels)
    get_position_pnl_percent = _read.named_priced(PositionView.get_position_pnl_percent)
    get_position_pnl_cost = _read.named_priced(PositionView.get_position_pnl_cost)
    get_position_entries = _read.named(PositionView.get_position_entries)
    get_position_partials = _read.named(PositionView.get_position_partials)
    get_total_percent_closed = _read.named(PositionView.get_total_percent_closed)
    get_total_percent_held = _read.named(PositionView.get_total_percent_held)
    get_total_cost_closed = _read.named(PositionView.get_total_cost_closed)
    get_remaining_cost_basis = _read.named(PositionView.get_remaining_cost_basis)
    get_breakeven = _read.named_priced(PositionView.get_breakeven)
    get_position_entry_overlap = _read.named_priced(PositionView.get_position_entry_overlap)
    get_position_partial_overlap = _read.named_priced(PositionView.get_position_partial_overlap)
    get_position_estimate_minutes = _read.named(PositionView.get_position_estimate_minutes)
    get_position_active_minutes = _read.named(PositionView.get_position_active_minutes)
    get_position_countdown_minutes = _read.named(PositionView.get_position_countdown_minutes)
    get_position_waiting_minutes = _read.named(PositionView.get_position_waiting_minutes)
    get_position_highest_profit_price = _read.named(PositionView.get_position_highest_profit_price)
    get_position_highest_profit_timestamp = _read.named(PositionView.get_position_highest_profit_timestamp)
    get_position_highest_profit_minutes = _read.named(PositionView.get_position_highest_profit_minutes)
    get_position_drawdown_minutes = _read.named(PositionView.get_position_drawdown_minutes)
    get_position_highest_pnl_percentage = _read.named(PositionView.get_position_highest_pnl_percentage)
    get_position_highest_pnl_cost = _read.named(PositionView.get_position_highest_pnl_cost)
    get_position_highest_profit_breakeven = _read.named(PositionView.get_position_highest_profit_breakeven)
    get_position_max_drawdown_price = _read.named(PositionView.get_position_max_drawdown_price)
    get_position_max_drawdown_timestamp = _read.named(PositionView.get_position_max_drawdown_timestamp)
    get_position_max_drawdown_minutes = _read.named(PositionView.get_position_max_drawdown_minutes)
    get_position_max_drawdown_pnl_percentage = _read.named(
        PositionView.get_position_max_drawdown_pnl_percentage
    )
    get_position_max_drawdown_pnl_cost = _read.named(PositionView.get_position_max_drawdown_pnl_cost)
    get_position_highest_profit_distance_pnl_percentage = _read.named(
        PositionView.get_position_highest_profit_distance_pnl_percentage
    )
    get_position_highest_profit_distance_pnl_cost = _read.named(
        PositionView.get_position_highest_profit_distance_pnl_cost
    )
    get_position_highest_max_drawdown_pnl_percentage = _read.named(
        PositionView.get_position_highest_max_drawdown_pnl_percentage
    )
    get_position_highest_max_drawdown_pnl_cost = _read.named(
        PositionView.get_position_highest_max_drawdown_pnl_cost
    )
    get_max_drawdown_distance_pnl_percentage = _read.named(
        PositionView.get_max_drawdown_distance_pnl_percentage
    )
    get_max_drawdown_distance_pnl_cost = _read.named(PositionView.get_max_drawdown_distance_pnl_cost)

    commit_average_buy = _ask.named_priced(PositionCommands.commit_average_buy)
    commit_partial_profit = _ask.named_valued(PositionCommands.commit_partial_profit)
    commit_partial_loss = _ask.named_valued(PositionCommands.commit_partial_loss)
    commit_partial_profit_cost = _ask.named_valued(PositionCommands.commit_partial_profit_cost)
    commit_partial_loss_cost = _ask.named_valued(PositionCommands.commit_partial_loss_cost)
    commit_trailing_stop = _ask.named_valued(PositionCommands.commit_trailing_stop)
    commit_trailing_take = _ask.named_valued(PositionCommands.commit_trailing_take)
    commit_trailing_stop_cost = _ask.named_valued(PositionCommands.commit_trailing_stop_cost)
    commit_trailing_take_cost = _ask.named_valued(PositionCommands.commit_trailing_take_cost)
    commit_breakeven = _ask.named_priced(PositionCommands.commit_breakeven)
    commit_close_pending = _ask.named(PositionCommands.commit_close_pending)
    commit_create_take_profit = _ask.named(PositionCommands.commit_create_take_profit)
    commit_create_stop_loss = _ask.named(PositionCommands.commit_create_stop_loss)
    commit_cancel_scheduled = _ask.named(PositionCommands.commit_cancel_scheduled)
    commit_activate_scheduled = _ask.named(PositionCommands.commit_activate_scheduled)
    commit_create_signal = _ask.named(PositionCommands.commit_create_signal)
    commit_signal_notify = _ask.named_priced(PositionCommands.commit_signal_notify)

    def get_paused(self, symbol: str, context: Context) -> bool:
        """Whether new signals are paused; arguments and errors as in :meth:`get_strategy_status`."""
        return self._run_of(symbol, context, "get_paused").is_paused

    def set_paused(self, symbol: str, paused: bool, context: Context) -> None:
        """Open nothing new until resumed; arguments and errors as in :meth:`get_strategy_status` (spec 10.12)."""
        self._run_of(symbol, context, "set_paused").set_paused(bool(paused))

    def stop(self, symbol: str, context: Context) -> None:
        """Open nothing new and drop what has not opened; arguments and errors as in :meth:`get_strategy_status`.

        An open position goes on to its end (spec engine.md 4.7, 10.13).
        """
        self._run_of(symbol, context, "stop").stop()
