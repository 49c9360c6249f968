"""What the candle store costs: a write of symbols x years, range reads from disk and from memory, and a check.

    python benchmarks/store.py --symbols 20 --years 5

Before any clock runs, what was written is read back and compared. The peer is one plain Parquet file per symbol, read
by Polars: what a script without the store would do. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import polars as pl

from benchmarks.measuring import MINUTE, YEAR, machine, timed
from bkapi.market.store import CandleStore
from bkcore.candles.frame import CandleFrame
from bkcore.synthetic import generate

START = "2019-01-01"
READS = 200


def main() -> None:
    """Write, compare, read, and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--symbols", type=int, default=20)
    parser.add_argument("--years", type=float, default=5.0)
    options = parser.parse_args()
    minutes = round(options.years * YEAR)
    names = [f"S{k:02d}USDT" for k in range(options.symbols)]
    candles = generate(symbol=names[0], start=START, minutes=minutes, seed=7)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measured(Path(folder), candles, names)))


def measured(folder: Path, candles: CandleFrame, names: list[str]) -> dict[str, object]:
    """All figures."""
    store, plain = CandleStore(folder / "lake"), folder / "plain"
    plain.mkdir()
    started = time.perf_counter()
    for name in names:
        store.write("venue", CandleFrame.from_any(candles, symbol=name))
    write_s = time.perf_counter() - started
    started = time.perf_counter()
    for name in names:
        candles.frame.write_parquet(plain / f"{name}.parquet")
    plain_write_s = time.perf_counter() - started
    size = sum(path.stat().st_size for path in (folder / "lake").rglob("*.parquet"))
    assert CandleStore(folder / "lake").load("venue", names[-1]).frame.equals(candles.frame)
    total = len(candles) * len(names)
    first, last = int(candles.timestamps[0]), int(candles.timestamps[-1])
    chance = random.Random(5)

    def ranges(length: int) -> list[tuple[str, int]]:
        return [
            (chance.choice(names), chance.randrange(first, last - length * MINUTE) // MINUTE * MINUTE)
            for _ in range(READS)
        ]

    def read(fresh: bool, length: int, wanted: list[tuple[str, int]]) -> None:
        opened = CandleStore(folder / "lake") if fresh else store
        for name, since in wanted:
            if fresh:
                opened = CandleStore(folder / "lake")
            rows = opened.read_exactly("venue", name, "1m", since, length)
            assert rows is not None
            assert len(rows) == length

    def read_plain(length: int, wanted: list[tuple[str, int]]) -> None:
        for name, since in wanted:
            end = since + length * MINUTE
            scanned = pl.scan_parquet(plain / f"{name}.parquet")
            rows = scanned.filter(pl.col("timestamp").is_between(since, end, closed="left")).collect()
            assert len(rows) == length

    figures: dict[str, object] = {}
    for label, length in (("hour", 60), ("week", 7 * 1440)):
        wanted = ranges(length)
        near = [(names[0], last - (length + k) * MINUTE) for k in range(READS)]
        disk = timed(partial(read, True, length, wanted), 3)
        peer = timed(partial(read_plain, length, wanted), 3)
        read(False, length, near)
        memory = timed(partial(read, False, length, near), 3)
        figures[f"read_{label}_from_disk_ms"] = round(1e3 * disk["min_s"] / READS, 3)
        figures[f"read_{label}_from_memory_ms"] = round(1e3 * memory["min_s"] / READS, 4)
        figures[f"read_{label}_plain_file_ms"] = round(1e3 * peer["min_s"] / READS, 3)
    whole = timed(lambda: CandleStore(folder / "lake").load("venue", names[0]), 3)
    whole_plain = timed(lambda: pl.read_parquet(plain / f"{names[0]}.parquet"), 3)
    check = timed(lambda: store.check("venue", names[0], "1m"), 1)
    day = candles.frame[-1440:]
    tail = CandleStore(folder / "tail")
    tail.write_rows("venue", "A", "1m", candles.frame[-31 * 1440 : -1440])
    append = timed(lambda: tail.write_rows("venue", "A", "1m", day), 1)
    return {
        "benchmark": "store",
        **machine(),
        "symbols": len(names),
        "candles_each": len(candles),
        "candles": total,
        "write_s": round(write_s, 2),
        "write_candles_per_s": round(total / write_s),
        "write_plain_files_s": round(plain_write_s, 2),
        "bytes_per_candle": round(size / total, 2),
        **figures,
        "load_symbol_s": round(whole["min_s"], 3),
        "load_symbol_plain_file_s": round(whole_plain["min_s"], 3),
        "check_symbol_s": round(check["min_s"], 3),
        "append_day_s": round(append["min_s"], 4),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


if __name__ == "__main__":
    main()
