"""Inside the band that the machine gives for quiet, a candle changes nothing but the extremes."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings, strategies as st

from bkapi.schemas.policy import Policy
from bkcore.machine.codes import EventKind, Listen, Wake
from bkcore.machine.gliding import quiet_band
from bkcore.machine.records import NEW_WAKE
from bkcore.machine.run import Run
from tests.property.comparing import Records, assert_same_records
from tests.property.scenes import Scene, policies, scenes
from tests.rules import from_python
from tests.shares import share

#: What the specification lets a quiet candle change: the best and the worst price (spec engine.md 8.4).
EXTREMES = tuple(
    f"{side}_{name}"
    for side in ("peak", "fall")
    for name in (
        "price",
        "time",
        "pnl_percent",
        "pnl_cost",
        "invested",
        "price_open",
        "price_close",
        "unpriced",
    )
)
QUIET_EVENTS = {EventKind.HIGHEST_PROFIT, EventKind.MAX_DRAWDOWN}
#: Conditions of waking as factors of the price and as percents; None is none.
wakes = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {
            "wake_above": st.sampled_from([np.inf, 1.002, 1.01]),
            "wake_below": st.sampled_from([0.0, 0.998, 0.99]),
            "wake_pnl_above": st.sampled_from([np.inf, 0.5, 2.0]),
            "wake_pnl_below": st.sampled_from([-np.inf, -0.5, -2.0]),
        }
    ),
)
_quiet_band = from_python(quiet_band)


def band_after(run: Run, row: int) -> tuple[float, float]:
    """The quiet band of the open position as it is after the candle of ``row``."""
    records = (run.state, run.settings, run._policy, run.trades[run.state["current"]])
    state, settings, policy, position = (table.view(np.recarray)[0] for table in records)
    found: tuple[float, float] = _quiet_band(
        state, settings, policy, position, run.entries, run.partials, run.series.values[row]
    )
    return found


def arm(run: Run, wake: dict[str, float], price: float) -> None:
    """Set conditions of waking, as ``wake_on`` does."""
    state = run.state[0]
    for name, value in wake.items():
        state[name] = value if "pnl" in name else value * price
    state["wake_at"] = np.iinfo(np.int64).max
    state["has_wake"] = NEW_WAKE


def snapshot(run: Run) -> tuple[Records, dict[str, Any]]:
    """The position, and what else of the state may not change."""
    position = run.trades[run.state["current"]].copy()
    names = (
        "trade_count",
        "entry_count",
        "partial_count",
        "revision_count",
        "commit_count",
        "pending",
        "deferred",
    )
    return position, {name: run.state[name][0] for name in names}


@settings(max_examples=2 * settings().max_examples)
@given(
    st.one_of(scenes(busy=True), scenes(holes=True, busy=True)),
    st.one_of(st.none(), policies()),
    wakes,
)
def test_nothing_changes_inside_the_quiet_band(
    scene: Scene, policy: Policy | None, wake: dict[str, float] | None
) -> None:
    stops = int(Listen.MONITORED | Listen.EVENTS << EventKind.OPENED)
    run = scene.run("run", listen=stops, policy=policy)
    times, series = run.market.timestamps, run.series
    stop = run.advance()
    while stop not in (Wake.DONE, Wake.OUT_OF_CANDLES):
        before, state = snapshot(run)
        row = int(run.state["row"][0]) + (stop is Wake.MONITORED or bool(before["was_scheduled"][0]))
        if wake is not None and not run.state["has_wake"][0]:
            arm(run, wake, float(series.values[row - 1]))
        low, high = band_after(run, row - 1)
        is_open = state["pending"] and stop is not Wake.WOKEN
        is_early = row < min(int(run.state["until_row"][0]), len(run.market))
        told = run.events.size
        stop = run.advance()
        is_quiet = bool(is_open and is_early and low < series.floors[row] and series.ceilings[row] < high)
        share("candles inside the band", is_quiet, least=0.1)
        if is_quiet:
            assert stop is Wake.MONITORED, f"{stop!r} inside the band"
            after, now = snapshot(run)
            assert state == now
            assert_same_records(before, after, without=EXTREMES)
            new = run.events[told:]  # commits of the candle before are among them
            assert set(new["kind"][new["time"] >= times[row]].tolist()) <= QUIET_EVENTS
