"""Which Python code may give commands to a run? Named, so that who calls no Python in its runs can refuse it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

from bkapi.events.emitters import emitters
from bkapi.schemas.strategy import StrategyCallbacks, StrategySchema

_COMMANDS: Final = ("set_strategy_paused", "stop_strategy")
_CALLED_TO_COMMAND: Final = ("on_active_ping", "on_schedule_ping", "on_idle", "on_wake")
_HEARD_TO_COMMAND: Final = (
    *(emitters.active_ping_subject, emitters.schedule_ping_subject),
    *(emitters.idle_ping_subject, emitters.wake_subject),
)
_OURS: Final = ("bkapi", "bkcore")
_CRON: Final = "bkapi.scheduling.cron"  # its one listener calls the handlers of users
_MOST: Final = 10_000  # objects that are looked at


def commander_of(strategy: StrategySchema) -> str:
    """The first callback or listener that may give commands to a run of the strategy, in words; empty without one.

    What is called at pings and wakes is taken to give commands; of all other code it is enough that some function
    within its reach names a command.
    """
    for name in StrategyCallbacks.model_fields:
        function = getattr(strategy.callbacks, name, None)
        if function is not None and (name in _CALLED_TO_COMMAND or may_command(function)):
            return f"the callback {name!r}"
    for channel in emitters.event_channels():
        for subscription in channel.listeners:
            function = subscription.fn
            pinged = channel in _HEARD_TO_COMMAND and _has_user_code(function)
            if not subscription.collects and (pinged or may_command(function)):
                users = next(_user_functions(function), function)
                return f"the listener {getattr(users, '__qualname__', users)!r} of {channel.name}"
    return ""


def may_command(function: Callable[..., Any]) -> bool:
    """Whether the code of a function, or code within its reach, names a command."""
    return any(
        name.startswith("commit_") or name in _COMMANDS
        for one in _reached(function)
        for name in _names_in(one)
    )


def _has_user_code(function: Any) -> bool:
    return next(_user_functions(function), None) is not None


def _user_functions(function: Any) -> Iterator[FunctionType]:
    return (one for one in _reached(function) if isinstance(one, FunctionType) and not _is_ours(one))


def _names_in(value: Any) -> Iterator[str]:
    if isinstance(value, FunctionType) and _is_ours(value):
        yield value.__name__
    if isinstance(value, CodeType):
        yield from value.co_names
        yield from (constant for constant in value.co_consts if isinstance(constant, str))


def _reached(start: Any) -> Iterator[Any]:
    """What code can come to by names, closures, attributes and containers, without libraries."""
    seen: dict[int, Any] = {}
    waiting = [start]
    while waiting and len(seen) < _MOST:
        value = waiting.pop()
        if id(value) not in seen:
            seen[id(value)] = value
            yield value
            waiting.extend(_next_to(value))


def _next_to(value: Any) -> Iterator[Any]:
    if isinstance(value, FunctionType):
        yield from _closure(value)
        if not _is_ours(value) and _is_users(value.__module__):
            yield value.__code__
            names = {name for code in _codes(value.__code__) for name in code.co_names}
            for name in names & value.__globals__.keys():
                known = value.__globals__[name]
                yield known
                if isinstance(known, ModuleType) and _is_users(known.__name__):
                    yield from (vars(known)[inner] for inner in names & vars(known).keys())
    elif isinstance(value, CodeType):
        yield from (constant for constant in value.co_consts if isinstance(constant, CodeType))
    elif isinstance(value, MethodType):
        yield from (value.__func__, value.__self__)
    elif isinstance(value, partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, property):
        yield value.fget
    elif isinstance(value, classmethod | staticmethod):
        yield value.__func__
    elif isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from value
    elif isinstance(value, type):
        if _is_users(value.__module__):
            yield from vars(value).values()
            yield from value.__bases__
    elif not isinstance(value, ModuleType | str | bytes | int | float):
        yield type(value)
        kind = type(value).__module__
        if _is_users(kind) or kind == _CRON:
            yield from _attributes(value)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _closure(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue


def _attributes(value: Any) -> Iterator[Any]:
    yield from getattr(value, "__dict__", {}).values()
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in [slots] if isinstance(slots, str) else slots:
            yield getattr(value, name, None)


def _is_ours(function: FunctionType) -> bool:
    return (function.__module__ or "").partition(".")[0] in _OURS


def _is_users(name: str | None) -> bool:
    """Whether a module is neither ours, nor of Python, nor of an installed library."""
    root = (name or "").partition(".")[0]
    if root in _OURS or root in sys.stdlib_module_names or root == "builtins":
        return False
    file = getattr(sys.modules.get(name or ""), "__file__", None) or ""
    return not any(folder in file for folder in ("site-packages", "dist-packages"))
