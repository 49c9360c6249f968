"""What is exactly at a limit, far beyond one, or in no list of values."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

import bkapi as bk
from bkapi import Space
from bkapi.errors import ConfigError
from bkcore.intervals import MINUTE_MS, MOST_MINUTES
from bkcore.machine.run import HookAnswerError

START = datetime(2024, 1, 1, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
CONTEXT = {"strategy_name": "s", "exchange_name": "e", "frame_name": "f"}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    bk.reset()
    yield
    bk.reset()


def played(
    closes: Any, rows: dict[str, Any], *, minutes: list[int] | None = None, first: int = 5, **strategy: Any
) -> bk.FinishedRun:
    """A run over candles without gaps between them but holes; ``rows`` are columns of signals, ``at`` their minutes."""
    places = list(range(len(closes))) if minutes is None else minutes
    close = np.asarray(closes, float)
    follows = np.diff(places, prepend=-1) == 1
    opened = np.where(follows, np.concatenate((close[:1], close[:-1])), close)
    frame = pl.DataFrame(
        {
            "timestamp": [START_MS + k * MINUTE_MS for k in places],
            "open": opened,
            "high": np.maximum(opened, close),
            "low": np.minimum(opened, close),
            "close": close,
            "volume": np.ones(close.size),
        }
    )
    candles = bk.CandleFrame.from_any(frame, symbol="X", interval="1m", gaps="keep")
    bk.add_exchange_schema(exchange_name="e", candles={"X": candles})
    end = START + timedelta(minutes=places[-1] - 1)
    bk.add_frame_schema(frame_name="f", start_date=START + timedelta(minutes=first), end_date=end)
    if rows:
        times = [START_MS + k * MINUTE_MS for k in rows["at"]]
        named = {"timestamp": times, **{k: v for k, v in rows.items() if k != "at"}}
        signals = pl.DataFrame(named)
        strategy["signals"] = lambda candles: signals
    bk.add_strategy_schema(strategy_name="s", interval="1m", **strategy)
    return bk.Backtest.finish("X", CONTEXT)


def walk(count: int, seed: int = 1, scale: float = 0.0002) -> Any:
    return 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, scale, count)))


# ------------------------------------------------------------------------------------------ distances in percent


@pytest.mark.parametrize("side", ["long", "short"])
@pytest.mark.parametrize(("take", "stop"), [(0.5, 5.0), (5.0, 0.5), (0.7, 20.0), (0.5, 20.0)])
def test_a_bracket_at_a_limit_is_never_refused(side: str, take: float, stop: float) -> None:
    at = list(range(10, 4000, 10))
    rows = {"at": at, "position": [side] * len(at), "minute_estimated_time": [5] * len(at)}
    rows |= {"take_profit_percent": [take] * len(at), "stop_loss_percent": [stop] * len(at)}
    run = played(walk(4010), rows)
    assert run.trades.height == len(at)
    grid = Space.grid(take_profit_percent=[take], stop_loss_percent=[stop])
    swept = bk.ParameterSweep(CONTEXT, grid, symbol="X").run(progress=False).frame
    assert swept["total_trades"].to_list() == [len(at)]
    assert swept["refused_signals"].to_list() == [0]


@pytest.mark.parametrize("side", ["long", "short"])
def test_the_brackets_of_the_api_are_at_the_limits_too(side: Any) -> None:
    for price in walk(500).tolist():
        for take, stop in ((0.5, 0.5), (0.5, 20.0)):
            levels = bk.Position.bracket(
                position=side, current_price=price, percent_take_profit=take, percent_stop_loss=stop
            )
            assert bk.validate_signal({**levels, "price_open": price, "minute_estimated_time": 5}, price)
            nearer = {"price_take_profit": price + 0.9999 * (levels["price_take_profit"] - price)}
            assert not bk.validate_signal(
                {**levels, **nearer, "price_open": price, "minute_estimated_time": 5}, price
            )


# ------------------------------------------------------------------------------------------------ far trailing


def tower() -> Any:
    up = [100 * 1.05**k for k in range(25)]
    return np.array([100.0] * 6 + up + [up[-1] * 0.95**k for k in range(1, 25)])


@pytest.mark.parametrize("side", ["long", "short"])
def test_a_policy_trails_however_far_the_winner_goes(side: str) -> None:
    bk.set_config(CC_MAX_SIGNAL_LIFETIME_MINUTES=float("inf"), CC_AVG_PRICE_CANDLES_COUNT=1)
    path = tower() if side == "long" else 1e4 / tower()
    rows = {"at": [6], "position": [side], "take_profit_percent": [1e5 if side == "long" else 99.99]}
    rows |= {"stop_loss_percent": [20.0], "minute_estimated_time": [float("inf")]}
    run = played(path, rows, policy=bk.Policy(trailing_stop_distance_percent=10.0))
    before = np.concatenate((path[:1], path[:-1]))
    average = (np.maximum(before, path) + np.minimum(before, path) + path) / 3
    best = average.max() * 0.9 if side == "long" else average.min() * 1.1
    assert run.trades["reason"].to_list() == ["stop_loss"]
    assert run.trades["close_price"][0] == pytest.approx(best)
    grid = Space.grid(trailing_stop_distance_percent=[5.0, 10.0, 15.0])
    result = bk.ParameterSweep(CONTEXT, grid, symbol="X").run(progress=False)
    assert result.frame["total_pnl"].n_unique() == 3
    for k, pnl in enumerate(result.frame["total_pnl"]):
        assert result.trades(k)["pnl_percent"].sum() == pytest.approx(pnl)


def test_only_a_shift_is_bounded_by_100_points() -> None:
    bk.set_config(CC_MAX_SIGNAL_LIFETIME_MINUTES=float("inf"), CC_AVG_PRICE_CANDLES_COUNT=1)
    granted: dict[str, bool] = {}

    def act(symbol: str, signal: Any, price: float, when: datetime, backtest: bool) -> None:
        if price > 300 and not granted:
            granted["shift"] = bk.commit_trailing_stop("X", -150.0, price)
            granted["price"] = bk.commit_trailing_stop_cost("X", 250.0)

    rows = {"at": [6], "position": ["long"], "price_take_profit": [1e5], "price_stop_loss": [90.0]}
    rows |= {"minute_estimated_time": [float("inf")]}
    run = played(tower(), rows, callbacks={"on_active_ping": act})
    assert granted == {"shift": False, "price": True}
    assert run.trades["close_price"][0] == pytest.approx(250.0)


# ------------------------------------------------------------------------------------------------------- holes

OPEN = [k for k in range(200) if not 30 <= k < 60]


@pytest.mark.parametrize("jump", [96.0, 104.0])
@pytest.mark.parametrize("at", [30, 45, 61, 62, 64, 70])
def test_a_price_from_before_a_hole_is_never_traded_after_it(at: int, jump: float) -> None:
    bk.set_config(CC_PERCENT_FEE=0.0, CC_PERCENT_SLIPPAGE=0.0)
    rows = {"at": [at], "position": ["long"], "take_profit_percent": [3.0], "stop_loss_percent": [3.0]}
    run = played([100.0 if k < 30 else jump for k in OPEN], rows, minutes=OPEN)
    assert run.trades["price_open"].to_list() == ([] if at < 60 else [jump])
    if at > 60:
        assert run.trades["pnl_percent"].to_list() == [0.0]


def test_a_command_after_a_hole_is_booked_at_the_last_close_before_it() -> None:
    """The window before the first candle after a long hole is empty: what is known is the last close (deviation 20)."""
    told: dict[int, float] = {}

    def act(symbol: str, signal: Any, price: float, when: datetime, backtest: bool) -> None:
        told[int((when.timestamp() * 1000 - START_MS) // MINUTE_MS)] = bk.get_average_price("X")

    rows = {"at": [20], "position": ["long"], "price_take_profit": [140.0], "price_stop_loss": [85.0]}
    closes = [100.0 + 0.1 * k for k in OPEN]
    played(closes, rows, minutes=OPEN, callbacks={"on_active_ping": act})
    assert told[60] == closes[OPEN.index(29)]
    before = dict(zip(OPEN, [closes[0], *closes], strict=False)) | {60: closes[OPEN.index(60)]}
    known = {k: (before[k] + 2 * close) / 3 for k, close in zip(OPEN, closes, strict=True)}
    assert told[61] == pytest.approx(known[60])
    assert told[63] == pytest.approx(np.mean([known[60], known[61], known[62]]))
    assert told[70] == pytest.approx(np.mean([known[k] for k in range(65, 70)]))


# ------------------------------------------------------------------------------------ limits beyond the market


@pytest.mark.parametrize(("side", "limit"), [("long", 103.0), ("short", 97.0)])
def test_a_limit_beyond_the_market_fills_at_its_own_price_by_the_documented_rule(
    side: str, limit: float
) -> None:
    rows = {"at": [10], "position": [side], "price_open": [limit], "minute_estimated_time": [5]}
    rows |= {"take_profit_percent": [10.0], "stop_loss_percent": [10.0]}
    run = played([100.0] * 40, rows)
    assert run.trades["price_open"].to_list() == [limit]


# ------------------------------------------------------------------------------------------------ long lifetimes


@pytest.mark.parametrize("minutes", [MOST_MINUTES, 1e12, 1e6])
def test_a_long_lifetime_lasts(minutes: float) -> None:
    bk.set_config(CC_MAX_SIGNAL_LIFETIME_MINUTES=float("inf"))
    rows = {"at": [10], "position": ["long"], "minute_estimated_time": [float(minutes)]}
    rows |= {"take_profit_percent": [10.0], "stop_loss_percent": [10.0]}
    run = played([100.0] * 60, rows)
    assert run.trades["ended_at"][0] - run.trades["pending_at"][0] > timedelta(minutes=40)


@pytest.mark.parametrize("minutes", [MOST_MINUTES + 1, 1.6e14, 2e14, 1e18, 2**63 - 1, 1e300])
def test_no_time_is_longer_than_milliseconds_can_say(minutes: Any) -> None:
    for name in ("CC_MAX_SIGNAL_LIFETIME_MINUTES", "CC_SCHEDULE_AWAIT_MINUTES"):
        with pytest.raises(ConfigError, match=rf"{name}=.* from 1 to 150,000,000,000,000"):
            bk.set_config({name: minutes})
    bk.set_config(CC_MAX_SIGNAL_LIFETIME_MINUTES=float("inf"))
    errors: list[Exception] = []
    bk.listen_error(errors.append)
    rows = {"at": [10], "position": ["long"], "minute_estimated_time": [float(minutes)]}
    rows |= {"take_profit_percent": [10.0], "stop_loss_percent": [10.0]}
    assert played([100.0] * 60, rows).trades.height == 0
    assert "is longer than 150,000,000,000,000, the most that a time in milliseconds holds" in str(errors[0])
    with pytest.raises(bk.SweepError, match="is longer than a time in milliseconds holds"):
        bk.ParameterSweep(CONTEXT, Space.grid(lifetime_minutes=[minutes]), symbol="X")


# ------------------------------------------------------------------------------------------- answers of hooks


def kernel_of(side: int) -> Any:
    def kernel(when, price, open, high, low, close, volume, params, memory, signal):  # type: ignore[no-untyped-def]  # noqa: A002
        signal.side = side
        signal.id = 77
        way = 1 if side > 0 else -1
        signal.take_profit = price * (1 + 0.02 * way)
        signal.stop_loss = price * (1 - 0.02 * way)
        return 1

    return kernel


@pytest.mark.parametrize("side", [2, 5, -2, 0, 127, -128])
def test_a_side_that_is_none_is_refused(side: int) -> None:
    errors: list[Exception] = []
    bk.listen_error(errors.append)
    run = played([100.0] * 60, {}, kernel=kernel_of(side), params={"a": 1.0})
    assert run.trades.height == 0
    assert "position must be 'long' or 'short'" in str(errors[0])
    result = bk.ParameterSweep(CONTEXT, Space.grid(a=[1.0]), symbol="X").run(progress=False).frame
    assert result["total_trades"].to_list() == [0]
    assert result["refused_signals"][0] > 0


@pytest.mark.parametrize("side", [1, -1])
def test_a_side_is_traded_whatever_id_the_kernel_writes(side: int) -> None:
    run = played([100.0] * 60, {}, kernel=kernel_of(side))
    assert run.trades["position"].unique().to_list() == ["long" if side > 0 else "short"]


@pytest.mark.parametrize(
    ("count", "code", "words"),
    [(9, 11.0, "answered 9 orders"), (-3, 11.0, "answered -3"), (1, 99.0, "wrote 99 as")],
)
def test_orders_that_are_none_are_told(count: int, code: float, words: str) -> None:
    def manage(when, price, known, open, high, low, close, volume, position, params, memory, orders):  # type: ignore[no-untyped-def]  # noqa: A002
        orders[0, 0] = code
        return count

    errors: list[Exception] = []
    bk.listen_error(errors.append)
    rows = {"at": [10], "position": ["long"], "take_profit_percent": [10.0], "stop_loss_percent": [10.0]}
    played([100.0] * 60, rows, manage=manage)
    assert words in str(errors[0])
    assert isinstance(errors[0], HookAnswerError)
    with pytest.raises(HookAnswerError, match=words):
        bk.ParameterSweep(CONTEXT, Space.grid(take_profit_percent=[5.0]), symbol="X").run(progress=False)
