"""Which trades does a plan make where candles touch levels? The ``touch`` fill model, read aloud.

A level fills where the extreme of a candle reaches it, at the open when the candle opens beyond it. When both levels
lie inside one candle the stop counts, since nobody knows which came first. What the clock ends is closed at the open,
and what a tick knows of the price is the last close. A candle that fills a resting order is not looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.naive.market import Candle
from tests.naive.pnl import Costs, Entry, closing_pnl
from tests.naive.settings import MINUTE
from tests.naive.validation import InvalidSignalError, check_signal, is_price, opens_at_once


@dataclass(frozen=True)
class Trail:
    """The stop follows the close at ``distance`` percent, once the close is ``start`` percent ahead of the entry."""

    start: float
    distance: float


@dataclass
class Trade:
    """A resting order or a position; times in ms UTC, ``pending_at`` 0 for an order that never filled."""

    position: str
    take: float
    stop: float
    entry: float
    scheduled_at: int
    pending_at: int = 0
    ended_at: int = 0
    reason: str = ""
    exit: float = 0.0
    percent: float = 0.0

    @property
    def is_long(self) -> bool:
        """Whether it earns when prices rise."""
        return self.position == "long"

    def end(self, when: int, reason: str, price: float) -> None:
        """Over."""
        self.ended_at, self.reason, self.exit = when, reason, price


def trades_of(
    candles: Mapping[int, Candle],
    ticks: Sequence[int],
    ask: Callable[[int], Mapping[str, Any] | None],
    config: Mapping[str, Any],
    *,
    interval: int,
    symbol: str = "BTCUSDT",
    trail: Trail | None = None,
) -> list[Trade]:
    """Every trade of a run.

    candles    by open time, ms UTC, without holes
    ask        the signal of a tick
    interval   ms between two questions
    """
    trades: list[Trade] = []
    costs = Costs(config["CC_PERCENT_SLIPPAGE"], config["CC_PERCENT_FEE"])
    asked, last_id, free_from = None, None, ticks[0]
    for when in ticks:
        if when < free_from or when // interval == asked:
            continue
        asked = when // interval
        price = candles[when - MINUTE].close
        signal = ask(when)
        if signal is None or signal.get("symbol", symbol) != symbol:
            continue
        if signal.get("id") and signal["id"] == last_id:
            continue
        row = {
            "symbol": symbol,
            "price_open": price,
            "minute_estimated_time": config["CC_MAX_SIGNAL_LIFETIME_MINUTES"],
            **signal,
            "id": "any",
        }
        opens = "price_open" not in signal or opens_at_once(row, price)
        if opens and is_price(row["price_open"]):
            row["price_open"] = price  # a limit at or beyond the market is a market order
        try:
            check_signal(row, price, opens, config)
        except InvalidSignalError:
            continue
        trade = Trade(
            row["position"], row["price_take_profit"], row["price_stop_loss"], row["price_open"], when
        )
        trades.append(trade)
        first = when
        if opens:
            trade.pending_at = when
        else:
            rest(trade, candles, ticks[-1], config["CC_SCHEDULE_AWAIT_MINUTES"])
            first = trade.pending_at + MINUTE
        if trade.pending_at:
            last_id = signal.get("id")
            hold(trade, candles, first, ticks[-1], row["minute_estimated_time"], trail)
            entries = [Entry(trade.entry, row.get("cost", config["CC_POSITION_ENTRY_COST"]), when)]
            trade.percent = closing_pnl(
                trade.position, entries, [], trade.entry, trade.exit, costs
            ).pnl_percentage
        free_from = trade.ended_at + 1
    return trades


def rest(trade: Trade, candles: Mapping[int, Candle], last: int, patience: int) -> None:
    """Wait for the limit; a candle that reaches the stop as well drops the order."""
    when = trade.scheduled_at
    while True:
        candle = candles[when]
        if when > last or when - trade.scheduled_at >= patience * MINUTE:
            return trade.end(when, "timeout", candle.close)
        if candle.low <= trade.stop if trade.is_long else candle.high >= trade.stop:
            return trade.end(when, "price_reject", candle.close)
        if candle.low <= trade.entry if trade.is_long else candle.high >= trade.entry:
            trade.pending_at = when
            best = min if trade.is_long else max
            trade.entry = best(candle.open, trade.entry)
            return None
        when += MINUTE


def hold(
    trade: Trade,
    candles: Mapping[int, Candle],
    when: int,
    last: int,
    lifetime: float,
    trail: Trail | None,
) -> None:
    """Keep the position until a level or the clock ends it."""
    stop = trade.stop
    while True:
        candle = candles[when]
        if when > last or when - trade.pending_at >= lifetime * MINUTE:
            return trade.end(when, "time_expired", candle.open)
        if candle.open <= stop if trade.is_long else candle.open >= stop:
            return trade.end(when, "stop_loss", candle.open)
        if candle.open >= trade.take if trade.is_long else candle.open <= trade.take:
            return trade.end(when, "take_profit", candle.open)
        if candle.low <= stop if trade.is_long else candle.high >= stop:
            return trade.end(when, "stop_loss", stop)
        if candle.high >= trade.take if trade.is_long else candle.low <= trade.take:
            return trade.end(when, "take_profit", trade.take)
        if trail is not None:
            stop = trailed(trade, stop, candle.close, trail)
        when += MINUTE


def trailed(trade: Trade, stop: float, close: float, trail: Trail) -> float:
    """The stop after a candle: never looser, and never beyond the target."""
    sign = 1 if trade.is_long else -1
    if sign * (close / trade.entry - 1) * 100 < trail.start:
        return stop
    wanted = close * (1 - sign * trail.distance / 100)
    tightens = wanted > stop if trade.is_long else wanted < stop
    fits = wanted < trade.take if trade.is_long else wanted > trade.take
    return wanted if tightens and fits else stop
