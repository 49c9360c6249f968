"""Which ideas does a sweep follow, and over which candles? (spec risk-sizing-walker-sweep.md 4.2, 4.3)"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bkapi.base import config
from bkapi.base.timestamps import to_ms
from bkapi.errors import BkError, MomentError
from bkapi.ideas.records import Idea
from bkapi.market.exchange import Exchange
from bkcore.intervals import MINUTE_MS

#: An idea this close behind the last kept one of the same author and direction is dropped.
FLOOD_MINUTES: Final = 480
_FIELDS = ("id", "ts", "symbol", "direction", "author")
_DIRECTIONS = ("LONG", "SHORT", "NEUTRAL")


class IdeaSweepError(BkError, ValueError):
    """Raised by ``Sweep.run({"symbol": "BTCUSDT", "sweep_name": "feed", "ideas": [{}]})``: an idea without fields.

    Also raised for a grid that is empty or has impossible values, and for ideas without candles.
    """


def read_ideas(rows: Any) -> list[Idea]:
    """Ideas from records, mappings or the rows of a frame; raises :class:`IdeaSweepError` that names row and field."""
    if hasattr(rows, "columns"):
        import narwhals as nw

        frame = nw.from_native(rows, eager_only=True)
        rows = frame.iter_rows(named=True)
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise IdeaSweepError(
            f"ideas={rows!r} is no list of ideas.",
            hint=f"give mappings with {', '.join(_FIELDS)}, or a frame.",
        )
    return [row if isinstance(row, Idea) else _idea(number, row) for number, row in enumerate(rows)]


def _idea(number: int, row: Any) -> Idea:
    if not isinstance(row, Mapping):
        raise IdeaSweepError(
            f"ideas[{number}]={row!r} is no idea.", hint=f"an idea is a mapping with {', '.join(_FIELDS)}."
        )
    for name in _FIELDS:
        if row.get(name) is None:
            raise IdeaSweepError(f"ideas[{number}] has no {name}.", hint=f"an idea has {', '.join(_FIELDS)}.")
    try:
        moment = row["ts"]
        ts = int(moment) if isinstance(moment, float) and moment.is_integer() else to_ms(moment)
    except MomentError as error:
        raise IdeaSweepError(f"ideas[{number}]: ts={row['ts']!r} is no moment.", hint=error.hint) from None
    if row["direction"] not in _DIRECTIONS:
        raise IdeaSweepError(
            f"ideas[{number}]: direction={row['direction']!r} is unknown.",
            hint=f"known: {', '.join(_DIRECTIONS)}.",
        )
    return Idea(row["id"], ts, row["symbol"], row["direction"], row["author"])


def ideas_of(ideas: Iterable[Idea], symbol: str) -> list[Idea]:
    """The ideas of one symbol in order of time; those of equal times keep their order."""
    return sorted((idea for idea in ideas if idea.symbol == symbol), key=lambda idea: idea.ts)


def without_flood(ideas: Iterable[Idea]) -> list[Idea]:
    """The directional ideas, without those too close to the last kept one (spec 4.2)."""
    kept_at: dict[tuple[str | int, str], int] = {}
    kept: list[Idea] = []
    for idea in ideas:
        key = (idea.author, idea.direction)
        if idea.direction == "NEUTRAL" or idea.ts - kept_at.get(key, -(1 << 62)) < FLOOD_MINUTES * MINUTE_MS:
            continue
        kept_at[key] = idea.ts
        kept.append(idea)
    return kept


class CandleTrail:
    """Fetches the minutes that follow each of many moments, which come in order of time.

    Asks for candles in chunks as documented: only full chunks count, and the first failure ends a path. Keeps
    what it has fetched for the previous idea.
    """

    def __init__(self, exchange_name: str, symbol: str) -> None:
        self.exchange_name = exchange_name
        self.symbol = symbol
        #: Why the last path ended early, or None.
        self.failure: Exception | None = None
        self._chunk = int(config.value("CC_MAX_CANDLES_PER_REQUEST"))
        self._rows: NDArray[np.float64] = np.empty((4, 0))
        self._first = 0  # the minute in which ``_rows`` starts
        self._count = 0

    def path(self, entry_at: int, horizon: int) -> NDArray[np.float64]:
        """Open, high, low, close of the minutes from ``entry_at`` on (ms UTC), f8[4, at most ``horizon``]."""
        self.failure = None
        first = entry_at // MINUTE_MS
        count = 0
        while count < horizon:
            at = first + count
            if not self._first <= at <= at + self._chunk <= self._first + self._count:
                try:
                    rows = self._ask(at)
                except Exception as error:  # noqa: BLE001 - documented: whatever goes wrong ends the path
                    self.failure = error
                    break
                self._keep(first, at, rows)
            count += self._chunk
        start = first - self._first
        return self._rows[:, start : start + min(count, horizon)] if count else np.empty((4, 0))

    def _ask(self, minute: int) -> pl.DataFrame:
        since = minute * MINUTE_MS
        return Exchange.get_raw_candles(
            self.symbol,
            "1m",
            {"exchange_name": self.exchange_name},
            self._chunk,
            since,
            since + self._chunk * MINUTE_MS,
        )

    def _keep(self, needed: int, minute: int, rows: pl.DataFrame) -> None:
        """Add the chunk that starts at ``minute``; drop what lies before ``needed``."""
        if not self._first <= needed <= minute <= self._first + self._count:
            self._first, self._count = needed, 0
        known = self._first + self._count - minute
        end = self._count + self._chunk - known
        if end > self._rows.shape[1]:
            gone = needed - self._first
            kept = self._rows[:, gone : self._count]
            self._first, self._count, end = needed, self._count - gone, end - gone
            self._rows = np.empty((4, max(2 * end, 1 << 16)))
            self._rows[:, : self._count] = kept
        for column, name in zip(self._rows, ("open", "high", "low", "close"), strict=True):
            column[self._count : end] = cast("NDArray[np.float64]", rows[name].to_numpy())[known:]
        self._count = end
