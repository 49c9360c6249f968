"""What time is it in a run, and what does its symbol cost? Asked from outside of the run (spec market-data.md 14)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

from bkapi.base.context import Context, MethodContext, RunKey, execution, method, run_key
from bkapi.errors import BkError
from bkapi.market.exchange import get_average_price
from bkapi.runs.ledger import in_progress
from bkapi.runs.runtime_info import _infos, _ranges
from bkapi.runs.strategy import StrategyRun

logger = logging.getLogger(__name__)

V = TypeVar("V", int, float)

#: Seconds that a question waits for the first answer of a run.
PATIENCE_SECONDS = 120.0


class MetaTimeoutError(BkError, TimeoutError):
    """Raised by ``TimeMetaService().get_timestamp(...)`` when a run has given no time for two minutes."""


class _MetaService(Generic[V]):
    """The newest value of each run, read from a run in progress or left behind by a finished one."""

    what: ClassVar[str]

    def __init__(self) -> None:
        self._values: dict[RunKey, V] = {}
        self._news = threading.Condition()

    def next(self, symbol: str, value: V, context: Context | MethodContext, backtest: bool) -> None:
        """Remember a value."""
        with self._news:
            self._values[run_key(symbol, context, backtest=backtest)] = value
            self._news.notify_all()

    def clear(self, payload: Mapping[str, Any] | None = None) -> None:
        """Forget one run (``payload``: symbol, the three names, backtest), or all."""
        with self._news:
            if payload is None:
                self._values.clear()
            else:
                self._values.pop(run_key(payload["symbol"], payload, backtest=payload["backtest"]), None)

    def _known(self, key: RunKey) -> V | None:
        run = in_progress(key)
        return (None if run is None else self._of_run(run)) or self._values.get(key) or None

    def _of_run(self, run: StrategyRun) -> V:
        raise NotImplementedError

    def _waited(self, key: RunKey) -> V:
        value = self._known(key)
        if value is not None:
            return value
        told = ":".join(str(part) for part in key[:4] if part) + (":backtest" if key[4] else ":live")
        logger.warning("no %s of %s yet, waiting", self.what, told)
        with self._news:
            self._news.wait_for(lambda: self._known(key) is not None, PATIENCE_SECONDS)
        value = self._known(key)
        if value is None:
            raise MetaTimeoutError(
                f"Timeout while waiting for {self.what} for {told}", hint="start the run first."
            )
        return value


class TimeMetaService(_MetaService[int]):
    """The latest time of each run, ms UTC; one for the process, see :data:`time_meta`."""

    what = "timestamp"

    def has_timestamp(self, symbol: str, context: Context | MethodContext, backtest: bool) -> bool:
        """Whether a time is known."""
        return self._known(run_key(symbol, context, backtest=backtest)) is not None

    def get_timestamp(self, symbol: str, context: Context | MethodContext, backtest: bool) -> int:
        """The latest time; inside any run that of the run, whatever is asked for.

        Waits for the first one; raises :class:`MetaTimeoutError` after two minutes.
        """
        moment = execution.get()
        return self._waited(run_key(symbol, context, backtest=backtest)) if moment is None else moment.when_ms

    def _of_run(self, run: StrategyRun) -> int:
        return run.now_ms()


class PriceMetaService(_MetaService[float]):
    """The latest price of each run, quote currency; one for the process, see :data:`price_meta`."""

    what = "currentPrice"

    def has_price(self, symbol: str, context: Context | MethodContext, backtest: bool) -> bool:
        """Whether a price above zero is known."""
        return self._known(run_key(symbol, context, backtest=backtest)) is not None

    def get_current_price(self, symbol: str, context: Context | MethodContext, backtest: bool) -> float:
        """The latest price; inside a run the average price that its exchange tells.

        Waits for the first one; raises :class:`MetaTimeoutError` after two minutes.
        """
        if execution.get() is not None and method.get() is not None:
            return get_average_price(symbol)
        return self._waited(run_key(symbol, context, backtest=backtest))

    def _of_run(self, run: StrategyRun) -> float:
        price = run.known_price()
        return price if price == price else 0.0  # NaN: none is known yet


time_meta = TimeMetaService()
price_meta = PriceMetaService()


def remember(run: StrategyRun) -> None:
    """Keep the last time and price of a run that ends."""
    time_meta.next(run.symbol, run.now_ms(), run.names, True)
    price_meta.next(run.symbol, run.known_price(), run.names, True)


def forget(symbol: str, names: MethodContext, *, backtest: bool) -> None:
    """Forget what an earlier run of the same context has left."""
    payload = {"symbol": symbol, "backtest": backtest, **names.to_dict()}
    time_meta.clear(payload)
    price_meta.clear(payload)


def clear_meta() -> None:
    """Forget every time, price, range and info."""
    time_meta.clear()
    price_meta.clear()
    _ranges.clear()
    _infos.clear()
