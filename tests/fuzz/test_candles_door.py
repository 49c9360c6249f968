"""Tables of candles in any shape, with anything in them: valid candles, or one error of ours."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas
import polars as pl
import pyarrow
import pytest

from bkcore.candles.checks import COLUMNS
from bkcore.candles.frame import CandleFrame
from tests.fuzz.harness import counts, tries
from tests.fuzz.odd_values import MINUTE, START, odd_moment, odd_number, odd_thing

GOOD: dict[str, list[Any]] = {
    "timestamp": [START + minute * MINUTE for minute in range(12)],
    **{name: [100.0 + minute / 8 for minute in range(12)] for name in COLUMNS[1:]},
}
TEXT = pl.DataFrame(GOOD).write_csv()


def check(frame: CandleFrame) -> None:
    """What every instance promises."""
    assert len(frame) > 0
    assert (np.diff(frame.timestamps) > 0).all()
    assert not (frame.timestamps % MINUTE).any()
    for name in COLUMNS[1:]:
        values = getattr(frame, name)
        assert np.isfinite(values).all()
        assert (values > 0).all() or name == "volume"
    assert (frame.high >= frame.low).all()


def options(dice: Random) -> dict[str, Any]:
    """Mostly none, sometimes odd ones."""
    names = (
        "symbol",
        "interval",
        "gaps",
        "timestamp_unit",
        "price_anomaly_factor",
        "min_candles_for_median",
        "spare",
    )
    given: dict[str, Any] = {"symbol": "X", "gaps": "keep"}
    if dice.random() < 0.15:
        name = dice.choice(names)
        usual = ("1m", "keep", "fill", "ms", "us")
        given[name] = dice.choice((*usual, odd_thing(dice)))
    return given


def columns(dice: Random) -> dict[str, Any]:
    """Good columns of one kind or another, with a few values or a whole column changed."""
    table: dict[str, Any] = {name: list(values) for name, values in GOOD.items()}
    if dice.random() < 0.3:
        moments = [odd_moment(dice) for _ in GOOD["timestamp"]]
        table["timestamp"] = moments if dice.random() < 0.2 else [moments[0], *table["timestamp"][1:]]
    for _ in range(dice.randint(0, 2)):
        name = dice.choice(COLUMNS)
        odd = dice.choice((odd_number, odd_thing, odd_moment))(dice)
        if dice.random() < 0.7:
            table[name][dice.randrange(12)] = odd
        else:
            shortened, texts = table[name][: dice.randint(0, 12)], [f"{value:.3f}" for value in GOOD[name]]
            table[name] = dice.choice((odd, [odd] * 12, shortened, texts))
            break
    if dice.random() < 0.1:
        table[dice.choice(("Date", "Time", "Close", "index", "filled", "x"))] = table.pop(
            dice.choice(COLUMNS)
        )
    return table


def polars_frame(table: dict[str, Any]) -> pl.DataFrame:
    """Only values that Polars and Arrow survive: others end the process in their own code."""
    for values in table.values():
        for value in values:
            if type(value) not in (int, float, str, bool, type(None)) or (
                type(value) is int and abs(value) >= 2**63
            ):
                raise TypeError
    return pl.DataFrame(table, strict=False)


def shaped(dice: Random, table: dict[str, Any]) -> Any:
    """The columns as one of the shapes that the door takes."""
    shapes: tuple[Callable[[], Any], ...] = (
        lambda: table,
        lambda: [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)],
        lambda: [list(row) for row in zip(*table.values(), strict=True)],
        lambda: pandas.DataFrame(table),
        lambda: pandas.DataFrame(table).set_index(next(iter(table))),
        lambda: polars_frame(table),
        lambda: polars_frame(table).lazy().select(pl.all(), pl.lit(1).alias("x")),
        lambda: polars_frame(table).to_arrow(),
        lambda: np.array(list(zip(*table.values(), strict=True)), dtype=object),
        lambda: {name: np.array(values) for name, values in table.items()},
        lambda: odd_thing(dice),
    )
    try:
        return dice.choice(shapes)()
    except BaseException:  # another library refuses to hold such a table
        return table


@counts
def test_tables_in_memory(count: int) -> None:
    def one(dice: Random) -> None:
        check(CandleFrame.from_any(shaped(dice, columns(dice)), **options(dice)))

    ends = tries("candles in memory", count, one)
    assert ends["accepted"] > count // 10


def changed(dice: Random, text: str) -> str:
    """Text with lines or signs changed, doubled, moved or left out."""
    lines = text.split("\n")
    for _ in range(dice.randint(0, 3)):
        at = dice.randrange(len(lines))
        odd = dice.choice(
            ("", "  ", "# x", "sep=;", "http://x", "a,b", lines[0], "1;2;3", '"', "\x00", "é", ",,,,,")
        )
        match dice.randint(0, 5):
            case 0:
                lines.insert(at, odd)
            case 1:
                lines[at] = odd
            case 2:
                lines[at] = lines[at].replace(
                    *dice.choice(((",", ";"), (".", ","), ("0", "O"), ("1", "-1"), (",", ",,")))
                )
            case 3:
                fields = lines[at].split(",")
                fields[dice.randrange(len(fields))] = str(
                    dice.choice(
                        (
                            dice.randint(-5, 5),
                            "nan",
                            "1e400",
                            "+5",
                            "0x1",
                            "1_0",
                            "1,5",
                            "01/02/2024",
                            "2024-01-01T00:00+05:75",
                            "99999999999999999999",
                        )
                    )
                )
                lines[at] = ",".join(fields)
            case 4:
                lines[at] = lines[at][: dice.randint(0, len(lines[at]))]
            case 5:
                lines[at], lines[0] = lines[0], lines[at]
    text = "\n".join(lines)
    return text.replace(
        *dice.choice(((",", ";"), (",", "\t"), ("\n", "\r\n"), ("\n", "\r"), (",", "|"), ("", "")))
    )


PACKED: dict[str, Callable[[bytes], bytes]] = {
    ".csv": bytes,
    ".csv.gz": gzip.compress,
    ".csv.xz": lzma.compress,
    ".csv.bz2": bz2.compress,
    ".csv.zst": lambda data: pyarrow.compress(data, "zstd", asbytes=True),
}


def binary(dice: Random, suffix: str) -> bytes:
    """Parquet or Arrow of odd column types."""
    kinds = (
        pyarrow.decimal256(40, 3),
        pyarrow.decimal128(20, 3),
        pyarrow.float16(),
        pyarrow.string(),
        pyarrow.float32(),
    )
    table = pyarrow.table(GOOD)
    name = dice.choice(COLUMNS[1:])
    try:
        column = table[name].cast(dice.choice(kinds))
    except pyarrow.ArrowInvalid:
        column = table[name]
    odd = (
        column,
        pyarrow.array([[1.0]] * 12),
        pyarrow.array([{"a": 1}] * 12),
        pyarrow.nulls(12),
        pyarrow.array([b"1"] * 12),
    )
    table = table.set_column(table.column_names.index(name), name, dice.choice(odd))
    buffer = io.BytesIO()
    if suffix == ".parquet":
        from pyarrow import parquet

        try:
            parquet.write_table(table, buffer)
        except pyarrow.ArrowNotImplementedError:
            parquet.write_table(pyarrow.table(GOOD), buffer)
    else:
        with pyarrow.ipc.new_file(buffer, table.schema) as writer:
            writer.write_table(table)
    return buffer.getvalue()


@counts
def test_files(count: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def one(dice: Random) -> None:
        suffix = dice.choice((*PACKED, *PACKED, ".parquet", ".arrow"))
        content = PACKED[suffix](changed(dice, TEXT).encode()) if suffix in PACKED else binary(dice, suffix)
        if dice.random() < 0.2:
            at = dice.randrange(len(content) + 1)
            content = (
                content[:at]
                + dice.choice((b"", bytes([dice.randrange(256)])))
                + content[at + dice.randint(0, 3) :]
            )
        path = tmp_path / f"X-1m{suffix}"
        path.write_bytes(content)
        check(CandleFrame.read(path, **options(dice)))

    ends = tries("candle files", count, one)
    assert ends["accepted"] > count // 10
