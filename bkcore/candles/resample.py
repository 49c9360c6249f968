"""Makes candles of a longer interval from candles of a shorter one, aligned to the UTC epoch."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bkcore.candles.errors import CandleError, CandleResampleError, shown, utc_text
from bkcore.candles.gaps import holes, refuse_holes
from bkcore.errors import did_you_mean
from bkcore.intervals import INTERVAL_MINUTES, interval_step_ms

EdgePolicy = Literal["drop", "keep"]
HolePolicy = Literal["raise", "drop", "keep"]


def resample_frame(
    frame: pl.DataFrame,
    interval: str,
    target: str,
    about: str,
    *,
    edges: EdgePolicy = "drop",
    holes: HolePolicy = "raise",
) -> pl.DataFrame:
    """Candles of ``target`` from candles of ``interval``; see ``CandleFrame.resample`` for the rules.

    frame : the schema of ``CandleFrame.frame``, in order, on the grid, at least one row.
    Volume is summed left to right, so results repeat bit for bit.
    """
    step, length = _steps(interval, target, about)
    _check_choice("edges", edges, EdgePolicy, about)
    _check_choice("holes", holes, HolePolicy, about)
    if length == step:
        return frame
    timestamps = frame["timestamp"].to_numpy()
    begin, end = int(timestamps[0]), int(timestamps[-1]) + step
    if edges == "drop":
        begin, end = -(-begin // length) * length, end // length * length
        if begin >= end:
            raise CandleResampleError(
                f"{about}: no {target} candle is complete between {utc_text(int(timestamps[0]))} and "
                f"{utc_text(int(timestamps[-1]))} ({len(frame):,} rows).",
                hint='pass edges="keep" to keep incomplete candles, or give more candles.',
                timestamp=int(timestamps[0]),
            )
    if holes == "raise":
        _refuse_holes_within(timestamps, begin, end, step, target, about)
    first, last = np.searchsorted(timestamps, [begin, end])
    inside = timestamps[first:last]
    folded = _folded(frame[int(first) : int(last)], inside // length * length) if inside.size else frame[:0]
    if holes == "drop" and inside.size:
        starts = folded["timestamp"].to_numpy()
        expected = (np.minimum(starts + length, end) - np.maximum(starts, begin)) // step
        present = np.bincount(_numbering(inside // length))
        folded = folded.filter(pl.Series(present == expected))
    if folded.is_empty():
        raise CandleResampleError(
            f"{about}: each {target} candle between {utc_text(begin)} and {utc_text(end)} has a hole "
            f"({len(frame):,} rows).",
            hint='pass holes="keep", or fill the frame first with gaps="fill".',
            timestamp=begin,
        )
    return folded.rechunk()


def _steps(interval: str, target: str, about: str) -> tuple[int, int]:
    step, length = interval_step_ms(interval), interval_step_ms(target)
    if length % step:
        longer = [name for name, minutes in INTERVAL_MINUTES.items() if minutes * 60_000 % step == 0]
        what = "is shorter" if length < step else "is no whole number of them"
        raise CandleResampleError(
            f"{about}: {interval} candles cannot become {target} candles: {target} {what}.",
            hint=f"from {interval} one can make {', '.join(longer[1:]) or 'nothing longer'}.",
        )
    return step, length


def _check_choice(name: str, given: str, choices: object, about: str) -> None:
    known = get_args(choices)
    if given not in known:
        listed = ", ".join(repr(choice) for choice in known)
        raise CandleError(
            f"{about}: {name}={shown(given)} is not known.",
            hint=did_you_mean(str(given), known) + f"choose {listed}.",
        )


def _refuse_holes_within(
    timestamps: NDArray[np.int64], begin: int, end: int, step: int, target: str, about: str
) -> None:
    """Raise :class:`CandleGapError` for a hole that reaches into ``[begin, end)``."""
    found = holes(timestamps, step)
    upto = pl.col("after_timestamp") + (pl.col("missing") + 1) * step
    refuse_holes(
        found.filter((pl.col("after_timestamp") + step < end) & (upto > begin)),
        about,
        hint=f'pass holes="drop" to leave out {target} candles with a hole, holes="keep" to make them of '
        'what is there, or fill the frame first with gaps="fill".',
    )


def _numbering(buckets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bucket of each row, counted from 0."""
    numbers: NDArray[np.int64] = np.zeros(buckets.size, dtype=np.int64)
    np.cumsum(np.diff(buckets) != 0, out=numbers[1:])
    return numbers


def _folded(frame: pl.DataFrame, buckets: NDArray[np.int64]) -> pl.DataFrame:
    first = np.concatenate(([0], np.flatnonzero(np.diff(buckets)) + 1))
    last = np.concatenate((first[1:], [len(buckets)])) - 1
    columns: dict[str, NDArray[np.generic]] = {
        "timestamp": buckets[first],
        "open": frame["open"].to_numpy()[first],
        "high": np.maximum.reduceat(frame["high"].to_numpy(), first),
        "low": np.minimum.reduceat(frame["low"].to_numpy(), first),
        "close": frame["close"].to_numpy()[last],
        "volume": np.bincount(_numbering(buckets), weights=frame["volume"].to_numpy()),
    }
    if "filled" in frame.columns:
        columns["filled"] = np.logical_or.reduceat(frame["filled"].to_numpy(), first)
    return pl.DataFrame(columns)
