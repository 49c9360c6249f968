"""Turns a space into what Optuna can suggest, axis by axis, and its suggestions back into parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np

from bkapi.schemas.space import Drawn, Space

_DIGITS = 12  # of a number as it is suggested: 0.6 + 0.1 + 0.1 is 0.8


@dataclass(frozen=True)
class Suggestion:
    """One parameter of an Optuna study and how to turn it into parameters of the strategy.

    distribution   an Optuna distribution
    parameters     takes the suggested value, returns parameters by name
    """

    name: str
    distribution: Any
    parameters: Callable[[Any], dict[str, Any]]


def suggestions_of(space: Space) -> list[Suggestion]:
    """What Optuna suggests for each axis of a space.

    Numbers in even steps are suggested as a number, other numbers by their index in rising order. The columns of a zip
    are suggested together: by index where one of them rises or falls, by name otherwise. A range of
    :meth:`Space.random` is suggested as a range, whatever was drawn from it. Anything else is one of its values, as it
    is or as text.
    """
    found: list[Suggestion] = []
    for block in space.blocks:
        if isinstance(block, Drawn):
            for name, axis in block.axes.items():
                drawn = _range(name, axis, is_log=name in block.log) if isinstance(axis, tuple) else None
                found.append(drawn or _axis(name, axis))
        elif len(block.names) == 1:
            found.append(_axis(block.names[0], block.values(block.names[0]) or ()))
        else:
            columns = block.columns(np.arange(block.size))
            rows = [
                {name: column.values[column.codes[k]] for name, column in columns.items()}
                for k in range(block.size)
            ]
            found.append(_rows(rows))
    return found


def _range(name: str, axis: tuple[Any, Any], *, is_log: bool) -> Suggestion:
    from optuna.distributions import FloatDistribution, IntDistribution

    kind = IntDistribution if all(isinstance(end, int) for end in axis) else FloatDistribution
    return Suggestion(name, kind(*axis, log=is_log), lambda value: {name: value})


def _axis(name: str, axis: Sequence[Any]) -> Suggestion:
    from optuna.distributions import FloatDistribution, IntDistribution

    values = list({_key(value): value for value in axis}.values())
    if len(values) == 1 or not all(map(_is_number, values)) or len(set(values)) < len(values):
        return _choice(name, values, lambda value: {name: value})
    values.sort()
    steps = _even_steps(values)
    if steps is None:
        return _place(name, [{name: value} for value in values])
    low, high, step = steps
    if all(isinstance(value, int) for value in values):
        return Suggestion(
            name, IntDistribution(int(low), int(high), step=int(step)), lambda value: {name: int(value)}
        )
    distribution = FloatDistribution(low, high, step=step)
    return Suggestion(name, distribution, lambda value: {name: values[round((value - low) / step)]})


def _rows(rows: Sequence[Mapping[str, Any]]) -> Suggestion:
    name = " with ".join(rows[0])
    for column in rows[0]:
        values = [row[column] for row in rows]
        if all(map(_is_number, values)) and (_rises(values) or _rises(values[::-1])):
            return _place(name, rows)
    told = {", ".join(f"{column}={value!r}" for column, value in row.items()): row for row in rows}
    return _choice(name, list(told), lambda text: dict(told[text]))


def _place(name: str, rows: Sequence[Mapping[str, Any]]) -> Suggestion:
    from optuna.distributions import IntDistribution

    return Suggestion(f"place of {name}", IntDistribution(0, len(rows) - 1), lambda place: dict(rows[place]))


def _choice(name: str, values: Sequence[Any], parameters: Callable[[Any], dict[str, Any]]) -> Suggestion:
    """One of distinct values: as it is where a storage can keep it and tell it from the others, else as its text."""
    from optuna.distributions import CategoricalDistribution

    plain = all(value is None or isinstance(value, bool | int | float | str) for value in values)
    as_they_are = plain and len(set(values)) == len(values)
    names = list(values) if as_they_are else [repr(value) for value in values]
    return Suggestion(
        name, CategoricalDistribution(names), lambda told: parameters(values[names.index(told)])
    )


def _key(value: Any) -> tuple[type, str]:
    return type(value), repr(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _rises(values: Sequence[float]) -> bool:
    return all(one < other for one, other in pairwise(values))


def _even_steps(values: Sequence[float]) -> tuple[float, float, float] | None:
    """Lowest, highest and step of rising numbers with a constant step that can be written exactly; else None."""
    if math.isinf(values[0]) or math.isinf(values[-1]):
        return None
    low, high = (Decimal(f"{value:.{_DIGITS}g}") for value in (values[0], values[-1]))
    step = Decimal(repr(float((high - low) / (len(values) - 1))))
    wanted = np.array([float(low + step * k) for k in range(len(values))])
    is_even = np.allclose(values, wanted, rtol=0.0, atol=1e-9 * float(step))
    return (
        (float(low), float(high), float(step)) if is_even and low + step * (len(values) - 1) == high else None
    )


def combination_key(parameters: Mapping[str, Any]) -> tuple[Any, ...]:
    """A key that is equal for equal combinations; 1, 1.0 and True differ."""
    return tuple(_key(value) for value in parameters.values())
