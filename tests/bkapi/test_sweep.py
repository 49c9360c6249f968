"""A sweep is many backtests: the same trades, the same metrics, whatever the number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

import bkapi as bk
from bkapi.errors import UnknownNameError
from bkapi.sweeps.sweep import SweepError
from bkcore.synthetic import generate

CONTEXT = {"strategy_name": "turns", "exchange_name": "memory", "frame_name": "days"}
START = datetime(2024, 1, 1, tzinfo=UTC)
AXES: dict[str, Any] = {
    "take_profit_percent": [0.6, 1.0, 1.7],
    "stop_loss_percent": [0.7, 1.3],
    "lifetime_minutes": [30, 240],
}


def turns(candles: pl.DataFrame) -> pl.DataFrame:
    """Every half hour: against the last half hour."""
    return (
        candles.select(timestamp="closed_at", change=pl.col("close") - pl.col("close").shift(30))
        .filter((pl.col("timestamp") % 1_800_000 == 0) & pl.col("change").is_not_null())
        .select(
            "timestamp",
            position=pl.when(pl.col("change") > 0).then(pl.lit("short")).otherwise(pl.lit("long")),
            take_profit_percent=pl.lit(1.0),
            stop_loss_percent=pl.lit(1.0),
            minute_estimated_time=pl.lit(120),
        )
    )


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """Six synthetic days, one vectorized strategy."""
    bk.reset()
    candles = generate(symbol="BTCUSDT", start=START, minutes=6 * 1440, seed=11)
    bk.add_exchange_schema(exchange_name="memory", candles={"BTCUSDT": candles})
    bk.add_frame_schema(
        frame_name="days",
        start_date=datetime(2024, 1, 1, 1, tzinfo=UTC),
        end_date=datetime(2024, 1, 6, 20, tzinfo=UTC),
    )
    bk.add_strategy_schema(strategy_name="turns", interval="30m", signals=turns)
    yield
    bk.reset()


def test_each_combination_is_the_backtest_with_that_bracket() -> None:
    swept = bk.sweep_brackets("BTCUSDT", CONTEXT, **AXES).frame
    assert len(swept) == 12
    for row in swept.iter_rows(named=True):
        bk.override_strategy_schema(
            strategy_name="turns",
            signals=lambda candles, row=row: turns(candles).with_columns(
                take_profit_percent=pl.lit(row["take_profit_percent"]),
                stop_loss_percent=pl.lit(row["stop_loss_percent"]),
                minute_estimated_time=pl.lit(row["lifetime_minutes"]),
            ),
        )
        for _ in bk.Backtest.run("BTCUSDT", CONTEXT):
            pass
        alone = bk.Backtest.last_run("BTCUSDT", CONTEXT).statistics()
        assert row["total_trades"] == alone.total_signals > 20
        for name in (
            "total_pnl",
            "sharpe_ratio",
            "win_rate",
            "avg_peak_pnl",
            "avg_fall_pnl",
            "avg_duration",
            "trend",
        ):
            assert row[name] == getattr(alone, name), name


def test_threads_change_nothing() -> None:
    one, many = (bk.sweep_brackets("BTCUSDT", CONTEXT, threads=threads, **AXES).frame for threads in (1, 3))
    assert one.equals(many)


def test_progress_counts_up_to_the_total() -> None:
    told: list[tuple[int, int]] = []
    bk.sweep_brackets("BTCUSDT", CONTEXT, progress=lambda done, total: told.append((done, total)), **AXES)
    assert told[-1] == (12, 12)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_the_best_come_first_and_nulls_last() -> None:
    result = bk.sweep_brackets("BTCUSDT", CONTEXT, **AXES)
    best = result.top(12, by="total_pnl")["total_pnl"].to_list()
    assert best == sorted(best, reverse=True)
    gentle = result.top(12, by="max_drawdown")["max_drawdown"].to_list()
    assert gentle == sorted(gentle)
    assert result.heatmap().shape == (2, 4)
    assert "12 combinations of 'turns' on BTCUSDT" in repr(result)
    assert "<table" in result._repr_html_()
    with pytest.raises(UnknownNameError, match="sharp_ratio"):
        result.top(by="sharp_ratio")
    with pytest.raises(UnknownNameError, match="did you mean 'win_rate'"):
        result.heatmap(metric="winrate")
    with pytest.raises(UnknownNameError, match="take_profit") as caught:
        result.heatmap(x="take_profit")
    assert "_schema" not in str(caught.value)


@pytest.mark.parametrize(
    ("axis", "values", "words"),
    [
        ("take_profit_percent", [], "take_profit_percent is empty"),
        ("take_profit_percent", [0.1], "take_profit_percent=0.1 is not between 0.5 and inf"),
        ("stop_loss_percent", [21], "stop_loss_percent=21 is not between 0.5 and 20"),
        ("stop_loss_percent", [float("nan")], "stop_loss_percent=nan"),
        ("lifetime_minutes", [0], "lifetime_minutes=0 is not a whole number between 1 and 1440"),
        ("lifetime_minutes", [1.5], "lifetime_minutes=1.5 is not a whole number"),
        ("lifetime_minutes", ["long"], r"lifetime_minutes=\['long'\] is no list of numbers"),
        ("lifetime_minutes", [None], r"lifetime_minutes=\[None\] is no list of numbers"),
        ("lifetime_minutes", 60, "lifetime_minutes=60 is no list of numbers"),
    ],
)
def test_an_impossible_axis_is_refused(axis: str, values: list[float], words: str) -> None:
    with pytest.raises(SweepError, match=words):
        bk.sweep_brackets("BTCUSDT", CONTEXT, **{**AXES, axis: values})


def test_more_brackets_than_memory_holds_and_no_threads_are_refused() -> None:
    fine = [1 + step / 1000 for step in range(3000)]
    with pytest.raises(SweepError, match="3,000 x 3,000 x 2 values make 18,000,000 brackets"):
        bk.sweep_brackets(
            "BTCUSDT",
            CONTEXT,
            take_profit_percent=fine,
            stop_loss_percent=fine,
            lifetime_minutes=[60, 120],
        )
    with pytest.raises(SweepError, match="threads=0"):
        bk.sweep_brackets("BTCUSDT", CONTEXT, threads=0, **AXES)


def test_levels_given_as_prices_cannot_be_swept() -> None:
    bk.add_strategy_schema(
        strategy_name="prices",
        signals=lambda candles: candles.head(1).select(
            timestamp="closed_at",
            position=pl.lit("long"),
            price_take_profit=pl.lit(2.0),
            price_stop_loss=pl.lit(1.0),
        ),
    )
    with pytest.raises(SweepError, match="give their levels as prices"):
        bk.sweep_brackets("BTCUSDT", {**CONTEXT, "strategy_name": "prices"}, **AXES)
    bk.add_strategy_schema(strategy_name="asked", get_signal=lambda *_: None)
    with pytest.raises(SweepError, match="has no signals function"):
        bk.sweep_brackets("BTCUSDT", {**CONTEXT, "strategy_name": "asked"}, **AXES)
