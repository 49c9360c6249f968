"""What passes the candle door, in every shape it comes, and what a frame of candles promises from then on."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from bkcore.candles.errors import CandleError, CandleGapError
from bkcore.candles.frame import CandleFrame
from bkcore.errors import BkError
from tests.shares import share

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("BK_SHARED", ROOT.parent / "shared"))
MINUTE = 60_000
START = 1_735_603_200_000  # 2024-12-31 00:00 UTC


def columns(count: int = 6, start: int = START, step: int = MINUTE) -> dict[str, list]:
    """Plain valid candles as a dict of lists."""
    close = [100.0 + at % 7 for at in range(count)]
    return {
        "timestamp": [start + at * step for at in range(count)],
        "open": [value - 0.5 for value in close],
        "high": [value + 1.0 for value in close],
        "low": [value - 1.0 for value in close],
        "close": close,
        "volume": [float(at % 3) for at in range(count)],
    }


GOOD = CandleFrame.from_any(columns(), symbol="BTCUSDT")


def with_times(times: object) -> dict[str, object]:
    return {**columns(), "timestamp": times}


# ---- shapes ----


def shapes() -> dict[str, object]:
    table = pl.DataFrame(columns())
    rows = [list(row) for row in table.rows()]
    named = [(name, "i8" if name == "timestamp" else "f8") for name in table.columns]
    return {
        "polars": table,
        "lazy": table.lazy(),
        "dict of lists": columns(),
        "dict of arrays": {name: np.array(values) for name, values in columns().items()},
        "dict of float32": {
            name: np.array(v, dtype="f4" if name != "timestamp" else "i8") for name, v in columns().items()
        },
        "dict of big-endian": {name: np.array(v).astype(">f8") for name, v in columns().items()},
        "dict of strided": {name: np.repeat(np.array(v), 2)[::2] for name, v in columns().items()},
        "dict of series": {name: table[name] for name in table.columns},
        "dict of arrow": {name: pa.array(values) for name, values in columns().items()},
        "arrow": table.to_arrow(),
        "arrow batch": table.to_arrow().to_batches()[0],
        "dicts": table.to_dicts(),
        "ccxt rows": rows,
        "ccxt tuples": tuple(tuple(row) for row in rows),
        "numpy": table.to_numpy(),
        "rows of arrays": list(table.to_numpy()),
        "structured": np.array(table.rows(), dtype=named),
        "several chunks": pl.concat([table[:2], table[2:]], rechunk=False),
        "candles": GOOD,
        "integers": {name: [int(v) for v in values] for name, values in columns().items()}
        | {"open": columns()["open"]},
        "text": {name: [str(v) for v in values] for name, values in columns().items()},
        "decimals": columns() | {"open": [Decimal(str(v)) for v in columns()["open"]]},
        "numpy scalars": columns() | {"open": [np.float64(v) for v in columns()["open"]]},
        "mixed numbers": columns() | {"volume": [0, 1.0, 2, np.float32(0), np.int64(1), 2.0]},
        "binance rows": [[r[0], *map(str, r[1:]), r[0] + 59_999, "1", 2, "3", "4", "0"] for r in rows],
    }


@pytest.mark.parametrize("shape", list(shapes()))
def test_every_shape_gives_the_same_candles(shape):
    assert CandleFrame.from_any(shapes()[shape], symbol="BTCUSDT", interval="1m") == GOOD


def test_pandas_frames_enter_by_column_or_by_index():
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(columns())
    moments = pd.to_datetime(table["timestamp"], unit="ms", utc=True)
    for name in (None, "date", "anything"):
        for zone in (None, "UTC", "Asia/Tokyo"):
            index = pd.DatetimeIndex(moments.dt.tz_convert(zone), name=name)
            by_index = table.drop(columns="timestamp").set_index(index)
            if name == "anything":
                with pytest.raises(BkError, match="'timestamp' is missing"):
                    CandleFrame.from_any(by_index, symbol="BTCUSDT")
            else:
                assert CandleFrame.from_any(by_index, symbol="BTCUSDT") == GOOD
    for times in (moments, moments.dt.tz_localize(None), table["timestamp"]):
        assert CandleFrame.from_any(table.assign(timestamp=times), symbol="BTCUSDT") == GOOD
    shifted = table.set_index(pd.Index(range(10, 16)))
    assert CandleFrame.from_any(shifted, symbol="BTCUSDT") == GOOD


def test_pandas_and_pyarrow_are_not_imported_for_plain_data():
    script = (
        "import sys; from bkcore.candles.frame import CandleFrame; from bkcore import synthetic;"
        f"CandleFrame.from_any({columns()!r}, symbol='BTCUSDT');"
        "print([name for name in ('pandas', 'pyarrow', 'narwhals', 'numba') if name in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "names",
    [
        ["Timestamp", "Open", "High", "Low", "Close", "Volume"],
        ["time", "o", "h", "l", "c", "v"],
        ["open_time", "open", "high", "low", "close", "volume"],
        ["Open time", "Open", "High", "Low", "Close", "Volume"],
        ["openTime", "openPrice", "highPrice", "lowPrice", "closePrice", "baseVolume"],
        ["date", "OPEN", "HIGH", "LOW", "CLOSE", "VOLUME"],
        ["datetime", "open", "high", "low", "close", "vol"],
        ["ts", "open", "high", "low", "close", "volume"],
        ["index", "open", "high", "low", "close", "volume"],
    ],
)
def test_usual_names_are_recognised_in_any_order(names):
    renamed = dict(zip(names, columns().values(), strict=True))
    backwards = dict(reversed(renamed.items()))
    assert CandleFrame.from_any(renamed, symbol="BTCUSDT") == GOOD
    assert CandleFrame.from_any(backwards, symbol="BTCUSDT") == GOOD


def test_the_documented_name_wins_and_other_columns_are_dropped():
    extra = {"Open": [0.0] * 6, "date": ["?"] * 6, "quote_volume": [1.0] * 6, "filled": [7] * 6}
    assert CandleFrame.from_any({**extra, **columns()}, symbol="BTCUSDT") == GOOD
    stream = {
        {"timestamp": "t", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}[name]: values
        for name, values in columns().items()
    }
    assert CandleFrame.from_any(stream | {"T": [0] * 6, "V": [0] * 6, "L": [0] * 6}, symbol="BTCUSDT") == GOOD


# ---- times ----

MOMENTS = [datetime(2024, 12, 31, tzinfo=UTC) + timedelta(minutes=at) for at in range(6)]


@pytest.mark.parametrize(
    "times",
    [
        [START // 1000 + 60 * at for at in range(6)],
        [(START + MINUTE * at) * 1000 for at in range(6)],
        [(START + MINUTE * at) * 1_000_000 for at in range(6)],
        [float(START + MINUTE * at) for at in range(6)],
        [(START + MINUTE * at) * 1e6 for at in range(6)],
        [str(START + MINUTE * at) for at in range(6)],
        [f"{START + MINUTE * at}.0" for at in range(6)],
        np.array([START + MINUTE * at for at in range(6)], dtype="u8"),
        MOMENTS,
        [moment.replace(tzinfo=None) for moment in MOMENTS],
        [moment.astimezone(ZoneInfo("America/New_York")) for moment in MOMENTS],
        [np.datetime64(moment.replace(tzinfo=None)) for moment in MOMENTS],
        np.array([moment.replace(tzinfo=None) for moment in MOMENTS], dtype="datetime64[m]"),
        np.array([moment.replace(tzinfo=None) for moment in MOMENTS], dtype="datetime64[ns]"),
        pl.Series(MOMENTS, dtype=pl.Datetime("ms", "UTC")),
        pl.Series(MOMENTS, dtype=pl.Datetime("ns", "Europe/Berlin")),
        [moment.isoformat() for moment in MOMENTS],
        [moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in MOMENTS],
        [moment.strftime("%Y-%m-%d %H:%M") for moment in MOMENTS],
        [moment.strftime(" %Y-%m-%d %H:%M:%S.000000000 UTC ") for moment in MOMENTS],
        [moment.astimezone(ZoneInfo("Asia/Kolkata")).isoformat() for moment in MOMENTS],
        [
            moment.astimezone(ZoneInfo("America/St_Johns")).strftime("%Y-%m-%d %H:%M:%S%z")
            for moment in MOMENTS
        ],
        pl.Series([moment.isoformat() for moment in MOMENTS], dtype=pl.Categorical),
    ],
    ids=lambda times: str(times[0])[:40],
)
def test_times_of_every_kind_give_the_same_candles(times):
    assert CandleFrame.from_any(with_times(times), symbol="BTCUSDT") == GOOD


@given(
    moments=st.lists(st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31)), min_size=1, max_size=1),
    zone=st.sampled_from(["", "Z", "+00:00", "+05:30", "-03:30", "-1100", " UTC"]),
    kind=st.sampled_from(["T", " "]),
)
def test_iso_text_means_what_python_reads(moments, zone, kind):
    moment = moments[0].replace(second=0, microsecond=0)
    text = moment.strftime(f"%Y-%m-%d{kind}%H:%M:%S").rjust(19, "0") + zone
    read = datetime.fromisoformat(text.replace(" UTC", "Z"))
    read = read if read.tzinfo else read.replace(tzinfo=UTC)
    rows = {name: values[:1] for name, values in columns().items()} | {"timestamp": [text]}
    try:
        frame = CandleFrame.from_any(rows, symbol="BTCUSDT")
    except CandleError:
        assert not datetime(1970, 1, 1, tzinfo=UTC) <= read < datetime(2200, 1, 1, tzinfo=UTC)
    else:
        assert frame.start == read


def test_dates_are_midnights():
    days = columns(step=1440 * MINUTE) | {
        "timestamp": [date(2024, 12, 31) + timedelta(at) for at in range(6)]
    }
    frame = CandleFrame.from_any(days, symbol="BTCUSDT", interval="1d")
    assert frame.start == datetime(2024, 12, 31, tzinfo=UTC)


def test_small_integers_need_their_unit():
    early = columns(start=0)
    assert (
        CandleFrame.from_any(early, symbol="BTCUSDT", timestamp_unit="ms").timestamps.tolist()
        == early["timestamp"]
    )
    with pytest.raises(CandleError, match="every candle opens 1,000 minutes after the one before it"):
        CandleFrame.from_any(early, symbol="BTCUSDT")


# ---- gaps ----


def holed() -> dict[str, list]:
    """Minutes 0, 1, 4, 5 and 9."""
    return {name: [values[at] for at in (0, 1, 4, 5, 9)] for name, values in columns(10).items()}


def test_a_hole_is_refused_by_default_and_the_error_speaks_the_sentence():
    with pytest.raises(CandleGapError) as refused:
        CandleFrame.from_any(holed(), symbol="BTCUSDT")
    assert str(refused.value) == (
        "BTCUSDT 1m: 2 candles are missing after 2024-12-31 00:01 UTC (row 1); 2 holes, 5 candles in all.\n"
        'Hint: pass gaps="fill" to repeat the last close with volume 0, or gaps="keep" to skip the hole.'
    )
    assert (refused.value.row, refused.value.timestamp) == (1, START + MINUTE)


def test_kept_holes_are_listed():
    frame = CandleFrame.from_any(holed(), symbol="BTCUSDT", gaps="keep")
    assert len(frame) == 5
    assert frame.gaps.select("row", "after_timestamp", "missing").rows() == [
        (1, START + MINUTE, 2),
        (3, START + 5 * MINUTE, 3),
    ]
    assert frame.gaps["after"][0] == datetime(2024, 12, 31, 0, 1, tzinfo=UTC)
    assert not frame.filled.any()
    assert "filled" not in frame.frame.columns


def test_filled_holes_repeat_the_last_close_and_are_marked():
    frame = CandleFrame.from_any(holed(), symbol="BTCUSDT", gaps="fill")
    assert frame.filled.tolist() == [False, False, True, True, False, False, True, True, True, False]
    assert frame.gaps.is_empty()
    close = columns(10)["close"]
    for at, source in ((2, 1), (3, 1), (6, 5), (7, 5), (8, 5)):
        candle = frame.frame.row(at, named=True)
        assert {candle[name] for name in ("open", "high", "low", "close")} == {close[source]}
        assert candle["volume"] == 0.0
    kept = frame.frame.filter(~pl.col("filled")).drop("filled")
    assert kept.equals(CandleFrame.from_any(holed(), symbol="BTCUSDT", gaps="keep").frame)


def test_marks_survive_a_second_pass_through_the_door():
    filled = CandleFrame.from_any(holed(), symbol="BTCUSDT", gaps="fill")
    again = CandleFrame.from_any(filled.frame, symbol="BTCUSDT")
    assert again == filled
    thinned = filled.frame[[0, 1, 2, 4, 5, 6, 9]]
    assert CandleFrame.from_any(thinned, symbol="BTCUSDT", gaps="fill") == filled


def test_a_whole_frame_filled_has_only_false_marks():
    frame = CandleFrame.from_any(columns(), symbol="BTCUSDT", gaps="fill")
    assert frame.frame["filled"].to_list() == [False] * 6


@given(st.sets(st.integers(0, 40), min_size=1))
def test_fill_then_forget_is_keep(minutes):
    everything = columns(41)
    rows = {name: [values[at] for at in sorted(minutes)] for name, values in everything.items()}
    try:
        kept = CandleFrame.from_any(rows, symbol="BTCUSDT", gaps="keep")
    except CandleError as refused:
        steps = set(np.diff(sorted(minutes)).tolist())
        assert "every candle opens" in str(refused)
        assert len(steps) == 1
        return
    filled = CandleFrame.from_any(rows, symbol="BTCUSDT", gaps="fill")
    assert filled.frame.filter(~pl.col("filled")).drop("filled").equals(kept.frame)
    assert int(kept.gaps["missing"].sum()) == int(filled.filled.sum()) == len(filled) - len(kept)
    assert np.array_equal(np.diff(filled.timestamps), np.full(len(filled) - 1, MINUTE))


# ---- what holds inside ----


def test_columns_are_lent_contiguous_read_only_and_without_a_copy():
    for name in ("timestamps", "open", "high", "low", "close", "volume", "filled"):
        column = getattr(GOOD, name)
        assert column.flags.c_contiguous
        assert column is getattr(GOOD, name)
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1
    assert GOOD.timestamps.dtype == np.int64
    assert GOOD.close.dtype == np.float64
    assert np.shares_memory(GOOD.close, GOOD.frame["close"].to_numpy())
    assert {name: str(kind) for name, kind in GOOD.frame.schema.items()} == {
        "timestamp": "Int64", "open": "Float64", "high": "Float64",
        "low": "Float64", "close": "Float64", "volume": "Float64",
    }  # fmt: skip


@pytest.mark.parametrize("shape", ["dict", "array", "arrow", "polars of arrow", "polars"])
def test_nobody_can_change_a_frame_from_outside(shape):
    arrays = {name: np.array(values) for name, values in columns().items()}
    block = np.column_stack(list(arrays.values()))
    source = {
        "dict": arrays,
        "array": block,
        "arrow": pa.table(arrays),
        "polars of arrow": pl.from_arrow(pa.table(columns())),
        "polars": pl.DataFrame(columns()),
    }[shape]
    frame = CandleFrame.from_any(source, symbol="BTCUSDT")
    block[:] = 1.0
    for column in arrays.values():
        column[:] = 1
    if isinstance(source, pl.DataFrame):
        source[0, "close"] = 555.0
        source[0, "timestamp"] = 0
    mine = frame.frame
    mine[0, "close"] = 777.0
    mine.drop_in_place("open")
    assert frame == GOOD
    assert frame.close[0] == GOOD.close[0]


def test_attributes_cannot_be_set():
    with pytest.raises(AttributeError, match="never changes"):
        GOOD.symbol = "ETHUSDT"
    with pytest.raises(AttributeError, match="never changes"):
        del GOOD.symbol


def test_pandas_memory_is_not_shared():
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(columns())
    frame = CandleFrame.from_any(table, symbol="BTCUSDT")
    for name in table.columns:
        table[name].to_numpy(copy=False).flags.writeable and table[name].to_numpy(copy=False).fill(1)
    assert frame == GOOD


def test_facts_equality_and_text():
    assert len(GOOD) == 6
    assert GOOD.start == datetime(2024, 12, 31, tzinfo=UTC)
    assert GOOD.end == datetime(2024, 12, 31, 0, 5, tzinfo=UTC)
    other = CandleFrame.from_any(columns(), symbol="ETHUSDT")
    assert other != GOOD
    assert GOOD != "BTCUSDT"
    assert GOOD.digest != other.digest
    assert hash(GOOD) == hash(CandleFrame(columns(), symbol="BTCUSDT"))
    assert repr(GOOD).startswith(
        "CandleFrame BTCUSDT 1m: 6 candles, 2024-12-31 00:00 .. 2024-12-31 00:05 UTC, no gaps\n"
    )
    assert "2024-12-31 00:05:00 UTC" in repr(GOOD)
    assert "<b>BTCUSDT 1m: 6 candles" in GOOD._repr_html_()
    assert "&lt;X&gt;" in CandleFrame(columns(), symbol="<X>")._repr_html_()
    filled = CandleFrame(holed(), symbol="BTCUSDT", gaps="fill")
    assert "no gaps, 5 filled" in repr(filled)
    assert "2 gaps (5 candles)" in repr(CandleFrame(holed(), symbol="BTCUSDT", gaps="keep"))


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda frame: pickle.loads(pickle.dumps(frame))])
def test_copies_are_equal_and_as_frozen(again):
    _ = GOOD.close
    twin = again(GOOD)
    assert twin == GOOD
    assert not twin.close.flags.writeable


def test_between_is_half_open():
    part = GOOD.between(datetime(2024, 12, 31, 0, 1), START + 4 * MINUTE)
    assert part.timestamps.tolist() == [START + at * MINUTE for at in (1, 2, 3)]
    assert GOOD.between(0, 2 * START) == GOOD
    late = datetime(2024, 12, 31, 0, 0, 0, 1, tzinfo=UTC)
    assert GOOD.between(late, datetime(2025, 1, 1)).timestamps[0] == START + MINUTE
    assert len(GOOD.between(datetime(2024, 1, 1), late)) == 1
    for nonsense in ("now", 1.5, 2**70, None):
        with pytest.raises(CandleError, match="is no moment"):
            GOOD.between(nonsense, START)
    with pytest.raises(CandleError, match="no candle opens from 9223372036854775807 ms after 1970"):
        GOOD.between(2**63 - 1, 2**63 - 1)
    with pytest.raises(CandleError, match="the frame goes from 2024-12-31 00:00 UTC"):
        GOOD.between(START + 6 * MINUTE, START + 7 * MINUTE)


def test_open_and_close_outside_high_and_low_are_accepted():
    odd = columns() | {"open": [200.0] * 6, "close": [1.0] * 6}
    assert CandleFrame.from_any(odd, symbol="BTCUSDT").open[0] == 200.0


def test_one_candle_is_enough():
    frame = CandleFrame.from_any({name: values[:1] for name, values in columns().items()}, symbol="BTCUSDT")
    assert frame.start == frame.end
    assert frame.gaps.is_empty()


# ---- arbitrary frames ----

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([START, START + MINUTE, START * 1000, 0, 60]),
    st.floats(width=64),
    st.floats(90.0, 110.0),
    st.text(max_size=4),
    st.sampled_from(["1.5", "2024-12-31", "2024-12-31T00:01Z"]),
    st.datetimes(),
    st.dates(),
    st.binary(max_size=2),
    st.lists(st.integers(0, 3), max_size=2),
    st.decimals(allow_nan=True),
    st.fractions(),
    st.complex_numbers(),
)
NAMES = st.sampled_from(
    ["timestamp", "open", "high", "low", "close", "volume", "Open", "o", "date", "filled", "x", ""]
)
TABLES = st.one_of(
    st.dictionaries(NAMES, st.one_of(SCALARS, st.lists(SCALARS, max_size=4)), max_size=9),
    st.fixed_dictionaries(
        {name: st.lists(SCALARS, min_size=2, max_size=2) for name in columns()},
        optional={"filled": st.lists(SCALARS, min_size=2, max_size=2)},
    ),
    st.lists(st.dictionaries(NAMES, SCALARS, max_size=8), max_size=3),
    st.lists(st.lists(SCALARS, min_size=6, max_size=6), max_size=3),
    st.lists(SCALARS, max_size=3),
    SCALARS,
)


@settings(max_examples=300, deadline=None)
@given(TABLES, st.sampled_from(["raise", "keep", "fill"]), st.sampled_from(["1m", "1h", "1d"]))
def test_arbitrary_data_become_candles_or_one_clean_error(data, gaps, interval):
    try:
        frame = CandleFrame.from_any(data, symbol="BTCUSDT", interval=interval, gaps=gaps)
    except BkError as refused:
        assert refused.__cause__ is None
        assert refused.__suppress_context__ or refused.__context__ is None
    else:
        assert np.isfinite(frame.close).all()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_valid_frame_with_one_cell_replaced_becomes_candles_or_one_clean_error(data):
    rows = columns(8)
    column = data.draw(st.sampled_from(list(rows)))
    row = data.draw(st.integers(0, 7))
    rows[column][row] = data.draw(SCALARS)
    shape = data.draw(st.sampled_from(["dict", "dicts", "rows"]))
    given_rows = list(zip(*rows.values(), strict=True))
    table = {
        "dict": rows,
        "dicts": [dict(zip(rows, values, strict=True)) for values in given_rows],
        "rows": given_rows,
    }[shape]
    value, found = rows[column][row], None
    try:
        found = CandleFrame.from_any(table, symbol="BTCUSDT", gaps="keep").frame
    except BkError as refused:
        # a low above its high is told of the high
        assert refused.column in ((column, "high") if column == "low" else (column,))
    share("cells that are refused", found is None, least=0.2, most=0.98)
    if found is not None:
        wanted = pl.DataFrame(columns(8))
        if column == "timestamp":
            assert found.drop("timestamp").equals(wanted.drop("timestamp"))
        else:
            assert found[row, column] == float(value)
            assert found.drop(column).equals(wanted.drop(column))


# ---- real candles ----


def real(name: str) -> Path:
    path = SHARED / "data" / name
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    return path


@pytest.mark.parametrize(
    ("name", "rows", "gaps", "missing"),
    [
        ("btcusdt_binance_spot_1m_2021.parquet", 524_607, 6, 993),
        ("btcusdt_binance_spot_1m_2017-08_2018-03.parquet", 323_911, 8, 2_729),
    ],
)
def test_real_outages_go_through_each_policy(name, rows, gaps, missing):
    path = real(name)
    with pytest.raises(CandleGapError, match=rf"{gaps} holes, {missing:,} candles in all"):
        CandleFrame.read(path)
    kept = CandleFrame.read(path, gaps="keep")
    assert (kept.symbol, kept.interval, len(kept)) == ("BTCUSDT", "1m", rows)
    assert (len(kept.gaps), kept.gaps["missing"].sum()) == (gaps, missing)
    filled = CandleFrame.read(path, gaps="fill")
    assert len(filled) == rows + missing
    assert filled.filled.sum() == missing
    assert filled.frame.filter(~pl.col("filled")).drop("filled").equals(kept.frame)
    invented = filled.frame.filter("filled")
    assert (invented["volume"] == 0.0).all()
    assert (invented["high"] == invented["low"]).all()


def test_a_real_year_is_whole():
    frame = CandleFrame.read(real("btcusdt_binance_spot_1m_2024.parquet"))
    assert len(frame) == 527_040
    assert frame.gaps.is_empty()
    assert frame.frame.equals(pl.read_parquet(real("btcusdt_binance_spot_1m_2024.parquet")))
