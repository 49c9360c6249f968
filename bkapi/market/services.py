"""The documented services over exchanges: they validate names and pass requests on (spec market-data.md 10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import polars as pl

from bkapi.base.context import ExecutionContext, execution, method as ambient_names
from bkapi.base.forwarding import Forwarding, forwarded
from bkapi.base.timestamps import Moment, to_ms
from bkapi.market.exchange import ClientExchange, client_of
from bkapi.market.ranges import looks_ahead
from bkapi.market.trades import Trade
from bkapi.schemas.registry import exchanges

R = TypeVar("R")


class ExchangeConnectionService(Forwarding):
    """The client of the exchange that the ambient run names, asked as of the ambient "now"."""

    def get_exchange(self, exchange_name: str) -> ClientExchange:
        """The client of a registered exchange, the same at every call; raises :class:`UnknownNameError`."""
        return client_of(exchange_name, "ExchangeConnectionService.get_exchange")

    def _ask(self, method: Callable[..., R], given: Mapping[str, Any]) -> R:
        names = ambient_names.require("ExchangeConnectionService")
        return method(self.get_exchange(names.exchange_name), **given)

    get_candles = forwarded(ClientExchange.get_candles)
    get_next_candles = forwarded(ClientExchange.get_next_candles)
    get_raw_candles = forwarded(ClientExchange.get_raw_candles)
    get_average_price = forwarded(ClientExchange.get_average_price)
    get_close_price = forwarded(ClientExchange.get_close_price)
    get_order_book = forwarded(ClientExchange.get_order_book)
    get_aggregated_trades = forwarded(ClientExchange.get_aggregated_trades)
    format_price = forwarded(ClientExchange.format_price)
    format_quantity = forwarded(ClientExchange.format_quantity)


class _At(ExchangeConnectionService):
    """The same, asked as of ``when`` for an :class:`ExchangeCoreService`."""

    def __init__(self, when: Moment, backtest: bool) -> None:
        self._when = when
        self._backtest = backtest

    def _ask(self, method: Callable[..., R], given: Mapping[str, Any]) -> R:
        source = f"ExchangeCoreService.{method.__name__}"
        exchanges.validate(ambient_names.require(source).exchange_name, source)
        moment = ExecutionContext(given["symbol"], to_ms(self._when), self._backtest)
        around = execution.get()
        if around is not None and moment.when_ms > around.when_ms:
            raise looks_ahead("when", moment.when_ms, "execution context when", around.when_ms)
        return execution.run_in_context(super()._ask, moment, method, given)


class ExchangeCoreService:
    """The same calls with "now" and mode as arguments: ``when`` a moment, ``backtest`` the mode.

    Each needs the names of a run around it (:class:`ContextError`) and validates the exchange once per name. Inside
    strategy code ``when`` may not lie after its "now" (:class:`CandleRequestError`).
    """

    def validate(self, exchange_name: str, source: str = "ExchangeCoreService.validate") -> bool:
        """True for a registered exchange; raises :class:`UnknownNameError`."""
        return exchanges.validate(exchange_name, source)

    def get_candles(
        self, symbol: str, interval: str, limit: int, when: Moment, backtest: bool
    ) -> pl.DataFrame:
        """As :func:`bkapi.get_candles`."""
        return _At(when, backtest).get_candles(symbol, interval, limit)

    def get_next_candles(
        self, symbol: str, interval: str, limit: int, when: Moment, backtest: bool
    ) -> pl.DataFrame:
        """As :func:`bkapi.get_next_candles`."""
        return _At(when, backtest).get_next_candles(symbol, interval, limit)

    def get_raw_candles(
        self,
        symbol: str,
        interval: str,
        when: Moment,
        backtest: bool,
        limit: int | None = None,
        s_date: Moment | None = None,
        e_date: Moment | None = None,
    ) -> pl.DataFrame:
        """As :func:`bkapi.get_raw_candles`."""
        return _At(when, backtest).get_raw_candles(symbol, interval, limit, s_date, e_date)

    def get_average_price(self, symbol: str, when: Moment, backtest: bool) -> float:
        """As :func:`bkapi.get_average_price`."""
        return _At(when, backtest).get_average_price(symbol)

    def get_close_price(self, symbol: str, interval: str, when: Moment, backtest: bool) -> float:
        """As :func:`bkapi.get_close_price`."""
        return _At(when, backtest).get_close_price(symbol, interval)

    def get_order_book(self, symbol: str, when: Moment, backtest: bool, depth: int | None = None) -> Any:
        """As :func:`bkapi.get_order_book`."""
        return _At(when, backtest).get_order_book(symbol, depth)

    def get_aggregated_trades(
        self, symbol: str, when: Moment, backtest: bool, limit: int | None = None
    ) -> list[Trade]:
        """As :func:`bkapi.get_aggregated_trades`."""
        return _At(when, backtest).get_aggregated_trades(symbol, limit)

    def format_price(self, symbol: str, price: float, when: Moment, backtest: bool) -> str:
        """As :func:`bkapi.format_price`."""
        return _At(when, backtest).format_price(symbol, price)

    def format_quantity(self, symbol: str, quantity: float, when: Moment, backtest: bool) -> str:
        """As :func:`bkapi.format_quantity`."""
        return _At(when, backtest).format_quantity(symbol, quantity)
