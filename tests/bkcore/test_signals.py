"""A frame of signals becomes the machine's table, column by column, or one error that names the column."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas
import polars as pl
import pytest

from bkcore.intervals import MINUTE_MS
from bkcore.machine.codes import Given
from bkcore.machine.signals import COLUMNS, REAL_COLUMNS, SignalFrameError, bind_signals

NAN = float("nan")
GOOD: dict[str, Any] = {
    "timestamp": [0, MINUTE_MS],
    "position": ["long", "short"],
    "take_profit_percent": [1.0, 2.0],
    "stop_loss_percent": [3.0, 4.0],
}


def bound(**changes: Any) -> Any:
    return bind_signals(pl.DataFrame(GOOD | changes), "BTCUSDT", 15 * MINUTE_MS)


def test_every_column_lands_in_its_field() -> None:
    frame = pl.DataFrame(
        {
            "timestamp": [0, 1, 2],
            "position": ["long", "short", "up"],
            "price_open": [None, 2.0, 3.0],
            "price_take_profit": [4, 5, 6],
            "price_stop_loss": [7.0, None, NAN],
            "minute_estimated_time": [10, None, 30],
            "cost": [None, None, 100],
            "id": ["a", "", "a"],
            "note": ["why", None, ""],
            "symbol": ["BTCUSDT", "ETHUSDT", None],
        }
    )
    table = bind_signals(frame, "BTCUSDT")
    records = table.records
    assert table.ids == ("a",)
    assert table.notes == ("why", None, "")
    assert records["time"].tolist() == [0, 1, 2]
    assert records["side"].tolist() == [1, -1, 0]
    assert records["id"].tolist() == [0, -1, 0]
    for field, values in {
        "price_open": [NAN, 2, 3],
        "take_profit": [4, 5, 6],
        "stop_loss": [7, NAN, NAN],
        "lifetime": [10, NAN, 30],
        "cost": [NAN, NAN, 100],
    }.items():
        np.testing.assert_array_equal(records[field], values)
    assert records["given"].tolist() == [
        Given.LIFETIME,
        Given.PRICE_OPEN | Given.FOREIGN_SYMBOL,
        Given.PRICE_OPEN | Given.LIFETIME | Given.COST,
    ]


@pytest.mark.parametrize(
    ("position", "sides"),
    [
        (["long", "short"], [1, -1]),
        (pl.Series(["short", "long"], dtype=pl.Categorical), [-1, 1]),
        (pl.Series(["short", "long"], dtype=pl.Enum(["long", "short"])), [-1, 1]),
        ([1, -1], [1, -1]),
        (pl.Series([1, -1], dtype=pl.Int8), [1, -1]),
        ([-1.0, 1.0], [-1, 1]),
    ],
)
def test_a_side_has_many_spellings(position: Any, sides: list[int]) -> None:
    records = bound(position=position).records
    assert records["side"].tolist() == sides
    assert (records["given"] == Given.PERCENT_LEVELS).all()


@pytest.mark.parametrize("position", [["up", "Long"], [2.0, -0.5], [NAN, NAN], ["", " long"]])
def test_what_is_no_position_stays_for_the_machine_to_refuse(position: Any) -> None:
    records = bound(position=position).records
    assert records["side"].tolist() == [0, 0]
    assert not (records["given"] & Given.NOTHING).any()


@pytest.mark.parametrize("position", [["long", None], [1, None], [1, 0], [1.0, -0.0]])
def test_a_row_without_a_signal_counts_only_after_one_in_its_interval(position: Any) -> None:
    records = bound(position=position).records
    assert records["side"].tolist() == [1, 0]
    assert records["given"].tolist() == [Given.PERCENT_LEVELS, Given.PERCENT_LEVELS | Given.NOTHING]
    later = bound(position=position, timestamp=[0, 15 * MINUTE_MS]).records
    assert later["side"].tolist() == [1]
    assert bound(position=[None, None]).records.size == 0


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_datetimes_are_moments(unit: Any) -> None:
    moments = pl.Series([datetime(2024, 1, 1), datetime(2024, 1, 1, 0, 1)], dtype=pl.Datetime(unit))
    for times in (moments, moments.dt.replace_time_zone("UTC")):
        start = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 1000
        assert bound(timestamp=times).records["time"].tolist() == [start, start + MINUTE_MS]


def test_lazy_chunked_and_empty_frames_are_frames() -> None:
    frame = pl.DataFrame(GOOD)
    parts = pl.concat([frame[:1], frame[1:]], rechunk=False)
    expected = bind_signals(frame, "BTCUSDT").records.tolist()
    assert bind_signals(parts, "BTCUSDT").records.tolist() == expected
    assert bind_signals(frame.lazy(), "BTCUSDT").records.tolist() == expected
    assert bind_signals(frame[:0], "BTCUSDT").records.size == 0


THINGS = pl.Series([object(), object()], dtype=pl.Object)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"timestamp": [0, None]}, "holds no moment in row 1"),
        ({"timestamp": pl.Series([2**64 - 1] * 2, dtype=pl.UInt64)}, "holds no moment in row 0"),
        ({"timestamp": [MINUTE_MS, 0]}, "goes back in row 1: 0 after 60000"),
        ({"timestamp": [0.0, 1.0]}, "'timestamp' of the signal frame is Float64 (row 0: 0.0)"),
        ({"timestamp": ["2024-01-01", "2024-01-02"]}, "'timestamp' of the signal frame is String"),
        ({"timestamp": [date(2024, 1, 1)] * 2}, "'timestamp' of the signal frame is Date"),
        ({"position": [True, False]}, "'position' of the signal frame is Boolean"),
        ({"position": [[1], [2]]}, "'position' of the signal frame is List(Int64)"),
        ({"position": THINGS}, "'position' of the signal frame is Object"),
        ({"take_profit_percent": ["1", "2"]}, "'take_profit_percent' of the signal frame is String"),
        ({"cost": [None, False]}, "'cost' of the signal frame is Boolean, not a number (row 1: False)"),
        ({"minute_estimated_time": THINGS}, "'minute_estimated_time' of the signal frame is Object"),
        ({"id": [[1], [2]]}, "'id' of the signal frame is List(Int64), not text"),
        ({"id": [b"\xff", b"a"]}, "'id' of the signal frame is Binary, not text"),
        ({"note": THINGS}, "'note' of the signal frame is Object, not text"),
        ({"symbol": THINGS}, "'symbol' of the signal frame is Object, not text"),
        ({"price_stop_loss": [1.0, 2.0]}, "exactly one of 'price_stop_loss' and 'stop_loss_percent'"),
        ({"tp": [1.0, 2.0]}, "unknown column 'tp'"),
    ],
)
def test_a_column_of_the_wrong_kind_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SignalFrameError) as caught:
        bound(**changes)
    assert words in str(caught.value)
    assert caught.value.hint
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("column", ["timestamp", "position", "stop_loss_percent"])
def test_a_missing_column_is_named(column: str) -> None:
    with pytest.raises(SignalFrameError, match=column):
        bind_signals(pl.DataFrame(GOOD).drop(column), "BTCUSDT")


def test_one_level_in_percent_and_one_as_a_price_is_refused() -> None:
    mixed = pl.DataFrame(GOOD).rename({"stop_loss_percent": "price_stop_loss"})
    with pytest.raises(SignalFrameError, match="one level as a price and the other in percent"):
        bind_signals(mixed, "BTCUSDT")


def test_a_query_that_fails_is_not_shown() -> None:
    with pytest.raises(SignalFrameError, match="cannot be collected"):
        bind_signals(pl.LazyFrame(GOOD).select("rsi"), "BTCUSDT")


@pytest.mark.parametrize("thing", [None, [], {"position": [1]}, "frame"])
def test_what_is_no_frame_is_refused(thing: Any) -> None:
    with pytest.raises(SignalFrameError, match="polars DataFrame or LazyFrame"):
        bind_signals(thing, "BTCUSDT")


def test_frames_of_pandas_and_arrow_are_frames() -> None:
    expected = bind_signals(pl.DataFrame(GOOD), "BTCUSDT").records.tolist()
    for frame in (pandas.DataFrame(GOOD), pl.DataFrame(GOOD).to_arrow()):
        assert bind_signals(frame, "BTCUSDT").records.tolist() == expected


def test_what_pandas_calls_nan_is_not_given() -> None:
    frame = pandas.DataFrame(GOOD | {"price_open": [NAN, 5.0], "position": [1.0, NAN]})
    records = bind_signals(frame, "BTCUSDT", 15 * MINUTE_MS).records
    assert records["given"].tolist() == [
        Given.PERCENT_LEVELS,
        Given.PERCENT_LEVELS | Given.PRICE_OPEN | Given.NOTHING,
    ]


@pytest.mark.parametrize("column", sorted(REAL_COLUMNS.keys() - COLUMNS.keys()))
def test_a_column_of_real_prices_is_refused_with_the_remedy(column: str) -> None:
    with pytest.raises(SignalFrameError, match=f"column '{column}' .*fill='vwap'(.|\n)*fill=\"next_open\""):
        bound(**{column: [None, None]})


def test_a_frame_of_another_library_is_named_with_it() -> None:
    with pytest.raises(SignalFrameError, match=r"got pandas\.Series"):
        bind_signals(pandas.Series([1]), "BTCUSDT")


def test_what_the_engine_refuses_is_kept_as_it_was_written() -> None:
    table = bound(position=["BUY", "long"], symbol=[None, "ETHUSDT"])
    assert table.written["position"].to_list() == ["BUY", "long"]
    assert table.written["symbol"].to_list() == [None, "ETHUSDT"]
    assert bound(symbol=["BTCUSDT", None]).written == {}


@pytest.mark.parametrize(("unit", "parts"), [("us", 1000), ("ns", 1_000_000)])
@pytest.mark.parametrize("more", [1, -1])
def test_a_moment_with_a_fraction_of_a_millisecond_is_refused(unit: Any, parts: int, more: int) -> None:
    moments = [GOOD["timestamp"][0] * parts, *(time * parts + more for time in GOOD["timestamp"][1:])]
    frame = pl.DataFrame(GOOD).with_columns(timestamp=pl.Series(moments).cast(pl.Datetime(unit)))
    with pytest.raises(SignalFrameError, match=rf"fraction of a millisecond in row 1: {moments[1]} {unit}"):
        bind_signals(frame, "BTCUSDT")
