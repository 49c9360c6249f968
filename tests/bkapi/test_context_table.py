"""Which context each kind of user code has around it in a backtest and a walker (spec market-data.md 13)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

import bkapi as bk
from bkapi.base.context import execution, method
from bkapi.schemas.strategy import StrategyCallbacks
from tests.bkapi.short_runs import CONTEXT, MIDNIGHT_MS, SYMBOL, candles_of, minute_of

BOTH, METHOD_ONLY, NEITHER = (True, True), (False, True), (False, False)

#: Listeners that hear without an execution context, or without any.
OTHERS = {
    "listen_backtest_progress": METHOD_ONLY,
    "listen_performance": METHOD_ONLY,
    "listen_done_backtest": NEITHER,
    "listen_walker": NEITHER,
    "listen_walker_progress": NEITHER,
    "listen_walker_complete": NEITHER,
    "listen_done_walker": NEITHER,
}
LISTENERS = [
    name for name in bk.__all__ if name.startswith("listen_") and not name.endswith(("_once", "_per_signal"))
]


@pytest.fixture
def seen() -> Iterator[dict[str, set[tuple[bool, bool]]]]:
    """The contexts that each place has had."""
    bk.reset()
    yield {}
    bk.reset()


def test_every_place_has_the_contexts_of_the_table(seen: dict[str, set[tuple[bool, bool]]]) -> None:
    def note(place: str) -> None:
        seen.setdefault(place, set()).add((execution.has_context(), method.has_context()))

    candles = candles_of([100 + 3 * math.sin(k / 9) for k in range(240)], wick=0.2).rows(named=True)

    def get_candles(symbol: str, interval: str, since: Any, limit: int, backtest: bool) -> Any:
        note("get_candles")
        first = minute_of(round(since.timestamp() * 1000))
        return candles[first : first + limit]

    def get_signal(symbol: str, when: Any, price: float) -> Any:
        note("get_signal")
        bk.get_candles(symbol, "1m", 3)
        if when.minute < 15:
            return None
        return {
            "position": "long",
            "price_open": price * (0.999 if when.minute % 2 else 1),
            "price_take_profit": price * 1.03,
            "price_stop_loss": price * 0.97,
            "minute_estimated_time": 20,
        }

    bk.add_exchange_schema(
        exchange_name="memory",
        get_candles=get_candles,
        callbacks={"on_candle_data": lambda *_: note("on_candle_data")},
    )
    bk.add_frame_schema(
        frame_name="minutes",
        start_date=MIDNIGHT_MS + 10 * 60_000,
        end_date=MIDNIGHT_MS + 220 * 60_000,
        callbacks={"on_timeframe": lambda *_: note("on_timeframe")},
    )
    bk.add_strategy_schema(
        strategy_name="planned",
        get_signal=get_signal,
        callbacks={name: lambda *_, name=name: note(name) for name in StrategyCallbacks.model_fields},
    )
    bk.add_walker_schema(
        walker_name="pair",
        exchange_name="memory",
        frame_name="minutes",
        strategies=["planned"],
        callbacks={
            name: lambda *_, name=name: note(name)
            for name in ("on_strategy_start", "on_strategy_complete", "on_complete")
        },
    )
    for name in LISTENERS:
        getattr(bk, name)(lambda *_, name=name: note(name))
    bk.Cron.register(name="hourly", interval="1h", handler=lambda info: note("cron"))
    bk.Cron.enable()

    for _ in bk.Backtest.run(SYMBOL, CONTEXT):
        note("body of the loop")
    handle = bk.Backtest.background(SYMBOL, CONTEXT)
    assert handle.wait(60)
    assert handle.error is None
    for _ in bk.Walker.run(SYMBOL, {"walker_name": "pair"}):
        note("body of the walker")
    walker = bk.Walker.background(SYMBOL, {"walker_name": "pair"})
    assert walker.wait(60)

    neither = {
        "body of the loop",
        "body of the walker",
        "on_strategy_start",
        "on_strategy_complete",
        "on_complete",
    }
    expected = {**OTHERS, **dict.fromkeys(neither, NEITHER), "on_timeframe": METHOD_ONLY}
    assert seen == {place: {expected.get(place, BOTH)} for place in seen}
    assert {*expected} <= {*seen}
    assert {
        "get_signal",
        "get_candles",
        "on_candle_data",
        "cron",
        "on_tick",
        "on_open",
        "on_close",
        "on_idle",
    } <= {*seen}
    assert {"listen_signal", "listen_active_ping", "listen_before_start", "listen_after_end"} <= {*seen}
