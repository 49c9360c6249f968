"""How values are written in reports (spec reports.md 3)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from bkapi.reporting.cells import CODES, iso, number_text, plain_note, price_text, round_half_up, written


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (120, "120"),
        (29.5, "29.5"),
        (1 / 3, "0.3333333333333333"),
        (1e-6, "0.000001"),
        (1.2345678901234567e-05, "0.000012345678901234568"),
        (1e-7, "1e-7"),
        (-1.5e-9, "-1.5e-9"),
        (1.2345678901234568e20, "123456789012345680000"),
        (1e21, "1e+21"),
    ],
)
def test_numbers_are_as_short_as_they_can_be(value: float, text: str) -> None:
    assert number_text(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back(value: float) -> None:
    assert float(number_text(value)) == value


@pytest.mark.parametrize(
    ("note", "text"),
    [
        (None, "N/A"),
        ("", ""),
        ("a `b` ```c\nd``` e", "a b e"),
        ("> quoted\n\n- one\n2. two", "quoted • one • two"),
        ("snake_case_name _yes_ __very__", "snake_case_name yes very"),
        ("![alt](x.png) [text](http://y)", "alt text"),
        ("a | b", "a | b"),
        ("<b>x</b>\n***\ny", "x y"),
    ],
)
def test_a_note_is_one_line_of_plain_text(note: str | None, text: str) -> None:
    assert plain_note(note) == text


@given(st.text(alphabet="ab_*`#->[]()! \n\t1.<|~é", max_size=60))
def test_any_note_becomes_one_line(note: str) -> None:
    text = plain_note(note)
    assert text == text.strip()
    assert "\n" not in text
    assert "  " not in text


def test_halves_go_up_and_times_have_milliseconds() -> None:
    assert [round_half_up(value) for value in (0.5, 1.5, -0.5, 29.499999)] == [1, 2, 0, 29]
    assert iso(1_704_067_200_123) == "2024-01-01T00:00:00.123Z"
    assert price_text(0.0) == "0.00 USD"
    assert price_text(0.05) == "0.050000 USD"


@pytest.mark.parametrize("code", [code for code in CODES if code not in ("N", "MODE")])
@pytest.mark.parametrize("value", [None, math.nan])
def test_what_is_not_there_is_not_available(code: str, value: float | None) -> None:
    for suffix in ("", "?", "0"):
        assert written(code + suffix)(value) == "N/A"
    assert written("PX0")(0) == "N/A"
    assert written("PX?")(0) == "0.00 USD"
