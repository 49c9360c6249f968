"""One run of one market: its tables, its state, and the handle by which a caller moves it on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bkcore.codes import Listen, Phase, Wake
from bkcore.drivers import advance
from bkcore.intervals import MINUTE_MS
from bkcore.jit import direct
from bkcore.market import Market
from bkcore.records import ENTRY, EVENT, NO_BUCKET, PARTIAL, POSITION, REVISION, SIGNAL, STATE
from bkcore.settings import EngineSettings

Records = NDArray[np.void]
Driver = Literal["skip", "run", "step"]

_advance = direct(advance)
_ROOM = 64  # records that a table holds at least
_EXPECTED_TRADES = 4096
_EVENTS_PER_TRADE = 32
_NO_ID = -2  # no signal has opened yet; -1 is a signal without an id


@dataclass(frozen=True, slots=True)
class Frame:
    """Ticks of a run: ``start_ms + k * step_ms`` for ``k`` in ``[0, count)``, UTC ms (spec engine.md 4.1)."""

    start_ms: int
    step_ms: int
    count: int

    @classmethod
    def between(cls, start_ms: int, end_ms: int, step_ms: int) -> Frame:
        """Ticks from the minute of ``start_ms`` up to and including ``end_ms``; none when the end lies before."""
        start = start_ms // MINUTE_MS * MINUTE_MS
        return cls(start, step_ms, max(0, (end_ms - start) // step_ms + 1))

    @property
    def end_ms(self) -> int:
        """The last tick: a position lives at most one candle longer (spec engine.md 4.4)."""
        return self.start_ms + (self.count - 1) * self.step_ms


class Run:
    """State and tables of one backtest. Tables grow on demand and hold only what has happened.

    signals    ``SIGNAL`` records by time; with ``has_callback`` one slot that the caller fills at
               ``Wake.GET_SIGNAL`` before it sets ``candidate``
    listen     ``Listen`` bits: where :meth:`advance` returns; 0 runs to the end in one call
    driver     ``skip`` jumps over quiet candles, ``run`` visits each, ``step`` returns at each
    logs       False leaves out the event log; trades are the same
    """

    __slots__ = (
        "_columns",
        "_events",
        "_trades",
        "entries",
        "market",
        "partials",
        "revisions",
        "series",
        "settings",
        "signals",
        "state",
    )

    def __init__(
        self,
        market: Market,
        settings: EngineSettings,
        frame: Frame,
        signals: Records,
        *,
        interval_ms: int = MINUTE_MS,
        listen: int = 0,
        driver: Driver = "skip",
        logs: bool = True,
        has_callback: bool = False,
    ) -> None:
        self.market = market
        self.settings = settings.record()
        self.series = market.average_price(settings.average_candles)
        self._columns = (market.timestamps, market.high, market.low, *self.series, self.settings)
        self.signals = signals
        self.state = np.zeros(1, STATE)
        self.restart(frame, interval_ms=interval_ms, driver=driver, logs=logs, has_callback=has_callback)
        self.listen(listen | (_STEP if driver == "step" else 0))
        expected = min(signals.size, frame.count, _EXPECTED_TRADES) + _ROOM
        self._trades = np.zeros(expected, POSITION)
        self.entries = np.zeros(expected, ENTRY)
        self.revisions = np.zeros(expected, REVISION)
        self.partials = np.zeros(16, PARTIAL)
        self._events = np.empty(_EVENTS_PER_TRADE * expected if logs else _ROOM, EVENT)

    def restart(
        self,
        frame: Frame,
        *,
        interval_ms: int = MINUTE_MS,
        driver: Driver = "skip",
        logs: bool = True,
        has_callback: bool = False,
    ) -> None:
        """Forget what has happened and stand before the first tick of ``frame``; tables keep their room."""
        self.state[:] = np.zeros(1, STATE)
        state = self.state[0]
        state["frame_start"], state["frame_step"], state["frame_count"] = (
            frame.start_ms,
            frame.step_ms,
            frame.count,
        )
        state["frame_end"] = frame.end_ms
        state["interval"] = interval_ms
        state["last_bucket"] = NO_BUCKET
        state["last_opened_id"] = _NO_ID
        state["candidate"] = -1
        state["current"] = -1
        state["has_holes"] = self.market.has_holes
        state["skips"] = driver == "skip"
        state["logs"] = logs
        state["has_callback"] = has_callback
        self.set_bracket()

    def set_bracket(
        self,
        *,
        take_profit_percent: float = np.nan,
        stop_loss_percent: float = np.nan,
        lifetime_minutes: float = np.nan,
    ) -> None:
        """Replace the bracket of every signal that gives its levels in percent; NaN leaves the signal's own."""
        state = self.state[0]
        state["take_profit_percent"] = take_profit_percent
        state["stop_loss_percent"] = stop_loss_percent
        state["lifetime"] = lifetime_minutes

    def listen(self, bits: int) -> None:
        """Choose anew where :meth:`advance` returns."""
        self.state["listen"] = bits

    def advance(self) -> Wake:
        """Move on to the next thing that the caller has to do; tables are enlarged on the way."""
        while True:
            wake = _advance(
                *self._columns,
                self.signals,
                self.state,
                self._trades,
                self.entries,
                self.partials,
                self.revisions,
                self._events,
            )
            if wake != Wake.GROW:
                return Wake(wake)
            self._grow()

    def finish(self) -> Run:
        """Run to the end; for runs that need no answers. Raises nothing: see :attr:`out_of_candles`."""
        while self.advance() not in (Wake.DONE, Wake.OUT_OF_CANDLES):
            pass
        return self

    def _grow(self) -> None:
        """Double every table that is more than half full; slots before the counts are kept."""
        self._trades = _enlarged(self._trades, int(self.state["trade_count"][0]))
        self.entries = _enlarged(self.entries, int(self.state["entry_count"][0]))
        self.partials = _enlarged(self.partials, int(self.state["partial_count"][0]))
        self.revisions = _enlarged(self.revisions, int(self.state["revision_count"][0]))
        self._events = _enlarged(self._events, int(self.state["event_count"][0]))

    @property
    def out_of_candles(self) -> bool:
        """Whether the run stands at a candle that the market does not have."""
        return int(self.state["phase"][0]) in (Phase.RESTING, Phase.EXIT) and int(
            self.state["row"][0]
        ) >= len(self.market)

    @property
    def trades(self) -> Records:
        """Every row that came to rest or opened so far, in order (``POSITION``)."""
        return self._trades[: self.state["trade_count"][0]]

    @property
    def events(self) -> Records:
        """The event log so far (``EVENT``)."""
        return self._events[: self.state["event_count"][0]]


_STEP = Listen.IDLE | Listen.ACTIVE_PING | Listen.SCHEDULE_PING | Listen.MONITORED


def _enlarged(table: Records, used: int) -> Records:
    if 2 * used < table.size - _ROOM:
        return table
    larger = np.zeros(2 * table.size, table.dtype)
    larger[:used] = table[:used]
    return larger


def no_signals() -> Records:
    """An empty table of candidates."""
    return np.zeros(0, SIGNAL)
