"""The engine gives at real prices the trades, orders and counts of rows that the slow twin gives."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given, settings, strategies as st

from tests.golden.fills_case import Record, differences
from tests.golden.fills_engine import play
from tests.golden.run_fills_twin import play as twin
from tests.property.fill_scenes import fill_scenes
from tests.shares import share

pytestmark = pytest.mark.real_prices
MANY = settings(max_examples=6 * settings().max_examples)
#: A ladder that climbs many steps in a candle, and trails or sells on the way.
ladders = st.fixed_dictionaries(
    {
        "dca_step_percent": st.sampled_from([0.25, 0.1, 0.5]),
        "dca_most_entries": st.sampled_from([31, 12]),
        "dca_cost_factor": st.sampled_from([1.0, 1.25, 0.75]),
    },
    optional={
        "partial_loss_percent": st.just([(0.5, 20.0), (2.0, 30.0)]),
        "partial_profit_percent": st.just([(0.25, 20.0), (0.5, 30.0), (0.75, 40.0)]),
        "target_from_average_percent": st.sampled_from([0.5, 2.0]),
        "trailing_stop_distance_percent": st.sampled_from([2.0, 5.0]),
        "trailing_take_distance_percent": st.sampled_from([1.0, 3.0]),
        "close_at_loss_percent": st.just(4.0),
    },
)
REASONS = (
    *("take_profit", "stop_loss", "trailing_stop", "exit_signal", "reversed", "closed"),
    *("time_expired", "frame_end"),
)


def told_apart(scene: Record) -> list[str]:
    """Where the engine and the twin differ, and what part of it a scene showed."""
    wanted = twin(scene)
    share("scenes with a trade", bool(wanted["trades"]), least=0.5)
    return [
        f"{path}: twin {want}, engine {have}"
        for path, want, have in islice(differences(wanted, play(scene)), 5)
    ]


@MANY
@given(fill_scenes())
def test_the_engine_is_the_twin(scene: Record) -> None:
    record = twin(scene)
    reasons = {trade["reason"] for trade in record["trades"]}
    for reason in REASONS:
        share(f"scenes with a trade that ends by {reason}", reason in reasons, least=0.03)
    for outcome in ("filled", "timeout", "user"):
        some = any(order["outcome"] == outcome for order in record["orders"])
        share(f"scenes with an order that ends by {outcome}", some, least=0.03)
    for what in ("taken", "passed_over", "refused"):
        share(f"scenes with a row that is {what}", record["rows"][what] > 0, least=0.05)
    assert told_apart(scene) == []


@given(fill_scenes(holes=True, candles=(4, 30)))
def test_where_candles_are_missing_the_engine_is_the_twin(scene: Record) -> None:
    assert told_apart(scene) == []


@given(fill_scenes(policies=ladders, columns=("take", "lifetime", "fee_percent", "limit", "stop")))
def test_on_long_ladders_the_engine_is_the_twin(scene: Record) -> None:
    entries = max((trade["entries"] for trade in twin(scene)["trades"]), default=0)
    share("scenes with a trade of ten entries", entries >= 10, least=0.1)
    assert told_apart(scene) == []
