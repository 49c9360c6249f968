"""Tries many seeded inputs at a door: each must end right or in one of our own errors. Counts are printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from bkcore.errors import BkError

#: How many inputs a door gets in the suite, and how many ``make fault-soak`` gives it.
counts = pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.soak)])


def tries(door: str, count: int, one: Callable[[Random], object], *, first: int = 0) -> Counter[str]:
    """Call ``one`` with dice that are seeded by ``door`` and ``first``, ``first + 1`` ...; returns how they ended.

    ``one`` raises ``AssertionError`` where the answer is wrong. Whatever else it raises must be a ``BkError`` that says
    something.
    """
    ends: Counter[str] = Counter()
    for seed in range(first, first + count):
        try:
            one(Random(f"{door} {seed}"))
        except KeyboardInterrupt:
            raise
        except BkError as error:
            assert error.message.strip(), f"{door}, seed {seed}: the error says nothing"
            ends[type(error).__name__] += 1
        except BaseException as error:
            raise AssertionError(f"{door}, seed {seed}: {type(error).__name__}: {error}") from error
        else:
            ends["accepted"] += 1
    print(f"{door}: {count:,} inputs, {dict(ends.most_common())}")
    return ends


def one_of(dice: Random, things: Any) -> Any:
    """One of the things, as it is."""
    return things[dice.randrange(len(things))]
