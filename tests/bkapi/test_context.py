"""The ambient contexts: who sees them, who does not, and what the functions say without them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas
import pytest

from bkapi.base import context
from bkapi.base.context import ExecutionContext, MethodContext, execution, iterate_in_context, method
from bkapi.base.timestamps import from_ms, to_datetime, to_ms
from bkapi.errors import ContextError, MomentError

NOON = 1_704_110_400_000  # 2024-01-01 12:00 UTC
NAMES = MethodContext("dip", "binance", "january")


def at(when_ms: int) -> ExecutionContext:
    return ExecutionContext("BTCUSDT", when_ms, True)


def here() -> tuple[bool, bool]:
    return execution.has_context(), method.has_context()


@pytest.mark.parametrize(
    ("function", "needs"),
    [
        (context.get_date, "an execution"),
        (context.get_timestamp, "an execution"),
        (context.get_mode, "an execution"),
        (context.get_symbol, "an execution"),
        (context.get_context, "a method"),
    ],
)
def test_without_a_context_a_function_says_which_it_needs(function: Callable[[], Any], needs: str) -> None:
    with pytest.raises(ContextError, match=f"^{function.__name__} requires {needs} context\nHint: "):
        function()


def test_get_timestamp_needs_both() -> None:
    with pytest.raises(ContextError, match="get_timestamp requires a method context"):
        execution.run_in_context(context.get_timestamp, at(NOON))


def test_inside_a_run_they_answer() -> None:
    def read() -> tuple[Any, ...]:
        return (
            context.get_date(),
            context.get_timestamp(),
            context.get_mode(),
            context.get_symbol(),
            context.get_context(),
            context.has_trade_context(),
            context.get_context_timestamp(),
        )

    answers = method.run_in_context(execution.run_in_context, NAMES, read, at(NOON))
    noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    assert answers == (noon, NOON, "backtest", "BTCUSDT", NAMES, True, NOON)
    assert answers[0].tzinfo is UTC
    assert here() == (False, False)
    assert not context.has_trade_context()


def test_live_is_the_other_mode() -> None:
    assert context.run_in_mock_context(context.get_mode, backtest=False) == "live"
    assert context.run_in_mock_context(context.get_mode, backtest=True) == "backtest"


def test_inner_contexts_shadow_outer_ones_and_errors_bring_them_back() -> None:
    def fails() -> None:
        raise ZeroDivisionError

    def outer() -> list[int]:
        seen = [context.get_context_timestamp()]
        seen.append(execution.run_in_context(context.get_context_timestamp, at(2)))
        with pytest.raises(ZeroDivisionError):
            execution.run_in_context(fails, at(3))
        return [*seen, context.get_context_timestamp()]

    assert execution.run_in_context(outer, at(1)) == [1, 2, 1]


def test_begin_context_and_begin_time_take_away_and_give_back() -> None:
    def outer() -> list[tuple[bool, bool]]:
        return [here(), context.begin_context(here), context.begin_time(here), here()]

    assert context.run_in_mock_context(outer) == [(True, True), (False, False), (False, True), (True, True)]


def test_arguments_are_passed_on() -> None:
    assert context.begin_context(lambda a, *, b: (a, b), 1, b=2) == (1, 2)
    assert context.begin_time(max, 1, 2) == 2
    assert execution.run_out_of_context(max, 1, 2) == 2


def test_mock_context_defaults_and_both_ways_to_give_fields() -> None:
    def read() -> tuple[Any, ...]:
        return context.get_symbol(), context.get_mode(), context.get_context(), context.get_timestamp()

    symbol, mode, names, timestamp = context.run_in_mock_context(read)
    assert (symbol, mode) == ("BTCUSDT", "live")
    assert names == MethodContext("mock-strategy", "mock-exchange", "mock-frame")
    assert timestamp % 60_000 == 0
    fields = {"symbol": "ETHUSDT", "when": datetime(2024, 1, 1, 12), "strategy_name": "dip"}
    assert context.run_in_mock_context(read, fields) == context.run_in_mock_context(read, **fields)
    assert context.run_in_mock_context(context.get_timestamp, when=NOON) == NOON


def test_mock_contexts_nest() -> None:
    def outer() -> list[str]:
        inner = context.run_in_mock_context(context.get_symbol, symbol="ETHUSDT")
        return [inner, context.get_symbol()]

    assert context.run_in_mock_context(outer) == ["ETHUSDT", "BTCUSDT"]


def test_a_coroutine_function_runs_inside() -> None:
    async def read() -> str:
        await asyncio.sleep(0)
        return context.get_symbol()

    async def parallel() -> list[str]:
        return list(await asyncio.gather(read(), read()))

    assert context.run_in_mock_context(read, symbol="ETHUSDT") == "ETHUSDT"  # type: ignore[comparison-overlap]
    assert context.run_in_mock_context(parallel, symbol="X") == ["X", "X"]  # type: ignore[comparison-overlap]


def driver(count: int, seen: list[Any] | None = None) -> Generator[int, str | None, str]:
    answers = seen if seen is not None else []
    try:
        for minute in range(count):
            execution.set(at(minute))
            answers.append((yield context.get_timestamp()))
    finally:
        answers.append(here())
    return "end"


def test_the_loop_body_of_the_consumer_is_outside() -> None:
    timestamps = []
    for timestamp in iterate_in_context(driver(3), names=NAMES):
        assert here() == (False, False)
        timestamps.append(timestamp)
    assert timestamps == [0, 1, 2]
    assert here() == (False, False)


def test_the_consumer_keeps_a_context_of_its_own() -> None:
    def consume() -> list[tuple[str, int]]:
        return [(context.get_symbol(), timestamp) for timestamp in iterate_in_context(driver(2), names=NAMES)]

    assert context.run_in_mock_context(consume, symbol="MINE") == [("MINE", 0), ("MINE", 1)]


def test_interleaved_runs_do_not_see_each_other() -> None:
    def slow(symbol: str) -> Generator[tuple[str, str], None, None]:
        execution.set(ExecutionContext(symbol, NOON, True))
        for _ in range(3):
            yield context.get_symbol(), context.get_context().strategy_name

    a = iterate_in_context(slow("A"), names=MethodContext("a", "x", "f"))
    b = iterate_in_context(slow("B"), names=MethodContext("b", "x", "f"))
    assert list(zip(a, b, strict=True)) == [(("A", "a"), ("B", "b"))] * 3


def test_a_run_inside_a_run() -> None:
    def outer() -> Generator[list[int], None, None]:
        execution.set(at(100))
        inner = list(iterate_in_context(driver(2), names=NAMES))
        yield [*inner, context.get_timestamp()]

    assert list(iterate_in_context(outer(), names=NAMES)) == [[0, 1, 100]]


def test_send_throw_close_and_return_value() -> None:
    seen: list[Any] = []
    run = iterate_in_context(driver(2, seen), names=NAMES)
    assert next(run) == 0
    assert run.send("hello") == 1
    with pytest.raises(StopIteration) as stopped:
        next(run)
    assert stopped.value.value == "end"
    assert seen == ["hello", None, (True, True)]


@pytest.mark.parametrize("error", [None, KeyError, KeyError("x")])
def test_close_and_throw_act_inside(error: Any) -> None:
    seen: list[Any] = []
    run = iterate_in_context(driver(2, seen), names=NAMES)
    next(run)
    if error is None:
        run.close()
    else:
        with pytest.raises(KeyError):
            run.throw(error)
    assert seen == [(True, True)]
    assert here() == (False, False)


def test_leaving_the_loop_early_cleans_up_inside_the_context() -> None:
    seen: list[Any] = []
    for _ in iterate_in_context(driver(5, seen), names=NAMES):
        break
    assert seen == [(True, True)]


def test_yield_from_works() -> None:
    def wrapper() -> Generator[int, Any, str]:
        return (yield from iterate_in_context(driver(2), names=NAMES))

    run = wrapper()
    assert [next(run), next(run)] == [0, 1]
    with pytest.raises(StopIteration, match="end"):
        next(run)


def test_threads_see_only_their_own() -> None:
    answers: dict[str, Any] = {}
    both_in = threading.Barrier(2, timeout=10)

    def work(symbol: str) -> None:
        answers[f"{symbol} before"] = here()

        def inside() -> str:
            both_in.wait()
            seen = context.get_symbol()
            both_in.wait()
            return seen

        answers[symbol] = context.run_in_mock_context(inside, symbol=symbol)

    def start() -> None:
        threads = [threading.Thread(target=work, args=(symbol,)) for symbol in ("A", "B")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    context.run_in_mock_context(start, symbol="MAIN")
    assert answers == {"A": "A", "B": "B", "A before": (False, False), "B before": (False, False)}


def test_set_and_reset_as_a_pair() -> None:
    token = execution.set(at(1))
    assert context.get_context_timestamp() == 1
    execution.reset(token)
    assert not execution.has_context()


def test_contexts_are_frozen() -> None:
    with pytest.raises(AttributeError):
        at(1).when_ms = 2  # type: ignore[misc]
    assert at(1) == at(1)
    assert NAMES.to_dict() == {"strategy_name": "dip", "exchange_name": "binance", "frame_name": "january"}


@pytest.mark.parametrize(
    "moment",
    [
        NOON,
        datetime(2024, 1, 1, 12),
        datetime(2024, 1, 1, 12, tzinfo=UTC),
        datetime(2024, 1, 1, 15, tzinfo=timezone(timedelta(hours=3))),
        "2024-01-01T12:00",
        "2024-01-01T12:00:00Z",
        "2024-01-01 13:00+01:00",
    ],
)
def test_ways_to_name_a_moment(moment: Any) -> None:
    assert to_ms(moment) == NOON
    assert to_datetime(moment) == from_ms(NOON)
    assert to_datetime(moment).utcoffset() == timedelta(0)


def test_a_date_is_its_midnight_and_parts_of_a_millisecond_are_cut_off() -> None:
    assert to_ms(date(2024, 1, 1)) == NOON - 12 * 3_600_000
    assert to_ms(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1
    assert to_ms(from_ms(NOON + 123)) == NOON + 123


@pytest.mark.parametrize(
    "moment",
    [
        *["yesterday", "", None, 1.5, True, [], 10**20, 10**400, 2**63 - 1, float("nan")],
        *[pandas.NaT, np.datetime64("NaT"), np.datetime64(2**62, "s"), np.datetime64(-(2**62), "us")],
        *[
            "2024-01-01T00:00+05:75",
            "2024-01-01T00:00-0560",
            "2024-01-01T00:00+14:30",
            "2024-01-01T00:00+24:00",
        ],
    ],
)
def test_what_names_no_moment(moment: Any) -> None:
    with pytest.raises(MomentError, match="is not a moment in time"):
        to_ms(moment)
