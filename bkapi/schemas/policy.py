"""``Policy``: the rules by which the machine manages a position itself, without calling Python at every candle."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from bkapi.errors import SchemaError
from bkapi.schemas.base import Schema, optional
from bkcore.machine.policy import MOST_LEVELS, POLICY
from bkcore.machine.run import Records

Levels = tuple[tuple[float, float], ...]


class Policy(Schema):
    """Rules that the machine follows at every monitored candle, as a listener of its ping would.

    ``Policy(trailing_stop_from_percent=1, trailing_stop_distance_percent=0.5)`` lets the stop follow half a percent
    behind the price once the position is one percent ahead. A rule that is left out does nothing. The rules act in
    this order: close, breakeven, trailing stop, trailing take, partial profit, partial loss, ladder. Each gives the
    command of the same name; what the command refuses is tried again at the next candle (spec engine.md 10).

    A *move* is the percent by which the price has come in favour of the position since its effective entry. Levels
    and moves are measured with the position as it is when the ping is sent. Every rule gives the same trades as the
    same rule written with ``commit_*`` in a ping listener.
    """

    kind: ClassVar[str] = "policy"

    close_at_profit_percent: float | None = optional(
        "result in percent, costs included, at which the position is closed"
    )
    close_at_loss_percent: float | None = Field(
        default=None,
        gt=0,
        description="loss in percent, as a positive number, at which the position is closed",
    )
    breakeven_from_percent: float | None = Field(
        default=None, ge=0, description="move from which the stop is brought to the entry"
    )
    trailing_stop_from_percent: float = Field(
        default=0.0,
        gt=-100,
        description="move from which the stop trails; needs trailing_stop_distance_percent",
    )
    trailing_stop_distance_percent: float | None = Field(
        default=None, gt=0, lt=100, description="percent of the price between it and the stop that trails it"
    )
    trailing_take_from_percent: float = Field(
        default=0.0,
        gt=-100,
        description="move from which the target trails; needs trailing_take_distance_percent",
    )
    trailing_take_distance_percent: float | None = Field(
        default=None,
        gt=0,
        lt=100,
        description="percent of the price between it and the target that trails it",
    )
    partial_profit: Levels = Field(
        default=(),
        max_length=MOST_LEVELS,
        description="pairs (percent of the way to the target, percent of the rest to close), the nearest first",
    )
    partial_loss: Levels = Field(
        default=(),
        max_length=MOST_LEVELS,
        description="pairs (percent of the way to the stop, percent of the rest to close), the nearest first",
    )
    dca_step_percent: float | None = Field(
        default=None,
        gt=0,
        lt=100,
        description="distance of the next entry from the best one so far, in percent of that one",
    )
    dca_most_entries: int = Field(default=2, ge=2, description="entries of a position, the first included")
    dca_cost: float | None = Field(
        default=None, gt=0, description="cost of the second entry in quote currency; default: the entry cost"
    )
    dca_cost_factor: float = Field(
        default=1.0, gt=0, description="every further entry costs this times the one before"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for field in ("partial_profit", "partial_loss"):
            levels = getattr(self, field)
            usable = all(0 < at <= 100 and 0 < percent <= 100 for at, percent in levels)
            rises = all(one[0] < other[0] for one, other in pairwise(levels))
            if not (usable and rises):
                raise SchemaError(
                    self.kind,
                    f"{field}={levels!r} is not usable.",
                    field=field,
                    hint="give pairs (level, percent to close), both above 0 and at most 100, levels rising: "
                    f"{field}=((30, 33), (60, 50)).",
                )
        for field in ("trailing_stop", "trailing_take"):
            if f"{field}_from_percent" in self.model_fields_set and not getattr(
                self, f"{field}_distance_percent"
            ):
                raise SchemaError(
                    self.kind,
                    f"{field}_from_percent does nothing without {field}_distance_percent.",
                    field=f"{field}_from_percent",
                    hint=f"give both, e.g. {field}_distance_percent=0.5.",
                )
        extra = {"dca_most_entries", "dca_cost", "dca_cost_factor"} & self.model_fields_set
        if extra and self.dca_step_percent is None:
            raise SchemaError(
                self.kind,
                f"{min(extra)} does nothing without dca_step_percent.",
                field=min(extra),
                hint="give dca_step_percent, the distance between entries in percent.",
            )
        return self

    def record(self) -> Records:
        """The same rules as one record of :data:`bkcore.machine.policy.POLICY`, as kernels read them."""
        record = np.zeros(1, POLICY)
        row: Any = record[0]
        row["close_profit"] = _or_never(self.close_at_profit_percent)
        row["close_loss"] = _or_never(self.close_at_loss_percent)
        row["breakeven_from"] = _or_never(self.breakeven_from_percent)
        for name in ("stop", "take"):
            distance = getattr(self, f"trailing_{name}_distance_percent")
            row[f"{name}_from"] = _or_never(distance and getattr(self, f"trailing_{name}_from_percent"))
            row[f"{name}_distance"] = distance or 0.0
        for name in ("profit", "loss"):
            levels: Levels = getattr(self, f"partial_{name}")
            row[f"{name}_count"] = len(levels)
            row[f"{name}_at"][: len(levels)] = [at for at, _ in levels]
            row[f"{name}_percent"][: len(levels)] = [percent for _, percent in levels]
        row["most_entries"] = 0 if self.dca_step_percent is None else self.dca_most_entries
        row["ladder_step"] = self.dca_step_percent or 0.0
        row["ladder_cost"] = np.nan if self.dca_cost is None else self.dca_cost
        row["ladder_factor"] = self.dca_cost_factor
        return record


def _or_never(value: float | None) -> float:
    return np.inf if value is None else value
