"""What has a sweep found? A frame with a row per combination, to rank, filter and look into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from bkapi.base.deferred import pl
from bkapi.errors import BkError
from bkapi.statistics.columns import LESS_IS_BETTER, check_column
from bkcore.machine.settings import EngineSettings

if TYPE_CHECKING:
    from bkapi.guards.overfitting import Overfitting
    from bkapi.runs.finished import FinishedRun
    from bkapi.statistics.records import BacktestStatistics
    from bkapi.sweeps.overfitting import Replay

#: What stands in a cell of a heatmap for the rows that differ in other parameters only.
Other: TypeAlias = Literal["best", "mean", "median"]

_MOST_ROWS: Final = 2**32 - 2  # that Polars can be asked for
_SHOWN: Final = (
    "total_trades",
    "win_rate",
    "total_pnl",
    "avg_pnl",
    "sharpe_ratio",
    "sortino_ratio",
    "max_drawdown",
    "profit_factor",
)


@dataclass(frozen=True)
class SweepResult:
    """Every combination with its metrics.

    lazy         a row per symbol, frame and combination, in this order: ``combination`` (its number in the space),
                 ``symbol`` and ``frame_name`` where there are several, the parameters, the metrics of spec reports.md
                 6 that were asked for (percent, minutes; null where the sample cannot carry the number) and
                 ``refused_signals``
    parameters   the names of the parameters
    settings     those of the run
    complete     False when the sweep was stopped before its end
    by           the metric that ranks rows when a call names none
    less_is_better   columns of which less is better
    """

    lazy: pl.LazyFrame = field(repr=False)
    title: str
    parameters: tuple[str, ...]
    settings: EngineSettings
    complete: bool = True
    by: str = "sharpe_ratio"
    less_is_better: tuple[str, ...] = LESS_IS_BETTER
    _sweep: Replay | None = field(default=None, repr=False)
    _tried: pl.LazyFrame | None = field(default=None, repr=False)

    @cached_property
    def frame(self) -> pl.DataFrame:
        """All rows, loaded into memory."""
        return self.lazy.collect()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self.lazy.collect_schema().names())

    def __len__(self) -> int:
        return int(self.lazy.select(pl.len()).collect().item())

    def top(self, n: int = 10, by: str | None = None) -> pl.DataFrame:
        """The ``n`` best rows by a metric (default ``self.by``); nulls last, ties in the order of the frame.

        More is better, except for ``max_drawdown``, ``std_dev`` and the counts of losses. Raises
        :class:`UnknownNameError` for an unknown metric.
        """
        by = by or self.by
        check_column(by, self.columns)
        if n < 0:
            raise SweepResultError(
                f"n={n} is below 0.", hint="ask for the rows that you want to see, top(10)."
            )
        ranked = self.lazy.sort(
            by, descending=by not in self.less_is_better, nulls_last=True, maintain_order=True
        )
        return ranked.head(min(n, _MOST_ROWS)).collect()

    def where(self, *conditions: pl.Expr, **equal: Any) -> SweepResult:
        """The rows that meet every condition: Polars expressions over the columns, or ``name=value``.

        ``result.where(pl.col("total_trades") > 100, symbol="BTCUSDT", breakeven_from_percent=None).top(5)``
        """
        for name in equal:
            check_column(name, self.columns)
        for condition in conditions:
            if not isinstance(condition, pl.Expr):
                raise SweepResultError(
                    f"the condition {condition!r} is no Polars expression.",
                    hint='write it over columns, pl.col("total_trades") > 100, or as name=value.',
                )
        tests = [*conditions, *(_equals(name, value) for name, value in equal.items())]
        return replace(self, lazy=self.lazy.filter(*tests), _tried=self.tried) if tests else self

    @property
    def tried(self) -> pl.LazyFrame:
        """The rows before any :meth:`where`: the number of trials behind a choice among them."""
        return self.lazy if self._tried is None else self._tried

    def heatmap(
        self, x: str | None = None, y: str | None = None, metric: str | None = None, *, other: Other = "mean"
    ) -> pl.DataFrame:
        """``metric`` for each pair of ``x`` and ``y``: a row per ``y``, a column per ``x``.

        ``x`` and ``y`` default to the first two parameters, ``metric`` to ``self.by``.

        other   what stands for the rows that differ in other parameters only: their ``mean`` or ``median``, or the
                ``best`` of them, which flatters: it shows for each pair what luck has made of the rest

        Raises :class:`UnknownNameError` for an unknown parameter or metric, :class:`SweepResultError` when there are
        not two parameters.
        """
        if other not in get_args(Other):
            raise SweepResultError(
                f"other={other!r:.60} is no way to join rows.",
                hint=f"choose one of {', '.join(get_args(Other))}.",
            )
        metric = metric or self.by
        check_column(metric, [name for name in self.columns if name not in self.parameters])
        if len(self.parameters) < 2 and None in (x, y):
            raise SweepResultError(
                f"a heatmap needs two parameters, the sweep has {len(self.parameters)}.",
                hint="rank it with top(n).",
            )
        x, y = x or self.parameters[0], y or self.parameters[1]
        known = [name for name in ("symbol", "frame_name") if name in self.columns]
        for name in (x, y):
            check_column(name, [*self.parameters, *known])
        if x == y:
            raise SweepResultError(f"x and y are both {x!r}.", hint="choose two parameters.")
        values = pl.col(metric)
        best = values.min() if metric in self.less_is_better else values.max()
        joined = {"best": best, "mean": values.mean(), "median": values.median()}[other]
        table = self.lazy.group_by(y, x, maintain_order=True).agg(joined).collect()
        wide = table.pivot(on=x, index=y, values=metric, maintain_order=True)
        if not table[x].dtype.is_float():
            return wide
        return wide.rename({name: f"{float(name):g}" for name in wide.columns if name not in (y, "null")})

    def run(self, combination: int, *, symbol: str = "", frame_name: str = "") -> FinishedRun:
        """Backtest one combination in full: trades, events, statistics.

        combination   its number, the column ``combination``
        symbol, frame_name   needed where the sweep has several
        """
        return self._replay().play(int(combination), symbol, frame_name)

    def _replay(self) -> Replay:
        if self._sweep is None:
            raise SweepResultError(
                "this result was read from a file and cannot run.",
                hint="make the sweep again from its strategy: Sweep(...).run(folder=...) reads the same parts.",
            )
        return self._sweep

    def trades(self, combination: int, *, symbol: str = "", frame_name: str = "") -> pl.DataFrame:
        """The trades of one combination, computed on demand (arguments of :meth:`run`)."""
        return self.run(combination, symbol=symbol, frame_name=frame_name).trades

    def statistics(self, combination: int, *, symbol: str = "", frame_name: str = "") -> BacktestStatistics:
        """Every statistic of one combination (arguments of :meth:`run`)."""
        return self.run(combination, symbol=symbol, frame_name=frame_name).statistics()

    def overfitting(
        self,
        by: str | None = None,
        *,
        most: int = 1000,
        draws: int = 99,
        seed: int = 0,
        trials: int | None = None,
        frame_name: str = "",
    ) -> Overfitting:
        """How much of the best row is selection; see :func:`bkapi.sweeps.overfitting.overfitting_of_sweep`."""
        from bkapi.sweeps.overfitting import overfitting_of_sweep

        return overfitting_of_sweep(
            *(self._replay(), self.lazy, self.tried, self.parameters),
            by=by or self.by,
            less_is_better=self.less_is_better,
            most=most,
            draws=draws,
            seed=seed,
            trials=trials,
            frame_name=frame_name,
        )

    def to_parquet(self, path: str | Path) -> Path:
        """Write the rows to one Parquet file, which appears whole or not at all; returns its path."""
        from bkapi.sweeps.parts import write_whole

        return write_whole(Path(path), self.lazy)

    @property
    def shown(self) -> tuple[str, ...]:
        """The columns that tables show: what names a row, and the metrics people ask for first."""
        named = [name for name in ("symbol", "frame_name") if name in self.columns]
        return (*named, *self.parameters, *(name for name in _SHOWN if name in self.columns))

    def __repr__(self) -> str:
        with pl.Config(
            tbl_rows=10,
            tbl_cols=-1,
            tbl_hide_dataframe_shape=True,
            tbl_hide_column_data_types=True,
            tbl_width_chars=240,
            float_precision=3,
        ):
            return f"{self._title()}\n{self._best()}"

    def _repr_html_(self) -> str:
        return f"<p>{self._title()}</p>{self._best()._repr_html_()}"

    def _title(self) -> str:
        partly = "" if self.complete else " (stopped before the end)"
        return f"{len(self):,} {self.title}{partly}, the best by {self.by}:"

    def _best(self) -> pl.DataFrame:
        return self.top(10).select(self.shown)


def _equals(name: str, value: Any) -> pl.Expr:
    """Whether a column equals ``value``; None is a value, and what is neither number nor text is compared as text."""
    shown = value if value is None or isinstance(value, int | float | str) else str(value)
    return pl.col(name).eq_missing(pl.lit(shown))


class SweepResultError(BkError, ValueError):
    """Raised by ``result.heatmap()`` of a sweep with one parameter: the result cannot answer the question."""


def told_parameters(parameters: Mapping[str, Any]) -> str:
    """Parameters as text: ``take_profit_percent=1.5, fast=10``."""
    return ", ".join(f"{name}={value!r}" for name, value in parameters.items())
