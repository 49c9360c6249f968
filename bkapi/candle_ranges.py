"""Which range a request for candles means, and that it never ends after "now" (spec market-data.md 5.2, 5.5, 6, 9)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bkapi.candle_rules import CandleRequestError
from bkapi.moments import Moment, to_ms
from bkcore.intervals import candle_step_ms, interval_start


@dataclass(frozen=True)
class CandleRange:
    """``limit`` candles of ``interval`` from ``since`` (ms UTC, aligned) on."""

    interval: str
    since: int
    limit: int
    step: int

    @property
    def end(self) -> int:
        """Where the last candle ends, ms UTC."""
        return self.since + self.limit * self.step


def _whole(limit: float, interval: str) -> int:
    """``limit`` as a whole number; zero and less are left to the check of the answer."""
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not math.isfinite(limit):
        raise CandleRequestError(f"limit={limit!r} is no number of candles.", hint="give an integer above 0.")
    if limit != int(limit):
        raise CandleRequestError(
            f"candle count mismatch. Expected {limit} candles of {interval}, there are only whole ones.",
            hint="ask for a whole number of candles.",
        )
    return int(limit)


def closed_range(interval: str, limit: int, when_ms: int) -> CandleRange:
    """The ``limit`` candles that closed last at or before ``when_ms``: the one that is forming is never among them."""
    step = candle_step_ms(interval)
    count = _whole(limit, interval)
    return CandleRange(interval, interval_start(when_ms, interval) - count * step, count, step)


def next_range(interval: str, limit: int, when_ms: int) -> CandleRange:
    """The ``limit`` candles from the one that is forming at ``when_ms`` on."""
    step = candle_step_ms(interval)
    return CandleRange(interval, interval_start(when_ms, interval), _whole(limit, interval), step)


def raw_range(
    interval: str,
    limit: int | None,
    start: Moment | None,
    stop: Moment | None,
    when_ms: int,
    *,
    now: str,
    bounded: bool,
) -> CandleRange:
    """The range of the five documented combinations of ``limit``, ``start`` (s_date) and ``stop`` (e_date).

    now       what ``when_ms`` is called in errors
    bounded   whether ``limit`` with both dates has to end at ``e_date``

    Raises :class:`CandleRequestError` for another combination, an empty range, or one that ends after ``when_ms``.
    """
    step = candle_step_ms(interval)
    start_ms, end_ms = (None if date is None else to_ms(date) for date in (start, stop))
    if start_ms is None and (limit is None or end_ms is None):
        if limit is not None:
            return closed_range(interval, limit, when_ms)
        raise _no_combination(limit, start_ms, end_ms)
    if limit is None and end_ms is None:
        raise _no_combination(limit, start_ms, end_ms)
    if start_ms is not None and end_ms is not None and start_ms >= end_ms:
        raise CandleRequestError(
            f"sDate ({start_ms}) must be < eDate ({end_ms})", hint="let the range start before it ends."
        )
    if end_ms is not None and end_ms > when_ms:
        raise _looks_ahead("eDate", end_ms, now, when_ms)
    end = None if end_ms is None else interval_start(end_ms, interval)
    count = None if limit is None else _whole(limit, interval)
    if start_ms is None:
        assert end is not None
        assert count is not None
        return CandleRange(interval, end - count * step, count, step)
    since = interval_start(start_ms, interval)
    if count is None:
        assert end is not None
        count = (end - since) // step
        if count < 1:
            raise CandleRequestError(
                f"calculated limit is {count}, must be > 0", hint="ask for at least one whole candle."
            )
        return CandleRange(interval, since, count, step)
    last = since + count * step
    if last > when_ms:
        raise _looks_ahead("calculated endTimestamp", last, now, when_ms)
    if bounded and end is not None and last > end:
        raise CandleRequestError(
            f"limit ({count}) extends the fetch end ({last}) past aligned eDate ({end})",
            hint="ask for fewer candles, or let the range end later.",
        )
    return CandleRange(interval, since, count, step)


def _no_combination(limit: int | None, start_ms: int | None, end_ms: int | None) -> CandleRequestError:
    return CandleRequestError(
        f"invalid parameter combination: limit={limit}, sDate={start_ms}, eDate={end_ms}.",
        hint="give limit, or s_date and e_date, or limit and one of them, or all three.",
    )


def _looks_ahead(what: str, end: int, now: str, when_ms: int) -> CandleRequestError:
    return CandleRequestError(
        f"{what} ({end}) exceeds {now} ({when_ms}). Look-ahead bias protection.",
        hint="end the range at or before now.",
    )
