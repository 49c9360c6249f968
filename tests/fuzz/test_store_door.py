"""The candle store with odd names, ranges and damaged files: right candles, or one sentence."""

from __future__ import annotations

import os
import shutil
from datetime import date, datetime
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

import bkapi as bk
from tests.fuzz.harness import counts, tries

_MINUTE = 60_000
_START = 1_706_572_800_000  # 2024-01-30: the candles cross the end of a month
_COUNT = 4 * 1440
_NAMES: tuple[Any, ...] = (
    *(
        "binance",
        "BTC/USDT",
        "",
        ".",
        "..",
        "../x",
        "a\0b",
        "a" * 300,
        "\udce9",
        "CON",
        " ",
        "quarantine",
        "\u4e2d",
    ),
    *(None, 1, b"x", ["x"], 1.5),
)
_INTERVALS: tuple[Any, ...] = ("1m", "1m", "1m", "1m", "5m", "1h", "7m", "", None, 60, "1M", "../1m")
_MOMENTS: tuple[Any, ...] = (
    *(
        _START,
        _START + 1440 * _MINUTE,
        _START + _COUNT * _MINUTE,
        _START - 10**9,
        0,
        -1,
        2**62,
        10**400,
        1e300,
        True,
    ),
    *(
        date(2024, 1, 31),
        datetime(2024, 2, 1),
        date.min,
        date.max,
        "2024-02-01",
        "yesterday",
        None,
        float("nan"),
        b"x",
    ),
)


def _candles(first: int, count: int) -> pl.DataFrame:
    prices = pl.Series([100.0 + (k * 7 % 11) for k in range(first, first + count)], dtype=pl.Float64)
    return pl.DataFrame(
        {
            "timestamp": pl.Series(
                [_START + k * _MINUTE for k in range(first, first + count)], dtype=pl.Int64
            ),
            "open": prices,
            "high": prices + 1,
            "low": prices - 1,
            "close": prices,
            "volume": prices * 0 + 3,
        }
    )


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store") / "lake"
    assert bk.CandleStore(root).write_rows("binance", "BTC/USDT", "1m", _candles(0, _COUNT)) == _COUNT
    return root


def _spoil(root: Path, dice: Random) -> None:
    """Change a file of the store, or put something odd beside it."""
    path = dice.choice(sorted(root.rglob("*.parquet")))
    content = bytearray(path.read_bytes())
    kind = dice.randrange(9)
    if kind == 0:
        path.write_bytes(content[: dice.randrange(len(content))])
    elif kind == 1:
        for _ in range(3):
            content[dice.randrange(len(content))] = dice.randrange(256)
        path.write_bytes(content)
    elif kind == 2:
        _candles(0, dice.choice((0, 10))).write_parquet(path)
    elif kind == 3:
        pl.DataFrame({"timestamp": ["x"], "open": [None]}).write_parquet(path)
    elif kind == 4:
        path.unlink()
        path.mkdir()
    elif kind == 5:
        path.rename(
            path.with_name(
                dice.choice(("2024-13.parquet", "0000-00.parquet", "9999-12.parquet", "2023-01.parquet"))
            )
        )
    elif kind == 6:
        (path.parent / "notes.txt").write_text("x")
        (path.parent / ".2024-01.parquet.0.part").write_bytes(b"x")
        (root / "loose").write_text("x")
    elif kind == 7 and hasattr(os, "mkfifo"):
        path.unlink()
        os.mkfifo(path)
    elif kind == 8:
        path.unlink()
        path.symlink_to("/dev/zero")


@counts
def test_a_store_gives_right_candles_or_refuses(count: int, lake: Path, tmp_path: Path) -> None:
    whole = _candles(0, _COUNT)
    rows_of = {row[0]: row for row in whole.iter_rows()}
    root = tmp_path / "lake"

    def one(dice: Random) -> None:
        def either(usual: Any, odd: tuple[Any, ...]) -> Any:
            return usual if dice.random() < 0.7 else dice.choice(odd)

        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(lake, root)
        for _ in range(dice.choice((0, 1, 2))):
            if next(root.rglob("*.parquet"), None) and all(
                path.is_file() for path in root.rglob("*.parquet")
            ):
                _spoil(root, dice)
        store = bk.CandleStore(root)
        names = either("binance", _NAMES), either("BTC/USDT", _NAMES), either("1m", _INTERVALS)
        span = either(_START, _MOMENTS), either(_START + _COUNT * _MINUTE, _MOMENTS)
        store.series()
        do = dice.randrange(6)
        found: Any = None
        if do == 0:
            found = store.read(*names, *span)
        elif do == 1:
            found = store.load(*names, *span, gaps=dice.choice(("raise", "keep", "fill", "mend"))).frame
            found = found.filter(~pl.col("filled")) if "filled" in found.columns else found
        elif do == 2:
            report = store.check(*names)
            assert report.candles <= _COUNT
        elif do == 3:
            store.gaps(*names)
        elif do == 4:
            added = store.write_rows(
                *names, dice.choice((_candles(_COUNT, 5), _candles(10, 5), [], None, "x", [[1]]))
            )
            assert 0 <= added <= 5
            found = store.read(*names, _START, _START + _COUNT * _MINUTE)
        else:
            limit = dice.choice((1, 100, 0, -1, 10**12))
            found = store.read_exactly(*names, dice.choice((_START, _START + 1, 0)), limit)
        if found is not None:
            for row in found.select(whole.columns).iter_rows():
                assert rows_of[row[0]] == row

    ends = tries("store", count, one)
    assert ends["accepted"] > count // 5
    assert sum(ends.values()) - ends["accepted"] > count // 5
