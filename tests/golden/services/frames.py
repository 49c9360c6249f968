"""Tick times of a frame; one that ends before it starts is refused when it is registered."""

import hashlib
from types import ModuleType
from typing import Any

from tests.golden.service_case import Case, Record
from tests.golden.services.candles import ms

ERROR_KINDS = {"unknown interval": "unknown_interval", "empty timeframe range": "empty_timeframe"}


def play(api: ModuleType, case: Case) -> Record:
    """Ask twice, for two symbols."""
    given, calls, frame = case.given, [], f"{case.id}-fr"

    def on_timeframe(times: Any, start: Any, end: Any, interval: str) -> None:
        calls.append([len(times), ms(start), ms(end), interval])

    def ask() -> Record:
        first, second = (api.get_backtest_timeframe(symbol) for symbol in ("BTCUSDT", "ETHUSDT"))
        times = [ms(time) for time in first]
        return {
            "count": len(times),
            "first": times[0],
            "last": times[-1],
            "sha256": hashlib.sha256(",".join(map(str, times)).encode()).hexdigest(),
            "second_call_equal": first == second,
        }

    try:
        api.add_frame_schema(
            frame_name=frame,
            start_date=given["start_ms"],
            end_date=given["end_ms"],
            interval=given.get("interval"),
            callbacks={"on_timeframe": on_timeframe},
        )
        answer: Record = {"ok": api.run_in_mock_context(ask, frame_name=frame, backtest=True)}
    except api.BkError as error:
        answer = {"error": {"kind": next(kind for words, kind in ERROR_KINDS.items() if words in str(error))}}
    return {**answer, "callback": calls}
