"""Where candles come from: markets of an exchange, and the calls by which strategy code looks at them.

Whatever strategy code asks is answered as of the ambient "now": no candle at or after it can be reached
(spec market-data.md 5.2, 5.4, 6).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bkapi import config
from bkapi.context import ExecutionContext, MethodContext, execution, require_trade_context
from bkapi.coroutines import settle
from bkapi.errors import BkError, FatalError
from bkapi.events import report_error
from bkapi.moments import Moment, from_ms, this_minute_ms, to_ms
from bkapi.registry import exchanges
from bkapi.schemas import ExchangeSchema
from bkcore.candle_errors import CandleGapError, CandleResampleError
from bkcore.candles import CandleFrame
from bkcore.intervals import interval_start, interval_step_ms
from bkcore.market import Market

if TYPE_CHECKING:
    import polars as pl


class CandleRequestError(BkError):
    """Raised by ``get_candles("BTCUSDT", "1m", 0)``: a request that the exchange cannot answer in full."""


@dataclass
class ExchangeClient:
    """One registered exchange: its markets in memory, or its ``get_candles`` function."""

    schema: ExchangeSchema
    _frames: dict[tuple[str, str], CandleFrame] = field(default_factory=dict)
    _markets: dict[str, tuple[CandleFrame, Market]] = field(default_factory=dict)

    @property
    def in_memory(self) -> bool:
        """Whether the candles lie here, instead of behind a function."""
        return self.schema.candles is not None

    @property
    def base(self) -> str:
        """The interval of its own candles."""
        return self.schema.base_interval

    @property
    def step_ms(self) -> int:
        """The same in ms."""
        return interval_step_ms(self.base)

    def candles(self, symbol: str, interval: str | None = None) -> CandleFrame:
        """All candles of an in-memory symbol, resampled where the interval asks for it."""
        interval = interval or self.base
        frame = self._frames.get((symbol, interval))
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
            found = source(symbol)
        else:
            assert source is not None
            if symbol not in source:
                raise CandleRequestError(
                    f"exchange {self.schema.exchange_name!r} has no candles of {symbol!r}; "
                    f"it has: {', '.join(source)}.",
                    hint="add the symbol to candles={...} of add_exchange_schema.",
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
        """Columns of candles that cover ``[start_ms, end_ms)``; a market in memory is lent as a whole.

        Raises :class:`CandleRequestError` when candles before ``end_ms`` are missing at either end.
        """
        if self.in_memory:
            frame = self.candles(symbol)
        else:
            frame = CandleFrame.from_any(
                self._fetch(symbol, self.base, start_ms, (end_ms - start_ms) // self.step_ms, backtest=True),
                symbol=symbol,
                interval=self.base,
            )
            self._frames[symbol, self.base] = frame
        known = self._markets.get(symbol)
        if known is None or known[0] is not frame:
            known = self._markets[symbol] = (frame, Market.from_candles(frame))
        return known[1]

    def get_candles(
        self, symbol: str, interval: str, limit: int, when_ms: int, *, backtest: bool
    ) -> pl.DataFrame:
        """The ``limit`` candles that closed last at or before ``when_ms`` (spec market-data.md 5.2)."""
        since = interval_start(when_ms, interval) - limit * interval_step_ms(interval)
        if limit != int(limit) or limit < 1:
            raise CandleRequestError(
                f"adapter returned empty array. Expected {limit} candles starting from openTime={since}",
                hint="ask for a whole number of candles above 0.",
            )
        return self._exactly(symbol, interval, since, int(limit), backtest=backtest)

    def get_raw_candles(
        self,
        symbol: str,
        interval: str,
        limit: int | None,
        start_ms: int | None,
        end_ms: int | None,
        *,
        now_ms: int,
        backtest: bool,
    ) -> pl.DataFrame:
        """Candles of a range of one's own, none that ends after ``now_ms``, one attempt (spec 5.5 and 9)."""
        step = interval_step_ms(interval)
        if limit is not None and start_ms is None and end_ms is None:
            return self.get_candles(symbol, interval, limit, now_ms, backtest=backtest)
        if (start_ms is None and (limit is None or end_ms is None)) or (limit is None and end_ms is None):
            raise CandleRequestError(
                "invalid parameter combination",
                hint="give limit, or s_date and e_date, or limit and one of them, or all three.",
            )
        if start_ms is not None and end_ms is not None and start_ms >= end_ms:
            raise CandleRequestError(
                f"sDate ({start_ms}) must be < eDate ({end_ms})", hint="let the range start before it ends."
            )
        if end_ms is not None and end_ms > now_ms:
            raise _looks_ahead("eDate", end_ms, now_ms)
        if start_ms is not None:
            since = interval_start(start_ms, interval)
        else:
            assert end_ms is not None
            assert limit is not None
            since = interval_start(end_ms, interval) - limit * step
        if limit is None:
            assert end_ms is not None
            limit = (interval_start(end_ms, interval) - since) // step
        if limit != int(limit) or limit < 1:
            raise CandleRequestError(
                f"calculated limit is {limit}, must be > 0", hint="ask for at least one whole candle."
            )
        if since + limit * step > now_ms:
            raise _looks_ahead("calculated endTimestamp", since + limit * step, now_ms)
        return self._exactly(symbol, interval, since, int(limit), backtest=backtest, attempts=1)

    def _exactly(
        self,
        symbol: str,
        interval: str,
        since: int,
        limit: int,
        *,
        backtest: bool,
        attempts: int | None = None,
    ) -> pl.DataFrame:
        """The ``limit`` candles from ``since`` on; raises :class:`CandleRequestError` when there are fewer."""
        end = since + limit * interval_step_ms(interval)
        if self.in_memory:
            try:
                rows = _between(self.candles(symbol, interval).frame, since, end)
            except CandleResampleError:
                raise _incomplete(0, limit, since) from None
        else:
            fetched = self._fetch(symbol, interval, since, limit, backtest=backtest, attempts=attempts)
            rows = _between(fetched, since, end)
        return _complete(rows, since, limit)

    def _fetch(
        self,
        symbol: str,
        interval: str,
        since: int,
        limit: int,
        *,
        backtest: bool,
        attempts: int | None = None,
    ) -> pl.DataFrame:
        """Ask the adapter, a chunk at a time, each with its retries; rows of the candle schema."""
        import polars as pl

        step = interval_step_ms(interval)
        chunk = int(config.value("CC_MAX_CANDLES_PER_REQUEST"))
        parts = [
            self._fetch_chunk(
                symbol,
                interval,
                since + done * step,
                min(chunk, limit - done),
                backtest=backtest,
                attempts=attempts,
            )
            for done in range(0, limit, chunk)
        ]
        return pl.concat(parts)

    def _fetch_chunk(
        self, symbol: str, interval: str, since: int, limit: int, *, backtest: bool, attempts: int | None
    ) -> pl.DataFrame:
        """One request: every row is checked before it is used (spec market-data.md 5.1; deviation 10)."""
        assert self.schema.get_candles is not None
        if attempts is None:
            attempts = int(config.value("CC_GET_CANDLES_RETRY_COUNT"))
        failure: Exception | None = None
        for attempt in range(attempts):
            if attempt:
                time.sleep(config.value("CC_GET_CANDLES_RETRY_DELAY_MS") / 1000)
            try:
                answer = settle(self.schema.get_candles(symbol, interval, from_ms(since), limit, backtest))
                rows = CandleFrame.from_any(answer, symbol=symbol, interval=interval).frame
                return _complete(rows, since, limit)
            except Exception as error:  # noqa: BLE001 - whatever an adapter raises is retried, then raised
                failure = error
        if failure is None:
            raise CandleRequestError(
                "no fetch attempts made", hint="set CC_GET_CANDLES_RETRY_COUNT to 1 or more."
            )
        raise failure

    def average_price(self, symbol: str, when_ms: int, *, backtest: bool) -> float:
        """VWAP of the last ``CC_AVG_PRICE_CANDLES_COUNT`` closed candles (spec market-data.md 5.4)."""
        window = int(config.value("CC_AVG_PRICE_CANDLES_COUNT"))
        if self.in_memory:
            frame = self.candles(symbol)
            market = self.market(symbol, int(frame.timestamps[0]), when_ms)
            end = interval_start(when_ms, self.base)
            row = int(np.searchsorted(market.timestamps, end))
            if row < window or market.timestamps[row - 1] != end - market.step_ms:
                raise _incomplete(row, window, end - window * market.step_ms)
            return float(market.average_price(window).values[row - 1])
        rows = self.get_candles(symbol, self.base, window, when_ms, backtest=backtest)
        frame = CandleFrame.from_any(rows, symbol=symbol, interval=self.base)
        return float(Market.from_candles(frame).average_price(window).values[-1])


def _between(rows: pl.DataFrame, since: int, end: int) -> pl.DataFrame:
    first, last = np.searchsorted(rows["timestamp"].to_numpy(), (since, end))
    return rows[int(first) : int(last)]


def _complete(rows: pl.DataFrame, since: int, limit: int) -> pl.DataFrame:
    """``rows`` when they start at ``since`` and are ``limit``; spec market-data.md 5.1, checks 2 to 4."""
    if not len(rows):
        raise CandleRequestError(
            f"adapter returned empty array. Expected {limit} candles starting from openTime={since}",
            hint="ask for less history, or start the frame later.",
        )
    if rows["timestamp"][0] != since and len(rows) >= limit:
        raise CandleRequestError(
            f"first candle timestamp mismatch. Expected openTime={since}, got={rows['timestamp'][0]}",
            hint="return candles from `since` on, stamped with their open time.",
        )
    if len(rows) != limit:
        raise _incomplete(len(rows), limit, since)
    return rows


def _incomplete(count: int, limit: int, since: int) -> CandleRequestError:
    return CandleRequestError(
        f"candle count mismatch. Expected {limit} candles from {from_ms(since):%Y-%m-%d %H:%M} UTC, got {count}",
        hint="ask for less history, or start the frame later.",
    )


def _looks_ahead(what: str, end: int, now: int) -> CandleRequestError:
    return CandleRequestError(
        f"{what} ({end}) exceeds current time ({now}). Look-ahead bias protection.",
        hint="end the range at or before now.",
    )


_clients: dict[str, ExchangeClient] = {}


def client_of(exchange_name: str, source: str) -> ExchangeClient:
    """The client of a registered exchange; raises :class:`UnknownNameError` for an unknown one."""
    schema = exchanges.get(exchange_name, source)
    client = _clients.get(exchange_name)
    if client is None or client.schema is not schema:
        client = _clients[exchange_name] = ExchangeClient(schema)
    return client


def forget_clients() -> None:
    """Drop every client and the markets it holds."""
    _clients.clear()


def _here(function: str) -> tuple[ExchangeClient, ExecutionContext, MethodContext]:
    moment, names = require_trade_context(function)
    return client_of(names.exchange_name, function), moment, names


def get_candles(symbol: str, interval: str, limit: int) -> pl.DataFrame:
    """The ``limit`` candles of ``interval`` that closed last; none of them at or after the ambient "now".

    A Polars frame: timestamp (Int64, OPEN time, ms UTC), open, high, low, close, volume. For code of a strategy;
    raises :class:`ContextError` outside and :class:`CandleRequestError` where the history is too short
    (spec market-data.md 5.2).
    """
    client, moment, _ = _here("get_candles")
    rows = client.get_candles(symbol, interval, limit, moment.when_ms, backtest=moment.backtest)
    callbacks = client.schema.callbacks
    if callbacks is not None and callbacks.on_candle_data is not None:
        since = from_ms(int(rows["timestamp"][0]))
        try:
            settle(callbacks.on_candle_data(symbol, interval, since, limit, rows))
        except Exception as error:  # noqa: BLE001 - a callback's error is reported, never raised
            report_error(error, "on_candle_data")
    return rows


def get_average_price(symbol: str) -> float:
    """VWAP of the last ``CC_AVG_PRICE_CANDLES_COUNT`` closed 1m candles, in quote currency; for code of a strategy."""
    client, moment, _ = _here("get_average_price")
    return client.average_price(symbol, moment.when_ms, backtest=moment.backtest)


def get_close_price(symbol: str, interval: str) -> float:
    """Close of the last closed candle of ``interval``, in quote currency; for code of a strategy."""
    client, moment, _ = _here("get_close_price")
    rows = client.get_candles(symbol, interval, 1, moment.when_ms, backtest=moment.backtest)
    return float(rows["close"][-1])


class ExchangeUtils:
    """Candles of a registered exchange by name, in a run or outside of one; spec market-data.md 9.

    Inside a run "now" is that of the run, else the wall clock floored to the minute.
    """

    def get_raw_candles(
        self,
        symbol: str,
        interval: str,
        context: Mapping[str, str],
        limit: int | None = None,
        s_date: Moment | None = None,
        e_date: Moment | None = None,
    ) -> pl.DataFrame:
        """Candles of a range of one's own, a Polars frame as of :func:`get_candles`.

        context    ``{"exchange_name": ...}``
        limit      candles from ``s_date`` on, or up to ``e_date``, or up to now
        s_date     start, floored to the interval; ``e_date`` the end, which is not included

        One request per chunk of ``CC_MAX_CANDLES_PER_REQUEST``, no second attempt. ``limit`` with both dates may reach
        past ``e_date``, but like every range not past now. Raises :class:`CandleRequestError` where the range makes no
        sense, ends after now, or has fewer candles.
        """
        moment = execution.get()
        return client_of(context["exchange_name"], "ExchangeUtils.get_raw_candles").get_raw_candles(
            symbol,
            interval,
            limit,
            None if s_date is None else to_ms(s_date),
            None if e_date is None else to_ms(e_date),
            now_ms=this_minute_ms() if moment is None else moment.when_ms,
            backtest=moment is not None and moment.backtest,
        )


Exchange = ExchangeUtils()


def check_covers(market: Market, symbol: str, first: int, last: int) -> None:
    """Raise :class:`FatalError` unless the market has candles from ``first`` to ``last`` (ms UTC, OPEN times)."""
    if not len(market) or market.timestamps[0] > first or market.timestamps[-1] < last:
        has = "no candles" if not len(market) else f"candles {_span(market.timestamps[[0, -1]])}"
        raise FatalError(
            f"{symbol}: the frame needs candles {_span((first, last))}, the exchange has {has}.",
            hint="move start_date or end_date of the frame, or load more candles.",
        )


def _span(ends: Iterable[int]) -> str:
    return " .. ".join(f"{from_ms(int(end)):%Y-%m-%d %H:%M}" for end in ends) + " UTC"


__all__ = [
    "CandleRequestError",
    "Exchange",
    "ExchangeClient",
    "ExchangeUtils",
    "client_of",
    "get_average_price",
    "get_candles",
    "get_close_price",
]
