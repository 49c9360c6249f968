"""Interrupted and continued is never interrupted: [a, b) and then [b, c) equals [a, c)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, strategies as st

from bkcore.machine.codes import Listen, Wake
from bkcore.machine.run import Run
from tests.property.comparing import assert_same_runs
from tests.property.jitted import FORMS, hooks_of, without_ids
from tests.property.scenes import Scene, market_of, policies, scenes
from tests.shares import share

DRIVERS = st.sampled_from(["skip", "run", "step"])
TABLES = ("_trades", "entries", "partials", "revisions", "commits", "_events")
IN_PLACE = ("slot", "_memory")
STOPS = int(Listen.IDLE | Listen.SCHEDULE_PING | Listen.MONITORED)
#: Fields of the state that say how a run is driven, not where it stands.
OF_THE_DRIVER = ("listen", "skips")
some_scenes = st.one_of(scenes(busy=True), scenes(holes=True, busy=True))


@st.composite
def plays(draw: st.DrawFn) -> tuple[Scene, dict[str, Any]]:
    """A scene, and what else decides a run of it."""
    scene, form = draw(some_scenes), draw(FORMS)
    scene = replace(scene, plan=without_ids(scene.plan))
    policy = draw(st.one_of(st.none(), policies()))
    return scene, {"policy": policy, "hooks": hooks_of(scene, form)}


def continued(run: Run, other: Run) -> Run:
    """``other``, standing where ``run`` stands."""
    own = {name: other.state[name].copy() for name in OF_THE_DRIVER}
    other.state[:] = run.state
    for name, value in own.items():
        other.state[name] = value
    for name in TABLES:
        setattr(other, name, getattr(run, name).copy())
    for name in IN_PLACE:
        getattr(other, name)[:] = getattr(run, name)
    other.tables = other._tables()
    return other


@given(plays(), DRIVERS, st.integers(0, 400))
def test_a_run_that_goes_on_with_more_candles_never_stopped(
    play: tuple[Scene, dict[str, Any]], driver: Any, stops: int
) -> None:
    """The first part does not even have the candles of the second."""
    scene, options = play
    whole = scene.run(**options).finish()
    first = scene.run("run", listen=STOPS, **options)
    for _ in range(stops):
        if first.advance() in (Wake.DONE, Wake.OUT_OF_CANDLES):
            share("runs that stopped on the way", False, least=0.2)
            break
    else:
        share("runs that stopped on the way", True, least=0.2)
        rows = int(first.state["row"][0]) + 1
        early = market_of({name: column[:rows] for name, column in scene.columns.items()})
        first = scene.run("run", listen=STOPS, market=early, **options)
        for _ in range(stops):
            first.advance()
    assert_same_runs(whole, continued(first, scene.run(driver, **options)).finish())


@given(plays(), st.lists(st.integers(0, 2**20 - 1), min_size=1, max_size=8))
def test_stops_of_any_kind_change_nothing(play: tuple[Scene, dict[str, Any]], bits: list[int]) -> None:
    """Listening now to this and now to that, skipping or not, a run comes to the same end."""
    scene, options = play
    whole = scene.run("run", **options).finish()
    run = scene.run(**options)
    dice = np.random.default_rng(len(bits))
    while True:
        run.listen(int(dice.choice(bits)))
        run.state["skips"] = dice.integers(0, 2)
        if run.advance() in (Wake.DONE, Wake.OUT_OF_CANDLES):
            break
    assert_same_runs(whole, run)


@given(plays(), st.integers(0, 400))
def test_a_run_that_starts_again_is_a_new_run(play: tuple[Scene, dict[str, Any]], stops: int) -> None:
    """From wherever it stands."""
    scene, options = play
    whole = scene.run(**options).finish()
    run = scene.run(**options)
    run.listen(STOPS)
    for _ in range(stops):
        if run.advance() in (Wake.DONE, Wake.OUT_OF_CANDLES):
            break
    run.restart()
    assert_same_runs(whole, run.finish())
