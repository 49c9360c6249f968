"""Fills and checks the candle cache ahead of a run (spec market-data.md 8)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from bkapi.base import config
from bkapi.base.timestamps import from_ms, this_minute_ms, to_ms
from bkapi.errors import BkError, SchemaError
from bkapi.market.cache import PersistCandleAdapter
from bkapi.market.exchange import ExchangeInstance
from bkapi.market.ranges import raw_range
from bkapi.schemas.registry import exchanges
from bkcore.candles.door import checked_symbol
from bkcore.intervals import CANDLE_INTERVALS, interval_start, interval_step_ms

_BAR = 40
_PAUSE_SECONDS = 1.0


class CandleCacheError(BkError):
    """Raised by ``check_candles(...)`` when candles are missing, and by ``warm_candles(...)`` for an empty range."""


class _Range(NamedTuple):
    symbol: str
    exchange_name: str
    interval: str
    start: int
    end: int

    @property
    def step(self) -> int:
        return interval_step_ms(self.interval)

    def chunks(self) -> Iterator[tuple[int, int]]:
        """``(since, limit)`` of each request."""
        largest = int(config.value("CC_MAX_CANDLES_PER_REQUEST"))
        total = (self.end - self.start) // self.step
        for done in range(0, total, largest):
            yield self.start + done * self.step, min(largest, total - done)

    @property
    def span(self) -> str:
        return f"[{from_ms(self.start).isoformat()}, {from_ms(self.end).isoformat()})"

    def __str__(self) -> str:
        return f"{self.symbol} {self.interval} {self.span}"


def _range(options: Mapping[str, Any] | None, fields: Mapping[str, Any], source: str) -> _Range:
    given = {**(options or {}), **fields}
    given = {("from" if name == "from_" else name): value for name, value in given.items()}
    for name in ("symbol", "exchange_name", "interval", "from", "to"):
        if name not in given:
            raise SchemaError(
                source,
                f"missing {name}.",
                field=name,
                hint='give symbol, exchange_name, interval, "from" (or from_=) and to.',
            )
    interval = given["interval"]
    if interval not in CANDLE_INTERVALS:
        raise CandleCacheError(
            f"unsupported interval {interval!r}", hint=f"known: {', '.join(CANDLE_INTERVALS)}."
        )
    exchanges.validate(given["exchange_name"], source)
    edges = (interval_start(to_ms(given[name]), interval) for name in ("from", "to"))
    return _Range(checked_symbol(given["symbol"]), given["exchange_name"], interval, *edges)


def warm_candles(options: Mapping[str, Any] | None = None, /, **fields: Any) -> int:
    """Fetch a range into the cache, chunk by chunk, without what is stored already; returns how many candles it has.

    ``warm_candles(symbol="BTCUSDT", exchange_name="binance", interval="1m", from_="2024-01-01", to="2024-02-01")``;
    both ends are floored to the interval, ``to`` is not included. Shows a bar. Raises :class:`CandleCacheError` for an
    empty range, :class:`CandleRequestError` for one that ends in the future, and what the exchange raises.
    """
    wanted = _range(options, fields, "warm_candles")
    if wanted.end <= wanted.start:
        raise CandleCacheError(
            f"no candles to cache (from >= to after alignment): {wanted}", hint="let the range start earlier."
        )
    if exchanges.lookup(wanted.exchange_name).candles is not None:
        raise CandleCacheError(
            f"exchange {wanted.exchange_name!r} has its candles in memory, there is nothing to fetch.",
            hint="CandleStore().write(exchange_name, frame) stores a frame.",
        )
    ends = (wanted.start, wanted.end)
    raw_range(
        wanted.interval, None, *ends, this_minute_ms(), now="current time", bounded=False
    )  # not in the future
    exchange = ExchangeInstance(wanted.exchange_name, "warm_candles")
    chunks = [*wanted.chunks()]
    for done, (since, limit) in enumerate(chunks, 1):
        exchange.get_raw_candles(wanted.symbol, wanted.interval, limit, since)
        _show(f"warm {wanted.symbol} {wanted.interval}", done, len(chunks))
    return (wanted.end - wanted.start) // wanted.step


def check_candles(options: Mapping[str, Any] | None = None, /, **fields: Any) -> int:
    """Read a range from the cache, without asking the exchange; returns how many candles it has.

    Arguments: :func:`warm_candles`. Raises :class:`CandleCacheError` for an empty range and for the first chunk of
    which a candle is missing (``cache miss for ...``).
    """
    wanted = _range(options, fields, "check_candles")
    if wanted.end <= wanted.start:
        raise CandleCacheError(
            f"empty range {wanted.span} of {wanted.symbol} {wanted.interval}",
            hint="let the range start earlier.",
        )
    for since, limit in wanted.chunks():
        until = since + limit * wanted.step
        rows = PersistCandleAdapter.read_candles_data(
            wanted.symbol, wanted.interval, wanted.exchange_name, limit, since, until
        )
        if rows is None:
            missed = wanted._replace(start=since, end=until)
            raise CandleCacheError(f"cache miss for {missed}", hint="warm_candles(...) fetches it.")
    sys.stdout.write(f"OK {wanted}\n")
    return (wanted.end - wanted.start) // wanted.step


def cache_candles(
    options: Mapping[str, Any] | None = None,
    /,
    *,
    on_check_start: Callable[..., object] | None = None,
    on_warm_start: Callable[..., object] | None = None,
    **fields: Any,
) -> int:
    """Check a range, fetch it when something is missing, and check again a second later; returns its number of candles.

    Arguments: :func:`warm_candles`. The callbacks get (symbol, interval, from, to), ms UTC; without them a line is
    printed. A range that is still incomplete is fetched once more; then the error of that check, or of the fetch, is
    raised.
    """
    given = {**(options or {}), **fields}
    on_check_start = given.pop("on_check_start", None) or on_check_start or _printing("checking")
    on_warm_start = given.pop("on_warm_start", None) or on_warm_start or _printing("warming")
    wanted = _range(None, given, "cache_candles")
    told = (wanted.symbol, wanted.interval, wanted.start, wanted.end)
    for is_last in (False, True):
        on_check_start(*told)
        try:
            return check_candles(given)
        except CandleCacheError as error:
            failure: Exception = error
        on_warm_start(*told)
        try:
            warm_candles(given)
        except Exception as error:  # noqa: BLE001 - raised after the second round
            failure = error
        if is_last:
            raise failure
        time.sleep(_PAUSE_SECONDS)
    raise AssertionError("one of the rounds returns or raises")


def _printing(what: str) -> Callable[..., object]:
    def tell(symbol: str, interval: str, start: int, end: int) -> None:
        sys.stdout.write(f"{what} {symbol} {interval} {from_ms(start):%Y-%m-%d} .. {from_ms(end):%Y-%m-%d}\n")

    return tell


def _show(what: str, done: int, total: int) -> None:
    full = _BAR * done // total
    end = "\n" if done == total else ""
    sys.stdout.write(f"\r{what} [{'#' * full}{'.' * (_BAR - full)}] {done}/{total}{end}")
    sys.stdout.flush()
