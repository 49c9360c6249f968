"""In which run, and at which moment, does this piece of user code run? Two ambient contexts (spec market-data.md 13).

The *method* context names strategy, exchange and frame of a run; the *execution* context holds symbol,
simulated "now" and mode. Both travel in ``contextvars``, so user code never passes a timestamp and cannot pass a
wrong one.

A run is a generator inside a private ``contextvars.Context`` (:func:`iterate_in_context`). Its driver moves
the clock by one assignment, ``execution.set(ExecutionContext(symbol, when_ms, backtest))``. Nothing has to
be reset, because the loop body of the consumer, other runs and other threads never see that context.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Generator, Mapping
from contextvars import ContextVar, Token, copy_context
from datetime import datetime
from types import TracebackType
from typing import Any, Generic, Literal, ParamSpec, TypeAlias, TypeVar

from bkapi.base.coroutines import settle
from bkapi.base.record import Record, record
from bkapi.base.timestamps import Moment, from_ms, this_minute_ms, to_ms
from bkapi.errors import ContextError, SchemaError
from bkcore.errors import did_you_mean

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
Y = TypeVar("Y")

Mode = Literal["backtest", "live"]


@record
class ExecutionContext(Record):
    """What is being processed: ``symbol``, simulated "now" ``when_ms`` (ms UTC) and the mode."""

    symbol: str
    when_ms: int
    backtest: bool

    @property
    def when(self) -> datetime:
        """Simulated "now" as an aware UTC datetime."""
        return from_ms(self.when_ms)


@record
class MethodContext(Record):
    """The names of a run's strategy, exchange and frame; ``frame_name`` is empty in live."""

    strategy_name: str
    exchange_name: str
    frame_name: str = ""


def names_of(context: Mapping[str, str] | MethodContext, *needed: str) -> MethodContext:
    """The names in a context (a mapping, or what :func:`get_context` returns); one not in ``needed`` may be left out.

    Raises :class:`SchemaError` for a name that is missing or no text.
    """
    given = context.to_dict() if isinstance(context, MethodContext) else context
    for name in needed:
        if not isinstance(given, Mapping) or name not in given:
            wanted = ", ".join(f'"{one}": ...' for one in needed)
            raise SchemaError(
                "context", f"missing {name} in {context!r:.200}.", field=name, hint=f"give {{{wanted}}}."
            )
    names = {name: given.get(name) or "" for name in MethodContext.field_names}
    for name, value in names.items():
        if not isinstance(value, str):
            raise SchemaError(
                "context", f"{name}={value!r:.60} is no name.", field=name, hint="a name is a text."
            )
    return MethodContext(**names)


#: What a run is about: ``{"strategy_name": ..., "exchange_name": ..., "frame_name": ...}``.
Context: TypeAlias = Mapping[str, str]

#: What tells a run from others: symbol, strategy, exchange, frame ("" for none), and whether it is a backtest.
RunKey: TypeAlias = tuple[str, str, str, str, bool]


def run_key(symbol: str, context: Context | MethodContext, *, backtest: bool = True) -> RunKey:
    """The key of the run of a context; a mapping names a strategy and an exchange, and a frame unless it is live."""
    needed = ("strategy_name", "exchange_name")
    names = context if isinstance(context, MethodContext) else names_of(context, *needed)
    return (symbol, names.strategy_name, names.exchange_name, names.frame_name, backtest)


class Ambient(Generic[T]):
    """One implicit value: absent, or what the innermost surrounding call has set."""

    __slots__ = ("_variable", "get", "name", "set")

    def __init__(self, name: str) -> None:
        self.name = name
        self._variable: ContextVar[T | None] = ContextVar(f"bk_{name}_context", default=None)
        #: The value, or None.
        self.get: Callable[[], T | None] = self._variable.get
        #: Replace the value from here on, without a way back unless the token is kept for :meth:`reset`.
        self.set: Callable[[T | None], Token[T | None]] = self._variable.set

    def reset(self, token: Token[T | None]) -> None:
        """Set the value back to that before the ``set`` that returned ``token``."""
        self._variable.reset(token)

    def has_context(self) -> bool:
        """Whether there is a value."""
        return self.get() is not None

    def require(self, function: str) -> T:
        """The value; raises ``<function> requires a <name> context`` (:class:`ContextError`) without one."""
        value = self.get()
        if value is None:
            raise ContextError(function, self.name)
        return value

    def run_in_context(self, fn: Callable[P, R], context: T | None, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn(*args, **kwargs)`` with ``context`` set; the earlier value is back afterwards.

        A coroutine that ``fn`` returns is run to completion inside.
        """
        token = self.set(context)
        try:
            result: R = settle(fn(*args, **kwargs))
            return result
        finally:
            self.reset(token)

    def run_out_of_context(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``fn(*args, **kwargs)`` without a value."""
        return self.run_in_context(fn, None, *args, **kwargs)


execution: Ambient[ExecutionContext] = Ambient("execution")
method: Ambient[MethodContext] = Ambient("method")


class _InContext(Generator[Y, Any, R]):
    """A generator whose every step runs inside a context of its own."""

    __slots__ = ("_context", "_generator")

    def __init__(self, generator: Generator[Y, Any, R], context: contextvars.Context) -> None:
        self._generator = generator
        self._context = context

    def __next__(self) -> Y:
        return self._context.run(next, self._generator)

    def send(self, value: Any) -> Y:
        return self._context.run(self._generator.send, value)

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: BaseException | object = None,
        traceback: TracebackType | None = None,
    ) -> Y:
        error = (
            kind if isinstance(kind, BaseException) else value if isinstance(value, BaseException) else kind()
        )
        return self._context.run(self._generator.throw, error)

    def close(self) -> None:
        self._context.run(self._generator.close)

    def __del__(self) -> None:
        self.close()


def iterate_in_context(
    generator: Generator[Y, Any, R],
    *,
    names: MethodContext | None = None,
    moment: ExecutionContext | None = None,
) -> Generator[Y, Any, R]:
    """``generator`` with each of its steps (next, send, throw, close) inside a private context.

    The private context starts as a copy of the caller's, with the method context ``names`` and the execution
    context ``moment``. What the generator sets stays there; the loop body of the consumer does not see it.
    """
    context = copy_context()
    context.run(method.set, names)
    context.run(execution.set, moment)
    return _InContext(generator, context)


def has_trade_context() -> bool:
    """Whether both contexts are set, that is: whether the caller is strategy code in a run."""
    return execution.get() is not None and method.get() is not None


def require_trade_context(function: str) -> tuple[ExecutionContext, MethodContext]:
    """Both contexts; raises ``<function> requires an execution context`` / ``requires a method context``."""
    moment, names = execution.get(), method.get()
    if moment is None or names is None:
        return execution.require(function), method.require(function)
    return moment, names


def get_date() -> datetime:
    """Simulated "now" as an aware UTC datetime; requires an execution context."""
    return execution.require("get_date").when


def get_timestamp() -> int:
    """Simulated "now" in ms UTC; requires both contexts."""
    return require_trade_context("get_timestamp")[0].when_ms


def get_mode() -> Mode:
    """``"backtest"`` or ``"live"``; requires an execution context."""
    return "backtest" if execution.require("get_mode").backtest else "live"


def get_symbol() -> str:
    """The symbol being processed; requires an execution context."""
    return execution.require("get_symbol").symbol


def get_context() -> MethodContext:
    """Names of strategy, exchange and frame of the run; requires a method context."""
    return method.require("get_context")


def get_context_timestamp() -> int:
    """Simulated "now" inside a run, otherwise the wall clock floored to the minute; ms UTC."""
    context = execution.get()
    return this_minute_ms() if context is None else context.when_ms


def begin_context(fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call ``fn(*args, **kwargs)`` without both contexts; they are back afterwards."""
    return run_within(fn, None, None, *args, **kwargs)


def begin_time(fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call ``fn(*args, **kwargs)`` without the execution context, as before a new "now" is set."""
    return execution.run_in_context(fn, None, *args, **kwargs)


def run_in_mock_context(
    fn: Callable[[], R],
    context: Mapping[str, Any] | None = None,
    *,
    symbol: str = "BTCUSDT",
    when: Moment | None = None,
    backtest: bool = False,
    strategy_name: str = "mock-strategy",
    exchange_name: str = "mock-exchange",
    frame_name: str = "mock-frame",
) -> R:
    """Call ``fn()`` inside made-up contexts, for tests and notebooks; the names need not be registered.

    ``context`` may give the same fields as one mapping. ``when`` defaults to the wall clock floored to the
    minute. Contexts nest; the outer ones are back afterwards. Raises :class:`MomentError` for a bad
    ``when``.
    """
    if context is not None:
        known = ("symbol", "when", "backtest", *MethodContext.field_names)
        for name in context:
            if name not in known:
                raise SchemaError(
                    "context",
                    f"unknown field {name!r}.",
                    field=str(name),
                    hint=f"{did_you_mean(str(name), known)}known fields: {', '.join(known)}.",
                )
        return run_in_mock_context(fn, **context)
    moment = ExecutionContext(symbol, this_minute_ms() if when is None else to_ms(when), backtest)
    return run_within(fn, moment, MethodContext(strategy_name, exchange_name, frame_name))


def run_within(
    fn: Callable[P, R],
    moment: ExecutionContext | None,
    names: MethodContext | None,
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    """Call ``fn(*args, **kwargs)`` inside both contexts; the earlier ones are back afterwards."""
    method_token = method.set(names)
    execution_token = execution.set(moment)
    try:
        result: R = settle(fn(*args, **kwargs))
        return result
    finally:
        execution.reset(execution_token)
        method.reset(method_token)
