"""Which fields does a risk profile have? (spec risk-sizing-walker-sweep.md 1)"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, TypedDict

from pydantic import BeforeValidator, Field

from bkapi.schemas.base import Callback, Name, Schema, optional, plain_list


class RiskCallbacks(Schema):
    """Callbacks of a risk profile (spec risk-sizing-walker-sweep.md 1.1)."""

    kind: ClassVar[str] = "risk callbacks"

    on_rejected: Callback = optional("(symbol, check_args)")
    on_allowed: Callback = optional("(symbol, check_args)")


def _validations(value: Any) -> Any:
    if not value:
        return ()
    for entry in plain_list(value):
        if not (callable(entry) or isinstance(entry, Mapping)):
            raise ValueError("is neither a function nor a mapping")  # noqa: TRY004
    return tuple(value)


class RiskSchema(Schema):
    """Which signals may open (spec risk-sizing-walker-sweep.md 1.1).

    A validation is a function of the payload, or a mapping ``{"validate": function, "note": text}``.
    """

    kind: ClassVar[str] = "risk"

    risk_name: Name = Field(description="the name to register under, a text")
    validations: Annotated[tuple[Any, ...], BeforeValidator(_validations)] = Field(
        default=(),
        description='a list of functions (payload) or of mappings {"validate": function, "note": text}',
    )
    callbacks: RiskCallbacks | None = optional("a mapping of names to functions")
    note: Any = optional("free text")


class RiskFields(TypedDict, total=False):
    """Keyword arguments of ``add_risk_schema``, see :class:`RiskSchema`."""

    risk_name: str
    validations: Iterable[Callable[..., Any] | Mapping[str, Any]] | None
    callbacks: RiskCallbacks | Mapping[str, Callable[..., Any]] | None
    note: str | None
