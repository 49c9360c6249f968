"""Converts a column of times to int64 UTC milliseconds: datetimes, integers of four units, ISO text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bkcore.candles.errors import (
    CandleAlignmentError,
    CandleColumnError,
    CandleTimeError,
    CandleTypeError,
    shown,
    told_kind,
)

TimestampUnit = Literal["s", "ms", "us", "ns"]

UNIT_NAMES: dict[TimestampUnit, str] = {
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
}
_UNITS = tuple(UNIT_NAMES)
_PER_SECOND: dict[TimestampUnit, int] = {"s": 1, "ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}

#: From these magnitudes on an integer is read as ms, us, ns: 1973-03-03 in it, year 5138 in the unit before.
_MAGNITUDES = np.array([10**11, 10**14, 10**17], dtype=np.int64)

#: First second after the years a candle may lie in, 1970..2199.
_END_SECOND = 7_258_118_400

_CLOCK = (
    r"(?:[T ](?P<hour>\d{1,2}):?(?P<minute>\d{2})(?::?(?P<second>\d{2})(?:\.(?P<fraction>\d{1,6})0*)?)?)?"
    r" ?(?P<zone>Z|z|UTC|[+-]\d{2}(?::?\d{2})?)?$"
)
#: Times whose date begins with the year: ISO 8601, with slashes or points, or without anything between.
_YEAR_FIRST = r"^(?P<year>\d{4})(?P<sign>[-/.]?)(?P<month>\d{2})[-/.]?(?P<day>\d{2})" + _CLOCK
#: Times whose date ends with the year; which of the first two numbers is the day has to show.
_YEAR_LAST = r"^(?P<first>\d{1,2})(?P<sign>[-/.])(?P<second_number>\d{1,2})[-/.](?P<year>\d{4})" + _CLOCK

#: The first moment of a day, with an offset from UTC.
_MIDNIGHT = r"^\d{4}-\d{2}-\d{2}[T ]00:00(?::00(?:\.0+)?)? ?[+-]\d{2}:?\d{2}$"

#: 20240131; as a number it would be a moment of August 1970.
_DAY_WITHOUT_SIGNS = r"^(?:19[7-9]\d|2[01]\d\d)(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])$"

#: No zone is farther ahead of or behind UTC, in minutes.
_FARTHEST_ZONE = 14 * 60


def utc_milliseconds(times: pl.Series, about: str, unit: TimestampUnit | None = None) -> NDArray[np.int64]:
    """``times`` as int64[n] UTC ms; ``about`` opens each error.

    Naive datetimes and text without a zone are UTC. The unit of integers (also as floats or text) is
    ``unit``, or is recognised by magnitude, one unit for the whole column: below 1e11 seconds, below 1e14
    milliseconds, below 1e17 microseconds, else nanoseconds; so those before 1973-03-03 need ``unit``.

    Raises :class:`CandleTimeError` (missing, unreadable, mixed units, outside 1970..2199),
    :class:`CandleTypeError` (not times) and :class:`CandleAlignmentError` (a fraction of a millisecond).
    """
    dtype = times.dtype
    if isinstance(dtype, pl.Categorical | pl.Enum):
        times = times.cast(pl.String)
    if isinstance(times.dtype, pl.String):
        return _from_text(times, about, unit)
    _refuse_missing(times, about)
    if isinstance(dtype, pl.Date):
        return _in_milliseconds(times.cast(pl.Int64).to_numpy() * 86_400, "s", times, about)
    if isinstance(dtype, pl.Datetime):
        return _in_milliseconds(
            times.to_physical().to_numpy(), cast(TimestampUnit, dtype.time_unit), times, about
        )
    if dtype.is_integer() or dtype.is_float() or isinstance(dtype, pl.Decimal):
        numbers = _whole_numbers(times, about)
        return _in_milliseconds(numbers, unit or _recognised_unit(numbers, about), times, about)
    raise CandleTypeError(
        f"{about}: column 'timestamp' holds {told_kind(dtype)}, not times.",
        hint="give datetimes, integers since 1970-01-01 UTC, or text such as '2024-01-01T00:00:00Z'.",
        column="timestamp",
    )


def day_starts(times: pl.Series) -> pl.Series:
    """Dates instead of times that are all the first moments of days in their zone; any others as they are.

    So a day of New York, which begins at 05:00 UTC in winter, is the day of that date. Text needs its offset from UTC
    in every row.
    """
    if isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone not in (None, "UTC"):
        days = times.dt.date()
        begun = times.dt.offset_by("-1ns" if times.dtype.time_unit == "ns" else "-1us").dt.date() != days
        return days if begun.all() and not times.null_count() else times
    if isinstance(times.dtype, pl.String) and _all_match(times.str.strip_chars(), _MIDNIGHT):
        return times.str.strip_chars().str.head(10)
    return times


def _refuse_missing(times: pl.Series, about: str) -> None:
    missing = times.is_null() | times.is_nan() if times.dtype.is_float() else times.is_null()
    if missing.any():
        row = missing.arg_max() or 0
        raise CandleTimeError(
            f"{about}: timestamp is missing (row {row:,}).",
            hint="each candle needs its open time; drop the row or give the time.",
            column="timestamp",
            row=row,
        )


def _unreadable(row: int, value: object, about: str) -> CandleTimeError:
    return CandleTimeError(
        f"{about}: timestamp {shown(value)} cannot be read as a time (row {row:,}).",
        hint="give integers since 1970-01-01 UTC or ISO text such as '2024-01-01T00:00:00Z'.",
        column="timestamp",
        row=row,
    )


def _whole_numbers(times: pl.Series, about: str) -> NDArray[np.int64]:
    """Numbers as int64; floats and decimals must have no fraction."""
    whole = times.cast(pl.Int64, strict=False)
    wrong = whole.is_null()
    if not times.dtype.is_integer():
        wrong = wrong | (whole.cast(pl.Float64) != times.cast(pl.Float64))
    if wrong.any():
        row = wrong.arg_max() or 0
        raise _unreadable(row, times[row], about)
    return whole.to_numpy()


def _recognised_unit(numbers: NDArray[np.int64], about: str) -> TimestampUnit:
    lowest, highest = np.searchsorted(_MAGNITUDES, [numbers.min(), numbers.max()], side="right")
    if lowest != highest:
        kinds = np.searchsorted(_MAGNITUDES, numbers, side="right")
        row = int(np.argmax(kinds != kinds[0]))
        first, other = (UNIT_NAMES[_UNITS[kind]] for kind in (kinds[0], kinds[row]))
        raise CandleTimeError(
            f"{about}: timestamps mix {first} and {other}: "
            f"{numbers[0]} (row 0) and {numbers[row]} (row {row:,}).",
            hint="bring the column to one unit; CandleFrame.read_many joins files of different units.",
            column="timestamp",
            row=row,
        )
    return _UNITS[int(lowest)]


def _in_milliseconds(
    numbers: NDArray[np.int64], unit: TimestampUnit, times: pl.Series, about: str
) -> NDArray[np.int64]:
    per_second = _PER_SECOND[unit]
    if numbers.min() < 0 or int(numbers.max()) // per_second >= _END_SECOND:
        row = int(np.argmax((numbers < 0) | (numbers // per_second >= _END_SECOND)))
        raise CandleTimeError(
            f"{about}: timestamp {shown(times[row])}, read in {UNIT_NAMES[unit]}, "
            f"lies outside the years 1970..2199 (row {row:,}).",
            hint="times count from 1970-01-01 UTC; pass timestamp_unit when the unit was not recognised.",
            column="timestamp",
            row=row,
        )
    if per_second <= 1000:
        return numbers * (1000 // per_second)
    per_millisecond = per_second // 1000
    fractions = numbers % per_millisecond
    if fractions.any():
        row = int(np.argmax(fractions != 0))
        raise CandleAlignmentError(
            f"{about}: timestamp {shown(times[row])}, read in {UNIT_NAMES[unit]}, "
            f"is not a whole millisecond (row {row:,}).",
            hint="a candle's timestamp is its open time, on the grid of the interval.",
            column="timestamp",
            row=row,
        )
    return numbers // per_millisecond


def _from_text(times: pl.Series, about: str, unit: TimestampUnit | None) -> NDArray[np.int64]:
    """Text of digits, or of dates; the first row decides which."""
    text = times.str.strip_chars()
    _refuse_missing(text.replace("", None), about)
    if _all_match(text, _DAY_WITHOUT_SIGNS):
        text = text + "T00:00"
    numbers = text.cast(pl.Int64, strict=False)
    if numbers.null_count():
        decimals = text.cast(pl.Float64, strict=False)
        numbers = decimals if decimals[0] is not None else numbers
    if numbers[0] is not None:
        if numbers.null_count():
            row = numbers.is_null().arg_max() or 0
            raise _unreadable(row, times[row], about)
        return utc_milliseconds(numbers, about, unit)
    if _all_match(text, _YEAR_LAST):
        parts = _day_and_month(text.str.extract_groups(_YEAR_LAST).struct.unnest(), times, about)
    else:
        parts = text.str.extract_groups(_YEAR_FIRST).struct.unnest()
    clock = parts.select(
        days=pl.concat_str("year", "month", "day", separator="-")
        .str.to_date("%Y-%m-%d", strict=False)
        .cast(pl.Int64),
        hour=pl.col("hour").cast(pl.Int64).fill_null(0),
        minute=pl.col("minute").cast(pl.Int64).fill_null(0),
        second=pl.col("second").cast(pl.Int64).fill_null(0),
        micro=pl.col("fraction").str.pad_end(6, "0").cast(pl.Int64).fill_null(0),
        ahead=_minutes_ahead(pl.col("zone")),
    )
    wrong = clock.select(
        pl.col("days").is_null()
        | (pl.col("hour") > 23)
        | (pl.col("minute") > 59)
        | (pl.col("second") > 59)
        | (pl.col("ahead").abs() > _FARTHEST_ZONE)
    ).to_series()
    if wrong.any():
        row = wrong.arg_max() or 0
        raise _unreadable(row, times[row], about)
    minutes = (pl.col("days") * 24 + pl.col("hour")) * 60 + pl.col("minute") - pl.col("ahead")
    microseconds = clock.select((minutes * 60 + pl.col("second")) * 1_000_000 + pl.col("micro")).to_series()
    return _in_milliseconds(microseconds.to_numpy(), "us", times, about)


def _all_match(text: pl.Series, pattern: str) -> bool:
    return all(bool(part.str.contains(pattern).all()) for part in (text.head(1), text))


def _day_and_month(parts: pl.DataFrame, times: pl.Series, about: str) -> pl.DataFrame:
    """The parts with ``day`` and ``month``, where a number above 12 or a point between tells which is which."""
    first, other = (parts[name].cast(pl.Int64) for name in ("first", "second_number"))
    day_first = bool((first > 12).any()) or bool((parts["sign"] == ".").all())
    month_first = bool((other > 12).any())
    if not (day_first or month_first or (first == other).all()):
        raise CandleTimeError(
            f"{about}: timestamp {shown(times[0])} can begin with the day or with the month (row 0), and no row shows "
            "which.",
            hint="write times like 2024-01-31 12:00.",
            column="timestamp",
            row=0,
        )
    names = (
        ("first", "second_number") if day_first else ("second_number", "first")
    )  # of both, one is no month
    return parts.with_columns(day=pl.col(names[0]).str.zfill(2), month=pl.col(names[1]).str.zfill(2))


def joined_clock(dates: pl.Series, clocks: pl.Series, names: Sequence[str], about: str) -> pl.Series:
    """Dates and times of day as one column of text; raises :class:`CandleColumnError` for anything else."""
    text = clocks.cast(pl.String, strict=False) if clocks.dtype in (pl.String, pl.Time) else None
    if text is None or not text.str.contains(r"^\s*\d{1,2}:?\d{2}(?::?\d{2}(?:\.\d+)?)?\s*$").all():
        raise CandleColumnError(
            f"{about}: columns {' and '.join(map(shown, names))} could each be 'timestamp'.",
            hint="name one of them 'timestamp', or drop the others; a time of day beside a date is written 12:30.",
            column="timestamp",
        )
    days = dates.cast(pl.String, strict=False).str.strip_chars().str.replace(r"[T ]00:00:00(?:\.0+)?$", "")
    return (days + " " + text.str.strip_chars()).alias("timestamp")


def _minutes_ahead(zone: pl.Expr) -> pl.Expr:
    """Minutes a zone such as ``+05:30`` is ahead of UTC; 0 without one, beyond every zone where they are none."""
    sign = pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    hours = zone.str.extract(r"^[+-](\d{2})").cast(pl.Int64)
    minutes = zone.str.extract(r"^[+-]\d{2}:?(\d{2})$").cast(pl.Int64).fill_null(0)
    beyond = pl.when(minutes > 59).then(_FARTHEST_ZONE * 2).otherwise(0)
    return (sign * (hours * 60 + minutes + beyond)).fill_null(0)
