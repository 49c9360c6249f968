"""Is the metric vector what the rules say, on hand-worked, degenerate and random series of trades?"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from bkcore.errors import BkError
from bkcore.statistics.metrics import COUNTS, METRIC_NAMES, Metric, Scope, measure, trade_metrics
from bkcore.statistics.price_profile import Trend
from tests.naive import metrics as naive
from tests.naive.metrics import DAY, MINUTE, Trade

START = 1_735_689_600_000
Column = np.ndarray[Any, Any]


def columns(trades: Sequence[Trade]) -> tuple[Column, Column, Column, Column, Column, Column]:
    def numbers(values: list[float | None]) -> Column:
        return np.array([math.nan if value is None else value for value in values], np.float64)

    return (
        numbers([trade.pnl for trade in trades]),
        numbers([trade.peak for trade in trades]),
        numbers([trade.fall for trade in trades]),
        np.array([trade.pending for trade in trades], np.int64),
        np.array([trade.close for trade in trades], np.int64),
        numbers([trade.price for trade in trades]),
    )


def measured(trades: Sequence[Trade], scope: Scope = Scope.SERIES) -> dict[str, Any]:
    """The metric vector by name, without the metrics that are not available."""
    vector = dict(zip(METRIC_NAMES, measure(*columns(trades), scope).tolist(), strict=True))
    found: dict[str, Any] = {name: value for name, value in vector.items() if not math.isnan(value)}
    if "trend" in found:
        found["trend"] = Trend(int(found["trend"])).name.lower()
    return found


def available(expected: Mapping[str, Any]) -> dict[str, Any]:
    """What the rule gives, without ``None`` and without numbers that are not finite."""
    return {
        name: value
        for name, value in expected.items()
        if value is not None and (isinstance(value, str) or math.isfinite(value))
    }


def assert_same(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, str):
            assert found[name] == value, name
        else:
            assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-9), name


def daily(
    results: Sequence[float], *, step: int = 2 * DAY, prices: Sequence[float] | None = None
) -> list[Trade]:
    """Trades of 60 minutes, one per ``step``; each fell to its own result at worst."""
    prices = prices or [100.0] * len(results)
    return [
        Trade(pnl, max(pnl, 0.0), min(pnl, 0.0), START + k * step, START + k * step + 60 * MINUTE, price)
        for k, (pnl, price) in enumerate(zip(results, prices, strict=True))
    ]


percents = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 0.5, -0.5, 1e-10, -1e-10, 60.0, -60.0, -100.0, -150.0]),
    st.floats(-8.0, 8.0).map(lambda value: round(value, 3)),
)


@st.composite
def trade_lists(draw: st.DrawFn, damaged: bool = False) -> list[Trade]:
    size = draw(st.one_of(st.integers(0, 3), st.integers(8, 30)))
    step = draw(st.sampled_from([DAY // 40, DAY, 3 * DAY]))
    times = st.integers(0, 3 * size).map(lambda k: START + k * step)
    trades = []
    for _ in range(size):
        close = draw(times)
        pending = close - draw(st.integers(0, 600)) * MINUTE
        if damaged and draw(st.integers(0, 9)) == 0:
            pending, close = draw(st.sampled_from([(0, close), (pending, 0), (0, 0)]))
        trades.append(
            Trade(
                pnl=draw(percents),
                peak=draw(st.one_of(st.none(), st.floats(0.0, 9.0))),
                fall=draw(st.one_of(st.none(), st.floats(-9.0, 0.0), st.just(-100.0))),
                pending=pending,
                close=close,
                price=draw(
                    st.one_of(st.floats(50.0, 150.0), st.sampled_from([100.0, 100.0, 0.0, -1.0, math.nan]))
                ),
            )
        )
    return trades


@settings(deadline=None)
@given(trade_lists())
def test_a_series_is_measured_as_the_rule_says(trades: list[Trade]) -> None:
    assert_same(measured(trades), available(naive.series(trades)))


@settings(deadline=None)
@given(trade_lists(damaged=True))
def test_a_symbol_is_measured_as_the_rule_says(trades: list[Trade]) -> None:
    assert_same(measured(trades, Scope.SYMBOL), available(naive.symbol(trades)))


@settings(deadline=None)
@given(st.lists(trade_lists(damaged=True), min_size=1, max_size=3))
def test_a_pool_is_measured_as_the_rule_says(symbols: list[list[Trade]]) -> None:
    rows = [trade for trades in symbols for trade in reversed(trades)]
    if rows:
        assert_same(measured(rows, Scope.POOL), available(naive.pool(symbols)))


@settings(deadline=None)
@given(trade_lists(), st.randoms())
def test_arrival_order_matters_to_streaks_and_ties_only(trades: list[Trade], rng: random.Random) -> None:
    apart = [
        Trade(one.pnl, one.peak, one.fall, one.pending + k, one.close + k, one.price)
        for k, one in enumerate(sorted(trades, key=lambda trade: trade.close))
    ]
    shuffled = rng.sample(apart, len(apart))
    found, expected = measured(shuffled), measured(apart)
    for one in (found, expected):
        for name in [name for name in one if "streak" in name or "consecutive" in name]:
            del one[name]
    assert_same(found, expected)


@settings(deadline=None)
@given(trade_lists(), st.sampled_from([0.001, 7.0, 1e5]), st.integers(0, 10**11))
def test_prices_may_be_scaled_and_times_moved(trades: list[Trade], factor: float, later: int) -> None:
    moved = [
        Trade(one.pnl, one.peak, one.fall, one.pending + later, one.close + later, one.price * factor)
        for one in trades
    ]
    assert_same(measured(moved), measured(trades))


@settings(deadline=None)
@given(st.lists(st.floats(-2.0, 2.0).map(lambda value: round(value, 2)), min_size=10, max_size=40))
def test_ratios_have_no_unit(results: list[float]) -> None:
    found, tripled = measured(daily(results)), measured(daily([3.0 * result for result in results]))
    for name in ("sharpe_ratio", "sortino_ratio", "certainty_ratio", "profit_factor", "win_rate"):
        assert tripled.get(name) == pytest.approx(found.get(name)), name
    for name in (
        "total_pnl",
        "avg_pnl",
        "median_pnl",
        "std_dev",
        "expectancy",
        "avg_win",
        "avg_consecutive_win_pnl",
    ):
        if name in found:
            assert tripled[name] == pytest.approx(3.0 * found[name], abs=1e-12), name


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.floats(-5.0, 5.0)), min_size=1, max_size=60))
def test_the_close_order_is_stable_over_newest_first(rows: list[tuple[int, float]]) -> None:
    size = len(rows)
    close = np.array([START + time for time, _ in rows])
    zeros = np.zeros(size)
    order = np.full(2 * size + 3, -7)
    vector = np.full(len(Metric), 5.0)
    pnl = np.array([value for _, value in rows])
    trade_metrics(
        pnl, zeros, zeros, close, close, zeros, int(Scope.SERIES), order, np.full(size + 3, 9.0), vector
    )
    assert order[:size].tolist() == sorted(range(size - 1, -1, -1), key=lambda row: close[row])
    np.testing.assert_array_equal(vector, measure(pnl, zeros, zeros, close, close, zeros))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_long_series_have_the_exact_median_and_order(size: int, distinct: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pnl = rng.integers(-distinct, distinct, size, endpoint=True) / 7.0
    close = START + rng.integers(0, distinct, size) * MINUTE
    zeros = np.zeros(size)
    order, vector = np.empty(2 * size, np.int64), np.empty(len(Metric))
    trade_metrics(pnl, zeros, zeros, close, close, zeros, int(Scope.SERIES), order, np.empty(size), vector)
    assert vector[Metric.MEDIAN_PNL] == naive.median(pnl.tolist())
    newest_first = np.arange(size)[::-1]
    np.testing.assert_array_equal(order[:size], newest_first[np.argsort(close[::-1], kind="stable")])


def test_ten_trades_worked_by_hand() -> None:
    trades = daily([2.0, -1.0, 2.0, -1.0, 2.0, -1.0, 2.0, -1.0, 0.0, 1.0])
    found = measured(trades)
    assert found["total_trades"] == 10
    assert (found["win_count"], found["loss_count"]) == (5, 4)
    assert found["win_rate"] == pytest.approx(100 * 5 / 9)
    assert found["total_pnl"] == 5.0
    assert found["avg_pnl"] == 0.5
    assert found["median_pnl"] == 0.5
    # squares: 4 * 1.5^2 + 4 * 1.5^2 + 0.5^2 + 0.5^2 = 18.5
    assert found["std_dev"] == pytest.approx(math.sqrt(18.5 / 9))
    assert found["sharpe_ratio"] == pytest.approx(0.5 / math.sqrt(18.5 / 9))
    assert found["sortino_ratio"] == pytest.approx(0.5 / math.sqrt(4 / 10))
    assert found["certainty_ratio"] == pytest.approx(1.8)
    assert found["profit_factor"] == pytest.approx(9 / 4)
    assert found["expectancy"] == pytest.approx(0.5 * 1.8 - 0.4)
    assert (found["max_win_streak"], found["max_loss_streak"]) == (1, 1)
    assert found["avg_consecutive_win_pnl"] == pytest.approx(9 / 5)
    assert found["avg_consecutive_loss_pnl"] == -1.0
    # one 1 % loss from a peak is the deepest fall
    assert found["max_drawdown"] == pytest.approx(1.0)
    equity = 1.02**4 * 0.99**4 * 1.01
    assert found["recovery_factor"] == pytest.approx((equity - 1) * 100)
    days = 18 + 1 / 24
    assert found["trades_per_year"] == pytest.approx(10 / days * 365)
    yearly = (equity ** (365 / days) - 1) * 100
    assert yearly > 100.0
    assert "expected_yearly_returns" not in found
    assert "calmar_ratio" not in found
    assert found["avg_duration"] == found["avg_win_duration"] == found["avg_loss_duration"] == 60.0


@pytest.mark.parametrize("scope", Scope)
def test_without_trades_counts_are_zero_and_nothing_else_is_known(scope: Scope) -> None:
    assert measured([], scope) == {METRIC_NAMES[count]: 0.0 for count in COUNTS}


def test_one_trade_has_totals_but_no_ratios() -> None:
    found = measured(daily([1.5]))
    assert found["total_pnl"] == found["avg_pnl"] == found["median_pnl"] == found["avg_win"] == 1.5
    assert found["win_rate"] == 100.0
    assert found["max_drawdown"] == 0.0
    assert not found.keys() & {"std_dev", "sharpe_ratio", "expectancy", "profit_factor", "trend", "avg_loss"}


def test_two_trades_have_a_median_between_them() -> None:
    found = measured(daily([1.0, -3.0]))
    assert found["median_pnl"] == -1.0
    assert found["profit_factor"] == pytest.approx(1 / 3)
    assert found["max_drawdown"] == pytest.approx(3.0)


def test_nine_trades_have_no_ratios_and_ten_have() -> None:
    gated = {"std_dev", "sharpe_ratio", "sortino_ratio", "certainty_ratio", "expectancy", "recovery_factor"}
    results = [1.0, -0.5] * 5
    assert not measured(daily(results[:9])).keys() & gated
    assert measured(daily(results)).keys() >= gated


def test_identical_results_have_no_sharpe_ratio() -> None:
    found = measured(daily([0.1] * 12))
    assert found["std_dev"] == pytest.approx(0.0, abs=1e-12)
    assert not found.keys() & {"sharpe_ratio", "annualized_sharpe_ratio", "sortino_ratio", "recovery_factor"}
    assert found["expectancy"] == pytest.approx(0.1)


def test_winners_alone_have_no_loss_ratios() -> None:
    found = measured(daily([1.0, 2.0] * 6))
    assert found["win_rate"] == 100.0
    assert found["max_win_streak"] == 12
    assert not found.keys() & {
        "certainty_ratio",
        "profit_factor",
        "sortino_ratio",
        "avg_loss",
        "calmar_ratio",
    }


@pytest.mark.parametrize(
    ("scope", "certainty"), [(Scope.SERIES, 0.0), (Scope.SYMBOL, None), (Scope.POOL, 0.0)]
)
def test_losers_alone_have_a_certainty_of_zero_unless_they_are_a_symbol(
    scope: Scope, certainty: float | None
) -> None:
    found = measured(daily([-1.0, -0.5] * 6), scope)
    assert found.get("certainty_ratio") == certainty
    assert found["win_rate"] == 0.0
    assert "profit_factor" not in found


@pytest.mark.parametrize(("scope", "number"), [(Scope.SERIES, 0.0), (Scope.SYMBOL, None), (Scope.POOL, None)])
def test_break_even_trades_alone_decide_nothing(scope: Scope, number: float | None) -> None:
    found = measured(daily([0.0] * 10), scope)
    assert found.get("win_rate") == number
    assert found.get("expectancy") == number
    assert found["total_pnl"] == 0.0


def test_a_result_that_is_not_a_number_spoils_what_depends_on_it_only() -> None:
    found = measured(daily([1.0, math.nan, *[-0.5] * 10]))
    assert found["win_count"] == 1
    assert found["avg_duration"] == 60.0
    assert found["avg_loss"] == -0.5
    assert not found.keys() & {
        "total_pnl",
        "median_pnl",
        "std_dev",
        "max_drawdown",
        "expected_yearly_returns",
    }


def test_infinite_results_are_not_numbers() -> None:
    found = measured(daily([math.inf, *[1.0] * 11]))
    assert found["median_pnl"] == 1.0
    assert not found.keys() & {"total_pnl", "avg_win", "sharpe_ratio"}


@pytest.mark.parametrize(
    "ruin",
    [
        Trade(-100.0, None, None, START, START + MINUTE, 1.0),
        Trade(-150.0, None, None, START, START + MINUTE, 1.0),
        Trade(5.0, 5.0, -100.0, START, START + MINUTE, 1.0),  # recovered, but not before the account was gone
    ],
)
def test_a_blown_account_is_blown_for_good(ruin: Trade) -> None:
    found = measured([ruin, *daily([1.0] * 11, step=20 * DAY)[1:]])
    assert found["max_drawdown"] == 100.0
    assert found["expected_yearly_returns"] == -100.0
    assert found["calmar_ratio"] == -1.0
    assert "recovery_factor" not in found


def test_a_trough_deepens_the_drawdown_and_moves_neither_equity_nor_peak() -> None:
    dip = Trade(10.0, 10.0, -20.0, START, START + MINUTE, 1.0)
    loss_after = Trade(-5.0, 0.0, -5.0, START + MINUTE, START + 2 * MINUTE, 1.0)
    loss_before = Trade(-5.0, 0.0, -5.0, START, START, 1.0)
    assert measured([dip, loss_after])["max_drawdown"] == pytest.approx(20.0)
    assert measured([loss_before, dip])["max_drawdown"] == pytest.approx(24.0)  # 0.95 * 0.8 below 1


def test_trades_that_close_together_count_newest_first() -> None:
    loss = Trade(-10.0, None, None, START, START + MINUTE, 1.0)
    dip = Trade(0.0, None, -10.0, START, START + MINUTE, 1.0)
    assert measured([dip, loss])["max_drawdown"] == pytest.approx(19.0)  # the dip comes on top of the loss
    assert measured([loss, dip])["max_drawdown"] == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("results", "step", "is_annual"),
    [
        ([1.0, -0.5] * 5, 14 * DAY // 9, True),
        ([1.0, -0.5] * 5, 13 * DAY // 9, False),  # less than 14 days
        ([1.0, -0.5] * 20, DAY // 2, False),  # twice a day
    ],
)
def test_annual_numbers_need_fourteen_days_and_at_most_a_trade_a_day(
    results: list[float], step: int, is_annual: bool
) -> None:
    found = measured(daily(results, step=step))
    assert ("trades_per_year" in found) is is_annual
    assert ("annualized_sharpe_ratio" in found) is is_annual


def test_gates_include_their_limits() -> None:
    exact = [Trade(1.0, None, None, START, START + 7 * DAY, 1.0)] * 13
    fourteen = [*exact, Trade(-0.1, None, None, START, START + 14 * DAY, 1.0)]
    assert measured(fourteen)["trades_per_year"] == 365.0
    assert "trades_per_year" not in measured([*exact, *fourteen[-1:], *exact[:1]])


def test_rising_prices_are_bullish_and_falling_ones_bearish() -> None:
    for growth, trend in ((1.01, "bullish"), (0.99, "bearish")):
        found = measured(daily([0.1] * 12, step=DAY, prices=[100.0 * growth**k for k in range(12)]))
        assert found["trend"] == trend
        assert found["trend_strength"] == pytest.approx(100.0 * math.log(growth))
        assert found["trend_confidence"] == pytest.approx(1.0)
        assert found["median_step_size"] == pytest.approx(1.0)
        assert found["buyer_pressure"] == found["buyer_strength"] == (1.0 if growth > 1.0 else 0.0)
        assert found["pressure_imbalance"] == (1.0 if growth > 1.0 else -1.0)


def test_a_slow_trend_against_its_steps_is_neutral() -> None:
    # 0.2 % a day against steps of 1 %: five days between closes
    prices = [100.0 * 1.01**k for k in range(12)]
    assert measured(daily([0.1] * 12, step=5 * DAY, prices=prices))["trend"] == "neutral"


def test_equal_prices_go_sideways_and_press_nobody() -> None:
    found = measured(daily([0.1] * 12, prices=[0.1] * 12))
    assert (found["trend"], found["trend_strength"], found["trend_confidence"]) == ("sideways", 0.0, 0.0)
    assert found["median_step_size"] == 0.0
    assert not found.keys() & {"buyer_pressure", "seller_strength", "pressure_imbalance"}


def test_closes_at_one_moment_have_no_trend() -> None:
    found = measured([Trade(0.1, None, None, START, START, 100.0 + k) for k in range(10)])
    assert not found.keys() & {"trend", "trend_strength", "trend_confidence"}
    assert found["seller_pressure"] == 1.0  # newest first: the dearest comes first


def test_nine_good_points_have_no_profile() -> None:
    prices = [100.0 + k for k in range(9)]
    for bad in (0.0, -1.0, math.nan, math.inf):
        assert "median_step_size" not in measured(daily([0.1] * 10, prices=[*prices, bad]))
    assert "median_step_size" in measured(daily([0.1] * 10, prices=[*prices, 120.0]))


def test_many_threads_measure_what_one_does() -> None:
    rng = np.random.default_rng(5)
    series = []
    for size in (3, 40, 250, 999):
        close = START + rng.integers(0, 10**10, size)
        pnl = rng.normal(0.1, 1.0, size)
        series.append((pnl, pnl + 1.0, pnl - 1.0, close - MINUTE, close, 100.0 + pnl))
    alone = [measure(*one) for one in series]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda k: measure(*series[k % 4]), range(400)))
    for k, vector in enumerate(together):
        np.testing.assert_array_equal(vector, alone[k % 4])


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(BkError, match="equally long") as refusal:
        measure([1.0], [], [], [0], [60_000], [100.0])
    assert refusal.value.hint


def test_names_and_places_agree() -> None:
    assert [METRIC_NAMES[metric] for metric in Metric] == [metric.name.lower() for metric in Metric]
    assert sorted(Metric) == list(range(len(METRIC_NAMES)))
    # the price profile is written as one block
    assert METRIC_NAMES[Metric.MEDIAN_STEP_SIZE :][-1] == "trend_confidence"
    assert len(METRIC_NAMES[Metric.MEDIAN_STEP_SIZE :]) == 9
