"""What is a new best or worst price, and which tenth of the way is reached: each said twice, held together here."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, strategies as st

import bkapi as bk
from bkapi.events.emitters import emitters
from bkapi.positions.level_trackers import ClientPartial
from bkcore.machine.records import POSITION
from bkcore.machine.rules import branch_at, extreme_band, mark_extreme, reaches_level, update_extreme
from tests.rules import from_python

_branch_at, _extreme_band = from_python(branch_at), from_python(extreme_band)
_update_extreme, _mark_extreme = from_python(update_extreme), from_python(mark_extreme)
_reaches_level = from_python(reaches_level)
#: Few enough that they often meet.
prices = st.sampled_from([98.0, 99.0, 99.5, 100.0, 100.5, 101.0, 102.0])


@given(st.sampled_from([1, -1]), prices, prices, prices, prices)
def test_a_price_beyond_the_band_and_no_other_is_a_new_extreme(
    side: int, entry: float, peak: float, fall: float, price: float
) -> None:
    records: Any = np.zeros(2, POSITION).view(np.recarray)
    records.side, records.effective_open = side, entry
    records.peak_price, records.fall_price = peak, fall
    position, marked = records
    low, high = _extreme_band(position)
    kind = _update_extreme(position, _branch_at(position, price), 7, price)
    assert (kind >= 0) == (price < low or price > high)
    if kind >= 0:
        best = (price > high) == (side > 0)
        assert kind == _mark_extreme(marked, 1 if best else -1, 7, price)
        assert records[0] == records[1]


@given(st.lists(st.one_of(st.floats(0.1, 110.0), st.integers(1, 11).map(lambda tenth: 10.0 * tenth))))
def test_the_tracker_tells_the_levels_that_the_machine_fires(percents: list[float]) -> None:
    told: list[int] = []
    channel = emitters.partial_profit_subject
    gate, channel.gate = channel.gate, None  # there is no run that has a position
    end = bk.listen_partial_profit_available(lambda event: told.append(event.level))
    tracker = ClientPartial("one")
    tracker.wait_for_init()
    fired, level = [], 0
    try:
        for percent in percents:
            tracker.profit("BTCUSDT", {"id": "one"}, 100.0, percent, True, 0)
            while _reaches_level(level, percent):
                level += 1
                fired.append(10 * level)
        assert told == fired
    finally:
        end()
        channel.gate = gate
