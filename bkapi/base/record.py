"""Base of the public records: frozen, slotted dataclasses that are as cheap to make as mutable ones.

A run can make a million payloads. ``dataclass(frozen=True)`` fills a record field by field through
``object.__setattr__``, at five times the cost of plain assignment. Here ``__init__`` turns the new object into
an unlocked twin (a subclass of the same layout), assigns the fields, and turns it back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, TypeVar, cast, dataclass_transform

T = TypeVar("T")

_set_class: Callable[[object, type], None] = cast(Any, object.__dict__["__class__"]).__set__


def _parameter(name: str, has_default: bool) -> str:
    return f"{name}=_default_{name}" if has_default else name


def _constructor(cls: type[Any]) -> Callable[..., None]:
    # Both methods are replaced, since with one of them alone the interpreter takes the slow path for both.
    freely = {"__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    unlocked = type(f"_Unlocked{cls.__name__}", (cls,), {"__slots__": (), **freely})
    namespace: dict[str, Any] = {"_set_class": _set_class, "_unlocked": unlocked, "_locked": cls}
    positional: list[str] = []
    by_name: list[str] = []
    for one in fields(cls):
        if one.default_factory is not MISSING:
            raise TypeError(
                f"{cls.__name__}.{one.name}: a record has no default factories, its defaults are frozen"
            )
        has_default = one.default is not MISSING
        if has_default:
            namespace[f"_default_{one.name}"] = one.default
        (by_name if one.kw_only else positional).append(_parameter(one.name, has_default))
    signature = ", ".join(["self", *positional, *(["*", *by_name] if by_name else [])])
    body = "".join(f"    self.{one.name} = {one.name}\n" for one in fields(cls))
    source = (
        f"def __init__({signature}):\n    _set_class(self, _unlocked)\n{body}    self.__class__ = _locked\n"
    )
    exec(source, namespace)  # noqa: S102  field names of our own classes, as dataclasses does it
    constructor: Callable[..., None] = namespace["__init__"]
    constructor.__qualname__ = f"{cls.__qualname__}.__init__"
    constructor.__module__ = cls.__module__
    constructor.__annotations__ = {**{one.name: one.type for one in fields(cls)}, "return": None}
    return constructor


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """Class decorator for a :class:`Record`: a frozen, slotted dataclass with the cheap constructor."""
    frozen: Any = dataclass(frozen=True, slots=True, init=False, repr=False)(cls)
    frozen.__init__ = _constructor(frozen)
    frozen.field_names = tuple(one.name for one in fields(frozen))
    return cast("type[T]", frozen)


class Record:
    """Base of the records: a ``repr`` of what is not None, and ``to_dict`` for storage and JSON."""

    __slots__ = ()

    #: The fields in documented order.
    field_names: ClassVar[tuple[str, ...]] = ()
    #: Fields that ``to_dict`` merges into the mapping instead of nesting them.
    merged: ClassVar[frozenset[str]] = frozenset()

    def __repr__(self) -> str:
        given = ((name, getattr(self, name)) for name in self.field_names)
        shown = ", ".join(f"{name}={value!r}" for name, value in given if value is not None)
        return f"{type(self).__name__}({shown})"

    def to_dict(self) -> dict[str, Any]:
        """The fields as a mapping in documented order: records become mappings, tuples become lists."""
        plain: dict[str, Any] = {}
        for name in self.field_names:
            value = getattr(self, name)
            if name in self.merged:
                plain.update(value or {})
            else:
                plain[name] = _plain(value)
        return plain


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | float | int):
        return value
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value
