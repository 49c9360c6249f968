"""Which bracket suits a strategy: take-profit x stop-loss x lifetime over one set of signals, ranked."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bkapi.backtest import Context, prepare
from bkapi.errors import BkError, UnknownNameError
from bkcore.codes import Given
from bkcore.errors import did_you_mean
from bkcore.intervals import interval_step_ms
from bkcore.metrics import COUNTS, METRIC_NAMES
from bkcore.price_profile import Trend
from bkcore.settings import EngineSettings
from bkcore.sweep_brackets import Bracket, measure_brackets

if TYPE_CHECKING:
    import polars as pl

#: The columns that name a combination, in order.
PARAMETERS = ("take_profit_percent", "stop_loss_percent", "lifetime_minutes")
_MOST_BRACKETS = 5_000_000  # two gigabytes of metrics
#: Metrics of which less is better.
_LESS_IS_BETTER = ("max_drawdown", "std_dev", "loss_count", "max_loss_streak")
_SHOWN = (
    "total_trades",
    "win_rate",
    "total_pnl",
    "avg_pnl",
    "sharpe_ratio",
    "sortino_ratio",
    "max_drawdown",
    "profit_factor",
)


class SweepError(BkError, ValueError):
    """Raised by ``sweep_brackets(..., take_profit_percent=[0])``: an axis is empty or holds an impossible value."""


def check_column(name: str, known: Sequence[str] = (*METRIC_NAMES, "refused_signals", *PARAMETERS)) -> None:
    """Raise :class:`UnknownNameError` for a name that no column of a sweep has."""
    if name not in known:
        raise UnknownNameError(
            "metric", name, "sweep", known, hint=did_you_mean(name, known) + "choose a listed one."
        )


@dataclass(frozen=True)
class SweepResult:
    """Every combination with its metrics.

    ``frame``: a row per combination in grid order (take-profit outermost, lifetime innermost): the parameters, all
    metrics of spec reports.md 6 (percent, minutes; null where the sample cannot carry the number) and
    ``refused_signals``. ``settings`` are those of the run.
    """

    symbol: str
    strategy_name: str
    frame: pl.DataFrame
    settings: EngineSettings

    def top(self, n: int = 10, by: str = "sharpe_ratio") -> pl.DataFrame:
        """The ``n`` best combinations by a metric; nulls last, ties in grid order.

        More is better, except for ``max_drawdown``, ``std_dev`` and the counts of losses. Raises
        :class:`UnknownNameError` for an unknown metric.
        """
        check_column(by)
        ranked = self.frame.sort(
            by, descending=by not in _LESS_IS_BETTER, nulls_last=True, maintain_order=True
        )
        return ranked.head(n)

    def heatmap(
        self, x: str = "take_profit_percent", y: str = "stop_loss_percent", metric: str = "sharpe_ratio"
    ) -> pl.DataFrame:
        """Best value of ``metric`` per pair of ``x`` and ``y``: a row per ``y``, a column per ``x``.

        Raises :class:`UnknownNameError` for an unknown parameter or metric.
        """
        import polars as pl

        check_column(metric)
        for name in (x, y):
            check_column(name, PARAMETERS)
        best = pl.col(metric).min() if metric in _LESS_IS_BETTER else pl.col(metric).max()
        table = self.frame.group_by(y, x, maintain_order=True).agg(best)
        return table.pivot(on=x, index=y, values=metric, maintain_order=True)

    @property
    def shown(self) -> tuple[str, ...]:
        """The columns that tables show: the parameters and the metrics people ask for first."""
        return (*PARAMETERS, *_SHOWN)

    def __repr__(self) -> str:
        import polars as pl

        with pl.Config(
            tbl_rows=10, tbl_cols=-1, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True
        ):
            return f"{self._title()}\n{self._best()}"

    def _repr_html_(self) -> str:
        return f"<p>{self._title()}</p>{self._best()._repr_html_()}"

    def _title(self) -> str:
        return f"{len(self.frame):,} brackets of {self.strategy_name!r} on {self.symbol}, the best by sharpe_ratio:"

    def _best(self) -> pl.DataFrame:
        return self.top(10).select(self.shown)


def sweep_brackets(
    symbol: str,
    context: Context,
    *,
    take_profit_percent: Sequence[float],
    stop_loss_percent: Sequence[float],
    lifetime_minutes: Sequence[float],
    threads: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> SweepResult:
    """Backtest a vectorized strategy with every combination of the three axes, in parallel threads.

    The signals are computed once; each combination replaces their take-profit and stop-loss (percent of the entry
    price) and their lifetime (minutes). Trades are those of :meth:`Backtest.run` with that bracket.

    context    ``{"strategy_name": ..., "exchange_name": ..., "frame_name": ...}``; the strategy's ``signals`` frame
               gives its levels in percent (``take_profit_percent``, ``stop_loss_percent``)
    threads    default: the cores of this machine
    progress   called as ``progress(done, total)``

    Raises :class:`SweepError` for an axis that is empty or breaks the limits of the configuration.
    """
    strategy_run = prepare(symbol, context, source="sweep_brackets")
    settings = strategy_run.settings
    signals = strategy_run.run.signals
    if not strategy_run.table:
        raise SweepError(
            f"strategy {strategy_run.names.strategy_name!r} has no signals function.",
            hint="register it with signals=<function from candles to a signal frame>.",
        )
    if not (signals["given"] & Given.PERCENT_LEVELS).all():
        raise SweepError(
            f"the signals of {strategy_run.names.strategy_name!r} give their levels as prices.",
            hint="return the columns take_profit_percent and stop_loss_percent instead.",
        )
    axes = (
        _axis("take_profit_percent", take_profit_percent, settings.min_take_profit_percent, np.inf),
        _axis(
            "stop_loss_percent",
            stop_loss_percent,
            settings.min_stop_loss_percent,
            settings.max_stop_loss_percent or np.inf,
        ),
        _axis("lifetime_minutes", lifetime_minutes, 1, settings.max_lifetime_minutes),
    )
    threads = _cores() if threads is None else threads
    if threads < 1:
        raise SweepError(f"threads={threads} is below 1.", hint="leave threads out to use every core.")
    count = math.prod(map(len, axes))
    if count > _MOST_BRACKETS:
        raise SweepError(
            f"{' x '.join(f'{len(axis):,}' for axis in axes)} values make {count:,} brackets.",
            hint=f"at most {_MOST_BRACKETS:,} are measured at once; take wider steps.",
        )
    brackets: list[Bracket] = list(product(*axes))
    metrics = np.empty((len(brackets), len(METRIC_NAMES)))
    refused = np.empty(len(brackets), np.int64)
    done = 0
    for first, rows, refusals in measure_brackets(
        strategy_run.run.market,
        settings,
        strategy_run.frame,
        signals,
        brackets,
        interval_ms=interval_step_ms(strategy_run.interval),
        threads=threads,
        policy=strategy_run.policy,
        manage=strategy_run.hooks,
    ):
        metrics[first : first + len(rows)] = rows
        refused[first : first + len(rows)] = refusals
        done += len(rows)
        if progress is not None:
            progress(done, len(brackets))
    return SweepResult(symbol, strategy_run.names.strategy_name, _frame(brackets, metrics, refused), settings)


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _axis(name: str, values: Sequence[float], least: float, most: float) -> list[float]:
    try:
        axis = [float(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        raise SweepError(
            f"{name}={values!r} is no list of numbers.", hint=f"give {name}=[1.0, 2.0]."
        ) from None
    if not axis:
        raise SweepError(f"the axis {name} is empty.", hint=f"give at least one value, {name}=[1.0].")
    for value in axis:
        if not least <= value <= most or (name == "lifetime_minutes" and value != np.inf and value % 1):
            whole = "a whole number " if name == "lifetime_minutes" else ""
            raise SweepError(
                f"{name}={value:g} is not {whole}between {least:g} and {most:g}.",
                hint="the limits come from the configuration, see get_config() and set_config().",
            )
    return axis


def _frame(
    brackets: Sequence[Bracket], metrics: NDArray[np.float64], refused: NDArray[np.int64]
) -> pl.DataFrame:
    import polars as pl

    columns = dict(zip(PARAMETERS, np.array(brackets).T, strict=True))
    measured = dict(zip(METRIC_NAMES, metrics.T, strict=True))
    trends = [trend.name.lower() for trend in Trend]
    frame = pl.DataFrame({**columns, **measured, "refused_signals": refused})
    return frame.with_columns(pl.col(METRIC_NAMES).fill_nan(None)).with_columns(
        pl.col([METRIC_NAMES[metric] for metric in COUNTS]).cast(pl.Int64),
        pl.col("trend").replace_strict(dict(enumerate(trends)), return_dtype=pl.Enum(trends)),
    )
