"""A market on a memory-mapped file: the same in other processes, and out of reach of whoever empties folders."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from bkcore.machine.market import Market
from bkcore.synthetic import generate

ROOT = Path(__file__).resolve().parents[2]


def market() -> Market:
    made = Market.from_candles(generate(symbol="BTCUSDT", start="2024-01-01", minutes=3000, seed=1))
    made.average_price(5)
    return made


def files_of_markets() -> set[Path]:
    folders = (Path("/dev/shm"), Path(tempfile.gettempdir()))
    return {path for folder in folders if folder.is_dir() for path in folder.glob("bk-market-*.columns")}


def test_another_process_maps_the_same_columns() -> None:
    whole = market()
    before = files_of_markets()
    with whole.shared() as shared:
        assert shared.digest == whole.digest
        assert np.array_equal(shared.average_price(5).values, whole.average_price(5).values, equal_nan=True)
        data = pickle.dumps(shared)
        assert len(data) < 1000
        done = subprocess.run(
            [sys.executable, "-c", "import sys, pickle; print(pickle.load(sys.stdin.buffer).digest)"],
            input=data,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
        )
        assert done.stdout.decode().strip() == whole.digest
    assert files_of_markets() <= before


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files have no other names here")
def test_a_shared_market_has_no_file_that_could_be_truncated() -> None:
    before = files_of_markets()
    with market().shared() as shared:
        assert files_of_markets() <= before
        for path in files_of_markets() - before:
            os.truncate(path, 0)
        assert shared.close.sum() > 0
