"""Converts moments: aware UTC ``datetime`` in the API, integer milliseconds UTC inside."""

from __future__ import annotations

import re
import sys
import time
from datetime import UTC, date, datetime, timedelta
from numbers import Integral
from typing import Any, TypeAlias

from bkapi.errors import MomentError
from bkcore.errors import shown
from bkcore.intervals import MINUTE_MS, interval_start

#: Everything a user may name a moment with: a datetime (naive = UTC), a date (its midnight UTC), milliseconds
#: since the epoch, or ISO 8601 text; integers and datetimes of NumPy as well.
Moment: TypeAlias = datetime | date | int | str

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_datetime(moment: Moment) -> datetime:
    """The aware UTC datetime of ``moment``; raises :class:`MomentError` when it is none."""
    try:
        value = _of_text(moment) if isinstance(moment, str) else _of_numpy(moment)
        if isinstance(value, datetime):
            if value == value:  # the NaT of pandas is a datetime, but not itself
                return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        elif isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        elif not isinstance(value, bool) and isinstance(value, Integral):
            return from_ms(int(value))
    except (ValueError, OverflowError):
        pass
    raise MomentError(
        f"{shown(moment)} is not a moment in time.",
        hint="give a datetime (naive = UTC), ms since 1970 as int, or ISO text as '2024-01-31T12:00'.",
    )


#: No zone is farther ahead of or behind UTC.
_FARTHEST_ZONE = timedelta(hours=14)


def _of_text(moment: str) -> datetime:
    """The datetime of ISO text; raises ``ValueError`` for other text, and for a zone that does not exist."""
    value = datetime.fromisoformat(moment)
    ahead = value.utcoffset() or timedelta(0)
    if abs(ahead) > _FARTHEST_ZONE or re.search(r"\d[+-]\d\d:?[6-9]\d$", moment[10:]):
        raise ValueError("there is no such zone")
    return value


def _of_numpy(moment: Any) -> Any:
    """A datetime of NumPy as one of Python, or as ms where it is finer; anything else as it is."""
    numpy = sys.modules.get("numpy")  # a datetime of NumPy cannot exist unless NumPy was imported
    if numpy is None or not isinstance(moment, numpy.datetime64):
        return moment
    if numpy.datetime_data(moment.dtype)[0] in ("ns", "ps", "fs", "as"):
        return int(moment.astype("datetime64[ms]").astype("int64"))  # NaT is far outside of all years
    value = moment.item()
    return (
        value if isinstance(value, date) else None
    )  # outside of the years of Python it is a count of its unit


def to_ms(moment: Moment) -> int:
    """Milliseconds UTC of ``moment``, parts of a millisecond cut off; raises :class:`MomentError`."""
    return (to_datetime(moment) - _EPOCH) // _MILLISECOND


def from_ms(timestamp: int) -> datetime:
    """The aware UTC datetime of ``timestamp`` (ms UTC), exact."""
    return _EPOCH + timedelta(0, 0, 0, timestamp)


def now_ms() -> int:
    """Wall clock in ms UTC."""
    return time.time_ns() // 1_000_000


def this_minute_ms() -> int:
    """Wall clock in ms UTC, floored to the minute."""
    return now_ms() // MINUTE_MS * MINUTE_MS


def align_to_interval(moment: Moment, interval: str) -> datetime:
    """Start of the ``interval`` that ``moment`` lies in, an aware UTC datetime (spec engine.md 14).

    Intervals are counted from the Unix epoch. Raises :class:`UnknownIntervalError` for an unknown one and
    :class:`MomentError` for what is no moment.
    """
    return from_ms(interval_start(to_ms(moment), interval))
