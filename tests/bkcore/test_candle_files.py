"""Candle files: what is written is read back, what Binance ships is read, what is damaged stops here."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars as pl
import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pyarrow.parquet import write_table

from bkcore.candles import archives as candle_archives, files as candle_files, formats as candle_formats
from bkcore.candles.errors import (
    CandleAlignmentError,
    CandleColumnError,
    CandleConflictError,
    CandleDuplicateError,
    CandleError,
    CandleFileError,
    CandleGapError,
    CandleTimeError,
    CandleTypeError,
    CandleValueError,
    EmptyCandlesError,
)
from bkcore.candles.frame import CandleFrame
from bkcore.errors import BkError

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("BK_SHARED", ROOT.parent / "shared"))
MINUTE = 60_000
START = 1_735_603_200_000  # 2024-12-31 00:00 UTC
INTERNALS = (
    "polars", "pyarrow", "arrowinvalid", "numpy", "dtype", "computeerror", "traceback", "zlib", "zipfile",
    "gzipfile", "badzip", "eoferror", "unicodedecode", "errno", "codec", "thrift", "crc", "flatbuf", "int64",
)  # fmt: skip


def candles(count: int = 8, start: int = START) -> CandleFrame:
    random = np.random.default_rng(7)
    close = 100.0 + random.random(count).round(4)
    return CandleFrame.from_any(
        {
            "timestamp": start + MINUTE * np.arange(count),
            "open": close + 0.25,
            "high": close + 1.0,
            "low": close - 1.0 / 3.0,
            "close": close,
            "volume": random.random(count) * 1e-7,
        },
        symbol="BTCUSDT",
    )


GOOD = candles()
CSV = GOOD.frame.write_csv().encode()
LINES = CSV.decode().splitlines()
BARE = "\n".join(LINES[1:]).encode()


def binance(frame: CandleFrame, unit: int = 1) -> bytes:
    """The frame as a Binance dump: twelve columns, no header; ``unit`` 1 for ms, 1000 for us."""
    lines = []
    for row in frame.frame.rows():
        opened, end = row[0] * unit, (row[0] + MINUTE) * unit - 1
        lines.append(",".join([str(opened), *(f"{value!r}" for value in row[1:]), f"{end},1.0,5,0.5,0.25,0"]))
    return "\n".join(lines).encode() + b"\n"


def zipped(*members: tuple[str, bytes], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def packed(frame: CandleFrame, suffix: str) -> bytes:
    return candle_formats.encoded(frame.frame, candle_files.FORMATS[suffix])


def entries(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


def parquet(table: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


# ---- round trips ----


@pytest.mark.parametrize(
    "suffix", [".csv", ".csv.gz", ".parquet", ".pq", ".arrow", ".feather", ".ipc", ".CSV"]
)
@pytest.mark.parametrize("gaps", ["keep", "fill"])
def test_what_is_written_is_read_back_to_the_last_bit(tmp_path, suffix, gaps):
    holed = CandleFrame.from_any(GOOD.frame[[0, 1, 4, 5, 7]], symbol="BTCUSDT", gaps=gaps)
    path = tmp_path / f"BTCUSDT-1m{suffix}"
    holed.write(path)
    assert CandleFrame.read(path, gaps="keep") == holed
    assert entries(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet", ".arrow"])
def test_equal_candles_give_equal_files(tmp_path, suffix):
    for name in ("a", "b"):
        GOOD.write(tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize(
    ("name", "content"),
    {
        "BTCUSDT-1m-2024-12-31.csv": binance(GOOD),
        "BTCUSDT-1m-2025-01-01.csv": binance(GOOD, 1000),
        "BTCUSDT-1m-2024-12.zip": zipped(("BTCUSDT-1m-2024-12.csv", binance(GOOD, 1000))),
        "BTCUSDT-1m-header.csv": b"open_time,open,high,low,close,volume,close_time,quote_volume,count,"
        b"taker_buy_volume,taker_buy_quote_volume,ignore\n" + binance(GOOD),
        "BTCUSDT-1m-ours.zip": zipped(("folder/", b""), ("folder/data.CSV", CSV)),
        "BTCUSDT-1m-bare.csv": BARE,
        "BTCUSDT-1m-bom.csv": b"\xef\xbb\xbf" + CSV,
        "BTCUSDT-1m-crlf.csv": CSV.replace(b"\n", b"\r\n") + b"\r\n",
        "BTCUSDT-1m-blank.csv": b"\n\n" + CSV.replace(b"\n", b"\n\n"),
        "BTCUSDT-1m-semicolon.csv": CSV.replace(b",", b";"),
        "BTCUSDT-1m-tab.csv": CSV.replace(b",", b"\t"),
        "BTCUSDT-1m-spaces.csv": CSV.replace(b",", b" , "),
        "BTCUSDT-1m-quotes.csv": b'"' + CSV.strip().replace(b",", b'","').replace(b"\n", b'"\n"') + b'"\n',
        "BTCUSDT-1m-index.csv": b"," + CSV.split(b",", 1)[1],
        "BTCUSDT-1m-iso.csv": GOOD.frame.with_columns(pl.from_epoch("timestamp", "ms")).write_csv().encode(),
        "BTCUSDT-1m-times.parquet": parquet(GOOD.frame.with_columns(pl.from_epoch("timestamp", "ms"))),
        "BTCUSDT-1m-text.parquet": parquet(GOOD.frame.cast(pl.String)),
        "BTCUSDT-1m-more.parquet": parquet(GOOD.frame.with_columns(x=pl.lit([1]), Open=pl.lit("?"))),
    }.items(),
)
def test_files_of_every_dialect_give_the_same_candles(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert CandleFrame.read(tmp_path / name) == GOOD
    assert CandleFrame.read(str(tmp_path / name), symbol="BTCUSDT", interval="1m") == GOOD


@pytest.mark.parametrize(
    ("name", "symbol", "interval"),
    [
        ("BTCUSDT-1m-2024-12-31.zip", "BTCUSDT", "1m"),
        ("1000SHIBUSDT-4h-2024-01.csv", "1000SHIBUSDT", "4h"),
        ("BTCEUR-1d-2024.csv", "BTCEUR", "1d"),
        ("synthetic_btcusdt_1m.parquet", "BTCUSDT", "1m"),
        ("btcusdt_binance_spot_1m_2017-08_2018-03.parquet", "BTCUSDT", "1m"),
        ("ETHUSDT.parquet", "ETHUSDT", None),
        ("BTC_USDT-1m.feather", "BTCUSDT", "1m"),
        ("my_eth_btc_15m.csv", "ETHBTC", "15m"),
        ("candles-1h.csv", None, "1h"),
        ("BTC-1m.csv", None, "1m"),
        ("data.csv", None, None),
    ],
)
def test_names_tell_symbol_and_interval(name, symbol, interval):
    assert candle_files.guess_symbol(name) == symbol
    assert candle_files.guess_interval(name) == interval


def test_words_of_the_caller_overrule_the_name(tmp_path):
    path = tmp_path / "ETHUSDT-5m.csv"
    path.write_bytes(CSV)
    frame = CandleFrame.read(path, symbol="BTC/USDT", interval="1m")
    assert (frame.symbol, frame.interval) == ("BTC/USDT", "1m")


def test_the_interval_is_measured_where_the_name_is_silent(tmp_path):
    hourly = candles(180).resample("1h")
    hourly.write(tmp_path / "ETHUSDT.csv")
    assert CandleFrame.read(tmp_path / "ETHUSDT.csv").interval == "1h"
    CandleFrame.from_any(GOOD.frame[:1], symbol="X").write(tmp_path / "BNBUSDT.csv")
    with pytest.raises(CandleError, match="no candle follows another"):
        CandleFrame.read(tmp_path / "BNBUSDT.csv")
    seven = GOOD.frame.with_columns(timestamp=START + 7 * (pl.col("timestamp") - START))
    (tmp_path / "ADAUSDT.csv").write_text(seven.write_csv())
    with pytest.raises(CandleError, match="the smallest step is 7 minutes"):
        CandleFrame.read(tmp_path / "ADAUSDT.csv")


# ---- malformed files ----


def line(at: int, text: str) -> bytes:
    """Our CSV with line ``at`` (the header is 0) replaced."""
    return "\n".join([*LINES[:at], text, *LINES[at + 1 :]]).encode()


def damaged_zip() -> bytes:
    content = bytearray(zipped(("BTCUSDT.csv", CSV)))
    content[60] ^= 0xFF
    return bytes(content)


def encrypted_zip() -> bytes:
    content = bytearray(zipped(("BTCUSDT.csv", CSV)))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


def lying_zip() -> bytes:
    """The directory says 10 bytes; the stream holds the whole CSV."""
    content = bytearray(zipped(("BTCUSDT.csv", CSV)))
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = (10).to_bytes(4, "little")
    return bytes(content)


ROW_3 = LINES[4].split(",")
PARQUET, ARROW = packed(GOOD, ".parquet"), packed(GOOD, ".arrow")

# name, content, error class, what the message must name
MALFORMED: dict[str, tuple[str, bytes, type[CandleError], list[str]]] = {
    # the file
    "an empty file": ("x.csv", b"", EmptyCandlesError, ["0 bytes"]),
    "blank lines only": ("x.csv", b"\n \n\r\n", EmptyCandlesError, ["0 rows"]),
    "a header only": ("x.csv", LINES[0].encode(), EmptyCandlesError, ["0 rows"]),
    "an unknown suffix": ("x.xlsx", CSV, CandleFileError, ["the suffix '.xlsx'", ".parquet"]),
    "no suffix": ("candles", CSV, CandleFileError, ["no suffix"]),
    "a zip called CSV": ("x.csv", zipped(("x.csv", CSV)), CandleFileError, ["says CSV", "is zip", "rename"]),
    "a CSV called zip": ("x.zip", CSV, CandleFileError, ["says zip", "timestam"]),
    "a CSV called parquet": ("x.parquet", CSV, CandleFileError, ["says Parquet", "timestam"]),
    "a parquet called arrow": ("x.arrow", PARQUET, CandleFileError, ["says Arrow", "is Parquet"]),
    "a CSV called gz": ("x.csv.gz", CSV, CandleFileError, ["says gzip"]),
    "a web page": (
        "x.csv",
        b"<html>\n<body>404, not found</body>\n",
        CandleColumnError,
        ["row 0 has 2 fields"],
    ),
    # archives
    "two members": (
        "x.zip",
        zipped(("a.csv", CSV), ("b.csv", CSV)),
        CandleFileError,
        ["2 files ('a.csv', 'b.csv')"],
    ),
    "no member": ("x.zip", zipped(), CandleFileError, ["0 files (nothing)"]),
    "a climbing member": ("x.zip", zipped(("../x.csv", CSV)), CandleFileError, ["unsafe name '../x.csv'"]),
    "an absolute member": (
        "x.zip",
        zipped(("/etc/x.csv", CSV)),
        CandleFileError,
        ["unsafe name '/etc/x.csv'"],
    ),
    "a member of a drive": ("x.zip", zipped(("c:x.csv", CSV)), CandleFileError, ["unsafe name"]),
    "a picture in a zip": ("x.zip", zipped(("a.png", b"\x89PNG")), CandleFileError, ["'a.png' is no CSV"]),
    "a zip in a zip": (
        "x.zip",
        zipped(("a.zip", zipped(("x.csv", CSV)))),
        CandleFileError,
        ["'a.zip' is no CSV"],
    ),
    "an empty member": ("x.zip", zipped(("x.csv", b"")), EmptyCandlesError, ["0 rows"]),
    "a cut zip": (
        "x.zip",
        zipped(("x.csv", CSV))[:-30],
        CandleFileError,
        ["zip archive is damaged or cut short"],
    ),
    "a damaged zip": ("x.zip", damaged_zip(), CandleFileError, ["zip archive is damaged"]),
    "a lying zip": ("x.zip", lying_zip(), CandleFileError, ["zip archive is damaged"]),
    "a zip with a password": ("x.zip", encrypted_zip(), CandleFileError, ["password"]),
    "a zip bomb": (
        "x.zip",
        zipped(("x.csv", b"0" * (17 << 20))),
        CandleFileError,
        ["expand to 17,825,792", "do not trust"],
    ),
    "a gzip bomb": ("x.csv.gz", gzip.compress(b"0" * (17 << 20)), CandleFileError, ["expand to 16,777,217"]),
    "a cut gzip": ("x.csv.gz", gzip.compress(CSV)[:-20], CandleFileError, ["gzip stream is damaged"]),
    "a damaged gzip": (
        "x.csv.gz",
        gzip.compress(CSV)[:20] + b"??" * 20,
        CandleFileError,
        ["gzip stream is damaged"],
    ),
    # text
    "Latin-1": ("x.csv", CSV + b"caf\xe9", CandleFileError, ["not UTF-8", "0xe9", "line 10"]),
    "UTF-16": ("x.csv", CSV.decode().encode("utf-16"), CandleFileError, ["UTF-16"]),
    "a cut line": (
        "x.csv",
        CSV[:-30],
        CandleColumnError,
        ["row 7 has 5 fields", "header has 6", "unfinished"],
    ),
    "a field too many": (
        "x.csv",
        line(4, LINES[4] + ",1"),
        CandleColumnError,
        ["row 3 has 7 fields", "header has 6"],
    ),
    "a bare line cut": ("x.csv", BARE[:-30], CandleColumnError, ["row 7 has 4 fields", "first row has 6"]),
    "five columns": ("x.csv", b"1,2,3,4,5\n", CandleColumnError, ["5 columns without names", "expected 6"]),
    "thirteen columns": (
        "x.csv",
        b",".join([b"1"] * 13),
        CandleColumnError,
        ["13 columns without names", "12"],
    ),
    "close missing": (
        "x.csv",
        CSV.replace(b"close", b"last"),
        CandleColumnError,
        ["'close' is missing", "'last'"],
    ),
    "two closes": (
        "x.csv",
        CSV.replace(b"volume", b"close"),
        CandleColumnError,
        ["'close' and 'close'", "each be 'close'"],
    ),
    "a stray quote": ("x.csv", line(4, '"' + LINES[4]), CandleError, ["x.csv"]),
    "a comma for decimals or thousands": (
        "x.csv",
        b"timestamp;open;high;low;close;volume\n" + b"1735603200000;1,234;1,234;1,234;1,234;5\n",
        CandleValueError,
        ["open='1,234'", "thousands or decimals", "row 0"],
    ),
    "commas for thousands": (
        "x.csv",
        b"timestamp;open;high;low;close;volume\n" + b"1735603200000;1,234.5;1,234.5;1,234.5;1,234.5;5\n",
        CandleValueError,
        ["open='1,234.5'", "not thousands", "row 0"],
    ),
    "text for a number": (
        "x.csv",
        line(4, ",".join([ROW_3[0], "12x", *ROW_3[2:]])),
        CandleValueError,
        ["open='12x' is no number", "2024-12-31 00:03 UTC, row 3"],
    ),
    "an empty field": (
        "x.csv",
        line(4, ",".join([*ROW_3[:4], "", ROW_3[5]])),
        CandleValueError,
        ["close is missing", "row 3"],
    ),
    "NaN in text": (
        "x.csv",
        line(4, ",".join([*ROW_3[:5], "NaN"])),
        CandleValueError,
        ["volume=nan", "row 3"],
    ),
    "a time that is none": (
        "x.csv",
        line(4, ",".join(["soon", *ROW_3[1:]])),
        CandleTimeError,
        ["'soon'", "row 3"],
    ),
    "a line twice": ("x.csv", line(4, LINES[4] + "\n" + LINES[4]), CandleDuplicateError, ["rows 3 and 4"]),
    "a line lost": (
        "x.csv",
        b"\n".join(CSV.split(b"\n")[:4] + CSV.split(b"\n")[5:]),
        CandleGapError,
        ["1 candle is"],
    ),
    "ms and us in one dump": (
        "x.csv",
        binance(candles(4)) + binance(candles(4, START + 4 * MINUTE), 1000),
        CandleTimeError,
        ["mix milliseconds and microseconds", "row 4"],
    ),
    "NUL bytes": (
        "x.csv",
        line(4, ",".join([ROW_3[0], "\0\0", *ROW_3[2:]])),
        CandleValueError,
        ["open=", "row 3"],
    ),
    # binary
    "a cut parquet": ("x.parquet", PARQUET[:-20], CandleFileError, ["Parquet file is damaged or cut short"]),
    "only a magic": ("x.parquet", b"PAR1", CandleFileError, ["Parquet file is damaged"]),
    "a damaged footer": (
        "x.parquet",
        PARQUET[:-60] + b"?" * 52 + PARQUET[-8:],
        CandleFileError,
        ["is damaged"],
    ),
    "parquet without low": (
        "x.parquet",
        parquet(GOOD.frame.drop("low")),
        CandleColumnError,
        ["'low' is missing"],
    ),
    "parquet of lists": (
        "x.parquet",
        parquet(GOOD.frame.with_columns(low=pl.lit([1.0]))),
        CandleTypeError,
        ["'low'", "lists or records"],
    ),
    "parquet with a null": (
        "x.parquet",
        parquet(GOOD.frame.with_columns(low=pl.when(pl.col("low") != GOOD.low[3]).then(pl.col("low")))),
        CandleValueError,
        ["low is missing", "row 3"],
    ),
    "parquet without rows": ("x.parquet", parquet(GOOD.frame[:0]), EmptyCandlesError, ["0 rows"]),
    "a cut arrow": ("x.arrow", ARROW[:-20], CandleFileError, ["Arrow file is damaged"]),
    "only an arrow magic": ("x.feather", b"ARROW1", CandleFileError, ["Arrow file is damaged"]),
    "a feather of version 1": ("x.feather", b"FEA1" + bytes(60), CandleFileError, ["says Arrow", "FEA1"]),
}


def assert_clean(refused: BkError) -> None:
    assert refused.hint
    assert not [word for word in INTERNALS if word in str(refused).lower()]
    assert refused.__cause__ is None
    assert refused.__suppress_context__ or refused.__context__ is None


@pytest.mark.parametrize("case", list(MALFORMED))
def test_a_malformed_file_gets_one_error_that_says_where_what_and_the_way_out(tmp_path, case):
    name, content, kind, named = MALFORMED[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CandleError) as refused:
        CandleFrame.read(tmp_path / name, symbol="BTCUSDT", interval="1m")
    text = str(refused.value)
    assert kind is CandleError or type(refused.value) is kind, text
    for part in [*named, f"BTCUSDT 1m in {name!r}"]:
        assert part in text
    assert_clean(refused.value)


def test_a_missing_file_names_its_neighbour(tmp_path):
    GOOD.write(tmp_path / "BTCUSDT-1m.csv")
    with pytest.raises(
        CandleFileError, match=r"no such file in .*\nHint: did you mean 'BTCUSDT-1m.csv'\?"
    ) as refused:
        CandleFrame.read(tmp_path / "BTCUSD-1m.csv", symbol="BTCUSDT")
    assert_clean(refused.value)


@pytest.mark.parametrize(
    ("path", "named"),
    [
        (lambda folder: folder, "is a directory"),
        (lambda folder: folder / "nowhere" / "x.csv", "there is no folder"),
        (lambda folder: folder / "x\0.csv", "the path is not valid"),
        (lambda folder: folder / ("x" * 400 + ".csv"), "name too long"),
        (lambda folder: folder / "file.csv" / "x.csv", "ot a directory"),
        (lambda folder: Path("/dev/null"), "no regular file"),
    ],
)
def test_a_path_that_is_no_file_is_told(tmp_path, path: Callable[[Path], Path], named):
    (tmp_path / "file.csv").write_bytes(CSV)
    with pytest.raises(CandleFileError) as refused:
        CandleFrame.read(path(tmp_path), symbol="BTCUSDT")
    assert named in str(refused.value)
    assert_clean(refused.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this platform has no named pipes")
def test_a_file_never_takes_the_place_of_a_pipe(tmp_path):
    place = tmp_path / "x.parquet"
    os.mkfifo(place)
    with pytest.raises(OSError, match="it is a device, pipe or socket"):
        candle_files.replace_file(place, b"1")
    assert place.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]


@pytest.mark.parametrize("path", [5, None, b"x.csv", ["x.csv"]])
def test_what_is_no_path_is_told(path):
    for call in (CandleFrame.read, GOOD.write):
        with pytest.raises(CandleFileError, match="is no path"):
            call(path)


def test_a_file_without_permission_is_told(tmp_path, monkeypatch):
    (tmp_path / "x.csv").write_bytes(CSV)

    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(CandleFileError, match="cannot be read: Permission denied"):
        CandleFrame.read(tmp_path / "x.csv", symbol="BTCUSDT")


def test_a_name_without_a_symbol_is_told(tmp_path):
    (tmp_path / "candles-1m.csv").write_bytes(CSV)
    with pytest.raises(CandleFileError, match=r"1m in 'candles-1m.csv': the file name tells no symbol"):
        CandleFrame.read(tmp_path / "candles-1m.csv")


def test_size_limits_are_announced(tmp_path, monkeypatch):
    for suffix in (".csv", ".parquet", ".arrow"):
        GOOD.write(tmp_path / f"x{suffix}")
    monkeypatch.setattr(candle_formats, "MAX_ROWS", 7)
    for suffix in (".parquet", ".arrow"):
        with pytest.raises(CandleFileError, match="announces 8 rows; at most 7"):
            CandleFrame.read(tmp_path / f"x{suffix}", symbol="BTCUSDT")
    monkeypatch.setattr(candle_files, "MAX_BYTES", 100)
    with pytest.raises(CandleFileError, match="bytes; at most 100 are read"):
        CandleFrame.read(tmp_path / "x.csv", symbol="BTCUSDT")
    monkeypatch.setattr(candle_archives, "MAX_BYTES", 100)
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"1" * 200))
    with pytest.raises(CandleFileError, match="expand to 101 or more"):
        CandleFrame.read(tmp_path / "x.csv.gz", symbol="BTCUSDT")


# ---- writing ----


@pytest.mark.parametrize("step", ["fsync", "replace", "fdopen"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "BTCUSDT-1m.csv"
    GOOD.write(path)
    before = path.read_bytes()

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((Path, "replace") if step == "replace" else (os, step)), fail)
    with pytest.raises(CandleFileError, match="No space left on device") as refused:
        candles(20).write(path)
    assert_clean(refused.value)
    assert path.read_bytes() == before
    assert entries(tmp_path) == [path.name]


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "BTCUSDT-1m.parquet"
    GOOD.write(path)

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        candles(20).write(path)
    assert entries(tmp_path) == [path.name]
    assert CandleFrame.read(path) == GOOD


def test_a_written_file_has_ordinary_permissions(tmp_path):
    GOOD.write(tmp_path / "BTCUSDT-1m.csv")
    (tmp_path / "other").write_text("")
    written, other = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("BTCUSDT-1m.csv", "other"))
    assert written == other


@pytest.mark.parametrize(
    "name", ["BTCUSDT.xlsx", "BTCUSDT", "BTCUSDT.zip", "nowhere/BTCUSDT.csv", "folder.csv", "x\0.csv"]
)
def test_a_place_that_cannot_be_written_is_told(tmp_path, name):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(CandleFileError) as refused:
        GOOD.write(tmp_path / name)
    assert_clean(refused.value)
    assert entries(tmp_path) == ["folder.csv"]


# ---- several files ----


def test_files_of_several_formats_and_units_are_joined(tmp_path):
    whole = candles(12)
    (tmp_path / "BTCUSDT-1m-c.csv").write_bytes(binance(whole.between(START + 8 * MINUTE, 2 * START), 1000))
    (tmp_path / "BTCUSDT-1m-a.zip").write_bytes(
        zipped(("a.csv", binance(whole.between(0, START + 5 * MINUTE))))
    )
    whole.between(START + 3 * MINUTE, START + 8 * MINUTE).write(tmp_path / "BTCUSDT-1m-b.parquet")
    assert CandleFrame.read_many(str(tmp_path / "BTCUSDT-1m-*")) == whole
    assert CandleFrame.read_many(sorted(tmp_path.iterdir(), reverse=True)) == whole
    with pytest.raises(CandleGapError, match=r"in 2 files: 3 candles are missing"):
        CandleFrame.read_many([tmp_path / "BTCUSDT-1m-a.zip", tmp_path / "BTCUSDT-1m-c.csv"])
    filled = CandleFrame.read_many(
        [tmp_path / "BTCUSDT-1m-a.zip", tmp_path / "BTCUSDT-1m-c.csv"], gaps="fill"
    )
    filled.write(tmp_path / "BTCUSDT-1m-d.csv")
    with pytest.raises(
        CandleConflictError, match=r"is .* in 'BTCUSDT-1m-b.parquet' and .* in 'BTCUSDT-1m-d.csv'"
    ):
        CandleFrame.read_many([tmp_path / "BTCUSDT-1m-b.parquet", tmp_path / "BTCUSDT-1m-d.csv"])


def test_contradicting_files_are_refused_with_both_values(tmp_path):
    GOOD.write(tmp_path / "BTCUSDT-1m-a.csv")
    changed = GOOD.frame.with_columns(
        volume=pl.when(pl.int_range(8) == 5).then(9.5).otherwise(pl.col("volume"))
    )
    CandleFrame(changed, symbol="BTCUSDT").write(tmp_path / "BTCUSDT-1m-b.csv")
    with pytest.raises(CandleConflictError) as refused:
        CandleFrame.read_many(str(tmp_path / "*.csv"))
    text = str(refused.value)
    assert f"volume at 2024-12-31 00:05 UTC is {GOOD.volume[5]} in 'BTCUSDT-1m-a.csv'" in text
    assert "and 9.5 in 'BTCUSDT-1m-b.csv'" in text
    assert_clean(refused.value)


def test_files_of_other_symbols_or_none_are_refused(tmp_path):
    GOOD.write(tmp_path / "BTCUSDT-1m.csv")
    GOOD.write(tmp_path / "ETHUSDT-1m.csv")
    with pytest.raises(
        CandleError, match=r"'ETHUSDT-1m.csv' is ETHUSDT 1m, but 'BTCUSDT-1m.csv' is BTCUSDT 1m"
    ):
        CandleFrame.read_many(str(tmp_path / "*.csv"))
    assert CandleFrame.read_many(str(tmp_path / "*.csv"), symbol="X") == CandleFrame(GOOD, symbol="X")
    for nothing in (str(tmp_path / "*.zip"), []):
        with pytest.raises(CandleFileError) as refused:
            CandleFrame.read_many(nothing)
        assert_clean(refused.value)


# ---- tables that are not quite as ours ----

HEADER, ROWS = LINES[0], [text.split(",") for text in LINES[1:]]


def table(sep: str = ",", header: str = HEADER, moment: str | None = None, **changes: str) -> bytes:
    """The good candles; ``moment`` is a pattern of strftime, ``comma`` the sign of decimals."""
    rows = [list(row) for row in ROWS]
    for row in rows:
        if moment is not None:
            row[0] = datetime.fromtimestamp(int(row[0]) / 1000, UTC).strftime(moment)
        if "point" in changes:
            row[1:] = [value.replace(".", changes["point"]) for value in row[1:]]
    return "\n".join([header.replace(",", sep), *(sep.join(row) for row in rows)]).encode()


READABLE = {
    "a decimal comma": table(";", point=","),
    "a decimal comma without a header": table(";", point=",").partition(b"\n")[2],
    "bars": table("|"),
    "a title of Excel": b"sep=,\n" + CSV,
    "a link": b"https://www.example.com\n\n" + CSV,
    "remarks": b"# made by hand\r\n// twice, with, many, commas\r\n" + CSV,
    "a marked header": b"#" + CSV,
    "blank lines": CSV.replace(b"\n", b"\n   \n", 3) + b"\n  \n\t\n",
    "date and time": table(header="Date,Time,open,high,low,close,volume", moment="%Y-%m-%d,%H:%M:%S"),
    "date and time of other programs": table(
        header="<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>", moment="%Y%m%d,%H%M%S"
    ),
    "points between": table(moment="%d.%m.%Y %H:%M"),
    "the day first": table(moment="%d/%m/%Y %H:%M"),
    "the month first": table(moment="%m/%d/%Y %H:%M:%S"),
    "slashes": table(moment="%Y/%m/%d %H:%M"),
    "no signs": table(moment="%Y%m%d %H%M%S"),
    "a short zone": table(moment="%Y-%m-%dT%H:%M:%S+00"),
}


@pytest.mark.parametrize("case", list(READABLE))
def test_a_table_that_can_only_be_meant_in_one_way_is_read(tmp_path, caplog, case):
    (tmp_path / "BTCUSDT-1m.csv").write_bytes(READABLE[case])
    assert CandleFrame.read(tmp_path / "BTCUSDT-1m.csv") == GOOD
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == (case in ("a title of Excel", "a link", "remarks"))
    assert all("comment above the header" in text for text in told)


def test_days_without_signs_are_days(tmp_path):
    days = "\n".join([HEADER, *(",".join([day, *ROWS[0][1:]]) for day in ("20240131", "20240201"))])
    (tmp_path / "X-1d.csv").write_text(days)
    assert CandleFrame.read(tmp_path / "X-1d.csv", symbol="X").start == datetime(2024, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "named"),
    [
        ("01/02/2024 00:00", "day or with the month"),
        ("13/13/2024 00:00", "cannot be read"),
        ("2024-01-01T00:00+99:99", "cannot be read"),
        ("2024-01-01T00:00+24:00", "cannot be read"),
        ("2024-01-01T00:00-05:75", "cannot be read"),
        ("2024-01-01T00:00+14:30", "cannot be read"),
        ("2024-01-01T00:00-0560", "cannot be read"),
    ],
)
def test_a_time_that_means_nothing_or_two_things_is_refused(moment, named):
    rows = [[moment, *map(float, ROWS[0][1:])]]
    with pytest.raises(CandleTimeError, match=named) as refused:
        CandleFrame.from_any(rows, symbol="BTCUSDT")
    assert refused.value.row == 0


def test_two_columns_of_a_date_are_still_one_too_many(tmp_path):
    (tmp_path / "x.csv").write_bytes(
        table(header="date,time,open,high,low,close,volume", moment="%Y-%m-%d,%s000")
    )
    with pytest.raises(CandleColumnError, match="'date' and 'time' could each be 'timestamp'"):
        CandleFrame.read(tmp_path / "x.csv", symbol="BTCUSDT", interval="1m")


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".csv.xz", lzma.compress),
        (".csv.bz2", bz2.compress),
        (".csv.zst", lambda data: pyarrow.compress(data, "zstd", asbytes=True)),
    ],
)
def test_a_compressed_table_is_read_but_not_written(tmp_path, suffix, pack):
    path = tmp_path / f"BTCUSDT-1m{suffix}"
    path.write_bytes(pack(CSV))
    assert CandleFrame.read(path) == GOOD
    for content, named in (
        (pack(CSV)[:-9], "damaged or cut short"),
        (pack(b"0" * (17 << 20)), "expand to"),
        (CSV, "the content starts with"),
    ):
        path.write_bytes(content)
        with pytest.raises(CandleFileError, match=named) as refused:
            CandleFrame.read(path)
        assert_clean(refused.value)
    with pytest.raises(CandleFileError, match="not written"):
        GOOD.write(path)


@pytest.mark.parametrize(
    ("moments", "kind"),
    [
        (
            [np.datetime64(START * 1_000_000 + 1, "ns"), np.datetime64(START + MINUTE, "ms")],
            CandleAlignmentError,
        ),
        (
            [pandas.Timestamp(START * 1_000_000 + 1), pandas.Timestamp(START + MINUTE, unit="ms")],
            CandleAlignmentError,
        ),
        ([pandas.Timestamp(START * 1_000_000 + 1, tz="America/New_York")], CandleAlignmentError),
        ([pandas.NaT, pandas.Timestamp(START, unit="ms")], CandleTimeError),
        ([np.datetime64("NaT"), np.datetime64(START, "ms")], CandleTimeError),
        ([pandas.NaT], CandleTimeError),
    ],
)
def test_a_list_of_times_is_read_as_exactly_as_an_array(moments, kind):
    columns = {name: [1.0] * len(moments) for name in ("open", "high", "low", "close", "volume")}
    for times in (moments, pandas.to_datetime(moments)):
        with pytest.raises(kind) as refused:
            CandleFrame.from_any({"timestamp": times, **columns}, symbol="BTCUSDT")
        assert refused.value.row == 0


def test_wide_decimals_are_read(tmp_path):
    wide = pyarrow.array([Decimal(str(value)) for value in GOOD.open], pyarrow.decimal256(60, 20))
    frame = GOOD.frame.to_arrow().set_column(1, "open", wide)
    write_table(frame, tmp_path / "BTCUSDT-1m.parquet")
    assert CandleFrame.read(tmp_path / "BTCUSDT-1m.parquet") == GOOD
    assert CandleFrame.from_any(frame, symbol="BTCUSDT") == GOOD


# ---- arbitrary bytes ----

SEEDS = {suffix: packed(GOOD, suffix) for suffix in (".csv", ".csv.gz", ".parquet", ".arrow")} | {
    ".zip": zipped(("x.csv", CSV))
}
MAGIC = {
    ".csv": b"",
    ".csv.gz": b"\x1f\x8b",
    ".parquet": b"PAR1",
    ".arrow": b"ARROW1\0\0",
    ".zip": b"PK\x03\x04",
}


@st.composite
def mutated(draw, suffix):
    """A good file with bytes changed, cut out or put in."""
    content = bytearray(SEEDS[suffix])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content) - 1))
        kind = draw(st.sampled_from(["flip", "cut", "insert", "end"]))
        if kind == "flip":
            content[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del content[at : at + draw(st.integers(1, 20))]
        elif kind == "insert":
            content[at:at] = draw(st.binary(min_size=1, max_size=10))
        else:
            del content[at:]
        if not content:
            break
    return bytes(content)


@pytest.mark.parametrize("suffix", list(SEEDS))
def test_arbitrary_bytes_become_candles_or_one_clean_error(tmp_path, suffix):
    path = tmp_path / f"BTCUSDT-1m{suffix}"

    @settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.one_of(mutated(suffix), st.binary(max_size=200).map(lambda tail: MAGIC[suffix] + tail)))
    def read(content):
        path.write_bytes(content)
        try:
            frame = CandleFrame.read(path, gaps="keep")
        except BkError as refused:
            assert_clean(refused)
        else:
            assert np.isfinite(frame.close).all()

    read()


def test_no_damaged_byte_of_a_parquet_file_changes_a_candle(tmp_path):
    path = tmp_path / "BTCUSDT-1m.parquet"
    for at in range(0, len(PARQUET), 3):
        content = bytearray(PARQUET)
        content[at] ^= 0xFF
        path.write_bytes(content)
        try:
            assert CandleFrame.read(path) == GOOD  # the byte means nothing to us
        except BkError as refused:
            assert_clean(refused)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet='0123456789.,;:-+eTZ"\n\r \t\0anifNtimestampopenhighlowclosevolumeé', max_size=120))
def test_arbitrary_text_becomes_candles_or_one_clean_error(tmp_path, text):
    path = tmp_path / "BTCUSDT-1m.csv"
    for content in (text, LINES[0] + "\n" + text):
        path.write_bytes(content.encode())
        try:
            CandleFrame.read(path, gaps="keep")
        except BkError as refused:
            assert_clean(refused)


# ---- real dumps ----


def test_real_dumps_in_ms_and_us_agree_with_the_parquet_of_the_year():
    folder, year = (
        SHARED / "data" / "binance_vision_raw",
        SHARED / "data" / "btcusdt_binance_spot_1m_2024.parquet",
    )
    if not year.is_file():
        pytest.skip(f"{year} is absent")
    last_day = CandleFrame.read(folder / "BTCUSDT-1m-2024-12-31.zip")
    new_year = CandleFrame.read(folder / "BTCUSDT-1m-2025-01-01.zip")
    assert (last_day.symbol, last_day.interval, len(last_day), len(new_year)) == ("BTCUSDT", "1m", 1440, 1440)
    assert new_year.timestamps[0] == 1_735_689_600_000
    assert CandleFrame.read(year).between(last_day.start, new_year.start) == last_day
    assert len(CandleFrame.read_many([year, *sorted(folder.iterdir())])) == 527_040 + 1440


def test_a_comment_below_the_rows_is_told_as_one(tmp_path):
    path = tmp_path / "BTCUSDT-1m.csv"
    path.write_bytes(CSV + b"# downloaded today\n")
    with pytest.raises(CandleColumnError, match="has 1 fields") as told:
        CandleFrame.read(path)
    assert "it is a comment" in told.value.hint
