"""``wake_on`` wakes exactly where a listener of every candle would have found the condition true first."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import given, strategies as st

import bkapi as bk
from bkapi.schemas.policy import Policy
from bkcore.intervals import MINUTE_MS, interval_step_ms
from tests.property.playing import get_signal_of, play, signals_of
from tests.property.scenes import SYMBOL, Scene, policies, scenes
from tests.shares import share

DRIVERS = st.sampled_from(["skip", "run", "step"])
#: Factors of the price at which a condition is set, percents, minutes and intervals; some hold at once.
conditions = st.fixed_dictionaries(
    {},
    optional={
        "above": st.sampled_from([1.001, 1.005, 1.02, 1.0, 0.99, math.inf]),
        "below": st.sampled_from([0.999, 0.995, 0.98, 1.0, 1.01, 0.0]),
        "pnl_above": st.sampled_from([0.1, 0.5, 2.0, -0.3, -5.0]),
        "pnl_below": st.sampled_from([-0.1, -0.5, -2.0, 0.3, 5.0]),
        "after_minutes": st.sampled_from([5, 1, 17, 2.5, 0, -3, 600]),
        "next_interval": st.sampled_from(["3m", "15m", "1h"]),
    },
).filter(bool)


def wanted_at(condition: dict[str, Any], price: float) -> dict[str, Any]:
    """The arguments of ``wake_on`` at a price."""
    return {name: value * price if name in ("above", "below") else value for name, value in condition.items()}


@dataclass
class Watch:
    """Sets one condition after the other; the next one where the last one held."""

    conditions: list[dict[str, Any]]
    woken: list[tuple[int, float]] = field(default_factory=list)
    armed: dict[str, Any] | None = None
    armed_at: int = 0
    count: int = 0

    def next(self, price: float) -> dict[str, Any]:
        """The next condition, from now on."""
        self.armed = wanted_at(self.conditions[self.count % len(self.conditions)], price)
        self.armed_at = bk.get_timestamp()
        self.count += 1
        return self.armed

    def wake(self, event: Any) -> None:
        """Note where it was woken."""
        self.woken.append((bk.get_timestamp(), event.current_price))

    def holds(self, event: Any) -> bool:
        """Whether the armed condition is true at a candle: the docstring of ``wake_on``, read aloud."""
        wanted, price, percent = self.armed, event.current_price, event.data.pnl.pnl_percentage
        if wanted is None:
            return False
        minutes = (event.timestamp - self.armed_at) / MINUTE_MS
        checks = {
            "above": lambda value: price >= value,
            "below": lambda value: price <= value,
            "pnl_above": lambda value: percent >= value,
            "pnl_below": lambda value: percent <= value,
            "after_minutes": lambda value: minutes >= value,
            "next_interval": lambda value: event.timestamp >= boundary_after(self.armed_at, value),
        }
        return any(checks[name](value) for name, value in wanted.items())


def boundary_after(moment: int, interval: str) -> int:
    """The first boundary of an interval after a moment."""
    step = interval_step_ms(interval)
    return (moment // step + 1) * step


@given(
    st.one_of(scenes(busy=True), scenes(busy=True, holes=True)),
    st.lists(conditions, min_size=1, max_size=5),
    st.one_of(st.none(), policies()),
    DRIVERS,
    st.sampled_from([get_signal_of, signals_of]),
)
def test_woken_where_a_listener_of_every_candle_finds_it_first(
    scene: Scene, wanted: list[dict[str, Any]], policy: Policy | None, driver: Any, form: Any
) -> None:
    strategy = {**form(scene), "policy": policy}
    pinged = Watch(wanted)

    def ping(event: Any) -> None:
        if pinged.holds(event):
            pinged.wake(event)
            pinged.next(event.current_price)

    def drop(event: Any) -> None:
        if event.action == "opened":
            pinged.next(event.current_price)
        else:
            pinged.armed = None

    def listen() -> None:
        bk.listen_active_ping(ping)
        bk.listen_signal_event(drop)

    slow = play(scene, strategy, kinds=(), first=listen)
    watching = Watch(wanted)

    def opened(event: Any) -> None:
        if event.action == "opened":
            bk.wake_on(SYMBOL, **watching.next(event.current_price))

    def woken(event: Any) -> None:
        watching.wake(event)
        bk.wake_on(SYMBOL, **watching.next(event.current_price))

    def listen_wakes() -> None:
        bk.listen_wake(woken)
        bk.listen_signal_event(opened)

    fast = play(scene, strategy, driver=driver, kinds=(), callbacks=("on_wake",), first=listen_wakes)
    share("runs that were woken", bool(pinged.woken), least=0.5)
    assert fast.results == slow.results
    assert watching.woken == pinged.woken
    assert [(told[-1], told[1]) for _, told in fast.stream] == watching.woken


@given(scenes(busy=True), st.lists(conditions, min_size=1, max_size=3), DRIVERS)
def test_waking_changes_nothing_that_is_told(scene: Scene, wanted: list[dict[str, Any]], driver: Any) -> None:
    """Neither the results nor the events of others; and it is heard before the ping of its candle."""
    plain = play(scene, signals_of(scene), driver=driver)
    order: list[tuple[str, int]] = []

    def listen() -> None:
        watch = Watch(wanted)
        bk.listen_signal_event(
            lambda event: (
                bk.wake_on(SYMBOL, **watch.next(event.current_price)) if event.action == "opened" else None
            )
        )
        bk.listen_wake(lambda event: order.append(("wake", bk.get_timestamp())))
        bk.listen_wake(lambda event: bk.wake_on(SYMBOL, **watch.next(event.current_price)))
        bk.listen_active_ping(lambda event: order.append(("ping", bk.get_timestamp())))

    woken = play(scene, signals_of(scene), driver=driver, first=listen)
    assert woken.results == plain.results
    assert woken.stream == plain.stream
    share("runs that were woken", any(name == "wake" for name, _ in order), least=0.5)
    for (name, moment), (other, later) in pairwise(order):
        if name == "wake":
            assert (other, later) == ("ping", moment)
