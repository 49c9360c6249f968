"""Resampling laws: aligned, lossless, the same in one step as in two, and explicit about edges and holes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from bkcore.candles.errors import CandleError, CandleGapError, CandleResampleError
from bkcore.candles.frame import CandleFrame
from bkcore.intervals import INTERVAL_MINUTES, UnknownIntervalError, interval_step_ms

MINUTE = 60_000
DAY = 1_735_603_200_000  # 2024-12-31 00:00 UTC
PAIRS = [(one, other) for one in INTERVAL_MINUTES for other in INTERVAL_MINUTES]
UPWARD = [(one, other) for one, other in PAIRS if INTERVAL_MINUTES[other] % INTERVAL_MINUTES[one] == 0]


def market(count: int, start: int = DAY, seed: int = 1, interval: str = "1m", **options) -> CandleFrame:
    random = np.random.default_rng(seed)
    close = 100.0 * np.cumprod(1.0 + random.normal(0.0, 1e-3, count))
    rows = {
        "timestamp": start + interval_step_ms(interval) * np.arange(count),
        "open": np.concatenate(([100.0], close[:-1])),
        "high": close * 1.01,
        "low": close * 0.99,
        "close": close,
        "volume": random.random(count),
    }
    return CandleFrame.from_any(rows, symbol="BTCUSDT", interval=interval, timestamp_unit="ms", **options)


def thinned(frame: CandleFrame, missing: set[int]) -> CandleFrame:
    kept = [at for at in range(len(frame)) if at not in missing]
    return CandleFrame.from_any(frame.frame[kept], symbol="BTCUSDT", interval=frame.interval, gaps="keep")


def read_aloud(frame: CandleFrame, interval: str, edges: str, holes: str) -> list[tuple]:
    """The rule, candle by candle; no shared code."""
    step, length = interval_step_ms(frame.interval), interval_step_ms(interval)
    first, end = frame.timestamps[0], frame.timestamps[-1] + step
    buckets: dict[int, list[tuple]] = {}
    for row in frame.frame.rows():
        buckets.setdefault(row[0] - row[0] % length, []).append(row)
    made = []
    for start, parts in buckets.items():
        if edges == "drop" and (start < first or start + length > end):
            continue
        inside = (min(start + length, end) - max(start, first)) // step
        if holes == "drop" and len(parts) < inside:
            continue
        volume = 0.0
        for part in parts:
            volume += part[5]
        made.append(
            (start, parts[0][1], max(p[2] for p in parts), min(p[3] for p in parts), parts[-1][4], volume)
        )
    return made


@settings(max_examples=200, deadline=None)
@given(
    count=st.integers(1, 150),
    offset=st.integers(0, 200),
    missing=st.sets(st.integers(1, 148), max_size=12),
    interval=st.sampled_from(["3m", "5m", "15m", "30m", "1h"]),
    edges=st.sampled_from(["drop", "keep"]),
    holes=st.sampled_from(["raise", "drop", "keep"]),
)
def test_resampling_equals_the_rule_read_aloud(count, offset, missing, interval, edges, holes):
    whole = market(count, DAY + offset * MINUTE)
    try:
        frame = thinned(whole, missing - {count - 1})
    except CandleError:
        return  # the holes made it a frame of another interval
    expected = read_aloud(frame, interval, edges, holes)
    length = interval_step_ms(interval)
    first, end = DAY + offset * MINUTE, DAY + (offset + count) * MINUTE
    if edges == "drop":
        first, end = -(-first // length) * length, end // length * length
    holed = any(first <= DAY + (offset + at) * MINUTE < end for at in missing if at < count - 1)
    try:
        made = frame.resample(interval, edges=edges, holes=holes)
    except CandleGapError:
        assert holes == "raise"
        assert holed
    except CandleResampleError:
        assert not expected
    else:
        assert not (holes == "raise" and holed)
        assert made.frame.rows() == expected
        assert made.interval == interval
        assert not (made.timestamps % interval_step_ms(interval)).any()


@pytest.mark.parametrize(("one", "other"), UPWARD)
def test_every_documented_pair_upward_is_aligned_and_loses_nothing(one, other):
    many = INTERVAL_MINUTES[other] // INTERVAL_MINUTES[one]
    frame = market(3 * many, interval=one)
    made = frame.resample(other)
    assert len(made) == 3
    assert made.timestamps.tolist() == [DAY + at * interval_step_ms(other) for at in range(3)]
    assert made.open[0] == frame.open[0]
    assert made.close[-1] == frame.close[-1]
    assert made.high.max() == frame.high.max()
    assert made.low.min() == frame.low.min()
    assert math.isclose(made.volume.sum(), frame.volume.sum(), rel_tol=1e-12)


@pytest.mark.parametrize(("one", "other"), [pair for pair in PAIRS if pair not in UPWARD])
def test_other_pairs_are_refused(one, other):
    with pytest.raises(CandleResampleError, match=f"{one} candles cannot become {other} candles") as refused:
        market(3, interval=one).resample(other)
    assert refused.value.hint


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(60, 1500),
    offset=st.integers(0, 1439),
    missing=st.sets(st.integers(1, 1400), max_size=6),
    path=st.sampled_from(
        [("5m", "1h"), ("3m", "30m"), ("15m", "4h"), ("1h", "1d"), ("30m", "12h"), ("3m", "2h")]
    ),
    holes=st.sampled_from(["drop", "keep"]),
)
def test_two_steps_equal_one(count, offset, missing, path, holes):
    frame = thinned(market(count, DAY + offset * MINUTE), missing - {0, count - 1})
    small, large = path
    made = []
    for steps in ((large,), (small, large)):
        result = frame
        try:
            for step in steps:
                result = result.resample(step, holes=holes)
        except CandleResampleError:
            result = None
        made.append(result)
    once, twice = made
    assert (once is None) == (twice is None)
    if once is not None and holes == "drop":
        assert once.timestamps.tolist() == twice.timestamps.tolist()
    if once is not None:
        shared, mine, other = np.intersect1d(once.timestamps, twice.timestamps, return_indices=True)
        assert shared.size == min(len(once), len(twice))
        for name in ("open", "high", "low", "close"):
            assert getattr(once, name)[mine].tolist() == getattr(twice, name)[other].tolist()
        assert np.allclose(once.volume[mine], twice.volume[other], rtol=1e-12, atol=0.0)


def test_a_prefix_gives_a_prefix():
    frame = market(600)
    whole = frame.resample("15m").frame
    for cut in (15, 100, 314, 599):
        part = frame.between(0, int(frame.timestamps[cut])).resample("15m").frame
        assert part.equals(whole[: len(part)])


def test_edges_are_dropped_or_kept_by_word():
    frame = market(12, DAY + 3 * MINUTE)  # minutes 3 .. 14
    assert frame.resample("5m").timestamps.tolist() == [DAY + 5 * MINUTE, DAY + 10 * MINUTE]
    kept = frame.resample("5m", edges="keep")
    assert kept.timestamps.tolist() == [DAY, DAY + 5 * MINUTE, DAY + 10 * MINUTE]
    assert kept.open[0] == frame.open[0]
    assert kept.volume[0] == frame.volume[0] + frame.volume[1]
    with pytest.raises(CandleResampleError, match="no 1d candle is complete between 2024-12-31 00:03 UTC"):
        frame.resample("1d")
    assert len(frame.resample("1d", edges="keep")) == 1


def test_holes_are_refused_dropped_or_kept_by_word():
    frame = thinned(market(20), {6, 10, 11, 12, 13, 14})
    with pytest.raises(CandleGapError, match=r"1 candle is missing after 2024-12-31 00:05 UTC"):
        frame.resample("5m")
    dropped = frame.resample("5m", holes="drop")
    assert dropped.timestamps.tolist() == [DAY, DAY + 15 * MINUTE]
    kept = frame.resample("5m", holes="keep")
    assert kept.timestamps.tolist() == [DAY, DAY + 5 * MINUTE, DAY + 15 * MINUTE]
    assert kept.gaps["missing"].to_list() == [1]
    outside = thinned(market(13), {11})
    assert len(outside.resample("5m")) == 2  # the hole lies in the dropped edge
    reaching = thinned(market(12, DAY + 3 * MINUTE), {1, 2})  # minutes 4 and 5; 5 belongs to a whole candle
    with pytest.raises(CandleGapError, match="2 candles are missing after 2024-12-31 00:03 UTC"):
        reaching.resample("5m")
    assert reaching.resample("5m", holes="drop").timestamps.tolist() == [DAY + 10 * MINUTE]
    with pytest.raises(CandleResampleError, match=r"each 5m candle .* has a hole"):
        thinned(market(5), {2}).resample("5m", holes="drop")


def test_a_candle_with_a_filled_part_is_filled():
    holed = thinned(market(15), {6})
    frame = CandleFrame.from_any(holed, symbol="BTCUSDT", gaps="fill")
    assert frame.resample("5m").filled.tolist() == [False, True, False]


def test_unknown_words_are_refused():
    with pytest.raises(UnknownIntervalError, match="'1w'"):
        market(5).resample("1w")
    with pytest.raises(CandleError, match=r"edges='cut' is not known"):
        market(5).resample("5m", edges="cut")
    with pytest.raises(CandleError, match=r"holes='kep'.*\nHint: did you mean 'keep'"):
        market(5).resample("5m", holes="kep")


def test_the_same_interval_is_the_same_candles():
    assert market(7).resample("1m") == market(7)
