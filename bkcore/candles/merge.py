"""Joins candles of several files by time: equal overlaps are kept once, contradictions refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bkcore.candles.checks import COLUMNS
from bkcore.candles.errors import CandleConflictError, utc_text


def merged(frames: Sequence[tuple[str, pl.DataFrame]], about: str) -> pl.DataFrame:
    """One frame of all candles in the order of time; ``frames`` are pairs of file name and checked candles.

    Raises :class:`CandleConflictError` for the first open time at which two files differ.
    """
    if any("filled" in frame.columns for _, frame in frames):
        frames = [
            (name, frame if "filled" in frame.columns else frame.with_columns(filled=False))
            for name, frame in frames
        ]
    whole = pl.concat(
        [frame.with_columns(source=pl.lit(at, dtype=pl.UInt32)) for at, (_, frame) in enumerate(frames)]
    ).sort("timestamp", maintain_order=True)
    timestamps = whole["timestamp"].to_numpy()
    again = np.concatenate(([False], np.diff(timestamps) == 0))
    columns = [name for name in whole.columns if name not in ("timestamp", "source")]
    differs = {name: again & np.concatenate(([False], _changes(whole[name]))) for name in columns}
    conflicts = np.logical_or.reduce(list(differs.values()))
    if conflicts.any():
        row = int(np.argmax(conflicts))
        column = next(name for name in (*COLUMNS[1:], "filled") if name in differs and differs[name][row])
        first, other = (f"{whole[column][at]} in {frames[whole['source'][at]][0]!r}" for at in (row - 1, row))
        raise CandleConflictError(
            f"{about}: {column} at {utc_text(int(timestamps[row]))} is {first} and {other} "
            f"(row {row:,} of the joined files).",
            hint="leave one of the files out, or correct it.",
            column=column,
            row=row,
            timestamp=int(timestamps[row]),
        )
    return whole.filter(pl.Series(~again)).drop("source")


def _changes(column: pl.Series) -> NDArray[np.bool_]:
    values = column.to_numpy()
    changed: NDArray[np.bool_] = values[1:] != values[:-1]
    return changed
