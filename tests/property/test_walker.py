"""A walker finds the same whether its backtests are played ahead in threads or one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, strategies as st

import bkapi as bk
from tests.bkapi.short_runs import MIDNIGHT, MIDNIGHT_MS, SYMBOL, candles_of

WALKER = {"walker_name": "many"}
#: Minute, side, take-profit and stop-loss percent, lifetime.
Plan = tuple[int, int, float, float, int]

steps = st.lists(st.floats(-0.01, 0.01), min_size=60, max_size=180)
percents = st.sampled_from([0.6, 1.0, 2.5])
plans = st.lists(
    st.tuples(st.integers(6, 150), st.sampled_from([1, -1]), percents, percents, st.integers(1, 40)),
    max_size=12,
    unique_by=lambda plan: plan[0],
).map(sorted)
#: How a strategy is written: asked, vectorized, failing.
forms = st.sampled_from(["asked", "signals", "signals", "signals", "broken"])
#: Whose turn it is when somebody begins to listen, and who stops the walker when; never mostly.
moments = st.one_of(st.none(), st.none(), st.integers(0, 6))


def vectorized(plan: Sequence[Plan], name: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """A ``signals`` function."""

    def signals(candles: pl.DataFrame, *, stretch: float = 1.0) -> pl.DataFrame:
        columns: Any = list(zip(*plan, strict=True)) or [[]] * 5
        return pl.DataFrame(
            {
                "timestamp": pl.Series(
                    [MIDNIGHT_MS + minute * 60_000 for minute in columns[0]], dtype=pl.Int64
                ),
                "id": pl.Series([f"{name}-{minute}" for minute in columns[0]], dtype=pl.String),
                "position": pl.Series(["long" if s > 0 else "short" for s in columns[1]], dtype=pl.String),
                "take_profit_percent": pl.Series([p * stretch for p in columns[2]], dtype=pl.Float64),
                "stop_loss_percent": pl.Series(columns[3], dtype=pl.Float64),
                "minute_estimated_time": pl.Series(columns[4], dtype=pl.Int64),
            }
        )

    return signals


def asked(plan: Sequence[Plan], name: str) -> Callable[..., Any]:
    """A ``get_signal`` function."""
    by_minute = {row[0]: row for row in plan}

    def get_signal(symbol: str, when: Any, price: float) -> dict[str, Any] | None:
        row = by_minute.get((when - MIDNIGHT) // timedelta(minutes=1))
        if row is None:
            return None
        minute, side, take, stop, lifetime = row
        return {
            "id": f"{name}-{minute}",
            "position": "long" if side > 0 else "short",
            "price_take_profit": price * (1 + side * take / 100),
            "price_stop_loss": price * (1 - side * stop / 100),
            "minute_estimated_time": lifetime,
        }

    return get_signal


def broken(candles: pl.DataFrame) -> pl.DataFrame:
    raise ValueError("no idea")


def register(market: Sequence[float], written: Sequence[tuple[str, Sequence[Plan]]], **fields: Any) -> None:
    """A fresh start with a market, the strategies and their walker."""
    bk.reset()
    closes = 100.0 * np.cumprod(1.0 + np.array(market))
    bk.add_exchange_schema(exchange_name="memory", candles={SYMBOL: candles_of(closes.tolist())})
    bk.add_frame_schema(
        frame_name="minutes",
        start_date=MIDNIGHT + timedelta(minutes=5),
        end_date=MIDNIGHT + timedelta(minutes=len(market) - 2),
    )
    for number, (form, plan) in enumerate(written):
        name = f"s{number}"
        how: dict[str, Any] = {
            "asked": {"get_signal": asked(plan, name)},
            "signals": {"signals": vectorized(plan, name), "params": {"stretch": 1.0}},
            "broken": {"signals": broken},
        }[form]
        bk.add_strategy_schema(strategy_name=name, **how)
    bk.add_walker_schema(
        **{**WALKER, "metric": "total_pnl", **fields},
        exchange_name="memory",
        frame_name="minutes",
        strategies=[f"s{number}" for number in range(len(written))],
    )


def flat(event: Any) -> list[Any]:
    """An event by value, its trades included."""
    stats = event.stats
    numbers = [getattr(stats, name) for name in stats.field_names if name != "signal_list"]
    rows = [
        (row.signal_id, row.close_reason, row.close_timestamp, row.current_price, row.pnl.pnl_percentage)
        for row in stats.signal_list
    ]
    others = [getattr(event, name) for name in event.field_names if name != "stats"]
    return [*others, numbers, rows]


def told(threads: int, listens: int | None, stops: int | None, **limits: float) -> dict[str, Any]:
    """Everything that a comparison tells; ``listens`` and ``stops`` count the events before."""
    heard: dict[str, list[Any]] = {name: [] for name in ("events", "errors", "signals", "complete", "trades")}
    bk.listen_error(lambda error: heard["errors"].append(str(error)))
    bk.listen_walker_complete(lambda one: heard["complete"].append((one.best_strategy, one.best_metric)))

    def hear(result: Any) -> None:
        if result.action != "idle":
            heard["signals"].append((result.action, result.strategy_name, result.created_at))

    for number, event in enumerate(bk.Walker.run(SYMBOL, WALKER, threads=threads)):
        heard["events"].append(flat(event))
        if number == listens:
            bk.listen_signal_backtest(hear)
        if number == stops:
            bk.Walker.stop(SYMBOL, WALKER)
        for name, fee in limits.items():
            bk.set_config({name: fee / (number + 1)})
    for one in _names():
        context = {"strategy_name": one, "exchange_name": "memory", "frame_name": "minutes"}
        heard["trades"].append(bk.Backtest.get_report(SYMBOL, context) if one in _finished() else None)
    return heard


def _names() -> tuple[str, ...]:
    return tuple(one.strategy_name for one in bk.list_strategy_schema())


def _finished() -> set[str]:
    from bkapi.runs.ledger import finished

    return {key[1] for key in finished}


written = st.lists(st.tuples(forms, plans), min_size=1, max_size=5)


@given(steps, written, moments, moments, st.sampled_from([{}, {}, {"CC_PERCENT_FEE": 0.05}]))
def test_threads_change_nothing(
    market: list[float],
    written: list[tuple[str, list[Plan]]],
    listens: int | None,
    stops: int | None,
    limits: dict[str, float],
) -> None:
    found = []
    for threads in (1, 3):
        register(market, written)
        found.append(told(threads, listens, stops, **limits))
    assert found[0] == found[1]
    bk.reset()


@given(
    steps,
    plans,
    st.lists(st.sampled_from([0.7, 1.2, 3.0]), min_size=1, max_size=2, unique=True),
    st.lists(st.sampled_from([5, 30]), min_size=1, max_size=2, unique=True),
    st.booleans(),
)
def test_a_combination_is_the_backtest_with_its_parameters(
    market: list[float], plan: list[Plan], takes: list[float], lifetimes: list[int], is_heard: bool
) -> None:
    space = bk.Space.grid(stop_loss_percent=takes, stretch=[1.0, 1.5], lifetime_minutes=lifetimes)
    context = {"strategy_name": "s0", "exchange_name": "memory", "frame_name": "minutes"}
    found = []
    for threads in (1, 2):
        register(market, [("signals", plan)], space=space)
        if is_heard:
            bk.listen_highest_profit(lambda event: None)
        found.append([flat(event) for event in bk.Walker.run(SYMBOL, WALKER, threads=threads)])
    assert found[0] == found[1]
    for event in bk.Walker.run(SYMBOL, WALKER):
        chosen = event.parameters
        changed = [
            (row[0], row[1], row[2], chosen["stop_loss_percent"], chosen["lifetime_minutes"]) for row in plan
        ]
        bk.override_strategy_schema(
            strategy_name="s0", signals=vectorized(changed, "s0"), params={"stretch": chosen["stretch"]}
        )
        alone = bk.Backtest.finish(SYMBOL, context).statistics()
        for name in alone.field_names:
            if name != "signal_list":
                assert getattr(event.stats, name) == getattr(alone, name), name
        bk.override_strategy_schema(
            strategy_name="s0", signals=vectorized(plan, "s0"), params={"stretch": 1.0}
        )
    bk.reset()
