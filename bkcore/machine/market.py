"""``Market``: candles as the machine reads them, as read-only columns with average prices and a block index."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from numba import float64, int64, types
from numpy.typing import NDArray

from bkcore.intervals import MINUTE_MS, first_tick_from, interval_step_ms
from bkcore.jit import f8, i8, kernel, rule
from bkcore.machine.price_index import build_index

if TYPE_CHECKING:
    from bkcore.candles.frame import CandleFrame
    from bkcore.machine.settings import EngineSettings

Column = NDArray[np.float64]
_COLUMNS = ("open", "high", "low", "close", "volume")
_f8_out = types.Array(types.float64, 1, "C")
_TILE = 512
_PAGE = 4096
_PAGE_LIMIT = 64 * _PAGE
_STORED = ("values", "lows", "highs")  # what a shared market keeps of an average price


@kernel(types.void(f8, f8, f8, f8, int64, _f8_out, _f8_out, _f8_out, _f8_out))
def _fill_vwap(
    high: Any,
    low: Any,
    close: Any,
    volume: Any,
    window: Any,
    money: Any,
    price_sum: Any,
    volume_sum: Any,
    out: Any,
) -> None:
    """Spec engine.md 3.1: per candle a new sum over its window, oldest first; NaN before the first window.

    It works in tiles, to keep the columns in cache, and its inner loop runs over candles, so that it vectorises while
    each candle still sums in its own order. ``money``, ``price_sum`` and ``volume_sum`` are scratch space.
    """
    size = close.size
    for k in range(min(window - 1, size)):
        out[k] = np.nan
    for first in range(window - 1, size, _TILE):
        count = min(_TILE, size - first)
        oldest = first - (window - 1)
        for k in range(count + window - 1):
            row = oldest + k
            money[k] = (high[row] + low[row] + close[row]) / 3.0 * volume[row]
        for k in range(count):
            price_sum[k] = 0.0
            volume_sum[k] = 0.0
        for age in range(window):
            for k in range(count):
                price_sum[k] = price_sum[k] + money[k + age]
                volume_sum[k] = volume_sum[k] + volume[oldest + k + age]
        for k in range(count):
            if volume_sum[k] == 0.0:
                total = 0.0
                for age in range(window):
                    total = total + close[oldest + k + age]
                out[first + k] = total / window
            else:
                out[first + k] = price_sum[k] / volume_sum[k]


_first_tick_from = rule(first_tick_from)


@rule
def row_at(timestamps: Any, step: Any, time: Any) -> Any:
    """First row whose timestamp is ``>= time``; constant time without gaps, a binary search with them."""
    size = timestamps.size
    if size == 0 or time <= timestamps[0]:
        return int64(0)
    guess = _first_tick_from(time, timestamps[0], step)
    if guess < size and timestamps[guess] == time:
        return guess
    low = int64(0)
    high = min(guess, size)
    while low < high:
        middle = (low + high) >> 1
        if timestamps[middle] < time:
            low = middle + 1
        else:
            high = middle
    return low


class Candles(NamedTuple):
    """The columns of a market: times of opening i8[n], UTC ms, ascending; prices in quote currency and volume f8[n]."""

    timestamps: NDArray[np.int64]
    open: Column
    high: Column
    low: Column
    close: Column
    volume: Column


@rule
def average_since(candles: Any, since: Any, end: Any) -> Any:
    """The average over the candles before row ``end`` that open at ``since`` or later; the last close without any."""
    first = end
    while first > 0 and candles.timestamps[first - 1] >= since:
        first -= 1
    if first == end:
        return candles.close[end - 1]
    money = 0.0
    volume = 0.0
    closes = 0.0
    for row in range(first, end):
        typical = (candles.high[row] + candles.low[row] + candles.close[row]) / 3.0
        money = money + typical * candles.volume[row]
        volume = volume + candles.volume[row]
        closes = closes + candles.close[row]
    return closes / (end - first) if volume == 0.0 else money / volume


@rule
def known_price(candles: Any, prices: Any, settings: Any, row: Any) -> Any:
    """The price known when the candle ``row`` opens (spec engine.md 3.2), over what a hole left of its window."""
    time = candles.timestamps[row]
    if candles.timestamps[row - 1] == time - settings.step_ms:
        return prices.values[row - 1]
    return average_since(candles, time - settings.window * settings.step_ms, row)


@kernel(float64(i8, f8, f8, f8, f8, f8, int64, int64))
def average_between(
    timestamps: Any,
    open: Any,  # noqa: A002
    high: Any,
    low: Any,
    close: Any,
    volume: Any,
    since: Any,
    time: Any,
) -> Any:
    """The average price over the candles that open in ``[since, time)``, in ms; the last close where there is none."""
    candles = Candles(timestamps, open, high, low, close, volume)
    return average_since(candles, since, row_at(timestamps, int64(1), time))


@kernel(types.void(i8, f8, f8, f8, f8, f8, int64, int64, _f8_out))
def _mend_vwap(
    timestamps: Any,
    open: Any,  # noqa: A002
    high: Any,
    low: Any,
    close: Any,
    volume: Any,
    window: Any,
    step: Any,
    out: Any,
) -> None:
    """Where a window of rows reaches back over a hole, average the candles of its minutes alone (deviation 20)."""
    candles = Candles(timestamps, open, high, low, close, volume)
    span = (window - 1) * step
    for row in range(1, timestamps.size):
        since = timestamps[row] - span
        if since >= timestamps[0] and (row < window - 1 or timestamps[row - window + 1] < since):
            out[row] = average_since(candles, since, row + 1)


class PriceSeries(NamedTuple):
    """The price of each candle that levels are compared with (f8[n], NaN before the first), and its block index.

    ``floors`` and ``ceilings`` are ``values`` itself for average prices, and the candles' lows and highs at real
    prices.
    """

    values: Column
    floors: Column
    ceilings: Column
    lows: Column
    highs: Column


@dataclass(frozen=True, eq=False)
class Market:
    """Read-only candle columns of one symbol, shared between runs and threads without copying.

    timestamps : i8[n]   candle OPEN times, UTC ms, ascending; holes are allowed (gap policy ``keep``)
    open, high, low, close, volume : f8[n]
    step_ms    candle length in ms

    Average prices are built once per window length and kept. Between processes a market travels by the
    path of a memory-mapped file: see :meth:`shared`.
    """

    symbol: str
    timestamps: NDArray[np.int64]
    open: Column
    high: Column
    low: Column
    close: Column
    volume: Column
    step_ms: int = MINUTE_MS
    _series: dict[int, PriceSeries] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _path: str | None = field(default=None, repr=False)

    @classmethod
    def from_candles(cls, candles: CandleFrame) -> Market:
        """Lend the columns of a checked :class:`~bkcore.candles.frame.CandleFrame`; nothing is copied."""
        return cls(
            candles.symbol,
            candles.timestamps,
            candles.open,
            candles.high,
            candles.low,
            candles.close,
            candles.volume,
            interval_step_ms(candles.interval),
        )

    def __len__(self) -> int:
        return self.timestamps.size

    def __repr__(self) -> str:
        if not len(self):
            return f"Market({self.symbol!r}, empty)"
        first, last = self.timestamps[[0, -1]].astype("datetime64[ms]")
        return f"Market({self.symbol!r}, {len(self):,} candles, {first} .. {last} UTC)"

    @cached_property
    def has_holes(self) -> bool:
        """Whether candles are missing between the first and the last."""
        return (
            len(self) > 0 and int(self.timestamps[-1] - self.timestamps[0]) != (len(self) - 1) * self.step_ms
        )

    @cached_property
    def digest(self) -> str:
        """Sixteen hex digits over symbol, step and columns: equal digests mean equal candles."""
        from bkcore.candles.checks import columns_digest

        columns = (self.timestamps, *(getattr(self, name) for name in _COLUMNS))
        return columns_digest(self.symbol, self.step_ms, columns)

    def average_price(self, window: int) -> PriceSeries:
        """VWAP of the time of ``window`` candles ending with each candle (spec engine.md 3.1), and its index.

        Candles that a hole has made older than that do not count.
        """
        series = self._series.get(window)
        if series is None:
            with self._lock:
                series = self._series.get(window)
                if series is None:
                    series = self._series[window] = self._build(window)
        return series

    def _build(self, window: int) -> PriceSeries:
        values = np.empty(len(self))
        scratch = np.empty(_TILE + window), np.empty(_TILE), np.empty(_TILE)
        _fill_vwap(self.high, self.low, self.close, self.volume, window, *scratch, values)
        if self.has_holes:
            _mend_vwap(*self._columns, window, self.step_ms, values)
        values.flags.writeable = False
        return PriceSeries(values, values, values, *build_index(values, values))

    @cached_property
    def real_price(self) -> PriceSeries:
        """The close of each candle, with lows and highs as floors and ceilings."""
        return PriceSeries(self.close, self.low, self.high, *build_index(self.low, self.high))

    def prices(self, settings: EngineSettings) -> PriceSeries:
        """The price series that a run with these settings uses."""
        if settings.at_real_prices:
            return self.real_price
        return self.average_price(settings.average_candles)

    def price_known_at(self, time: int, window: int) -> float:
        """The average price over the time of ``window`` candles before ``time``; the last close in a hole as long.

        time   ms UTC, after the opening of the first candle
        """
        return float(average_between(*self._columns, time - window * self.step_ms, time))

    @property
    def _columns(self) -> Candles:
        return Candles(self.timestamps, self.open, self.high, self.low, self.close, self.volume)

    @contextmanager
    def shared(self) -> Iterator[Market]:
        """The same market on a memory-mapped file: pickling it sends the path, and all processes map the same copy.

        It includes the average prices built so far. The file is removed when the block ends. Where the system can name
        an open file otherwise, it has no name in a folder meanwhile, so nobody can cut it off underneath.
        """
        folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - memory, where there is one
        handle, path = tempfile.mkstemp(prefix="bk-market-", suffix=".columns", dir=folder)
        by_number = Path(f"/proc/{os.getpid()}/fd/{handle}")
        with ExitStack() as open_files:
            try:
                file = open_files.enter_context(os.fdopen(handle, "wb"))
                _write_columns(file, self)
                if by_number.exists():
                    Path(path).unlink()
                    yield _open_shared(str(by_number))
                else:
                    file.close()
                    yield _open_shared(path)
            finally:
                Path(path).unlink(missing_ok=True)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._path is not None:
            return _open_shared, (self._path,)
        return Market, (self.symbol, self.timestamps, *(getattr(self, c) for c in _COLUMNS), self.step_ms)


def _write_columns(file: BinaryIO, market: Market) -> None:
    """Write one page of JSON that says where each column lies, then the columns, eight bytes a value."""
    arrays: list[tuple[str, NDArray[Any]]] = [("timestamps", market.timestamps)]
    arrays += [(name, getattr(market, name)) for name in _COLUMNS]
    for window, series in market._series.items():
        arrays += [(f"{window}:{name}", getattr(series, name)) for name in _STORED]
    contents = {"symbol": market.symbol, "step_ms": market.step_ms, "sizes": {n: a.size for n, a in arrays}}
    header = json.dumps(contents).encode()
    file.write(header.ljust(-(-(len(header) + 1) // _PAGE) * _PAGE))
    for _, array in arrays:
        file.write(array.tobytes())
    file.flush()


def _open_shared(path: str) -> Market:
    """Map the file of :meth:`Market.shared`; every column is a read-only view of the one mapping."""
    mapping = np.memmap(path, dtype=np.uint8, mode="r")
    contents, length = json.JSONDecoder().raw_decode(
        mapping[:_PAGE_LIMIT].tobytes().decode("utf-8", "replace")
    )
    offset = -(-(length + 1) // _PAGE) * _PAGE
    arrays: dict[str, NDArray[Any]] = {}
    for name, size in contents["sizes"].items():
        kind = np.int64 if name == "timestamps" else np.float64
        arrays[name] = np.frombuffer(mapping, kind, size, offset)
        offset += size * 8
    market = Market(
        contents["symbol"],
        arrays["timestamps"],
        arrays["open"],
        arrays["high"],
        arrays["low"],
        arrays["close"],
        arrays["volume"],
        step_ms=contents["step_ms"],
        _path=path,
    )
    for window in {name.partition(":")[0] for name in arrays if ":" in name}:
        values, lows, highs = (arrays[f"{window}:{name}"] for name in _STORED)
        market._series[int(window)] = PriceSeries(values, values, values, lows, highs)
    return market
