"""A distributed sweep whose workers or whose driver are killed loses nothing, and ends in the identical result."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import bkapi as bk
from bkapi import Space, Sweep
from tests.bkapi.ray_cluster import small_cluster
from tests.bkapi.test_parameter_sweep import CONTEXT, registered as registered, turns
from tests.faults.test_sweep_killed import ROOT, SWEEP, parts_in, sweep_into

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc and SIGKILL"),
    pytest.mark.xdist_group("cluster"),
]
KILLS = 3


@pytest.fixture
def cluster() -> Iterator[None]:
    with small_cluster():
        yield


@pytest.mark.usefixtures("cluster")
def test_workers_that_are_killed_in_the_middle_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each set of signals writes down which worker computes it; some of those are killed while others go on."""
    here, dice, killed = os.getpid(), random.Random(3), []

    def signals(candles: pl.DataFrame, look: int) -> pl.DataFrame:
        if os.getpid() != here:
            (tmp_path / f"{os.getpid()}").touch()
            time.sleep(0.02)
        return turns(candles, look)

    def kill_one(done: int, total: int) -> None:
        workers = [int(path.name) for path in tmp_path.iterdir() if path.name.isdecimal()]
        living = [pid for pid in workers if pid not in killed and is_worker(pid)]
        if living and len(killed) < KILLS and done > (len(killed) + 1) * total / (KILLS + 2):
            killed.append(dice.choice(living))
            os.kill(killed[-1], signal.SIGKILL)

    bk.add_strategy_schema(strategy_name="told", interval="30m", signals=signals, params={"look": 30})
    monkeypatch.setattr("bkapi.sweeps.ray_cluster.Costs.task_seconds", lambda self, cores: self.combination)
    space = Space.grid(look=range(5, 85), take_profit_percent=[0.6, 1.0, 1.4], stop_loss_percent=[0.7, 1.1])
    made = Sweep({**CONTEXT, "strategy_name": "told"}, space, symbol="BTCUSDT", metrics="all")
    wanted = made.run(progress=False)
    result = made.run(progress=kill_one, engine="ray")
    assert len(killed) == KILLS
    assert not any(is_worker(pid) for pid in killed)
    assert result.complete
    assert result.frame.equals(wanted.frame)


def is_worker(pid: int) -> bool:
    """Whether a process is a worker of Ray, and no stranger with its number."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::")
    except OSError:
        return False


def test_a_killed_driver_goes_on_locally_and_a_killed_local_sweep_goes_on_distributed(tmp_path: Path) -> None:
    wanted = tmp_path / "wanted.parquet"
    assert sweep_into(tmp_path / "whole", wanted)
    whole = parts_in(tmp_path / "whole")
    for engines in (("ray", "local"), ("local", "ray")):
        folder, result = tmp_path / "-".join(engines), tmp_path / f"{engines[0]}.parquet"
        left = kill_in_the_middle(folder, result, engines[0])
        assert 0 < len(left) < len(whole)
        assert set(left) < set(whole)
        told = subprocess.run(
            command(folder, result, engines[1]),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        assert told.stdout == "ready\ndone\n"
        assert result.read_bytes() == wanted.read_bytes()
        assert parts_in(folder) == whole


def command(folder: Path, result: Path, engine: str) -> list[str]:
    """The sweep of :data:`SWEEP` with another engine."""
    script = SWEEP.replace("progress=False)", f"progress=False, engine={engine!r})")
    assert script != SWEEP
    return [sys.executable, "-c", script, str(folder), str(result)]


def kill_in_the_middle(folder: Path, result: Path, engine: str) -> list[str]:
    """Kill a sweep when it has left some parts; returns their names."""
    with subprocess.Popen(command(folder, result, engine), cwd=ROOT, stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while len(parts_in(folder)) < 3 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    return parts_in(folder)
