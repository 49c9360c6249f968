"""Jumps over quiet blocks find what a plain search finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from bkcore.machine.price_index import build_index, leaves_band
from tests.rules import from_python

_leaves_band = from_python(leaves_band)


def plain(floors: Any, ceilings: Any, first: int, end: int, low: float, high: float) -> int:
    """The first index outside the band, looked for one by one."""
    outside = np.flatnonzero((floors[first:end] <= low) | (ceilings[first:end] >= high))
    return first + int(outside[0]) if outside.size else max(end, first) if end >= first else end


@pytest.mark.parametrize("size", [1, 15, 16, 17, 64, 255, 256, 257, 4096, 4097, 9000, 70_000])
@given(seed=st.integers(0, 2**32 - 1), width=st.sampled_from([0.0, 0.3, 1.0, 3.0, 10.0, 200.0]))
def test_leaves_band_is_a_search(size: int, seed: int, width: float) -> None:
    random = np.random.default_rng(seed)
    middle = np.cumsum(random.normal(0.0, 0.05, size)) + 100.0
    spread = random.uniform(0.0, 0.1, size)
    floors, ceilings = middle - spread, middle + spread
    if random.random() < 0.3:
        floors = ceilings = middle
    if random.random() < 0.3:
        middle[: min(4, size)] = np.nan
    lows, highs = build_index(floors, ceilings)
    for _ in range(20):
        first, end = sorted(random.integers(0, size + 1, 2).tolist())
        centre = middle[min(first, size - 1)]
        centre = 100.0 if np.isnan(centre) else centre
        low = random.choice([centre - width, -np.inf, floors[random.integers(size)]])
        high = random.choice([centre + width, np.inf, ceilings[random.integers(size)]])
        found = _leaves_band(floors, ceilings, lows, highs, first, end, low, high)
        assert found == plain(floors, ceilings, first, end, low, high)


def test_an_empty_range_ends_where_it_ends() -> None:
    series = np.full(32, 1.0)
    index = build_index(series, series)
    assert _leaves_band(series, series, *index, 20, 10, 2.0, 0.5) == 10
