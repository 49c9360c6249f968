"""Folders of saved runs that somebody has changed: they are read right, or refused in one sentence."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

import bkapi as bk
from bkapi.backtests.backtest import Backtest
from bkapi.cli.file_run import set_up
from bkapi.reporting.saved.saved_runs import load_run, save_run
from tests.fuzz.harness import counts, tries

_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2**63,
        -(2**63),
        1e308,
        10**30,
        0.1,
        "",
        "x",
        "a\nb",
        "\x00",
        "Infinity",
        "NaN",
    ),
    *(
        [],
        {},
        [[]],
        {"a": {"a": None}},
        ["x"] * 9,
        "../manifest.json",
        "/etc/passwd",
        "/dev/zero",
        "x" * 3000,
    ),
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run of the example with its strategy file."""
    bk.reset()
    place = tmp_path_factory.mktemp("saved")
    (place / "dip.py").write_text("1 / 0")
    setup = set_up("example", start="2024-01-05", end="2024-01-12")
    run = Backtest.finish(setup.symbol, setup.context)
    yield save_run(
        run, place / "run", how={"strategy": str(place / "dip.py"), "candles": None, "gaps": "raise"}
    )
    bk.reset()


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside of a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in _places(item, (*path, key)))]


def _edit_manifest(folder: Path, dice: Random) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for _ in range(dice.randint(1, 3)):
        place = dice.choice(_places(manifest)[1:])
        holder = manifest
        for key in place[:-1]:
            holder = holder[key]
        if dice.random() < 0.3:
            del holder[place[-1]]
            manifest.setdefault("files", {})
        else:
            holder[place[-1]] = dice.choice(_VALUES)
    path.write_text(json.dumps(manifest))


def _edit_bytes(folder: Path, dice: Random) -> None:
    path = folder / dice.choice(("manifest.json", "trades.parquet", "events.parquet", "strategy.py"))
    if not path.is_file():  # a change before has made it a pipe, or endless
        return
    content = bytearray(path.read_bytes())
    for _ in range(dice.randint(1, 4)):
        content[dice.randrange(len(content))] = dice.randrange(256)
    path.write_bytes(content[: dice.choice((len(content), dice.randrange(len(content))))])


def _exchange_file(folder: Path, dice: Random) -> None:
    path = folder / dice.choice(("manifest.json", "trades.parquet", "events.parquet", "strategy.py"))
    path.unlink()
    kind = dice.choice(("gone", "folder", "pipe", "link", "endless", "empty", "dangling"))
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe" and hasattr(os, "mkfifo"):
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(folder / "trades.parquet")
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "empty":
        path.write_bytes(b"")


def _name_files(folder: Path, dice: Random) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    name = dice.choice(
        ("/etc/passwd", "/dev/zero", "../run/trades.parquet", "", ".", "trades.parquet/../x", "a\0b")
    )
    manifest["files"][name] = dice.choice((manifest["files"]["trades.parquet"], "0" * 64, None))
    path.write_text(json.dumps(manifest))


def _edit_frame(folder: Path, dice: Random) -> None:
    """Change a frame and give the manifest its new digest."""
    name = dice.choice(("trades", "trades", "trades", "events")) + ".parquet"
    frame = pl.read_parquet(folder / name)
    column = dice.choice(frame.columns)
    of_column: tuple[Callable[[], pl.DataFrame], ...] = (
        lambda: frame.drop(column),
        lambda: frame.with_columns(pl.lit(None).cast(frame.schema[column]).alias(column)),
        lambda: frame.with_columns(pl.lit(dice.choice((None, 1, "x", 1e300, float("nan")))).alias(column)),
        lambda: frame.with_columns(
            pl.lit(2**62).cast(pl.Int64).cast(pl.Datetime("ms", "UTC")).alias("ended_at")
        ),
        lambda: frame.with_columns(pl.lit(float("inf")).alias(column)),
        lambda: frame.with_columns(pl.lit(float("nan")).alias("pnl_percent")),
        lambda: frame.clear(),
        lambda: pl.DataFrame(),
        lambda: pl.concat([frame] * 3),
        lambda: frame.rename({column: "other"}),
        lambda: frame.reverse(),
    )
    buffer = io.BytesIO()
    dice.choice(of_column)().write_parquet(buffer)
    (folder / name).write_bytes(buffer.getvalue())
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][name] = hashlib.sha256(buffer.getvalue()).hexdigest()
    path.write_text(json.dumps(manifest))


_CHANGES = (
    _edit_manifest,
    _edit_manifest,
    _edit_bytes,
    _exchange_file,
    _name_files,
    _edit_frame,
    _edit_frame,
)


@counts
def test_a_changed_folder_is_read_right_or_refused(count: int, saved: Path, tmp_path: Path) -> None:
    whole = load_run(saved).to_markdown()

    def one(dice: Random) -> None:
        folder = tmp_path / "run"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(saved, folder)
        if dice.random() < 0.02:
            assert load_run(folder).to_markdown() == whole
            return
        for _ in range(dice.choice((1, 1, 2))):
            if (folder / "manifest.json").is_file() and all(
                (folder / f"{n}.parquet").is_file() for n in ("trades", "events")
            ):
                try:
                    dice.choice(_CHANGES)(folder, dice)
                except (
                    ValueError,
                    LookupError,
                    TypeError,
                    AttributeError,
                    OSError,
                    pl.exceptions.PolarsError,
                ):
                    break  # the first change has left nothing to change again
        run = load_run(folder)
        report = run.to_markdown(row_limit=dice.choice((None, 0, 3)))
        text = f"{run!r} {run.symbol} {run.conditions()} {run.statistics} {report}"
        assert "root:" not in text
        assert run.config.keys()

    ends = tries("saved runs", count, one)
    assert ends["accepted"] > count // 50
    assert ends["SavedRunError"] > count // 3
