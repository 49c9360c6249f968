"""A long on a market is a short on that market upside down: every price p becomes 2P - p.

Which numbers are symmetric, and which are not:

- Average prices, levels, extremes and progress are distances of prices, so they are mirrored; a resting order
  watches the low where its image watches the high. So are the times and the reasons of everything that is decided
  by them, whatever fees and slippage are.
- Percents are not: they are distances relative to the entry, and the entry of the image is another number. What is
  mirrored is the gain per unit, percent times entry, and only without costs, since those are percents of a price.
- Rules in percent of a price are not (the least distances of validation, breakeven, trailing, the ladder), and
  averaging is not (the mean is harmonic). Partial closes at a percent of the way are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from bkapi.schemas.policy import Policy
from bkcore.machine.codes import EventKind
from tests.property.scenes import Planned, Scene, scenes, without_ties
from tests.shares import share

CENTRE = 2048.0
SYMMETRIC = {
    "CC_MIN_TAKEPROFIT_DISTANCE_PERCENT": 0.0,
    "CC_MIN_STOPLOSS_DISTANCE_PERCENT": 0.0,
    "CC_MAX_STOPLOSS_DISTANCE_PERCENT": 0.0,
    "CC_ENABLE_SHORT_SIGNAL": True,
}
PRICES = ("price_open", "take_profit", "stop_loss", "active_take", "active_stop", "end_price")
SAME = ("scheduled_at", "pending_at", "ended_at", "reason", "status", "was_scheduled", "lifetime", "invested")
OPPOSITE = {"long": "short", "short": "long"}
plain_scenes = scenes(busy=True, faults=False, noise=0.01, scales=(1.0,))
partials = st.sampled_from(
    [
        None,
        Policy(partial_profit=((10.0, 50.0), (50.0, 33.0), (80.0, 100.0))),
        Policy(partial_profit=((25.0, 10.0),), partial_loss=((25.0, 50.0), (50.0, 50.0))),
    ]
)


def mirrored(values: Any) -> Any:
    """Prices upside down."""
    return 2.0 * CENTRE - values


def mirror_of(scene: Scene) -> Scene:
    """The scene upside down: what was long is short."""
    old: Mapping[str, NDArray[Any]] = scene.columns
    columns = {
        **old,
        "open": mirrored(old["open"]),
        "close": mirrored(old["close"]),
        "high": mirrored(old["low"]),
        "low": mirrored(old["high"]),
    }
    plan = tuple(
        one
        if one.signal is None
        else Planned(one.minute, {**one.signal, "position": OPPOSITE[one.signal["position"]]})
        for one in scene.with_levels(mirrored)
    )
    return replace(scene, columns=columns, plan=plan)


@given(plain_scenes, partials)
def test_a_short_on_the_mirror_is_the_long(scene: Scene, policy: Policy | None) -> None:
    scene = without_ties(replace(scene, config={**scene.config, **SYMMETRIC}))
    one = scene.run(policy=policy).finish()
    other = mirror_of(scene).run(policy=policy).finish()
    trades, images = one.trades, other.trades
    share("runs with a trade", trades.size > 0, least=0.5)
    assert (trades["side"] == -images["side"]).all()
    for name in SAME:
        np.testing.assert_array_equal(trades[name], images[name], err_msg=name)
    for name in PRICES:
        np.testing.assert_allclose(mirrored(trades[name]), images[name], rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(trades["closed_percent"], images["closed_percent"], rtol=1e-12)
    assert told(one, mirrored) == told(other, lambda price: price)
    if not (scene.settings.fee_percent or scene.settings.slippage_percent):
        np.testing.assert_allclose(gain_per_unit(trades), gain_per_unit(images), atol=1e-9)


def told(run: Any, view: Any) -> list[tuple[Any, ...]]:
    """What the log tells of a run: time, kind, code and price (except where a rule is a percent of a price)."""
    events = run.events[run.events["kind"] != EventKind.BREAKEVEN]
    prices = np.round(view(events["price"]), 8)
    return list(zip(*(events[name].tolist() for name in ("time", "kind", "code")), prices, strict=True))


def gain_per_unit(trades: Any) -> Any:
    """Result of a trade in quote currency per unit bought or sold."""
    return trades["pnl_percent"] / 100.0 * trades["effective_open"]


def on_grid(scene: Scene) -> Scene:
    """The scene with every price a multiple of 1/64."""
    return scene.with_prices(
        lambda values: np.round(values * 64.0) / 64.0,
        plan=scene.with_levels(lambda price: round(price * 64.0) / 64.0),
    )
