"""Odd command lines: each ends with 0, 1, 2, 3 or 130 and in words, never in a traceback."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

import bkapi as bk
from bkapi.cli.main import app
from bkcore.synthetic import generate
from tests.fuzz.harness import counts, tries

_STRATEGY = """
import polars as pl
from bkapi import add_strategy_schema

def signals(candles, hours=1):
    return candles.filter(pl.col("closed_at") % (hours * 3_600_000) == 0).select(
        timestamp="closed_at", position=pl.lit("long"),
        take_profit_percent=pl.lit(1.0), stop_loss_percent=pl.lit(1.0), minute_estimated_time=pl.lit(60),
    )

add_strategy_schema(strategy_name="hourly", interval="1h", signals=signals, params={"hours": 1})
"""
_ODD = (
    *(
        "",
        " ",
        "-1",
        "0",
        "1e400",
        "1" + "0" * 400,
        "nan",
        "inf",
        "-inf",
        "\u20ac",
        "\u4e2d",
        "a=b=c",
        "=",
        ":::",
        "1:2",
    ),
    *(
        "1:2:0",
        "0:1e9:1e-9",
        ",",
        "1,,2",
        "2024-02-30",
        "0001-01-01",
        "9999-12-31",
        "24:00",
        "2024-01-02T25:00",
        ".",
        "..",
    ),
    *(
        "/",
        "/dev/null",
        "/dev/zero",
        "*",
        "[",
        "x" * 5000,
        "--",
        "-",
        "CC_PERCENT_FEE",
        "CC_PERCENT_FEE=",
        "nowhere.csv",
    ),
    *(
        "true",
        "None",
        "1m",
        "7m",
        "raise",
        "mend",
        "hourly.py",
        "C-1m.csv",
        "C-1m.parquet",
        "run",
        "broken.py",
    ),
)
_OPTIONS = {
    "--candles": ("C-1m.parquet", "C-1m.csv", "C-1*.csv"),
    "--strategy": ("hourly",),
    "--symbol": ("BTCUSDT",),
    "--start": ("2024-01-01T02:00", "2024-01-01"),
    "--end": ("2024-01-01T20:00", "2024-01-02"),
    "--frame-interval": ("1m", "5m", "1h"),
    "--gaps": ("raise", "keep", "fill"),
    "--fill": ("vwap", "last_close"),
    "--config": ("CC_PERCENT_FEE=0.05", "CC_SCHEDULE_AWAIT_MINUTES=60", "CC_AVG_PRICE_CANDLES_COUNT=3"),
    "--top": ("3",),
    "--by": ("total_pnl", "avg_pnl"),
    "--metric": ("total_pnl", "sharpe_ratio"),
    "--take-profit": ("own", "0.6,1", "1:2:1"),
    "--stop-loss": ("own", "1"),
    "--lifetime": ("60", "own"),
    "--vary": ("hours=1,2", "breakeven_from_percent=1"),
    "--rows": ("3",),
    "--moments": ("1",),
    "--interval": ("1m", "5m", "1h"),
    "--holes": ("drop", "keep"),
    "--days": ("0.1",),
    "--seed": ("1",),
    "--jumps": ("1",),
    "--root": ("lake",),
    "--out": ("out.csv", "out.parquet", "out.md"),
    "--report": ("report",),
    "--save": ("saved",),
    "--threads": ("1",),
    "--json": (),
    "--explain": (),
    "--yes": (),
}
_RUN = ("--strategy", "--symbol", "--start", "--end", "--frame-interval", "--gaps", "--config", "--fill")
_COMMANDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "backtest": (("hourly.py",), (*_RUN, "--report", "--save", "--json")),
    "sweep": (
        ("hourly.py",),
        (
            *_RUN,
            "--take-profit",
            "--stop-loss",
            "--lifetime",
            "--vary",
            "--top",
            "--by",
            "--out",
            "--explain",
        ),
    ),
    "walk": (("hourly.py",), (*_RUN, "--metric", "--vary", "--top", "--out")),
    "lookahead": (("hourly.py",), (*_RUN, "--moments")),
    "report": (("run",), ("--rows", "--out")),
    "repeat": (("run",), ("--yes",)),
    "data check": (("C-1m.csv",), ("--symbol", "--interval")),
    "data convert": (("C-1m.csv", "copy.parquet"), ("--symbol", "--interval", "--gaps")),
    "data resample": (("C-1m.csv", "long.parquet"), ("--interval", "--gaps", "--holes")),
    "data generate": (("made.csv",), ("--days", "--seed", "--jumps", "--start")),
    "data store list": ((), ("--root",)),
    "data store import": (("binance", "C-1m.csv"), ("--root", "--symbol", "--interval")),
    "data store check": (("binance", "BTCUSDT", "1m"), ("--root",)),
    "data store export": (
        ("binance", "BTCUSDT", "1m", "stored.csv"),
        ("--root", "--start", "--end", "--gaps"),
    ),
    "version": ((), ("--json",)),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with candles, a strategy, one that is broken, and a saved run."""
    monkeypatch.chdir(tmp_path)
    candles = generate(symbol="BTCUSDT", start="2024-01-01", minutes=2000, seed=1)
    for name in ("C-1m.csv", "C-1m.parquet"):
        candles.write(Path(name))
    Path("hourly.py").write_text(_STRATEGY)
    Path("broken.py").write_text("1 / 0\n")
    bk.reset()
    made = CliRunner().invoke(
        app, ["backtest", "hourly.py", "--candles", "C-1m.parquet", "--symbol", "BTCUSDT", "--save", "run"]
    )
    assert made.exit_code == 0, made.output
    return tmp_path


@counts
def test_a_command_line_is_obeyed_or_refused(count: int, folder: Path) -> None:
    codes: dict[int, int] = {}

    def one(dice: Random) -> None:
        command = dice.choice(tuple(_COMMANDS))
        arguments, options = _COMMANDS[command]
        line = [*command.split(), *(one if dice.random() < 0.9 else dice.choice(_ODD) for one in arguments)]
        if command.split()[0] in ("backtest", "sweep", "walk", "lookahead"):
            line += ["--candles", "C-1m.parquet", "--symbol", "BTCUSDT"]
        if command == "sweep":
            line += ["--take-profit", "1", "--stop-loss", "1", "--lifetime", "60"]
        for option in dice.sample(options, min(len(options), dice.randrange(4))):
            line.append(option)
            if _OPTIONS[option]:
                line.append(dice.choice(_OPTIONS[option] if dice.random() < 0.6 else _ODD))
        if dice.random() < 0.03:
            line.insert(dice.randrange(len(line)), dice.choice(_ODD))
        bk.reset()
        ended = CliRunner().invoke(app, line)
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            if not isinstance(ended.exception, bk.BkError):
                raise AssertionError(f"{line!r:.600}") from ended.exception
            raise ended.exception
        codes[ended.exit_code] = codes.get(ended.exit_code, 0) + 1
        assert ended.exit_code in (0, 1, 2, 3), line

    ends = tries("command line", count, one)
    print(f"exit codes: {codes}")
    bk.reset()
    assert codes[0] > count // 5
    assert sum(ends.values()) - ends["accepted"] > count // 10
