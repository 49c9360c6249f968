"""Which errors can a user of the API meet? Every one derives from :class:`BkError`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from bkcore.errors import BkError, did_you_mean

__all__ = [
    "AlreadyExistsError",
    "BkError",
    "ConfigError",
    "ContextError",
    "FatalError",
    "MissingExtraError",
    "MomentError",
    "NoPositionError",
    "NoRunError",
    "NotRegisteredError",
    "RefusedSignalError",
    "SchemaError",
    "SignalError",
    "UnknownNameError",
]


class ConfigError(BkError):
    """Raised by ``set_config({"CC_PERCENT_FEE": -1})``: the configuration would break its rules.

    ``problems`` holds one sentence per broken rule; the message numbers them (spec market-data.md 18.1).
    """

    def __init__(self, title: str, problems: Sequence[str], *, hint: str | None = None) -> None:
        self.problems = tuple(problems)
        lines = [title, *(f"{number}. {problem}" for number, problem in enumerate(self.problems, 1))]
        super().__init__("\n".join(lines), hint=hint)


class SchemaError(BkError):
    """Raised by ``add_frame_schema(frame_name="january")``: a field is missing, wrong or unknown.

    ``kind`` is the kind of schema, ``field`` the field at fault (spec market-data.md 19). Not a
    ``ValueError``, so that it passes through pydantic and reaches the caller as it is.
    """

    #: Whether the name of a schema that is refused with this error is taken all the same, as recorded.
    takes_name: ClassVar[bool] = False

    def __init__(self, kind: str, problem: str, *, field: str | None = None, hint: str | None = None) -> None:
        self.kind = kind
        self.field = field
        super().__init__(f"{kind} schema validation failed: {problem}", hint=hint)


class AlreadyExistsError(BkError):
    """Raised by the second ``add_strategy_schema(strategy_name="dip", ...)``: the name is taken."""

    def __init__(self, message: str, *, kind: str, name: str, hint: str | None = None) -> None:
        self.kind = kind
        self.name = name
        super().__init__(message, hint=hint)


class UnknownNameError(BkError, LookupError):
    """Raised by ``get_strategy_schema("dpi")``: no such name; ``known`` are the registered ones."""

    def __init__(
        self, kind: str, name: object, source: str, known: Iterable[str], *, hint: str | None = None
    ) -> None:
        self.kind = kind
        self.name = name
        self.known = tuple(known)
        listed = ", ".join(repr(other) for other in self.known) or "none"
        super().__init__(
            f"{kind} {name} not found source={source}; registered: {listed}.",
            hint=hint or f"{did_you_mean(str(name), self.known)}add_{kind}_schema(...) registers a new one.",
        )


class NotRegisteredError(BkError, LookupError):
    """Raised by ``get_action_schema("x")`` when the handler of ``x`` was refused, or for such a sizing.

    The name is known then, but it has no schema (spec market-data.md, trap 13).
    """

    def __init__(self, kind: str, name: object, *, hint: str | None = None) -> None:
        self.kind = kind
        self.name = name
        super().__init__(f"Tool not registered name={name} registryName={kind}_schema", hint=hint)


class ContextError(BkError, RuntimeError):
    """Raised by ``get_date()`` outside of a run: the call needs a ``context`` (execution or method) and has none."""

    def __init__(self, function: str, context: str) -> None:
        self.function = function
        self.context = context
        article = "an" if context == "execution" else "a"
        super().__init__(
            f"{function} requires {article} {context} context",
            hint="call it from get_signal, a callback or a listener of a run, "
            f"or try it with run_in_mock_context(lambda: {function}(...)).",
        )


class NoRunError(BkError, LookupError):
    """Raised by ``Backtest.get_position_levels("BTCUSDT", context)`` while no such run is in progress."""

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            hint="ask while the run goes on: in get_signal, in a callback or listener, or between two results "
            "of Backtest.run(symbol, context).",
        )


class NoPositionError(BkError, LookupError):
    """Raised by ``get_position_levels("BTCUSDT")`` without an open position; ``get_pending_signal`` returns None."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="ask has_no_pending_signal(symbol) first.")


class MomentError(BkError):
    """Raised by ``run_in_mock_context(fn, when="yesterday")``: the value does not name a moment in time."""


class SignalError(BkError):
    """Raised by ``commit_create_signal("BTCUSDT", {"position": "up"})``: such a signal cannot be used.

    The rules are those of spec engine.md 6.
    """


class RefusedSignalError(SignalError):
    """Told to ``listen_error`` when a run asks a strategy for a signal and gets one that the rules refuse."""


class FatalError(BkError, RuntimeError):
    """Raised by ``next(Backtest.run(...))`` when the run has to end: its result would not be trustworthy."""


class MissingExtraError(BkError, ImportError):
    """Raised by ``ccxt_exchange("binance")`` where ccxt is not installed; the hint says how to install the extra."""
