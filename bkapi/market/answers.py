"""Is an exchange's answer complete and valid? Checks it by the configuration in force (spec market-data.md 4, 5.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl

from bkapi.base import config
from bkapi.base.timestamps import from_ms
from bkapi.errors import BkError
from bkcore.candles import checks as candle_checks
from bkcore.candles.door import DoorOptions


class CandleRequestError(BkError):
    """Raised by ``get_candles("BTCUSDT", "1m", 0)``: a request that the exchange cannot answer in full."""


def door_options() -> DoorOptions:
    """How candles of an exchange are checked: by the configuration in force, at the interval that was asked for."""
    return {
        "sparse": True,
        "price_anomaly_factor": float(config.value("CC_GET_CANDLES_PRICE_ANOMALY_THRESHOLD_FACTOR")),
        "min_candles_for_median": int(config.value("CC_GET_CANDLES_MIN_CANDLES_FOR_MEDIAN")),
    }


def validate_candles(candles: Iterable[Any]) -> None:
    """Check one answer of an exchange: mappings, objects or rows of six; an empty one passes.

    Finite numbers, prices above zero, volume not negative, high not below low, no price far below the others (spec
    market-data.md 4). Raises :class:`bkcore.candles.errors.CandleValueError` for the first candle that breaks one.
    """
    options = door_options()
    candle_checks.validate_candles(
        candles,
        price_anomaly_factor=options["price_anomaly_factor"],
        min_candles_for_median=options["min_candles_for_median"],
    )


def no_candles() -> pl.DataFrame:
    """An empty frame of candles."""
    kinds: dict[str, Any] = dict.fromkeys(candle_checks.COLUMNS, pl.Float64)
    return pl.DataFrame(schema={**kinds, "timestamp": pl.Int64})


def complete(rows: pl.DataFrame, since: int, limit: int, step: int, about: str) -> pl.DataFrame:
    """``rows`` when they are the ``limit`` candles from ``since`` on; raises :class:`CandleRequestError`.

    The documented checks 2 to 4 of spec market-data.md 5.1, and every row has to lie on the grid (deviation 10).
    ``about`` says whose candles they are.
    """
    flaw = shortcoming(rows, since, limit, step, about)
    if flaw is not None:
        raise flaw
    return rows


def shortcoming(
    rows: pl.DataFrame, since: int, limit: int, step: int, about: str
) -> CandleRequestError | None:
    """Why ``rows`` are not the ``limit`` candles from ``since`` on; None when they are."""
    if not len(rows):
        return CandleRequestError(
            f"adapter returned empty array. Expected {limit} candles starting from openTime={since} "
            f"({about} from {_minute(since)})",
            hint="ask for a whole number of candles above 0, for less history, or start the frame later.",
        )
    timestamps = rows["timestamp"].to_numpy()
    if timestamps[0] != since:
        return CandleRequestError(
            f"first candle timestamp mismatch. Expected openTime={since}, got={timestamps[0]} "
            f"({about}: {_minute(since)} and {_minute(timestamps[0])})",
            hint="return candles from `since` on, stamped with their open time; or ask for less history.",
        )
    if len(rows) != limit:
        return incomplete(len(rows), limit, since, about)
    off = timestamps != since + step * np.arange(len(rows))
    if off.any():
        row = int(np.argmax(off))
        return CandleRequestError(
            f"candle[{row}] of {about} opens at {_minute(timestamps[row])}, expected {_minute(since + row * step)}: "
            f"a gap is hidden in the {limit} candles.",
            hint="return every candle of the range, without volume where nothing was traded.",
        )
    return None


def incomplete(count: int, limit: int, since: int, about: str) -> CandleRequestError:
    """The error for a range of which some candles are missing."""
    return CandleRequestError(
        f"candle count mismatch. Expected {limit} candles from {_minute(since)}, got {count} ({about})",
        hint="ask for less history, or start the frame later.",
    )


def _minute(timestamp: int) -> str:
    return f"{from_ms(int(timestamp)):%Y-%m-%d %H:%M} UTC"
