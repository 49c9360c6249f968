"""What can be wrong with candles? One family of errors; each says what, where and the way out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from bkcore.errors import BkError, shown as shown

#: What a foreign library may raise over a foreign object; a panic of Polars is no ``Exception``.
FOREIGN = (Exception, pl.exceptions.PanicException)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc_text(timestamp: int) -> str:
    """``1704067200000`` (UTC ms) as ``"2024-01-01 00:00 UTC"``; seconds and ms only when not zero."""
    try:
        moment = _EPOCH + timedelta(milliseconds=timestamp)
    except OverflowError:  # beyond the years of a datetime
        return f"{timestamp} ms after 1970"
    text = moment.strftime("%Y-%m-%d %H:%M")
    if timestamp % 60_000:
        text += moment.strftime(":%S")
    if timestamp % 1000:
        text += f".{timestamp % 1000:03d}"
    return text + " UTC"


def told_kind(dtype: pl.DataType) -> str:
    """What an unusable column holds, in a user's words."""
    if isinstance(dtype, pl.Boolean):
        return "true and false"
    if dtype.is_temporal():
        return "times"
    if dtype.is_numeric():
        return "numbers"
    if dtype.is_nested():
        return "lists or records"
    return "nothing" if isinstance(dtype, pl.Null) else "text" if isinstance(dtype, pl.String) else "objects"


class CandleError(BkError, ValueError):
    """Base of all errors about candles, e.g. ``CandleFrame.from_any(frame, symbol="")``.

    ``column``, ``row`` (counted from 0, without the header line) and ``timestamp`` (UTC ms) say where;
    each is None where it does not apply.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        column: str | None = None,
        row: int | None = None,
        timestamp: int | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.column = column
        self.row = row
        self.timestamp = timestamp


class CandleTypeError(CandleError, TypeError):
    """Raised by ``CandleFrame.from_any(42, symbol="BTCUSDT")``: data or a column of an unsuitable type."""


class CandleColumnError(CandleError):
    """Raised by ``CandleFrame.from_any({"open": [1.0]}, symbol="X")``: columns missing, double or uneven."""


class EmptyCandlesError(CandleError):
    """Raised by ``CandleFrame.from_any([], symbol="BTCUSDT")``: there is no row."""


class CandleTimeError(CandleError):
    """Raised by timestamps ``["soon", ...]``, by mixed units, and by years outside 1970..2199."""


class CandleOrderError(CandleError):
    """Raised by timestamps ``[60_000, 0]``: a row is earlier than the one before it."""


class CandleDuplicateError(CandleError):
    """Raised by timestamps ``[0, 0]``: two rows have the same open time."""


class CandleAlignmentError(CandleError):
    """Raised by interval ``"1m"`` and timestamp ``30_000``: an open time, or the step, is off the grid."""


class CandleValueError(CandleError):
    """Raised by ``validate_candles`` for a price of zero: a candle breaks a rule of spec market-data.md 4."""


class CandleGapError(CandleError):
    """Raised by timestamps ``[0, 120_000]``, interval ``"1m"`` and ``gaps="raise"``: candles are missing."""


class CandleFileError(CandleError):
    """Raised by ``CandleFrame.read("nowhere.csv")``: the file is absent, damaged, unsafe or of an unknown format."""


class CandleConflictError(CandleError):
    """Raised by ``CandleFrame.read_many`` when two files have different candles for one open time."""


class CandleResampleError(CandleError):
    """Raised by ``frame.resample("1m")`` on 5m candles: no multiple, or no candle would be complete."""


def damaged(about: str, what: str) -> CandleFileError:
    """The error for a file that its format's reader could not read; the reader's own words are kept inside."""
    return CandleFileError(
        f"{about}: {what} is damaged or cut short.", hint="download or write the file again."
    )
