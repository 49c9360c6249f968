"""A sweep of any parameter is a backtest per row: whatever is varied, whichever plan, stopped and continued or not."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bkapi as bk
from bkapi import ParameterSweep, Policy, Space, Sweep, SweepError, SweepFolderError, SweepResult
from bkapi.base import config
from bkapi.errors import BkError, SchemaError, UnknownNameError
from bkapi.sweeps.result import SweepResultError
from bkcore.statistics.metrics import METRIC_NAMES
from bkcore.sweeps.paths import PathSweep
from bkcore.sweeps.static import StaticSweep
from bkcore.synthetic import generate
from tests.shares import share

START = datetime(2024, 1, 1, tzinfo=UTC)
MINUTES = 4 * 1440
SYMBOLS = ("BTCUSDT", "ETHUSDT")
FRAMES = {"early": (1, 2), "days": (1, 4)}
CONTEXT = {"strategy_name": "turns", "exchange_name": "memory", "frame_name": "days"}
BRACKET = ("take_profit_percent", "stop_loss_percent", "lifetime_minutes")
NUMBERS = count()


@cache
def candles_of(symbol: str) -> Any:
    """Four synthetic days."""
    return generate(symbol=symbol, start=START, minutes=MINUTES, seed=11 + SYMBOLS.index(symbol))


def turns(candles: pl.DataFrame, look: int = 30, side: str = "against") -> pl.DataFrame:
    """Every half hour: against the last minutes, or with them."""
    up, down = ("short", "long") if side == "against" else ("long", "short")
    return (
        candles.select(timestamp="closed_at", change=pl.col("close") - pl.col("close").shift(look))
        .filter((pl.col("timestamp") % 1_800_000 == 0) & pl.col("change").is_not_null())
        .select(
            "timestamp",
            position=pl.when(pl.col("change") > 0).then(pl.lit(up)).otherwise(pl.lit(down)),
            take_profit_percent=pl.lit(1.0),
            stop_loss_percent=pl.lit(1.0),
            minute_estimated_time=pl.lit(120),
        )
    )


def priced(candles: pl.DataFrame, look: int = 30) -> pl.DataFrame:
    """The same with levels as prices."""
    close = candles.select(timestamp="closed_at", close="close")
    side = pl.when(pl.col("position") == "long").then(1).otherwise(-1)
    return (
        turns(candles, look)
        .join(close, on="timestamp")
        .select(
            *("timestamp", "position", "minute_estimated_time"),
            price_take_profit=pl.col("close") * (1 + side * 0.012),
            price_stop_loss=pl.col("close") * (1 - side * 0.012),
        )
    )


def resting(candles: pl.DataFrame, below: float = 0.1) -> pl.DataFrame:
    """Orders a little better than the market."""
    close = candles.select(timestamp="closed_at", close="close")
    side = pl.when(pl.col("position") == "long").then(1).otherwise(-1)
    return (
        turns(candles)
        .join(close, on="timestamp")
        .with_columns(price_open=pl.col("close") * (1 - side * below / 100))
        .drop("close")
    )


def kernel(
    when: Any,
    price: Any,
    open: Any,  # noqa: A002
    high: Any,
    low: Any,
    close: Any,
    volume: Any,
    params: Any,
    memory: Any,
    signal: Any,
) -> Any:
    """Against the last ``params[0]`` minutes, ``params[1]`` percent to either level."""
    look = int(params[0])
    if close.size <= look:
        return 0
    side = -1 if close[-1] > close[-1 - look] else 1
    signal.side = side
    signal.take_profit = price * (1 + side * params[1] / 100)
    signal.stop_loss = price * (1 - side * params[1] / 100)
    signal.lifetime = 90.0
    return 1


def manage(
    when: Any,
    price: Any,
    known_price: Any,
    open: Any,  # noqa: A002
    high: Any,
    low: Any,
    close: Any,
    volume: Any,
    position: Any,
    params: Any,
    memory: Any,
    orders: Any,
) -> Any:
    """Close when the price is ``params[0]`` percent ahead."""
    if position.side * (price / position.effective_open - 1) * 100 < params[0]:
        return 0
    orders[0, 0] = bk.Command.CLOSE
    orders[0, 1] = 0
    return 1


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """Four synthetic days of two symbols, two frames, a strategy of each form."""
    logger, level = logging.getLogger("bkapi"), logging.getLogger("bkapi").level
    logger.setLevel(logging.CRITICAL)
    bk.reset()
    bk.add_exchange_schema(exchange_name="memory", candles={name: candles_of(name) for name in SYMBOLS})
    for name, (first, last) in FRAMES.items():
        bk.add_frame_schema(
            frame_name=name,
            start_date=datetime(2024, 1, first, 1, tzinfo=UTC),
            end_date=datetime(2024, 1, last, 20, tzinfo=UTC),
        )
    defaults = {"look": 30, "side": "against"}
    bk.add_strategy_schema(strategy_name="turns", interval="30m", signals=turns, params=defaults)
    bk.add_strategy_schema(strategy_name="priced", interval="30m", signals=priced, params={"look": 30})
    bk.add_strategy_schema(strategy_name="resting", interval="30m", signals=resting, params={"below": 0.1})
    bk.add_strategy_schema(
        strategy_name="jitted", interval="30m", kernel=kernel, params={"look": 30, "reach": 1.0}
    )
    bk.add_strategy_schema(
        strategy_name="managed",
        interval="30m",
        signals=lambda candles, ahead: turns(candles),
        manage=manage,
        params={"ahead": 0.5},
    )
    yield
    bk.reset()
    logger.setLevel(level)


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count the rows that a plan leaves to a slower one: few enough that the plan itself is tested."""

    def counting(measure: Any) -> Any:
        def measure_and_count(*arguments: Any, **options: Any) -> Any:
            found = measure(*arguments, **options)
            unclear = found[2]
            share("rows left to a slower plan", unclear.sum(), unclear.size, most=0.02)
            return found

        return measure_and_count

    for plan in (StaticSweep, PathSweep):
        monkeypatch.setattr(plan, "measure", counting(plan.measure))


def sweep(space: Space, strategy_name: str = "turns", **options: Any) -> ParameterSweep:
    if "symbols" not in options:
        options.setdefault("symbol", "BTCUSDT")
    return Sweep({**CONTEXT, "strategy_name": strategy_name}, space, **options)


def swept(space: Space, strategy_name: str = "turns", **options: Any) -> SweepResult:
    return sweep(space, strategy_name, **options).run(progress=False)


def alone(row: dict[str, Any], strategy_name: str, symbol: str, frame_name: str, policy: Any) -> Any:
    """The backtest of a strategy that is written with the parameters of a row; signals of it, not the sweep's."""
    schema = bk.get_strategy_schema(strategy_name)
    bracket = {name: float(row[name]) for name in BRACKET if name in row}
    levels = {{"lifetime_minutes": "minute_estimated_time"}.get(n, n): pl.lit(v) for n, v in bracket.items()}
    rules = {name: row[name] for name in row if name in Policy.model_fields}
    own = {**schema.params, **{name: row[name] for name in row if name in schema.params}}
    fields: dict[str, Any] = {"interval": schema.interval, "kernel": schema.kernel, "manage": schema.manage}
    if schema.signals is not None:
        signals = schema.signals
        fields["signals"] = lambda candles, **params: signals(candles, **params).with_columns(**levels)
    known = {} if policy is None else policy.model_dump(exclude_unset=True)
    if known or rules:
        fields["policy"] = Policy(**{**known, **rules})
    name = f"alone {next(NUMBERS)}"
    bk.add_strategy_schema(strategy_name=name, params=own, **fields)
    context = {**CONTEXT, "strategy_name": name, "frame_name": frame_name}
    for _ in bk.Backtest.run(symbol, context):
        pass
    return bk.Backtest.last_run(symbol, context)


def assert_rows_are_backtests(result: SweepResult, space: Space, strategy_name: str = "turns") -> None:
    """Every row equals the backtest of its parameters."""
    policy = bk.get_strategy_schema(strategy_name).policy
    for row in result.frame.iter_rows(named=True):
        chosen = space.parameters(row["combination"])
        run = alone(
            chosen,
            strategy_name,
            row.get("symbol", "BTCUSDT"),
            row.get("frame_name", CONTEXT["frame_name"]),
            policy,
        )
        statistics = run.statistics()
        assert row["total_trades"] == statistics.total_signals
        for name in METRIC_NAMES:
            if name not in row or not hasattr(statistics, name):
                continue
            assert_close(row[name], getattr(statistics, name), (name, chosen))


def assert_close(got: Any, wanted: Any, told: Any) -> None:
    """Equal, numbers up to the rounding of sums."""
    same = (
        got == wanted
        if isinstance(wanted, str | int | None)
        else abs(got - wanted) <= 1e-9 * (1 + abs(wanted))
    )
    assert same, (told, got, wanted)


# ---------------------------------------------------------------------------------- every row is a backtest

ROWS: dict[str, tuple[str, Space, dict[str, Any], str]] = {
    "bracket": (
        "turns",
        Space.grid(
            take_profit_percent=[0.6, 1.0, 1.7], stop_loss_percent=[0.7, 1.3], lifetime_minutes=[30, 240]
        ),
        {"metrics": "all"},
        "",
    ),
    "signals": ("turns", Space.grid(look=[5, 30], side=["against", "with"]), {}, "paths"),
    "signals inside": (
        "turns",
        Space.grid(take_profit_percent=[0.6, 1.7], look=[5, 30], stop_loss_percent=[0.7, 1.3]),
        {"metrics": "all"},
        "",
    ),
    "policy": (
        "turns",
        Space.grid(breakeven_from_percent=[0.2, None], partial_profit=[((50.0, 50.0),), ()]),
        {"metrics": "all"},
        "paths",
    ),
    "averaging": ("turns", Space.grid(dca_step_percent=[0.2, 0.5], look=[5, 30]), {}, "paths"),
    "trails": (
        "turns",
        Space.grid(trailing_stop_distance_percent=[None, 0.3, 0.6])
        * Space.grid(take_profit_percent=[0.6, 1.7]),
        {},
        "",
    ),
    "random": (
        "turns",
        Space.random(
            *(12,),
            seed=5,
            look=(5, 60),
            take_profit_percent=(0.6, 2.0),
            trailing_stop_distance_percent=(0.2, 1.0),
        ),
        {},
        "paths",
    ),
    "markets": (
        "turns",
        Space.grid(look=[5, 30], take_profit_percent=[0.6, 1.7]),
        {"symbols": SYMBOLS, "frame_names": list(FRAMES)},
        "",
    ),
    "conditions": (
        "turns",
        Space.grid(look=[5, 30, 60], lifetime_minutes=[30, 60, 90]).where(
            pl.col("look") < pl.col("lifetime_minutes")
        ),
        {},
        "",
    ),
    "kernel": ("jitted", Space.grid(look=[5, 30], reach=[0.6, 1.2]), {"metrics": "all"}, "machine"),
    "manage": ("managed", Space.grid(ahead=[0.2, 0.9], take_profit_percent=[0.6, 1.7]), {}, "machine"),
    "resting": ("resting", Space.grid(below=[0.1, 0.4], lifetime_minutes=[30, 90]), {}, "machine"),
    "prices": ("priced", Space.grid(look=[5, 30], lifetime_minutes=[30, 90]), {"metrics": "all"}, ""),
    "nothing": ("turns", Space.grid(), {}, "paths"),
}


@pytest.mark.parametrize("what", ROWS)
def test_every_row_is_the_backtest_of_its_parameters(what: str) -> None:
    strategy_name, space, options, plan = ROWS[what]
    made = sweep(space, strategy_name, **options)
    told = made.explain()
    assert told.plan == plan or (not plan and told.plan in ("tables", "paths"))
    assert f"plan: {told.plan}, because" in repr(told)
    result = made.run(progress=False)
    markets = len(options.get("symbols", [0])) * len(options.get("frame_names", [0]))
    assert len(result) == len(space) * markets
    assert result.frame["total_trades"].max() > 10
    assert_rows_are_backtests(result, space, strategy_name)


@pytest.mark.real_prices
@pytest.mark.parametrize("fill", ["next_open", "last_close"])
@pytest.mark.parametrize("what", ROWS)
def test_every_row_is_the_backtest_of_its_parameters_at_real_prices(
    what: str, fill: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy_name, space, options, _ = ROWS[what]
    monkeypatch.setattr(config, "_current", {**config.get_config(), "CC_FILL_MODEL": fill})
    made = sweep(space, strategy_name, **options)
    told = made.explain()
    assert told.plan == "machine"
    assert "real prices" in told.reason or "jitted" in told.reason or "manage" in told.reason
    result = made.run(progress=False)
    assert result.frame["total_trades"].max() > 10
    assert_rows_are_backtests(result, space, strategy_name)


@pytest.mark.real_prices
def test_a_lifetime_at_real_prices_may_be_a_fraction_and_levels_may_be_missing() -> None:
    def bare(candles: pl.DataFrame) -> pl.DataFrame:
        return turns(candles).select("timestamp", "position")

    bk.override_strategy_schema(strategy_name="turns", signals=bare, params={})
    space = Space.grid(lifetime_minutes=[2.5, 90, float("inf")], take_profit_percent=[0.6, 1.7])
    result = swept(space)
    assert_rows_are_backtests(result, space)
    assert result.frame["total_trades"].n_unique() > 3
    with pytest.raises(SweepError, match="lifetime_minutes=0 is not between 0 and"):
        sweep(Space.grid(lifetime_minutes=[0]))
    with pytest.raises(SweepError, match="give their levels as prices"):
        sweep(Space.grid(stop_loss_percent=[1.0]), "priced").explain()


def test_rules_of_the_strategy_stay_where_none_is_varied() -> None:
    rules = Policy(trailing_stop_distance_percent=0.4, breakeven_from_percent=0.3)
    bk.override_strategy_schema(strategy_name="turns", policy=rules)
    for space in (
        Space.grid(trailing_stop_distance_percent=[0.2, 0.9], look=[5, 30]),
        Space.grid(take_profit_percent=[0.6, 1.7]),
    ):
        assert_rows_are_backtests(swept(space), space)


@pytest.mark.parametrize("strategy_name", ["turns", "jitted"])
def test_candles_with_holes_are_swept_by_whole_runs(strategy_name: str) -> None:
    holed = candles_of("BTCUSDT").frame.filter(
        (pl.int_range(pl.len()) % 1500 < 1440) | (pl.int_range(pl.len()) < 200)
    )
    bk.override_exchange_schema(
        exchange_name="memory",
        candles={"BTCUSDT": bk.CandleFrame.from_any(holed, symbol="BTCUSDT", interval="1m", gaps="keep")},
    )
    space = Space.grid(look=[5, 30]) * (
        Space.grid(take_profit_percent=[0.6, 1.7])
        if strategy_name == "turns"
        else Space.grid(reach=[0.6, 1.2])
    )
    made = sweep(space, strategy_name)
    assert made.explain().plan == "machine"
    assert_rows_are_backtests(made.run(progress=False), space, strategy_name)


def test_the_plan_changes_no_number() -> None:
    """Each combination alone is too few for tables, all of them are not."""
    axes = {
        "take_profit_percent": [0.5 + k / 20 for k in range(16)],
        "stop_loss_percent": [0.5 + k / 20 for k in range(16)],
        "trailing_stop_distance_percent": [0.3, 0.5, None],
    }
    space = Space.grid(**axes)
    whole = sweep(space, metrics="all")
    assert whole.explain().plan == "tables"
    table = whole.run(progress=False).frame
    for number in range(0, 768, 97):
        single = Space.grid(**{name: [value] for name, value in space.parameters(number).items()})
        made = sweep(single, metrics="all")
        assert made.explain().plan == "paths"
        one = made.run(progress=False).frame.row(0, named=True)
        other = table.row(number, named=True)
        for name in METRIC_NAMES:
            assert_close(one[name], other[name], (name, number))


# -------------------------------------------------------------------------------------- order, memory, threads


def test_rows_come_in_the_order_of_combinations_however_they_are_measured() -> None:
    inner = Space.grid(take_profit_percent=[0.6, 1.0, 1.7], look=[5, 30], lifetime_minutes=[30, 60])
    result = swept(inner, symbols=SYMBOLS)
    assert result.frame["combination"].to_list() == [*range(12)] * 2
    assert result.frame["symbol"].to_list() == ["BTCUSDT"] * 12 + ["ETHUSDT"] * 12
    for row in result.frame.iter_rows(named=True):
        assert {name: row[name] for name in inner.names} == inner.parameters(row["combination"])
    outer = swept(Space.grid(look=[5, 30], take_profit_percent=[0.6, 1.0, 1.7], lifetime_minutes=[30, 60]))
    keys = list(inner.names)
    one, other = (r.frame.sort(keys).drop("combination") for r in (result.where(symbol="BTCUSDT"), outer))
    assert one.drop("symbol").equals(other.select(one.drop("symbol").columns))


def test_threads_and_memory_change_nothing() -> None:
    space = Space.grid(
        take_profit_percent=[0.5 + k / 20 for k in range(20)],
        stop_loss_percent=[0.5 + k / 20 for k in range(20)],
    )
    wanted = swept(space, metrics="all", threads=1).frame
    for options in (
        {"threads": 2},
        {"max_memory": "66M"},
        {"max_memory": "70MiB", "threads": 3},
        {"max_memory": 3e9},
    ):
        assert swept(space, metrics="all", **options).frame.equals(wanted), options


def test_groups_of_metrics_agree_on_what_they_share() -> None:
    space = Space.grid(take_profit_percent=[0.6, 1.7], look=[5, 30])
    frames = {group: swept(space, metrics=group).frame for group in ("results", "drawdown", "all")}
    for less, more in (("results", "drawdown"), ("drawdown", "all")):
        assert set(frames[less].columns) < set(frames[more].columns)
        for name in frames[less].columns:
            one, other = frames[less][name], frames[more][name]
            assert one.dtype == other.dtype
            if one.dtype == pl.Float64:
                close = ((one - other).abs() <= 1e-9 * (1 + other.abs())) | (one.is_null() & other.is_null())
                assert close.all(), name
            else:
                assert one.equals(other), name
    assert "max_drawdown" not in frames["results"].columns
    assert "median_pnl" not in frames["drawdown"].columns


# -------------------------------------------------------------------------------------------------- results


def test_a_result_is_ranked_cut_and_looked_into(tmp_path: Path) -> None:
    space = Space.grid(take_profit_percent=[0.6, 1.0, 1.7], look=[5, 30])
    result = swept(space, symbols=SYMBOLS)
    ranked = result.top(5, by="total_pnl")["total_pnl"].to_list()
    assert ranked == sorted(result.frame["total_pnl"].to_list(), reverse=True)[:5]
    assert result.top(1, by="max_drawdown")["max_drawdown"][0] == result.frame["max_drawdown"].min()
    assert result.top(0).height == 0
    assert result.top(10**400).height == len(result)
    best = result.where(pl.col("total_trades") > 10, symbol="ETHUSDT")
    assert len(best) == 6
    assert set(best.frame["symbol"]) == {"ETHUSDT"}
    assert len(best.where(look=5)) == 3
    assert len(best.where()) == 6
    assert len(result.where(pl.col("total_trades") < 0)) == 0
    assert "0 combinations" in repr(result.where(pl.col("total_trades") < 0))

    table = result.heatmap("look", "take_profit_percent", "total_pnl")
    assert table.columns == ["take_profit_percent", "5", "30"]
    cell = result.where(look=5, take_profit_percent=1.0).frame["total_pnl"]
    assert len(cell) > 1
    for other, value in (("mean", cell.mean()), ("median", cell.median()), ("best", cell.max())):
        shown = result.heatmap("look", "take_profit_percent", "total_pnl", other=other)
        assert shown.filter(take_profit_percent=1.0)["5"][0] == value
        assert (other == "best") != shown.equals(table)
    deepest = result.heatmap("look", "take_profit_percent", "max_drawdown", other="best")
    least = result.where(look=5, take_profit_percent=1.0).frame["max_drawdown"].min()
    assert deepest.filter(take_profit_percent=1.0)["5"][0] == least
    assert result.heatmap("symbol", "look", "max_drawdown").shape == (2, 3)

    row = result.frame.row(9, named=True)
    assert row["symbol"] == "ETHUSDT"
    trades = result.trades(row["combination"], symbol="ETHUSDT")
    assert trades.height == row["total_trades"]
    assert trades["pnl_percent"].sum() == pytest.approx(row["total_pnl"])
    assert result.statistics(3, symbol="ETHUSDT").total_signals == row["total_trades"]
    run = result.run(3, symbol="ETHUSDT")
    assert run.events.height > 0
    assert run.symbol == "ETHUSDT"

    path = result.to_parquet(tmp_path / "deep" / "rows.parquet")
    assert pl.read_parquet(path).equals(result.frame)
    text, html = repr(result), result._repr_html_()
    assert text.startswith("12 combinations of 'turns' on BTCUSDT, ETHUSDT, the best by sharpe_ratio:")
    assert "<table" in html
    assert "take_profit_percent" in html


def test_a_parameter_that_is_none_or_no_number_can_be_asked_for() -> None:
    halves = ((50.0, 50.0),)
    space = Space.grid(breakeven_from_percent=[None, 0.2], partial_profit=[(), halves])
    result = swept(space)
    assert result.where(breakeven_from_percent=None).frame["combination"].to_list() == [0, 1]
    assert result.where(breakeven_from_percent=0.2, partial_profit=halves).frame["combination"].to_list() == [
        3
    ]
    assert result.heatmap(metric="total_trades").shape == (2, 3)


def test_values_of_other_types_are_other_signals() -> None:
    bk.override_strategy_schema(
        strategy_name="turns",
        signals=lambda candles, look, side: turns(candles, 5 if isinstance(look, bool) else 60),
    )
    space = Space.grid(look=[1, True, 1.0])
    result = swept(space)
    assert_rows_are_backtests(result, space)
    assert result.frame["total_pnl"].n_unique() == 2


def test_a_sweep_that_needs_more_than_max_memory_is_refused_before_it_starts(tmp_path: Path) -> None:
    space = Space.grid(
        take_profit_percent=[1 + k / 1000 for k in range(300)],
        stop_loss_percent=[1 + k / 1000 for k in range(300)],
    )
    made = sweep(space, max_memory="150M")
    needs = r"the sweep needs \d+ MB .* more than max_memory=150.0 MB.\n.*max_memory=\"\d+M\", or a folder"
    with pytest.raises(SweepError, match=needs):
        made.run(progress=False, folder=None)
    with pytest.raises(SweepError, match=r"more than max_memory=0\.0 MB"):
        sweep(Space.grid(look=[5, 30]), max_memory=1).run(folder=tmp_path, progress=False)
    assert not any(tmp_path.iterdir())
    assert len(swept(Space.grid(look=[5, 30]), max_memory="20M")) == 2


def test_a_parquet_file_of_a_result_is_whole_or_not_there(tmp_path: Path) -> None:
    result = swept(Space.grid(look=[5, 30]))
    path = result.to_parquet(tmp_path / "rows.parquet")
    before = path.read_bytes()
    broken = result.where(pl.col("look").map_elements(lambda value: 1 / 0, return_dtype=pl.Boolean))
    with pytest.raises(Exception, match="division by zero"):
        broken.to_parquet(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["rows.parquet"]


def test_a_question_that_a_result_cannot_answer_is_refused() -> None:
    result = swept(Space.grid(look=[5, 30]), symbols=SYMBOLS)
    for ask, kind, words in (
        (lambda: result.trades(0), SweepError, "name 2 markets"),
        (lambda: result.trades(0, symbol="XRP"), SweepError, "BTCUSDT in days, ETHUSDT in days"),
        (lambda: result.trades(2, symbol="BTCUSDT"), BkError, "from 0 to 1"),
        (lambda: result.top(-1), SweepResultError, "n=-1"),
        (lambda: result.top(by="sharp_ratio"), UnknownNameError, "did you mean 'sharpe_ratio'"),
        (lambda: result.where(lok=5), UnknownNameError, "did you mean 'look'"),
        (lambda: result.where(lambda row: True), SweepResultError, "no Polars expression"),  # type: ignore[arg-type]
        (lambda: result.heatmap(), SweepResultError, "two parameters"),
        (lambda: result.heatmap("look", "look"), SweepResultError, "both 'look'"),
        (lambda: result.heatmap(other="worst"), SweepResultError, "one of best, mean, median"),
        (lambda: result.heatmap("look", "symbl"), UnknownNameError, "did you mean 'symbol'"),
        (lambda: result.heatmap("look", "symbol", "win"), UnknownNameError, "win"),
    ):
        with pytest.raises(kind, match=words) as caught:
            ask()
        assert "Hint:" in str(caught.value)


# --------------------------------------------------------------------------- progress, stopping, going on

MANY = Space.grid(look=[5, 30], take_profit_percent=[0.5 + k / 100 for k in range(300)]).where(
    pl.col("take_profit_percent") != 0.75
)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 128 combinations: five of :data:`MANY`."""
    monkeypatch.setattr("bkapi.sweeps.sweep._PART_COMBINATIONS", (128, 128))


@pytest.mark.usefixtures("small_parts")
def test_progress_never_goes_back_and_reaches_the_total(tmp_path: Path) -> None:
    for folder in (None, tmp_path, tmp_path):
        for part in list(tmp_path.glob("part-0000-0000000[13]*")):
            part.unlink()
        heard: list[tuple[int, int]] = []
        sweep(MANY, symbols=SYMBOLS).run(folder=folder, progress=partial(hear, heard))
        assert [done for done, _ in heard] == sorted(done for done, _ in heard)
        assert {total for _, total in heard} == {1200}
        assert heard[-1] == (1200, 1200)
        assert len({done for done, _ in heard}) >= 10


def hear(heard: list[tuple[int, int]], done: int, total: int) -> None:
    """A listener that writes down."""
    heard.append((done, total))


def stopping_at(done_at: int) -> Any:
    """A listener that presses Ctrl-C."""

    def press(done: int, total: int) -> None:
        if done >= done_at:
            raise KeyboardInterrupt

    return press


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("strategy_name", ["turns", "jitted"])
def test_what_is_done_survives_ctrl_c_and_the_folder_goes_on(tmp_path: Path, strategy_name: str) -> None:
    space = MANY if strategy_name == "turns" else Space.grid(look=range(5, 305), reach=[0.6, 1.2])
    whole = swept(space, strategy_name).frame
    partly = sweep(space, strategy_name).run(progress=stopping_at(300))
    assert not partly.complete
    assert "stopped before the end" in repr(partly)
    kept = partly.frame.sort("combination")
    assert 0 < kept.height < whole.height
    assert kept.equals(whole.filter(pl.col("combination").is_in(kept["combination"].implode())))

    stopped = sweep(space, strategy_name).run(folder=tmp_path, progress=stopping_at(300))
    assert not stopped.complete
    assert stopped.frame.sort("combination").equals(kept)
    found = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("part-*")}
    assert len(found) == 2
    again = sweep(space, strategy_name).run(folder=tmp_path, progress=False)
    assert again.complete
    assert again.frame.equals(whole)
    assert found.items() <= {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("part-*")}.items()
    assert again.trades(again.top(1)["combination"][0]).height > 0


def test_ctrl_c_before_anything_is_done_is_ctrl_c(tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        with pytest.raises(KeyboardInterrupt):
            sweep(Space.grid(look=[5, 30])).run(folder=folder, progress=stopping_at(1))


@pytest.mark.usefixtures("small_parts")
def test_other_threads_memory_and_speed_go_on_with_the_same_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sweep(MANY, threads=2).run(folder=tmp_path, progress=False).frame
    for part in list(tmp_path.glob("part-*"))[::2]:
        part.unlink()
    monkeypatch.setattr(
        "bkapi.sweeps.sweep._PART_COMBINATIONS", (256, 65_536)
    )  # as if the machine were slower
    again = sweep(MANY, threads=1, max_memory="100M").run(folder=tmp_path, progress=False).frame
    assert again.equals(whole)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "swapped"])
def test_a_damaged_part_is_measured_again(tmp_path: Path, damage: str) -> None:
    whole = sweep(MANY).run(folder=tmp_path, progress=False).frame
    parts = sorted(tmp_path.glob("part-*"))
    victim, content = parts[2], parts[2].read_bytes()
    middle = len(content) // 2
    victim.write_bytes(
        {
            "cut": content[:middle],
            "flipped": content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :],
            "empty": b"",
            "swapped": parts[0].read_bytes(),
        }[damage]
    )
    assert sweep(MANY).run(folder=tmp_path, progress=False).frame.equals(whole)
    assert sorted(tmp_path.glob("part-*")) == parts
    assert victim.read_bytes() == content


@pytest.mark.usefixtures("small_parts")
def test_parts_of_another_sweep_are_put_aside_and_the_right_ones_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = Space.grid(look=[5, 30], take_profit_percent=[0.7 + k / 100 for k in range(300)])
    whole = sweep(MANY).run(folder=tmp_path / "a", progress=False).frame
    sweep(other).run(folder=tmp_path / "b", progress=False)
    own = sorted((tmp_path / "a").glob("part-*"))
    for part in (tmp_path / "b").glob("part-*"):
        shutil.copy(part, tmp_path / "a")
    with caplog.at_level(logging.WARNING, logger="bkapi"):
        assert sweep(MANY).run(folder=tmp_path / "a", progress=False).frame.equals(whole)
    assert sorted((tmp_path / "a").glob("part-*")) == own
    assert len([*(tmp_path / "a" / "aside").iterdir()]) == len([*(tmp_path / "b").glob("part-*")])
    assert f"lie in {tmp_path / 'a' / 'aside'}" in caplog.text


@pytest.mark.usefixtures("small_parts")
def test_a_manifest_that_was_edited_is_refused(tmp_path: Path) -> None:
    whole = sweep(MANY).run(folder=tmp_path, progress=False).frame
    manifest = tmp_path / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace('"part_combinations": 128', '"part_combinations": 64'))
    with pytest.raises(SweepFolderError, match="was changed: part_combinations is 64"):
        sweep(MANY).run(folder=tmp_path, progress=False)
    manifest.write_text(text)
    assert sweep(MANY).run(folder=tmp_path, progress=False).frame.equals(whole)


@pytest.mark.usefixtures("small_parts")
def test_a_full_disk_is_one_sentence_and_what_is_done_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = swept(MANY)

    def full(at: int) -> Any:
        left, fsync = [at], os.fsync

        def flush(handle: int) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            fsync(handle)

        return flush

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full(6))
        with pytest.raises(SweepFolderError, match=r"cannot be written: No space left.*\nHint: make room"):
            sweep(MANY).run(folder=tmp_path / "parts", progress=False)
    done = {path: path.read_bytes() for path in (tmp_path / "parts").iterdir()}
    assert 1 < len(done) < 6
    assert not any(path.name.startswith(".") for path in done)
    again = sweep(MANY).run(folder=tmp_path / "parts", progress=False)
    assert again.frame.equals(whole.frame)
    assert all(path.read_bytes() == content for path, content in done.items())
    for place in ("/dev/full/rows.parquet", tmp_path / "parts" / "manifest.json" / "rows.parquet"):
        with pytest.raises(SweepFolderError, match="cannot be written"):
            whole.to_parquet(place)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(SweepFolderError, match="device, pipe or socket"):
            whole.to_parquet(tmp_path / "pipe")
        (tmp_path / "pipe").unlink()
    monkeypatch.setattr(Path, "replace", lambda self, target: full(0)(0))
    with pytest.raises(SweepFolderError, match="No space left"):
        whole.to_parquet(tmp_path / "rows.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["parts"]


@pytest.mark.usefixtures("small_parts")
def test_a_result_in_a_folder_is_the_one_in_memory(tmp_path: Path) -> None:
    space = Space.grid(take_profit_percent=[0.5 + k / 100 for k in range(150)], look=[5, 30])
    options: dict[str, Any] = {"metrics": "all", "symbols": SYMBOLS, "frame_names": list(FRAMES)}
    result = sweep(space, **options).run(folder=tmp_path / "a", progress=False)
    wanted = swept(space, **options)
    assert result.frame.equals(wanted.frame)
    assert result.frame.schema == wanted.frame.schema
    assert result.top(3).equals(wanted.top(3))
    assert pl.read_parquet(result.to_parquet(tmp_path / "rows.parquet")).equals(wanted.frame)


def test_the_folder_of_another_sweep_is_refused_and_the_difference_named(tmp_path: Path) -> None:
    space = Space.grid(look=[5, 30], take_profit_percent=[0.6, 1.0])
    sweep(space).run(folder=tmp_path, progress=False)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def refused(other: ParameterSweep, *fields: str) -> None:
        with pytest.raises(SweepFolderError) as caught:
            other.run(folder=tmp_path, progress=False)
        text = str(caught.value)
        assert str(tmp_path) in text
        assert "choose an empty folder" in text
        for field in fields:
            assert f"{field} differs" in text
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    refused(sweep(Space.grid(look=[5, 31], take_profit_percent=[0.6, 1.0])), "space")
    refused(sweep(space.where(pl.col("look") > 1)), "space")
    refused(sweep(space, metrics="all"), "metrics")
    refused(sweep(space, symbol="ETHUSDT"), "markets")
    refused(sweep(space, symbols=SYMBOLS), "markets")
    refused(sweep(space, frame_names=["early"]), "markets")
    bk.set_config({"CC_PERCENT_FEE": 0.05})
    refused(sweep(space), "settings")
    bk.set_config({"CC_PERCENT_FEE": 0.1})
    changes: list[dict[str, Any]] = [
        {"signals": lambda candles, look, side: turns(candles, look + 1, side)},
        {"params": {"look": 31, "side": "against"}},
        {"policy": Policy(breakeven_from_percent=0.5)},
        {"interval": "15m"},
        {"policy": Policy(breakeven_from_percent=0.4)},
    ]
    for change in changes:
        bk.override_strategy_schema(strategy_name="turns", **change)
        refused(sweep(space), "strategy")
    bk.add_strategy_schema(strategy_name="others", interval="30m", signals=turns, params={"look": 30})
    refused(sweep(Space.grid(look=[5, 30], take_profit_percent=[0.6, 1.0]), "others"), "strategy_name")


def test_other_candles_are_another_sweep(tmp_path: Path) -> None:
    space = Space.grid(take_profit_percent=[0.6, 1.0])
    sweep(space).run(folder=tmp_path, progress=False)
    other = generate(symbol="BTCUSDT", start=START, minutes=MINUTES, seed=99)
    bk.override_exchange_schema(exchange_name="memory", candles={"BTCUSDT": other})
    sweep(space).run(folder=tmp_path, progress=False)  # it is in use: the override waits
    bk.forget_exchanges("memory")
    with pytest.raises(SweepFolderError, match="markets differs"):
        sweep(space).run(folder=tmp_path, progress=False)


def test_a_folder_that_is_no_folder_of_a_sweep_is_refused(tmp_path: Path) -> None:
    made = sweep(Space.grid(take_profit_percent=[0.6, 1.0]))
    (tmp_path / "file").write_text("")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "manifest.json").write_text("{")
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "manifest.json").write_text("[]")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "part-0000-00000000-0.parquet").write_text("")
    for name, words in (
        ("file", "cannot be used"),
        ("text", "no manifest"),
        ("list", "another sweep"),
        ("parts", "without a manifest"),
    ):
        with pytest.raises(SweepFolderError, match=words) as caught:
            made.run(folder=tmp_path / name, progress=False)
        assert "Hint: choose" in str(caught.value)


# --------------------------------------------------------------------------------------------------- errors


def test_conditions_that_leave_little_or_nothing() -> None:
    space = Space.grid(take_profit_percent=[0.5 + k / 1000 for k in range(2000)])
    few = space.where(pl.col("take_profit_percent") > 2.49)
    assert len(swept(few)) == 9
    assert sweep(few).explain().combinations == 2000
    for ask in (lambda made: made.run(progress=False), lambda made: made.explain()):
        for nothing in (space.where(pl.lit(False)), Space.grid(look=[5, 30]).where(pl.col("look") > 99)):
            with pytest.raises(SweepError, match="no combination meets the conditions"):
                ask(sweep(nothing))


def test_a_start_without_a_distance_may_be_excluded_by_a_condition() -> None:
    distance = "trailing_stop_distance_percent"
    space = Space.grid(
        **{distance: [None, 0.3, 0.6], "trailing_stop_from_percent": [0.0, 0.5]},
        take_profit_percent=[0.5 + k / 20 for k in range(20)],
        stop_loss_percent=[0.5 + k / 20 for k in range(20)],
    ).where(pl.col(distance).is_not_null())
    made = sweep(space)
    assert made.explain().plan == "tables"
    assert len(made.run(progress=False)) == 1600


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"symbol": None}, SweepError, ["no symbol", 'symbol="BTCUSDT"']),
        ({"symbols": ["ETHUSDT", "BTCUSDT"], "symbol": "BTCUSDT"}, SweepError, ["'BTCUSDT' twice"]),
        ({"symbol": "XRPUSDT"}, BkError, ["XRPUSDT", "BTCUSDT, ETHUSDT"]),
        ({"frame_names": ["dys"]}, UnknownNameError, ["did you mean 'days'"]),
        ({"metrics": "everything"}, SweepError, ["metrics='everything'", "results, drawdown or all"]),
        ({"threads": 0}, SweepError, ["threads=0", "leave threads out"]),
        ({"threads": 10**30}, SweepError, ["from 1 to 1,024"]),
        ({"threads": 1.5}, SweepError, ["threads=1.5"]),
        ({"threads": "2"}, SweepError, ["threads='2'"]),
        ({"max_memory": "lots"}, SweepError, ["max_memory='lots'", '"2G"']),
        ({"max_memory": ""}, SweepError, ["max_memory=''"]),
        ({"max_memory": "inf"}, SweepError, ["max_memory='inf'"]),
        ({"max_memory": "1,5G"}, SweepError, ["max_memory='1,5G'"]),
        ({"max_memory": "2G or so"}, SweepError, ["max_memory='2G or so'"]),
        ({"max_memory": "2X"}, SweepError, ["max_memory='2X'"]),
        ({"max_memory": 0}, SweepError, ["max_memory=0"]),
        ({"max_memory": -5}, SweepError, ["max_memory=-5"]),
        ({"max_memory": None}, SweepError, ["max_memory=None"]),
    ],
)
def test_an_option_that_means_nothing_is_refused(
    options: dict[str, Any], kind: type[BkError], words: list[str]
) -> None:
    with pytest.raises(kind) as caught:
        sweep(Space.grid(look=[5, 30]), **options)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("strategy_name", "space", "kind", "words"),
    [
        ("turns", Space.grid(lok=[5]), UnknownNameError, ["lok", "did you mean 'look'"]),
        ("turns", Space.grid(take_profit=[5]), UnknownNameError, ["did you mean 'take_profit_percent'"]),
        ("turns", {"look": [5]}, SweepError, ["no Space", "Space.grid"]),
        ("turns", Space.grid(take_profit_percent=[0.1]), SweepError, ["take_profit_percent=0.1", "0.5"]),
        ("turns", Space.random(9, stop_loss_percent=(1, 90)), SweepError, ["stop_loss_percent=90", "20"]),
        ("turns", Space.random(9, lifetime_minutes=(30, 90.0)), SweepError, ["fractions", "(30, 90)"]),
        ("turns", Space.grid(close_at_loss_percent=[1, -1]), SchemaError, ["close_at_loss_percent=-1"]),
        ("turns", Space.grid(breakeven_from_percent=["x"]), SchemaError, ["breakeven_from_percent='x'"]),
        ("turns", Space.grid(partial_profit=[((9, 9), (3, 3))]), SchemaError, ["partial_profit", "rising"]),
        ("jitted", Space.grid(look=["x"]), SweepError, ["look='x' is no number"]),
        ("jitted", Space.grid(look=[None]), SweepError, ["look=None is no number"]),
        ("jitted", Space.grid(take_profit_percent=[1]), SweepError, ["sets its own levels", "params"]),
        ("priced", Space.grid(stop_loss_percent=[1, 2]), SweepError, ["levels as prices", "columns"]),
        ("asked", Space.grid(look=[5]), SweepError, ["no signals function", "signals="]),
        ("trendy", Space.grid(trend=[5]), SweepError, ["'trend'", "column of the result", "rename"]),
        ("unheard", Space.grid(look=[5]), UnknownNameError, ["unheard"]),
    ],
)
def test_what_cannot_be_swept_is_said_before_anything_is_measured(
    strategy_name: str, space: Any, kind: type[BkError], words: list[str]
) -> None:
    bk.add_strategy_schema(strategy_name="asked", get_signal=lambda *_: None, params={"look": 3})
    bk.add_strategy_schema(
        strategy_name="trendy", signals=lambda candles, trend: turns(candles, trend), params={"trend": 5}
    )
    with pytest.raises(kind) as caught:
        sweep(space, strategy_name).explain()
    for word in words:
        assert word in str(caught.value)
    assert "Hint:" in str(caught.value)


def test_what_a_signals_function_raises_is_raised() -> None:
    bk.override_strategy_schema(strategy_name="turns", signals=lambda candles, look, side: 1 / (look - 30))
    with pytest.raises(ZeroDivisionError):
        swept(Space.grid(look=[30]))


def test_more_rows_than_memory_holds_need_a_folder() -> None:
    wide = Space.grid(look=range(1, 3001), take_profit_percent=[1 + k / 1000 for k in range(3000)])
    with pytest.raises(SweepError, match="9,000,000 rows are too many") as caught:
        swept(wide)
    assert "folder" in str(caught.value)
