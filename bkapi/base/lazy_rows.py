"""A list whose items are made only when somebody reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar, overload

from bkapi.base.deferred import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")


class LazyRows(Sequence[T]):
    """Items made from their numbers when they are read; equal to any sequence of equal items."""

    __slots__ = ("_make", "_numbers")

    def __init__(self, numbers: Sequence[int] | NDArray[np.int64], make: Callable[[int], T]) -> None:
        self._numbers = numbers
        self._make = make

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> LazyRows[T]: ...

    def __getitem__(self, index: int | slice) -> T | LazyRows[T]:
        if isinstance(index, slice):
            return LazyRows(self._numbers[index], self._make)
        return self._make(int(self._numbers[index]))

    def __iter__(self) -> Iterator[T]:
        return (self._make(int(number)) for number in self._numbers)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LazyRows | list | tuple):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = [repr(item) for item in self[:3]]
        more = [f"... {len(self) - 3:,} more"] if len(self) > 3 else []
        return f"[{', '.join(shown + more)}]"
