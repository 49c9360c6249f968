"""Brackets, converters between percents, prices and costs, intervals and rounding."""

from types import ModuleType
from typing import Any

from tests.golden.service_case import Case, Record, written
from tests.golden.services.candles import ms

ERROR_KINDS = {"unknown interval": "unknown_interval", "tick_size": "bad_tick_size"}


def play(api: ModuleType, case: Case) -> Record:
    """One call."""
    try:
        answer = call(api, case.given["fn"], case.given["args"])
    except api.BkError as error:
        return {"error": {"kind": next(kind for words, kind in ERROR_KINDS.items() if words in str(error))}}
    return {"ok": written(answer)}


def call(api: ModuleType, name: str, arguments: list[Any]) -> Any:
    """What a helper answers; times are ms."""
    if name in ("bracket", "moonbag"):
        return getattr(api.Position, name)(**arguments[0])
    if name == "constant":
        return getattr(api.Constant, arguments[0])
    answer = getattr(api, name)(*arguments)
    return ms(answer) if name == "align_to_interval" else answer
