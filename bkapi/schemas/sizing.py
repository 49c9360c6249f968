"""Which fields does a sizing have? (spec risk-sizing-walker-sweep.md 2)"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self, TypedDict

from pydantic import Field, model_validator

from bkapi.errors import SchemaError
from bkapi.schemas.base import Callback, Name, Number, Schema, optional, owner


class SizingCallbacks(Schema):
    """Callbacks of a sizing (spec risk-sizing-walker-sweep.md 2.1)."""

    kind: ClassVar[str] = "sizing callbacks"

    on_calculate: Callback = optional("(quantity, params)")


class RiskPercentageError(SchemaError):
    """Raised by ``add_sizing_schema`` for a method that needs ``risk_percentage`` and has none."""

    takes_name = True


class SizingSchema(Schema):
    """How large a position is (spec risk-sizing-walker-sweep.md 2.1); percents in percent, sizes in base units.

    ``fixed-percentage`` and ``atr-based`` need ``risk_percentage``. The method is checked when it is used.
    """

    kind: ClassVar[str] = "sizing"

    sizing_name: Name = Field(description="the name to register under, a text")
    method: Name = Field(description='"fixed-percentage", "kelly-criterion" or "atr-based"')
    risk_percentage: Any = optional("percent of the balance at risk, a number")
    kelly_multiplier: Number | None = optional("share of the Kelly size, default 0.25")
    atr_multiplier: Number | None = optional("stop distance in ATRs, default 2")
    max_position_percentage: Number | None = optional("percent of the balance at most, a number")
    min_position_size: Number | None = optional("at least so many units, a number")
    max_position_size: Number | None = optional("at most so many units, a number")
    callbacks: SizingCallbacks | None = optional("a mapping of names to functions")
    note: Any = optional("free text")

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = self.risk_percentage
        if self.method in ("fixed-percentage", "atr-based") and (
            isinstance(given, bool) or not isinstance(given, int | float)
        ):
            raise RiskPercentageError(
                self.kind,
                f"risk_percentage={given!r} is no number{owner(type(self), self)}.",
                field="risk_percentage",
                hint=f"method {self.method!r} needs risk_percentage, percent of the balance at risk.",
            )
        return self


class SizingFields(TypedDict, total=False):
    """Keyword arguments of ``add_sizing_schema``, see :class:`SizingSchema`."""

    sizing_name: str
    method: str
    risk_percentage: float | None
    kelly_multiplier: float | None
    atr_multiplier: float | None
    max_position_percentage: float | None
    min_position_size: float | None
    max_position_size: float | None
    callbacks: SizingCallbacks | Mapping[str, Callable[..., Any]] | None
    note: str | None
