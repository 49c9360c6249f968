"""Whatever a risk profile decides, the run is that of the slow twin; and whoever shares one keeps its limit."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

import bkapi as bk
from bkcore.intervals import MINUTE_MS
from tests.naive.events import CALLBACKS
from tests.property.commanding import Rule, rules
from tests.property.jitted import params_of, plan_kernel, without_ids
from tests.property.playing import Heard, get_signal_of, play, play_naive, signals_of
from tests.property.scenes import MIDNIGHT, SYMBOL, Scene, scenes

DRIVERS = st.sampled_from(["skip", "run", "step"])
GUARDED = {"risk_name": "dice"}


@dataclass
class Dice:
    """Decides by the minute alone, and notes what it was asked: ``percent`` of the minutes are good ones."""

    percent: int
    seed: int
    asked: list[tuple[int, float]] = field(default_factory=list)

    def allows(self, price: float, when: int) -> bool:
        self.asked.append((when, price))
        return (when // MINUTE_MS * 2_654_435_761 + self.seed) % 100 < self.percent

    def register(self) -> None:
        """As the risk profile of the product."""
        bk.add_risk_schema(
            risk_name="dice",
            validations=[
                lambda payload: None if self.allows(payload.current_price, payload.timestamp) else "no"
            ],
        )

    def again(self) -> Dice:
        """The same decisions, asked nothing yet."""
        return Dice(self.percent, self.seed)


dice = st.builds(Dice, st.sampled_from([70, 30, 0, 100, 95]), st.integers(0, 99))


@given(scenes(busy=True), rules(), dice, DRIVERS, st.sampled_from([get_signal_of, signals_of]))
def test_a_guarded_run_is_that_of_the_twin(
    scene: Scene, rules: tuple[Rule, ...], dice: Dice, driver: Any, form: Any
) -> None:
    if form is signals_of:  # a frame has no place to speak from
        rules = tuple(rule for rule in rules if rule.place != "get_signal")
    twin = dice.again()
    wanted = play_naive(scene, rules=rules, risk=lambda signal, price, when: twin.allows(price, when))
    got = play(
        scene,
        {**form(scene), **GUARDED},
        driver=driver,
        callbacks=CALLBACKS,
        rules=rules,
        first=dice.register,
    )
    assert dice.asked == twin.asked
    for have, want in zip(got.stream, wanted.stream, strict=False):
        assert have == want
    assert len(got.stream) == len(wanted.stream)
    assert got.results == wanted.results


@given(scenes(holes=True), dice, DRIVERS)
def test_asked_equals_vectorized_equals_jitted(scene: Scene, dice: Dice, driver: Any) -> None:
    """The risk profile is asked the same whatever the form, and whoever else listens."""
    scene = replace(scene, plan=without_ids(scene.plan))
    forms = (get_signal_of(scene), signals_of(scene), {"kernel": plan_kernel, "params": params_of(scene)})

    def played(form: dict[str, Any], kinds: tuple[str, ...]) -> tuple[Heard, Dice]:
        own = dice.again()
        strategy = {**form, **GUARDED}
        return play(scene, strategy, driver=driver, kinds=kinds, first=own.register), own

    first, asked = played(forms[0], ("signal", "active_ping", "error"))
    for form in forms:
        for kinds in (("signal", "active_ping", "error"), ()):
            heard, own = played(form, kinds)
            assert own.asked == asked.asked
            assert heard.results == first.results
            assert not kinds or heard.stream == first.stream


@given(scenes(holes=True, busy=True), DRIVERS, st.sampled_from([get_signal_of, signals_of]))
def test_a_profile_that_always_allows_changes_nothing(scene: Scene, driver: Any, form: Any) -> None:
    free = play(scene, form(scene), driver=driver, callbacks=CALLBACKS)
    dice = Dice(100, 0)
    guarded = play(scene, {**form(scene), **GUARDED}, driver=driver, callbacks=CALLBACKS, first=dice.register)
    assert guarded.results == free.results
    assert guarded.stream == free.stream


@given(scenes(busy=True), rules(), dice, DRIVERS)
def test_a_place_is_held_from_the_signal_to_its_end(
    scene: Scene, rules: tuple[Rule, ...], dice: Dice, driver: Any
) -> None:
    """Exactly while an order rests or a position is open, also when commands take it away."""

    def places() -> int:
        return len(bk.RiskConnectionService().get_risk("dice", "memory", "scene", True).positions)

    def then(place: str) -> None:
        if place in ("get_signal", "idle_ping"):
            assert places() == 0
        elif place in ("active_ping", "schedule_ping", "on_open", "on_schedule", "partial_profit"):
            assert places() == 1

    errors: list[Exception] = []

    def first() -> None:
        dice.register()
        bk.listen_error(lambda error: errors.append(error) if isinstance(error, AssertionError) else None)

    kinds = ("active_ping", "schedule_ping", "idle_ping", "partial_profit")
    play(
        scene,
        {**get_signal_of(scene), **GUARDED},
        driver=driver,
        kinds=kinds,
        callbacks=("on_open", "on_schedule"),
        rules=rules,
        first=first,
        then=then,
    )
    assert errors == []


# ------------------------------------------------------------------------------------------ places and who counts them

STRATEGIES, SYMBOLS = ("a", "b", "c"), ("BTCUSDT", "ETHUSDT")
steps = st.tuples(
    st.sampled_from(["reserve", "check", "add", "remove"]),
    st.sampled_from(STRATEGIES),
    st.sampled_from(SYMBOLS),
)


@dataclass
class Model:
    """A risk profile that allows ``most`` positions, read aloud."""

    most: int
    places: list[str] = field(default_factory=list)
    reserved: set[str] = field(default_factory=set)

    def allows(self, key: str) -> bool:
        own = key in self.reserved
        return len(self.places) - own < self.most

    def take(self, key: str, *, reserved: bool) -> None:
        if key not in self.places:
            self.places.append(key)
        (self.reserved.add if reserved else self.reserved.discard)(key)

    def drop(self, key: str) -> None:
        self.places = [place for place in self.places if place != key]
        self.reserved.discard(key)


@pytest.fixture
def clean() -> Iterator[None]:
    bk.reset()
    yield
    bk.reset()


def limited(name: str, most: int) -> bk.ClientRisk:
    schema = bk.RiskSchema(
        risk_name=name,
        validations=(lambda payload: payload.active_position_count < most,),
    )
    return bk.ClientRisk(schema, "memory", "scene")


@given(st.lists(st.integers(0, 4), min_size=1, max_size=3), st.lists(steps, max_size=40))
def test_places_are_those_of_the_rules_and_are_reserved_in_all_profiles_or_in_none(
    limits: list[int], taken: list[tuple[str, str, str]]
) -> None:
    risks = {f"risk {number}": limited(f"risk {number}", most) for number, most in enumerate(limits)}
    models = [Model(most) for most in limits]
    asked: Any = bk.MergeRisk(risks) if len(risks) > 1 else risks["risk 0"]
    for number, (step, strategy, symbol) in enumerate(taken):
        key = f"{strategy}_memory_{symbol}"
        allowed = all(model.allows(key) for model in models)
        answer = bk.run_in_mock_context(
            partial(ask, asked, number, step, strategy, symbol), symbol=symbol, when=MIDNIGHT, backtest=True
        )
        if step in ("check", "reserve"):
            assert answer is allowed
        for model in models:
            if step == "add" or (step == "reserve" and allowed):
                model.take(key, reserved=step == "reserve")
            elif step == "remove":
                model.drop(key)
        for risk, model in zip(risks.values(), models, strict=True):
            found = [
                f"{place.strategy_name}_{place.exchange_name}_{place.symbol}" for place in risk.positions
            ]
            assert found == model.places


def ask(risk: Any, number: int, step: str, strategy: str, symbol: str) -> Any:
    """Carry out a step on a client or several."""
    names = {"strategy_name": strategy, "exchange_name": "memory", "frame_name": "scene"}
    bounds = {"position": "long", "price_take_profit": 110.0, "price_stop_loss": 95.0}
    if step == "add":
        return risk.add_signal(symbol, names, {**bounds, "price_open": 1.0, "open_timestamp": number})
    if step == "remove":
        return risk.remove_signal(symbol, names)
    question = {
        "symbol": symbol,
        "current_signal": bounds,
        **names,
        "current_price": 100.0,
        "timestamp": MIDNIGHT,
    }
    return risk.check_signal(question, {"reserve": step == "reserve"})


def crowd(most: int, lifetimes: list[int]) -> list[Any]:
    """Runs of strategies that always want a position, all behind one profile of at most ``most``."""
    minutes = 90
    closes = [100.0 + 0.05 * math.sin(minute / 5) for minute in range(minutes)]
    candles = pl.DataFrame(
        {
            "timestamp": [MIDNIGHT + minute * MINUTE_MS for minute in range(minutes)],
            **dict.fromkeys(("open", "high", "low", "close"), closes),
            "volume": [1.0] * minutes,
        }
    )
    bk.add_exchange_schema(exchange_name="memory", candles={SYMBOL: candles})
    bk.add_frame_schema(
        frame_name="scene", start_date=MIDNIGHT + 5 * MINUTE_MS, end_date=MIDNIGHT + (minutes - 2) * MINUTE_MS
    )
    bk.add_risk_schema(risk_name="crowd", validations=[lambda payload: payload.active_position_count < most])
    runs = []
    for number, lifetime in enumerate(lifetimes):
        wanted = {"price_take_profit": 120.0, "price_stop_loss": 90.0, "minute_estimated_time": lifetime}
        limit = {} if number % 2 else {"price_open": 99.99}  # some rest first
        bk.add_strategy_schema(
            strategy_name=f"s{number}",
            get_signal=lambda *_, signal={"position": "long", **wanted, **limit}: dict(signal),
            risk_list=["crowd"],
        )
        names = {"strategy_name": f"s{number}", "exchange_name": "memory", "frame_name": "scene"}
        runs.append(bk.Backtest.run(SYMBOL, names))
    return runs


@settings(max_examples=30)
@given(
    st.integers(1, 2),
    st.lists(st.integers(1, 40), min_size=2, max_size=4),
    st.lists(st.integers(0, 3), max_size=40),
)
def test_no_order_of_turns_has_more_open_than_the_limit(
    most: int, lifetimes: list[int], turns: list[int]
) -> None:
    bk.reset()
    runs = crowd(most, lifetimes)
    open_now: dict[str, bool] = {}

    def hear(event: Any) -> None:
        open_now[event.strategy_name] = event.action == "opened"
        assert sum(open_now.values()) <= most

    bk.listen_signal_event(hear)
    errors: list[Exception] = []
    bk.listen_error(errors.append)
    for turn in turns:
        next(runs[turn % len(runs)], None)
    for run in runs:
        list(run)
    assert errors == []
    assert bk.RiskConnectionService().get_risk("crowd", "memory", "scene", True).positions == []
    bk.reset()


@pytest.mark.usefixtures("clean")
def test_threads_that_share_a_profile_never_have_more_open_than_the_limit() -> None:
    runs = crowd(2, [3, 4, 5, 6, 7, 8])
    counting, open_now, most = threading.Lock(), 0, 0

    def hear(event: Any) -> None:
        nonlocal open_now, most
        with counting:
            open_now += 1 if event.action == "opened" else -1
            most = max(most, open_now)

    bk.listen_signal_event(hear)
    results: list[int] = []
    threads = [threading.Thread(target=lambda run=run: results.append(len(list(run)))) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    assert sum(results) > 10
    assert 1 <= most <= 2
    assert open_now == 0
