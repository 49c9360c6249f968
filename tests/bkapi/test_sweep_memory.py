"""A sweep takes no more memory than ``max_memory``, or says before it starts that it has to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESET = Path("/proc/self/clear_refs")

SCRIPT = """
import re, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
import polars as pl
import bkapi as bk
from bkapi import Space, Sweep
from bkcore.synthetic import generate

kind, start = sys.argv[1], datetime(2024, 1, 1, tzinfo=UTC)
candles = generate(symbol="X", start=start, minutes=200_000, seed=3)
bk.set_config(CC_MAX_SIGNAL_LIFETIME_MINUTES=float("inf"))
bk.add_exchange_schema(exchange_name="e", candles={"X": candles})
for name, days in (("short", 3), ("long", 135)):
    bk.add_frame_schema(frame_name=name, start_date=start + timedelta(days=1), end_date=start + timedelta(days=days))

def every(candles, every=15):
    return candles.filter(pl.col("closed_at") % (every * 60_000) == 0).select(
        timestamp="closed_at", position=pl.lit("long"), minute_estimated_time=pl.lit(240),
        take_profit_percent=pl.lit(1.5), stop_loss_percent=pl.lit(1.0))

bk.add_strategy_schema(strategy_name="s", interval="5m", signals=every, params={"every": 15}, fill="vwap")
axis = [1 + k / 100 for k in range(60)]
spaces = {
    "tables": dict(take_profit_percent=axis, stop_loss_percent=axis),
    "paths": dict(take_profit_percent=axis, breakeven_from_percent=axis),
    "sets": dict(every=list(range(5, 105, 5)), stop_loss_percent=axis[:10]),
    "every trade": dict(take_profit_percent=axis[:20], stop_loss_percent=axis[:20]),
}
options = {"symbol": "X", "threads": 2, "metrics": "all" if kind == "every trade" else "drawdown"}
context = {"strategy_name": "s", "exchange_name": "e", "frame_name": "long"}

def sweep(names, memory, space):
    return Sweep({**context, **names}, Space.grid(**space), max_memory=memory, **options)

def held(name):
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(name))

few = {name: values[:2] for name, values in spaces[kind].items()}
sweep({"frame_name": "short"}, "1G", few).run(progress=False)  # loads libraries and kernels
before = held("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
made = sweep({}, sys.argv[2], spaces[kind])
try:
    rows = len(made.run(progress=False))
    print(made.explain().plan, rows, (held("VmHWM") - before) / 1e6)
except bk.BkError as error:
    print(re.search(r"needs (\\d+) MB", str(error))[1])
"""


@pytest.mark.skipif(not os.access(RESET, os.W_OK), reason="the system does not tell the peak of a process")
@pytest.mark.parametrize(
    ("kind", "plan", "rows"),
    [
        ("tables", "tables", 3600),
        ("paths", "paths", 3600),
        ("sets", "paths", 200),
        ("every trade", "tables", 400),
    ],
)
def test_a_sweep_stays_within_what_it_says_it_needs(kind: str, plan: str, rows: int) -> None:
    (needed,) = _told(kind, "1")
    chosen, count, taken = _told(kind, needed + "MB")
    assert (chosen, int(count)) == (plan, rows)
    assert 2 < float(taken) <= float(needed)


def _told(kind: str, memory: str) -> list[str]:
    command = [sys.executable, "-c", SCRIPT, kind, memory]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    print(ran.stdout)
    return ran.stdout.splitlines()[-1].split()
