"""Turns a frame of signals into the machine's table of candidates; checks every column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field as dataclass_field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bkcore.intervals import MINUTE_MS
from bkcore.machine.codes import Given
from bkcore.machine.records import SIGNAL
from bkcore.machine.signal_frames import (
    COLUMNS as COLUMNS,
    REAL_COLUMNS as REAL_COLUMNS,
    SignalFrameError as SignalFrameError,
    as_polars,
    given,
    numbers,
    refuse,
    refuse_odd_columns,
    sides,
    texts,
)
from bkcore.machine.signal_moments import Asking as Asking, moments, refuse_off_grid
from bkcore.machine.signal_wishes import Wish, read_wish

if TYPE_CHECKING:
    import polars as pl

#: Each level: the column that gives it as a price, the one in percent, the field, and the bit that says percent.
_LEVELS = (
    ("price_take_profit", "take_profit_percent", "take_profit", Given.TAKE_PERCENT),
    ("price_stop_loss", "stop_loss_percent", "stop_loss", Given.STOP_PERCENT),
)
#: Columns that may be missing or null, the field each fills, and the bit that says it was given.
_OPTIONAL = {
    "price_open": ("price_open", Given.PRICE_OPEN),
    "minute_estimated_time": ("lifetime", Given.LIFETIME),
    "cost": ("cost", Given.COST),
}

#: Columns of real prices that fill the field of their name; NaN = not given.
_PLAIN = ("size", "set_take_profit", "set_stop_loss", "trail_distance", "fee_percent")
#: Those that give a row something to say when it neither enters nor exits.
_SETS = ("set_take_profit", "set_stop_loss")
#: What an entry may be given in one of two forms, and the remedy where a row gives both.
_FORMS = (
    ("price_open", "price_trigger", "an entry is a limit or a stop entry: make one of them null."),
    ("price_take_profit", "take_profit_percent", "give the level in one form: make one of them null."),
    ("price_stop_loss", "stop_loss_percent", "give the level in one form: make one of them null."),
)
#: Numbers that have to lie between two others, both excluded, in rows that enter.
_RANGES = {
    "size": (0.0, np.inf, "above 0"),
    "trail_distance": (0.0, np.inf, "above 0"),
    "fee_percent": (-100.0, 100.0, "between -100 and 100"),
}


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


def bind_signals(
    frame: Any,
    symbol: str,
    interval_ms: int = MINUTE_MS,
    *,
    asking: Asking | None = None,
    at_real_prices: bool = False,
) -> SignalTable:
    """Check ``frame`` (Polars, pandas or Arrow) and turn it into the machine's records.

    interval_ms      length of the strategy's interval: under the documented price rule a row without a signal matters
                     only after one with a signal in the same interval; at real prices it is not used
    asking           refuse signals that nobody would ever ask for; not checked without it
    at_real_prices   True: the columns are :data:`REAL_COLUMNS` (spec fills.md 4), and every row that says anything is
                     kept; False: they are :data:`COLUMNS` (spec engine.md 1.1)

    At real prices what was not given is NaN, and ``Given.NOTHING`` marks rows that neither enter nor set a target. A
    NaN that was written as a price or percent of an entry is kept as infinity, so that the machine refuses the row.

    Raises :class:`SignalFrameError` naming the column, the row, the value and the remedy.
    """
    import polars as pl

    frame = as_polars(frame)
    refuse_odd_columns(frame, at_real_prices=at_real_prices)
    if at_real_prices:
        return _at_real_prices(frame, symbol, asking)
    _refuse_incomplete(frame)
    time = moments(frame["timestamp"], asking, at_real_prices=False)
    side = sides(frame["position"])
    silent = side == 0
    if asking is not None:
        refuse_off_grid(time, ~silent, asking, at_real_prices=False)
    if silent.any():
        keep = ~silent | _follows_signal(time, silent, interval_ms)
        frame, time, side = frame.filter(pl.Series(keep)), time[keep], side[keep]
    records = np.zeros(time.size, SIGNAL)
    records["time"] = time
    records["side"] = np.where(np.isnan(side), 0.0, side)
    written = {"position": frame["position"]} if np.isnan(side).any() else {}
    bits = np.where(side == 0, int(Given.NOTHING), 0)
    for price, percent, field, bit in _LEVELS:
        in_percent = percent in frame.columns
        records[field] = numbers(frame[percent if in_percent else price])
        bits |= int(bit) if in_percent else 0
    for name, (field, bit) in _OPTIONAL.items():
        if name in frame.columns:
            records[field] = numbers(frame[name])
            bits |= given(frame[name]) * int(bit)
    return _with_texts(records, bits, frame, symbol, written)


def _refuse_incomplete(frame: pl.DataFrame) -> None:
    """Each level in one form, both in the same; and every row has its moment and its side."""
    for price, percent, *_ in _LEVELS:
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
    for name in ("timestamp", "position"):
        if name not in frame.columns:
            raise SignalFrameError(
                f"the signal frame has no column {name!r}.", hint=f"{name}: {COLUMNS[name]}."
            )


def _follows_signal(
    time: NDArray[np.int64], silent: NDArray[np.bool_], interval_ms: int
) -> NDArray[np.bool_]:
    """Rows that withdraw the signal of the row before, in the same interval."""
    follows = np.zeros(time.size, np.bool_)
    bucket = time // interval_ms
    follows[1:] = silent[1:] & ~silent[:-1] & (bucket[1:] == bucket[:-1])
    return follows


def _with_texts(
    records: NDArray[np.void],
    bits: NDArray[Any],
    frame: pl.DataFrame,
    symbol: str,
    written: dict[str, pl.Series],
) -> SignalTable:
    """The table of these records, with the columns of text and the bits of ``given``."""
    import polars as pl

    if "symbol" in frame.columns:
        foreign = (texts(frame["symbol"]) != symbol).fill_null(value=False)
        bits = bits | foreign.to_numpy() * int(Given.FOREIGN_SYMBOL)
        if foreign.any():
            written["symbol"] = frame["symbol"]
    records["given"] = bits
    ids: tuple[str, ...] = ()
    records["id"] = -1
    if "id" in frame.columns:
        named = texts(frame["id"]).replace("", None)
        distinct = named.drop_nulls().unique(maintain_order=True)
        ids = tuple(distinct)
        codes = named.cast(pl.Enum(distinct)).to_physical().cast(pl.Int64).fill_null(-1)
        records["id"] = codes.to_numpy()
    notes = tuple(texts(frame["note"])) if "note" in frame.columns else None
    return SignalTable(records, ids, notes, written)


def _at_real_prices(frame: pl.DataFrame, symbol: str, asking: Asking | None) -> SignalTable:
    """The table of a frame whose columns are known (spec fills.md 4)."""
    import polars as pl

    if "timestamp" not in frame.columns:
        raise SignalFrameError(
            "the signal frame has no column 'timestamp'.",
            hint=f"timestamp: {REAL_COLUMNS['timestamp']}; a DatetimeIndex of pandas serves, too.",
        )
    time = moments(frame["timestamp"], asking, at_real_prices=True)
    if asking is not None:
        refuse_off_grid(time, None, asking, at_real_prices=True)
    wish = read_wish(frame)
    for one, other, remedy in _FORMS:
        if one in frame.columns and other in frame.columns:
            refuse(frame[other], given(frame[one]) & given(frame[other]), f" beside {one!r}", remedy)
    _refuse_out_of_range(frame, wish.side != 0)
    says = wish.bits != int(Given.NOTHING)
    says |= wish.exits != 0
    for name in _SETS:
        if name in frame.columns:
            says |= given(frame[name])
    if not says.all():
        frame, time = frame.filter(pl.Series(says)), time[says]
        wish = Wish(wish.side[says], wish.exits[says], wish.bits[says])
    records = np.zeros(time.size, SIGNAL)
    records["time"] = time
    records["side"], records["exits"], bits = wish
    for price, percent, field, bit in _LEVELS:
        level = _entry_numbers(frame, price)
        if percent in frame.columns:
            in_percent = given(frame[percent])
            level = np.where(in_percent, _entry_numbers(frame, percent), level)
            bits = bits | in_percent * np.int16(bit)
        records[field] = level
    records["price_trigger"] = _entry_numbers(frame, "price_trigger")
    for name in _PLAIN:
        records[name] = numbers(frame[name]) if name in frame.columns else np.nan
    for name, (field, bit) in _OPTIONAL.items():
        records[field] = numbers(frame[name]) if name in frame.columns else np.nan
        if name in frame.columns:
            bits = bits | given(frame[name]) * np.int16(bit)
    return _with_texts(records, bits, frame, symbol, {})


def _refuse_out_of_range(frame: pl.DataFrame, enters: NDArray[np.bool_]) -> None:
    """Levels for an open position; sizes, distances and fees of rows that enter, those of others are never used."""
    for name in _SETS:
        if name in frame.columns:
            values = numbers(frame[name])
            wrong = given(frame[name]) & ~np.isnan(values) & ~((values > 0.0) & np.isfinite(values))
            refuse(frame[name], wrong, ", which is no price", f"give {REAL_COLUMNS[name]}.")
    for name, (low, high, told) in _RANGES.items():
        if name in frame.columns:
            values = numbers(frame[name])
            wrong = enters & given(frame[name]) & ~((values > low) & (values < high))
            refuse(frame[name], wrong, f", which is not {told}", f"give {REAL_COLUMNS[name]}.")


def _entry_numbers(frame: pl.DataFrame, name: str) -> NDArray[np.float64] | float:
    """The prices or percents of entries: NaN where none is given, infinity (refused) for one that is no number."""
    if name not in frame.columns:
        return np.nan
    column = frame[name]
    values = numbers(column)
    if column.dtype.is_float():
        unknown = column.is_nan()
        if unknown.any():
            return np.where(unknown.fill_null(value=False).to_numpy(), np.inf, values)
    return values
