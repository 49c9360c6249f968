"""``Policy``: the rules by which the machine manages a position itself, without calling Python at every candle."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar, Final, Literal, Self, TypeAlias

import numpy as np
from pydantic import Field, model_validator

from bkapi.errors import SchemaError
from bkapi.schemas.base import Schema, optional
from bkcore.intervals import MINUTE_MS, MOST_MINUTES
from bkcore.machine.codes import OnOpposite
from bkcore.machine.policy import MOST_LEVELS, no_policy
from bkcore.machine.run import Records
from bkcore.machine.settings import FillModel

Levels = tuple[tuple[float, float], ...]
#: Which prices make the best and the worst price of a position.
TrailingBy: TypeAlias = Literal["extreme", "close"]
#: What an entry row does to a position of the other side.
Opposite: TypeAlias = Literal["ignore", "close", "reverse"]

#: The fields that only real prices know, and the value with which each asks for nothing. ``trailing_by`` always asks.
REAL_PRICES_ONLY: Final[Mapping[str, object]] = {
    "trailing_by": None,
    "take_profit_steps": (),
    "target_from_average_percent": None,
    "breakeven_offset_percent": 0.0,
    "partial_profit_percent": (),
    "partial_loss_percent": (),
    "exit_profit_only": False,
    "on_opposite": "ignore",
    "stop_may_loosen": False,
    "cooldown_minutes": 0.0,
    "max_hold_minutes": None,
}
#: What a field does nothing without, under every fill model.
NEEDS: Final[Mapping[str, str]] = {
    "trailing_take_from_percent": "trailing_take_distance_percent",
    "breakeven_offset_percent": "breakeven_from_percent",
    **dict.fromkeys(("dca_most_entries", "dca_cost", "dca_cost_factor"), "dca_step_percent"),
}
#: Two forms of one list of levels, of which a policy has one.
ONE_OF: Final = (
    ("partial_profit", "partial_profit_percent"),
    ("partial_loss", "partial_loss_percent"),
)


class Policy(Schema):
    """Rules that the machine follows at every monitored candle, as a listener of its ping would.

    ``Policy(trailing_stop_from_percent=1, trailing_stop_distance_percent=0.5)`` lets the stop follow half a percent
    behind the price once the position is one percent ahead. A rule that is left out does nothing. The rules act in
    this order: close, breakeven, trailing stop, trailing take, partial profit, partial loss, ladder. Each gives the
    command of the same name; what the command refuses is tried again at the next candle (spec engine.md 10).

    A *move* is the percent by which the price has come in favour of the position since its effective entry. Levels
    and moves are measured with the position as it is when the ping is sent. Every rule gives the same trades as the
    same rule written with ``commit_*`` in a ping listener.

    So it is under the documented fill model, ``vwap``. At real prices (``next_open``, ``last_close``) the same fields
    follow spec fills.md 5: levels fill inside the candle that reaches them, the rules that move levels are judged at
    the end of a candle, and moves count from the best price. These fields act at real prices alone; a run under
    ``vwap`` refuses them:

    ``trailing_by``                   which prices make that best price: ``"extreme"`` or ``"close"``
    ``take_profit_steps``             a target that comes nearer with time, ``((0, 4.0), (30, 2.0), (120, 0.5))``
    ``target_from_average_percent``   a target that follows the effective entry
    ``breakeven_offset_percent``      where breakeven brings the stop, beyond the effective entry
    ``partial_profit_percent``        levels at a percent of the effective entry, which need no target
    ``partial_loss_percent``          likewise, which need no stop
    ``exit_profit_only``              exit rows close only what is in profit
    ``on_opposite``                   whether an entry row of the other side closes or reverses a position
    ``stop_may_loosen``               whether ``set_stop_loss`` of a row may take the stop farther away
    ``cooldown_minutes``              no entry so soon after a trade has ended
    ``max_hold_minutes``              the lifetime of rows that give none

    ``trailing_stop_from_percent`` needs no ``trailing_stop_distance_percent`` at real prices, where a row may bring
    the distance (``trail_distance``).
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
        description="move from which the stop trails; needs trailing_stop_distance_percent, or trail_distance "
        "of a row",
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

    trailing_by: TrailingBy = Field(
        default="extreme",
        description='"extreme" (highs and lows) or "close" makes the best and worst price of all rules',
    )
    take_profit_steps: Levels = Field(
        default=(),
        max_length=MOST_LEVELS,
        description="pairs (minutes since the entry, percent of the effective entry), minutes rising; the target "
        "from then on, if nearer than that of the row",
    )
    target_from_average_percent: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="distance of the target from the effective entry, which it follows after ladder entries",
    )
    breakeven_offset_percent: float = Field(
        default=0.0,
        gt=-100,
        allow_inf_nan=False,
        description="percent beyond the effective entry to which breakeven brings the stop; needs "
        "breakeven_from_percent",
    )
    partial_profit_percent: Levels = Field(
        default=(),
        max_length=MOST_LEVELS,
        description="pairs (percent of the effective entry, percent of the rest to close), the nearest first; "
        "instead of partial_profit",
    )
    partial_loss_percent: Levels = Field(
        default=(),
        max_length=MOST_LEVELS,
        description="pairs (percent of the effective entry, percent of the rest to close), the nearest first; "
        "instead of partial_loss",
    )
    exit_profit_only: bool = Field(
        default=False, description="True lets exit rows close only what is in profit, costs included"
    )
    on_opposite: Opposite = Field(
        default="ignore",
        description='what an entry row does to a position of the other side: "ignore", "close" or "reverse"',
    )
    stop_may_loosen: bool = Field(
        default=False, description="True lets set_stop_loss of a row take the stop farther away"
    )
    cooldown_minutes: float = Field(
        default=0.0,
        ge=0,
        le=MOST_MINUTES,
        description="minutes after the end of a trade in which nothing opens",
    )
    max_hold_minutes: float | None = Field(
        default=None,
        gt=0,
        le=MOST_MINUTES,
        description="lifetime in minutes of a position whose row gives none; default: no end",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for pair in ONE_OF:
            for field in pair:
                self._check_partials(
                    field, most=100.0 if field in ("partial_profit", "partial_loss") else math.inf
                )
            if all(getattr(self, field) for field in pair):
                raise SchemaError(
                    self.kind,
                    f"{' and '.join(pair)} exclude each other.",
                    field=pair[1],
                    hint=f"give {pair[0]} in percent of the way, or {pair[1]} in percent of the effective entry.",
                )
        self._check_steps()
        for field, needed in NEEDS.items():
            if field in self.model_fields_set and getattr(self, needed) is None:
                raise needs(field, needed)
        return self

    def _check_partials(self, field: str, *, most: float) -> None:
        levels: Levels = getattr(self, field)
        usable = all(0 < at <= most and at < math.inf and 0 < percent <= 100 for at, percent in levels)
        if not (usable and _rise(levels)):
            limits = "both above 0 and at most 100" if most == 100 else "both above 0, the second at most 100"
            example = "((30, 33), (60, 50))" if most == 100 else "((1.5, 33), (3, 50))"
            raise SchemaError(
                self.kind,
                f"{field}={levels!r} is not usable.",
                field=field,
                hint=f"give pairs (level, percent to close), {limits}, levels rising: {field}={example}.",
            )

    def _check_steps(self) -> None:
        steps = self.take_profit_steps
        usable = all(0 <= minutes <= MOST_MINUTES and math.isfinite(percent) for minutes, percent in steps)
        if not (usable and _rise(steps)):
            raise SchemaError(
                self.kind,
                f"take_profit_steps={steps!r} is not usable.",
                field="take_profit_steps",
                hint="give pairs (minutes since the entry, percent), minutes from 0 on and rising: "
                "take_profit_steps=((0, 4.0), (30, 2.0), (120, 0.5)).",
            )

    def record(self) -> Records:
        """The same rules as one record of :data:`bkcore.machine.policy.POLICY`, as kernels read them."""
        record = no_policy()
        row: Any = record[0]
        row["close_profit"] = _or_never(self.close_at_profit_percent)
        row["close_loss"] = _or_never(self.close_at_loss_percent)
        row["breakeven_from"] = _or_never(self.breakeven_from_percent)
        for name in ("stop", "take"):
            distance = getattr(self, f"trailing_{name}_distance_percent")
            row[f"{name}_from"] = _or_never(distance and getattr(self, f"trailing_{name}_from_percent"))
            row[f"{name}_distance"] = distance or 0.0
        row["stop_from_move"] = self.trailing_stop_from_percent
        for name in ("profit", "loss"):
            of_entry: Levels = getattr(self, f"partial_{name}_percent")
            _fill(row, name, of_entry or getattr(self, f"partial_{name}"), ("at", "percent"))
            row[f"{name}_of_entry"] = bool(of_entry)
        _fill(row, "step", self.take_profit_steps, ("minutes", "percent"))
        row["most_entries"] = 0 if self.dca_step_percent is None else self.dca_most_entries
        row["ladder_step"] = self.dca_step_percent or 0.0
        row["ladder_cost"] = np.nan if self.dca_cost is None else self.dca_cost
        row["ladder_factor"] = self.dca_cost_factor
        if self.target_from_average_percent is not None:
            row["target_from_average"] = self.target_from_average_percent
        row["breakeven_offset"] = self.breakeven_offset_percent
        row["cooldown_ms"] = cooldown_ms(self.cooldown_minutes)
        row["max_hold"] = _or_never(self.max_hold_minutes)
        row["by_close"] = self.trailing_by == "close"
        row["stop_may_loosen"] = self.stop_may_loosen
        row["exit_profit_only"] = self.exit_profit_only
        row["on_opposite"] = OnOpposite[self.on_opposite.upper()]
        return record


def refuse_under_vwap(policy: Policy | None, fill: FillModel, strategy_name: str) -> None:
    """Raise :class:`SchemaError` for a field that only real prices know, where a run is priced by averages.

    fill            the fill model of the run; nothing is refused at real prices
    strategy_name   whose policy it is, for the error

    Only what asks for something is refused: ``cooldown_minutes=0`` is fine under every model.
    """
    if policy is None or fill in ("next_open", "last_close"):
        return
    for field, idle in REAL_PRICES_ONLY.items():
        value = getattr(policy, field)
        if field in policy.model_fields_set and value != idle:
            raise SchemaError(
                policy.kind,
                f"{field}={value!r} means nothing under fill={fill!r} for strategy_name={strategy_name!r}.",
                field=field,
                hint='leave it out, or run at real prices: fill="next_open".',
            )
    field = "trailing_stop_from_percent"
    if field in policy.model_fields_set and policy.trailing_stop_distance_percent is None:
        raise needs(field, "trailing_stop_distance_percent")


def needs(field: str, needed: str) -> SchemaError:
    """The error for a field that does nothing without another one."""
    return SchemaError(
        Policy.kind,
        f"{field} does nothing without {needed}.",
        field=field,
        hint=f"give both, e.g. {needed}=0.5.",
    )


def cooldown_ms(minutes: Any) -> Any:
    """A cooldown as kernels read it, whole milliseconds; for one number or an array of them."""
    return np.rint(np.multiply(minutes, MINUTE_MS)).astype(np.int64)


def _rise(pairs: Levels) -> bool:
    return all(one[0] < other[0] for one, other in pairwise(pairs))


def _fill(row: Any, name: str, pairs: Levels, fields: tuple[str, str]) -> None:
    """Write pairs into the two arrays ``<name>_<field>`` of a record, and how many there are."""
    row[f"{name}_count"] = len(pairs)
    for place, field in enumerate(fields):
        row[f"{name}_{field}"][: len(pairs)] = [pair[place] for pair in pairs]


def _or_never(value: float | None) -> float:
    return np.inf if value is None else value
