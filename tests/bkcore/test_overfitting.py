"""The formulas against overfitting: worked examples of the papers, another library, and laws."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bkcore.statistics.overfitting import (
    OverfittingError,
    cross_validate,
    deflated_sharpe_ratio,
    effective_trials,
    expected_maximum_sharpe_ratio,
    moments,
    plateau_score,
    probabilistic_sharpe_ratio,
    sharpe_ratios,
)


@pytest.fixture(scope="module")
def ffn() -> Any:
    """Another implementation of the same papers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries that it imports
        return pytest.importorskip("ffn")


def noise(periods: int, trials: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(periods, trials))


# ------------------------------------------------------------------------------------------------- worked examples


def test_the_example_of_the_deflated_sharpe_ratio() -> None:
    """Bailey & Lopez de Prado 2014, "A numerical example": 2.5 a year over five years of days, variance 1/2 a year."""
    sharpe, days, variance = 2.5 / math.sqrt(250), 1250, 0.5 / 250
    assert expected_maximum_sharpe_ratio(100, variance) == pytest.approx(0.1132, abs=5e-5)
    fat = {"skewness": -3.0, "kurtosis": 10.0}
    for trials, shape, expected in ((100, fat, 0.9004), (46, fat, 0.9505), (88, {}, 0.9505)):
        found = deflated_sharpe_ratio(sharpe, days, trials=trials, variance=variance, **shape)
        assert found == pytest.approx(expected, abs=5e-5)


def test_the_example_of_the_probabilistic_sharpe_ratio() -> None:
    """Bailey & Lopez de Prado 2012: two years of months, 1.59 a year."""
    assert probabilistic_sharpe_ratio(0.458, 24) == pytest.approx(0.982, abs=5e-4)
    fat = probabilistic_sharpe_ratio(0.458, 24, skewness=-2.448, kurtosis=10.164)
    assert fat == pytest.approx(0.913, abs=5e-4)


def test_sixteen_blocks_have_as_many_splits_as_the_paper_says() -> None:
    assert cross_validate(noise(32, 2)).logits.size == math.comb(16, 8) == 12_870


def test_two_blocks_read_aloud() -> None:
    """The first trial wins the first half and is the last in the second, the second trial the other way round."""
    first, second, third = [3.0, 2.0, -3.0, -2.0], [-2.0, -3.0, 2.0, 3.0], [1.0, -0.8, 1.0, -0.8]
    found = cross_validate(np.array([first, second, third]).T, blocks=2)
    assert (found.probability, found.loss) == (1.0, 1.0)
    assert found.logits == pytest.approx([-math.log(3.0)] * 2)  # rank 1 of 3: 1/4 to 3/4
    assert found.inside == pytest.approx(-found.outside)


# -------------------------------------------------------------------------------------------- against another library


@pytest.mark.parametrize("seed", range(5))
def test_the_deflated_sharpe_ratio_is_that_of_ffn(ffn: Any, seed: int) -> None:
    returns = np.random.default_rng(seed).standard_t(5, size=(300, 40)) * 0.01 + 0.0005
    ratios = sharpe_ratios(returns)
    best = pd.Series(returns[:, ratios.argmax()])
    theirs = ffn.calc_deflated_sharpe_ratio(best, ratios, nperiods=252, annualized_trials=False)
    ours = deflated_sharpe_ratio(
        float(ratios.max()),
        300,
        trials=40,
        variance=float(ratios.var(ddof=1)),
        skewness=float(best.skew()),
        kurtosis=float(best.kurt()) + 3.0,
    )
    assert ours == pytest.approx(theirs, rel=1e-12)
    skewness, kurtosis = moments(best)  # ours are not corrected for the size of the sample
    assert skewness == pytest.approx(float(best.skew()), abs=0.02)
    assert kurtosis == pytest.approx(float(best.kurt()) + 3.0, abs=0.5)


@pytest.mark.parametrize(
    ("trials", "variance"), [(1, 1.0), (2, 0.01), (100, 0.002), (10_000, 0.3), (50, 0.0)]
)
def test_the_expected_maximum_is_that_of_ffn(ffn: Any, trials: int, variance: float) -> None:
    theirs = ffn.calc_expected_max_sharpe(trials, math.sqrt(variance))
    assert expected_maximum_sharpe_ratio(trials, variance) == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize(("periods", "trials", "blocks"), [(60, 7, 4), (83, 12, 8), (40, 3, 2), (64, 30, 6)])
def test_the_cross_validation_is_that_of_ffn(ffn: Any, periods: int, trials: int, blocks: int) -> None:
    returns = noise(periods, trials, seed=trials) + 0.05 * np.arange(trials)
    theirs = ffn.calc_prob_backtest_overfitting(pd.DataFrame(returns), n_blocks=blocks, full_output=True)
    ours = cross_validate(returns, blocks)
    assert ours.probability == pytest.approx(theirs["pbo"], abs=1e-12)
    assert np.sort(ours.logits) == pytest.approx(np.sort(theirs["logits"]))


# ------------------------------------------------------------------------------------------------------------- laws


def test_the_cross_validation_is_what_its_definition_says() -> None:
    returns, blocks = noise(50, 5, seed=3), 4
    rows = np.split(returns[:48], blocks)
    expected = []
    for chosen in itertools.combinations(range(blocks), blocks // 2):
        inside = np.concatenate([rows[k] for k in chosen])
        outside = np.concatenate([rows[k] for k in range(blocks) if k not in chosen])
        winner = int(np.argmax(inside.mean(0) / inside.std(0, ddof=1)))
        scores = outside.mean(0) / outside.std(0, ddof=1)
        rank = 1 + int((scores < scores[winner]).sum())
        expected.append(math.log(rank / 6 / (1 - rank / 6)))
    assert np.sort(cross_validate(returns, blocks).logits) == pytest.approx(np.sort(expected))


def test_the_cross_validation_looks_at_all_trials_in_small_chunks_as_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    returns = noise(64, 20)
    at_once = cross_validate(returns, 8)
    monkeypatch.setattr("bkcore.statistics.overfitting._CHUNK_VALUES", 1)
    assert np.array_equal(np.sort(cross_validate(returns, 8).logits), np.sort(at_once.logits))


def test_an_expected_maximum_is_what_simulated_trials_show() -> None:
    for trials in (10, 1000):
        best = np.random.default_rng(1).normal(size=(2000, trials)).max(axis=1).mean()
        assert expected_maximum_sharpe_ratio(trials, 1.0) == pytest.approx(best, rel=0.03)


def test_equal_trials_count_once_and_independent_ones_as_many_as_they_are() -> None:
    single = noise(200, 30)
    assert effective_trials(single) == pytest.approx(30, rel=0.1)
    assert effective_trials(np.repeat(single, 20, axis=1)) == pytest.approx(30, rel=0.1)
    chain = np.cumsum(noise(200, 400), axis=1)[:, ::20]
    assert 1.5 < effective_trials(chain) < 10
    assert effective_trials(noise(200, 1)) == effective_trials(np.zeros((200, 9))) == 1.0
    assert effective_trials(noise(100, 1000), trials=10_000) > 5_000


def test_more_trials_never_raise_a_deflated_sharpe_ratio() -> None:
    found = [deflated_sharpe_ratio(0.2, 250, trials=n, variance=0.004) for n in (1, 2, 5, 50, 5_000)]
    assert found == sorted(found, reverse=True)
    assert found[0] == probabilistic_sharpe_ratio(0.2, 250)


def test_a_plateau_is_worth_what_its_neighbours_have_of_the_lead() -> None:
    assert plateau_score([2.0, 2.0], best=2.0, typical=0.0) == 1.0
    assert plateau_score([0.0, -5.0, math.nan], best=2.0, typical=0.0) == 0.0
    assert plateau_score([1.0, 0.0], best=2.0, typical=0.0) == 0.25
    assert plateau_score([1.0, 3.0], best=1.0, typical=3.0) == 0.5  # less is better
    assert math.isnan(plateau_score([], best=1.0, typical=0.0))
    assert math.isnan(plateau_score([1.0], best=1.0, typical=1.0))


def test_what_does_not_vary_scores_nothing() -> None:
    returns = np.column_stack([np.zeros(32), np.full(32, 0.1), noise(32, 1)[:, 0] + 2.0])
    assert sharpe_ratios(returns)[:2].tolist() == [0.0, 0.0]
    assert moments(returns[:, 1]) == (0.0, 3.0)
    assert cross_validate(returns, 8).probability == 0.0


@pytest.mark.parametrize(
    ("returns", "blocks", "told"),
    [
        (np.zeros(5), 2, "no table of periods and trials"),
        (np.full((4, 2), np.nan), 2, "the return of trial 0 in period 0 is nan"),
        (np.zeros((8, 2)), 3, "blocks=3 is not even"),
        (np.zeros((8, 2)), 16, "cannot be split into 16 blocks"),
        (np.zeros((8, 1)), 2, "cannot be split"),
    ],
)
def test_what_cannot_be_judged_is_refused(returns: Any, blocks: int, told: str) -> None:
    with pytest.raises(OverfittingError, match=told):
        cross_validate(returns, blocks)
