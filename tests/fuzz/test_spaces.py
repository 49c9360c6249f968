"""Spaces of odd axes and conditions: each is refused, or numbers its combinations the same however it is cut."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import numpy as np
import polars as pl

from bkapi import Space
from tests.fuzz.harness import counts, one_of, tries

_VALUES: list[Any] = [
    *(
        0,
        1,
        -1,
        2,
        3,
        7,
        0.5,
        1.5,
        -0.0,
        1e300,
        5e-324,
        math.nan,
        math.inf,
        -math.inf,
        2**63 - 1,
        2**64,
        10**400,
    ),
    *(None, True, False, "a", "", "ä", b"x", [1], {"a": 1}, (1, 2), np.int64(3), np.float32(0.1), object),
]
_NAMES = ["a", "b", "fast", "slow", "take_profit_percent", "", "ä b", "len"]
_CONDITIONS: list[Any] = [
    *(
        lambda c: c > 1,
        lambda c: c.is_null(),
        lambda c: c == c,
        lambda c: c.is_in([1, 2]),
        lambda c: ~(c > 1),
    ),
    *(
        lambda c: c.cast(pl.String) != "1",
        lambda c: c.mean() > 1,
        lambda c: c.shift(1) > 0,
        lambda c: c > c.max(),
    ),
    *(
        lambda c: c.rank() > 1,
        lambda c: c.cum_sum() > 1,
        lambda c: c.sort() > 1,
        lambda c: c.is_unique(),
        lambda c: c,
    ),
    *(
        lambda c: pl.len() > 1,
        lambda c: c.sum().over(c) > 1,
        lambda c: pl.lit(True),
        lambda c: True,
        lambda c: None,
    ),
    *(lambda c: c.map_batches(lambda s: s > 0), lambda c: c.reverse() > 1, lambda c: pl.col("nobody") > 1),
]


def _axis(dice: Random) -> Any:
    if dice.random() < 0.15:
        return one_of(
            dice, [(1, 5), (0.5, 2.0), (5, 1), (0, 2**64 - 1), (1,), (), "abc", 5, None, {1: 2}, range(3)]
        )
    plain = dice.random() < 0.5
    pool = [1, 2, 3, 5, 8] if plain else _VALUES
    return [one_of(dice, pool) for _ in range(dice.randrange(0, 6))]


def _space(dice: Random) -> Space:
    axes = {one_of(dice, _NAMES): _axis(dice) for _ in range(dice.randrange(1, 4))}
    kind = dice.random()
    if kind < 0.5:
        made = Space.grid(**axes)
    elif kind < 0.7:
        made = Space.zip(**axes)
    else:
        count = one_of(dice, [1, 5, 0, -1, 1.5, "3", None, 5000])
        logged = one_of(dice, [(), (), (), ["a"], ["nobody"], 5])
        made = Space.random(count, seed=one_of(dice, [0, 1, -1, 2**70, "x"]), log=logged, **axes)
    if dice.random() < 0.2:
        made = made * Space.grid(other=[1, 2])
    while dice.random() < 0.4:
        condition = one_of(dice, _CONDITIONS)
        made = made.where(condition(pl.col(one_of(dice, made.names)) if made.names else pl.lit(1)))
    return made


def _attempt(dice: Random) -> None:
    space = _space(dice)
    whole, columns = space.columns(0, space.size)
    step = max(1, space.size // 3)
    cut = [n for first in range(0, space.size, step) for n in space.columns(first, first + step)[0].tolist()]
    assert cut == whole.tolist(), f"{space!r} keeps {len(whole)} combinations whole and {len(cut)} cut"
    assert len(space) == len(whole), f"{space!r} has length {len(space)} and {len(whole)} combinations"
    for number in whole[:3].tolist():
        assert set(space.parameters(number)) == set(space.names), f"other parameters of {space!r} at {number}"
    for name, column in columns.items():
        column.series(name)
    repr(space)
    _ = space.fingerprint


@counts
def test_a_space_is_refused_or_the_same_however_it_is_cut(count: int) -> None:
    ends = tries("spaces", count, _attempt)
    assert count // 20 < ends["accepted"] < count - count // 20
