"""Converts moments: aware UTC ``datetime`` in the API, integer milliseconds UTC inside."""

from __future__ import annotations

import sys
import time
from datetime import UTC, date, datetime, timedelta
from numbers import Integral
from typing import Any, TypeAlias

from bkapi.errors import MomentError
from bkcore.intervals import MINUTE_MS, interval_start

#: Everything a user may name a moment with: a datetime (naive = UTC), a date (its midnight UTC), milliseconds
#: since the epoch, or ISO 8601 text; integers and datetimes of NumPy as well.
Moment: TypeAlias = datetime | date | int | str

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_datetime(moment: Moment) -> datetime:
    """The aware UTC datetime of ``moment``; raises :class:`MomentError` when it is none."""
    try:
        if isinstance(moment, datetime):
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        if isinstance(moment, date):
            return datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
        if isinstance(moment, str):
            return to_datetime(datetime.fromisoformat(moment))
        whole = _whole(moment)
        if whole is not None:
            return _EPOCH + timedelta(milliseconds=whole)
    except (ValueError, OverflowError):
        pass
    raise MomentError(
        f"{moment!r} is not a moment in time.",
        hint="give a datetime (naive = UTC), ms since 1970 as int, or ISO text as '2024-01-31T12:00'.",
    )


def _whole(moment: Any) -> int | None:
    """Milliseconds of an integer or of a datetime of NumPy; None for anything else."""
    numpy = sys.modules.get("numpy")  # a datetime of NumPy cannot exist unless NumPy was imported
    if numpy is not None and isinstance(moment, numpy.datetime64):
        return int(moment.astype("datetime64[ms]").astype("int64"))
    return None if isinstance(moment, bool) or not isinstance(moment, Integral) else int(moment)


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
