"""Turns foreign columns into candle columns: recognises their names and converts their values."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bkcore.candles.checks import COLUMNS, FloatColumn
from bkcore.candles.errors import (
    FOREIGN,
    CandleColumnError,
    CandleTypeError,
    CandleValueError,
    EmptyCandlesError,
    shown,
    told_kind,
    utc_text,
)
from bkcore.candles.levels import flat_names
from bkcore.candles.times import TimestampUnit, day_starts, joined_clock, utc_milliseconds

logger = logging.getLogger(__name__)

#: The twelve columns of a Binance kline, in dumps and in answers of its API.
BINANCE_COLUMNS = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
)

#: Recognised names; case and anything but letters and digits do not matter, but the nearest spelling wins.
ALIASES: dict[str, tuple[str, ...]] = {
    "timestamp": (
        "timestamp", "time", "date", "datetime", "ts", "t", "opentime", "opentimestamp", "unix",
    ),
    "open": ("open", "o", "openprice"),
    "high": ("high", "h", "highprice"),
    "low": ("low", "l", "lowprice"),
    "close": ("close", "c", "closeprice"),
    "volume": ("volume", "v", "vol", "basevolume"),
}  # fmt: skip

#: A number that may have one comma and has no point.
_WITH_COMMA = r"^\s*[+-]?\d+(?:,\d+)?(?:[eE][+-]?\d+)?\s*$"

#: Names that data frames give to an index without a name; it is the open time when no other column is.
INDEX_NAMES = ("index", "__index_level_0__", "Unnamed: 0")


@dataclass(frozen=True)
class RawColumns:
    """Named columns of any source; ``take(positions)`` fetches some of them, converted no more than needed.

    ``borrowed``: the memory belongs to somebody who may still change it.
    """

    names: tuple[str, ...]
    take: Callable[[Sequence[int]], list[pl.Series]]
    borrowed: bool = False


def positional_names(count: int, what: str, about: str) -> tuple[str, ...]:
    """Names for columns that have none: our six, or the twelve of Binance."""
    if count == len(COLUMNS):
        return COLUMNS
    if count == len(BINANCE_COLUMNS):
        return BINANCE_COLUMNS
    raise CandleColumnError(
        f"{about}: {what} has {count} columns without names; expected 6 ({', '.join(COLUMNS)}) "
        "or the 12 of a Binance kline.",
        hint="name the columns; then their order and number do not matter.",
    )


def _folded(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def find_columns(names: Sequence[str], about: str, *, volume_needed: bool = True) -> dict[str, int]:
    """Position of each candle column among ``names``; ``filled`` and ``clock`` only where they are there.

    ``volume`` may be absent, too, unless it is needed.

    The documented name wins over an alias, an alias over a spelling that differs in case or punctuation;
    two names equally near are refused, but a date and a time make a timestamp together, ``clock`` is the time then.
    Raises :class:`CandleColumnError`.
    """
    found: dict[str, int] = {}
    for column, aliases in ALIASES.items():
        levels: list[list[int]] = [
            [at for at, name in enumerate(names) if name == column],
            [at for at, name in enumerate(names) if name in aliases],
            [at for at, name in enumerate(names) if _folded(name) in aliases],
        ]
        if column == "timestamp":
            levels.append([at for at, name in enumerate(names) if name in INDEX_NAMES])
        nearest = next((level for level in levels if level), [])
        if [_folded(names[at]) for at in nearest] == ["date", "time"]:
            found["clock"] = nearest.pop()
        if len(nearest) > 1:
            candidates = " and ".join(shown(names[at]) for at in nearest)
            raise CandleColumnError(
                f"{about}: columns {candidates} could each be {column!r}.",
                hint=f"name one of them {column!r}, or drop the others.",
                column=column,
            )
        if nearest:
            found[column] = nearest[0]
    missing = [column for column in COLUMNS if column not in found]
    lacks_volume = missing == ["volume"]
    if missing and (volume_needed or not lacks_volume):
        listed = ", ".join(shown(name) for name in names[:20]) or "none at all"
        remedy = " CandleFrame.from_any(frame) needs no volume: it counts as 1." if lacks_volume else ""
        raise CandleColumnError(
            f"{about}: column {', '.join(map(repr, missing))} is missing; the columns are {listed}.",
            hint=f"rename yours to {', '.join(COLUMNS)}.{remedy}",
            column=missing[0],
        )
    filled = [at for at, name in enumerate(names) if name == "filled"]
    return found | ({"filled": filled[0]} if len(filled) == 1 else {})


def settle(
    raw: RawColumns,
    about: str,
    unit: TimestampUnit | None,
    *,
    interval: str | None = "",
    volume_needed: bool = True,
) -> pl.DataFrame:
    """The candle columns of ``raw`` in the schema of candles; values are converted, but not checked yet.

    interval         ``"1d"``, or None where nobody knows it yet: times that are the first moments of days in a zone
                     are those days (:func:`day_starts`)
    volume_needed    False gives candles without a volume the volume 1, and says so in a warning

    Raises :class:`EmptyCandlesError`, and :class:`CandleColumnError`, :class:`CandleTypeError`,
    :class:`CandleTimeError` or :class:`CandleValueError` (missing or unreadable) for the first bad column.
    """
    places = find_columns(flat_names(raw.names, about), about, volume_needed=volume_needed)
    series = dict(zip(places, raw.take(list(places.values())), strict=True))
    lengths = {name: len(column) for name, column in series.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise CandleColumnError(
            f"{about}: columns differ in length: {told}.", hint="each candle needs a value in every column."
        )
    if lengths["timestamp"] == 0:
        raise EmptyCandlesError(
            f"{about}: there are no candles (0 rows).",
            hint="check the source or the time range it was cut to.",
        )
    stamps = series["timestamp"]
    if "clock" in series:
        stamps = joined_clock(
            stamps, series["clock"], [raw.names[places[name]] for name in ("timestamp", "clock")], about
        )
    if interval in ("1d", None):
        stamps = day_starts(stamps)
    times = utc_milliseconds(stamps, about, unit)
    if "volume" not in series:
        logger.warning("%s: there is no volume among the columns; every candle is given the volume 1", about)
        series["volume"] = pl.repeat(1.0, len(times), eager=True)
    series |= decimal_points({name: series[name] for name in COLUMNS[1:]}, times, about)
    columns: dict[str, NDArray[Any] | pl.Series] = {"timestamp": np.array(times) if raw.borrowed else times}
    for name in COLUMNS[1:]:
        values = _floats(series[name], name, times, about)
        columns[name] = np.array(values) if raw.borrowed else values
    marks = _marks(series["filled"]) if "filled" in series else None
    if marks is not None:
        columns["filled"] = marks
    return pl.DataFrame(columns).rechunk()


def decimal_points(
    series: dict[str, pl.Series], times: NDArray[np.int64], about: str
) -> dict[str, pl.Series]:
    """Columns of text with decimal commas, with points in their place; nothing where there are none.

    A comma before three digits can also part thousands, so some value has to have another number of digits. Raises
    :class:`CandleValueError` where none has.
    """
    texts = {name: text for name, text in series.items() if isinstance(text.dtype, pl.String)}
    with_comma = {name: text for name, text in texts.items() if text.str.contains(",", literal=True).any()}
    if not with_comma or not all(
        text.drop_nulls().str.contains(_WITH_COMMA).all() for text in texts.values()
    ):
        return {}
    if not any(
        text.str.contains(r"^\s*[+-]?(?:0,|\d+,(?:\d{1,2}|\d{4,})\b)").any() for text in with_comma.values()
    ):
        name, text = next(iter(with_comma.items()))
        row = text.str.contains(",", literal=True).arg_max() or 0
        raise CandleValueError(
            f"{about}: candle[{row}] has {name}={shown(text[row])}, where the comma can part thousands or decimals "
            f"({utc_text(int(times[row]))}, row {row:,}).",
            hint="write numbers like 42283.58.",
            column=name,
            row=row,
            timestamp=int(times[row]),
        )
    return {name: text.str.replace(",", ".", literal=True) for name, text in with_comma.items()}


def _floats(values: pl.Series, column: str, times: NDArray[np.int64], about: str) -> FloatColumn:
    """``values`` as f8[n]: numbers of any kind, or text of numbers."""
    dtype = values.dtype
    if not (dtype.is_numeric() or isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Null)):
        raise CandleTypeError(
            f"{about}: column {column!r} holds {told_kind(dtype)}, not numbers.",
            hint="give floats, integers, or text of numbers.",
            column=column,
        )
    if dtype.is_numeric():
        numbers = values.cast(pl.Float64, strict=False)
    else:
        numbers = values.cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    if numbers.null_count():
        row = numbers.is_null().arg_max() or 0
        value, time = values[row], int(times[row])
        empty = value is None or (isinstance(value, str) and not value.strip())
        flaw = f"{column} is missing" if empty else f"{column}={shown(value)} is no number"
        raise CandleValueError(
            f"{about}: candle[{row}] has invalid numeric values: {flaw} ({utc_text(time)}, row {row:,}).",
            hint=_hint_for(value),
            column=column,
            row=row,
            timestamp=time,
        )
    return numbers.rechunk().to_numpy()


def _hint_for(value: object) -> str:
    if isinstance(value, str) and "," in value:
        return "write numbers like 42283.58: a comma may part decimals, but not thousands."
    return "correct or drop the candle; numbers are written like 42283.58 or 4.2e4."


def _marks(values: pl.Series) -> pl.Series | None:
    """A ``filled`` column as booleans; a column of another type is somebody's own and is dropped."""
    if isinstance(values.dtype, pl.String):
        values = values.replace_strict({"true": True, "false": False}, default=None, return_dtype=pl.Boolean)
    if isinstance(values.dtype, pl.Boolean) and not values.null_count():
        return values
    return None


def column_of(values: Any, name: str, about: str) -> pl.Series:
    """One array, list or column of any library as a Polars series; raises :class:`CandleTypeError`."""
    if isinstance(values, pl.Series):
        return column_of(values.to_list(), name, about) if isinstance(values.dtype, pl.Object) else values
    if isinstance(values, np.ndarray):
        return _column_of_array(values, name, about)
    if isinstance(values, list | tuple | range):
        return _column_of_objects(list(values), name, about)
    if hasattr(values, "__len__") and not isinstance(values, str | bytes | Mapping):
        with suppress(*FOREIGN):  # a foreign column may raise anything; it then is no candle column
            return pl.Series(name, _narrowed(values))
    raise CandleTypeError(
        f"{about}: column {name!r} is {type(values).__name__!r}, not a column of values.",
        hint="give a list, an array or a series.",
        column=name,
    )


def _narrowed(values: Any) -> Any:
    """Decimals of Arrow that are wider than those of Polars as floats; anything else as it is."""
    if str(getattr(values, "type", "")).startswith("decimal256"):
        return values.cast("float64")
    return values


def _column_of_array(values: NDArray[Any], name: str, about: str) -> pl.Series:
    if values.ndim != 1:
        raise CandleTypeError(
            f"{about}: column {name!r} is an array of {values.ndim} dimensions, not of one.",
            hint="give one value for each candle.",
            column=name,
        )
    if isinstance(values, np.ma.MaskedArray) or values.dtype.kind in "OSUV":
        return _column_of_objects(values.tolist(), name, about)
    if values.dtype.kind == "M":
        precise = np.datetime_data(values.dtype)[0] in ("us", "ns")
        return pl.Series(name, values if precise else values.astype("datetime64[ms]"))
    if values.dtype.kind in "iu":
        return pl.Series(name, np.ascontiguousarray(values, dtype=f"{values.dtype.kind}8"))
    if values.dtype.kind in "fb":
        return pl.Series(name, np.ascontiguousarray(values, dtype="f8" if values.dtype.kind == "f" else None))
    raise CandleTypeError(
        f"{about}: column {name!r} is an array of {values.dtype.name}, not of numbers or times.",
        hint="give integers, floats, or datetimes.",
        column=name,
    )


def _column_of_objects(values: list[Any], name: str, about: str) -> pl.Series:
    """A list of Python or NumPy scalars of one kind, None where a value is missing."""
    kinds: tuple[tuple[tuple[type, ...], Callable[[list[Any]], pl.Series]], ...] = (
        ((bool, np.bool_), lambda given: pl.Series(name, given, dtype=pl.Boolean)),
        ((int, np.integer), lambda given: pl.Series(name, list(map(_integer, given)))),
        (
            (int, float, np.integer, np.floating, Decimal),
            lambda given: pl.Series(name, list(map(_float, given))),
        ),
        ((str,), lambda given: pl.Series(name, given, dtype=pl.String)),
        ((datetime,), lambda given: _moments(name, given)),
        ((date,), lambda given: pl.Series(name, given)),
        ((np.datetime64,), lambda given: pl.Series(name, _numpy_moments(given))),
    )
    present = {type(value) for value in values} - {type(None)}
    if not present:
        return pl.Series(name, values, dtype=pl.Null)
    for types, build in kinds:
        if all(issubclass(kind, types) for kind in present):
            with suppress(*FOREIGN):  # e.g. an integer of more than 128 bits; the next kind may fit
                return build(values)
    usual = type(next(value for value in values if value is not None))
    row = next((at for at, value in enumerate(values) if value is not None and type(value) is not usual), 0)
    what = f"{type(values[row]).__name__} {shown(values[row])}"
    raise CandleTypeError(
        f"{about}: column {name!r} holds {what} in row {row:,}"
        + (f" among {usual.__name__}." if row else "."),
        hint="give values of one kind: numbers, text of numbers, or times.",
        column=name,
        row=row,
    )


def _integer(value: Any) -> int | None:
    """An integer that Polars can hold; raises ``OverflowError`` for a longer one."""
    if value is not None and not -(2**127) <= value < 2**127:
        raise OverflowError
    return None if value is None else int(value)


def _numpy_moments(values: list[Any]) -> NDArray[Any]:
    """Microseconds, or nanoseconds where a moment needs them."""
    coarse = np.array(values, dtype="datetime64[us]")
    fine = any(value is not None and value != moment for value, moment in zip(values, coarse, strict=True))
    return np.array(values, dtype="datetime64[ns]") if fine and not np.isnat(coarse).any() else coarse


def _moments(name: str, values: list[Any]) -> pl.Series:
    """Datetimes, also those of pandas: with nanoseconds where a moment has them, null for its NaT."""
    present = [None if value is None or value != value else value for value in values]
    if not any(getattr(value, "nanosecond", 0) for value in present):
        return pl.Series(name, present)
    nanoseconds = [
        None if value is None else int(value.as_unit("ns").value) if hasattr(value, "as_unit") else None
        for value in present
    ]
    return pl.Series(name, nanoseconds, dtype=pl.Int64).cast(pl.Datetime("ns"))


def _float(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except OverflowError:
        return float("inf")
