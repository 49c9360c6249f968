"""Random markets and signals: flat stretches, silence, jumps, holes, limit prices, repeated ids, bad fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from bkcore.codes import Given
from bkcore.market import Market
from bkcore.records import SIGNAL
from bkcore.run import Frame
from bkcore.settings import EngineSettings

START = 1_704_067_200_000
MINUTE = 60_000


@dataclass(frozen=True)
class Case:
    """Everything a run is made of."""

    market: Market
    settings: EngineSettings
    frame: Frame
    signals: Any
    interval_ms: int


def market_of(seed: int, minutes: int, *, scale: float, flat: float, silent: float, holes: int) -> Market:
    """A random walk of ``minutes`` candles; ``flat`` and ``silent`` are shares, ``holes`` are cut out."""
    random = np.random.default_rng(seed)
    steps = random.normal(0.0, 0.002, minutes) * (random.random(minutes) > flat)
    steps += random.normal(0.0, 0.02, minutes) * (random.random(minutes) < 0.01)
    close = scale * np.exp(np.cumsum(steps))
    if seed % 3 == 0:
        close = np.round(close / scale * 64) / 64 * scale  # a coarse grid, where prices meet levels exactly
    reach = close * np.abs(random.normal(0.0, 0.001, minutes)) * (random.random(minutes) > flat)
    volume = random.random(minutes) * (random.random(minutes) >= silent)
    kept = np.ones(minutes, np.bool_)
    for start in random.integers(20, minutes, holes):
        kept[start : start + random.integers(1, 40)] = False
    kept[[0, -1]] = True
    times = START + np.arange(minutes) * MINUTE
    columns = (times, close, close + reach, close - reach, close, volume)
    return Market("BTCUSDT", *(np.ascontiguousarray(column[kept]) for column in columns))


@st.composite
def cases(draw: st.DrawFn, *, holes: bool = True) -> Case:
    """A market, a frame on it, settings and candidates that fit into the market's reach."""
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    minutes = draw(st.integers(80, 700))
    scale = draw(st.sampled_from([100.0, 1e-8, 1e9, 43_210.7]))
    market = market_of(
        seed,
        minutes,
        scale=scale,
        flat=draw(st.sampled_from([0.0, 0.5, 0.95])),
        silent=draw(st.sampled_from([0.0, 0.3])),
        holes=draw(st.integers(0, 3)) if holes else 0,
    )
    endless = draw(st.booleans())
    settings = EngineSettings(
        average_candles=draw(st.integers(1, 10)),
        chunk_candles=draw(st.sampled_from([12, 40, 1000])),
        await_minutes=draw(st.sampled_from([3, 20, 120])),
        max_lifetime_minutes=np.inf if endless else 1440.0,
        min_take_profit_percent=0.2,
        min_stop_loss_percent=0.2,
        fee_percent=draw(st.sampled_from([0.0, 0.1])),
        slippage_percent=draw(st.sampled_from([0.0, 0.1])),
    )
    interval = draw(st.sampled_from([1, 3, 5, 15])) * MINUTE
    step = draw(st.sampled_from([1, 1, 1, 3, 5, 30])) * MINUTE
    first = START + draw(st.integers(10, 20)) * MINUTE
    frame = Frame.between(first, START + (minutes - 2) * MINUTE, step)
    count = draw(st.integers(0, 60))
    times = np.sort(random.integers(10, minutes, count)) * MINUTE + START
    if draw(st.booleans()):
        times = times // interval * interval
    signals = np.zeros(count, SIGNAL)
    signals["time"] = times
    signals["id"] = np.where(random.random(count) < 0.3, random.integers(0, 4, count), -1)
    signals["side"] = random.choice([1, -1, 1, -1, 1, -1, 0], count)
    row = np.searchsorted(market.timestamps, times).clip(1, len(market) - 1) - 1
    price = market.close[row]
    percents = bool(draw(st.booleans()))
    take, stop = random.uniform(0.1, 4.0, count), random.uniform(0.1, 4.0, count)
    if percents:
        signals["take_profit"], signals["stop_loss"] = take, stop
    else:
        signals["take_profit"] = price * (1 + signals["side"] * take / 100)
        signals["stop_loss"] = price * (1 - signals["side"] * stop / 100)
    limited = random.random(count) < 0.3
    signals["price_open"] = price * (1 - signals["side"] * random.uniform(-0.3, 0.8, count) / 100)
    signals["lifetime"] = np.where(
        endless & (random.random(count) < 0.5), np.inf, random.integers(0, 200, count).astype(float)
    )
    signals["cost"] = random.choice([100.0, 250.0, 0.0], count, p=[0.6, 0.35, 0.05])
    given = np.where(limited, int(Given.PRICE_OPEN), 0) | int(Given.LIFETIME)
    given |= np.where(random.random(count) < 0.5, int(Given.COST), 0)
    given |= int(Given.PERCENT_LEVELS) if percents else 0
    given |= np.where(random.random(count) < 0.05, int(Given.NOTHING), 0)
    given |= np.where(random.random(count) < 0.03, int(Given.FOREIGN_SYMBOL), 0)
    signals["given"] = given
    return Case(market, settings, frame, signals, interval)
