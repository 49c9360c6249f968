"""What makes candles valid? The value rule of spec market-data.md 4, and the order and grid of open times."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bkcore.candles.errors import (
    CandleAlignmentError,
    CandleDuplicateError,
    CandleOrderError,
    CandleTypeError,
    CandleValueError,
    utc_text,
)
from bkcore.intervals import INTERVAL_MINUTES, MINUTE_MS

FloatColumn = NDArray[np.float64]
IntColumn = NDArray[np.int64]

PRICES = ("open", "high", "low", "close")
COLUMNS = ("timestamp", *PRICES, "volume")

#: Defaults of the anomaly rule (CC_GET_CANDLES_PRICE_ANOMALY_THRESHOLD_FACTOR and .._MIN_CANDLES_FOR_MEDIAN).
PRICE_ANOMALY_FACTOR = 1000.0
MIN_CANDLES_FOR_MEDIAN = 5

#: A long frame is judged in pieces of this many candles, as the exchange client judges its responses
#: (``CC_MAX_CANDLES_PER_REQUEST``): the reference price stays near in time, so an asset that really rose
#: or fell a thousandfold over the years is not an anomaly.
RESPONSE_CANDLES = 1000

_ANOMALY_HINT = (
    "correct or drop the candle; if the fall is real, raise price_anomaly_factor (math.inf never refuses)."
)
_VALUE_HINT = "correct or drop the candle; prices are finite and above zero, volume finite and not negative."


def columns_digest(symbol: str, step_ms: int, columns: Iterable[NDArray[Any]]) -> str:
    """Sixteen hex digits over candle columns in their usual order; the same on every platform."""
    state = hashlib.sha256(f"{symbol} {step_ms}".encode())
    for column in columns:
        state.update(column.astype(column.dtype.newbyteorder("<"), copy=False).data)
    return state.hexdigest()[:16]


class Flaw(NamedTuple):
    """The first flaw of a batch: row ``row`` has ``problem``, in ``column``."""

    row: int
    column: str
    problem: str
    hint: str


def reference_price(prices: Sequence[FloatColumn], min_candles_for_median: int) -> float | None:
    """Upper median of all prices above zero; their mean with few candles (spec market-data.md 4.1).

    prices : four f8[n]; None when no price is above zero.
    """
    kept = np.column_stack(prices).ravel()  # candle by candle: the mean is summed left to right
    kept = kept[kept > 0.0]
    if kept.size == 0:
        return None
    if prices[0].size >= min_candles_for_median:
        middle = kept.size // 2
        return float(np.partition(kept, middle)[middle])
    return float(np.cumsum(kept)[-1]) / kept.size


def first_flaw(
    columns: Sequence[FloatColumn],
    *,
    price_anomaly_factor: float = PRICE_ANOMALY_FACTOR,
    min_candles_for_median: int = MIN_CANDLES_FOR_MEDIAN,
    counted: Sequence[FloatColumn] | None = None,
) -> Flaw | None:
    """The first candle that breaks the rule of spec market-data.md 4, or None.

    columns : six f8[n] in the order of ``COLUMNS``, NaN where a value is missing or no number.
    counted : four f8[n], the prices for the reference, where they are not those of ``columns``.
    The columns are one adapter response: its candles share one reference price.
    """
    timestamp, *prices, volume = columns
    if timestamp.size == 0:
        return None
    reference = reference_price(prices if counted is None else counted, min_candles_for_median)
    if reference is None:
        return Flaw(0, "open", "cannot calculate reference price: no price is above zero", _VALUE_HINT)
    min_valid = reference / price_anomaly_factor
    high, low = prices[1], prices[2]
    with np.errstate(invalid="ignore"):
        invalid = ~np.logical_and.reduce([np.isfinite(column) for column in columns])
        not_positive = np.logical_or.reduce([price <= 0.0 for price in prices]) | (volume < 0.0)
        crossed = high < low
        too_low = np.logical_or.reduce([price < min_valid for price in prices])
    flawed = invalid | not_positive | crossed | too_low
    if not flawed.any():
        return None
    row = int(np.argmax(flawed))
    values = {name: float(column[row]) for name, column in zip(COLUMNS, columns, strict=True)}
    if invalid[row]:
        column = next(name for name in COLUMNS if not math.isfinite(values[name]))
        problem, hint = f"invalid numeric values: {column}={values[column]}", _VALUE_HINT
    elif not_positive[row]:
        column = next((name for name in PRICES if values[name] <= 0.0), "volume")
        problem, hint = f"zero or negative values: {column}={values[column]}", _VALUE_HINT
    elif crossed[row]:
        column = "high"
        problem = f"high ({values['high']}) < low ({values['low']})"
        hint = "correct or drop the candle; are the columns perhaps in another order?"
    else:
        column = next(name for name in PRICES if values[name] < min_valid)
        problem = (
            f"anomalously low price: {column}={values[column]} is below {min_valid:.8g}, "
            f"the reference price {reference:.8g} / {price_anomaly_factor:g}"
        )
        hint = _ANOMALY_HINT
    return Flaw(row, column, problem, hint)


def _number(value: Any) -> float:
    """A number as float; NaN for everything else, also for text and booleans."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def validate_candles(
    candles: Iterable[Any],
    *,
    about: str = "candles",
    price_anomaly_factor: float = PRICE_ANOMALY_FACTOR,
    min_candles_for_median: int = MIN_CANDLES_FOR_MEDIAN,
) -> None:
    """Check one adapter response by spec market-data.md 4; an empty one passes.

    candles : mappings or objects with the six fields of ``COLUMNS``, or rows of six in that order.
    ``about`` opens the error, e.g. ``"BTCUSDT 1m"``. As specified, it does not check order, alignment, gaps,
    duplicates, or whether open and close lie inside ``[low, high]``.

    Raises :class:`CandleValueError` for the first candle with a flaw, :class:`CandleTypeError` for a row
    that is no candle at all.
    """
    if not isinstance(candles, Iterable):
        raise CandleTypeError(
            f"{about}: {candles!r:.60} is no list of candles.", hint="give a list of candles."
        )
    rows = [_fields(candle, row, about) for row, candle in enumerate(candles)]
    numbers = [[_number(value) for value in row] for row in rows]
    table = np.array(numbers, dtype=np.float64).reshape(-1, len(COLUMNS)).T
    loose = [[_counted(value) for value in row[1:5]] for row in rows]
    flaw = first_flaw(
        list(table),
        counted=list(np.array(loose, dtype=np.float64).reshape(-1, len(PRICES)).T),
        price_anomaly_factor=price_anomaly_factor,
        min_candles_for_median=min_candles_for_median,
    )
    if flaw is not None:
        time = float(table[0, flaw.row])
        raise _value_error(flaw, about, 0, int(time) if math.isfinite(time) else None)


def _counted(value: Any) -> float:
    """How a value counts in the reference price; ``True`` counts as 1, as recorded in the golden cases."""
    return 1.0 if value is True else _number(value)


def _fields(candle: Any, row: int, about: str) -> list[Any]:
    if isinstance(candle, Mapping):
        return [candle.get(name) for name in COLUMNS]
    if isinstance(candle, list | tuple | np.ndarray):
        if len(candle) == len(COLUMNS):
            return [*candle]
    elif any(hasattr(candle, name) for name in COLUMNS):
        return [getattr(candle, name, None) for name in COLUMNS]
    raise CandleTypeError(
        f"{about}: candle[{row}] is {type(candle).__name__!r}, not a candle.",
        hint=f"a candle has the fields {', '.join(COLUMNS)}.",
        row=row,
    )


def _value_error(flaw: Flaw, about: str, offset: int, timestamp: int | None) -> CandleValueError:
    row = flaw.row + offset
    what = flaw.problem if flaw.problem.startswith("cannot") else f"candle[{row}] has {flaw.problem}"
    when = "" if timestamp is None else f"{utc_text(timestamp)}, "
    return CandleValueError(
        f"{about}: {what} ({when}row {row:,}).",
        hint=flaw.hint,
        column=flaw.column,
        row=row,
        timestamp=timestamp,
    )


def check_values(
    timestamps: IntColumn,
    columns: Sequence[FloatColumn],
    about: str,
    *,
    price_anomaly_factor: float = PRICE_ANOMALY_FACTOR,
    min_candles_for_median: int = MIN_CANDLES_FOR_MEDIAN,
) -> None:
    """Check a long frame by the rule, in pieces of ``RESPONSE_CANDLES``.

    timestamps : i8[n]; columns : five f8[n], open, high, low, close, volume.
    """
    *prices, volume = columns
    if _plainly_valid(prices, volume, price_anomaly_factor):
        return
    for start in range(0, timestamps.size, RESPONSE_CANDLES):
        piece = slice(start, start + RESPONSE_CANDLES)
        flaw = first_flaw(
            [timestamps[piece].astype(np.float64), *(column[piece] for column in columns)],
            price_anomaly_factor=price_anomaly_factor,
            min_candles_for_median=min_candles_for_median,
        )
        if flaw is not None:
            raise _value_error(flaw, about, start, int(timestamps[start + flaw.row]))


def _plainly_valid(prices: Sequence[FloatColumn], volume: FloatColumn, price_anomaly_factor: float) -> bool:
    """Whether minima and maxima alone prove every candle valid; a NaN makes it False.

    Any reference price is at most the highest price (the tiny allowance covers the rounding of a mean).
    """
    highest = max(float(price.max()) for price in prices)
    lowest = min(float(price.min()) for price in prices)
    extremes = [float(edge) for price in (*prices, volume) for edge in (price.min(), price.max())]
    return (
        all(map(math.isfinite, extremes))
        and lowest > 0.0
        and float(volume.min()) >= 0.0
        and not bool((prices[1] < prices[2]).any())
        and lowest * price_anomaly_factor > highest * (1.0 + 1e-9)
    )


def interval_of(step_ms: int) -> str | None:
    """The documented interval of ``step_ms`` milliseconds, or None."""
    return next((name for name, minutes in INTERVAL_MINUTES.items() if minutes * MINUTE_MS == step_ms), None)


def check_times(timestamps: IntColumn, interval: str, step: int, about: str, *, sparse: bool = False) -> None:
    """Refuse open times that are unsorted, doubled, off the grid, or, unless ``sparse``, plainly of another interval.

    timestamps : i8[n], n >= 1, UTC ms; ``step`` is the interval's length in ms.
    """
    steps = np.diff(timestamps)
    if steps.size and steps.min() <= 0:
        row = int(np.argmax(steps <= 0)) + 1
        before, here = int(timestamps[row - 1]), int(timestamps[row])
        if here == before:
            raise CandleDuplicateError(
                f"{about}: timestamp {utc_text(here)} occurs twice (rows {row - 1:,} and {row:,}).",
                hint="keep one row for each timestamp, e.g. frame.unique('timestamp', keep='last').",
                column="timestamp",
                row=row,
                timestamp=here,
            )
        raise CandleOrderError(
            f"{about}: timestamp {utc_text(here)} comes after {utc_text(before)} (row {row:,}); "
            "candles must be in the order of time.",
            hint="sort the rows by timestamp first, e.g. frame.sort('timestamp').",
            column="timestamp",
            row=row,
            timestamp=here,
        )
    off = timestamps % step
    if off.any():
        found = interval_of(int(np.median(steps))) if steps.size else None
        likely = "" if found in (None, interval) else f"the candles look like {found}; "
        row = int(np.argmax(off != 0))
        here = int(timestamps[row])
        raise CandleAlignmentError(
            f"{about}: timestamp {utc_text(here)} is not on the {interval} grid (row {row:,}); "
            f"the candle around it opens at {utc_text(here - int(off[row]))}.",
            hint=f"{likely}pass the interval of the data; a timestamp is the candle's open time in UTC.",
            column="timestamp",
            row=row,
            timestamp=here,
        )
    if not sparse and steps.size >= 2 and steps.min() == steps.max() > step:
        found = interval_of(int(steps[0]))
        raise CandleAlignmentError(
            f"{about}: every candle opens {int(steps[0]) // MINUTE_MS:,} minutes after the one before it, "
            f"not one {interval} (from {utc_text(int(timestamps[0]))}, row 0, on).",
            hint=f"pass interval={found!r}." if found else "pass the interval of the data.",
            column="timestamp",
            row=0,
            timestamp=int(timestamps[0]),
        )
