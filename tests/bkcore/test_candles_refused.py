"""Each malformed frame gets one error of its class, naming where and what and the way out."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from bkcore.candles import gaps as candle_gaps
from bkcore.candles.errors import (
    CandleAlignmentError,
    CandleColumnError,
    CandleDuplicateError,
    CandleError,
    CandleGapError,
    CandleOrderError,
    CandleTimeError,
    CandleTypeError,
    CandleValueError,
    EmptyCandlesError,
)
from bkcore.candles.frame import CandleFrame
from bkcore.intervals import UnknownIntervalError

MINUTE = 60_000
START = 1_735_603_200_000  # 2024-12-31 00:00 UTC
INTERNALS = (
    "polars", "pyarrow", "numpy", "narwhals", "dtype", "ComputeError", "SchemaError", "Traceback", "Int64",
    "Float64", "panicked", "Error:",
)  # fmt: skip


def columns(**changed: Any) -> dict[str, Any]:
    """Eight valid candles, with columns replaced."""
    return {
        "timestamp": [START + at * MINUTE for at in range(8)],
        "open": [100.0] * 8,
        "high": [101.0] * 8,
        "low": [99.0] * 8,
        "close": [100.5] * 8,
        "volume": [1.0] * 8,
    } | changed


def cell(column: str, row: int, value: Any) -> dict[str, Any]:
    values: list[Any] = list(columns()[column])
    values[row] = value
    return columns(**{column: values})


def without(*names: str) -> dict[str, Any]:
    return {name: values for name, values in columns().items() if name not in names}


def renamed(**names: str) -> dict[str, Any]:
    return {names.get(name, name): values for name, values in columns().items()}


ROWS = [list(row) for row in zip(*columns().values(), strict=True)]
AT_3 = "2024-12-31 00:03 UTC, row 3"

# data, options, error class, what the message must name
MALFORMED: dict[str, tuple[Any, dict[str, Any], type[Exception], list[str]]] = {
    # no table
    "a number": (42, {}, CandleTypeError, ["'int' cannot be read as candles", "a dict of columns"]),
    "nothing": (None, {}, CandleTypeError, ["'NoneType'"]),
    "a path": ("candles.csv", {}, CandleTypeError, ["given as str", "CandleFrame.read(path)"]),
    "a generator": ((row for row in ROWS), {}, CandleTypeError, ["'generator'"]),
    "a set": ({1, 2}, {}, CandleTypeError, ["'set'"]),
    "an array of one dimension": (np.arange(6.0), {}, CandleTypeError, ["1 dimensions", "(n, 6)"]),
    "an array of five columns": (
        np.ones((3, 5)),
        {},
        CandleColumnError,
        ["5 columns without names", "volume"],
    ),
    "a broken lazy frame": (
        pl.LazyFrame(columns()).select("nowhere"),
        {},
        CandleTypeError,
        ["lazy frame", ".collect()"],
    ),
    "rows of numbers": ([1, 2, 3], {}, CandleTypeError, ["row 0 is 'int'"]),
    "rows of two kinds": ([ROWS[0], {"timestamp": 1}], {}, CandleTypeError, ["row 1 is 'dict'", "'list'"]),
    "a short row": ([*ROWS[:3], ROWS[3][:5]], {}, CandleColumnError, ["row 3 has 5 values", "have 6"]),
    "rows of seven": ([[*row, 0] for row in ROWS], {}, CandleColumnError, ["7 columns without names"]),
    # no rows, no columns
    "an empty list": ([], {}, EmptyCandlesError, ["there are no candles"]),
    "empty columns": ({name: [] for name in columns()}, {}, EmptyCandlesError, ["0 rows"]),
    "an empty dict": ({}, {}, CandleColumnError, ["'timestamp'", "none at all"]),
    "a frame cut to nothing": (pl.DataFrame(columns())[:0], {}, EmptyCandlesError, ["BTCUSDT 1m", "0 rows"]),
    "close missing": (
        without("close"),
        {},
        CandleColumnError,
        ["column 'close' is missing", "'open', 'high'"],
    ),
    "two missing": (without("low", "volume"), {}, CandleColumnError, ["'low', 'volume'"]),
    "two times": (
        renamed(timestamp="date") | {"time": columns()["timestamp"]},
        {},
        CandleColumnError,
        ["'date' and 'time'", "each be 'timestamp'", "drop the others"],
    ),
    "two spellings": (
        renamed(open="Open") | {"OPEN": [1.0] * 8},
        {},
        CandleColumnError,
        ["'Open' and 'OPEN'", "'open'"],
    ),
    "uneven columns": (
        columns(low=[99.0] * 7),
        {},
        CandleColumnError,
        ["differ in length", "low 7", "open 8"],
    ),
    "a scalar column": (columns(low=99.0), {}, CandleTypeError, ["column 'low' is 'float'"]),
    "a text as column": (columns(low="99"), {}, CandleTypeError, ["column 'low' is 'str'"]),
    "a column of two dimensions": (
        columns(low=np.ones((8, 2))),
        {},
        CandleTypeError,
        ["column 'low'", "2 dimensions"],
    ),
    # types
    "booleans as prices": (columns(open=[True] * 8), {}, CandleTypeError, ["'open'", "true and false"]),
    "times as prices": (columns(open=[datetime(2024, 1, 1)] * 8), {}, CandleTypeError, ["'open'", "times"]),
    "lists as prices": (columns(high=[[1.0]] * 8), {}, CandleTypeError, ["'high'", "list [1.0] in row 0"]),
    "lists in a frame": (
        pl.DataFrame(columns(high=[[1.0]] * 8)),
        {},
        CandleTypeError,
        ["'high'", "lists or records"],
    ),
    "objects as prices": (columns(high=[object()] * 8), {}, CandleTypeError, ["'high'", "object"]),
    "text among prices": (
        cell("low", 3, "cheap"),
        {},
        CandleTypeError,
        ["'low'", "'cheap' in row 3", "float"],
    ),
    "complex prices": (columns(low=np.ones(8, dtype=complex)), {}, CandleTypeError, ["'low'", "complex128"]),
    "booleans as times": (
        columns(timestamp=[True] * 8),
        {},
        CandleTypeError,
        ["'timestamp'", "true and false"],
    ),
    "text that is no number": (
        columns(low=["99", "99", "99", "9x9"] + ["99"] * 4),
        {},
        CandleValueError,
        ["candle[3] has invalid numeric values", "low='9x9'", AT_3],
    ),
    # values, spec market-data.md 4
    "a null": (
        cell("close", 3, None),
        {},
        CandleValueError,
        ["invalid numeric values", "close is missing", AT_3],
    ),
    "a column of nulls": (columns(close=[None] * 8), {}, CandleValueError, ["close is missing", "row 0"]),
    "NaN": (cell("volume", 3, math.nan), {}, CandleValueError, ["invalid numeric values: volume=nan", AT_3]),
    "infinity": (cell("high", 3, math.inf), {}, CandleValueError, ["invalid numeric values: high=inf", AT_3]),
    "a number beyond floats": (cell("high", 3, 10**400), {}, CandleValueError, ["high=inf", AT_3]),
    "a price of zero": (
        cell("low", 3, 0.0),
        {},
        CandleValueError,
        ["zero or negative values: low=0.0", AT_3],
    ),
    "a negative price": (
        cell("open", 3, -1.0),
        {},
        CandleValueError,
        ["zero or negative values: open=-1.0", AT_3],
    ),
    "negative volume": (
        cell("volume", 3, -0.1),
        {},
        CandleValueError,
        ["zero or negative", "volume=-0.1", AT_3],
    ),
    "high below low": (cell("high", 3, 98.0), {}, CandleValueError, ["high (98.0) < low (99.0)", AT_3]),
    "an anomalously low price": (
        cell("low", 3, 0.1),
        {},
        CandleValueError,
        ["anomalously low price: low=0.1 is below 0.1005", AT_3],
    ),
    "an anomaly by a smaller factor": (
        cell("low", 3, 40.0),
        {"price_anomaly_factor": 2.0},
        CandleValueError,
        ["low=40.0 is below 50.25", AT_3],
    ),
    "no price above zero": (
        columns(open=[-1.0] * 8, high=[-1.0] * 8, low=[-1.0] * 8, close=[-1.0] * 8),
        {},
        CandleValueError,
        ["cannot calculate reference price"],
    ),
    # times
    "a missing time": (cell("timestamp", 3, None), {}, CandleTimeError, ["timestamp is missing (row 3)"]),
    "NaN as time": (
        columns(timestamp=[float(START), math.nan] + [1.0] * 6),
        {},
        CandleTimeError,
        ["timestamp is missing (row 1)"],
    ),
    "an empty text as time": (
        columns(timestamp=["2024-12-31"] * 3 + [" "] * 5),
        {},
        CandleTimeError,
        ["row 3"],
    ),
    "text that is no time": (
        columns(timestamp=["soon"] * 8),
        {},
        CandleTimeError,
        ["'soon'", "row 0", "ISO"],
    ),
    "a thirteenth month": (
        columns(timestamp=["2024-12-31T00:00:00Z"] * 2 + ["2024-13-31T00:00:00Z"] * 6),
        {},
        CandleTimeError,
        ["'2024-13-31T00:00:00Z'", "row 2"],
    ),
    "hour 24": (
        columns(timestamp=["2024-12-31 24:00"] * 8),
        {},
        CandleTimeError,
        ["'2024-12-31 24:00'", "row 0"],
    ),
    "text of two kinds": (
        columns(timestamp=[str(START), "2024-12-31T00:01Z"] * 4),
        {},
        CandleTimeError,
        ["'2024-12-31T00:01Z'", "row 1"],
    ),
    "half a second": (
        columns(timestamp=[START / 1000 + 0.5] * 8),
        {},
        CandleTimeError,
        ["1735603200.5", "row 0"],
    ),
    "mixed units": (
        columns(
            timestamp=[START + at * MINUTE if at < 5 else (START + at * MINUTE) * 1000 for at in range(8)]
        ),
        {},
        CandleTimeError,
        ["mix milliseconds and microseconds", "1735603200000 (row 0)", "(row 5)", "read_many"],
    ),
    "negative times": (
        columns(timestamp=[-60 + 60 * at for at in range(8)]),
        {},
        CandleTimeError,
        ["-60", "seconds", "1970..2199"],
    ),
    "far future": (
        cell("timestamp", 7, START),
        {"timestamp_unit": "s"},
        CandleTimeError,
        ["outside the years 1970..2199", "row 0"],
    ),
    "an integer of 70 bits": (cell("timestamp", 3, 2**70), {}, CandleTimeError, ["1.18", "row 3"]),
    "a microsecond off": (
        columns(timestamp=[(START + at * MINUTE) * 1000 + (at == 3) for at in range(8)]),
        {},
        CandleAlignmentError,
        ["1735603380000001", "microseconds", "row 3"],
    ),
    # order and grid
    "unsorted": (
        columns(timestamp=[START + at * MINUTE for at in (0, 1, 3, 2, 4, 5, 6, 7)]),
        {},
        CandleOrderError,
        ["2024-12-31 00:02 UTC comes after 2024-12-31 00:03 UTC (row 3)", "sort"],
    ),
    "twice the same time": (
        columns(timestamp=[START + at * MINUTE for at in (0, 1, 2, 2, 4, 5, 6, 7)]),
        {},
        CandleDuplicateError,
        ["2024-12-31 00:02 UTC occurs twice (rows 2 and 3)", "unique"],
    ),
    "off the grid": (
        cell("timestamp", 3, START + 3 * MINUTE + 30_000),
        {},
        CandleAlignmentError,
        ["2024-12-31 00:03:30 UTC is not on the 1m grid (row 3)", "opens at 2024-12-31 00:03"],
    ),
    "close times": (
        columns(timestamp=[START + at * MINUTE + 59_999 for at in range(8)]),
        {},
        CandleAlignmentError,
        ["00:00:59.999 UTC", "row 0", "open time"],
    ),
    "minutes called hours": (
        columns(),
        {"interval": "1h"},
        CandleAlignmentError,
        ["BTCUSDT 1h", "00:01 UTC", "look like 1m"],
    ),
    "hours called minutes": (
        columns(timestamp=[START + at * 60 * MINUTE for at in range(8)]),
        {"gaps": "keep"},
        CandleAlignmentError,
        ["60 minutes after", "not one 1m", "interval='1h'"],
    ),
    "row numbers as times": (
        columns(timestamp=list(range(8))),
        {},
        CandleAlignmentError,
        ["1970-01-01 00:00:01 UTC"],
    ),
    "a gap": (
        {name: [v for at, v in enumerate(values) if at != 3] for name, values in columns().items()},
        {},
        CandleGapError,
        ["1 candle is missing after 2024-12-31 00:02 UTC (row 2)", 'gaps="fill"', 'gaps="keep"'],
    ),
    "a gap of fifty years": (
        {
            name: [*values[:7], values[7]]
            for name, values in cell("timestamp", 7, START + 50 * 525_600 * MINUTE).items()
        },
        {"gaps": "fill"},
        CandleGapError,
        ["invent 26,279,993 candles", "2024-12-31 00:06 UTC (row 6)", "5,256,000"],
    ),
    # words
    "no symbol": (columns(), {"symbol": ""}, CandleError, ["symbol=''"]),
    "a symbol that is no text": (columns(), {"symbol": 5}, CandleError, ["symbol=5"]),
    "an unknown interval": (columns(), {"interval": "7m"}, UnknownIntervalError, ["'7m'", "15m"]),
    "an unknown policy": (columns(), {"gaps": "fil"}, CandleError, ["gaps='fil'", "did you mean 'fill'?"]),
    "an unknown unit": (columns(), {"timestamp_unit": "min"}, CandleError, ["timestamp_unit='min'", "'ms'"]),
    "an unknown option": (
        columns(),
        {"gap": "fill"},
        CandleError,
        ["no option 'gap'", "did you mean 'gaps'?"],
    ),
    "a factor of zero": (
        columns(),
        {"price_anomaly_factor": 0},
        CandleError,
        ["price_anomaly_factor=0", "1000"],
    ),
    "a NaN factor": (
        columns(),
        {"price_anomaly_factor": math.nan},
        CandleError,
        ["price_anomaly_factor=nan"],
    ),
}


@pytest.mark.parametrize("case", list(MALFORMED))
def test_a_malformed_frame_gets_one_error_that_says_where_what_and_the_way_out(case):
    data, options, kind, named = MALFORMED[case]
    with pytest.raises(CandleError if issubclass(kind, CandleError) else kind) as refused:
        CandleFrame.from_any(data, **({"symbol": "BTCUSDT"} | options))
    assert type(refused.value) is kind
    text = str(refused.value)
    for part in named:
        assert part in text
    if "symbol" not in options and kind is not UnknownIntervalError:
        assert f"BTCUSDT {options.get('interval', '1m')}" in text
    assert refused.value.hint
    assert not [word for word in INTERNALS if word.lower() in text.lower()]
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_duplicate_column_names_in_pandas_are_refused():
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(columns())
    table.columns = ["timestamp", "open", "open", "low", "close", "volume"]
    with pytest.raises(CandleColumnError, match="several columns 'open'"):
        CandleFrame.from_any(table, symbol="BTCUSDT")


def test_an_error_carries_its_place():
    with pytest.raises(CandleValueError) as refused:
        CandleFrame.from_any(cell("low", 3, 0.0), symbol="BTCUSDT")
    assert (refused.value.column, refused.value.row, refused.value.timestamp) == (
        "low",
        3,
        START + 3 * MINUTE,
    )


def test_the_filling_limit_is_inclusive(monkeypatch):
    holed = {name: [values[0], values[7]] for name, values in columns().items()}
    monkeypatch.setattr(candle_gaps, "MAX_FILLED", 6)
    assert len(CandleFrame.from_any(holed, symbol="BTCUSDT", gaps="fill")) == 8
    monkeypatch.setattr(candle_gaps, "MAX_FILLED", 5)
    with pytest.raises(CandleGapError, match="invent 6 candles"):
        CandleFrame.from_any(holed, symbol="BTCUSDT", gaps="fill")
