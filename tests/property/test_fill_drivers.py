"""One machine at real prices: however a run is driven, listened to or interrupted, it is the same to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from bkcore.machine.codes import EventKind, Listen, Wake
from bkcore.machine.run import Run
from tests.golden.fills_case import Record
from tests.golden.fills_engine import run_of
from tests.property.comparing import ONLY_WITH_LOG, assert_same_runs
from tests.property.fill_scenes import fill_scenes
from tests.property.test_interruption import continued
from tests.shares import share

pytestmark = pytest.mark.real_prices
MANY = settings(max_examples=4 * settings().max_examples)
DRIVERS = st.sampled_from(["skip", "run", "step"])
#: Busy ones, and calm ones that are long enough for a run to have something to jump over.
some_scenes = st.one_of(
    fill_scenes(), fill_scenes(candles=(300, 1500), calm=True, densities=(0.05, 0.01, 0.3))
)
EVENTS = sum(int(Listen.EVENTS) << int(kind) for kind in EventKind)
STOPS = int(Listen.IDLE | Listen.ACTIVE_PING | Listen.SCHEDULE_PING | Listen.MONITORED | Listen.TICK)
#: A bit, and the wake with which a run returns for it.
WAKES = {
    int(Listen.IDLE): Wake.IDLE,
    int(Listen.ACTIVE_PING): Wake.ACTIVE_PING,
    int(Listen.SCHEDULE_PING): Wake.SCHEDULE_PING,
    int(Listen.MONITORED): Wake.MONITORED,
    int(Listen.TICK): Wake.TICK,
    EVENTS: Wake.EVENTS,
}


def assert_same(one: Run, other: Run, *, without: tuple[str, ...] = ()) -> None:
    """Both runs came to the same end, and the same became of their rows."""
    assert_same_runs(one, other, without=without)
    assert one.row_counts == other.row_counts
    assert one.now.target == other.now.target


def wakes_of(run: Run) -> list[tuple[Wake, int]]:
    """Why a run returned, and when, until it ended."""
    found = []
    while (wake := run.advance()) is not Wake.DONE:
        found.append((wake, run.when))
    return found


@MANY
@given(some_scenes)
def test_skip_and_run_and_step_are_one(scene: Record) -> None:
    run = run_of(scene, driver="run").finish()
    share("scenes with a trade", run.trades.size > 0, least=0.5)
    assert_same(run, run_of(scene, driver="skip").finish())
    assert_same(run, run_of(scene, driver="step").finish())


@given(some_scenes, DRIVERS)
def test_the_log_changes_no_trade(scene: Record, driver: Any) -> None:
    logged = run_of(scene).finish()
    silent = run_of(scene, driver=driver, logs=False).finish()
    assert silent.events.size == 0
    assert_same(logged, silent, without=ONLY_WITH_LOG)


@MANY
@given(some_scenes, DRIVERS, st.integers(0, 2**20 - 1))
def test_whatever_is_listened_to_nothing_changes(scene: Record, driver: Any, bits: int) -> None:
    whole = run_of(scene, driver="run").finish()
    run = run_of(scene, driver=driver, listen=bits)
    wakes = {wake for wake, _ in wakes_of(run)}
    share("runs that return on the way", bool(wakes), least=0.5)
    assert_same(whole, run)


@pytest.mark.parametrize("bit", WAKES, ids=[wake.name.lower() for wake in WAKES.values()])
@settings(max_examples=settings().max_examples // 2)
@given(some_scenes)
def test_skipping_keeps_every_wake_that_is_listened_to(bit: int, scene: Record) -> None:
    """A run that jumps returns for the same reasons at the same times as one that visits every candle."""
    told = wakes_of(run_of(scene, driver="run", listen=bit))
    share("runs that return", bool(told), least=0.05)
    assert {wake for wake, _ in told} <= {WAKES[bit]}
    assert wakes_of(run_of(scene, driver="skip", listen=bit)) == told


@given(some_scenes, st.lists(st.integers(0, 2**20 - 1), min_size=1, max_size=8), st.integers(0, 99))
def test_stops_of_any_kind_change_nothing(scene: Record, bits: list[int], seed: int) -> None:
    """Listening now to this and now to that, skipping or not, a run comes to the same end."""
    whole = run_of(scene, driver="run").finish()
    run = run_of(scene)
    dice = np.random.default_rng(seed)
    while True:
        run.listen(int(dice.choice(bits)))
        run.state["skips"] = dice.integers(0, 2)
        if run.advance() is Wake.DONE:
            break
    assert_same(whole, run)


@given(some_scenes, DRIVERS, st.integers(0, 300))
def test_a_run_that_is_handed_over_never_stopped(scene: Record, driver: Any, stops: int) -> None:
    """From wherever it stands, another run goes on with its state."""
    whole = run_of(scene).finish()
    first = run_of(scene, driver="run", listen=STOPS | EVENTS)
    for _ in range(stops):
        if first.advance() is Wake.DONE:
            share("runs that stopped on the way", False, least=0.2)
            return
    share("runs that stopped on the way", True)
    assert_same(whole, continued(first, run_of(scene, driver=driver)).finish())


@given(some_scenes, st.integers(0, 300))
def test_a_run_that_starts_again_is_a_new_run(scene: Record, stops: int) -> None:
    whole = run_of(scene).finish()
    run = run_of(scene)
    run.listen(STOPS)
    for _ in range(stops):
        if run.advance() is Wake.DONE:
            break
    run.restart()
    assert_same(whole, run.finish())
