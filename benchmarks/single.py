"""How long does one backtest take? One year of 1-minute candles, cold start to warm run; the last line is JSON.

    python benchmarks/single.py [--candles FILE] [--runs 15] [--skip-cold]

The strategy is a 20/60 moving-average cross judged every 15 minutes, take-profit and stop-loss 1 %, lifetime 240
minutes. Before any time is taken, the three drivers (skip, run, step) must give the same trades and events, and a
stretch of them must equal the slow twin of the tests. ``warm_ns_per_candle`` is the engine's whole work on given
signals (checking and laying out the signal frame, the run, its full event log), in one thread; the user's own signal
function, building the market and turning the log into frames or objects stand beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measuring import MINUTE, ROOT, candle_file, machine, timed


def strategy(candles: Any) -> Any:
    """Moving-average cross, judged every 15 minutes on closed candles."""
    import polars as pl

    return (
        candles.lazy()
        .select(
            timestamp="closed_at",
            fast=pl.col("close").rolling_mean(20),
            slow=pl.col("close").rolling_mean(60),
        )
        .filter(pl.col("timestamp") % (15 * MINUTE) == 0)
        .select("timestamp", above=pl.col("fast") > pl.col("slow"))
        .filter(pl.col("above") != pl.col("above").shift(1))
        .select(
            "timestamp",
            position=pl.when("above").then(pl.lit("long")).otherwise(pl.lit("short")),
            take_profit_percent=pl.lit(1.0),
            stop_loss_percent=pl.lit(1.0),
            minute_estimated_time=pl.lit(240),
        )
        .collect()
    )


def process_seconds(arguments: list[str], runs: int, **environment: str) -> float:
    """Least wall time of a fresh process that runs the command line."""
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", "from bkapi.cli.main import main; main()", *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, **environment},
        )
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def prove_parity(market: Any, settings: Any, frame: Any, table: Any) -> dict[str, int]:
    """The drivers agree bit for bit on the year, and with the slow twin on its first days."""
    from bkcore.machine.records import EVENT, POSITION
    from bkcore.machine.run import Frame, Run

    runs = {
        driver: Run(market, settings, frame, table.records, interval_ms=15 * MINUTE, driver=driver).finish()
        for driver in ("skip", "run", "step")
    }
    for name, dtype in (("trades", POSITION), ("events", EVENT)):
        for field in dtype.names or ():
            columns = [getattr(run, name)[field] for run in runs.values()]
            assert all((columns[0] == other).all() for other in columns[1:]), f"{name}.{field} differs"

    from tests.naive.engine import run as twin

    few = 4 * 1440
    short = Frame(frame.start_ms, frame.step_ms, few)
    fast = Run(market, settings, short, table.records, interval_ms=15 * MINUTE).finish().trades
    rows = list(
        zip(
            *(
                column[: few + 1500].tolist()
                for column in (
                    market.timestamps,
                    market.open,
                    market.high,
                    market.low,
                    market.close,
                    market.volume,
                )
            ),
            strict=True,
        )
    )
    planned = {int(row["time"]): int(row["side"]) for row in table.records}

    def get_signal(_: Any, when: int, price: float) -> dict[str, Any] | None:
        side = planned.get(when // (15 * MINUTE) * 15 * MINUTE)  # offered once in its 15 minutes
        if side is None:
            return None
        return {
            "id": str(when),
            "position": "long" if side > 0 else "short",
            "price_take_profit": price * (1 + side * 1.0 / 100),
            "price_stop_loss": price * (1 - side * 1.0 / 100),
            "minute_estimated_time": 240,
        }

    slow = twin(
        rows,
        frame=("1m", short.start_ms, short.end_ms),
        get_signal=get_signal,
        strategy_interval="15m",
    )
    closed = [result for result in slow.results if result["action"] == "closed"]
    assert len(closed) == fast.size, (len(closed), fast.size)
    for expected, got in zip(closed, fast, strict=True):
        assert expected["close_timestamp"] == got["ended_at"]
        assert expected["current_price"] == got["end_price"]
        assert expected["pnl"]["pnl_percentage"] == got["pnl_percent"]
    return {
        "trades": int(runs["skip"].trades.size),
        "events": int(runs["skip"].events.size),
        "twin_trades": len(closed),
    }


def measure(path: Path, runs: int) -> dict[str, Any]:
    """Everything inside one warm process."""
    import polars as pl

    from bkapi.base.context import MethodContext
    from bkapi.runs.rows import Rows
    from bkcore.candles.frame import CandleFrame
    from bkcore.machine.event_log import events_frame, trades_frame
    from bkcore.machine.market import Market
    from bkcore.machine.run import Frame, Run
    from bkcore.machine.settings import EngineSettings
    from bkcore.machine.signals import bind_signals

    settings = EngineSettings()
    candles = CandleFrame.read(path)
    market = Market.from_candles(candles)
    market.average_price(settings.average_candles)
    start, end = int(market.timestamps[settings.average_candles]), int(market.timestamps[-2])
    frame = Frame.between(start, end, MINUTE)
    known = candles.frame.with_columns(closed_at=pl.col("timestamp") + MINUTE)
    signals = strategy(known)
    table = bind_signals(signals, "BTCUSDT", 15 * MINUTE)
    parity = prove_parity(market, settings, frame, table)

    def whole() -> Run:
        bound = bind_signals(signals, "BTCUSDT", 15 * MINUTE)
        return Run(market, settings, frame, bound.records, interval_ms=15 * MINUTE).finish()

    def plain(driver: Any, *, logs: bool) -> Callable[[], Run]:
        return lambda: Run(
            market, settings, frame, table.records, interval_ms=15 * MINUTE, driver=driver, logs=logs
        ).finish()

    last = whole()
    rows = Rows(last, "BTCUSDT", MethodContext("cross", "file", "year"))
    parts = {
        "read_candles": timed(lambda: CandleFrame.read(path), 5),
        "build_market": timed(lambda: Market.from_candles(candles).average_price(5), runs),
        "signal_function": timed(lambda: strategy(known), runs),
        "warm": timed(whole, runs),
        "skip_with_log": timed(plain("skip", logs=True), runs),
        "skip_without_log": timed(plain("skip", logs=False), runs),
        "run_with_log": timed(plain("run", logs=True), runs),
        "run_without_log": timed(plain("run", logs=False), runs),
        "step": timed(plain("step", logs=True), 1),
        "events_frame": timed(lambda: events_frame(last), 5),
        "trades_frame": timed(lambda: trades_frame(last), 5),
        "typed_results": timed(lambda: [(rows.opened(k), rows.ended(k)) for k in range(last.trades.size)], 3),
    }
    per_candle = {
        f"{name}_ns_per_candle": round(part["median_s"] / len(market) * 1e9, 3)
        for name, part in parts.items()
    }
    return {
        "candles": len(market),
        **parity,
        "warm_ns_per_candle": per_candle["warm_ns_per_candle"],
        "warm_min_ns_per_candle": round(parts["warm"]["min_s"] / len(market) * 1e9, 3),
        **per_candle,
        "parts": parts,
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def main() -> None:
    """Measure, print a table, end with one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--candles", help="a file of 1m candles; default: real ones where present, else synthetic"
    )
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--skip-cold", action="store_true", help="leave out the first compilation")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bk-benchmark-") as name:
        folder = Path(name)
        path, source = candle_file(chosen.candles, folder)
        result: dict[str, Any] = {"benchmark": "single", "source": source}
        if not chosen.skip_cold:
            result["first_compilation_s"] = round(
                process_seconds(["warmup"], 1, NUMBA_CACHE_DIR=str(folder / "kernels")), 2
            )
        process_seconds(["warmup"], 1)
        result["help_s"] = round(process_seconds(["--help"], 5), 3)
        result["fresh_process_s"] = round(
            process_seconds(["backtest", "example", "--candles", str(path)], 5), 3
        )
        result |= measure(path, chosen.runs)
    result["machine"] = machine()
    for name, value in result.items():
        if isinstance(value, (int, float, str)):
            print(f"{name:34s} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
