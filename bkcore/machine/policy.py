"""How a position is managed without asking anybody: the rules of a policy, and the band in which none of them acts.

A policy speaks after the listeners of a candle's ping, like one more listener: it sees ``price`` (the candle's) and
gives commands, which are judged as a user's would be. Percents are percent of a price unless named otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import uint64
from numpy.typing import NDArray

from bkcore.jit import rule
from bkcore.machine.codes import Command
from bkcore.machine.commands import execute
from bkcore.machine.pnl import pnl_percent
from bkcore.machine.rules import bracket_price

MOST_LEVELS = 10
_f, _i, _b = np.float64, np.int64, np.int8

#: A rule that is not wanted has an infinite (``close_*``, ``*_from``, ``breakeven_from``) or zero (counts) field.
POLICY = np.dtype(
    [
        ("close_profit", _f),  # pnl percent at or above which the position is closed
        ("close_loss", _f),  # pnl percent, as a positive number, at or below whose negative it is closed
        ("breakeven_from", _f),  # move in percent from which breakeven is asked for
        ("stop_from", _f),  # move from which the stop trails
        ("stop_distance", _f),  # percent between the price and the trailing stop
        ("take_from", _f),
        ("take_distance", _f),
        ("profit_count", _i),
        ("profit_at", _f, MOST_LEVELS),  # percent of the way to the target, ascending
        ("profit_percent", _f, MOST_LEVELS),  # percent of what is left that is closed there
        ("loss_count", _i),
        ("loss_at", _f, MOST_LEVELS),
        ("loss_percent", _f, MOST_LEVELS),
        ("most_entries", _i),  # entries of the position, the first included
        ("ladder_step", _f),  # percent below (short: above) the best entry at which the next one is made
        ("ladder_cost", _f),  # cost of the second entry, quote currency; NaN = the configured entry cost
        ("ladder_factor", _f),  # every further entry costs this times the one before
        # What follows is for real prices alone (spec fills.md 5).
        ("stop_from_move", _f),  # move from which the stop trails, also where the distance comes from the row
        ("step_count", _i),
        ("step_minutes", _f, MOST_LEVELS),  # minutes since the entry, rising
        ("step_percent", _f, MOST_LEVELS),  # target from then on, percent of the effective entry
        ("target_from_average", _f),  # percent of the effective entry; NaN = the target of the row
        ("breakeven_offset", _f),  # percent beyond the effective entry
        ("cooldown_ms", _i),  # no entry so soon after an end
        ("max_hold", _f),  # lifetime in minutes when the row has none
        ("profit_of_entry", _b),  # profit_at and loss_at are percents of the effective entry
        ("loss_of_entry", _b),
        ("by_close", _b),  # best and worst go by closes
        ("stop_may_loosen", _b),
        ("exit_profit_only", _b),
        ("on_opposite", _b),  # a code of OnOpposite
    ],
    align=True,
)

_NEVER = ("close_profit", "close_loss", "breakeven_from", "stop_from", "take_from", "max_hold")
_NOT_GIVEN = ("ladder_cost", "target_from_average")


def no_policy() -> NDArray[np.void]:
    """One record of ``POLICY`` without any rule."""
    record = np.zeros(1, POLICY)
    for name in _NEVER:
        record[name] = np.inf
    for name in _NOT_GIVEN:
        record[name] = np.nan
    return record


@rule
def move_percent(position: Any, price: Any) -> Any:
    """Percent by which ``price`` has moved in favour of the position since its effective entry."""
    percent = (price / position.effective_open - 1.0) * 100.0
    return percent if position.side > 0 else -percent


@rule
def trailed_stop(side: Any, best: Any, distance_percent: Any) -> Any:
    """Where a stop stands that follows the price: ``distance_percent`` behind ``best``, the best price it has seen."""
    return bracket_price(best, -side, distance_percent / 100.0)


@rule
def trailed_take(side: Any, price: Any, distance_percent: Any) -> Any:
    """Where a target stands that follows the price back: ``distance_percent`` ahead of it."""
    return bracket_price(price, side, distance_percent / 100.0)


@rule
def best_entry(position: Any, entries: Any) -> Any:
    """The lowest entry of a long position, the highest of a short one."""
    best = entries[uint64(position.entry_first)].price
    for k in range(position.entry_first + 1, position.entry_first + position.entry_count):
        if position.side * (entries[uint64(k)].price - best) < 0.0:
            best = entries[uint64(k)].price
    return best


@rule
def next_rung(policy: Any, position: Any, entries: Any) -> Any:
    """The price at which the ladder makes its next entry: a step worse than the best entry so far."""
    return bracket_price(best_entry(position, entries), -position.side, policy.ladder_step / 100.0)


@rule
def next_entry_cost(usual: Any, policy: Any, position: Any) -> Any:
    """Cost of the next entry of the ladder; the second costs ``usual`` where the policy does not say."""
    cost = usual if np.isnan(policy.ladder_cost) else policy.ladder_cost
    for _ in range(position.entry_count - 1):
        cost = cost * policy.ladder_factor
    return cost


@rule
def apply_policy(
    state: Any,
    settings: Any,
    policy: Any,
    tables: Any,
    price: Any,
    known_price: Any,
    time: Any,
) -> None:
    """Let every rule speak once, in the order of the fields; a close silences those after it.

    price         of the candle being monitored: what triggers a rule, and what trailing is judged at
    known_price   of the candle before: what the other commands are booked at, as for a user
    """
    entries, partials = tables.entries, tables.partials
    position = tables.trades[uint64(state.current)]
    side = position.side
    move = -np.inf
    if policy.breakeven_from != np.inf or policy.stop_from != np.inf or policy.take_from != np.inf:
        move = move_percent(position, price)
    if policy.close_profit != np.inf or policy.close_loss != np.inf:
        pnl = pnl_percent(position, partials, settings, price)
        if pnl >= policy.close_profit or pnl <= -policy.close_loss:
            execute(state, settings, tables, Command.CLOSE, price, 0.0, time)
            return
    if move >= policy.breakeven_from and position.breakeven_rule_done == 0:
        position.breakeven_rule_done = execute(
            state, settings, tables, Command.BREAKEVEN, known_price, 0.0, time
        )
    if move >= policy.stop_from:
        stop = trailed_stop(side, price, policy.stop_distance)
        if side * (stop - position.active_stop) > 0.0:
            execute(state, settings, tables, Command.TRAILING_STOP_COST, price, stop, time)
    if move >= policy.take_from:
        take = trailed_take(side, price, policy.take_distance)
        if side * (take - position.active_take) < 0.0:
            execute(state, settings, tables, Command.TRAILING_TAKE_COST, price, take, time)
    progress = state.progress
    while (
        position.profit_rules_done < policy.profit_count
        and progress >= policy.profit_at[uint64(position.profit_rules_done)]
    ):
        percent = policy.profit_percent[uint64(position.profit_rules_done)]
        granted = execute(state, settings, tables, Command.PARTIAL_PROFIT, known_price, percent, time)
        if not granted:
            break
        position.profit_rules_done += 1
    while (
        position.loss_rules_done < policy.loss_count
        and -progress >= policy.loss_at[uint64(position.loss_rules_done)]
    ):
        percent = policy.loss_percent[uint64(position.loss_rules_done)]
        granted = execute(state, settings, tables, Command.PARTIAL_LOSS, known_price, percent, time)
        if not granted:
            break
        position.loss_rules_done += 1
    averages = position.entry_count < policy.most_entries
    if averages and side * (price - next_rung(policy, position, entries)) <= 0.0:
        cost = next_entry_cost(settings.entry_cost, policy, position)
        execute(state, settings, tables, Command.AVERAGE_BUY, known_price, cost, time)


@rule
def price_of_pnl(position: Any, partials: Any, settings: Any, percent: Any) -> Any:
    """About the price at which the position is worth ``percent``: its result is linear in the price."""
    entry = position.effective_open
    other = entry * 1.01
    at_entry = pnl_percent(position, partials, settings, entry)
    slope = (pnl_percent(position, partials, settings, other) - at_entry) / (other - entry)
    return entry + (percent - at_entry) / slope


@rule
def just_before(side: Any, price: Any) -> Any:
    """A price met a little before ``price`` on the way towards ``side``, to be safe from rounding."""
    return price - side * abs(price) * 1e-9


@rule
def policy_band(settings: Any, policy: Any, position: Any, entries: Any, partials: Any, last: Any) -> Any:
    """Prices ``(low, high)`` strictly between which no rule of the policy acts, coming from the price ``last``.

    The band may be narrower than necessary, never wider.
    """
    # Prices times the side: they rise towards profit for long and short alike.
    side = position.side
    entry = side * position.effective_open
    percent = position.effective_open * 0.01
    take = side * position.active_take
    stop = side * position.active_stop
    margin = (position.active_take + position.active_stop) * 1e-9  # to be safe from rounding
    best = np.inf
    worst = -np.inf
    if policy.close_profit != np.inf:
        best = min(best, side * price_of_pnl(position, partials, settings, policy.close_profit))
    if policy.close_loss != np.inf:
        worst = max(worst, side * price_of_pnl(position, partials, settings, -policy.close_loss))
    if policy.breakeven_from != np.inf and position.breakeven_rule_done == 0:
        best = min(best, entry + percent * policy.breakeven_from)
    if policy.stop_from != np.inf:
        tightens = stop / trailed_stop(side, 1.0, policy.stop_distance)
        best = min(best, max(tightens, entry + percent * policy.stop_from))
    if policy.take_from != np.inf:
        tightens = take / trailed_take(side, 1.0, policy.take_distance)
        if side * last >= tightens + margin:
            worst = max(worst, tightens)  # beyond it already: only a way back can tighten
        else:
            best = min(best, entry + percent * policy.take_from)
    if position.profit_rules_done < policy.profit_count:
        way = max(take - entry, 0.0) * 0.01
        best = min(best, entry + way * policy.profit_at[uint64(position.profit_rules_done)])
    if position.loss_rules_done < policy.loss_count:
        way = max(entry - stop, 0.0) * 0.01
        worst = max(worst, entry - way * policy.loss_at[uint64(position.loss_rules_done)])
    if position.entry_count < policy.most_entries:
        worst = max(worst, side * next_rung(policy, position, entries))
    best = best - margin
    worst = worst + margin
    if side > 0:
        return worst, best
    return -best, -worst


@rule
def wake_band(state: Any, settings: Any, position: Any, entries: Any, partials: Any) -> Any:
    """Prices ``(low, high)`` strictly between which no wake condition holds."""
    low = state.wake_below
    high = state.wake_above
    if state.wake_pnl_above != np.inf:
        price = price_of_pnl(position, partials, settings, state.wake_pnl_above)
        price = just_before(position.side, price)
        low, high = (low, min(high, price)) if position.side > 0 else (max(low, price), high)
    if state.wake_pnl_below != -np.inf:
        price = price_of_pnl(position, partials, settings, state.wake_pnl_below)
        price = just_before(-position.side, price)
        low, high = (max(low, price), high) if position.side > 0 else (low, min(high, price))
    return low, high


@rule
def is_woken(
    state: Any, settings: Any, position: Any, entries: Any, partials: Any, price: Any, time: Any
) -> Any:
    """Whether a wake condition holds at this candle."""
    if time >= state.wake_at or price >= state.wake_above or price <= state.wake_below:
        return True
    if state.wake_pnl_above == np.inf and state.wake_pnl_below == -np.inf:
        return False
    pnl = pnl_percent(position, partials, settings, price)
    return pnl >= state.wake_pnl_above or pnl <= state.wake_pnl_below
