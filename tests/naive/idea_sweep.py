"""The sweep over ideas read aloud (spec risk-sizing-walker-sweep.md 4.4 to 4.7); no shared code with the kernels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

MINUTE = 60_000
DAY = 86_400_000
REASONS = ("hard_stop", "trailing_take", "profit_lock", "time_expired", "data_truncated")


class Candle(NamedTuple):
    """One minute."""

    high: float
    low: float
    close: float


@dataclass(frozen=True)
class Path:
    """An idea with the candles after it; ``side`` is 1 long or -1 short."""

    author: int
    side: int
    entry_at: int
    entry: float
    candles: tuple[Candle, ...]


class Point(NamedTuple):
    """A combination, in grid order."""

    stop: float
    trailing: float
    hold: int
    lock: float


class Trade(NamedTuple):
    """How an idea ended."""

    path: int
    index: int
    reason: str
    pnl: float


@dataclass(frozen=True)
class Costs:
    """Percent per side."""

    slippage: float
    fee: float


def reaches(side: int, price: float, level: float) -> bool:
    """Whether a price is at the level or beyond, in the direction of the idea."""
    return price >= level if side == 1 else price <= level


def falls_to(side: int, price: float, level: float) -> bool:
    """Whether a price is at the level or beyond, against the direction of the idea."""
    return price <= level if side == 1 else price >= level


def arm_level(price: float, side: int, trailing: float) -> float | None:
    """Where the trailing stop is worth the entry; None where trailing is off (deviation 13) or cannot be."""
    keep = 1 - side * (trailing / 100)
    return None if trailing == 0 or keep == 0 else price / keep


def outcome(path: Path, point: Point, costs: Costs, horizon: int) -> tuple[int, str, float]:
    """Exit candle, reason and pnl of one trade (4.4)."""
    side, slip = path.side, costs.slippage / 100
    fill = path.entry * (1 + side * slip)
    stop = fill * (1 - side * point.stop / 100)
    keep = 1 - side * (point.trailing / 100)
    arm = arm_level(fill, side, point.trailing)
    lock = fill * (1 + side * point.lock / 100) if point.lock > 0 else None
    last = min(point.hold, len(path.candles)) - 1
    peak = fill
    for i, candle in enumerate(path.candles[: last + 1]):
        adverse, favorable = (candle.low, candle.high) if side == 1 else (candle.high, candle.low)
        trail = peak * keep
        trail_hit = arm is not None and reaches(side, peak, arm) and falls_to(side, adverse, trail)
        lock_hit = lock is not None and reaches(side, peak, lock) and falls_to(side, adverse, lock)
        if falls_to(side, adverse, stop):
            return i, "hard_stop", pnl_of(stop, fill, side, costs)
        if trail_hit and (not lock_hit or reaches(side, trail, lock or 0.0)):
            return i, "trailing_take", pnl_of(trail, fill, side, costs)
        if lock_hit and lock is not None:
            return i, "profit_lock", pnl_of(lock, fill, side, costs)
        peak = max(peak, favorable) if side == 1 else min(peak, favorable)
    is_cut = len(path.candles) < horizon and last == len(path.candles) - 1
    close = path.candles[last].close
    return last, "data_truncated" if is_cut else "time_expired", pnl_of(close, fill, side, costs)


def pnl_of(level: float, fill: float, side: int, costs: Costs) -> float:
    """Percent after slippage and both fees."""
    exit_fill = level * (1 - side * (costs.slippage / 100))
    return side * (exit_fill - fill) / fill * 100 - 2 * costs.fee


def trades_of(
    paths: list[Path], point: Point, costs: Costs, horizon: int
) -> tuple[list[Trade], dict[int, list[int]]]:
    """Trades in order of entry, and the ideas that each absorbed (4.5)."""
    trades: list[Trade] = []
    absorbed: dict[int, list[int]] = {}
    busy: dict[int, tuple[int, int]] = {}
    for number, path in enumerate(paths):
        until, holder = busy.get(path.author, (-(10**18), -1))
        if path.entry_at < until:
            absorbed[holder].append(number)
            continue
        index, reason, pnl = outcome(path, point, costs, horizon)
        trades.append(Trade(number, index, reason, pnl))
        absorbed[number] = []
        busy[path.author] = (path.entry_at + index * MINUTE + MINUTE, number)
    return trades, absorbed


def is_hit(path: Path, point: Point) -> bool:
    """Whether an idea reaches its goal before its stop and in time (4.6)."""
    side = path.side
    stop = path.entry * (1 - side * point.stop / 100)
    goals = [path.entry * (1 + side * point.lock / 100)] if point.lock > 0 else []
    arm = arm_level(path.entry, side, point.trailing)
    goals += [] if arm is None else [arm]
    for candle in path.candles[: point.hold]:
        adverse, favorable = (candle.low, candle.high) if side == 1 else (candle.high, candle.low)
        if falls_to(side, adverse, stop):
            return False
        if any(reaches(side, favorable, goal) for goal in goals):
            return True
    return False


def days_of(paths: list[Path]) -> int:
    """Days that the daily figures are over (4.7)."""
    if not paths:
        return 1
    known = max(path.entry_at + len(path.candles) * MINUTE for path in paths)
    return max(1, math.ceil((known - min(path.entry_at for path in paths)) / DAY))


def report(paths: list[Path], point: Point, costs: Costs, horizon: int) -> dict[str, Any]:
    """The figures of a point (4.7)."""
    trades, absorbed = trades_of(paths, point, costs, horizon)
    pnls = [trade.pnl for trade in trades]
    count, total, days = len(trades), sum(pnls), days_of(paths)
    gains, losses = sum(p for p in pnls if p > 0), -sum(p for p in pnls if p <= 0)
    equity = peak = drawdown = 0.0
    for pnl in pnls:
        equity += pnl
        peak = max(peak, equity)
        drawdown = max(drawdown, peak - equity)
    daily = [0.0] * days
    for trade in trades:
        exit_at = paths[trade.path].entry_at + trade.index * MINUTE
        day = (exit_at - min(path.entry_at for path in paths)) // DAY
        daily[min(max(day, 0), days - 1)] += trade.pnl
    mean = sum(daily) / days
    deviation = math.sqrt(sum((x - mean) ** 2 for x in daily) / days)
    downside = math.sqrt(sum(min(x, 0) ** 2 for x in daily) / days)
    holds = sorted(trade.index + 1 for trade in trades)
    endless = math.inf if total > 0 else 0.0

    def percentile(p: int) -> int:
        return holds[min(count - 1, math.floor(p / 100 * count))] if holds else 0

    return {
        **{reason: sum(trade.reason == reason for trade in trades) for reason in REASONS},
        "trades": count,
        "skipped_busy": sum(map(len, absorbed.values())),
        "total_pnl_percent": total,
        "avg_pnl_percent": total / count if count else 0.0,
        "win_rate": sum(p > 0 for p in pnls) / count if count else 0.0,
        "profit_factor": gains / losses if losses else math.inf,
        "max_series_drawdown_percent": drawdown,
        "calmar_ratio": total * 365 / days / drawdown if drawdown else endless,
        "recovery_factor": total / drawdown if drawdown else endless,
        "avg_hold_minutes": sum(holds) / count if count else 0.0,
        "p95_hold_minutes": percentile(95),
        "p99_hold_minutes": percentile(99),
        "sharpe": mean / deviation * math.sqrt(days) if deviation else 0.0,
        "sortino": mean / downside * math.sqrt(days) if downside else (math.inf if mean > 0 else 0.0),
    }


def points_of(
    stops: list[float], trailings: list[float], holds: list[int], locks: list[float]
) -> list[Point]:
    """The grid in its order."""
    return [Point(*values) for values in product(stops, trailings, holds, locks)]
