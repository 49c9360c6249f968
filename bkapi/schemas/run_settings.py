"""Which numbers and which fill model hold for a run? Those of its strategy, its exchange, or the configuration.

The order, the first that says something counts: ``fee_percent`` of a row (both fees of its position), ``settings`` of
the strategy, ``costs`` of the exchange, the configuration. For the fill model: ``fill`` of the strategy,
``CC_FILL_MODEL`` of its ``settings``, the configuration (spec fills.md, introduction, 6 and 8).
"""

from __future__ import annotations

from typing import Any

from bkapi.base import config
from bkapi.errors import SchemaError
from bkapi.schemas.base import owner
from bkapi.schemas.exchange import ExchangeSchema
from bkapi.schemas.policy import refuse_under_vwap
from bkapi.schemas.strategy import StrategySchema
from bkcore.intervals import interval_step_ms
from bkcore.machine.settings import EngineSettings


def settings_of(
    strategy: StrategySchema, exchange: ExchangeSchema, *, step_ms: int | None = None
) -> EngineSettings:
    """The settings of a run of ``strategy`` on ``exchange``; everything that runs strategies asks here.

    step_ms   the length of a candle; default: the ``base_interval`` of the exchange

    Raises :class:`ConfigError` for ``settings`` of the strategy that do not fit to the configuration in force.
    """
    return config.engine_settings(
        step_ms=interval_step_ms(exchange.base_interval) if step_ms is None else step_ms,
        fill=strategy.fill,
        costs=None if exchange.costs is None else exchange.costs.constants(),
        overrides=strategy.settings,
        owner=f"strategy_name={strategy.strategy_name!r}",
    )


def setting_of(strategy: StrategySchema, name: str) -> Any:
    """The value of one constant for runs of ``strategy``: its own, or that in force."""
    return strategy.settings[name] if name in strategy.settings else config.value(name)


def refuse_unless_at_real_prices(strategy: StrategySchema, settings: EngineSettings) -> None:
    """Raise :class:`SchemaError` for what the strategy asks for and the fill model of its run does not know.

    This cannot be said when the strategy is registered: its fill model may come from the configuration.
    """
    if settings.at_real_prices:
        return
    refuse_under_vwap(strategy.policy, settings.fill, strategy.strategy_name)
    if strategy.when_in_position:
        raise SchemaError(
            strategy.kind,
            f"when_in_position=True means nothing under fill={settings.fill!r}{owner(type(strategy), strategy)}: "
            "the documented model asks for signals while flat.",
            field="when_in_position",
            hint='leave it out, or run at real prices: fill="next_open".',
        )
