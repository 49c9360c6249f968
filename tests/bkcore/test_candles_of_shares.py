"""Daily candles of share markets as their data sets come: two levels of columns, days of a zone, no volume."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from bkapi import CandleFrame
from bkcore.candles.errors import CandleAlignmentError, CandleColumnError

pd = pytest.importorskip("pandas")

NAMES = ("Close", "High", "Low", "Open", "Volume")
NEW_YORK = pd.date_range(
    "2024-03-06", periods=8, freq="D", tz="America/New_York", name="Date"
)  # summer time begins

HAVANA = NEW_YORK.tz_localize(None).tz_localize(
    "America/Havana", nonexistent="shift_forward"
)  # at midnight there


def table(index=NEW_YORK, names=NAMES):
    price = 100.0 + np.arange(len(index))
    columns = {name: price + place for place, name in enumerate(("low", "open", "close", "high"))}
    columns |= {"volume": np.full(len(index), 7), "adj close": price / 2}
    return pd.DataFrame({name: columns[name.lower()] for name in names}, index=index)


def levelled(frame, tickers=("AAPL",), ticker_first=False):
    names = {"Ticker": None, "Price": None}
    made = pd.concat(dict.fromkeys(tickers, frame), axis=1, names=names)
    return made if ticker_first else made.swaplevel(axis=1)


def read(data, interval="1d", **options):
    return CandleFrame.from_any(data, symbol="AAPL", interval=interval, **options)


GOOD = read(table(NEW_YORK.tz_localize(None)))
assert GOOD.start == datetime(2024, 3, 6, tzinfo=UTC)
assert (GOOD.open[0], GOOD.close[0], GOOD.volume[0]) == (101.0, 102.0, 7.0)

FRAMES = {
    "two levels": levelled(table()),
    "two levels, the ticker first": levelled(table(), ticker_first=True),
    "two levels without names of levels": levelled(table()).rename_axis(columns=[None, None]),
    "two levels, a ticker that is the name of a column": levelled(table(), ["OPEN"]),
    "two levels, a ticker with a point": levelled(table(), ["BRK.B"]),
    "two levels, the index among the columns": levelled(table()).reset_index(),
    "two levels, ticker first, the index among the columns": levelled(table(), ticker_first=True).reset_index(),
    "two levels, adjusted prices too": levelled(table(names=(*NAMES, "Adj Close"))),
    "two levels, by Polars": pl.from_pandas(levelled(table()).reset_index()),
    "days of New York": table(),
    "days of Tokyo": table(NEW_YORK.tz_localize(None).tz_localize("Asia/Tokyo")),
    "days of a fixed offset": table(NEW_YORK.tz_localize(None).tz_localize("-05:00")),
    "days of a zone whose summer begins at midnight": table(HAVANA),
    "days of New York as a column": table().reset_index(),
    "days of New York without a name": table(NEW_YORK.rename(None)),
    "days of New York as text": table(NEW_YORK.astype(str)),
    "days of New York as objects": table(NEW_YORK.astype(object)),
    "days of New York, Datetime": table(NEW_YORK.rename("Datetime")),
    "days as dates": table(pd.Index(NEW_YORK.date, name="Date")),
    "periods": table(NEW_YORK.tz_localize(None).to_period("D")),
    "small letters": table(names=("close", "high", "low", "open", "volume", "adj close")),
    "capital letters": table(names=("CLOSE", "HIGH", "LOW", "OPEN", "VOLUME", "ADJ CLOSE")),
}  # fmt: skip


@pytest.mark.parametrize("kind", FRAMES)
def test_every_form_of_daily_candles_gives_the_same_days(kind):
    assert read(FRAMES[kind]) == GOOD


@pytest.mark.parametrize("kind", [kind for kind in FRAMES if isinstance(FRAMES[kind], pd.DataFrame)])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("interval", ["1d", None])
def test_files_of_such_frames_give_the_same_days(kind, suffix, interval, tmp_path):
    if suffix == "csv" and "at midnight" in kind:
        pytest.skip("text has an offset, but no zone, so nobody knows that the day began at one o'clock")
    frame, path = FRAMES[kind], tmp_path / f"AAPL.{suffix}"
    if suffix == "csv":
        frame.to_csv(path, index=not isinstance(frame.index, pd.RangeIndex))
    else:
        frame = frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index()
        pl.from_pandas(
            frame.astype({name: str for name in frame if frame[name].dtype == "period[D]"})
        ).write_parquet(path)
    assert CandleFrame.read(path, symbol="AAPL", interval=interval) == GOOD


def test_several_tickers_are_refused_with_the_way_to_choose_one():
    several = levelled(table(), ["AAPL", "MSFT"])
    with pytest.raises(CandleColumnError, match=r"2 tickers: 'AAPL', 'MSFT'.*") as told:
        read(several)
    assert "frame.xs('AAPL', axis=1, level=1)" in told.value.hint
    assert read(several.xs("AAPL", axis=1, level=1)) == GOOD
    with pytest.raises(CandleColumnError, match="2 tickers") as told:
        read(levelled(table(), ["AAPL", "MSFT"], ticker_first=True))
    assert "level=0" in told.value.hint


def test_levels_without_prices_are_told_as_they_are():
    with pytest.raises(CandleColumnError, match=r"'low' is missing.*'Close', 'High'"):
        read(levelled(table().drop(columns="Low")))


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "Europe/London"])
@pytest.mark.parametrize("interval", ["1h", "1m"])
def test_shorter_candles_keep_their_moment_in_every_zone(zone, interval):
    moments = pd.date_range("2024-03-09", periods=50, freq={"1h": "h", "1m": "min"}[interval], tz=zone)
    found = read(table(moments), interval)
    assert list(found.timestamps) == [int(moment.timestamp() * 1000) for moment in moments]
    one = read(table(moments[:1]), interval)
    assert one.start == moments[0].to_pydatetime()


def test_daily_candles_at_another_time_of_day_are_refused():
    with pytest.raises(CandleAlignmentError, match="2024-03-06 21:00 UTC is not on the 1d grid"):
        read(table(NEW_YORK + pd.Timedelta(hours=16)))


@pytest.mark.parametrize(
    "data",
    [
        table(names=NAMES[:4]),
        levelled(table(names=NAMES[:4])),
        {"date": ["2024-03-06"]} | {name.lower(): [1.0] for name in NAMES[:4]},
    ],
    ids=["a frame", "two levels", "a dict"],
)
def test_without_a_volume_every_candle_counts_alike_and_it_is_said_once(data, caplog):
    with caplog.at_level(logging.WARNING):
        found = read(data)
    assert set(found.volume) == {1.0}
    assert [record.getMessage() for record in caplog.records if "volume" in record.getMessage()] == [
        "AAPL 1d: there is no volume among the columns; every candle is given the volume 1"
    ]


def test_a_file_without_a_volume_is_refused_and_told_how_it_is_read(tmp_path):
    path = tmp_path / "AAPL-1d.csv"
    table(names=NAMES[:4]).to_csv(path)
    with pytest.raises(CandleColumnError, match="'volume' is missing") as told:
        CandleFrame.read(path, symbol="AAPL")
    assert "CandleFrame.from_any(frame) needs no volume" in told.value.hint
    assert read(pl.read_csv(path)).close[0] == GOOD.close[0]
