"""What do all schemas have in common? Frozen, no unknown fields, one clear error (spec market-data.md 19)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    StrictStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from bkapi.errors import SchemaError
from bkcore.errors import did_you_mean, shown


def or_default(default: Any) -> BeforeValidator:
    """Treats everything falsy as left out, as documented."""
    return BeforeValidator(lambda value: value or default)


#: A function that is told something; the description of its field says with which arguments.
Callback: TypeAlias = Callable[..., Any] | None


def optional(description: str) -> Any:
    """A field that may be left out, and what it is, for the hint of an error."""
    return Field(default=None, description=description)


class Schema(BaseModel):
    """Base of the schemas: one clear error instead of pydantic's list."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    kind: ClassVar[str]
    #: Fields of which an override that names one drops the others.
    alternatives: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="wrap")
    @classmethod
    def _speak(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            raise _first_problem(cls, values, error) from None

    @classmethod
    def unchecked(cls, values: Mapping[str, Any]) -> Self:
        """A schema of ``values`` as they are; only an unknown field is refused."""
        for name in values:
            if name not in cls.model_fields:
                raise _unknown_field(cls, name)
        return cls.model_construct(**dict(values))

    @classmethod
    def partly(cls, values: Mapping[str, Any]) -> Self:
        """A schema of ``values`` checked and converted one by one; fields may be missing."""
        checked = cls.unchecked(values)
        for name in values:
            field = cls.model_fields[name]
            annotation: Any = (
                Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
            )
            try:
                value = TypeAdapter(annotation, config=cls.model_config).validate_python(values[name])
            except ValidationError:
                raise not_usable(cls, name, values) from None
            checked.__dict__[name] = value
        return checked

    def given(self) -> dict[str, Any]:
        """The fields that were given, without those left to their defaults."""
        return {
            name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set
        }

    def overridden(self, partial: Mapping[str, Any]) -> dict[str, Any]:
        """The given fields with those of ``partial`` in their place; one of several alternatives drops the others."""
        values = self.given()
        if any(name in partial for name in self.alternatives):
            for name in self.alternatives:
                values.pop(name, None)
        return {**values, **partial}


def owner(schema: type[Schema], values: object) -> str:
    """``" for strategy_name='dip'"`` where the values say so."""
    field = f"{schema.kind}_name"
    name = values.get(field) if isinstance(values, Mapping) else getattr(values, field, None)
    return "" if name is None else f" for {field}={name!r}"


def _unknown_field(schema: type[Schema], name: str) -> SchemaError:
    fields = tuple(schema.model_fields)
    return SchemaError(
        schema.kind,
        f"unknown field {name!r}.",
        field=name,
        hint=f"{did_you_mean(name, fields)}known fields: {', '.join(fields)}.",
    )


def _first_problem(schema: type[Schema], values: object, error: ValidationError) -> SchemaError:
    """The first of pydantic's complaints, in our words."""
    problem = error.errors(include_url=False)[0]
    if not problem["loc"]:
        fields = ", ".join(schema.model_fields)
        return SchemaError(schema.kind, f"{shown(values)} is not a mapping.", hint=f"known fields: {fields}.")
    field = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        return _unknown_field(schema, field)
    return not_usable(schema, field, values if isinstance(values, Mapping) else {})


def not_usable(schema: type[Schema], field: str, values: Mapping[str, Any]) -> SchemaError:
    what = f"{field}={shown(values[field])} is not usable" if field in values else f"missing {field}"
    about = schema.model_fields[field].description
    return SchemaError(schema.kind, f"{what}{owner(schema, values)}.", field=field, hint=f"{field}: {about}.")


#: A name: a text, also an empty one.
Name: TypeAlias = StrictStr


def plain_list(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError("is not a list")  # noqa: TRY004 - pydantic wants a ValueError
    return tuple(value)


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("is not a number")  # noqa: TRY004
    return value


Number: TypeAlias = Annotated[float, BeforeValidator(_number)]


FrameInterval: TypeAlias = Literal["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d"]


Names: TypeAlias = Annotated[tuple[str, ...], or_default(())]


OptionalText: TypeAlias = Annotated[str | None, or_default(None)]


def refuse_repeats(schema: Schema, field: str, names: tuple[str, ...]) -> None:
    if len(set(names)) != len(names):
        raise SchemaError(
            schema.kind,
            f"found duplicate {field}{owner(type(schema), schema)} {field}={list(names)!r}.",
            field=field,
            hint="name each one once.",
        )


def refuse_several(schema: Schema, alternatives: tuple[str, ...]) -> None:
    given = [name for name in alternatives if getattr(schema, name) is not None]
    if len(given) > 1:
        raise SchemaError(
            schema.kind,
            f"{' and '.join(given)} exclude each other{owner(type(schema), schema)}.",
            field=given[-1],
            hint=f"give one of {', '.join(alternatives)}.",
        )
