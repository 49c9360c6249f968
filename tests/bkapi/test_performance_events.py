"""What ``listen_performance`` hears of a backtest: its ticks, its signals, the whole; and who pays for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import polars as pl
import pytest

import bkapi as bk
from bkcore.machine.codes import Listen
from tests.bkapi.short_runs import CONTEXT, MIDNIGHT_MS, SYMBOL, candles_of, register

LONG = {"position": "long", "price_take_profit": 110.0, "price_stop_loss": 95.0, "minute_estimated_time": 5}
#: 54 ticks, of which those from the opening to the close of both positions are skipped: 10 to 15 and 30 to 35.
TICKS, SKIPPED = 54, 10


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    bk.reset()
    register(candles_of([100.0] * 60), {10: LONG, 30: LONG})
    yield
    bk.reset()


def framed(context: Mapping[str, str] = CONTEXT, **more: Any) -> dict[str, str]:
    """The same signals as a frame."""
    moments = [MIDNIGHT_MS + minute * 60_000 for minute in (10, 30)]
    columns = {"timestamp": moments, **{name: [value] * 2 for name, value in LONG.items()}}
    bk.add_strategy_schema(strategy_name="framed", signals=lambda candles: pl.DataFrame(columns), **more)
    return {**context, "strategy_name": "framed"}


def counted(events: list[Any]) -> dict[str, int]:
    return dict(Counter(event.metric_type for event in events))


@pytest.mark.parametrize("form", ["asked", "framed"])
def test_a_listener_hears_of_every_tick_every_signal_and_the_whole(form: str) -> None:
    heard: list[bk.PerformanceEvent] = []
    bk.listen_performance(heard.append)
    context = CONTEXT if form == "asked" else framed()
    results = [result.action for result in bk.Backtest.run(SYMBOL, context)]
    assert results == ["opened", "closed"] * 2
    assert counted(heard) == {
        "backtest_timeframe": TICKS - SKIPPED,
        "backtest_signal": 2,
        "backtest_total": 1,
    }
    kinds = [event.metric_type for event in heard]
    assert kinds[-1] == "backtest_total"
    first = kinds.index("backtest_signal")
    assert kinds[first - 1 : first + 2] == ["backtest_timeframe", "backtest_signal", "backtest_timeframe"]
    assert first == 6  # the ticks 5 to 10
    assert heard[0].previous_timestamp is None
    assert all(later.previous_timestamp == before.timestamp for before, later in pairwise(heard))
    assert all(event.duration >= 0 for event in heard)
    assert sum(event.duration for event in heard[:-1]) <= heard[-1].duration
    assert {(event.symbol, event.strategy_name, event.backtest) for event in heard} == {
        (SYMBOL, context["strategy_name"], True)
    }


def test_a_resting_order_is_one_signal_from_its_making_to_its_end() -> None:
    heard: list[bk.PerformanceEvent] = []
    bk.listen_performance(heard.append)
    limits = iter([{**LONG, "price_open": 99.0}])
    bk.add_strategy_schema(strategy_name="resting", get_signal=lambda *_: next(limits, None))
    results = [result.action for result in bk.Backtest.run(SYMBOL, {**CONTEXT, "strategy_name": "resting"})]
    assert results == ["scheduled", "cancelled"]
    assert counted(heard) == {"backtest_timeframe": 1, "backtest_signal": 1, "backtest_total": 1}


def test_documents_are_content_with_the_ticks_that_are_visited_anyway() -> None:
    bk.Markdown.enable()
    asked: list[int] = []

    def get_signal(symbol: str, when: Any, price: float) -> None:
        asked.append(when)

    bk.add_strategy_schema(strategy_name="sparse", interval="15m", get_signal=get_signal)
    sparse = {**CONTEXT, "strategy_name": "sparse"}
    bk.Backtest.finish(SYMBOL, sparse)
    data = bk.Performance.get_data(SYMBOL, sparse, True)
    assert len(asked) == 4
    assert {name: one.count for name, one in data.metric_stats.items()} == {
        "backtest_timeframe": 4,
        "backtest_total": 1,
    }
    vectorized = framed()
    bk.Backtest.finish(SYMBOL, vectorized)
    assert [*bk.Performance.get_data(SYMBOL, vectorized, True).metric_stats] == ["backtest_total"]


def test_who_listens_to_something_else_stops_at_no_tick() -> None:
    from bkapi.runs.ledger import running

    bits: list[int] = []
    bk.listen_active_ping(
        lambda event: bits.extend(run.delivery.bits() for runs in running.values() for run in runs)
    )
    list(bk.Backtest.run(SYMBOL, CONTEXT))
    assert bits
    assert not any(bit & Listen.TICK for bit in bits)


def test_listeners_have_no_now_and_what_they_raise_ends_no_run() -> None:
    errors: list[Exception] = []
    bk.listen_error(errors.append)
    bk.listen_performance(lambda event: bk.get_date())
    assert [result.action for result in bk.Backtest.run(SYMBOL, CONTEXT)] == ["opened", "closed"] * 2
    assert len(errors) == TICKS - SKIPPED + 2 + 1
    assert all(isinstance(error, bk.ContextError) for error in errors)


def test_one_who_begins_to_listen_on_the_way_hears_what_follows() -> None:
    heard: list[bk.PerformanceEvent] = []
    run = bk.Backtest.run(SYMBOL, CONTEXT)
    next(run)  # the first position is open
    bk.listen_performance(heard.append)
    list(run)
    assert counted(heard)["backtest_signal"] == 1
    assert counted(heard)["backtest_total"] == 1
    assert heard[0].previous_timestamp is None
