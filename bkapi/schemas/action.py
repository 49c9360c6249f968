"""Which fields does an action have? A handler of events and the methods it may define (spec market-data.md 19)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Self, TypedDict

from pydantic import BeforeValidator, Field, model_validator

from bkapi.errors import SchemaError
from bkapi.schemas.base import Name, Schema, optional, or_default


class InvalidHandlerMethodError(SchemaError):
    """Raised by ``add_action_schema`` for a handler with a method that no event calls, such as ``sgnal``."""

    takes_name = True


class DiscouragedHandlerMethodError(SchemaError):
    """Raised by ``add_action_schema`` for a handler with ``order_sync`` or ``order_check``, which are a broker's."""

    takes_name = True


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
    """Up to three methods that may have been meant: first those where one name contains the other, then the nearest."""
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
    """Handlers of what a strategy does (spec live.md 8.1): a class, or a mapping of method names to functions."""

    kind: ClassVar[str] = "action"

    action_name: Name = Field(description="the name to register under, a text")
    handler: Annotated[Any, BeforeValidator(_handler)] = Field(
        description="a class (strategy_name, frame_name, action_name, backtest), or a mapping of functions"
    )
    callbacks: Annotated[Mapping[str, Any] | None, or_default(None)] = optional(
        "a mapping of callback names to functions"
    )
    note: Any = optional("free text")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_handler(self.action_name, self.handler)
        return self


class ActionFields(TypedDict, total=False):
    """Keyword arguments of ``add_action_schema``, see :class:`ActionSchema`."""

    action_name: str
    handler: type | Mapping[str, Callable[..., Any]]
    callbacks: Mapping[str, Callable[..., Any]] | None
    note: str | None
