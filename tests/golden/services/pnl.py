"""Profit of position histories."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from tests.golden.service_case import Case, Record, written


def play(api: ModuleType, case: Case) -> Record:
    """The three questions about one history."""
    signal, price = case.given["signal"], case.given["price_close"]
    return {
        "profit_loss": outcome(api, lambda: api.to_profit_loss_dto(signal, price)),
        "effective_price_open": outcome(api, lambda: api.get_effective_price_open(signal)),
        "total_closed": outcome(api, lambda: api.get_total_closed(signal)),
    }


def outcome(api: ModuleType, call: Callable[[], Any]) -> Record:
    """``{"ok": ...}`` or ``{"error": ...}``."""
    try:
        answer = call()
    except api.BkError as error:
        assert "exceeds total invested" in str(error)
        return {"error": {"kind": "partials_exceed"}}
    return {"ok": written(answer.to_dict() if hasattr(answer, "to_dict") else answer)}
