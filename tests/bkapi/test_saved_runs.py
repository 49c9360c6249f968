"""Runs that were written down: they render, repeat, export, and say what differs."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

import bkapi
from bkapi.backtests.backtest import Backtest
from bkapi.cli.file_run import set_up
from bkapi.cli.main import app
from bkapi.cli.output import ArgumentError, write_file
from bkapi.cli.run_folder import conditions
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


def test_a_finished_run_works_out_its_frames_and_statistics_once() -> None:
    run = example()
    assert run.trades is run.trades
    assert run.events is run.events
    assert run.statistics() is run.statistics()
    assert run.statistics(row_limit=5).total_signals == 5 != run.statistics().total_signals


def test_its_document_is_the_document_of_the_run(tmp_path: Path) -> None:
    run = example()
    context = {"strategy_name": "sma_cross", "exchange_name": "file", "frame_name": "file"}
    assert load_run(save_run(run, tmp_path)).to_markdown() == Backtest.get_report(run.symbol, context)


def test_repeating_says_the_same_or_what_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    strategy, folder = tmp_path / "hourly.py", tmp_path / "run"
    strategy.write_text(STRATEGY)
    code, text = bk("backtest", str(strategy), "--save", str(folder), "--config", "CC_PERCENT_FEE=0.05")
    assert (code, f"bk repeat {folder}" in text.replace("\n", "")) == (0, True)
    code, text = bk("repeat", str(folder))
    assert (code, text.startswith("the same: ")) == (0, True)
    strategy.write_text(STRATEGY.replace("1.02", "1.05"))
    code, text = bk("repeat", str(folder), "--yes")
    assert code == 0
    assert "was changed: its saved copy is run" in text.replace("\n", " ")
    code, text = bk("report", str(folder), "--rows", "3")
    assert code == 0
    assert len([line for line in text.splitlines() if line.startswith("| ")]) == 5
    assert "*Conditions: fee 0.05 %" in text


def test_code_that_is_not_the_users_own_is_run_only_after_a_yes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question names the file and its digest; the user's own unchanged file is run without a question."""
    ran = tmp_path / "ran"
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for place in (home, elsewhere):
        place.mkdir()
    strategy, folder = home / "hourly.py", home / "run"
    strategy.write_text(f"from pathlib import Path\nPath({str(ran)!r}).touch()\n{STRATEGY}")
    monkeypatch.chdir(home)
    bk("backtest", "hourly.py", "--save", "run", "--start", "2024-01-05", "--end", "2024-01-06")
    digest = hashlib.sha256(strategy.read_bytes()).hexdigest()

    def repeats(*arguments: str, says: str = "") -> bool:
        ran.unlink(missing_ok=True)
        code, text = bk("repeat", str(folder), *arguments)
        assert ran.exists() == (code == 0)
        assert all(part in text.replace("\n", "") for part in ([digest, "Run it?", says] if says else []))
        return ran.exists()

    assert repeats()
    monkeypatch.chdir(elsewhere)
    assert not repeats(says="home/hourly.py")
    monkeypatch.chdir(home)
    strategy.unlink()
    assert not repeats(says="home/run/strategy.py")
    assert repeats("--yes")
    with monkeypatch.context() as patch:
        patch.setattr("typer.confirm", lambda question: True)
        assert repeats()
    # A manifest that calls a file of the folder itself the user's own changes nothing.
    manifest = json.loads((folder / "manifest.json").read_text())
    for own in (folder / "strategy.py", Path("run/strategy.py")):
        manifest["how"]["strategy"] = str(own)
        (folder / "manifest.json").write_text(json.dumps(manifest))
        assert not repeats(says="run/strategy.py")


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


@pytest.mark.parametrize("candles", [None, "nowhere/BTCUSDT-1m.csv"])
def test_repeating_leaves_the_configuration_as_it_was(tmp_path: Path, candles: str | None) -> None:
    bkapi.set_config(CC_PERCENT_FEE=0.05)
    folder = save_run(example(), tmp_path, how={"strategy": "example", "candles": candles})
    bkapi.reset()
    if candles is None:
        assert bkapi.repeat_run(folder).is_same
    else:
        with pytest.raises(bkapi.BkError, match="no folder"):
            bkapi.repeat_run(folder)
    assert bkapi.get_config()["CC_PERCENT_FEE"] == 0.1


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


class _Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", range(8))
@pytest.mark.parametrize("ends", [OSError(errno.ENOSPC, "No space left on device"), _Killed()])
def test_wherever_a_save_ends_the_folder_holds_one_whole_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, ends: BaseException
) -> None:
    """Every write, renaming and removal is tried; afterwards a save works as if nothing had happened."""
    old = example()
    folder = save_run(old, tmp_path / "run", how={"strategy": __file__})
    bkapi.reset()
    bkapi.set_config(CC_PERCENT_FEE=0.05)
    new = example()
    left = [step]

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def called(*arguments: object, **named: object) -> object:
            left[0] -= 1
            if left[0] == -1 or (left[0] < -1 and isinstance(ends, _Killed)):
                raise ends
            return function(*arguments, **named)

        return called

    with monkeypatch.context() as patch:
        for name in ("replace", "unlink"):
            patch.setattr(Path, name, counted(getattr(Path, name)))
        with suppress(_Killed, SavedRunError):
            save_run(new, folder)
    found = load_run(folder)
    assert found.differences_to(old) == [] or found.differences_to(new) == []
    assert found.to_markdown()
    assert load_run(save_run(new, folder)).differences_to(new) == []
    names = {path.name for path in folder.iterdir()}
    assert names == {"manifest.json", "trades.parquet", "events.parquet", ".lock"}


def test_a_full_disk_is_one_sentence_and_the_old_run_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = example()
    folder = save_run(run, tmp_path / "run")
    before = load_run(folder).manifest

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("bkapi.reporting.saved.folder.replace_file", full)
    with pytest.raises(SavedRunError, match="No space left on device") as caught:
        save_run(run, folder)
    assert "unchanged" in str(caught.value)
    assert load_run(folder).manifest == before


def test_of_two_savers_of_one_folder_one_wins_and_readers_see_a_whole_run(tmp_path: Path) -> None:
    one = example()
    bkapi.reset()
    bkapi.set_config(CC_PERCENT_FEE=0.05)
    other = example()
    folder = save_run(one, tmp_path / "run")
    hashes = {load_run(save_run(run, tmp_path / "alone")).manifest["run_hash"] for run in (one, other)}
    assert len(hashes) == 2
    seen: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        saves = [pool.submit(save_run, run, folder) for _ in range(15) for run in (one, other)]
        reads = [pool.submit(load_run, folder) for _ in range(40)]
        for save in saves:
            save.result()
        seen += [read.result().manifest["run_hash"] for read in reads]
    assert {*seen} <= hashes
    assert load_run(folder).manifest["run_hash"] in hashes


@pytest.mark.parametrize("name", ["/etc/passwd", "../other", "other.parquet", "/dev/zero"])
def test_a_manifest_names_no_other_file(tmp_path: Path, name: str) -> None:
    folder = save_run(example(), tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SavedRunError, match="which no run has"):
        load_run(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", ["manifest.json", "trades.parquet", "strategy.py"])
@pytest.mark.parametrize("kind", ["pipe", "endless", "outside"])
def test_only_regular_files_of_the_folder_are_read(tmp_path: Path, name: str, kind: str) -> None:
    folder = save_run(example(), tmp_path / "run", how={"strategy": __file__})
    path = folder / name
    (tmp_path / "outside").write_bytes(path.read_bytes())
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "endless" else tmp_path / "outside")
    with pytest.raises(SavedRunError, match=f"{name} is no regular file"):
        load_run(folder)


def test_a_report_names_the_last_tick_of_a_day_without_a_time() -> None:
    setup = set_up("example", start=date(2024, 1, 2), end=date(2024, 1, 4))
    run = Backtest.finish(setup.symbol, setup.context)
    ticks = "ticks from 2024-01-02 00:00 UTC to 2024-01-04 00:00 UTC, the last one"
    assert ticks in conditions(run)
    assert ticks in Backtest.get_report(setup.symbol, setup.context)


def test_a_manifest_without_constants_is_refused(tmp_path: Path) -> None:
    folder = save_run(example(), tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["provenance"]["config"] = {}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SavedRunError, match="config"):
        load_run(folder)


@pytest.mark.parametrize("out", ["", ".", "a\0b"], ids=["nothing", "folder", "zero"])
def test_a_report_that_cannot_be_written_is_said_in_a_sentence(out: str) -> None:
    with pytest.raises(ArgumentError, match=r"--out .* cannot be written: .+\.\n.*choose another place"):
        write_file(Path(out), b"text")
