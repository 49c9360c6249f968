"""How do parameters do on time that they were not chosen on? Trains on one stretch, trades the next, and so on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import polars as pl

from bkapi.base.context import Context
from bkapi.base.timestamps import from_ms
from bkapi.errors import BkError
from bkapi.market.exchange import client_of
from bkapi.runs.finished import FinishedRun, closed_trades
from bkapi.schemas.registry import frames
from bkapi.schemas.space import Space
from bkapi.statistics.columns import check_column
from bkapi.statistics.measured import backtest_statistics
from bkapi.sweeps.result import SweepResult
from bkapi.sweeps.sweep import MetricGroup, ParameterSweep
from bkcore.intervals import interval_step_ms
from bkcore.machine.codes import Status
from bkcore.statistics.metrics import METRIC_NAMES, measure

if TYPE_CHECKING:
    from bkapi.statistics.records import BacktestStatistics

Span = str | timedelta
Kind = Literal["rolling", "anchored"]
_UNITS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


class WalkForwardError(BkError, ValueError):
    """Raised by ``WalkForward(..., train="400d", test="30d")`` in a frame of a year: there is no such window."""


@dataclass(frozen=True)
class Window:
    """A training part and the test part after it, ms UTC, first and last ticks."""

    train_start: int
    train_end: int
    test_start: int
    test_end: int


def windows_of(
    start: int,
    end: int,
    step: int,
    *,
    train: int,
    test: int,
    purge: int = 0,
    embargo: int = 0,
    kind: Kind,
    candle: int = 0,
) -> list[Window]:
    """The windows in the ticks from ``start`` to ``end`` (included) in steps of ``step``; all in ms.

    A boundary separates training and test: the first lies ``train`` after the start, each next one ``test``
    later. ``purge`` is cut off the end of training, ``embargo`` off the beginning of the test. The last
    test may be shorter.

    candle   length of a candle: the one that closes what is open after the last tick of training ends before the test
    """
    found = []
    last = -(-max(step, 2 * candle) // step) * step
    for boundary in range(start + train, end + 1, test):
        window = Window(
            start if kind == "anchored" else boundary - train,
            boundary - purge - last,
            boundary + embargo,
            min(boundary + test - step, end),
        )
        if window.test_end >= window.test_start and window.train_end >= window.train_start:
            found.append(window)
    return found


class WalkForward:
    """A sweep in every training part; its winner alone trades in the test part that follows.

    context, space, symbol   as for :class:`ParameterSweep`; the frame of the context is cut into windows
    train, test    how long the parts are: ``"30d"``, ``"12h"`` or a timedelta
    kind           ``rolling``: training parts are equally long; ``anchored``: all begin with the frame
    purge          time cut off the end of every training part, so that nothing learned there reaches into the test
    embargo        time left out at the beginning of every test part
    by             the metric that chooses the winner; ``where``: conditions that it has to meet, as in
                   :meth:`SweepResult.where`

    Positions are closed at the end of a part, as at the end of any frame: those of training by a candle that ends
    before the test begins. The parts are
    registered as frames ``"<frame> train 1"``, ``"<frame> test 1"`` and so on, so that each can be run by name.
    Raises :class:`WalkForwardError` where no window fits.
    """

    def __init__(
        self,
        context: Context,
        space: Space,
        *,
        symbol: str,
        train: Span,
        test: Span,
        kind: Kind = "rolling",
        purge: Span = "0m",
        embargo: Span = "0m",
        by: str = "sharpe_ratio",
        where: Sequence[pl.Expr] = (),
        metrics: MetricGroup = "drawdown",
        threads: int | None = None,
    ) -> None:
        if kind not in ("rolling", "anchored"):
            raise WalkForwardError(f"kind={kind!r} is no way to walk.", hint="rolling or anchored.")
        check_column(by, METRIC_NAMES)
        self._context, self._space, self._symbol = dict(context), space, symbol
        self._by, self._where = by, tuple(where)
        self._metrics: MetricGroup = metrics
        self._threads = threads
        schema = frames.get(self._context["frame_name"], "WalkForward")
        step = interval_step_ms(schema.interval)
        candle = client_of(self._context["exchange_name"], "WalkForward").step_ms
        spans = {
            name: _milliseconds(name, span, step)
            for name, span in (("train", train), ("test", test), ("purge", purge), ("embargo", embargo))
        }
        self.windows = windows_of(schema.start_ms, schema.end_ms, step, **spans, kind=kind, candle=candle)
        if min(spans["train"], spans["test"]) <= 0 or not self.windows:
            raise WalkForwardError(
                f"no window of train={train!r}, test={test!r}, purge={purge!r} and embargo={embargo!r} fits into the "
                f"frame {schema.frame_name!r}.",
                hint=f"it runs from {schema.start_date:%Y-%m-%d} to {schema.end_date:%Y-%m-%d}.",
            )
        self._names = [
            tuple(f"{schema.frame_name} {part} {k + 1}" for part in ("train", "test"))
            for k in range(len(self.windows))
        ]

    def _register(self) -> None:
        interval = frames.get(self._context["frame_name"]).interval
        for names, window in zip(self._names, self.windows, strict=True):
            spans = ((window.train_start, window.train_end), (window.test_start, window.test_end))
            for name, (start, end) in zip(names, spans, strict=True):
                values = {"start_date": from_ms(start), "end_date": from_ms(end), "interval": interval}
                if frames.known(name) is None:
                    frames.add(frame_name=name, **values)
                else:
                    frames.override(frame_name=name, **values)

    def run(self, *, progress: bool = False) -> WalkForwardResult:
        """Go through all windows; raises what a sweep raises."""
        self._register()
        trained = ParameterSweep(
            self._context,
            self._space,
            symbol=self._symbol,
            frame_names=[train for train, _ in self._names],
            metrics=self._metrics,
            threads=self._threads,
        )
        result = trained.run(progress=progress)
        rows, trades = [], []
        for k, (window, (train, test)) in enumerate(zip(self.windows, self._names, strict=True)):
            row: dict[str, Any] = {
                "window": k + 1,
                **{name: from_ms(getattr(window, name)) for name in Window.__dataclass_fields__},
            }
            part = result.where(frame_name=train) if "frame_name" in result.columns else result
            part = part.where(pl.col("total_trades") > 0, pl.col(self._by).is_not_null(), *self._where)
            best = part.top(1, by=self._by)
            if len(best):
                winner = best.row(0, named=True)
                run = trained.play_in(winner["combination"], self._symbol, test)
                tested = _metrics(run)
                row |= {"combination": winner["combination"], **{n: winner[n] for n in result.parameters}}
                row |= {
                    "trades": winner["total_trades"],
                    "in_sample": winner[self._by],
                    "in_sample_avg_pnl": winner["avg_pnl"],
                    "test_trades": int(tested["total_trades"] or 0),
                    "out_of_sample": tested[self._by],
                    "out_of_sample_avg_pnl": tested["avg_pnl"],
                }
                trades.append(closed_trades(run).with_columns(window=pl.lit(k + 1, pl.Int64)))
            rows.append(row)
        if not trades:
            raise WalkForwardError(
                f"no training part has a combination with a {self._by}.",
                hint="train longer, or loosen where=[...].",
            )
        frame = pl.DataFrame(rows, infer_schema_length=None)
        return WalkForwardResult(frame, pl.concat(trades), result, self._by, self._space.size)


@dataclass(frozen=True)
class WalkForwardResult:
    """What was chosen in each window, and how it did afterwards.

    windows   a row per window: first and last ticks of its parts, the winner with its parameters, ``in_sample`` and
              ``out_of_sample`` (the metric ``by``, null where the sample cannot carry it), trades and their average
    trades    closed trades of all test parts in order, with their ``window``; none of them was seen in training
    sweep     every combination of every training part
    by        the metric that chose
    """

    windows: pl.DataFrame = field(repr=False)
    trades: pl.DataFrame = field(repr=False)
    sweep: SweepResult = field(repr=False)
    by: str
    combinations: int

    @property
    def trials(self) -> int:
        """Combinations times windows."""
        return self.combinations * len(self.windows)

    def statistics(self) -> BacktestStatistics:
        """Every statistic of the trades out of sample."""
        return backtest_statistics(self.trades, row_limit=None)

    @property
    def equity(self) -> pl.DataFrame:
        """Out of sample only: a row per trade, ``close_timestamp``, ``window``, ``equity`` compounded from 1."""
        growth = (1.0 + pl.col("pnl_percent") / 100.0).cum_prod()
        return self.trades.sort("close_timestamp").select("close_timestamp", "window", equity=growth)

    @property
    def in_sample_avg_pnl(self) -> float:
        """Average trade of the winners in training, percent, over all their trades."""
        told = self.windows.drop_nulls("combination")
        averages, trades = (told[name].to_numpy() for name in ("in_sample_avg_pnl", "trades"))
        return float(np.average(averages, weights=trades))

    @property
    def out_of_sample_avg_pnl(self) -> float | None:
        """Average trade in the test parts, percent; None without one."""
        average = self.trades["pnl_percent"].mean()
        return None if average is None else float(average)  # type: ignore[arg-type]  # a number

    @property
    def degradation_percent(self) -> float | None:
        """How much of the average trade in training is lost in the tests: 0 = nothing, 100 = all, more = it loses.

        None when training lost, or nothing was traded.
        """
        before, after = self.in_sample_avg_pnl, self.out_of_sample_avg_pnl
        return None if after is None or before <= 0.0 else 100.0 * (1.0 - after / before)

    def __repr__(self) -> str:
        lost, after = self.degradation_percent, self.out_of_sample_avg_pnl
        lines = [
            f"{len(self.windows):,} windows, {self.combinations:,} combinations each, chosen by {self.by}; "
            f"{len(self.trades):,} trades out of sample",
            f"average trade: {self.in_sample_avg_pnl:+.3f} % in sample, "
            f"{'N/A' if after is None else f'{after:+.3f} %'} out of sample, "
            f"degradation {'N/A' if lost is None else f'{lost:.0f} %'}",
        ]
        shown = ("window", "test_start", *self.sweep.parameters, "in_sample", "out_of_sample", "test_trades")
        return "\n".join([*lines, str(self.windows.select(shown))])


def _milliseconds(name: str, span: Span, step: int) -> int:
    if isinstance(span, timedelta):
        value = span.total_seconds() * 1000
    else:
        try:
            value = float(span[:-1]) * _UNITS[span[-1:]]
        except (KeyError, ValueError):
            value = math.nan
    if not value >= 0 or value % step:
        raise WalkForwardError(
            f"{name}={span!r} is no multiple of the frame's interval.",
            hint=f'give {name}="30d", "12h" or a timedelta.',
        )
    return int(value)


def _metrics(run: FinishedRun) -> dict[str, float | None]:
    closed = run.run.trades[run.run.trades["status"] == Status.CLOSED]
    names = ("pnl_percent", "peak_pnl_percent", "fall_pnl_percent", "pending_at", "ended_at", "end_price")
    values = measure(*(closed[name] for name in names))
    return {name: None if np.isnan(v) else float(v) for name, v in zip(METRIC_NAMES, values, strict=True)}
