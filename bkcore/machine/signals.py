"""Turns a frame of signals into the machine's table of candidates; checks every column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field as dataclass_field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bkcore.errors import BkError, did_you_mean, type_name
from bkcore.intervals import MINUTE_MS
from bkcore.machine.codes import Given
from bkcore.machine.records import SIGNAL

if TYPE_CHECKING:
    import polars as pl

#: What a signal frame may hold: one row per decision, by time. ``timestamp`` (ms UTC or a datetime) is the moment
#: of the decision; a null ``position`` says that there is no signal now.
COLUMNS = {
    "timestamp": "moment of the decision: ms UTC (Int64) or a datetime",
    "position": "'long', 'short', 1, -1; null or 0 = no signal",
    "price_open": "limit price; null = market entry. Beyond the market it opens at once: at its own price by vwap",
    "price_take_profit": "take-profit price",
    "price_stop_loss": "stop-loss price",
    "take_profit_percent": "take-profit distance from the entry in percent, instead of a price",
    "stop_loss_percent": "stop-loss distance from the entry in percent, instead of a price",
    "minute_estimated_time": "lifetime in minutes; null = CC_MAX_SIGNAL_LIFETIME_MINUTES, inf = no end",
    "cost": "cost of the first entry in quote currency; null = CC_POSITION_ENTRY_COST",
    "id": "identity; a repeated id of the last opened signal is skipped",
    "note": "free text",
    "symbol": "the symbol of the run; a signal for another one is refused",
}
_LEVELS = (
    ("price_take_profit", "take_profit_percent", "take_profit"),
    ("price_stop_loss", "stop_loss_percent", "stop_loss"),
)
#: Columns that may be missing or null, the field each fills, and the bit that says it was given.
_OPTIONAL = {
    "price_open": ("price_open", Given.PRICE_OPEN),
    "minute_estimated_time": ("lifetime", Given.LIFETIME),
    "cost": ("cost", Given.COST),
}


class SignalFrameError(BkError, ValueError):
    """Raised by a ``signals`` function whose frame lacks ``position``: a column is missing, unknown or wrong."""


@dataclass(frozen=True, slots=True)
class SignalTable:
    """Candidates in time order (``SIGNAL`` records), and their texts.

    ``ids`` are the distinct ids, ``records["id"]`` is an index into them; ``notes`` has a text per record or is None.
    ``written`` has the columns that hold values which the engine refuses, as they were given.
    """

    records: NDArray[np.void]
    ids: tuple[str, ...] = ()
    notes: tuple[str | None, ...] | None = None
    written: Mapping[str, pl.Series] = dataclass_field(default_factory=dict)


class Asking(NamedTuple):
    """When a strategy may be asked: ``first`` to ``last`` (ms UTC, both included), at multiples of ``step_ms``."""

    first: int
    last: int
    step_ms: int


def bind_signals(
    frame: pl.DataFrame, symbol: str, interval_ms: int = MINUTE_MS, *, asking: Asking | None = None
) -> SignalTable:
    """Check ``frame`` (columns: :data:`COLUMNS`) and turn it into the machine's records.

    interval_ms   length of the strategy's interval: a row without a signal matters only after one with a signal
                  in the same interval
    asking        refuse signals that nobody would ever ask for; not checked without it

    Raises :class:`SignalFrameError` naming the column, the row, its time and the remedy.
    """
    import polars as pl

    frame = _checked_columns(frame)
    time, side = _rising(_time(frame["timestamp"])), _side(frame["position"])
    silent = side == 0
    if asking is not None:
        _check_moments(time, silent, asking)
    if silent.any():
        keep = ~silent | _follows_signal(time, silent, interval_ms)
        frame, time, side = frame.filter(pl.Series(keep)), time[keep], side[keep]
    records = np.zeros(time.size, SIGNAL)
    records["time"] = time
    records["side"] = np.where(np.isnan(side), 0.0, side)
    in_percent = "take_profit_percent" in frame.columns
    written = {"position": frame["position"]} if np.isnan(side).any() else {}
    given = np.where(side == 0, int(Given.NOTHING), 0)
    given |= int(Given.PERCENT_LEVELS) if in_percent else 0
    for price, percent, field in _LEVELS:
        records[field] = _number(frame[percent if in_percent else price])
    for name, (field, bit) in _OPTIONAL.items():
        if name in frame.columns:
            records[field] = _number(frame[name])
            given |= frame[name].is_not_null().to_numpy() * int(bit)
    if "symbol" in frame.columns:
        foreign = (_text(frame["symbol"]) != symbol).fill_null(False)
        given |= foreign.to_numpy() * int(Given.FOREIGN_SYMBOL)
        if foreign.any():
            written["symbol"] = frame["symbol"]
    records["given"] = given
    ids: tuple[str, ...] = ()
    records["id"] = -1
    if "id" in frame.columns:
        texts = _text(frame["id"]).replace("", None)
        distinct = texts.drop_nulls().unique(maintain_order=True)
        ids = tuple(distinct)
        codes = texts.cast(pl.Enum(distinct)).to_physical().cast(pl.Int64).fill_null(-1)
        records["id"] = codes.to_numpy()
    notes = tuple(_text(frame["note"])) if "note" in frame.columns else None
    return SignalTable(records, ids, notes, written)


def _checked_columns(frame: Any) -> pl.DataFrame:
    import polars as pl

    from bkcore.candles.errors import FOREIGN

    if isinstance(frame, pl.LazyFrame):
        try:
            frame = frame.collect()
        except FOREIGN:  # whatever the query does wrong, collect() shows it to its author best
            raise SignalFrameError(
                "the lazy signal frame cannot be collected.",
                hint="call .collect() in the signals function to see why.",
            ) from None
    if not isinstance(frame, pl.DataFrame):
        raise SignalFrameError(
            f"a signal frame is a polars DataFrame or LazyFrame, got {type_name(frame)}.",
            hint="return candles.select(timestamp=..., position=..., price_take_profit=..., price_stop_loss=...).",
        )
    for name in frame.columns:
        if name not in COLUMNS:
            raise SignalFrameError(
                f"unknown column {name!r} in the signal frame; known: {', '.join(COLUMNS)}.",
                hint=did_you_mean(name, COLUMNS) + "drop helper columns with .select(...).",
            )
    required = ["timestamp", "position"]
    for price, percent, _ in _LEVELS:
        if (price in frame.columns) == (percent in frame.columns):
            raise SignalFrameError(
                f"the signal frame needs exactly one of {price!r} and {percent!r}.",
                hint=f"{price}: {COLUMNS[price]}; {percent}: {COLUMNS[percent]}.",
            )
    if ("take_profit_percent" in frame.columns) != ("stop_loss_percent" in frame.columns):
        raise SignalFrameError(
            "the signal frame gives one level as a price and the other in percent.",
            hint="give both as prices or both in percent.",
        )
    for name in required:
        if name not in frame.columns:
            raise SignalFrameError(
                f"the signal frame has no column {name!r}.", hint=f"{name}: {COLUMNS[name]}."
            )
    return frame


def _wrong_kind(column: pl.Series, wanted: str = "") -> SignalFrameError:
    return SignalFrameError(
        f"column {column.name!r} of the signal frame is {column.dtype}{wanted}.",
        hint=f"give {COLUMNS[column.name]}.",
    )


# Columns are converted one by one, not in one query: a few thousand rows are done before its threads are awake.


def _time(column: pl.Series) -> pl.Series:
    import polars as pl

    if isinstance(column.dtype, pl.Datetime):
        fraction = column.to_physical() % {"ms": 1, "us": 1000, "ns": 1_000_000}[column.dtype.time_unit]
        odd = (fraction != 0).fill_null(value=False)
        if odd.any():
            row = odd.arg_max() or 0
            raise SignalFrameError(
                f"column 'timestamp' of the signal frame holds a fraction of a millisecond in row {row:,}: "
                f"{column.to_physical()[row]} {column.dtype.time_unit}.",
                hint=".dt.round('1m') mends errors of rounding; a decision is taken at the close of a candle.",
            )
        return column.dt.epoch("ms")
    if not (column.dtype.is_integer() or column.dtype == pl.Null):
        raise _wrong_kind(column)
    return column.cast(pl.Int64, strict=False)


def _rising(column: pl.Series) -> NDArray[np.int64]:
    """The moments; raises when one is missing or earlier than the one before."""
    if column.null_count():
        row = int(column.is_null().arg_max() or 0)
        raise SignalFrameError(
            f"column 'timestamp' of the signal frame holds no moment in row {row:,}.",
            hint=f"every row needs its {COLUMNS['timestamp']}.",
        )
    time = column.to_numpy()
    falls = np.flatnonzero(time[1:] < time[:-1])
    if falls.size:
        row = int(falls[0]) + 1
        raise SignalFrameError(
            f"column 'timestamp' of the signal frame goes back in row {row:,}: {time[row]} after {time[row - 1]}.",
            hint="sort the frame: .sort('timestamp').",
        )
    return time


#: How the times of another unit become ms; exact within any years.
_UNITS: dict[str, tuple[int, int]] = {
    "seconds": (1000, 1),
    "microseconds": (1, 1000),
    "nanoseconds": (1, 1_000_000),
}


def _check_moments(time: NDArray[np.int64], silent: NDArray[np.bool_], asking: Asking) -> None:
    """Refuse signals in another unit than ms, signals of another time altogether, and signals between two askings."""
    from bkcore.candles.errors import utc_text

    if not time.size:
        return
    span = f"the candles go from {utc_text(asking.first)} to {utc_text(asking.last)}"
    outside = (time < asking.first) | (time > asking.last)
    for unit, (times, parts) in _UNITS.items():
        fitting = (
            outside & (time >= -(-asking.first * parts // times)) & (time <= asking.last * parts // times)
        )
        if fitting.any():
            row = int(fitting.argmax())
            raise SignalFrameError(
                f"column 'timestamp' of the signal frame holds {time[row]} in row {row:,}, but {span}.",
                hint=f"these look like {unit}: give milliseconds, or a column of datetimes.",
            )
    if outside.all():
        raise SignalFrameError(
            f"column 'timestamp' of the signal frame goes from {utc_text(int(time[0]))} (row 0) to "
            f"{utc_text(int(time[-1]))} (row {time.size - 1:,}), but {span}: no signal would ever be seen.",
            hint="make signals for these candles; timestamps are ms since 1970 UTC.",
        )
    off = (time % asking.step_ms != 0) & ~silent
    if off.any():
        row = int(off.argmax())
        minutes = asking.step_ms // MINUTE_MS
        raise SignalFrameError(
            f"column 'timestamp' of the signal frame holds {utc_text(int(time[row]))} ({time[row]}) in row {row:,}: "
            f"the strategy is asked at multiples of {minutes:,} min, so this signal would be missed.",
            hint=f"move it to the next one, {utc_text(-(-int(time[row]) // asking.step_ms) * asking.step_ms)}, or give "
            "the strategy a shorter interval.",
        )


def _side(column: pl.Series) -> NDArray[np.float64]:
    """+1, -1, 0 = no signal, NaN = not a position (the machine refuses it as an invalid signal)."""
    import polars as pl

    if isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum):
        texts = column.cast(pl.String)
        long, short = ((texts == word).cast(pl.Float64).to_numpy() for word in ("long", "short"))
        side = long - short  # NaN where null, 0 where neither
        return np.where(np.isnan(side), 0.0, np.where(side == 0.0, np.nan, side))
    if not (column.dtype.is_numeric() or column.dtype == pl.Null):
        raise _wrong_kind(column)
    number = np.where(column.is_null().to_numpy(), 0.0, _number(column))
    return np.where((number == 0.0) | (np.abs(number) == 1.0), number, np.nan)


def _follows_signal(
    time: NDArray[np.int64], silent: NDArray[np.bool_], interval_ms: int
) -> NDArray[np.bool_]:
    """Rows that withdraw the signal of the row before, in the same interval."""
    follows = np.zeros(time.size, np.bool_)
    bucket = time // interval_ms
    follows[1:] = silent[1:] & ~silent[:-1] & (bucket[1:] == bucket[:-1])
    return follows


def _number(column: pl.Series) -> NDArray[np.float64]:
    """The numbers, NaN for null."""
    import polars as pl

    if not (column.dtype.is_numeric() or column.dtype == pl.Null):
        raise _wrong_kind(column, ", not a number")
    return column.cast(pl.Float64).to_numpy()


def _text(column: pl.Series) -> pl.Series:
    import polars as pl

    try:
        return column.cast(pl.String)
    except pl.exceptions.PolarsError:
        raise _wrong_kind(column, ", not text") from None
