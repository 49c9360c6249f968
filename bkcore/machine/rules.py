"""The trading rules of one signal, candle by candle: what is valid, what ends it, how far it came.

Each rule reads and writes a position record and says what happened; who runs candles decides when to call it. Money
is worked out in :mod:`bkcore.machine.pnl`, commands in :mod:`bkcore.machine.commands`, the rules of a policy in
:mod:`bkcore.machine.policy`. ``side`` is +1 or -1, so ``side * (a - b)`` is the distance in the direction of profit,
exact for both sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, uint64

from bkcore.intervals import MINUTE_MS, MOST_MINUTES
from bkcore.jit import rule
from bkcore.machine.codes import CloseReason, EventKind, Given, Side, Sound, Status, Violation
from bkcore.machine.pnl import pnl_percent, renew
from bkcore.machine.price_index import first_maximum, first_minimum

MINUTE = MINUTE_MS


@rule
def bracket_price(price: Any, side: Any, fraction: Any) -> Any:
    """``price`` moved by a fraction of it towards profit (spec engine.md 14, ``Position.bracket``)."""
    return price * (1.0 + side * fraction)


@rule
def is_price(value: Any) -> Any:
    """A price is a finite number above zero."""
    return np.isfinite(value) and value > 0.0


@rule
def compare_level(level: Any, side: Any, price: Any, percent: Any, in_percent: Any) -> Any:
    """-1, 0 or 1: how the distance from ``price`` to ``level``, towards ``side``, compares with a limit in percent.

    0 without a limit (0 percent). Divides, as the specification does, only where a product cannot tell for certain.
    There a level that was given ``in_percent``, or that is the bracket of the limit, is at the limit: its distance is
    worked out from rounded prices (deviation 18).
    """
    if percent == 0.0:
        return 0
    distance = side * (level - price)
    limit = price * percent
    scaled = distance * 100.0
    if price > 0.0 and abs(scaled - limit) > limit * 1e-9:
        return 1 if scaled > limit else -1
    if in_percent or level == bracket_price(price, side, percent / 100.0):
        return 0
    share = (distance / price) * 100.0
    return -1 if share < percent else (1 if share > percent else 0)


@rule
def violations(
    settings: Any,
    side: Any,
    price_open: Any,
    take_profit: Any,
    stop_loss: Any,
    lifetime: Any,
    cost: Any,
    price: Any,
    resting: Any,
    in_percent: Any,
) -> Any:
    """Everything that is wrong with a signal, as bits of ``Violation`` (spec engine.md 6.1 - 6.3; deviation 7)."""
    if not resting and not is_price(price):
        return int64(Violation.CURRENT_PRICE)
    found: Any = 0
    if side == Side.UNKNOWN:
        found |= int64(Violation.POSITION)
    if side == Side.LONG and settings.long_enabled == 0:
        found |= int64(Violation.LONG_DISABLED)
    if side == Side.SHORT and settings.short_enabled == 0:
        found |= int64(Violation.SHORT_DISABLED)
    if not is_price(price_open):
        found |= int64(Violation.PRICE_OPEN)
    if not is_price(take_profit):
        found |= int64(Violation.TAKE_PROFIT)
    if not is_price(stop_loss):
        found |= int64(Violation.STOP_LOSS)
    if side != Side.UNKNOWN:
        if not side * (take_profit - price_open) > 0.0:
            found |= int64(Violation.TAKE_PROFIT_SIDE)
        if not side * (price_open - stop_loss) > 0.0:
            found |= int64(Violation.STOP_LOSS_SIDE)
        nearest, farthest = settings.min_stop_loss_percent, settings.max_stop_loss_percent
        if compare_level(take_profit, side, price_open, settings.min_take_profit_percent, in_percent) < 0:
            found |= int64(Violation.TAKE_PROFIT_TOO_CLOSE)
        if compare_level(stop_loss, -side, price_open, nearest, in_percent) < 0:
            found |= int64(Violation.STOP_LOSS_TOO_CLOSE)
        if compare_level(stop_loss, -side, price_open, farthest, in_percent) > 0:
            found |= int64(Violation.STOP_LOSS_TOO_FAR)
    if not lifetime > 0.0:
        found |= int64(Violation.LIFETIME)
    elif lifetime == np.inf:
        if settings.max_lifetime != np.inf:
            found |= int64(Violation.LIFETIME_INFINITE)
    elif lifetime > MOST_MINUTES:
        found |= int64(Violation.LIFETIME_TOO_LONG)
    else:
        if lifetime != np.floor(lifetime):
            found |= int64(Violation.LIFETIME_FRACTION)
        if lifetime > settings.max_lifetime:
            found |= int64(Violation.LIFETIME_TOO_LONG)
        if settings.step_ms != MINUTE and np.fmod(lifetime * MINUTE, settings.step_ms) != 0.0:
            found |= int64(Violation.LIFETIME_STEP)
    if not is_price(cost):
        found |= int64(Violation.COST)
    if not resting and side != Side.UNKNOWN:
        if side * (take_profit - price) <= 0.0:
            found |= int64(Violation.WOULD_CLOSE_AT_TAKE_PROFIT)
        if side * (price - stop_loss) <= 0.0:
            found |= int64(Violation.WOULD_CLOSE_AT_STOP_LOSS)
    return found


@rule
def is_sound(settings: Any, side: Any, gain: Any, loss: Any, lifetime: Any, cost: Any) -> Any:
    """Whether an order at market with levels at these fractions of its price is valid at whatever price.

    The rules compare prices with each other: what holds at price 1 for slightly nearer and for slightly farther levels
    holds for these levels at every price, however it is rounded.
    """
    if not (gain > 1e-6 and loss > 1e-6):
        return False
    for k in range(2):
        share = 1.0 + (2 * k - 1) * 1e-9
        take = bracket_price(1.0, side, gain * share)
        stop = bracket_price(1.0, -side, loss * share)
        if violations(settings, side, 1.0, take, stop, lifetime, cost, 1.0, False, True):
            return False
    return True


@rule
def is_plain(state: Any, signal: Any) -> Any:
    """Whether the candidate asks for nothing but the brackets of its combination, and these are sound."""
    sound = state.sound & int64(Sound.LONG if signal.side > 0 else Sound.SHORT)
    own = int64(Given.PRICE_OPEN | Given.COST | Given.PERCENT_LEVELS | Given.FOREIGN_SYMBOL)
    if np.isnan(state.lifetime):
        own |= int64(Given.LIFETIME)
    usual = 1e-100 < state.tick_price < 1e100  # no product of it overflows or loses digits
    return sound != 0 and usual and signal.side != 0 and signal.given & own == int64(Given.PERCENT_LEVELS)


@rule
def rests(side: Any, price_open: Any, price: Any) -> Any:
    """Whether a signal with a limit price waits for it, instead of opening at once (spec engine.md 5, step 13)."""
    return not ((side == Side.LONG and price <= price_open) or (side == Side.SHORT and price >= price_open))


@rule
def terms_of(state: Any, settings: Any, signal: Any) -> Any:
    """What a candidate asks for: ``(price_open, resting, take_profit, stop_loss, lifetime, cost)`` (spec engine.md 5).

    A limit at or beyond the market opens at once, at its own price.
    Where the signal gives its levels in percent, a sweep's fractions in ``state`` replace them; NaN replaces nothing.
    """
    price = state.tick_price
    side = signal.side
    given = signal.given
    price_open = signal.price_open if given & int64(Given.PRICE_OPEN) else price
    resting = given & int64(Given.PRICE_OPEN) != 0 and rests(side, price_open, price)
    take_profit = signal.take_profit
    stop_loss = signal.stop_loss
    if given & int64(Given.PERCENT_LEVELS):
        gain = take_profit / 100.0 if np.isnan(state.take_profit) else state.take_profit
        loss = stop_loss / 100.0 if np.isnan(state.stop_loss) else state.stop_loss
        take_profit = bracket_price(price_open, side, gain)
        stop_loss = bracket_price(price_open, -side, loss)
    lifetime = signal.lifetime if given & int64(Given.LIFETIME) else settings.max_lifetime
    if not np.isnan(state.lifetime):
        lifetime = state.lifetime
    cost = signal.cost if given & int64(Given.COST) else settings.entry_cost
    return price_open, resting, take_profit, stop_loss, lifetime, cost


@rule
def violations_of(state: Any, settings: Any, signal: Any, terms: Any) -> Any:
    """Everything that is wrong with a candidate under these terms, as bits of ``Violation``."""
    if signal.given & int64(Given.FOREIGN_SYMBOL):
        return int64(Violation.SYMBOL)
    price_open, resting, take_profit, stop_loss, lifetime, cost = terms
    return violations(
        *(
            settings,
            signal.side,
            price_open,
            take_profit,
            stop_loss,
            lifetime,
            cost,
            state.tick_price,
            resting,
            signal.given & int64(Given.PERCENT_LEVELS) != 0,
        )
    )


@rule
def fill_row(
    state: Any, settings: Any, terms: Any, signal: Any, trades: Any, entries: Any, partials: Any
) -> None:
    """Write the row of a candidate at ``trades[state.trade_count]``."""
    price_open, resting, take_profit, stop_loss, lifetime, cost = terms
    position = trades[uint64(state.trade_count)]
    time = state.tick_time
    position.signal = state.candidate
    position.id = signal.id
    position.scheduled_at = time
    position.pending_at = 0
    position.ended_at = 0
    position.entry_first = state.entry_count
    position.entry_count = 1
    position.partial_first = state.partial_count
    position.partial_count = 0
    position.closed = 0.0
    position.price_open = price_open
    position.take_profit = take_profit
    position.stop_loss = stop_loss
    position.active_take = take_profit
    position.active_stop = stop_loss
    position.lifetime = lifetime
    position.cost = cost
    position.end_price = 0.0
    position.pnl_percent = 0.0
    position.pnl_cost = 0.0
    position.side = signal.side
    position.status = int64(Status.RESTING)
    position.reason = 0
    position.was_scheduled = resting
    position.by_command = 0
    position.profit_level = 0
    position.loss_level = 0
    position.breakeven_reached = 0
    position.trails_take = 0
    position.trails_stop = 0
    position.profit_rules_done = 0
    position.loss_rules_done = 0
    position.breakeven_rule_done = 0
    position.at_real_prices = 0
    position.given = signal.given
    position.rates_differ = 0
    position.entry_fee = settings.fee_percent
    position.entry_slippage = settings.slippage
    position.taker_fee = settings.fee_percent
    entry = entries[uint64(state.entry_count)]
    entry.price = price_open
    entry.cost = cost
    entry.time = time
    entry.fee_percent = settings.fee_percent
    entry.slippage = settings.slippage
    renew(position, entries, partials)


@rule
def write_row(state: Any, settings: Any, signal: Any, trades: Any, entries: Any, partials: Any) -> Any:
    """Turn the candidate into a row at ``trades[state.trade_count]``; returns its violations (spec engine.md 5, 6).

    The row counts only when the caller moves ``trade_count`` past it.
    """
    terms = terms_of(state, settings, signal)
    if not is_plain(state, signal):
        found = violations_of(state, settings, signal, terms)
        if found:
            return found
    fill_row(state, settings, terms, signal, trades, entries, partials)
    return 0


@rule
def open_position(position: Any, entries: Any, time: Any) -> None:
    """Make a row a position from ``time`` on, with fresh extremes at its entry (spec engine.md 1.2, 7.2)."""
    position.status = int64(Status.OPEN)
    position.pending_at = time
    price = entries[uint64(position.entry_first)].price
    position.peak_price = price
    position.peak_time = time
    position.peak_pnl_percent = 0.0
    position.peak_pnl_cost = 0.0
    position.peak_invested = 0.0
    position.peak_price_open = 0.0
    position.peak_price_close = 0.0
    position.peak_unpriced = 0
    mark_fall(position, time, price)


@rule
def mark_peak(position: Any, time: Any, price: Any) -> None:
    """Record ``price`` as the best seen so far (spec engine.md 8.4); its result is worked out when needed."""
    position.peak_price = price
    position.peak_time = time
    position.peak_unpriced = 1


@rule
def mark_fall(position: Any, time: Any, price: Any) -> None:
    """Record ``price`` as the worst seen so far (spec engine.md 8.4)."""
    position.fall_price = price
    position.fall_time = time
    position.fall_unpriced = 1


@rule
def mark_extreme(position: Any, branch: Any, time: Any, price: Any) -> Any:
    """Record ``price`` as the best seen so far on the profit side, else as the worst; returns the event kind."""
    if branch > 0:
        mark_peak(position, time, price)
        return int64(EventKind.HIGHEST_PROFIT)
    mark_fall(position, time, price)
    return int64(EventKind.MAX_DRAWDOWN)


@rule
def price_extremes(position: Any, entries: Any, partials: Any, settings: Any) -> None:
    """Work out the results at the recorded extremes; due before entries or partials change and at the end."""
    if position.peak_unpriced:
        position.peak_unpriced = 0
        percent = pnl_percent(position, partials, settings, position.peak_price)
        position.peak_pnl_percent = percent
        position.peak_pnl_cost = (percent / 100.0) * position.invested
        position.peak_invested = position.invested
        position.peak_price_open = position.effective_open
        position.peak_price_close = position.peak_price
    if position.fall_unpriced:
        position.fall_unpriced = 0
        percent = pnl_percent(position, partials, settings, position.fall_price)
        position.fall_pnl_percent = percent
        position.fall_pnl_cost = (percent / 100.0) * position.invested
        position.fall_invested = position.invested
        position.fall_price_open = position.effective_open
        position.fall_price_close = position.fall_price


@rule
def time_of_expiry(position: Any) -> Any:
    """First moment (ms) at which the position expires; the largest integer without a lifetime."""
    if position.lifetime == np.inf:
        return np.iinfo(np.int64).max
    return position.pending_at + np.int64(position.lifetime) * MINUTE


@rule
def last_moment(position: Any, frame_end: Any) -> Any:
    """Last moment (ms) at which the clock lets the position live; then frame or lifetime are over (spec 4.4, 8.1)."""
    return min(frame_end, time_of_expiry(position) - 1)


@rule
def exit_of_candle(position: Any, frame_end: Any, time: Any, price: Any) -> Any:
    """Why and at which price the position closes at this candle on its own; reason 0 when it does not.

    ``price`` is the average price of the candle; a level fills exactly (spec engine.md 8.1 steps 1, 5 and 6).
    """
    side = position.side
    if time > last_moment(position, frame_end):
        return int64(CloseReason.TIME_EXPIRED), price
    take = position.active_take
    stop = position.active_stop
    if side * (price - take) >= 0.0:
        return int64(CloseReason.TAKE_PROFIT), take
    if side * (price - stop) <= 0.0:
        return int64(CloseReason.STOP_LOSS), stop
    return int64(CloseReason.NONE), price


@rule
def close_position(
    position: Any, entries: Any, partials: Any, settings: Any, reason: Any, time: Any, price: Any
) -> None:
    """End the position at ``price`` (spec engine.md 8.7, 9.4)."""
    position.status = int64(Status.CLOSED)
    position.reason = reason
    position.ended_at = time
    position.end_price = price
    price_extremes(position, entries, partials, settings)
    position.pnl_percent = pnl_percent(position, partials, settings, price)
    position.pnl_cost = (position.pnl_percent / 100.0) * position.invested


@rule
def cancel_row(position: Any, reason: Any, time: Any, price: Any) -> None:
    """Drop a resting order (spec engine.md 7.1)."""
    position.status = int64(Status.CANCELLED)
    position.reason = reason
    position.ended_at = time
    position.end_price = price


@rule
def share_of_way(distance: Any, total: Any) -> Any:
    """Percent of the way that ``distance`` is, at most 100; 0 of a way to a level that is missing, NaN."""
    if total <= 0.0:
        return 100.0
    percent = (distance / total) * 100.0
    return percent if percent < 100.0 else (100.0 if percent >= 100.0 else 0.0)


@rule
def progress_percent(position: Any, price: Any) -> Any:
    """How far the price went towards the target (above 0) or, negative, towards the stop (spec engine.md 8.2)."""
    entry = position.effective_open
    distance = position.side * (price - entry)
    if distance > 0.0:
        return share_of_way(distance, position.side * (position.active_take - entry))
    if distance < 0.0:
        return -share_of_way(-distance, position.side * (entry - position.active_stop))
    return 0.0


@rule
def branch_at(position: Any, price: Any) -> Any:
    """+1 on the profit side of the effective entry, -1 on the loss side, 0 at it (spec engine.md 8.2)."""
    distance = position.side * (price - position.effective_open)
    return 1 if distance > 0.0 else (-1 if distance < 0.0 else 0)


@rule
def reaches_level(level: Any, progress: Any) -> Any:
    """Whether ``progress``, percent of the way, has come to the tenth after ``level``, of ten (spec engine.md 8.3)."""
    return level < 10 and progress >= 10.0 * (level + 1)


@rule
def update_extreme(position: Any, branch: Any, time: Any, price: Any) -> Any:
    """Record a new best or worst price; returns the event kind, or -1 (spec engine.md 8.4)."""
    side = position.side
    if branch > 0 and side * (price - position.peak_price) > 0.0:
        return mark_extreme(position, branch, time, price)
    if branch < 0 and side * (price - position.fall_price) < 0.0:
        return mark_extreme(position, branch, time, price)
    return -1


@rule
def breakeven_price(position: Any, settings: Any) -> Any:
    """Price from which closing costs nothing and earns the threshold (spec engine.md 8.6)."""
    return bracket_price(position.effective_open, position.side, settings.breakeven)


@rule
def reaches_breakeven(position: Any, settings: Any, price: Any) -> Any:
    """Whether ``price`` is at or beyond the breakeven threshold."""
    return position.side * (price - breakeven_price(position, settings)) >= 0.0


@rule
def level_price(position: Any, level: Any, target: Any, toward: Any) -> Any:
    """A price just before ``level`` tenths of the way from the entry to ``target`` are gone (:func:`reaches_level`).

    ``toward`` is +1 on the profit side and -1 on the loss side. Where trailing or averaging left no way, every
    level is due at once: the entry itself.
    """
    entry = position.effective_open
    direction = position.side * toward
    if direction * (target - entry) <= 0.0:
        return entry
    price = entry + (target - entry) * level / 10.0
    return price - direction * abs(price) * 1e-12


@rule
def due_band(position: Any, settings: Any, logs: Any) -> Any:
    """Prices ``(low, high)`` strictly between which a candle neither ends the position nor fires a level.

    Without a log only the exits count. The band may be narrower than necessary, never wider: the candle at its
    edge is stepped in the ordinary way.
    """
    best = position.active_take
    worst = position.active_stop
    if logs:
        side = position.side
        if position.profit_level < 10:
            price = level_price(position, position.profit_level + 1, position.active_take, 1.0)
            best = best if side * (price - best) >= 0.0 else price  # a level that is missing is NaN
        if position.loss_level < 10:
            price = level_price(position, position.loss_level + 1, position.active_stop, -1.0)
            worst = worst if side * (worst - price) >= 0.0 else price
        if position.breakeven_reached == 0:
            price = breakeven_price(position, settings)
            best = best if side * (price - best) >= 0.0 else price
    if position.side > 0:
        return worst, best
    return best, worst


@rule
def extreme_band(position: Any) -> Any:
    """Prices ``(low, high)`` strictly between which :func:`update_extreme` records nothing."""
    entry = position.effective_open
    if position.side > 0:
        return min(position.fall_price, entry), max(position.peak_price, entry)
    return min(position.peak_price, entry), max(position.fall_price, entry)


@rule
def settle_extremes(
    position: Any,
    timestamps: Any,
    floors: Any,
    ceilings: Any,
    lows: Any,
    highs: Any,
    first: Any,
    end: Any,
    delay: Any,
) -> None:
    """Give the position the best and worst price of candles ``[first, end)`` that a quiet band jumped over.

    floors, ceilings   lowest and highest price of each candle, with their block index ``lows`` and ``highs``
    delay              ms from the time of a candle to the moment at which its prices are known
    """
    worst, best = position.fall_price, position.peak_price
    if position.side < 0:
        worst, best = best, worst
    up = first_maximum(ceilings, highs, first, end, best)
    if up >= 0:
        price = ceilings[up]
        update_extreme(position, branch_at(position, price), timestamps[up] + delay, price)
    down = first_minimum(floors, lows, first, end, worst)
    if down >= 0:
        price = floors[down]
        update_extreme(position, branch_at(position, price), timestamps[down] + delay, price)
