"""How much of a best result is selection: deflated Sharpe ratio, probability of backtest overfitting, plateaus.

Plain NumPy over a matrix of returns, a row per period and a column per trial (f8[t, n]). Formulas and papers stand in
docs/overfitting.md; tests hold them against the worked examples of the papers and against ``ffn``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bkcore.errors import BkError

Float = NDArray[np.float64]

#: Blocks of the cross-validation that the paper proposes: 12,870 splits.
BLOCKS: Final = 16
_EULER_MASCHERONI: Final = 0.5772156649015329
_NORMAL: Final = NormalDist()
_CHUNK_VALUES: Final = 1 << 15  # scores that are worked out at a time: what a core keeps near itself
_ROUNDING: Final = 1e-12


class OverfittingError(BkError, ValueError):
    """Raised by ``cross_validate(returns, blocks=3)``: returns or blocks that no statistic can be taken of."""


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """What combinatorially symmetric cross-validation says, over all splits into halves (Bailey et al. 2015).

    probability     of backtest overfitting: how often the best of one half is at or below the median of the other
    loss            how often the best of one half has a negative Sharpe ratio in the other
    logits : f8[s]  of the relative rank of the best in the other half
    inside, outside : f8[s]   Sharpe ratio of the best in its half, and in the other
    """

    probability: float
    loss: float
    logits: Float
    inside: Float
    outside: Float


def returns_matrix(returns: ArrayLike) -> Float:
    """``returns`` as f8[t, n]; raises :class:`OverfittingError` for another shape and for what is not finite."""
    matrix = np.asarray(returns, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] < 2 or matrix.shape[1] < 1:
        raise OverfittingError(
            f"returns of shape {matrix.shape} are no table of periods and trials.",
            hint="give a row per period (at least two) and a column per trial.",
        )
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0]
        raise OverfittingError(
            f"the return of trial {column} in period {row} is {matrix[row, column]}.",
            hint="a period without a trade returns 0.",
        )
    return matrix


def sharpe_ratios(returns: ArrayLike) -> Float:
    """Mean over sample deviation of each column, per period, f8[n]; 0 for a column that does not vary."""
    matrix = returns_matrix(returns)
    return _ratio(matrix.mean(axis=0), matrix.std(axis=0, ddof=1))


def moments(returns: ArrayLike) -> tuple[float, float]:
    """Skewness and kurtosis (3 for a normal distribution) of one series, f8[t]; (0, 3) when it does not vary."""
    series = np.asarray(returns, np.float64)
    centred = series - series.mean()
    variance = float(np.mean(centred**2))
    if variance <= _ROUNDING * max(1.0, float(np.mean(series**2))):
        return 0.0, 3.0
    return float(np.mean(centred**3) / variance**1.5), float(np.mean(centred**4) / variance**2)


def probabilistic_sharpe_ratio(
    sharpe_ratio: float,
    periods: int,
    *,
    skewness: float = 0.0,
    kurtosis: float = 3.0,
    benchmark: float = 0.0,
) -> float:
    """Probability that the true Sharpe ratio lies above ``benchmark`` (Bailey & Lopez de Prado 2012).

    Ratios are per period; NaN below two periods or for moments that no series has.
    """
    spread = 1.0 - skewness * sharpe_ratio + (kurtosis - 1.0) / 4.0 * sharpe_ratio**2
    if periods < 2 or not spread > 0.0:
        return math.nan
    return _NORMAL.cdf((sharpe_ratio - benchmark) * math.sqrt(periods - 1) / math.sqrt(spread))


def expected_maximum_sharpe_ratio(trials: float, variance: float) -> float:
    """The Sharpe ratio that the best of ``trials`` without any skill is expected to show.

    variance   of the Sharpe ratios of the trials

    (Bailey & Lopez de Prado 2014, equation 6); 0 for a single trial.
    """
    if not trials > 1.0 or not variance > 0.0:
        return 0.0
    usual = _NORMAL.inv_cdf(1.0 - 1.0 / trials)
    further = _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return max(0.0, math.sqrt(variance) * ((1.0 - _EULER_MASCHERONI) * usual + _EULER_MASCHERONI * further))


def deflated_sharpe_ratio(
    sharpe_ratio: float,
    periods: int,
    *,
    trials: float,
    variance: float,
    skewness: float = 0.0,
    kurtosis: float = 3.0,
) -> float:
    """Probability that the best of ``trials`` has skill (Bailey & Lopez de Prado 2014, equation 7).

    The probabilistic Sharpe ratio against :func:`expected_maximum_sharpe_ratio`; all ratios per period.
    """
    benchmark = expected_maximum_sharpe_ratio(trials, variance)
    return probabilistic_sharpe_ratio(
        sharpe_ratio, periods, skewness=skewness, kurtosis=kurtosis, benchmark=benchmark
    )


def effective_trials(returns: ArrayLike, trials: int | None = None) -> float:
    """How many independent trials ``trials`` correlated ones are worth, of which the columns are a sample.

    The larger of two estimates, which both tend to be low. The inverse of the mean squared correlation of all pairs, a
    trial with itself included, after what independent columns correlate by chance, 1 / (t - 1), is taken off: n for
    independent columns, k for k groups of equal ones. And the effective rank (Roy & Vetterli 2007) of the columns: the
    exponential of the entropy of the eigenvalues of their correlations, never more than periods. Columns that do not
    vary are left out.
    """
    matrix = returns_matrix(returns)
    centred = matrix - matrix.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    varies = length > _ROUNDING * np.maximum(1.0, np.abs(matrix).max(axis=0))
    periods, columns = matrix.shape[0], int(varies.sum())
    count = float(columns if trials is None else trials)
    if columns < 2 or count < 2.0 or periods < 3:
        return max(1.0, min(count, float(columns)))
    unit = centred[:, varies] / length[varies]
    shared: Float = unit @ unit.T if periods < columns else unit.T @ unit
    squares = (float((shared**2).sum()) - columns) / (columns * (columns - 1.0))
    chance = 1.0 / (periods - 1.0)
    correlation = min(1.0, max(0.0, (squares - chance) / (1.0 - chance)))
    share = np.linalg.eigvalsh(shared) / columns
    share = share[share > _ROUNDING]
    rank = math.exp(-float((share * np.log(share)).sum()))
    return float(min(count, max(1.0 / (1.0 / count + (1.0 - 1.0 / count) * correlation), rank)))


def cross_validate(returns: ArrayLike, blocks: int = BLOCKS) -> CrossValidation:
    """Combinatorially symmetric cross-validation of the choice of the best column (Bailey et al. 2015).

    blocks   an even number of equal stretches of time; periods that are left over at the end are left out. Every
             choice of half of them is once where the best is looked for, and its complement where it is judged

    A column that does not vary scores 0; ties in the other half take their average rank. Raises
    :class:`OverfittingError` for less than two trials or less than two periods per block.
    """
    matrix = returns_matrix(returns)
    if blocks < 2 or blocks % 2:
        raise OverfittingError(f"blocks={blocks} is not even.", hint="give an even number such as 16.")
    size, trials = matrix.shape[0] // blocks, matrix.shape[1]
    if size < 1 or size * (blocks // 2) < 2 or trials < 2:
        raise OverfittingError(
            f"{matrix.shape[0]} periods of {trials} trials cannot be split into {blocks} blocks.",
            hint="take shorter periods, fewer blocks or at least two trials.",
        )
    rows = matrix[: size * blocks]
    level = rows.mean(axis=0)
    parts = (rows - level).reshape(blocks, size, trials)
    sums, squares = parts.sum(axis=1), (parts**2).sum(axis=1)
    half = size * (blocks // 2)
    least = half * _ROUNDING * np.maximum(1.0, np.abs(level)) ** 2
    whole = sums.sum(axis=0), squares.sum(axis=0)
    found: list[tuple[Float, Float, Float]] = []
    for chosen in _halves(blocks, max(1, _CHUNK_VALUES // trials)):
        # Not the matrix product of a library: its threads wait for each other longer than they work on so little.
        total, power = (np.einsum("sb,bn->sn", chosen, of_block) for of_block in (sums, squares))
        one = _half_scores(total, power, level, half, least)
        other = _half_scores(whole[0] - total, whole[1] - power, level, half, least)
        found.extend((_judge(one, other), _judge(other, one)))
    ranks, inside, outside = (np.concatenate(column) for column in zip(*found, strict=True))
    relative = ranks / (trials + 1.0)
    logits = np.log(relative / (1.0 - relative))
    return CrossValidation(
        float(np.mean(logits <= _ROUNDING)), float(np.mean(outside < 0.0)), logits, inside, outside
    )


def plateau_score(neighbours: ArrayLike, *, best: float, typical: float) -> float:
    """How much of the lead of the best cell its neighbours share: 1 = all of it, 0 = they are as any cell.

    neighbours   values of the cells beside the best one; NaN, a cell that could not be measured, counts as typical
    typical      the median of all cells

    NaN without neighbours, or when the best cell does not stand out.
    """
    values = np.asarray(neighbours, np.float64)
    lead = best - typical
    if not values.size or not math.isfinite(lead) or lead == 0.0:
        return math.nan
    share = np.clip((np.where(np.isnan(values), typical, values) - typical) / lead, 0.0, 1.0)
    return float(share.mean())


def _ratio(mean: Float, deviation: Float) -> Float:
    varies = deviation > _ROUNDING * np.maximum(1.0, np.abs(mean))
    return np.divide(mean, deviation, out=np.zeros_like(mean), where=varies)


def _halves(blocks: int, most: int) -> Iterator[Float]:
    """Choices of half of the blocks as rows of ones, ``most`` at a time; of each pair of complements one."""
    others = combinations(range(1, blocks), blocks // 2 - 1)
    chosen = np.array([(0, *other) for other in others], np.int64)
    for first in range(0, len(chosen), most):
        some = chosen[first : first + most]
        rows = np.zeros((len(some), blocks))
        rows[np.arange(len(some))[:, None], some] = 1.0
        yield rows


def _half_scores(total: Float, power: Float, level: Float, count: int, least: Float) -> Float:
    """Sharpe ratio of each trial in each half, f8[splits, n]; the sums are about ``level``."""
    mean = total / count
    spread = power - total * mean
    varies = spread > least
    np.sqrt(spread, out=spread, where=varies)
    spread *= 1.0 / math.sqrt(count - 1)
    mean += level
    return np.divide(mean, spread, out=np.zeros_like(mean), where=varies)


def _judge(inside: Float, outside: Float) -> tuple[Float, Float, Float]:
    """Rank (1 = worst) of each split's winner in the other half, its score there before and after."""
    rows = np.arange(len(inside))
    winner = inside.argmax(axis=1)
    score = outside[rows, winner]
    below = (outside < score[:, None]).sum(axis=1)
    equal = (outside == score[:, None]).sum(axis=1)
    return below + (equal + 1) / 2.0, inside[rows, winner], score
