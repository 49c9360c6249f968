"""The process keeps the newest results only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

import bkapi as bk
from bkapi.runs.ledger import KEPT_RUNS, finished
from bkcore.synthetic import generate

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    bk.reset()
    candles = generate(symbol="BTCUSDT", start=START, minutes=300, seed=5)
    bk.add_exchange_schema(exchange_name="memory", candles={"BTCUSDT": candles})
    bk.add_frame_schema(
        frame_name="hours", start_date=START + timedelta(hours=1), end_date=START + timedelta(hours=4)
    )
    yield
    bk.reset()


def context(strategy: str) -> dict[str, str]:
    return {"strategy_name": strategy, "exchange_name": "memory", "frame_name": "hours"}


def test_the_newest_runs_are_kept() -> None:
    names = [f"s{k}" for k in range(KEPT_RUNS + 5)]
    for name in names:
        bk.add_strategy_schema(strategy_name=name, get_signal=lambda *_: None)
        held = bk.Backtest.finish("BTCUSDT", context(name))
    assert len(finished) == KEPT_RUNS
    assert bk.Backtest.last_run("BTCUSDT", context(names[-1])) is held
    assert bk.Backtest.last_run("BTCUSDT", context(names[5])).trades.is_empty()
    with pytest.raises(
        bk.FatalError, match=f"plays it, .* again, .* the newest {KEPT_RUNS} contexts are kept"
    ):
        bk.Backtest.last_run("BTCUSDT", context(names[4]))
    with pytest.raises(bk.NotSubscribedError, match=f"run again: the newest {KEPT_RUNS} contexts"):
        bk.Backtest.get_report("BTCUSDT", context(names[4]))
    again = bk.Backtest.finish("BTCUSDT", context(names[4]))
    assert bk.Backtest.last_run("BTCUSDT", context(names[4])) is again


def test_a_kept_run_takes_the_room_that_it_needs() -> None:
    def often(candles: pl.DataFrame) -> pl.DataFrame:
        return candles.select(
            timestamp="closed_at",
            position=pl.lit("long"),
            take_profit_percent=pl.lit(1.0),
            stop_loss_percent=pl.lit(1.0),
        )

    bk.add_strategy_schema(strategy_name="often", interval="1m", signals=often)
    run = bk.Backtest.finish("BTCUSDT", context("often"))
    tables = (run.run.trades, run.run.events, run.run.entries, run.run.revisions)
    whole = [table if table.base is None else table.base for table in tables]
    assert run.trades.height > 0
    assert sum(table.nbytes for table in whole) < 80_000
