"""Which fields does an exchange have? Where candles come from, how numbers are written (spec market-data.md 19)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self, TypeAlias, TypedDict

from pydantic import Field, model_validator

from bkapi.errors import SchemaError
from bkapi.schemas.base import Callback, FrameInterval, Schema, optional, or_default, refuse_several

#: ``get_candles(symbol, interval, since, limit, backtest)``: exactly ``limit`` candles from ``since`` on.
GetCandles: TypeAlias = Callable[[str, str, datetime, int, bool], Any]


#: A fixed-point text for (symbol, price or quantity, backtest).
Format: TypeAlias = Callable[[str, float, bool], Any]


class ExchangeCallbacks(Schema):
    """Callbacks of an exchange (spec market-data.md 5.1)."""

    kind: ClassVar[str] = "exchange callbacks"

    on_candle_data: Callback = optional("(symbol, interval, since, limit, candles)")


class Costs(Schema):
    """What a fill costs on an exchange: ``Costs(taker_fee_percent=0.05, maker_fee_percent=0.02)``.

    It replaces fee and slippage of the configuration for runs on that exchange; ``settings`` of a strategy and
    ``fee_percent`` of a row come before it. Percents of the traded amount, per side. A fill that waited at its price
    pays the maker fee and no slippage, every other one the taker fee and slippage; the documented fill model knows
    takers only (spec fills.md 2 and 8).
    """

    kind: ClassVar[str] = "costs"

    taker_fee_percent: float = Field(
        ge=0, allow_inf_nan=False, description="fee in percent, a finite number >= 0"
    )
    maker_fee_percent: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="fee in percent, a finite number, below 0 for a rebate; default: the taker fee",
    )
    slippage_percent: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="slippage in percent, a finite number >= 0; default: that of the configuration",
    )

    def constants(self) -> dict[str, float | None]:
        """The constants of the configuration that these costs replace."""
        replaced: dict[str, float | None] = {
            "CC_PERCENT_FEE": self.taker_fee_percent,
            "CC_PERCENT_MAKER_FEE": self.maker_fee_percent,
        }
        if self.slippage_percent is not None:
            replaced["CC_PERCENT_SLIPPAGE"] = self.slippage_percent
        return replaced


class ExchangeSchema(Schema):
    """Where candles come from (spec market-data.md 3): exactly one of ``get_candles`` and ``candles``.

    ``get_candles`` must return exactly ``limit`` candles in order of time, the first stamped ``since``. The
    other functions are optional; without them prices have 2 decimals, quantities 8, and the order book and
    the aggregated trades are not available. ``costs`` are the fees and the slippage of runs on this exchange; without
    them those of the configuration hold (:class:`Costs`).
    """

    kind: ClassVar[str] = "exchange"
    alternatives: ClassVar[tuple[str, ...]] = ("get_candles", "candles")

    exchange_name: str = Field(description="the name to register under, a text")
    get_candles: GetCandles | None = optional(
        "a function (symbol, interval, since, limit, backtest) that returns exactly limit rows"
    )
    candles: Mapping[str, Any] | Callable[[str], Any] | None = optional(
        "candles in memory: a mapping of symbol to frame or path, or a function of the symbol"
    )
    base_interval: Annotated[FrameInterval, or_default("1m")] = Field(
        default="1m", description="the interval of its own candles, on which everything runs: 1m ... 1d"
    )
    format_price: Format | None = optional("a function (symbol, price, backtest) that returns text")
    format_quantity: Format | None = optional("a function (symbol, quantity, backtest) that returns text")
    get_order_book: Callable[[str, int, datetime, datetime, bool], Any] | None = optional(
        "a function (symbol, depth, from, to, backtest)"
    )
    get_aggregated_trades: Callable[[str, datetime, datetime, bool], Any] | None = optional(
        "a function (symbol, from, to, backtest) that returns trades, oldest first"
    )
    costs: Costs | None = optional("fees and slippage of runs on it, a Costs or its fields")
    callbacks: ExchangeCallbacks | None = optional("a mapping of callback names to functions")
    note: str | None = optional("free text")

    @model_validator(mode="after")
    def _check(self) -> Self:
        refuse_several(self, self.alternatives)
        if self.get_candles is None and self.candles is None:
            raise SchemaError(
                self.kind,
                f"missing get_candles for exchange_name={self.exchange_name!r}.",
                field="get_candles",
                hint='give get_candles=<function>, or candles={"BTCUSDT": frame} for candles in memory.',
            )
        return self


class ExchangeFields(TypedDict, total=False):
    """Keyword arguments of ``add_exchange_schema``, see :class:`ExchangeSchema`."""

    exchange_name: str
    get_candles: GetCandles | None
    candles: Mapping[str, Any] | Callable[[str], Any] | None
    base_interval: FrameInterval | None
    format_price: Format | None
    format_quantity: Format | None
    get_order_book: Callable[[str, int, datetime, datetime, bool], Any] | None
    get_aggregated_trades: Callable[[str, datetime, datetime, bool], Any] | None
    costs: Costs | Mapping[str, float | None] | None
    callbacks: ExchangeCallbacks | Mapping[str, Callable[..., Any]] | None
    note: str | None
