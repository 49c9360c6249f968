"""Makes a ready schema of an exchange that ccxt knows: candles, order book, trades, precision (extra ``live``)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from bkapi.base.timestamps import now_ms, to_ms
from bkapi.errors import BkError, MissingExtraError
from bkapi.market.trades import Trade
from bkapi.schemas.exchange import ExchangeSchema
from bkcore.errors import did_you_mean
from bkcore.intervals import interval_step_ms

R = TypeVar("R")

#: Rows that a request asks for at most; if an exchange returns fewer, the next request goes on from there.
_MOST_ROWS = 1000
#: Requests for one range at most: more means that the exchange does not move on.
_MOST_REQUESTS = 10_000


class VenueError(BkError):
    """Raised by a request to an exchange that failed: unreachable, refused, or of an unknown symbol."""


def ccxt_exchange(
    exchange_id: str,
    *,
    exchange_name: str | None = None,
    options: Mapping[str, Any] | None = None,
    client: Any = None,
    fill_silent: bool = False,
    note: str | None = None,
) -> ExchangeSchema:
    """A schema for ``add_exchange_schema(ccxt_exchange("binance"))``.

    exchange_id      a name of ccxt: binance, okx, kraken ...
    exchange_name    the name to register under, the same by default
    options          settings of the ccxt client: keys, proxies, ``{"options": {...}}``
    client           your own ccxt client, instead of ``options``
    fill_silent      for exchanges that send no candle of a minute without trades: repeat the last close with volume 0;
                     a minute that has just ended is left out, since its candle may be late

    Sends one request at a time and keeps to the exchange's rate limit. Symbols may be written ``BTC/USDT`` or as
    the exchange has them, ``BTCUSDT``. An order book exists only now, so a backtest gets an error. No request is sent
    before the first question. Raises :class:`MissingExtraError` without ccxt, :class:`VenueError` for an unknown name.
    """
    venue = _Venue(exchange_id, client or _client(exchange_id, options or {}), fill_silent=fill_silent)
    return ExchangeSchema(
        exchange_name=exchange_name or exchange_id,
        get_candles=venue.get_candles,
        get_order_book=venue.get_order_book,
        get_aggregated_trades=venue.get_aggregated_trades,
        format_price=venue.format_price,
        format_quantity=venue.format_quantity,
        note=note,
    )


def _client(exchange_id: str, options: Mapping[str, Any]) -> Any:
    try:
        import ccxt
    except ImportError:
        raise MissingExtraError(
            "ccxt is not installed.", hint='install the extra: python -m pip install "bkapi[live]".'
        ) from None
    if exchange_id not in ccxt.exchanges:
        raise VenueError(
            f"ccxt knows no exchange {exchange_id!r}.",
            hint=did_you_mean(exchange_id, ccxt.exchanges) + "ccxt.exchanges lists them.",
        )
    return getattr(ccxt, exchange_id)({"enableRateLimit": True, **options})


class _Venue:
    """One ccxt client, used by one thread at a time."""

    def __init__(self, name: str, client: Any, *, fill_silent: bool) -> None:
        self.name = name
        self._client = client
        self._fill_silent = fill_silent
        self._lock = threading.RLock()

    def _ask(self, what: str, call: Callable[[], R]) -> R:
        import ccxt

        with self._lock:
            try:
                return call()
            except ccxt.BaseError as error:
                raise VenueError(
                    f"{self.name}: {what} failed: {type(error).__name__}: {str(error)[:300]}",
                    hint="look at the connection, the symbol and the rate limit of the exchange.",
                ) from error

    def _symbol(self, symbol: str) -> str:
        """The symbol as ccxt writes it."""
        self._ask("loading the markets", lambda: self._client.load_markets())
        if symbol in self._client.markets:
            return symbol
        known = self._client.markets_by_id.get(symbol)
        if known:
            found: str = (known[0] if isinstance(known, list) else known)["symbol"]
            return found
        raise VenueError(
            f"{self.name} has no symbol {symbol!r}.",
            hint=did_you_mean(symbol, self._client.markets) + "write it like BTC/USDT.",
        )

    def get_candles(self, symbol: str, interval: str, since: datetime, limit: int, backtest: bool) -> Any:
        """The rows of a range, in as many requests as the exchange needs."""
        if limit < 1:
            return []
        step, first = interval_step_ms(interval), to_ms(since)
        end, asked = first + limit * step, self._symbol(symbol)
        frames = self._client.timeframes or {}
        if interval not in frames:
            raise VenueError(
                f"{self.name} has no candles of {interval}.", hint=f"it has: {', '.join(frames)}."
            )
        rows = self._rows(asked, interval, first, end)
        if self._fill_silent:
            return self._filled(rows, first, end, step, self._close_before(asked, interval, first, rows))
        return [rows[time] for time in sorted(rows)]

    def _rows(self, asked: str, interval: str, first: int, end: int) -> dict[int, list[float]]:
        """The exchange's candles of ``[first, end)``, by time."""
        step = interval_step_ms(interval)
        rows: dict[int, list[float]] = {}
        at = first
        for _ in range(_MOST_REQUESTS):
            count, start = min(_MOST_ROWS, (end - at) // step), at
            found = self._ask(
                "candles",
                lambda start=start, count=count: self._client.fetch_ohlcv(asked, interval, start, count),  # type: ignore[misc]
            )
            fresh = {int(row[0]): row for row in found if at <= int(row[0]) < end}
            rows |= fresh
            if not fresh or max(fresh) + step >= end:
                break
            at = max(fresh) + step
        return rows

    def _close_before(
        self, asked: str, interval: str, first: int, rows: dict[int, list[float]]
    ) -> float | None:
        """The last close before a range that begins without a candle; looks back :data:`_MOST_ROWS` candles."""
        if first in rows:
            return None
        earlier = self._rows(asked, interval, first - _MOST_ROWS * interval_step_ms(interval), first)
        return earlier[max(earlier)][4] if earlier else None

    @staticmethod
    def _filled(
        rows: dict[int, list[float]], first: int, end: int, step: int, close: float | None
    ) -> list[list[float]]:
        """Every candle of the range: one without trades repeats the last close with volume 0.

        At the end of a range that has only just passed, a missing candle may still come: it is left out.
        """
        if end + step > now_ms():
            end = max(rows) + step if rows else first
        filled: list[list[float]] = []
        for time in range(first, end, step):
            if time in rows:
                close = rows[time][4]
                filled.append(rows[time])
            elif close is not None:
                filled.append([time, close, close, close, close, 0.0])
        return filled

    def get_order_book(
        self, symbol: str, depth: int, start: datetime, end: datetime, backtest: bool
    ) -> dict[str, Any]:
        """The order book as of now; its levels are texts."""
        if backtest:
            raise VenueError(
                f"{self.name} tells the order book of now only, a backtest would look ahead.",
                hint="give get_order_book a function that reads recorded order books.",
            )
        asked = self._symbol(symbol)
        found = self._ask("the order book", lambda: self._client.fetch_order_book(asked, depth))
        sides = {
            side: [{"price": _text(level[0]), "quantity": _text(level[1])} for level in found[side]]
            for side in ("bids", "asks")
        }
        return {"symbol": symbol, **sides}

    def get_aggregated_trades(
        self, symbol: str, start: datetime, end: datetime, backtest: bool
    ) -> list[Trade]:
        """The trades of a range, both ends included, oldest first."""
        first, last, asked = to_ms(start), to_ms(end), self._symbol(symbol)
        trades: dict[str, Trade] = {}
        at = first
        for _ in range(_MOST_REQUESTS):
            since = at
            found = self._ask(
                "trades",
                lambda since=since: self._client.fetch_trades(asked, since, _MOST_ROWS, {"until": last}),  # type: ignore[misc]
            )
            before = len(trades)
            at_once: Counter[int] = Counter()
            for trade in found:
                at_once[trade["timestamp"]] += 1
                if first <= trade["timestamp"] <= last:
                    # Some exchanges give no identity: the next request begins with the trades of this moment again.
                    name = trade["id"] or f"{trade['timestamp']}-{at_once[trade['timestamp']]}"
                    trades[name] = {
                        "id": name,
                        "price": trade["price"],
                        "qty": trade["amount"],
                        "timestamp": trade["timestamp"],
                        "is_buyer_maker": trade["side"] == "sell",
                    }
            newest = max((trade["timestamp"] for trade in found), default=last)
            if len(trades) == before or newest >= last:
                break
            at = newest
        return sorted(trades.values(), key=lambda trade: (trade["timestamp"], _number(trade["id"])))

    def format_price(self, symbol: str, price: float, backtest: bool) -> str:
        """A price with the precision of its market."""
        asked = self._symbol(symbol)
        return str(self._ask("precision", lambda: self._client.price_to_precision(asked, price)))

    def format_quantity(self, symbol: str, quantity: float, backtest: bool) -> str:
        """A quantity cut off to the precision of its market."""
        asked = self._symbol(symbol)
        return str(self._ask("precision", lambda: self._client.amount_to_precision(asked, quantity)))


def _text(number: float) -> str:
    return f"{Decimal(repr(float(number))).normalize():f}"


def _number(name: str) -> int:
    return int(name) if name.isdigit() else 0
