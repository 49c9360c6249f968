"""Which schemas are registered? One registry class for all kinds (spec market-data.md 19, 20).

A registry holds two maps, as documented: the *known* names with the schema as first given, which
``validate`` and ``list_*_schema`` read, and the *schemas* that runs use, which ``override`` changes. A
registration that is refused registers nothing. Only an action whose handler has a wrong method and a sizing without
its percentage leave their names known, as recorded; ``override`` then completes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from bkapi.errors import AlreadyExistsError, NotRegisteredError, SchemaError, UnknownNameError
from bkapi.schemas.action import ActionSchema
from bkapi.schemas.base import Schema
from bkapi.schemas.exchange import ExchangeSchema
from bkapi.schemas.frame import FrameSchema
from bkapi.schemas.risk import RiskSchema
from bkapi.schemas.sizing import SizingSchema
from bkapi.schemas.strategy import StrategySchema
from bkapi.schemas.sweep import SweepSchema
from bkapi.schemas.walker import WalkerSchema

S = TypeVar("S", bound=Schema)
S_co = TypeVar("S_co", bound=Schema, covariant=True)

#: ``(schema, source)``: check the names of other kinds that a schema refers to.
CrossCheck = Callable[[S, str], None]


class Registry(Generic[S]):
    """All schemas of one kind, in order of registration."""

    def __init__(self, model: type[S], *, cross_check: CrossCheck[S] | None = None) -> None:
        self.model = model
        self.kind = model.kind
        self.name_field = f"{model.kind}_name"
        self._cross_check = cross_check
        self._known: dict[str, S] = {}
        self._schemas: dict[str, S] = {}
        self._refused: dict[str, SchemaError] = {}
        self._incomplete: set[str] = set()
        self._validated: set[str] = set()

    def add(self, schema: S | Mapping[str, Any] | None = None, /, **fields: Any) -> S:
        """Make the name known, then register the schema; returns it.

        Raises :class:`AlreadyExistsError` for a known name and :class:`SchemaError` for a schema that
        breaks its rules.
        """
        values = self._values(schema, fields)
        name = values.get(self.name_field)
        if isinstance(name, str):
            return self.register(name, self.know(name, values))
        return self.model.model_validate(values)  # raises: the name is missing or not a text

    def know(self, name: str, values: S | Mapping[str, Any]) -> S:
        """Make the name known, without registering; returns the checked schema. Raises as :meth:`add` does."""
        if self._text(name) in self._known:
            raise AlreadyExistsError(
                f"{self.kind} {name} already exist", kind=self.kind, name=name, hint=self._way_out(name)
            )
        try:
            checked = self.model.model_validate(self._values(values, {}))
        except SchemaError as error:
            if error.takes_name:
                self._refused[name] = error
                self._known[name] = self.model.unchecked(
                    {**_names_in(self.model, values), self.name_field: name}
                )
            raise
        self._known[name] = checked
        return checked

    def register(self, name: str, schema: S) -> S:
        """Store a checked schema; raises :class:`AlreadyExistsError` when the name is registered."""
        if self._text(name) in self._schemas:
            raise AlreadyExistsError(
                f"Tool is already registered name={name} registryName={self.kind}_schema",
                kind=self.kind,
                name=name,
                hint=self._way_out(name),
            )
        self._schemas[name] = schema
        return schema

    def lookup(self, name: str) -> S:
        """The schema of ``name`` with its overrides; raises :class:`NotRegisteredError`."""
        try:
            return self._schemas[name]
        except (KeyError, TypeError):
            raise NotRegisteredError(self.kind, name, hint=self._way_out(name)) from None

    def get(self, name: str, source: str | None = None) -> S:
        """Validate ``name``, then :meth:`lookup` it."""
        self.validate(name, source or f"get_{self.kind}_schema")
        return self.lookup(name)

    def override(self, partial: Mapping[str, Any] | None = None, /, **fields: Any) -> S:
        """Replace the given fields of a known schema; returns the merged schema, checked as by :meth:`add`.

        Raises :class:`UnknownNameError` for an unknown name and :class:`SchemaError` for a schema that breaks its
        rules; then nothing has changed.
        """
        values = self._values(partial, fields)
        name = values.get(self.name_field)
        if name is None:
            raise SchemaError(self.kind, f"missing {self.name_field}.", field=self.name_field)
        self.validate(name, f"override_{self.kind}_schema")
        return self.merge(name, values)

    def merge(self, name: str, values: Mapping[str, Any]) -> S:
        """:meth:`override` for any name; one that is unknown is registered with the fields that are given (spec 19)."""
        current, values = self._schemas.get(self._text(name)), self._values(values, {})
        if current is None:
            self._incomplete.add(name)
        else:
            values = current.overridden(values)
        try:
            merged = self.model.model_validate(values)
        except SchemaError as error:
            if name not in self._incomplete or error.field in values:
                raise
            merged = self.model.partly(values)
        else:
            self._incomplete.discard(name)
        self._schemas[name] = merged
        self._refused.pop(name, None)
        return merged

    def schemas(self) -> list[S]:
        """The schemas in order of registration, as first given (spec market-data.md 20)."""
        return [*self._known.values()]

    def known(self, name: str) -> S | None:
        """The schema of a known name as first given, or None."""
        return self._known.get(name)

    def names(self) -> tuple[str, ...]:
        """The known names in order of registration."""
        return tuple(self._known)

    def validate(self, name: str, source: str) -> bool:
        """True when ``name`` is known and so is everything it refers to; successes are remembered.

        Raises :class:`UnknownNameError` (``<kind> NAME not found source=SOURCE``).
        """
        if not isinstance(name, str):
            raise UnknownNameError(self.kind, name, source, self._known, hint="a name is a text.")
        if name in self._validated:
            return True
        schema = self._known.get(name)
        if schema is None:
            raise UnknownNameError(self.kind, name, source, self._known)
        if self._cross_check is not None:
            self._cross_check(schema, source)
        self._validated.add(name)
        return True

    def clear(self) -> None:
        """Forget everything."""
        for store in (self._known, self._schemas, self._refused):
            store.clear()
        self._incomplete.clear()
        self._validated.clear()

    def _values(self, schema: S | Mapping[str, Any] | None, fields: Mapping[str, Any]) -> dict[str, Any]:
        if isinstance(schema, Schema):
            return {**schema.given(), **fields}
        if schema is not None and not isinstance(schema, Mapping):
            raise SchemaError(
                self.kind,
                f"{schema!r} is not a schema.",
                hint=f"give fields by name, a mapping of them, or a {self.model.__name__}.",
            )
        return {**(schema or {}), **fields}

    def _text(self, name: Any) -> str:
        if not isinstance(name, str):
            field = self.name_field
            raise SchemaError(self.kind, f"{field}={name!r:.60} is no text.", field=field, hint="name it.")
        return name

    def _way_out(self, name: Any) -> str:
        if isinstance(name, str) and name in self._refused:
            return (
                f"its registration was refused: {self._refused[name].message} "
                f"override_{self.kind}_schema({self.name_field}={name!r}, ...) completes it."
            )
        return f"override_{self.kind}_schema({self.name_field}={name!r}, ...) changes a registered one."


def _names_in(model: type[Schema], values: Any) -> dict[str, Any]:
    """The fields of a refused schema that are texts; the names among them are checked all the same, as documented."""
    given = values if isinstance(values, Mapping) else {}
    fields = {name: value for name, value in given.items() if name in model.model_fields}
    names = {
        name: value
        for name, value in fields.items()
        if isinstance(value, str) and name.endswith(("_name", "method"))
    }
    lists = {
        name: tuple(value)
        for name, value in fields.items()
        if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
    }
    return {**names, **lists}


def _check_strategy(schema: StrategySchema, source: str) -> None:
    for risk_name in schema.risks:
        validate_name("risk", risk_name, source)
    for action_name in schema.actions:
        validate_name("action", action_name, source)


def _check_sweep(schema: SweepSchema, source: str) -> None:
    validate_name("exchange", getattr(schema, "exchange_name", None), source)


def _check_walker(schema: WalkerSchema, source: str) -> None:
    """Check that every strategy of the registered schema is registered, and what it refers to."""
    for strategy_name in walkers.lookup(schema.walker_name).strategies:
        strategies.lookup(strategy_name)
        strategies.validate(strategy_name, source)


strategies: Registry[StrategySchema] = Registry(StrategySchema, cross_check=_check_strategy)
exchanges: Registry[ExchangeSchema] = Registry(ExchangeSchema)
frames: Registry[FrameSchema] = Registry(FrameSchema)
sweeps: Registry[SweepSchema] = Registry(SweepSchema, cross_check=_check_sweep)
walkers: Registry[WalkerSchema] = Registry(WalkerSchema, cross_check=_check_walker)
risks: Registry[RiskSchema] = Registry(RiskSchema)
sizings: Registry[SizingSchema] = Registry(SizingSchema)
actions: Registry[ActionSchema] = Registry(ActionSchema)

#: The kinds that ``validate`` goes through, in this order.
VALIDATED_KINDS = ("exchange", "frame", "strategy", "risk", "action", "sizing", "walker")

#: The registry of each kind; a further kind is a further registry here.
REGISTRIES: dict[str, Registry[Any]] = {
    registry.kind: registry
    for registry in (exchanges, frames, strategies, risks, actions, sizings, walkers, sweeps)
}


def validate_name(kind: str, name: Any, source: str) -> bool:
    """Validate a name in the registry of ``kind``; for a kind without a registry no name is known."""
    registry = REGISTRIES.get(kind)
    if registry is None:
        raise UnknownNameError(kind, name, source, ())
    return registry.validate(name, source)


def validate_names(names: Mapping[str, Any], source: str, *kinds: str) -> bool:
    """:func:`validate_name` of ``names["<kind>_name"]`` for each of ``kinds``; an empty frame name is skipped."""
    for kind in kinds:
        name = names.get(f"{kind}_name") or ""
        if name or kind != "frame":
            validate_name(kind, name, source)
    return True


def validate(
    names: Mapping[str, Mapping[Any, str] | Iterable[str] | str] | None = None,
    /,
    **more: Mapping[Any, str] | Iterable[str] | str,
) -> None:
    """Check that names are registered: ``validate(strategy_name=["dip"], frame_name="january")``.

    Keys are ``exchange_name``, ``frame_name``, ``strategy_name`` ... (or ``ExchangeName`` ...); values are
    a name, several, or a mapping whose values are names. A kind left out stands for all its registered
    names; an empty mapping for none. Raises :class:`UnknownNameError` for the first unknown one (spec
    market-data.md 20).
    """
    wanted = {kind: registry.names() for kind, registry in REGISTRIES.items()}
    for key, value in {**(names or {}), **more}.items():
        kind = key.removesuffix("Name").removesuffix("_name").lower()
        if kind not in VALIDATED_KINDS:
            known = ", ".join(f"{one}_name" for one in VALIDATED_KINDS)
            raise SchemaError("validate", f"unknown argument {key!r}.", field=key, hint=f"known: {known}.")
        wanted[kind] = _each(value)
    for kind in VALIDATED_KINDS:
        for name in wanted.get(kind, ()):
            validate_name(kind, name, "validate.validate")


def _each(names: Mapping[Any, str] | Iterable[str] | str) -> tuple[str, ...]:
    if isinstance(names, str):
        return (names,)
    if not isinstance(names, Iterable):
        raise SchemaError(
            "validate", f"{names!r:.60} is no name.", hint="give a name, a list or a mapping of them."
        )
    return tuple(names.values() if isinstance(names, Mapping) else names)


def clear_registries() -> None:
    """Forget every registered schema, as at the start of the process."""
    for registry in REGISTRIES.values():
        registry.clear()
