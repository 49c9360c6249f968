"""What was the price? Candles by their minute and the average over a window of them (spec engine.md 3)."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.naive.settings import MINUTE


class Candle(NamedTuple):
    """One minute. ``timestamp`` is its open time in ms UTC, prices in quote currency."""

    timestamp: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class MissingCandlesError(Exception):
    """A minute that the run has to look at is not in the market: a run cannot go on."""


class Market:
    """The candles of one symbol and the averaged price of every window of ``window`` candles."""

    def __init__(self, candles: Iterable[Sequence[float]], window: int) -> None:
        self.by_minute = {int(row[0]): Candle(int(row[0]), *row[1:6]) for row in candles}
        self.last_minute = max(self.by_minute, default=-1)
        self.window = window
        self._averages: dict[int, float] = {}

    def __contains__(self, minute: int) -> bool:
        return minute in self.by_minute

    def candle(self, minute: int) -> Candle:
        """The candle that opens at ``minute``; MissingCandlesError when there is none."""
        if minute not in self.by_minute:
            raise MissingCandlesError(f"no candle opens at {minute}")
        return self.by_minute[minute]

    def average(self, minute: int) -> float:
        """VWAP of the window whose last candle opens at ``minute`` (3.1), a fresh left fold (trap 41)."""
        if minute not in self._averages:
            first = minute - (self.window - 1) * MINUTE
            self._averages[minute] = volume_weighted_price(
                [self.candle(first + k * MINUTE) for k in range(self.window)]
            )
        return self._averages[minute]

    def average_before(self, when: int) -> float:
        """What is known at ``when``: the window of closed candles, the last opened a minute earlier (3.2)."""
        return self.average(when - MINUTE)


def volume_weighted_price(candles: Sequence[Candle]) -> float:
    """Typical prices weighted by volume; without any volume the mean of the closes (3.1, trap 39)."""
    weighted = 0.0
    volume = 0.0
    for candle in candles:
        typical = (candle.high + candle.low + candle.close) / 3
        weighted = weighted + typical * candle.volume
        volume = volume + candle.volume
    if volume == 0:
        closes = 0.0
        for candle in candles:
            closes = closes + candle.close
        return closes / len(candles)
    return weighted / volume
