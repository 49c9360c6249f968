"""Interrupted and continued is never interrupted: [a, b) and then [b, c) equals [a, c)."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, strategies as st

from bkapi.policy import Policy
from bkcore.codes import Listen, Wake
from bkcore.run import Run
from tests.property.comparing import assert_same_runs
from tests.property.scenes import Scene, fills, market_of, policies, scenes

DRIVERS = st.sampled_from(["skip", "run", "step"])
TABLES = ("_trades", "entries", "partials", "revisions", "commits", "_events", "slot")
STOPS = int(Listen.IDLE | Listen.SCHEDULE_PING | Listen.MONITORED)
#: Fields of the state that say how a run is driven, not where it stands.
OF_THE_DRIVER = ("listen", "skips")
some_scenes = st.one_of(scenes(busy=True), scenes(holes=True, busy=True))


def continued(run: Run, other: Run) -> Run:
    """``other``, standing where ``run`` stands."""
    own = {name: other.state[name].copy() for name in OF_THE_DRIVER}
    other.state[:] = run.state
    for name, value in own.items():
        other.state[name] = value
    for name in TABLES:
        while getattr(other, name).size < getattr(run, name).size:
            other._grow()
        getattr(other, name)[: getattr(run, name).size] = getattr(run, name)
    return other


@given(some_scenes, policies(), fills, DRIVERS, st.integers(0, 400))
def test_a_run_that_goes_on_with_more_candles_never_stopped(
    scene: Scene, policy: Policy, fill: Any, driver: Any, stops: int
) -> None:
    """The first part does not even have the candles of the second."""
    options: dict[str, Any] = {"policy": policy, "fill": fill}
    whole = scene.run(**options).finish()
    first = scene.run("run", listen=STOPS, **options)
    for _ in range(stops):
        if first.advance() in (Wake.DONE, Wake.OUT_OF_CANDLES):
            break
    else:
        rows = int(first.state["row"][0]) + 1
        early = market_of({name: column[:rows] for name, column in scene.columns.items()})
        first = scene.run("run", listen=STOPS, market=early, **options)
        for _ in range(stops):
            first.advance()
    assert_same_runs(whole, continued(first, scene.run(driver, **options)).finish())


@given(some_scenes, policies(), fills, st.lists(st.integers(0, 2**20 - 1), min_size=1, max_size=8))
def test_stops_of_any_kind_change_nothing(scene: Scene, policy: Policy, fill: Any, bits: list[int]) -> None:
    """Listening now to this and now to that, skipping or not, a run comes to the same end."""
    whole = scene.run("run", policy=policy, fill=fill).finish()
    run = scene.run(policy=policy, fill=fill)
    dice = np.random.default_rng(len(bits))
    while True:
        run.listen(int(dice.choice(bits)))
        run.state["skips"] = dice.integers(0, 2)
        if run.advance() in (Wake.DONE, Wake.OUT_OF_CANDLES):
            break
    assert_same_runs(whole, run)


@given(some_scenes, policies(), fills)
def test_a_run_that_starts_again_is_a_new_run(scene: Scene, policy: Policy, fill: Any) -> None:
    run = scene.run(policy=policy, fill=fill).finish()
    again = scene.run(policy=policy, fill=fill).finish()
    again.restart()
    assert_same_runs(run, again.finish())
