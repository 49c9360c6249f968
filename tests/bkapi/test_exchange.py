"""What an exchange is asked, how its answers may look, and what of them is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import bkapi as bk
from bkapi.market import source as exchange_source
from bkcore.candles.errors import CandleError, CandleOrderError

MINUTE = 60_000
START = 1_704_067_200_000
NOW = START + 600 * MINUTE
NAMES = {"exchange_name": "shop"}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    bk.reset()
    bk.set_config(CC_GET_CANDLES_RETRY_DELAY_MS=0)
    yield
    bk.reset()


def rows_from(since: datetime, limit: int, step: int = MINUTE) -> list[list[float]]:
    first = round(since.timestamp() * 1000)
    return [[first + k * step, 100.0, 101.0, 99.0, 100.5 + k, 7.0] for k in range(limit)]


def shop(answer: Callable[..., Any], **fields: Any) -> list[tuple[int, int]]:
    """Register an exchange that answers ``answer(rows)``; the list of what it was asked."""
    asked: list[tuple[int, int]] = []

    def get_candles(symbol: str, interval: str, since: datetime, limit: int, backtest: bool) -> Any:
        asked.append((round(since.timestamp() * 1000), limit))
        return answer(rows_from(since, limit, bk.interval_step_ms(interval)))

    bk.add_exchange_schema(exchange_name="shop", get_candles=get_candles, **fields)
    return asked


def within(call: Callable[[], Any], **context: Any) -> Any:
    return bk.run_in_mock_context(call, **{"exchange_name": "shop", "when": NOW, "backtest": True, **context})


COLUMNS = ["timestamp", "open", "high", "low", "close", "volume"]


def frame(rows: list[list[float]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


async def coroutine(rows: list[list[float]]) -> list[list[float]]:
    return rows


SHAPES: dict[str, Callable[[list[list[float]]], Any]] = {
    "ccxt rows": lambda rows: rows,
    "dicts": lambda rows: [dict(zip(COLUMNS, row, strict=True)) for row in rows],
    "polars": frame,
    "lazy": lambda rows: frame(rows).lazy(),
    "pandas": lambda rows: pd.DataFrame(rows, columns=COLUMNS),
    "arrow": lambda rows: frame(rows).to_arrow(),
    "coroutine": coroutine,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_answer_gives_the_same_candles(shape: str) -> None:
    shop(SHAPES[shape])
    rows = within(lambda: bk.get_candles("BTCUSDT", "5m", 3))
    assert rows["timestamp"].to_list() == [NOW - k * 5 * MINUTE for k in (3, 2, 1)]
    assert rows["close"].to_list() == [100.5, 101.5, 102.5]
    assert rows.schema == {**dict.fromkeys(COLUMNS, pl.Float64), "timestamp": pl.Int64}


def test_large_requests_go_in_chunks_and_doubled_candles_count_once() -> None:
    bk.set_config(CC_MAX_CANDLES_PER_REQUEST=4)
    asked = shop(lambda rows: rows)
    assert len(within(lambda: bk.get_candles("BTCUSDT", "1m", 10))) == 10
    assert asked == [(NOW - 10 * MINUTE, 4), (NOW - 6 * MINUTE, 4), (NOW - 2 * MINUTE, 2)]
    bk.override_exchange_schema(
        exchange_name="shop",
        get_candles=lambda symbol, interval, since, limit, backtest: rows_from(since, limit + (limit == 4)),
    )
    bk.forget_exchanges("shop")
    rows = within(lambda: bk.get_candles("BTCUSDT", "1m", 10))
    assert rows["close"].to_list() == [100.5 + k for k in (0, 1, 2, 3, 0, 1, 2, 3, 0, 1)]


def test_an_exchange_in_use_keeps_its_schema_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    asked = shop(lambda rows: rows)
    within(lambda: bk.get_candles("BTCUSDT", "1m", 1))
    bk.override_exchange_schema(exchange_name="shop", get_candles=lambda *_: 1 / 0)
    for _ in range(2):
        within(lambda: bk.get_candles("BTCUSDT", "1m", 2))
    assert [limit for _, limit in asked] == [1, 2, 2]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "forget_exchanges('shop')" in caplog.text
    bk.forget_exchanges("memory")
    within(lambda: bk.get_candles("BTCUSDT", "1m", 3))
    bk.forget_exchanges("shop")
    with pytest.raises(ZeroDivisionError):
        within(lambda: bk.get_candles("BTCUSDT", "1m", 1))


@pytest.mark.parametrize("text", ["a gap is hidden"])
def test_a_hidden_gap_is_refused_and_not_asked_again(text: str) -> None:
    asked = shop(lambda rows: [*rows[:2], *([row[0] + MINUTE, *row[1:]] for row in rows[2:])])
    with pytest.raises(bk.CandleRequestError, match=text):
        within(lambda: bk.get_candles("BTCUSDT", "1m", 5))
    assert len(asked) == 1


def test_shuffled_rows_are_refused_after_every_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, waited = shop(lambda rows: rows[::-1]), []
    monkeypatch.setattr(exchange_source.time, "sleep", waited.append)
    bk.set_config(CC_GET_CANDLES_RETRY_DELAY_MS=5000)
    with pytest.raises(CandleOrderError):
        within(lambda: bk.get_candles("BTCUSDT", "1m", 5))
    assert len(asked) == 3
    assert waited == [5, 5]  # not after the last


def test_a_candle_that_comes_twice_in_one_answer_counts_once_with_its_last_value(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = shop(lambda rows: [rows[0], [*rows[0][:4], 9.0, 1.0], *rows[1:]])
    rows = within(lambda: bk.get_candles("BTCUSDT", "1m", 3))
    assert rows["timestamp"].to_list() == [NOW - k * MINUTE for k in (3, 2, 1)]
    assert rows["close"].to_list() == [9.0, 101.5, 102.5]
    assert len(asked) == 1
    assert "1 candles came twice" in caplog.text


def test_an_answer_may_be_a_candle_frame() -> None:
    shop(lambda rows: bk.CandleFrame.from_any(rows, symbol="BTCUSDT"))
    assert len(within(lambda: bk.get_candles("BTCUSDT", "1m", 3))) == 3


def test_a_sparse_answer_is_told_by_its_count_not_taken_for_another_interval() -> None:
    shop(lambda rows: rows[::2])
    with pytest.raises(bk.CandleRequestError, match=r"candle count mismatch.*got 3 \(shop BTCUSDT 1m\)"):
        within(lambda: bk.get_candles("BTCUSDT", "1m", 6))


def test_the_facade_makes_one_attempt() -> None:
    asked = shop(lambda rows: rows[::-1])
    with pytest.raises(CandleOrderError):
        bk.Exchange.get_candles("BTCUSDT", "1m", 5, NAMES)
    assert len(asked) == 1


def test_one_request_at_a_time_in_the_process_and_one_inside_another_does_not_wait() -> None:
    inside, most = 0, 0

    def answer(rows: list[list[float]]) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        if len(rows) == 5:
            bk.get_candles("BTCUSDT", "1m", 2)
        inside -= 1
        return rows

    shop(answer)
    threads = [
        threading.Thread(target=lambda: within(lambda: bk.get_candles("BTCUSDT", "1m", 5))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert most == 2  # the outer call and the one inside it


def test_locks_are_fair_and_an_extra_release_is_an_error() -> None:
    lock = bk.Lock()
    lock.acquire_lock()
    lock.release_lock()
    with pytest.raises(bk.LockError, match="Extra release in finally block"):
        lock.release_lock()


@pytest.mark.parametrize(
    ("price", "text"), [(0.125, "0.13"), (0.375, "0.38"), (2.675, "2.67"), (-0.125, "-0.13"), (5, "5.00")]
)
def test_prices_have_two_decimals_and_ties_go_away_from_zero(price: float, text: str) -> None:
    shop(lambda rows: rows)
    assert within(lambda: bk.format_price("BTCUSDT", price)) == text
    assert bk.Exchange.format_price("BTCUSDT", price, NAMES) == text
    assert bk.Exchange.format_quantity("BTCUSDT", 1 / 3, NAMES) == "0.33333333"


def test_a_format_of_ones_own_is_told_the_mode() -> None:
    shop(lambda rows: rows, format_price=lambda symbol, price, backtest: f"{symbol} {price} {backtest}")
    assert within(lambda: bk.format_price("BTCUSDT", 1.5)) == "BTCUSDT 1.5 True"
    assert bk.Exchange.format_price("BTCUSDT", 1.5, NAMES) == "BTCUSDT 1.5 False"


TRADES = [{"id": str(k), "price": "1.5", "qty": "2", "timestamp": str(START + k)} for k in range(3)]


@pytest.mark.parametrize("shape", [list, pl.DataFrame, pd.DataFrame, lambda rows: pl.DataFrame(rows).lazy()])
def test_trades_come_in_every_shape(shape: Callable[[Any], Any]) -> None:
    shop(lambda rows: rows, get_aggregated_trades=lambda *_: shape(TRADES))
    trades = within(lambda: bk.get_aggregated_trades("BTCUSDT"))
    assert [trade["timestamp"] for trade in trades] == [START, START + 1, START + 2]
    assert trades[0] == {"id": "0", "price": 1.5, "qty": 2.0, "timestamp": START}


@pytest.mark.parametrize("answer", [[5], 5, [{"id": "1"}], [{**TRADES[0], "price": "much"}]])
def test_what_is_no_trade_is_one_clean_error(answer: Any) -> None:
    shop(lambda rows: rows, get_aggregated_trades=lambda *_: answer)
    with pytest.raises(bk.CandleRequestError):
        within(lambda: bk.get_aggregated_trades("BTCUSDT"))


def test_a_candle_callback_that_raises_is_reported() -> None:
    heard: list[Exception] = []
    bk.listen_error(heard.append)

    def on_candle_data(*_: Any) -> None:
        raise ValueError("oh")

    shop(lambda rows: rows, callbacks={"on_candle_data": on_candle_data})
    assert len(within(lambda: bk.get_candles("BTCUSDT", "1m", 2))) == 2
    assert [str(error) for error in heard] == ["oh"]


def test_contexts_are_asked_for_in_order() -> None:
    with pytest.raises(bk.ContextError, match="get_order_book requires an execution context"):
        bk.get_order_book("BTCUSDT")
    with pytest.raises(bk.ContextError, match="format_price requires a method context"):
        bk.format_price("BTCUSDT", 1.0)


def test_next_candles_end_before_the_wall_clock() -> None:
    shop(lambda rows: rows)
    assert len(within(lambda: bk.get_next_candles("BTCUSDT", "1m", 3))) == 3
    soon = datetime.now(UTC) - timedelta(minutes=2)
    assert len(within(lambda: bk.get_next_candles("BTCUSDT", "1m", 3), when=soon)) == 0


CALLS: dict[str, Callable[[Any], Any]] = {
    "get_candles": lambda limit: bk.get_candles("BTCUSDT", "1m", limit),
    "get_raw_candles": lambda limit: bk.get_raw_candles("BTCUSDT", "1m", limit),
    "Exchange": lambda limit: bk.Exchange.get_candles("BTCUSDT", "1m", limit, NAMES),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("limit", [10**9, 10**15])
def test_a_limit_that_reaches_before_1970_is_refused_at_once(call: str, limit: int) -> None:
    asked = shop(lambda rows: rows)
    with pytest.raises(bk.CandleRequestError, match="would begin before 1970"):
        within(lambda: CALLS[call](limit))
    assert not asked


@pytest.mark.parametrize("call", CALLS)
def test_numbers_of_numpy_are_numbers(call: str) -> None:
    shop(lambda rows: rows)
    assert len(within(lambda: CALLS[call](np.int64(3)))) == 3
    for start in (
        np.int64(NOW - 9 * MINUTE),
        np.datetime64(NOW - 9 * MINUTE, "ms"),
        pd.Timestamp(NOW - 9 * MINUTE, unit="ms"),
    ):
        rows = within(lambda start=start: bk.get_raw_candles("BTCUSDT", "1m", 2, s_date=start))
        assert rows["timestamp"][0] == NOW - 9 * MINUTE
    with pytest.raises(bk.MomentError):
        within(lambda: bk.get_raw_candles("BTCUSDT", "1m", 2, s_date=np.datetime64("NaT")))


@pytest.mark.parametrize("interval", ["7m", "12h", "", None, ["1m"]])
def test_an_unknown_interval_is_named(interval: Any) -> None:
    shop(lambda rows: rows)
    for call in (bk.get_candles, bk.get_next_candles, bk.get_raw_candles):
        with pytest.raises(bk.UnknownIntervalError, match="ClientExchange unknown interval="):
            within(lambda call=call: call("BTCUSDT", interval, 2))


@pytest.mark.parametrize("symbol", ["", None, 5, ["BTCUSDT"]])
def test_what_is_no_symbol_is_refused_before_anybody_is_asked(symbol: Any) -> None:
    asked = shop(lambda rows: rows)
    candles = bk.CandleFrame.from_any(
        rows_from(datetime.fromtimestamp(START / 1000, UTC), 700), symbol="BTCUSDT"
    )
    bk.add_exchange_schema(exchange_name="memory", candles={"BTCUSDT": candles})
    for exchange in ("shop", "memory"):
        with pytest.raises(CandleError, match="is no symbol"):
            within(lambda: bk.get_candles(symbol, "1m", 2), exchange_name=exchange)
    assert not asked
    with pytest.raises(bk.CandleRequestError, match="did you mean 'BTCUSDT'"):
        within(lambda: bk.get_average_price("BTCUSD"), exchange_name="memory")


@pytest.mark.parametrize("context", [None, {}, "shop", 5, {"exchange_name": ["shop"]}])
def test_a_context_without_an_exchange_is_one_clean_error(context: Any) -> None:
    shop(lambda rows: rows)
    with pytest.raises(bk.SchemaError, match="exchange_name"):
        bk.Exchange.get_candles("BTCUSDT", "1m", 2, context)


def test_the_context_of_a_run_names_the_exchange() -> None:
    shop(lambda rows: rows)
    assert len(within(lambda: bk.Exchange.get_candles("BTCUSDT", "1m", 2, bk.get_context()))) == 2


@pytest.mark.parametrize("limit", [2.5, "five", [1], float("nan")])
def test_a_limit_that_is_no_number_of_trades_is_a_clean_error(limit: Any) -> None:
    shop(lambda rows: rows, get_aggregated_trades=lambda *_: TRADES)
    with pytest.raises(bk.CandleRequestError):
        within(lambda: bk.get_aggregated_trades("BTCUSDT", limit))


def test_identities_of_trades_may_be_anything() -> None:
    bad = [{**TRADES[0], "id": one} for one in ([1], {"a": 1}, [1])]
    shop(lambda rows: rows, get_aggregated_trades=lambda *_: bad)
    assert [trade["id"] for trade in within(lambda: bk.get_aggregated_trades("BTCUSDT", 3))] == [
        [1],
        {"a": 1},
    ]


@pytest.mark.parametrize("minutes", [0, -5, "x"])
def test_a_window_of_trades_never_ends_after_now(minutes: Any) -> None:
    asked: list[Any] = []
    shop(lambda rows: rows, get_aggregated_trades=lambda *ends: asked.append(ends) or TRADES)
    bk.set_config(CC_AGGREGATED_TRADES_MAX_MINUTES=minutes)
    with pytest.raises(bk.CandleRequestError, match="CC_AGGREGATED_TRADES_MAX_MINUTES"):
        within(lambda: bk.get_aggregated_trades("BTCUSDT"))
    assert not asked


@pytest.mark.parametrize("price", [None, "1.5", [1], 10**400])
def test_what_is_no_price_is_one_clean_error(price: Any) -> None:
    shop(lambda rows: rows)
    for call in (bk.format_price, bk.format_quantity):
        with pytest.raises(bk.PriceTextError):
            within(lambda call=call: call("BTCUSDT", price))


def test_prices_of_numpy_are_prices() -> None:
    shop(lambda rows: rows)
    assert within(lambda: bk.format_price("BTCUSDT", np.float32(0.125))) == "0.13"
    assert within(lambda: bk.format_price("BTCUSDT", np.int64(5))) == "5.00"


def test_the_core_service_does_not_look_beyond_now() -> None:
    asked = shop(lambda rows: rows)
    core = bk.ExchangeCoreService()
    assert len(within(lambda: core.get_candles("BTCUSDT", "1m", 2, NOW, True))) == 2
    with pytest.raises(
        bk.CandleRequestError, match=r"exceeds execution context when .* Look-ahead bias protection"
    ):
        within(lambda: core.get_candles("BTCUSDT", "1m", 2, NOW + 1, True))
    assert len(asked) == 1


def test_the_callback_of_a_frame_may_ask_for_the_frame() -> None:
    seen: list[int] = []
    service = bk.FrameConnectionService()
    bk.add_frame_schema(
        frame_name="hour",
        start_date=START,
        end_date=START + 60 * MINUTE,
        callbacks={"on_timeframe": lambda *_: seen.append(len(service.get_timeframe("BTCUSDT")))},
    )
    assert len(within(lambda: service.get_timeframe("BTCUSDT"), frame_name="hour")) == 61
    assert seen == [61]


@pytest.mark.parametrize("limit", [2.5, float("nan"), True, "five"])
def test_a_limit_that_is_no_number_of_candles_is_a_clean_error(limit: Any) -> None:
    asked = shop(lambda rows: rows)
    with pytest.raises(bk.CandleRequestError):
        within(lambda: bk.get_candles("BTCUSDT", "1m", limit))
    assert not asked


def test_background_runs_are_listed_while_they_go_on() -> None:
    candles = bk.CandleFrame.from_any(rows_from(datetime.fromtimestamp(START / 1000, UTC), 300), symbol="B")
    seen: list[Any] = []
    bk.add_exchange_schema(exchange_name="memory", candles={"B": candles})
    bk.add_frame_schema(frame_name="f", start_date=START + 30 * MINUTE, end_date=START + 60 * MINUTE)
    bk.add_strategy_schema(
        strategy_name="s", get_signal=lambda *_: seen.append(bk.Lookup.list_activity()[0].symbol)
    )
    context = {"strategy_name": "s", "exchange_name": "memory", "frame_name": "f"}
    handle = bk.Backtest.background("B", context)
    assert handle.wait(30)
    assert handle.error is None
    assert set(seen) == {"B"}
    assert bk.Lookup.list_activity() == []


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "limit", [-1, -(2**62), -(2**63), -(10**400)], ids=["one", "many", "int64", "beyond"]
)
@pytest.mark.parametrize("in_memory", [True, False])
def test_fewer_candles_than_none_are_refused(call: str, limit: int, in_memory: bool) -> None:
    if in_memory:
        rows = rows_from(datetime.fromtimestamp(START / 1000, UTC), 700)
        bk.add_exchange_schema(exchange_name="shop", candles={"BTCUSDT": rows})
    else:
        shop(lambda rows: rows)
    with pytest.raises(bk.CandleRequestError):
        within(lambda: CALLS[call](limit))
