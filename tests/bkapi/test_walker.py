"""A walker on hand-worked trades: order of telling, ties, errors, stopping, background runs, grids."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

import bkapi as bk
from bkapi.errors import BkError, UnknownNameError
from tests.bkapi.short_runs import MIDNIGHT, MIDNIGHT_MS, SYMBOL, candles_of

WALKER = {"walker_name": "pair"}


def trades(*signs: int) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """A signal every ten minutes: +1 wins and -1 loses where prices only rise."""

    def signals(candles: pl.DataFrame) -> pl.DataFrame:
        count = len(signs)
        return pl.DataFrame(
            {
                "timestamp": [MIDNIGHT_MS + (10 + 10 * k) * 60_000 for k in range(count)],
                "position": ["long" if sign > 0 else "short" for sign in signs],
                "take_profit_percent": [50.0] * count,
                "stop_loss_percent": [20.0] * count,
                "minute_estimated_time": [5] * count,
            },
            schema_overrides={"timestamp": pl.Int64, "take_profit_percent": pl.Float64},
        )

    return signals


def add(name: str, *signs: int, **fields: Any) -> None:
    """Register a vectorized strategy of such trades."""
    bk.add_strategy_schema(strategy_name=name, signals=trades(*signs), **fields)


def asking(name: str, *signs: int, act: Callable[[], object] = lambda: None) -> None:
    """The same trades from ``get_signal``, which also does ``act``."""

    def get_signal(symbol: str, when: Any, price: float) -> Mapping[str, Any] | None:
        minute = (when - MIDNIGHT) // timedelta(minutes=1)
        act()
        place, rest = divmod(minute - 10, 10)
        if rest or not 0 <= place < len(signs):
            return None
        side = signs[place]
        return {
            "position": "long" if side > 0 else "short",
            "price_take_profit": price * (1 + 0.5 * side),
            "price_stop_loss": price * (1 - 0.2 * side),
            "minute_estimated_time": 5,
        }

    bk.add_strategy_schema(strategy_name=name, get_signal=get_signal)


def register(*strategies: str, **fields: Any) -> None:
    bk.add_walker_schema(
        **{"metric": "total_pnl", **WALKER, **fields},
        exchange_name="memory",
        frame_name="minutes",
        strategies=strategies,
    )


@pytest.fixture(autouse=True)
def _world() -> Iterator[None]:
    """Two hours in which the price rises by a thousandth of its start every minute."""
    bk.reset()
    candles = candles_of([100 + 0.1 * minute for minute in range(122)])
    bk.add_exchange_schema(exchange_name="memory", candles={SYMBOL: candles})
    bk.add_frame_schema(
        frame_name="minutes",
        start_date=MIDNIGHT + timedelta(minutes=5),
        end_date=MIDNIGHT + timedelta(minutes=118),
    )
    yield
    bk.reset()


def test_everything_is_told_in_documented_order() -> None:
    told: list[Any] = []
    add("up", 1, 1)
    add("down", -1, -1)
    register(
        "down",
        "up",
        callbacks={
            "on_strategy_start": lambda strategy, symbol: told.append(("start", strategy, symbol)),
            "on_strategy_complete": lambda strategy, symbol, stats, metric: told.append(
                ("complete", strategy, stats.total_signals, metric == stats.total_pnl)
            ),
            "on_complete": lambda results: told.append(
                ("done", results.best_strategy, results.best_stats.win_count)
            ),
        },
    )
    bk.listen_walker_progress(
        lambda event: told.append(("progress", event.processed_strategies, event.progress))
    )
    bk.listen_walker(lambda event: told.append(("event", event.strategy_name, event.best_strategy)))
    bk.listen_walker_complete(
        lambda event: told.append(("finished", event.total_strategies, event.best_strategy))
    )
    told.extend(
        ("yield", event.strategy_name, event.strategies_tested, event.total_strategies)
        for event in bk.Walker.run(SYMBOL, WALKER)
    )
    assert told == [
        *(("start", "down", SYMBOL), ("progress", 1, 0.5), ("complete", "down", 2, True)),
        *(("event", "down", "down"), ("yield", "down", 1, 2)),
        *(("start", "up", SYMBOL), ("progress", 2, 1.0), ("complete", "up", 2, True)),
        *(("event", "up", "up"), ("yield", "up", 2, 2)),
        *(("done", "up", 2), ("finished", 2, "up")),
    ]


def test_the_numbers_are_those_of_a_backtest() -> None:
    add("up", 1, 1, -1)
    register("up")
    (event,) = bk.Walker.run(SYMBOL, WALKER)
    context = {"strategy_name": "up", "exchange_name": "memory", "frame_name": "minutes"}
    results = [one for one in bk.Backtest.run(SYMBOL, context) if one.action == "closed"]
    alone = bk.Backtest.last_run(SYMBOL, context).statistics()
    ours = event.stats.to_dict()
    assert {name: ours[name] for name in ours if name != "signal_list"} == {
        name: value for name, value in alone.to_dict().items() if name != "signal_list"
    }
    assert [one.close_timestamp for one in event.stats.signal_list] == [
        one.close_timestamp for one in reversed(results)
    ]
    assert event.stats.signal_list[0].pnl == results[-1].pnl
    assert event.metric_value == pytest.approx(sum(one.pnl.pnl_percentage for one in results))


def test_the_first_of_equals_is_best_everywhere_and_none_never_wins() -> None:
    for name in ("first", "second"):
        add(name, 1, -1)
    add("idle")
    register("idle", "first", "second")
    bk.Markdown.enable({"walker": True})
    events = [*bk.Walker.run(SYMBOL, WALKER)]
    assert [event.best_strategy for event in events] == [None, "first", "first"]
    assert [event.metric_value is None for event in events] == [True, False, False]
    data = bk.Walker.get_data(SYMBOL, WALKER)
    assert data.best_strategy == "first"
    assert [one.strategy_name for one in data.strategy_results] == ["second", "first", "idle"]
    report = bk.Walker.get_report(SYMBOL, WALKER)
    ranks = [
        line.split(" | ")[:2] for line in report.splitlines() if line.startswith(("| 1 ", "| 2 ", "| 3 "))
    ]
    assert ranks == [["| 1", "first"], ["| 2", "second"], ["| 3", "idle"]]


@pytest.mark.parametrize("metric", ["no_such_metric", "trend", "signal_list"])
def test_what_is_no_number_is_no_metric(metric: str) -> None:
    add("up", 1)
    register("up", metric=metric)
    (event,) = bk.Walker.run(SYMBOL, WALKER)
    assert (event.metric, event.metric_value, event.best_strategy) == (metric, None, None)
    assert "## Best Strategy: N/A" in bk.Walker.get_report(SYMBOL, WALKER)


def test_a_strategy_that_fails_is_left_out_and_told() -> None:
    def broken(candles: pl.DataFrame) -> pl.DataFrame:
        raise ValueError("no idea")

    told: list[Any] = []
    heard: list[Exception] = []
    bk.listen_error(heard.append)
    bk.add_strategy_schema(strategy_name="broken", signals=broken)
    add("up", 1)
    register(
        "broken",
        "up",
        callbacks={
            "on_strategy_error": lambda strategy, symbol, error: told.append((strategy, str(error))),
            "on_complete": lambda results: 1 / 0,
        },
    )
    events = [*bk.Walker.run(SYMBOL, WALKER)]
    assert [(one.strategy_name, one.strategies_tested, one.total_strategies) for one in events] == [
        ("up", 1, 2)
    ]
    assert told == [("broken", "no idea")]
    assert [type(error) for error in heard] == [ValueError, ZeroDivisionError]


def test_more_trades_than_a_report_keeps_all_count() -> None:
    bk.set_config({"CC_MAX_BACKTEST_MARKDOWN_ROWS": 2})
    add("late", -1, -1, 1, 1)
    add("always", 1, -1, 1, 1)
    register("late", "always")
    events = [*bk.Walker.run(SYMBOL, WALKER)]
    assert [event.stats.total_signals for event in events] == [4, 4]
    assert events[-1].best_strategy == "always"  # the newest two trades of both are the same


def test_symbols_do_not_mix() -> None:
    candles = candles_of([100 - 0.1 * minute for minute in range(122)])
    rising = candles_of([100 + 0.1 * minute for minute in range(122)])
    bk.override_exchange_schema(exchange_name="memory", candles={SYMBOL: rising, "ETHUSDT": candles})
    add("up", 1)
    add("down", -1)
    register("up", "down")
    for symbol in (SYMBOL, "ETHUSDT"):
        list(bk.Walker.run(symbol, WALKER))
    assert bk.Walker.get_data(SYMBOL, WALKER).best_strategy == "up"
    assert bk.Walker.get_data("ETHUSDT", WALKER).best_strategy == "down"
    assert len(bk.Walker.get_data(SYMBOL, WALKER).strategy_results) == 2


def test_a_run_drops_what_was_found_before_when_it_is_called() -> None:
    add("up", 1)
    register("up")
    bk.Markdown.enable({"walker": True})
    list(bk.Walker.run(SYMBOL, WALKER))
    bk.Walker.get_data(SYMBOL, WALKER)
    bk.Walker.run(SYMBOL, WALKER)  # nobody iterates
    with pytest.raises(bk.NoWalkerDataError, match="No walker data available - no results added yet"):
        bk.Walker.get_data(SYMBOL, WALKER)


def test_without_documents_and_without_a_run_there_is_nothing_to_ask() -> None:
    add("up", 1)
    register("up")
    with pytest.raises(bk.NotSubscribedError, match="WalkerMarkdownService not initialized"):
        bk.Walker.get_report(SYMBOL, WALKER)


def test_stop_ends_with_partial_results_and_a_total_that_stays() -> None:
    complete: list[Any] = []
    add("up", 1)
    add("down", -1)
    register("up", "down")
    bk.listen_walker_complete(complete.append)
    bk.Walker.stop(SYMBOL, WALKER)  # before a run: no effect
    tested = []
    for event in bk.Walker.run(SYMBOL, WALKER):
        tested.append(event.strategy_name)
        bk.Walker.stop(SYMBOL, WALKER)
    assert tested == ["up"]
    assert [(one.best_strategy, one.total_strategies) for one in complete] == [("up", 2)]


def test_stop_lets_the_open_position_end_and_takes_no_more_signals() -> None:
    asking("up", 1, 1, 1)
    asking("down", -1)
    register("up", "down")
    bk.listen_active_ping(lambda event: bk.Walker.stop(SYMBOL, WALKER))
    events = [*bk.Walker.run(SYMBOL, WALKER)]
    assert [(one.strategy_name, one.stats.total_signals) for one in events] == [("up", 1)]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_stop_at_the_start_of_a_strategy_leaves_it_without_signals(threads: int) -> None:
    add("up", 1)
    add("more", 1, 1)
    register(
        "up", "more", callbacks={"on_strategy_start": lambda strategy, symbol: strategy == "more" and stop()}
    )

    def stop() -> None:
        bk.Walker.stop(SYMBOL, WALKER)

    events = [*bk.Walker.run(SYMBOL, WALKER, threads=threads)]
    assert [(one.strategy_name, one.stats.total_signals) for one in events] == [("up", 1), ("more", 0)]


def test_a_consumer_that_goes_away_ends_it_without_a_completion() -> None:
    told: list[Any] = []
    add("up", 1)
    add("down", -1)
    register("up", "down", callbacks={"on_complete": told.append})
    next(run := bk.Walker.run(SYMBOL, WALKER))
    run.close()
    assert not told
    assert not bk.Lookup.list_activity()


def test_a_background_run_tells_that_it_is_done() -> None:
    done: list[Any] = []
    bk.listen_done_walker(done.append)
    add("up", 1)
    register("up")
    handle = bk.Walker.background(SYMBOL, WALKER)
    assert handle.wait(60)
    assert (handle.status, [(one.strategy_name, one.backtest, one.symbol) for one in done]) == (
        "fulfilled",
        [("pair", True, SYMBOL)],
    )
    (listed,) = bk.Walker.list()
    assert {name: listed[name] for name in ("symbol", "walker_name", "status")} == {
        "symbol": SYMBOL,
        "walker_name": "pair",
        "status": "fulfilled",
    }
    assert bk.Walker.background(SYMBOL, WALKER).wait(60)
    assert len(done) == 2


def held() -> tuple[threading.Event, threading.Event, Callable[[], None]]:
    """Two events and a function that sets the first and waits for the second."""
    begun, go = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        assert go.wait(60)

    return begun, go, hold


def test_cancelling_ends_it_without_a_completion() -> None:
    complete: list[Any] = []
    done: list[Any] = []
    tested: list[str] = []
    begun, go, hold = held()
    asking("up", 1, act=hold)
    add("down", -1)
    register("up", "down", callbacks={"on_complete": complete.append})
    bk.listen_walker_complete(complete.append)
    bk.listen_done_walker(done.append)
    bk.listen_walker(lambda event: tested.append(event.strategy_name))
    cancel = bk.Walker.background(SYMBOL, WALKER)
    assert begun.wait(60)
    with pytest.raises(
        BkError, match=r"Walker.background is already running for symbol=BTCUSDT walkerName=pair"
    ):
        bk.Walker.background(SYMBOL, WALKER)
    assert bk.Walker.list()[0]["status"] == "pending"
    cancel()
    assert len(done) == 1
    go.set()
    assert cancel.wait(60)
    assert (cancel.status, tested, complete, len(done)) == ("fulfilled", ["up"], [], 1)
    assert bk.Walker.background(SYMBOL, WALKER).wait(60)
    assert tested == ["up", "up", "down"]


def test_stopping_a_background_run_completes_it() -> None:
    complete: list[Any] = []
    done: list[Any] = []
    begun, go, hold = held()
    asking("up", 1, 1, act=hold)
    add("down", -1)
    register("up", "down")
    bk.listen_walker_complete(complete.append)
    bk.listen_done_walker(done.append)
    handle = bk.Walker.background(SYMBOL, WALKER)
    assert begun.wait(60)
    bk.Walker.stop(SYMBOL, WALKER)
    go.set()
    assert handle.wait(60)
    assert (len(complete), len(done)) == (1, 1)


def test_a_listener_that_raises_ends_the_run_and_a_failed_background_stays_failed() -> None:
    def refuse(event: Any) -> None:
        raise ValueError("not this one")

    exits: list[Exception] = []
    add("up", 1)
    register("up")
    stop_listening = bk.listen_walker(refuse)
    bk.listen_exit(exits.append)
    with pytest.raises(ValueError, match="not this one"):
        list(bk.Walker.run(SYMBOL, WALKER))
    handle = bk.Walker.background(SYMBOL, WALKER)
    assert handle.wait(60)
    assert (handle.status, str(handle.error), len(exits)) == ("rejected", "not this one", 1)
    stop_listening()
    with pytest.raises(BkError, match=r"Walker.background has failed for symbol=BTCUSDT walkerName=pair"):
        bk.Walker.background(SYMBOL, WALKER)
    assert [one.strategy_name for one in bk.Walker.run(SYMBOL, WALKER)] == ["up"]  # in the foreground it runs


def test_names_are_checked_at_the_call() -> None:
    with pytest.raises(UnknownNameError, match=r"walker pair not found source=Walker.run"):
        bk.Walker.run(SYMBOL, WALKER)
    add("up", 1)
    bk.add_walker_schema(**WALKER, exchange_name="nowhere", frame_name="minutes", strategies=["up"])
    with pytest.raises(UnknownNameError, match="exchange nowhere not found"):
        bk.Walker.run(SYMBOL, WALKER)
    service = bk.WalkerCommandService()
    context = {**WALKER, "exchange_name": "memory", "frame_name": "minutes"}
    service.validate(context, "here")
    assert [one.exchange_name for one in service.run(SYMBOL, context)] == ["memory"]


def test_callbacks_and_listeners_are_outside_of_a_run_and_the_strategy_is_inside() -> None:
    inside: list[bool] = []
    activities: list[int] = []
    asking("up", 1, act=lambda: activities.append(len(bk.Lookup.list_activity())))
    register("up", callbacks={"on_strategy_complete": lambda *_: inside.append(bk.has_trade_context())})
    bk.listen_walker(lambda event: inside.append(bk.has_trade_context()))
    list(bk.Walker.run(SYMBOL, WALKER))
    assert inside == [False, False]
    assert set(activities) == {1}
    assert not bk.Lookup.list_activity()


def ladder(candles: pl.DataFrame, *, every: int) -> pl.DataFrame:
    """Long every so many minutes."""
    return candles.filter(pl.col("closed_at") // 60_000 % every == 0).select(
        timestamp="closed_at",
        position=pl.lit("long"),
        take_profit_percent=pl.lit(5.0),
        stop_loss_percent=pl.lit(5.0),
        minute_estimated_time=pl.lit(5),
    )


@pytest.mark.parametrize("is_heard", [False, True])
def test_each_combination_of_a_space_is_a_candidate(is_heard: bool) -> None:
    bk.add_strategy_schema(strategy_name="ladder", signals=ladder, params={"every": 10})
    space = bk.Space.grid(every=[10, 20], lifetime_minutes=[5, 8])
    register("ladder", space=space)
    if is_heard:
        bk.listen_active_ping(lambda event: None)
    events = [*bk.Walker.run(SYMBOL, WALKER)]
    assert [event.parameters for event in events] == list(space)
    assert [event.strategy_name for event in events][:2] == [
        "ladder(every=10, lifetime_minutes=5)",
        "ladder(every=10, lifetime_minutes=8)",
    ]
    assert [event.stats.total_signals for event in events] == [11, 11, 5, 5]
    held_minutes = {
        (one.close_timestamp - one.signal.pending_at) // 60_000
        for event in events[1::2]
        for one in event.stats.signal_list
    }
    assert held_minutes == {8}
    data = bk.Walker.get_data(SYMBOL, WALKER)
    assert (data.total_strategies, data.best_strategy) == (4, "ladder(every=10, lifetime_minutes=8)")
    assert data.table["every"].to_list() == [20, 20, 10, 10]
    assert "ladder(every=20, lifetime_minutes=5)" in bk.Walker.get_report(SYMBOL, WALKER)


def test_a_space_that_means_nothing_is_refused_at_the_call() -> None:
    add("up", 1)
    register("up", space=bk.Space.grid(evry=[1]))
    with pytest.raises(UnknownNameError, match="evry"):
        bk.Walker.run(SYMBOL, WALKER)
    bk.override_walker_schema(**WALKER, space=bk.Space.grid(take_profit_percent=[0.0]))
    with pytest.raises(bk.SweepError, match="take_profit_percent=0"):
        bk.Walker.run(SYMBOL, WALKER)
    asking("ask", 1)
    bk.override_walker_schema(**WALKER, strategies=["ask"], space=bk.Space.grid(take_profit_percent=[1.0]))
    with pytest.raises(bk.SweepError, match="has no signals function"):
        bk.Walker.run(SYMBOL, WALKER)


@pytest.mark.parametrize("threads", [1, 3])
def test_what_changes_on_the_way_counts_for_those_that_follow(threads: int) -> None:
    for name in ("first", "second", "third"):
        add(name, 1)
    register("first", "second", "third", metric="total_pnl")
    opened: list[str] = []
    values: list[float | None] = []
    for event in bk.Walker.run(SYMBOL, WALKER, threads=threads):
        values.append(event.metric_value)
        if event.strategy_name == "first":
            bk.set_config({"CC_PERCENT_FEE": 0.05})
        if event.strategy_name == "second":
            bk.listen_signal_backtest(lambda result: opened.append(f"{result.strategy_name} {result.action}"))
    assert values[1] == values[2] == pytest.approx(values[0] + 0.1, abs=0.001)  # half the fee on both sides
    assert [one for one in opened if "idle" not in one and "active" not in one] == [
        "third opened",
        "third closed",
    ]


def test_unheard_backtests_are_played_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    from bkapi.runs.strategy import StrategyRun

    ahead: list[str] = []
    play = StrategyRun.play_ahead

    def noted(run: StrategyRun) -> None:
        ahead.append(threading.current_thread().name)
        play(run)

    monkeypatch.setattr(StrategyRun, "play_ahead", noted)
    for name in ("first", "second"):
        add(name, 1)
    asking("asked", 1)
    register("first", "asked", "second")
    assert len([*bk.Walker.run(SYMBOL, WALKER, threads=2)]) == 3
    assert len(ahead) == 2
    assert all(name.startswith("bk-walker") for name in ahead)


@pytest.mark.parametrize("threads", [1, 3])
def test_who_begins_to_listen_on_the_way_hears_those_that_follow(threads: int) -> None:
    for name in ("first", "second"):
        add(name, 1)
    register("first", "second")
    heard: list[str] = []
    for event in bk.Walker.run(SYMBOL, WALKER, threads=threads):
        if event.strategy_name == "first":
            bk.listen_signal_backtest(lambda result: heard.append(f"{result.strategy_name} {result.action}"))
    assert "second closed" in heard
    assert not any(one.startswith("first") for one in heard)
