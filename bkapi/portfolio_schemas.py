"""What may be registered beside strategies: walkers, risk profiles, sizings and actions (spec market-data.md 19)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Self, TypeAlias, TypedDict

from pydantic import BeforeValidator, Field, StrictStr, model_validator

from bkapi.errors import SchemaError
from bkapi.schema_base import Schema, or_default, owner
from bkapi.space import Space

#: A name: a text, also an empty one.
Name: TypeAlias = StrictStr


def _plain_list(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError("is not a list")  # noqa: TRY004 - pydantic wants a ValueError
    return tuple(value)


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("is not a number")  # noqa: TRY004
    return value


Number: TypeAlias = Annotated[float, BeforeValidator(_number)]


class WalkerCallbacks(Schema):
    """What a walker wants to be told (spec risk-sizing-walker-sweep.md 3.1)."""

    kind: ClassVar[str] = "walker callbacks"

    on_strategy_start: Callable[..., Any] | None = Field(default=None, description="(strategy, symbol)")
    on_strategy_complete: Callable[..., Any] | None = Field(
        default=None, description="(strategy, symbol, stats, metric)"
    )
    on_strategy_error: Callable[..., Any] | None = Field(
        default=None, description="(strategy, symbol, error)"
    )
    on_complete: Callable[..., Any] | None = Field(default=None, description="(results)")


class WalkerSchema(Schema):
    """Which strategies are compared, and by what (spec risk-sizing-walker-sweep.md 3.1).

    With a ``space`` every combination of it, of every strategy, is a candidate of its own: its names are parameters of
    the strategies (``params``), fields of their policies, or the bracket of their signals, as for ``Sweep``.
    """

    kind: ClassVar[str] = "walker"

    walker_name: Name = Field(description="the name to register under, a text")
    exchange_name: Name = Field(description="the name of an exchange, a text")
    frame_name: Name = Field(description="the name of a frame, a text")
    strategies: Annotated[tuple[Name, ...], BeforeValidator(_plain_list)] = Field(
        description="a list of names of strategies, at least one, without repeats"
    )
    metric: Annotated[str, or_default("sharpe_ratio")] = Field(
        default="sharpe_ratio", description="the statistic to maximise, a text"
    )
    space: Space | None = Field(
        default=None, description="a Space of parameters, every combination of which is compared"
    )
    callbacks: WalkerCallbacks | None = Field(default=None, description="a mapping of names to functions")
    note: Any = Field(default=None, description="free text")

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


class RiskCallbacks(Schema):
    """What a risk profile wants to be told (spec risk-sizing-walker-sweep.md 1.1)."""

    kind: ClassVar[str] = "risk callbacks"

    on_rejected: Callable[..., Any] | None = Field(default=None, description="(symbol, check_args)")
    on_allowed: Callable[..., Any] | None = Field(default=None, description="(symbol, check_args)")


def _validations(value: Any) -> Any:
    if not value:
        return ()
    for entry in _plain_list(value):
        if not (callable(entry) or isinstance(entry, Mapping)):
            raise ValueError("is neither a function nor a mapping")  # noqa: TRY004
    return tuple(value)


class RiskSchema(Schema):
    """Which signals may be taken (spec risk-sizing-walker-sweep.md 1.1).

    A validation is a function of the payload, or a mapping ``{"validate": function, "note": text}``.
    """

    kind: ClassVar[str] = "risk"

    risk_name: Name = Field(description="the name to register under, a text")
    validations: Annotated[tuple[Any, ...], BeforeValidator(_validations)] = Field(
        default=(),
        description='a list of functions (payload) or of mappings {"validate": function, "note": text}',
    )
    callbacks: RiskCallbacks | None = Field(default=None, description="a mapping of names to functions")
    note: Any = Field(default=None, description="free text")


class SizingCallbacks(Schema):
    """What a sizing wants to be told (spec risk-sizing-walker-sweep.md 2.1)."""

    kind: ClassVar[str] = "sizing callbacks"

    on_calculate: Callable[..., Any] | None = Field(default=None, description="(quantity, params)")


class SizingSchema(Schema):
    """How large a position is (spec risk-sizing-walker-sweep.md 2.1); percents in percent, sizes in base units.

    ``fixed-percentage`` and ``atr-based`` need ``risk_percentage``. The method is checked when it is used.
    """

    kind: ClassVar[str] = "sizing"

    sizing_name: Name = Field(description="the name to register under, a text")
    method: Name = Field(description='"fixed-percentage", "kelly-criterion" or "atr-based"')
    risk_percentage: Any = Field(default=None, description="percent of the balance at risk, a number")
    kelly_multiplier: Number | None = Field(default=None, description="share of the Kelly size, default 0.25")
    atr_multiplier: Number | None = Field(default=None, description="stop distance in ATRs, default 2")
    max_position_percentage: Number | None = Field(
        default=None, description="percent of the balance at most, a number"
    )
    min_position_size: Number | None = Field(default=None, description="at least so many units, a number")
    max_position_size: Number | None = Field(default=None, description="at most so many units, a number")
    callbacks: SizingCallbacks | None = Field(default=None, description="a mapping of names to functions")
    note: Any = Field(default=None, description="free text")

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = self.risk_percentage
        if self.method in ("fixed-percentage", "atr-based") and (
            isinstance(given, bool) or not isinstance(given, int | float)
        ):
            raise SchemaError(
                self.kind,
                f"risk_percentage={given!r} is no number{owner(type(self), self)}.",
                field="risk_percentage",
                hint=f"method {self.method!r} needs risk_percentage, percent of the balance at risk.",
            )
        return self


class InvalidHandlerMethodError(SchemaError):
    """Raised by ``add_action_schema`` for a handler with a method that nobody calls, such as ``sgnal``."""


class DiscouragedHandlerMethodError(SchemaError):
    """Raised by ``add_action_schema`` for a handler with ``order_sync`` or ``order_check``: a broker does that."""


#: The methods that an action handler may define (spec live.md 8.1).
HANDLER_METHODS = (
    "init",
    "signal",
    "signal_live",
    "signal_backtest",
    "breakeven_available",
    "partial_profit_available",
    "partial_loss_available",
    "ping_scheduled",
    "ping_active",
    "ping_idle",
    "schedule_event",
    "pending_event",
    "risk_rejection",
    "dispose",
)
DISCOURAGED_METHODS = ("order_sync", "order_check")
_NEAR = 3


def _distance(a: str, b: str) -> int:
    """Levenshtein distance."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def _nearest(name: str) -> list[str]:
    """Up to three methods that may have been meant: those of which one name holds the other, then by distance."""
    folded = name.lower()
    holding = {one: one in folded or folded in one for one in HANDLER_METHODS}
    distances = {one: _distance(folded, one) for one in HANDLER_METHODS}
    fitting = [one for one in HANDLER_METHODS if holding[one] or distances[one] <= _NEAR]
    return sorted(fitting, key=lambda one: (not holding[one], distances[one]))[:3]


def _methods(handler: Any) -> Iterator[str]:
    """Public methods that a class itself defines, or the functions of a mapping or plain object."""
    if isinstance(handler, Mapping):
        yield from (str(name) for name, value in handler.items() if callable(value))
    elif inspect.isclass(handler):
        yield from (name for name, value in vars(handler).items() if inspect.isfunction(value))


def _check_handler(name: str, handler: Any) -> None:
    about = f"ActionSchema {name} contains"
    for method in _methods(handler):
        if method.startswith("_") or method in HANDLER_METHODS:
            continue
        if method in DISCOURAGED_METHODS:
            raise DiscouragedHandlerMethodError(
                "action",
                f'{about} discouraged method "{method}".',
                field="handler",
                hint="exchange integration belongs into a broker adapter: Broker.use_broker_adapter(...).",
            )
        near = _nearest(method)
        meant = f"Do you mean: {', '.join(near)}? " if near else ""
        raise InvalidHandlerMethodError(
            "action",
            f'{about} invalid method "{method}". Valid methods are: {", ".join(HANDLER_METHODS)}.',
            field="handler",
            hint=f"{meant}A method of your own is called _{method}.",
        )


def _handler(value: Any) -> Any:
    if not (callable(value) or isinstance(value, Mapping)):
        raise ValueError("is neither a class nor a mapping")  # noqa: TRY004
    return value


class ActionSchema(Schema):
    """Who acts on what a strategy does (spec live.md 8.1): a class, or a mapping of method names to functions."""

    kind: ClassVar[str] = "action"

    action_name: Name = Field(description="the name to register under, a text")
    handler: Annotated[Any, BeforeValidator(_handler)] = Field(
        description="a class (strategy_name, frame_name, action_name, backtest), or a mapping of functions"
    )
    callbacks: Annotated[Mapping[str, Any] | None, or_default(None)] = Field(
        default=None, description="a mapping of callback names to functions"
    )
    note: Any = Field(default=None, description="free text")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_handler(self.action_name, self.handler)
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


class RiskFields(TypedDict, total=False):
    """Keyword arguments of ``add_risk_schema``, see :class:`RiskSchema`."""

    risk_name: str
    validations: Iterable[Callable[..., Any] | Mapping[str, Any]] | None
    callbacks: RiskCallbacks | Mapping[str, Callable[..., Any]] | None
    note: str | None


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


class ActionFields(TypedDict, total=False):
    """Keyword arguments of ``add_action_schema``, see :class:`ActionSchema`."""

    action_name: str
    handler: type | Mapping[str, Callable[..., Any]]
    callbacks: Mapping[str, Callable[..., Any]] | None
    note: str | None
