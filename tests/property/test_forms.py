"""One strategy, three forms and any audience: asked or vectorized, silent or heard, the trades are the same."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bkapi as bk
from bkapi.exchange import CandleRequestError
from bkapi.moments import from_ms
from bkcore.codes import Given
from bkcore.intervals import INTERVAL_MINUTES
from tests.naive.engine import run as twin
from tests.property.markets import MINUTE, Case, cases

logging.getLogger("bkapi").setLevel(logging.CRITICAL)  # refused signals are part of the game
CONTEXT = {"strategy_name": "s", "exchange_name": "e", "frame_name": "f"}
_INTERVALS = {minutes: name for name, minutes in INTERVAL_MINUTES.items()}
_CANDLES = tuple(name for name in INTERVAL_MINUTES if name != "12h")


def register(case: Case, **form: Any) -> None:
    """Forget everything, then register the case with a strategy of the given form."""
    bk.reset()
    settings = case.settings
    bk.set_config(
        {
            "CC_AVG_PRICE_CANDLES_COUNT": settings.average_candles,
            "CC_MAX_CANDLES_PER_REQUEST": settings.chunk_candles,
            "CC_SCHEDULE_AWAIT_MINUTES": settings.await_minutes,
            "CC_MAX_SIGNAL_LIFETIME_MINUTES": settings.max_lifetime_minutes,
            "CC_MIN_TAKEPROFIT_DISTANCE_PERCENT": settings.min_take_profit_percent,
            "CC_MIN_STOPLOSS_DISTANCE_PERCENT": settings.min_stop_loss_percent,
            "CC_PERCENT_FEE": settings.fee_percent,
            "CC_PERCENT_SLIPPAGE": settings.slippage_percent,
        },
        unsafe=True,
    )
    market = case.market
    names = ("open", "high", "low", "close", "volume")
    candles = pl.DataFrame(
        {"timestamp": market.timestamps, **{name: getattr(market, name) for name in names}}
    )
    kept = bk.CandleFrame.from_any(candles, symbol="BTCUSDT", gaps="keep")
    bk.add_exchange_schema(exchange_name="e", candles={"BTCUSDT": kept})
    frame = case.frame
    bk.add_frame_schema(
        frame_name="f",
        start_date=from_ms(frame.start_ms),
        end_date=from_ms(frame.end_ms),
        interval=_INTERVALS[frame.step_ms // MINUTE],
    )
    bk.add_strategy_schema(strategy_name="s", interval=_INTERVALS[case.interval_ms // MINUTE], **form)


def frame_of(case: Case) -> pl.DataFrame:
    """The candidates as a signal frame; levels as prices."""
    rows = case.signals
    bits = rows["given"]

    def where(bit: Given, name: str) -> list[float | None]:
        return [
            float(value) if given_bits & bit else None
            for value, given_bits in zip(rows[name], bits, strict=True)
        ]

    sides = {1: "long", -1: "short", 0: "sideways"}
    return pl.DataFrame(
        {
            "timestamp": rows["time"],
            "position": [
                None if b & Given.NOTHING else sides[int(s)] for s, b in zip(rows["side"], bits, strict=True)
            ],
            "price_take_profit": rows["take_profit"],
            "price_stop_loss": rows["stop_loss"],
            "price_open": pl.Series(where(Given.PRICE_OPEN, "price_open"), dtype=pl.Float64),
            "minute_estimated_time": pl.Series(where(Given.LIFETIME, "lifetime"), dtype=pl.Float64),
            "cost": pl.Series(where(Given.COST, "cost"), dtype=pl.Float64),
            "id": pl.Series([f"id{i}" if i >= 0 else None for i in rows["id"]], dtype=pl.String),
            "symbol": ["ELSE" if b & Given.FOREIGN_SYMBOL else "BTCUSDT" for b in bits],
        }
    )


def asker(case: Case) -> Callable[..., dict[str, Any] | None]:
    """The candidates as a function: of its interval's rows up to now, the latest."""
    rows = frame_of(case).to_dicts()

    def answer(when_ms: int) -> dict[str, Any] | None:
        bucket = when_ms // case.interval_ms * case.interval_ms
        offered = [row for row in rows if bucket <= row["timestamp"] <= when_ms]
        if not offered or offered[-1]["position"] is None:
            return None
        return {
            name: value for name, value in offered[-1].items() if name != "timestamp" and value is not None
        }

    return answer


def priced(case: Case) -> bool:
    """Whether the levels are prices, so that both forms can say them."""
    return not (case.signals["given"] & Given.PERCENT_LEVELS).any()


def told(results: Any) -> list[dict[str, Any]]:
    """Results as mappings, in order."""
    return [result.to_dict() for result in results]


@given(cases().filter(priced))
def test_asked_equals_vectorized_equals_heard(case: Case) -> None:
    answer = asker(case)
    register(case, get_signal=lambda symbol, when, price: answer(round(when.timestamp() * 1000)))
    asked = told(bk.Backtest.run("BTCUSDT", CONTEXT))
    register(case, signals=lambda candles: frame_of(case))
    silent = told(bk.Backtest.run("BTCUSDT", CONTEXT))
    heard: list[Any] = []
    bk.listen_active_ping(lambda event: None)
    bk.listen_signal_backtest(heard.append)
    loud = told(bk.Backtest.run("BTCUSDT", CONTEXT))
    assert asked == silent == loud
    ends = [result.to_dict() for result in heard if result.action in ("closed", "cancelled")]
    assert ends == [result for result in silent if result["action"] in ("closed", "cancelled")]


@given(cases(holes=False).filter(priced))
def test_the_engine_equals_the_slow_twin(case: Case) -> None:
    answer = asker(case)
    register(case, get_signal=lambda symbol, when, price: answer(round(when.timestamp() * 1000)))
    fast = told(bk.Backtest.run("BTCUSDT", CONTEXT))
    market = case.market
    columns = (market.timestamps, market.open, market.high, market.low, market.close, market.volume)
    slow = twin(
        list(zip(*(column.tolist() for column in columns), strict=True)),
        frame=(_INTERVALS[case.frame.step_ms // MINUTE], case.frame.start_ms, case.frame.end_ms),
        get_signal=lambda engine, when, price: answer(when),
        config=dict(bk.get_config()),
        strategy_interval=_INTERVALS[case.interval_ms // MINUTE],
    ).results
    assert [row["action"] for row in fast] == [row["action"] for row in slow]
    for one, other in zip(fast, slow, strict=True):
        assert one["created_at"] == other["created_at"]
        assert one["current_price"] == other["current_price"]
        assert one.get("close_reason") == other.get("close_reason")
        assert one.get("reason") == other.get("reason")
        if other["action"] == "closed":
            assert one["pnl"]["pnl_percentage"] == other["pnl"]["pnl_percentage"]
            for name in ("peak_profit", "max_drawdown"):
                for field in ("price", "timestamp", "pnl_percentage"):
                    assert one["signal"][name][field] == other["signal"][name][field]


@given(cases().filter(priced), st.sampled_from(_CANDLES), st.integers(1, 4))
def test_no_callback_reaches_a_candle_at_or_after_now(case: Case, interval: str, limit: int) -> None:
    seen: list[int] = []

    def look(*_: Any) -> None:
        now = bk.get_date()
        try:
            candles = bk.get_candles("BTCUSDT", interval, limit)
            minute = bk.get_candles("BTCUSDT", "1m", 1)
            average = bk.get_average_price("BTCUSDT")
        except CandleRequestError:
            return  # the history is too short for this interval, or now lies behind a hole
        seen.append(len(candles))
        closes = from_ms(int(candles["timestamp"][-1])) + timedelta(minutes=INTERVAL_MINUTES[interval])
        assert closes <= now, f"{interval} candle closing {closes} seen at {now}"
        assert len(candles) == limit
        assert bk.get_close_price("BTCUSDT", "1m") == minute["close"][-1]
        row = case.market.timestamps.searchsorted(minute["timestamp"][-1])
        window = case.settings.average_candles
        assert average == case.market.average_price(window).values[row]

    def heard(event: Any) -> None:
        moment = event.created_at if hasattr(event, "created_at") else event.timestamp
        assert bk.get_timestamp() == moment
        look()

    answer = asker(case)

    def get_signal(symbol: str, when: Any, price: float) -> dict[str, Any] | None:
        look()
        assert bk.get_date() == when
        return answer(round(when.timestamp() * 1000))

    callbacks = ("on_tick", "on_open", "on_close", "on_idle", "on_schedule", "on_cancel", "on_partial_profit")
    more = ("on_partial_loss", "on_breakeven", "on_schedule_ping", "on_active_ping", "on_write")
    register(case, get_signal=get_signal, callbacks=dict.fromkeys((*callbacks, *more), look))
    errors: list[Exception] = []
    bk.listen_error(errors.append)
    for listen in (
        bk.listen_signal,
        bk.listen_signal_event,
        bk.listen_order_schedule,
        bk.listen_active_ping,
        bk.listen_schedule_ping,
        bk.listen_idle_ping,
        bk.listen_highest_profit,
        bk.listen_max_drawdown,
        bk.listen_partial_profit_available,
        bk.listen_partial_loss_available,
        bk.listen_breakeven_available,
    ):
        listen(heard)
    for _ in bk.Backtest.run("BTCUSDT", CONTEXT):
        with pytest.raises(bk.ContextError):
            bk.get_date()
    assert [error for error in errors if not isinstance(error, bk.SignalError)] == []
