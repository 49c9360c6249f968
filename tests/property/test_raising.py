"""Whatever the user's code raises: it surfaces once, and the run goes on as if that code had said nothing.

Only ``on_write`` is not guarded: what it raises ends the run (spec engine.md 4.6).
"""

from __future__ import annotations

import traceback
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, strategies as st

import bkapi as bk
from bkapi.runs.ledger import running
from tests.golden.hosts import LISTEN_FUNCTIONS
from tests.naive.events import CALLBACKS
from tests.property.playing import Heard, get_signal_of, play, registered, signals_of
from tests.property.scenes import SYMBOL, Scene, scenes
from tests.shares import share

DRIVERS = st.sampled_from(["skip", "run", "step"])
GUARDED = tuple(name for name in CALLBACKS if name != "on_write")
PLACES = (*LISTEN_FUNCTIONS, *GUARDED)


class MistakeError(Exception):
    """What the user's code raises."""


@dataclass
class Clumsy:
    """User code that makes a mistake at some of the times that its places come."""

    places: tuple[str, ...]
    every: int
    raised: list[Exception] = field(default_factory=list)
    heard: list[Exception] = field(default_factory=list)
    times: Counter[str] = field(default_factory=Counter)

    def listen(self) -> None:
        """Hear errors, as objects; nobody hears more than this."""
        bk.listen_error(self.heard.append)

    def stumbles(self, place: str) -> bool:
        """Whether now is such a time."""
        self.times[place] += 1
        return place in self.places and self.times[place] % self.every == 0

    def __call__(self, place: str) -> None:
        if self.stumbles(place):
            self.raised.append(MistakeError(f"{place} {self.times[place]}"))
            raise self.raised[-1]

    def assert_told_once(self) -> None:
        """Every mistake was told once, in order, and shows where it was made."""
        share("runs with a mistake", bool(self.raised), least=0.3)
        told = [error for error in self.heard if isinstance(error, MistakeError)]
        assert [id(error) for error in told] == [id(error) for error in self.raised]
        for error in told:
            assert traceback.extract_tb(error.__traceback__)[-1].name == "__call__"


@given(
    scenes(busy=True),
    st.lists(st.sampled_from(PLACES), unique=True, min_size=1, max_size=4).map(tuple),
    st.integers(1, 7),
    DRIVERS,
)
def test_a_listener_that_raises_changes_nothing(
    scene: Scene, places: tuple[str, ...], every: int, driver: Any
) -> None:
    """Another listener of the same channel, the callbacks, the results and the rest of the run are as ever."""
    wanted = play(scene, signals_of(scene), driver=driver, callbacks=GUARDED)
    clumsy = Clumsy(tuple(place for place in places if place != "error"), every)

    def first() -> None:
        clumsy.listen()
        for kind, name in LISTEN_FUNCTIONS.items():
            if kind in clumsy.places:
                getattr(bk, name)(lambda event, kind=kind: clumsy(kind))

    def then(place: str) -> None:
        if place in GUARDED:
            clumsy(place)
        elif place in clumsy.places and clumsy.times[place] % every == 0:
            raise MistakeError("the second of an emission is logged only")
        elif place == "error" and "error" in places:
            raise MistakeError("about errors nobody is told")

    got = play(scene, signals_of(scene), driver=driver, callbacks=GUARDED, first=first, then=then)
    assert got.results == wanted.results
    assert without_errors(got) == without_errors(wanted)
    clumsy.assert_told_once()


@given(scenes(busy=True, holes=True), st.integers(1, 5), DRIVERS, st.booleans())
def test_a_get_signal_that_raises_says_nothing(scene: Scene, every: int, driver: Any, is_heard: bool) -> None:
    """The tick goes on as idle, and its interval is used up (spec engine.md 5)."""
    plan, silent = get_signal_of(scene)["get_signal"], Clumsy(("get_signal",), every)
    kinds = tuple(LISTEN_FUNCTIONS) if is_heard else ()
    clumsy = Clumsy(("get_signal",), every)
    says_nothing = {"get_signal": lambda *given: None if silent.stumbles("get_signal") else plan(*given)}
    wanted = play(scene, says_nothing, driver=driver, kinds=kinds)
    got = play(
        scene,
        get_signal_of(scene),
        driver=driver,
        kinds=kinds,
        first=clumsy.listen,
        then=raises_in_get_signal(clumsy),
    )
    assert got.results == wanted.results
    assert without_errors(got) == without_errors(wanted)
    clumsy.assert_told_once()


def raises_in_get_signal(clumsy: Clumsy) -> Any:
    """Only there."""
    return lambda place: clumsy(place) if place == "get_signal" else None


@given(scenes(busy=True), st.integers(1, 5), DRIVERS)
def test_what_is_left_of_an_emission_is_skipped(scene: Scene, every: int, driver: Any) -> None:
    """``listen_signal`` speaks after ``listen_signal_backtest``, in one block (spec adapters-and-events.md 1.2)."""
    clumsy, heard, told = Clumsy(("signal",), every), [], []

    def first() -> None:
        clumsy.listen()
        bk.listen_signal_backtest(lambda result: told.append((result.action, result.created_at)))
        bk.listen_signal_backtest(lambda _: clumsy("signal"))
        bk.listen_signal(lambda result: heard.append((result.action, result.created_at)))

    play(scene, signals_of(scene), driver=driver, kinds=(), first=first)
    assert heard == [one for number, one in enumerate(told, start=1) if number % every]
    clumsy.assert_told_once()


def without_errors(heard: Heard) -> list[tuple[str, Any]]:
    """The stream without error events."""
    return [one for one in heard.stream if one[0] != "error"]


@given(scenes(busy=True, faults=False), st.integers(1, 40), DRIVERS)
def test_an_on_write_that_raises_ends_the_run(scene: Scene, time: int, driver: Any) -> None:
    """What was told before is a beginning of the whole, the error is the user's own, and the next run is whole."""
    callbacks = (*GUARDED, "on_write")
    wanted = play(scene, signals_of(scene), driver=driver, callbacks=callbacks)
    clumsy, heard = Clumsy(("on_write",), time), Heard()
    share("runs that write so often", sum(name == "on_write" for name, _ in wanted.stream) >= time, least=0.1)
    try:
        play(
            scene,
            signals_of(scene),
            driver=driver,
            callbacks=callbacks,
            first=clumsy.listen,
            then=lambda place: clumsy(place) if place == "on_write" else None,
            heard=heard,
        )
    except MistakeError as error:
        assert error is clumsy.raised[0]
        assert traceback.extract_tb(error.__traceback__)[-1].name == "__call__"
        assert heard.stream[-1][0] == "on_write"
    else:
        assert not clumsy.raised
        assert len(heard.results) == len(wanted.results)
    assert not any(isinstance(error, MistakeError) for error in clumsy.heard)
    assert heard.results == wanted.results[: len(heard.results)]
    assert heard.stream == wanted.stream[: len(heard.stream)]
    assert not running
    with pytest.raises(bk.ContextError):
        bk.get_date()
    assert play(scene, signals_of(scene), driver=driver, kinds=()).results == wanted.results


@given(scenes(busy=True), st.integers(0, 30))
def test_a_consumer_that_leaves_early_leaves_nothing_behind(scene: Scene, count: int) -> None:
    wanted = play(scene, signals_of(scene), kinds=()).results
    with registered(scene, **get_signal_of(scene)) as context:
        results = bk.Backtest.run(SYMBOL, context)
        taken = [result for result, _ in zip(results, range(count), strict=False)]
        results.close()
        assert not running
        assert len(taken) == min(count, len(wanted))
        assert len(list(bk.Backtest.run(SYMBOL, context))) == len(wanted)


# jitted functions: ``params[-1]`` says whether a mistake is made, or nothing said instead


def clumsy_kernel(
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
    """A long at every question; every ``params[0]``-th question ends in a mistake, after the memory has changed."""
    memory[0] += 1.0
    signal.side = 1
    signal.take_profit = price * 1.01
    if memory[0] % params[0] == 0.0:
        if params[1] == 1.0:
            raise MistakeError(when)
        return 0
    signal.stop_loss = price * 0.99
    signal.lifetime = 5.0 + memory[0] % 7.0
    return 1


def clumsy_manage(
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
    """A part closed at every candle; every ``params[0]``-th ends in a mistake, after the memory has changed."""
    memory[1] += 1.0
    orders[0, 0] = 2.0 if position.side * (known_price - position.effective_open) > 0.0 else 3.0
    orders[0, 1] = 5.0
    if memory[1] % params[0] == 0.0:
        position.effective_open = 0.0
        if params[1] == 1.0:
            raise MistakeError(when)
        return 0
    return 1


def jitted(scene: Scene, name: str, every: int, raises: bool) -> dict[str, Any]:
    """A strategy with a clumsy kernel or a clumsy manager."""
    params = {"every": float(every), "raises": float(raises)}
    if name == "kernel":
        return {"kernel": clumsy_kernel, "params": params}
    return {**signals_of(scene), "signals": lambda candles, every, raises: scene.signal_frame()} | {
        "manage": clumsy_manage,
        "params": params,
    }


@given(scenes(busy=True, holes=True), st.sampled_from(["kernel", "manage"]), st.integers(1, 9), DRIVERS)
def test_a_jitted_function_that_raises_says_nothing(scene: Scene, name: str, every: int, driver: Any) -> None:
    wanted = play(scene, {**jitted(scene, name, every, False)}, driver=driver)
    clumsy = {**jitted(scene, name, every, True)}
    mistakes: list[Exception] = []

    def hear(error: Exception) -> None:
        if not isinstance(error, bk.SignalError):
            assert error.args == (bk.get_timestamp(),)
            mistakes.append(error)

    got = play(scene, clumsy, driver=driver, first=lambda: bk.listen_error(hear))
    assert got.results == wanted.results
    assert without_errors(got) == without_errors(wanted)
    told = len(got.stream) - len(wanted.stream)
    assert len(mistakes) == told
    share("runs with a mistake", told > 0, least=0.3)
    for error in mistakes:
        assert isinstance(error, MistakeError)
        assert traceback.extract_tb(error.__traceback__)[-1].name == f"clumsy_{name}"
    alone: list[Exception] = []
    quiet = play(scene, clumsy, driver=driver, kinds=(), first=lambda: bk.listen_error(alone.append))
    assert quiet.results == wanted.results
    assert [error.args for error in alone if isinstance(error, MistakeError)] == [
        error.args for error in mistakes
    ]
    assert play(scene, clumsy, driver=driver, kinds=()).results == wanted.results
