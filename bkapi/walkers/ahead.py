"""Which backtests of a walker may run before their turn? Plays those in threads that need no Python code."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass

from bkapi.events.emitters import emitters
from bkapi.market.exchange import client_of
from bkapi.reporting.closed_trades import all_statistics
from bkapi.runs.strategy import StrategyRun
from bkapi.statistics.records import BacktestStatistics
from bkapi.walkers.candidates import Candidate, Candidates, Conditions


@dataclass(frozen=True)
class Played:
    """The prepared run of a candidate; ``stats`` is None when it could not be played before its turn."""

    conditions: Conditions
    run: StrategyRun
    stats: BacktestStatistics | None


class Ahead:
    """Plays the next candidates in threads while one has its turn.

    Plays only runs that need no Python: a vectorized or jitted strategy without risk profiles, actions and listeners,
    over candles in memory. If any of that has changed when its turn comes, the walker drops the run and plays the
    candidate again, so the results are those of one run after the other.
    """

    def __init__(self, candidates: Candidates, threads: int) -> None:
        self._candidates = candidates
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._futures: dict[int, Future[Played]] = {}
        self._next = 0

    def take(self, place: int, *, is_stopped: Callable[[], bool]) -> Played | None:
        """The run of candidate ``place`` if it was played ahead and is still valid, else None. Starts the next ones."""
        if self._threads < 2:
            return None
        self._begin(place)
        future = self._futures.pop(place, None)
        if future is None or future.exception() is not None:  # what it raised is raised again, at its turn
            return None
        played = future.result()
        usable = played.stats is not None and not is_stopped() and played.conditions.hold()
        return played if usable and self._needs_no_python(played.conditions, played.run) else None

    def close(self) -> None:
        """Wait for the threads, and drop the runs that nobody will take."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._futures.clear()

    def _begin(self, place: int) -> None:
        """Give candidates to the threads, a few beyond the one whose turn it is."""
        self._next = max(self._next, place)
        while self._next < min(len(self._candidates), place + 2 * self._threads):
            candidate: Candidate = self._candidates[self._next]
            conditions = self._candidates.conditions(candidate)
            if self._may_begin(conditions):
                if self._pool is None:
                    self._pool = ThreadPoolExecutor(self._threads, "bk-walker")
                context = copy_context()
                self._futures[self._next] = self._pool.submit(context.run, self._play, candidate, conditions)
            self._next += 1

    def _may_begin(self, conditions: Conditions) -> bool:
        strategy = conditions.strategy
        if strategy.signals is None and strategy.kernel is None:
            return False
        client = client_of(conditions.exchange.exchange_name, "Walker.run")
        if not client.in_memory or strategy.risks or strategy.actions:
            return False
        try:
            client.market(self._candidates.symbol, 0, 0)  # read once, here, and shared
        except Exception:  # noqa: BLE001 - the candidate raises it again at its turn
            return False
        return True

    def _play(self, candidate: Candidate, conditions: Conditions) -> Played:
        run = self._candidates.prepare(candidate)
        if not self._needs_no_python(conditions, run):
            return Played(conditions, run, None)
        run.play_ahead()
        again = None if candidate.parameters is None else self._candidates.again(candidate, run)
        return Played(conditions, run, all_statistics(run, again))

    @staticmethod
    def _needs_no_python(conditions: Conditions, run: StrategyRun) -> bool:
        """Whether the run needs no Python, and no listener of its beginning could change that."""
        told = emitters.before_start_subject.listeners or conditions.frame.callbacks is not None
        return run.needs_no_python and not told
