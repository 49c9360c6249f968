"""Candles on disk: what goes in comes out, never changes, and damage is put aside and fetched again."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

import bkapi as bk
from bkapi.candle_store import folder_name, month_edges, months_between
from bkcore.candle_errors import CandleGapError

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
    from bkapi.moments import this_minute_ms

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


def test_cache_candles_fetches_what_is_missing_and_checks_again() -> None:
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
