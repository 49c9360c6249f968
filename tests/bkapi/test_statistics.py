"""Do the statistics records say what the frames of trades and events hold?"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from bkapi.statistics import measured as statistics
from bkapi.statistics.measured import (
    TRADE_COLUMNS,
    StatisticsError,
    backtest_statistics,
    event_statistics,
    heat_statistics,
    live_statistics,
    performance_statistics,
    risk_statistics,
    schedule_statistics,
)
from bkapi.statistics.records import (
    BreakevenStatistics,
    EventStatistics,
    HighestProfitStatistics,
    MaxDrawdownStatistics,
    PartialStatistics,
    StrategyStatistics,
    SyncStatistics,
)
from tests.naive import metrics as naive
from tests.naive.metrics import DAY, MINUTE, Trade

START = 1_735_689_600_000
TRADE_SCHEMA = {
    "symbol": pl.String,
    "action": pl.String,
    **dict.fromkeys(TRADE_COLUMNS, pl.Float64),
    "pending_at": pl.Int64,
    "close_timestamp": pl.Int64,
}
#: Fields of the portfolio that are the weighted mean of the symbols' values.
WEIGHTED = ("avg_peak_pnl", "avg_fall_pnl", "avg_consecutive_win_pnl", "avg_consecutive_loss_pnl")


def trade(pnl: float | None, day: float = 0.0, **changes: Any) -> dict[str, Any]:
    close = START + int(day * DAY)
    row = {
        "symbol": "BTCUSDT",
        "action": "closed",
        "pnl_percent": pnl,
        "peak_percent": None,
        "fall_percent": None,
        "pending_at": close - 60 * MINUTE,
        "close_timestamp": close,
        "close_price": 100.0,
    }
    return {**row, **changes}


def frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=TRADE_SCHEMA)


def as_trade(row: Mapping[str, Any]) -> Trade:
    names = ("pnl_percent", "peak_percent", "fall_percent", "pending_at", "close_timestamp", "close_price")
    return Trade(*(row[name] for name in names))


trade_rows = st.lists(
    st.builds(
        trade,
        st.floats(-5.0, 5.0).map(lambda value: round(value, 3)),
        st.integers(1, 40),
        symbol=st.sampled_from(["BTCUSDT", "ETHUSDT", "SOLUSDT"]),
        peak_percent=st.one_of(st.none(), st.floats(0.0, 5.0)),
        fall_percent=st.one_of(st.none(), st.floats(-5.0, 0.0)),
        pending_at=st.sampled_from([0, START - DAY, START]),
        close_price=st.floats(90.0, 110.0),
    ),
    max_size=30,
)
row_limits = st.sampled_from([None, 0, 1, 7, 12, 250])


def newest(rows: Sequence[Any], row_limit: int | None) -> list[Any]:
    """The rows that a bucket keeps, newest last."""
    kept: list[Any] = []
    for row in rows:
        kept.insert(0, row)
        if row_limit is not None and len(kept) > row_limit:
            kept.pop()
    return kept[::-1]


def assert_numbers(record: Mapping[str, Any], expected: Mapping[str, Any], prefix: str = "") -> None:
    """Every number of the twin that the record has a field for; what the twin leaves out is None."""
    for name in statistics_fields(record, prefix):
        value = expected.get(name)
        found = record[prefix + name]
        assert found == (pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value), (
            name
        )


def statistics_fields(record: Mapping[str, Any], prefix: str) -> list[str]:
    from bkcore.statistics.metrics import METRIC_NAMES

    return [name for name in METRIC_NAMES if prefix + name in record]


@settings(deadline=None, max_examples=60)
@given(trade_rows, row_limits)
def test_a_backtest_counts_the_kept_rows_with_both_times(
    rows: list[dict[str, Any]], row_limit: int | None
) -> None:
    kept = newest(rows, row_limit)
    counted = [as_trade(row) for row in kept if row["pending_at"] > 0 and row["close_timestamp"] > 0]
    found = backtest_statistics(frame(rows), row_limit=row_limit)
    assert found.total_signals == len(counted)
    assert isinstance(found.signal_list, pl.DataFrame)
    assert found.signal_list.rows(named=True) == kept[::-1]
    assert_numbers(found.to_dict(), naive.series(counted))


@settings(deadline=None, max_examples=60)
@given(trade_rows, st.lists(st.sampled_from(["idle", "opened", None]), max_size=10), row_limits)
def test_a_live_run_counts_its_kept_closes(
    rows: list[dict[str, Any]], others: list[str | None], row_limit: int | None
) -> None:
    events = [*rows, *(trade(None, 50, action=action, close_timestamp=None) for action in others)]
    for row in events[::3]:
        row["pending_at"] = None
    kept = newest(events, row_limit)
    counted = [
        as_trade(
            {**row, "pending_at": row["close_timestamp"] if row["pending_at"] is None else row["pending_at"]}
        )
        for row in kept
        if row["action"] == "closed"
    ]
    found = live_statistics(frame(events), row_limit=row_limit)
    assert (found.total_events, found.total_closed) == (len(kept), len(counted))
    assert_numbers(found.to_dict(), naive.series(counted))


@settings(deadline=None, max_examples=60)
@given(trade_rows, row_limits)
def test_a_portfolio_keeps_rows_per_symbol_and_pools_them(
    rows: list[dict[str, Any]], row_limit: int | None
) -> None:
    by_symbol: dict[str, list[Any]] = {}
    for row in rows:
        by_symbol.setdefault(row["symbol"], []).append(row)
    kept = {
        symbol: [as_trade(row) for row in some]
        for symbol, rows_of in by_symbol.items()
        if (some := newest(rows_of, row_limit))
    }
    found = heat_statistics(frame(rows), row_limit=row_limit)
    assert {one.symbol for one in found.symbols} == set(kept)
    for one in found.symbols:
        assert_numbers(one.to_dict(), naive.symbol(kept[one.symbol]))
    assert found.portfolio_total_trades == sum(map(len, kept.values()))
    if not kept:
        assert found.portfolio_total_pnl is None
        return
    portfolio = {name: value for name, value in found.to_dict().items() if not name.endswith(WEIGHTED)}
    assert_numbers(portfolio, naive.pool(list(kept.values())), "portfolio_")
    for name in WEIGHTED:
        parts = [
            (getattr(one, name), one.total_trades) for one in found.symbols if getattr(one, name) is not None
        ]
        weight = sum(count for _, count in parts)
        expected = sum(value * count for value, count in parts) / weight if parts else None
        assert getattr(found, f"portfolio_{name}") == (None if expected is None else pytest.approx(expected))


def test_nothing_traded_is_not_available() -> None:
    backtest = backtest_statistics(frame([]))
    assert (backtest.total_signals, backtest.win_count, backtest.loss_count) == (0, 0, 0)
    assert (backtest.win_rate, backtest.total_pnl, backtest.trend) == (None, None, None)
    live = live_statistics(frame([trade(None, action="idle", close_timestamp=None)]))
    assert (live.total_events, live.total_closed, live.win_rate) == (1, 0, None)
    heat = heat_statistics(frame([]))
    assert (heat.symbols, heat.total_symbols, heat.portfolio_total_trades) == ([], 0, 0)
    assert heat.portfolio_total_pnl is heat.portfolio_median_pnl is heat.portfolio_avg_peak_pnl is None


def test_a_damaged_row_counts_where_the_rules_say() -> None:
    rows = [
        trade(1.0, 1),
        trade(2.0, 2, pending_at=0),
        trade(4.0, 0, close_timestamp=0),
        trade(8.0, 3, pending_at=None),
    ]
    backtest, live, heat = (
        backtest_statistics(frame(rows)),
        live_statistics(frame(rows)),
        heat_statistics(frame(rows)),
    )
    assert (backtest.total_pnl, len(backtest.signal_list)) == (1.0, 4)
    assert (live.total_pnl, live.total_closed) == (11.0, 3)
    assert (heat.portfolio_total_pnl, heat.portfolio_avg_duration) == (15.0, 60.0)


def test_symbols_stand_by_sharpe_ratio_and_ties_as_they_came() -> None:
    good, bad = [2.0, 1.0] * 5, [1.0, -1.0] * 5
    rows = [
        *(trade(1.0, day, symbol="FEW1") for day in range(3)),
        *(trade(pnl, day, symbol="BAD") for day, pnl in enumerate(bad)),
        *(trade(1.0, day, symbol="FEW2") for day in range(3)),
        *(trade(pnl, day, symbol="GOOD") for day, pnl in enumerate(good)),
    ]
    heat = heat_statistics(frame(rows))
    assert [one.symbol for one in heat.symbols] == ["GOOD", "BAD", "FEW1", "FEW2"]
    assert heat.table["symbol"].to_list() == ["GOOD", "BAD", "FEW1", "FEW2"]
    assert heat.table["sharpe_ratio"].null_count() == 2


def test_the_list_holds_what_the_caller_wants_to_see() -> None:
    trades = frame([trade(1.0, 1), trade(2.0, 2), trade(3.0, 3)])
    assert backtest_statistics(trades, rows=["a", "b", "c"], row_limit=2).signal_list == ["c", "b"]
    assert backtest_statistics(trades, rows=["a", "b", "c"], row_limit=0).signal_list == []
    other = pl.DataFrame({"id": [1, 2, 3]})
    kept = backtest_statistics(trades, rows=other, row_limit=2).signal_list
    assert isinstance(kept, pl.DataFrame)
    assert kept["id"].to_list() == [3, 2]
    with pytest.raises(StatisticsError, match="2 rows do not fit to a frame of 3") as refusal:
        backtest_statistics(trades, rows=["a", "b"])
    assert refusal.value.hint


def test_a_missing_column_is_named() -> None:
    with pytest.raises(StatisticsError, match="columns are missing: peak_percent; the frame has: symbol, "):
        backtest_statistics(frame([]).drop("peak_percent"))
    with pytest.raises(StatisticsError, match="columns are missing: action"):
        live_statistics(frame([]).drop("action"))
    with pytest.raises(StatisticsError, match="columns are missing: symbol"):
        heat_statistics(frame([]).drop("symbol"))
    with pytest.raises(StatisticsError, match="the frame has: none"):
        event_statistics(PartialStatistics, pl.DataFrame())


def test_a_negative_row_limit_is_refused() -> None:
    with pytest.raises(StatisticsError, match="row_limit must not be negative, got -1"):
        backtest_statistics(frame([]), row_limit=-1)


def schedule_event(action: str, signal_id: str, wait: int = 5) -> dict[str, Any]:
    ended = START + wait * MINUTE
    return {
        "action": action,
        "signal_id": signal_id,
        "scheduled_at": START,
        "pending_at": ended if action == "opened" else None,
        "close_timestamp": ended if action == "cancelled" else None,
    }


def schedule_frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    times = dict.fromkeys(("scheduled_at", "pending_at", "close_timestamp"), pl.Int64)
    return pl.DataFrame(list(rows), schema={"action": pl.String, "signal_id": pl.String, **times})


def test_rates_are_of_orders_still_on_record_and_times_of_all() -> None:
    events = [
        schedule_event("scheduled", "gone"),
        schedule_event("scheduled", "a"),
        schedule_event("scheduled", "b"),
        schedule_event("scheduled", "c"),
        schedule_event("active", "a"),
        schedule_event("opened", "direct", wait=0),
        schedule_event("opened", "gone", wait=30),
        schedule_event("opened", "a", wait=10),
        schedule_event("opened", "b", wait=20),
        schedule_event("cancelled", "c", wait=7),
    ]
    found = schedule_statistics(schedule_frame(events), row_limit=7, rows=list(range(len(events))))
    assert (found.total_events, found.total_scheduled, found.total_opened, found.total_cancelled) == (
        7,
        3,
        3,
        1,
    )
    assert found.activation_rate == pytest.approx(100 * 2 / 3)
    assert found.cancellation_rate == pytest.approx(100 / 3)
    assert (found.avg_activation_time, found.avg_wait_time) == (20.0, 7.0)
    assert found.event_list == [9, 8, 7, 6, 3, 2, 1]


@pytest.mark.parametrize(
    "events", [[], [schedule_event("scheduled", "a")], [schedule_event("opened", "a", wait=0)]]
)
def test_orders_without_an_end_have_no_rates(events: list[dict[str, Any]]) -> None:
    found = schedule_statistics(schedule_frame(events))
    assert found.activation_rate is found.cancellation_rate is None
    assert found.avg_activation_time is found.avg_wait_time is None
    assert found.total_opened == 0


def test_untyped_columns_of_nulls_are_times_too() -> None:
    events = pl.DataFrame([schedule_event("scheduled", "a"), schedule_event("scheduled", "b")])
    assert schedule_statistics(events).total_scheduled == 2
    timings = pl.DataFrame([performance_event("live_tick", 2.0)])
    assert performance_statistics(timings).metric_stats["live_tick"].avg_wait_time == 0.0
    assert backtest_statistics(pl.DataFrame([trade(1.0)])).avg_peak_pnl is None


def test_datetimes_of_any_unit_are_times_too() -> None:
    trades = frame([trade(1.0, 1), trade(-2.0, 20), trade(3.0, 2), trade(4.0, 3, close_timestamp=None)])
    orders = schedule_frame([schedule_event("scheduled", "a"), schedule_event("opened", "a", wait=3)])
    timings = pl.DataFrame([performance_event("live_tick", 1.0), performance_event("live_tick", 2.0, 9, 4)])
    for unit in ("ms", "us", "ns"):
        dated = trades.with_columns(
            pl.from_epoch(pl.col("pending_at", "close_timestamp"), "ms").dt.cast_time_unit(unit)
        )
        numbers = backtest_statistics(dated).to_dict()
        expected = backtest_statistics(trades).to_dict()
        assert {**numbers, "signal_list": None} == {**expected, "signal_list": None}
        dated = orders.with_columns(pl.from_epoch(pl.col(pl.Int64), "ms").dt.cast_time_unit(unit))
        assert schedule_statistics(dated).avg_activation_time == 3.0
        dated = timings.with_columns(
            pl.from_epoch(pl.col("timestamp", "previous_timestamp"), "ms").dt.cast_time_unit(unit)
        )
        assert performance_statistics(dated).metric_stats["live_tick"].avg_wait_time == 5.0


def performance_event(
    metric_type: str, duration: float, time: int = 0, previous: int | None = None
) -> dict[str, Any]:
    return {
        "metric_type": metric_type,
        "timestamp": START + time,
        "previous_timestamp": None if previous is None else START + previous,
        "duration": duration,
    }


def test_timings_worked_by_hand() -> None:
    events = pl.DataFrame(
        [
            performance_event("backtest_signal", 1.0),
            performance_event("backtest_total", 50.0, 5),
            performance_event("backtest_signal", 3.0, 10, 0),
            performance_event("backtest_signal", 2.0, 40, 10),
        ]
    )
    found = performance_statistics(events, strategy_name="dip")
    assert (found.strategy_name, found.total_events, found.total_duration) == ("dip", 4, 56.0)
    assert list(found.metric_stats) == ["backtest_total", "backtest_signal"]
    total, signal = found.metric_stats.values()
    assert (total.count, total.std_dev, total.median, total.p95, total.avg_wait_time) == (
        1,
        0.0,
        50.0,
        50.0,
        0.0,
    )
    assert (signal.count, signal.avg_duration, signal.min_duration, signal.max_duration) == (3, 2.0, 1.0, 3.0)
    assert (signal.std_dev, signal.median) == (1.0, 2.0)
    assert [signal.p95, signal.p99] == pytest.approx([2.9, 2.98])
    assert (signal.avg_wait_time, signal.min_wait_time, signal.max_wait_time) == (20.0, 10.0, 30.0)
    assert found.table["metric_type"].to_list() == ["backtest_total", "backtest_signal"]


def test_no_timings_are_zeros() -> None:
    schema = {
        "metric_type": pl.String,
        **dict.fromkeys(("timestamp", "previous_timestamp", "duration"), pl.Int64),
    }
    found = performance_statistics(pl.DataFrame(schema=schema))
    assert (found.total_events, found.total_duration, found.metric_stats) == (0, 0.0, {})


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        (PartialStatistics, {"total_profit": "profit", "total_loss": "loss"}),
        (SyncStatistics, {"open_count": "signal-open", "close_count": "signal-close"}),
        (BreakevenStatistics, {}),
        (HighestProfitStatistics, {}),
        (MaxDrawdownStatistics, {}),
        (
            StrategyStatistics,
            {
                "cancel_scheduled_count": "cancel-scheduled",
                "close_pending_count": "close-pending",
                "partial_profit_count": "partial-profit",
                "partial_loss_count": "partial-loss",
                "trailing_stop_count": "trailing-stop",
                "trailing_take_count": "trailing-take",
                "breakeven_count": "breakeven",
                "activate_scheduled_count": "activate-scheduled",
                "average_buy_count": "average-buy",
            },
        ),
    ],
)
def test_events_are_counted_by_action(kind: type[EventStatistics], counts: dict[str, str]) -> None:
    actions = [action for times, action in enumerate(counts.values(), 1) for _ in range(times)]
    found = event_statistics(
        kind, pl.DataFrame({"action": ["oldest", *actions]}), row_limit=max(1, len(actions))
    )
    assert type(found) is kind
    assert {name: getattr(found, name) for name in counts} == {name: k for k, name in enumerate(counts, 1)}
    assert found.total_events == len(found.event_list) == max(1, len(actions))
    assert set(found.to_dict()) == {"event_list", "total_events", *counts}


def test_rejections_are_counted_newest_first() -> None:
    events = pl.DataFrame({"symbol": ["A", "B", "C", "B"], "strategy_name": ["s", "s", "t", "t"]})
    found = risk_statistics(events, row_limit=3)
    assert found.total_rejections == 3
    assert list(found.by_symbol.items()) == [("B", 2), ("C", 1)]
    assert list(found.by_strategy.items()) == [("t", 2), ("s", 1)]


def test_records_print_as_a_table_without_their_rows() -> None:
    found = backtest_statistics(frame([trade(1.25, 1), trade(-0.5, 2)]), rows=["<first>", "<second>"])
    lines = repr(found).splitlines()
    assert lines[0] == "BacktestStatistics"
    assert any(line.split() == ["total_pnl", "0.75"] for line in lines)
    assert any(line.split() == ["sharpe_ratio", "N/A"] for line in lines)
    assert any(line.split() == ["signal_list", "2", "rows"] for line in lines)
    html = found._repr_html_()
    assert "<td>0.75</td>" in html
    assert "first" not in repr(found) + html
    risk = risk_statistics(pl.DataFrame({"symbol": ["<B>"], "strategy_name": ["s"]}))
    assert "&lt;B&gt;: 1" in risk._repr_html_()


def test_records_compare_by_value_and_cannot_change() -> None:
    trades = frame([trade(1.0, 1), trade(-0.5, 2)])
    one, same = backtest_statistics(trades), backtest_statistics(trades)
    assert one == same
    assert one != backtest_statistics(trades, rows=[1, 2])
    assert one != backtest_statistics(trades.with_columns(symbol=pl.lit("ETHUSDT")))
    assert one != live_statistics(trades)
    assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(AttributeError):
        one.total_pnl = 5.0  # type: ignore[misc]


def test_importing_the_records_is_cheap() -> None:
    heavy = ("numpy", "numba", "polars", "pydantic")
    script = (
        f"import sys, bkapi.statistics.measured; print(*[name for name in {heavy} if name in sys.modules])"
    )
    root = Path(statistics.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
