"""Makes the policy records that kernels read, for many combinations at once, column by column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bkapi.schemas.policy import Policy
from bkapi.schemas.space import Column, Space
from bkcore.machine.run import Records

_DCA: Final = ("dca_most_entries", "dca_cost", "dca_cost_factor")
#: What a field of a policy does nothing without.
_NEEDS: Final[dict[str, str]] = {
    "trailing_stop_from_percent": "trailing_stop_distance_percent",
    "trailing_take_from_percent": "trailing_take_distance_percent",
    **dict.fromkeys(_DCA, "dca_step_percent"),
}


def check_policy(space: Space, names: tuple[str, ...]) -> None:
    """Raise what :class:`Policy` raises for a value that it does not take, before the sweep measures anything."""
    for name in names:
        companion = {_NEEDS[name]: 1.0} if name in _NEEDS else {}
        for value in space.ends(name):
            Policy(**{**companion, name: value})


def policy_records(base: Mapping[str, Any], columns: Mapping[str, Column], count: int) -> Records:
    """``Policy(**{**base, ...}).record()`` for each of ``count`` rows of checked values.

    Raises what :class:`Policy` raises for a row whose fields do not go together.
    """
    _check_rows(base, columns)
    alone = {name: value for name, value in base.items() if _NEEDS.get(name, name) not in columns}
    known = Policy(**alone)
    records: Any = np.repeat(known.record(), count)

    def numbers(name: str) -> NDArray[np.float64]:
        if name in columns:
            return columns[name].numbers()
        value = base.get(name, getattr(known, name))
        return np.full(count, np.nan if value is None else value, np.float64)

    for name in ("close_at_profit", "close_at_loss", "breakeven_from"):
        records[name.replace("_at_", "_")] = _or(numbers(f"{name}_percent"), np.inf)
    for side in ("stop", "take"):
        distance = numbers(f"trailing_{side}_distance_percent")
        start = numbers(f"trailing_{side}_from_percent")
        records[f"{side}_from"] = np.where(np.isnan(distance), np.inf, start)
        records[f"{side}_distance"] = _or(distance, 0.0)
    for name in {"partial_profit", "partial_loss"} & set(columns):
        column, short = columns[name], name.removeprefix("partial_")
        distinct = np.concatenate([Policy(**{name: value}).record() for value in column.values])
        for field in (f"{short}_count", f"{short}_at", f"{short}_percent"):
            records[field] = distinct[field][column.codes]
    step = numbers("dca_step_percent")
    records["most_entries"] = np.where(np.isnan(step), 0, numbers("dca_most_entries"))
    records["ladder_step"] = _or(step, 0.0)
    records["ladder_cost"] = numbers("dca_cost")
    records["ladder_factor"] = numbers("dca_cost_factor")
    found: Records = records
    return found


def _check_rows(base: Mapping[str, Any], columns: Mapping[str, Column]) -> None:
    for name, needed in _NEEDS.items():
        if name not in columns and name not in base:
            continue
        lacks = (
            np.isnan(columns[needed].numbers()) if needed in columns else np.array([base.get(needed) is None])
        )
        if lacks.any():
            row = int(np.flatnonzero(lacks)[0]) if needed in columns else 0
            Policy(**{**base, **{n: column.values[column.codes[row]] for n, column in columns.items()}})


def _or(numbers: NDArray[np.float64], instead: float) -> NDArray[np.float64]:
    return np.where(np.isnan(numbers), instead, numbers)
