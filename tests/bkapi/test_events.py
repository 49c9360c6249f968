"""Channels and listeners: order, errors, gates, threads, coroutines; payloads and results."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import logging
import os
import pickle
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any, get_args

import pytest

from bkapi.base import context
from bkapi.base.coroutines import settle
from bkapi.base.record import Record, record
from bkapi.base.turns import Turn
from bkapi.events import emitters as events, payloads, results as signals
from bkapi.events.channels import BehaviourChannel, Channel, log_error
from bkapi.events.emitters import emitters
from bkapi.events.payloads import COMMIT_FIELDS, CommitAction, IdlePingEvent, PingEvent, StrategyCommitEvent
from bkapi.events.results import NO_PEAK, NO_PNL, ClosedResult, IdleResult, PublicSignal, TickResult

SHARED = Path(os.environ.get("BK_SHARED", Path(__file__).parents[2].parent / "shared"))
GOLDEN = SHARED / "golden" / "services" / "channels.jsonl"
SPECIFICATION = SHARED / "spec" / "adapters-and-events.md"


@pytest.fixture(autouse=True)
def nobody_listens() -> Iterator[None]:
    known = {channel.name: channel.gate for channel in emitters.event_channels()}
    events.install_gates({})
    emitters.clear()
    yield
    for channel in emitters.event_channels():
        channel.gate = known[channel.name]
    emitters.clear()


def signal(signal_id: str = "a", **fields: Any) -> PublicSignal:
    values: dict[str, Any] = {
        "id": signal_id,
        "position": "long",
        "note": "",
        "cost": 100.0,
        "price_open": 100.0,
        "price_take_profit": 102.0,
        "price_stop_loss": 99.0,
        "original_price_open": 100.0,
        "original_price_take_profit": 102.0,
        "original_price_stop_loss": 99.0,
        "minute_estimated_time": 60,
        "scheduled_at": 1_704_067_200_000,
        "pending_at": 1_704_067_200_000,
        "timestamp": 1_704_067_200_000,
        "symbol": "BTCUSDT",
        "strategy_name": "dip",
        "exchange_name": "binance",
        "frame_name": "january",
        "total_entries": 1,
        "total_partials": 0,
        "partial_executed": 0.0,
        "pnl": NO_PNL,
        "peak_profit": NO_PEAK,
        "max_drawdown": NO_PEAK,
        "entries": (signals.EntryRecord(100.0, 100.0, 1_704_067_200_000),),
        "partials": (),
    }
    return PublicSignal(**{**values, **fields})


def ping(signal_id: str = "a", *, symbol: str = "BTCUSDT", timestamp: int = 0) -> PingEvent:
    return PingEvent(symbol, "dip", "binance", "january", True, timestamp, signal(signal_id), 100.5)


def idle() -> IdleResult:
    return IdleResult(None, "dip", "binance", "january", "BTCUSDT", 100.5, True, 1_704_067_260_000)


def closed(signal_id: str = "a") -> ClosedResult:
    return ClosedResult(
        signal(signal_id), "dip", "binance", "january", "BTCUSDT", 102.0, True, 5, "take_profit", 5, NO_PNL
    )


def raising(error: Exception) -> Callable[[Any], None]:
    def fn(_: Any) -> None:
        raise error

    return fn


# ------------------------------------------------------------------------------------------- golden channels


def cases() -> list[dict[str, Any]]:
    if not GOLDEN.exists():
        return []
    return [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]


class Stage:
    """Plays the operations of one recorded case on one channel."""

    def __init__(self) -> None:
        self.channel: Channel[int] = Channel("golden")
        self.calls: list[str] = []
        self.handles: dict[str, Callable[[], None]] = {}
        self.added: set[str] = set()

    def listener(self, spec: dict[str, Any]) -> Callable[[int], Any]:
        def act() -> None:
            self.calls.append(spec["name"])
            for step in spec["do"]:
                if "remove" in step and step["remove"] in self.handles:
                    self.handles[step["remove"]]()
                elif "add" in step and step["add"]["name"] not in self.added:
                    self.added.add(step["add"]["name"])
                    self.attach({"op": "subscribe", "listener": step["add"]})
            if {"raise": True} in spec["do"]:  # after the rest of the list, wherever it stands
                raise RuntimeError(f"from {spec['name']}")

        async def act_later(_: int) -> None:
            await asyncio.sleep(0)
            act()

        return act_later if spec["async"] else lambda _: act()

    def attach(self, operation: dict[str, Any]) -> None:
        fn = self.listener(operation["listener"])
        if operation["op"] == "filter":
            modulo = operation["modulo"]
            handle = self.channel.filter(lambda value: value % modulo == 0).connect(fn)
        else:
            attach = self.channel.once if operation["op"] == "once" else self.channel.subscribe
            handle = attach(fn)
        self.handles[operation["listener"]["name"]] = handle

    def play(self, operation: dict[str, Any]) -> dict[str, Any] | None:
        if operation["op"] == "unsubscribe":
            if operation["name"] in self.handles:
                self.handles[operation["name"]]()
            return None
        if operation["op"] != "emit":
            self.attach(operation)
            return None
        self.calls = []
        try:
            self.channel.emit(operation["value"])
        except RuntimeError as error:
            return {"calls": self.calls, "error": str(error)}
        return {"calls": self.calls, "error": None}


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"no golden data at {GOLDEN}")
@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_golden_cases(case: dict[str, Any]) -> None:
    stage = Stage()
    assert [stage.play(operation) for operation in case["input"]["ops"]] == case["expected"]


# ------------------------------------------------------------------------------------------------- channels


def test_listeners_run_in_order_and_unsubscribing_is_idempotent() -> None:
    channel: Channel[str] = Channel("c")
    heard: list[str] = []
    assert not channel.has_listeners
    first = channel.subscribe(lambda text: heard.append(f"1 {text}"))
    channel.subscribe(lambda text: heard.append(f"2 {text}"))
    channel.emit("a")
    first()
    first()
    channel.emit("b")
    assert heard == ["1 a", "2 a", "2 b"]
    assert channel.has_listeners
    assert len(channel.listeners) == 1


def test_the_same_function_may_listen_twice() -> None:
    channel: Channel[int] = Channel()
    heard: list[int] = []
    first = channel.subscribe(heard.append)
    channel.subscribe(heard.append)
    channel.emit(1)
    first()
    channel.emit(2)
    assert heard == [1, 1, 2]


def test_all_listeners_run_and_the_first_error_surfaces(caplog: pytest.LogCaptureFixture) -> None:
    channel: Channel[int] = Channel("c")
    heard: list[int] = []
    channel.subscribe(raising(ValueError("first")))
    channel.subscribe(raising(KeyError("second")))
    channel.subscribe(heard.append)
    with pytest.raises(ValueError, match="first"):
        channel.emit(1)
    assert heard == [1]
    assert "second" in caplog.text


def test_a_keyboard_interrupt_is_no_listener_error() -> None:
    channel: Channel[int] = Channel()
    heard: list[int] = []
    channel.subscribe(raising(KeyboardInterrupt()))  # type: ignore[arg-type]
    channel.subscribe(heard.append)
    with pytest.raises(KeyboardInterrupt):
        channel.emit(1)
    assert heard == []


def test_errors_can_be_logged_instead(caplog: pytest.LogCaptureFixture) -> None:
    channel: Channel[int] = Channel("c", on_error=log_error)
    channel.subscribe(raising(ValueError("oh")))
    channel.emit(1)
    assert "c: a listener failed: oh" in caplog.text


def test_once_future_and_filter() -> None:
    channel: Channel[int] = Channel()
    heard: list[int] = []
    channel.once(heard.append)
    cancelled = channel.once(heard.append)
    cancelled()
    even = channel.filter(lambda value: value % 2 == 0)
    even.once(lambda value: heard.append(value * 100))
    end = even.connect(lambda value: heard.append(value * 10))
    future = channel.to_future()
    for value in (1, 2, 4):
        channel.emit(value)
    end()
    channel.emit(6)
    assert future.result(timeout=0) == 1
    assert heard == [1, 200, 20, 40]


def test_a_behaviour_channel_keeps_its_last_value() -> None:
    channel: BehaviourChannel[str] = BehaviourChannel("b")
    assert channel.data is None
    channel.emit("x")
    assert channel.data == "x"


def test_a_snapshot_takes_the_listeners_away_and_brings_them_back() -> None:
    channel: Channel[int] = Channel()
    heard: list[str] = []
    outer = channel.subscribe(lambda _: heard.append("outer"))
    channel.subscribe(lambda _: heard.append("stays"))
    restore = channel.isolate()
    channel.emit(1)
    channel.subscribe(lambda _: heard.append("inner"))
    channel.emit(2)
    outer()
    restore()
    channel.emit(3)
    assert heard == ["inner", "stays"]


# ----------------------------------------------------------------------------------------------- coroutines


def test_settle_leaves_plain_results_alone() -> None:
    assert settle(5) == 5
    assert settle(None) is None


def test_settle_inside_a_running_loop_and_back_again() -> None:
    async def inner() -> str:
        await asyncio.sleep(0)
        return f"{threading.current_thread().name} {context.get_symbol()}"

    async def middle() -> tuple[str, str]:
        await asyncio.sleep(0)
        return settle(inner()), settle(inner())

    async def notebook() -> Any:
        return settle(middle())

    def run() -> Any:
        return settle(inner()), asyncio.run(notebook())

    plain, nested = context.run_in_mock_context(run, symbol="X")
    assert plain == "MainThread X"
    assert nested[0] == nested[1]
    assert nested[0].startswith("bk-coroutine")
    assert nested[0].endswith(" X")


def test_a_coroutine_that_raises() -> None:
    async def fails(_: int) -> None:
        await asyncio.sleep(0)
        raise ValueError("late")

    channel: Channel[int] = Channel()
    channel.subscribe(fails)
    with pytest.raises(ValueError, match="late"):
        channel.emit(1)


def test_objects_and_lambdas_that_give_coroutines() -> None:
    heard: list[int] = []

    class Listener:
        async def __call__(self, value: int) -> None:
            await asyncio.sleep(0)
            heard.append(value)

    channel: Channel[int] = Channel()
    listener = Listener()
    channel.subscribe(listener)
    channel.subscribe(lambda value: listener(value * 10))
    channel.emit(1)
    assert heard == [1, 10]


# ------------------------------------------------------------------------------------------- the table


def table() -> list[tuple[list[str], str, list[str]]]:
    """Rows of the documented table: channel names, snapshot mark, listen functions."""
    text = SPECIFICATION.read_text(encoding="utf-8").split("### 1.3")[1].split("### 1.4")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if "|" in line]
    return [
        (names_of(row[0]), row[2], listens_of(row[3]) if not row[3].startswith("internal") else [])
        for row in rows[2:]
    ]


def names_of(cell: str) -> list[str]:
    return [name.strip().split(" ")[0] for name in cell.replace("/", ",").split(",")]


def listens_of(cell: str) -> list[str]:
    words = re.findall(r"`(\w+)`", cell)  # "listen_order_fill", "_reject" ... share their first part
    bases = [word if word.startswith("listen_") else f"listen_order{word}" for word in words]
    suffixes = ["", *(f"_{suffix}" for suffix in ("once", "per_signal") if f"+{suffix}" in cell)]
    return [base + suffix for base in bases for suffix in suffixes]


@pytest.mark.skipif(not SPECIFICATION.exists(), reason=f"no specification at {SPECIFICATION}")
def test_the_channels_are_the_documented_ones() -> None:
    documented = {name: mark for names, mark, _ in table() for name in names}
    assert len(documented) == 40
    assert [channel.name for channel in emitters] != []
    assert {channel.name for channel in emitters} == {*documented, "wake_subject"}
    isolated = {channel.name for channel in emitters.event_channels() if channel.isolated} - {"wake_subject"}
    assert isolated == {name for name, mark in documented.items() if mark == "S"}


@pytest.mark.skipif(not SPECIFICATION.exists(), reason=f"no specification at {SPECIFICATION}")
def test_the_listen_functions_are_the_documented_ones() -> None:
    documented = {name for _, _, names in table() for name in names}
    listened = {name for name in vars(events) if name.startswith("listen_")}
    assert documented == {name for name in listened if not name.startswith("listen_wake")}


@pytest.mark.parametrize("name", [name for name in vars(events) if name.startswith("listen_")])
def test_each_listen_function_is_named_documented_and_attaches_one_listener(name: str) -> None:
    function = getattr(events, name)
    assert function.__name__ == name
    assert function.__module__ == "bkapi.events.emitters"
    assert "the returned callable" in function.__doc__.lower()
    takes_filter = name.endswith(("_once", "_per_signal"))
    assert list(inspect.signature(function).parameters) == (["filter_fn", "fn"] if takes_filter else ["fn"])
    attached = sum(len(channel.listeners) for channel in emitters)
    end = function(*[print] * (2 if takes_filter else 1))
    assert sum(len(channel.listeners) for channel in emitters) == attached + 1
    end()
    end()
    assert sum(len(channel.listeners) for channel in emitters) == attached


def test_a_snapshot_of_all_channels_leaves_pause_exit_and_walker_alone() -> None:
    heard: list[str] = []
    events.listen_idle_ping(lambda _: heard.append("idle"))
    events.listen_exit(lambda _: heard.append("exit"))
    restore = emitters.isolate()
    emitters.idle_ping_subject.emit(IdlePingEvent("B", "s", "e", "f", True, 0, 1.0))
    emitters.exit_emitter.emit(ValueError())
    restore()
    emitters.idle_ping_subject.emit(IdlePingEvent("B", "s", "e", "f", True, 0, 1.0))
    assert heard == ["exit", "idle"]


# ------------------------------------------------------------------------------------------- listen functions


def test_a_gate_is_asked_just_before_delivery() -> None:
    is_open = [True]
    events.install_gates({"position": lambda _: bool(is_open), "no position": lambda _: not is_open})
    heard: list[str] = []

    def closes(_: PingEvent) -> None:
        heard.append("closes")
        is_open.clear()

    events.listen_active_ping(closes)
    events.listen_active_ping(lambda _: heard.append("later"))
    emitters.active_ping_subject.subscribe(lambda _: heard.append("below the wrapper"))
    emitters.active_ping_subject.emit(ping())
    emitters.active_ping_subject.emit(ping())
    assert heard == ["closes", "below the wrapper", "below the wrapper"]


def test_which_functions_are_gated() -> None:
    asked: list[str] = []

    def gate(requirement: str) -> Callable[[Any], bool]:
        return lambda _: bool(asked.append(requirement))

    events.install_gates(
        {
            "position": gate("position"),
            "scheduled": gate("scheduled"),
            "no position": gate("no position"),
            "commit": gate("commit"),
        }
    )
    gated: dict[str, str] = {}
    for channel in emitters.event_channels():
        asked.clear()
        end = channel.attach(events._serialised(channel, lambda _: None))
        channel.emit(None)
        end()
        if asked:
            gated[channel.name] = asked[0]
    assert gated == {
        "schedule_ping_subject": "scheduled",
        "active_ping_subject": "position",
        "idle_ping_subject": "no position",
        "strategy_commit_subject": "commit",
        "partial_profit_subject": "position",
        "partial_loss_subject": "position",
        "breakeven_subject": "position",
        "highest_profit_subject": "position",
        "max_drawdown_subject": "position",
        "signal_notify_subject": "position",
        "wake_subject": "position",
    }


def test_once_fires_on_the_first_accepted_event_even_if_it_raises() -> None:
    heard: list[int] = []

    def fails(event: PingEvent) -> None:
        heard.append(event.timestamp)
        raise ValueError("once")

    events.listen_active_ping_once(lambda event: event.timestamp > 1, fails)
    emitters.active_ping_subject.emit(ping(timestamp=1))
    with pytest.raises(ValueError, match="once"):
        emitters.active_ping_subject.emit(ping(timestamp=2))
    emitters.active_ping_subject.emit(ping(timestamp=3))
    assert heard == [2]
    assert not emitters.active_ping_subject.has_listeners


def test_once_is_delivered_once_to_two_threads() -> None:
    heard: list[int] = []

    def slow(event: PingEvent) -> None:
        heard.append(event.timestamp)
        time.sleep(0.01)

    events.listen_active_ping_once(lambda _: True, slow)
    together(lambda number: emitters.active_ping_subject.emit(ping(timestamp=number)), 4)
    assert len(heard) == 1


def test_once_can_be_cancelled() -> None:
    heard: list[PingEvent] = []
    events.listen_active_ping_once(lambda _: True, heard.append)()
    emitters.active_ping_subject.emit(ping())
    assert heard == []


@pytest.mark.parametrize(("ids", "heard_ids"), [("AA", "A"), ("ABA", "ABA"), ("AABBA", "ABA")])
def test_per_signal_fires_once_per_signal_in_a_row(ids: str, heard_ids: str) -> None:
    heard: list[str] = []
    events.listen_active_ping_per_signal(lambda _: True, lambda event: heard.append(event.data.id))
    for signal_id in ids:
        emitters.active_ping_subject.emit(ping(signal_id))
    assert "".join(heard) == heard_ids


def test_per_signal_filters_before_it_remembers_and_does_not_retry() -> None:
    heard: list[int] = []

    def fails(event: PingEvent) -> None:
        heard.append(event.timestamp)
        raise ValueError

    events.listen_active_ping_per_signal(lambda event: event.timestamp > 1, fails)
    emitters.active_ping_subject.emit(ping(timestamp=1))
    with pytest.raises(ValueError):
        emitters.active_ping_subject.emit(ping(timestamp=2))
    emitters.active_ping_subject.emit(ping(timestamp=3))
    assert heard == [2]


def test_per_signal_remembers_contexts_apart_and_forgets_the_oldest() -> None:
    heard: list[str] = []
    events.listen_active_ping_per_signal(lambda _: True, lambda event: heard.append(event.symbol))
    for number in range(events.REMEMBERED_CONTEXTS):
        emitters.active_ping_subject.emit(ping(symbol=f"S{number}"))
    emitters.active_ping_subject.emit(ping(symbol="S0"))
    assert len(heard) == events.REMEMBERED_CONTEXTS
    emitters.active_ping_subject.emit(ping(symbol="one more"))
    emitters.active_ping_subject.emit(ping(symbol="S0"))
    assert heard[-2:] == ["one more", "S0"]


def test_per_signal_skips_idle_results_and_knows_every_id() -> None:
    heard: list[TickResult] = []
    asked: list[TickResult] = []
    events.listen_signal_backtest_per_signal(lambda result: asked.append(result) is None, heard.append)
    for result in (idle(), closed("a"), closed("a"), closed("b")):
        emitters.signal_backtest_emitter.emit(result)
    assert [result.signal_id for result in heard] == ["a", "b"]
    assert len(asked) == 3
    extreme = payloads.ExtremeEvent("B", "s", "e", "f", True, 0, signal("x"), 1.0)
    assert emitters.highest_profit_subject.identify is not None
    assert emitters.highest_profit_subject.identify(extreme) == "x"


def together(fn: Callable[[int], object], count: int) -> None:
    threads = [threading.Thread(target=fn, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
        assert not thread.is_alive()


def test_calls_of_one_listener_never_overlap() -> None:
    running = [0]
    most = [0]
    heard: list[int] = []

    def listener(event: PingEvent) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        time.sleep(0.002)
        running[0] -= 1
        heard.append(event.timestamp)
        if event.timestamp == 2:
            raise ValueError

    events.listen_active_ping(listener)

    def emit(number: int) -> None:
        try:
            emitters.active_ping_subject.emit(ping(timestamp=number))
        except ValueError:
            assert number == 2

    together(emit, 6)
    assert most == [1]
    assert sorted(heard) == list(range(6))


def test_two_listeners_keep_the_order_of_two_concurrent_events() -> None:
    log: list[str] = []
    first_started = threading.Event()

    def listener(name: str) -> Callable[[PingEvent], None]:
        def fn(event: PingEvent) -> None:
            if (name, event.timestamp) == ("A", 1):
                first_started.set()
                time.sleep(0.02)
            log.append(f"{name}{event.timestamp}")

        return fn

    events.listen_active_ping(listener("A"))
    events.listen_active_ping(listener("B"))

    def emit(number: int) -> None:
        if number == 1:
            first_started.wait(10)
        emitters.active_ping_subject.emit(ping(timestamp=number + 1))

    together(emit, 2)
    assert [entry for entry in log if entry[0] == "A"] == ["A1", "A2"]
    assert [entry for entry in log if entry[0] == "B"] == ["B1", "B2"]


def test_a_turn_serves_threads_in_the_order_of_arrival() -> None:
    turn = Turn()
    served: list[int] = []

    def take(number: int) -> None:
        with turn:
            served.append(number)

    threads = []
    with turn:
        for number in range(8):
            threads.append(threading.Thread(target=take, args=(number,)))
            threads[-1].start()
            while len(turn._waiting) <= number:
                time.sleep(0.0005)
        assert served == []
    for thread in threads:
        thread.join(timeout=10)
    assert served == list(range(8))


def test_a_listener_that_causes_its_own_event_does_not_wait_for_itself() -> None:
    heard: list[int] = []

    def listener(event: PingEvent) -> None:
        heard.append(event.timestamp)
        if event.timestamp < 3:
            emitters.active_ping_subject.emit(ping(timestamp=event.timestamp + 1))

    events.listen_active_ping(listener)
    emitters.active_ping_subject.emit(ping(timestamp=1))
    assert heard == [1, 2, 3]


@pytest.mark.parametrize("in_a_loop", [False, True])
def test_nor_does_a_coroutine_listener_also_where_a_loop_runs(in_a_loop: bool) -> None:
    heard: list[int] = []

    async def listener(event: PingEvent) -> None:
        heard.append(event.timestamp)
        await asyncio.sleep(0)
        if event.timestamp < 3:
            emitters.active_ping_subject.emit(ping(timestamp=event.timestamp + 1))

    async def notebook() -> None:
        emit()

    def emit() -> None:
        emitters.active_ping_subject.emit(ping(timestamp=1))

    events.listen_active_ping(listener)
    work = threading.Thread(target=(lambda: asyncio.run(notebook())) if in_a_loop else emit, daemon=True)
    work.start()
    work.join(20)
    assert heard == [1, 2, 3]


def test_a_coroutine_listener_is_waited_for_and_sees_the_context() -> None:
    heard: list[str] = []

    async def listener(_: PingEvent) -> None:
        await asyncio.sleep(0.001)
        heard.append(context.get_symbol())

    events.listen_active_ping(listener)
    context.run_in_mock_context(lambda: emitters.active_ping_subject.emit(ping()), symbol="ETHUSDT")
    assert heard == ["ETHUSDT"]


# ----------------------------------------------------------------------------------------------- error policy


def test_a_failing_error_listener_is_logged_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Exception] = []
    events.listen_error(raising(ValueError("from the error listener")))
    events.listen_error(heard.append)
    events.report_error(KeyError("lost"), "tick")
    assert [repr(error) for error in heard] == ["KeyError('lost')"]
    assert "tick: 'lost'" in caplog.text
    assert "from the error listener" in caplog.text


@pytest.mark.parametrize("channel", [emitters.performance_emitter, emitters.progress_backtest_emitter])
def test_performance_and_progress_listeners_cannot_break_a_run(channel: Channel[Any]) -> None:
    heard: list[Exception] = []
    events.listen_error(heard.append)
    channel.subscribe(raising(ValueError("broken listener")))
    channel.emit(None)
    assert [str(error) for error in heard] == ["broken listener"]


def test_which_channels_let_an_error_through() -> None:
    swallowed = set()
    for channel in emitters:
        channel.subscribe(raising(ValueError("x")))
        try:
            channel.emit(None)
        except ValueError:
            continue
        swallowed.add(channel.name)
    assert swallowed == {
        "performance_emitter",
        "progress_backtest_emitter",
        "error_emitter",
        "exit_emitter",
        "validation_subject",
        "walker_stop_subject",
        "shutdown_emitter",
    }


def test_order_gates_warn_when_one_listens(caplog: pytest.LogCaptureFixture) -> None:
    for listen in (events.listen_sync, events.listen_check):
        caplog.clear()
        listen(print)
        assert [entry.levelno for entry in caplog.records] == [logging.WARNING]
        assert "broker adapter" in caplog.text


# ------------------------------------------------------------------------------------------------- records


@pytest.mark.parametrize(
    "cls",
    [
        cls
        for module in (signals, payloads)
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, Record) and cls.__module__ == module.__name__
    ],
)
def test_records_are_frozen_slotted_and_travel(cls: type[Record]) -> None:
    values = {name: index for index, name in enumerate(cls.field_names)}
    made = cls(**values)
    assert type(made) is cls
    assert not hasattr(made, "__dict__")
    assert made == cls(*values.values())
    assert hash(made) == hash(cls(**values))
    assert [getattr(made, name) for name in cls.field_names] == list(values.values())
    first = cls.field_names[0]
    with pytest.raises(FrozenInstanceError):
        setattr(made, first, 1)
    with pytest.raises(FrozenInstanceError):
        delattr(made, first)
    assert pickle.loads(pickle.dumps(made)) == made
    assert copy.deepcopy(made) == made
    assert getattr(replace(made, **{first: "new"}), first) == "new"  # type: ignore[type-var]
    with pytest.raises(TypeError, match=f"{cls.__name__}.__init__"):
        cls(unknown=1)


def test_a_record_with_defaults_and_keywords() -> None:
    @record
    class Sample(Record):
        a: int
        b: int = 2

    assert (Sample(1).b, Sample(1, 3).b, Sample(a=1, b=4).b) == (2, 3, 4)
    assert repr(Sample(1)) == "Sample(a=1, b=2)"
    assert list(inspect.signature(Sample).parameters) == ["a", "b"]
    with pytest.raises(TypeError):
        Sample()


def test_results_are_told_apart_by_their_action() -> None:
    actions = [cls.action for cls in get_args(TickResult)]
    assert actions == ["idle", "scheduled", "waiting", "opened", "active", "closed", "cancelled"]
    assert isinstance(closed(), signals.Result)


def test_a_result_as_a_mapping() -> None:
    plain = closed().to_dict()
    assert next(iter(plain)) == "action"
    assert plain["action"] == "closed"
    assert plain["signal"]["entries"] == [{"price": 100.0, "cost": 100.0, "timestamp": 1_704_067_200_000}]
    assert plain["pnl"] == {
        "pnl_percentage": 0.0,
        "price_open": 0.0,
        "price_close": 0.0,
        "pnl_cost": 0.0,
        "pnl_entries": 0.0,
    }
    assert idle().to_dict()["signal"] is None
    json.dumps(plain)


def test_further_keys_of_a_signal_are_part_of_its_mapping() -> None:
    plain = signal(extra={"close_id": "c1", "tags": ("x", "y")}).to_dict()
    assert plain["close_id"] == "c1"
    assert "extra" not in plain
    assert "extra" not in signal().to_dict()
    assert len({signal(extra={"tags": ["x"]}), signal()}) == 2


def test_reprs_are_one_short_sentence() -> None:
    assert repr(signal()) == (
        "PublicSignal('a': BTCUSDT long at 100, take-profit 102, stop-loss 99, opened 2024-01-01 00:00 UTC, "
        "pnl +0.0000 %)"
    )
    assert repr(idle()) == "IdleResult(BTCUSDT at 100.5, 2024-01-01 00:01 UTC, dip)"
    assert repr(closed()) == (
        "ClosedResult(BTCUSDT long 'a' at 102, 1970-01-01 00:00 UTC, dip, close_reason 'take_profit', "
        "pnl PnlRecord(+0.0000 %, +0.0000 USD))"
    )
    assert repr(IdlePingEvent("B", "s", "e", "f", True, 0, 1.0)) == (
        "IdlePingEvent(symbol='B', strategy_name='s', exchange_name='e', frame_name='f', backtest=True, "
        "timestamp=0, current_price=1.0)"
    )


@pytest.mark.parametrize("action", get_args(CommitAction))
def test_a_commit_shows_the_fields_of_its_action(action: CommitAction) -> None:
    commit = StrategyCommitEvent(
        "B", "s", "e", "f", True, 0, action, "a", signal(), 1, 0, 100.0, NO_PNL, NO_PEAK, NO_PEAK, ""
    )
    optional = {name for names in COMMIT_FIELDS.values() for name in names}
    assert set(commit.to_dict()) & optional == set(COMMIT_FIELDS[action])
    has_position = action not in ("cancel-scheduled", "close-pending")
    assert ("scheduled_at" in COMMIT_FIELDS[action]) is has_position
    assert ("current_price" in COMMIT_FIELDS[action]) is has_position


# --------------------------------------------------------------------------------------------------- typing

TYPED = """
from collections.abc import Callable
from typing import assert_type
from bkapi.events.emitters import listen_active_ping_per_signal, listen_signal_backtest
from bkapi.events.payloads import PingEvent
from bkapi.schemas.doors import add_strategy_schema, get_frame_schema
from bkapi.schemas.frame import FrameSchema
from bkapi.events.results import ClosedResult, TickResult

def hears(result: TickResult) -> None:
    if result.action == "closed":
        assert_type(result, ClosedResult)

async def waits(event: PingEvent) -> None: ...
def wrong(event: int) -> None: ...

assert_type(listen_signal_backtest(hears), Callable[[], None])
listen_active_ping_per_signal(lambda event: event.data.cost > 1, waits)
assert_type(get_frame_schema("x"), FrameSchema)
listen_signal_backtest(wrong)  # error
add_strategy_schema(strategy_name="x", intervall="1m")  # error
add_strategy_schema(strategy_name="x", interval="7m")  # error
"""


@pytest.mark.slow
def test_a_type_checker_knows_every_listener(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api")
    source = tmp_path / "typed.py"
    source.write_text(TYPED, encoding="utf-8")
    report, problems, _ = api.run([str(source), "--strict", "--no-error-summary"])
    assert problems == ""
    lines = [line for line in report.splitlines() if ": error:" in line and source.name in line]
    expected = [number for number, line in enumerate(TYPED.splitlines(), 1) if line.endswith("# error")]
    assert [int(line.split(":")[1]) for line in lines] == expected
