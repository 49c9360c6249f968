"""Bad candle sets and the first flaw of each."""

import re
from types import ModuleType
from typing import Any

from tests.golden.scenario import number_of
from tests.golden.service_case import Case, Record

ERROR_KINDS = {
    "cannot calculate reference price": "no_reference_price",
    "invalid numeric values": "invalid_numeric",
    "zero or negative values": "zero_or_negative",
    "anomalously low price": "anomalously_low",
    ") < low (": "high_below_low",
}


def play(api: ModuleType, case: Case) -> Record:
    """Judge the candles."""
    candles = [{name: value_of(value) for name, value in row.items()} for row in case.given["candles"]]
    try:
        api.validate_candles(candles)
    except api.BkError as error:
        kind = next(kind for words, kind in ERROR_KINDS.items() if words in error.message)
        place = re.search(r"candle\[(\d+)\]", error.message)
        return {"error": {"kind": kind, "index": int(place[1]) if place else None}}
    return {"ok": True}


def value_of(value: Any) -> Any:
    """A field of a candle: the words for what JSON cannot say become floats, other text stays text."""
    return number_of(value) if value in ("NaN", "Infinity", "-Infinity") else value
