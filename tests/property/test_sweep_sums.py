"""What a sweep sums up says the same as the list of trades, and its shortcuts say what the machine says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import given, strategies as st

from bkcore.jit import direct
from bkcore.machine.market import row_at
from bkcore.machine.records import POSITION, STATE
from bkcore.machine.rules import last_moment
from bkcore.machine.settings import EngineSettings
from bkcore.statistics.metrics import METRIC_NAMES, Metric, measure, outcome_of
from bkcore.sweeps.cells import (
    NEVER,
    REFUSED,
    WIDTH,
    Cells,
    Rank,
    held_of,
    is_unclear,
    key_of,
    outcome_of_key,
)
from bkcore.sweeps.fold import WALKERS, Places, finish_walks, walks_of
from bkcore.sweeps.inputs import row_of_end
from tests.rules import from_python

_outcome_of, _key_of = from_python(outcome_of), from_python(key_of)
_held_of, _is_unclear, _outcome_of_key = map(from_python, (held_of, is_unclear, outcome_of_key))
_row_of_end, _row_at, _last_moment = map(from_python, (row_of_end, row_at, last_moment))

_walk_table = {trails: direct(WALKERS[trails, True]) for trails in (False, True)}
_finish_walks = direct(finish_walks)

START = 1_704_067_200_000
STEP = 60_000
#: What no order of summing can change; every other number may differ in its last bits.
EXACT = (
    *(Metric.TOTAL_TRADES, Metric.WIN_COUNT, Metric.LOSS_COUNT, Metric.WIN_RATE),
    *(Metric.MAX_WIN_STREAK, Metric.MAX_LOSS_STREAK, Metric.TRADES_PER_YEAR),
    *(Metric.MAX_DRAWDOWN, Metric.RECOVERY_FACTOR, Metric.EXPECTED_YEARLY_RETURNS, Metric.CALMAR_RATIO),
)
NEEDS_TRADES = (Metric.MEDIAN_PNL, *range(Metric.MEDIAN_STEP_SIZE, len(Metric)))


@dataclass(frozen=True)
class Slot:
    """A trade that begins at a slot, or a signal that is refused there."""

    result: float
    peak: float
    fall: float
    held: int
    refused: bool


results = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 1e-10, -1e-10, 60.0, -60.0, -100.0, -150.0]), st.floats(-8.0, 8.0)
)
falls = st.one_of(st.sampled_from([0.0, -0.2, -99.0, -100.0, -150.0, 0.5]), st.floats(-9.0, 0.0))
slots = st.builds(
    Slot,
    result=results,
    peak=st.floats(0.0, 9.0),
    fall=falls,
    held=st.integers(0, 1000),
    refused=st.sampled_from([False, False, False, True]),
)
#: Calm trades, too: else every account is blown.
calm = st.builds(
    Slot,
    result=st.floats(-2.0, 2.0),
    peak=st.floats(0.0, 2.0),
    fall=st.floats(-2.0, 0.0),
    held=st.integers(0, 1000),
    refused=st.just(False),
)


def table_of(trades: list[Slot], first: int) -> Cells:
    """Cells of which the lifetime's, the third level of four, say how each trade ends."""
    keys = np.full(4 * WIDTH, NEVER, np.int32)
    next_slots = np.full(4 * WIDTH, -1, np.int32)
    pnl, peaks, falls = (np.full(4 * WIDTH, np.nan) for _ in range(3))
    for k, trade in enumerate(trades):
        place = 2 * WIDTH + k
        key = _key_of(trade.held, int(Rank.CLOCK), _outcome_of(trade.result))
        keys[place] = REFUSED if trade.refused else key
        next_slots[place] = first + k + 1
        pnl[place], peaks[place], falls[place] = trade.result, trade.peak, trade.fall
    return Cells(keys, next_slots, pnl, peaks, falls, np.zeros(0))


@given(
    st.one_of(st.lists(slots, min_size=1, max_size=60), st.lists(calm, min_size=1, max_size=60)),
    st.integers(1, 60),
    st.integers(1, 3),
    st.booleans(),
)
def test_sums_say_what_the_list_of_trades_says(
    trades: list[Slot], cut: int, combinations: int, trails: bool
) -> None:
    times = START + np.arange(len(trades), dtype=np.int64) * 2 * 86_400_000
    walks = walks_of(combinations, 0)
    places = Places(*(np.full(combinations, level * WIDTH, np.int32) for level in range(4)))
    for first in range(0, len(trades), cut):  # what a combination carries goes from table to table
        part = trades[first : first + cut]
        _walk_table[trails](table_of(part, first), first, first + len(part), places, 0, combinations, walks)
    metrics = np.empty((combinations, len(Metric)))
    refused, unclear = np.empty(combinations, np.int64), np.empty(combinations, np.int64)
    _finish_walks(times, STEP, 1, walks, 0, combinations, metrics, refused, unclear)

    taken = [k for k, trade in enumerate(trades) if not trade.refused]
    columns: Any = np.array([(trades[k].result, trades[k].peak, trades[k].fall) for k in taken]).reshape(
        -1, 3
    )
    closed = times[taken] + np.array([trades[k].held for k in taken], np.int64) * STEP
    wanted = measure(*columns.T, times[taken], closed, np.full(len(taken), 100.0))
    assert (refused == len(trades) - len(taken)).all()
    for row, lost in zip(metrics, unclear, strict=True):
        for metric in Metric:
            if metric in NEEDS_TRADES or (lost and metric not in EXACT):
                continue
            same = np.array_equal(row[metric], wanted[metric], equal_nan=True)
            if metric not in EXACT:
                same = np.isclose(row[metric], wanted[metric], rtol=1e-9, atol=1e-9, equal_nan=True)
            assert same, (METRIC_NAMES[metric], row[metric], wanted[metric])


@given(st.integers(0, 2**26 - 1), st.sampled_from(Rank), st.floats(-5.0, 5.0), st.integers(0, 2**26 - 1))
def test_a_key_holds_what_it_was_made_of_and_the_earliest_exit_is_the_smallest(
    held: int, rank: Rank, result: float, other: int
) -> None:
    outcome = _outcome_of(result)
    key = _key_of(held, int(rank), outcome)
    assert (_held_of(key), _outcome_of_key(key)) == (held, outcome)
    assert _is_unclear(key) == (rank is Rank.UNCLEAR)
    assert 0 <= key < NEVER
    if held != other:
        assert (key < _key_of(other, int(Rank.UNCLEAR), 0)) == (held < other)


@given(
    st.sampled_from([60_000, 300_000, 86_400_000]),
    st.integers(1, 40),
    st.one_of(st.integers(1, 5000).map(float), st.just(np.inf)),
    st.integers(0, 10**7),
)
def test_the_clock_ends_a_position_at_the_candle_that_its_times_say(
    step: int, row: int, lifetime: float, later: int
) -> None:
    timestamps = START + np.arange(6000, dtype=np.int64) * step
    state: Any = np.zeros(1, STATE).view(np.recarray)[0]
    position: Any = np.zeros(1, POSITION).view(np.recarray)[0]
    settings: Any = EngineSettings(fill="vwap", step_ms=step).record().view(np.recarray)[0]
    position.pending_at, position.lifetime = timestamps[row], lifetime
    state.frame_end = timestamps[row] + later
    wanted = _row_at(timestamps, step, _last_moment(position, state.frame_end) + 1)
    assert _row_of_end(state, settings, position, row) == wanted
