"""What was a series of trades worth? The formulas of spec reports.md 6 and 7, read aloud."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

DAY = 24 * 60 * 60 * 1000
MINUTE = 60 * 1000

#: Numbers by field name, and the trend in words; absent or None is not available.
Found = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Trade:
    """A closed trade: percents, prices in quote currency, times in ms UTC."""

    pnl: float
    peak: float | None
    fall: float | None
    pending: int
    close: int
    price: float


def fold(values: Iterable[float]) -> float:
    """Sum from left to right."""
    total = 0.0
    for value in values:
        total = total + value
    return total


def mean(values: Sequence[float]) -> float | None:
    return fold(values) / len(values) if values else None


def median(values: Sequence[float]) -> float | None:
    if not values:
        return None
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def close_order(arrived: Sequence[Trade]) -> list[Trade]:
    """By close time; trades that close together stay newest first."""
    newest_first = arrived[::-1]
    return sorted(newest_first, key=lambda trade: trade.close)


def follow_equity(trades: Iterable[Trade]) -> tuple[float, float, bool]:
    """Final equity, maximum drawdown in percent, whether the account was blown (6.5)."""
    equity = peak = 1.0
    drawdown = 0.0
    for trade in trades:
        if trade.fall is not None and trade.fall < 0:
            trough = equity * (1 + trade.fall / 100)
            if trough <= 0:
                return 0.0, 100.0, True
            drawdown = max(drawdown, (peak - trough) / peak * 100)
        equity = equity * (1 + trade.pnl / 100)
        if equity <= 0:
            return 0.0, 100.0, True
        peak = max(peak, equity)
        drawdown = max(drawdown, (peak - equity) / peak * 100)
    return equity, drawdown, False


def streaks(results: Iterable[float]) -> tuple[list[list[float]], list[list[float]]]:
    """Maximal runs of wins and maximal runs of losses."""
    wins, losses = [], []
    for sign, run in groupby(results, key=lambda result: (result > 0) - (result < 0)):
        if sign > 0:
            wins.append(list(run))
        elif sign < 0:
            losses.append(list(run))
    return wins, losses


def power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf


def clamp(value: float) -> float:
    return max(-1000.0, min(1000.0, value))


def statistics(stored: Sequence[Trade], ordered: Sequence[Trade], runs_of: Sequence[Trade]) -> Found:
    """All of 6.4, of a backtest: sums over ``stored``, equity over ``ordered``, streaks over ``runs_of``."""
    n = len(stored)
    results = [trade.pnl for trade in stored]
    wins = [result for result in results if result > 0]
    losses = [result for result in results if result < 0]
    win_runs, loss_runs = streaks(trade.pnl for trade in runs_of)
    found: Found = {
        "total_trades": n,
        "win_count": len(wins),
        "loss_count": len(losses),
        "max_win_streak": max(map(len, win_runs), default=0),
        "max_loss_streak": max(map(len, loss_runs), default=0),
    }
    if n == 0:
        return found
    decisive = len(wins) + len(losses)
    found["win_rate"] = len(wins) / decisive * 100 if decisive else 0.0
    found["total_pnl"] = fold(results)
    average = fold(results) / n
    found["avg_pnl"] = average
    found["median_pnl"] = median(results)
    found["avg_win"], found["avg_loss"] = mean(wins), mean(losses)
    if wins and abs(fold(losses)) > 1e-9:
        found["profit_factor"] = fold(wins) / abs(fold(losses))
    peaks = [trade.peak for trade in stored if trade.peak is not None]
    falls = [trade.fall for trade in stored if trade.fall is not None]
    found["avg_peak_pnl"], found["avg_fall_pnl"] = mean(peaks), mean(falls)
    found["peak_profit_pnl"] = max(peaks, default=None)
    found["max_drawdown_pnl"] = min(falls, default=None)
    for name, group in (
        ("avg_duration", stored),
        ("avg_win_duration", [trade for trade in stored if trade.pnl > 0]),
        ("avg_loss_duration", [trade for trade in stored if trade.pnl < 0]),
    ):
        found[name] = mean([(trade.close - trade.pending) / MINUTE for trade in group])
    found["avg_consecutive_win_pnl"] = mean([fold(run) for run in win_runs])
    found["avg_consecutive_loss_pnl"] = mean([fold(run) for run in loss_runs])
    equity, drawdown, is_blown = follow_equity(ordered)
    found["max_drawdown"] = drawdown
    if n < 10:
        return found

    deviation = math.sqrt(fold((result - average) ** 2 for result in results) / (n - 1))
    found["std_dev"] = deviation
    if deviation > 1e-9:
        found["sharpe_ratio"] = average / deviation
    downside = math.sqrt(fold(result**2 for result in losses) / n)
    if losses and downside > 1e-9:
        found["sortino_ratio"] = average / downside
    mean_win, mean_loss = mean(wins) or 0.0, mean(losses) or 0.0
    if losses and abs(mean_loss) > 1e-9:
        found["certainty_ratio"] = mean_win / abs(mean_loss)
    found["expectancy"] = len(wins) / n * mean_win + len(losses) / n * mean_loss
    if not is_blown and drawdown > 0:
        found["recovery_factor"] = clamp((equity - 1) * 100 / drawdown)
    days = (max(trade.close for trade in stored) - min(trade.pending for trade in stored)) / DAY
    if days < 14 or n / days * 365 > 365:
        return found
    per_year = n / days * 365
    found["trades_per_year"] = per_year
    sharpe = found.get("sharpe_ratio")
    if sharpe is not None:
        found["annualized_sharpe_ratio"] = sharpe * math.sqrt(per_year)
    yearly = -100.0 if is_blown else (power(equity, per_year / n) - 1) * 100
    if abs(yearly) <= 100:
        found["expected_yearly_returns"] = yearly
        if drawdown > 0:
            found["calmar_ratio"] = clamp(yearly / drawdown)
    return found


def price_profile(ordered: Sequence[Trade]) -> Found:
    """The nine fields of section 7."""
    points = [
        (trade.close, trade.price)
        for trade in ordered
        if trade.close > 0 and math.isfinite(trade.price) and trade.price > 0
    ]
    if len(points) < 10:
        return {}
    found: Found = {}
    prices = [price for _, price in points]
    steps = [(price - before) / before for before, price in pairwise(prices)]
    step_size = (median([abs(step) for step in steps]) or 0.0) * 100
    found["median_step_size"] = step_size
    ups = [step for step in steps if step > 0]
    downs = [-step for step in steps if step < 0]
    if ups or downs:
        found["buyer_pressure"] = len(ups) / (len(ups) + len(downs))
        found["seller_pressure"] = len(downs) / (len(ups) + len(downs))
        found["buyer_strength"] = fold(ups) / (fold(ups) + fold(downs))
        found["seller_strength"] = fold(downs) / (fold(ups) + fold(downs))
        found["pressure_imbalance"] = found["buyer_strength"] - found["seller_strength"]
    days = [(time - points[0][0]) / DAY for time, _ in points]
    if days[-1] == 0:
        return found
    logs = [math.log(price) for price in prices]
    middle_day, middle_log = fold(days) / len(days), fold(logs) / len(logs)
    xx = fold((day - middle_day) ** 2 for day in days)
    yy = fold((log - middle_log) ** 2 for log in logs)
    xy = fold((day - middle_day) * (log - middle_log) for day, log in zip(days, logs, strict=True))
    strength, confidence = xy / xx * 100, 0.0
    if len(set(prices)) == 1:
        strength = 0.0
    elif yy > 0:
        confidence = min(xy**2 / (xx * yy), 1.0)
    found["trend_strength"], found["trend_confidence"] = strength, confidence
    if confidence < 0.3:
        found["trend"] = "sideways"
    elif abs(strength) < 0.25 * step_size:
        found["trend"] = "neutral"
    else:
        found["trend"] = "bullish" if strength > 0 else "bearish"
    return found


def is_timed(trade: Trade) -> bool:
    return trade.pending > 0 and trade.close > 0


def series(arrived: Sequence[Trade]) -> Found:
    """What a backtest reports of trades in arrival order."""
    ordered = close_order(arrived)
    return {**statistics(arrived[::-1], ordered, arrived), **price_profile(ordered)}


def symbol(arrived: Sequence[Trade]) -> Found:
    """What a heat map reports of one symbol: 6.6, third column."""
    ordered = close_order(arrived)
    found = {**statistics(arrived[::-1], ordered, arrived[::-1]), **price_profile(ordered)}
    return _portfolio_rules(found, arrived[::-1], needs_wins=True)


def pool(symbols: Sequence[Sequence[Trade]]) -> Found:
    """What a heat map reports of all trades together: 6.6, fourth column; no streaks, no profile."""
    newest_first = [trade for arrived in symbols for trade in reversed(arrived)]
    ordered = sorted(newest_first, key=lambda trade: trade.close)
    found = _portfolio_rules(statistics(ordered, ordered, []), newest_first, needs_wins=False)
    return {
        name: value for name, value in found.items() if "streak" not in name and "consecutive" not in name
    }


def _portfolio_rules(found: Found, stored: Sequence[Trade], *, needs_wins: bool) -> Found:
    kept = dict(found)
    if not found["win_count"] and not found["loss_count"]:
        kept["win_rate"] = kept["expectancy"] = None
    if needs_wins and not found["win_count"]:
        kept["certainty_ratio"] = None
    timed = [trade for trade in stored if is_timed(trade)]
    kept["avg_duration"] = mean([(trade.close - trade.pending) / MINUTE for trade in timed])
    wins = [trade for trade in timed if trade.pnl > 0]
    losses = [trade for trade in timed if trade.pnl < 0]
    kept["avg_win_duration"] = mean([(trade.close - trade.pending) / MINUTE for trade in wins])
    kept["avg_loss_duration"] = mean([(trade.close - trade.pending) / MINUTE for trade in losses])
    return kept
