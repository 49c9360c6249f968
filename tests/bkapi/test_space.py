"""A space is a numbering: its combinations are worked out when somebody asks, and always alike."""

from __future__ import annotations

import itertools
import math
import pickle
import time
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

import bkapi as bk
from bkapi import Space, SpaceError
from bkapi.schemas.space import Block, Column, Drawn, Listed
from tests.shares import share

VALUES = st.lists(st.sampled_from([1, 2, 2.5, -3, 0, None, "a", "b", True]), min_size=1, max_size=5)
HUGE = Space.grid(**{f"p{k}": range(1000) for k in range(5)})  # 10**15


@st.composite
def blocks(draw: st.DrawFn, name: str) -> Space:
    """A grid of one axis, a zip of two, or a draw of two; names begin with ``name``."""
    kind = draw(st.sampled_from(["grid", "zip", "random"]))
    if kind == "grid":
        return Space.grid(**{name: draw(VALUES)})
    if kind == "zip":
        count = draw(st.integers(1, 4))
        column = st.lists(st.integers(0, 3), min_size=count, max_size=count)
        return Space.zip(**{f"{name}_one": draw(column), f"{name}_two": draw(column)})
    low = draw(st.integers(1, 5))
    axes: dict[str, Any] = {f"{name}_one": (low, low + draw(st.integers(1, 9))), f"{name}_two": [1, 2, 3]}
    return Space.random(draw(st.integers(1, 6)), seed=draw(st.integers(0, 9)), **axes)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """Blocks crossed, now and then with a condition on the first parameter."""
    parts = [draw(blocks(name)) for name in ("a", "b", "c", "d")[: draw(st.integers(1, 4))]]
    space = parts[0]
    for part in parts[1:]:
        space = space * part
    if draw(st.booleans()):
        space = space.where(pl.col(space.names[-1]).cast(pl.String).is_in(["1", "2", "a", "true"]))
    return space


def rows_of(space: Space, first: int, end: int) -> list[tuple[int, dict[str, Any]]]:
    """Numbers and parameters as ``columns`` gives them."""
    numbers, columns = space.columns(first, end)
    return [
        (int(number), {name: column.values[column.codes[k]] for name, column in columns.items()})
        for k, number in enumerate(numbers)
    ]


def told(thing: Any) -> str:
    """A text that tells 1, 1.0 and True apart."""
    return repr(thing)


# ------------------------------------------------------------------------------------------------------ laws


@given(spaces(), st.lists(st.integers(0, 200), max_size=4))
def test_any_split_joins_to_the_whole(space: Space, cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, space.size) for cut in cuts), space.size]
    joined = [row for first, end in itertools.pairwise(bounds) for row in rows_of(space, first, end)]
    assert told(joined) == told(rows_of(space, 0, space.size))


@given(spaces())
def test_length_iteration_and_numbers_agree(space: Space) -> None:
    rows = rows_of(space, 0, space.size)
    assert len(space) == len(rows)
    assert told(list(space)) == told([parameters for _, parameters in rows])
    assert told([space.parameters(number) for number, _ in rows]) == told([row for _, row in rows])


@given(spaces(), st.data())
def test_leading_blocks_renumber_the_same_combinations(space: Space, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(space.names), unique=True))
    led, original = space.led_by(names)
    numbers = original(np.arange(space.size))
    assert sorted(numbers.tolist()) == list(range(space.size))
    for number in range(space.size):
        assert told(led.parameters(number)) == told(
            {name: space.parameters(int(numbers[number]))[name] for name in led.names}
        )
    assert len(led) == len(space)
    leads = [not set(names).isdisjoint(block.names) for block in led.blocks]
    assert leads == sorted(leads, reverse=True)


def altered(block: Block, *, turned: bool) -> Block:
    """The block with its axes ``turned``, or with other draws or another last value of its last axis."""
    if isinstance(block, Drawn):
        axes = dict(reversed(block.axes.items())) if turned else block.axes
        return Drawn(axes, block.size, block.seed + (not turned), block.log)
    columns = block.columns(np.arange(block.size))
    values = {name: [column.values[code] for code in column.codes] for name, column in columns.items()}
    if not turned:
        values[block.names[-1]][-1] = "another"
    return Listed(dict(reversed(values.items())) if turned else values)


@given(spaces(), st.data())
def test_equal_spaces_and_no_others_have_equal_fingerprints(space: Space, data: st.DataObject) -> None:
    """Others are near ones: a value, a draw, an axis, a condition or the order is not the same."""
    assert pickle.loads(pickle.dumps(space)).fingerprint == space.fingerprint
    place = data.draw(st.integers(0, len(space.blocks) - 1))
    turned = data.draw(st.booleans())
    blocks = [altered(block, turned=turned) if k == place else block for k, block in enumerate(space.blocks)]
    near = {
        "values": Space(blocks, space.conditions),
        "axis": space * Space.grid(z=[1]),
        "condition": space.where(pl.col(space.names[0]).cast(pl.String) != "1"),
        "order": Space(space.blocks[::-1], space.conditions),
    }
    other = near[data.draw(st.sampled_from(sorted(near)))]
    is_other = (space.names, told(rows_of(space, 0, space.size))) != (
        other.names,
        told(rows_of(other, 0, other.size)),
    )
    share("near spaces that hold something else", is_other, least=0.3)
    if is_other:
        assert other.fingerprint != space.fingerprint


# ------------------------------------------------------------------------------------------------- laziness


def test_a_quadrillion_combinations_cost_nothing() -> None:
    started = time.process_time()
    assert HUGE.size == len(HUGE) == 10**15
    assert HUGE.parameters(10**15 - 1) == {f"p{k}": 999 for k in range(5)}
    numbers, columns = HUGE.columns(123_456_789_012_345, 123_456_789_012_347)
    assert numbers.tolist() == [123_456_789_012_345, 123_456_789_012_346]
    assert [columns[f"p{k}"].codes[0] for k in range(5)] == [123, 456, 789, 12, 345]
    assert HUGE.where(pl.col("p0") < pl.col("p1")).columns(0, 10)[0].size == 0
    assert next(iter(HUGE)) == {f"p{k}": 0 for k in range(5)}
    led, original = HUGE.led_by(["p4"])
    assert led.parameters(10**12) == HUGE.parameters(int(original(np.array([10**12]))[0]))
    drawn = Space.random(10**15, x=(0.0, 1.0))
    assert drawn.parameters(10**15 - 1) == drawn.parameters(10**15 - 1)
    assert time.process_time() - started < 2.0  # a grid that is laid out would end the process


def test_more_combinations_than_can_be_numbered_are_refused() -> None:
    with pytest.raises(SpaceError, match="100,000,000,000,000,000,000 combinations") as caught:
        Space.grid(**{f"p{k}": range(10) for k in range(20)})
    assert "Space.random" in str(caught.value)


# --------------------------------------------------------------------------------------------- the three kinds


def test_the_last_axis_of_a_grid_varies_fastest() -> None:
    space = Space.grid(fast=[1, 2], slow=[10, 20])
    assert [tuple(row.values()) for row in space] == [(1, 10), (1, 20), (2, 10), (2, 20)]
    assert space.values("slow") == [10, 20]


def test_axes_may_be_anything_that_is_ordered() -> None:
    for axis in (range(1, 3), (1, 2), np.array([1, 2]), pl.Series([1, 2]), iter([1, 2])):
        assert [row["x"] for row in Space.grid(x=axis)] == [1, 2]
    assert type(Space.grid(x=np.array([0.5])).parameters(0)["x"]) is float


def test_a_zip_walks_side_by_side_and_keeps_repeats() -> None:
    space = Space.zip(fast=[5, 5, 10], slow=[20, 20, 60])
    assert [tuple(row.values()) for row in space] == [(5, 20), (5, 20), (10, 60)]


def test_no_axis_is_one_combination() -> None:
    assert list(Space.grid()) == list(Space.zip()) == [{}]


def test_random_is_the_same_by_number_whoever_asks_and_when() -> None:
    def made(count: int, seed: int = 3) -> Space:
        return Space.random(count, seed=seed, log=["step"], fast=(2, 50), step=(0.001, 10.0), mode=["a", "b"])

    space = made(10_000)
    whole = rows_of(space, 0, 10_000)
    assert rows_of(made(10_000), 4090, 4100) == whole[4090:4100]  # over a border of what is drawn together
    assert rows_of(made(20_000), 0, 10_000) == whole  # more of them begin alike
    assert made(10_000).parameters(7777) == whole[7777][1]
    assert rows_of(made(10_000, seed=4), 0, 100) != whole[:100]
    drawn = [row for _, row in whole]
    assert {row["fast"] for row in drawn} == set(range(2, 51))
    assert all(type(row["fast"]) is int for row in drawn[:10])
    assert {row["mode"] for row in drawn} == {"a", "b"}
    steps = [row["step"] for row in drawn]
    assert min(steps) >= 0.001
    assert max(steps) <= 10.0
    assert abs(np.mean(np.log10(steps)) + 1.0) < 0.1  # evenly between -3 and 1


def test_ranges_may_be_numpy_numbers_and_log_one_name() -> None:
    space = Space.random(50, log="period", period=(np.int64(2), np.int64(500)), x=(np.float64(0), 1))
    assert all(2 <= row["period"] <= 500 and type(row["period"]) is int for row in space)


def test_spaces_cross_and_conditions_stay() -> None:
    space = Space.grid(a=[1, 2, 3]).where(pl.col("a") > 1) * Space.zip(b=[1, 2], c=[3, 4])
    space = space.where(pl.col("a") != pl.col("b"), pl.col("c") < 10)
    assert [tuple(row.values()) for row in space] == [(2, 1, 3), (3, 1, 3), (3, 2, 4)]
    assert space.size == 6
    assert len(space) == 3
    assert [number for number, _ in rows_of(space, 0, 6)] == [2, 4, 5]  # numbers are those of the whole space
    assert space.parameters(0) == {"a": 1, "b": 1, "c": 3}  # and each has its parameters


def test_a_condition_that_is_null_does_not_hold() -> None:
    assert len(Space.grid(a=[None, 1, 2]).where(pl.col("a") > 1)) == 1


def test_columns_tell_values_apart_by_type() -> None:
    column = Space.grid(x=[1, 1.0, True, 1]).columns(0, 4)[1]["x"]
    assert column.codes.tolist() == [0, 1, 2, 0]
    assert Column([1, None], np.array([1, 0])).numbers().tolist()[1] == 1.0
    assert math.isnan(Column([1, None], np.array([1, 0])).numbers()[0])


def test_a_repr_tells_the_axes() -> None:
    space = Space.grid(a=[1, 2]) * Space.random(5, b=(1, 9), c=(1, 9))
    assert repr(space) == "Space(10 combinations of a: 2; b with c: 5 drawn)"
    assert "1 condition)" in repr(space.where(pl.col("a") > 1))


def test_fingerprints_tell_conditions_apart() -> None:
    space = Space.grid(a=range(20))
    listed = [*range(12), 13]
    one, other = (space.where(pl.col("a").is_in([*listed, last])) for last in (14, 15))
    shorter = space.where(pl.col("a").is_in([0, 1, *listed[3:], 14]))
    assert len({space.fingerprint, one.fingerprint, other.fingerprint, shorter.fingerprint}) == 4
    assert one.fingerprint == space.where(pl.col("a").is_in([*listed, 14])).fingerprint


# --------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Space.grid(fast=[]), ["the axis fast is empty", "give at least one value"]),
        (lambda: Space.grid(fast=5), ["fast=5 is no list", r"fast=[5]"]),
        (lambda: Space.grid(mode="ab"), ["mode='ab' is no list", "mode=['ab']"]),
        (lambda: Space.grid(mode={"a", "b"}), ["mode=", "no order", "list"]),
        (lambda: Space.zip(a=[1], b=[1, 2]), ["a has 1", "b has 2", "give equally many"]),
        (lambda: Space.grid(a=[1]) * Space.grid(a=[2]), ["'a' is given twice", "one place"]),
        (lambda: Space.random(0, a=(1, 2)), ["count=0", "at least one"]),
        (lambda: Space.random(2.5, a=(1, 2)), ["count=2.5", "whole number"]),  # type: ignore[arg-type]
        (lambda: Space.random("10", a=(1, 2)), ["count='10'", "whole number"]),  # type: ignore[arg-type]
        (lambda: Space.random(9, seed=-1, a=(1, 2)), ["seed=-1", "whole number"]),
        (lambda: Space.random(9, a=(1, 2, 3)), ["a=(1, 2, 3) is no range", "pair"]),
        (lambda: Space.random(9, a=("x", "y")), ["a=('x', 'y') is no range", "list"]),
        (lambda: Space.random(9, a=(5, 1)), ["a=(5, 1) does not rise", "lower end first"]),
        (lambda: Space.random(9, a=(0.0, math.inf)), ["a=(0.0, inf) is no range"]),
        (lambda: Space.random(9, a=[]), ["the axis a is empty"]),
        (lambda: Space.random(9, log=["a"], a=(0, 1)), ["a=(0, 1)", "above 0"]),
        (lambda: Space.random(9, log=["b"], a=(1, 2)), ["log names 'b'", "pair"]),
        (lambda: Space.grid(a=[1]).where(pl.col("c") > 1), ["'c'", "a"]),
        (lambda: Space.grid(a=[1]).where(lambda row: row["a"] > 1), ["condition", 'pl.col("a")']),  # type: ignore[arg-type]
        (lambda: Space.grid(a=[1]).where(pl.col("a") > pl.col("a").mean()), ["other combinations", "(mean)"]),
        (lambda: Space.grid(a=[1]).where(pl.col("a").shift(1) < 2), ["other combinations", "(Shift)"]),
        (lambda: Space.grid(a=[1]).where(pl.col("a").sort() > 2), ["other combinations", "(sort)"]),
        (lambda: Space.grid(a=[1]).where(pl.col("a").is_unique()), ["other combinations", "(IsUnique)"]),
        (lambda: Space.grid(a=[1]).where(pl.col("a").is_in(pl.col("a"))), ["other combinations", "(IsIn)"]),
        (lambda: Space.grid(a=[1]).where(pl.col("a").rank() > 1), ["other combinations", "(Rank)"]),
        (lambda: Space.grid(a=[1]).where(pl.len() > 1), ["other combinations", "(Len)"]),
        (lambda: Space.grid(a=[1]).where(pl.col("a").sum().over("a") > 1), ["other combinations", "(over)"]),
        (
            lambda: Space.grid(a=[1]).where(pl.lit(pl.Series([1])) == pl.col("a")),
            ["other combinations", "a series"],
        ),
        (lambda: Space.grid(a=[1]).where(True), ["condition", 'pl.col("a")']),  # type: ignore[arg-type]
        (lambda: len(Space.grid(a=[1]).where(pl.col("a") + 1)), ["condition", "true or false"]),
        (lambda: len(Space.grid(a=["x"]).where(pl.col("a") > 1)), ["condition", "a"]),
        (lambda: Space.grid(a=[1, 2]).parameters(2), ["no combination 2", "from 0 to 1"]),
        (lambda: Space.grid(a=[1, 2]).parameters(-1), ["no combination -1", "from 0 to 1"]),
        (lambda: Space.grid(a=[1, 2]).parameters("b"), ["no combination 'b'"]),  # type: ignore[arg-type]
        (lambda: Space.grid(a=[1, 2]).values("b"), ["'b'", "a"]),
    ],
)
def test_an_error_names_field_value_and_remedy(make: Any, words: list[str]) -> None:
    with pytest.raises(SpaceError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)
    assert "Hint:" in str(caught.value)
    assert isinstance(caught.value, bk.BkError)


def test_only_spaces_can_be_crossed() -> None:
    with pytest.raises(TypeError):
        Space.grid(a=[1]) * 3  # type: ignore[operator]


@pytest.mark.parametrize(
    "ends", [(0, 2**64 - 1), (-(2**63), 0), (0, 10**400), (-1e308, 1e308), (0.0, float("inf"))]
)
def test_a_range_fits_into_the_numbers_of_the_machine(ends: tuple[Any, Any]) -> None:
    with pytest.raises(SpaceError, match=r"fall=.* is no range"):
        Space.random(5, fall=ends)
    assert len({Space.random(9, fall=(0, 2**62)).parameters(k)["fall"] for k in range(9)}) == 9


@pytest.mark.parametrize(
    "axis", [range(10**12), range(10**400), itertools.count()], ids=["long", "longer", "endless"]
)
def test_an_axis_without_end_is_refused(axis: Any) -> None:
    for make in (Space.grid, Space.zip):
        with pytest.raises(SpaceError, match="the axis a has more than 5,000,000 values"):
            make(a=axis)
    with pytest.raises(SpaceError, match="the axis a has more than"):
        Space.random(5, a=axis)
