"""Which candles are missing? Finds holes, and refuses them or fills them with marked rows."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bkcore.candles.checks import PRICES
from bkcore.candles.errors import CandleError, CandleGapError, shown, utc_text
from bkcore.errors import did_you_mean

GapPolicy = Literal["raise", "keep", "fill"]

#: A gap that needs more candles than this (ten years of minutes) comes from wrong timestamps, not from an outage.
MAX_FILLED = 5_256_000


def check_policy(gaps: str, about: str) -> None:
    """Refuse an unknown gap policy."""
    if not (isinstance(gaps, str) and gaps in get_args(GapPolicy)):
        raise CandleError(
            f"{about}: gaps={shown(gaps)} is no gap policy.",
            hint=did_you_mean(shown(gaps).strip("'"), get_args(GapPolicy))
            + "choose 'raise', 'keep' or 'fill'.",
        )


def holes(timestamps: NDArray[np.int64], step: int) -> pl.DataFrame:
    """One row a hole: ``row`` of the last candle before it, its ``after_timestamp`` (UTC ms), the same as
    datetime ``after``, and how many candles are ``missing``."""
    steps = np.diff(timestamps)
    rows = np.flatnonzero(steps > step)
    after = timestamps[rows]
    return pl.DataFrame(
        {"row": rows.astype(np.int64), "after_timestamp": after, "missing": steps[rows] // step - 1}
    ).select(
        "row",
        "after_timestamp",
        pl.col("after_timestamp").cast(pl.Datetime("ms", "UTC")).alias("after"),
        "missing",
    )


def refuse_holes(found: pl.DataFrame, about: str, hint: str | None = None) -> None:
    """Raise :class:`CandleGapError` for the first hole; a frame without holes passes."""
    if found.is_empty():
        return
    first = found.row(0, named=True)
    missing = first["missing"]
    are = "candle is" if missing == 1 else "candles are"
    others = "" if len(found) == 1 else f"; {len(found):,} holes, {found['missing'].sum():,} candles in all"
    raise CandleGapError(
        f"{about}: {missing:,} {are} missing after {utc_text(first['after_timestamp'])} "
        f"(row {first['row']:,}){others}.",
        hint=hint
        or 'pass gaps="fill" to repeat the last close with volume 0, or gaps="keep" to skip the hole.',
        column="timestamp",
        row=first["row"],
        timestamp=first["after_timestamp"],
    )


def fill_holes(frame: pl.DataFrame, step: int, about: str) -> pl.DataFrame:
    """The frame on its whole grid: a missing candle repeats the last close, has no volume, is ``filled``."""
    timestamps = frame["timestamp"].to_numpy()
    first = int(timestamps[0])
    count = (int(timestamps[-1]) - first) // step + 1
    if count - len(frame) > MAX_FILLED:
        found = holes(timestamps, step)
        widest = found.row(int(found["missing"].arg_max() or 0), named=True)
        raise CandleGapError(
            f"{about}: filling would invent {count - len(frame):,} candles, {widest['missing']:,} of them "
            f"after {utc_text(widest['after_timestamp'])} (row {widest['row']:,}).",
            hint=f"at most {MAX_FILLED:,} are filled; check the timestamps, or split the frame there.",
            column="timestamp",
            row=widest["row"],
            timestamp=widest["after_timestamp"],
        )
    present = np.zeros(count, dtype=np.bool_)
    present[(timestamps - first) // step] = True
    source = np.cumsum(present) - 1
    close = frame["close"].to_numpy()[source]
    filled = ~present
    if "filled" in frame.columns:
        filled |= frame["filled"].to_numpy()[source]
    columns: dict[str, NDArray[np.generic]] = {"timestamp": first + step * np.arange(count, dtype=np.int64)}
    columns |= {name: np.where(present, frame[name].to_numpy()[source], close) for name in PRICES}
    columns["volume"] = np.where(present, frame["volume"].to_numpy()[source], 0.0)
    columns["filled"] = filled
    return pl.DataFrame(columns)
