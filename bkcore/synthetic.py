"""Invents candles from a seed: a market with fat tails, clustered volatility, daily rhythm and jumps.

It uses the raw bits of PCG64 and only additions, multiplications, divisions, square roots and
roundings, whose results IEEE-754 defines to the last bit: one seed gives the same candles on every platform.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from numbers import Real
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bkcore.candles.checks import FloatColumn
from bkcore.candles.errors import CandleError, CandleFileError, shown
from bkcore.candles.frame import CandleFrame
from bkcore.intervals import MINUTE_MS

MINUTES_PER_DAY = 1440
MINUTES_PER_YEAR = 365 * MINUTES_PER_DAY

#: Trading activity at each full hour UTC, mean 1: quiet before Europe wakes, busiest when New York opens.
HOURLY_ACTIVITY = np.array(
    [1.02, 0.98, 0.90, 0.80, 0.73, 0.70, 0.76, 0.86, 0.91, 0.89, 0.86, 0.88,
     1.05, 1.28, 1.62, 1.52, 1.36, 1.21, 1.13, 1.10, 1.04, 0.86, 0.78, 0.76]
)  # fmt: skip

# Two-component GARCH in units of the mean variance: a fast part that forgets half within minutes and a slow
# part that does so within days. Chosen so that the autocorrelation of |return| (BTCUSDT 2024: 0.36 after a
# minute, 0.20 after an hour, 0.12 after a day) and the mean range (1.57 times the mean |return|) come near.
_FAST_SHOCK, _FAST_MEMORY = 0.10, 0.86
_SLOW_SHOCK, _SLOW_MEMORY = 0.010, 0.9998
_LEAST_VARIANCE = 0.02
_EXCURSION = 0.65

_LARGEST_RETURN = 0.5
_LONGEST_OUTAGE = 120

#: What made the bundled sample, see ``generate_sample``.
SAMPLE_SEED = 20_240_101
SAMPLE_DAYS = 60
_SAMPLE = Path(__file__).resolve().parents[1] / "data" / "synthetic_btcusdt_1m.parquet"


class Streams(NamedTuple):
    """Independent random bits for each purpose from one seed: other jumps or outages leave the rest as it is."""

    returns: np.random.PCG64
    jumps: np.random.PCG64
    jump_sizes: np.random.PCG64
    highs: np.random.PCG64
    lows: np.random.PCG64
    volumes: np.random.PCG64
    outages: np.random.PCG64


def generate(
    *,
    symbol: str = "BTCUSDT",
    start: datetime | str = "2024-01-01",
    minutes: int = 7 * MINUTES_PER_DAY,
    seed: int = 0,
    price: float = 42_000.0,
    annual_volatility_percent: float = 55.0,
    annual_drift_percent: float = 0.0,
    clustering: float = 1.0,
    daily_rhythm: float = 1.0,
    mean_volume: float = 25.0,
    jumps: float = 0.5,
    jump_percent: float = 0.7,
    gaps: int = 0,
    price_decimals: int = 2,
    volume_decimals: int = 3,
) -> CandleFrame:
    """A synthetic 1m market; equal arguments give equal bits, and more ``minutes`` continue the same market.

    start                        first open time, UTC: a datetime or ISO text, on a full minute
    seed                         any integer from 0 on; each is another market
    price                        first open, quote currency
    annual_volatility_percent    a year's standard deviation of returns, on average and without the jumps
    annual_drift_percent         expected growth a year, simple
    clustering                   0: constant volatility; 1: calm and wild times as in BTCUSDT 2024
    daily_rhythm                 0: all hours alike; 1: ``HOURLY_ACTIVITY`` drives volume and volatility
    mean_volume                  base currency a minute, roughly
    jumps, jump_percent          how many a day on average, and the standard deviation of their size
    gaps                         outages of 1 to 120 minutes; the frame then has holes, as by ``gaps="keep"``

    Each candle opens at the close before. Raises :class:`CandleError` for an argument out of range.
    """
    first = _first_minute(start)
    for name, value, kind, least, most in (
        ("minutes", minutes, int, 1, 100 * MINUTES_PER_YEAR),
        ("seed", seed, int, 0, math.inf),
        ("price", price, Real, 1e-9, 1e12),
        ("annual_volatility_percent", annual_volatility_percent, Real, 0, 100_000),
        ("annual_drift_percent", annual_drift_percent, Real, -100_000, 100_000),
        ("clustering", clustering, Real, 0, 1),
        ("daily_rhythm", daily_rhythm, Real, 0, 1),
        ("mean_volume", mean_volume, Real, 0, 1e12),
        ("jumps", jumps, Real, 0, MINUTES_PER_DAY),
        ("jump_percent", jump_percent, Real, 0, 100),
        ("gaps", gaps, int, 0, minutes // 4),
        ("price_decimals", price_decimals, int, 0, 12),
        ("volume_decimals", volume_decimals, int, 0, 12),
    ):
        if not isinstance(value, kind) or not least <= float(value) <= most:
            wanted = "an integer" if kind is int else "a number"
            raise CandleError(
                f"synthetic: {name}={shown(value)}, but it must be {wanted} from {least:,} to {most:,}.",
                hint="see the docstring of synthetic.generate.",
            )

    unit = annual_volatility_percent / 100.0 / math.sqrt(MINUTES_PER_YEAR)
    drift = annual_drift_percent / 100.0 / MINUTES_PER_YEAR
    streams = Streams(*map(np.random.PCG64, np.random.SeedSequence(seed).spawn(len(Streams._fields))))
    activity = _activity((first // MINUTE_MS + np.arange(minutes)) % MINUTES_PER_DAY, daily_rhythm)
    shocks = _normals(streams.returns, minutes)
    jumped = _uniforms(streams.jumps, minutes) < jumps / MINUTES_PER_DAY
    leaps = np.where(jumped, _normals(streams.jump_sizes, minutes) * (jump_percent / 100.0), 0.0)
    scale = unit * np.sqrt(activity)
    felt = leaps / scale if unit > 0.0 else np.zeros(minutes)
    variance = _clustered_variance(shocks, felt, clustering)
    spread = scale * np.sqrt(variance)
    returns = np.clip(spread * shocks + leaps + drift, -_LARGEST_RETURN, _LARGEST_RETURN)

    tick = 1.0 / 10**price_decimals
    columns: dict[str, NDArray[np.generic]] = {
        "timestamp": first + MINUTE_MS * np.arange(minutes, dtype=np.int64)
    }
    with np.errstate(over="ignore", invalid="ignore"):  # CandleFrame refuses prices that overflow
        close = price * np.cumprod(1.0 + returns)
        opened = np.concatenate(([price], close[:-1]))
        up = np.sqrt(returns * returns + _chi_square(streams.highs, _EXCURSION * spread))
        down = np.sqrt(returns * returns + _chi_square(streams.lows, _EXCURSION * spread))
        high = np.maximum(opened * (1.0 + 0.5 * (returns + up)), np.maximum(opened, close))
        low = np.minimum(opened * (1.0 + 0.5 * (returns - down)), np.minimum(opened, close))
        for name, column in (("open", opened), ("high", high), ("low", low), ("close", close)):
            columns[name] = np.maximum(np.round(column, price_decimals), tick)
    bursts = _chi_square(streams.volumes, np.ones(2 * minutes)).reshape(minutes, 2).T
    mood = mean_volume * activity * np.sqrt(variance) * (0.4 + 0.75 * np.abs(shocks))
    columns["volume"] = np.round(mood * 0.25 * (bursts[0] + bursts[1]), volume_decimals)
    if gaps:
        present = _present(streams.outages, minutes, gaps)
        columns = {name: column[present] for name, column in columns.items()}
    return CandleFrame(
        columns,
        symbol=symbol,
        gaps="keep" if gaps else "raise",
        timestamp_unit="ms",
        price_anomaly_factor=math.inf,
    )


def _first_minute(start: datetime | str) -> int:
    """``start`` in UTC ms."""
    try:
        moment = datetime.fromisoformat(start) if isinstance(start, str) else start
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (aware - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    except (AttributeError, TypeError, ValueError):
        seconds = -1.0
    if seconds < 0.0 or seconds % 60.0:
        raise CandleError(
            f"synthetic: start={shown(start)}, but it must be a full minute since 1970.",
            hint="give a datetime or ISO text, e.g. start='2024-01-01'.",
        )
    return int(seconds) * 1000


def _activity(minute_of_day: NDArray[np.int64], daily_rhythm: float) -> FloatColumn:
    """``HOURLY_ACTIVITY`` interpolated between the hours, flattened towards 1 as ``daily_rhythm`` goes to 0."""
    hour, into = minute_of_day // 60, (minute_of_day % 60) / 60.0
    table = HOURLY_ACTIVITY[hour] * (1.0 - into) + HOURLY_ACTIVITY[(hour + 1) % 24] * into
    return np.asarray(1.0 + daily_rhythm * (table - 1.0), dtype=np.float64)


def _clustered_variance(shocks: FloatColumn, felt: FloatColumn, clustering: float) -> FloatColumn:
    """Each minute's variance in units of its mean; jumps (``felt``, in deviations) excite the fast part."""
    fast_shock, slow_shock = clustering * _FAST_SHOCK, clustering * _SLOW_SHOCK
    variance = slow = 1.0
    variances: list[float] = []
    for shock, leap in zip(shocks.tolist(), felt.tolist(), strict=True):
        variances.append(variance)
        own = variance * (shock * shock)
        both = math.sqrt(variance) * shock + leap
        next_slow = 1.0 + _SLOW_MEMORY * (slow - 1.0) + slow_shock * (own - variance)
        variance = max(
            next_slow + fast_shock * (both * both - slow) + _FAST_MEMORY * (variance - slow), _LEAST_VARIANCE
        )
        slow = max(next_slow, _LEAST_VARIANCE)
    return np.array(variances)


def _present(outages: np.random.PCG64, minutes: int, gaps: int) -> NDArray[np.bool_]:
    """Which minutes exist: one outage inside each of ``gaps`` equal stretches, none at either end."""
    present = np.ones(minutes, dtype=np.bool_)
    stretch = (minutes - 2) // gaps
    draws = outages.random_raw(2 * gaps).astype(object).reshape(gaps, 2)
    for at, (length_draw, place_draw) in enumerate(draws):
        length = 1 + length_draw % min(_LONGEST_OUTAGE, stretch - 1)
        place = 1 + at * stretch + place_draw % (stretch - length)
        present[place : place + length] = False
    return present


def _uniforms(bits: np.random.PCG64, count: int) -> FloatColumn:
    """f8[count] in [0, 1), each from 53 bits."""
    return np.asarray(bits.random_raw(count) >> np.uint64(11), dtype=np.float64) * 2.0**-53


def _normals(bits: np.random.PCG64, count: int) -> FloatColumn:
    """f8[count], nearly normal: twelve uniforms of 32 bits, summed as integers (Irwin-Hall)."""
    words = bits.random_raw(6 * count).reshape(count, 6)
    total = (words >> np.uint64(32)).sum(axis=1) + (words & np.uint64(0xFFFFFFFF)).sum(axis=1)
    return np.asarray(total, dtype=np.float64) / 2.0**32 - 6.0


def _chi_square(bits: np.random.PCG64, scale: FloatColumn) -> FloatColumn:
    """f8[n]: the squared length of two normals of deviation ``scale``; it drives how far a minute strays."""
    pairs = _normals(bits, 2 * scale.size)
    first, second = scale * pairs[0::2], scale * pairs[1::2]
    return np.asarray(first * first + second * second, dtype=np.float64)


def sample_path() -> Path:
    """The path of the bundled sample file beside the package; raises :class:`CandleFileError` where there is none."""
    if not _SAMPLE.is_file():
        raise CandleFileError(
            f"{_SAMPLE.name!r} is not in {str(_SAMPLE.parent)!r}: only the source tree carries it.",
            hint="synthetic.sample() makes the same candles anywhere.",
        )
    return _SAMPLE


def sample() -> CandleFrame:
    """The bundled sample, BTCUSDT 1m: read from the file beside the package, or generated without it."""
    return CandleFrame.read(_SAMPLE) if _SAMPLE.is_file() else generate_sample()


def generate_sample() -> CandleFrame:
    """Make the bundled sample anew; equal to the file bit for bit."""
    return generate(minutes=SAMPLE_DAYS * MINUTES_PER_DAY, seed=SAMPLE_SEED)
