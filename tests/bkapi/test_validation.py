"""What is wrong with a signal is always said."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bkapi.runs.validation import as_number, violation_message
from bkcore.machine.codes import Violation
from bkcore.machine.settings import EngineSettings


@pytest.mark.parametrize("violation", Violation)
def test_every_violation_has_a_sentence(violation: Violation) -> None:
    signal = {"position": "long", "price_open": 1.0, "price_take_profit": 1.0, "price_stop_loss": 1.0}
    message = violation_message(violation, signal, "BTCUSDT", price=1.0, settings=EngineSettings())
    title, sentence = message.split("\n")
    assert title.startswith("Invalid signal for long position")
    assert sentence


@pytest.mark.parametrize(
    ("violation", "signal", "sentence"),
    [
        (
            Violation.POSITION,
            {"position": "BUY"},
            "position must be 'long' or 'short', got 'BUY': did you mean 'long'?",
        ),
        (Violation.POSITION, {"position": None}, "position must be 'long' or 'short', got None"),
        (Violation.POSITION, {"position": 10**5000}, "position must be 'long' or 'short', got <int>"),
        (
            Violation.TAKE_PROFIT_TOO_CLOSE,
            {"position": "long", "take_profit_percent": 0.04},
            "take_profit_percent 0.04 is closer than 0.5 %: did you mean 4?",
        ),
        (
            Violation.STOP_LOSS_TOO_CLOSE,
            {"position": "long", "stop_loss_percent": 0.004},
            "stop_loss_percent 0.004 is closer than 0.5 %",
        ),
        (
            Violation.STOP_LOSS_TOO_FAR,
            {"position": "long", "stop_loss_percent": 25.0},
            "stop_loss_percent 25.0 is farther than 20.0 %",
        ),
        (
            Violation.TAKE_PROFIT,
            {"position": "short", "take_profit_percent": 400},
            "take_profit_percent 400 puts price_take_profit at or below 0",
        ),
        (
            Violation.STOP_LOSS_SIDE,
            {"position": "short", "stop_loss_percent": -1.0},
            "stop_loss_percent -1.0 must be above 0: it is a distance from the entry",
        ),
        (
            Violation.STOP_LOSS_SIDE,
            {"position": "short", "price_stop_loss": 9.0, "price_open": 10.0},
            "price_stop_loss 9.0 must be above price_open 10.0",
        ),
        (
            Violation.WOULD_CLOSE_AT_TAKE_PROFIT,
            {"position": "long", "take_profit_percent": 2.0},
            "the market (1.0) is at or beyond take_profit_percent 2.0: it would close at once",
        ),
        (Violation.SYMBOL, {"position": "long", "symbol": "ETH"}, "Symbol mismatch: the signal is for 'ETH'"),
    ],
)
def test_a_sentence_names_what_the_user_wrote(
    violation: Violation, signal: dict[str, Any], sentence: str
) -> None:
    message = violation_message(violation, signal, "BTCUSDT", price=1.0, settings=EngineSettings())
    assert message.splitlines()[1:] == [sentence]


@pytest.mark.parametrize("value", [10**400, "5", None, True, [], {}, float("nan")])
def test_what_is_no_number_is_nan(value: object) -> None:
    assert math.isnan(as_number(value))
