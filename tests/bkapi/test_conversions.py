"""Percents, shifts, ticks and intervals: the worked examples of spec engine.md 14, and what leads there and back."""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

import bkapi as bk
from bkapi.base.price_text import to_fixed

SIDES = st.sampled_from(["long", "short"])
GOOD: dict[str, Any] = {
    "position": "long",
    "price_open": 100.0,
    "price_take_profit": 102.0,
    "price_stop_loss": 98.0,
    "minute_estimated_time": 60,
}


def test_levels_of_the_constant() -> None:
    levels = bk.Constant
    assert (levels.TP_LEVEL1, levels.TP_LEVEL2, levels.TP_LEVEL3) == (30, 60, 90)
    assert (levels.SL_LEVEL1, levels.SL_LEVEL2) == (40, 80)


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        (bk.percent_diff, (100, 100), 0.0),
        (bk.percent_diff, (0, 5), math.inf),
        (bk.percent_diff, (5, 0), math.inf),
        (bk.percent_diff, (100, 200), 100.0),
        (bk.percent_diff, (200, 100), 100.0),
        (bk.percent_value, (100, 95), -5.000000000000004),
        (bk.invested_cost_to_percent, (50, 200), 25.0),
        (bk.percent_to_close_cost, (25, 200), 50.0),
        (bk.sl_percent_shift_to_price, (-4, 95, 100, "long"), 99.0),
        (bk.sl_percent_shift_to_price, (-4, 105, 100, "short"), 101.0),
        (bk.tp_percent_shift_to_price, (-3, 110, 100, "long"), 107.0),
        (bk.tp_percent_shift_to_price, (-3, 90, 100, "short"), 92.99999999999999),
        (bk.sl_price_to_percent_shift, (105, 90, 100, "long"), -15.0),
        (bk.tp_price_to_percent_shift, (107, 110, 100, "long"), -2.999999999999999),
        (bk.breakeven_stop_price, (99.5,), 99.5),
    ],
)
def test_worked_examples(function: Any, arguments: tuple[Any, ...], expected: float) -> None:
    got = function(*arguments)
    assert got == expected or got == pytest.approx(expected, rel=1e-15)


@given(SIDES, st.floats(1.0, 1e5), st.floats(-19.0, 50.0).filter(lambda shift: abs(shift) > 1e-3))
def test_a_shift_leads_to_a_price_and_back(side: Any, entry: float, shift: float) -> None:
    sign = 1 if side == "long" else -1
    stop, target = entry * (1 - sign * 0.2), entry * (1 + sign * 0.2)
    moved_stop = bk.sl_percent_shift_to_price(shift, stop, entry, side)
    moved_target = bk.tp_percent_shift_to_price(shift, target, entry, side)
    assert bk.sl_price_to_percent_shift(moved_stop, stop, entry, side) == pytest.approx(shift, abs=1e-9)
    assert bk.tp_price_to_percent_shift(moved_target, target, entry, side) == pytest.approx(shift, abs=1e-9)


def test_an_unknown_side_is_refused() -> None:
    with pytest.raises(bk.SignalError, match="got 'up'"):
        bk.sl_percent_shift_to_price(-1, 90, 100, "up")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("price", "tick", "text"),
    [
        (123.456789, 0.01, "123.46"),
        (123.456789, 0.001, "123.457"),
        (123.456789, 1, "123"),
        (123.5, 10, "124"),
        (2.5, 1, "3"),
        (-2.5, 1, "-3"),
        (1.005, 0.01, "1.00"),
        (5, 0.000025, "5.000000"),
        (0.0000005, 1e-7, "0.0000005"),
        (1, 2.5e-7, "1.0000000"),
        (0.25, 0.50, "0.3"),
    ],
)
def test_a_price_gets_the_decimals_of_its_tick(price: float, tick: float, text: str) -> None:
    assert bk.round_ticks(price, tick) == text


def test_a_tiny_tick_has_at_most_a_hundred_decimals() -> None:
    assert len(bk.round_ticks(1, 1e-300).partition(".")[2]) == 100


@pytest.mark.parametrize("tick", [0, -0.1, math.nan, math.inf])
def test_a_tick_is_finite_and_above_zero(tick: float) -> None:
    with pytest.raises(bk.TickSizeError, match="tick_size must be a finite number above 0"):
        bk.round_ticks(100, tick)


def test_ties_go_away_from_zero_and_a_lost_minus_stays() -> None:
    assert [to_fixed(value, 2) for value in (0.125, -0.125, -0.001, -0.0, math.inf)] == [
        "0.13",
        "-0.13",
        "-0.00",
        "0.00",
        "inf",
    ]


@pytest.mark.parametrize(
    ("price", "decimals"),
    [(0, 2), (64_000, 2), (1, 2), (0.5, 4), (-0.1, 4), (0.05, 6), (0.001, 8), (1e-9, 8)],
)
def test_decimals_for_showing_a_price(price: float, decimals: int) -> None:
    assert bk.price_scale(price) == decimals


def test_moments_align_to_intervals_from_the_epoch() -> None:
    moment = datetime(2024, 3, 5, 13, 47, 12, tzinfo=UTC)
    starts = {"1m": (13, 47), "15m": (13, 45), "4h": (12, 0), "8h": (8, 0), "1d": (0, 0)}
    for interval, (hour, minute) in starts.items():
        aligned = datetime(2024, 3, 5, hour, minute, tzinfo=UTC)
        assert bk.align_to_interval(moment, interval) == aligned
        assert bk.interval_start(int(moment.timestamp() * 1000), interval) == aligned.timestamp() * 1000
    assert bk.interval_step_ms("3m") == 180_000
    with pytest.raises(bk.UnknownIntervalError, match="unknown interval='7m'"):
        bk.align_to_interval(moment, "7m")


def test_a_good_signal_is_valid() -> None:
    assert bk.validate_signal(GOOD, 100.0) is True
    assert (
        bk.validate_signal({**GOOD, "price_open": 99.0}, 103.0) is True
    )  # rests: the target does not matter yet


@pytest.mark.parametrize(
    ("change", "price", "told"),
    [
        ({"price_open": None}, 100.0, "price_open must be a finite number above 0"),
        ({"minute_estimated_time": None}, 100.0, "minute_estimated_time None must be above 0"),
        ({"minute_estimated_time": 1.5}, 100.0, "whole number of minutes"),
        ({"position": "up"}, 100.0, "position must be 'long' or 'short', got 'up'"),
        ({"position": ["long"]}, 100.0, "position must be 'long' or 'short'"),
        ({"price_take_profit": 100.1}, 100.0, "closer than 0.5 %"),
        ({"price_take_profit": "102"}, 100.0, "price_take_profit must be a finite number above 0, got '102'"),
        ({}, 97.0, "it would close at once"),
        ({}, math.nan, "current_price must be a finite number above 0"),
        ({"price_open": 99.0}, 0.0, "current_price must be a finite number above 0"),
        ({"cost": 0}, 100.0, "cost must be a finite number above 0"),
    ],
)
def test_a_bad_signal_is_not_and_the_log_says_why(
    change: dict[str, Any], price: float, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert bk.validate_signal({**GOOD, **change}, price) is False
    assert told in caplog.text


def test_what_is_no_signal_at_all_is_invalid() -> None:
    assert bk.validate_signal(None, 100.0) is False


def test_the_configuration_in_force_decides() -> None:
    bk.set_config(CC_ENABLE_LONG_SIGNAL=False)
    try:
        assert not bk.validate_signal(GOOD, 100.0)
    finally:
        bk.reset()
    assert bk.validate_signal(GOOD, 100.0)
