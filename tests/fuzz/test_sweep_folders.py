"""Sweep folders that somebody has tampered with: the result is the right one or an error, and no file is lost."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import orjson
import polars as pl
import pytest

import bkapi as bk
from bkapi import Space
from bkcore.synthetic import generate
from tests.fuzz.harness import counts, one_of, tries

START = datetime(2024, 1, 1, tzinfo=UTC)
CONTEXT = {"strategy_name": "turns", "exchange_name": "memory", "frame_name": "day"}


def turns(candles: pl.DataFrame) -> pl.DataFrame:
    return candles.filter(pl.col("closed_at") % 3_600_000 == 0).select(
        timestamp="closed_at",
        position=pl.lit("long"),
        take_profit_percent=pl.lit(1.0),
        stop_loss_percent=pl.lit(1.0),
        minute_estimated_time=pl.lit(60),
    )


def _sweep(least: float) -> bk.ParameterSweep:
    takes = [least + k / 50 for k in range(8)]
    space = Space.grid(take_profit_percent=takes, stop_loss_percent=[0.5, 1.0]).where(
        pl.col("take_profit_percent") != takes[3]
    )
    return bk.ParameterSweep(CONTEXT, space, symbol="BTCUSDT", metrics="results", threads=1)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Random], None]]:
    """An attempt at a tampered copy of the folder of a sweep with four parts."""
    monkeypatch.setattr("bkapi.sweeps.sweep._PART_COMBINATIONS", (4, 4))
    candles = generate(symbol="BTCUSDT", start=START, minutes=1440, seed=3)
    bk.add_exchange_schema(exchange_name="memory", candles={"BTCUSDT": candles})
    bk.add_frame_schema(
        frame_name="day",
        start_date=datetime(2024, 1, 1, 1, tzinfo=UTC),
        end_date=datetime(2024, 1, 1, 22, tzinfo=UTC),
    )
    bk.add_strategy_schema(strategy_name="turns", interval="15m", signals=turns)
    made = _sweep(0.6)
    whole = made.run(folder=tmp_path / "own", progress=False).frame
    _sweep(0.7).run(folder=tmp_path / "foreign", progress=False)
    numbers = iter(range(10**9))

    def attempt(dice: Random) -> None:
        folder = tmp_path / f"tampered-{next(numbers)}"
        shutil.copytree(tmp_path / "own", folder)
        for _ in range(dice.randrange(1, 4)):
            _tamper(dice, folder, tmp_path / "foreign")
        before = _contents(folder)
        try:
            found = made.run(folder=folder, progress=False).frame
        finally:
            after = _contents(folder)
            if lost := [name for name, content in before.items() if content not in after.values()]:
                raise AssertionError(f"{lost} are gone")
            shutil.rmtree(folder)
        assert found.equals(whole), f"{len(found)} rows, not the right {len(whole)}"

    yield attempt
    bk.reset()


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _tamper(dice: Random, folder: Path, foreign: Path) -> None:
    parts = sorted(path for path in folder.glob("part-*") if path.is_file())
    manifest = folder / "manifest.json"
    if not parts:
        return
    part, other = one_of(dice, parts), one_of(dice, parts)
    content = part.read_bytes()
    place = dice.randrange(len(content)) if content else 0
    kind = dice.randrange(13)
    if kind == 0:
        part.write_bytes(content[:place])
    elif kind == 1:
        part.write_bytes(content[:place] + bytes([dice.randrange(256)]) + content[place + 1 :])
    elif kind == 2:
        part.write_bytes(other.read_bytes())
    elif kind == 3:
        for path in foreign.glob("part-*"):
            if not (folder / path.name).is_dir():
                shutil.copy(path, folder)
    elif kind == 4:
        part.unlink()
        part.symlink_to(folder / "nowhere")
    elif kind == 5:
        part.unlink()
        part.mkdir()
    elif kind == 6:
        _edit(dice, manifest)
    elif kind == 7:
        part.rename(part.with_name(part.name.replace("part-0000", "part-0007")))
    elif kind == 8:
        part.with_name(part.name[:-12] + "abcd.parquet").write_bytes(content)
    elif kind == 9:
        _rewrite(dice, part, content)
    elif kind == 10:
        manifest.write_bytes(one_of(dice, [b"", b"{", b"[]", b"null", b"{}", b"\xff", b"1"]))
    elif kind == 11:
        shutil.copy(foreign / "manifest.json", manifest)
    else:
        part.unlink()


def _edit(dice: Random, manifest: Path) -> None:
    try:
        fields = orjson.loads(manifest.read_bytes())
        name = one_of(dice, list(fields))
    except (ValueError, TypeError):  # nothing to edit any more
        return
    fields[name] = one_of(dice, [None, 0, 1, 2, 8, -4, 2**40, "x", [], {}, True, 4.0])
    manifest.write_bytes(orjson.dumps(fields))


def _rewrite(dice: Random, part: Path, content: bytes) -> None:
    """Leave rows or columns out, or change a number."""
    try:
        rows = pl.read_parquet(io.BytesIO(content))
    except pl.exceptions.PolarsError:
        return
    changed: Any = one_of(
        dice, [rows.head(1), rows.drop(rows.columns[-1]), rows.with_columns(total_pnl=pl.lit(9.0))]
    )
    changed.write_parquet(part)


@counts
def test_a_tampered_folder_gives_the_right_result_or_an_error(
    folders: Callable[[Random], None], count: int
) -> None:
    ends = tries("sweep folders", count, folders)
    assert count // 20 < ends["accepted"] < count - count // 20
