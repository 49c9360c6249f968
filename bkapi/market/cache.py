"""Keeps the candles that an exchange has sent, so that it is not asked for them again (spec market-data.md 7)."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from bkapi.base.coroutines import settle
from bkapi.errors import BkError
from bkapi.events.emitters import report_error
from bkapi.market.store import AS_TOLD, DEFAULT_ROOT, CandleStore
from bkcore.candles.frame import CandleFrame

logger = logging.getLogger(__name__)

_stores: dict[Path, CandleStore] = {}


class PersistCandleError(BkError):
    """Reported to ``listen_error`` when a store returns other candles than it was asked for."""


class PersistCandle(Protocol):
    """What a store of candles has to do; made as ``cls(symbol, interval, exchange_name)``.

    Its methods may be coroutine functions; candles may have any shape that :meth:`CandleFrame.from_any` takes.
    """

    def wait_for_init(self, initial: bool) -> Any:
        """Get ready; ``initial`` at the first use."""

    def read_candles_data(self, limit: int, since: int, until: int) -> Any:
        """The ``limit`` candles from ``since`` (ms UTC) on as a frame, None when one is missing."""

    def write_candles_data(self, rows: Any) -> Any:
        """Keep closed candles that are not known yet."""


class PersistCandleInstance:
    """The default store: months in Parquet files under ``./dump/data/candle``, see :class:`CandleStore`."""

    def __init__(self, symbol: str, interval: str, exchange_name: str) -> None:
        root = Path(DEFAULT_ROOT).absolute()
        self._store = _stores.setdefault(root, CandleStore(root))
        self._symbol = symbol
        self._interval = interval
        self._exchange_name = exchange_name

    def wait_for_init(self, initial: bool = True) -> None:
        """Do nothing: folders are made when something is written."""

    def read_candles_data(self, limit: int, since: int, until: int | None = None) -> pl.DataFrame | None:
        """The ``limit`` candles from ``since`` (ms UTC) on, None when any of them is not stored."""
        return self._store.read_exactly(self._exchange_name, self._symbol, self._interval, since, limit)

    def write_candles_data(self, rows: pl.DataFrame) -> None:
        """Store candles that have closed and are not stored yet; stored ones never change."""
        self._store.write_rows(self._exchange_name, self._symbol, self._interval, rows)


class PersistCandleDummy:
    """A store that keeps nothing."""

    def __init__(self, symbol: str, interval: str, exchange_name: str) -> None:
        pass

    def wait_for_init(self, initial: bool = True) -> None:
        """Do nothing."""

    def read_candles_data(self, limit: int, since: int, until: int | None = None) -> None:
        """None, always."""

    def write_candles_data(self, rows: pl.DataFrame) -> None:
        """Do nothing."""


class PersistCandleUtils:
    """The candle cache of the exchange clients; the singleton is ``PersistCandleAdapter``."""

    def __init__(self) -> None:
        self._model: Any = PersistCandleInstance
        self._instances: dict[tuple[str, str, str], PersistCandle] = {}
        self._writing = threading.RLock()

    def get_candles_storage(self, symbol: str, interval: str, exchange_name: str) -> PersistCandle:
        """The store of one symbol, interval and exchange, the same at every call."""
        key = (symbol, interval, exchange_name)
        known = self._instances.get(key)
        if known is None:
            made: PersistCandle = self._model(symbol, interval, exchange_name)
            settle(made.wait_for_init(True))
            known = self._instances.setdefault(key, made)
        return known

    def read_candles_data(
        self, symbol: str, interval: str, exchange_name: str, limit: int, since: int, until: int
    ) -> pl.DataFrame | None:
        """The ``limit`` candles from ``since`` (ms UTC) on, None when any is missing or after an error (reported)."""
        if self._model is PersistCandleDummy:
            return None
        try:
            storage = self.get_candles_storage(symbol, interval, exchange_name)
            rows = settle(storage.read_candles_data(limit, since, until))
            if rows is None or not len(rows):
                return None
            if not isinstance(rows, pl.DataFrame):
                rows = CandleFrame.from_any(
                    rows, symbol=symbol, interval=interval, gaps="keep", **AS_TOLD
                ).frame
            _check_times(rows, since, until, f"{exchange_name} {symbol} {interval}")
        except Exception as error:  # noqa: BLE001 - documented: a cache that fails is a miss
            report_error(error, "read_candles_data")
            return None
        return rows

    def write_candles_data(self, rows: Any, symbol: str, interval: str, exchange_name: str) -> None:
        """Store candles that passed every check, one writer at a time; an error is only logged."""
        if self._model is PersistCandleDummy:
            return
        try:
            with self._writing:
                settle(self.get_candles_storage(symbol, interval, exchange_name).write_candles_data(rows))
        except Exception as error:  # noqa: BLE001 - documented: the caller has its candles all the same
            logger.warning("candles of %s %s could not be kept: %s", symbol, interval, error)

    def use_persist_candle_adapter(self, model: Any) -> None:
        """Use your own class of stores, see :class:`PersistCandle`."""
        self._model = model
        self.clear()

    def use_json(self) -> None:
        """Use the default, files under ``./dump/data/candle``."""
        self.use_persist_candle_adapter(PersistCandleInstance)

    def use_dummy(self) -> None:
        """Keep nothing."""
        self.use_persist_candle_adapter(PersistCandleDummy)

    def clear(self) -> None:
        """Forget the stores; the next use makes new ones in the working directory of that moment."""
        self._instances.clear()
        _stores.clear()


def _check_times(rows: pl.DataFrame, since: int, until: int, about: str) -> None:
    """Refuse candles outside of the range."""
    step = (until - since) // len(rows)
    if not step or not np.array_equal(rows["timestamp"].to_numpy(), np.arange(since, until, step)):
        raise PersistCandleError(
            f"read_candles_data of {about} gave other candles than those from {since} until {until}.",
            hint="return all of them in the order of time, or None.",
        )


PersistCandleAdapter = PersistCandleUtils()
