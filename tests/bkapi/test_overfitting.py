"""What a sweep says of its own winner, on markets of which the truth is known."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest

import bkapi as bk
from bkapi.errors import UnknownNameError
from bkapi.guards.overfitting import period_edges
from bkapi.guards.random_entries import random_entry_baseline
from bkapi.sweeps.result import SweepResultError
from tests.bkapi.planted_truth import HOUR, independent, judged, market, space, swept

SMALL = space(takes=5, stops=5)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    bk.reset()


@pytest.fixture(scope="module")
def noise() -> pl.DataFrame:
    """A market without an edge."""
    return market(1)


def test_on_noise_the_best_of_ten_thousand_is_flagged() -> None:
    found = [judged(seed, edge=0.0) for seed in range(4)]
    assert [one.trials for one in found] == [10_080] * 4
    assert sum(one.probabilistic_sharpe_ratio > 0.95 for one in found) >= 3  # what fools one
    assert max(one.deflated_sharpe_ratio for one in found) < 0.95
    assert np.mean([one.probability_of_backtest_overfitting or 0 for one in found]) > 0.2
    assert all(one.warnings for one in found)


def test_a_planted_edge_is_not_flagged() -> None:
    found = [judged(seed, edge=0.6) for seed in range(4)]
    assert min(one.deflated_sharpe_ratio for one in found) > 0.95
    assert max(one.probability_of_backtest_overfitting or 0 for one in found) < 0.05
    assert all("hour=12" in one.best for one in found)


def test_so_is_the_best_of_ten_thousand_independent_ones_and_an_edge_among_them_is_not() -> None:
    chance, edge = ([independent(seed, edge=edge) for seed in range(4)] for edge in (0.0, 0.6))
    assert all(one.probabilistic_sharpe_ratio > 0.999 for one in chance)
    assert all(one.effective_trials > 3_000 for one in chance)
    assert max(one.deflated_sharpe_ratio for one in chance) < 0.95
    assert np.mean([one.probability_of_backtest_overfitting or 0 for one in chance]) == pytest.approx(
        0.5, abs=0.25
    )
    assert min(one.deflated_sharpe_ratio for one in edge) > 0.95
    assert max(one.probability_of_backtest_overfitting or 0 for one in edge) < 0.05


def test_a_random_entry_does_as_well_as_noise_and_not_as_well_as_an_edge() -> None:
    chance = swept(market(2), SMALL).where(hour=3).overfitting(draws=49).random_entries
    edge = swept(market(2, edge=0.8), SMALL).where(hour=12).overfitting(draws=49).random_entries
    assert chance is not None
    assert edge is not None
    assert edge.p_value == 1 / 50 < chance.p_value
    assert edge.mean < edge.upper < edge.value


def test_random_entries_keep_sides_levels_and_number(noise: pl.DataFrame) -> None:
    run = swept(noise, SMALL).run(40)
    again = [random_entry_baseline(run, "total_trades", draws=9, seed=seed) for seed in (0, 0, 1)]
    assert again[0] == again[1] != again[2]
    assert again[0] is not None
    assert again[0].mean == pytest.approx(again[0].value, rel=0.1)


def test_returns_per_period_are_those_of_the_backtests(noise: pl.DataFrame) -> None:
    sweep = swept(noise, SMALL)._sweep
    assert sweep is not None
    rows = sweep.run(progress=False).frame
    combinations = np.array([7, 0, 312, 599])
    edges = period_edges(*sweep.span())
    returns = sweep.period_returns(combinations, rows["total_trades"].to_numpy()[combinations], edges)
    for place, combination in enumerate(combinations.tolist()):
        trades = sweep.play(combination, "BTCUSDT", "days").run.trades
        places = np.searchsorted(edges, trades["ended_at"], side="right") - 1
        expected = np.bincount(places, trades["pnl_percent"], edges.size - 1)
        assert returns[:, place] == pytest.approx(expected, abs=1e-12)


def test_periods_are_days_or_shorter_where_there_are_few() -> None:
    assert np.diff(period_edges(0, 200 * 24 * HOUR)).tolist() == [24 * HOUR] * 200
    assert np.diff(period_edges(0, 65 * 24 * HOUR)).tolist() == [12 * HOUR] * 130
    assert period_edges(0, 200 * 24 * HOUR + 1)[-1] == 201 * 24 * HOUR
    assert len(period_edges(0, HOUR)) == 129


def test_the_number_of_trials_is_that_of_the_sweep_whatever_is_looked_at(noise: pl.DataFrame) -> None:
    result = swept(noise, SMALL)
    narrowed = result.where(hour=5)
    found = narrowed.overfitting(most=100, draws=0)
    assert found.trials == len(result) == 600 > len(narrowed)
    assert found.measured_trials in (100, 101)
    assert "hour=5" in found.best
    assert narrowed.overfitting(most=100, draws=0, trials=100_000).trials == 100_000
    assert result.overfitting(draws=0).measured_trials == 600


def test_the_best_is_the_first_row_of_top(noise: pl.DataFrame) -> None:
    result = swept(noise, SMALL)
    for by in ("avg_pnl", "std_dev"):
        best = result.top(1, by=by).row(0, named=True)
        found = result.overfitting(by, most=50, draws=0)
        assert found.best == ", ".join(f"{name}={best[name]}" for name in result.parameters)
        assert found.neighbours > 0


def test_symbols_are_tried_side_by_side_and_frames_one_at_a_time(noise: pl.DataFrame) -> None:
    swept(noise, SMALL)
    bk.override_exchange_schema(exchange_name="memory", candles={"ONE": noise, "TWO": market(5)})
    bk.forget_exchanges("memory")
    context = {"strategy_name": "hourly", "exchange_name": "memory", "frame_name": "days"}
    both = bk.ParameterSweep(context, SMALL, symbols=["ONE", "TWO"]).run(progress=False)
    found = both.overfitting(most=80, draws=9)
    assert found.trials == 1200
    assert found.best.startswith(both.top(1)["symbol"][0])
    schema = bk.get_frame_schema("days")
    bk.add_frame_schema(
        frame_name="later", start_date=schema.end_date.replace(day=1), end_date=schema.end_date
    )
    times = bk.ParameterSweep(context, SMALL, symbol="ONE", frame_names=["days", "later"]).run(progress=False)
    with pytest.raises(bk.TooFewTrialsError, match="the sweep has 2 frames: days, later"):
        times.overfitting()
    assert times.overfitting(frame_name="days", draws=0).trials == 600


def test_a_random_space_has_neighbours_too(noise: pl.DataFrame) -> None:
    drawn = bk.Space.random(60, hour=[1, 2], take_profit_percent=(0.6, 3.0), stop_loss_percent=(0.6, 3.0))
    found = swept(noise, drawn).overfitting(draws=0)
    assert found.neighbours > 0
    assert found.plateau_score is not None
    assert 0.0 <= found.plateau_score <= 1.0


def test_a_best_row_without_a_rule_has_neighbours_without_it(noise: pl.DataFrame) -> None:
    """None stands among numbers: the neighbours of a row that has it have it too."""
    rules = bk.Space.grid(breakeven_from_percent=[None, 2.9], take_profit_percent=[1.0, 2.0], hour=[1, 2])
    result = swept(noise, rules)
    for rule in (None, 2.9):
        narrowed = result.where(breakeven_from_percent=rule)
        found = narrowed.overfitting(draws=0)
        assert f"breakeven_from_percent={rule}" in found.best
        assert found.neighbours == 3


def test_finished_runs_are_judged_like_combinations(noise: pl.DataFrame) -> None:
    result = swept(noise, SMALL)
    runs = {f"combination {k}": result.run(k) for k in range(0, 600, 60)}
    found = bk.overfitting_of_runs(runs, "avg_pnl", draws=9)
    values = {name: run.statistics().avg_pnl or 0.0 for name, run in runs.items()}
    assert found.best == max(values, key=lambda name: values[name])
    assert (found.trials, found.measured_trials) == (10, 10)
    with pytest.raises(bk.TooFewTrialsError, match="0 runs"):
        bk.overfitting_of_runs({})


def test_a_comparison_is_judged_as_the_sweep_of_the_same_space(noise: pl.DataFrame) -> None:
    grid = bk.Space.grid(hour=[1, 2, 3], take_profit_percent=[0.8, 1.2, 2.0], stop_loss_percent=[0.8, 1.2])
    wanted = swept(noise, grid).overfitting("avg_pnl", draws=9)
    names = {"exchange_name": "memory", "frame_name": "days"}
    bk.add_walker_schema(walker_name="hours", strategies=["hourly"], metric="avg_pnl", space=grid, **names)
    for threads in (1, 2):
        with pytest.raises(bk.NoWalkerDataError, match="'hours' has no result on BTCUSDT"):
            bk.Walker.overfitting("BTCUSDT", {"walker_name": "hours"})
        list(bk.Walker.run("BTCUSDT", {"walker_name": "hours"}, threads=threads))
        found = bk.Walker.overfitting("BTCUSDT", {"walker_name": "hours"}, draws=9)
        assert found.trials == 18
        assert found.best == f"hourly({wanted.best})"
        for name in wanted.field_names:
            one, other = getattr(found, name), getattr(wanted, name)
            if name != "best":
                assert one == (pytest.approx(other, rel=1e-9) if isinstance(other, float) else other), name
        bk.Walker.clear()


def test_a_comparison_of_strategies_has_no_plateau_and_one_without_trades_no_winner(
    noise: pl.DataFrame,
) -> None:
    swept(noise, SMALL)
    schema = bk.get_strategy_schema("hourly")
    for hour in (4, 5):
        bk.add_strategy_schema(
            strategy_name=f"at {hour}", interval=schema.interval, signals=schema.signals,
            params={**schema.params, "hour": hour},
        )  # fmt: skip
    bk.add_strategy_schema(
        strategy_name="never", interval=schema.interval, params=schema.params,
        signals=lambda candles, **params: schema.signals(candles, **params).clear(),
    )  # fmt: skip
    names = {"exchange_name": "memory", "frame_name": "days"}
    bk.add_walker_schema(walker_name="hours", strategies=["at 4", "at 5", "never"], metric="avg_pnl", **names)
    bk.add_walker_schema(walker_name="nothing", strategies=["never"], metric="avg_pnl", **names)
    for name in ("hours", "nothing"):
        list(bk.Walker.run("BTCUSDT", {"walker_name": name}))
    found = bk.Walker.overfitting("BTCUSDT", {"walker_name": "hours"}, draws=9)
    assert (found.trials, found.plateau_score, found.neighbours) == (3, None, 0)
    assert found.random_entries is not None
    with pytest.raises(bk.TooFewTrialsError, match="no candidate has a avg_pnl"):
        bk.Walker.overfitting("BTCUSDT", {"walker_name": "nothing"})


def test_a_result_tells_what_it_cannot_judge(noise: pl.DataFrame) -> None:
    result = swept(noise, SMALL)
    with pytest.raises(UnknownNameError, match="sharp_ratio"):
        result.overfitting("sharp_ratio")
    with pytest.raises(bk.TooFewTrialsError, match="no combination has a avg_pnl"):
        result.where(pl.col("total_trades") < 0).overfitting("avg_pnl")
    from_file = bk.SweepResult(result.lazy, result.title, result.parameters, result.settings)
    with pytest.raises(SweepResultError, match="read from a file"):
        from_file.overfitting()


def test_a_representation_tells_the_numbers_and_the_warnings() -> None:
    found = judged(0, edge=0.0, variants=SMALL, most=60)
    text = repr(found)
    assert re.search(r"deflated Sharpe ratio +0\.\d{3}", text)
    assert text.splitlines()[-1].startswith("! ")
    assert found.line().startswith("600 trials (worth ")
    assert found.to_dict()["trials"] == 600


def test_the_machine_plan_tells_its_returns_too(noise: pl.DataFrame) -> None:
    holes = noise.with_row_index().filter(pl.col("index") % 1440 != 700).drop("index")
    candles = bk.CandleFrame.from_any(holes, symbol="BTCUSDT", interval="1m", gaps="keep")
    swept(noise, SMALL)
    bk.add_exchange_schema(exchange_name="holed", candles={"BTCUSDT": candles})
    context = {"strategy_name": "hourly", "exchange_name": "holed", "frame_name": "days"}
    sweep = bk.ParameterSweep(
        context, bk.Space.grid(hour=[3], take_profit_percent=[1.0, 2.0]), symbol="BTCUSDT"
    )
    assert sweep.explain().plan == "machine"
    rows = sweep.run(progress=False)
    edges = period_edges(*sweep.span())
    returns = sweep.period_returns(np.arange(2), rows.frame["total_trades"].to_numpy(), edges)
    assert returns.sum(axis=0) == pytest.approx(rows.frame["total_pnl"].to_numpy())
    assert rows.frame["total_trades"][0] > 100
