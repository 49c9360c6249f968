"""What made the numbers of a run? Configuration, parameters, strategy, code and candles, and one hash over them.

Two runs with the same hash give the same trades; the parts say what differs between two that do not.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import orjson

if TYPE_CHECKING:
    from bkapi.runs.strategy import StrategyRun
    from bkapi.schemas.strategy import StrategySchema

_CODE_FIELDS = ("get_signal", "signals", "kernel", "manage")
_known: WeakKeyDictionary[StrategyRun, dict[str, Any]] = WeakKeyDictionary()


def digest_of(value: Any) -> str:
    """Sixteen hex digits over a value that JSON can hold; the order of keys does not matter."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=repr)).hexdigest()[:16]


def code_version() -> str:
    """The version of the package and the digest of the compiled rules."""
    from bkapi import __version__
    from bkcore.kernel_cache import SOURCE_DIGEST

    return f"{__version__}+{SOURCE_DIGEST}"


def source_of(function: Callable[..., Any]) -> str:
    """The text of a function with the plain values it closes over; its byte code where there is no text."""
    plain: Any = inspect.unwrap(getattr(function, "py_func", function))
    try:
        text = inspect.getsource(plain)
    except (OSError, TypeError):
        code = getattr(plain, "__code__", None)
        text = (
            repr(type(plain)) if code is None else f"{code.co_code.hex()} {code.co_names} {code.co_consts!r}"
        )
    try:
        outside = inspect.getclosurevars(plain).nonlocals
    except (TypeError, ValueError):
        outside = {}
    values = {name: value for name, value in outside.items() if isinstance(value, int | float | str | None)}
    return f"{text}\n{sorted(values.items())!r}"


def strategy_parts(strategy: StrategySchema) -> dict[str, Any]:
    """Interval, parameters, policy and the digest of each function of a strategy."""
    functions = {name: getattr(strategy, name) for name in _CODE_FIELDS}
    if strategy.callbacks is not None:
        functions |= {
            name: getattr(strategy.callbacks, name) for name in type(strategy.callbacks).model_fields
        }
    return {
        "interval": strategy.interval,
        "when_in_position": strategy.when_in_position,
        "params": dict(strategy.params),
        "policy": None if strategy.policy is None else strategy.policy.model_dump(mode="json"),
        "risks": list(strategy.risks),
        "actions": list(strategy.actions),
        "source": {name: digest_of(source_of(one)) for name, one in functions.items() if one is not None},
    }


def provenance(run: StrategyRun) -> dict[str, Any]:
    """Everything that a run depends on, by part, and ``run_hash`` over all of it.

    ``config`` is the configuration of the process; ``settings`` are the numbers and the fill model that the run had,
    those of its strategy and its exchange included.
    """
    known = _known.get(run)
    if known is None:
        frame = run.frame
        parts: dict[str, Any] = {
            "symbol": run.symbol,
            "frame": {"start_ms": frame.start_ms, "end_ms": frame.end_ms, "step_ms": frame.step_ms},
            "config": dict(run.constants),
            "settings": asdict(run.settings),
            "strategy": strategy_parts(run.schema),
            "signals": None
            if run.table is None
            else hashlib.sha256(run.table.records.tobytes()).hexdigest()[:16],
            "candles": run.run.market.digest,
            "code": code_version(),
        }
        known = _known[run] = {**parts, "run_hash": digest_of(parts)}
    return known


def differences(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> list[str]:
    """One sentence per part in which two provenances differ."""
    found: list[str] = []
    for name in dict.fromkeys((*before, *after)):
        one, other = before.get(name), after.get(name)
        where = f"{path}.{name}" if path else name
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += differences(one, other, where)
        elif one != other and name != "run_hash":
            found.append(f"{where}: was {one!r}, is {other!r}")
    return found
