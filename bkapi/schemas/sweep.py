"""Which fields does a sweep over ideas have? (spec risk-sizing-walker-sweep.md 4)"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, TypedDict

from pydantic import Field

from bkapi.schemas.base import Callback, Schema, optional, or_default


class SweepCallbacks(Schema):
    """Callbacks of a sweep over ideas, in the order of their calls (spec risk-sizing-walker-sweep.md 4.8).

    They are called synchronously; what one of them raises ends the run.
    """

    kind: ClassVar[str] = "sweep callbacks"

    on_ideas: Callback = optional("(symbol, total, directional)")
    on_profiles: Callback = optional("(symbol, profiles, truncated_count)")
    on_authors_trained: Callback = optional("(symbol, tracks)")
    on_grid_point: Callback = optional("(symbol, report, trades)")
    on_progress: Callback = optional('(symbol, "profiles" or "grid", processed, total)')
    on_ranking: Callback = optional("(symbol, criterion, sorted_reports, best)")
    on_done: Callback = optional("(symbol, result)")


GridAxis: TypeAlias = Literal[
    "hard_stop_percent", "trailing_take_percent", "hold_minutes", "profit_lock_percent"
]


class SweepSchema(Schema):
    """The grid that a feed of ideas is tried on (spec risk-sizing-walker-sweep.md 4.1).

    An axis that ``grid_axes`` leaves out has its default values; ``report_order`` is sharpe, sortino, pnl or recovery,
    anything else counts as sharpe. Values of the axes are checked when the sweep runs.
    """

    kind: ClassVar[str] = "sweep"

    sweep_name: str = Field(description="the name to register under, a text")
    exchange_name: str = Field(description="the name of a registered exchange, a text")
    grid_axes: Annotated[Mapping[GridAxis, Any], or_default({})] = Field(
        default_factory=dict,
        description="values per axis: hard_stop_percent, trailing_take_percent, hold_minutes, profit_lock_percent",
    )
    report_order: Annotated[str, or_default("sharpe")] = Field(
        default="sharpe", description="how the reports are sorted: sharpe, sortino, pnl or recovery"
    )
    callbacks: SweepCallbacks | None = optional("a mapping of callback names to functions")
    note: str | None = optional("free text")


class SweepFields(TypedDict, total=False):
    """Keyword arguments of ``add_sweep_schema``, see :class:`SweepSchema`."""

    sweep_name: str
    exchange_name: str
    grid_axes: Mapping[GridAxis, Sequence[float]] | None
    report_order: str | None
    callbacks: SweepCallbacks | Mapping[str, Callable[..., Any]] | None
    note: str | None
