"""A signal that a run hands out shows the machine's record as it was, and passes for a plain one."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

import bkapi as bk
from bkapi.events.results import PublicSignal
from tests.bkapi.short_runs import MIDNIGHT_MS, SYMBOL, candles_of, play, register

CLOSES = [100.0] * 8 + [101.0] * 4 + [99.0] * 4 + [100.5] * 20
SIGNAL = {
    "position": "long",
    "price_take_profit": 120.0,
    "price_stop_loss": 90.0,
    "minute_estimated_time": 20,
    "leverage": 3,
}


def plain(signal: Any) -> PublicSignal:
    """The same signal as a record of its own."""
    return PublicSignal(*(getattr(signal, name) for name in PublicSignal.field_names))


@pytest.fixture
def pings() -> Iterator[list[Any]]:
    """The pings of a position that is averaged and partly closed at its third and fifth."""
    bk.reset()
    register(candles_of(CLOSES), {6: SIGNAL})
    heard: list[Any] = []
    bk.set_config({"CC_ENABLE_DCA_EVERYWHERE": True})

    def act(event: Any) -> None:
        heard.append((event, plain(event.data)))
        if len(heard) == 3:
            assert bk.commit_average_buy(SYMBOL)
        if len(heard) == 5:
            assert bk.commit_partial_profit(SYMBOL, 40.0)

    bk.listen_active_ping(act)
    play({})
    yield heard
    bk.reset()


def test_it_shows_the_position_as_it_was_when_it_was_handed_out(pings: list[Any]) -> None:
    for event, known in pings:
        assert plain(event.data) == known
    counts = [(event.data.total_entries, event.data.total_partials) for event, _ in pings]
    assert counts[2:6] == [(1, 0), (2, 0), (2, 0), (2, 1)]
    assert [len(event.data.entries) for event, _ in pings[2:4]] == [1, 2]
    assert pings[0][0].data.scheduled_at == MIDNIGHT_MS + 6 * 60_000


def test_it_passes_for_a_plain_signal(pings: list[Any]) -> None:
    signal, same = pings[-1][0].data, plain(pings[-1][0].data)
    assert isinstance(signal, PublicSignal)
    assert signal == same
    assert same == signal
    assert repr(signal) == repr(same)
    assert signal.to_dict() == same.to_dict()
    assert signal.extra == {"leverage": 3}
    for twin in (copy.copy(signal), pickle.loads(pickle.dumps(signal)), dataclasses.replace(signal)):
        assert type(twin) is PublicSignal
        assert twin == signal
    assert dataclasses.replace(signal, note="else").note == "else"
    with pytest.raises(AttributeError):
        signal.note = "changed"
