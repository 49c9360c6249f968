"""Inside a callback no documented call reaches a candle at or after "now", and none of its answers depends on one."""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

import bkapi as bk
from bkapi.base.timestamps import to_ms
from bkapi.schemas.strategy import StrategyCallbacks
from tests.shares import share

MINUTE = 60_000
START = 1_704_067_200_000
SYMBOL = "BTCUSDT"
NAMES = {"strategy_name": "peeping", "exchange_name": "market", "frame_name": "stretch"}
WARM = 20

#: Every ``listen_*`` that stays subscribed.
LISTENERS = [
    name
    for name in bk.__all__
    if name.startswith("listen_") and not name.endswith(("_once", "_per_signal")) and name != "listen_wake"
]

Answer = tuple[str, Any]


def calls(now: int) -> Iterator[tuple[str, Callable[[], Any], int]]:
    """Every documented call for market data: its name, itself, and the length of its candles (0: not candles)."""
    context = {"exchange_name": "market"}
    for interval in ("1m", "3m", "5m", "15m"):
        step = bk.interval_step_ms(interval)
        for limit in (1, 3):
            yield (
                f"get_candles {interval} {limit}",
                lambda i=interval, n=limit: bk.get_candles(SYMBOL, i, n),
                step,
            )
            yield (
                f"Exchange.get_candles {interval} {limit}",
                lambda i=interval, n=limit: bk.Exchange.get_candles(SYMBOL, i, n, context),
                step,
            )
        yield f"get_close_price {interval}", lambda i=interval: bk.get_close_price(SYMBOL, i), 0
        for limit in (None, 2) if interval in ("1m", "5m") else ():
            for start in (None, now - 3 * step, now - 1):
                for end in (None, now, now + 1):
                    arguments = {"limit": limit, "s_date": start, "e_date": end}
                    told = f"{interval} {limit} {start and start - now} {end and end - now}"
                    yield (
                        f"get_raw_candles {told}",
                        lambda i=interval, a=arguments: bk.get_raw_candles(SYMBOL, i, **a),
                        step,
                    )
                    yield (
                        f"Exchange.get_raw_candles {told}",
                        lambda i=interval, a=arguments: bk.Exchange.get_raw_candles(SYMBOL, i, context, **a),
                        step,
                    )
    connection, core = bk.ExchangeConnectionService(), bk.ExchangeCoreService()
    yield "connection.get_candles", lambda: connection.get_candles(SYMBOL, "1m", 2), MINUTE
    for when in (now, now + 5 * MINUTE):  # the later one is refused
        told = f"{when - now}"
        yield f"core.get_candles {told}", lambda w=when: core.get_candles(SYMBOL, "1m", 2, w, True), MINUTE
        yield f"core.get_average_price {told}", lambda w=when: core.get_average_price(SYMBOL, w, True), 0
        yield f"core.get_close_price {told}", lambda w=when: core.get_close_price(SYMBOL, "5m", w, True), 0
    yield "get_average_price", lambda: bk.get_average_price(SYMBOL), 0
    yield "Exchange.get_average_price", lambda: bk.Exchange.get_average_price(SYMBOL, context), 0
    yield "Exchange.get_close_price", lambda: bk.Exchange.get_close_price(SYMBOL, "5m", context), 0
    yield "get_order_book", lambda: bk.get_order_book(SYMBOL), 0
    yield "Exchange.get_order_book", lambda: bk.Exchange.get_order_book(SYMBOL, context), 0
    yield "get_aggregated_trades", lambda: len(bk.get_aggregated_trades(SYMBOL, 40)), 0
    yield (
        "Exchange.get_aggregated_trades",
        lambda: len(bk.Exchange.get_aggregated_trades(SYMBOL, context, 40)),
        0,
    )
    yield "get_runtime_info", lambda: bk.get_runtime_info().current_price, 0
    yield "price_meta", lambda: bk.price_meta.get_current_price(SYMBOL, NAMES, True), 0
    yield "time_meta", lambda: bk.time_meta.get_timestamp(SYMBOL, NAMES, True), 0


class Peeper:
    """Makes every call in every callback and keeps the answers by time."""

    def __init__(self, one_in: int) -> None:
        #: One call in so many is made at a time; which ones changes with the time.
        self.one_in = one_in
        self.answers: dict[tuple[int, str], Answer] = {}
        self.places: set[str] = set()

    def look(self, place: str) -> None:
        """Make every call; an answer holds closed candles only, and is the same from every place."""
        if not bk.has_trade_context():
            return
        self.places.add(place)
        now = to_ms(bk.get_date())
        for name, call, step in calls(now):
            if zlib.crc32(f"{now} {name}".encode()) % self.one_in:
                continue
            try:
                found = call()
            except bk.BkError as error:
                answer: Answer = ("error", type(error).__name__)
            else:
                assert not name.startswith("core") or not name.endswith(f" {5 * MINUTE}"), (place, name, now)
                if isinstance(found, pl.DataFrame):
                    assert found["timestamp"].max() + step <= now, (place, name, now)
                    answer = ("rows", found.rows())
                else:
                    answer = ("value", found)
            known = self.answers.setdefault((now, name), answer)
            assert known == answer, (place, name, now)


def market(closes: list[float]) -> pl.DataFrame:
    close = pl.Series(closes, dtype=pl.Float64)
    return pl.DataFrame(
        {
            "timestamp": [START + k * MINUTE for k in range(len(closes))],
            "open": close,
            "high": close * 1.001,
            "low": close * 0.999,
            "close": close,
            "volume": [1.0 + k % 5 for k in range(len(closes))],
        }
    )


def run(candles: pl.DataFrame, signals: dict[int, str], *, in_memory: bool) -> Peeper:
    """A backtest that looks around wherever code of a user runs."""
    bk.reset()
    bk.set_config(CC_GET_CANDLES_RETRY_DELAY_MS=0, CC_GET_CANDLES_RETRY_COUNT=1)
    peeper = Peeper(1 if in_memory else 5)  # a function of ones own takes its time
    frame = bk.CandleFrame.from_any(candles, symbol=SYMBOL)
    frames: dict[str, Any] = {"1m": frame}

    def get_candles(symbol: str, interval: str, since: datetime, limit: int, backtest: bool) -> Any:
        if limit < 1:
            return []
        own = frames.setdefault(interval, None) or frame.resample(interval)
        frames[interval] = own
        first = to_ms(since)
        return own.frame.filter(
            pl.col("timestamp").is_between(
                first, first + limit * bk.interval_step_ms(interval), closed="left"
            )
        )

    def ranged(*arguments: Any) -> Any:
        end = [one for one in arguments if isinstance(one, datetime)][-1]
        assert end <= bk.get_date()
        return [{"id": str(to_ms(end)), "price": 1, "qty": 1, "timestamp": to_ms(end)}]

    bk.add_exchange_schema(
        exchange_name="market",
        **({"candles": {SYMBOL: frame}} if in_memory else {"get_candles": get_candles}),
        get_order_book=lambda *arguments: len(ranged(*arguments)),
        get_aggregated_trades=ranged,
    )
    bk.add_frame_schema(
        frame_name="stretch", start_date=START + WARM * MINUTE, end_date=START + (len(candles) - 3) * MINUTE
    )

    def get_signal(symbol: str, when: datetime, price: float) -> Any:
        peeper.look("get_signal")
        side = signals.get((to_ms(when) - START) // MINUTE)
        if side is None:
            return None
        up = 1 if side in ("long", "limit") else -1
        return {
            "position": "long" if up > 0 else "short",
            **({"price_open": price * 0.999} if side == "limit" else {}),
            "price_take_profit": price * (1 + up * 0.01),
            "price_stop_loss": price * (1 - up * 0.01),
            "minute_estimated_time": 12,
        }

    callbacks = {name: lambda *_, place=name: peeper.look(place) for name in StrategyCallbacks.model_fields}
    bk.add_strategy_schema(strategy_name="peeping", get_signal=get_signal, callbacks=callbacks)
    for name in LISTENERS:
        getattr(bk, name)(lambda *_, place=name: peeper.look(place))
    failures: list[Exception] = []
    bk.listen_error(failures.append)
    for _ in bk.Backtest.run(SYMBOL, NAMES):
        pass
    bk.reset()
    broken = [error for error in failures if isinstance(error, AssertionError)]
    assert not broken, broken[0]
    return peeper


steps = st.lists(st.floats(-0.006, 0.006), min_size=50, max_size=70)
plans = st.dictionaries(st.integers(WARM, 60), st.sampled_from(["long", "short", "limit"]), max_size=6)


@pytest.mark.parametrize("in_memory", [True, False])
@settings(max_examples=max(3, settings().max_examples // 20))
@given(steps, plans, st.integers(WARM + 1, 45))
def test_no_call_in_any_callback_sees_the_future(
    in_memory: bool, steps: list[float], plan: dict[int, str], cut: int
) -> None:
    closes = [100.0]
    for step in steps:
        closes.append(closes[-1] * (1 + step))
    other = [price if minute < cut else price * 1.05 for minute, price in enumerate(closes)]
    seen, changed = (run(market(prices), plan, in_memory=in_memory) for prices in (closes, other))
    common = [key for key in seen.answers if key in changed.answers and key[0] <= START + cut * MINUTE]
    assert common
    for key in common:
        assert seen.answers[key] == changed.answers[key], key
    later = [
        key for key in seen.answers if key[0] > START + (cut + 1) * MINUTE and key[1] == "get_close_price 1m"
    ]
    share("markets that move after the cut", bool(later), least=0.3)
    assert not later or any(seen.answers[key] != changed.answers.get(key) for key in later)


def test_every_documented_call_is_tried_from_every_kind_of_callback() -> None:
    """What the property looks at: the calls of the exchange family, and callbacks of every kind that a backtest has."""
    tried = {name.split()[0].removeprefix("Exchange.") for name, _, _ in calls(START + 100 * MINUTE)}
    offered = {name for name, _ in inspect.getmembers(bk.ExchangeUtils, inspect.isfunction) if name[0] != "_"}
    assert {name for name in offered if not name.startswith("format_")} <= tried
    wave = [100 + 2 * (k % 20 if k % 40 < 20 else 20 - k % 20) * 0.2 for k in range(90)]
    places = run(market(wave), {25: "long", 40: "short", 55: "limit", 70: "limit"}, in_memory=True).places
    assert {"get_signal", "on_tick", "on_open", "on_idle", "on_close", "on_write"} <= places
    assert {"listen_signal", "listen_active_ping", "listen_idle_ping", "listen_before_start"} <= places
