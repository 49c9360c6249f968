"""Candles on disk: what goes in comes out, never changes, and damage is put aside and fetched again."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

import bkapi as bk
from bkapi.market.store import folder_name, month_edges, months_between
from bkcore.candles.errors import CandleError, CandleFileError, CandleGapError

MINUTE = 60_000
NEW_YEAR = 1_704_067_200_000  # 2024-01-01


@pytest.fixture(autouse=True)
def _cache_in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    bk.reset()
    bk.PersistCandleAdapter.use_json()
    yield
    bk.PersistCandleAdapter.use_dummy()
    bk.reset()


def rows(first: int, count: int, step: int = MINUTE, price: float = 100.0) -> pl.DataFrame:
    times = [first + k * step for k in range(count)]
    prices = pl.Series([price + (k % 7) for k in range(count)], dtype=pl.Float64)
    return pl.DataFrame(
        {
            "timestamp": pl.Series(times, dtype=pl.Int64),
            "open": prices,
            "high": prices + 1,
            "low": prices - 1,
            "close": prices,
            "volume": prices * 0 + 3,
        }
    )


def frame(first: int, count: int, **options: Any) -> bk.CandleFrame:
    return bk.CandleFrame.from_any(rows(first, count, **options), symbol="BTCUSDT", interval="1m")


def test_months_are_files_and_come_back_as_they_were(tmp_path: Path) -> None:
    store = bk.CandleStore(tmp_path / "lake")
    start = NEW_YEAR + 30 * 1440 * MINUTE
    candles = frame(start, 3 * 1440)
    assert store.write("binance", candles) == 3 * 1440
    files = sorted(path.name for path in (tmp_path / "lake/binance/BTCUSDT/1m").glob("*.parquet"))
    assert files == ["2024-01.parquet", "2024-02.parquet"]
    assert store.load("binance", "BTCUSDT") == candles
    assert store.read("binance", "BTCUSDT", "1m", start + MINUTE, start + 3 * MINUTE).equals(
        candles.frame[1:3]
    )
    assert [(one.symbol, one.months) for one in store.series()] == [("BTCUSDT", 2)]


def test_what_is_stored_never_changes_and_a_complete_month_is_not_written_again(tmp_path: Path) -> None:
    store = bk.CandleStore(tmp_path)
    first, end = month_edges("2024-02")
    count = (end - first) // MINUTE
    assert store.write("x", frame(first, count)) == count
    path = tmp_path / "x/BTCUSDT/1m/2024-02.parquet"
    stamp = path.stat().st_mtime_ns
    assert store.write("x", frame(first, count, price=500.0)) == 0
    assert path.stat().st_mtime_ns == stamp
    assert store.load("x", "BTCUSDT").close[0] == 100.0


def test_candles_are_added_on_either_side_and_holes_are_told(tmp_path: Path) -> None:
    store = bk.CandleStore(tmp_path)
    store.write("x", frame(NEW_YEAR + 100 * MINUTE, 50))
    store.write("x", frame(NEW_YEAR, 50))
    store.write("x", frame(NEW_YEAR + 40 * MINUTE, 20, price=900.0))
    assert store.gaps("x", "BTCUSDT", "1m")["missing"].to_list() == [40]
    assert store.read_exactly("x", "BTCUSDT", "1m", NEW_YEAR, 61) is None
    found = store.read_exactly("x", "BTCUSDT", "1m", NEW_YEAR, 60)
    assert found is not None
    assert found["close"][45] == 103.0
    assert found["close"][55] > 900
    with pytest.raises(CandleGapError):
        store.load("x", "BTCUSDT")
    report = store.check("x", "BTCUSDT", "1m")
    assert (report.months, report.candles, report.missing, report.quarantined) == (1, 110, 40, ())


def test_a_candle_that_has_not_closed_is_not_stored(tmp_path: Path) -> None:
    from bkapi.base.timestamps import this_minute_ms

    store = bk.CandleStore(tmp_path)
    assert store.write("x", frame(this_minute_ms() - 2 * MINUTE, 3)) == 2


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other", "swap"])
def test_a_damaged_month_is_put_aside_and_counts_as_missing(tmp_path: Path, damage: str) -> None:
    store = bk.CandleStore(tmp_path)
    store.write("x", frame(NEW_YEAR, 5000))
    path = tmp_path / "x/BTCUSDT/1m/2024-01.parquet"
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flip":
        content[len(content) // 3] ^= 0xFF
    elif damage == "empty":
        content = bytearray()
    elif damage == "other":
        content = bytearray(b"PAR1 nothing of the kind PAR1")
    else:
        store.write("x", bk.CandleFrame.from_any(rows(NEW_YEAR, 10), symbol="ETHUSDT"))
        content = bytearray((tmp_path / "x/ETHUSDT/1m/2024-01.parquet").read_bytes())
    path.write_bytes(content)
    assert store.read_exactly("x", "BTCUSDT", "1m", NEW_YEAR, 10) is None
    assert not path.exists()
    assert len([*(tmp_path / "quarantine").iterdir()]) == 1
    assert store.write("x", frame(NEW_YEAR, 5000)) == 5000
    assert store.check("x", "BTCUSDT", "1m").candles == 5000


def test_a_month_that_is_a_link_to_nothing_is_put_aside_and_told(tmp_path: Path) -> None:
    store = bk.CandleStore(tmp_path / "lake")
    store.write("binance", frame(NEW_YEAR + 31 * 1440 * MINUTE - 50 * MINUTE, 100))
    (month,) = (tmp_path / "lake").rglob("2024-01.parquet")
    month.rename(tmp_path / "elsewhere")
    month.symlink_to(tmp_path / "nowhere")
    told: list[Exception] = []
    bk.listen_error(told.append)
    assert len(store.load("binance", "BTCUSDT")) == 50
    assert "2024-01.parquet' is a link to a file that is not there" in str(told[0])
    assert not month.is_symlink()
    assert [path.is_symlink() for path in (tmp_path / "lake" / "quarantine").iterdir()] == [True]


def test_half_written_neighbours_are_swept(tmp_path: Path) -> None:
    store = bk.CandleStore(tmp_path)
    store.write("x", frame(NEW_YEAR, 10))
    part = tmp_path / "x/BTCUSDT/1m/.2024-01.parquet.0011.part"
    part.write_bytes(b"half")
    store.write("x", frame(NEW_YEAR, 20))
    assert not part.exists()


def test_threads_that_write_one_series_lose_nothing(tmp_path: Path) -> None:
    stores = [bk.CandleStore(tmp_path) for _ in range(4)]

    def work(store: bk.CandleStore, at: int) -> None:
        for part in range(5):
            store.write("x", frame(NEW_YEAR + (at * 5 + part) * 10 * MINUTE, 10))

    threads = [threading.Thread(target=work, args=(store, at)) for at, store in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(bk.CandleStore(tmp_path).load("x", "BTCUSDT")) == 200


#: Holds the lock of a series until it is killed.
HOLDER = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_series_that_another_process_writes_is_busy_until_it_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bkapi.base.folder_lock.PATIENCE_SECONDS", 0.1)
    store = bk.CandleStore(tmp_path)
    store.write("x", frame(NEW_YEAR, 10))
    lock = tmp_path / "x/BTCUSDT/1m/.lock"
    command = [sys.executable, "-c", HOLDER, str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(bk.StoreBusyError, match=r"x BTCUSDT 1m: another process is writing\."):
            store.write("x", frame(NEW_YEAR, 20))
        assert store.load("x", "BTCUSDT").close.size == 10
        holder.kill()
    assert store.write("x", frame(NEW_YEAR, 20)) == 10


def test_damage_is_told(tmp_path: Path) -> None:
    store = bk.CandleStore(tmp_path)
    store.write("x", frame(NEW_YEAR, 10))
    (tmp_path / "x/BTCUSDT/1m/2024-01.parquet").write_bytes(b"PAR1 nothing PAR1")
    heard: list[Exception] = []
    bk.listen_error(heard.append)
    assert store.read_exactly("x", "BTCUSDT", "1m", NEW_YEAR, 10) is None
    assert [str(error).splitlines()[0] for error in heard] == ["x BTCUSDT 1m 2024-01: the file is damaged."]
    assert "fetch the month again" in str(heard[0])


def test_a_damaged_month_that_cannot_be_put_aside_counts_as_missing_all_the_same(tmp_path: Path) -> None:
    store = bk.CandleStore(tmp_path)
    store.write("x", frame(NEW_YEAR, 10))
    path = tmp_path / "x/BTCUSDT/1m/2024-01.parquet"
    path.write_bytes(b"PAR1 nothing PAR1")
    (tmp_path / "quarantine").write_text("a file where the folder should be")
    heard: list[Exception] = []
    bk.listen_error(heard.append)
    assert store.read_exactly("x", "BTCUSDT", "1m", NEW_YEAR, 10) is None
    assert path.exists()
    assert "it cannot be put aside" in str(heard[0])
    assert store.write("x", frame(NEW_YEAR, 10)) == 10  # a write puts a whole month in its place


def test_a_month_that_cannot_be_read_is_an_error_not_a_hole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bk.CandleStore(tmp_path).write("x", frame(NEW_YEAR, 10))
    store = bk.CandleStore(tmp_path)

    def unreadable(path: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", unreadable)
    for call in (
        lambda: store.read("x", "BTCUSDT", "1m", NEW_YEAR, NEW_YEAR + MINUTE),
        lambda: store.write("x", frame(NEW_YEAR, 10)),
    ):
        with pytest.raises(bk.CandleStoreError, match="candles cannot be read from"):
            call()


#: Writes two months where a file may have 2,000 bytes.
FULL = """
import resource, sys
import bkapi as bk
root, first = sys.argv[1], int(sys.argv[2])
rows = [[first + k * 60000, 100.0 + k % 7, 110.0, 90.0, 100.0, 1.0] for k in range(3000)]
store = bk.CandleStore(root)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    store.write("x", bk.CandleFrame.from_any(rows, symbol="BTCUSDT"))
except bk.CandleStoreError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit for the size of files")
def test_a_full_disk_is_one_clean_error_and_nothing_is_half_written(tmp_path: Path) -> None:
    store = bk.CandleStore(tmp_path)
    store.write("x", frame(NEW_YEAR, 10))
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), str(NEW_YEAR + 30 * 1440 * MINUTE)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "x BTCUSDT 1m: candles cannot be written to" in done.stdout
    assert "Hint: check that the folder may be used and has room" in done.stdout
    assert not [*tmp_path.rglob("*.part")]
    assert store.check("x", "BTCUSDT", "1m").candles == 10


def test_a_file_where_a_folder_should_be_is_one_clean_error(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("")
    store = bk.CandleStore(tmp_path / "lake")
    with pytest.raises(bk.CandleStoreError, match="Not a directory"):
        store.write("x", frame(NEW_YEAR, 10))
    assert store.series() == []
    assert not len(store.read("x", "BTCUSDT", "1m", NEW_YEAR, NEW_YEAR + MINUTE))


def test_what_is_no_candle_frame_is_refused(tmp_path: Path) -> None:
    store = bk.CandleStore(tmp_path)
    with pytest.raises(bk.CandleStoreError, match=r"DataFrame.*\nHint: .*from_any"):
        store.write("x", rows(NEW_YEAR, 3))  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [list, pd.DataFrame, pl.DataFrame])
def test_rows_come_in_every_shape_and_pass_the_door(tmp_path: Path, shape: Any) -> None:
    store = bk.CandleStore(tmp_path)
    assert store.write_rows("x", "BTCUSDT", "1m", []) == 0
    assert store.write_rows("x", "BTCUSDT", "1m", shape(rows(NEW_YEAR, 5).to_dicts())) == 5
    with pytest.raises(CandleError):
        store.write_rows("x", "BTCUSDT", "1m", shape(rows(NEW_YEAR, 5).to_dicts()[::-1]))
    with pytest.raises(CandleError):
        store.write_rows("x", "BTCUSDT", "1m", shape(rows(NEW_YEAR + 1, 5).to_dicts()))


def test_candles_invented_to_fill_a_gap_are_not_stored(tmp_path: Path) -> None:
    store = bk.CandleStore(tmp_path)
    holed = pl.concat([rows(NEW_YEAR, 3), rows(NEW_YEAR + 6 * MINUTE, 3)])
    filled = bk.CandleFrame.from_any(holed, symbol="BTCUSDT", gaps="fill")
    assert store.write("x", filled) == 6
    assert store.load("x", "BTCUSDT", gaps="fill") == filled
    assert store.write("x", frame(NEW_YEAR, 9)) == 3


def test_what_was_kept_now_and_then_is_read_again(tmp_path: Path) -> None:
    store = bk.CandleStore(tmp_path)
    for k in range(5):  # one candle every five minutes, as a live strategy asks
        store.write_rows("x", "BTCUSDT", "1m", rows(NEW_YEAR + 5 * k * MINUTE, 1))
    assert store.gaps("x", "BTCUSDT", "1m")["missing"].to_list() == [4, 4, 4, 4]
    assert store.check("x", "BTCUSDT", "1m").missing == 16


def test_what_was_judged_once_is_not_judged_by_another_configuration(tmp_path: Path) -> None:
    store = bk.CandleStore(tmp_path)
    last = pl.col("timestamp") == NEW_YEAR + 5 * MINUTE
    prices = ("open", "high", "low", "close")
    crash = rows(NEW_YEAR, 6).with_columns(
        pl.when(last).then(0.0001).otherwise(pl.col(name)).alias(name) for name in prices
    )
    candles = bk.CandleFrame.from_any(crash, symbol="BTCUSDT", price_anomaly_factor=1e9)
    store.write("x", candles)
    assert store.load("x", "BTCUSDT") == candles


def test_what_is_not_there_is_told_with_what_is(tmp_path: Path) -> None:
    store = bk.CandleStore(tmp_path)
    store.write("binance", frame(NEW_YEAR, 10))
    with pytest.raises(bk.CandleStoreError, match="did you mean 'binance BTCUSDT 1m'"):
        store.load("binance", "BTCUSD")
    with pytest.raises(
        bk.CandleStoreError, match=r"no candles in that range\.\nHint: it has 2024-01 .. 2024-01"
    ):
        store.load("binance", "BTCUSDT", "1m", "2024-02-01")


def test_one_file_is_imported_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-1m.csv"
    frame(NEW_YEAR, 10).write(path)
    store = bk.CandleStore(tmp_path / "lake")
    assert store.import_files("x", path) == 10
    with pytest.raises(CandleFileError, match="5 is no path"):
        store.import_files("x", 5)  # type: ignore[arg-type]


def test_readers_meet_whole_months_while_one_writes(tmp_path: Path) -> None:
    store, days = bk.CandleStore(tmp_path), 30
    done = threading.Event()
    counts: list[list[int]] = []

    def read() -> None:
        reader, seen = bk.CandleStore(tmp_path), [0]
        counts.append(seen)
        while not done.is_set():
            found = reader.read("x", "BTCUSDT", "1m", NEW_YEAR, NEW_YEAR + 60 * 1440 * MINUTE)
            assert np.array_equal(found["timestamp"], NEW_YEAR + MINUTE * np.arange(len(found)))
            assert len(found) % 1440 == 0
            assert len(found) >= seen[-1]
            seen.append(len(found))

    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            read()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(3)]
    for thread in threads:
        thread.start()
    for day in range(days):
        store.write("x", frame(NEW_YEAR + (20 + day - 20) * 1440 * MINUTE, 1440))
    done.set()
    for thread in threads:
        thread.join(30)
    assert not failures, failures[0]
    assert any(len({*seen}) > 2 for seen in counts)
    assert not (tmp_path / "quarantine").exists()


cells = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=4))


@settings(max_examples=60)
@given(
    spoilt=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5), cells), max_size=3),
    order=st.permutations(range(5)),
    interval=st.sampled_from(["1m", "1d", "7m", ""]),
)
def test_arbitrary_rows_are_stored_as_they_are_or_refused(
    tmp_path_factory: pytest.TempPathFactory, spoilt: Any, order: list[int], interval: str
) -> None:
    table: list[list[Any]] = [[*row] for row in rows(NEW_YEAR, 5).iter_rows()]
    for row, column, value in spoilt:
        table[row][column] = value
    table = [table[row] for row in order]
    store = bk.CandleStore(tmp_path_factory.mktemp("lake"))
    try:
        count = store.write_rows("x", "BTCUSDT", interval, table)
    except bk.BkError:
        assert store.series() == []
        return
    found = store.read("x", "BTCUSDT", interval, 0, NEW_YEAR * 4)
    assert len(found) == count
    assert found["timestamp"].is_sorted()
    assert (found["high"] >= found["low"]).all()


@given(st.text(max_size=40))
def test_no_name_leaves_its_folder(name: str) -> None:
    try:
        folder = folder_name(name, "symbol")
    except bk.CandleStoreError:
        return
    assert folder not in ("", ".", "..")
    assert not set(folder) & set("/\\\0:")
    assert Path("root", folder).parent == Path("root")


@settings(max_examples=40)
@given(name=st.text(max_size=30), symbol=st.text(min_size=1, max_size=30))
def test_whatever_is_asked_for_is_answered_or_a_clean_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, symbol: str
) -> None:
    root = tmp_path_factory.mktemp("lake")
    store = bk.CandleStore(root / "inner")
    try:
        candles = bk.CandleFrame.from_any(rows(NEW_YEAR, 3), symbol=symbol)
        store.write(name, candles)
        assert store.load(name, symbol) == candles
        assert store.series()[0].symbol == symbol
    except bk.BkError:
        pass
    assert [path.name for path in root.iterdir()] in ([], ["inner"])


@settings(max_examples=80)
@given(content=st.binary(max_size=300), at=st.integers(0, 4000), cut=st.booleans())
def test_arbitrary_bytes_in_a_month_are_never_read_as_candles(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, at: int, cut: bool
) -> None:
    root = tmp_path_factory.mktemp("lake")
    store = bk.CandleStore(root)
    store.write("x", frame(NEW_YEAR, 300))
    path = root / "x/BTCUSDT/1m/2024-01.parquet"
    good = path.read_bytes()
    at %= len(good)
    bad = content if cut else good[:at] + content + good[at + len(content) :]
    path.write_bytes(bad)
    os.utime(path, ns=(1, 1))
    found = bk.CandleStore(root).read_exactly("x", "BTCUSDT", "1m", NEW_YEAR, 300)
    assert found is None or found.equals(rows(NEW_YEAR, 300))


@given(st.integers(0, 4_000_000_000_000), st.integers(0, 400))
def test_months_cover_their_range(start: int, days: int) -> None:
    end = start + days * 86_400_000
    months = months_between(start, end)
    edges = [month_edges(month) for month in months]
    assert all(a[1] == b[0] for a, b in pairwise(edges))
    if days:
        assert edges[0][0] <= start < edges[0][1]
        assert edges[-1][0] < end <= edges[-1][1]


# the cache of an exchange


def shop() -> list[tuple[int, int]]:
    asked: list[tuple[int, int]] = []

    def get_candles(symbol: str, interval: str, since: datetime, limit: int, backtest: bool) -> Any:
        first = round(since.timestamp() * 1000)
        asked.append((first, limit))
        return rows(first, limit)

    bk.add_exchange_schema(exchange_name="shop", get_candles=get_candles)
    return asked


RANGE = {
    "symbol": "BTC/USDT",
    "exchange_name": "shop",
    "interval": "1m",
    "from": NEW_YEAR,
    "to": NEW_YEAR + 2500 * MINUTE,
}


def test_warmed_candles_are_not_asked_for_again(capsys: pytest.CaptureFixture[str]) -> None:
    asked = shop()
    with pytest.raises(bk.CandleCacheError, match="cache miss for BTC/USDT 1m"):
        bk.check_candles(RANGE)
    assert bk.warm_candles(RANGE) == 2500
    assert [limit for _, limit in asked] == [1000, 1000, 500]
    assert bk.check_candles(RANGE) == 2500
    assert bk.warm_candles(RANGE) == 2500
    assert len(asked) == 3
    assert "3/3" in capsys.readouterr().out
    found = bk.run_in_mock_context(
        lambda: bk.get_candles("BTC/USDT", "1m", 5), exchange_name="shop", when=NEW_YEAR + 30 * MINUTE
    )
    assert len(found) == 5
    assert len(asked) == 3


def test_cache_candles_fetches_what_is_missing_and_checks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    asked, told = shop(), []
    callbacks = {
        "on_check_start": lambda *_: told.append("check"),
        "on_warm_start": lambda *_: told.append("warm"),
    }
    assert bk.cache_candles({**RANGE, **callbacks}) == 2500
    assert told == ["check", "warm", "check"]
    assert len(asked) == 3
    next(Path("dump/data/candle/shop").rglob("*.parquet")).write_bytes(b"PAR1 broken PAR1")
    bk.PersistCandleAdapter.clear()
    assert bk.cache_candles({**RANGE, **callbacks}) == 2500
    assert len(asked) == 6
    assert pauses == [1.0, 1.0]


def test_a_fetch_that_fails_is_tried_in_a_second_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    fails = [True, False]

    def get_candles(symbol: str, interval: str, since: datetime, limit: int, backtest: bool) -> Any:
        if fails and fails.pop(0):
            raise OSError("the line is dead")
        return rows(round(since.timestamp() * 1000), limit)

    told: list[str] = []
    bk.add_exchange_schema(exchange_name="shop", get_candles=get_candles)
    callbacks = {
        "on_check_start": lambda *_: told.append("check"),
        "on_warm_start": lambda *_: told.append("warm"),
    }
    with pytest.raises(bk.BkError, match="cache miss"):
        bk.cache_candles({**RANGE, **callbacks})
    assert told == ["check", "warm"] * 2
    assert bk.cache_candles({**RANGE, **callbacks}) == 2500


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interval": "12h"}, "unsupported interval"),
        ({"to": NEW_YEAR}, "no candles to cache"),
        ({"to": datetime(2090, 1, 1)}, "exceeds current time"),
        ({"exchange_name": "shp"}, "exchange shp not found source=warm_candles"),
    ],
)
def test_a_range_that_cannot_be_warmed_is_a_clean_error(change: dict[str, Any], message: str) -> None:
    shop()
    bk.set_config(CC_MAX_CANDLES_PER_REQUEST=100_000_000)
    with pytest.raises(bk.BkError, match=message):
        bk.warm_candles({**RANGE, **change})


def test_nothing_bad_is_ever_stored() -> None:
    bk.set_config(CC_GET_CANDLES_RETRY_DELAY_MS=0)
    bk.add_exchange_schema(
        exchange_name="shop",
        get_candles=lambda symbol, interval, since, limit, backtest: rows(NEW_YEAR, limit - 1),
    )
    with pytest.raises(bk.CandleRequestError, match="candle count mismatch"):
        bk.run_in_mock_context(
            lambda: bk.get_candles("B", "1m", 5), exchange_name="shop", when=NEW_YEAR + 5 * MINUTE
        )
    assert not Path("dump").exists()


def test_an_adapter_of_ones_own() -> None:
    kept: dict[int, Any] = {}

    class Mine:
        def __init__(self, symbol: str, interval: str, exchange_name: str) -> None:
            self.initial = None

        def wait_for_init(self, initial: bool) -> None:
            assert initial

        def read_candles_data(self, limit: int, since: int, until: int) -> Any:
            found = [kept.get(since + k * MINUTE) for k in range(limit)]
            return None if None in found else found

        def write_candles_data(self, rows: pl.DataFrame) -> None:
            kept.update({row["timestamp"]: row for row in rows.iter_rows(named=True)})

    bk.PersistCandleAdapter.use_persist_candle_adapter(Mine)
    asked = shop()
    for _ in range(2):
        got = bk.run_in_mock_context(
            lambda: bk.get_candles("B", "1m", 5), exchange_name="shop", when=NEW_YEAR + 5 * MINUTE
        )
        assert got.equals(rows(NEW_YEAR, 5))
    assert len(asked) == 1
    assert not Path("dump").exists()


def test_a_fetch_that_fails_half_way_goes_on_from_there() -> None:
    asked: list[int] = []

    def get_candles(symbol: str, interval: str, since: datetime, limit: int, backtest: bool) -> Any:
        asked.append(limit)
        if len(asked) == 3:
            raise ConnectionError("gone")
        return rows(round(since.timestamp() * 1000), limit)

    bk.add_exchange_schema(exchange_name="shop", get_candles=get_candles)
    bk.set_config(CC_GET_CANDLES_RETRY_COUNT=1)

    def ask() -> Any:
        return bk.run_in_mock_context(
            lambda: bk.get_candles("B", "1m", 3500), exchange_name="shop", when=NEW_YEAR + 3500 * MINUTE
        )

    with pytest.raises(ConnectionError):
        ask()
    assert asked == [1000, 1000, 1000]
    assert len(ask()) == 3500
    assert asked == [1000, 1000, 1000, 1000, 500]


def test_an_adapter_may_be_made_of_coroutines_and_writes_come_one_at_a_time() -> None:
    inside: list[int] = []
    calls: list[str] = []

    class Mine:
        def __init__(self, *_: Any) -> None:
            pass

        async def wait_for_init(self, initial: bool) -> None:
            calls.append(f"init {initial}")

        async def read_candles_data(self, limit: int, since: int, until: int) -> Any:
            calls.append("read")
            return rows(since, limit) if since == NEW_YEAR else None

        async def write_candles_data(self, rows: pl.DataFrame) -> None:
            inside.append(1)
            assert len(inside) == 1
            threading.Event().wait(0.01)
            inside.pop()
            calls.append("write")

    bk.PersistCandleAdapter.use_persist_candle_adapter(Mine)
    asked = shop()
    bk.set_config(CC_ENABLE_CANDLE_FETCH_MUTEX=False)

    def ask(minute: int) -> Any:
        return bk.run_in_mock_context(
            lambda: bk.get_candles("B", "1m", 5), exchange_name="shop", when=NEW_YEAR + minute * MINUTE
        )

    assert len(ask(5)) == 5
    assert (asked, calls) == ([], ["init True", "read"])
    threads = [threading.Thread(target=ask, args=(minute,)) for minute in (20, 30, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert calls.count("write") == 3


def test_an_adapter_that_answers_other_candles_is_a_miss_and_told() -> None:
    class Shifted:
        def __init__(self, *_: Any) -> None:
            pass

        def wait_for_init(self, initial: bool) -> None:
            pass

        def read_candles_data(self, limit: int, since: int, until: int) -> Any:
            return rows(since + MINUTE, limit, price=7.0)

        def write_candles_data(self, rows: pl.DataFrame) -> None:
            pass

    bk.PersistCandleAdapter.use_persist_candle_adapter(Shifted)
    heard: list[Exception] = []
    bk.listen_error(heard.append)
    shop()
    when = NEW_YEAR + 5 * MINUTE
    call = {"exchange_name": "shop", "when": when}
    assert bk.run_in_mock_context(lambda: bk.get_candles("B", "1m", 5), call).equals(rows(NEW_YEAR, 5))
    names = {"exchange_name": "shop"}
    found = bk.run_in_mock_context(lambda: bk.Exchange.get_candles("B", "1m", 5, names), call)
    assert found.equals(rows(NEW_YEAR, 5))
    assert [type(error) for error in heard] == [bk.PersistCandleError] * 2


def test_a_store_that_could_not_get_ready_is_asked_again() -> None:
    tries: list[int] = []

    class Slow(bk.PersistCandleDummy):
        def wait_for_init(self, initial: bool = True) -> None:
            tries.append(1)
            if len(tries) == 1:
                raise OSError("not yet")

    bk.PersistCandleAdapter.use_persist_candle_adapter(Slow)
    heard: list[Exception] = []
    bk.listen_error(heard.append)
    shop()
    call = {"exchange_name": "shop", "when": NEW_YEAR + 5 * MINUTE}
    for _ in range(2):
        bk.run_in_mock_context(lambda: bk.get_candles("B", "1m", 5), call)
    assert len(tries) == 2
    assert [str(error) for error in heard] == ["not yet"]


def test_a_range_is_looked_over_before_anything_is_fetched() -> None:
    asked = shop()
    with pytest.raises(bk.CandleRequestError, match="Look-ahead bias protection"):
        bk.warm_candles({**RANGE, "to": datetime(2090, 1, 1)})
    with pytest.raises(bk.CandleCacheError, match=r"empty range \[2024-01-01T00:00:00\+00:00, "):
        bk.check_candles({**RANGE, "to": NEW_YEAR})
    with pytest.raises(CandleError, match="is no symbol"):
        bk.warm_candles({**RANGE, "symbol": None})
    with pytest.raises(bk.SchemaError, match="missing symbol"):
        bk.warm_candles({})
    assert not asked


def test_a_store_is_an_exchange_in_memory(tmp_path: Path) -> None:
    store = bk.CandleStore(tmp_path)
    store.write("x", frame(NEW_YEAR, 100))
    bk.add_exchange_schema(exchange_name="lake", candles=store.source("x"))
    found = bk.run_in_mock_context(
        lambda: bk.get_candles("BTCUSDT", "5m", 2), exchange_name="lake", when=NEW_YEAR + 50 * MINUTE
    )
    assert found["timestamp"].to_list() == [NEW_YEAR + 40 * MINUTE, NEW_YEAR + 45 * MINUTE]
    with pytest.raises(bk.CandleStoreError, match="there are: x BTCUSDT 1m"):
        store.load("x", "ETHUSDT")


@pytest.mark.parametrize("root", ["1" * 400, "a\0b", 5], ids=["long", "zero", "number"])
def test_what_can_be_no_folder_is_no_store(root: Any) -> None:
    with pytest.raises(
        bk.CandleStoreError, match=r"root=.* can be no folder: .*\n.*give the path of a folder"
    ):
        bk.CandleStore(root)
