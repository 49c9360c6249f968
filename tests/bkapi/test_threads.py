"""Runs of the same names in several threads at once: each gets its own result, position and context."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import polars as pl
import pytest

import bkapi as bk
from bkapi.backtests.stream import to_the_end
from bkapi.base.turns import Turn

CONTEXT = {"strategy_name": "dip", "exchange_name": "sample", "frame_name": "winter"}


def signals(candles: pl.DataFrame, *, percent: float = 1.5) -> pl.DataFrame:
    fell = pl.col("close") < 0.99 * pl.col("close").shift(60)
    return candles.filter(fell & (pl.col("closed_at") % 900_000 == 0)).select(
        timestamp="closed_at",
        position=pl.lit("long"),
        take_profit_percent=pl.lit(percent),
        stop_loss_percent=pl.lit(1.0),
        minute_estimated_time=pl.lit(240),
    )


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    bk.reset()
    bk.add_exchange_schema(exchange_name="sample", candles={"BTCUSDT": bk.sample()})
    bk.add_frame_schema(frame_name="winter", start_date=date(2024, 1, 2), end_date=date(2024, 1, 12))
    bk.add_strategy_schema(strategy_name="dip", interval="15m", signals=signals)
    yield
    bk.reset()


def in_threads(count: int, work: Callable[[int], None]) -> list[BaseException]:
    """Do ``work(number)`` in threads, and return what they raised."""
    raised: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    return raised


def test_finish_returns_the_run_that_it_has_started() -> None:
    """Threads that run the same names with different signals get the trades of their own signals."""
    bk.listen_after_end(lambda event: time.sleep(0.002))
    mine = threading.local()
    bk.override_strategy_schema(
        strategy_name="dip", signals=lambda candles: signals(candles, percent=mine.percent)
    )
    wrong: list[tuple[float, float]] = []

    def work(number: int) -> None:
        mine.percent = 1.0 + number
        for _ in range(8):
            trade = bk.Backtest.finish("BTCUSDT", CONTEXT).trades.row(0, named=True)
            percent = (trade["take_profit"] / trade["price_open"] - 1) * 100
            if abs(percent - mine.percent) > 0.01:
                wrong.append((percent, mine.percent))

    assert not in_threads(3, work)
    assert not wrong


def test_a_run_and_a_background_run_hand_out_their_own_result() -> None:
    first = bk.Backtest.background("BTCUSDT", CONTEXT)
    assert first.wait(60)
    second = to_the_end(bk.Backtest.run("BTCUSDT", CONTEXT))
    assert second is bk.Backtest.last_run("BTCUSDT", CONTEXT)
    assert first.result is not None
    assert first.result is not second
    assert first.result.trades.equals(second.trades)


def test_code_of_a_run_sees_the_position_of_its_own_run() -> None:
    """Two runs of the same names at once: getters and commands inside reach the run around them."""
    seen: dict[int, list[float]] = {0: [], 1: []}
    both = threading.Barrier(2, timeout=30)
    mine = threading.local()

    def ask(symbol: str, when: Any, price: float) -> dict[str, Any] | None:
        if not mine.begun:
            mine.begun = True
            both.wait()
        return {
            "position": "long",
            "price_take_profit": price * 1.02,
            "price_stop_loss": price * 0.98,
            "note": str(mine.number),
            "minute_estimated_time": 60,
        }

    def pinged(*_: Any) -> None:
        signal = bk.get_pending_signal("BTCUSDT")
        assert signal is not None
        seen[mine.number].append(float(signal.note))

    bk.add_strategy_schema(
        strategy_name="asked", interval="1h", get_signal=ask, callbacks={"on_active_ping": pinged}
    )

    def work(number: int) -> None:
        mine.number, mine.begun = number, False
        bk.Backtest.finish("BTCUSDT", {**CONTEXT, "strategy_name": "asked"})

    assert not in_threads(2, work)
    assert len(seen[0]) == len(seen[1]) > 100
    assert {*seen[0]} == {0.0}
    assert {*seen[1]} == {1.0}


def _other() -> dict[str, str]:
    bk.add_strategy_schema(strategy_name="other", interval="15m", signals=signals)
    return {**CONTEXT, "strategy_name": "other"}


def _in_background(other: dict[str, str]) -> object:
    return bk.Backtest.background("BTCUSDT", other).wait()


def _in_a_thread(other: dict[str, str]) -> object:
    thread = threading.Thread(target=bk.Backtest.finish, args=("BTCUSDT", other))
    thread.start()
    return thread.join()


def _in_a_pool(other: dict[str, str]) -> object:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(bk.Backtest.finish, "BTCUSDT", other).result()


def _as_a_walker(other: dict[str, str]) -> object:
    bk.add_walker_schema(
        walker_name="pair", exchange_name="sample", frame_name="winter", strategies=["other"]
    )
    return bk.Walker.background("BTCUSDT", {"walker_name": "pair"}).wait()


@pytest.mark.parametrize("wait", [_in_background, _in_a_thread, _in_a_pool, _as_a_walker])
def test_a_listener_that_waits_for_a_run_that_it_hears_is_told_so(
    wait: Callable[[dict[str, str]], object],
) -> None:
    """No run hangs, and whoever can be told gets one error that says why."""
    other = _other()
    errors: list[Exception] = []
    begun: list[object] = []

    def listener(event: Any) -> None:
        if not begun:
            begun.append(event)
            wait(other)

    bk.listen_error(errors.append)
    bk.listen_signal_event(listener)
    assert not in_threads(1, lambda _: bk.Backtest.finish("BTCUSDT", CONTEXT))
    assert any(isinstance(error, bk.WaitCycleError) for error in errors)


def test_a_run_that_waits_for_itself_is_told_so() -> None:
    handles: list[Any] = []
    errors: list[Exception] = []
    bk.listen_error(errors.append)
    ready = threading.Event()

    def listener(_: Any) -> None:
        ready.wait(30)
        handles[0].wait()

    bk.listen_signal_event(listener)
    handles.append(bk.Backtest.background("BTCUSDT", CONTEXT))
    ready.set()
    assert handles[0].wait(60)
    assert handles[0].status == "fulfilled"
    assert {type(error) for error in errors} == {bk.WaitCycleError}


def test_turns_taken_crosswise_end_in_an_error_of_one_thread() -> None:
    one, other = Turn(), Turn()
    both = threading.Barrier(2, timeout=30)

    def work(number: int) -> None:
        first, second = (one, other) if number else (other, one)
        with first:
            both.wait()
            with second:
                pass

    assert [type(error) for error in in_threads(2, work)] == [bk.WaitCycleError]


def test_a_wait_with_an_end_is_no_error() -> None:
    turn = Turn()
    entered = threading.Event()

    def work(_: int) -> None:
        entered.set()
        with turn:
            pass

    with turn:
        thread = threading.Thread(target=work, args=(0,))
        thread.start()
        assert entered.wait(10)
        thread.join(0.3)
        assert thread.is_alive()
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # newer Pythons warn of the fork that is tried here
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_process_that_was_forked_during_a_run_is_told_so_instead_of_hanging() -> None:
    results = bk.Backtest.run("BTCUSDT", CONTEXT)
    next(results)
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        for work in (lambda: next(results), lambda: bk.Backtest.finish("BTCUSDT", CONTEXT)):
            try:
                work()
                os.write(writes, b"no error;")
            except bk.ForkError as error:
                os.write(writes, f"{error};".encode())
        os._exit(0)
    os.close(writes)
    os.waitpid(child, 0)
    with os.fdopen(reads, "rb") as told:
        text = told.read().decode()
    assert text.count("was forked from") == text.count('get_context("spawn")') == 2, text
    assert len(list(results)) > 3
