"""Tries seeded inputs at a door: each has to end right, or in one of our own errors."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from bkcore.errors import BkError

Dice = np.random.Generator


def try_inputs(
    door: str, count: int, attempt: Callable[[Dice], str | None], *, seed: int = 0
) -> Counter[str]:
    """Call ``attempt(dice)`` with ``count`` seeds and print how they ended; fails on what is wrong or not ours.

    An attempt returns what is wrong with its outcome, or None; a :class:`BkError` that says something is a refusal.
    """
    ends: Counter[str] = Counter()
    wrong: list[str] = []
    for k in range(count):
        try:
            problem = attempt(np.random.default_rng([seed, k]))
            ends["wrong" if problem else "right"] += 1
        except BkError as error:
            ends["refused"] += 1
            problem = None if str(error).strip() else "an error without words"
        except Exception as error:
            ends["foreign"] += 1
            problem = "".join(traceback.format_exception(error)[-3:])
        if problem:
            wrong.append(f"input {k}: {problem}")
    print(f"{door}: {count} inputs, {dict(ends)}")
    assert not wrong, f"{len(wrong)} of {count} inputs at the door {door}:\n" + "\n".join(wrong[:5])
    assert ends["right"] > count // 20, f"hardly an input of {door} was a good one: {dict(ends)}"
    assert ends["refused"] > count // 20, f"hardly an input of {door} was refused: {dict(ends)}"
    return ends


def one_of(dice: Dice, things: Any) -> Any:
    """One of the things, as it is."""
    return things[int(dice.integers(len(things)))]
