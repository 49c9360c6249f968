"""What has to be said once when a run has ended: what was refused, cut or assumed, with the remedy (fills.md 10)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from bkcore.candles.errors import utc_text
from bkcore.machine.codes import CloseReason, Given, Status

if TYPE_CHECKING:
    from bkapi.base.context import MethodContext
    from bkapi.events.emitters import Trouble
    from bkapi.runs.strategy import StrategyRun
    from bkcore.machine.run import Run
    from bkcore.machine.settings import EngineSettings

#: An entry edge above this share of the mean absolute result of a trade is no detail.
_TOLERATED_EDGE: Final = 0.2


class EndedRun(Protocol):
    """What is looked at of a finished run; :class:`bkapi.runs.finished.FinishedRun` is one."""

    @property
    def symbol(self) -> str: ...
    @property
    def names(self) -> MethodContext: ...
    @property
    def run(self) -> Run: ...
    @property
    def settings(self) -> EngineSettings: ...
    @property
    def strategy_run(self) -> StrategyRun: ...
    @property
    def rows(self) -> Mapping[str, int]: ...
    @property
    def troubles(self) -> tuple[Trouble, ...]: ...
    @property
    def entry_edge_percent(self) -> float | None: ...
    @property
    def remarks(self) -> tuple[str, ...]: ...


def entry_edge_percent(run: EndedRun) -> float | None:
    """How much better, in percent, market entries were than the next open, on average; None at real prices.

    The documented price rule buys at an average of past candles, which may be gone (spec fills.md, introduction). None
    without a market entry that has a next candle, too.
    """
    trades, market = run.run.trades, run.run.market
    if run.settings.at_real_prices:
        return None
    entered = trades[(trades["pending_at"] > 0) & (trades["was_scheduled"] == 0)]
    row = np.searchsorted(market.timestamps, entered["pending_at"])
    known = row < len(market)
    if not known.any():
        return None
    entered, opened = entered[known], market.open[row[known]]
    return float(np.mean(entered["side"] * (opened - entered["price_open"]) / opened) * 100.0)


def _refused(run: EndedRun) -> Iterator[str]:
    refused = run.rows["refused"]
    asked = sum(run.rows.values())
    if 2 * refused > asked:
        what = "all" if refused == asked else f"{refused:,} of"
        first = next((one.error for one in run.troubles if one.is_refusal), "")
        yield f"{what} {asked:,} entries were refused{_first(first)}"


def _raised(run: EndedRun) -> Iterator[str]:
    for one in run.troubles:
        if not one.is_refusal:
            yield f"{one.source} raised {one.times:,} times{_first(one.error)} (the log has its traceback)"


def _assumed_lifetimes(run: EndedRun) -> Iterator[str]:
    trades = run.run.trades
    closed = trades["status"] == Status.CLOSED
    expired = closed & (trades["reason"] == CloseReason.TIME_EXPIRED)
    assumed = np.count_nonzero(expired & (trades["given"] & Given.LIFETIME == 0))
    if 2 * assumed > np.count_nonzero(closed):
        yield (
            f"{assumed:,} of {np.count_nonzero(closed):,} trades ended by a lifetime of "
            f"{run.settings.max_lifetime_minutes:g} minutes that nobody gave: give minute_estimated_time"
        )


def _short_of_candles(run: EndedRun) -> Iterator[str]:
    market, last = run.run.market, run.strategy_run.frame.end_ms
    known = int(market.timestamps[-1]) + market.step_ms if len(market) else last
    if run.settings.at_real_prices and known < last:
        yield (
            f"the candles end at {utc_text(known)}, the frame at {utc_text(last)}: what was open ended at the last "
            "close; load more candles, or let the frame end earlier"
        )


def _entry_edge(run: EndedRun) -> Iterator[str]:
    edge = run.entry_edge_percent
    results = run.run.trades["pnl_percent"][run.run.trades["status"] == Status.CLOSED]
    if edge is not None and results.size and edge > _TOLERATED_EDGE * float(np.mean(np.abs(results))):
        yield (
            f"entries were {edge:.3g} % better than the next open could give, the results {np.mean(results):+.3g} % a "
            'trade: fill="next_open" trades at real prices'
        )


def _first(error: str) -> str:
    lines = [line.strip() for line in error.splitlines()[:2]]
    return f", the first: {' '.join(lines)[:200]}" if lines else ""


_Told = tuple[Callable[[EndedRun], Iterator[str]], ...]
_TROUBLES: Final[_Told] = (_refused, _raised)
_ASSUMPTIONS: Final[_Told] = (_assumed_lifetimes, _short_of_candles, _entry_edge)


def assumptions_of(run: EndedRun) -> tuple[str, ...]:
    """What was cut or assumed, a sentence each."""
    return tuple(remark for told in _ASSUMPTIONS for remark in told(run))


def remarks_of(run: EndedRun) -> tuple[str, ...]:
    """Everything that has to be said about a run, a sentence each; empty where there is nothing."""
    return tuple(remark for told in _TROUBLES for remark in told(run)) + assumptions_of(run)


def tell_remarks(run: EndedRun) -> None:
    """Say them in one line on stderr."""
    if run.remarks:
        name = f"{run.names.strategy_name} on {run.symbol}"
        sys.stderr.write(f"bk: {name}: {'; '.join(run.remarks)}.\n")
