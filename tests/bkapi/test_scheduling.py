"""Caches, once-per-interval functions and cron beyond the recorded cases: files, coroutines, errors, sharing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bkapi as bk
from bkapi.runs import time_and_price
from bkapi.scheduling import cron

NOON = 1_704_110_400_000
MINUTE = 60_000


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    bk.reset()
    bk.Cache.reset_counter()
    bk.Interval.reset_counter()
    yield
    bk.reset()


def at(minute: int, call: Any, **context: Any) -> Any:
    return bk.run_in_mock_context(call, **{"when": NOON + minute * MINUTE, "backtest": True, **context})


def test_a_cache_keeps_symbols_apart_and_shares_the_rest() -> None:
    made: list[str] = []
    cached = bk.Cache.fn(lambda symbol, x=0: made.append(symbol) or len(made), interval="1h")
    assert [at(0, lambda s=s: cached(s)) for s in ("BTC", "ETH", "BTC")] == [1, 2, 1]
    assert at(59, lambda: cached("BTC", 5)) == 1
    assert at(60, lambda: cached("BTC")) == 3
    assert at(60, lambda: cached("BTC"), strategy_name="other") == 4
    assert at(60, lambda: cached("BTC"), symbol="SOLUSDT") == 5


def test_the_first_wrapper_called_says_interval_and_key() -> None:
    def run(symbol: str) -> object:
        return object()

    hourly, daily = bk.Cache.fn(run, {"interval": "1h"}), bk.Cache.fn(run, {"interval": "1d"})
    first = at(0, lambda: hourly("BTC"))
    assert at(30, lambda: daily("BTC")) is first
    assert at(70, lambda: daily("BTC")) is not first


def test_callers_at_once_share_a_coroutine() -> None:
    started: list[int] = []

    async def slow(symbol: str) -> int:
        started.append(1)
        await asyncio.sleep(0.01)
        return len(started)

    cached = bk.Cache.fn(slow, interval="1h")

    async def both() -> list[int]:
        return await asyncio.gather(cached("BTC"), cached("BTC"))

    assert at(0, both) == [1, 1]


def test_a_file_cache_outlives_the_process_and_can_be_cleared() -> None:
    made: list[str] = []

    def run(symbol: str, x: int) -> Any:
        made.append(symbol)
        return {"x": (x, float("inf"))}

    cached = bk.Cache.file(run, {"interval": "1h", "name": "macro"})
    assert at(0, lambda: cached("BTC", 1)) == {"x": (1, float("inf"))}
    assert at(0, lambda: cached("BTC", 2)) == {"x": [1, None]}
    assert at(0, lambda: cached.has_value("BTC", 2))
    assert len([*Path("dump/data/measure/macro_1h_0").glob("*.json")]) == 1
    bk.Cache.clear()
    bk.Cache.reset_counter()
    again = bk.Cache.file(run, {"interval": "1h", "name": "macro"})
    assert at(1, lambda: again("BTC", 3)) == {"x": [1, None]}
    again.clear()
    assert at(1, lambda: again("BTC", 3)) == {"x": (3, float("inf"))}
    bk.Cache.dispose(again)
    assert bk.Cache.file(run, {"interval": "1h", "name": "macro"}).bucket == "macro_1h_1"


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "x" * 300, "a\0b"])
def test_a_bucket_or_key_cannot_leave_its_folder(name: str) -> None:
    with pytest.raises(bk.FileNameError):
        cached = bk.Cache.file(lambda symbol: 1, interval="1h", name="../" + name)
        at(0, lambda: cached("BTC"))
    cached = bk.Cache.file(lambda symbol: 1, interval="1h", name="good", key=lambda arguments: arguments[0])
    with pytest.raises(bk.FileNameError):
        at(0, lambda: cached(name))


def test_a_file_interval_fires_once_and_none_does_not_count() -> None:
    answers = iter([None, "news", "more"])
    fires = bk.Interval.file(lambda symbol: next(answers), interval="1d", name="news")
    assert [at(k, lambda: fires("BTC")) for k in range(4)] == [None, "news", None, None]
    assert at(1440, lambda: fires("BTC")) == "more"


def test_outside_of_a_run_and_with_an_unknown_interval_there_is_one_clear_error() -> None:
    cached = bk.Cache.fn(lambda: 1, interval="1h")
    with pytest.raises(bk.ContextError, match="CacheFnInstance run requires"):
        cached()
    with pytest.raises(bk.ContextError, match=r"CacheUtils\.fn\.gc requires"):
        cached.gc()
    for facade in (bk.Cache, bk.Interval):
        with pytest.raises(bk.BucketIntervalError, match="unknown cache ttl interval='12h'"):
            facade.fn(lambda: 1, interval="12h")


def ping(symbol: str, minute: int) -> None:
    event = bk.IdlePingEvent(
        symbol=symbol,
        strategy_name="s",
        exchange_name="e",
        frame_name="f",
        backtest=True,
        timestamp=NOON + minute * MINUTE,
        current_price=1.0,
    )
    at(minute, lambda: bk.emitters.idle_ping_subject.emit(event), symbol=symbol)


def test_every_symbol_fires_although_events_come_at_once() -> None:
    fired: list[str] = []
    bk.Cron.register(
        name="each", interval="1h", symbols=["A", "B", "C"], handler=lambda info: fired.append(info.symbol)
    )
    bk.Cron.enable()
    threads = [threading.Thread(target=ping, args=(symbol, 0)) for symbol in "ABC"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(fired) == ["A", "B", "C"]


def test_cron_is_replaced_disposed_and_wired_once() -> None:
    fired: list[str] = []
    dispose = bk.Cron.register(name="one", handler=lambda info: fired.append("old"))
    assert bk.Cron.enable() == bk.Cron.enable()
    ping("A", 0)
    ping("A", 1)
    bk.Cron.register({"name": "one", "interval": "1h", "handler": lambda info: fired.append("new")})
    ping("A", 2)
    ping("A", 61)
    dispose()
    ping("A", 130)
    assert fired == ["old", "new", "new"]


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "", "handler": print},
        {"name": "a:b", "handler": print},
        {"name": "a", "interval": "12h", "handler": print},
        {"name": "a", "symbols": ["B:C"], "handler": print},
        {"name": "a", "handler": 5},
        {"name": "a", "symbols": "BTCUSDT", "handler": print},
        {"name": "a", "symbols": 5, "handler": print},
        {"name": "a", "intervall": "1h", "handler": print},
        5,
    ],
)
def test_a_bad_cron_entry_is_refused_at_once(entry: Any) -> None:
    with pytest.raises(bk.CronError):
        bk.Cron.register(entry)


def fast(monkeypatch: pytest.MonkeyPatch, slow: float, dead: float) -> list[Exception]:
    """Let handlers have these limits; the errors of theirs that are heard."""
    monkeypatch.setattr(cron, "SLOW_SECONDS", slow)
    monkeypatch.setattr(cron, "DEAD_SECONDS", dead)
    heard: list[Exception] = []
    bk.listen_error(lambda error: heard.append(error) if isinstance(error, TimeoutError) else None)
    bk.Cron.enable()
    return heard


@pytest.mark.parametrize("is_coroutine", [False, True])
def test_a_handler_beyond_its_limit_is_left_alone_and_the_boundary_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, is_coroutine: bool
) -> None:
    heard = fast(monkeypatch, 0.02, 0.06)
    release, ended = threading.Event(), threading.Event()
    calls: list[int] = []

    def handler(info: Any) -> None:
        calls.append(bk.get_timestamp())
        if len(calls) == 1:
            release.wait(30)
            calls.append(-1)
            ended.set()

    async def later(info: Any) -> None:
        handler(info)

    bk.Cron.register(name="stuck", interval="1h", handler=later if is_coroutine else handler)
    ping("A", 0)  # the run goes on
    assert calls == [NOON]
    assert [type(error) for error in heard] == [bk.CronTimeoutError]
    assert "the handler runs for more than" in caplog.text
    ping("A", 1)
    ping("A", 2)
    assert calls == [NOON, NOON + MINUTE]
    release.set()
    assert ended.wait(30)
    ping("A", 60)
    assert calls == [NOON, NOON + MINUTE, -1, NOON + 60 * MINUTE]
    assert len(heard) == 1


def test_a_slow_handler_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    heard = fast(monkeypatch, 0.01, 30)
    done: list[int] = []

    async def slow(info: Any) -> None:
        await asyncio.sleep(0.05)
        done.append(1)

    bk.Cron.register(name="slow", interval="1h", handler=slow)
    ping("A", 0)
    assert (done, heard) == ([1], [])
    assert "Cron slow: the handler runs for more than" in caplog.text


def test_an_error_of_a_handler_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = fast(monkeypatch, 5, 9)

    def late(info: Any) -> None:
        raise TimeoutError("the news did not come")

    bk.Cron.register(name="late", interval="1h", handler=late)
    ping("A", 0)
    assert [str(error) for error in heard] == ["the news did not come"]


def test_coroutines_of_all_ticks_share_an_event_loop() -> None:
    loops: list[Any] = []

    async def handler(info: Any) -> None:
        loops.append(asyncio.get_running_loop())

    bk.Cron.register(name="news", interval="1h", handler=handler)
    bk.Cron.enable()
    threads = [threading.Thread(target=ping, args=("A", 60 * hour)) for hour in range(3)]
    for thread in threads:
        thread.start()
        thread.join(10)
    assert len(loops) == 3
    assert len({*map(id, loops)}) == 1


def test_a_handler_may_run_what_ticks_itself() -> None:
    fired: list[str] = []

    def outer(info: Any) -> None:
        fired.append("outer")
        ping("B", 1)

    bk.Cron.register(name="outer", interval="1h", handler=outer)
    bk.Cron.register(name="inner", interval="1h", symbols=["B"], handler=lambda info: fired.append("inner"))
    bk.Cron.enable()
    ping("A", 0)
    assert fired == ["outer", "inner"]


def test_an_interrupt_while_a_handler_runs_reaches_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    fast(monkeypatch, 5, 9)

    def stop(info: Any) -> None:
        raise KeyboardInterrupt

    bk.Cron.register(name="stop", interval="1h", handler=stop)
    with pytest.raises(KeyboardInterrupt):
        ping("A", 0)


OPTIONS = [
    (None, {}),
    (5, {}),
    ({"interval": "1h", "name": "x", "kee": "y"}, {}),
    ({"interval": "1h", "name": "x", "key": "symbol"}, {}),
    (None, {"name": "x"}),
]


@pytest.mark.parametrize(("options", "named"), OPTIONS)
def test_options_of_a_wrapper_that_mean_nothing_are_refused(options: Any, named: Any) -> None:
    for facade in (bk.Cache, bk.Interval):
        for door in (facade.fn, facade.file):
            with pytest.raises(bk.BucketOptionError):
                door(lambda symbol: 1, options, **named)
    with pytest.raises(bk.BucketOptionError, match="takes a function"):
        bk.Cache.fn(5, interval="1h")  # type: ignore[arg-type]


def test_files_of_a_symbol_with_a_slash_and_of_arguments_by_name() -> None:
    made: list[str] = []
    cached = bk.Cache.file(lambda symbol: made.append(symbol) or len(made), interval="1h", name="macro")
    assert [at(0, lambda s=s: cached(s)) for s in ("BTC/USDT", "ETH/USDT", "BTC/USDT")] == [1, 2, 1]
    assert at(0, lambda: cached(symbol="SOL/USDT")) == 3
    assert at(0, lambda: cached(symbol="BTC/USDT")) == 1
    assert at(0, lambda: cached.has_value(symbol="BTC/USDT"))
    assert len([*Path("dump/data/measure/macro_1h_0").iterdir()]) == 3


def test_a_result_that_is_no_json_is_one_clean_error() -> None:
    cached = bk.Cache.file(lambda symbol: object(), interval="1h", name="macro")
    with pytest.raises(bk.BucketValueError, match=r"the result of <lambda> cannot be kept"):
        at(0, lambda: cached("BTC"))


def test_an_object_called_like_a_coroutine_function_is_one() -> None:
    class Asked:
        runs = 0

        async def __call__(self, symbol: str) -> int:
            self.runs += 1
            return self.runs

    cached, fires = bk.Cache.fn(Asked(), interval="1h"), bk.Interval.fn(Asked(), interval="1h")
    assert [at(0, lambda: cached("BTC")) for _ in range(2)] == [1, 1]
    assert [at(0, lambda: fires("BTC")) for _ in range(2)] == [1, None]


def test_threads_fire_an_interval_once() -> None:
    fired: list[int] = []
    start = threading.Barrier(8)
    fires = bk.Interval.fn(lambda symbol: fired.append(1) or 1, interval="1h")

    def work() -> None:
        start.wait(10)
        at(0, lambda: fires("BTC"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert fired == [1]


def test_times_and_prices_of_runs_are_known_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:

    names = {"strategy_name": "s", "exchange_name": "e", "frame_name": "f"}
    rows = [[NOON + k * MINUTE, 1.0, 1.0, 1.0, 1.0 + k / 1000, 1.0] for k in range(60)]
    bk.add_exchange_schema(exchange_name="e", candles={"A": bk.CandleFrame.from_any(rows, symbol="A")})
    bk.add_frame_schema(frame_name="f", start_date=NOON + 10 * MINUTE, end_date=NOON + 50 * MINUTE)
    infos: list[Any] = []

    def get_signal(symbol: str, when: Any, price: float) -> None:
        infos.append(bk.get_runtime_info())

    bk.add_strategy_schema(strategy_name="s", get_signal=get_signal, info={"risk": "low"})
    assert not bk.time_meta.has_timestamp("A", names, True)
    for _ in bk.Backtest.run("A", names):
        pass
    assert bk.time_meta.get_timestamp("A", names, True) == NOON + 50 * MINUTE
    assert bk.price_meta.get_current_price("A", names, True) > 1
    assert (infos[0].info, infos[0].backtest, infos[0].context.strategy_name) == ({"risk": "low"}, True, "s")
    assert infos[0].range.to == infos[-1].range.to
    assert at(3, lambda: bk.time_meta.get_timestamp("other", names, True)) == NOON + 3 * MINUTE
    assert bk.time_meta.get_timestamp("A", infos[0].context, True) == NOON + 50 * MINUTE
    with pytest.raises(bk.SchemaError, match="missing strategy_name"):
        bk.time_meta.get_timestamp("A", {}, True)
    monkeypatch.setattr(time_and_price, "PATIENCE_SECONDS", 0.01)
    with pytest.raises(bk.MetaTimeoutError, match="Timeout while waiting for timestamp for B:s:e:f:backtest"):
        bk.time_meta.get_timestamp("B", names, True)


def test_a_snapshot_puts_listeners_aside() -> None:
    heard: list[str] = []
    bk.listen_error(lambda error: heard.append("outer"))
    restore = bk.System.create_snapshot()
    bk.listen_error(lambda error: heard.append("inner"))
    bk.emitters.error_emitter.emit(ValueError())
    restore()
    bk.emitters.error_emitter.emit(ValueError())
    assert heard == ["inner", "outer"]
