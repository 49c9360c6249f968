"""Position sizes with caps."""

from types import ModuleType

from tests.golden.service_case import Case, Record, written

ERROR_KINDS = {
    "Tool not registered": "not_registered",
    "not found": "not_found",
    "method mismatch": "method_mismatch",
    "Stop-loss distance cannot be zero": "zero_stop_distance",
    "winRate must be": "bad_win_rate",
    "winLossRatio must be": "bad_win_loss_ratio",
    "ATR must be": "bad_atr",
    "ATR stop distance": "zero_atr_distance",
    "priceOpen must be": "bad_price_open",
    "schema validation failed": "schema_invalid",
    "unknown method": "unknown_method",
}


def error_of(error: Exception) -> Record:
    """The kind of an error by its documented words."""
    return {"error": {"kind": next(kind for words, kind in ERROR_KINDS.items() if words in str(error))}}


def play(api: ModuleType, case: Case) -> Record:
    """Register a sizing and calculate."""
    given, sizes, name = case.given, [], f"{case.id}-sz"
    try:
        api.add_sizing_schema(
            sizing_name=name,
            **given["schema"],
            callbacks={"on_calculate": lambda quantity, params: sizes.append(written(quantity))},
        )
        register: Record = {"ok": True}
    except api.BkError as error:
        register = error_of(error)
    asked = f"{case.id}-unknown" if given.get("sizing_name") == "unknown" else name
    try:
        size = getattr(api.PositionSize, given["call"])("BTCUSDT", *given["args"], {"sizing_name": asked})
        result: Record = {"ok": written(size)}
    except api.BkError as error:
        result = error_of(error)
    return {"register": register, "result": result, "on_calculate": sizes}
