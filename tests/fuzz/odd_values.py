"""Values that a door may be given by mistake."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import numpy as np
import pandas

START = 1_704_067_200_000  # 2024-01-01 00:00 UTC
MINUTE = 60_000


def odd_number(dice: Random) -> Any:
    """A number: usual, huge, tiny, or none at all."""
    return dice.choice(
        (
            *(0, 1, -1, 5, 0.5, -0.0, 1e-320, 1e308, -1e308, math.inf, -math.inf, math.nan),
            *(2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64, 10**15, 10**400, 10**5000, 1.6e14),
            *(
                True,
                False,
                Decimal("0.1"),
                Fraction(1, 3),
                np.int64(7),
                np.float32(0.1),
                np.uint64(2**64 - 1),
            ),
            dice.uniform(-10, 10),
            dice.randint(-100, 100_000),
        )
    )


def odd_moment(dice: Random) -> Any:
    """A moment: near START, at the edges of time, in another unit, or none at all."""
    near = START + dice.randint(-10, 300) * MINUTE
    return dice.choice(
        (
            near,
            near + dice.randint(-MINUTE, MINUTE),
            datetime.fromtimestamp(near / 1000, UTC),
            datetime.fromtimestamp(near / 1000, timezone(timedelta(hours=dice.randint(-12, 14)))),
            pandas.Timestamp(near, unit="ms"),
            np.datetime64(near, "ms"),
            near // 1000,
            near * 1000,
            near * 1_000_000,
            float(near),
            *(datetime.min, datetime.max, datetime.min.replace(tzinfo=UTC), date.min, date.max),
            *(pandas.NaT, np.datetime64("NaT"), np.datetime64(2**62, "s"), pandas.Timestamp.max),
            *("2024-01-01", "2024-01-01T00:00+99:99", "0001-01-01", "9999-12-31T23:59", "soon", ""),
            odd_thing(dice),
        )
    )


def odd_thing(dice: Random) -> Any:
    """Anything."""
    return dice.choice(
        (
            *(
                None,
                "",
                "abc",
                "5",
                b"5",
                [],
                {},
                (),
                set(),
                object(),
                print,
                int,
                np.array([1, 2]),
                np.array(3.0),
            ),
            *(float, "long", "\udcff", "x" * 5000, [None], {"a": 1}, range(3)),
            odd_number(dice),
        )
    )
