"""What is wrong with a signal is always said."""

from __future__ import annotations

import pytest

from bkapi.runs.validation import violation_message
from bkcore.machine.codes import Violation
from bkcore.machine.settings import EngineSettings


@pytest.mark.parametrize("violation", Violation)
def test_every_violation_has_a_sentence(violation: Violation) -> None:
    signal = {"position": "long", "price_open": 1.0, "price_take_profit": 1.0, "price_stop_loss": 1.0}
    message = violation_message(violation, signal, "BTCUSDT", price=1.0, settings=EngineSettings())
    title, sentence = message.split("\n")
    assert title.startswith("Invalid signal for long position")
    assert sentence
