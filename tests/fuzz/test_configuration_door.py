"""Constants, dates and commands of any kind: a run that ends right, or one error of ours; nothing else changes."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

import bkapi as bk
from bkapi.base import config
from bkcore.candles.frame import CandleFrame
from tests.fuzz.harness import counts, tries
from tests.fuzz.odd_values import MINUTE, START, odd_moment, odd_number, odd_thing

CONTEXT = {"strategy_name": "fuzzed", "exchange_name": "fuzzed", "frame_name": "fuzzed"}


def candles(count: int = 240) -> CandleFrame:
    """A market that goes up and down a little."""
    close = [100.0 + (minute % 40) * 0.1 for minute in range(count)]
    columns: dict[str, Any] = {"timestamp": [START + minute * MINUTE for minute in range(count)]}
    columns |= dict.fromkeys(("open", "high", "low", "close"), close)
    return CandleFrame.from_any({**columns, "volume": [1.0] * count}, symbol="X")


CANDLES = candles()


def signal(symbol: str, when: object, price: float) -> dict[str, Any]:
    return {"position": "long", "price_take_profit": price * 1.02, "price_stop_loss": price * 0.98}


def registered(**frame: Any) -> None:
    bk.reset()
    bk.add_exchange_schema(exchange_name="fuzzed", candles={"X": CANDLES})
    bk.add_strategy_schema(strategy_name="fuzzed", interval="15m", get_signal=signal)
    bk.add_frame_schema(
        **{
            "frame_name": "fuzzed",
            "start_date": START + 10 * MINUTE,
            "end_date": START + 200 * MINUTE,
            **frame,
        }
    )


@counts
def test_constants(count: int, caplog: pytest.LogCaptureFixture) -> None:
    registered()
    names = [*config.DEFAULTS, "CC_FEE", "cc_percent_fee", "mine", "CC_MINE_2"]

    def one(dice: Random) -> None:
        bk.get_config()
        config.reset_config()
        before = config.get_config()
        given: dict[Any, Any] = {
            dice.choice(names): dice.choice((odd_number, odd_thing))(dice) for _ in range(dice.randint(1, 2))
        }
        unsafe = dice.random() < 0.25
        try:
            config.set_config(given, unsafe=unsafe)
        except bk.ConfigError:
            after = config.get_config()
            assert {name: after[name] for name in before} == before
            raise
        if not unsafe:
            config.validate_config(config.get_config())
        finished = bk.Backtest.finish("X", CONTEXT)
        assert finished.trades.height >= 0
        str(finished.statistics())

    try:
        ends = tries("configuration", count, one)
    finally:
        bk.reset()
    assert ends["accepted"] > count // 20
    assert ends["ConfigError"] > count // 4


@counts
def test_dates(count: int, caplog: pytest.LogCaptureFixture) -> None:
    def one(dice: Random) -> None:
        dates = {name: odd_moment(dice) for name in ("start_date", "end_date") if dice.random() < 0.7}
        registered(**dates)
        assert bk.get_frame_schema("fuzzed").start_ms <= bk.get_frame_schema("fuzzed").end_ms
        bk.Backtest.finish("X", CONTEXT)

    def asked(dice: Random) -> None:
        moments = [odd_moment(dice) for _ in range(2)]
        match dice.randint(0, 3):
            case 0:
                bk.Exchange.get_raw_candles(
                    "X", "1m", {"exchange_name": "fuzzed"}, odd_number(dice), *moments
                )
            case 1:
                assert CANDLES.between(*moments).timestamps[0] >= START
            case 2:
                assert bk.align_to_interval(moments[0], "1h").minute == 0
            case 3:
                bk.run_in_mock_context(bk.get_date, when=moments[0])

    try:
        assert tries("frames", count // 2, one)["accepted"] > count // 50
        registered()
        assert tries("moments", count // 2, asked)["accepted"] > count // 50
    finally:
        bk.reset()


@counts
def test_commands_and_signals(count: int, caplog: pytest.LogCaptureFixture) -> None:
    """Commands and wakes with odd numbers leave the run standing."""
    commands = (
        *(
            bk.commit_average_buy,
            bk.commit_partial_profit,
            bk.commit_partial_loss,
            bk.commit_partial_profit_cost,
        ),
        *(bk.commit_trailing_stop_cost, bk.commit_trailing_take_cost),
    )
    raised: list[BaseException] = []

    def one(dice: Random) -> None:
        raised.clear()

        def ping(symbol: str, *_: object) -> None:
            try:
                if dice.random() < 0.5:
                    dice.choice(commands)(symbol, odd_thing(dice))
                else:
                    names = ("above", "below", "pnl_above", "pnl_below", "after_minutes", "next_interval")
                    bk.wake_on(symbol, **{name: odd_thing(dice) for name in dice.sample(names, 2)})
            except bk.BkError:
                pass
            except BaseException as error:
                raised.append(error)

        def asked(symbol: str, when: object, price: float) -> dict[str, Any]:
            fields = (
                "position",
                "price_open",
                "price_take_profit",
                "price_stop_loss",
                "minute_estimated_time",
                "cost",
            )
            return {
                **signal(symbol, when, price),
                **{name: odd_thing(dice) for name in dice.sample(fields, dice.choice((0, 1)))},
            }

        bk.override_strategy_schema(
            strategy_name="fuzzed", get_signal=asked, callbacks={"on_active_ping": ping, "on_wake": ping}
        )
        bk.Backtest.finish("X", CONTEXT)
        if raised:
            raise raised[0]

    try:
        registered()
        bk.override_frame_schema(frame_name="fuzzed", end_date=START + 60 * MINUTE)
        assert tries("commands", count, one)["accepted"] > count // 2
    finally:
        bk.reset()
