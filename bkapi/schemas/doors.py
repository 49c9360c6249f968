"""The documented functions over the registries: add, get, override and list schemas (spec market-data.md 19)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, Unpack

from bkapi.schemas.action import ActionFields, ActionSchema
from bkapi.schemas.exchange import ExchangeFields, ExchangeSchema
from bkapi.schemas.frame import FrameFields, FrameSchema
from bkapi.schemas.registry import (
    Registry,
    S,
    S_co,
    actions,
    exchanges,
    frames,
    risks,
    sizings,
    strategies,
    sweeps,
    walkers,
)
from bkapi.schemas.risk import RiskFields, RiskSchema
from bkapi.schemas.sizing import SizingFields, SizingSchema
from bkapi.schemas.strategy import StrategyFields, StrategySchema
from bkapi.schemas.sweep import SweepFields, SweepSchema
from bkapi.schemas.walker import WalkerFields, WalkerSchema


class GetSchema(Protocol[S_co]):
    """Shape of the ``get_<kind>_schema`` functions."""

    __name__: str

    def __call__(self, name: str, /) -> S_co: ...


class OverrideSchema(Protocol[S_co]):
    """Shape of the ``override_<kind>_schema`` functions."""

    __name__: str

    def __call__(self, partial: Mapping[str, Any] | None = None, /, **fields: Any) -> S_co: ...


class ListSchema(Protocol[S]):
    """Shape of the ``list_<kind>_schema`` functions."""

    __name__: str

    def __call__(self) -> list[S]: ...


def doors(registry: Registry[S]) -> tuple[GetSchema[S], OverrideSchema[S], ListSchema[S]]:
    """The public functions ``get_<kind>_schema``, ``override_<kind>_schema`` and ``list_<kind>_schema``."""
    kind, name_field = registry.kind, registry.name_field

    def get_schema(name: str, /) -> S:
        return registry.get(name)

    def override_schema(partial: Mapping[str, Any] | None = None, /, **fields: Any) -> S:
        return registry.override(partial, **fields)

    def list_schema() -> list[S]:
        return registry.schemas()

    documents = {
        get_schema: f"The {kind} schema of ``name``, overrides included; raises :class:`UnknownNameError`.",
        override_schema: f"Replace fields of a registered {kind}: "
        f"``override_{kind}_schema({name_field}=..., note=...)``; returns the merged schema.",
        list_schema: f"All {kind} schemas in order of registration, as first registered.",
    }
    for function, document in documents.items():
        function.__name__ = function.__qualname__ = function.__name__.replace("_schema", f"_{kind}_schema")
        function.__doc__ = document
    return get_schema, override_schema, list_schema


def add_strategy_schema(
    schema: StrategySchema | Mapping[str, Any] | None = None, /, **fields: Unpack[StrategyFields]
) -> StrategySchema:
    """Register a strategy: ``add_strategy_schema(strategy_name="dip", interval="15m", get_signal=dip)``.

    Fields are given by name or as one mapping, see :class:`StrategySchema`. Raises :class:`SchemaError` for
    a bad field and :class:`AlreadyExistsError` for a name that is taken.
    """
    return strategies.add(schema, **fields)


def add_exchange_schema(
    schema: ExchangeSchema | Mapping[str, Any] | None = None, /, **fields: Unpack[ExchangeFields]
) -> ExchangeSchema:
    """Register an exchange: ``add_exchange_schema(exchange_name="memory", candles={"BTCUSDT": frame})``.

    Fields are given by name or as one mapping, see :class:`ExchangeSchema`. Raises :class:`SchemaError` for
    a bad field and :class:`AlreadyExistsError` for a name that is taken.
    """
    return exchanges.add(schema, **fields)


def add_frame_schema(
    schema: FrameSchema | Mapping[str, Any] | None = None, /, **fields: Unpack[FrameFields]
) -> FrameSchema:
    """Register a frame: ``add_frame_schema(frame_name="may", start_date=date(2024, 5, 1), end_date=...)``.

    Fields are given by name or as one mapping, see :class:`FrameSchema`. Raises :class:`SchemaError` for a
    bad field and :class:`AlreadyExistsError` for a name that is taken.
    """
    return frames.add(schema, **fields)


def add_sweep_schema(
    schema: SweepSchema | Mapping[str, Any] | None = None, /, **fields: Unpack[SweepFields]
) -> SweepSchema:
    """Register a sweep over ideas: ``add_sweep_schema(sweep_name="feed", exchange_name="memory")``.

    Fields are given by name or as one mapping, see :class:`SweepSchema`. Raises :class:`SchemaError` for a
    bad field and :class:`AlreadyExistsError` for a name that is taken.
    """
    return sweeps.add(schema, **fields)


def add_walker_schema(
    schema: WalkerSchema | Mapping[str, Any] | None = None, /, **fields: Unpack[WalkerFields]
) -> WalkerSchema:
    """Register a walker: ``add_walker_schema(walker_name="pair", strategies=["dip", "cross"], ...)``.

    Fields are given by name or as one mapping, see :class:`WalkerSchema`. Raises :class:`SchemaError` for a
    bad field and :class:`AlreadyExistsError` for a name that is taken.
    """
    return walkers.add(schema, **fields)


def add_risk_schema(
    schema: RiskSchema | Mapping[str, Any] | None = None, /, **fields: Unpack[RiskFields]
) -> RiskSchema:
    """Register a risk profile: ``add_risk_schema(risk_name="calm", validations=[at_most_three])``.

    Fields are given by name or as one mapping, see :class:`RiskSchema`. Raises :class:`SchemaError` for a
    bad field and :class:`AlreadyExistsError` for a name that is taken.
    """
    return risks.add(schema, **fields)


def add_sizing_schema(
    schema: SizingSchema | Mapping[str, Any] | None = None, /, **fields: Unpack[SizingFields]
) -> SizingSchema:
    """Register a sizing: ``add_sizing_schema(sizing_name="two", method="fixed-percentage", risk_percentage=2)``.

    Fields are given by name or as one mapping, see :class:`SizingSchema`. Raises :class:`SchemaError` for a
    bad field and :class:`AlreadyExistsError` for a name that is taken.
    """
    return sizings.add(schema, **fields)


def add_action_schema(
    schema: ActionSchema | Mapping[str, Any] | None = None, /, **fields: Unpack[ActionFields]
) -> ActionSchema:
    """Register an action: ``add_action_schema(action_name="tell", handler=Telegram)``.

    Fields are given by name or as one mapping, see :class:`ActionSchema`. Raises :class:`SchemaError` for a
    bad field or a handler method that nobody calls, and :class:`AlreadyExistsError` for a name that is taken.
    """
    return actions.add(schema, **fields)


get_strategy_schema, override_strategy_schema, list_strategy_schema = doors(strategies)
get_exchange_schema, override_exchange_schema, list_exchange_schema = doors(exchanges)
get_frame_schema, override_frame_schema, list_frame_schema = doors(frames)
get_sweep_schema, override_sweep_schema, list_sweep_schema = doors(sweeps)
get_walker_schema, override_walker_schema, list_walker_schema = doors(walkers)
get_risk_schema, override_risk_schema, list_risk_schema = doors(risks)
get_sizing_schema, override_sizing_schema, list_sizing_schema = doors(sizings)
get_action_schema, override_action_schema, list_action_schema = doors(actions)
add_strategy = add_strategy_schema
add_exchange = add_exchange_schema
add_frame = add_frame_schema
add_sweep = add_sweep_schema
add_walker = add_walker_schema
add_risk = add_risk_schema
add_sizing = add_sizing_schema
add_action = add_action_schema
