"""Which numbers of the configuration the machine reads, frozen for one run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from bkcore.intervals import MINUTE_MS
from bkcore.machine.codes import Fill

#: Longer than any run, in ms: a time without end that can still be added to.
FOREVER_MS = 1 << 60

#: As kernels read them: ``slippage`` and ``breakeven`` are fractions (0.001 = 0.1 %), so that nobody divides by 100.
SETTINGS = np.dtype(
    [
        ("slippage", np.float64),
        ("fee_percent", np.float64),
        ("maker_fee_percent", np.float64),
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
        ("fill", np.int8),
        ("long_enabled", np.int8),
        ("short_enabled", np.int8),
        ("dca_everywhere", np.int8),
        ("partial_everywhere", np.int8),
        ("trailing_everywhere", np.int8),
    ],
    align=True,
)


#: How candles fill: at real prices, decided at a close and filled at the next open or at that close (spec fills.md),
#: or by average prices (``vwap``, the documented model).
FillModel = Literal["next_open", "last_close", "vwap"]

#: Which constant of the configuration each field of :class:`EngineSettings` is read from, and as what.
_CONSTANTS: Final[Mapping[str, tuple[str, Callable[[Any], Any] | None]]] = {
    "slippage_percent": ("CC_PERCENT_SLIPPAGE", None),
    "fee_percent": ("CC_PERCENT_FEE", None),
    "maker_fee_percent": ("CC_PERCENT_MAKER_FEE", None),
    "min_take_profit_percent": ("CC_MIN_TAKEPROFIT_DISTANCE_PERCENT", None),
    "min_stop_loss_percent": ("CC_MIN_STOPLOSS_DISTANCE_PERCENT", None),
    "max_stop_loss_percent": ("CC_MAX_STOPLOSS_DISTANCE_PERCENT", None),
    "max_lifetime_minutes": ("CC_MAX_SIGNAL_LIFETIME_MINUTES", None),
    "entry_cost": ("CC_POSITION_ENTRY_COST", None),
    "breakeven_threshold_percent": ("CC_BREAKEVEN_THRESHOLD", None),
    "await_minutes": ("CC_SCHEDULE_AWAIT_MINUTES", None),
    "average_candles": ("CC_AVG_PRICE_CANDLES_COUNT", int),
    "chunk_candles": ("CC_MAX_CANDLES_PER_REQUEST", int),
    "fill": ("CC_FILL_MODEL", None),
    "long_enabled": ("CC_ENABLE_LONG_SIGNAL", bool),
    "short_enabled": ("CC_ENABLE_SHORT_SIGNAL", bool),
    "dca_everywhere": ("CC_ENABLE_DCA_EVERYWHERE", bool),
    "partial_everywhere": ("CC_ENABLE_PPPL_EVERYWHERE", bool),
    "trailing_everywhere": ("CC_ENABLE_TRAILING_EVERYWHERE", bool),
}
#: The constants that decide trades.
READ_CONSTANTS: Final = tuple(name for name, _ in _CONSTANTS.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """The configuration constants of spec engine.md 2 that decide trades. Percents are percent, times minutes.

    ``average_candles`` is the VWAP window, ``chunk_candles`` the batch that an infinite position is read in,
    ``step_ms`` the length of a candle and ``fill`` the fill model (spec fills.md). ``maker_fee_percent`` is what an
    order pays that rested until the price came, below 0 what it gets; None is the taker's ``fee_percent``.
    ``await_minutes`` may be infinite. Under the models of real prices the limits of distance and lifetime are off
    where they are 0 or infinite.
    """

    slippage_percent: float = 0.1
    fee_percent: float = 0.1
    maker_fee_percent: float | None = None
    min_take_profit_percent: float = 0.5
    min_stop_loss_percent: float = 0.5
    max_stop_loss_percent: float = 20.0
    max_lifetime_minutes: float = 1440.0
    entry_cost: float = 100.0
    breakeven_threshold_percent: float = 0.2
    await_minutes: float = 120
    average_candles: int = 5
    chunk_candles: int = 1000
    step_ms: int = MINUTE_MS
    fill: FillModel = "next_open"
    long_enabled: bool = True
    short_enabled: bool = True
    dca_everywhere: bool = False
    partial_everywhere: bool = False
    trailing_everywhere: bool = False

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], *, step_ms: int = MINUTE_MS, fill: FillModel | None = None
    ) -> EngineSettings:
        """The settings that the ``CC_*`` constants of ``config`` describe; ``fill`` replaces ``CC_FILL_MODEL``."""
        read = {
            field: config[name] if kind is None else kind(config[name])
            for field, (name, kind) in _CONSTANTS.items()
        }
        if fill is not None:
            read["fill"] = fill
        return cls(**read, step_ms=step_ms)

    @property
    def breakeven_percent(self) -> float:
        """Distance of the breakeven threshold from the effective entry (spec engine.md 8.6)."""
        return (self.slippage_percent + self.fee_percent) * 2 + self.breakeven_threshold_percent

    @property
    def window(self) -> int:
        """Candles in the price of a tick: the VWAP window, or the last close alone at real prices."""
        return self.average_candles if self.fill == "vwap" else 1

    @property
    def at_real_prices(self) -> bool:
        """Whether fills happen at prices that the candles had (spec fills.md)."""
        return self.fill != "vwap"

    def record(self) -> NDArray[np.void]:
        """The same numbers as a one-element array of :data:`SETTINGS`, as kernels read them; nobody writes to it."""
        return _record_of(self)


@lru_cache(maxsize=64)
def _record_of(settings: EngineSettings) -> NDArray[np.void]:
    record = np.zeros(1, SETTINGS)
    row = record[0]
    for name in SETTINGS.names or ():
        if hasattr(settings, name) and name != "fill" and getattr(settings, name) is not None:
            row[name] = getattr(settings, name)
    row["slippage"] = settings.slippage_percent / 100.0
    row["breakeven"] = settings.breakeven_percent / 100.0
    row["max_lifetime"] = settings.max_lifetime_minutes
    if settings.maker_fee_percent is None:
        row["maker_fee_percent"] = settings.fee_percent
    patience = settings.await_minutes * MINUTE_MS
    row["await_ms"] = int(patience) if patience < FOREVER_MS else FOREVER_MS
    row["window"] = settings.window
    row["fill"] = Fill[settings.fill.upper()]
    return record
