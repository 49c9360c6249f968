"""What may a frame of signals hold? Frames of any library as Polars columns, and columns as arrays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bkcore.errors import BkError, did_you_mean, shown, type_name

if TYPE_CHECKING:  # not imported with the machine: whoever only plays a run has no frame to read
    import polars as pl

#: What a signal frame may hold under the documented price rule: one row per decision, by time. ``timestamp`` (ms UTC or
#: a datetime) is the moment of the decision; a null ``position`` says that there is no signal now.
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

#: What it may hold at real prices (spec fills.md 4). Every row counts at its own tick only.
REAL_COLUMNS = COLUMNS | {
    "position": "'long', 'short', 1, -1 to enter; null or 0 = no entry",
    "exit": "true, 'long' or 'short': close the position (of that side), cancel its resting orders; null or false = no",
    "target": "instead of position and exit: 1, 0, -1, the side to hold from now on; null = as before",
    "enter_long": "true = enter long; instead of position and exit",
    "enter_short": "true = enter short; instead of position and exit",
    "exit_long": "true = close a long, cancel its orders; instead of position and exit",
    "exit_short": "true = close a short, cancel its orders; instead of position and exit",
    "price_open": "limit price; null without a price_trigger = market entry",
    "price_trigger": "price of a stop entry; null without a price_open = market entry",
    "price_take_profit": "take-profit price; null = none",
    "price_stop_loss": "stop-loss price; null = none",
    "take_profit_percent": "take-profit distance from the fill in percent, instead of a price; null = none",
    "stop_loss_percent": "stop-loss distance from the fill in percent, instead of a price; null = none",
    "minute_estimated_time": "lifetime in minutes; null or inf = no end",
    "set_take_profit": "new take-profit price of the position that is open at this tick; null = as before",
    "set_stop_loss": "new stop-loss price of the position that is open at this tick; null = as before",
    "size": "share of the equity that is invested, above 0 (0.5 = half); null = by cost",
    "trail_distance": "distance of the trailing stop in price units, above 0; null = that of the policy",
    "fee_percent": "fee of all fills of the position in percent, between -100 and 100; null = as configured",
}


#: Columns of numbers.
_NUMBERS = REAL_COLUMNS.keys() - {
    *("timestamp", "position", "exit", "enter_long", "enter_short", "exit_long", "exit_short"),
    *("id", "note", "symbol"),
}


class SignalFrameError(BkError, ValueError):
    """Raised by a ``signals`` function whose frame lacks ``position``: a column is missing, unknown or wrong."""


def as_polars(frame: Any) -> pl.DataFrame:
    """A frame of Polars (also lazy), pandas or PyArrow as one of Polars; raises :class:`SignalFrameError`.

    NaN of pandas is null. A ``DatetimeIndex`` of pandas, or an index of that name, is ``timestamp`` where there is no
    such column. Nobody imports pandas here: narwhals knows its frames without.
    """
    import polars as pl

    from bkcore.candles.errors import FOREIGN

    if isinstance(frame, pl.LazyFrame):
        try:
            return frame.collect()
        except FOREIGN:  # whatever the query does wrong, collect() shows it to its author best
            raise SignalFrameError(
                "the lazy signal frame cannot be collected.",
                hint="call .collect() in the signals function to see why.",
            ) from None
    if isinstance(frame, pl.DataFrame):
        return frame

    from narwhals import dependencies

    if dependencies.is_pandas_dataframe(frame):
        names = [str(name) for name in frame.columns]
        columns = [(name, frame.iloc[:, place]) for place, name in enumerate(names)]
        index = frame.index
        if "timestamp" not in names and (
            type(index).__name__ == "DatetimeIndex" or index.name == "timestamp"
        ):
            columns.insert(0, ("timestamp", index.to_series()))
        return _joined(columns)
    if dependencies.is_pyarrow_table(frame):
        return _joined(zip(frame.column_names, frame.columns, strict=True))
    raise SignalFrameError(
        f"a signal frame is a polars DataFrame or LazyFrame, a pandas DataFrame or an Arrow table, got "
        f"{type_name(frame)}.",
        hint="return candles.select(timestamp=..., position=..., price_take_profit=..., price_stop_loss=...).",
    )


def _joined(columns: Iterable[tuple[str, Any]]) -> pl.DataFrame:
    """Columns of pandas or PyArrow as one frame."""
    import polars as pl

    frame: dict[str, pl.Series] = {}
    for name, column in columns:
        if name in frame:
            raise SignalFrameError(
                f"the signal frame has several columns {name!r}.", hint="give each column its own name."
            )
        frame[name] = _column(name, column)
    return pl.DataFrame(frame)


def _column(name: str, column: Any) -> pl.Series:
    import polars as pl
    import pyarrow

    from bkcore.candles.errors import FOREIGN

    try:
        if not isinstance(column, pyarrow.ChunkedArray):
            column = pyarrow.Array.from_pandas(column)
        if pyarrow.types.is_timestamp(column.type) and column.type.tz is not None:
            column = column.cast(pyarrow.timestamp(column.type.unit, "UTC"))  # Polars knows no zone "+05:30"
        return pl.Series(name, column)
    except FOREIGN:  # values of several kinds, or of one that Polars has no word for
        raise SignalFrameError(
            f"column {name!r} of the signal frame holds values of several kinds, or of an unknown one.",
            hint=f"give {REAL_COLUMNS.get(name, 'numbers, text or times')}.",
        ) from None


def refuse_odd_columns(frame: pl.DataFrame, *, at_real_prices: bool) -> None:
    """Raise :class:`SignalFrameError` for a column that is unknown, of the other model, or should hold numbers."""
    known = REAL_COLUMNS if at_real_prices else COLUMNS
    for name in frame.columns:
        if name in known:
            if name in _NUMBERS and not is_number(frame[name]):
                raise wrong_kind(frame[name], ", not a number")
            continue
        if name in REAL_COLUMNS:
            raise SignalFrameError(
                f"column {name!r} of the signal frame has no meaning under fill='vwap', where orders fill at average "
                "prices.",
                hint='run the strategy with fill="next_open", or drop the column.',
            )
        raise SignalFrameError(
            f"unknown column {name!r} in the signal frame; known: {', '.join(known)}.",
            hint=did_you_mean(name, known) + "drop helper columns with .select(...).",
        )


def refuse(column: pl.Series, wrong: NDArray[np.bool_], why: str, hint: str) -> None:
    """Raise :class:`SignalFrameError` for the first row in which ``wrong`` holds, if any."""
    if wrong.any():
        row = int(wrong.argmax())
        raise SignalFrameError(
            f"column {column.name!r} of the signal frame holds {shown(column[row])} in row {row:,}{why}.",
            hint=hint,
        )


def wrong_kind(column: pl.Series, wanted: str = "") -> SignalFrameError:
    """The error for a column of a kind that it may not be of, with its first value."""
    row = int(column.is_not_null().arg_max() or 0)
    first = f" (row {row:,}: {shown(column[row])})" if column.null_count() < len(column) else ""
    return SignalFrameError(
        f"column {column.name!r} of the signal frame is {column.dtype}{wanted}{first}.",
        hint=f"give {REAL_COLUMNS[column.name]}.",
    )


# Columns are converted one by one, not in one query: a few thousand rows are done before its threads are awake.


def given(column: pl.Series) -> NDArray[np.bool_]:
    """Where the column is not null."""
    return np.asarray(column.is_not_null().to_numpy(), np.bool_)


def is_number(column: pl.Series) -> bool:
    """Whether the column holds numbers, or nothing at all."""
    import polars as pl

    return column.dtype.is_numeric() or column.dtype == pl.Null


def numbers(column: pl.Series) -> NDArray[np.float64]:
    """The numbers of a column that holds numbers, NaN for null."""
    import polars as pl

    return column.cast(pl.Float64).to_numpy()


def texts(column: pl.Series) -> pl.Series:
    """The column as text, null for null."""
    import polars as pl

    try:
        return column.cast(pl.String)
    except pl.exceptions.PolarsError:
        raise SignalFrameError(
            f"column {column.name!r} of the signal frame is {column.dtype}, not text.",
            hint=f"give {REAL_COLUMNS[column.name]}.",
        ) from None


def flags(column: pl.Series) -> NDArray[np.bool_]:
    """True where the column is true or 1; null is false."""
    import polars as pl

    if column.dtype == pl.Boolean:
        return np.asarray(column.fill_null(value=False).to_numpy(), np.bool_)
    if not is_number(column):
        raise wrong_kind(column, ", not true or false")
    number = numbers(column)
    refuse(column, given(column) & (number != 0.0) & (number != 1.0), "", "give true, false or null.")
    return np.asarray(number == 1.0, np.bool_)


def is_text(column: pl.Series) -> bool:
    """Whether the column holds text, or one of few texts."""
    import polars as pl

    return isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum)


def sides(column: pl.Series) -> NDArray[np.float64]:
    """+1 for ``"long"`` or 1, -1 for ``"short"`` or -1, 0 for null or 0, NaN for anything else."""
    import polars as pl

    if is_text(column):
        words = column.cast(pl.String)
        long, short = ((words == word).cast(pl.Float64).to_numpy() for word in ("long", "short"))
        side = long - short  # NaN where null, 0 where neither
        return np.where(np.isnan(side), 0.0, np.where(side == 0.0, np.nan, side))
    if not is_number(column):
        raise wrong_kind(column)
    number = numbers(column)
    if column.null_count():
        number = np.where(given(column), number, 0.0)
    return np.where((number == 0.0) | (np.abs(number) == 1.0), number, np.nan)
