"""Makes the two forms of a getter or command: in a context, and with the names given (spec engine.md 10.1).

Each getter or command is written once, as a method of a :class:`View`. :class:`Forms` makes from it the function for
strategy code, ``get_position_levels(symbol)``, and the method of ``Backtest`` and ``Live``,
``get_position_levels(symbol, context)``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, TypeVar

from bkapi.base.context import Context, MethodContext, Mode, names_of, require_trade_context, run_key
from bkapi.errors import NoRunError
from bkapi.runs.ledger import in_progress
from bkapi.runs.strategy import StrategyRun
from bkapi.runs.validation import as_number
from bkapi.schemas.registry import exchanges, frames, strategies

P = ParamSpec("P")
R = TypeVar("R")
X = TypeVar("X")

#: ``{"strategy_name": ..., "exchange_name": ..., "frame_name": ...}``; live runs have no frame.


class View:
    """A run as one call sees it: ``source`` names the call, ``price`` is the price that it uses (quote currency).

    Without a price of its own the call uses the average of the closed candles (spec engine.md 3.2).
    """

    __slots__ = ("_price", "run", "source")

    def __init__(self, run: StrategyRun, source: str, price: object = None) -> None:
        self.run = run
        self.source = source
        self._price = None if price is None else as_number(price)

    @property
    def price(self) -> float:
        """The price given, otherwise the one known now; NaN for what is no number."""
        return self.run.known_price() if self._price is None else self._price

    def __str__(self) -> str:
        return _described(self.run.symbol, self.run.names)


V = TypeVar("V", bound=View)


class RunsByContext:
    """Base of ``Backtest`` and ``Live``: finds the run in progress by symbol and context."""

    _mode: ClassVar[Mode]

    def __init_subclass__(cls, *, mode: Mode | None = None) -> None:
        super().__init_subclass__()
        if mode is not None:
            cls._mode = mode

    def _run_of(self, symbol: str, context: Context, source: str) -> StrategyRun:
        """The run in progress; its errors are those of the methods made by :class:`Forms`."""
        source = f"{self._mode.capitalize()}.{source}"
        if self._mode == "backtest":
            names = names_of(context, *MethodContext.field_names)
        else:  # a live run has no frame
            given = names_of(context, "strategy_name", "exchange_name")
            names = MethodContext(given.strategy_name, given.exchange_name)
        strategies.validate(names.strategy_name, source)
        exchanges.validate(names.exchange_name, source)
        if self._mode == "backtest":
            frames.validate(names.frame_name, source)
        run = in_progress(run_key(symbol, names, backtest=self._mode == "backtest"))
        if run is None:
            raise _not_in_progress(symbol, names, source)
        return run

    def _source(self, name: str) -> str:
        return f"{self._mode.capitalize()}.{name}"


def run_here(symbol: str, source: str) -> StrategyRun:
    """The run around the caller; raises :class:`ContextError` outside and :class:`NoRunError` for another symbol."""
    moment, names = require_trade_context(source)
    # Made on the spot: every getter and command asks for its run.
    key = (symbol, names.strategy_name, names.exchange_name, names.frame_name, moment.backtest)
    run = in_progress(key)
    if run is None:
        raise _not_in_progress(symbol, names, source)
    return run


def _not_in_progress(symbol: str, names: MethodContext, source: str) -> NoRunError:
    return NoRunError(f"{source}: no run in progress for {_described(symbol, names)}.")


def _described(symbol: str, names: MethodContext) -> str:
    told = f"symbol={symbol} strategy_name={names.strategy_name} exchange_name={names.exchange_name}"
    return f"{told} frame_name={names.frame_name}" if names.frame_name else told


_AMBIENT = "For code of a strategy; raises :class:`ContextError` outside of a run."
_NAMED = (
    "``context`` names strategy, exchange and frame of a run in progress; raises :class:`UnknownNameError` for a "
    "name that is not registered and :class:`NoRunError` without such a run."
)


class Forms(Generic[V]):
    """Makes public functions and methods from the methods of a view."""

    def __init__(self, view: type[V]) -> None:
        self._view = view

    # functions for code of a strategy

    def ambient(self, method: Callable[Concatenate[V, P], R]) -> Callable[Concatenate[str, P], R]:
        """``(symbol, ...)``, at the price known now."""
        view, name = self._view, method.__name__

        def function(symbol: str, *args: P.args, **kwargs: P.kwargs) -> R:
            return method(view(run_here(symbol, name), name), *args, **kwargs)

        return _presented(function, method, _AMBIENT, "symbol: str")

    def ambient_priced(
        self, method: Callable[Concatenate[V, P], R]
    ) -> Callable[Concatenate[str, float, P], R]:
        """``(symbol, current_price, ...)``."""
        view, name = self._view, method.__name__

        def function(symbol: str, current_price: float, *args: P.args, **kwargs: P.kwargs) -> R:
            return method(view(run_here(symbol, name), name, current_price), *args, **kwargs)

        return _presented(function, method, _AMBIENT, "symbol: str", "current_price: float")

    def ambient_valued(self, method: Callable[[V, X], R]) -> Callable[[str, X, float], R]:
        """``(symbol, value, current_price)``, the value under its own name."""
        view, name = self._view, method.__name__

        def function(symbol: str, value: X, current_price: float) -> R:
            return method(view(run_here(symbol, name), name, current_price), value)

        return _presented(function, method, _AMBIENT, "symbol: str", "*", "current_price: float")

    # methods of Backtest and Live

    def named(
        self, method: Callable[Concatenate[V, P], R]
    ) -> Callable[Concatenate[RunsByContext, str, Context, P], R]:
        """``(symbol, context, ...)``, at the price known now."""
        view, name = self._view, method.__name__

        def function(
            self: RunsByContext, symbol: str, context: Context, *args: P.args, **kwargs: P.kwargs
        ) -> R:
            return method(view(self._run_of(symbol, context, name), self._source(name)), *args, **kwargs)

        return _presented(function, method, _NAMED, "self", "symbol: str", "context: Context")

    def named_priced(
        self, method: Callable[Concatenate[V, P], R]
    ) -> Callable[Concatenate[RunsByContext, str, float, Context, P], R]:
        """``(symbol, current_price, context, ...)``."""
        view, name = self._view, method.__name__

        def function(
            self: RunsByContext,
            symbol: str,
            current_price: float,
            context: Context,
            *args: P.args,
            **kwargs: P.kwargs,
        ) -> R:
            run = self._run_of(symbol, context, name)
            return method(view(run, self._source(name), current_price), *args, **kwargs)

        return _presented(
            function, method, _NAMED, "self", "symbol: str", "current_price: float", "context: Context"
        )

    def named_valued(
        self, method: Callable[[V, X], R]
    ) -> Callable[[RunsByContext, str, X, float, Context], R]:
        """``(symbol, value, current_price, context)``, the value under its own name."""
        view, name = self._view, method.__name__

        def function(self: RunsByContext, symbol: str, value: X, current_price: float, context: Context) -> R:
            return method(view(self._run_of(symbol, context, name), self._source(name), current_price), value)

        return _presented(
            function, method, _NAMED, "self", "symbol: str", "*", "current_price: float", "context: Context"
        )


def _presented(
    function: Callable[..., Any], method: Callable[..., Any], form: str, *leading: str
) -> Callable[..., Any]:
    """Give ``function`` name, text and signature of ``method``; ``*`` stands for the method's parameters."""
    described = inspect.signature(method)
    own = list(described.parameters.values())[1:]
    parameters: list[inspect.Parameter] = []
    for text in leading if "*" in leading else (*leading, "*"):
        name, _, annotation = text.partition(": ")
        parameters += (
            own
            if name == "*"
            else [
                inspect.Parameter(
                    name,
                    inspect.Parameter.POSITIONAL_OR_KEYWORD,
                    annotation=annotation or inspect.Parameter.empty,
                )
            ]
        )
    made: Any = function
    made.__signature__ = described.replace(parameters=parameters)
    made.__name__ = made.__qualname__ = method.__name__
    made.__module__ = method.__module__
    made.__doc__ = f"{inspect.getdoc(method)}\n\n{form}"
    return function
