"""A sweep that is killed at any moment goes on from its parts, to the identical result.

``BK_SWEEP_KILLS`` says how often; ``make fault-soak`` kills it twenty times.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

pytestmark = pytest.mark.xdist_group("cluster")

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("BK_SWEEP_KILLS", "3"))

#: Sweeps signals, levels and trails of two symbols in small parts, by tables and by paths.
SWEEP = """
import sys
from datetime import UTC, datetime
import polars as pl
import bkapi as bk
from bkapi import Space
from bkapi.sweeps import sweep
from bkcore.synthetic import generate

def turns(candles, look):
    return candles.select(
        "timestamp", side=pl.col("close") - pl.col("close").shift(look), time="closed_at"
    ).filter((pl.col("time") % 900_000 == 0) & pl.col("side").is_not_null()).select(
        timestamp="time",
        position=pl.when(pl.col("side") > 0).then(pl.lit("short")).otherwise(pl.lit("long")),
        take_profit_percent=pl.lit(1.0), stop_loss_percent=pl.lit(1.0), minute_estimated_time=pl.lit(120),
    )

start = datetime(2024, 1, 1, tzinfo=UTC)
candles = {name: generate(symbol=name, start=start, minutes=6 * 1440, seed=k) for k, name in enumerate(("A", "B"))}
bk.add_exchange_schema(exchange_name="memory", candles=candles)
bk.add_frame_schema(frame_name="days", start_date=datetime(2024, 1, 1, 1, tzinfo=UTC),
                    end_date=datetime(2024, 1, 6, 20, tzinfo=UTC))
bk.add_strategy_schema(strategy_name="turns", interval="15m", signals=turns, params={"look": 5})
space = Space.grid(
    take_profit_percent=[0.6 + k / 20 for k in range(12)],
    look=[5, 15, 30, 60],
    stop_loss_percent=[0.6 + k / 20 for k in range(12)],
) * Space.random(8, seed=2, trailing_stop_distance_percent=(0.2, 1.0), lifetime_minutes=[30, 90])
space = space.where(pl.col("take_profit_percent") >= pl.col("stop_loss_percent"))
sweep._PART_COMBINATIONS = (128, 128)
made = bk.Sweep({"strategy_name": "turns", "exchange_name": "memory", "frame_name": "days"}, space,
                symbols=["A", "B"], metrics="all", threads=1)
print("ready", flush=True)
result = made.run(folder=sys.argv[1], progress=False)
result.to_parquet(sys.argv[2])
print("done", flush=True)
"""


def sweep_into(folder: Path, result: Path, *, kill_after: float | None = None) -> bool:
    """Sweep in a process of its own, killed so many seconds after it begins; whether it came to its end."""
    process = subprocess.Popen(
        [sys.executable, "-c", SWEEP, str(folder), str(result)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "ready\n"
        if kill_after is not None:
            time.sleep(kill_after)
            process.send_signal(signal.SIGKILL)
        told = process.stdout.read()
    code = process.wait()
    is_done = told == "done\n"
    assert code == -signal.SIGKILL or (is_done and code == 0)
    assert code == 0 or kill_after is not None  # also killed on its way out
    return is_done


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_sweep_goes_on_to_the_identical_result(tmp_path: Path) -> None:
    dice = random.Random(7)
    wanted = tmp_path / "wanted.parquet"
    started = time.monotonic()
    assert sweep_into(tmp_path / "whole", wanted)
    seconds = time.monotonic() - started
    rows = pl.read_parquet(wanted)
    assert rows.height == 2 * 12 * 13 // 2 * 4 * 8
    folder, result = tmp_path / "killed", tmp_path / "result.parquet"
    left: list[int] = []
    while len(left) < KILLS:
        if sweep_into(folder, result, kill_after=dice.uniform(0.0, min(0.6, seconds / 5))):
            assert result.read_bytes() == wanted.read_bytes()
            parts = parts_in(folder)
            for name in dice.sample(parts, len(parts) * 2 // 3):  # there is work again
                (folder / name).unlink()
        else:
            left.append(len(parts_in(folder)))
    whole = parts_in(tmp_path / "whole")
    assert any(0 < count < len(whole) for count in left)
    assert sweep_into(folder, result)
    assert pl.read_parquet(result).equals(rows)
    assert parts_in(folder) == whole  # the names carry digests of the bytes


def parts_in(folder: Path) -> list[str]:
    """The names of the parts that are there."""
    return sorted(path.name for path in folder.glob("part-*"))
