"""Frames of signals with anything in them: a run in which no row vanishes without a word, or one error of ours."""

from __future__ import annotations

from random import Random
from typing import Any

import pandas
import polars as pl
import pytest

import bkapi as bk
from bkcore.candles.frame import CandleFrame
from bkcore.machine.signals import COLUMNS
from tests.fuzz.harness import counts, tries
from tests.fuzz.odd_values import MINUTE, START, odd_moment, odd_number, odd_thing

CONTEXT = {"strategy_name": "fuzzed", "exchange_name": "fuzzed", "frame_name": "fuzzed"}
STEP = 15 * MINUTE
BASE = {"timestamp", "position", "take_profit_percent", "stop_loss_percent", "minute_estimated_time"}
TIMES = [START + STEP * k for k in range(1, 12)]


def market() -> CandleFrame:
    """Four flat hours."""
    flat = dict.fromkeys(("open", "high", "low", "close"), [100.0] * 240)
    columns = {"timestamp": [START + minute * MINUTE for minute in range(240)], **flat, "volume": [1.0] * 240}
    return CandleFrame.from_any(columns, symbol="X")


def frame(dice: Random) -> Any:
    """A good frame with a few columns or values changed, or something else altogether."""
    columns: dict[str, Any] = {
        "timestamp": list(TIMES),
        "position": ["long"] * len(TIMES),
        "take_profit_percent": [2.0] * len(TIMES),
        "stop_loss_percent": [2.0] * len(TIMES),
        "minute_estimated_time": [5] * len(TIMES),
    }
    factor = dice.choice((1, 1, 1, 1, 0.001, 1000, 1_000_000))
    shift = dice.choice((0, 0, 0, 0, MINUTE, 1, 365 * 86_400_000))
    columns["timestamp"] = [int((time + shift) * factor) for time in TIMES]
    for _ in range(dice.randint(0, 2)):
        name = dice.choice((*COLUMNS, "rsi"))
        make = odd_moment if name == "timestamp" else dice.choice((odd_number, odd_thing))
        odd = dice.choice((make(dice), "BUY", 1, -1, None))
        if name in columns and dice.random() < 0.5:
            columns[name][dice.randrange(len(TIMES))] = odd
        elif dice.random() < 0.2:
            columns.pop(name, None)
        else:
            columns[name] = [odd] * len(TIMES)
    try:
        made: Any = pl.DataFrame(columns, strict=False)
    except BaseException:  # Polars refuses to hold such a table
        return dice.choice((columns, odd_thing(dice)))
    others = (
        pl.DataFrame.lazy,
        pl.DataFrame.reverse,
        pl.DataFrame.to_dict,
        lambda made: made[:0],
        lambda _: pandas.DataFrame(),
    )
    if dice.random() < 0.1:
        return dice.choice((*others, lambda made: made.lazy().select("no")))(made)
    return made


@counts
def test_frames(count: int, caplog: pytest.LogCaptureFixture) -> None:
    given: list[Any] = []
    heard: list[Any] = []
    bk.reset()
    bk.add_exchange_schema(exchange_name="fuzzed", candles={"X": market()})
    bk.add_frame_schema(frame_name="fuzzed", start_date=START + STEP, end_date=START + 200 * MINUTE)
    bk.add_strategy_schema(strategy_name="fuzzed", interval="15m", signals=lambda candles: given[0])
    bk.listen_error(heard.append)

    def one(dice: Random) -> None:
        given[:], heard[:] = [frame(dice)], []
        finished = bk.Backtest.finish("X", CONTEXT)
        made = given[0].lazy().collect()
        signals = made.filter(pl.col("position").is_not_null() & (pl.col("position").cast(pl.String) != "0"))
        if set(made.columns) == BASE and brief(made):
            assert finished.trades.height == signals.height or heard

    def brief(made: pl.DataFrame) -> bool:
        """Whether no position can still be open when the next signal comes."""
        minutes = made["minute_estimated_time"].cast(pl.Float64, strict=False).fill_null(1e9)
        return bool((minutes < 15).all()) and bool(made["timestamp"].is_unique().all())

    try:
        ends = tries("signal frames", count, one)
    finally:
        bk.reset()
    assert ends["accepted"] > count // 10
