"""What does a row of a signal frame ask for at real prices? Entries, exits and sides to hold (spec fills.md 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bkcore.machine.codes import Exits, Given
from bkcore.machine.signal_frames import (
    SignalFrameError,
    flags,
    given,
    is_text,
    numbers,
    refuse,
    sides,
)

if TYPE_CHECKING:
    import polars as pl

#: How a frame can say when to enter and when to leave.
_BOOLEANS = ("enter_long", "enter_short", "exit_long", "exit_short")
_WAYS = (("position", "exit"), ("target",), _BOOLEANS)
_CHOICE = f"use one: position (and exit), target, or {', '.join(_BOOLEANS)}."


class Wish(NamedTuple):
    """What rows ask for: int8[n] side and ``Exits``, int16[n] the bits ``Given.TARGET`` and ``Given.NOTHING``."""

    side: NDArray[np.int8]
    exits: NDArray[np.int8]
    bits: NDArray[np.int16]


def read_wish(frame: pl.DataFrame) -> Wish:
    """What each row asks for, by ``position``, ``target`` or booleans.

    Raises :class:`SignalFrameError` for a frame that has none of them, or two, and for the first row with a value that
    the column may not hold.
    """
    used = {way[0]: [name for name in way if name in frame.columns] for way in _WAYS}
    used = {way: names for way, names in used.items() if names}
    if len(used) > 1:
        one, other = [names[0] for names in used.values()][:2]
        raise SignalFrameError(f"the signal frame has both {one!r} and {other!r}.", hint=_CHOICE)
    if not used:
        raise SignalFrameError(
            "the signal frame says nowhere what to do: it needs a column 'position', 'target', or 'enter_long' and "
            "'enter_short'.",
            hint=_CHOICE,
        )
    if used == {"position": ["exit"]}:
        raise SignalFrameError("the signal frame has 'exit', but no 'position'.", hint=_CHOICE)
    [way] = used
    return _READERS[way](frame)


def _by_position(frame: pl.DataFrame) -> Wish:
    position = frame["position"]
    side = sides(position)
    refuse(position, np.isnan(side), "", "use 'long', 'short', 1, -1 or null.")
    exits = np.zeros(side.size, np.int8)
    if "exit" in frame.columns:
        leave = frame["exit"]
        if is_text(leave):
            left = sides(leave)
            refuse(leave, np.isnan(left), "", "use 'long', 'short' or null; true for both sides.")
            exits = np.where(left > 0, np.int8(Exits.LONG), (left < 0) * np.int8(Exits.SHORT))
        else:
            exits = flags(leave) * np.int8(Exits.BOTH)
    return Wish(side.astype(np.int8), exits, (side == 0) * np.int16(Given.NOTHING))


def _by_target(frame: pl.DataFrame) -> Wish:
    column = frame["target"]
    target, is_given = numbers(column), given(column)
    wrong = is_given & (target != 0.0) & (np.abs(target) != 1.0)
    refuse(column, wrong, "", "use 1 (long), 0 (flat), -1 (short), or null for no change.")
    side = np.where(is_given, target, 0.0).astype(np.int8)
    bits = np.where(is_given, np.int16(Given.TARGET), np.int16(Given.NOTHING))
    return Wish(side, np.zeros(side.size, np.int8), bits)


def _by_booleans(frame: pl.DataFrame) -> Wish:
    enter_long, enter_short, exit_long, exit_short = (
        flags(frame[name]) if name in frame.columns else np.zeros(frame.height, np.bool_)
        for name in _BOOLEANS
    )
    both = enter_long & enter_short
    if both.any():
        remedy = "a row enters one side: make one of them false."
        refuse(frame["enter_short"], both, " beside 'enter_long'", remedy)
    side = enter_long.astype(np.int8) - enter_short.astype(np.int8)
    exits = exit_long * np.int8(Exits.LONG) + exit_short * np.int8(Exits.SHORT)
    return Wish(side, exits, (side == 0) * np.int16(Given.NOTHING))


_READERS = {"position": _by_position, "target": _by_target, "enter_long": _by_booleans}
