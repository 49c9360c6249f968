"""How much of the best result of many is selection? Judges the winner of a sweep or of a comparison of runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from bkapi.base.record import Record, record
from bkapi.errors import BkError
from bkapi.statistics.columns import LESS_IS_BETTER, check_column
from bkcore.machine.codes import Status
from bkcore.statistics.metrics import METRIC_NAMES, measure
from bkcore.statistics.overfitting import (
    BLOCKS,
    cross_validate,
    deflated_sharpe_ratio,
    effective_trials,
    expected_maximum_sharpe_ratio,
    moments,
    probabilistic_sharpe_ratio,
    returns_matrix,
    sharpe_ratios,
)

if TYPE_CHECKING:
    from bkapi.guards.random_entries import RandomEntries
    from bkapi.runs.finished import FinishedRun
    from bkcore.machine.run import Run

Float = NDArray[np.float64]

#: The usual thresholds of the numbers.
SIGNIFICANT: Final = 0.95
OVERFIT: Final = 0.2
_HOUR_MS: Final = 3_600_000
_PERIOD_HOURS: Final = (24, 12, 8, 6, 4, 3, 2, 1)
_LEAST_PERIODS: Final = 8 * BLOCKS


class TooFewTrialsError(BkError, ValueError):
    """Raised by ``result.overfitting()`` of an empty sweep, or of one without a trade: there is nothing to judge."""


@record
class Overfitting(Record):
    """How much of the best of many trials is selection; docs/overfitting.md has formulas, papers and how to read them.

    by                 the metric by which the best was chosen
    best               the parameters of the best combination, or the name of the best run
    trials             how many were tried
    measured_trials    how many have returns: all, or a seeded sample and the best
    effective_trials   how many independent trials they count as, by their correlations
    periods, period_hours   number and length of the periods of the returns
    sharpe_ratio       of the best, per period
    expected_maximum_sharpe_ratio   per period, of the best of as many effective trials without skill
    probabilistic_sharpe_ratio      chance that the true Sharpe ratio is above 0, if nothing else had been tried
    deflated_sharpe_ratio           chance that it is, given the effective trials
    deflated_sharpe_ratio_all_trials   the same as if all trials were independent: the strictest reading
    probability_of_backtest_overfitting   how often the best of one half of time is no better than the median in the
                       other
    probability_of_loss   how often it loses there
    splits             how many ways to cut time into halves were tried; 0 where there are too few trials
    plateau_score      which part of the best's lead its ``neighbours`` have too; None off a grid or alone
    random_entries     the same exits with random entries; None when not asked for or not available
    """

    by: str
    best: str
    trials: int
    measured_trials: int
    effective_trials: float
    periods: int
    period_hours: float
    sharpe_ratio: float
    expected_maximum_sharpe_ratio: float
    probabilistic_sharpe_ratio: float
    deflated_sharpe_ratio: float
    deflated_sharpe_ratio_all_trials: float
    probability_of_backtest_overfitting: float | None
    probability_of_loss: float | None
    splits: int
    plateau_score: float | None = None
    neighbours: int = 0
    random_entries: RandomEntries | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Reasons to doubt the best, in sentences; empty when there are none."""
        told = []
        if not self.deflated_sharpe_ratio >= SIGNIFICANT:
            told.append(
                f"deflated Sharpe ratio below {SIGNIFICANT:g}: the best of as many without skill would do as well"
            )
        probability = self.probability_of_backtest_overfitting
        if probability is not None and probability > OVERFIT:
            told.append(
                f"probability of backtest overfitting above {OVERFIT:g}: the best of one half is often ordinary in "
                "the other"
            )
        if self.plateau_score is not None and self.plateau_score < 0.5:
            told.append("plateau score below 0.5: the neighbours of the best have little of its lead")
        if self.random_entries is not None and self.random_entries.p_value > 1.0 - SIGNIFICANT:
            told.append(
                f"random entries with the same exits do as well, p = {self.random_entries.p_value:.2f}"
            )
        return tuple(told)

    def line(self) -> str:
        """The most important numbers in one line."""
        parts = [
            f"{self.trials:,} trials (worth {self.effective_trials:,.0f})",
            f"deflated Sharpe ratio {self.deflated_sharpe_ratio:.2f}",
        ]
        if self.probability_of_backtest_overfitting is not None:
            parts.append(
                f"probability of backtest overfitting {self.probability_of_backtest_overfitting:.2f}"
            )
        if self.plateau_score is not None:
            parts.append(f"plateau score {self.plateau_score:.2f}")
        return ", ".join(parts)

    def __repr__(self) -> str:
        lines = [
            f"the best of {self.trials:,} trials by {self.by}: {self.best}",
            f"{self.measured_trials:,} of them measured over {self.periods:,} periods of {self.period_hours:g} h, "
            f"worth {self.effective_trials:,.1f} independent ones",
            _row(
                "Sharpe ratio per period",
                self.sharpe_ratio,
                f"without skill {self.expected_maximum_sharpe_ratio:.3f} is expected of the best",
            ),
            _row(
                "probabilistic Sharpe ratio", self.probabilistic_sharpe_ratio, "as if nothing else was tried"
            ),
            _row(
                "deflated Sharpe ratio",
                self.deflated_sharpe_ratio,
                f"{self.deflated_sharpe_ratio_all_trials:.3f} if all trials were independent",
            ),
            _row(
                "probability of backtest overfitting",
                self.probability_of_backtest_overfitting,
                f"{self.splits:,} splits",
            ),
            _row("probability of loss", self.probability_of_loss, "in the half not seen"),
            _row("plateau score", self.plateau_score, f"{self.neighbours:,} neighbours"),
        ]
        if self.random_entries is not None:
            entries = self.random_entries
            lines.append(
                _row(
                    "random entries, p-value",
                    entries.p_value,
                    f"{entries.by} {entries.value:.3f} against {entries.mean:.3f} on average of {entries.draws:,}",
                )
            )
        return "\n".join([*lines, *(f"! {warning}" for warning in self.warnings)])


def _row(name: str, value: float | None, note: str) -> str:
    return f"{name:36s} {'N/A' if value is None else f'{value:.3f}':>8s}   {note}"


def overfitting_of_runs(
    runs: Mapping[str, FinishedRun],
    by: str = "sharpe_ratio",
    *,
    draws: int = 99,
    seed: int = 0,
    trials: int | None = None,
) -> Overfitting:
    """Judge the best of finished runs over the same frame; ``runs`` are given by name.

    by, draws, seed, trials   as for a sweep; ``by`` is a metric of spec reports.md 6

    Raises :class:`TooFewTrialsError` when no run has the metric, or when the frames differ, and, with draws,
    :class:`RandomEntriesError` where Python code commands the positions of the best run, or it asks risk profiles.
    """
    check_column(by, METRIC_NAMES)
    spans = {(r.strategy_run.frame.start_ms, r.strategy_run.frame.end_ms) for r in runs.values()}
    if len(spans) != 1:
        raise TooFewTrialsError(
            f"{len(runs)} runs over {len(spans)} different frames cannot be compared.",
            hint="give runs over one frame.",
        )
    start, end = spans.pop()
    edges = period_edges(start, end + next(iter(runs.values())).strategy_run.frame.step_ms)
    returns = np.zeros((edges.size - 1, len(runs)))
    values = np.full(len(runs), math.nan)
    names = ("pnl_percent", "peak_pnl_percent", "fall_pnl_percent", "pending_at", "ended_at", "end_price")
    for place, run in enumerate(runs.values()):
        closed = run.run.trades[run.run.trades["status"] == Status.CLOSED]
        returns[:, place] = returns_of_run(run.run, edges)
        values[place] = measure(*(closed[name] for name in names))[METRIC_NAMES.index(by)]
    if np.isnan(values).all():
        raise TooFewTrialsError(f"no run has a {by}.", hint="a Sharpe ratio needs ten trades.")
    less = by in LESS_IS_BETTER
    winner = int(np.nanargmin(values) if less else np.nanargmax(values))
    best = list(runs)[winner]
    entries = None
    if draws:
        from bkapi.guards.random_entries import random_entry_baseline

        entries = random_entry_baseline(runs[best], by, draws=draws, seed=seed, less_is_better=less)
    return judge(
        *(returns, winner),
        by=by,
        best=best,
        trials=len(runs) if trials is None else max(trials, len(runs)),
        period_hours=period_hours(edges),
        random_entries=entries,
    )


def judge(
    returns: Float,
    winner: int,
    *,
    by: str = "sharpe_ratio",
    best: str = "",
    trials: int | None = None,
    is_drawn: bool = True,
    period_hours: float = 24.0,
    blocks: int = BLOCKS,
    plateau: tuple[float, int] = (math.nan, 0),
    random_entries: RandomEntries | None = None,
) -> Overfitting:
    """Judge column ``winner`` of a table of returns, a row per period and a column per trial.

    trials     how many were tried in all, of which the columns are a sample
    is_drawn   False when the winner is in the table only because it won: the cross-validation then leaves it out,
               since the best of many others would win every half against a few
    """
    matrix = returns_matrix(returns)
    count = max(matrix.shape[1], trials or 0)
    ratios = sharpe_ratios(matrix)
    variance = float(ratios.var(ddof=1)) if ratios.size > 1 else 0.0
    effective = effective_trials(matrix, count)
    own = float(ratios[winner])
    skewness, kurtosis = moments(matrix[:, winner])
    periods = matrix.shape[0]
    shape = {"skewness": skewness, "kurtosis": kurtosis}
    others = matrix if is_drawn else np.delete(matrix, winner, axis=1)
    splits = cross_validate(others, blocks) if others.shape[1] > 1 and periods >= 2 * blocks else None
    return Overfitting(
        by=by,
        best=best or f"trial {winner}",
        trials=count,
        measured_trials=matrix.shape[1],
        effective_trials=effective,
        periods=periods,
        period_hours=period_hours,
        sharpe_ratio=own,
        expected_maximum_sharpe_ratio=expected_maximum_sharpe_ratio(effective, variance),
        probabilistic_sharpe_ratio=probabilistic_sharpe_ratio(own, periods, **shape),
        deflated_sharpe_ratio=deflated_sharpe_ratio(
            own, periods, trials=effective, variance=variance, **shape
        ),
        deflated_sharpe_ratio_all_trials=deflated_sharpe_ratio(
            own, periods, trials=count, variance=variance, **shape
        ),
        probability_of_backtest_overfitting=None if splits is None else splits.probability,
        probability_of_loss=None if splits is None else splits.loss,
        splits=0 if splits is None else splits.logits.size,
        plateau_score=None if math.isnan(plateau[0]) else plateau[0],
        neighbours=plateau[1],
        random_entries=random_entries,
    )


def period_edges(start_ms: int, end_ms: int) -> NDArray[np.int64]:
    """Where the periods of a span begin, and its end: days, or hours where there are few days (at least 128 periods).

    i8[periods + 1], ms UTC; the periods are equally long, the first begins and the last one ends at or after the span.
    """
    span = end_ms - start_ms
    hours = next((hours for hours in _PERIOD_HOURS if span >= _LEAST_PERIODS * hours * _HOUR_MS), None)
    if hours is None:
        return np.linspace(start_ms, end_ms, _LEAST_PERIODS + 1).astype(np.int64)
    count = -(-span // (hours * _HOUR_MS))
    return start_ms + hours * _HOUR_MS * np.arange(count + 1, dtype=np.int64)


def period_hours(edges: NDArray[np.int64]) -> float:
    """How long a period is."""
    return float(edges[1] - edges[0]) / _HOUR_MS


def returns_of_run(run: Run, edges: NDArray[np.int64]) -> Float:
    """The sum of the trades of a run that closed in each period, in percent: f8[periods]."""
    closed = run.trades[run.trades["status"] == Status.CLOSED]
    place = np.clip(np.searchsorted(edges, closed["ended_at"], side="right") - 1, 0, edges.size - 2)
    return np.bincount(place, closed["pnl_percent"], edges.size - 1).astype(np.float64)
