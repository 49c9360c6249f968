"""Which combinations does a sweep try? Grids, lists and random draws of named parameters, numbered but never listed."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bkapi.base.deferred import pl
from bkapi.errors import BkError
from bkapi.schemas.elementwise import looks_around
from bkcore.errors import did_you_mean, shown

_DRAWN = 4096  # random combinations that are drawn at a time
_CHECKED: Final = 65_536  # combinations that conditions look at together
_MOST_VALUES: Final = 5_000_000  # of an axis, which are listed
_MOST: Final = np.iinfo(np.int64).max  # combinations that have a number
Numbers = NDArray[np.int64]
NumbersMap = Callable[[Numbers], Numbers]


class SpaceError(BkError, ValueError):
    """Raised by ``Space.grid(take_profit_percent=[])``: an axis without values, or an impossible space."""


@dataclass(frozen=True, eq=False)
class Column:
    """A parameter of some combinations: distinct ``values``, and the index of each combination's value (``codes``)."""

    values: Sequence[Any]
    codes: Numbers

    def numbers(self) -> NDArray[np.float64]:
        """The values of the combinations, f8[n]; None becomes NaN. Raises ``TypeError`` for anything else."""
        distinct = np.array([math.nan if value is None else value for value in self.values], np.float64)
        return distinct[self.codes]

    def series(self, name: str) -> pl.Series:
        """The values of the combinations; what is neither a number nor text is shown as text."""
        plain = all(value is None or isinstance(value, int | float | str) for value in self.values)
        distinct = list(self.values) if plain else [None if v is None else str(v) for v in self.values]
        return pl.Series(name, distinct, strict=False).gather(self.codes)


class Block(ABC):
    """Parameters that vary together, independently of all others."""

    names: tuple[str, ...]
    size: int

    @abstractmethod
    def columns(self, at: Numbers) -> dict[str, Column]:
        """The parameters of the combinations ``at`` (numbers below ``size``)."""

    def values(self, name: str) -> Sequence[Any] | None:
        """Every value of a parameter, None when there are too many to list."""
        return None


class Listed(Block):
    """Columns of values, side by side: ``at`` is a row."""

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        self.names = tuple(columns)
        self.size = len(next(iter(columns.values())))
        self._coded = {name: _coded(values) for name, values in columns.items()}

    def columns(self, at: Numbers) -> dict[str, Column]:
        return {name: Column(values, codes[at]) for name, (values, codes) in self._coded.items()}

    def values(self, name: str) -> Sequence[Any] | None:
        return self._coded[name][0]


class Drawn(Block):
    """Random combinations; the k-th is the same whenever it is asked for."""

    def __init__(self, axes: Mapping[str, Any], count: int, seed: int, log: frozenset[str]) -> None:
        self.names = tuple(axes)
        self.size = count
        self.axes = dict(axes)
        self.seed = seed
        self.log = log
        self._draw = lru_cache(maxsize=64)(self._drawn)

    def __reduce__(self) -> tuple[Any, ...]:
        return Drawn, (self.axes, self.size, self.seed, self.log)  # without what was drawn

    def _drawn(self, block: int) -> dict[str, NDArray[Any]]:
        dice = np.random.default_rng([self.seed, block])
        return {name: self._axis(name, dice) for name in self.names}

    def _axis(self, name: str, dice: np.random.Generator) -> NDArray[Any]:
        axis = self.axes[name]
        if not isinstance(axis, tuple):
            return dice.integers(0, len(axis), _DRAWN)
        low, high = axis
        if name in self.log:
            drawn = np.exp(dice.uniform(math.log(low), math.log(high), _DRAWN))
            return np.rint(drawn).astype(np.int64) if _whole(axis) else drawn
        return (
            dice.integers(low, high, _DRAWN, endpoint=True)
            if _whole(axis)
            else dice.uniform(low, high, _DRAWN)
        )

    def columns(self, at: Numbers) -> dict[str, Column]:
        blocks, inverse = np.unique(at // _DRAWN, return_inverse=True)
        drawn = [self._draw(int(block)) for block in blocks]
        place = inverse * _DRAWN + at % _DRAWN
        found = {}
        for name in self.names:
            values = np.concatenate([block[name] for block in drawn])[place] if drawn else np.zeros(0)
            if isinstance(self.axes[name], tuple):
                distinct, codes = np.unique(values, return_inverse=True)
                found[name] = Column(distinct.tolist(), codes)
            else:
                found[name] = Column(self.axes[name], values.astype(np.int64))
        return found

    def values(self, name: str) -> Sequence[Any] | None:
        axis = self.axes[name]
        return None if isinstance(axis, tuple) else axis


class Space:
    """Combinations of named parameters, numbered from 0; a combination is made when it is needed.

    ``Space.grid(take_profit_percent=[1, 2], lifetime_minutes=[60, 240])`` crosses its axes (the last one varies
    fastest). ``Space.zip(fast=[5, 10], slow=[20, 60])`` takes lists side by side.
    ``Space.random(1000, seed=1, fast=(2, 50), mode=["a", "b"])`` draws: a pair is a range (of whole numbers if both
    ends are), a list a choice. ``a * b`` crosses two spaces. ``space.where(pl.col("fast") < pl.col("slow"))`` keeps
    the combinations that meet a condition.
    """

    def __init__(self, blocks: Sequence[Block], conditions: Sequence[pl.Expr] = ()) -> None:
        self.blocks = tuple(blocks)
        self.conditions = tuple(conditions)
        names = [name for block in self.blocks for name in block.names]
        for name in names:
            if names.count(name) > 1:
                raise SpaceError(f"the parameter {name!r} is given twice.", hint="name it in one place.")
        self.names: tuple[str, ...] = tuple(names)
        #: Combinations before conditions.
        self.size = math.prod(block.size for block in self.blocks)
        if self.size > _MOST:
            raise SpaceError(
                f"the space has {self.size:,} combinations, more than {_MOST:,} numbers.",
                hint="draw from it, Space.random(1000, fast=(2, 50), ...).",
            )

    @classmethod
    def grid(cls, **axes: Iterable[Any]) -> Space:
        """Every combination of the axes; the first one is the outermost."""
        return cls([Listed({name: _values(name, axis)}) for name, axis in axes.items()])

    @classmethod
    def zip(cls, **columns: Iterable[Any]) -> Space:
        """Takes the k-th values of all columns together. Raises :class:`SpaceError` when their lengths differ."""
        listed = {name: _values(name, column) for name, column in columns.items()}
        sizes = {name: len(column) for name, column in listed.items()}
        if len(set(sizes.values())) > 1:
            told = ", ".join(f"{name} has {size:,}" for name, size in sizes.items())
            raise SpaceError(f"the columns of Space.zip differ in length: {told}.", hint="give equally many.")
        return cls([Listed(listed)] if listed else [])

    @classmethod
    def random(cls, count: int, *, seed: int = 0, log: Iterable[str] = (), **axes: Any) -> Space:
        """``count`` random combinations; an axis is a pair ``(low, high)`` or a list to choose from.

        seed   another seed draws other combinations
        log    names of pairs that are drawn evenly on a logarithmic scale

        Both ends of a pair of whole numbers may be drawn. A larger ``count`` of the same seed begins with the same
        combinations. Raises :class:`SpaceError` for an axis that cannot be drawn from.
        """
        count, seed = _whole_number("count", count, 1), _whole_number("seed", seed, 0)
        logged: Any = [log] if isinstance(log, str) else list(log) if isinstance(log, Iterable) else [log]
        if not all(isinstance(name, str) for name in logged):
            raise SpaceError(
                f"log={log!r} is no list of names.", hint='give log=["fast"], the names of pairs.'
            )
        chosen = frozenset(logged)
        kinds: dict[str, Any] = {}
        for name, axis in axes.items():
            kinds[name] = tuple(map(_plain, axis)) if isinstance(axis, tuple) else _values(name, axis)
            axis = kinds[name]
            if isinstance(axis, tuple):
                _check_range(name, axis, is_log=name in chosen)
        for name in chosen - {name for name, axis in kinds.items() if isinstance(axis, tuple)}:
            raise SpaceError(
                f"log names {name!r}, which is no range of this space.", hint="give it as a pair."
            )
        return cls([Drawn(kinds, count, seed, chosen)])

    def where(self, *conditions: pl.Expr) -> Space:
        """The combinations that meet every condition: Polars expressions over the parameters of one combination.

        Raises :class:`SpaceError` for one that names no parameter of the space, and for aggregates, shifts, sorts and
        whatever else looks at other combinations.
        """
        for condition in conditions:
            if not isinstance(condition, pl.Expr):
                raise SpaceError(
                    f"the condition {condition!r} is no Polars expression.",
                    hint=f'write it over columns, pl.col("{next(iter(self.names), "fast")}") > 1.',
                )
            for name in condition.meta.root_names():
                if name not in self.names:
                    raise SpaceError(
                        f"a condition asks for {name!r}, which is no parameter of the space.",
                        hint=did_you_mean(name, self.names) + f"its parameters are {', '.join(self.names)}.",
                    )
            if looks := looks_around(condition):
                raise SpaceError(
                    f"the condition {condition} looks at other combinations than the one that it judges ({looks}), and "
                    "which these are depends on how the space is cut.",
                    hint="compare parameters of one combination with each other or with constants; work out a mean or "
                    "a rank before, from the values of the axes.",
                )
        return Space(self.blocks, (*self.conditions, *conditions))

    def __mul__(self, other: Space) -> Space:
        if not isinstance(other, Space):
            return NotImplemented
        return Space((*self.blocks, *other.blocks), (*self.conditions, *other.conditions))

    def values(self, name: str) -> Sequence[Any] | None:
        """Every value of a parameter, None when there are too many to list."""
        for block in self.blocks:
            if name in block.names:
                return block.values(name)
        raise SpaceError(
            f"{name!r} is no parameter of the space.",
            hint=did_you_mean(name, self.names) + f"its parameters are {', '.join(self.names)}.",
        )

    def ends(self, name: str) -> Sequence[Any]:
        """Every value of a parameter, or the ends of its range."""
        block = next(block for block in self.blocks if name in block.names)
        return block.axes[name] if isinstance(block, Drawn) else block.values(name) or ()

    def columns(self, first: int, end: int) -> tuple[Numbers, dict[str, Column]]:
        """Numbers and parameters of the combinations in ``[first, end)`` that meet the conditions."""
        numbers = np.arange(first, min(end, self.size), dtype=np.int64)
        columns = self.columns_at(numbers)
        if self.conditions and numbers.size:
            kept = self._meets(columns)
            numbers = numbers[kept]
            columns = {name: Column(column.values, column.codes[kept]) for name, column in columns.items()}
        return numbers, columns

    def columns_at(self, numbers: Numbers) -> dict[str, Column]:
        """The parameters of combinations by their numbers, whether they meet the conditions or not."""
        columns: dict[str, Column] = {}
        inner = self.size
        for block in self.blocks:
            inner //= block.size
            columns |= block.columns(numbers // inner % block.size)
        return columns

    def _meets(self, columns: Mapping[str, Column]) -> NDArray[np.bool_]:
        frame = pl.DataFrame([column.series(name) for name, column in columns.items()])
        try:
            each = frame.select(condition.alias(str(k)) for k, condition in enumerate(self.conditions))
        except pl.exceptions.PolarsError as error:
            raise SpaceError(
                f"a condition of the space cannot be evaluated: {error}.",
                hint=f"its parameters are {', '.join(self.names)}.",
            ) from None
        for condition, answers in zip(self.conditions, each, strict=True):
            if answers.dtype not in (pl.Boolean, pl.Null):
                raise SpaceError(
                    f"the condition {condition} is {answers.dtype}, not true or false.",
                    hint="compare it with something.",
                )
        met = each.select(pl.all_horizontal(pl.all().cast(pl.Boolean))).to_series().fill_null(False)
        # A condition over constants has one answer for all.
        return np.broadcast_to(met.to_numpy(), len(frame))

    def led_by(self, names: Iterable[str]) -> tuple[Space, NumbersMap]:
        """The same combinations with the blocks of ``names`` outermost, and a function back to this space's numbers."""
        leading = frozenset(names)
        order = sorted(range(len(self.blocks)), key=lambda k: leading.isdisjoint(self.blocks[k].names))
        if order == list(range(len(self.blocks))):
            return self, lambda numbers: numbers
        strides = np.cumprod([1, *(block.size for block in self.blocks[:0:-1])])[::-1].tolist()
        reordered = Space([self.blocks[k] for k in order], self.conditions)

        def original(numbers: Numbers) -> Numbers:
            found, inner = np.zeros_like(numbers), self.size
            for k in order:
                inner //= self.blocks[k].size
                found += numbers // inner % self.blocks[k].size * strides[k]
            return found

        return reordered, original

    def parameters(self, number: int) -> dict[str, Any]:
        """The parameters of one combination. Raises :class:`SpaceError` for a number outside of the space."""
        if not (isinstance(number, int | np.integer) and 0 <= number < self.size):
            raise SpaceError(
                f"there is no combination {number!r} in {self!r}.",
                hint=f"numbers go from 0 to {self.size - 1:,}.",
            )
        columns = self.columns_at(np.array([number]))
        return {name: column.values[column.codes[0]] for name, column in columns.items()}

    def __len__(self) -> int:
        """How many combinations meet the conditions; with conditions, every one is tested."""
        if not self.conditions:
            return self.size
        return sum(self.columns(first, first + _CHECKED)[0].size for first in range(0, self.size, _CHECKED))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for first in range(0, self.size, _CHECKED):
            for number in self.columns(first, first + _CHECKED)[0].tolist():
                yield self.parameters(number)

    def __repr__(self) -> str:
        told = []
        for block in self.blocks:
            names = " with ".join(block.names)
            told.append(f"{names}: {block.size:,}{' drawn' if isinstance(block, Drawn) else ''}")
        count = len(self.conditions)
        conditions = f", {count} condition{'s' if count > 1 else ''}" if count else ""
        return f"Space({self.size:,} combinations of {'; '.join(told)}{conditions})"

    @property
    def fingerprint(self) -> str:
        """A text that is the same for equal spaces."""
        parts: list[Any] = []
        for block in self.blocks:
            if isinstance(block, Drawn):
                parts.append(("random", block.size, block.seed, sorted(block.log), list(block.axes.items())))
            else:
                rows = block.columns(np.arange(block.size))
                parts.append([(n, list(c.values), c.codes.tolist()) for n, c in rows.items()])
        return repr((parts, [condition.meta.serialize() for condition in self.conditions]))


def _values(name: str, axis: Iterable[Any]) -> list[Any]:
    if isinstance(axis, str | bytes) or not isinstance(axis, Iterable):
        raise SpaceError(f"{name}={axis!r} is no list of values.", hint=f"give {name}=[{axis!r}].")
    if isinstance(axis, Set | Mapping):
        raise SpaceError(f"{name}={axis!r} has no order to number it by.", hint="give its values as a list.")
    values = [_plain(value) for value in islice(axis, _MOST_VALUES + 1)]
    if len(values) > _MOST_VALUES:
        raise SpaceError(
            f"the axis {name} has more than {_MOST_VALUES:,} values.",
            hint=f"take wider steps, or draw from a range: Space.random(1000, {name}=(1, 5)).",
        )
    if not values:
        raise SpaceError(f"the axis {name} is empty.", hint=f"give at least one value, {name}=[1.0].")
    return values


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _whole_number(name: str, value: Any, least: int) -> int:
    if not isinstance(value, int | np.integer) or value < least:
        raise SpaceError(
            f"{name}={shown(value)} is no whole number from {least} on.",
            hint="draw at least one combination." if name == "count" else "choose another seed.",
        )
    return int(value)


def _coded(values: Sequence[Any]) -> tuple[list[Any], Numbers]:
    """Distinct values in order of appearance, and the index of each value; 1, 1.0 and True differ."""
    known: dict[Any, int] = {}
    codes = [known.setdefault((type(value), repr(value)), len(known)) for value in values]
    distinct: list[Any] = [None] * len(known)
    for code, value in zip(codes, values, strict=True):
        distinct[code] = value
    return distinct, np.array(codes, np.int64)


def _whole(axis: tuple[Any, ...]) -> bool:
    return all(isinstance(end, int) for end in axis)


def _is_end(value: Any) -> bool:
    """Whether a range may end there: drawn values have to fit into floats, or into integers of 64 bits."""
    if isinstance(value, int):
        return abs(value) <= 2**62
    return isinstance(value, float) and math.isfinite(value)


def _check_range(name: str, axis: tuple[Any, ...], *, is_log: bool) -> None:
    if not (len(axis) == 2 and all(map(_is_end, axis)) and math.isfinite(float(axis[1]) - float(axis[0]))):
        raise SpaceError(
            f"{name}={shown(axis)} is no range.",
            hint=f"give a pair of finite numbers, {name}=(1.0, 5.0), or a list; whole ones reach to 2**62.",
        )
    if not axis[0] < axis[1] or (is_log and axis[0] <= 0):
        above = " above 0" if is_log else ""
        raise SpaceError(f"{name}={axis!r} does not rise{above}.", hint="give the lower end first.")
