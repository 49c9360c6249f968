"""Waiting for schemas and candles, options of a script, values by path."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import bkapi as bk
from bkapi.schemas import readiness


def test_ready_is_when_something_of_each_kind_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    bk.reset()
    monkeypatch.setattr(readiness, "_PATIENCE_SECONDS", 0.0)
    assert bk.wait_for_ready() is False
    bk.add_exchange_schema(exchange_name="e", get_candles=lambda *_: [])
    bk.add_strategy_schema(strategy_name="s")
    assert bk.wait_for_ready(backtest=False) is True
    assert bk.wait_for_ready() is False
    bk.reset()


def test_the_next_candle_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([59_000, 59_500, 59_500, 60_001, 60_001])
    monkeypatch.setattr(readiness, "now_ms", lambda: next(clock))
    monkeypatch.setattr(readiness.time, "sleep", lambda seconds: None)
    assert bk.wait_for_candle("1m") == 60_000
    with pytest.raises(bk.UnknownIntervalError):
        bk.wait_for_candle("12h")


def test_options_of_a_script() -> None:
    told = bk.parse_args(
        {"symbol": "BTCUSDT", "frame": "may"}, ["--symbol", "ETHUSDT", "--live", "--more", "5"]
    )
    assert told == {
        "symbol": "ETHUSDT",
        "strategy": None,
        "exchange": None,
        "frame": "may",
        "backtest": False,
        "paper": False,
        "live": True,
    }


def test_values_by_path() -> None:
    row: Any = {"pnl": SimpleNamespace(cost=3), "levels": [1, {"price": 2}]}
    assert bk.get(row, "pnl.cost") == 3
    assert bk.get(row, ["levels", 1, "price"]) == 2
    assert bk.get(row, "pnl.missing.deeper") is None
    assert bk.set(row, "levels.1.price", 7)
    assert bk.set(row, "pnl.cost", 9)
    assert (row["levels"][1]["price"], row["pnl"].cost) == (7, 9)
    assert not bk.set(row, "nowhere.price", 7)
    assert not bk.set((1, 2), "0", 7)


def test_an_announced_entry_point_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_PATIENCE_SECONDS", 0.0)
    assert not bk.wait_for_ready()
    bk.emitters.entry_subject.emit("main.py")
    assert bk.wait_for_ready()
    bk.reset()
    assert not bk.wait_for_ready()


def test_a_flag_with_a_value_is_one_clean_error() -> None:
    with pytest.raises(bk.CommandLineError, match="--live"):
        bk.parse_args(arguments=["--live=yes"])
