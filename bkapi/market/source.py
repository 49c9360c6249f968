"""Where do the candles of one exchange come from? From markets in memory, or from a function asked in chunks.

Every function here takes its "now" as an argument; :mod:`bkapi.market.exchange` asks on behalf of a strategy.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from bkapi.base import config
from bkapi.base.coroutines import settle
from bkapi.base.locks import Candle
from bkapi.base.timestamps import from_ms
from bkapi.errors import FatalError
from bkapi.market.answers import (
    CandleRequestError,
    complete,
    door_options,
    incomplete,
    no_candles,
    shortcoming,
)
from bkapi.market.cache import PersistCandleAdapter
from bkapi.market.ranges import CandleRange, closed_range
from bkapi.schemas.exchange import ExchangeSchema
from bkcore.candles.columns import settle as columns_of
from bkcore.candles.door import checked_symbol
from bkcore.candles.errors import CandleGapError, CandleResampleError, EmptyCandlesError, utc_text
from bkcore.candles.frame import CandleFrame
from bkcore.candles.sources import raw_columns
from bkcore.errors import did_you_mean
from bkcore.intervals import interval_start, interval_step_ms
from bkcore.machine.market import Market

logger = logging.getLogger(__name__)


@dataclass
class ExchangeSource:
    """One registered exchange: its markets in memory, or its ``get_candles`` function."""

    schema: ExchangeSchema
    _frames: dict[tuple[str, str], CandleFrame] = field(default_factory=dict)
    _markets: dict[str, tuple[CandleFrame, Market]] = field(default_factory=dict)

    @property
    def in_memory(self) -> bool:
        """Whether the candles are in memory, instead of behind a function."""
        return self.schema.candles is not None

    @property
    def base(self) -> str:
        """The interval of its own candles."""
        return self.schema.base_interval

    @property
    def step_ms(self) -> int:
        """Length of that interval in ms."""
        return interval_step_ms(self.base)

    def candles(self, symbol: str, interval: str | None = None) -> CandleFrame:
        """All candles of an in-memory symbol, resampled where the interval asks for it."""
        interval = interval or self.base
        frame = self._frames.get((checked_symbol(symbol), interval))
        if frame is None:
            frame = (
                self._own_candles(symbol)
                if interval == self.base
                else self.candles(symbol).resample(interval, holes="drop")
            )
            self._frames[symbol, interval] = frame
        return frame

    def _own_candles(self, symbol: str) -> CandleFrame:
        source = self.schema.candles
        if callable(source):
            found = settle(source(symbol))
        else:
            assert source is not None
            if symbol not in source:
                raise CandleRequestError(
                    f"exchange {self.schema.exchange_name!r} has no candles of {symbol!r}; "
                    f"it has: {', '.join(source)}.",
                    hint=did_you_mean(symbol, source)
                    + "add the symbol to candles={...} of add_exchange_schema.",
                )
            found = source[symbol]
        if isinstance(found, CandleFrame):
            if found.interval != self.base:
                raise CandleRequestError(
                    f"candles of {symbol!r} are {found.interval} candles, exchange "
                    f"{self.schema.exchange_name!r} runs on {self.base}.",
                    hint=f'give base_interval="{found.interval}" to add_exchange_schema, or resample the candles.',
                )
            return found
        in_file = isinstance(found, str) or hasattr(found, "__fspath__")
        door = CandleFrame.read if in_file else CandleFrame.from_any
        try:
            return door(found, symbol=symbol, interval=self.base)
        except CandleGapError as error:
            call = f'CandleFrame.{door.__name__}(..., symbol="{symbol}", interval="{self.base}", gaps="fill")'
            error.hint = (
                f"give the exchange candles that say what to do about holes: {call} repeats the last close with "
                'volume 0, gaps="keep" skips the hole.'
            )
            raise

    def market(self, symbol: str, start_ms: int, end_ms: int) -> Market:
        """A market of candles that cover ``[start_ms, end_ms)``; one in memory is lent as a whole.

        Raises :class:`CandleRequestError` when candles before ``end_ms`` are missing at either end.
        """
        if self.in_memory:
            frame = self.candles(symbol)
        else:
            span = CandleRange(self.base, start_ms, (end_ms - start_ms) // self.step_ms, self.step_ms)
            rows = self.fetched(symbol, span, backtest=True)
            frame = CandleFrame.from_any(rows, symbol=symbol, interval=self.base, **door_options())
            self._frames[symbol, self.base] = frame
        known = self._markets.get(symbol)
        if known is None or known[0] is not frame:
            known = self._markets[symbol] = (frame, Market.from_candles(frame))
        return known[1]

    def rows(self, symbol: str, span: CandleRange, *, backtest: bool, patient: bool = True) -> pl.DataFrame:
        """All candles of a range; raises :class:`CandleRequestError` when some are missing.

        patient   as for strategy code: ask again when the exchange fails, and look into the cache per chunk. Otherwise
                  one attempt, and one look for the whole range (spec market-data.md 9)
        """
        if self.in_memory:
            try:
                found = _between(self.candles(symbol, span.interval).frame, span.since, span.end)
            except CandleResampleError:
                found = no_candles()
            about = self._about(symbol, span.interval)
            if len(found) < span.limit and len(found):
                raise incomplete(len(found), span.limit, span.since, about)
            return complete(found, span.since, span.limit, span.step, about)
        if patient:
            return self.fetched(symbol, span, backtest=backtest)
        return self._fetched_at_once(symbol, span, backtest=backtest)

    def fetched(self, symbol: str, span: CandleRange, *, backtest: bool) -> pl.DataFrame:
        """The candles of a range from the function; each chunk is looked up in the cache and retried on its own."""
        about = self._about(checked_symbol(symbol), span.interval)
        parts: list[pl.DataFrame] = []
        told: list[pl.DataFrame] = []  # what the exchange has told in full
        asked_any = False
        try:
            for chunk in _chunks(span, int(config.value("CC_MAX_CANDLES_PER_REQUEST"))):
                rows, asked = self._fetched_chunk(symbol, chunk, backtest=backtest)
                parts.append(rows)
                asked_any |= asked
                if asked and shortcoming(rows, chunk.since, chunk.limit, chunk.step, about) is None:
                    told.append(rows)
            whole = complete(_without_repeats(parts, about), span.since, span.limit, span.step, about)
            told = [whole]
            return whole
        finally:  # a fetch that fails half way goes on from there next time
            if told and asked_any:
                self._store(symbol, span.interval, _without_repeats(told, about))

    def _fetched_chunk(self, symbol: str, span: CandleRange, *, backtest: bool) -> tuple[pl.DataFrame, bool]:
        """One chunk, and whether the exchange was asked for it rather than the cache (spec market-data.md 5.1)."""
        with Candle.held():
            known = self._cached(symbol, span)
            if known is not None:
                return known, False
            attempts = int(config.value("CC_GET_CANDLES_RETRY_COUNT"))
            failure: Exception | None = None
            for attempt in range(attempts):
                if attempt:
                    time.sleep(config.value("CC_GET_CANDLES_RETRY_DELAY_MS") / 1000)
                try:
                    return self._ask(symbol, span, backtest=backtest), True
                except Exception as error:  # noqa: BLE001 - whatever a function raises is tried again, then raised
                    logger.warning(
                        "%s %s: attempt %d of %d: %s", symbol, span.interval, attempt + 1, attempts, error
                    )
                    failure = error
        if failure is None:
            raise CandleRequestError(
                "no fetch attempts made", hint="set CC_GET_CANDLES_RETRY_COUNT to 1 or more."
            )
        raise failure

    def _fetched_at_once(self, symbol: str, span: CandleRange, *, backtest: bool) -> pl.DataFrame:
        about = self._about(checked_symbol(symbol), span.interval)
        with Candle.held():
            known = self._cached(symbol, span)
            if known is not None:
                return known
            chunks = _chunks(span, int(config.value("CC_MAX_CANDLES_PER_REQUEST")))
            parts = [self._ask(symbol, chunk, backtest=backtest) for chunk in chunks]
            rows = complete(_without_repeats(parts, about), span.since, span.limit, span.step, about)
            self._store(symbol, span.interval, rows)
        return rows

    def _ask(self, symbol: str, span: CandleRange, *, backtest: bool) -> pl.DataFrame:
        """One call of the function; checks the rows one by one, but not yet whether all are there."""
        assert self.schema.get_candles is not None
        answer = settle(
            self.schema.get_candles(symbol, span.interval, from_ms(span.since), span.limit, backtest)
        )
        about = f"{symbol} {span.interval}"
        try:
            data = answer.frame if isinstance(answer, CandleFrame) else answer
            rows = _without_repeats([columns_of(raw_columns(data, about), about, None)], about)
            return CandleFrame.from_any(
                rows, symbol=symbol, interval=span.interval, gaps="keep", **door_options()
            ).frame.select(no_candles().columns)
        except EmptyCandlesError:
            return no_candles()

    def _about(self, symbol: str, interval: str) -> str:
        """Exchange, symbol and interval, for errors."""
        return f"{self.schema.exchange_name} {symbol} {interval}"

    def _cached(self, symbol: str, span: CandleRange) -> pl.DataFrame | None:
        """The candles of a range from the cache, all of them or None."""
        if span.limit < 1:
            return None
        rows = PersistCandleAdapter.read_candles_data(
            symbol, span.interval, self.schema.exchange_name, span.limit, span.since, span.end
        )
        return None if rows is None or len(rows) != span.limit else rows

    def _store(self, symbol: str, interval: str, rows: pl.DataFrame) -> None:
        """Keep candles that passed every check."""
        PersistCandleAdapter.write_candles_data(rows, symbol, interval, self.schema.exchange_name)

    def average_price(self, symbol: str, when_ms: int, *, backtest: bool) -> float:
        """VWAP of the last ``CC_AVG_PRICE_CANDLES_COUNT`` closed candles (spec market-data.md 5.4)."""
        window = int(config.value("CC_AVG_PRICE_CANDLES_COUNT"))
        if self.in_memory:
            frame = self.candles(symbol)
            market = self.market(symbol, int(frame.timestamps[0]), when_ms)
            end = interval_start(when_ms, self.base)
            row = int(np.searchsorted(market.timestamps, end))
            since = end - window * market.step_ms
            is_over = row == len(market) and end > market.timestamps[-1] + market.step_ms
            if is_over or since < market.timestamps[0]:
                raise incomplete(row, window, since, self._about(symbol, self.base))
            return market.price_known_at(end, window)
        span = closed_range(self.base, window, when_ms)
        return average_of(self.rows(symbol, span, backtest=backtest), symbol, span.step)


def average_of(rows: pl.DataFrame, symbol: str, step_ms: int) -> float:
    """VWAP of candles; without any volume the mean of their closes."""
    columns: dict[str, Any] = {
        ("timestamps" if name == "timestamp" else name): np.ascontiguousarray(rows[name].to_numpy())
        for name in no_candles().columns
    }
    market = Market(symbol, **columns, step_ms=step_ms)
    return float(market.average_price(len(rows)).values[-1])


def _without_repeats(parts: list[pl.DataFrame], about: str) -> pl.DataFrame:
    """The parts in one frame; when a timestamp comes twice, the last candle counts, in the place of the first."""
    whole = parts[0] if len(parts) == 1 else pl.concat(parts)
    if not whole["timestamp"].is_duplicated().any():
        return whole
    first = whole.unique("timestamp", keep="first", maintain_order=True).select("timestamp")
    logger.warning("%s: %d candles came twice, the last of each is kept", about, len(whole) - len(first))
    last = whole.unique("timestamp", keep="last", maintain_order=True)
    return first.join(last, on="timestamp", how="left", maintain_order="left")


def _chunks(span: CandleRange, largest: int) -> list[CandleRange]:
    """``span`` in pieces of at most ``largest`` candles; an empty one stays as it is."""
    if span.limit <= largest:
        return [span]
    return [
        CandleRange(span.interval, span.since + done * span.step, min(largest, span.limit - done), span.step)
        for done in range(0, span.limit, largest)
    ]


def _between(rows: pl.DataFrame, since: int, end: int) -> pl.DataFrame:
    first, last = np.searchsorted(rows["timestamp"].to_numpy(), (since, end))
    return rows[int(first) : int(last)]


def check_covers(market: Market, symbol: str, first: int, last: int) -> None:
    """Raise :class:`FatalError` unless the market has candles from ``first`` to ``last`` (ms UTC, OPEN times)."""
    if not len(market) or market.timestamps[0] > first or market.timestamps[-1] < last:
        has = "no candles" if not len(market) else f"candles {_span(market.timestamps[[0, -1]])}"
        raise FatalError(
            f"{symbol}: the frame needs candles {_span((first, last))}, the exchange has {has}.",
            hint="move start_date or end_date of the frame, or load more candles.",
        )


def check_overlaps(market: Market, symbol: str, first: int, last: int) -> None:
    """Raise :class:`FatalError` unless the market has a candle that opens from ``first`` to ``last`` (ms UTC)."""
    start, end = np.searchsorted(market.timestamps, (first, last + 1))
    if start == end:
        has = "no candles" if not len(market) else f"candles {_span(market.timestamps[[0, -1]])}"
        raise FatalError(
            f"{symbol}: the frame goes from {_span((first, last))}, the exchange has {has}.",
            hint="move start_date or end_date of the frame, or load more candles.",
        )


def _span(ends: Iterable[int]) -> str:
    return " .. ".join(utc_text(int(end)).removesuffix(" UTC") for end in ends) + " UTC"
