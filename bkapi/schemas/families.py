"""The schema and validation service of each kind, under their documented names (spec market-data.md 19, 20).

They are made from one generic pair and one table; sweeps have theirs beside their clients.
"""

from __future__ import annotations

from bkapi.errors import BkError
from bkapi.schemas.action import ActionSchema
from bkapi.schemas.exchange import ExchangeSchema
from bkapi.schemas.frame import FrameSchema
from bkapi.schemas.registry import actions, exchanges, frames, risks, sizings, strategies, walkers
from bkapi.schemas.risk import RiskSchema
from bkapi.schemas.services import SchemaService, ValidationService
from bkapi.schemas.sizing import SizingSchema
from bkapi.schemas.strategy import StrategySchema
from bkapi.schemas.walker import WalkerSchema


class StrategySchemaService(SchemaService[StrategySchema]):
    """The registry of strategies."""

    registry = strategies
    add_strategy = SchemaService.register


class ExchangeSchemaService(SchemaService[ExchangeSchema]):
    """The registry of exchanges."""

    registry = exchanges
    add_exchange = SchemaService.register


class FrameSchemaService(SchemaService[FrameSchema]):
    """The registry of frames."""

    registry = frames
    add_frame = SchemaService.register


class WalkerSchemaService(SchemaService[WalkerSchema]):
    """The registry of walkers."""

    registry = walkers
    add_walker = SchemaService.register


class RiskSchemaService(SchemaService[RiskSchema]):
    """The registry of risk profiles."""

    registry = risks
    add_risk = SchemaService.register


class SizingSchemaService(SchemaService[SizingSchema]):
    """The registry of sizings."""

    registry = sizings
    add_sizing = SchemaService.register


class ActionSchemaService(SchemaService[ActionSchema]):
    """The registry of actions."""

    registry = actions
    add_action = SchemaService.register


class StrategyValidationService(ValidationService[StrategySchema]):
    """Which strategies are known, and whether their risk profiles and actions are."""

    registry = strategies
    add_strategy = ValidationService.know


class ExchangeValidationService(ValidationService[ExchangeSchema]):
    """Which exchanges are known."""

    registry = exchanges
    add_exchange = ValidationService.know


class FrameValidationService(ValidationService[FrameSchema]):
    """Which frames are known."""

    registry = frames
    add_frame = ValidationService.know


class WalkerValidationService(ValidationService[WalkerSchema]):
    """Which walkers are known, and whether their strategies are, with their risk profiles and actions."""

    registry = walkers
    add_walker = ValidationService.know


class RiskValidationService(ValidationService[RiskSchema]):
    """Which risk profiles are known."""

    registry = risks
    add_risk = ValidationService.know


class SizingValidationService(ValidationService[SizingSchema]):
    """Which sizings are known, and with which method."""

    registry = sizings
    add_sizing = ValidationService.know

    def validate(self, name: str, source: str, method: str | None = None) -> bool:
        """True for a known name; with ``method`` also for that method, as it was registered.

        Raises :class:`UnknownNameError`, or :class:`SizingMethodError` for another method.
        """
        super().validate(name, source)
        if method is not None:
            check_method(name, method, source)
        return True


class ActionValidationService(ValidationService[ActionSchema]):
    """Which actions are known."""

    registry = actions
    add_action = ValidationService.know


class SizingMethodError(BkError, ValueError):
    """Raised by ``PositionSize.atr_based(...)`` with a sizing of another method."""


def check_method(name: str, method: str, source: str) -> None:
    """Raise :class:`SizingMethodError` unless the sizing was registered with ``method``; overrides do not count."""
    registered = getattr(sizings.known(name), "method", None)
    if registered != method:
        raise SizingMethodError(
            f'Sizing method mismatch: sizing "{name}" is configured as "{registered}" but "{method}" was requested '
            f"at source={source}",
            hint=f"register a sizing with method={method!r}.",
        )
