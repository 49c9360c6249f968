"""What Ray costs: one sweep by threads of this process and by as many worker processes of a Ray cluster.

One year of 1-minute candles, eight sets of signals, policies that are played trade by trade. Rounds alternate, and the
order within a round turns. Results are compared bit for bit before any ratio is told. ``ray`` finds a cluster running,
``ray_with_start`` starts and stops one of its own. The last line is one JSON object.

    python benchmarks/distributed.py [--candles FILE] [--rounds 3] [--seconds 60]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from measuring import candle_file, machine
from sweep import CONTEXT, QUARTER, SYMBOL, register, steps

import bkapi as bk
from bkapi import Space, Sweep
from bkapi.base.resources import cores

LIMIT_PERCENT = 15.0
STORE_BYTES = 512 << 20


def cross(candles: Any, slow: int = 60) -> Any:
    """A signal at every quarter of an hour: long above the slow average, short below."""
    import polars as pl

    mean = pl.col("close").rolling_mean
    return (
        candles.select("closed_at", fast=mean(20), slow=mean(slow))
        .filter((pl.col("closed_at") % QUARTER == 0) & pl.col("slow").is_not_null())
        .select(
            timestamp="closed_at",
            position=pl.when(pl.col("fast") > pl.col("slow")).then(pl.lit("long")).otherwise(pl.lit("short")),
            take_profit_percent=pl.lit(1.0),
            stop_loss_percent=pl.lit(1.0),
        )
    )


def space_of(count: int) -> Space:
    """About ``count`` combinations: eight sets of signals, each with brackets and starts of a breakeven stop."""
    return Space.grid(
        slow=[40, 50, 60, 80, 100, 120, 180, 240],
        breakeven_from_percent=steps(0.4, 0.9, max(2, round(count / (8 * 16 * 16)))),
        take_profit_percent=steps(0.8, 2.0, 16),
        stop_loss_percent=steps(0.8, 2.0, 16),
        lifetime_minutes=[240],
    )


def sized(seconds: float, threads: int) -> Any:
    """A sweep that takes about so long, by the time that a small one takes."""
    small = Sweep(CONTEXT, space_of(20_000), symbol=SYMBOL, threads=threads)
    small.run(progress=False)
    started = time.perf_counter()
    small.run(progress=False)
    pace = (time.perf_counter() - started) / small.space.size
    return Sweep(CONTEXT, space_of(round(seconds / pace)), symbol=SYMBOL, threads=threads)


def in_running_cluster(sweep: Any, threads: int) -> tuple[Any, float]:
    """Frame and seconds of a sweep in a cluster that is there already, its workers started."""
    ray.init(
        address="local",
        num_cpus=threads,
        include_dashboard=False,
        object_store_memory=STORE_BYTES,
        logging_level="ERROR",
    )
    try:
        Sweep(CONTEXT, space_of(0), symbol=SYMBOL, threads=threads).run(progress=False, engine="ray")
        return timed_run(sweep, engine="ray")
    finally:
        ray.shutdown()


def timed_run(sweep: Any, **options: Any) -> tuple[Any, float]:
    """Frame and seconds of a sweep."""
    started = time.perf_counter()
    frame = sweep.run(progress=False, **options).frame
    return frame, time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candles", help="a Parquet file of 1-minute candles")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="what the sweep should take here")
    options = parser.parse_args()
    threads = cores()
    with tempfile.TemporaryDirectory() as name:
        path, source = candle_file(options.candles, Path(name))
        register(path)
        bk.override_strategy_schema(strategy_name="cross", signals=cross, params={"slow": 60})
        sweep = sized(options.seconds, threads)
        ways: dict[str, Callable[[], tuple[Any, float]]] = {
            "local": lambda: timed_run(sweep),
            "ray": lambda: in_running_cluster(sweep, threads),
            "ray_with_start": lambda: timed_run(sweep, engine="ray"),
        }
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        wanted = None
        for turn in range(options.rounds):
            order = list(ways)
            for way in order[turn % 3 :] + order[: turn % 3]:
                frame, taken = ways[way]()
                wanted = frame if wanted is None else wanted
                assert frame.equals(wanted), f"{way} gives other results"
                seconds[way].append(taken)
                print(f"round {turn + 1}, {way:15} {taken:7.2f} s", flush=True)
    assert wanted is not None
    medians = {way: statistics.median(taken) for way, taken in seconds.items()}
    overhead = {way: 100.0 * (medians[way] / medians["local"] - 1.0) for way in ways if way != "local"}
    for way, percent in overhead.items():
        verdict = "met" if percent <= LIMIT_PERCENT else "MISSED"
        print(f"{way:15} {percent:+6.1f} % over local, target {LIMIT_PERCENT:g} %: {verdict}")
    found = {
        "benchmark": "distributed",
        "source": source,
        "combinations": sweep.space.size,
        "trades": int(wanted["total_trades"].sum()),
        "cores": threads,
        "seconds": {way: [round(one, 3) for one in taken] for way, taken in seconds.items()},
        "median_s": {way: round(taken, 3) for way, taken in medians.items()},
        "overhead_percent": {way: round(percent, 2) for way, percent in overhead.items()},
        "limit_percent": LIMIT_PERCENT,
        "is_met": max(overhead.values()) <= LIMIT_PERCENT,
        "is_identical": True,
        "ray": ray.__version__,
        "machine": machine(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
