"""Runs that were written down: they render, repeat, export, and say what differs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

import bkapi
from bkapi.backtests.backtest import Backtest
from bkapi.cli.file_run import set_up
from bkapi.cli.main import app
from bkapi.reporting.saved.saved_runs import SavedRunError, load_run, save_run
from bkapi.runs.finished import FinishedRun

STRATEGY = """
from bkapi import add_strategy_schema

def signal(symbol, when, price):
    return {"position": "long", "price_take_profit": price * 1.02, "price_stop_loss": price * 0.98, "note": "a | b",
            "minute_estimated_time": 60}

add_strategy_schema(strategy_name="hourly", interval="1h", get_signal=signal)
"""


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    bkapi.reset()
    yield
    bkapi.reset()


def example() -> FinishedRun:
    setup = set_up("example")
    return Backtest.finish(setup.symbol, setup.context)


def bk(*arguments: str) -> tuple[int, str]:
    """What a command prints; every command starts in a fresh process."""
    bkapi.reset()
    done = CliRunner().invoke(app, [*arguments])
    return done.exit_code, done.output


def test_a_saved_run_is_what_was_run(tmp_path: Path) -> None:
    run = example()
    saved = load_run(save_run(run, tmp_path / "run"))
    assert saved.trades.height == run.trades.height
    assert saved.statistics.to_dict().keys() == run.statistics().to_dict().keys()
    assert saved.statistics.sharpe_ratio == run.statistics().sharpe_ratio
    assert saved.config == bkapi.get_config()
    assert saved.differences_to(run) == []
    assert "081" not in repr(saved)
    assert saved.manifest["run_hash"] in repr(saved)


def test_its_document_is_the_document_of_the_run(tmp_path: Path) -> None:
    run = example()
    context = {"strategy_name": "sma_cross", "exchange_name": "file", "frame_name": "file"}
    assert load_run(save_run(run, tmp_path)).to_markdown() == Backtest.get_report(run.symbol, context)


def test_repeating_says_the_same_or_what_differs(tmp_path: Path) -> None:
    strategy, folder = tmp_path / "hourly.py", tmp_path / "run"
    strategy.write_text(STRATEGY)
    code, text = bk("backtest", str(strategy), "--save", str(folder), "--config", "CC_PERCENT_FEE=0.05")
    assert (code, f"bk repeat {folder}" in text.replace("\n", "")) == (0, True)
    code, text = bk("repeat", str(folder))
    assert (code, text.startswith("the same: ")) == (0, True)
    strategy.write_text(STRATEGY.replace("1.02", "1.05"))
    code, text = bk("repeat", str(folder))
    assert code == 0
    assert "was changed: its saved copy is run" in text.replace("\n", " ")
    code, text = bk("report", str(folder), "--rows", "3")
    assert code == 0
    assert len([line for line in text.splitlines() if line.startswith("| ")]) == 5
    assert "*Conditions: fee 0.05 %" in text


def test_a_run_of_other_parts_names_each_of_them(tmp_path: Path) -> None:
    saved = load_run(save_run(example(), tmp_path))
    bkapi.reset()
    bkapi.set_config(CC_PERCENT_FEE=0.05)
    found = saved.differences_to(example())
    assert found[0] == "config.CC_PERCENT_FEE: was 0.1, is 0.05"
    assert found[-1].startswith("trades: ")


def test_a_folder_that_was_changed_or_is_incomplete_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SavedRunError, match="no complete run"):
        load_run(tmp_path / "nowhere")
    folder = save_run(example(), tmp_path / "run")
    trades = folder / "trades.parquet"
    content = trades.read_bytes()
    trades.write_bytes(content[:-1])
    with pytest.raises(SavedRunError, match="was changed"):
        load_run(folder)
    trades.write_bytes(content)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(SavedRunError, match="no complete run"):
        load_run(folder)
    code, _ = bk("repeat", str(folder))
    assert code != 0


def test_a_run_without_how_cannot_be_repeated(tmp_path: Path) -> None:
    folder = save_run(example(), tmp_path)
    with pytest.raises(SavedRunError, match="does not say how"):
        bkapi.repeat_run(folder)


def test_a_manifest_keeps_infinities(tmp_path: Path) -> None:
    bkapi.set_config(CC_MAX_SIGNAL_LIFETIME_MINUTES=float("inf"))
    folder = save_run(example(), tmp_path)
    assert (
        json.loads((folder / "manifest.json").read_text())["provenance"]["config"][
            "CC_MAX_SIGNAL_LIFETIME_MINUTES"
        ]
        == "Infinity"
    )
    assert load_run(folder).config == bkapi.get_config()


def test_returns_compound_to_the_result_of_the_trades() -> None:
    run = example()
    daily = bkapi.daily_returns(run)
    closed = run.trades.filter(pl.col("status") == "closed")
    total = (1 + closed["pnl_percent"] / 100).product()
    assert (1 + daily["returns"]).product() == pytest.approx(total)
    assert daily["date"].is_sorted()
    assert daily["date"].n_unique() == daily.height
    assert daily["date"].diff().drop_nulls().n_unique() == 1  # every day, also those without a close
    hourly = bkapi.daily_returns(run, "1h")
    assert (1 + hourly["returns"]).product() == pytest.approx(total)
    series = bkapi.returns_series(run)
    assert (series.name, len(series), str(series.index.tz)) == ("sma_cross", daily.height, "UTC")


def test_trades_are_exported_whole(tmp_path: Path) -> None:
    run = example()
    for suffix, read in ((".csv", pl.read_csv), (".parquet", pl.read_parquet), (".json", pl.read_json)):
        path = bkapi.export_trades(run, tmp_path / f"trades{suffix}")
        assert read(path).height == run.trades.height
    with pytest.raises(bkapi.ExportError, match="no known suffix"):
        bkapi.export_trades(run, tmp_path / "trades.xls")
    with pytest.raises(bkapi.ExportError, match="cannot be written"):
        bkapi.export_trades(run, tmp_path / "nowhere" / "trades.csv")
