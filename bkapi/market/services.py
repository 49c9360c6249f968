"""The documented services over exchanges: who is asked, and within which context (spec market-data.md 10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from bkapi.base.context import ExecutionContext, execution, method
from bkapi.base.timestamps import Moment, to_ms
from bkapi.market.exchange import ClientExchange, client_of
from bkapi.market.ranges import looks_ahead
from bkapi.market.trades import Trade
from bkapi.schemas.registry import exchanges

if TYPE_CHECKING:
    import polars as pl

R = TypeVar("R")


class ExchangeConnectionService:
    """The client of the exchange that the ambient run names."""

    def get_exchange(self, exchange_name: str) -> ClientExchange:
        """The client of a registered exchange, the same at every call; raises :class:`UnknownNameError`."""
        return client_of(exchange_name, "ExchangeConnectionService.get_exchange")

    @property
    def _client(self) -> ClientExchange:
        return self.get_exchange(method.require("ExchangeConnectionService").exchange_name)

    def get_candles(self, symbol: str, interval: str, limit: int) -> pl.DataFrame:
        """As :func:`bkapi.get_candles`."""
        return self._client.get_candles(symbol, interval, limit)

    def get_next_candles(self, symbol: str, interval: str, limit: int) -> pl.DataFrame:
        """As :func:`bkapi.get_next_candles`."""
        return self._client.get_next_candles(symbol, interval, limit)

    def get_raw_candles(
        self,
        symbol: str,
        interval: str,
        limit: int | None = None,
        s_date: Moment | None = None,
        e_date: Moment | None = None,
    ) -> pl.DataFrame:
        """As :func:`bkapi.get_raw_candles`."""
        return self._client.get_raw_candles(symbol, interval, limit, s_date, e_date)

    def get_average_price(self, symbol: str) -> float:
        """As :func:`bkapi.get_average_price`."""
        return self._client.get_average_price(symbol)

    def get_close_price(self, symbol: str, interval: str) -> float:
        """As :func:`bkapi.get_close_price`."""
        return self._client.get_close_price(symbol, interval)

    def get_order_book(self, symbol: str, depth: int | None = None) -> Any:
        """As :func:`bkapi.get_order_book`."""
        return self._client.get_order_book(symbol, depth)

    def get_aggregated_trades(self, symbol: str, limit: int | None = None) -> list[Trade]:
        """As :func:`bkapi.get_aggregated_trades`."""
        return self._client.get_aggregated_trades(symbol, limit)

    def format_price(self, symbol: str, price: float) -> str:
        """As :func:`bkapi.format_price`."""
        return self._client.format_price(symbol, price)

    def format_quantity(self, symbol: str, quantity: float) -> str:
        """As :func:`bkapi.format_quantity`."""
        return self._client.format_quantity(symbol, quantity)


class ExchangeCoreService:
    """The same calls with "now" and mode as arguments: ``when`` a moment, ``backtest`` the mode.

    Each needs the names of a run around it (:class:`ContextError`) and validates the exchange once per name. Inside
    strategy code ``when`` may not lie after its "now" (:class:`CandleRequestError`).
    """

    def __init__(self) -> None:
        self._connection = ExchangeConnectionService()

    def validate(self, exchange_name: str, source: str = "ExchangeCoreService.validate") -> bool:
        """True for a registered exchange; raises :class:`UnknownNameError`."""
        return exchanges.validate(exchange_name, source)

    def _within(
        self, name: str, symbol: str, when: Moment, backtest: bool, call: Callable[..., R], *args: Any
    ) -> R:
        source = f"ExchangeCoreService.{name}"
        self.validate(method.require(source).exchange_name, source)
        moment, around = ExecutionContext(symbol, to_ms(when), backtest), execution.get()
        if around is not None and moment.when_ms > around.when_ms:
            raise looks_ahead("when", moment.when_ms, "execution context when", around.when_ms)
        return execution.run_in_context(call, moment, symbol, *args)

    def get_candles(
        self, symbol: str, interval: str, limit: int, when: Moment, backtest: bool
    ) -> pl.DataFrame:
        """As :func:`bkapi.get_candles`."""
        call = self._connection.get_candles
        return self._within("get_candles", symbol, when, backtest, call, interval, limit)

    def get_next_candles(
        self, symbol: str, interval: str, limit: int, when: Moment, backtest: bool
    ) -> pl.DataFrame:
        """As :func:`bkapi.get_next_candles`."""
        call = self._connection.get_next_candles
        return self._within("get_next_candles", symbol, when, backtest, call, interval, limit)

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
        call = self._connection.get_raw_candles
        return self._within("get_raw_candles", symbol, when, backtest, call, interval, limit, s_date, e_date)

    def get_average_price(self, symbol: str, when: Moment, backtest: bool) -> float:
        """As :func:`bkapi.get_average_price`."""
        return self._within("get_average_price", symbol, when, backtest, self._connection.get_average_price)

    def get_close_price(self, symbol: str, interval: str, when: Moment, backtest: bool) -> float:
        """As :func:`bkapi.get_close_price`."""
        call = self._connection.get_close_price
        return self._within("get_close_price", symbol, when, backtest, call, interval)

    def get_order_book(self, symbol: str, when: Moment, backtest: bool, depth: int | None = None) -> Any:
        """As :func:`bkapi.get_order_book`."""
        return self._within("get_order_book", symbol, when, backtest, self._connection.get_order_book, depth)

    def get_aggregated_trades(
        self, symbol: str, when: Moment, backtest: bool, limit: int | None = None
    ) -> list[Trade]:
        """As :func:`bkapi.get_aggregated_trades`."""
        call = self._connection.get_aggregated_trades
        return self._within("get_aggregated_trades", symbol, when, backtest, call, limit)

    def format_price(self, symbol: str, price: float, when: Moment, backtest: bool) -> str:
        """As :func:`bkapi.format_price`."""
        return self._within("format_price", symbol, when, backtest, self._connection.format_price, price)

    def format_quantity(self, symbol: str, quantity: float, when: Moment, backtest: bool) -> str:
        """As :func:`bkapi.format_quantity`."""
        call = self._connection.format_quantity
        return self._within("format_quantity", symbol, when, backtest, call, quantity)
