"""What may be registered: the fields of each kind of schema, checked at the door (spec market-data.md 19).

Schemas are frozen and refuse unknown fields. Bad input raises one :class:`SchemaError` that names the
field, the value and the remedy. Times given to user functions are aware UTC datetimes, here and everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias, TypedDict

from pydantic import BeforeValidator, Field, model_validator

from bkapi.base.timestamps import to_datetime, to_ms
from bkapi.errors import MomentError, SchemaError
from bkapi.events.results import SignalInput
from bkapi.policy import Policy
from bkapi.schema_base import Schema, not_usable, or_default, owner
from bkcore.settings import FillModel

#: ``get_signal(symbol, when, current_price)``: a signal or None; may be a coroutine function.
GetSignal: TypeAlias = Callable[[str, datetime, float], Any]
#: ``get_candles(symbol, interval, since, limit, backtest)``: exactly ``limit`` candles from ``since`` on.
GetCandles: TypeAlias = Callable[[str, str, datetime, int, bool], Any]
#: A fixed-point text for (symbol, price or quantity, backtest).
Format: TypeAlias = Callable[[str, float, bool], Any]

StrategyInterval: TypeAlias = Literal["1m", "3m", "5m", "15m", "30m", "1h"]
FrameInterval: TypeAlias = Literal["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d"]


def _moment(value: object) -> datetime:
    """A date as a frame takes it: text is refused, as recorded in the golden cases."""
    if not isinstance(value, str):
        try:
            return to_datetime(value)  # type: ignore[arg-type]
        except MomentError:
            pass
    raise ValueError("is not a date")


Date: TypeAlias = Annotated[datetime, BeforeValidator(_moment)]
Names: TypeAlias = Annotated[tuple[str, ...], or_default(())]
OptionalText: TypeAlias = Annotated[str | None, or_default(None)]


class StrategyCallbacks(Schema):
    """What a strategy wants to be told (spec engine.md 1.7); every function may be a coroutine function."""

    kind: ClassVar[str] = "strategy callbacks"

    on_tick: Callable[..., Any] | None = Field(
        default=None, description="(symbol, result, current_price, when, backtest)"
    )
    on_open: Callable[..., Any] | None = Field(
        default=None, description="(symbol, signal, price_open, when, backtest)"
    )
    on_active: Callable[..., Any] | None = Field(
        default=None, description="(symbol, signal, price, when, backtest)"
    )
    on_idle: Callable[..., Any] | None = Field(default=None, description="(symbol, price, when, backtest)")
    on_close: Callable[..., Any] | None = Field(
        default=None, description="(symbol, signal, close_price, when, backtest)"
    )
    on_schedule: Callable[..., Any] | None = Field(
        default=None, description="(symbol, signal, price, when, backtest)"
    )
    on_cancel: Callable[..., Any] | None = Field(
        default=None, description="(symbol, signal, price, when, backtest)"
    )
    on_write: Callable[..., Any] | None = Field(
        default=None, description="(symbol, signal or None, price, when, backtest); not a coroutine function"
    )
    on_partial_profit: Callable[..., Any] | None = Field(
        default=None, description="(symbol, signal, progress_percent, price, when, backtest)"
    )
    on_partial_loss: Callable[..., Any] | None = Field(
        default=None, description="(symbol, signal, progress_percent, price, when, backtest)"
    )
    on_breakeven: Callable[..., Any] | None = Field(
        default=None, description="(symbol, signal, price, when, backtest)"
    )
    on_schedule_ping: Callable[..., Any] | None = Field(
        default=None, description="(symbol, signal, price, when, backtest)"
    )
    on_active_ping: Callable[..., Any] | None = Field(
        default=None, description="(symbol, signal, price, when, backtest)"
    )
    on_wake: Callable[..., Any] | None = Field(
        default=None, description="(symbol, signal, price, when, backtest)"
    )


class StrategySchema(Schema):
    """When to trade and on which side (spec engine.md 1.7).

    At most one of ``get_signal`` (any Python), ``signals`` (whole frame at once) and ``kernel`` (jitted) is
    given; without any, trades come from ``commit_create_signal`` only.
    """

    kind: ClassVar[str] = "strategy"
    alternatives: ClassVar[tuple[str, ...]] = ("get_signal", "signals", "kernel")

    strategy_name: str = Field(description="the name to register under, a text")
    interval: Annotated[str, or_default("1m")] = Field(
        default="1m", description="how often a signal is asked for: 1m, 3m, 5m, 15m, 30m or 1h"
    )
    get_signal: GetSignal | None = Field(
        default=None, description="a function (symbol, when, current_price) that returns a signal or None"
    )
    signals: Callable[..., Any] | None = Field(
        default=None, description="a function from a Polars frame of candles to a frame of signals"
    )
    kernel: Callable[..., Any] | None = Field(
        default=None, description="a jitted function of the documented signature"
    )
    params: Annotated[Mapping[str, Any], or_default({})] = Field(
        default_factory=dict,
        description="values of the parameters of signals or kernel by name, for sweeps to vary",
    )
    policy: Policy | None = Field(
        default=None, description="declarative management of the position, a Policy or its fields"
    )
    manage: Callable[..., Any] | None = Field(
        default=None, description="a jitted function that manages what a Policy cannot say"
    )
    fill: Annotated[FillModel, or_default("vwap")] = Field(
        default="vwap", description='how candles fill: "vwap" (documented) or "touch" (high and low)'
    )
    risk_name: OptionalText = Field(default=None, description="the name of a risk profile")
    risk_list: Names = Field(default=(), description="names of risk profiles, without repeats")
    actions: Names = Field(default=(), description="names of actions, without repeats")
    callbacks: StrategyCallbacks | None = Field(
        default=None, description="a mapping of callback names to functions"
    )
    note: str | None = Field(default=None, description="free text")
    info: Any = Field(default=None, description="anything, shown by get_runtime_info")

    @property
    def risks(self) -> tuple[str, ...]:
        """``risk_name`` first, then ``risk_list`` without repeats."""
        return tuple(dict.fromkeys([*([self.risk_name] if self.risk_name else []), *self.risk_list]))

    @model_validator(mode="after")
    def _check(self) -> Self:
        for field in ("risk_list", "actions"):
            _refuse_repeats(self, field, getattr(self, field))
        _refuse_several(self, self.alternatives)
        if self.kernel is not None or self.manage is not None:
            from bkcore.hooks import KERNEL, MANAGE, compile_hook

            for form in (KERNEL, MANAGE):
                if getattr(self, form.name) is not None:
                    compile_hook(getattr(self, form.name), form)  # so that a mistake shows at once
        return self


class ExchangeCallbacks(Schema):
    """What an exchange wants to be told (spec market-data.md 5.1)."""

    kind: ClassVar[str] = "exchange callbacks"

    on_candle_data: Callable[..., Any] | None = Field(
        default=None, description="(symbol, interval, since, limit, candles)"
    )


class ExchangeSchema(Schema):
    """Where candles come from (spec market-data.md 3): exactly one of ``get_candles`` and ``candles``.

    ``get_candles`` must return exactly ``limit`` candles in order of time, the first stamped ``since``. The
    other functions are optional; without them prices have 2 decimals, quantities 8, and the order book and
    the aggregated trades are not available.
    """

    kind: ClassVar[str] = "exchange"
    alternatives: ClassVar[tuple[str, ...]] = ("get_candles", "candles")

    exchange_name: str = Field(description="the name to register under, a text")
    get_candles: GetCandles | None = Field(
        default=None,
        description="a function (symbol, interval, since, limit, backtest) that returns exactly limit rows",
    )
    candles: Mapping[str, Any] | Callable[[str], Any] | None = Field(
        default=None,
        description="candles in memory: a mapping of symbol to frame or path, or a function of the symbol",
    )
    base_interval: Annotated[FrameInterval, or_default("1m")] = Field(
        default="1m", description="the interval of its own candles, on which everything runs: 1m ... 1d"
    )
    format_price: Format | None = Field(
        default=None, description="a function (symbol, price, backtest) that returns text"
    )
    format_quantity: Format | None = Field(
        default=None, description="a function (symbol, quantity, backtest) that returns text"
    )
    get_order_book: Callable[[str, int, datetime, datetime, bool], Any] | None = Field(
        default=None, description="a function (symbol, depth, from, to, backtest)"
    )
    get_aggregated_trades: Callable[[str, datetime, datetime, bool], Any] | None = Field(
        default=None, description="a function (symbol, from, to, backtest) that returns trades, oldest first"
    )
    callbacks: ExchangeCallbacks | None = Field(
        default=None, description="a mapping of callback names to functions"
    )
    note: str | None = Field(default=None, description="free text")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _refuse_several(self, self.alternatives)
        if self.get_candles is None and self.candles is None:
            raise SchemaError(
                self.kind,
                f"missing get_candles for exchange_name={self.exchange_name!r}.",
                field="get_candles",
                hint='give get_candles=<function>, or candles={"BTCUSDT": frame} for candles in memory.',
            )
        return self


class FrameCallbacks(Schema):
    """What a frame wants to be told (spec market-data.md 11.2)."""

    kind: ClassVar[str] = "frame callbacks"

    on_timeframe: Callable[..., Any] | None = Field(
        default=None, description="(timestamps, start_date, end_date, interval)"
    )


class FrameSchema(Schema):
    """Which stretch of time a backtest covers, both ends included (spec market-data.md 11).

    Dates are datetimes (naive = UTC), dates or ms UTC; here they are aware UTC datetimes.
    """

    kind: ClassVar[str] = "frame"

    frame_name: str = Field(description="the name to register under, a text")
    start_date: Date = Field(description="a datetime (naive = UTC), a date, or ms UTC as int, the first tick")
    end_date: Date = Field(
        description="a datetime (naive = UTC), a date, or ms UTC as int, the last tick at most"
    )
    interval: Annotated[str, or_default("1m")] = Field(
        default="1m", description="time between ticks: 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h or 1d"
    )
    callbacks: FrameCallbacks | None = Field(
        default=None, description="a mapping of callback names to functions"
    )
    note: str | None = Field(default=None, description="free text")

    @property
    def start_ms(self) -> int:
        """``start_date`` in ms UTC."""
        return to_ms(self.start_date)

    @property
    def end_ms(self) -> int:
        """``end_date`` in ms UTC."""
        return to_ms(self.end_date)

    @classmethod
    def unchecked(cls, values: Mapping[str, Any]) -> Self:
        """As for any schema; dates become aware UTC datetimes, since nothing else could be computed with."""
        computed = dict(values)
        for field in ("start_date", "end_date"):
            if field in values:
                try:
                    computed[field] = _moment(values[field])
                except ValueError:
                    raise not_usable(cls, field, values) from None
        return super().unchecked(computed)


class SweepCallbacks(Schema):
    """What a sweep over ideas wants to be told, in this order (spec risk-sizing-walker-sweep.md 4.8).

    They are called synchronously; what one of them raises ends the run.
    """

    kind: ClassVar[str] = "sweep callbacks"

    on_ideas: Callable[..., Any] | None = Field(default=None, description="(symbol, total, directional)")
    on_profiles: Callable[..., Any] | None = Field(
        default=None, description="(symbol, profiles, truncated_count)"
    )
    on_authors_trained: Callable[..., Any] | None = Field(default=None, description="(symbol, tracks)")
    on_grid_point: Callable[..., Any] | None = Field(default=None, description="(symbol, report, trades)")
    on_progress: Callable[..., Any] | None = Field(
        default=None, description='(symbol, "profiles" or "grid", processed, total)'
    )
    on_ranking: Callable[..., Any] | None = Field(
        default=None, description="(symbol, criterion, sorted_reports, best)"
    )
    on_done: Callable[..., Any] | None = Field(default=None, description="(symbol, result)")


GridAxis: TypeAlias = Literal[
    "hard_stop_percent", "trailing_take_percent", "hold_minutes", "profit_lock_percent"
]


class SweepSchema(Schema):
    """Which grid a feed of ideas is tried on (spec risk-sizing-walker-sweep.md 4.1).

    An axis that ``grid_axes`` leaves out has its default values; ``report_order`` is sharpe, sortino, pnl or recovery,
    anything else counts as sharpe. Values of the axes are checked when the sweep runs.
    """

    kind: ClassVar[str] = "sweep"

    sweep_name: str = Field(description="the name to register under, a text")
    exchange_name: str = Field(description="the name of a registered exchange, a text")
    grid_axes: Annotated[Mapping[GridAxis, Any], or_default({})] = Field(
        default_factory=dict,
        description="values per axis: hard_stop_percent, trailing_take_percent, hold_minutes, profit_lock_percent",
    )
    report_order: Annotated[str, or_default("sharpe")] = Field(
        default="sharpe", description="how the reports are sorted: sharpe, sortino, pnl or recovery"
    )
    callbacks: SweepCallbacks | None = Field(
        default=None, description="a mapping of callback names to functions"
    )
    note: str | None = Field(default=None, description="free text")


class StrategyFields(TypedDict, total=False):
    """Keyword arguments of ``add_strategy_schema``, see :class:`StrategySchema`."""

    strategy_name: str
    interval: StrategyInterval | None
    get_signal: Callable[[str, datetime, float], SignalInput | None] | GetSignal | None
    signals: Callable[..., Any] | None
    kernel: Callable[..., Any] | None
    params: Mapping[str, Any] | None
    policy: Policy | Mapping[str, Any] | None
    manage: Callable[..., Any] | None
    fill: FillModel | None
    risk_name: str | None
    risk_list: Iterable[str] | None
    actions: Iterable[str] | None
    callbacks: StrategyCallbacks | Mapping[str, Callable[..., Any]] | None
    note: str | None
    info: Any


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
    callbacks: ExchangeCallbacks | Mapping[str, Callable[..., Any]] | None
    note: str | None


class FrameFields(TypedDict, total=False):
    """Keyword arguments of ``add_frame_schema``, see :class:`FrameSchema`."""

    frame_name: str
    start_date: datetime | date | int
    end_date: datetime | date | int
    interval: FrameInterval | None
    callbacks: FrameCallbacks | Mapping[str, Callable[..., Any]] | None
    note: str | None


class SweepFields(TypedDict, total=False):
    """Keyword arguments of ``add_sweep_schema``, see :class:`SweepSchema`."""

    sweep_name: str
    exchange_name: str
    grid_axes: Mapping[GridAxis, Sequence[float]] | None
    report_order: str | None
    callbacks: SweepCallbacks | Mapping[str, Callable[..., Any]] | None
    note: str | None


def _refuse_repeats(schema: Schema, field: str, names: tuple[str, ...]) -> None:
    if len(set(names)) != len(names):
        raise SchemaError(
            schema.kind,
            f"found duplicate {field}{owner(type(schema), schema)} {field}={list(names)!r}.",
            field=field,
            hint="name each one once.",
        )


def _refuse_several(schema: Schema, alternatives: tuple[str, ...]) -> None:
    given = [name for name in alternatives if getattr(schema, name) is not None]
    if len(given) > 1:
        raise SchemaError(
            schema.kind,
            f"{' and '.join(given)} exclude each other{owner(type(schema), schema)}.",
            field=given[-1],
            hint=f"give one of {', '.join(alternatives)}.",
        )
