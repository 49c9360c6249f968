"""What a sweep costs: per trade and core for each plan, with the number of combinations, of candles and of cores.

One year of 1-minute candles; the strategy gives a signal every 15 minutes (long above its slow average, short below),
which is taken when flat. Trades are compared with whole backtests before any time is taken. A trade is one trade of one
combination; every figure holds everything from ``Sweep(...).run()`` to the result frame: the probing backtest, the
tables, the metrics. The last line is one JSON object.

    python benchmarks/sweep.py [--candles FILE] [--runs 3] [--quick]
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from measuring import MINUTE, YEAR, candle_file, machine

import bkapi as bk
from bkapi import Space, Sweep

CONTEXT = {"strategy_name": "cross", "exchange_name": "memory", "frame_name": "year"}
SYMBOL = "BTCUSDT"
QUARTER = 15 * MINUTE
TARGETS = {
    "results_ns_per_trade": 6.0,
    "drawdown_ns_per_trade": 15.0,
    "trailing_ns_per_trade": 8.0,
    "path_ns_per_trade": 60.0,
}


def cross(candles: Any, every: int = 1) -> Any:
    """A signal at every quarter of an hour, on every ``every``-th day."""
    import polars as pl

    mean = pl.col("close").rolling_mean
    day = pl.col("closed_at") // (1440 * MINUTE)
    return (
        candles.select("closed_at", fast=mean(20), slow=mean(60))
        .filter((pl.col("closed_at") % QUARTER == 0) & pl.col("slow").is_not_null() & (day % every == 0))
        .select(
            timestamp="closed_at",
            position=pl.when(pl.col("fast") > pl.col("slow")).then(pl.lit("long")).otherwise(pl.lit("short")),
            take_profit_percent=pl.lit(1.0),
            stop_loss_percent=pl.lit(1.0),
        )
    )


def register(path: Path, every: int = 1) -> None:
    """Everything for :data:`CONTEXT` over the candles of a file."""
    bk.reset()
    candles = bk.CandleFrame.read(path, symbol=SYMBOL, interval="1m", gaps="fill")
    bk.add_exchange_schema(exchange_name="memory", candles={SYMBOL: candles})
    bk.add_frame_schema(
        frame_name="year",
        interval="15m",
        start_date=candles.start + timedelta(minutes=120),
        end_date=datetime.fromtimestamp(int(candles.timestamps[-1]) / 1000, UTC) - timedelta(minutes=2),
    )
    bk.add_strategy_schema(strategy_name="cross", interval="15m", signals=cross, params={"every": every})


def steps(first: float, last: float, count: int) -> list[float]:
    """Evenly spaced values, rounded so that they read well."""
    return [round(first + (last - first) * k / (count - 1), 6) for k in range(count)]


def brackets(takes: int, stops: int, lifetimes: int = 5) -> dict[str, list[float]]:
    """Axes of a grid."""
    return {
        "take_profit_percent": steps(0.5, 3.0, takes),
        "stop_loss_percent": steps(0.5, 3.0, stops),
        "lifetime_minutes": [60.0, 120.0, 240.0, 480.0, 1440.0][-lifetimes:],
    }


def check(result: Any, some: int) -> None:
    """Fail unless some combinations are what whole backtests say."""
    frame = result.frame
    for row in frame[:: max(1, len(frame) // some)].iter_rows(named=True):
        alone = result.statistics(row["combination"])
        told = (row["total_trades"], row["total_pnl"], row["sharpe_ratio"])
        wanted = (alone.total_signals, alone.total_pnl, alone.sharpe_ratio)
        for have, want in zip(told, wanted, strict=True):
            assert have == want or abs(have - want) <= 1e-9 * max(1.0, abs(want)), (row, wanted)


def measured(
    space: Space, runs: int, *, threads: int = 1, metrics: Any = "results", checked: int = 12
) -> dict[str, float]:
    """Seconds of a sweep, and what follows."""
    sweep = Sweep(CONTEXT, space, symbol=SYMBOL, threads=threads, metrics=metrics)
    check(result := sweep.run(progress=False), checked)
    frame = result.frame
    trades = int(frame["total_trades"].sum())
    minutes = (frame["avg_duration"] * frame["total_trades"]).sum() / trades
    del result, frame
    best = float("inf")
    for _ in range(runs):
        gc.collect()
        started = time.perf_counter()
        sweep.run(progress=False)
        best = min(best, time.perf_counter() - started)
    return {
        "combinations": len(space),
        "trades": trades,
        "mean_hold_minutes": round(minutes, 1),
        "seconds": round(best, 4),
        "us_per_combination": round(best / len(space) * 1e6, 3),
        "ns_per_trade": round(best * threads / trades * 1e9, 3),
    }


def by_plan(runs: int, shrink: int) -> dict[str, Any]:
    """Cost per trade and core of every plan."""
    side = 100 // shrink
    static = Space.grid(**brackets(side, side))
    found: dict[str, Any] = {}
    for metrics in ("results", "drawdown"):
        found[metrics] = measured(static, runs, metrics=metrics)
    found["all"] = measured(Space.grid(**brackets(20, 20)), runs, metrics="all")
    trails = steps(0.3, 2.0, 40 // shrink)
    trailing = Space.grid(**brackets(50 // shrink, 5), trailing_stop_distance_percent=trails)
    found["trailing"] = measured(trailing, runs)
    near = {
        "take_profit_percent": steps(0.9, 1.2, 16),
        "stop_loss_percent": steps(0.9, 1.2, 16),
        "lifetime_minutes": [130.0],
    }
    rules = {
        "path_breakeven": Space.grid(breakeven_from_percent=steps(0.5, 0.8, 8)),
        "path_averaging": Space.grid(dca_step_percent=steps(0.3, 0.6, 4), dca_most_entries=[3, 4]),
        "path_partials": Space.grid(
            partial_profit=[((50, 50),), ((40, 50),), ((30, 30), (60, 50)), ((40, 30), (70, 50))],
            partial_loss=[((50, 50),), ((60, 50),)],
        ),
    }
    for name, rule in rules.items():
        found[name] = measured(rule * Space.grid(**near), runs)
    found["path"] = {"ns_per_trade": max(found[name]["ns_per_trade"] for name in rules)}
    return found


def by_number(runs: int, shrink: int) -> dict[str, Any]:
    """Cost per combination, the more there are."""
    found = {}
    for side in (50, 100, 200):
        axes = brackets(side // shrink, side // shrink)
        figures = measured(Space.grid(**axes), runs, metrics="drawdown", checked=2)
        found[f"{figures['combinations']:,}"] = figures["us_per_combination"]
    return found


def by_cores(runs: int, shrink: int) -> dict[str, float]:
    """Two threads against one."""
    space = Space.grid(**brackets(100 // shrink, 100 // shrink))
    one, two = (measured(space, runs, threads=n, metrics="drawdown", checked=1)["seconds"] for n in (1, 2))
    return {"one_thread_s": one, "two_threads_s": two, "speedup": round(one / two, 3)}


def by_candles(runs: int, folder: Path, shrink: int) -> dict[str, float]:
    """Five times the candles with signals on every fifth day: as many trades."""
    from bkcore.synthetic import generate

    space = Space.grid(**brackets(60 // shrink, 60 // shrink))
    found: dict[str, float] = {}
    for years, every in ((1, 1), (5, 5)):
        path = folder / f"synthetic-{years}.parquet"
        generate(symbol=SYMBOL, minutes=years * YEAR, seed=11).write(path)
        register(path, every)
        figures = measured(space, runs, metrics="drawdown", checked=2)
        found[f"trades_of_{years}_years"] = figures["trades"]
        found[f"ns_per_trade_of_{years}_years"] = figures["ns_per_trade"]
    found["ratio"] = round(found["ns_per_trade_of_5_years"] / found["ns_per_trade_of_1_years"], 3)
    return found


def million(path: Path, shrink: int) -> dict[str, Any]:
    """A million combinations on two threads, in a process of its own."""
    command = [sys.executable, __file__, "--candles", str(path), "--million", str(shrink)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures: dict[str, Any] = json.loads(told.splitlines()[-1])
    return figures


def run_million(path: Path, shrink: int) -> dict[str, Any]:
    """The child's part of :func:`million`."""
    register(path)
    axes = brackets(400 // shrink, 500 // shrink)
    sweep = Sweep(CONTEXT, Space.grid(**axes), symbol=SYMBOL, threads=2)
    started = time.perf_counter()
    result = sweep.run(progress=False)
    seconds = time.perf_counter() - started
    best = result.top(1, by="total_pnl")
    return {
        "combinations": len(result),
        "seconds": round(seconds, 2),
        "peak_memory_mb": round(peak_memory() / 1e6, 1),
        "plan": sweep.explain().plan,
        "best_total_pnl": round(best["total_pnl"][0], 6),
    }


def peak_memory() -> int:
    """Most bytes that this process held; ``getrusage`` would count its parent, too."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the system does not tell how much memory a process has held")


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candles", help="a Parquet file of 1-minute candles")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a tenth of the combinations")
    parser.add_argument("--million", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    shrink = 3 if options.quick else 1
    with tempfile.TemporaryDirectory() as name:
        if options.million:
            print(json.dumps(run_million(Path(options.candles), options.million)))
            return
        path, source = candle_file(options.candles, Path(name))
        register(path)
        found: dict[str, Any] = {"benchmark": "sweep", "source": source, "runs": options.runs}
        found["plans"] = by_plan(options.runs, shrink)
        found["us_per_combination"] = by_number(options.runs, shrink)
        found["cores"] = by_cores(options.runs, shrink)
        found["million"] = million(path, shrink)
        found["candles"] = by_candles(options.runs, Path(name), shrink)
    for target, limit in TARGETS.items():
        plan = target.removesuffix("_ns_per_trade")
        value = found["plans"][plan]["ns_per_trade"]
        found[f"{plan}_ns_per_trade_per_core"] = value
        print(
            f"{plan:10} {value:8.2f} ns per trade and core, target {limit:g}: {'met' if value <= limit else 'MISSED'}"
        )
    found["ns_per_trade_per_core"] = found["plans"]["results"]["ns_per_trade"]
    found["targets"] = {
        target: {
            "limit": limit,
            "is_met": found["plans"][target.removesuffix("_ns_per_trade")]["ns_per_trade"] <= limit,
        }
        for target, limit in TARGETS.items()
    }
    found["machine"] = machine()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
