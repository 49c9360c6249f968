"""Average and close price on tricky candles."""

from datetime import datetime
from types import ModuleType

from tests.golden.service_case import MINUTE, Case, Record
from tests.golden.services.candles import ms, outcome


def play(api: ModuleType, case: Case) -> Record:
    """The three ways to a price, in one context."""
    candles, exchange = case.given["candles"], f"{case.id}-ex"

    def get_candles(symbol: str, interval: str, since: datetime, limit: int, backtest: bool) -> list[Record]:
        return [row for row in candles if row["timestamp"] >= ms(since)][:limit]

    api.add_exchange_schema(exchange_name=exchange, get_candles=get_candles)
    calls = {
        "average_price": lambda: api.get_average_price("BTCUSDT"),
        "facade_average_price": lambda: api.Exchange.get_average_price(
            "BTCUSDT", {"exchange_name": exchange}
        ),
        "close_price": lambda: api.get_close_price("BTCUSDT", "1m"),
    }
    return api.run_in_mock_context(
        lambda: {name: outcome(api, call) for name, call in calls.items()},
        exchange_name=exchange,
        when=candles[-1]["timestamp"] + MINUTE,
        backtest=True,
    )
