"""Is the fast engine the slow twin, event by event and bit by bit? And does it matter who listens?"""

from __future__ import annotations

from typing import Any

from hypothesis import given, strategies as st

from tests.naive.events import CALLBACKS
from tests.property.playing import get_signal_of, play, play_naive, signals_of
from tests.property.scenes import Scene, scenes

DRIVERS = st.sampled_from(["skip", "run", "step"])


@given(scenes(), DRIVERS, st.sampled_from([get_signal_of, signals_of]))
def test_every_result_event_and_callback_is_that_of_the_twin(scene: Scene, driver: Any, form: Any) -> None:
    wanted = play_naive(scene)
    got = play(scene, form(scene), driver=driver, callbacks=CALLBACKS)
    assert got.results == wanted.results
    for have, want in zip(got.stream, wanted.stream, strict=False):
        assert have == want
    assert len(got.stream) == len(wanted.stream)
