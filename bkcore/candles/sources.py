"""Which data can be candles? Reads frames of any library, dicts, rows and arrays as raw columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bkcore.candles.columns import RawColumns, column_of, positional_names
from bkcore.candles.errors import FOREIGN, CandleColumnError, CandleTypeError, EmptyCandlesError
from bkcore.errors import type_name

_SHAPES = "a data frame, a dict of columns, a list of dicts or of rows, or an array (n, 6)"


def raw_columns(data: Any, about: str) -> RawColumns:
    """``data`` of any supported shape as named columns; raises :class:`CandleTypeError` for any other.

    This module never imports pandas: without that import there is no pandas frame.
    """
    if isinstance(data, pl.LazyFrame):
        try:
            data = data.collect()
        except FOREIGN:  # whatever the query does wrong, collect() shows it to its author best
            raise CandleTypeError(
                f"{about}: the lazy frame cannot be collected.", hint="call .collect() on it to see why."
            ) from None
    if isinstance(data, pl.DataFrame):
        return _of_polars(data, about, borrowed=False)
    if isinstance(data, Mapping):
        return _of_mapping(data, about)
    if isinstance(data, np.ndarray):
        return _of_array(data, about)
    if isinstance(data, list | tuple):
        return _of_rows(data, about)
    if isinstance(data, str | bytes) or hasattr(data, "__fspath__"):
        raise CandleTypeError(
            f"{about}: candles are given as {type(data).__name__}.",
            hint="CandleFrame.read(path) reads a file.",
        )
    return _of_foreign(data, about)


def _of_polars(frame: pl.DataFrame, about: str, *, borrowed: bool) -> RawColumns:
    names = tuple(frame.columns)
    return RawColumns(
        names,
        lambda places: [column_of(frame.to_series(at), names[at], about) for at in places],
        borrowed,
    )


def _of_mapping(data: Mapping[Any, Any], about: str) -> RawColumns:
    names = tuple(str(name) for name in data)
    values = list(data.values())
    return RawColumns(
        names, lambda places: [column_of(values[at], names[at], about) for at in places], borrowed=True
    )


def _of_array(data: NDArray[Any], about: str) -> RawColumns:
    if data.dtype.names is not None:
        return _of_mapping({name: data[name] for name in data.dtype.names}, about)
    if data.ndim != 2:
        raise CandleTypeError(
            f"{about}: an array of {data.ndim} dimensions is no table of candles.",
            hint="give an array of shape (n, 6): timestamp, open, high, low, close, volume.",
        )
    names = positional_names(data.shape[1], "the array", about)
    return RawColumns(
        names, lambda places: [column_of(data[:, at], names[at], about) for at in places], borrowed=True
    )


def _of_rows(rows: Sequence[Any], about: str) -> RawColumns:
    """Rows as dicts, or as exchanges and ccxt give them: ``[timestamp, open, high, low, close, volume]``."""
    if not rows:
        raise EmptyCandlesError(
            f"{about}: there are no candles (0 rows).",
            hint="check the source or the time range it was cut to.",
        )
    first = rows[0]
    shape: Any = Mapping if isinstance(first, Mapping) else list | tuple | np.ndarray
    stranger = next((at for at, row in enumerate(rows) if not isinstance(row, shape)), None)
    if stranger is not None:
        raise CandleTypeError(
            f"{about}: row {stranger:,} is {type(rows[stranger]).__name__!r}"
            + (f", not {type(first).__name__!r} as the rows before." if stranger else ", not a candle."),
            hint=f"candles are {_SHAPES}.",
            row=stranger,
        )
    if isinstance(first, Mapping):
        keys = list(first)
        names = tuple(str(key) for key in keys)
        return RawColumns(
            names,
            lambda places: [
                column_of([row.get(keys[at]) for row in rows], names[at], about) for at in places
            ],
            borrowed=True,
        )
    odd = next((at for at, row in enumerate(rows) if len(row) != len(first)), None)
    if odd is not None:
        raise CandleColumnError(
            f"{about}: row {odd:,} has {len(rows[odd])} values, the rows before have {len(first)}.",
            hint="each row is [timestamp, open, high, low, close, volume].",
            row=odd,
        )
    names = positional_names(len(first), "a row", about)
    return RawColumns(
        names,
        lambda places: [column_of([row[at] for row in rows], names[at], about) for at in places],
        borrowed=True,
    )


def _of_foreign(data: Any, about: str) -> RawColumns:
    """Frames of other libraries: those that narwhals knows, or that support the Arrow stream protocol."""
    import narwhals

    unknown = CandleTypeError(
        f"{about}: {type_name(data)!r} cannot be read as candles.", hint=f"candles are {_SHAPES}."
    )
    try:
        frame = narwhals.from_native(data, eager_only=True)
    except FOREIGN:  # not one of its frames; the protocol is tried next
        twice = _name_given_twice(data)
        if twice is not None:
            raise CandleColumnError(
                f"{about}: the frame has several columns {twice!r}.", hint="give each column its own name."
            ) from None
        if not hasattr(data, "__arrow_c_stream__"):
            raise unknown from None
        try:
            return _of_polars(pl.DataFrame(data), about, borrowed=True)
        except FOREIGN:  # a stream of something that is no table
            raise unknown from None
    index = narwhals.maybe_get_index(frame)
    if index is not None and type(index).__name__ == "RangeIndex":
        index = None
    if index is not None and type(index).__name__ == "PeriodIndex":
        index = index.to_timestamp()
    names = tuple(str(name) for name in frame.columns)
    natives = [frame.get_column(name).to_native() for name in frame.columns]
    if index is not None:
        names = (str(index.name) if index.name is not None else "index", *names)
        natives = [index, *natives]
    return RawColumns(
        names, lambda places: [column_of(natives[at], names[at], about) for at in places], borrowed=True
    )


def _name_given_twice(data: Any) -> str | None:
    names: list[str] = []
    with suppress(*FOREIGN):  # a foreign object may raise anything when asked for its columns
        names = [str(name) for name in getattr(data, "column_names", None) or data.columns]
    return next((name for name, count in Counter(names).items() if count > 1), None)
