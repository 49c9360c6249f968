"""What benchmarks share: where candles come from, how time is taken, and what is said of the machine."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("BK_SHARED", ROOT.parent / "shared"))
YEAR = 525_600
MINUTE = 60_000
sys.path.insert(0, str(ROOT))


def timed(work: Callable[[], Any], runs: int) -> dict[str, float]:
    """Least and median seconds of ``runs`` calls."""
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return {"min_s": min(seconds), "median_s": statistics.median(seconds)}


def candle_file(given: str | None, folder: Path) -> tuple[Path, str]:
    """A year of candles as a Parquet file, and what it is."""
    import polars as pl

    source = Path(given) if given else SHARED / "data" / "btcusdt_binance_spot_1m_2024.parquet"
    path = folder / "BTCUSDT-1m.parquet"
    if source.exists():
        pl.read_parquet(source).head(YEAR).write_parquet(path)
        return path, source.name
    from bkcore.synthetic import generate

    generate(symbol="BTCUSDT", minutes=YEAR, seed=7).write(path)
    return path, "synthetic (seed 7)"


def machine() -> dict[str, Any]:
    """Where the figures were taken."""
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
    }
