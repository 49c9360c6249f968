"""How candles of one interval become candles of a longer one, aligned to the UTC epoch."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bkcore.candle_errors import CandleError, CandleResampleError, shown, utc_text
from bkcore.candle_gaps import holes, refuse_holes
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
    buckets = timestamps // length * length
    if edges == "drop":
        inner = (buckets >= timestamps[0]) & (buckets + length <= timestamps[-1] + step)
        if not inner.any():
            raise CandleResampleError(
                f"{about}: no {target} candle is complete between {utc_text(int(timestamps[0]))} and "
                f"{utc_text(int(timestamps[-1]))} ({len(frame):,} rows).",
                hint='pass edges="keep" to keep incomplete candles, or give more candles.',
                timestamp=int(timestamps[0]),
            )
        first, end = int(np.argmax(inner)), len(inner) - int(np.argmax(inner[::-1]))
        frame, timestamps, buckets = frame[first:end], timestamps[first:end], buckets[first:end]
    if holes == "raise":
        _refuse(timestamps, step, target, about)
    folded = _folded(frame, buckets)
    if holes == "drop":
        expected = _expected_rows(folded["timestamp"].to_numpy(), timestamps, step, length)
        folded = folded.filter(pl.Series(np.bincount(_numbering(buckets)) == expected))
        if folded.is_empty():
            raise CandleResampleError(
                f"{about}: each {target} candle between {utc_text(int(timestamps[0]))} and "
                f"{utc_text(int(timestamps[-1]))} has a hole ({len(frame):,} rows).",
                hint='pass holes="keep", or fill the frame first with gaps="fill".',
                timestamp=int(timestamps[0]),
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


def _refuse(timestamps: NDArray[np.int64], step: int, target: str, about: str) -> None:
    refuse_holes(
        holes(timestamps, step),
        about,
        hint=f'pass holes="drop" to leave out {target} candles with a hole, holes="keep" to make them of '
        'what is there, or fill the frame first with gaps="fill".',
    )


def _numbering(buckets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which of the buckets, counted from 0, each row is in."""
    numbers: NDArray[np.int64] = np.zeros(buckets.size, dtype=np.int64)
    np.cumsum(np.diff(buckets) != 0, out=numbers[1:])
    return numbers


def _expected_rows(
    starts: NDArray[np.int64], timestamps: NDArray[np.int64], step: int, length: int
) -> NDArray[np.int64]:
    """Rows each bucket would have without holes: all of it, or what lies inside the frame at its edges."""
    begin = np.maximum(starts, timestamps[0])
    end = np.minimum(starts + length, timestamps[-1] + step)
    rows: NDArray[np.int64] = (end - begin) // step
    return rows


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
