"""Walking forward: what is trained on never touches what is tested on, and only the test counts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count, pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

import bkapi as bk
from bkapi.sweeps.walk_forward import windows_of
from tests.bkapi.planted_truth import CONTEXT, market, space, swept
from tests.shares import share

SMALL = space(takes=3, stops=3)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    bk.reset()


def walked(*, edge: float, **options: object) -> bk.WalkForwardResult:
    swept(market(4, edge=edge), bk.Space.grid(hour=[1]))  # registers market, frame and strategy
    walk = bk.WalkForward(
        CONTEXT,
        SMALL,
        symbol="BTCUSDT",
        **{"train": "40d", "test": "20d", **options},  # type: ignore[arg-type]
    )
    return walk.run()


spans = st.integers(0, 12)


@given(st.integers(10, 200), st.integers(1, 60), st.integers(1, 30), spans, spans, st.booleans())
def test_training_ends_before_its_test_and_tests_never_overlap(
    ticks: int, train: int, test: int, purge: int, embargo: int, rolls: bool
) -> None:
    found = windows_of(
        *(0, ticks - 1, 1),
        train=train,
        test=test,
        purge=purge,
        embargo=embargo,
        kind="rolling" if rolls else "anchored",
    )
    share("walks of several windows", len(found) > 1, least=0.05)
    for window in found:
        assert window.test_start - window.train_end == purge + embargo + 1
        assert 0 <= window.train_start <= window.train_end
        assert window.test_start <= window.test_end < ticks
        assert window.train_start == (window.train_end + 1 + purge - train if rolls else 0)
    for one, other in pairwise(found):
        assert other.test_start - one.test_end == embargo + 1
    if purge < train and embargo < test and ticks > train + embargo:
        assert found


def test_a_planted_edge_survives_and_noise_does_not() -> None:
    edge, noise = walked(edge=0.8), walked(edge=0.0)
    assert set(edge.windows["hour"]) <= {11, 12, 13}  # most of the edge lies after each of them
    assert edge.degradation_percent is not None
    assert edge.degradation_percent < 50
    assert noise.degradation_percent is not None
    assert noise.degradation_percent > 60
    assert noise.in_sample_avg_pnl > 0
    assert edge.trials == 5 * SMALL.size
    assert "degradation" in repr(edge)


@pytest.mark.parametrize("kind", ["rolling", "anchored"])
def test_each_winner_is_the_best_of_its_training_and_is_run_in_its_test(kind: str) -> None:
    found = walked(edge=0.3, kind=kind, purge="1d", embargo=timedelta(days=2), by="avg_pnl")
    for row in found.windows.iter_rows(named=True):
        trained = found.sweep.where(frame_name=f"days train {row['window']}").top(1, by="avg_pnl")
        assert trained["combination"][0] == row["combination"]
        run = found.sweep._sweep.play_in(row["combination"], "BTCUSDT", f"days test {row['window']}")  # type: ignore[union-attr]
        mine = found.trades.filter(pl.col("window") == row["window"])
        assert mine["pnl_percent"].to_list() == run.trades["pnl_percent"].to_list()
        start, end = (round(row[name].timestamp() * 1000) for name in ("test_start", "test_end"))
        assert mine["pending_at"].min() >= start  # type: ignore[operator]
        assert mine["close_timestamp"].max() <= end + 60_000  # type: ignore[operator]
    assert found.statistics().total_signals == len(found.trades)
    assert found.equity["equity"][-1] == pytest.approx((1 + found.trades["pnl_percent"] / 100).product())


NAMES = count()
START_MS = 1_704_067_200_000
#: Interval of the candles, interval of the frame, candles between two signals.
BASES = {"1m": ("1m", 5), "1m in 5m": ("5m", 10), "1h": ("1h", 3), "1d": ("1d", 1)}


@settings(max_examples=16, deadline=None)
@given(
    base=st.sampled_from(sorted(BASES)),
    kind=st.sampled_from(["rolling", "anchored"]),
    purge=st.integers(0, 2),
    embargo=st.integers(0, 2),
    seed=st.integers(0, 2**16),
)
def test_candles_from_a_boundary_on_change_no_figure_of_the_training_before(
    base: str, kind: Any, purge: int, embargo: int, seed: int
) -> None:
    candle = base.partition(" ")[0]
    interval, every = BASES[base]
    step = {"1m": 1, "5m": 5, "1h": 60, "1d": 1440}
    minutes, ticks = step[candle], step[interval]
    bk.set_config(CC_SCHEDULE_AWAIT_MINUTES=1440, CC_MAX_SIGNAL_LIFETIME_MINUTES=float("inf"))
    dice = np.random.default_rng(seed)
    size = 60 * (ticks // minutes)
    prices = 100 * np.exp(np.cumsum(dice.normal(0, 0.004, size)))
    train, test = ticks * 20, ticks * 12

    def walk(closes: Any) -> tuple[bk.WalkForward, pl.DataFrame]:
        name = f"leak {next(NAMES)}"
        times = START_MS + 60_000 * minutes * np.arange(size)
        columns = {
            "timestamp": times,
            **dict.fromkeys(("open", "high", "low", "close"), closes),
            "volume": closes,
        }
        candles = bk.CandleFrame.from_any(pl.DataFrame(columns), symbol="X", interval=candle)
        bk.add_exchange_schema(exchange_name=name, candles={"X": candles}, base_interval=candle)
        first, last = int(times[10]), int(times[-3])
        bk.add_frame_schema(frame_name=name, start_date=first, end_date=last, interval=interval)

        def signals(frame: pl.DataFrame) -> pl.DataFrame:
            return frame.filter((pl.col("closed_at") - START_MS) % (every * minutes * 60_000) == 0).select(
                timestamp="closed_at",
                position=pl.lit("long"),
                take_profit_percent=pl.lit(1.0),
                stop_loss_percent=pl.lit(1.0),
                minute_estimated_time=pl.lit(float("inf")),
            )

        asked = "1m" if candle == "1m" else "1h"
        bk.add_strategy_schema(strategy_name=name, interval=asked, signals=signals)
        found = bk.WalkForward(
            {"strategy_name": name, "exchange_name": name, "frame_name": name},
            bk.Space.grid(take_profit_percent=[0.6, 2.0], stop_loss_percent=[0.6, 15.0]),
            symbol="X",
            train=timedelta(minutes=train),
            test=timedelta(minutes=test),
            kind=kind,
            purge=timedelta(minutes=purge * ticks),
            embargo=timedelta(minutes=embargo * ticks),
            by="avg_pnl",
            threads=1,
        )
        return found, found.run().sweep.frame

    walked, told = walk(prices)
    boundary = walked.windows[0].test_start - embargo * ticks * 60_000
    changed = prices.copy()
    changed[(boundary - START_MS) // (60_000 * minutes) :] *= 1.5
    _, other = walk(changed)
    if "frame_name" in told.columns:
        names = told["frame_name"].to_list(), other["frame_name"].to_list()
        told, other = (
            frame.filter(pl.col("frame_name") == named[0]).drop("frame_name")
            for frame, named in zip((told, other), names, strict=True)
        )
    assert told["total_trades"].sum() > 0
    assert told.equals(other)
    bk.reset()


def test_it_can_be_repeated_and_refuses_what_does_not_fit() -> None:
    assert walked(edge=0.0).windows.equals(walked(edge=0.0).windows)
    for options, told in (
        ({"train": "400d"}, "no window of train='400d'"),
        ({"train": "soon"}, "train='soon' is no multiple"),
        ({"kind": "sideways"}, "kind='sideways' is no way to walk"),
        ({"where": [pl.col("total_trades") > 10_000]}, "no training part has a combination"),
    ):
        with pytest.raises(bk.WalkForwardError, match=told):
            walked(edge=0.0, **options)
