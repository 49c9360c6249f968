"""Remembers the returns of every candidate of a comparison, to say how much of its winner is selection."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bkapi.guards.overfitting import (
    Overfitting,
    TooFewTrialsError,
    judge,
    period_edges,
    period_hours,
    returns_of_run,
)
from bkapi.guards.random_entries import random_entry_baseline
from bkapi.runs.finished import finished_run
from bkapi.sweeps.overfitting import plateau_of
from bkapi.walkers.candidates import Candidate
from bkcore.statistics.metrics import METRIC_NAMES

if TYPE_CHECKING:
    from bkapi.runs.strategy import StrategyRun


class Trials:
    """The returns of every tested candidate (about 2 KB each), and the run of the best one."""

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self._edges: NDArray[np.int64] = np.zeros(0, np.int64)
        self._tested: list[Candidate] = []
        self._values: list[float | None] = []
        self._returns: list[NDArray[np.float64]] = []
        self._winner: tuple[int, StrategyRun] | None = None

    def __len__(self) -> int:
        return len(self._tested)

    def add(self, candidate: Candidate, run: StrategyRun, value: float | None, *, is_best: bool) -> None:
        """Count a candidate whose backtest has ended."""
        if not self._tested:
            self._edges = period_edges(run.frame.start_ms, run.frame.end_ms + run.frame.step_ms)
        if is_best and value is not None:
            self._winner = len(self._tested), run
        self._tested.append(candidate)
        self._values.append(value)
        self._returns.append(returns_of_run(run.run, self._edges))

    def overfitting(self, *, draws: int, seed: int) -> Overfitting:
        """Judge the winner among those tested; see :meth:`bkapi.walkers.walker.WalkerUtils.overfitting`."""
        if self._winner is None:
            raise TooFewTrialsError(
                f"no candidate has a {self.metric}.", hint="a Sharpe ratio needs ten trades."
            )
        winner, run = self._winner
        entries = None
        if draws and self.metric in METRIC_NAMES:
            entries = random_entry_baseline(finished_run(run), self.metric, draws=draws, seed=seed)
        return judge(
            np.column_stack(self._returns),
            winner,
            by=self.metric,
            best=self._tested[winner].name,
            period_hours=period_hours(self._edges),
            plateau=self._plateau(winner),
            random_entries=entries,
        )

    def _plateau(self, winner: int) -> tuple[float, int]:
        """Plateau score of the winner among the combinations of its strategy; None without a space."""
        best = self._tested[winner]
        if best.parameters is None:
            return math.nan, 0
        rows: list[Mapping[str, Any]] = [
            {**(one.parameters or {}), "combination": k, _VALUE: self._values[k]}
            for k, one in enumerate(self._tested)
            if one.strategy_name == best.strategy_name
        ]
        own = {**best.parameters, "combination": winner, _VALUE: self._values[winner]}
        table = pl.DataFrame(rows, infer_schema_length=None, strict=False).with_columns(
            pl.col(_VALUE).cast(pl.Float64)
        )
        return plateau_of(table.lazy(), tuple(best.parameters), own, _VALUE)


_VALUE = "value of the metric"
