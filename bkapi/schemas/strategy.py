"""Which fields does a strategy have? (spec market-data.md 19)

Times given to user functions are aware UTC datetimes, here and everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias, TypedDict

from pydantic import Field, model_validator

from bkapi.base import config
from bkapi.errors import SchemaError
from bkapi.events.results import SignalInput
from bkapi.schemas.base import (
    Callback,
    Names,
    OptionalText,
    Schema,
    optional,
    or_default,
    owner,
    refuse_repeats,
    refuse_several,
)
from bkapi.schemas.policy import Policy
from bkcore.machine.settings import FillModel

#: ``get_signal(symbol, when, current_price)``: a signal or None; may be a coroutine function.
GetSignal: TypeAlias = Callable[[str, datetime, float], Any]

StrategyInterval: TypeAlias = Literal["1m", "3m", "5m", "15m", "30m", "1h"]


class StrategyCallbacks(Schema):
    """Callbacks of a strategy (spec engine.md 1.7); every function may be a coroutine function."""

    kind: ClassVar[str] = "strategy callbacks"

    on_tick: Callback = optional("(symbol, result, current_price, when, backtest)")
    on_open: Callback = optional("(symbol, signal, price_open, when, backtest)")
    on_active: Callback = optional("(symbol, signal, price, when, backtest)")
    on_idle: Callback = optional("(symbol, price, when, backtest)")
    on_close: Callback = optional("(symbol, signal, close_price, when, backtest)")
    on_schedule: Callback = optional("(symbol, signal, price, when, backtest)")
    on_cancel: Callback = optional("(symbol, signal, price, when, backtest)")
    on_write: Callback = optional("(symbol, signal or None, price, when, backtest); not a coroutine function")
    on_partial_profit: Callback = optional("(symbol, signal, progress_percent, price, when, backtest)")
    on_partial_loss: Callback = optional("(symbol, signal, progress_percent, price, when, backtest)")
    on_breakeven: Callback = optional("(symbol, signal, price, when, backtest)")
    on_schedule_ping: Callback = optional("(symbol, signal, price, when, backtest)")
    on_active_ping: Callback = optional("(symbol, signal, price, when, backtest)")
    on_wake: Callback = optional("(symbol, signal, price, when, backtest)")


class StrategySchema(Schema):
    """When to trade and on which side (spec engine.md 1.7).

    At most one of ``get_signal`` (any Python), ``signals`` (whole frame at once) and ``kernel`` (jitted) is
    given; without any, trades come from ``commit_create_signal`` only.

    ``fill`` says how orders fill (spec fills.md): ``"next_open"`` and ``"last_close"`` at prices that the candles had,
    ``"vwap"`` by the documented average price; left out, ``CC_FILL_MODEL`` of the configuration says it.

    ``settings`` replaces constants of the configuration for runs of this strategy, checked as :func:`set_config`
    checks them: ``settings={"CC_SCHEDULE_AWAIT_MINUTES": 30, "CC_PERCENT_FEE": 0.05}``. They may be those that decide
    trades (costs, limits, patience, windows, the fill model and what is allowed) and the time that ``get_signal`` has.
    They come before ``costs`` of the exchange. Rules between constants are checked when a run starts.

    ``when_in_position=True`` asks ``get_signal`` or ``kernel`` at every interval tick, also while a position is open,
    so that an answer may be an exit or a reversal; real prices only (spec fills.md 4).
    """

    kind: ClassVar[str] = "strategy"
    alternatives: ClassVar[tuple[str, ...]] = ("get_signal", "signals", "kernel")

    strategy_name: str = Field(description="the name to register under, a text")
    interval: Annotated[str, or_default("1m")] = Field(
        default="1m", description="how often a signal is asked for: 1m, 3m, 5m, 15m, 30m or 1h"
    )
    get_signal: GetSignal | None = optional(
        "a function (symbol, when, current_price) that returns a signal or None"
    )
    signals: Callback = optional("a function from a Polars frame of candles to a frame of signals")
    kernel: Callback = optional("a jitted function of the documented signature")
    params: Annotated[Mapping[str, Any], or_default({})] = Field(
        default_factory=dict,
        description="values of the parameters of signals or kernel by name, for sweeps to vary",
    )
    policy: Policy | None = optional("declarative management of the position, a Policy or its fields")
    manage: Callback = optional("a jitted function that manages what a Policy cannot say")
    fill: Annotated[FillModel | None, or_default(None)] = Field(
        default=None,
        description='how orders fill: "next_open", "last_close" or "vwap"; default: CC_FILL_MODEL',
    )
    settings: Annotated[Mapping[str, Any], or_default({})] = Field(
        default_factory=dict,
        description="constants of the configuration and their values for this strategy, "
        'as {"CC_PERCENT_FEE": 0.05}',
    )
    when_in_position: bool = Field(
        default=False, description="True asks for a signal also while a position is open; real prices only"
    )
    risk_name: OptionalText = optional("the name of a risk profile")
    risk_list: Names = Field(default=(), description="names of risk profiles, without repeats")
    actions: Names = Field(default=(), description="names of actions, without repeats")
    callbacks: StrategyCallbacks | None = optional("a mapping of callback names to functions")
    note: str | None = optional("free text")
    info: Any = optional("anything, shown by get_runtime_info")

    @property
    def risks(self) -> tuple[str, ...]:
        """``risk_name`` first, then ``risk_list`` without repeats."""
        return tuple(dict.fromkeys([*([self.risk_name] if self.risk_name else []), *self.risk_list]))

    @model_validator(mode="after")
    def _check(self) -> Self:
        for field in ("risk_list", "actions"):
            refuse_repeats(self, field, getattr(self, field))
        refuse_several(self, self.alternatives)
        if problems := config.override_problems(self.settings):
            raise SchemaError(
                self.kind,
                f"settings{owner(type(self), self)} cannot hold: {' '.join(problems)}",
                field="settings",
                hint='give constants and values as set_config takes them: settings={"CC_PERCENT_FEE": 0.05}.',
            )
        if self.kernel is not None or self.manage is not None:
            from bkcore.machine.hooks import KERNEL, MANAGE, compile_hook

            for form in (KERNEL, MANAGE):
                if getattr(self, form.name) is not None:
                    compile_hook(getattr(self, form.name), form)  # so that a mistake shows at once
        return self


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
    settings: Mapping[str, Any] | None
    when_in_position: bool
    risk_name: str | None
    risk_list: Iterable[str] | None
    actions: Iterable[str] | None
    callbacks: StrategyCallbacks | Mapping[str, Callable[..., Any]] | None
    note: str | None
    info: Any
