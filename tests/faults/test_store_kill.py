"""A writer of candles that is killed at any moment leaves whole months behind, and the next one goes on."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bkapi.market.store import CandleStore

pytestmark = pytest.mark.xdist_group("cluster")

ROOT = Path(__file__).resolve().parents[2]
MINUTE = 60_000
START = 1_704_067_200_000 + 29 * 1440 * MINUTE  # 2024-01-30: the days cross the end of a month
DAYS = 40

#: Writes a day at a time, into the months of January to March, and says so.
WRITER = """
import sys
import polars as pl
from bkapi.market.store import CandleStore
import pyarrow.parquet
root, start, days = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
store = CandleStore(root)
print("ready", flush=True)
for day in range(days):
    first = start + day * 1440 * 60000
    times = pl.Series(range(first, first + 1440 * 60000, 60000), dtype=pl.Int64)
    price = 100.0 + (times // 60000 % 97).cast(pl.Float64)
    rows = pl.DataFrame({"timestamp": times, "open": price, "high": price + 1, "low": price - 1,
                         "close": price, "volume": price * 0 + 2})
    store.write_rows("venue", "BTC/USDT", "1m", rows)
    print(day, flush=True)
"""


def write(root: Path, *, kill_after: float | None = None) -> int:
    """Run a writer; kill it ``kill_after`` seconds after its start of work. How many days it has told of."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root), str(START), str(DAYS)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    if kill_after is not None:
        time.sleep(kill_after)
        process.send_signal(signal.SIGKILL)
    told = process.stdout.read().splitlines()
    process.wait()
    process.stdout.close()
    return len([line for line in told if line.isdigit()])


def stored_days(root: Path) -> int:
    """Whole days in the store; every month is sound, and nothing was put aside."""
    store = CandleStore(root)
    if not store.series():
        return 0
    report = store.check("venue", "BTC/USDT", "1m")
    assert report.quarantined == ()
    assert report.first == START
    assert report.missing == 0
    times = store.load("venue", "BTC/USDT", "1m").timestamps
    prices = store.load("venue", "BTC/USDT", "1m").close
    assert (prices == 100.0 + times // MINUTE % 97).all()
    assert report.candles % 1440 == 0
    return report.candles // 1440


def strike(root: Path, seed: int) -> None:
    """Kill a writer at a random moment, once or twice, then let one finish."""
    chance = random.Random(seed)
    for _ in range(chance.choice((1, 1, 2))):
        told = write(root, kill_after=chance.uniform(0, 0.35))
        assert stored_days(root) >= told  # what was told is there
    if seed % 10 == 0:
        assert write(root) == DAYS
        assert stored_days(root) == DAYS
        assert not [*root.rglob("*.part")]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("seed", range(10))
def test_a_killed_writer_leaves_whole_months(tmp_path: Path, seed: int) -> None:
    strike(tmp_path, seed)


@pytest.mark.soak
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("seed", range(10, 210))
def test_a_writer_killed_two_hundred_times(tmp_path: Path, seed: int) -> None:
    strike(tmp_path, seed)
