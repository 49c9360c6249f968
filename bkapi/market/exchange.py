"""How do users ask for candles, prices, order book and trades, in a strategy and outside of one?

What strategy code asks for is answered as of the ambient "now": no candle at or after it can be reached
(spec market-data.md 5, 6, 9).
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar

import polars as pl

from bkapi.base import config
from bkapi.base.context import MethodContext, execution, method, names_of
from bkapi.base.coroutines import settle
from bkapi.base.price_text import to_fixed
from bkapi.base.timestamps import Moment, from_ms, now_ms, this_minute_ms
from bkapi.events.emitters import call_back
from bkapi.market.answers import CandleRequestError, no_candles
from bkapi.market.ranges import CandleRange, closed_range, next_range, raw_range
from bkapi.market.source import ExchangeSource, average_of
from bkapi.market.trades import Trade, recent_trades
from bkapi.schemas.exchange import ExchangeSchema
from bkapi.schemas.registry import exchanges
from bkcore.intervals import MINUTE_MS

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

_PRICE_DECIMALS = 2
_QUANTITY_DECIMALS = 8


class _MarketData:
    """What one exchange is asked as of some "now": a run's, or that of whoever asks from outside (spec 5, 9).

    now       how an error calls that moment
    bounded   whether a range of one's own has to end by it in every combination of its arguments
    """

    now: ClassVar[str]
    bounded: ClassVar[bool]

    @property
    def _source(self) -> ExchangeSource:
        raise NotImplementedError

    @property
    def _is_heard(self) -> bool:
        """Whether somebody has to hear of every range of candles."""
        return False

    def _now(self, function: str) -> tuple[int, bool]:
        """The moment (ms UTC), and whether it is one of a backtest."""
        raise NotImplementedError

    def _rows(self, symbol: str, span: CandleRange, *, backtest: bool) -> pl.DataFrame:
        raise NotImplementedError

    def get_candles(self, symbol: str, interval: str, limit: int) -> pl.DataFrame:
        """The ``limit`` candles of ``interval`` that closed last; none of them at or after "now".

        A Polars frame: timestamp (Int64, OPEN time, ms UTC), open, high, low, close, volume. Raises
        :class:`CandleRequestError` where the history is too short (spec market-data.md 5.2).
        """
        when_ms, backtest = self._now("get_candles")
        return self._rows(symbol, closed_range(interval, limit, when_ms), backtest=backtest)

    def get_raw_candles(
        self,
        symbol: str,
        interval: str,
        limit: int | None = None,
        s_date: Moment | None = None,
        e_date: Moment | None = None,
    ) -> pl.DataFrame:
        """Candles of a range of one's own that ends at or before "now", a frame as of :func:`get_candles`.

        Give ``limit``, or both dates, or ``limit`` with one of them, or all three. ``s_date`` is floored to the
        interval, ``e_date`` is not included. Raises :class:`CandleRequestError` for another combination, a range that
        makes no sense, one that ends after "now", or missing candles (spec market-data.md 5.5).
        """
        when_ms, backtest = self._now("get_raw_candles")
        span = raw_range(interval, limit, s_date, e_date, when_ms, now=self.now, bounded=self.bounded)
        return self._rows(symbol, span, backtest=backtest)

    def get_average_price(self, symbol: str) -> float:
        """VWAP of the last ``CC_AVG_PRICE_CANDLES_COUNT`` closed 1m candles, in quote currency."""
        (when_ms, backtest), source = self._now("get_average_price"), self._source
        if source.in_memory and not self._is_heard:
            return source.average_price(symbol, when_ms, backtest=backtest)
        span = closed_range(source.base, int(config.value("CC_AVG_PRICE_CANDLES_COUNT")), when_ms)
        return average_of(self._rows(symbol, span, backtest=backtest), symbol, span.step)

    def get_close_price(self, symbol: str, interval: str) -> float:
        """Close of the last closed candle of ``interval``, in quote currency."""
        return float(self.get_candles(symbol, interval, 1)["close"][-1])

    def get_order_book(self, symbol: str, depth: int | None = None) -> Any:
        """The order book as the exchange's function gives it, of a range of time that ends by "now" (spec 5.6).

        ``depth`` is ``CC_ORDER_BOOK_MAX_DEPTH_LEVELS`` when not given. Raises :class:`CandleRequestError` for an
        exchange without order book.
        """
        when_ms, backtest = self._now("get_order_book")
        return order_book(self._source.schema, symbol, depth, when_ms, backtest=backtest)

    def get_aggregated_trades(self, symbol: str, limit: int | None = None) -> list[Trade]:
        """The newest ``limit`` trades up to "now", oldest first; without ``limit`` those of the last window (spec 5.7).

        Each is a mapping with ``id``, ``price``, ``qty``, ``timestamp`` (ms UTC) and ``is_buyer_maker``. Raises
        :class:`CandleRequestError` for an exchange without trades.
        """
        when_ms, backtest = self._now("get_aggregated_trades")
        return recent_trades(self._source.schema, symbol, limit, when_ms, backtest=backtest)

    def format_price(self, symbol: str, price: float) -> str:
        """A price as the exchange writes it; two decimals unless its schema says otherwise."""
        schema, (_, backtest) = self._source.schema, self._now("format_price")
        return _text(schema.format_price, symbol, price, _PRICE_DECIMALS, backtest)

    def format_quantity(self, symbol: str, quantity: float) -> str:
        """A quantity as the exchange writes it; eight decimals unless its schema says otherwise."""
        schema, (_, backtest) = self._source.schema, self._now("format_quantity")
        return _text(schema.format_quantity, symbol, quantity, _QUANTITY_DECIMALS, backtest)


class ClientExchange(_MarketData, ExchangeSource):
    """One exchange as strategy code meets it: "now" and mode are those of the execution context (spec 5).

    Every method raises :class:`ContextError` outside of a run.

    registered   the schema of its name as it was seen last; an override leaves ``schema`` as it is
    """

    now = "execution context when"
    bounded = True

    def __init__(self, schema: ExchangeSchema) -> None:
        super().__init__(schema)
        self.registered = schema

    @property
    def _source(self) -> ExchangeSource:
        return self

    @property
    def _is_heard(self) -> bool:
        callbacks = self.schema.callbacks
        return callbacks is not None and callbacks.on_candle_data is not None

    def _now(self, function: str) -> tuple[int, bool]:
        moment = execution.require(f"ClientExchange.{function}")
        return moment.when_ms, moment.backtest

    def _rows(self, symbol: str, span: CandleRange, *, backtest: bool) -> pl.DataFrame:
        """The candles of a range, after ``on_candle_data`` has heard of them."""
        rows = self.rows(symbol, span, backtest=backtest)
        if self._is_heard:
            about = (symbol, span.interval, from_ms(span.since), span.limit)
            call_back(self.schema.callbacks, "on_candle_data", *about, rows)
        return rows

    def get_next_candles(self, symbol: str, interval: str, limit: int) -> pl.DataFrame:
        """The ``limit`` candles from the forming one on: the FUTURE, the one call that looks ahead (spec 5.3).

        It is documented and therefore here; a strategy that trades on it is worthless. Refused in live; an empty frame
        when the range ends after the wall clock.
        """
        when_ms, backtest = self._now("get_next_candles")
        span = next_range(interval, limit, when_ms)
        if not backtest:
            raise CandleRequestError(
                "cannot fetch future candles in live mode", hint="get_candles gives the closed ones."
            )
        if span.end > now_ms():
            return no_candles()
        return self._rows(symbol, span, backtest=True)


def order_book(
    schema: ExchangeSchema, symbol: str, depth: int | None, when_ms: int, *, backtest: bool
) -> Any:
    """What the schema's function says of the last whole ``CC_ORDER_BOOK_TIME_OFFSET_MINUTES`` (spec 5.6)."""
    if schema.get_order_book is None:
        raise CandleRequestError(
            "getOrderBook is not implemented for this exchange",
            hint=f"give get_order_book=<function> to exchange {schema.exchange_name!r}.",
        )
    offset = int(config.value("CC_ORDER_BOOK_TIME_OFFSET_MINUTES")) * MINUTE_MS
    if not offset:
        raise CandleRequestError(
            "CC_ORDER_BOOK_TIME_OFFSET_MINUTES is 0: an order book needs a range of time.",
            hint="set it to 1 or more.",
        )
    end = when_ms // offset * offset
    levels = int(config.value("CC_ORDER_BOOK_MAX_DEPTH_LEVELS")) if depth is None else depth
    return settle(schema.get_order_book(symbol, levels, from_ms(end - offset), from_ms(end), backtest))


def _text(
    format_: Callable[..., Any] | None, symbol: str, number: float, decimals: int, backtest: bool
) -> str:
    """A number as the function of a schema writes it, else with so many decimals."""
    return to_fixed(number, decimals) if format_ is None else str(settle(format_(symbol, number, backtest)))


_clients: dict[str, ClientExchange] = {}


def client_of(exchange_name: str, source: str) -> ClientExchange:
    """The client of a registered exchange; raises :class:`UnknownNameError` for an unknown one.

    It keeps the schema of its first use (spec market-data.md 10): an override that comes later is told in a warning.
    """
    schema = exchanges.get(exchange_name, source)
    client = _clients.get(exchange_name)
    if client is None:
        client = _clients[exchange_name] = ClientExchange(schema)
    elif client.registered is not schema:
        client.registered = schema
        logger.warning(
            "exchange %r is in use: what it was overridden with counts after forget_exchanges(%r) or reset()",
            *(exchange_name, exchange_name),
        )
    return client


def forget_exchanges(exchange_name: str | None = None) -> None:
    """Drop the clients of all exchanges, or of one, with their markets: the next use takes the schema as it is."""
    if exchange_name is None:
        _clients.clear()
    else:
        _clients.pop(exchange_name, None)


def _here(ask: Callable[Concatenate[ClientExchange, P], R], *, needs_moment: bool = True) -> Callable[P, R]:
    """A question to the exchange of the run around the caller, as a function."""
    name, described = ask.__name__, inspect.signature(ask)

    def function(*args: P.args, **kwargs: P.kwargs) -> R:
        if needs_moment:
            execution.require(name)
        return ask(client_of(method.require(name).exchange_name, name), *args, **kwargs)

    made: Any = function
    made.__name__ = made.__qualname__ = name
    made.__doc__ = (
        f"{inspect.getdoc(ask)}\n\nFor code of a strategy; raises :class:`ContextError` outside of a run."
    )
    made.__signature__ = described.replace(parameters=[*described.parameters.values()][1:])
    return function


get_candles = _here(ClientExchange.get_candles)
get_next_candles = _here(ClientExchange.get_next_candles)
get_raw_candles = _here(ClientExchange.get_raw_candles)
get_average_price = _here(ClientExchange.get_average_price)
get_close_price = _here(ClientExchange.get_close_price)
get_order_book = _here(ClientExchange.get_order_book)
get_aggregated_trades = _here(ClientExchange.get_aggregated_trades)
format_price = _here(ClientExchange.format_price, needs_moment=False)
format_quantity = _here(ClientExchange.format_quantity, needs_moment=False)


class ExchangeInstance(_MarketData):
    """A registered exchange by name, in a run or outside of one; spec market-data.md 9.

    Inside a run "now" is that of the run, else the wall clock floored to the minute. One attempt per request, and
    ``on_candle_data`` is not called.
    """

    now = "current time"
    bounded = False

    def __init__(self, exchange_name: str, source: str = "ExchangeInstance") -> None:
        self._client = client_of(exchange_name, source)

    @property
    def _source(self) -> ExchangeSource:
        return self._client

    def _now(self, function: str) -> tuple[int, bool]:
        moment = execution.get()
        return (this_minute_ms(), False) if moment is None else (moment.when_ms, moment.backtest)

    def _rows(self, symbol: str, span: CandleRange, *, backtest: bool) -> pl.DataFrame:
        return self._client.rows(symbol, span, backtest=backtest, patient=False)


Names = Mapping[str, str] | MethodContext


class ExchangeUtils:
    """Market data of an exchange by name: ``Exchange.get_candles("BTCUSDT", "1h", 24, {"exchange_name": "x"})``.

    As :class:`ExchangeInstance`; ``context`` names the exchange. Raises :class:`UnknownNameError` for an unknown one.
    """

    def _of(self, context: Names, function: str) -> ExchangeInstance:
        name = names_of(context, "exchange_name").exchange_name
        return ExchangeInstance(name, f"ExchangeUtils.{function}")

    def get_candles(self, symbol: str, interval: str, limit: int, context: Names) -> pl.DataFrame:
        """The ``limit`` candles of ``interval`` that closed last."""
        return self._of(context, "get_candles").get_candles(symbol, interval, limit)

    def get_raw_candles(
        self,
        symbol: str,
        interval: str,
        context: Names,
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
        return self._of(context, "get_raw_candles").get_raw_candles(symbol, interval, limit, s_date, e_date)

    def get_average_price(self, symbol: str, context: Names) -> float:
        """VWAP of the last ``CC_AVG_PRICE_CANDLES_COUNT`` closed candles."""
        return self._of(context, "get_average_price").get_average_price(symbol)

    def get_close_price(self, symbol: str, interval: str, context: Names) -> float:
        """Close of the last closed candle of ``interval``."""
        return self._of(context, "get_close_price").get_close_price(symbol, interval)

    def get_order_book(self, symbol: str, context: Names, depth: int | None = None) -> Any:
        """The order book of the last range of time, see :func:`get_order_book`."""
        return self._of(context, "get_order_book").get_order_book(symbol, depth)

    def get_aggregated_trades(self, symbol: str, context: Names, limit: int | None = None) -> list[Trade]:
        """The newest trades, see :func:`get_aggregated_trades`."""
        return self._of(context, "get_aggregated_trades").get_aggregated_trades(symbol, limit)

    def format_price(self, symbol: str, price: float, context: Names) -> str:
        """A price as the exchange writes it."""
        return self._of(context, "format_price").format_price(symbol, price)

    def format_quantity(self, symbol: str, quantity: float, context: Names) -> str:
        """A quantity as the exchange writes it."""
        return self._of(context, "format_quantity").format_quantity(symbol, quantity)


Exchange = ExchangeUtils()
