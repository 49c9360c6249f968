"""What a law is tried on: a random market, a frame, a plan of signals and a configuration.

A market is drawn as a few stretches (flat, walk, trend, zigzag, jump, with or without volume), so that hypothesis
can shrink it and so that the rare things happen often: exact ties, zero volume, gaps through a level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from hypothesis import strategies as st
from numpy.typing import NDArray

from bkapi.base.config import DEFAULTS
from bkapi.schemas.policy import Policy
from bkcore.candles.frame import CandleFrame
from bkcore.intervals import MINUTE_MS, interval_step_ms
from bkcore.machine.market import Market
from bkcore.machine.run import Driver, Frame, Hooks, Run, no_signals
from bkcore.machine.settings import EngineSettings, FillModel
from bkcore.machine.signals import SignalTable, bind_signals
from tests.naive.settings import interval_ms

Column = NDArray[np.float64]
Signal = Mapping[str, Any]

SYMBOL = "BTCUSDT"
MIDNIGHT = 1_700_006_400_000  # 2023-11-15 00:00 UTC
KINDS = ("flat", "walk", "trend", "zigzag", "jump")


@dataclass(frozen=True)
class Stretch:
    """A piece of a market: how the close moves, how far the wicks reach, how much is traded."""

    kind: str
    minutes: int
    percent: float
    wick: float
    volumes: str
    seed: int

    def closes(self, start: float) -> Column:
        """Closes from ``start`` on, f8[minutes]."""
        dice = np.random.default_rng(self.seed)
        steps = np.zeros(self.minutes)
        if self.kind == "walk":
            steps = dice.normal(0.0, self.percent / 4, self.minutes)
        elif self.kind == "trend":
            steps[:] = self.percent / self.minutes * (1 if self.seed % 2 else -1)
        elif self.kind == "zigzag":
            steps[:] = self.percent / 2 * np.where(np.arange(self.minutes) % 2, 1.0, -1.0)
        elif self.kind == "jump":
            steps[0] = 3 * self.percent * (1 if self.seed % 2 else -1)
        return start * np.cumprod(1.0 + steps / 100.0)

    def traded(self) -> Column:
        """Volumes, f8[minutes]."""
        dice = np.random.default_rng(self.seed + 1)
        if self.volumes == "none":
            return np.zeros(self.minutes)
        if self.volumes == "one":
            return np.ones(self.minutes)
        if self.volumes == "some":
            return dice.integers(0, 3, self.minutes).astype(np.float64)
        return dice.lognormal(3.0, 2.0, self.minutes)


@dataclass(frozen=True)
class Planned:
    """A row of the plan: from ``minute`` of the frame on the strategy wants ``signal``; None takes it back."""

    minute: int
    signal: Signal | None


@dataclass(frozen=True)
class Scene:
    """Everything that decides a run. Times of candles in ms UTC, ``minutes`` of the frame counted from its start.

    ``base`` is the interval of the candles.
    """

    columns: Mapping[str, NDArray[Any]] = field(repr=False)
    start_ms: int
    minutes: int
    interval: str
    strategy_interval: str
    plan: tuple[Planned, ...]
    config: Mapping[str, Any]
    base: str = "1m"

    @property
    def settings(self) -> EngineSettings:
        """What the machine reads of the configuration."""
        return self.settings_for("vwap")

    def settings_for(self, fill: FillModel) -> EngineSettings:
        """The same for a fill model."""
        return EngineSettings.from_config(
            {**DEFAULTS, **self.config}, step_ms=interval_step_ms(self.base), fill=fill
        )

    @property
    def end_ms(self) -> int:
        """The last moment of the frame."""
        return self.start_ms + self.minutes * MINUTE_MS

    @property
    def frame(self) -> Frame:
        """Its ticks."""
        return Frame.between(self.start_ms, self.end_ms, interval_step_ms(self.interval))

    def market(self) -> Market:
        """A new market of its candles."""
        return market_of(self.columns, interval_step_ms(self.base))

    def candles(self) -> CandleFrame:
        """Its candles as a user hands them in; holes are kept."""
        return CandleFrame.from_any(
            pl.DataFrame(dict(self.columns)), symbol=SYMBOL, interval=self.base, gaps="keep"
        )

    def signal_frame(self) -> pl.DataFrame:
        """The plan as a signal frame, a row per entry of the plan."""
        rows = [
            {"timestamp": self.start_ms + one.minute * MINUTE_MS, **(one.signal or {})} for one in self.plan
        ]
        return pl.DataFrame(rows, schema=SIGNAL_SCHEMA)

    def table(self) -> SignalTable:
        """The plan as the machine reads it."""
        return bind_signals(self.signal_frame(), SYMBOL, interval_step_ms(self.strategy_interval))

    def answer(self, when_ms: int) -> dict[str, Any] | None:
        """The plan as ``get_signal``: the latest entry of the interval at or before ``when_ms``."""
        step = interval_ms(self.strategy_interval)
        first = when_ms // step * step
        times = ((self.start_ms + one.minute * MINUTE_MS, one.signal) for one in self.plan)
        offered = [signal for time, signal in times if first <= time <= when_ms]
        if not offered or offered[-1] is None:
            return None
        return {name: value for name, value in offered[-1].items() if value is not None}

    def run(
        self,
        driver: Driver = "skip",
        *,
        logs: bool = True,
        listen: int = 0,
        market: Market | None = None,
        policy: Policy | None = None,
        fill: FillModel = "vwap",
        hooks: Hooks | None = None,
    ) -> Run:
        """A run of the bare machine on the plan (or on the kernel of ``hooks``), standing before its first tick."""
        hooks = hooks or Hooks()
        return Run(
            self.market() if market is None else market,
            self.settings_for(fill),
            self.frame,
            no_signals() if hooks.kernel else self.table().records,
            interval_ms=interval_step_ms(self.strategy_interval),
            driver=driver,
            logs=logs,
            listen=listen,
            policy=None if policy is None else policy.record(),
            hooks=hooks,
        )

    def with_prices(self, change: Callable[[Column], Column], **changes: Any) -> Scene:
        """The scene with every price of the market replaced."""
        names = ("open", "high", "low", "close")
        return replace(
            self, columns={**self.columns, **{n: change(self.columns[n]) for n in names}}, **changes
        )

    def with_levels(self, change: Callable[[float], float]) -> tuple[Planned, ...]:
        """The plan with every price of a signal replaced."""
        names = ("price_open", "price_take_profit", "price_stop_loss")

        def changed(signal: Signal) -> dict[str, Any]:
            prices = {name: change(signal[name]) for name in names if signal.get(name) is not None}
            return {**signal, **prices}

        return tuple(
            one if one.signal is None else Planned(one.minute, changed(one.signal)) for one in self.plan
        )


SIGNAL_SCHEMA = {
    "timestamp": pl.Int64,
    "position": pl.String,
    "price_open": pl.Float64,
    "price_take_profit": pl.Float64,
    "price_stop_loss": pl.Float64,
    "minute_estimated_time": pl.Float64,
    "cost": pl.Float64,
    "id": pl.String,
    "note": pl.String,
    "symbol": pl.String,
}


def market_of(columns: Mapping[str, NDArray[Any]], step_ms: int = MINUTE_MS) -> Market:
    """A market of columns; a change of them would be seen, so nobody may."""
    names = ("timestamp", "open", "high", "low", "close", "volume")
    frozen = [np.array(columns[name]) for name in names]
    for column in frozen:
        column.flags.writeable = False
    timestamps, opened, high, low, close, volume = frozen
    return Market(SYMBOL, timestamps, opened, high, low, close, volume, step_ms)


def columns_of(
    stretches: list[Stretch], first_ms: int, *, tick: float, scale: float, noise: float, gap: float = 0.0
) -> dict[str, NDArray[Any]]:
    """Candle columns of stretches that follow each other.

    tick    grid of the prices before scaling; 0 leaves them as they come
    noise   standard deviation in percent that every price is moved by, so that nothing ties
    gap     standard deviation in percent between the close of a candle and the open of the next
    """
    close = np.empty(0)
    wicks = np.empty(0)
    volume = np.empty(0)
    price = 100.0
    for one in stretches:
        part = np.clip(one.closes(price), 10.0, 1000.0)
        price = float(part[-1])
        close = np.concatenate([close, part])
        wicks = np.concatenate([wicks, np.full(one.minutes, one.wick)])
        volume = np.concatenate([volume, one.traded()])
    dice = np.random.default_rng(close.size)
    if noise:
        close = close * (1.0 + dice.normal(0.0, noise / 100.0, close.size))
    opened = np.concatenate([close[:1], close[:-1]])
    if gap:
        opened = opened * (1.0 + dice.normal(0.0, gap / 100.0, close.size))
    high = np.maximum(opened, close) * (1.0 + wicks / 100.0 * dice.random(close.size))
    low = np.minimum(opened, close) * (1.0 - wicks / 100.0 * dice.random(close.size))
    prices = {"open": opened, "high": high, "low": low, "close": close}
    if tick:
        prices = {name: np.round(values / tick) * tick for name, values in prices.items()}
    return {
        "timestamp": first_ms + MINUTE_MS * np.arange(close.size, dtype=np.int64),
        **{name: values * scale for name, values in prices.items()},
        "volume": volume,
    }


stretches = st.builds(
    Stretch,
    kind=st.sampled_from(KINDS),
    minutes=st.integers(5, 60),
    percent=st.sampled_from([0.5, 1.0, 3.0, 0.1]),
    wick=st.sampled_from([0.0, 0.0, 0.1, 1.0, 3.0]),
    volumes=st.sampled_from(["one", "some", "many", "none"]),
    seed=st.integers(0, 1000),
)

#: Faults that make a signal invalid, or that validation has to judge: field and value.
FAULTS: tuple[dict[str, Any], ...] = (
    {"position": "up"},
    {"price_take_profit": math.nan},
    {"price_take_profit": None},
    {"price_stop_loss": math.inf},
    {"price_stop_loss": -1.0},
    {"price_open": math.nan},
    {"price_open": 0.0},
    {"minute_estimated_time": 0.0},
    {"minute_estimated_time": 2.5},
    {"minute_estimated_time": 100_000.0},
    {"minute_estimated_time": math.inf},
    {"minute_estimated_time": math.nan},
    {"cost": 0.0},
    {"cost": -5.0},
    {"symbol": "ETHUSDT"},
)


#: Permissions that commands and policies ask for, now and then.
everywhere = st.fixed_dictionaries(
    {
        f"CC_ENABLE_{name}_EVERYWHERE": st.sampled_from([False, False, False, True])
        for name in ("DCA", "PPPL", "TRAILING")
    }
)


@st.composite
def configs(draw: st.DrawFn, *, infinite: bool = True) -> dict[str, Any]:
    """Overrides of the constants that decide trades; small chunks, short waits, every window."""
    window = draw(st.integers(1, 10))
    fee, slippage = draw(st.sampled_from([(0.1, 0.1), (0.0, 0.0), (0.05, 0.0), (0.0, 0.2)]))
    least = draw(st.sampled_from([0.5, 0.0, 0.75]))
    return {
        "CC_AVG_PRICE_CANDLES_COUNT": window,
        "CC_SCHEDULE_AWAIT_MINUTES": draw(st.integers(1, 40)),
        "CC_MAX_SIGNAL_LIFETIME_MINUTES": draw(
            st.sampled_from([60, 20, *([math.inf] * 3 if infinite else [])])
        ),
        "CC_MAX_CANDLES_PER_REQUEST": window + draw(st.integers(0, 30)),
        "CC_PERCENT_FEE": fee,
        "CC_PERCENT_SLIPPAGE": slippage,
        "CC_BREAKEVEN_THRESHOLD": draw(st.sampled_from([0.2, 0.0])),
        "CC_MIN_TAKEPROFIT_DISTANCE_PERCENT": least,
        "CC_MIN_STOPLOSS_DISTANCE_PERCENT": least,
        "CC_MAX_STOPLOSS_DISTANCE_PERCENT": draw(st.sampled_from([20, 0, 5])),
        "CC_ENABLE_SHORT_SIGNAL": draw(st.integers(0, 7)) < 7,
        **draw(everywhere),
    }


LEVELS = ("price_take_profit", "price_stop_loss")


@st.composite
def plans(draw: st.DrawFn, averages: Column, lows: Column, highs: Column, *, faults: bool) -> list[Planned]:
    """A plan; some of its levels are prices that the market comes to, so that ties happen.

    averages       f8[minutes], the average price known at each minute of the frame
    lows, highs    f8[minutes], extremes of the candle that opens at it
    """
    planned: list[Planned] = []
    last = averages.size - 1
    for _ in range(draw(st.integers(2, 20))):
        minute = draw(st.integers(0, last))
        if draw(st.integers(0, 9)) == 9:
            planned.append(Planned(minute, None))
            continue
        side = draw(st.sampled_from([1, -1]))
        entry = float(averages[minute])
        signal: dict[str, Any] = {"position": "long" if side > 0 else "short"}
        if draw(st.booleans()):
            entry *= 1.0 - side * draw(st.sampled_from([0.3, 0.1, 0.0, 1.0, 3.0, -1.0])) / 100.0
            signal["price_open"] = entry
        reach, risk = (draw(st.sampled_from([1.5, 0.8, 4.0, 0.5])) for _ in LEVELS)
        signal["price_take_profit"] = entry * (1.0 + side * reach / 100.0)
        signal["price_stop_loss"] = entry * (1.0 - side * risk / 100.0)
        if draw(st.integers(0, 2)) == 2:
            column = draw(st.sampled_from([averages, lows, highs]))
            name = draw(st.sampled_from(["price_open", *LEVELS, *LEVELS]))
            signal[name] = float(column[min(last, minute + draw(st.integers(1, 30)))])
        lifetime = draw(st.sampled_from([None, 50.0, 14.0, 5.0, 1.0, math.inf]))
        if lifetime is not None:
            signal["minute_estimated_time"] = lifetime
        if draw(st.integers(0, 3)) == 3:
            signal["cost"] = draw(st.sampled_from([50.0, 171.0, 1e-3]))
        if draw(st.booleans()):
            signal["id"] = draw(st.sampled_from(["a", "b", ""]))
        if faults and draw(st.integers(0, 7)) == 7:
            signal |= draw(st.sampled_from(FAULTS))
        planned.append(Planned(minute, signal))
    return sorted(planned, key=lambda one: one.minute)


def steady_plan(config: Mapping[str, Any], averages: Column, gap: int, seed: int) -> list[Planned]:
    """A plain signal every ``gap`` minutes: wide levels, so that there is time to manage what opens."""
    dice = np.random.default_rng(seed)
    longest = min(60, config["CC_MAX_SIGNAL_LIFETIME_MINUTES"])
    planned = []
    for minute in range(0, averages.size, gap):
        side, entry = int(dice.choice([1, -1])), float(averages[minute])
        signal: dict[str, Any] = {"position": "long" if side > 0 else "short"}
        if dice.random() < 0.3:
            entry *= 1.0 - side * float(dice.choice([0.1, 0.3])) / 100.0
            signal["price_open"] = entry
        reach, risk = dice.choice([1.0, 1.5, 4.0, 10.0], 2)
        signal["price_take_profit"] = entry * (1.0 + side * float(reach) / 100.0)
        signal["price_stop_loss"] = entry * (1.0 - side * float(risk) / 100.0)
        signal["minute_estimated_time"] = float(dice.integers(longest // 3, longest + 1))
        planned.append(Planned(minute, signal))
    return planned


@st.composite
def scenes(
    draw: st.DrawFn,
    *,
    holes: bool = False,
    busy: bool = False,
    infinite: bool = True,
    faults: bool = True,
    noise: float = 0.0,
    tails: st.SearchStrategy[int] | None = None,
    scales: tuple[float, ...] = (1.0, 1e-7, 64.0, 1e7),
) -> Scene:
    """A scene.

    holes      leave out some stretches of candles, as ``gaps="keep"`` does
    busy       more signals, with room between their levels: something is open most of the time
    infinite   lifetimes may be infinite, where the configuration allows it
    faults     some signals are invalid
    noise      percent of noise on every price: nothing ties, nothing lies on a grid
    tails      how many candles there are after the end of the frame; 2 suffice for every signal
    """
    config = draw(configs(infinite=infinite))
    window = config["CC_AVG_PRICE_CANDLES_COUNT"]
    parts = draw(st.lists(stretches, min_size=6 if busy else 3, max_size=8))
    start_ms = MIDNIGHT + draw(st.integers(0, 90)) * MINUTE_MS
    before = window + draw(st.integers(0, 3))
    tail = draw(st.integers(2, 20) if tails is None else tails)
    minutes = max(3, sum(part.minutes for part in parts) - before - tail)
    missing = before + minutes + tail - sum(part.minutes for part in parts)
    if missing > 0:
        parts.append(Stretch("walk", missing, 0.5, 0.1, "one", missing))
    columns = columns_of(
        parts,
        start_ms - before * MINUTE_MS,
        tick=0.0 if noise else draw(st.sampled_from([0.01, 0.5, 0.0])),
        scale=draw(st.sampled_from(scales)),
        noise=noise,
        gap=draw(st.sampled_from([0.0, 0.0, 0.3, 2.0])),
    )
    averages = market_of(columns).average_price(window).values
    planned = draw(
        plans(
            averages[before - 1 : before + minutes],
            columns["low"][before : before + minutes + 1],
            columns["high"][before : before + minutes + 1],
            faults=faults,
        )
    )
    if busy:
        averages = averages[before - 1 : before + minutes]
        steady = steady_plan(config, averages, draw(st.integers(3, 30)), draw(st.integers(0, 1000)))
        planned = sorted([*steady, *planned], key=lambda one: one.minute)
    if holes:
        keep = np.ones(columns["timestamp"].size, np.bool_)
        for _ in range(draw(st.integers(1, 4))):
            first = draw(st.integers(window, keep.size - 1))
            keep[first : first + draw(st.integers(1, 50))] = False
        keep[-1] = True
        columns = {name: values[keep] for name, values in columns.items()}
    return Scene(
        columns=columns,
        start_ms=start_ms,
        minutes=minutes,
        interval=draw(st.sampled_from(["1m", "1m", "3m", *([] if busy else ["5m", "15m"])])),
        strategy_interval=draw(st.sampled_from(["1m", "1m", "1m", "3m", "5m", "15m"])),
        plan=tuple(planned),
        config=config,
    )


def without_ties(scene: Scene) -> Scene:
    """A scene with ``noise`` in which nothing is decided by the last bit of a price.

    Every candle is traded, so that no average repeats; no level is a price of the market; and every signal has a
    limit, since the entry of an order at the market is the price that commands of its first candle are judged at.
    """
    columns = {**scene.columns, "volume": scene.columns["volume"] + 1.0}
    averages = market_of(columns).average_price(scene.settings.average_candles).values

    def untied(one: Planned) -> Planned:
        if one.signal is None:
            return one
        moment = scene.start_ms + one.minute * MINUTE_MS
        known = float(averages[np.searchsorted(columns["timestamp"], moment) - 1])
        side = -1 if one.signal["position"] == "short" else 1
        changed = {**one.signal, "price_open": (one.signal.get("price_open") or known) * (1.0 + side * 3e-7)}
        for name, nudge in zip(LEVELS, (1.1e-7, -1.3e-7), strict=True):
            if changed[name] is not None:
                changed[name] *= 1.0 + nudge
        return Planned(one.minute, changed)

    return replace(scene, columns=columns, plan=tuple(untied(one) for one in scene.plan))


def _levels() -> st.SearchStrategy[tuple[tuple[float, float], ...]]:
    levels = st.lists(st.sampled_from([10.0, 25.0, 50.0, 80.0, 100.0]), unique=True, max_size=4).map(sorted)
    shares = st.lists(st.sampled_from([33.0, 10.0, 50.0, 100.0]), min_size=4, max_size=4)
    return st.builds(lambda at, shares: tuple(zip(at, shares, strict=False)), levels, shares)


def _some(*values: float) -> st.SearchStrategy[float | None]:
    return st.sampled_from([None, *values])


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Rules within the reach of a scene's market, each of them present in about half of the policies."""
    fields: dict[str, Any] = {
        "close_at_profit_percent": draw(_some(None, 0.3, 1.0, 2.0, -0.1)),
        "close_at_loss_percent": draw(_some(None, 0.3, 1.0, 2.0)),
        "breakeven_from_percent": draw(_some(0.0, 0.2, 0.6, 1.0)),
        "partial_profit": draw(_levels()),
        "partial_loss": draw(_levels()),
    }
    for name in ("stop", "take"):
        distance = draw(_some(0.1, 0.3, 1.0, 2.0))
        if distance is not None:
            fields[f"trailing_{name}_distance_percent"] = distance
            fields[f"trailing_{name}_from_percent"] = draw(st.sampled_from([0.0, 0.3, -0.5, 1.0]))
    step = draw(_some(0.1, 0.3, 1.0))
    if step is not None:
        fields["dca_step_percent"] = step
        fields["dca_most_entries"] = draw(st.integers(2, 6))
        fields["dca_cost"] = draw(_some(50.0))
        fields["dca_cost_factor"] = draw(st.sampled_from([1.0, 2.0, 0.5]))
    return Policy(**fields)
