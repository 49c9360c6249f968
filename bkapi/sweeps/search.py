"""Which parameters suit a strategy, where a grid is too large? Optuna suggests, sweeps measure (extra ``search``)."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, get_args

import numpy as np
import polars as pl

from bkapi.base.context import Context
from bkapi.base.progress import Progress, progress_of
from bkapi.errors import BkError, MissingExtraError
from bkapi.schemas.space import Space
from bkapi.statistics.columns import LESS_IS_BETTER, check_column
from bkapi.sweeps.parts import digest_of, source_of
from bkapi.sweeps.result import SweepResult
from bkapi.sweeps.search_space import combination_key, suggestions_of
from bkapi.sweeps.sweep import MetricGroup, ParameterSweep, group_of

logger = logging.getLogger("bkapi")

Objective = str | Callable[[Mapping[str, Any]], float | None]
Direction = Literal["maximize", "minimize"]
Parameters = dict[str, Any]

_MOST_REFUSED: Final = 1000  # suggestions in a row that miss the conditions of a space
_DIGEST: Final = "bk search"  # the attribute of a study that holds the digest of what it searches
_REFUSED: Final = "misses conditions"
_COMBINATION: Final = "combination"


class SearchError(BkError, ValueError):
    """Raised by ``Search(context, space, symbol="BTCUSDT", trials=0)``: such a search cannot be made."""


@dataclass(frozen=True, repr=False)
class SearchResult(SweepResult):
    """Every combination that was measured, in the order of the suggestions; otherwise like the result of a sweep.

    study        the Optuna study; ``trial.user_attrs["combination"]`` is the row of a trial
    objectives   columns that were searched for: metrics, or ``objective`` (``objective_1`` ...) for functions
    """

    study: Any = field(default=None, repr=False)
    objectives: tuple[str, ...] = ()

    @property
    def trials(self) -> int:
        """How many combinations were tried, each counted once; the guards against overfitting use it."""
        return len(self)

    @property
    def shown(self) -> tuple[str, ...]:
        """The columns that tables show: those of a sweep, and the objectives."""
        return tuple(dict.fromkeys((*super().shown, *self.objectives)))

    @property
    def best(self) -> dict[str, Any]:
        """The best row by the first objective. Raises :class:`SearchError` when no combination has a value of it."""
        rows = self.lazy.filter(pl.col(self.by).is_not_null()).collect()
        if not len(rows):
            raise SearchError(
                f"no combination has a {self.by}.",
                hint="it needs trades, a ratio ten of them; search longer, or elsewhere.",
            )
        return rows.sort(self.by, descending=self.by not in self.less_is_better, maintain_order=True).row(
            0, named=True
        )

    @property
    def front(self) -> pl.DataFrame:
        """The Pareto front: rows that no other row beats in one objective without losing in another."""
        frame = self.frame.filter(pl.all_horizontal(pl.col(self.objectives).is_not_null()))
        signs = [-1.0 if name in self.less_is_better else 1.0 for name in self.objectives]
        values = frame.select(pl.col(self.objectives).cast(pl.Float64)).to_numpy() * signs
        beaten = [bool(((values >= row).all(axis=1) & (values > row).any(axis=1)).any()) for row in values]
        return frame.filter(~pl.Series(beaten, dtype=pl.Boolean))


class Search:
    """Searches the parameters of a strategy by an Optuna sampler.

    context, symbol   as for :class:`ParameterSweep`, one market
    space       a :class:`Space`; how its axes are suggested: :func:`bkapi.sweeps.search_space.suggestions_of`.
                Ranges of ``Space.random`` are searched as ranges; its count and seed are ignored
    objective   a metric, or a function that takes a row of the result (parameters and metrics by name) and returns a
                number or None; or several of them
    direction   ``maximize`` or ``minimize``, one for each objective; default: the better side of a metric, and
                ``maximize`` for a function
    trials      suggestions to measure, those that a storage holds already included
    batch       suggestions that one sweep measures together
    sampler     an Optuna sampler; default: ``TPESampler`` with ``seed``
    seed        of the default sampler, 0 if not given: equal seeds give equal searches
    storage     of the study, a URL (``"sqlite:///search.db"``) or an Optuna storage; the same call goes on from it
    study_name  in the storage; default: strategy, symbol and frame
    metrics, threads, max_memory   as for :class:`ParameterSweep`; metrics default to a group that holds the objectives

    Suggestions that miss a condition of the space are pruned in the study and replaced by others. A combination that
    was suggested before is not measured again. Raises :class:`MissingExtraError` without Optuna, :class:`SearchError`
    for an invalid argument, and what :class:`ParameterSweep` raises.
    """

    def __init__(
        self,
        context: Context,
        space: Space,
        *,
        symbol: str,
        objective: Objective | Sequence[Objective] = "sharpe_ratio",
        direction: Direction | Sequence[Direction] | None = None,
        trials: int = 200,
        batch: int = 16,
        sampler: Any = None,
        seed: int | None = None,
        storage: Any = None,
        study_name: str | None = None,
        metrics: MetricGroup | None = None,
        threads: int | None = None,
        max_memory: int | str = "1G",
    ) -> None:
        self._optuna = _optuna()
        for name, value in (("trials", trials), ("batch", batch)):
            if not isinstance(value, int) or value < 1:
                raise SearchError(f"{name}={value!r} is no whole number from 1 on.", hint=f"give {name}=50.")
        self._trials, self._batch = trials, batch
        self._objectives = _objectives(objective)
        named = [one for one in self._objectives.values() if isinstance(one, str)]
        self._directions = _directions(direction, self._objectives)
        self._sampler = self._checked_sampler(sampler, seed)
        if study_name is not None and storage is None:
            raise SearchError(
                f"study_name={study_name!r} names a study in a storage, and none is given.",
                hint='give storage="sqlite:///search.db" with it.',
            )
        self._storage = storage
        self._sweep = ParameterSweep(
            context,
            space,
            symbol=symbol,
            metrics=metrics or group_of(*named),
            threads=threads,
            max_memory=max_memory,
        )
        for name in named:
            check_column(name, self._sweep.metric_columns)
        if not space.names:
            raise SearchError("the space has no parameters.", hint="give Space.grid(fast=[5, 10], ...).")
        self.space = space
        self._suggestions = suggestions_of(space)
        context_name = f"{context['strategy_name']} on {symbol} in {context.get('frame_name', '')}"
        self._study_name = study_name or context_name

    def __repr__(self) -> str:
        told = ", ".join(
            f"{way} {name}" for name, way in zip(self._objectives, self._directions, strict=True)
        )
        return f"Search({self._study_name}, {self._trials:,} trials of {self.space!r}, {told})"

    def _checked_sampler(self, sampler: Any, seed: int | None) -> Any:
        samplers = self._optuna.samplers
        if sampler is None:
            with warnings.catch_warnings():  # constant_liar was experimental before Optuna 5
                warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
                return samplers.TPESampler(seed=seed or 0, constant_liar=True)
        if not isinstance(sampler, samplers.BaseSampler):
            raise SearchError(
                f"sampler={sampler!r} is no sampler of Optuna.",
                hint="give optuna.samplers.TPESampler(seed=1).",
            )
        if isinstance(sampler, samplers.GridSampler | samplers.BruteForceSampler):
            raise SearchError(
                f"{type(sampler).__name__} tries every combination.",
                hint="that is a sweep: Sweep(context, space, symbol=...).run().",
            )
        if seed is not None:
            raise SearchError(
                f"seed={seed!r}, and a sampler is given, which has a seed of its own.",
                hint="give the seed to the sampler.",
            )
        return sampler

    # ------------------------------------------------------------------------------------------------- running

    def run(self, *, progress: bool | Progress = True) -> SearchResult:
        """Suggest and measure until there are enough trials.

        progress   a bar on stderr where that is a terminal; or a function ``(done, total)``

        Ctrl-C returns what is done (``complete`` is False). Raises :class:`SearchError` when the study in the storage
        searches something else, or when hardly any suggestion meets the conditions; and what functions raise.
        """
        with _without_optuna_log(self._optuna), progress_of(progress, self._trials, "search") as tell:
            study = self._optuna.create_study(
                storage=self._storage,
                study_name=None if self._storage is None else self._study_name,
                sampler=self._sampler,
                directions=self._directions,
                load_if_exists=True,
            )
            known = _Known(self._sweep, self._objectives)
            complete = True
            try:
                answered = self._measure_stored_trials(study, known, tell)
                while answered < self._trials:
                    count = min(self._batch, self._trials - answered)
                    self._answer_batch(study, known, count, tell)
                    answered += count
            except KeyboardInterrupt:
                if not len(known):
                    raise
                complete = False
                logger.warning("the search was stopped; %d combinations of it are measured", len(known))
        less = {
            name for name, way in zip(self._objectives, self._directions, strict=True) if way == "minimize"
        }
        others = [name for name in LESS_IS_BETTER if name not in self._objectives]
        found = known.result(complete=complete)
        return SearchResult(
            **{one.name: getattr(found, one.name) for one in fields(found)}
            | {"by": next(iter(self._objectives)), "less_is_better": (*others, *less)},
            study=study,
            objectives=tuple(self._objectives),
        )

    def _measure_stored_trials(self, study: Any, known: _Known, tell: Callable[[float], object]) -> int:
        """Measure the combinations that the study has already; returns how many trials it has."""
        digest = self._digest()
        found = study.user_attrs.get(_DIGEST)
        if found is None and not study.trials:
            study.set_user_attr(_DIGEST, digest)
        elif found != digest:
            raise SearchError(
                f"the study {study.study_name!r} in the storage searches something else: its space, candles, strategy, "
                "settings or objectives differ.",
                hint="give another study_name.",
            )
        finished = [
            trial
            for trial in study.trials
            if trial.state.name in ("COMPLETE", "PRUNED") and _REFUSED not in trial.user_attrs
        ]
        known.measure([self._parameters(trial.params) for trial in finished])
        tell(len(finished))
        return len(finished)

    def _answer_batch(self, study: Any, known: _Known, count: int, tell: Callable[[float], object]) -> None:
        failed, pruned = self._optuna.trial.TrialState.FAIL, self._optuna.trial.TrialState.PRUNED
        asked: list[tuple[Any, Parameters]] = []
        try:
            asked.extend(self._ask(study) for _ in range(count))
            known.measure([parameters for _, parameters in asked])
            while asked:
                trial, parameters = asked[0]
                row, values = known.values(parameters)
                trial.set_user_attr(_COMBINATION, row)
                if None in values:
                    study.tell(trial, state=pruned)
                else:
                    study.tell(trial, values)
                del asked[0]
                tell(1)
        finally:
            for trial, _ in asked:  # stopped, or a function has raised
                study.tell(trial, state=failed, skip_if_finished=True)

    def _ask(self, study: Any) -> tuple[Any, Parameters]:
        """A trial of the study whose parameters meet the conditions of the space."""
        distributions = {one.name: one.distribution for one in self._suggestions}
        for _ in range(_MOST_REFUSED):
            trial = study.ask(distributions)
            parameters = self._parameters(trial.params)
            if len(_listed([parameters]).where(*self.space.conditions)):
                return trial, parameters
            trial.set_user_attr(_REFUSED, True)
            study.tell(trial, state=self._optuna.trial.TrialState.PRUNED)
        raise SearchError(
            f"{_MOST_REFUSED:,} suggestions in a row missed the conditions of the space.",
            hint="loosen them, or narrow the axes to where they are met.",
        )

    def _parameters(self, suggested: Mapping[str, Any]) -> Parameters:
        """Parameters of the strategy, in the order of the space."""
        found: Parameters = {}
        for one in self._suggestions:
            found |= one.parameters(suggested[one.name])
        return {name: found[name] for name in self.space.names}

    def _digest(self) -> str:
        told = [one if isinstance(one, str) else source_of(one) for one in self._objectives.values()]
        return digest_of(self._sweep.manifest(), told, self._directions)


class _Known:
    """The combinations that were measured, numbered in the order of the suggestions."""

    def __init__(self, sweep: ParameterSweep, objectives: Mapping[str, Objective]) -> None:
        self._sweep = sweep
        self._objectives = objectives
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._parameters: list[Parameters] = []
        self._frames: list[pl.DataFrame] = []
        self._values: list[list[float | None]] = []

    def __len__(self) -> int:
        return len(self._parameters)

    def measure(self, wanted: Sequence[Parameters]) -> None:
        """Measure those that are not known yet, with one sweep."""
        new = {combination_key(one): one for one in wanted}
        new = {key: one for key, one in new.items() if key not in self._numbers}
        if not new:
            return
        self._sweep = self._sweep.over(_listed(list(new.values())))
        result = self._sweep.run(progress=False)
        asked = list(new)
        keys = [asked[number] for number in result.frame["combination"]]
        rows = result.frame.with_columns(combination=pl.int_range(pl.len()) + len(self)).iter_rows(named=True)
        values = [[_value(name, one, row) for name, one in self._objectives.items()] for row in rows]
        for key in keys:
            self._numbers[key] = len(self)
            self._parameters.append(new[key])
        self._values += values
        self._frames.append(result.frame)
        if not result.complete:
            raise KeyboardInterrupt

    def values(self, parameters: Parameters) -> tuple[int, list[float | None]]:
        """The number of a combination, and its value of each objective."""
        number = self._numbers[combination_key(parameters)]
        return number, self._values[number]

    def result(self, *, complete: bool) -> SweepResult:
        """The result over all of them, with the values of functions as columns."""
        sweep = self._sweep.over(_listed(self._parameters))
        numbers = np.arange(len(self))
        columns = sweep.space.columns_at(numbers)
        measured = pl.concat(self._frames, how="vertical_relaxed").drop("combination", *columns)
        named = {name: column.series(name) for name, column in columns.items()}
        frame = pl.DataFrame({"combination": numbers, **named}).hstack(measured)
        given = {
            name: pl.Series([values[k] for values in self._values], dtype=pl.Float64)
            for k, (name, one) in enumerate(self._objectives.items())
            if not isinstance(one, str)
        }
        return sweep.result_of(frame.with_columns(**given).lazy(), complete=complete)


def _listed(rows: Sequence[Parameters]) -> Space:
    """A space that lists the given combinations."""
    return Space.zip(**{name: [row[name] for row in rows] for name in rows[0]})


def _value(name: str, objective: Objective, row: Mapping[str, Any]) -> float | None:
    found = row[objective] if isinstance(objective, str) else objective(row)
    if found is None:
        return None
    try:
        value = float(found)
    except (TypeError, ValueError):
        raise SearchError(
            f"{name} of combination {row['combination']} is {found!r}, no number.",
            hint="search for a number, or None where there is none.",
        ) from None
    return None if math.isnan(value) else value


def _objectives(given: Any) -> dict[str, Objective]:
    """The columns to search for, and functions that return their values."""
    listed = list(given) if isinstance(given, list | tuple) else [given]
    found: dict[str, Objective] = {}
    for k, one in enumerate(listed, 1):
        if not (isinstance(one, str) or callable(one)):
            raise SearchError(
                f"objective={one!r} is neither a metric nor a function.",
                hint='give objective="sharpe_ratio".',
            )
        name = one if isinstance(one, str) else "objective" if len(listed) == 1 else f"objective_{k}"
        if name in found:
            raise SearchError(f"the objective {name!r} is given twice.", hint="name each once.")
        found[name] = one
    if not found:
        raise SearchError("no objective is given.", hint='give objective="sharpe_ratio".')
    return found


def _directions(given: Any, objectives: Mapping[str, Objective]) -> list[Direction]:
    if given is None:
        return ["minimize" if name in LESS_IS_BETTER else "maximize" for name in objectives]
    listed: list[Any] = [given] if isinstance(given, str) else list(given)
    if len(listed) != len(objectives) or not set(listed) <= set(get_args(Direction)):
        raise SearchError(
            f"direction={given!r} does not say maximize or minimize for each of {', '.join(objectives)}.",
            hint=f"give {['maximize'] * len(objectives)!r} or the like, or leave it out.",
        )
    return listed


@contextmanager
def _without_optuna_log(optuna: Any) -> Iterator[None]:
    """Keep Optuna from printing a line for every study."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise MissingExtraError(
            "Optuna is not installed.", hint='install the extra: python -m pip install "bkapi[search]".'
        ) from None
    return optuna
