"""What can go wrong: one base class, and an error always says what, where, and the way out."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class BkError(Exception):
    """Base of every error this project raises on purpose.

    ``message`` says what is wrong and where; ``hint``, shown on a line of its own, says the way out.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = message
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\nHint: {self.hint}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _as_it_was, (type(self), self.args, self.__dict__)  # whatever arguments the class takes


def _as_it_was(kind: type[BkError], arguments: tuple[Any, ...], state: dict[str, Any]) -> BkError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(state)
    return error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"did you mean 'sma_cross'? "`` for the nearest known name, or an empty string."""
    nearest = get_close_matches(name, list(known), n=1)
    return f"did you mean {nearest[0]!r}? " if nearest else ""


def shown(value: object) -> str:
    """A foreign value as errors show it: its ``repr``, shortened."""
    try:
        return reprlib.repr(value)
    except Exception:  # noqa: BLE001 - a foreign ``repr`` may raise anything, and that of an integer of 5,000 digits does
        return f"<{type(value).__name__}>"


def type_name(value: object) -> str:
    """The type of ``value`` as errors name it: ``list``, or ``pandas.DataFrame`` where other libraries have one too."""
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    return kind.__qualname__ if library in ("builtins", "__main__") else f"{library}.{kind.__qualname__}"
