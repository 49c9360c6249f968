"""How good is the best row of a sweep really? Gathers what :mod:`bkapi.guards.overfitting` needs to judge it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from bkapi.base.deferred import pl
from bkapi.guards.overfitting import Overfitting, TooFewTrialsError, judge, period_edges, period_hours
from bkapi.statistics.columns import check_column
from bkcore.statistics.metrics import METRIC_NAMES
from bkcore.statistics.overfitting import plateau_score

if TYPE_CHECKING:
    from bkapi.runs.finished import FinishedRun

_NEAREST: Final = 2  # neighbours per parameter where parameters lie on no grid


class Replay(Protocol):
    """A sweep whose combinations can be played again; :class:`bkapi.sweeps.sweep.ParameterSweep` is one.

    ``symbol`` and ``frame_name`` may be left out where the sweep has one market.
    """

    def span(self, symbol: str = "", frame_name: str = "") -> tuple[int, int]:
        """First tick of a market of the sweep and the last moment of a trade in it, ms UTC."""

    def period_returns(
        self,
        combinations: NDArray[np.int64],
        trades: NDArray[np.int64],
        edges: NDArray[np.int64],
        *,
        symbol: str = "",
        frame_name: str = "",
    ) -> NDArray[np.float64]:
        """The returns of combinations of one market in each period, f8[periods, n], in percent."""

    def play(self, combination: int, symbol: str = "", frame_name: str = "") -> FinishedRun:
        """Backtest a combination in a market of the sweep."""


def overfitting_of_sweep(
    sweep: Replay,
    chosen: pl.LazyFrame,
    tried: pl.LazyFrame,
    parameters: Sequence[str],
    *,
    by: str,
    less_is_better: Sequence[str],
    most: int = 1000,
    draws: int = 99,
    seed: int = 0,
    trials: int | None = None,
    frame_name: str = "",
) -> Overfitting:
    """Judge the best row of a sweep by ``by`` (the same row as ``result.top(1, by=by)``).

    chosen   the rows from which the best is taken, as :class:`bkapi.sweeps.result.SweepResult` has them
    tried    all rows, before any filter
    parameters   the columns that are parameters
    less_is_better   the columns of which less is better
    most     combinations whose returns per period are computed: all, or else a sample by ``seed`` and the best
    draws    runs with random entries to compare the best with; 0 for none
    trials   how many were tried, if the sweep was not the first look at these candles; default: its rows before
             any :meth:`SweepResult.where`
    frame_name   needed where the sweep has several, since returns of different times cannot be compared

    Raises :class:`UnknownNameError` for an unknown metric and :class:`TooFewTrialsError` without a trade.
    """
    columns = chosen.collect_schema().names()
    check_column(by, columns)
    if "frame_name" in columns:
        if not frame_name:
            names = chosen.select(pl.col("frame_name").unique(maintain_order=True)).collect()["frame_name"]
            if len(names) != 1:
                raise TooFewTrialsError(
                    f"the sweep has {len(names)} frames: {', '.join(names)}.",
                    hint="judge one at a time: result.overfitting(frame_name=...).",
                )
            frame_name = names[0]
        chosen, tried = (rows.filter(pl.col("frame_name") == frame_name) for rows in (chosen, tried))
    ranked = chosen.filter(pl.col(by).is_not_null(), pl.col("total_trades") > 0)
    top = ranked.sort(by, descending=by not in less_is_better, maintain_order=True).head(1).collect()
    if not len(top):
        raise TooFewTrialsError(
            f"no combination has a {by}.", hint="it needs trades; a Sharpe ratio needs ten of them."
        )
    best = top.row(0, named=True)
    count = int(tried.select(pl.len()).collect().item())
    sample, is_drawn = _sample(tried, best, count, most, seed)
    symbol = best.get("symbol", "")
    edges = period_edges(*sweep.span(symbol, frame_name))
    returns = np.zeros((edges.size - 1, len(sample)))
    of = sample.get_column("symbol").to_list() if "symbol" in sample.columns else [""] * len(sample)
    for name in dict.fromkeys(of):
        rows = np.flatnonzero([one == name for one in of])
        part = sample[rows]
        returns[:, rows] = sweep.period_returns(
            part["combination"].to_numpy(),
            part["total_trades"].to_numpy(),
            edges,
            symbol=name,
            frame_name=frame_name,
        )
    place = sample["combination"].to_numpy() == best["combination"]
    place &= np.array([one == symbol for one in of])
    score, neighbours = plateau_of(tried, parameters, best, by)
    entries = None
    if draws:
        from bkapi.guards.random_entries import random_entry_baseline

        metric = by if by in METRIC_NAMES else "sharpe_ratio"
        run = sweep.play(best["combination"], symbol, frame_name)
        entries = random_entry_baseline(
            run,
            metric,
            draws=draws,
            seed=seed,
            less_is_better=metric in less_is_better,
        )
    told = [f"{symbol} " if symbol else "", ", ".join(f"{name}={best[name]}" for name in parameters)]
    return judge(
        returns,
        int(np.flatnonzero(place)[0]),
        by=by,
        best="".join(told) or "the only one",
        trials=count if trials is None else max(trials, count),
        is_drawn=is_drawn,
        period_hours=period_hours(edges),
        plateau=(score, neighbours),
        random_entries=entries,
    )


def _sample(
    tried: pl.LazyFrame, best: Mapping[str, Any], count: int, most: int, seed: int
) -> tuple[pl.DataFrame, bool]:
    """The rows to measure in order: all, or the best and a random sample. And whether the sample drew the best."""
    names = [name for name in ("combination", "symbol", "total_trades") if name in best]
    if count <= most:
        return tried.select(names).collect(), True
    drawn = np.random.default_rng(seed).choice(count, max(1, most - 1), replace=False)
    own = pl.all_horizontal([pl.col(name) == best[name] for name in names[:-1]])
    rows = tried.select(names).with_row_index("row")
    chosen = rows.filter(pl.col("row").is_in(pl.Series(drawn).implode()) | own).collect()
    return chosen.drop("row"), len(chosen) == drawn.size


def plateau_of(
    tried: pl.LazyFrame, parameters: Sequence[str], best: Mapping[str, Any], by: str
) -> tuple[float, int]:
    """Plateau score of the best row, and how many neighbours it has.

    Neighbours differ by at most one step in every numeric parameter, and in no other. Where no parameter
    lies on a grid, the nearest combinations count as neighbours.
    """
    if by in parameters or not tried.collect_schema()[by].is_numeric():
        return math.nan, 0
    if "symbol" in best:
        tried = tried.filter(pl.col("symbol") == best["symbol"])
    near, numeric = [], []
    for name in parameters:
        values = tried.select(pl.col(name).unique().sort()).collect().to_series()
        if not values.dtype.is_numeric() or best[name] is None:
            near.append(pl.col(name).eq_missing(best[name]))
            continue
        numeric.append(name)
        known = values.drop_nulls().to_numpy()
        at = int(np.searchsorted(known, best[name]))
        near.append(pl.col(name).is_between(known[max(0, at - 1)], known[min(at + 1, known.size - 1)]))
    if not numeric:
        return math.nan, 0
    others = tried.filter(pl.col("combination") != best["combination"])
    found = others.filter(*near).select(by).collect().to_series()
    typical = tried.select(pl.col(by).median()).collect().item()
    if not len(found):
        found = _nearest(tried, numeric, best, by)
    around = found.cast(pl.Float64).fill_null(math.nan).to_numpy()
    return plateau_score(
        around, best=float(best[by]), typical=math.nan if typical is None else float(typical)
    ), len(around)


def _nearest(tried: pl.LazyFrame, numeric: Sequence[str], best: Mapping[str, Any], by: str) -> pl.Series:
    spread = [pl.col(name).max() - pl.col(name).min() for name in numeric]
    parts = [
        ((pl.col(name) - best[name]) / width).pow(2) for name, width in zip(numeric, spread, strict=True)
    ]
    distance = pl.sum_horizontal(parts).alias("distance")
    others = tried.select(by, "combination", distance).filter(pl.col("combination") != best["combination"])
    return others.sort("distance").head(_NEAREST * len(numeric)).select(by).collect().to_series()
