"""Whatever is commanded from wherever, the fast engine is the slow twin: answers and events, bit by bit."""

from __future__ import annotations

from typing import Any

from hypothesis import given, strategies as st

from tests.golden.hosts import LISTEN_FUNCTIONS
from tests.naive.events import CALLBACKS
from tests.property.commanding import Rule, rules
from tests.property.playing import get_signal_of, play, play_naive, signals_of
from tests.property.scenes import Scene, scenes
from tests.shares import share

DRIVERS = st.sampled_from(["skip", "run", "step"])
#: Somebody who listens to everything, or to a few things only, so that the machine is asked to stop elsewhere.
AUDIENCES = st.one_of(
    st.just((tuple(LISTEN_FUNCTIONS), CALLBACKS)),
    st.tuples(
        st.lists(st.sampled_from(tuple(LISTEN_FUNCTIONS)), unique=True, min_size=1).map(tuple),
        st.lists(st.sampled_from(CALLBACKS), unique=True, max_size=5).map(tuple),
    ),
)


@given(scenes(busy=True), rules(), DRIVERS, st.sampled_from([get_signal_of, signals_of]), AUDIENCES)
def test_every_command_answers_and_acts_as_on_the_twin(
    scene: Scene, rules: tuple[Rule, ...], driver: Any, form: Any, audience: Any
) -> None:
    if form is signals_of:  # a frame has no place to speak from
        rules = tuple(rule for rule in rules if rule.place != "get_signal")
    kinds, callbacks = audience
    wanted = play_naive(scene, kinds=kinds, callbacks=callbacks, rules=rules)
    got = play(scene, form(scene), driver=driver, kinds=kinds, callbacks=callbacks, rules=rules)
    share("runs with an answer", any(name.startswith("answer of ") for name, _ in wanted.stream), least=0.4)
    for have, want in zip(got.stream, wanted.stream, strict=False):
        assert have == want
    assert len(got.stream) == len(wanted.stream)
    assert got.results == wanted.results
