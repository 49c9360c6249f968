"""What does a run need before its first tick? Looks everything up and checks it (spec engine.md 4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

from bkapi.base.context import Context, ExecutionContext, MethodContext, names_of, run_within
from bkapi.base.coroutines import settle
from bkapi.base.timestamps import this_minute_ms
from bkapi.errors import SchemaError
from bkapi.market.exchange import client_of
from bkapi.market.frames import FrameConnectionService, ticks
from bkapi.market.source import check_covers, check_overlaps
from bkapi.risk.run_risk import RunRisk
from bkapi.runs.finished import FinishedRun, finished_run
from bkapi.runs.ledger import refuse_after_fork
from bkapi.runs.strategy import StrategyRun
from bkapi.schemas.exchange import ExchangeSchema
from bkapi.schemas.registry import frames, risks, strategies
from bkapi.schemas.run_settings import refuse_unless_at_real_prices, settings_of
from bkapi.schemas.strategy import StrategySchema
from bkcore.intervals import MINUTE_MS, STRATEGY_INTERVALS, interval_step_ms
from bkcore.machine.market import Market
from bkcore.machine.run import Driver, Frame, Hooks
from bkcore.machine.settings import EngineSettings
from bkcore.machine.signals import Asking, SignalTable, bind_signals


def prepare(
    symbol: str,
    context: Context,
    *,
    source: str,
    driver: Driver = "skip",
    strategy: StrategySchema | None = None,
    signals: Callable[..., SignalTable | None] | None = None,
) -> StrategyRun:
    """Look up and check everything that a run needs; returns the run before its first tick.

    strategy   replaces the registered one of its name
    signals    replaces :func:`signal_table`

    Raises :class:`UnknownNameError` for an unregistered name, :class:`SchemaError` for a bad interval and for what
    the fill model of the run does not know, :class:`ConfigError` for ``settings`` of the strategy that do not fit to
    the configuration, and :class:`FatalError` when the frame is empty or its candles are missing.
    """
    refuse_after_fork()
    names = names_of(context, *MethodContext.field_names)
    strategy = strategy or strategies.get(names.strategy_name, source)
    for risk_name in strategy.risks:
        risks.get(risk_name, source)
    client = client_of(names.exchange_name, source)
    schema = frames.get(names.frame_name, source)
    FrameConnectionService().clear(names.frame_name)
    frame = ticks(schema, min(schema.end_ms, this_minute_ms()), client.step_ms)
    if strategy.interval not in STRATEGY_INTERVALS:
        raise SchemaError(
            "strategy",
            f"unknown interval {strategy.interval!r} of strategy_name={names.strategy_name!r}.",
            field="interval",
            hint=f"known intervals: {', '.join(STRATEGY_INTERVALS)}.",
        )
    settings = settings_of(strategy, client.schema, step_ms=client.step_ms)
    refuse_unless_at_real_prices(strategy, settings)
    _check_steps(settings, frame, client.schema)
    if settings.at_real_prices:  # every candle is a tick
        end = min(schema.end_ms, this_minute_ms())
        frame = Frame.between(frame.start_ms, end, settings.step_ms, base_ms=settings.step_ms)
    first = frame.start_ms - settings.window * settings.step_ms
    end = frame.end_ms + 2 * settings.step_ms
    moment = ExecutionContext(symbol, frame.start_ms, True)  # for the functions of the exchange
    market = run_within(client.market, moment, names, symbol, first, end)
    if settings.at_real_prices:
        check_overlaps(market, symbol, frame.start_ms, frame.end_ms)
    else:
        check_covers(market, symbol, first, frame.end_ms - settings.step_ms)
    table = (signals or signal_table)(strategy, market, symbol, settings=settings, frame=frame)
    return StrategyRun(
        symbol,
        names,
        strategy,
        market,
        frame,
        settings,
        table=table,
        policy=None if strategy.policy is None else strategy.policy.record(),
        hooks=hooks_of(strategy),
        risk=RunRisk(symbol, names, strategy.risks, backtest=True) if strategy.risks else None,
        driver=driver,
    )


def run_to_end(
    symbol: str, context: Context, strategy: StrategySchema, bracket: Mapping[str, float]
) -> FinishedRun:
    """Backtest an unregistered variant of a strategy, without listeners; ``bracket`` replaces that of every signal."""
    strategy_run = prepare(symbol, context, source="Sweep", strategy=strategy)
    strategy_run.run.set_bracket(**bracket)
    strategy_run.finish_unheard()
    return finished_run(strategy_run)


def hooks_of(strategy: StrategySchema) -> Hooks:
    """The jitted functions of a strategy, compiled once per function, and its ``params`` in the form that they take."""
    if strategy.kernel is None and strategy.manage is None:
        return Hooks()
    from bkcore.machine.hooks import KERNEL, MANAGE, compile_hook

    try:
        parameters = np.array([float(value) for value in strategy.params.values()])
    except (TypeError, ValueError):
        raise SchemaError(
            "strategy",
            f"params={dict(strategy.params)!r} of strategy_name={strategy.strategy_name!r} are not all numbers.",
            field="params",
            hint="a jitted function reads its params as numbers, in the order in which they are given.",
        ) from None
    return Hooks(
        None if strategy.kernel is None else compile_hook(strategy.kernel, KERNEL),
        None if strategy.manage is None else compile_hook(strategy.manage, MANAGE),
        parameters,
    )


def _check_steps(settings: EngineSettings, frame: Frame, exchange: ExchangeSchema) -> None:
    """Refuse whatever is counted in minutes and is no multiple of the exchange's own step."""
    step = settings.step_ms
    counted = {"the interval of the frame": frame.step_ms}
    for name, minutes in (
        ("CC_SCHEDULE_AWAIT_MINUTES", settings.await_minutes),
        ("CC_MAX_SIGNAL_LIFETIME_MINUTES", settings.max_lifetime_minutes),
    ):
        if minutes != float("inf"):
            counted[name] = int(minutes) * MINUTE_MS
    for what, span in counted.items():
        if span % step:
            raise SchemaError(
                "exchange",
                f"{what} ({span // MINUTE_MS} minutes) is not a multiple of base_interval={exchange.base_interval!r} "
                f"of exchange_name={exchange.exchange_name!r}.",
                field="base_interval",
                hint="choose multiples of it, or candles of a shorter interval.",
            )


def signal_table(
    strategy: StrategySchema, market: Market, symbol: str, *, settings: EngineSettings, frame: Frame
) -> SignalTable | None:
    """Candidates of a vectorized strategy: its ``signals`` function applied to all candles; None without one.

    The function gets the candle columns and ``closed_at`` (ms UTC): the moment from which a candle is known, so the
    earliest ``timestamp`` of a signal that looks at it. It may take ``params`` by name.
    """
    if strategy.signals is None:
        return None
    candles = pl.DataFrame(
        {
            "timestamp": market.timestamps,
            "open": market.open,
            "high": market.high,
            "low": market.low,
            "close": market.close,
            "volume": market.volume,
        }
    ).with_columns(closed_at=pl.col("timestamp") + market.step_ms)
    interval_ms = interval_step_ms(strategy.interval)
    return bind_signals(
        settle(strategy.signals(candles, **strategy.params)),
        symbol,
        interval_ms,
        asking=asking_of(market, interval_ms, settings=settings, frame=frame),
        at_real_prices=settings.at_real_prices,
    )


def asking_of(market: Market, interval_ms: int, *, settings: EngineSettings, frame: Frame) -> Asking:
    """When a strategy of that interval can be asked; at real prices a row may speak at every tick of the frame."""
    if settings.at_real_prices:
        return Asking(frame.start_ms, frame.end_ms, settings.step_ms)
    first, last = (int(market.timestamps[edge]) for edge in (0, -1))
    return Asking(first, last + market.step_ms, max(interval_ms, market.step_ms))
