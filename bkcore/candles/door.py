"""In which order are candles checked, and which checks can a caller change?"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, TypedDict

import numpy as np
import polars as pl

from bkcore.candles.checks import (
    COLUMNS,
    MIN_CANDLES_FOR_MEDIAN,
    PRICE_ANOMALY_FACTOR,
    IntColumn,
    check_times,
    check_values,
    interval_of,
)
from bkcore.candles.errors import CandleError, shown
from bkcore.candles.gaps import GapPolicy, check_policy, fill_holes, holes, refuse_holes
from bkcore.candles.times import UNIT_NAMES, TimestampUnit
from bkcore.errors import did_you_mean
from bkcore.intervals import interval_step_ms


class DoorOptions(TypedDict, total=False):
    """Options of the check besides the gap policy; ordinary candles need none.

    timestamp_unit : {"s", "ms", "us", "ns"}   of integer timestamps; recognised by magnitude when not given
    price_anomaly_factor : float               refuse prices below reference / factor; 1000 (math.inf: never)
    min_candles_for_median : int               with fewer candles the reference is a mean; 5
    sparse : bool                              the interval is certain, however far apart the candles are; False
    """

    timestamp_unit: TimestampUnit | None
    price_anomaly_factor: float
    min_candles_for_median: int
    sparse: bool


def checked_symbol(symbol: Any) -> str:
    """``symbol`` if it is one; raises :class:`CandleError`."""
    if not isinstance(symbol, str) or not symbol.strip():
        raise CandleError(f"symbol={shown(symbol)} is no symbol.", hint="pass text such as symbol='BTCUSDT'.")
    return symbol


def checked_interval(interval: Any) -> str:
    """``interval`` if it is a documented one; raises :class:`UnknownIntervalError`."""
    interval_step_ms(interval if isinstance(interval, str) else shown(interval))
    return str(interval)


def check_options(gaps: str, options: DoorOptions, about: str) -> None:
    """Refuse an unknown gap policy or option, before any candle is read; raises :class:`CandleError`."""
    check_policy(gaps, about)
    known = (*DoorOptions.__annotations__, "symbol", "interval", "gaps")
    for name in options:
        if name not in known:
            raise CandleError(
                f"{about}: there is no option {name!r}.",
                hint=did_you_mean(name, known) + f"known are {', '.join(known)}.",
            )
    unit = options.get("timestamp_unit")
    if unit is not None and not (isinstance(unit, str) and unit in UNIT_NAMES):
        raise CandleError(
            f"{about}: timestamp_unit={shown(unit)} is not known.",
            hint=did_you_mean(shown(unit).strip("'"), UNIT_NAMES)
            + f"choose {', '.join(map(repr, UNIT_NAMES))}.",
        )
    factor: Any = options.get("price_anomaly_factor", PRICE_ANOMALY_FACTOR)
    least: Any = options.get("min_candles_for_median", MIN_CANDLES_FOR_MEDIAN)
    for name, value, kind in (("price_anomaly_factor", factor, Real), ("min_candles_for_median", least, int)):
        if not (isinstance(value, kind) and _above_zero(value)):
            raise CandleError(
                f"{about}: {name}={shown(value)} must be a number above zero.",
                hint=f"the defaults are {PRICE_ANOMALY_FACTOR:g} and {MIN_CANDLES_FOR_MEDIAN}.",
            )


def _above_zero(value: Any) -> bool:
    """Whether a number is above zero and a float can hold it; NaN is not above zero."""
    return bool(0 < value < 1e300 or value == math.inf)


def measured_interval(timestamps: IntColumn, about: str) -> str:
    """The interval of the smallest step forward, for files whose name contains none."""
    steps = np.diff(timestamps)
    forward = steps[steps > 0]
    found = interval_of(int(forward.min())) if forward.size else None
    if found is None:
        least = f"the smallest step is {forward.min() / 60_000:g} minutes" if forward.size else ""
        told = least or "no candle follows another"
        raise CandleError(
            f"{about}: neither the file name nor its candles tell a documented interval: {told}.",
            hint="pass interval='1m', or name the file like BTCUSDT-1m.parquet.",
            column="timestamp",
        )
    return found


def admitted(
    frame: pl.DataFrame, interval: str, gaps: GapPolicy, about: str, options: DoorOptions
) -> pl.DataFrame:
    """The frame after all checks, with its gaps treated as the policy says."""
    timestamps = frame["timestamp"].to_numpy()
    step = interval_step_ms(interval)
    check_times(timestamps, interval, step, about, sparse=options.get("sparse", False))
    check_values(
        timestamps,
        [frame[name].to_numpy() for name in COLUMNS[1:]],
        about,
        price_anomaly_factor=options.get("price_anomaly_factor", PRICE_ANOMALY_FACTOR),
        min_candles_for_median=options.get("min_candles_for_median", MIN_CANDLES_FOR_MEDIAN),
    )
    return gaps_settled(frame, interval, gaps, about)


def gaps_settled(frame: pl.DataFrame, interval: str, gaps: GapPolicy, about: str) -> pl.DataFrame:
    """The frame with its gaps treated as the policy says; raises :class:`CandleGapError`."""
    step = interval_step_ms(interval)
    if gaps == "raise":
        refuse_holes(holes(frame["timestamp"].to_numpy(), step), about)
    return fill_holes(frame, step, about) if gaps == "fill" else frame
