"""On candles of an hour a run is what it is on minutes, with an hour for every minute."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

import bkapi as bk
from bkapi.market.exchange import CandleRequestError
from bkcore.intervals import INTERVAL_MINUTES, STRATEGY_INTERVALS, interval_step_ms
from tests.naive.events import CALLBACKS
from tests.property.comparing import assert_same_runs
from tests.property.playing import get_signal_of, play, play_naive, registered, signals_of
from tests.property.scenes import MIDNIGHT, SYMBOL, Planned, Scene, policies, scenes

BASES = ("3m", "15m", "1h", "4h")
OF_CLOCK = ("CC_SCHEDULE_AWAIT_MINUTES", "CC_MAX_SIGNAL_LIFETIME_MINUTES")
bases = st.sampled_from(BASES)
DRIVERS = st.sampled_from(["skip", "run", "step"])


def later(moment: Any, base: str) -> Any:
    """A moment of the scene when each of its minutes takes as long as a candle of the base."""
    return MIDNIGHT + (moment - MIDNIGHT) * INTERVAL_MINUTES[base]


def heard_later(thing: Any, base: str, name: str = "") -> Any:
    """Everything that was heard, with its times moved and its lifetimes stretched."""
    if isinstance(thing, dict):
        return {key: heard_later(value, base, key) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return type(thing)(heard_later(value, base) for value in thing)
    if name == "minute_estimated_time" and isinstance(thing, int | float):
        return thing * INTERVAL_MINUTES[base]
    return later(thing, base) if isinstance(thing, int) and thing > MIDNIGHT // 2 else thing


def multiples(base: str, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Intervals on candles of the base, each with what it is on minutes."""
    minutes = INTERVAL_MINUTES[base]
    return [
        (name, f"{INTERVAL_MINUTES[name] // minutes}m")
        for name in names
        if INTERVAL_MINUTES[name] % minutes == 0
    ]


def slow(scene: Scene, base: str, interval: str, strategy_interval: str) -> Scene:
    """The scene on candles of the base: everything that is counted in minutes takes longer."""
    minutes = INTERVAL_MINUTES[base]
    lifetime = "minute_estimated_time"

    def stretched(one: Planned) -> Planned:
        signal = one.signal
        if signal is not None and signal.get(lifetime) is not None:
            signal = {**signal, lifetime: signal[lifetime] * minutes}
        return Planned(one.minute * minutes, signal)

    return replace(
        scene,
        columns={**scene.columns, "timestamp": later(scene.columns["timestamp"], base)},
        start_ms=later(scene.start_ms, base),
        minutes=scene.minutes * minutes,
        plan=tuple(stretched(one) for one in scene.plan),
        config={**scene.config, **{name: scene.config[name] * minutes for name in OF_CLOCK}},
        interval=interval,
        strategy_interval=strategy_interval,
        base=base,
    )


@st.composite
def pairs(draw: st.DrawFn, **options: Any) -> tuple[Scene, Scene, str]:
    """A scene on minutes, the same on candles of a base, and the base."""
    scene, base = draw(scenes(**options)), draw(bases)
    interval, ticks = draw(st.sampled_from(multiples(base, tuple(INTERVAL_MINUTES))[:4]))
    shorter = [(name, "1m") for name in STRATEGY_INTERVALS if INTERVAL_MINUTES[name] < INTERVAL_MINUTES[base]]
    asked, questions = draw(st.sampled_from([*multiples(base, STRATEGY_INTERVALS), *shorter]))
    fast = replace(scene, interval=ticks, strategy_interval=questions)
    return fast, slow(scene, base, interval, asked), base


@given(pairs(), DRIVERS, st.sampled_from([get_signal_of, signals_of]))
def test_longer_candles_are_longer_minutes(pair: tuple[Scene, Scene, str], driver: Any, form: Any) -> None:
    fast, slowed, base = pair
    wanted = play_naive(fast)
    got = play(slowed, form(slowed), driver=driver, callbacks=CALLBACKS)
    assert got.results == heard_later(wanted.results, base)
    assert got.stream == heard_later(wanted.stream, base)


@given(pairs(busy=True), policies())
def test_skip_and_run_and_step_are_one_on_longer_candles(pair: tuple[Scene, Scene, str], policy: Any) -> None:
    scene = pair[1]
    run = scene.run("run", policy=policy).finish()
    for driver in ("skip", "step"):
        assert_same_runs(run, scene.run(driver, policy=policy).finish())


@given(pairs(), st.integers(1, 3))
def test_no_callback_reaches_a_longer_candle_early(pair: tuple[Scene, Scene, str], limit: int) -> None:
    """Candles of the base and longer ones, closed by now; and the average is that of the last one known."""
    _, scene, base = pair
    market, window = scene.market(), scene.settings.average_candles
    longer = [name for name, _ in multiples(base, tuple(INTERVAL_MINUTES)) if name != "12h"]

    def look(*_: Any) -> None:
        now = bk.get_timestamp()
        for interval in longer:
            try:
                candles = bk.get_candles(SYMBOL, interval, limit)
            except CandleRequestError:
                continue  # the history is too short
            assert candles["timestamp"][-1] + interval_step_ms(interval) <= now
            assert len(candles) == limit
        known = market.timestamps.searchsorted(now) - 1
        assert market.timestamps[known] + interval_step_ms(base) == now
        assert bk.get_average_price(SYMBOL) == market.average_price(window).values[known]

    errors: list[Exception] = []
    with registered(scene, **signals_of(scene), callbacks=dict.fromkeys(CALLBACKS, look)) as context:
        bk.listen_error(errors.append)
        bk.listen_active_ping(look)
        for _ in bk.Backtest.run(SYMBOL, context):
            pass
    assert [error for error in errors if not isinstance(error, bk.SignalError)] == []


@given(pairs(faults=False), st.integers(1, 500))
def test_a_lifetime_that_ends_inside_a_candle_is_refused(
    pair: tuple[Scene, Scene, str], minutes: int
) -> None:
    """Every signal of such a lifetime is refused with a word on the step, and nothing opens."""
    _, scene, base = pair
    step = INTERVAL_MINUTES[base]
    minutes += minutes % step == 0
    planned = tuple(
        Planned(one.minute, one.signal and {**one.signal, "minute_estimated_time": float(minutes)})
        for one in scene.plan
    )
    config = {**scene.config, "CC_MAX_SIGNAL_LIFETIME_MINUTES": 1000 * step}
    scene = replace(scene, plan=planned, config=config)
    errors: list[Exception] = []
    heard = play(scene, get_signal_of(scene), kinds=(), first=lambda: bk.listen_error(errors.append))
    assert heard.results == []
    if scene.answer(scene.start_ms):
        assert errors
    for error in errors:
        assert isinstance(error, bk.SignalError)
        assert "minute_estimated_time" in str(error)
        assert f"{step} minutes" in str(error)


@pytest.mark.parametrize(
    ("base", "interval", "changes", "word"),
    [
        ("15m", "5m", {}, "the interval of the frame"),
        ("1h", "30m", {}, "the interval of the frame"),
        ("15m", "15m", {"CC_SCHEDULE_AWAIT_MINUTES": 20}, "CC_SCHEDULE_AWAIT_MINUTES"),
        ("1h", "1h", {"CC_MAX_SIGNAL_LIFETIME_MINUTES": 90}, "CC_MAX_SIGNAL_LIFETIME_MINUTES"),
    ],
)
def test_what_is_counted_in_minutes_is_a_multiple_of_the_candle(
    base: str, interval: str, changes: dict[str, int], word: str
) -> None:
    scene = slow(plain_scene(), base, interval, "1h")
    scene = replace(scene, config={**scene.config, **changes})
    with registered(scene, **get_signal_of(scene)) as context:
        with pytest.raises(bk.SchemaError, match=word) as caught:
            bk.Backtest.run(SYMBOL, context)
        assert base in str(caught.value)


def plain_scene() -> Scene:
    """Two hours of candles and nothing to do."""
    from tests.property.scenes import Stretch, columns_of

    columns = columns_of(
        [Stretch("walk", 120, 1.0, 0.1, "one", 1)], MIDNIGHT, tick=0.01, scale=1.0, noise=0.0
    )
    config = {
        "CC_AVG_PRICE_CANDLES_COUNT": 5,
        "CC_SCHEDULE_AWAIT_MINUTES": 60,
        "CC_MAX_SIGNAL_LIFETIME_MINUTES": 120,
    }
    return Scene(columns, MIDNIGHT + 10 * 60_000, 100, "1m", "1m", (), config)
