"""What all engines are given: candles, signals, and grids of brackets. Needs NumPy alone, for every side imports it."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]
MINUTE = 60_000
INTERVAL = 15
WARM_UP = 120  # candles before the first signal
REST = 300  # candles behind the last signal, so that every trade ends inside the year


@dataclass(frozen=True)
class Workload:
    """One kind of work: every pair of a take-profit and a stop-loss (percent) is a combination, takes outermost.

    rules      ``static`` (both levels stand), ``trailing`` (the stop follows the best close so far at the distance of
               the stop-loss) or ``averaging`` (a further entry of the same cost
               every ``step`` percent, at most ``most_entries``; levels stay where they were)
    wicks      False cuts every candle down to its body, so that its extremes are closes: a stop that follows highs
               and one that follows closes are then the same
    signals    ``cross`` (both sides) or ``apart`` (long ones, so far apart that every one finds the engine flat)
    chosen     numbers of the combinations that are run; none means all of them
    """

    name: str
    takes: tuple[float, ...]
    stops: tuple[float, ...]
    rules: str = "static"
    signals: str = "cross"
    wicks: bool = True
    lifetime: int = 240
    fee: float = 0.1
    slippage: float = 0.1
    cost: float = 100.0
    step: float = 0.5
    most_entries: int = 4
    threads: int = 1
    option: str = ""
    chosen: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Combinations of the grid."""
        return len(self.takes) * len(self.stops)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The combinations that are run."""
        return self.chosen or tuple(range(self.size))

    def pairs(self) -> tuple[Column, Column]:
        """Take-profit and stop-loss of the combinations that are run, as fractions."""
        every = list(itertools.product(self.takes, self.stops))
        takes, stops = np.array([every[number] for number in self.numbers]).T
        return takes / 100.0, stops / 100.0

    def some(self, count: int) -> Workload:
        """The same work on ``count`` combinations spread over the grid."""
        if not count or count >= self.size:
            return self
        spread = np.linspace(0, self.size - 1, count + 2)[1:-1]
        return replace(self, chosen=tuple(int(number) for number in spread))

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def heard(cls, told: dict[str, Any]) -> Workload:
        """From JSON."""
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in told.items()})


def steps(first: float, last: float, count: int) -> tuple[float, ...]:
    """Evenly spaced levels that read well."""
    return tuple(round(float(level), 4) for level in np.linspace(first, last, count))


def quiet_ends(columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The same candles, of which the last of every quarter of an hour stands still, and each opens at the close before.

    So no trade ends on the candle whose close is judged for the next entry. Some engines may enter there again, others
    may not; here the question does not come up.
    """
    opened, high, low, close = (columns[name].copy() for name in ("open", "high", "low", "close"))
    still = np.flatnonzero((columns["timestamp"] // MINUTE + 1) % INTERVAL == 0)
    still = still[still > 0]
    close[still] = close[still - 1]
    opened[1:] = close[:-1]
    high, low = np.maximum(high, np.maximum(opened, close)), np.minimum(low, np.minimum(opened, close))
    for column in (high, low):
        column[still] = close[still]
    return {**columns, "open": opened, "high": high, "low": low, "close": close}


def market(columns: dict[str, Any], workload: Workload) -> dict[str, Any]:
    """The candles as a workload wants them."""
    if workload.wicks:
        return columns
    opened, close = columns["open"], columns["close"]
    return {**columns, "high": np.maximum(opened, close), "low": np.minimum(opened, close)}


def mean(values: Column, window: int) -> Column:
    """Moving average, NaN before the first full window."""
    sums = np.cumsum(np.concatenate(([0.0], values)))
    out = np.full(values.size, np.nan)
    out[window - 1 :] = (sums[window:] - sums[:-window]) / window
    return out


def crosses(columns: dict[str, Any]) -> NDArray[np.int8]:
    """i1[n]: +1 long, -1 short at the close of a quarter of an hour at which the averages 20/60 have crossed."""
    close = columns["close"]
    ahead = mean(close, 20) - mean(close, 60)
    judged = np.flatnonzero((columns["timestamp"] // MINUTE + 1) % INTERVAL == 0)
    judged = judged[(judged >= WARM_UP) & (judged < close.size - REST)]
    now, before = ahead[judged], ahead[judged - INTERVAL]
    signals = np.zeros(close.size, np.int8)
    signals[judged[(now > 0) & (before <= 0)]] = 1
    signals[judged[(now < 0) & (before >= 0)]] = -1
    return signals


def apart(signals: NDArray[np.int8], lifetime: int) -> NDArray[np.int8]:
    """The long signals of which each comes after the lifetime of the one before."""
    kept = np.zeros_like(signals)
    free = 0
    for row in np.flatnonzero(signals > 0).tolist():
        if row >= free:
            kept[row] = 1
            free = row + lifetime + INTERVAL
    return kept


def load(path: str | Path, workload: Workload) -> tuple[dict[str, Any], NDArray[np.int8]]:
    """Candles and signals of a workload from the file that :mod:`run` has written."""
    with np.load(path) as file:
        columns = {name: file[name] for name in file.files}
    signals = crosses(columns)
    if workload.signals == "apart":
        signals = apart(signals, workload.lifetime)
    return market(columns, workload), signals


def trade_list(combination: Any, entry: Any, ended: Any, side: Any, percent: Any) -> dict[str, NDArray[Any]]:
    """Trades sorted by combination and entry.

    entry   row of the candle at whose close the position is opened
    ended   row of the candle that ends it: at a level inside it, or at its close when the lifetime is over
    """
    combination, entry = np.asarray(combination, np.int64), np.asarray(entry, np.int64)
    order = np.lexsort((entry, combination))
    return {
        "combination": combination[order],
        "entry": entry[order],
        "ended": np.asarray(ended, np.int64)[order],
        "side": np.asarray(side, np.int64)[order],
        "percent": np.asarray(percent, np.float64)[order],
    }
