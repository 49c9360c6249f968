"""One strategy, any form and any audience; and nobody sees a candle before it has closed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

import bkapi as bk
from bkapi.base.timestamps import from_ms
from bkapi.market.answers import CandleRequestError
from bkcore.intervals import INTERVAL_MINUTES
from tests.golden.hosts import LISTEN_FUNCTIONS
from tests.naive.events import CALLBACKS
from tests.property.jitted import params_of, plan_kernel, without_ids
from tests.property.playing import get_signal_of, play, registered, signals_of
from tests.property.scenes import SYMBOL, Scene, scenes

DRIVERS = st.sampled_from(["skip", "run", "step"])
_CANDLES = tuple(name for name in INTERVAL_MINUTES if name != "12h")


@given(scenes(holes=True))
def test_asked_equals_vectorized_equals_heard(scene: Scene) -> None:
    asked = play(scene, get_signal_of(scene), kinds=()).results
    silent = play(scene, signals_of(scene), kinds=()).results
    heard = play(scene, signals_of(scene), kinds=("signal", "active_ping"), callbacks=("on_tick",))
    assert asked == silent == heard.results


@given(scenes(holes=True), DRIVERS)
def test_asked_equals_vectorized_equals_jitted(scene: Scene, driver: Any) -> None:
    """The plan as a function, as a frame and as a kernel: the same results, whoever listens."""
    scene = replace(scene, plan=without_ids(scene.plan))
    kinds = ("signal", "signal_event", "order_schedule", "active_ping", "idle_ping", "error")
    forms = (get_signal_of(scene), signals_of(scene), {"kernel": plan_kernel, "params": params_of(scene)})
    asked, vectorized, jitted = (play(scene, form, driver=driver, kinds=kinds) for form in forms)
    assert asked.results == vectorized.results == jitted.results
    assert asked.stream == vectorized.stream == jitted.stream
    for form in forms[1:]:
        assert play(scene, form, kinds=()).results == asked.results


@given(scenes(holes=True), st.sampled_from(_CANDLES), st.integers(1, 4))
def test_no_callback_reaches_a_candle_at_or_after_now(scene: Scene, interval: str, limit: int) -> None:
    market = scene.market()
    window = scene.settings.average_candles

    def look(*_: Any) -> None:
        now = bk.get_date()
        try:
            candles = bk.get_candles(SYMBOL, interval, limit)
            minute = bk.get_candles(SYMBOL, "1m", 1)
            average = bk.get_average_price(SYMBOL)
        except CandleRequestError:
            return  # the history is too short for this interval, or now lies behind a hole
        closes = from_ms(int(candles["timestamp"][-1])) + timedelta(minutes=INTERVAL_MINUTES[interval])
        assert closes <= now, f"{interval} candle closing {closes} seen at {now}"
        assert len(candles) == limit
        assert bk.get_close_price(SYMBOL, "1m") == minute["close"][-1]
        row = market.timestamps.searchsorted(minute["timestamp"][-1])
        assert average == market.average_price(window).values[row]

    def heard(event: Any) -> None:
        moment = event.created_at if hasattr(event, "created_at") else event.timestamp
        assert bk.get_timestamp() == moment
        look()

    plan = get_signal_of(scene)["get_signal"]

    def get_signal(symbol: str, when: Any, price: float) -> dict[str, Any] | None:
        assert bk.get_date() == when
        look()
        signal: dict[str, Any] | None = plan(symbol, when, price)
        return signal

    def judge(payload: Any) -> None:
        assert bk.get_timestamp() == payload.timestamp
        look()

    errors: list[Exception] = []
    callbacks = dict.fromkeys(CALLBACKS, look)
    with registered(scene, get_signal=get_signal, callbacks=callbacks, risk_name="looks") as context:
        bk.add_risk_schema(risk_name="looks", validations=[judge], callbacks={"on_allowed": look})
        bk.listen_validation(errors.append)
        for kind, name in LISTEN_FUNCTIONS.items():
            getattr(bk, name)(errors.append if kind == "error" else heard)
        for _ in bk.Backtest.run(SYMBOL, context):
            with pytest.raises(bk.ContextError):
                bk.get_date()
    assert [error for error in errors if not isinstance(error, bk.SignalError)] == []
