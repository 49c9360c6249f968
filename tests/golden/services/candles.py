"""Candles, prices, order book and trades asked through the free functions: requests, callbacks, answers."""

import itertools
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

from tests.golden.service_case import EPOCH, MINUTE, Case, Record, written

#: Words that the documentation promises, and the kind of error they mean; the first that occurs counts.
ERROR_KINDS = {
    "unknown interval": "unknown_interval",
    "adapter returned empty array": "empty_response",
    "first candle timestamp mismatch": "first_timestamp_mismatch",
    "candle count mismatch": "count_mismatch",
    "cannot fetch future candles": "next_candles_in_live",
    "must be < eDate": "s_date_not_before_e_date",
    "past aligned eDate": "limit_past_e_date",
    "must be > 0": "non_positive_limit",
    "Look-ahead bias protection.": "look_ahead",
    "invalid parameter combination": "invalid_combination",
    "is not implemented for this exchange": "not_implemented",
    "adapter failure": "adapter_failure",
}


def ms(moment: datetime) -> int:
    """A moment in ms."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def error_of(api: ModuleType, error: Exception) -> Record:
    """An error as the recordings write it; one of unknown words is raised on."""
    text = str(error)
    kind = next((kind for words, kind in ERROR_KINDS.items() if words in text), None)
    if kind is None:
        raise error
    return {"kind": kind, "text": text}


def outcome(api: ModuleType, call: Callable[[], Any]) -> Record:
    """``{"ok": ...}`` or ``{"error": ...}`` of one call."""
    try:
        return {"ok": written(call())}
    except Exception as error:
        return {"error": error_of(api, error)}


def candle(timestamp: int) -> Record:
    """The candle that the recordings serve at a time."""
    m = timestamp // MINUTE
    opened, closed = 100 + 0.25 * (m % 97), 100 + 0.25 * ((m + 31) % 97)
    return {
        "timestamp": timestamp,
        "open": opened,
        "high": max(opened, closed) + 0.125 * (m % 5),
        "low": min(opened, closed) - 0.125 * (m % 3),
        "close": closed,
        "volume": m % 11,
    }


def candles_adapter(api: ModuleType, mode: Record, requests: list[Any]) -> Callable[..., list[Record]]:
    """``get_candles`` with the habits of a recording."""
    by, kind, failures = mode.get("by", 0), mode["mode"], itertools.count()

    def get_candles(symbol: str, interval: str, since: datetime, limit: int, backtest: bool) -> list[Record]:
        requests.append([interval, ms(since), limit])
        if next(failures) < mode.get("fail_first", 0):
            raise RuntimeError("adapter failure")
        step = api.interval_step_ms(interval)
        count = {"short": limit - by, "long": limit + by, "empty": 0}.get(kind, limit)
        shift = {"late": by, "early": -by}.get(kind, 0)
        return [candle(ms(since) + (k + shift) * step) for k in range(count)]

    return get_candles


def trades_adapter(mode: Record, requests: list[Any]) -> Callable[..., list[Record]]:
    """``get_aggregated_trades`` of a recording: one per spacing."""
    quiet = itertools.count()

    def get_aggregated_trades(symbol: str, start: datetime, end: datetime, backtest: bool) -> list[Record]:
        requests.append([ms(start), ms(end), backtest])
        if next(quiet) < mode.get("quiet_windows", 0):
            return []
        spacing = mode["spacing_ms"]
        return [
            {
                "id": str(k),
                "price": str(100 + k % 50),
                "qty": "0.5",
                "timestamp": k * spacing,
                "is_buyer_maker": "false",
            }
            for k in range(math.ceil(ms(start) / spacing), ms(end) // spacing + 1)
        ]

    return get_aggregated_trades


def told(call: str, answer: Any) -> Any:
    """An answer as the recordings write it."""
    if call == "get_aggregated_trades":
        return {
            "count": len(answer),
            "first": answer[0]["timestamp"] if answer else None,
            "last": answer[-1]["timestamp"] if answer else None,
            "price_sum": sum(trade["price"] for trade in answer),
            "qty_sum": sum(trade["qty"] for trade in answer),
            "first_id": answer[0]["id"] if answer else None,
            "last_id": answer[-1]["id"] if answer else None,
        }
    if not call.endswith("_candles"):
        return answer
    return {
        "count": len(answer),
        "first": answer["timestamp"][0] if len(answer) else None,
        "last": answer["timestamp"][-1] if len(answer) else None,
        "close_sum": answer["close"].sum(),
        "volume_sum": answer["volume"].sum(),
    }


def play(api: ModuleType, case: Case) -> Record:
    """One call inside a mock context."""
    given, requests, callbacks = case.given, [], []
    call, mode = given["call"], given["adapter"]
    exchange = f"{case.id}-ex"
    fields: Record = {"get_candles": candles_adapter(api, mode, requests)}
    if mode["mode"] != "missing":
        if call == "get_aggregated_trades":
            fields[call] = trades_adapter(mode, requests)

        def get_order_book(symbol: str, depth: int, start: datetime, end: datetime, backtest: bool) -> Record:
            requests.append([depth, ms(start), ms(end), backtest])
            return {"symbol": symbol, "bids": [{"price": "1", "quantity": "2"}], "asks": []}

        fields["get_order_book"] = get_order_book

    def on_candle_data(symbol: str, interval: str, since: datetime, limit: int, rows: Any) -> None:
        callbacks.append([interval, ms(since), limit, len(rows)])

    api.add_exchange_schema(exchange_name=exchange, callbacks={"on_candle_data": on_candle_data}, **fields)
    arguments = {
        name: given[name] for name in ("interval", "limit", "s_date", "e_date", "depth") if name in given
    }
    answer = outcome(
        api,
        lambda: api.run_in_mock_context(
            lambda: told(call, getattr(api, call)("BTCUSDT", **arguments)),
            exchange_name=exchange,
            when=given["when_ms"],
            backtest=given["backtest"],
        ),
    )
    return {"requests": requests, "callbacks": callbacks, **answer}
