"""Which fields does a walker have? (spec market-data.md 19)"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Self, TypedDict

from pydantic import BeforeValidator, Field, model_validator

from bkapi.errors import SchemaError
from bkapi.schemas.base import Callback, Name, Schema, optional, or_default, owner, plain_list
from bkapi.schemas.space import Space


class WalkerCallbacks(Schema):
    """Callbacks of a walker (spec risk-sizing-walker-sweep.md 3.1)."""

    kind: ClassVar[str] = "walker callbacks"

    on_strategy_start: Callback = optional("(strategy, symbol)")
    on_strategy_complete: Callback = optional("(strategy, symbol, stats, metric)")
    on_strategy_error: Callback = optional("(strategy, symbol, error)")
    on_complete: Callback = optional("(results)")


class WalkerSchema(Schema):
    """Which strategies are compared, and by which metric (spec risk-sizing-walker-sweep.md 3.1).

    With a ``space``, every combination of it is a candidate, for every strategy. Its names are parameters of
    the strategies (``params``), fields of their policies, or the bracket of their signals, as for ``Sweep``.
    """

    kind: ClassVar[str] = "walker"

    walker_name: Name = Field(description="the name to register under, a text")
    exchange_name: Name = Field(description="the name of an exchange, a text")
    frame_name: Name = Field(description="the name of a frame, a text")
    strategies: Annotated[tuple[Name, ...], BeforeValidator(plain_list)] = Field(
        description="a list of names of strategies, at least one, without repeats"
    )
    metric: Annotated[str, or_default("sharpe_ratio")] = Field(
        default="sharpe_ratio", description="the statistic to maximise, a text"
    )
    space: Space | None = optional("a Space of parameters, every combination of which is compared")
    callbacks: WalkerCallbacks | None = optional("a mapping of names to functions")
    note: Any = optional("free text")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.strategies:
            raise SchemaError(
                self.kind,
                f"strategies array cannot be empty{owner(type(self), self)}.",
                field="strategies",
                hint="name at least one strategy.",
            )
        if len(set(self.strategies)) != len(self.strategies):
            raise SchemaError(
                self.kind,
                f"found duplicate strategies{owner(type(self), self)} strategies={list(self.strategies)!r}.",
                field="strategies",
                hint="name each one once.",
            )
        return self


class WalkerFields(TypedDict, total=False):
    """Keyword arguments of ``add_walker_schema``, see :class:`WalkerSchema`."""

    walker_name: str
    exchange_name: str
    frame_name: str
    strategies: Iterable[str]
    metric: str | None
    space: Space | None
    callbacks: WalkerCallbacks | Mapping[str, Callable[..., Any]] | None
    note: str | None
