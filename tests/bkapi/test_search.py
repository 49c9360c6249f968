"""A search is a sweep over what a sampler asks for: rows are backtests, conditions are met, seeds repeat."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

import bkapi as bk
from bkapi import ParameterSweep, Search, SearchError, SearchResult, Space, SweepError
from bkapi.errors import BkError, UnknownNameError
from bkapi.sweeps.search_space import combination_key, suggestions_of
from tests.bkapi.test_parameter_sweep import (
    CONTEXT,
    assert_rows_are_backtests,
    registered as registered,
    stopping_at,
    turns,
)

optuna = pytest.importorskip("optuna", reason='Optuna is not installed: pip install "bkapi[search]"')
SMALL = Space.grid(look=[5, 30], take_profit_percent=[0.6, 1.7])
WIDE = (
    Space.grid(
        look=[5, 15, 30, 60],
        side=["against", "with"],
        take_profit_percent=[round(0.5 + 0.05 * k, 2) for k in range(40)],
        breakeven_from_percent=[None, 0.3, 0.6],
    )
    * Space.zip(dca_step_percent=[0.4, 0.6, 0.9], dca_most_entries=[2, 3, 2])
    * Space.random(1, stop_loss_percent=(0.5, 2.0), lifetime_minutes=(30, 240), log="lifetime_minutes")
).where(pl.col("take_profit_percent") >= pl.col("stop_loss_percent"))


def search(space: Space = WIDE, strategy_name: str = "turns", **options: Any) -> Search:
    options = {"symbol": "BTCUSDT", "objective": "total_pnl", "trials": 24, "batch": 8, **options}
    return Search({**CONTEXT, "strategy_name": strategy_name}, space, **options)


def searched(space: Space = WIDE, **options: Any) -> SearchResult:
    return search(space, **options).run(progress=False)


def states(study: Any) -> Counter[str]:
    """How many trials are in each state."""
    return Counter(trial.state.name for trial in study.trials)


# ------------------------------------------------------------------------------------------- what is suggested

Int, Float, Choice = (
    optuna.distributions.IntDistribution,
    optuna.distributions.FloatDistribution,
    optuna.distributions.CategoricalDistribution,
)
HALVES = ((50.0, 50.0),)


@pytest.mark.parametrize(
    ("space", "name", "distribution"),
    [
        (Space.grid(fast=[5, 10, 15]), "fast", Int(5, 15, step=5)),
        (Space.grid(fast=[15, 5, 10]), "fast", Int(5, 15, step=5)),
        (Space.grid(fast=range(9, 2, -3)), "fast", Int(3, 9, step=3)),
        (Space.grid(fast=[0.5, 0.75, 1.0]), "fast", Float(0.5, 1.0, step=0.25)),
        (Space.grid(fast=[0.6 + 0.1 * k for k in range(8)]), "fast", Float(0.6, 1.3, step=0.1)),
        (Space.grid(fast=[1, 1.5, 2]), "fast", Float(1.0, 2.0, step=0.5)),
        (Space.grid(fast=[60, 120, 240, 480]), "place of fast", Int(0, 3)),
        (Space.grid(fast=[60.0, 120.0, math.inf]), "place of fast", Int(0, 2)),
        (Space.grid(fast=[7]), "fast", Choice([7])),
        (Space.grid(mode=["b", "a"]), "mode", Choice(["b", "a"])),
        (Space.grid(fast=[None, 0.3, 0.6]), "fast", Choice([None, 0.3, 0.6])),
        (Space.grid(fast=[1, True, 1.0]), "fast", Choice(["1", "True", "1.0"])),
        (Space.grid(levels=[(), HALVES]), "levels", Choice(["()", "((50.0, 50.0),)"])),
        (Space.zip(fast=[5, 9, 20], slow=[30, 10, 90]), "place of fast with slow", Int(0, 2)),
        (Space.zip(mode=["a", "b"], fast=[9, 5]), "place of mode with fast", Int(0, 1)),
        (Space.zip(a=[2, 1, 2], b=["x", "y", "x"]), "a with b", Choice(["a=2, b='x'", "a=1, b='y'"])),
        (Space.random(3, fast=(2, 50)), "fast", Int(2, 50)),
        (Space.random(3, fast=(2.0, 50)), "fast", Float(2.0, 50.0)),
        (Space.random(3, log="fast", fast=(2, 50)), "fast", Int(2, 50, log=True)),
        (Space.random(3, log="fast", fast=(0.1, 5.0)), "fast", Float(0.1, 5.0, log=True)),
        (Space.random(3, mode=["a", "b", "a"]), "mode", Choice(["a", "b"])),
    ],
)
def test_an_axis_is_suggested_as_what_it_is(space: Space, name: str, distribution: Any) -> None:
    (suggestion,) = suggestions_of(space)
    assert suggestion.name == name
    assert suggestion.distribution == distribution


def suggestible(distribution: Any) -> list[Any]:
    """Everything that a distribution can suggest, as a sampler of Optuna gives it."""
    if isinstance(distribution, Choice):
        return list(distribution.choices)
    if isinstance(distribution, Int):
        return list(range(distribution.low, distribution.high + 1, distribution.step))
    count = round((distribution.high - distribution.low) / distribution.step)
    return [distribution.low + k * distribution.step for k in range(count + 1)]


even = st.builds(
    lambda first, step, count: [first + k * step for k in range(count)],
    st.floats(-1e3, 1e3).map(lambda x: round(x, 3)),
    st.floats(1e-3, 1e2).map(lambda x: round(x, 3)).filter(bool),
    st.integers(1, 60),
)
anything = st.one_of(
    *(st.none(), st.booleans(), st.integers(-99, 99), st.floats(-9, 9)),
    *(st.text(max_size=3), st.tuples(st.integers(0, 3))),
)
mixed = st.lists(anything, min_size=1, max_size=12)


@given(st.one_of(even, st.lists(st.integers(-999, 999), min_size=1, max_size=20), mixed))
def test_every_value_of_an_axis_is_suggested_and_nothing_else(axis: list[Any]) -> None:
    (suggestion,) = suggestions_of(Space.grid(one=axis))
    found = [suggestion.parameters(told) for told in suggestible(suggestion.distribution)]
    assert {combination_key(one) for one in found} == {combination_key({"one": value}) for value in axis}
    assert len(found) == len({combination_key(one) for one in found})


@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(*[st.lists(st.integers(0, 9), min_size=n, max_size=n)] * 2)
    )
)
def test_columns_of_a_zip_stay_together(columns: tuple[list[int], list[int]]) -> None:
    (suggestion,) = suggestions_of(Space.zip(a=columns[0], b=columns[1]))
    found = [suggestion.parameters(told) for told in suggestible(suggestion.distribution)]
    assert {(one["a"], one["b"]) for one in found} == set(zip(*columns, strict=True))


# ------------------------------------------------------------------------------------------------ what is found


def test_every_row_is_the_backtest_of_its_parameters_and_meets_the_conditions() -> None:
    result = searched(trials=40)
    assert result.complete
    assert result.frame["combination"].to_list() == [*range(len(result))]
    assert result.parameters == WIDE.names
    tried = result._sweep
    assert tried is not None
    assert_rows_are_backtests(result, tried.space)
    frame = result.frame
    assert (frame["take_profit_percent"] >= frame["stop_loss_percent"]).all()
    assert frame["lifetime_minutes"].dtype == pl.Int64
    assert frame["lifetime_minutes"].is_between(30, 240).all()
    pairs = frame.select("dca_step_percent", "dca_most_entries").unique().rows()
    assert set(pairs) <= {(0.4, 2), (0.6, 3), (0.9, 2)}
    assert 25 <= len(result) <= 40
    told = states(result.study)
    assert told["COMPLETE"] == 40
    refused = [trial for trial in result.study.trials if "misses conditions" in trial.user_attrs]
    assert {trial.state.name for trial in refused} == {"PRUNED"}
    assert len(refused) == told["PRUNED"] > 0
    for trial in result.study.trials:
        if trial.state.name == "COMPLETE":
            row = frame.row(trial.user_attrs["combination"], named=True)
            assert trial.value == row["total_pnl"]


def test_a_search_finds_what_a_sweep_of_everything_finds() -> None:
    """The best of 64 suggestions lies among the best hundredth of 1,280 combinations."""
    space = Space.grid(
        look=[5, 15, 30, 60],
        take_profit_percent=[0.5 + k / 10 for k in range(20)],
        stop_loss_percent=[0.5 + k / 10 for k in range(16)],
    )
    everything = ParameterSweep(CONTEXT, space, symbol="BTCUSDT").run(progress=False)
    result = searched(space, trials=64)
    assert result.best["total_pnl"] >= everything.top(13, by="total_pnl")["total_pnl"].min()


@pytest.mark.parametrize("sampler", [None, "RandomSampler", "NSGAIISampler"])
def test_equal_seeds_give_equal_searches(sampler: str | None) -> None:
    def once(seed: int) -> SearchResult:
        if sampler is None:
            return searched(seed=seed)
        return searched(sampler=getattr(optuna.samplers, sampler)(seed=seed))

    one, same, other = once(3), once(3), once(4)
    assert one.frame.equals(same.frame)
    assert [t.params for t in one.study.trials] == [t.params for t in same.study.trials]
    assert [t.values for t in one.study.trials] == [t.values for t in same.study.trials]
    assert not one.frame.equals(other.frame)


def test_the_default_seed_is_a_seed() -> None:
    assert searched().frame.equals(searched(seed=0).frame)


def test_a_batch_is_one_sweep_and_nothing_is_measured_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    run = ParameterSweep.run

    def counted(self: ParameterSweep, **options: Any) -> Any:
        sizes.append(self.space.size)
        return run(self, **options)

    monkeypatch.setattr(ParameterSweep, "run", counted)
    result = searched(trials=21, batch=8)
    assert len(sizes) <= 3
    assert sum(sizes) == len(result) > 8
    sizes.clear()
    result = searched(SMALL, trials=40, batch=8)
    assert sum(sizes) == len(result) == 4
    assert states(result.study) == {"COMPLETE": 40}
    by_row: dict[int, set[Any]] = {}
    for trial in result.study.trials:
        by_row.setdefault(trial.user_attrs["combination"], set()).add(trial.value)
    assert {row: {result.frame["total_pnl"][row]} for row in range(4)} == by_row


def test_signals_are_computed_once_for_those_that_share_them() -> None:
    calls: list[int] = []

    def signals(candles: pl.DataFrame, look: int) -> pl.DataFrame:
        calls.append(look)
        return turns(candles, look)

    bk.add_strategy_schema(strategy_name="counted", interval="30m", signals=signals, params={"look": 30})
    space = Space.grid(look=[5, 30], take_profit_percent=[0.5 + k / 50 for k in range(60)])
    searched(space, strategy_name="counted", trials=30, batch=10)
    assert len(calls) <= 1 + 1 + 3 * 2  # of the context, of the probe, and of each batch


# ------------------------------------------------------------------------------------------------- objectives


def test_a_function_of_the_row_is_searched_and_shown() -> None:
    seen: list[Mapping[str, Any]] = []

    def few_and_good(row: Mapping[str, Any]) -> float | None:
        seen.append(row)
        return None if row["total_trades"] > 45 else row["avg_pnl"] / row["take_profit_percent"]

    result = searched(objective=few_and_good, direction="minimize", trials=30)
    frame = result.frame
    assert [row["combination"] for row in seen] == [*range(len(result))]
    assert (frame["objective"].is_null() == (frame["total_trades"] > 45)).all()
    assert 0 < frame["objective"].null_count() < len(frame)
    wanted = frame.filter(pl.col("objective").is_not_null())
    assert (wanted["objective"] == wanted["avg_pnl"] / wanted["take_profit_percent"]).all()
    assert result.best["objective"] == wanted["objective"].min()
    assert result.top(1)["objective"][0] == wanted["objective"].min()
    assert "objective" in result.shown
    assert "the best by objective:" in repr(result)
    for trial in result.study.trials:
        if "misses conditions" not in trial.user_attrs:
            value = frame["objective"][trial.user_attrs["combination"]]
            assert (trial.state.name, trial.value) == (
                ("PRUNED", None) if value is None else ("COMPLETE", value)
            )


def test_directions_follow_the_metric_unless_they_are_given() -> None:
    result = searched(objective="max_drawdown")
    assert result.study.direction.name == "MINIMIZE"
    assert result.best["max_drawdown"] == result.frame["max_drawdown"].min() == result.study.best_value
    result = searched(objective="max_drawdown", direction="maximize")
    assert result.best["max_drawdown"] == result.frame["max_drawdown"].max() == result.study.best_value
    assert result.top(1)["max_drawdown"][0] == result.best["max_drawdown"]


def test_a_metric_of_every_trade_is_measured_where_it_is_searched_for() -> None:
    result = searched(objective="median_pnl")
    assert result.best["median_pnl"] == result.frame["median_pnl"].max()
    assert "median_pnl" not in searched().columns


def test_several_objectives_have_a_front() -> None:
    result = searched(objective=["total_pnl", "max_drawdown", lambda row: -row["total_trades"]], trials=40)
    assert result.objectives == ("total_pnl", "max_drawdown", "objective_3")
    rows = result.frame.select("combination", *result.objectives).rows()
    values = {row[0]: np.array([row[1], -row[2], row[3]]) for row in rows}
    front = {
        number
        for number, own in values.items()
        if not any((other >= own).all() and (other > own).any() for other in values.values())
    }
    assert set(result.front["combination"]) == front
    assert 1 < len(front) < len(result)
    assert {trial.user_attrs["combination"] for trial in result.study.best_trials} == front
    assert result.best["total_pnl"] == result.frame["total_pnl"].max()


def test_what_a_function_raises_is_raised_and_leaves_no_trial_open(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/search.db"
    for does, kind, words in (
        (lambda row: 1 / 0, ZeroDivisionError, "division"),
        (lambda row: "much", SearchError, "'much', no number"),
    ):
        with pytest.raises(kind, match=words):
            searched(objective=does, storage=storage, study_name=words)
        study = optuna.load_study(storage=storage, study_name=words)
        assert set(states(study)) <= {"FAIL", "PRUNED"}


# ---------------------------------------------------------------------------------------- results and guards


def test_the_result_is_that_of_a_sweep_with_its_trials_counted() -> None:
    result = searched(trials=40, objective="total_pnl")
    judged = result.overfitting(draws=5)
    assert judged.trials == result.trials == len(result)
    assert judged.by == "total_pnl"
    assert f"{result.best['take_profit_percent']}" in judged.best
    some = result.where(pl.col("total_trades") > 40)
    assert isinstance(some, SearchResult)
    assert some.study is result.study
    assert 0 < len(some) < len(result)
    assert some.overfitting(draws=0).trials == len(result)  # a choice among them was one among all
    best = result.best["combination"]
    assert result.trades(best).height == result.best["total_trades"]
    assert result.statistics(best).total_pnl == pytest.approx(result.best["total_pnl"])
    assert result.heatmap("look", "side").height == 2


def test_no_best_is_said() -> None:
    result = searched(SMALL, objective=lambda row: None, trials=6)
    assert states(result.study) == {"PRUNED": 6}
    with pytest.raises(SearchError, match="no combination has a objective") as caught:
        _ = result.best
    assert "Hint:" in str(caught.value)


# ------------------------------------------------------------------------------------- stopping and going on


@pytest.mark.parametrize("done_at", [1, 5, 13])
def test_ctrl_c_keeps_what_is_done(done_at: int) -> None:
    made = search()
    result = made.run(progress=stopping_at(done_at))
    assert not result.complete
    assert "stopped before the end" in repr(result)
    whole = made.run(progress=False) if done_at < 0 else searched()
    assert result.frame.equals(whole.frame[: len(result)])
    told = states(result.study)
    assert told["RUNNING"] == 0
    assert told["COMPLETE"] == done_at


def test_ctrl_c_before_anything_is_measured_is_ctrl_c() -> None:
    def stop(row: Mapping[str, Any]) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        searched(objective=stop)


def test_progress_reaches_the_trials() -> None:
    heard: list[tuple[int, int]] = []
    search().run(progress=lambda done, total: heard.append((done, total)))
    assert [done for done, _ in heard] == [*range(1, 25)]
    assert {total for _, total in heard} == {24}


def test_a_storage_goes_on_to_all_trials(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/search.db"
    stopped = search(storage=storage).run(progress=stopping_at(11))
    assert not stopped.complete
    heard: list[int] = []
    result = search(storage=storage).run(progress=lambda done, total: heard.append(done))
    assert heard[0] == 11
    assert heard[-1] == 24
    assert result.complete
    assert states(result.study)["COMPLETE"] == 24
    tried = result._sweep
    assert tried is not None
    assert_rows_are_backtests(result, tried.space)
    of_stopped = [trial for trial in result.study.trials if trial.number < len(stopped.study.trials)]
    assert [t.params for t in of_stopped] == [t.params for t in stopped.study.trials]
    again = search(storage=storage).run(progress=False)  # nothing is left to do
    assert again.frame.equals(result.frame)
    more = search(storage=storage, trials=30).run(progress=False)
    assert states(more.study)["COMPLETE"] == 30
    assert more.frame[: len(result)].select(result.columns).equals(result.frame)
    assert result.study.study_name == "turns on BTCUSDT in days"


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "avg_pnl"},
        {"direction": "minimize"},
        {"objective": lambda row: row["total_pnl"]},
        {"space": WIDE.where(pl.col("look") > 5)},
        {"symbol": "ETHUSDT"},
        {"metrics": "all"},
    ],
)
def test_the_study_of_another_search_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    storage = f"sqlite:///{tmp_path}/search.db"
    searched(storage=storage, study_name="mine", trials=4)
    with pytest.raises(SearchError, match="'mine' in the storage searches something else"):
        searched(storage=storage, study_name="mine", trials=4, **options)
    study = optuna.create_study(storage=storage, study_name="yours")
    study.tell(study.ask(), 1.0)
    with pytest.raises(SearchError, match="'yours' in the storage searches something else"):
        searched(storage=storage, study_name="yours")


# --------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"trials": 0}, SearchError, ["trials=0"]),
        ({"batch": 1.5}, SearchError, ["batch=1.5"]),
        ({"objective": "sharp_ratio"}, UnknownNameError, ["did you mean 'sharpe_ratio'"]),
        ({"objective": "max_drawdown", "metrics": "results"}, UnknownNameError, ["max_drawdown"]),
        ({"objective": "trend"}, SearchError, ["trend of combination 0", "no number"]),
        ({"objective": 5}, SearchError, ["objective=5"]),
        ({"objective": []}, SearchError, ["no objective"]),
        ({"objective": ["avg_pnl", "avg_pnl"]}, SearchError, ["'avg_pnl' is given twice"]),
        ({"direction": "up"}, SearchError, ["direction='up'", "total_pnl"]),
        ({"objective": ["avg_pnl", "win_rate"], "direction": "maximize"}, SearchError, ["avg_pnl, win_rate"]),
        ({"sampler": "tpe"}, SearchError, ["sampler='tpe'", "TPESampler"]),
        ({"sampler": optuna.samplers.GridSampler({"x": [1]})}, SearchError, ["GridSampler", "Sweep("]),
        ({"sampler": optuna.samplers.RandomSampler(), "seed": 3}, SearchError, ["seed=3", "of its own"]),
        ({"study_name": "mine"}, SearchError, ["study_name='mine'", "storage="]),
        ({"space": Space.grid()}, SearchError, ["no parameters"]),
        ({"space": {"look": [5]}}, SweepError, ["no Space"]),
        ({"space": Space.grid(lok=[5])}, UnknownNameError, ["did you mean 'look'"]),
        ({"space": Space.random(1, stop_loss_percent=(1, 90))}, SweepError, ["stop_loss_percent=90"]),
        ({"space": SMALL.where(pl.col("look") > 99)}, SearchError, ["1,000 suggestions", "loosen"]),
        ({"strategy_name": "asked"}, UnknownNameError, ["asked"]),
    ],
)
def test_a_search_that_means_nothing_is_refused(
    options: dict[str, Any], kind: type[BkError], words: list[str]
) -> None:
    with pytest.raises(kind) as caught:
        searched(**options)
    for word in words:
        assert word in str(caught.value)
    assert "Hint:" in str(caught.value)


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(bk.MissingExtraError, match="Optuna is not installed") as caught:
        search()
    assert 'pip install "bkapi[search]"' in str(caught.value)


def test_a_sweep_over_other_parameters_is_refused() -> None:
    made = ParameterSweep(CONTEXT, SMALL, symbol="BTCUSDT")
    with pytest.raises(SweepError, match="other parameters"):
        made.over(Space.grid(look=[5]))
    with pytest.raises(SweepError, match=r"take_profit_percent=0\.1"):
        made.over(Space.grid(look=[5], take_profit_percent=[0.1]))
    other = Space.grid(take_profit_percent=[1.0], look=[60, 90])
    found = made.over(other).run(progress=False)
    assert_rows_are_backtests(found, other)
    assert made.space is SMALL
