"""Which numbers of the configuration the machine reads, frozen for one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bkcore.intervals import MINUTE_MS

#: As kernels read them: ``slippage`` and ``breakeven`` are fractions (0.001 = 0.1 %), so that nobody divides by 100.
SETTINGS = np.dtype(
    [
        ("slippage", np.float64),
        ("fee_percent", np.float64),
        ("min_take_profit_percent", np.float64),
        ("min_stop_loss_percent", np.float64),
        ("max_stop_loss_percent", np.float64),
        ("max_lifetime", np.float64),
        ("entry_cost", np.float64),
        ("breakeven", np.float64),
        ("await_ms", np.int64),
        ("step_ms", np.int64),
        ("window", np.int64),
        ("chunk_candles", np.int64),
        ("touches", np.int8),
        ("long_enabled", np.int8),
        ("short_enabled", np.int8),
        ("dca_everywhere", np.int8),
        ("partial_everywhere", np.int8),
        ("trailing_everywhere", np.int8),
    ],
    align=True,
)


#: How a candle fills: by its average price (``vwap``, the documented model), or where its extremes touch a level.
FillModel = Literal["vwap", "touch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """The configuration constants of spec engine.md 2 that decide trades. Percents are percent, times minutes.

    ``average_candles`` is the VWAP window, ``chunk_candles`` the batch that an infinite position is read in,
    ``step_ms`` the length of a candle and ``fill`` the fill model of the strategy.
    """

    slippage_percent: float = 0.1
    fee_percent: float = 0.1
    min_take_profit_percent: float = 0.5
    min_stop_loss_percent: float = 0.5
    max_stop_loss_percent: float = 20.0
    max_lifetime_minutes: float = 1440.0
    entry_cost: float = 100.0
    breakeven_threshold_percent: float = 0.2
    await_minutes: int = 120
    average_candles: int = 5
    chunk_candles: int = 1000
    step_ms: int = MINUTE_MS
    fill: FillModel = "vwap"
    long_enabled: bool = True
    short_enabled: bool = True
    dca_everywhere: bool = False
    partial_everywhere: bool = False
    trailing_everywhere: bool = False

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], *, step_ms: int = MINUTE_MS, fill: FillModel = "vwap"
    ) -> EngineSettings:
        """The settings that the ``CC_*`` constants of ``config`` describe."""
        return cls(
            slippage_percent=config["CC_PERCENT_SLIPPAGE"],
            fee_percent=config["CC_PERCENT_FEE"],
            min_take_profit_percent=config["CC_MIN_TAKEPROFIT_DISTANCE_PERCENT"],
            min_stop_loss_percent=config["CC_MIN_STOPLOSS_DISTANCE_PERCENT"],
            max_stop_loss_percent=config["CC_MAX_STOPLOSS_DISTANCE_PERCENT"],
            max_lifetime_minutes=config["CC_MAX_SIGNAL_LIFETIME_MINUTES"],
            entry_cost=config["CC_POSITION_ENTRY_COST"],
            breakeven_threshold_percent=config["CC_BREAKEVEN_THRESHOLD"],
            await_minutes=int(config["CC_SCHEDULE_AWAIT_MINUTES"]),
            average_candles=int(config["CC_AVG_PRICE_CANDLES_COUNT"]),
            chunk_candles=int(config["CC_MAX_CANDLES_PER_REQUEST"]),
            step_ms=step_ms,
            fill=fill,
            long_enabled=bool(config["CC_ENABLE_LONG_SIGNAL"]),
            short_enabled=bool(config["CC_ENABLE_SHORT_SIGNAL"]),
            dca_everywhere=bool(config["CC_ENABLE_DCA_EVERYWHERE"]),
            partial_everywhere=bool(config["CC_ENABLE_PPPL_EVERYWHERE"]),
            trailing_everywhere=bool(config["CC_ENABLE_TRAILING_EVERYWHERE"]),
        )

    @property
    def breakeven_percent(self) -> float:
        """Distance of the breakeven threshold from the effective entry (spec engine.md 8.6)."""
        return (self.slippage_percent + self.fee_percent) * 2 + self.breakeven_threshold_percent

    @property
    def window(self) -> int:
        """Candles in the price of a tick: the VWAP window, or the last close alone where candles touch."""
        return 1 if self.fill == "touch" else self.average_candles

    def record(self) -> NDArray[np.void]:
        """The same numbers as a one-element array of :data:`SETTINGS`, as kernels read them; nobody writes to it."""
        return _record_of(self)


@lru_cache(maxsize=64)
def _record_of(settings: EngineSettings) -> NDArray[np.void]:
    record = np.zeros(1, SETTINGS)
    row = record[0]
    for name in SETTINGS.names or ():
        if hasattr(settings, name):
            row[name] = getattr(settings, name)
    row["slippage"] = settings.slippage_percent / 100.0
    row["breakeven"] = settings.breakeven_percent / 100.0
    row["max_lifetime"] = settings.max_lifetime_minutes
    row["await_ms"] = int(settings.await_minutes) * MINUTE_MS
    row["window"] = settings.window
    row["touches"] = settings.fill == "touch"
    return record
