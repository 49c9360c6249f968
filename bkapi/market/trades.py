"""Which trades does an exchange report? Reads back from "now" until there are enough (spec market-data.md 5.7)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from bkapi.base import config
from bkapi.base.coroutines import settle
from bkapi.base.timestamps import from_ms
from bkapi.market.answers import CandleRequestError
from bkapi.market.ranges import whole_limit
from bkapi.schemas.exchange import ExchangeSchema
from bkcore.errors import shown
from bkcore.intervals import MINUTE_MS

logger = logging.getLogger(__name__)

#: A trade: ``id``, ``price``, ``qty``, ``timestamp`` (ms UTC), ``is_buyer_maker``, and what else the exchange tells.
Trade = dict[str, Any]

_MOST_EMPTY_WINDOWS = 10


def recent_trades(
    schema: ExchangeSchema, symbol: str, limit: int | None, when_ms: int, *, backtest: bool
) -> list[Trade]:
    """The last ``limit`` trades up to the minute of ``when_ms``, oldest first; without a limit all of the last window.

    A window is ``CC_AGGREGATED_TRADES_MAX_MINUTES`` less one minute long. Raises :class:`CandleRequestError`.
    """
    if schema.get_aggregated_trades is None:
        raise CandleRequestError(
            "getAggregatedTrades is not implemented for this exchange",
            hint=f"give get_aggregated_trades=<function> to exchange {schema.exchange_name!r}.",
        )
    ask = schema.get_aggregated_trades

    def window_from(start: int, end: int) -> list[Trade]:
        return _trades(settle(ask(symbol, from_ms(start), from_ms(end), backtest)))

    window = _window_ms()
    end = when_ms // MINUTE_MS * MINUTE_MS
    if limit is None:
        return window_from(end - window, end)
    limit = whole_limit(limit, "trades")
    windows: list[list[Trade]] = []
    collected = empty = 0
    while collected < limit:
        found = window_from(end - window, end)
        windows.append(found)
        collected += len(found)
        empty = 0 if found else empty + 1
        end -= window
        if empty >= _MOST_EMPTY_WINDOWS:
            logger.warning("%s: no trades in %d windows in a row, the search ends", symbol, empty)
            break
        if end - window <= 0 or not window:
            break
    trades = [trade for found in reversed(windows) for trade in found]
    once = {str(trade.get("id", ("without id", at))): trade for at, trade in enumerate(trades)}
    return [*once.values()][-limit:] if limit > 0 else []


def _window_ms() -> int:
    minutes = config.value("CC_AGGREGATED_TRADES_MAX_MINUTES")
    if not config.is_number(minutes) or not 1 <= minutes <= config.MOST:
        raise CandleRequestError(
            f"CC_AGGREGATED_TRADES_MAX_MINUTES is {shown(minutes)}: trades are asked for by at least a minute.",
            hint="set it to 2 or more; 60 is the default.",
        )
    return (int(minutes) - 1) * MINUTE_MS


def _trades(answer: Any) -> list[Trade]:
    """The rows of an answer with price, quantity and time as numbers; other fields stay as they are."""
    return [_trade(row, at) for at, row in enumerate(_rows(answer))]


def _rows(answer: Any) -> Iterable[Any]:
    """Rows of a list of mappings or of a frame of any library."""
    if isinstance(answer, list | tuple):
        return answer
    if hasattr(answer, "collect"):
        answer = answer.collect()
    import narwhals

    try:
        rows: list[dict[str, Any]] = narwhals.from_native(answer, eager_only=True).rows(named=True)
    except Exception:  # noqa: BLE001 - whatever a foreign object does, it is no table of trades
        raise CandleRequestError(
            f"get_aggregated_trades gave {type(answer).__name__!r}.",
            hint="return a list of mappings, or a frame, with id, price, qty, timestamp and is_buyer_maker.",
        ) from None
    return rows


def _trade(row: Any, at: int) -> Trade:
    if not isinstance(row, Mapping):
        raise CandleRequestError(
            f"trade[{at}] is {type(row).__name__!r}, not a mapping.",
            hint="a trade has id, price, qty, timestamp and is_buyer_maker.",
        )
    trade = dict(row)
    for name, number in (("price", float), ("qty", float), ("timestamp", int)):
        try:
            trade[name] = number(trade[name])
        except (KeyError, TypeError, ValueError, OverflowError):
            raise CandleRequestError(
                f"trade[{at}] has {name}={trade.get(name)!r}, which is no number.",
                hint="a trade has id, price, qty, timestamp (ms UTC) and is_buyer_maker.",
            ) from None
    return trade
