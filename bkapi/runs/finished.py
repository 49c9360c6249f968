"""What does a finished run leave behind? Its trades, its events, its statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from bkapi.base.context import MethodContext
from bkapi.base.deferred import pl
from bkapi.events.emitters import Trouble
from bkapi.runs.strategy import StrategyRun
from bkcore.machine.run import Run
from bkcore.machine.settings import EngineSettings

if TYPE_CHECKING:
    from bkapi.statistics.records import BacktestStatistics


@dataclass(frozen=True, repr=False)
class FinishedRun:
    """A finished run; its frames and statistics are made when first asked for, and kept."""

    symbol: str
    names: MethodContext
    run: Run = field(repr=False)
    settings: EngineSettings = field(repr=False)
    strategy_run: StrategyRun = field(repr=False)
    _statistics: dict[int | None, BacktestStatistics] = field(default_factory=dict, repr=False, compare=False)

    def __repr__(self) -> str:
        names = f"{self.names.strategy_name!r} on {self.symbol} in frame {self.names.frame_name!r}"
        told = "".join(f"; {trouble}" for trouble in self.troubles)
        return f"FinishedRun({names}, {self.run.trades.size:,} trades{told})"

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """The errors that the run has survived, and the signals that were refused, alike ones together."""
        return self.strategy_run.repeats.troubles

    @property
    def has_failed(self) -> bool:
        """Whether code of the user has raised, or every signal was refused."""
        return any(not one.is_refusal or not self.run.trades.size for one in self.troubles)

    @property
    def candles_digest(self) -> str:
        """Sixteen hex digits over the candles: equal digests mean equal candles."""
        return self.run.market.digest

    @cached_property
    def trades(self) -> pl.DataFrame:
        """A row per position and resting order, see :func:`bkcore.machine.event_log.trades_frame`."""
        from bkcore.machine.event_log import trades_frame

        return trades_frame(self.run)

    @property
    def rows(self) -> Mapping[str, int]:
        """What became of the rows, or answers, that asked for an entry: taken, passed over, refused (fills.md 4).

        Under the documented model the numbers of trades and of refusals; nobody counts what it passes over.
        """
        return self.run.row_counts

    @cached_property
    def entry_edge_percent(self) -> float | None:
        """How much better, in percent, market entries were than the next open, on average; None at real prices."""
        from bkapi.runs.remarks import entry_edge_percent

        return entry_edge_percent(self)

    @cached_property
    def assumptions(self) -> tuple[str, ...]:
        """What was cut or assumed, a sentence each with its remedy (spec fills.md 10)."""
        from bkapi.runs.remarks import assumptions_of

        return assumptions_of(self)

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """What was refused, cut or assumed, a sentence each with its remedy (spec fills.md 10)."""
        from bkapi.runs.remarks import remarks_of

        return remarks_of(self)

    @cached_property
    def events(self) -> pl.DataFrame:
        """The event log, see :func:`bkcore.machine.event_log.events_frame`."""
        from bkcore.machine.event_log import events_frame

        return events_frame(self.run)

    def statistics(self, *, row_limit: int | None = None) -> BacktestStatistics:
        """Statistics of all its closed trades, or of the newest ``row_limit`` (spec reports.md 6)."""
        from bkapi.statistics.measured import backtest_statistics

        if row_limit not in self._statistics:
            self._statistics[row_limit] = backtest_statistics(closed_trades(self), row_limit=row_limit)
        return self._statistics[row_limit]


def finished_run(strategy_run: StrategyRun) -> FinishedRun:
    """The finished run of a run that has ended."""
    return FinishedRun(
        strategy_run.symbol, strategy_run.names, strategy_run.run, strategy_run.settings, strategy_run
    )


def closed_trades(run: FinishedRun) -> pl.DataFrame:
    """Closed positions of a run in order of closing: ``symbol`` and the columns that statistics need."""
    from bkapi.statistics.measured import trades_of_statistics

    return trades_of_statistics(run.trades, run.symbol)
