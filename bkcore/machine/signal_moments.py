"""When does a signal count? The times of a signal frame in ms UTC, in order, on the grid and in the span of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bkcore.intervals import MINUTE_MS
from bkcore.machine.signal_frames import COLUMNS, SignalFrameError, wrong_kind

if TYPE_CHECKING:
    import polars as pl


class Asking(NamedTuple):
    """When a row of signals can count: ``first`` to ``last`` (ms UTC, both included), at multiples of ``step_ms``.

    These are the moments at which a strategy may be asked; at real prices the ticks, and the step is the base interval.
    """

    first: int
    last: int
    step_ms: int


def moments(column: pl.Series, asking: Asking | None, *, at_real_prices: bool) -> NDArray[np.int64]:
    """The times of the rows, int64[n] ms UTC.

    Raises :class:`SignalFrameError` for a missing time, a fraction of a millisecond, times in another unit, times that
    go back, a time given twice (at real prices), and where all lie outside ``asking``.
    """
    column = _in_milliseconds(column)
    if column.null_count():
        row = int(column.is_null().arg_max() or 0)
        raise SignalFrameError(
            f"column 'timestamp' of the signal frame holds no moment in row {row:,}.",
            hint=f"every row needs its {COLUMNS['timestamp']}.",
        )
    time = column.to_numpy()
    if asking is not None:
        _refuse_other_units(time, asking)
    _refuse_disorder(time, each_once=at_real_prices)
    if asking is not None:
        _refuse_another_time(time, asking)
    return time


def refuse_off_grid(
    time: NDArray[np.int64], counts: NDArray[np.bool_] | None, asking: Asking, *, at_real_prices: bool
) -> None:
    """Raise :class:`SignalFrameError` for the first row between two moments of ``asking``.

    counts   bool[n]: the rows that matter; None = all
    """
    off = time % asking.step_ms != 0
    if counts is not None:
        off &= counts
    if not off.any():
        return
    row = int(off.argmax())
    minutes = asking.step_ms // MINUTE_MS
    why, remedy = (
        (
            f"ticks are multiples of {minutes:,} min, so this row would never count",
            "use candles of a shorter interval",
        )
        if at_real_prices
        else (
            f"the strategy is asked at multiples of {minutes:,} min, so this signal would be missed",
            "give the strategy a shorter interval",
        )
    )
    raise SignalFrameError(
        f"column 'timestamp' of the signal frame holds {_told(time, row)} in row {row:,}: {why}.",
        hint=f"move it to the next one, {_utc(-(-int(time[row]) // asking.step_ms) * asking.step_ms)}, or {remedy}.",
    )


def _utc(time: int) -> str:
    from bkcore.candles.errors import utc_text

    return utc_text(time)


def _told(time: NDArray[np.int64], row: int) -> str:
    return f"{_utc(int(time[row]))} ({time[row]})"


def _in_milliseconds(column: pl.Series) -> pl.Series:
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
        raise wrong_kind(column)
    return column.cast(pl.Int64, strict=False)


def _refuse_disorder(time: NDArray[np.int64], *, each_once: bool) -> None:
    wrong = time[1:] <= time[:-1] if each_once else time[1:] < time[:-1]
    if not wrong.any():
        return
    row = int(wrong.argmax()) + 1
    if time[row] == time[row - 1]:
        raise SignalFrameError(
            f"column 'timestamp' of the signal frame holds {_told(time, row)} twice, in rows {row - 1:,} and {row:,}.",
            hint="give one row per moment, of one symbol: "
            ".unique('timestamp', keep='last', maintain_order=True) keeps the last one.",
        )
    raise SignalFrameError(
        f"column 'timestamp' of the signal frame goes back in row {row:,}: {time[row]} after {time[row - 1]}.",
        hint="sort the frame: .sort('timestamp').",
    )


#: How the times of another unit become ms; exact within any years.
_UNITS: dict[str, tuple[int, int]] = {
    "seconds": (1000, 1),
    "microseconds": (1, 1000),
    "nanoseconds": (1, 1_000_000),
}


def _refuse_other_units(time: NDArray[np.int64], asking: Asking) -> None:
    outside = (time < asking.first) | (time > asking.last)
    if not outside.any():
        return
    for unit, (times, parts) in _UNITS.items():
        fitting = (
            outside & (time >= -(-asking.first * parts // times)) & (time <= asking.last * parts // times)
        )
        if fitting.any():
            row = int(fitting.argmax())
            raise SignalFrameError(
                f"column 'timestamp' of the signal frame holds {time[row]} in row {row:,}, but {_span(asking)}.",
                hint=f"these look like {unit}: give milliseconds, or a column of datetimes.",
            )


def _refuse_another_time(time: NDArray[np.int64], asking: Asking) -> None:
    if time.size and ((time < asking.first) | (time > asking.last)).all():
        raise SignalFrameError(
            f"column 'timestamp' of the signal frame goes from {_utc(int(time[0]))} (row 0) to "
            f"{_utc(int(time[-1]))} (row {time.size - 1:,}), but {_span(asking)}: no signal would ever be seen.",
            hint="make signals for these candles; timestamps are ms since 1970 UTC.",
        )


def _span(asking: Asking) -> str:
    return f"the candles go from {_utc(asking.first)} to {_utc(asking.last)}"
