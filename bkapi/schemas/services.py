"""The two documented services over a registry: schemas by name, and valid names (spec market-data.md 19, 20).

The services of each kind derive from these and name their registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

from bkapi.schemas.base import Schema
from bkapi.schemas.registry import Registry

S = TypeVar("S", bound=Schema)


class SchemaService(Generic[S]):
    """``register``, ``get``, ``override``, ``validate_shallow`` of one kind."""

    registry: ClassVar[Registry[Any]]

    def __init_subclass__(cls, *, registry: Registry[Any]) -> None:
        cls.registry = registry

    def register(self, name: str, schema: S | Mapping[str, Any]) -> S:
        """Check and store; raises :class:`SchemaError`, or :class:`AlreadyExistsError` for a name that is taken."""
        registered: S = self.registry.register(name, self.validate_shallow(schema))
        return registered

    def get(self, name: str) -> S:
        """The schema with its overrides; raises :class:`NotRegisteredError`."""
        found: S = self.registry.lookup(name)
        return found

    def override(self, name: str, partial: Mapping[str, Any]) -> S:
        """Replace the given fields; returns the merged schema, checked as at registration."""
        merged: S = self.registry.merge(name, partial)
        return merged

    def validate_shallow(self, schema: S | Mapping[str, Any]) -> S:
        """The checked schema; raises :class:`SchemaError` for the first field that breaks its rule."""
        checked: S = self.registry.model.model_validate(
            schema.given() if isinstance(schema, Schema) else schema
        )
        return checked


class ValidationService(Generic[S]):
    """``validate`` and ``list`` of one kind; a subclass calls :meth:`know` ``add_<kind>``."""

    registry: ClassVar[Registry[Any]]

    def __init_subclass__(cls, *, registry: Registry[Any]) -> None:
        cls.registry = registry

    def know(self, name: str, schema: S | Mapping[str, Any]) -> None:
        """Make a name known; raises :class:`AlreadyExistsError`."""
        self.registry.know(name, schema)

    def validate(self, name: str, source: str) -> bool:
        """True when the name and what its schema refers to are known; raises :class:`UnknownNameError`."""
        return self.registry.validate(name, source)

    def list(self) -> list[S]:
        """The schemas in order of registration, as first given."""
        return self.registry.schemas()
