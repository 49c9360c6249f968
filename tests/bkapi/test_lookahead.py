"""A planted look-ahead of one candle is caught wherever it lies, and who is honest is never accused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

import bkapi as bk
from bkcore.synthetic import generate

START = datetime(2024, 1, 1, tzinfo=UTC)
CONTEXT = {"strategy_name": "tried", "exchange_name": "memory", "frame_name": "day"}
CANDLES = generate(symbol="BTCUSDT", start=START, minutes=3000, seed=3)
CLOSES = CANDLES.close.copy()


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    bk.reset()
    bk.add_exchange_schema(exchange_name="memory", candles={"BTCUSDT": CANDLES})
    bk.add_frame_schema(
        frame_name="day", start_date=START + timedelta(hours=4), end_date=START + timedelta(hours=40)
    )
    yield
    bk.reset()


def judged(**options: Any) -> bk.Lookahead:
    indicators = options.pop("indicators", None)
    bk.add_strategy_schema(strategy_name="tried", interval="15m", **options)
    return bk.find_lookahead("BTCUSDT", CONTEXT, indicators=indicators, moments=8)


def rows(candles: pl.DataFrame, condition: pl.Expr, minutes: int = 15) -> pl.DataFrame:
    """Long wherever the condition holds on a boundary."""
    return candles.filter(condition & (pl.col("closed_at") % (60_000 * minutes) == 0)).select(
        timestamp="closed_at",
        position=pl.lit("long"),
        take_profit_percent=pl.lit(1.0),
        stop_loss_percent=pl.lit(1.0),
        minute_estimated_time=pl.lit(60),
    )


close = pl.col("close")
HONEST: dict[str, pl.Expr] = {
    "momentum": close > close.shift(30),
    "reversal": close < close.shift(30) * 0.999,
    "mean": close > close.rolling_mean(50),
    "cross": (close.rolling_mean(10) > close.rolling_mean(40)) & (close.shift(1) < close.shift(9)),
    "exponential": close > close.ewm_mean(span=30, adjust=False),
    "deviation": close < close.rolling_mean(60) - close.rolling_std(60),
    "breakout": close >= close.rolling_max(45),
    "channel": close <= pl.col("low").rolling_min(30) * 1.001,
    "volume": pl.col("volume") > pl.col("volume").rolling_mean(100),
    "range": (pl.col("high") - pl.col("low")) > (pl.col("high") - pl.col("low")).rolling_mean(20),
    "expanding": close > close.cum_max() * 0.995,
    "weighted": close > (close * pl.col("volume")).rolling_sum(20) / pl.col("volume").rolling_sum(20),
    "always": close > 0,
    "green": close > pl.col("open"),
}


def always(symbol: str, when: datetime, price: float) -> Any:
    return bk.Position.bracket(
        position="long", current_price=price, percent_take_profit=1, percent_stop_loss=1
    )


def hourly_high(symbol: str, when: datetime, price: float) -> Any:
    if price < bk.get_candles(symbol, "1m", 60)["high"].max() * 0.998:
        return always(symbol, when, price)
    return None


def falling(symbol: str, when: datetime, price: float) -> Any:
    last = bk.get_candles(symbol, "5m", 3)["close"].to_list()
    return always(symbol, when, price) if last[-1] < last[0] else None


def by_clock(symbol: str, when: datetime, price: float) -> Any:
    return always(symbol, when, price) if when.hour % 2 else None


def held_array(symbol: str, when: datetime, price: float) -> Any:
    row = int((when - START).total_seconds()) // 60
    return always(symbol, when, price) if CLOSES[row - 1] > CLOSES[row - 20] else None


def averaged(symbol: str, when: datetime, price: float) -> Any:
    return always(symbol, when, price) if price < bk.get_close_price(symbol, "1m") else None


ASKED: list[Callable[..., Any]] = [always, hourly_high, falling, by_clock, held_array, averaged]


@pytest.mark.parametrize("name", HONEST)
def test_honest_signals_are_never_accused(name: str) -> None:
    found = judged(
        signals=lambda candles: rows(candles, HONEST[name]), indicators={name: lambda c: HONEST[name]}
    )
    assert not found.found, found
    assert "no look-ahead" in repr(found)


@pytest.mark.parametrize("ask", ASKED)
def test_honest_functions_are_never_accused(ask: Callable[..., Any]) -> None:
    found = judged(get_signal=ask)
    assert not found.found, found


def test_a_candle_too_far_in_signals_is_caught() -> None:
    found = judged(signals=lambda candles: rows(candles, close.shift(-1) > close))
    assert (found.kind, found.found) == ("signal", True)
    assert found.when is not None
    assert found.when.minute % 15 == 0
    assert f"{found.when:%Y-%m-%d %H:%M} UTC" in repr(found)


def test_signals_stamped_with_the_opening_of_their_candle_are_caught() -> None:
    def early(candles: pl.DataFrame) -> pl.DataFrame:
        stamped = candles.with_columns(closed_at="timestamp")
        return rows(stamped, close > pl.col("open"))

    assert judged(signals=early).kind == "signal"


def test_a_mean_of_the_whole_history_is_caught() -> None:
    assert judged(signals=lambda candles: rows(candles, close > close.mean())).kind == "signal"


def test_a_candle_too_far_in_an_indicator_is_caught() -> None:
    honest = HONEST["mean"]
    found = judged(
        signals=lambda candles: rows(candles, honest),
        indicators={
            "mean": lambda c: close.rolling_mean(5),
            "centred": lambda c: c["close"].rolling_mean(3, center=True),
        },
    )
    assert (found.kind, found.name) == ("indicator", "centred")


def test_a_candle_too_far_in_get_signal_is_caught() -> None:
    def next_candle(symbol: str, when: datetime, price: float) -> Any:
        later = bk.get_next_candles(symbol, "1m", 1)
        return always(symbol, when, price) if later["close"][0] > price else None

    assert judged(get_signal=next_candle).kind == "signal"


def test_candles_that_the_code_holds_itself_are_seen() -> None:
    def next_close(symbol: str, when: datetime, price: float) -> Any:
        row = int((when - START).total_seconds()) // 60
        return always(symbol, when, price) if CLOSES[row] > CLOSES[row - 1] else None

    before = CLOSES.copy()
    assert judged(get_signal=next_close).kind == "signal"
    assert (before == CLOSES).all()


def test_a_strategy_that_is_not_repeatable_is_refused() -> None:
    calls: list[int] = []

    def moody(symbol: str, when: datetime, price: float) -> Any:
        calls.append(1)
        return always(symbol, when, price) if len(calls) == 5 else None

    with pytest.raises(bk.LookaheadError, match="something else the second time"):
        judged(get_signal=moody)
