"""The value rule of spec market-data.md 4, held against its own sentences read aloud."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from bkcore.candles.checks import COLUMNS, check_values, validate_candles
from bkcore.candles.errors import CandleTypeError, CandleValueError
from bkcore.candles.frame import CandleFrame

MINUTE = 60_000


def read_aloud(candles, factor=1000.0, least=5):
    """The rule in the words of the specification; the sentence of the first flaw, or None."""
    if not candles:
        return None
    prices = [price for candle in candles for price in candle[1:5] if price > 0]
    if not prices:
        return "cannot calculate reference price"
    if len(candles) >= least:
        reference = sorted(prices)[len(prices) // 2]
    else:
        total = 0.0
        for price in prices:
            total += price
        reference = total / len(prices)
    for at, (timestamp, opened, high, low, close, volume) in enumerate(candles):
        if not all(map(math.isfinite, (timestamp, opened, high, low, close, volume))):
            return f"candle[{at}] has invalid numeric values"
        if min(opened, high, low, close) <= 0 or volume < 0:
            return f"candle[{at}] has zero or negative values"
        if high < low:
            return f"candle[{at}] has high ({high}) < low ({low})"
        if min(opened, high, low, close) < reference / factor:
            return f"candle[{at}] has anomalously low price"
    return None


def refusal(candles, **rule):
    try:
        validate_candles(candles, **rule)
    except CandleValueError as refused:
        return str(refused)
    return None


PRICES = st.one_of(
    st.floats(99.0, 101.0),
    st.sampled_from(
        [100.0, 0.1, 0.09999999999999999, 0.0, -1.0, math.nan, math.inf, -math.inf, 1e-300, 5e4, 1e5]
    ),
)
CANDLES = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 10**13), st.just(math.nan)),
        PRICES, PRICES, PRICES, PRICES,
        st.sampled_from([0.0, 1.0, -0.0, -1.0, math.nan]),
    ),
    max_size=9,
)  # fmt: skip
CALM = st.lists(
    st.tuples(st.just(0), *[st.sampled_from([100.0, 101.0, 0.1, 0.100001, 0.05, 2e4])] * 4, st.just(1.0)),
    max_size=9,
)


@settings(max_examples=400, deadline=None)
@given(st.one_of(CANDLES, CALM), st.sampled_from([1000.0, 10.0, 1.0]), st.integers(1, 9))
def test_the_rule_equals_its_sentences(candles, factor, least):
    told = refusal(candles, price_anomaly_factor=factor, min_candles_for_median=least)
    expected = read_aloud(candles, factor, least)
    assert (told is None) == (expected is None)
    assert expected is None or expected in told


@settings(max_examples=150, deadline=None)
@given(st.one_of(CANDLES.filter(bool), CALM.filter(bool)))
def test_the_door_applies_the_same_rule(candles):
    finite = [(at * MINUTE, *candle[1:]) for at, candle in enumerate(candles)]
    expected = read_aloud(finite)
    try:
        CandleFrame.from_any(
            [list(candle) for candle in finite], symbol="BTCUSDT", interval="1m", timestamp_unit="ms"
        )
    except CandleValueError as refused:
        told = str(refused)
        assert expected is not None
        assert expected in told or "is missing" in told
    else:
        assert expected is None


def test_the_reference_is_the_upper_median_from_five_candles_on_and_the_mean_below():
    def candle(price):
        return (0, price, price, price, price, 1.0)

    four = [candle(100.0)] * 3 + [candle(0.075)]
    assert refusal(four) is not None  # mean 75.01875, least 0.07501875
    assert refusal([candle(100.0)] * 2 + [candle(0.075)] * 2) is None
    assert refusal([candle(100.0)] * 4 + [candle(0.1)]) is None  # exactly the least valid price
    assert refusal([candle(100.0)] * 4 + [candle(0.0999)]) is not None
    assert refusal([candle(100.0)] * 3 + [candle(0.01)] * 2) is not None
    assert refusal([candle(0.01)] * 3 + [candle(100.0)] * 2) is None  # the median is the low price


@pytest.mark.parametrize("broken", [None, "1.5", True, [], 10**400, object(), complex(1)])
def test_what_is_no_number_is_an_invalid_value(broken):
    good = dict(zip(COLUMNS, (0, 1.0, 1.0, 1.0, 1.0, 1.0), strict=True))
    for name in COLUMNS:
        assert f"candle[1] has invalid numeric values: {name}=nan" in refusal([good, good | {name: broken}])
    for name in COLUMNS:
        lacking = {key: value for key, value in good.items() if key != name}
        assert f"candle[1] has invalid numeric values: {name}=nan" in refusal([good, lacking])


def test_rows_mappings_and_objects_are_candles_and_nothing_else_is():
    row = (0, 1.0, 1.0, 1.0, 1.0, np.float64(0.0))
    named = dict(zip(COLUMNS, row, strict=True))
    validate_candles([row, list(row), np.array(row), named, SimpleNamespace(**named)])
    validate_candles([])
    for stranger in (5, None, "candle", (1, 2), object()):
        with pytest.raises(CandleTypeError, match=r"BTCUSDT 1m: candle\[1\]"):
            validate_candles([row, stranger], about="BTCUSDT 1m")


def test_accepted_as_specified():
    odd = [
        (120_000, 1.0, 2.0, 1.0, 5.0, 0.0),  # close above high, volume 0
        (0, 3.0, 2.0, 2.0, 1.0, 0.0),  # out of order, open above high
        (0, 1e9, 1e9, 1.0, 1.0, 0.0),  # the same time again, an anomalously high price
    ]
    validate_candles(odd, price_anomaly_factor=math.inf)
    validate_candles([odd[0], odd[1]])


def test_a_long_frame_is_judged_in_pieces_of_a_thousand():
    def judged(prices):
        column = np.array(prices, dtype=np.float64)
        times = np.arange(column.size, dtype=np.int64) * MINUTE
        check_values(times, [column, column, column, column, np.ones(column.size)], "BTCUSDT 1m")

    judged(np.geomspace(1.0, 1e7, 10_000))  # rose ten-millionfold, a thousandth in each piece at most
    with pytest.raises(CandleValueError, match=r"candle\[2500\] has anomalously low price.*row 2,500"):
        judged([100.0] * 2500 + [0.05] + [100.0] * 2000)
