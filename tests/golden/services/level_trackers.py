"""Partial levels and breakeven, through their global services."""

from types import ModuleType
from typing import Any

from tests.golden.service_case import Case, Record


def play(api: ModuleType, case: Case) -> Record:
    """The operations in order, and what was heard."""
    events: list[Any] = []
    names = {
        "strategy_name": f"{case.id}-st",
        "exchange_name": f"{case.id}-ex",
        "frame_name": f"{case.id}-fr",
    }
    api.add_exchange_schema(exchange_name=names["exchange_name"], get_candles=lambda *_: [])
    api.add_frame_schema(frame_name=names["frame_name"], start_date=0, end_date=1)
    api.add_strategy_schema(strategy_name=names["strategy_name"], get_signal=lambda *_: None)

    def heard(kind: str) -> Any:
        return lambda event: events.append(
            [kind, event.timestamp, event.data["id"], getattr(event, "level", None), event.current_price]
        )

    api.emitters.partial_profit_subject.subscribe(heard("profit"))
    api.emitters.partial_loss_subject.subscribe(heard("loss"))
    api.emitters.breakeven_subject.subscribe(heard("breakeven"))
    partial, breakeven = api.PartialGlobalService(), api.BreakevenGlobalService()

    def step(op: Record) -> Any:
        row = {**case.given["signals"][op["signal"]], **names}
        price, when, name = op["price"], op["when_ms"], op["op"]

        def call() -> Any:
            if name in ("profit", "loss"):
                return getattr(partial, name)("BTCUSDT", row, price, op["percent"], True, when)
            if name == "breakeven":
                return breakeven.check("BTCUSDT", row, price, True, when)
            service = breakeven if name == "clear_breakeven" else partial
            return service.clear("BTCUSDT", row, price, True)

        return api.run_in_mock_context(call, when=when, backtest=True, **names)

    return {"returns": [step(op) for op in case.given["ops"]], "events": events}
