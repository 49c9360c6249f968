"""Laws of every statistic: what order, scale, time and mirrors do to it, and what too small a sample carries.

``LAWS`` has a line for every number of a record; a test sees that none is missing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import polars as pl
import pytest
from hypothesis import given, strategies as st

from bkapi.reporting.documents.layouts import summary
from bkapi.statistics.measured import (
    backtest_statistics,
    heat_statistics,
    live_statistics,
    performance_statistics,
    risk_statistics,
    schedule_statistics,
)
from bkapi.statistics.records import HeatStatistics, HeatSymbolStatistics
from tests.shares import share

START = 1_704_067_200_000
HOUR = 3_600_000
MINUTES = 60_000


class Law(NamedTuple):
    """What a statistic does.

    result    its degree in the results: 1 doubles with them, 0 stays, None follows no power (it compounds)
    time      its degree in time spans, None follows no power
    streaks   whether the order of arrival matters
    least     how many trades it needs
    """

    result: int | None
    time: int | None = 0
    streaks: bool = False
    least: int = 1


LAWS: dict[str, Law] = {
    "win_count": Law(0, least=0),
    "loss_count": Law(0, least=0),
    "total_trades": Law(0, least=0),
    "win_rate": Law(0),
    "avg_pnl": Law(1),
    "total_pnl": Law(1),
    "median_pnl": Law(1),
    "avg_win": Law(1),
    "avg_loss": Law(1),
    "std_dev": Law(1, least=10),
    "expectancy": Law(1, least=10),
    "sharpe_ratio": Law(0, least=10),
    "sortino_ratio": Law(0, least=10),
    "certainty_ratio": Law(0, least=10),
    "profit_factor": Law(0),
    "annualized_sharpe_ratio": Law(0, time=None, least=10),  # a root of a power
    "trades_per_year": Law(0, time=-1, least=10),
    "expected_yearly_returns": Law(None, time=None, least=10),
    "calmar_ratio": Law(None, time=None, least=10),
    "recovery_factor": Law(None, least=10),
    "max_drawdown": Law(None, least=1),
    "avg_consecutive_win_pnl": Law(1, streaks=True),
    "avg_consecutive_loss_pnl": Law(1, streaks=True),
    "max_win_streak": Law(0, streaks=True, least=0),
    "max_loss_streak": Law(0, streaks=True, least=0),
    "avg_duration": Law(0, time=1),
    "avg_win_duration": Law(0, time=1),
    "avg_loss_duration": Law(0, time=1),
    "avg_peak_pnl": Law(0),
    "avg_fall_pnl": Law(0),
    "peak_profit_pnl": Law(0),
    "max_drawdown_pnl": Law(0),
    "median_step_size": Law(0, least=10),
    "buyer_pressure": Law(0, least=10),
    "seller_pressure": Law(0, least=10),
    "buyer_strength": Law(0, least=10),
    "seller_strength": Law(0, least=10),
    "pressure_imbalance": Law(0, least=10),
    "trend": Law(0, time=None, least=10),  # compares a slope per day with steps
    "trend_strength": Law(0, time=-1, least=10),
    "trend_confidence": Law(0, least=10),
}
#: Results of a quarter of a percent, so that doubling and negating them is exact.
results = st.integers(-40, 40).map(lambda quarters: quarters / 4)
extremes = st.one_of(st.none(), st.integers(-40, 40).map(lambda quarters: quarters / 4))


class Row(NamedTuple):
    pnl: float
    peak: float | None
    fall: float | None
    hours: int
    price: float


rows = st.builds(Row, results, extremes, extremes, st.integers(1, 48), st.floats(50.0, 150.0))
samples = st.lists(rows, min_size=0, max_size=30)


def frame_of(sample: Sequence[Row], *, spread: int = 30, scale: float = 1.0, slower: int = 1) -> pl.DataFrame:
    """Trades that close one after the other, every ``spread`` hours, in order of arrival."""
    closes = [START + slower * (number + 1) * spread * HOUR for number in range(len(sample))]
    return pl.DataFrame(
        {
            "symbol": ["AAA"] * len(sample),
            "pnl_percent": [row.pnl * scale for row in sample],
            "peak_percent": [row.peak for row in sample],
            "fall_percent": [row.fall for row in sample],
            "pending_at": [
                close - slower * row.hours * HOUR for close, row in zip(closes, sample, strict=True)
            ],
            "close_timestamp": closes,
            "close_price": [row.price for row in sample],
        },
        schema={
            "symbol": pl.String,
            **dict.fromkeys(("pnl_percent", "peak_percent", "fall_percent"), pl.Float64),
            **dict.fromkeys(("pending_at", "close_timestamp"), pl.Int64),
            "close_price": pl.Float64,
        },
    )


def numbers_of(frame: pl.DataFrame) -> dict[str, Any]:
    """Every number of the symbol record of a frame."""
    if not frame.height:
        return {}
    (symbol,) = heat_statistics(frame, row_limit=None).symbols
    return {name: getattr(symbol, name) for name in LAWS}


def assert_close(found: Any, expected: Any, name: str) -> None:
    if isinstance(expected, float) and isinstance(found, float | int):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9), name
    else:
        assert found == expected, name


def test_every_statistic_has_a_law() -> None:
    assert {*HeatSymbolStatistics.field_names} - {"symbol"} == {*LAWS}
    portfolio = {name.removeprefix("portfolio_") for name in HeatStatistics.field_names}
    assert portfolio - {"symbols", "total_symbols"} <= {*LAWS}


@given(samples, st.randoms())
def test_the_order_of_arrival_matters_to_streaks_only(sample: list[Row], random: Any) -> None:
    frame = frame_of(sample)
    order = [*range(len(sample))]
    random.shuffle(order)
    before, after = numbers_of(frame), numbers_of(frame[order])
    for name, value in before.items():
        if not LAWS[name].streaks:
            assert_close(after[name], value, name)


@given(samples, st.sampled_from([0.5, 2.0, 4.0]))
def test_numbers_follow_the_size_of_the_results(sample: list[Row], factor: float) -> None:
    before, after = numbers_of(frame_of(sample)), numbers_of(frame_of(sample, scale=factor))
    for name, value in before.items():
        degree = LAWS[name].result
        if degree is not None:
            assert_close(after[name], value * factor if degree and value is not None else value, name)


@given(samples, st.sampled_from([2, 3]))
def test_numbers_follow_the_length_of_time(sample: list[Row], factor: int) -> None:
    before, after = numbers_of(frame_of(sample)), numbers_of(frame_of(sample, slower=factor))
    for name, value in before.items():
        degree = LAWS[name].time
        if degree == 0:
            assert_close(after[name], value, name)
        elif degree is not None:
            is_known = value is not None and after[name] is not None  # a short span has no rate
            share(f"samples with {name}", is_known, least=0.02)
            if is_known:
                assert_close(after[name], value * float(factor) ** degree, name)


@given(samples)
def test_a_mirror_swaps_wins_and_losses(sample: list[Row]) -> None:
    before, after = numbers_of(frame_of(sample)), numbers_of(frame_of(sample, scale=-1.0))
    if not before:
        return
    for one, other, sign in (
        ("win_count", "loss_count", 1),
        ("avg_win", "avg_loss", -1),
        ("max_win_streak", "max_loss_streak", 1),
        ("avg_consecutive_win_pnl", "avg_consecutive_loss_pnl", -1),
        ("avg_win_duration", "avg_loss_duration", 1),
        ("total_pnl", "total_pnl", -1),
        ("avg_pnl", "avg_pnl", -1),
        ("median_pnl", "median_pnl", -1),
        ("std_dev", "std_dev", 1),
        ("sharpe_ratio", "sharpe_ratio", -1),
        ("expectancy", "expectancy", -1),
    ):
        value = before[other]
        assert_close(after[one], value if value is None else sign * value, one)
    if before["profit_factor"] is not None:
        assert_close(after["profit_factor"], 1 / before["profit_factor"], "profit_factor")
    if before["win_rate"] is not None:
        assert_close(after["win_rate"], 100 - before["win_rate"], "win_rate")


@given(samples)
def test_small_samples_carry_no_ratios(sample: list[Row]) -> None:
    for count in (0, 1, 2, 9):
        found = numbers_of(frame_of(sample[:count]))
        for name, value in found.items():
            if min(count, len(sample)) < LAWS[name].least:
                assert value is None, name


@given(samples)
def test_means_lie_between_extremes_and_shares_within_one(sample: list[Row]) -> None:
    found = numbers_of(frame_of(sample))
    if not found:
        return
    pnl = [row.pnl for row in sample]
    for name in ("avg_pnl", "median_pnl"):
        assert min(pnl) - 1e-9 <= found[name] <= max(pnl) + 1e-9
    assert found["max_drawdown"] is None or 0 <= found["max_drawdown"] <= 100
    for name in (
        "buyer_pressure",
        "seller_pressure",
        "buyer_strength",
        "seller_strength",
        "trend_confidence",
    ):
        assert found[name] is None or 0 <= found[name] <= 1
    for one, other in (("buyer_pressure", "seller_pressure"), ("buyer_strength", "seller_strength")):
        assert found[one] is None or found[one] + found[other] == pytest.approx(1)
    assert found["win_count"] + found["loss_count"] <= found["total_trades"] == len(sample)
    for name in ("calmar_ratio", "recovery_factor"):
        assert found[name] is None or -1000 <= found[name] <= 1000
    for value in found.values():
        assert value is None or isinstance(value, str) or math.isfinite(value)


@given(samples)
def test_backtest_live_and_symbol_say_the_same_of_the_same_trades(sample: list[Row]) -> None:
    frame = frame_of(sample)
    backtest = backtest_statistics(frame, row_limit=None)
    live = live_statistics(frame.with_columns(action=pl.lit("closed")), row_limit=None)
    symbol = numbers_of(frame)
    decided = backtest.win_count + backtest.loss_count
    for name in LAWS:
        if hasattr(backtest, name):
            assert_close(getattr(live, name), getattr(backtest, name), name)
            differs = not decided or (name == "certainty_ratio" and not backtest.win_count)
            if symbol and not differs:  # the documented differences are those without a decision or a win
                assert_close(symbol[name], getattr(backtest, name), name)


@given(samples, st.randoms())
def test_a_portfolio_of_one_symbol_is_the_symbol_and_pools_any_number_of_them(
    sample: list[Row], random: Any
) -> None:
    if not sample:
        return
    frame = frame_of(sample)
    one = heat_statistics(frame, row_limit=None)
    symbols = [random.choice("ABC") for _ in sample]
    many = heat_statistics(frame.with_columns(symbol=pl.Series(symbols)), row_limit=None)
    for name in ("total_pnl", "total_trades", "std_dev", "sharpe_ratio", "sortino_ratio", "median_pnl"):
        assert_close(getattr(one, f"portfolio_{name}"), getattr(one.symbols[0], name), name)
        assert_close(getattr(many, f"portfolio_{name}"), getattr(one, f"portfolio_{name}"), name)
    for name in ("avg_duration", "trades_per_year", "recovery_factor", "peak_profit_pnl", "max_drawdown_pnl"):
        assert_close(getattr(many, f"portfolio_{name}"), getattr(one, f"portfolio_{name}"), name)
    assert many.total_symbols == len(set(symbols))


@pytest.mark.parametrize("count", [0, 1, 2, 9, 10, 11])
@pytest.mark.parametrize("pnl", [0.0, 1.5, -1.5, 1e-13, -100.0, -250.0])
def test_degenerate_samples_say_nothing_that_they_do_not_know(count: int, pnl: float) -> None:
    """Identical results, all wins, all losses, all break-even, ruin: no nan, no infinity, no division by nothing."""
    found = numbers_of(frame_of([Row(pnl, None, None, 1, 100.0)] * count))
    if not count:
        assert found == {}
        return
    assert found["total_pnl"] == pytest.approx(count * pnl)
    assert found["avg_pnl"] == pytest.approx(pnl)
    assert found["median_pnl"] == pnl
    assert found["sharpe_ratio"] is None  # the deviation is at most epsilon
    assert found["profit_factor"] is None
    assert found["avg_peak_pnl"] is None
    assert found["win_rate"] == (None if pnl == 0 else 100.0 * (pnl > 0))
    assert found["max_win_streak"] == (count if pnl > 0 else 0)
    assert found["max_loss_streak"] == (count if pnl < 0 else 0)
    assert found["avg_consecutive_loss_pnl"] == (pytest.approx(count * pnl) if pnl < 0 else None)
    if pnl <= -100 and count >= 10:
        assert found["max_drawdown"] == 100.0
        assert found["recovery_factor"] is None
    if count >= 10 and pnl < -1e-9:
        assert found["sortino_ratio"] == pytest.approx(-1.0)
    for value in found.values():
        assert value is None or isinstance(value, str) or math.isfinite(value)


@given(samples, st.lists(st.integers(0, 29), max_size=4))
def test_rows_of_nan_never_reach_a_document(sample: list[Row], broken: list[int]) -> None:
    frame = frame_of(
        [row._replace(pnl=math.nan) if number in broken else row for number, row in enumerate(sample)]
    )
    for record, kind in (
        (backtest_statistics(frame, row_limit=None), "backtest"),
        (live_statistics(frame.with_columns(action=pl.lit("closed")), row_limit=None), "live"),
        (heat_statistics(frame, row_limit=None), "heat"),
    ):
        for line in summary(kind, record):
            assert not {"nan", "None", "null", "inf"} & set(line.lower().replace("*", " ").split())
        for name in record.field_names:
            value = getattr(record, name)
            assert not isinstance(value, float) or math.isfinite(value)


# ------------------------------------------------------------------------------- timings, orders, rejections

timings = st.lists(
    st.builds(
        lambda kind, duration, wait: (kind, duration, wait),
        st.sampled_from(["backtest_total", "live_tick"]),
        st.integers(0, 4000).map(lambda quarters: quarters / 4),
        st.one_of(st.none(), st.integers(0, 5000)),
    ),
    max_size=30,
)


def timed(events: Sequence[tuple[str, float, int | None]], factor: float = 1.0) -> Any:
    frame = pl.DataFrame(
        {
            "metric_type": [kind for kind, *_ in events],
            "duration": [duration * factor for _, duration, _ in events],
            "timestamp": [START + MINUTES] * len(events),
            "previous_timestamp": [
                None if wait is None else START + MINUTES - round(wait * factor) for *_, wait in events
            ],
        },
        schema={
            "metric_type": pl.String,
            "duration": pl.Float64,
            "timestamp": pl.Int64,
            "previous_timestamp": pl.Int64,
        },
    )
    return performance_statistics(frame)


@given(timings, st.randoms())
def test_timings_have_no_order_scale_and_lie_in_rank_order(events: Any, random: Any) -> None:
    before, doubled = timed(events), timed(events, 2.0)
    shuffled = [*events]
    random.shuffle(shuffled)
    after = timed(shuffled)
    assert after.metric_stats.keys() == before.metric_stats.keys()
    assert sum(one.count for one in before.metric_stats.values()) == before.total_events == len(events)
    for name, one in before.metric_stats.items():
        for field in one.field_names:
            value = getattr(one, field)
            assert_close(getattr(after.metric_stats[name], field), value, field)
            scaled = value if field in ("metric_type", "count") else value * 2
            assert_close(getattr(doubled.metric_stats[name], field), scaled, field)
        ranks = [one.min_duration, one.median, one.p95, one.p99, one.max_duration]
        assert all(low <= high + 1e-9 for low, high in pairwise(ranks))
        assert one.min_wait_time <= one.avg_wait_time + 1e-9 <= one.max_wait_time + 2e-9
    totals = [one.total_duration for one in before.metric_stats.values()]
    assert totals == sorted(totals, reverse=True)


orders = st.lists(
    st.tuples(
        st.sampled_from(["scheduled", "opened", "cancelled"]), st.sampled_from("abcdef"), st.integers(1, 600)
    ),
    max_size=30,
)


def ordered(events: Sequence[tuple[str, str, int]]) -> Any:
    ended = [START + minutes * MINUTES for *_, minutes in events]
    return schedule_statistics(
        pl.DataFrame(
            {
                "action": [action for action, *_ in events],
                "signal_id": [identity for _, identity, _ in events],
                "scheduled_at": [START] * len(events),
                "pending_at": ended,
                "close_timestamp": ended,
            },
            schema={
                "action": pl.String,
                "signal_id": pl.String,
                **dict.fromkeys(("scheduled_at", "pending_at", "close_timestamp"), pl.Int64),
            },
        )
    )


@given(orders, st.randoms())
def test_orders_have_no_order_and_their_rates_sum_to_all(events: Any, random: Any) -> None:
    before = ordered(events)
    shuffled = [*events]
    random.shuffle(shuffled)
    after = ordered(shuffled)
    for name in before.field_names:
        if name != "event_list":
            assert_close(getattr(after, name), getattr(before, name), name)
    assert before.total_scheduled + before.total_opened + before.total_cancelled == before.total_events
    if before.activation_rate is not None:
        assert before.activation_rate + before.cancellation_rate == pytest.approx(100)
    for action, mean in (("opened", before.avg_activation_time), ("cancelled", before.avg_wait_time)):
        minutes = [one for kind, _, one in events if kind == action]
        assert mean == (pytest.approx(sum(minutes) / len(minutes)) if minutes else None)


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("xyz")), max_size=30))
def test_rejections_are_counted_and_the_newest_is_named_first(events: list[tuple[str, str]]) -> None:
    frame = pl.DataFrame(events, schema={"symbol": pl.String, "strategy_name": pl.String}, orient="row")
    found = risk_statistics(frame)
    assert sum(found.by_symbol.values()) == sum(found.by_strategy.values()) == found.total_rejections
    if events:
        assert next(iter(found.by_symbol)) == events[-1][0]
        assert next(iter(found.by_strategy)) == events[-1][1]
