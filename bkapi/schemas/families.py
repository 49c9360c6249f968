"""The schema service and the validation service of each kind, by their documented names (spec market-data.md 19, 20).

One generic pair and one table make them; those of sweeps are in :mod:`bkapi.ideas.sweep`.
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


class StrategySchemaService(SchemaService[StrategySchema], registry=strategies):
    """The registry of strategies."""

    add_strategy = SchemaService.register


class ExchangeSchemaService(SchemaService[ExchangeSchema], registry=exchanges):
    """The registry of exchanges."""

    add_exchange = SchemaService.register


class FrameSchemaService(SchemaService[FrameSchema], registry=frames):
    """The registry of frames."""

    add_frame = SchemaService.register


class WalkerSchemaService(SchemaService[WalkerSchema], registry=walkers):
    """The registry of walkers."""

    add_walker = SchemaService.register


class RiskSchemaService(SchemaService[RiskSchema], registry=risks):
    """The registry of risk profiles."""

    add_risk = SchemaService.register


class SizingSchemaService(SchemaService[SizingSchema], registry=sizings):
    """The registry of sizings."""

    add_sizing = SchemaService.register


class ActionSchemaService(SchemaService[ActionSchema], registry=actions):
    """The registry of actions."""

    add_action = SchemaService.register


class StrategyValidationService(ValidationService[StrategySchema], registry=strategies):
    """Which strategies are known, and whether their risk profiles and actions are."""

    add_strategy = ValidationService.know


class ExchangeValidationService(ValidationService[ExchangeSchema], registry=exchanges):
    """Which exchanges are known."""

    add_exchange = ValidationService.know


class FrameValidationService(ValidationService[FrameSchema], registry=frames):
    """Which frames are known."""

    add_frame = ValidationService.know


class WalkerValidationService(ValidationService[WalkerSchema], registry=walkers):
    """Which walkers are known, and whether their strategies are, with their risk profiles and actions."""

    add_walker = ValidationService.know


class RiskValidationService(ValidationService[RiskSchema], registry=risks):
    """Which risk profiles are known."""

    add_risk = ValidationService.know


class SizingValidationService(ValidationService[SizingSchema], registry=sizings):
    """Which sizings are known, and with which method."""

    add_sizing = ValidationService.know

    def validate(self, name: str, source: str, method: str | None = None) -> bool:
        """True for a known name; with ``method`` also for that method, as it was registered.

        Raises :class:`UnknownNameError`, or :class:`SizingMethodError` for another method.
        """
        super().validate(name, source)
        if method is not None:
            check_method(name, method, source)
        return True


class ActionValidationService(ValidationService[ActionSchema], registry=actions):
    """Which actions are known."""

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
