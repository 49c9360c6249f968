"""An exchange of ccxt against a server on loopback that speaks the endpoints of the venue."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import bkapi as bk
from bkapi.market import ccxt_venue

ccxt = pytest.importorskip("ccxt", reason="the extra 'live' is not installed")

MINUTE = 60_000
NOW = 1_704_100_000_000 // MINUTE * MINUTE
FIRST_TRADE = NOW - 120 * MINUTE

MARKET = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "baseAssetPrecision": 8,
    "quotePrecision": 8,
    "quoteAssetPrecision": 8,
    "orderTypes": ["LIMIT", "MARKET"],
    "isSpotTradingAllowed": True,
    "isMarginTradingAllowed": False,
    "permissionSets": [["SPOT"]],
    "permissions": [],
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01"},
        {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000.00", "stepSize": "0.00001"},
    ],
}


class Venue(BaseHTTPRequestHandler):
    """The public endpoints; ``server.asked`` remembers what was asked, ``server.failures`` answers go wrong."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        server: Any = self.server
        endpoint = parts.path.rsplit("/", 1)[-1]
        server.asked.append((endpoint, query))
        if endpoint != "exchangeInfo" and server.failures:
            server.failures -= 1
            self.answer(500, {"code": -1001, "msg": "Internal error"})
            return
        self.answer(200, getattr(self, endpoint)(query))

    def answer(self, code: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    @staticmethod
    def exchangeInfo(query: dict[str, str]) -> Any:
        return {"timezone": "UTC", "serverTime": NOW, "rateLimits": [], "symbols": [MARKET]}

    def klines(self, query: dict[str, str]) -> Any:
        step = bk.interval_step_ms(query["interval"])
        since, limit = int(query["startTime"]), min(int(query["limit"]), 400)  # fewer than asked for
        silent = getattr(self.server, "silent", ())
        times = [since + k * step for k in range(limit) if since + k * step not in silent]
        return [
            [
                t,
                "100.0",
                "101.5",
                "99.0",
                str(100 + t // step % 7),
                "3.5",
                t + step - 1,
                "1",
                5,
                "1",
                "1",
                "0",
            ]
            for t in times
        ]

    @staticmethod
    def depth(query: dict[str, str]) -> Any:
        return {"lastUpdateId": 7, "bids": [["99.90", "1.5"], ["99.80", "2"]], "asks": [["100.10", "0.25"]]}

    def aggTrades(self, query: dict[str, str]) -> Any:
        start, end, limit = int(query["startTime"]), int(query["endTime"]), int(query.get("limit", 500))
        first = max(0, -(-(start - FIRST_TRADE) // 1000))
        last = (min(end, NOW) - FIRST_TRADE) // 1000
        return [
            {
                "a": k,
                "p": str(100 + k % 5),
                "q": "0.5",
                "f": k,
                "l": k,
                "T": FIRST_TRADE + k * 1000,
                "m": k % 2 == 0,
                "M": True,
            }
            for k in range(first, last + 1)
        ][: min(limit, self.server.page)]


@pytest.fixture
def venue() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Venue)
    server.asked, server.failures, server.page = [], 0, 1000
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    bk.reset()
    bk.set_config(CC_GET_CANDLES_RETRY_DELAY_MS=0)
    yield server
    bk.reset()
    server.shutdown()
    server.server_close()
    thread.join()


def client(server: Any, **options: Any) -> Any:
    """A ccxt client of the venue that knows no other address."""
    made = ccxt.binance(
        {
            "enableRateLimit": True,
            "options": {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False},
            **options,
        }
    )
    address = f"http://127.0.0.1:{server.server_address[1]}/api/v3"
    made.urls["api"] = dict.fromkeys(made.urls["api"], address)
    made.session.trust_env = False
    return made


def register(server: Any, **options: Any) -> None:
    bk.add_exchange_schema(bk.ccxt_exchange("binance", client=client(server), **options))


def within(call: Any, **context: Any) -> Any:
    return bk.run_in_mock_context(call, **{"exchange_name": "binance", "when": NOW, **context})


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTCUSDT"])
def test_candles_are_fetched_in_as_many_requests_as_it_takes(venue: Any, symbol: str) -> None:
    register(venue)
    rows = within(lambda: bk.get_candles(symbol, "1m", 900))
    assert len(rows) == 900
    assert rows["timestamp"][-1] == NOW - MINUTE
    klines = [query for endpoint, query in venue.asked if endpoint == "klines"]
    assert [int(query["limit"]) for query in klines] == [900, 500, 100]
    assert within(lambda: bk.get_average_price(symbol)) > 99


def test_a_request_that_fails_is_made_again_and_then_told(venue: Any) -> None:
    register(venue)
    venue.failures = 2
    assert len(within(lambda: bk.get_candles("BTC/USDT", "5m", 3))) == 3
    venue.failures = 3
    with pytest.raises(bk.VenueError, match="binance: candles failed: OperationFailed"):
        within(lambda: bk.get_candles("BTC/USDT", "5m", 3))


def test_a_silent_minute_is_refused_or_filled(venue: Any) -> None:
    register(venue)
    venue.silent = (NOW - 3 * MINUTE,)
    with pytest.raises(bk.CandleRequestError):
        within(lambda: bk.get_candles("BTC/USDT", "1m", 5))
    bk.add_exchange_schema(
        bk.ccxt_exchange("binance", exchange_name="filled", client=client(venue), fill_silent=True)
    )
    rows = within(lambda: bk.get_candles("BTC/USDT", "1m", 5), exchange_name="filled")
    assert rows["volume"].to_list() == [3.5, 3.5, 0.0, 3.5, 3.5]


def test_silence_at_either_end_of_a_range_is_filled_once_it_has_passed(
    venue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(venue, fill_silent=True)
    bk.set_config(CC_MAX_CANDLES_PER_REQUEST=3)
    venue.silent = tuple(NOW - k * MINUTE for k in (10, 9, 8, 7, 6, 2, 1))
    rows = within(lambda: bk.get_candles("BTC/USDT", "1m", 10))
    before = 100.0 + (NOW // MINUTE - 11) % 7
    assert rows["close"].to_list()[:5] == [before] * 5
    assert rows["volume"].to_list() == [0.0] * 5 + [3.5] * 3 + [0.0] * 2
    assert rows["close"][-1] == rows["close"][-3]
    monkeypatch.setattr(ccxt_venue, "now_ms", lambda: NOW + 1000)  # the last candles may still be told
    with pytest.raises(bk.CandleRequestError):
        within(lambda: bk.get_candles("BTC/USDT", "1m", 10))


def test_the_order_book_is_of_now_and_not_for_a_backtest(venue: Any) -> None:
    register(venue)
    book = within(lambda: bk.get_order_book("BTC/USDT", 5))
    assert book["bids"][0] == {"price": "99.9", "quantity": "1.5"}
    assert book["asks"] == [{"price": "100.1", "quantity": "0.25"}]
    with pytest.raises(bk.VenueError, match="would look ahead"):
        within(lambda: bk.get_order_book("BTC/USDT", 5), backtest=True)


def test_trades_of_a_window_are_complete_and_in_order(venue: Any) -> None:
    register(venue)
    trades = within(lambda: bk.get_aggregated_trades("BTC/USDT"))
    assert [trade["timestamp"] for trade in trades] == [*range(NOW - 59 * MINUTE, NOW + 1, 1000)]
    assert trades[0]["is_buyer_maker"] is (int(trades[0]["id"]) % 2 == 0)
    newest = within(lambda: bk.get_aggregated_trades("BTC/USDT", 5000))
    assert len(newest) == 5000
    assert newest[-1]["timestamp"] == NOW


def test_trades_are_complete_however_few_a_request_gives(venue: Any) -> None:
    register(venue)
    venue.page = 100
    bk.set_config(CC_AGGREGATED_TRADES_MAX_MINUTES=6)
    trades = within(lambda: bk.get_aggregated_trades("BTC/USDT"))
    assert [trade["timestamp"] for trade in trades] == [*range(NOW - 5 * MINUTE, NOW + 1, 1000)]


def test_trades_without_identity_are_told_apart(venue: Any) -> None:
    made = client(venue)
    times = [NOW - 3 * MINUTE] * 2 + [NOW - 2 * MINUTE] * 3 + [NOW - MINUTE]

    def fetch_trades(symbol: str, since: int, limit: int, params: Any) -> Any:
        found = [time for time in times if time >= since][:4]
        return [{"id": None, "price": 1.0, "amount": 2.0, "timestamp": t, "side": "buy"} for t in found]

    made.fetch_trades = fetch_trades
    bk.add_exchange_schema(bk.ccxt_exchange("binance", client=made))
    trades = within(lambda: bk.get_aggregated_trades("BTC/USDT"))
    assert [trade["timestamp"] for trade in trades] == times
    assert len({trade["id"] for trade in trades}) == 6


@pytest.mark.parametrize(
    ("price", "text"), [(1.2345e-13, "0.00000000000012345"), (1e22, "1" + "0" * 22), (5.0, "5")]
)
def test_levels_of_an_order_book_keep_every_digit(venue: Any, price: float, text: str) -> None:
    made = client(venue)
    made.fetch_order_book = lambda symbol, depth: {"bids": [[price, 1.0]], "asks": []}
    bk.add_exchange_schema(bk.ccxt_exchange("binance", client=made))
    assert within(lambda: bk.get_order_book("BTC/USDT"))["bids"] == [{"price": text, "quantity": "1"}]


def test_prices_and_quantities_have_the_precision_of_the_market(venue: Any) -> None:
    register(venue)
    assert within(lambda: bk.format_price("BTC/USDT", 42000.12789)) == "42000.13"
    assert within(lambda: bk.format_quantity("BTC/USDT", 0.123456789)) == "0.12345"


def test_requests_keep_the_pace_that_the_venue_wants(venue: Any) -> None:
    slow = client(venue, rateLimit=250)
    bk.add_exchange_schema(bk.ccxt_exchange("binance", client=slow))
    within(lambda: bk.get_close_price("BTC/USDT", "1m"))
    started = time.monotonic()
    for minutes in range(1, 5):
        when = datetime.fromtimestamp(NOW / 1000, UTC) - timedelta(minutes=minutes)
        within(lambda: bk.get_close_price("BTC/USDT", "1m"), when=when)
    assert time.monotonic() - started > 0.1


def test_what_the_venue_does_not_have_is_one_clean_error(venue: Any) -> None:
    register(venue)
    with pytest.raises(bk.VenueError, match=r"no symbol 'BTC/USTD'\.\nHint: did you mean 'BTC/USDT'"):
        within(lambda: bk.get_candles("BTC/USTD", "1m", 1))
    with pytest.raises(bk.VenueError, match="did you mean 'binance'"):
        bk.ccxt_exchange("binanse")


def test_an_unreachable_venue_is_one_clean_error(venue: Any) -> None:
    unreachable = client(venue)
    unreachable.urls["api"] = dict.fromkeys(unreachable.urls["api"], "http://127.0.0.1:9/api/v3")
    bk.add_exchange_schema(bk.ccxt_exchange("binance", client=unreachable))
    with pytest.raises(bk.VenueError, match="loading the markets failed"):
        within(lambda: bk.get_candles("BTC/USDT", "1m", 1))
