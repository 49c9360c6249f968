"""How an order or a position begins, changes and ends at real prices; each says so in the log (spec fills.md 2, 8).

``by_maker`` says that the fill rested until the price came: it pays the maker's fee and no slippage. ``tables`` is
:class:`bkcore.machine.records.RunTables`, prices are quote currency, times ms UTC. Whoever ends or changes something
learns whether the caller of the run wants to hear it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, uint64

from bkcore.jit import routine, rule
from bkcore.machine.codes import (
    CancelReason,
    CloseReason,
    Commit,
    Deferred,
    EventKind,
    Given,
    OrderKind,
    Status,
    Violation,
)
from bkcore.machine.commands import queue_commit, write_revision
from bkcore.machine.fills.levels import renew_target
from bkcore.machine.log_rows import write_commit, write_event
from bkcore.machine.pnl import add_partial, pnl_of_fill, renew
from bkcore.machine.policy import next_entry_cost
from bkcore.machine.rules import (
    bracket_price,
    cancel_row,
    compare_level,
    fill_row,
    is_price,
    open_position,
    price_extremes,
)


@rule
def level_of(given: Any, share: Any, side: Any, entry: Any) -> Any:
    """A level of a row: a price, or a ``share`` (fraction) of ``entry`` towards ``side`` where that is given."""
    return given if np.isnan(share) else bracket_price(entry, side, share)


@rule
def own_lifetime(state: Any, signal: Any, policy: Any) -> Any:
    """Minutes that a position of this row may live; infinite without a limit. A bracket of the run comes first."""
    if not np.isnan(state.lifetime):
        return state.lifetime
    return signal.lifetime if signal.given & int64(Given.LIFETIME) else policy.max_hold


@rule
def order_of(signal: Any) -> Any:
    """What kind of entry a row asks for, and its limit or trigger."""
    if not np.isnan(signal.price_trigger):
        return int64(OrderKind.STOP), signal.price_trigger
    if signal.given & int64(Given.PRICE_OPEN):
        return int64(OrderKind.LIMIT), signal.price_open
    return int64(OrderKind.MARKET), np.nan


@rule
def price_and_share(level: Any, in_percent: Any, bracket: Any) -> Any:
    """A level of a row as ``(price, fraction)``, one of them NaN; a ``bracket`` replaces all but a price.

    level     a price, or a percent of the fill where it is ``in_percent``; NaN = none
    bracket   a fraction of the fill; NaN leaves the level of the row
    """
    if np.isnan(bracket):
        return (np.nan, level / 100.0) if in_percent else (level, np.nan)
    return (np.nan, bracket) if in_percent or np.isnan(level) else (level, np.nan)


@rule
def levels_given(state: Any, signal: Any) -> Any:
    """Target and stop of a row as ``(price, fraction, price, fraction)``; NaN is what was not given.

    The bracket of the run (:meth:`bkcore.machine.run.Run.set_bracket`) replaces every level that is no price.
    """
    take_in_percent = signal.given & int64(Given.TAKE_PERCENT) != 0
    stop_in_percent = signal.given & int64(Given.STOP_PERCENT) != 0
    take_price, take_share = price_and_share(signal.take_profit, take_in_percent, state.take_profit)
    stop_price, stop_share = price_and_share(signal.stop_loss, stop_in_percent, state.stop_loss)
    return take_price, take_share, stop_price, stop_share


@rule
def is_unusable(value: Any) -> Any:
    """Whether something was given that is no price and no percent."""
    return not (np.isnan(value) or is_price(value))


@rule
def side_violations(settings: Any, side: Any) -> Any:
    """What is wrong with the side of an entry."""
    if side == 0:
        return int64(Violation.POSITION)
    if side > 0 and settings.long_enabled == 0:
        return int64(Violation.LONG_DISABLED)
    return int64(Violation.SHORT_DISABLED) if side < 0 and settings.short_enabled == 0 else int64(0)


@routine
def entry_violations(state: Any, settings: Any, policy: Any, signal: Any, side: Any, entry: Any) -> Any:
    """Everything that is wrong with an entry at ``entry``, as bits of ``Violation`` (spec fills.md 6).

    entry   where it would fill: the limit, the trigger, or the price of a market entry
    """
    if signal.given & int64(Given.FOREIGN_SYMBOL):
        return int64(Violation.SYMBOL)
    kind, _ = order_of(signal)
    found = side_violations(settings, side)
    if not is_price(entry):
        return found | int64(Violation.CURRENT_PRICE if kind == OrderKind.MARKET else Violation.PRICE_OPEN)
    take_price, take_share, stop_price, stop_share = levels_given(state, signal)
    if is_unusable(take_price) or is_unusable(take_share):
        found |= int64(Violation.TAKE_PROFIT)
    if is_unusable(stop_price) or is_unusable(stop_share):
        found |= int64(Violation.STOP_LOSS)
    take = level_of(take_price, take_share, side, entry)
    stop = level_of(stop_price, stop_share, -side, entry)
    if side * (take - entry) <= 0.0:
        found |= int64(Violation.TAKE_PROFIT_SIDE)
    elif compare_level(take, side, entry, settings.min_take_profit_percent, True) < 0:
        found |= int64(Violation.TAKE_PROFIT_TOO_CLOSE)
    if side * (entry - stop) > 0.0:
        if compare_level(stop, -side, entry, settings.min_stop_loss_percent, True) < 0:
            found |= int64(Violation.STOP_LOSS_TOO_CLOSE)
        if compare_level(stop, -side, entry, settings.max_stop_loss_percent, True) > 0:
            found |= int64(Violation.STOP_LOSS_TOO_FAR)
    elif not np.isnan(stop) and kind != OrderKind.MARKET:
        found |= int64(Violation.STOP_LOSS_SIDE)
    lifetime = own_lifetime(state, signal, policy)
    if not lifetime > 0.0:
        found |= int64(Violation.LIFETIME)
    elif lifetime != np.inf and lifetime > settings.max_lifetime:
        found |= int64(Violation.LIFETIME_TOO_LONG)
    if signal.given & int64(Given.COST) and not is_price(signal.cost):
        found |= int64(Violation.COST)
    return found


# ------------------------------------------------------------------------------------------ how it begins


@routine
def place_order(state: Any, plan: Any, signal: Any, tables: Any, entry: Any, time: Any) -> Any:
    """Write the row of an entry that has passed its checks; it rests until somebody fills it. Returns its kind."""
    settings = plan.settings
    kind, _ = order_of(signal)
    side = state.wish_side
    take_price, take_share, stop_price, stop_share = levels_given(state, signal)
    take = level_of(take_price, take_share, side, entry)
    stop = level_of(stop_price, stop_share, -side, entry)
    lifetime = own_lifetime(state, signal, plan.policy)
    cost = signal.cost if signal.given & int64(Given.COST) else settings.entry_cost
    terms = (entry, kind != OrderKind.MARKET, take, stop, lifetime, cost)
    fill_row(state, settings, terms, signal, tables.trades, tables.entries, tables.partials)
    position = tables.trades[uint64(state.trade_count)]
    position.scheduled_at = time
    position.side = side
    position.order_kind = kind
    position.at_real_prices = 1
    position.take_share = take_share
    position.stop_share = stop_share
    position.given_take = take
    position.next_step_at = np.iinfo(np.int64).max
    position.trail_distance = signal.trail_distance
    position.size = signal.size
    position.stop_reason = int64(CloseReason.STOP_LOSS)
    given = not np.isnan(signal.fee_percent)
    position.taker_fee = signal.fee_percent if given else settings.fee_percent
    position.maker_fee = signal.fee_percent if given else settings.maker_fee_percent
    state.current = state.trade_count
    state.trade_count += 1
    state.entry_count += 1
    state.scheduled = 1
    renew(position, tables.entries, tables.partials)
    write_revision(state, tables.revisions, position)
    return kind


@rule
def rates_of(position: Any, settings: Any, by_maker: Any) -> Any:
    """Fee percent and slippage, a fraction, of a fill (spec fills.md 8)."""
    if by_maker:
        return position.maker_fee, 0.0
    return position.taker_fee, settings.slippage


@rule
def keep_average(position: Any, policy: Any, time: Any) -> None:
    """What follows from a new effective entry: the target that is measured from it, and the steps."""
    if not np.isnan(policy.target_from_average):
        share = policy.target_from_average / 100.0
        position.given_take = bracket_price(position.effective_open, position.side, share)
    renew_target(position, policy, time)


@routine
def fill_order(state: Any, plan: Any, tables: Any, price: Any, time: Any, tick: Any, by_maker: Any) -> Any:
    """Make the order a position that is entered at ``price``; ``tick`` is the open of the candle.

    Levels in percent are measured from the fill.
    """
    position = tables.trades[uint64(state.current)]
    entry = tables.entries[uint64(position.entry_first)]
    entry.price = price
    entry.time = time
    entry.fee_percent, entry.slippage = rates_of(position, plan.settings, by_maker)
    position.entry_fee, position.entry_slippage = entry.fee_percent, entry.slippage
    side = position.side
    position.take_profit = level_of(position.take_profit, position.take_share, side, price)
    position.stop_loss = level_of(position.stop_loss, position.stop_share, -side, price)
    position.given_take = position.take_profit
    position.active_stop = position.stop_loss
    renew(position, tables.entries, tables.partials)
    state.pending = 1
    state.scheduled = 0
    state.deferred = int64(Deferred.NONE)
    state.last_opened_id = position.id
    open_position(position, tables.entries, time)
    position.peak_unpriced = 1
    position.best = price
    position.worst = price
    keep_average(position, plan.policy, tick)
    if position.order_kind != OrderKind.MARKET:
        write_revision(state, tables.revisions, position)
    return write_event(state, tables.events, time, int64(EventKind.OPENED), 0, price)


# ----------------------------------------------------------------------------------------- how it changes


@rule
def tell_change(state: Any, tables: Any, position: Any, code: Any, price: Any, value: Any, time: Any) -> Any:
    """Write down what a policy or a command has changed, and say so."""
    write_revision(state, tables.revisions, position)
    queue_commit(state, tables.commits, code, price, value)
    state.commit_told = state.commit_count
    return write_event(state, tables.events, time, int64(EventKind.COMMIT), code, price)


@routine
def add_entry(
    state: Any, plan: Any, tables: Any, price: Any, cost: Any, time: Any, tick: Any, by_maker: Any
) -> Any:
    """Enter once more at ``price``."""
    position = tables.trades[uint64(state.current)]
    price_extremes(position, tables.entries, tables.partials, plan.settings)
    entry = tables.entries[uint64(position.entry_first + position.entry_count)]
    entry.price = price
    entry.cost = cost
    entry.time = time
    entry.fee_percent, entry.slippage = rates_of(position, plan.settings, by_maker)
    first = tables.entries[uint64(position.entry_first)]
    if entry.fee_percent != first.fee_percent or entry.slippage != first.slippage:
        position.rates_differ = 1
    position.entry_count += 1
    state.entry_count += 1
    renew(position, tables.entries, tables.partials)
    keep_average(position, plan.policy, tick)
    return tell_change(state, tables, position, int64(Commit.AVERAGE_BUY), price, cost, time)


@rule
def climb(state: Any, plan: Any, tables: Any, price: Any, time: Any, tick: Any, by_maker: Any) -> Any:
    """Make the next entry of the ladder; the second costs what the first did unless the policy says."""
    position = tables.trades[uint64(state.current)]
    cost = next_entry_cost(position.cost, plan.policy, position)
    return add_entry(state, plan, tables, price, cost, time, tick, by_maker)


@routine
def sell_part(
    state: Any, settings: Any, tables: Any, kind: Any, percent: Any, price: Any, time: Any, by_maker: Any
) -> Any:
    """Close ``percent`` of what is left; ``kind`` is +1 in profit and -1 in loss."""
    position = tables.trades[uint64(state.current)]
    price_extremes(position, tables.entries, tables.partials, settings)
    partial = tables.partials[uint64(position.partial_first + position.partial_count)]
    partial.percent = percent
    partial.price = price
    partial.basis = position.remaining
    partial.entry_count = position.entry_count
    partial.time = time
    partial.kind = kind
    partial.fee_percent, partial.slippage = rates_of(position, settings, by_maker)
    add_partial(position, partial)
    state.partial_count += 1
    code = int64(Commit.PARTIAL_PROFIT if kind > 0 else Commit.PARTIAL_LOSS)
    return tell_change(state, tables, position, code, price, percent, time)


@rule
def sell_next(state: Any, plan: Any, tables: Any, kind: Any, price: Any, time: Any, by_maker: Any) -> Any:
    """Make the next partial exit of the policy at ``price``; one that leaves nothing ends the trade."""
    position, policy = tables.trades[uint64(state.current)], plan.policy
    if kind > 0:
        percent = policy.profit_percent[uint64(position.profit_rules_done)]
        position.profit_rules_done += 1
    else:
        percent = policy.loss_percent[uint64(position.loss_rules_done)]
        position.loss_rules_done += 1
    heard = sell_part(state, plan.settings, tables, kind, percent, price, time, by_maker)
    if percent >= 100.0:
        heard = end_trade(state, plan, tables, int64(CloseReason.CLOSED), time, price, by_maker) or heard
    return heard


# ------------------------------------------------------------------------------------------- how it ends


@routine
def end_trade(state: Any, plan: Any, tables: Any, reason: Any, time: Any, price: Any, by_maker: Any) -> Any:
    """Close what is left at ``price``; best and worst price include the exit (spec fills.md 8)."""
    position = tables.trades[uint64(state.current)]
    settings, partials = plan.settings, tables.partials
    heard = False
    position.by_command = state.deferred != Deferred.NONE and reason == CloseReason.CLOSED
    if position.by_command:
        heard = write_commit(state, tables, time, int64(Commit.CLOSE_PENDING), price)
    fee, slippage = rates_of(position, settings, by_maker)
    percent = pnl_of_fill(position, partials, price, fee, slippage)
    price_extremes(position, tables.entries, partials, settings)
    position.status = int64(Status.CLOSED)
    position.reason = reason
    position.ended_at = time
    position.end_price = price
    position.pnl_percent = percent
    position.pnl_cost = (percent / 100.0) * position.invested
    note_exit(position)
    state.deferred = int64(Deferred.NONE)
    state.pending = 0
    state.has_wake = 0
    state.command_count = 0
    state.free_from = time + plan.policy.cooldown_ms
    return write_event(state, tables.events, time, int64(EventKind.CLOSED), reason, price) or heard


@rule
def note_exit(position: Any) -> None:
    """Let the exit count for the best and the worst price; neither percent contradicts the result."""
    side, price = position.side, position.end_price
    if side * (price - position.peak_price) > 0.0:
        position.peak_price = price
        position.peak_time = position.ended_at
        position.peak_price_close = price
        note_peak(position)
    if side * (price - position.fall_price) < 0.0:
        position.fall_price = price
        position.fall_time = position.ended_at
        position.fall_price_close = price
        note_fall(position)
    if position.peak_pnl_percent < position.pnl_percent:
        note_peak(position)
    if position.fall_pnl_percent > position.pnl_percent:
        note_fall(position)


@rule
def note_peak(position: Any) -> None:
    """The result of the trade is the best that it came to."""
    position.peak_pnl_percent = position.pnl_percent
    position.peak_pnl_cost = position.pnl_cost
    position.peak_invested = position.invested
    position.peak_price_open = position.effective_open


@rule
def note_fall(position: Any) -> None:
    """The result of the trade is the worst that it came to."""
    position.fall_pnl_percent = position.pnl_percent
    position.fall_pnl_cost = position.pnl_cost
    position.fall_invested = position.invested
    position.fall_price_open = position.effective_open


@routine
def end_order(state: Any, tables: Any, reason: Any, time: Any, price: Any) -> Any:
    """Cancel the resting order."""
    position = tables.trades[uint64(state.current)]
    heard = False
    position.by_command = state.deferred == Deferred.CANCEL and reason == CancelReason.USER
    if position.by_command:
        heard = write_commit(state, tables, time, int64(Commit.CANCEL_SCHEDULED), price)
    cancel_row(position, reason, time, price)
    state.deferred = int64(Deferred.NONE)
    state.scheduled = 0
    return write_event(state, tables.events, time, int64(EventKind.CANCELLED), reason, price) or heard
