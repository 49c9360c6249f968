"""Markets of which the truth is known: nothing but noise, or an edge at one hour of the day; and how they are judged.

``python -m tests.bkapi.planted_truth 200 0`` sweeps 10,080 variants on 200 markets of both kinds, of the seeds from 0
on, and prints how often they are flagged.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

import bkapi as bk
from bkapi.guards.overfitting import SIGNIFICANT, Overfitting, judge

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 128
HOUR = 3_600_000
#: A minute's standard deviation of returns; four hours have about 0.93 %.
DEVIATION = 0.0006
LIFETIME = 240
CONTEXT = {"strategy_name": "hourly", "exchange_name": "memory", "frame_name": "days"}


def market(seed: int, *, edge: float = 0.0, hour: int = 12) -> pl.DataFrame:
    """A random walk of minutes; ``edge`` is the mean of the four hours after ``hour``, in their own deviations."""
    dice = np.random.default_rng(seed)
    minutes = (DAYS + 1) * 1440
    returns = dice.normal(0.0, DEVIATION, minutes)
    of_day = np.arange(minutes) % 1440
    blessed = (of_day >= hour * 60) & (of_day < hour * 60 + LIFETIME)
    returns[blessed] += edge * DEVIATION / np.sqrt(LIFETIME)
    close = 100.0 * np.exp(np.cumsum(returns))
    opened = np.concatenate(([100.0], close[:-1]))
    return pl.DataFrame(
        {
            "timestamp": int(START.timestamp()) * 1000 + 60_000 * np.arange(minutes),
            "open": opened,
            "high": np.maximum(opened, close),
            "low": np.minimum(opened, close),
            "close": close,
            "volume": np.ones(minutes),
        }
    )


def hourly(candles: pl.DataFrame, *, hour: int = 0) -> pl.DataFrame:
    """Long at one hour of every day."""
    return candles.filter(pl.col("closed_at") % (24 * HOUR) == hour * HOUR).select(
        timestamp="closed_at",
        position=pl.lit("long"),
        take_profit_percent=pl.lit(1.0),
        stop_loss_percent=pl.lit(1.0),
        minute_estimated_time=pl.lit(LIFETIME),
    )


def space(takes: int = 21, stops: int = 20) -> bk.Space:
    """24 hours x brackets."""
    return bk.Space.grid(
        hour=range(24),
        take_profit_percent=[round(0.6 + 0.1 * k, 1) for k in range(takes)],
        stop_loss_percent=[round(0.6 + 0.1 * k, 1) for k in range(stops)],
    )


def swept(candles: pl.DataFrame, variants: bk.Space) -> bk.SweepResult:
    """Sweep without costs: on noise nothing is right and nothing is wrong."""
    bk.reset()
    bk.set_config(CC_PERCENT_FEE=0, CC_PERCENT_SLIPPAGE=0)
    bk.add_exchange_schema(exchange_name="memory", candles={"BTCUSDT": candles})
    bk.add_frame_schema(
        frame_name="days", start_date=START + timedelta(hours=1), end_date=START + timedelta(days=DAYS)
    )
    bk.add_strategy_schema(strategy_name="hourly", interval="1h", signals=hourly, params={"hour": 0})
    sweep = bk.ParameterSweep(CONTEXT, variants, symbol="BTCUSDT", metrics="results")
    return sweep.run(progress=False)


def judged(seed: int, *, edge: float, variants: bk.Space | None = None, most: int = 500) -> Overfitting:
    """One market and its guards."""
    return swept(market(seed, edge=edge), variants or space()).overfitting(most=most, draws=0)


def independent(seed: int, *, edge: float = 0.0, trials: int = 10_000, most: int = 500) -> Overfitting:
    """Trials that have nothing in common: the best of normal returns, and a sample of the others.

    edge   mean of the first trial in its own deviations
    """
    returns = np.random.default_rng(seed).normal(size=(256, trials))
    returns[:, 0] += edge
    best = int(np.argmax(returns.mean(axis=0) / returns.std(axis=0, ddof=1)))
    sample = np.unique(np.append(np.arange(most - 1), best))
    place = int(np.searchsorted(sample, best))
    return judge(returns[:, sample], place, trials=trials, is_drawn=best < most - 1)


def told(name: str, found: list[Overfitting]) -> str:
    """Rates of one kind of market: how often its winner counts as significant, and how overfit it looks."""
    rates = [
        np.mean([getattr(one, number) >= SIGNIFICANT for one in found])
        for number in (
            "probabilistic_sharpe_ratio",
            "deflated_sharpe_ratio",
            "deflated_sharpe_ratio_all_trials",
        )
    ]
    overfit = np.array([one.probability_of_backtest_overfitting for one in found])
    worth = np.mean([one.effective_trials for one in found])
    cells = [name, f"{worth:,.0f}", *(f"{rate:.1%}" for rate in rates)]
    cells += [f"{overfit.mean():.2f} ± {overfit.std():.2f}", f"{np.mean(overfit < 0.05):.1%}"]
    return f"| {' | '.join(cells)} |"


def main(count: int, first: int) -> None:
    """Print rates as a table."""
    seeds = range(first, first + count)
    print(f"{count} seeds from {first} on, 10,080 variants of a sweep or 10,000 independent series")
    print(
        "| market | worth trials | naive significant | deflated significant | all trials | PBO | PBO < 0.05 |"
    )
    print("|---|---|---|---|---|---|---|")
    for edge in (0.0, 0.4, 0.6):
        found = [judged(seed, edge=edge) for seed in seeds]
        print(told(f"sweep, edge {edge:.1f}" if edge else "sweep, noise", found), flush=True)
    for edge in (0.0, 0.6):
        found = [independent(seed, edge=edge) for seed in seeds]
        print(told(f"independent, edge {edge:.1f}" if edge else "independent, noise", found), flush=True)


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    main(*given, *(200, 0)[len(given) :])
