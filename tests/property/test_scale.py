"""Ten times the prices: the same percents, times and reasons."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from bkapi.schemas.policy import Policy
from tests.property.comparing import rows_of
from tests.property.scenes import Scene, policies, scenes, without_ties

EXACT = (
    *("scheduled_at", "pending_at", "ended_at", "peak_time", "fall_time", "side", "status", "reason"),
    *("was_scheduled", "by_command", "entry_count", "partial_count", "lifetime", "cost", "invested"),
    *("profit_level", "loss_level", "breakeven_reached", "trails_take", "trails_stop"),
)
PERCENTS = ("pnl_percent", "peak_pnl_percent", "fall_pnl_percent", "closed_percent")
DOLLARS = ("pnl_cost", "remaining")
PRICES = (
    "price_open",
    "active_take",
    "active_stop",
    "effective_open",
    "end_price",
    "peak_price",
    "fall_price",
)


@given(scenes(busy=True, noise=0.01), policies())
def test_ten_times_the_prices_give_the_same_percents(scene: Scene, policy: Policy) -> None:
    scene = without_ties(scene)
    tenfold = scene.with_prices(lambda prices: prices * 10, plan=scene.with_levels(lambda price: price * 10))
    one = scene.run(policy=policy).finish()
    other = tenfold.run(policy=policy).finish()
    assert one.trades.size == other.trades.size
    for name in EXACT:
        np.testing.assert_array_equal(one.trades[name], other.trades[name], err_msg=name)
    for name in PERCENTS:
        np.testing.assert_allclose(one.trades[name], other.trades[name], rtol=1e-9, atol=1e-9, err_msg=name)
    for name in DOLLARS:
        scale = np.maximum(1.0, one.trades["invested"])
        np.testing.assert_allclose(
            one.trades[name] / scale, other.trades[name] / scale, rtol=1e-9, atol=1e-9, err_msg=name
        )
    for name in PRICES:
        np.testing.assert_allclose(one.trades[name] * 10, other.trades[name], rtol=1e-9, err_msg=name)
    for name in ("time", "kind", "code", "revision"):
        np.testing.assert_array_equal(one.events[name], other.events[name], err_msg=name)
    for name in ("percent", "kind", "time"):
        mine, theirs = (rows_of(run, "partials", "partial")[name] for run in (one, other))
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, err_msg=name)
