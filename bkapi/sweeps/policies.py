"""Makes the policy records that kernels read, for many combinations at once, column by column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bkapi.schemas.policy import NEEDS, Policy, cooldown_ms, refuse_under_vwap
from bkapi.schemas.space import Column, Space
from bkcore.machine.run import Records
from bkcore.machine.settings import FillModel

#: What a field of a policy does nothing without. At real prices a row may bring the distance of a trailing stop.
_NEEDS: Final[Mapping[str, str]] = {
    "trailing_stop_from_percent": "trailing_stop_distance_percent",
    **NEEDS,
}
#: Fields that are no numbers, those together that fill the same part of a record, and that part.
_LISTED: Final[Mapping[tuple[str, ...], tuple[str, ...]]] = {
    ("partial_profit", "partial_profit_percent"): (
        *("profit_count", "profit_at"),
        *("profit_percent", "profit_of_entry"),
    ),
    ("partial_loss", "partial_loss_percent"): ("loss_count", "loss_at", "loss_percent", "loss_of_entry"),
    ("take_profit_steps",): ("step_count", "step_minutes", "step_percent"),
    ("trailing_by",): ("by_close",),
    ("exit_profit_only",): ("exit_profit_only",),
    ("on_opposite",): ("on_opposite",),
    ("stop_may_loosen",): ("stop_may_loosen",),
}


def check_policy(space: Space, names: tuple[str, ...], *, fill: FillModel, strategy_name: str) -> None:
    """Raise what :class:`Policy` raises for a value that it does not take, before the sweep measures anything.

    fill            the fill model of the runs: without real prices a value that only they know is refused
    strategy_name   whose policy it is, for the error
    """
    for name in names:
        companion = {_NEEDS[name]: 1.0} if name in _NEEDS else {}
        for value in space.ends(name):
            refuse_under_vwap(Policy(**{**companion, name: value}), fill, strategy_name)


def policy_records(
    base: Mapping[str, Any], columns: Mapping[str, Column], count: int, *, fill: FillModel
) -> Records:
    """``Policy(**{**base, ...}).record()`` for each of ``count`` rows of checked values.

    Raises what :class:`Policy` raises for a row whose fields do not go together, and without real prices what
    :func:`refuse_under_vwap` raises for a trailing stop without a distance.
    """
    _check_rows(base, columns, fill)
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
    records["stop_from_move"] = numbers("trailing_stop_from_percent")
    for names, fields in _LISTED.items():
        if set(names) & set(columns):
            _copy_listed(records, fields, base, names, columns)
    step = numbers("dca_step_percent")
    records["most_entries"] = np.where(np.isnan(step), 0, numbers("dca_most_entries"))
    records["ladder_step"] = _or(step, 0.0)
    records["ladder_cost"] = numbers("dca_cost")
    records["ladder_factor"] = numbers("dca_cost_factor")
    records["target_from_average"] = numbers("target_from_average_percent")
    records["breakeven_offset"] = numbers("breakeven_offset_percent")
    records["cooldown_ms"] = cooldown_ms(numbers("cooldown_minutes"))
    records["max_hold"] = _or(numbers("max_hold_minutes"), np.inf)
    found: Records = records
    return found


def _copy_listed(
    records: Any,
    fields: tuple[str, ...],
    base: Mapping[str, Any],
    names: tuple[str, ...],
    columns: Mapping[str, Column],
) -> None:
    """Fill ``fields`` from the records of the distinct values that the rows have for ``names``."""
    varied = [name for name in names if name in columns]
    fixed = {name: base[name] for name in names if name in base and name not in columns}
    codes = np.stack([columns[name].codes for name in varied], axis=1)
    distinct, which = np.unique(codes, axis=0, return_inverse=True)
    made = np.concatenate(
        [
            Policy(
                **fixed,
                **{name: columns[name].values[code] for name, code in zip(varied, row, strict=True)},
            ).record()
            for row in distinct
        ]
    )
    for field in fields:
        records[field] = made[field][which.reshape(-1)]


def _check_rows(base: Mapping[str, Any], columns: Mapping[str, Column], fill: FillModel) -> None:
    for name, needed in _NEEDS.items():
        if name not in columns and name not in base:
            continue
        lacks = (
            np.isnan(columns[needed].numbers()) if needed in columns else np.array([base.get(needed) is None])
        )
        if lacks.any():
            row = int(np.flatnonzero(lacks)[0]) if needed in columns else 0
            policy = Policy(
                **{**base, **{n: column.values[column.codes[row]] for n, column in columns.items()}}
            )
            refuse_under_vwap(policy, fill, "")


def _or(numbers: NDArray[np.float64], instead: float) -> NDArray[np.float64]:
    return np.where(np.isnan(numbers), instead, numbers)
