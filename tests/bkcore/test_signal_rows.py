"""A frame of signals for real prices becomes the machine's table row by row, or one error that names the row."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import numpy as np
import pandas
import polars as pl
import pyarrow
import pytest
from hypothesis import given, strategies as st

from bkcore.machine.codes import Exits, Given
from bkcore.machine.signals import REAL_COLUMNS, Asking, SignalFrameError, SignalTable, bind_signals

HOUR = 3_600_000
START = 1_704_067_200_000  # 2024-01-01 00:00 UTC
NAN = math.nan
INF = math.inf
ASKING = Asking(START, START + 100 * HOUR, HOUR)
MOMENTS = [START + k * HOUR for k in range(1, 4)]
LIBRARIES: dict[str, Any] = {
    "polars": lambda frame: frame,
    "lazy": lambda frame: frame.lazy(),
    "pandas": lambda frame: frame.to_pandas(),
    "arrow": lambda frame: frame.to_arrow(),
}


def bound(frame: Any = None, asking: Asking | None = ASKING, **columns: Any) -> SignalTable:
    """The table of three rows, of ``position`` where the columns name nothing else."""
    if frame is None:
        frame = pl.DataFrame({"timestamp": MOMENTS} | columns, strict=False)
    return bind_signals(frame, "BTCUSDT", 24 * HOUR, asking=asking, at_real_prices=True)


def refusal(frame: Any = None, asking: Asking | None = ASKING, **columns: Any) -> str:
    with pytest.raises(SignalFrameError) as caught:
        bound(frame, asking, **columns)
    assert caught.value.hint
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


def test_every_column_lands_in_its_field() -> None:
    table = bound(
        position=["long", "short", None],
        exit=[None, "long", "short"],
        price_open=[None, 2.0, None],
        price_trigger=[3, None, None],
        price_take_profit=[4.0, None, None],
        take_profit_percent=[None, 5.0, None],
        price_stop_loss=[None, None, None],
        stop_loss_percent=[6, 7, None],
        minute_estimated_time=[INF, 90.0, None],
        set_stop_loss=[None, None, 8.0],
        set_take_profit=[None, 9.0, None],
        size=[0.5, None, None],
        trail_distance=[None, 11.0, None],
        fee_percent=[-0.02, 0.0, None],
        cost=[None, 100, None],
        id=["a", None, "b"],
        note=["why", None, ""],
        symbol=[None, "BTCUSDT", "ETHUSDT"],
    )
    assert table.ids == ("a", "b")
    assert table.notes == ("why", None, "")
    assert table.written["symbol"].to_list() == [None, "BTCUSDT", "ETHUSDT"]
    for field, values in {
        "time": MOMENTS,
        "id": [0, -1, 1],
        "side": [1, -1, 0],
        "exits": [0, Exits.LONG, Exits.SHORT],
        "price_open": [NAN, 2, NAN],
        "price_trigger": [3, NAN, NAN],
        "take_profit": [4, 5, NAN],
        "stop_loss": [6, 7, NAN],
        "lifetime": [INF, 90, NAN],
        "set_stop_loss": [NAN, NAN, 8],
        "set_take_profit": [NAN, 9, NAN],
        "size": [0.5, NAN, NAN],
        "trail_distance": [NAN, 11, NAN],
        "fee_percent": [-0.02, 0, NAN],
        "cost": [NAN, 100, NAN],
        "given": [
            Given.STOP_PERCENT | Given.LIFETIME,
            Given.PERCENT_LEVELS | Given.PRICE_OPEN | Given.LIFETIME | Given.COST,
            Given.NOTHING | Given.FOREIGN_SYMBOL,
        ],
    }.items():
        np.testing.assert_array_equal(table.records[field], values, field)


def test_what_no_column_gives_is_not_given() -> None:
    records = bound(position=[1, -1, 1]).records
    assert records["given"].tolist() == [0, 0, 0]
    assert records["exits"].tolist() == [0, 0, 0]
    assert records["id"].tolist() == [-1, -1, -1]
    for field in records.dtype.names or ():
        if records.dtype[field] == np.float64:
            assert np.isnan(records[field]).all(), field


@pytest.mark.parametrize(
    ("position", "kept"),
    [
        (["long", None, "short"], {1: 1, 3: -1}),
        ([1, 0, -1], {1: 1, 3: -1}),
        ([1.0, -0.0, None], {1: 1}),
        (pl.Series(["short", None, "long"], dtype=pl.Categorical), {1: -1, 3: 1}),
        (pl.Series([None, None, -1], dtype=pl.Int8), {3: -1}),
        ([None, None, None], {}),
    ],
)
def test_rows_that_say_nothing_are_left_out(position: Any, kept: dict[int, int]) -> None:
    records = bound(position=position).records
    assert dict(zip((records["time"] - START) // HOUR, records["side"], strict=True)) == kept


def test_rows_of_one_interval_are_all_kept() -> None:
    assert bound(position=["long", "long", "short"]).records["side"].tolist() == [1, 1, -1]


@pytest.mark.parametrize("column", ["set_stop_loss", "set_take_profit"])
@pytest.mark.parametrize("way", ["position", "target", "enter_long"])
def test_a_row_that_only_moves_a_level_is_kept(column: str, way: str) -> None:
    records = bound(**{way: [None, None, None], column: [None, 5.0, None], "price_open": 1.0}).records
    assert records["time"].tolist() == MOMENTS[1:2]
    assert records[column].tolist() == [5.0]
    assert records["side"].tolist() == records["exits"].tolist() == [0]
    assert records["given"].tolist() == [Given.NOTHING | Given.PRICE_OPEN]


@pytest.mark.parametrize(
    ("leave", "exits"),
    [
        ([True, False, None], [3, 0, 0]),
        ([1, 0, None], [3, 0, 0]),
        ([1.0, 0.0, None], [3, 0, 0]),
        (["long", "short", None], [1, 2, 0]),
        (pl.Series(["long", "short", None], dtype=pl.Enum(["short", "long"])), [1, 2, 0]),
        ([None, None, None], [0, 0, 0]),
    ],
)
def test_an_exit_is_of_both_sides_or_of_one(leave: Any, exits: list[int]) -> None:
    assert bound(position=[1, 1, 1], exit=leave).records["exits"].tolist() == exits


def test_a_row_may_exit_and_enter() -> None:
    records = bound(position=[None, "long", None], exit=[True, True, None]).records
    assert records["side"].tolist() == [0, 1]
    assert records["exits"].tolist() == [Exits.BOTH, Exits.BOTH]
    assert records["given"].tolist() == [Given.NOTHING, 0]


@pytest.mark.parametrize("kind", [pl.Int64, pl.Int8, pl.Float64])
def test_a_target_of_zero_is_no_silence(kind: Any) -> None:
    records = bound(target=pl.Series([1, 0, None], dtype=kind)).records
    assert records["time"].tolist() == MOMENTS[:2]
    assert records["side"].tolist() == [1, 0]
    assert records["given"].tolist() == [Given.TARGET, Given.TARGET]


def test_booleans_say_each_thing_by_itself() -> None:
    records = bound(
        enter_long=[True, False, None],
        enter_short=[0, 1, 0],
        exit_long=[False, True, None],
        exit_short=[True, True, False],
    ).records
    assert records["side"].tolist() == [1, -1]
    assert records["exits"].tolist() == [Exits.SHORT, Exits.BOTH]
    assert bound(enter_short=[True, True, True]).records["side"].tolist() == [-1, -1, -1]
    assert bound(exit_long=[True, False, None]).records["exits"].tolist() == [Exits.LONG]


@pytest.mark.parametrize("value", [0.0, -1.0, INF, -INF])
@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("price_open", "price_open"),
        ("price_trigger", "price_trigger"),
        ("price_take_profit", "take_profit"),
        ("take_profit_percent", "take_profit"),
        ("price_stop_loss", "stop_loss"),
        ("stop_loss_percent", "stop_loss"),
        ("minute_estimated_time", "lifetime"),
        ("cost", "cost"),
    ],
)
def test_prices_and_percents_stay_for_the_machine_to_refuse(column: str, field: str, value: float) -> None:
    assert bound(position=["long"] * 3, **{column: [1.0, value, None]}).records[field][1] == value


@pytest.mark.parametrize("kind", [pl.Float64, pl.Float32])
@pytest.mark.parametrize(
    "column",
    [*("price_trigger", "price_take_profit", "take_profit_percent", "price_stop_loss", "stop_loss_percent")],
)
def test_a_nan_that_was_written_is_not_taken_for_none(column: str, kind: Any) -> None:
    field = {"price_trigger": column}.get(column, "take_profit" if "take" in column else "stop_loss")
    values = pl.Series([1.0, NAN, None], dtype=kind)
    np.testing.assert_array_equal(bound(position=[1, 1, 1], **{column: values}).records[field], [1, INF, NAN])


def test_of_two_forms_each_row_may_choose_one() -> None:
    table = bound(
        position=[1, 1, 1],
        price_take_profit=[None, 10.0, NAN],
        take_profit_percent=[1.0, None, None],
        price_stop_loss=[5.0, 6.0, None],
        stop_loss_percent=[None, None, NAN],
    )
    np.testing.assert_array_equal(table.records["take_profit"], [1, 10, INF])
    np.testing.assert_array_equal(table.records["stop_loss"], [5, 6, INF])
    assert table.records["given"].tolist() == [Given.TAKE_PERCENT, 0, Given.STOP_PERCENT]


LONG: dict[str, Any] = {"position": ["long", None, "long"]}
THINGS = pl.Series([object()] * 3, dtype=pl.Object)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "needs a column 'position', 'target'"),
        ({"size": [1, 1, 1]}, "needs a column 'position', 'target'"),
        ({"exit": [True] * 3}, "has 'exit', but no 'position'"),
        (LONG | {"target": [1, 1, 1]}, "has both 'position' and 'target'"),
        (LONG | {"exit_long": [True] * 3}, "has both 'position' and 'exit_long'"),
        ({"target": [1, 1, 1], "enter_short": [True] * 3}, "has both 'target' and 'enter_short'"),
        ({"target": [1, 1, 1], "exit": [True] * 3}, "has both 'exit' and 'target'"),
        ({"exit": [True] * 3, "enter_long": [True] * 3}, "has both 'exit' and 'enter_long'"),
        ({"position": ["long", None, "buy"]}, "'position' of the signal frame holds 'buy' in row 2"),
        ({"position": [1, 2, 3]}, "'position' of the signal frame holds 2 in row 1"),
        ({"position": [1, 0, NAN]}, "'position' of the signal frame holds nan in row 2"),
        ({"position": ["", None, None]}, "'position' of the signal frame holds '' in row 0"),
        ({"position": [None, True, False]}, "'position' of the signal frame is Boolean (row 1: True)"),
        ({"position": THINGS}, "'position' of the signal frame is Object"),
        ({"target": [1, None, 2]}, "'target' of the signal frame holds 2 in row 2"),
        ({"target": [0.5, 0, NAN]}, "'target' of the signal frame holds 0.5 in row 0"),
        ({"target": [1, 0, NAN]}, "'target' of the signal frame holds nan in row 2"),
        (
            {"target": [None, "long", None]},
            "'target' of the signal frame is String, not a number (row 1: 'long')",
        ),
        (
            {"target": [True, False, None]},
            "'target' of the signal frame is Boolean, not a number (row 0: True)",
        ),
        (LONG | {"exit": [None, "long", "both"]}, "'exit' of the signal frame holds 'both' in row 2"),
        (LONG | {"exit": [0, -1, 1]}, "'exit' of the signal frame holds -1 in row 1"),
        (LONG | {"exit": [[1], [1], [1]]}, "'exit' of the signal frame is List(Int64), not true or false"),
        (LONG | {"exit": THINGS}, "'exit' of the signal frame is Object"),
        ({"enter_long": [0, 2, None]}, "'enter_long' of the signal frame holds 2 in row 1"),
        ({"exit_short": [0, 0.5, None]}, "'exit_short' of the signal frame holds 0.5 in row 1"),
        ({"exit_short": [0, NAN, None]}, "'exit_short' of the signal frame holds nan in row 1"),
        (
            {"enter_long": ["true", "", None]},
            "'enter_long' of the signal frame is String, not true or false (row 0",
        ),
        (
            {"enter_long": [True, False, True], "enter_short": [False, True, True]},
            "'enter_short' of the signal frame holds True in row 2 beside 'enter_long'",
        ),
        (
            LONG | {"price_open": [1.0, None, 2.0], "price_trigger": [None, 1.0, 3.0]},
            "'price_trigger' of the signal frame holds 3.0 in row 2 beside 'price_open'",
        ),
        (
            LONG | {"price_take_profit": [1.0, None, 2.0], "take_profit_percent": [None, 1.0, 3.0]},
            "'take_profit_percent' of the signal frame holds 3.0 in row 2 beside 'price_take_profit'",
        ),
        (
            LONG | {"price_stop_loss": [1.0, None, NAN], "stop_loss_percent": [None, 1.0, 3.0]},
            "'stop_loss_percent' of the signal frame holds 3.0 in row 2 beside 'price_stop_loss'",
        ),
        (
            LONG | {"size": [0.1, None, 0]},
            "'size' of the signal frame holds 0.0 in row 2, which is not above 0",
        ),
        (
            LONG | {"size": [0.1, None, NAN]},
            "'size' of the signal frame holds nan in row 2, which is not above 0",
        ),
        (
            LONG | {"size": [INF, None, 1.0]},
            "'size' of the signal frame holds inf in row 0, which is not above 0",
        ),
        (
            LONG | {"trail_distance": [1, None, -2]},
            "'trail_distance' of the signal frame holds -2 in row 2, which",
        ),
        (
            LONG | {"trail_distance": [NAN, 1.0, 2.0]},
            "'trail_distance' of the signal frame holds nan in row 0",
        ),
        (LONG | {"fee_percent": [0, None, 100]}, "holds 100 in row 2, which is not between -100 and 100"),
        (
            LONG | {"fee_percent": [-100.0, None, 1]},
            "holds -100.0 in row 0, which is not between -100 and 100",
        ),
        (LONG | {"fee_percent": [0.0, None, NAN]}, "holds nan in row 2, which is not between -100 and 100"),
        (LONG | {"tp": [1, 1, 1]}, "unknown column 'tp'"),
        (LONG | {"exits": [1, 1, 1]}, "did you mean 'exit'?"),
        (LONG | {"id": [[1]] * 3}, "'id' of the signal frame is List(Int64), not text"),
        (LONG | {"note": THINGS}, "'note' of the signal frame is Object, not text"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_row(columns: dict[str, Any], words: str) -> None:
    assert words in refusal(**columns)


NUMBERS = [
    name
    for name, told in REAL_COLUMNS.items()
    if name not in ("timestamp", "position", "id", "note", "symbol", "target") and not told.startswith("true")
]


@pytest.mark.parametrize("column", NUMBERS)
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([None, "5", None], "is String, not a number (row 1: '5')"),
        ([True, False, None], "is Boolean, not a number (row 0: True)"),
        (THINGS, "is Object, not a number (row 0: <object"),
        ([[1], [2], None], "is List(Int64), not a number"),
    ],
)
def test_a_column_of_numbers_holds_numbers(column: str, values: Any, words: str) -> None:
    assert f"column {column!r} of the signal frame {words}" in refusal(
        position=[None, None, 1], **{column: values}
    )


def test_every_column_of_numbers_is_among_those() -> None:
    assert len(NUMBERS) == 13


def test_sizes_of_rows_that_enter_nothing_are_not_looked_at() -> None:
    columns = {"size": [0.0, 1.0, -1.0], "trail_distance": [NAN, 1.0, 0.0], "fee_percent": [INF, 0.0, 200.0]}
    records = bound(position=[None, "long", None], exit=[True, True, None], **columns).records
    assert records["side"].tolist() == [0, 1]
    assert "'size'" in refusal(target=[1, 1, -1], size=columns["size"])
    assert "'fee_percent'" in refusal(enter_long=[False, False, True], fee_percent=columns["fee_percent"])


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([HOUR, None, 2 * HOUR], "holds no moment in row 1"),
        ([HOUR, 3 * HOUR, 2 * HOUR], f"goes back in row 2: {START + 2 * HOUR} after {START + 3 * HOUR}"),
        ([HOUR, 2 * HOUR, 2 * HOUR], f"2024-01-01 02:00 UTC ({START + 2 * HOUR}) twice, in rows 1 and 2"),
        (
            [HOUR, 2 * HOUR, 2 * HOUR + 1],
            f"02:00:00.001 UTC ({START + 2 * HOUR + 1}) in row 2: ticks are multiples",
        ),
        ([HOUR, 2 * HOUR + 60_000, 3 * HOUR], "move it to the next one, 2024-01-01 03:00 UTC"),
        ([-3 * HOUR, -2 * HOUR, -HOUR], "the candles go from 2024-01-01 00:00 UTC to 2024-01-05 04:00 UTC"),
        ([101 * HOUR, 102 * HOUR, 103 * HOUR], "no signal would ever be seen"),
    ],
)
@pytest.mark.parametrize("position", [["long"] * 3, [None] * 3])
def test_each_row_has_its_own_tick(times: list[int | None], words: str, position: Any) -> None:
    moments = pl.Series([None if time is None else START + time for time in times], dtype=pl.Int64)
    assert words in refusal(timestamp=moments, position=position)
    assert words in refusal(timestamp=moments.cast(pl.Datetime("ms")), position=position)


@pytest.mark.parametrize("asking", [ASKING, None])
def test_order_is_judged_without_a_span_too(asking: Asking | None) -> None:
    assert "twice" in refusal(
        None, asking, timestamp=[0, 0, HOUR] if asking is None else MOMENTS[:1] * 3, position=1
    )
    assert bound(asking=None, timestamp=[1, 2, 3], position=[1, 1, 1]).records["time"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("rows", [[0, 1, 2], [2]])
@pytest.mark.parametrize(
    ("unit", "times", "parts"),
    [("seconds", 1, 1000), ("microseconds", 1000, 1), ("nanoseconds", 1_000_000, 1)],
)
def test_another_unit_is_told_before_the_order(unit: str, times: int, parts: int, rows: list[int]) -> None:
    moments = [time * times // parts if row in rows else time for row, time in enumerate(MOMENTS)]
    told = refusal(timestamp=moments, position=[1, 1, 1])
    assert f"holds {moments[rows[0]]} in row {rows[0]}" in told
    assert f"these look like {unit}: give milliseconds" in told


def test_some_rows_may_lie_outside_the_run() -> None:
    times = [START - HOUR, START, START + 101 * HOUR]
    assert bound(timestamp=times, position=[1, 1, 1]).records["time"].tolist() == times
    assert bound(timestamp=pl.Series([], dtype=pl.Int64), position=[]).records.size == 0


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Kolkata"])
def test_datetimes_are_moments(unit: Any, zone: str | None) -> None:
    times = pl.Series(MOMENTS).cast(pl.Datetime("ms")).cast(pl.Datetime(unit))
    if zone:
        times = times.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    for convert in LIBRARIES.values():
        frame = convert(pl.DataFrame({"timestamp": times, "position": [1, 1, 1]}))
        assert bound(frame).records["time"].tolist() == MOMENTS


def test_a_moment_is_needed() -> None:
    told = refusal(pl.DataFrame({"position": ["long"]}))
    assert "no column 'timestamp'" in told
    assert "DatetimeIndex" in told
    assert "no column 'timestamp'" in refusal(pandas.DataFrame({"position": ["long"]}))
    assert "no column 'timestamp'" in refusal(pandas.DataFrame())


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Kolkata", "+05:30", "America/New_York"])
@pytest.mark.parametrize("name", [None, "date", "timestamp"])
def test_a_datetime_index_serves_as_timestamp(zone: str | None, name: str | None) -> None:
    index = pandas.to_datetime(MOMENTS, unit="ms").tz_localize("UTC").rename(name)
    index = index.tz_convert(zone) if zone else index.tz_localize(None)
    frame = pandas.DataFrame({"position": ["long", None, "short"]}, index=index)
    assert bound(frame).records["time"].tolist() == [MOMENTS[0], MOMENTS[2]]
    own = frame.assign(timestamp=[time + HOUR for time in MOMENTS])
    assert bound(own).records["time"].tolist() == [MOMENTS[0] + HOUR, MOMENTS[2] + HOUR]


def test_an_index_of_that_name_serves_as_timestamp() -> None:
    frame = pandas.DataFrame({"timestamp": MOMENTS, "target": [1, 0, -1]})
    assert bound(frame.set_index("timestamp")).records["time"].tolist() == MOMENTS


def test_a_missing_moment_of_an_index_is_told() -> None:
    index = pandas.DatetimeIndex([datetime(2024, 1, 1, 1), pandas.NaT])
    assert "no moment in row 1" in refusal(pandas.DataFrame({"position": [1, 1]}, index=index))


def test_nan_and_none_of_pandas_are_not_given() -> None:
    frame = pandas.DataFrame(
        {
            "timestamp": MOMENTS,
            "position": [1.0, NAN, -1.0],
            "exit": pandas.Series([None, True, NAN], dtype=object),
            "price_take_profit": [NAN, 1.0, 5.0],
            "price_stop_loss": pandas.Series([None, None, None], dtype=object),
            "take_profit_percent": pandas.Series([3, None, None], dtype="Int64"),
            "size": [0.5, NAN, NAN],
            "note": ["why", None, NAN],
        }
    )
    table = bound(frame)
    assert table.records["side"].tolist() == [1, 0, -1]
    assert table.records["exits"].tolist() == [0, Exits.BOTH, 0]
    np.testing.assert_array_equal(table.records["take_profit"], [3, 1, 5])
    np.testing.assert_array_equal(table.records["stop_loss"], [NAN, NAN, NAN])
    np.testing.assert_array_equal(table.records["size"], [0.5, NAN, NAN])
    assert table.records["given"].tolist() == [Given.TAKE_PERCENT, Given.NOTHING, 0]
    assert table.notes == ("why", None, None)


@pytest.mark.parametrize("kind", [object, "boolean", "bool[pyarrow]"])
def test_booleans_of_pandas_have_many_kinds(kind: Any) -> None:
    frame = pandas.DataFrame(
        {"timestamp": MOMENTS, "enter_long": pandas.Series([True, None, False], dtype=kind)}
    )
    assert bound(frame).records["time"].tolist() == MOMENTS[:1]


@pytest.mark.parametrize("kind", [object, "str", "category"])
def test_texts_of_pandas_have_many_kinds(kind: Any) -> None:
    texts = pandas.Series(["long", None, "short"], dtype=kind)
    frame = pandas.DataFrame({"timestamp": MOMENTS, "position": texts, "exit": texts})
    assert bound(frame).records["side"].tolist() == [1, -1]
    assert bound(frame).records["exits"].tolist() == [Exits.LONG, Exits.SHORT]


def test_what_is_odd_in_frames_of_others_is_named() -> None:
    mixed = pandas.DataFrame({"timestamp": MOMENTS, "position": 1, "exit": [True, "long", None]})
    assert "column 'exit' of the signal frame holds values of several kinds" in refusal(mixed)
    twice = pandas.DataFrame([[START, 1, 2]], columns=["timestamp", "target", "target"])
    assert "several columns 'target'" in refusal(twice)
    arrow = pyarrow.table([[START], [1], [2]], names=["timestamp", "target", "target"])
    assert "several columns 'target'" in refusal(arrow)
    assert "unknown column '0'" in refusal(pandas.DataFrame([[START, 1]]))
    for thing in (pandas.Series([1]), pl.Series([1]), pyarrow.array([1]), {"position": [1]}, "frame"):
        assert "Arrow table, got" in refusal(thing)
    with pytest.raises(SignalFrameError, match="got NoneType"):
        bind_signals(None, "BTCUSDT", at_real_prices=True)


def test_zones_of_arrow_that_polars_does_not_know_are_read() -> None:
    times = pyarrow.array(MOMENTS, pyarrow.timestamp("ms", "+05:30"))
    frame = pyarrow.table({"timestamp": times, "target": [1, 0, -1]})
    assert bound(frame).records["time"].tolist() == MOMENTS


def test_chunks_make_no_difference() -> None:
    frame = pl.DataFrame(
        {"timestamp": MOMENTS, "position": ["long", None, "short"], "size": [0.5, None, 1.0]}
    )
    parts = pl.concat([frame[:1], frame[1:]], rechunk=False)
    for convert in LIBRARIES.values():
        assert bound(convert(parts)).records.tobytes() == bound(frame).records.tobytes()


maybe = st.none()
positive = maybe | st.floats(1e-3, 1e6)
number = positive | st.sampled_from([0.0, -1.0, INF])
flag = st.none() | st.booleans()
ways = st.sampled_from(
    [
        {"position": st.sampled_from(["long", "short", None]), "exit": flag},
        {"position": st.sampled_from([1, -1, 0, None]), "exit": st.sampled_from(["long", "short", None])},
        {"target": st.sampled_from([1, -1, 0, None])},
        dict.fromkeys(("enter_long", "exit_short", "exit_long", "enter_short"), flag),
    ]
)


@st.composite
def written_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows that may be read: each a dict of all columns of its frame."""
    columns = draw(ways)
    columns |= dict.fromkeys(("price_open", "price_trigger", "minute_estimated_time", "cost"), number)
    columns |= dict.fromkeys(("price_take_profit", "take_profit_percent"), number)
    columns |= dict.fromkeys(("price_stop_loss", "stop_loss_percent"), number)
    columns |= dict.fromkeys(("size", "trail_distance", "set_stop_loss", "set_take_profit"), positive)
    columns["fee_percent"] = maybe | st.floats(-99, 99)
    columns["id"] = columns["note"] = st.sampled_from([None, "", "a", "b"])
    columns["symbol"] = st.sampled_from([None, "BTCUSDT", "ETHUSDT"])
    moments = sorted(draw(st.sets(st.integers(0, 100), max_size=12)))
    rows = [{"timestamp": START + at * HOUR} | draw(st.fixed_dictionaries(columns)) for at in moments]
    for row in rows:
        for one, other in (
            ("price_open", "price_trigger"),
            ("price_take_profit", "take_profit_percent"),
            ("price_stop_loss", "stop_loss_percent"),
        ):
            if row[one] is not None:
                row[other] = None
        if row.get("enter_long"):
            row["enter_short"] = False
    absent = draw(st.sets(st.sampled_from(sorted(columns.keys() - {"position", "target", "enter_long"}))))
    return [{name: value for name, value in row.items() if name not in absent} for row in rows]


SIDES = {"long": 1, 1: 1, "short": -1, -1: -1, None: 0, 0: 0}


def read(row: dict[str, Any]) -> dict[str, Any] | None:
    """The record of one row by the words of the specification; None when it says nothing."""
    held = row.get("target")
    side = (
        SIDES[row.get("position")] + bool(row.get("enter_long")) - bool(row.get("enter_short")) + (held or 0)
    )
    leave = row.get("exit")
    closes_long = leave in (True, "long") or bool(row.get("exit_long"))
    closes_short = leave in (True, "short") or bool(row.get("exit_short"))
    moves = row.get("set_stop_loss") is not None or row.get("set_take_profit") is not None
    if side == 0 and held is None and not (closes_long or closes_short or moves):
        return None
    marks = {
        Given.PRICE_OPEN: row.get("price_open") is not None,
        Given.COST: row.get("cost") is not None,
        Given.LIFETIME: row.get("minute_estimated_time") is not None,
        Given.TAKE_PERCENT: row.get("take_profit_percent") is not None,
        Given.STOP_PERCENT: row.get("stop_loss_percent") is not None,
        Given.FOREIGN_SYMBOL: row.get("symbol") not in (None, "BTCUSDT"),
        Given.TARGET: held is not None,
        Given.NOTHING: side == 0 and held is None,
    }
    record = {
        name: row.get(name) for name in ("price_open", "price_trigger", "cost", "size", "trail_distance")
    }
    record |= {name: row.get(name) for name in ("set_stop_loss", "set_take_profit", "fee_percent")}
    record["lifetime"] = row.get("minute_estimated_time")
    for level in ("take_profit", "stop_loss"):
        price, percent = row.get(f"price_{level}"), row.get(f"{level}_percent")
        record[level] = price if percent is None else percent
    return {name: NAN if value is None else float(value) for name, value in record.items()} | {
        "time": row["timestamp"],
        "side": side,
        "exits": closes_long + 2 * closes_short,
        "given": sum(int(bit) for bit, is_set in marks.items() if is_set),
        "id": row.get("id") or None,
        "note": row.get("note"),
    }


@given(written_rows(), st.sampled_from(sorted(LIBRARIES)))
def test_a_frame_is_read_as_its_rows_are(rows: list[dict[str, Any]], library: str) -> None:
    frame = pl.DataFrame(rows, infer_schema_length=None)
    if not rows:
        frame = pl.DataFrame(
            {"timestamp": [], "target": []}, schema={"timestamp": pl.Int64, "target": pl.Int8}
        )
    table = bound(LIBRARIES[library](frame))
    expected = [record for record in map(read, rows) if record is not None]
    assert table.records.size == len(expected)
    for record, wanted in zip(table.records, expected, strict=True):
        named = None if record["id"] < 0 else table.ids[record["id"]]
        assert named == wanted.pop("id")
        for name in record.dtype.names:
            if name != "id":
                np.testing.assert_array_equal(record[name], wanted[name], name)
    if "note" in frame.columns:
        assert table.notes == tuple(wanted["note"] for wanted in expected)
    else:
        assert table.notes is None


@given(written_rows().filter(len), st.data())
def test_one_bad_value_is_found_wherever_it_is(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(rows) - 1))
    way = next(name for name in ("position", "target", "enter_long") if name in rows[0])
    for at, one in enumerate(rows):
        if way == "position":  # of one kind
            one["position"] = [1, -1, None][at % 3]
    rows[row][way] = 7
    told = refusal(
        pl.DataFrame([{"timestamp": one["timestamp"], way: one[way]} for one in rows], strict=False)
    )
    assert f"column {way!r} of the signal frame holds 7 in row {row}" in told
