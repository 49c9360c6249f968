"""When two tables of records are the same: field by field, bit by bit."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bkcore.machine.run import Run

Records = NDArray[np.void]

#: What a run without a log does not keep.
ONLY_WITH_LOG = ("profit_level", "loss_level", "breakeven_reached")


def bits(values: NDArray[Any]) -> NDArray[Any]:
    """The values, floats as their 64 bits, so that NaN equals itself and 0.0 does not equal -0.0."""
    values = np.ascontiguousarray(values)
    return values.view(np.int64) if values.dtype == np.float64 else values


def assert_same_records(one: Records, other: Records, *, without: Collection[str] = ()) -> None:
    """Fail with the first field and row that differ."""
    assert one.size == other.size, f"{one.size} rows, {other.size} rows"
    for name in one.dtype.names or ():
        if name in without:
            continue
        differs = np.flatnonzero(bits(one[name]) != bits(other[name]))
        if differs.size:
            row = int(differs[0])
            raise AssertionError(f"row {row}, {name}: {one[name][row]!r} and {other[name][row]!r}")


def assert_same_runs(one: Run, other: Run, *, without: Collection[str] = ()) -> None:
    """Fail unless both runs came to the same end with the same trades, their history, commits and events."""
    assert one.out_of_candles == other.out_of_candles
    assert one.state["rejected_count"] == other.state["rejected_count"]
    assert_same_records(one.trades, other.trades, without=without)
    assert_same_records(rows_of(one, "entries", "entry"), rows_of(other, "entries", "entry"))
    assert_same_records(rows_of(one, "partials", "partial"), rows_of(other, "partials", "partial"))
    assert_same_records(rows_of(one, "revisions", "revision"), rows_of(other, "revisions", "revision"))
    if one.state["logs"][0] and other.state["logs"][0]:
        assert_same_records(rows_of(one, "commits", "commit"), rows_of(other, "commits", "commit"))
        assert_same_records(one.events, other.events)


def rows_of(run: Run, table: str, name: str) -> Records:
    """The rows of a table that a run has written."""
    records: Records = getattr(run, table)
    return records[: int(run.state[f"{name}_count"][0])]
