"""Sinks keep order, write whole records, survive a crash, and end within their time limit."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bkapi
from bkapi.base.coroutines import settle
from bkapi.sinks.line_file import Batched, LineFile, read_lines
from bkapi.sinks.writer import tell_exit

SINKS = {"jsonl": bkapi.ReportBase, "sqlite": bkapi.ReportSqlite, "parquet": bkapi.ReportParquet}
OPTIONS = {"symbol": "BTCUSDT", "strategy_name": "s", "exchange_name": "", "signal_id": "a|b\n"}


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    bkapi.reset()
    yield
    bkapi.reset()


@pytest.mark.parametrize("name", SINKS)
def test_records_come_back_in_order_over_two_lives_of_a_sink(name: str, tmp_path: Path) -> None:
    for life in range(2):
        sink = SINKS[name]("risk", str(tmp_path))
        settle(sink.wait_for_init(True))
        settle(sink.wait_for_init(False))
        for number in range(3000):
            settle(sink.write({"n": life * 3000 + number, "bad": float("nan"), "word": "é"}, OPTIONS))
        sink.close()
        sink.close()
        with pytest.raises(bkapi.SinkError, match="Stream not initialized for report risk"):
            settle(sink.write({}, OPTIONS))
    records = bkapi.read_records(sink.path)
    assert [record["data"]["n"] for record in records] == [*range(6000)]
    first = records[0]
    assert first["data"] == {"n": 0, "bad": None, "word": "é"}
    assert {**first, "data": 0, "timestamp": 0} == {
        "report_name": "risk",
        "data": 0,
        "symbol": "BTCUSDT",
        "strategy_name": "s",
        "signal_id": "a|b\n",
        "timestamp": 0,
    }


@pytest.mark.parametrize("name", SINKS)
def test_odd_values_and_integers_beyond_64_bits_are_written(name: str, tmp_path: Path) -> None:
    sink = SINKS[name]("odd", str(tmp_path))
    settle(sink.wait_for_init(True))
    sink.take({"big": 2**70, "thing": threading, "infinite": float("inf")}, {})
    sink.flush()
    sink.close()
    (record,) = bkapi.read_records(sink.path)
    assert (record["data"]["big"], record["data"]["infinite"]) == (2**70, None)


def test_a_quiet_producer_finds_its_record_on_disk_when_the_call_returns(tmp_path: Path) -> None:
    sink = bkapi.ReportBase("quiet", str(tmp_path))
    settle(sink.wait_for_init(True))
    sink.take({"n": 1}, {})
    assert len([*read_lines(sink.path)]) == 1
    for number in range(2, 12):
        sink.take({"n": number}, {})
    deadline = time.monotonic() + 5
    while len([*read_lines(sink.path)]) < 11 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [record["data"]["n"] for record in read_lines(sink.path)] == [*range(1, 12)]  # without a flush
    sink.close()


def test_a_line_that_a_crash_cut_off_is_skipped_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "torn.jsonl"
    path.write_bytes(b'{"n": 1}\n{"n": 2}\n{"n": 3')
    with caplog.at_level(logging.WARNING, "bkapi"):
        assert [record["n"] for record in read_lines(path)] == [1, 2]
    assert "line 3 is cut off (7 bytes), it is skipped" in caplog.text
    lines = LineFile(path)
    lines.put(b'{"n": 4}\n')
    lines.close()
    assert [record["n"] for record in read_lines(path)] == [1, 2, 4]


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_process_leaves_whole_lines(tmp_path: Path) -> None:
    script = (
        "import itertools, sys\n"
        "from bkapi.base.coroutines import settle\n"
        "from bkapi.reporting.journal.writer import ReportBase\n"
        f"sink = ReportBase('killed', {str(tmp_path)!r})\n"
        "settle(sink.wait_for_init(True))\n"
        "for n in itertools.count():\n"
        "    sink.take({'n': n, 'filling': 'x' * 300}, {})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    path = tmp_path / "killed.jsonl"
    deadline = time.monotonic() + 60
    while (not path.is_file() or path.stat().st_size < 1_000_000) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    numbers = [record["data"]["n"] for record in read_lines(path)]
    assert len(numbers) > 1000
    assert numbers == [*range(len(numbers))]


class Stuck(Batched[int]):
    """A place that does not answer."""

    batch_size = 2
    most_waiting = 1

    def __init__(self) -> None:
        self.freed = threading.Event()
        self.written: list[int] = []
        super().__init__()

    def write_batch(self, batch: list[int]) -> None:
        self.freed.wait(10)
        self.written += batch


def test_a_place_that_does_not_answer_is_a_timeout_and_loses_nothing() -> None:
    stuck = Stuck()
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"did not complete in 0\.05 s"):
        for number in range(100):
            stuck.put(number, 0.05)
    with pytest.raises(TimeoutError):
        stuck.flush(0.05)
    assert time.monotonic() - started < 5
    stuck.freed.set()
    stuck.close()
    assert stuck.written == [*range(len(stuck.written))]
    assert stuck.written


def test_a_write_that_fails_is_told_on_exit_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = bkapi.ReportBase("full", str(tmp_path))
    settle(sink.wait_for_init(True))
    errors: list[Exception] = []
    bkapi.listen_exit(errors.append)
    written = LineFile.write_batch

    def fail(self: LineFile, batch: list[bytes]) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LineFile, "write_batch", fail)
    sink.take({"n": 1}, {})
    sink.flush()
    monkeypatch.setattr(LineFile, "write_batch", written)
    sink.take({"n": 2}, {})
    sink.close()
    assert "No space left" in str(errors[0])
    assert [record["data"]["n"] for record in read_lines(sink.path)] == [2]


def test_a_shutdown_releases_the_file(tmp_path: Path) -> None:
    sink = bkapi.ReportBase("risk", str(tmp_path))
    settle(sink.wait_for_init(True))
    sink.take({}, {})
    bkapi.emitters.shutdown_emitter.emit(None)
    with pytest.raises(bkapi.SinkError, match="Stream not initialized"):
        sink.take({}, {})


def test_many_threads_write_whole_lines(tmp_path: Path) -> None:
    sink = bkapi.ReportBase("many", str(tmp_path))
    settle(sink.wait_for_init(True))

    def write(thread: int) -> None:
        for number in range(500):
            sink.take({"thread": thread, "n": number}, {})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.close()
    records = [record["data"] for record in read_lines(sink.path)]
    for thread in range(8):
        assert [one["n"] for one in records if one["thread"] == thread] == [*range(500)]


# ------------------------------------------------------------------------------------------- writers


def emit(identity: str) -> None:
    event: Any = {
        "action": "closed",
        "signal": {"id": identity, "symbol": "BTCUSDT", "pending_at": 0},
        "symbol": "BTCUSDT",
        "strategy_name": "s",
        "exchange_name": "e",
        "frame_name": "f",
        "backtest": True,
        "close_timestamp": 60_000,
    }
    bkapi.emitters.signal_emitter.emit(event)


def test_records_of_enabled_kinds_reach_the_chosen_sink(tmp_path: Path) -> None:
    bkapi.Report.enable({"heat": True})
    emit("a")
    bkapi.Report.clear()
    bkapi.Report.use_sqlite()
    emit("b")
    bkapi.Report.use_dummy()  # affects only names that have no storage yet
    emit("c")
    bkapi.Report.clear()
    emit("d")
    bkapi.Report.disable()
    emit("e")
    folder = tmp_path / "dump" / "report"
    assert [row["signal_id"] for row in bkapi.read_records(folder / "heat.jsonl")] == ["a"]
    assert [row["signal_id"] for row in bkapi.read_records(folder / "heat.sqlite")] == ["b", "c"]


def test_a_custom_sink_may_be_a_subclass_with_coroutines(tmp_path: Path) -> None:
    calls: list[Any] = []

    class Loud(bkapi.ReportBase):
        async def wait_for_init(self, initial: bool = True) -> None:
            calls.append(initial)
            await super().wait_for_init(initial)

        async def write(self, data: Any, options: Any) -> None:
            calls.append(data["signal_id"])
            await super().write(data, options)

    bkapi.Report.use_report_adapter(Loud)
    bkapi.Report.enable({"heat": True})
    emit("a")
    emit("b")
    bkapi.Report.clear()
    assert [call for call in calls if isinstance(call, str)] == ["a", "b"]
    assert calls[0] is True
    assert len(bkapi.read_records(tmp_path / "dump" / "report" / "heat.jsonl")) == 2


def test_documents_as_lines_and_nowhere_and_custom(tmp_path: Path) -> None:
    options = {"path": "x", "file": "y.md", "symbol": "BTCUSDT", "strategy_name": ""}
    bkapi.Markdown.use_jsonl()
    bkapi.MarkdownWriter.write_data("risk", "text", options)
    (line,) = (tmp_path / "dump" / "markdown" / "risk.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert record.pop("timestamp") > 0
    assert record == {"markdown_name": "risk", "data": "text", "symbol": "BTCUSDT"}
    bkapi.MarkdownWriter.clear()
    bkapi.Markdown.use_dummy()
    bkapi.MarkdownWriter.write_data("risk", "text", options)
    assert not (tmp_path / "x").exists()
    with pytest.raises(bkapi.SinkError, match="Stream not initialized for markdown risk"):
        settle(bkapi.MarkdownFileBase("risk").dump("text", options))
    kept: list[Any] = []

    class Keeping:
        def __init__(self, markdown_name: str) -> None:
            self.name = markdown_name

        async def wait_for_init(self, initial: bool) -> None:
            kept.append(initial)

        async def dump(self, content: str, options: Any) -> None:
            kept.append((self.name, content))

    bkapi.MarkdownWriter.clear()
    bkapi.Markdown.use_markdown_adapter(Keeping)
    bkapi.MarkdownWriter.write_data("heat", "text", options)
    assert kept[0] is True
    assert kept[-1] == ("heat", "text")


@pytest.mark.parametrize("name", SINKS)
def test_a_place_that_cannot_be_made_is_one_sentence(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sink = SINKS[name]("risk", str(tmp_path / "file"))
    with pytest.raises(bkapi.SinkError, match=r"cannot be opened for writing: (Not a directory|File exists)"):
        settle(sink.wait_for_init(True))


def test_a_full_disk_leaves_whole_lines_and_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system takes half a batch, then nothing more: the half is taken back, and room makes it go on."""
    told: list[Exception] = []
    bkapi.listen_exit(told.append)
    lines = LineFile(tmp_path / "lines.jsonl", tell_exit)
    lines.put(b'{"n": 1}\n')
    lines.flush()
    write = os.write
    room = [4]

    def full(handle: int, data: memoryview) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        room[0] = 0
        return write(handle, data[:4])

    with monkeypatch.context() as patch:
        patch.setattr("bkapi.sinks.line_file.os.write", full)
        lines.put(b'{"n": 2}\n')
        lines.flush()
    lines.put(b'{"n": 3}\n')
    lines.close()
    assert (tmp_path / "lines.jsonl").read_bytes() == b'{"n": 1}\n{"n": 3}\n'
    assert [type(error) for error in told] == [bkapi.SinkError]
    assert "records cannot be written: No space left on device" in str(told[0])
