"""Changes, for a while, the candles that a strategy's code keeps in its own variables (for the look-ahead check)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from bkcore.candles.frame import CandleFrame
from bkcore.machine.market import Market

_PRICES = ("open", "high", "low", "close")


@contextmanager
def altered_globals(
    functions: Iterable[Callable[..., Any]], base: Market, row: int | None, factor: float
) -> Iterator[None]:
    """For a block, multiply candles in the variables of functions by ``factor`` from row ``row`` of the market on.

    Looks at the variables of their modules and closures: candle frames, Polars frames with a ``timestamp``, and
    arrays and series as long as the market. With None nothing changes.
    """
    undo: list[Callable[[], object]] = []
    try:
        if row is not None:
            for function in functions:
                undo += _exchanged(function, base, row, factor)
        yield
    finally:
        for back in reversed(undo):
            back()


def _exchanged(
    function: Callable[..., Any], base: Market, row: int, factor: float
) -> Iterator[Callable[[], object]]:
    own = getattr(function, "__wrapped__", function)
    own = getattr(own, "__func__", own)
    names = getattr(own, "__globals__", {})
    for name, value in list(names.items()):
        other = _altered(value, base, row, factor)
        if other is not value:
            names[name] = other
            yield partial(names.__setitem__, name, value)
    for cell in getattr(own, "__closure__", None) or ():
        try:
            value = cell.cell_contents
        except ValueError:
            continue
        other = _altered(value, base, row, factor)
        if other is not value:
            cell.cell_contents = other
            yield partial(setattr, cell, "cell_contents", value)


def _altered(value: Any, base: Market, row: int, factor: float) -> Any:
    if isinstance(value, CandleFrame):
        frame = _altered_frame(
            value.frame, int(base.timestamps[row]) if row < len(base) else math.inf, factor
        )
        return CandleFrame.from_any(
            frame.select("timestamp", *_PRICES, "volume"),
            symbol=value.symbol,
            interval=value.interval,
            gaps="keep" if len(value.gaps) else "raise",
            price_anomaly_factor=math.inf,
        )
    if isinstance(value, pl.DataFrame) and "timestamp" in value.columns and "close" in value.columns:
        if not value["timestamp"].dtype.is_integer():
            return value
        return _altered_frame(value, int(base.timestamps[row]) if row < len(base) else math.inf, factor)
    if isinstance(value, np.ndarray | pl.Series) and len(value) == len(base):
        array = np.asarray(value)
        if array.ndim != 1 or array.dtype.kind != "f":
            return value
        changed = array.copy()
        changed[row:] *= factor
        return pl.Series(value.name, changed) if isinstance(value, pl.Series) else changed
    return value


def _altered_frame(frame: Any, since: float, factor: float) -> Any:
    later = pl.col("timestamp") >= since
    names = [name for name in _PRICES if name in frame.columns]
    return frame.with_columns(
        [pl.when(later).then(pl.col(name) * factor).otherwise(pl.col(name)).alias(name) for name in names]
    )
