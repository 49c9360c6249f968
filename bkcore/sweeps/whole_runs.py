"""Combinations that only whole backtests can measure: jitted strategies and hooks, resting orders, candles with holes.

Each thread owns one run without a log, which is restarted for every combination.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from bkcore.jit import direct
from bkcore.machine.codes import Status, Wake
from bkcore.machine.market import Market
from bkcore.machine.policy import no_policy
from bkcore.machine.run import Frame, Hooks, Records, Run
from bkcore.machine.settings import EngineSettings
from bkcore.statistics.metrics import Metric, Scope, trade_metrics
from bkcore.sweeps.walks import parts_of

_trade_metrics = direct(trade_metrics)
_CHUNK = 16  # combinations a thread takes at a time

Column = NDArray[np.float64]


class MachineWorker:
    """One thread's tables: a run that is restarted for each combination, and the columns metrics are taken from."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._columns: tuple[Column, ...] = ()
        self._times: tuple[NDArray[np.int64], ...] = ()

    def measure(self, bracket: tuple[float, float, float], out: Column) -> int:
        """Run one bracket (take-profit, stop-loss percent, lifetime in minutes; NaN = the signal's own).

        Writes its metrics into ``out`` (f8[len(Metric)]); returns how many signals, or rows, were refused.
        """
        run = self.run
        run.restart()
        take_profit, stop_loss, lifetime = bracket
        run.set_bracket(
            take_profit_percent=take_profit, stop_loss_percent=stop_loss, lifetime_minutes=lifetime
        )
        wake = run.advance()
        if wake is Wake.RAISED:
            raise run.raised()
        if wake is Wake.OUT_OF_CANDLES:
            raise RuntimeError("the market ends inside the frame")  # the caller has checked that it does not
        trades = run.trades
        closed = trades["status"] == Status.CLOSED
        if not closed.all():
            trades = trades[closed]
        self._take_columns(trades)
        count = trades.size
        pnl, peak, fall, price, values = (column[:count] for column in self._columns)
        pending, close = (column[:count] for column in self._times[:2])
        order = self._times[2][: 2 * count]
        _trade_metrics(pnl, peak, fall, pending, close, price, int(Scope.SERIES), order, values, out)
        return run.row_counts["refused"]

    def results(self, count: int) -> tuple[Column, NDArray[np.int64]]:
        """Results and closing times of the ``count`` trades of the combination that was measured last."""
        return self._columns[0][:count], self._times[1][:count]

    def _take_columns(self, trades: Records) -> None:
        count = trades.size
        if not self._columns or self._columns[0].size < count:
            room = max(1024, 2 * count)
            self._columns = tuple(np.empty(room) for _ in range(5))
            self._times = tuple(np.empty(2 * room, np.int64) for _ in range(3))
        names = ("pnl_percent", "peak_pnl_percent", "fall_pnl_percent", "end_price")
        for column, name in zip(self._columns, names, strict=False):
            column[:count] = trades[name]
        for times, name in zip(self._times, ("pending_at", "ended_at"), strict=False):
            times[:count] = trades[name]


class MachineSweep:
    """Combinations of brackets, policies and parameters of jitted functions over one market."""

    def __init__(
        self,
        market: Market,
        settings: EngineSettings,
        frame: Frame,
        signals: Records,
        *,
        interval_ms: int,
        threads: int = 1,
        has_policy: bool = False,
        hooks: Hooks | None = None,
        asks_in_position: bool = False,
    ) -> None:
        market.prices(settings)
        self._threads = threads
        hooks = hooks or Hooks()

        def worker() -> MachineWorker:
            own = Hooks(hooks.kernel, hooks.manage, hooks.parameters.copy())
            run = Run(
                *(market, settings, frame, signals),
                interval_ms=interval_ms,
                logs=False,
                policy=no_policy() if has_policy else None,
                hooks=own,
                asks_in_position=asks_in_position,
            )
            return MachineWorker(run)

        self._workers = [worker() for _ in range(threads)]

    def measure(
        self,
        takes: Column,
        stops: Column,
        lifetimes: Column,
        policies: Records | None = None,
        parameters: Column | None = None,
        *,
        progress: Callable[[float], object] = lambda done: None,
        trades: Callable[[int, Column, NDArray[np.int64]], object] | None = None,
    ) -> tuple[Column, NDArray[np.int64]]:
        """Measure a chunk of combinations: brackets (NaN = the signal's own), policies, parameters f8[n, p] of hooks.

        Returns metrics f8[n, len(Metric)] and refused signals i8[n]; raises what a jitted function raises.
        ``progress`` hears how many combinations are done more, ``trades`` (their number, results, closing times) those
        of a combination; the columns are overwritten by the next one.
        """
        metrics, refused = np.empty((takes.size, len(Metric))), np.empty(takes.size, np.int64)

        def work(part: tuple[int, int]) -> None:
            worker = self._workers.pop()
            try:
                for k in range(*part):
                    if policies is not None:
                        worker.run.set_policy(policies[k : k + 1])
                    if parameters is not None:
                        worker.run.set_parameters(parameters[k])
                    bracket = (float(takes[k]), float(stops[k]), float(lifetimes[k]))
                    refused[k] = worker.measure(bracket, metrics[k])
                    if trades is not None:
                        count = int(metrics[k, Metric.TOTAL_TRADES])
                        trades(k, *worker.results(count))
            finally:
                self._workers.append(worker)

        parts = parts_of(takes.size, self._threads, _CHUNK)
        with ThreadPoolExecutor(self._threads, thread_name_prefix="bk-sweep") as pool:
            for (begin, end), _ in zip(parts, pool.map(work, parts), strict=True):
                progress(end - begin)
        return metrics, refused
