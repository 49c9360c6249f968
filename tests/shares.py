"""How much of what a test tries has something to say: counted while it runs, and bounded when it ends.

A law over random examples is empty where no example reaches it. A test that calls :func:`share` fails when too few of
its examples did, or when too many took a way around it. ``tests/conftest.py`` begins and ends the counting.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Combinations that a plan of a sweep may leave to a slower one, and so is not tested by: of those with a win and a
#: loss, and of all, since the spread of a single result, or of equal ones, cannot be told from sums.
MOST_UNCLEAR, MOST_UNCLEAR_OF_ALL = 0.1, 0.6


@dataclass
class Share:
    """``hits`` of ``tried``, and the bounds of their share."""

    least: float
    most: float
    hits: int = 0
    tried: int = 0


_shares: dict[str, Share] = {}


def share(what: str, hits: int, tried: int = 1, *, least: float = 0.0, most: float = 1.0) -> None:
    """Count ``hits`` of ``tried``; over the whole test their share is to lie between ``least`` and ``most``.

    Bounds leave room: which examples there are depends on what else is imported.
    ``what`` names the hits in the plural; one test may count several things.
    """
    counted = _shares.setdefault(what, Share(least, most))
    counted.hits += int(hits)
    counted.tried += int(tried)


def begin() -> None:
    """Forget what an earlier test has counted."""
    _shares.clear()


def end() -> None:
    """Fail where a share is out of its bounds, or where nothing was tried at all."""
    for what, one in _shares.items():
        assert one.tried, f"{what}: none were tried"
        found = one.hits / one.tried
        assert one.least <= found <= one.most, (
            f"{what}: {one.hits:,} of {one.tried:,} are {found:.2%}, not {one.least:.2%} to {one.most:.2%}"
        )
