"""How long does the default grid over trading ideas take? 21,280 points, 14 days of minutes; the last line is JSON.

    python benchmarks/ideas.py [--candles FILE] [--ideas 300] [--runs 5] [--twin 2]

Ideas come at random minutes of a year, from 20 authors. Before any time is taken, a few random points must equal the
slow twin of the tests: every trade to the last bit, figures to 1e-9. ``run`` is the whole of ``Sweep.run`` from ideas
to result; ``with_callbacks`` the same with a Python function told of every point; ``twin_point`` is what the plain
loops take for one point, so ``twin_grid_hours`` what they would take for the grid. Peak memory is that of the first
run, candles included.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring import MINUTE, candle_file, machine, timed

HORIZON = 14 * 1440


def make_ideas(first: int, last: int, count: int) -> list[dict[str, Any]]:
    """Random ideas between two moments (ms UTC)."""
    chance = random.Random(5)
    return [
        {
            "id": number,
            "ts": chance.randrange(first, last),
            "symbol": "BTCUSDT",
            "direction": chance.choice(["LONG", "SHORT"]),
            "author": f"author {chance.randrange(20)}",
        }
        for number in range(count)
    ]


def prove_parity(result: Any, ideas: list[dict[str, Any]], candles: Any, points: int) -> float:
    """Compare some points with the slow twin; seconds it takes for one."""
    from bkapi.ideas.feed import ideas_of, read_ideas, without_flood
    from tests.naive import idea_sweep as naive

    kept = without_flood(ideas_of(read_ideas(ideas), "BTCUSDT"))
    authors = {author: number for number, author in enumerate(dict.fromkeys(idea.author for idea in kept))}
    start = int(candles["timestamp"][0])
    paths = []
    for idea in kept:
        entry_at = idea.ts // MINUTE * MINUTE + MINUTE
        rows = candles[(entry_at - start) // MINUTE :][:HORIZON]
        path = [naive.Candle(*row) for row in rows.select("high", "low", "close").iter_rows()]
        side = 1 if idea.direction == "LONG" else -1
        paths.append(naive.Path(authors[idea.author], side, entry_at, rows["open"][0], tuple(path)))
    costs, seconds = naive.Costs(0.1, 0.1), 0.0
    for report in random.Random(7).sample(list(result.reports.reports), points):
        point = naive.Point(*report.point.to_dict().values())
        started = time.perf_counter()
        wanted = naive.report(paths, point, costs, HORIZON)
        seconds += time.perf_counter() - started
        trades, _ = naive.trades_of(paths, point, costs, HORIZON)
        got = [(trade.idea_id, trade.exit_reason, trade.pnl_percent) for trade in report.trades_list]
        assert got == [(kept[trade.path].id, trade.reason, trade.pnl) for trade in trades]
        for name in (
            "total_pnl_percent",
            "sharpe",
            "sortino",
            "max_series_drawdown_percent",
            "p95_hold_minutes",
        ):
            assert math.isclose(getattr(report, name), wanted[name], rel_tol=1e-9, abs_tol=1e-12), name
    return seconds / points


def measure(path: Path, count: int, runs: int, points: int) -> dict[str, Any]:
    """The figures of the benchmark."""
    import bkapi as bk
    from bkcore.candles.frame import CandleFrame

    candles = CandleFrame.read(path)
    first, last = int(candles.timestamps[0]), int(candles.timestamps[-1])
    ideas = make_ideas(first, last - (HORIZON + 2000) * MINUTE, count)
    bk.add_exchange_schema(exchange_name="file", candles={"BTCUSDT": candles})
    bk.add_sweep_schema(sweep_name="default", exchange_name="file")
    told: list[int] = []
    bk.add_sweep_schema(
        sweep_name="told",
        exchange_name="file",
        callbacks={"on_grid_point": lambda symbol, report, trades: told.append(len(trades))},
    )
    result = bk.Sweep.run(symbol="BTCUSDT", sweep_name="default", ideas=ideas)
    peak_memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    twin = prove_parity(result, ideas, candles.frame, points)
    run = timed(lambda: bk.Sweep.run(symbol="BTCUSDT", sweep_name="default", ideas=ideas), runs)
    with_callbacks = timed(lambda: bk.Sweep.run(symbol="BTCUSDT", sweep_name="told", ideas=ideas), 2)
    grid = len(result.reports.reports)
    return {
        "points": grid,
        "ideas": result.profile_count,
        "run_s": round(run["median_s"], 3),
        "with_callbacks_s": round(with_callbacks["median_s"], 3),
        "ns_per_trade": round(run["median_s"] / grid / result.profile_count * 1e9, 1),
        "twin_points_equal": points,
        "twin_point_s": round(twin, 3),
        "twin_grid_hours": round(twin * grid / 3600, 1),
        "peak_memory_mb": round(peak_memory_mb, 1),
    }


def main() -> None:
    """Measure, print a table, end with one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--candles", help="a file of 1m candles; default: real ones where present, else synthetic"
    )
    parser.add_argument("--ideas", type=int, default=300)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--twin", type=int, default=2, help="points that are compared with the slow twin")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bk-benchmark-") as name:
        path, source = candle_file(chosen.candles, Path(name))
        figures = measure(path, chosen.ideas, chosen.runs, chosen.twin)
    result = {"benchmark": "ideas", "source": source, **figures, "machine": machine()}
    for name, value in result.items():
        if isinstance(value, int | float | str):
            print(f"{name:34s} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
