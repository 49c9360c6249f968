"""A sweep at real prices is many runs: every row is the single run of its combination, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from bkapi.schemas.policy import Policy
from bkcore.machine.codes import Status
from bkcore.machine.market import Market
from bkcore.machine.policy import POLICY
from bkcore.machine.run import Frame, Records, Run
from bkcore.machine.settings import EngineSettings
from bkcore.machine.signals import bind_signals
from bkcore.statistics.metrics import Metric
from bkcore.sweeps.whole_runs import MachineSweep
from tests.property.sweep_scenes import LEVELS, SweepScene, frame_of, sweep_scenes

pytestmark = pytest.mark.real_prices

AXES = {
    "take_profit_percent": st.sampled_from([np.nan, 0.5, 1.0, 2.0, 3.0, 120.0]),
    "stop_loss_percent": st.sampled_from([np.nan, 0.5, 1.0, 2.0, 3.0, 99.0]),
    "minute_estimated_time": st.sampled_from([np.nan, 0.5, 1.0, 7.0, 30.0, 90.0, np.inf]),
}
brackets = st.fixed_dictionaries(AXES)
policies = st.sampled_from(
    [
        Policy(),
        Policy(on_opposite="reverse"),
        Policy(on_opposite="close", cooldown_minutes=5),
        Policy(trailing_stop_distance_percent=1.0),
        Policy(take_profit_steps=((0, 2.0), (10, 1.0)), exit_profit_only=True),
        Policy(breakeven_from_percent=1.0, max_hold_minutes=20),
        Policy(partial_profit_percent=((1.0, 50.0),), dca_step_percent=1.0, dca_most_entries=3),
    ]
)


def alone(scene: SweepScene, bracket: dict[str, float], policy: Records | None) -> Run:
    """The run of one combination, with its levels in the rows."""
    given_levels = {name: bracket[name] for name in LEVELS}
    return Run(
        *(scene.market, scene.settings, scene.frame, scene.signals(**given_levels)), policy=policy
    ).finish()


@given(sweep_scenes(), st.lists(st.tuples(brackets, policies), min_size=1, max_size=5), st.booleans())
def test_whole_runs_are_the_runs_of_their_rows(
    scene: SweepScene, combinations: list[tuple[dict[str, float], Policy]], has_policy: bool
) -> None:
    sweep = MachineSweep(
        *(scene.market, scene.settings, scene.frame, scene.signals()),
        interval_ms=scene.settings.step_ms,
        has_policy=has_policy,
    )
    found: dict[int, tuple[list[float], list[int]]] = {}

    def note(k: int, results: Any, closing: Any) -> None:
        found[k] = results.tolist(), closing.tolist()

    columns = [np.array([bracket[name] for bracket, _ in combinations]) for name in AXES]
    rules = np.concatenate([policy.record() for _, policy in combinations]) if has_policy else None
    assert rules is None or rules.dtype == POLICY
    metrics, refused = sweep.measure(*columns, rules, trades=note)
    for k, (bracket, policy) in enumerate(combinations):
        run = alone(scene, bracket, policy.record() if has_policy else None)
        trades = run.trades[run.trades["status"] == Status.CLOSED]
        assert found[k] == (trades["pnl_percent"].tolist(), trades["ended_at"].tolist())
        assert refused[k] == run.row_counts["refused"]
        assert metrics[k, Metric.TOTAL_TRADES] == trades.size


def test_a_bracket_replaces_levels_that_are_no_prices() -> None:
    still, high = np.full(7, 100.0), np.array([100.0, 100.0, 100.0, 100.0, 105.0, 130.0, 100.0])
    market = Market("TEST", 60_000 * np.arange(7), still, high, still, still, still)
    for levels, wanted in (
        ({"take_profit_percent": 1.0}, 105.0),
        ({"price_take_profit": 130.0}, 130.0),
        ({}, 105.0),
    ):
        columns = {name: [value] for name, value in {"timestamp": 0, "position": 1, **levels}.items()}
        signals = bind_signals(frame_of(columns), "TEST", at_real_prices=True).records
        run = Run(market, EngineSettings(), Frame(0, 60_000, 8), signals)
        run.set_bracket(take_profit_percent=5.0)
        assert run.finish().trades["end_price"].tolist() == [wanted]
