"""Many brackets, one market: every combination of take-profit, stop-loss and lifetime over the same signals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from bkcore.codes import Status, Wake
from bkcore.jit import direct
from bkcore.market import Market
from bkcore.metrics import METRIC_NAMES, Scope, trade_metrics
from bkcore.run import Frame, Hooks, Records, Run
from bkcore.settings import EngineSettings

_trade_metrics = direct(trade_metrics)
_CHUNK = 16  # combinations a thread takes at a time

#: One combination: take-profit percent, stop-loss percent, lifetime in minutes.
Bracket = tuple[float, float, float]


class BracketWorker:
    """One thread's tables: a run that is restarted for each bracket, and the columns that metrics are taken from."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._columns: tuple[NDArray[np.float64], ...] = ()
        self._times: tuple[NDArray[np.int64], ...] = ()

    def measure(self, bracket: Bracket, out: NDArray[np.float64]) -> int:
        """Run one bracket, write its metrics into ``out`` (f8[len(Metric)]); returns how many signals were refused."""
        run = self._run
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
        pending, close, order = (column[:count] for column in self._times)
        _trade_metrics(pnl, peak, fall, pending, close, price, int(Scope.SERIES), order, values, out)
        return int(run.state["rejected_count"][0])

    def _take_columns(self, trades: Records) -> None:
        count = trades.size
        if not self._columns or self._columns[0].size < count:
            room = max(1024, 2 * count)
            self._columns = tuple(np.empty(room) for _ in range(5))
            self._times = tuple(np.empty(room, np.int64) for _ in range(3))
        names = ("pnl_percent", "peak_pnl_percent", "fall_pnl_percent", "end_price")
        for column, name in zip(self._columns, names, strict=False):
            column[:count] = trades[name]
        for times, name in zip(self._times, ("pending_at", "ended_at"), strict=False):
            times[:count] = trades[name]


def measure_brackets(
    market: Market,
    settings: EngineSettings,
    frame: Frame,
    signals: Records,
    brackets: Sequence[Bracket],
    *,
    interval_ms: int,
    threads: int,
    policy: Records | None = None,
    manage: Hooks | None = None,
) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.int64]]]:
    """Measure every bracket; yields ``(first, metrics, refused)`` of finished chunks in the order they finish.

    metrics : f8[chunk, len(Metric)]   NaN where a sample cannot carry the number
    refused : i8[chunk]                signals that validation refused

    Memory does not grow with combinations x candles: each thread has the tables of one run. Closing the iterator
    waits for the chunks in work and starts no more.
    """
    market.prices(settings)
    workers = [
        BracketWorker(
            Run(
                market,
                settings,
                frame,
                signals,
                interval_ms=interval_ms,
                logs=False,
                policy=policy,
                hooks=manage or Hooks(),
            )
        )
        for _ in range(threads)
    ]

    def work(first: int) -> tuple[int, NDArray[np.float64], NDArray[np.int64]]:
        worker = workers.pop()
        try:
            chunk = brackets[first : first + _CHUNK]
            metrics = np.empty((len(chunk), len(METRIC_NAMES)))
            refused = np.empty(len(chunk), np.int64)
            for k, bracket in enumerate(chunk):
                refused[k] = worker.measure(bracket, metrics[k])
            return first, metrics, refused
        finally:
            workers.append(worker)

    starts = iter(range(0, len(brackets), _CHUNK))
    pending: set[Future[tuple[int, NDArray[np.float64], NDArray[np.int64]]]] = set()
    with ThreadPoolExecutor(threads, thread_name_prefix="bk-sweep") as pool:
        pending.update(pool.submit(work, first) for first in islice(starts, 2 * threads))
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                pending.update(pool.submit(work, first) for first in islice(starts, len(done)))
                for future in done:
                    yield future.result()
        finally:
            for future in pending:
                future.cancel()
