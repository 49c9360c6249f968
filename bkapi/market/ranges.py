"""Which range of candles does a request mean? It never ends after "now" (spec market-data.md 5.2, 5.5, 6, 9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bkapi.base.config import is_number
from bkapi.base.timestamps import Moment, to_ms
from bkapi.market.answers import CandleRequestError
from bkcore.errors import shown
from bkcore.intervals import UnknownIntervalError, candle_step_ms, interval_start

_LEAST_LIMIT = -1_000_000  # with fewer a range of days begins after the last year of a datetime


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


def whole_limit(limit: Any, what: str = "candles") -> int:
    """``limit`` as a whole number; zero and somewhat less are left to the check of the answer.

    Raises :class:`CandleRequestError` for what is no number, or a fraction of one.
    """
    if not is_number(limit) or limit < _LEAST_LIMIT:
        raise CandleRequestError(
            f"limit={shown(limit)} is no number of {what}.", hint="give an integer above 0."
        )
    whole = int(limit)
    if limit != whole:
        raise CandleRequestError(
            f"candle count mismatch. Expected {shown(limit)} {what}, there are only whole ones.",
            hint=f"ask for a whole number of {what}.",
        )
    return whole


def _step(interval: str) -> int:
    try:
        return candle_step_ms(interval)
    except UnknownIntervalError as error:
        raise UnknownIntervalError(f"ClientExchange {error.message}", hint=error.hint) from None


def _range(interval: str, since: int, limit: int, step: int) -> CandleRange:
    if since < 0:
        raise CandleRequestError(
            f"{limit:,} candles of {interval} would begin before 1970.", hint="ask for less history."
        )
    return CandleRange(interval, since, limit, step)


def closed_range(interval: str, limit: float, when_ms: int) -> CandleRange:
    """The ``limit`` candles that closed last at or before ``when_ms``, without the one that is forming."""
    step = _step(interval)
    count = whole_limit(limit)
    return _range(interval, interval_start(when_ms, interval) - count * step, count, step)


def next_range(interval: str, limit: float, when_ms: int) -> CandleRange:
    """The ``limit`` candles from the one that is forming at ``when_ms`` on."""
    step = _step(interval)
    return _range(interval, interval_start(when_ms, interval), whole_limit(limit), step)


def raw_range(
    interval: str,
    limit: float | None,
    start: Moment | None,
    stop: Moment | None,
    when_ms: int,
    *,
    now: str,
    bounded: bool,
) -> CandleRange:
    """The range of one of the five documented combinations of ``limit``, ``start`` (s_date) and ``stop`` (e_date).

    now       what errors call ``when_ms``
    bounded   whether ``limit`` with both dates has to end at ``e_date``

    Raises :class:`CandleRequestError` for another combination, an empty range, or one that ends after ``when_ms``.
    """
    step = _step(interval)
    start_ms, end_ms = (None if date is None else to_ms(date) for date in (start, stop))
    if start_ms is not None and end_ms is not None and start_ms >= end_ms:
        raise CandleRequestError(
            f"sDate ({start_ms}) must be < eDate ({end_ms})", hint="let the range start before it ends."
        )
    if end_ms is not None and (limit is not None or start_ms is not None) and end_ms > when_ms:
        raise looks_ahead("eDate", end_ms, now, when_ms)
    since = None if start_ms is None else interval_start(start_ms, interval)
    end = None if end_ms is None else interval_start(end_ms, interval)
    if limit is None:
        if since is None or end is None:
            raise _no_combination(limit, start_ms, end_ms)
        return _range(interval, since, _not_empty((end - since) // step), step)
    if since is None:
        return closed_range(interval, limit, when_ms if end is None else end)
    count = whole_limit(limit)
    last = since + count * step
    if last > when_ms:
        raise looks_ahead("calculated endTimestamp", last, now, when_ms)
    if bounded and end is not None and last > end:
        raise CandleRequestError(
            f"limit ({count}) extends the fetch end ({last}) past aligned eDate ({end})",
            hint="ask for fewer candles, or let the range end later.",
        )
    return _range(interval, since, count, step)


def _not_empty(count: int) -> int:
    if count < 1:
        raise CandleRequestError(
            f"calculated limit is {count}, must be > 0", hint="ask for at least one whole candle."
        )
    return count


def _no_combination(limit: float | None, start_ms: int | None, end_ms: int | None) -> CandleRequestError:
    return CandleRequestError(
        f"invalid parameter combination: limit={shown(limit)}, sDate={start_ms}, eDate={end_ms}.",
        hint="give limit, or s_date and e_date, or limit and one of them, or all three.",
    )


def looks_ahead(what: str, end: int, now: str, when_ms: int) -> CandleRequestError:
    """The error for a moment ``end`` after "now", which ``now`` names."""
    return CandleRequestError(
        f"{what} ({end}) exceeds {now} ({when_ms}). Look-ahead bias protection.",
        hint="end the range at or before now.",
    )
