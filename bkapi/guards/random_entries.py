"""What would a run have earned with random entries? Keeps its brackets and rules and enters at random ticks."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bkapi.base.deferred import pl
from bkapi.base.record import Record, record
from bkapi.base.resources import cores
from bkapi.errors import BkError
from bkapi.runs.commanding import commander_of, may_command
from bkapi.runs.finished import FinishedRun
from bkcore.machine.codes import EventKind, Status
from bkcore.machine.run import Hooks, Records, Run
from bkcore.machine.signals import bind_signals
from bkcore.statistics.metrics import METRIC_NAMES, measure

_MOST_EXPOSED = 0.95  # a run that is in the market for more of its time leaves no room for random entries
_DIGITS = 9  # to which a percent computed from a price is rounded, so that one at a limit stays at the limit
_LEAST_DRAWS = 5
_UPPER = 0.95


class RandomEntriesError(BkError, ValueError):
    """Raised by ``random_entry_baseline(run)`` where Python code had a say in the trades: random runs call none."""


@record
class RandomEntries(Record):
    """Runs with random entries and the exits of a run, about as many trades as it has; values are of the metric ``by``.

    draws      how many of the random runs have the metric
    value      of the run itself
    mean, upper   of the random runs: their mean, and what 95 % of them stay below
    p_value    share of the random runs that do at least as well, the run itself counted among them
    """

    by: str
    draws: int
    value: float
    mean: float
    upper: float
    p_value: float


def random_entry_baseline(
    run: FinishedRun,
    by: str = "sharpe_ratio",
    *,
    draws: int = 99,
    seed: int = 0,
    less_is_better: bool = False,
) -> RandomEntries | None:
    """Compare a finished run with runs that enter at random ticks of its frame, by the same rules.

    The sides, levels, lifetimes and costs of its trades are shuffled over random ticks of its interval; its bracket,
    policy and manage hook stay. So the random runs show what the exits, the sides and the costs earn alone.
    None for a run without trades, and when too few random ones have the metric. Raises :class:`RandomEntriesError` for
    a run whose positions Python code commands, or that asks risk profiles.
    """
    _refuse_python(run)
    place = METRIC_NAMES.index(by)
    trades = run.run.trades[run.run.trades["status"] == Status.CLOSED]
    if not trades.size:
        return None
    dealt = _signals_of(run, trades)
    ticks = _ticks(run)
    held = float((trades["ended_at"] - trades["pending_at"]).sum())
    span = float(run.strategy_run.frame.count * run.strategy_run.frame.step_ms)
    count = min(ticks.size, math.ceil(trades.size / (1.0 - min(held / span, _MOST_EXPOSED))))

    def draw(k: int) -> float:
        dice = np.random.default_rng([seed, k])
        signals = np.resize(dealt[dice.permutation(dealt.size)], count)
        signals["time"] = np.sort(dice.choice(ticks, count, replace=False))
        return float(_metrics(_played(run, signals).trades)[place])

    with ThreadPoolExecutor(cores(), thread_name_prefix="bk-random") as pool:
        found = np.array(list(pool.map(draw, range(draws))))
    value = float(_metrics(run.run.trades)[place])
    found = found[~np.isnan(found)]
    if found.size < _LEAST_DRAWS or math.isnan(value):
        return None
    sign = -1.0 if less_is_better else 1.0
    better = int((sign * found >= sign * value).sum())
    upper = float(np.quantile(found, 1.0 - _UPPER if less_is_better else _UPPER))
    return RandomEntries(by, found.size, value, float(found.mean()), upper, (1 + better) / (1 + found.size))


def _refuse_python(run: FinishedRun) -> None:
    """Raise :class:`RandomEntriesError` where the trades depend on Python code that a random run would not call."""
    strategy, played = run.strategy_run.schema, run.run
    commanded = (played.events["kind"] == EventKind.COMMIT).any()
    why = commander_of(strategy)
    if why:
        why += " may give commands"
    elif strategy.get_signal is not None and may_command(strategy.get_signal):
        why = "its get_signal may give commands"
    elif strategy.policy is None and strategy.manage is None and commanded:
        why = "its positions were given commands"
    elif strategy.risks:
        why = f"risk profiles ({', '.join(strategy.risks)}) were asked"
    if why:
        raise RandomEntriesError(
            f"{strategy.strategy_name!r} cannot be compared with random entries: {why}, and a random run calls no "
            "Python code, so its exits would not be those of the run.",
            hint="draws=0 judges overfitting without random entries; a Policy and a jitted manage function are played.",
        )


def _signals_of(run: FinishedRun, trades: Records) -> Records:
    """The trades as signals: entered at the market, with levels in percent."""
    opened = trades["price_open"]
    frame: pl.DataFrame = pl.DataFrame(
        {
            "timestamp": np.arange(trades.size),
            "position": trades["side"].astype(np.int64),
            "take_profit_percent": _percent(trades["take_profit"], opened),
            "stop_loss_percent": _percent(trades["stop_loss"], opened),
            "minute_estimated_time": trades["lifetime"],
            "cost": trades["cost"],
        }
    )
    return bind_signals(frame, run.symbol).records


def _percent(level: NDArray[np.float64], opened: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.round(np.abs(level / opened - 1.0) * 100.0, _DIGITS)


def _ticks(run: FinishedRun) -> NDArray[np.int64]:
    """Ticks at which a strategy is asked: the first one of each of its intervals."""
    frame, interval = run.strategy_run.frame, int(run.run.now.interval)
    ticks = frame.start_ms + frame.step_ms * np.arange(frame.count, dtype=np.int64)
    buckets = ticks // interval
    return ticks[np.concatenate(([True], buckets[1:] != buckets[:-1]))]


def _played(run: FinishedRun, signals: Records) -> Run:
    of = run.strategy_run
    played = Run(
        *(run.run.market, run.settings, of.frame, signals),
        interval_ms=int(run.run.now.interval),
        logs=False,
        policy=None if of.policy is None else of.policy.copy(),
        hooks=Hooks(None, of.hooks.manage, of.hooks.parameters.copy()),
    )
    for name in ("take_profit", "stop_loss", "lifetime"):
        setattr(played.now, name, getattr(run.run.now, name))
    return played.finish()


def _metrics(trades: Records) -> Any:
    closed = trades[trades["status"] == Status.CLOSED]
    names = ("pnl_percent", "peak_pnl_percent", "fall_pnl_percent", "pending_at", "ended_at", "end_price")
    return measure(*(closed[name] for name in names))
