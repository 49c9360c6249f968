"""Nobody knows what comes: other candles later change nothing before, and no call reaches a candle too early."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
from hypothesis import given, strategies as st

import bkapi as bk
from bkapi.base.timestamps import from_ms
from bkapi.market.exchange import CandleRequestError
from bkapi.schemas.policy import Policy
from bkcore.intervals import INTERVAL_MINUTES
from bkcore.machine.run import Run
from tests.golden.hosts import LISTEN_FUNCTIONS
from tests.naive.events import CALLBACKS
from tests.property.comparing import Records, assert_same_records, rows_of
from tests.property.jitted import FORMS, hooks_of, without_ids
from tests.property.playing import Heard, get_signal_of, play, registered, signals_of
from tests.property.scenes import SYMBOL, Scene, policies, scenes
from tests.property.test_wakes import Watch, conditions


class MistakeError(Exception):
    """Somebody saw too much."""


DRIVERS = st.sampled_from(["skip", "run", "step"])
PRICES = ("open", "high", "low", "close")
some_scenes = st.one_of(scenes(busy=True), scenes(busy=True, holes=True))


def changed_after(scene: Scene, cut: int, factor: float) -> Scene:
    """The scene with other prices and volumes from the candle of row ``cut`` on."""
    columns = {name: column.copy() for name, column in scene.columns.items()}
    for name in PRICES:
        columns[name][cut:] *= factor
    columns["volume"][cut:] = columns["volume"][cut:][::-1] + 1.0
    return replace(scene, columns=columns)


@st.composite
def two_futures(draw: st.DrawFn) -> tuple[Scene, Scene, int]:
    """Two scenes that differ from a moment on (ms UTC), and the moment."""
    scene = draw(some_scenes)
    times = scene.columns["timestamp"]
    cut = draw(st.integers(min(20, times.size - 1), times.size - 1))
    factor = draw(st.sampled_from([1.05, 0.95, 1.002, 0.5]))
    return scene, changed_after(scene, cut, factor), int(times[cut])


def ended_before(run: Run, moment: int) -> Records:
    """Trades that are over."""
    trades = run.trades
    return trades[(trades["ended_at"] > 0) & (trades["ended_at"] < moment)]


def decided_by(run: Run, moment: int) -> list[tuple[Any, ...]]:
    """What a tick at or before the moment decided: it knows no candle that opens at the moment."""
    trades = run.trades[run.trades["scheduled_at"] <= moment]
    names = ("scheduled_at", "side", "price_open", "take_profit", "stop_loss", "lifetime", "was_scheduled")
    return list(zip(*(trades[name].tolist() for name in names), strict=True))


@given(two_futures(), policies(), DRIVERS, FORMS)
def test_other_candles_later_change_no_trade_and_no_event_before(
    futures: tuple[Scene, Scene, int], policy: Policy, driver: Any, form: str
) -> None:
    *both, moment = futures
    runs: list[Run] = []
    for scene in both:
        planned = replace(scene, plan=without_ids(scene.plan))
        runs.append(planned.run(driver, policy=policy, hooks=hooks_of(planned, form)).finish())
    one, other = runs
    assert_same_records(ended_before(one, moment), ended_before(other, moment))
    assert decided_by(one, moment) == decided_by(other, moment)
    tables = [
        (run.events, rows_of(run, "entries", "entry"), rows_of(run, "partials", "partial")) for run in runs
    ]
    for mine, theirs in zip(*tables, strict=True):
        assert_same_records(mine[mine["time"] < moment], theirs[theirs["time"] < moment])


@given(two_futures(), st.lists(conditions, min_size=1, max_size=3), DRIVERS)
def test_other_candles_later_change_nothing_that_was_heard(
    futures: tuple[Scene, Scene, int], wanted: list[dict[str, Any]], driver: Any
) -> None:
    """Listeners, callbacks, and whoever asked to be woken."""
    *both, moment = futures
    streams = []
    for scene in both:
        heard, watch = Heard(), Watch(wanted)
        strategy = get_signal_of(scene)
        play(
            scene, strategy, driver=driver, callbacks=CALLBACKS, first=listener_of(watch, heard), heard=heard
        )
        streams.append([one for one in heard.stream if time_of(one) < moment])
    assert streams[0] == streams[1]


def listener_of(watch: Watch, heard: Heard) -> Any:
    """Asks to be woken at every opening and at every wake, and notes when that was."""

    def opened(event: Any) -> None:
        if event.action == "opened":
            bk.wake_on(SYMBOL, **watch.next(event.current_price))

    def woken(event: Any) -> None:
        heard.keep("wake", event)
        bk.wake_on(SYMBOL, **watch.next(event.current_price))

    def listen() -> None:
        bk.listen_signal_event(opened)
        bk.listen_wake(woken)

    return listen


def time_of(told: tuple[str, Any]) -> float:
    """The moment of something heard; errors have none."""
    name, thing = told
    if name in CALLBACKS:
        return thing[-1]  # type: ignore[no-any-return]
    if name == "error":
        return np.inf
    return thing["created_at"] if thing.get("created_at") is not None else thing["timestamp"]  # type: ignore[no-any-return]


# nobody is shown a candle too early


def nosy_kernel(
    when: Any,
    price: Any,
    open: Any,  # noqa: A002
    high: Any,
    low: Any,
    close: Any,
    volume: Any,
    params: Any,
    memory: Any,
    signal: Any,
) -> Any:
    """Raises unless it is shown the candles before ``when`` and no more; ``params`` are their open times."""
    count = 0
    while count < params.size and params[count] < when:
        count += 1
    for column in (open, high, low, close, volume):
        if column.size != count:
            raise MistakeError(when)
    signal.side = 1 if when % 120_000 == 0 else -1
    signal.take_profit = price * (1.0 + 0.01 * signal.side)
    signal.stop_loss = price * (1.0 - 0.01 * signal.side)
    signal.lifetime = 7.0
    return 1


def nosy_manage(
    when: Any,
    price: Any,
    known_price: Any,
    open: Any,  # noqa: A002
    high: Any,
    low: Any,
    close: Any,
    volume: Any,
    position: Any,
    params: Any,
    memory: Any,
    orders: Any,
) -> Any:
    """The same of a manager, which may know the price of its own candle, as a listener of the ping does."""
    count = 0
    while count < params.size and params[count] < when:
        count += 1
    for column in (open, high, low, close, volume):
        if column.size != count:
            raise MistakeError(when)
    return 0


@given(some_scenes, DRIVERS)
def test_jitted_functions_are_shown_closed_candles_only(scene: Scene, driver: Any) -> None:
    errors: list[Exception] = []
    strategy = {
        "kernel": nosy_kernel,
        "manage": nosy_manage,
        "params": {str(k): float(time) for k, time in enumerate(scene.columns["timestamp"])},
    }
    play(scene, strategy, driver=driver, first=lambda: bk.listen_error(errors.append))
    assert not [error for error in errors if not isinstance(error, bk.SignalError)]


intervals = st.sampled_from(["1m", "3m", "15m", "1h"])
ranges = st.tuples(
    intervals,
    st.one_of(st.none(), st.integers(1, 5)),
    st.one_of(st.none(), st.integers(-40, 10)),
    st.one_of(st.none(), st.integers(-40, 10)),
)


@given(scenes(busy=True), st.lists(ranges, min_size=3, max_size=6))
def test_no_range_of_candles_reaches_past_now(scene: Scene, asked: list[Any]) -> None:
    """``Exchange.get_raw_candles`` with any dates, from a listener: closed candles, or a refusal."""
    answered: list[str] = []

    def look(_: Any) -> None:
        now = bk.get_date()
        for interval, limit, first, last in asked:
            step = timedelta(minutes=INTERVAL_MINUTES[interval])
            start, end = (None if steps is None else now + steps * step for steps in (first, last))
            try:
                rows = bk.Exchange.get_raw_candles(
                    SYMBOL, interval, {"exchange_name": "memory"}, limit, start, end
                )
            except CandleRequestError:
                answered.append("refused")
                continue
            assert from_ms(int(rows["timestamp"][-1])) + step <= now
            answered.append("answered")

    errors: list[Exception] = []
    with registered(scene, **signals_of(scene)) as context:
        for kind, name in LISTEN_FUNCTIONS.items():
            getattr(bk, name)(errors.append if kind == "error" else look)
        for _ in bk.Backtest.run(SYMBOL, context):
            pass
    assert [error for error in errors if not isinstance(error, bk.SignalError)] == []
    assert answered
