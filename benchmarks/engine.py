"""What does each way of running cost, and each call of Python code? The last line is JSON, with every target.

    python benchmarks/engine.py [--candles FILE] [--runs 7]

Engine: nanoseconds per candle of a year of 1-minute candles, one thread, on signals that are laid out already. The
strategy is a 20/60 moving-average cross judged every 15 minutes, with brackets that hold for about 110 minutes, for a
day, and swings of 3 to 20 % without a lifetime; before any time is taken the drivers must agree on all of them.

Python: microseconds per call through ``Backtest.run``, everything that the engine does for it included: a whole run
divided by how often the function was called. A command or getter is timed inside a listener, one call at a time; the
time of reading the clock is taken off. Each figure is the least of several runs in a warm process.

Compiling: seconds until a user's first jitted function stands, in fresh processes that find the engine compiled.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from measuring import MINUTE, ROOT, candle_file, machine, timed

from bkcore.machine.codes import Command

INTERVAL = 15 * MINUTE
SYMBOL = "BTCUSDT"
DAYS = 30
NEVER = float("inf")
#: With these every command of the benchmark is granted.
EVERYWHERE = ("CC_ENABLE_DCA_EVERYWHERE", "CC_ENABLE_PPPL_EVERYWHERE", "CC_ENABLE_TRAILING_EVERYWHERE")
#: Take-profit percent, stop-loss percent, lifetime in minutes.
BRACKETS = {
    "hold_of_110_minutes": [(1.0, 1.0, 120.0)],
    "hold_of_a_day": [(3.0, 3.0, 2160.0)],
    "swing": [(3.0, 3.0, NEVER), (5.0, 5.0, NEVER), (10.0, 10.0, NEVER), (20.0, 20.0, NEVER)],
}


class Target(NamedTuple):
    """A figure and what it has to be."""

    figure: str
    limit: float
    unit: str
    at_least: bool = False


TARGETS = (
    Target("get_signal_us", 5, "us per call"),
    Target("ping_listener_us", 5, "us per call"),
    Target("slowest_command_us", 10, "us per call"),
    Target("hold_of_110_minutes_skip_over_run", 2, "times", at_least=True),
    Target("hold_of_a_day_skip_over_run", 8, "times", at_least=True),
    Target("swing_skip_over_run", 30, "times", at_least=True),
    Target("compile_kernel_s", 0.3, "s"),
    Target("compile_manage_s", 0.3, "s"),
)

#: A full collection of garbage falls into the time or not by chance, so it comes first.
COMPILING = """
import gc, sys, time
sys.path[:0] = [{root!r}, {here!r}]
import bkapi.backtests.backtest, bkcore.machine.run, bkapi as bk
from engine import kernel, manage
gc.collect()
started = time.perf_counter()
bk.add_strategy_schema(strategy_name="jitted", **{{{what!r}: {what}}})
print(time.perf_counter() - started)
"""


# ------------------------------------------------------------------------------------------ what is run


def kernel(when, price, open, high, low, close, volume, params, memory, signal):  # type: ignore[no-untyped-def]  # noqa: A002
    """A jitted strategy: the moving-average cross, kept up in ``memory``."""
    if close.size < 60:
        return 0
    above = 1.0 if close[-20:].mean() > close[-60:].mean() else -1.0
    if above == memory[0]:
        return 0
    memory[0] = above
    signal.side = 1 if above > 0 else -1
    signal.take_profit = price * (1 + above * 0.01)
    signal.stop_loss = price * (1 - above * 0.01)
    signal.lifetime = 240
    return 1


def manage(when, price, known_price, open, high, low, close, volume, position, params, memory, orders):  # type: ignore[no-untyped-def]  # noqa: A002
    """A jitted manager: the stop moves to the entry once the price has come half a percent."""
    if position.trails_stop or position.side * (price / position.effective_open - 1) * 100 < 0.5:
        return 0
    orders[0, 0] = Command.BREAKEVEN
    orders[0, 1] = 0
    return 1


def crosses(candles: Any) -> Any:
    """When the averages cross, and to which side."""
    import polars as pl

    return (
        candles.lazy()
        .select(
            timestamp=pl.col("timestamp") + MINUTE,
            fast=pl.col("close").rolling_mean(20),
            slow=pl.col("close").rolling_mean(60),
        )
        .filter(pl.col("timestamp") % INTERVAL == 0)
        .select("timestamp", above=pl.col("fast") > pl.col("slow"))
        .filter(pl.col("above") != pl.col("above").shift(1))
        .select(
            "timestamp",
            position=pl.when("above").then(pl.lit("long")).otherwise(pl.lit("short")),
        )
        .collect()
    )


def with_bracket(signals: Any, bracket: tuple[float, float, float]) -> Any:
    """The same signals with a bracket."""
    import polars as pl

    names = ("take_profit_percent", "stop_loss_percent", "minute_estimated_time")
    return signals.with_columns(**dict(zip(names, map(pl.lit, bracket), strict=True)))


# -------------------------------------------------------------------------------------------- the engine


class Engine:
    """A year of candles, and runs over it below the API."""

    def __init__(self, path: Path, runs: int) -> None:
        from bkcore.candles.frame import CandleFrame
        from bkcore.machine.market import Market
        from bkcore.machine.run import Frame
        from bkcore.machine.settings import EngineSettings

        self.runs = runs
        self.settings = EngineSettings(fill="vwap", max_lifetime_minutes=NEVER)
        candles = CandleFrame.read(path)
        self.market = Market.from_candles(candles)
        first = self.settings.average_candles
        self.market.average_price(first)
        self.frame = Frame.between(
            int(self.market.timestamps[first]), int(self.market.timestamps[-2]), MINUTE
        )
        self.signals = crosses(candles.frame)

    def run(self, table: Any, driver: str, *, logs: bool, **more: Any) -> Callable[[], Any]:
        """A call that makes one run."""
        from bkcore.machine.run import Run

        return lambda: Run(
            self.market,
            self.settings,
            self.frame,
            table.records,
            interval_ms=INTERVAL,
            driver=driver,  # type: ignore[arg-type]
            logs=logs,
            **more,
        ).finish()

    def table(self, bracket: tuple[float, float, float]) -> Any:
        """The signals with a bracket as the machine reads them."""
        from bkcore.machine.signals import bind_signals

        return bind_signals(with_bracket(self.signals, bracket), SYMBOL, INTERVAL)

    def nanoseconds(self, runs: list[Callable[[], Any]]) -> float:
        """Least time per candle, the mean of ``runs``."""
        seconds = fmean(timed(run, self.runs)["min_s"] for run in runs)
        return seconds / len(self.market) * 1e9

    def holds(self, name: str) -> dict[str, float]:
        """What a kind of brackets costs under each driver, and how long its positions live."""
        tables = [self.table(bracket) for bracket in BRACKETS[name]]
        minutes = []
        for table in tables:
            trades, *others = (
                self.run(table, driver, logs=logs)().trades
                for driver, logs in (("skip", True), ("run", True), ("skip", False), ("run", False))
            )
            for field in ("ended_at", "end_price", "pnl_percent", "peak_pnl_percent", "fall_time"):
                assert all((trades[field] == other[field]).all() for other in others), (name, field)
            minutes.append(float((trades["ended_at"] - trades["pending_at"]).mean()) / MINUTE)
        figures = {
            f"{driver}_{'with' if logs else 'without'}_log_ns": self.nanoseconds(
                [self.run(table, driver, logs=logs) for table in tables]
            )
            for driver in ("run", "skip")
            for logs in (True, False)
        }
        return {
            f"{name}_minutes": fmean(minutes),
            **{f"{name}_{figure}": value for figure, value in figures.items()},
            f"{name}_skip_over_run": figures["run_without_log_ns"] / figures["skip_without_log_ns"],
            f"{name}_skip_over_run_with_log": figures["run_with_log_ns"] / figures["skip_with_log_ns"],
        }

    def measure(self) -> dict[str, float]:
        """Everything below the API."""
        from bkapi.schemas.policy import Policy
        from bkcore.machine.hooks import KERNEL, MANAGE, compile_hook
        from bkcore.machine.run import Hooks, no_signals

        figures: dict[str, float] = {}
        for name in BRACKETS:
            figures |= self.holds(name)
        table = self.table((1.0, 1.0, 240.0))
        figures["step_ns"] = self.nanoseconds([self.run(table, "step", logs=True)])
        policy = Policy(
            breakeven_from_percent=0.6, trailing_stop_distance_percent=0.8, partial_profit=((50, 50),)
        ).record()
        hook = Hooks(manage=compile_hook(manage, MANAGE))
        for driver in ("run", "skip"):
            plain = self.nanoseconds([self.run(table, driver, logs=True)])
            figures[f"plain_{driver}_ns"] = plain
            figures[f"policy_{driver}_ns"] = self.nanoseconds(
                [self.run(table, driver, logs=True, policy=policy)]
            )
            figures[f"manage_{driver}_ns"] = self.nanoseconds(
                [self.run(table, driver, logs=True, hooks=hook)]
            )
        jitted = compile_hook(kernel, KERNEL)

        class Nothing:
            records = no_signals()

        figures["kernel_skip_ns"] = self.nanoseconds(
            [self.run(Nothing, "skip", logs=True, hooks=Hooks(kernel=jitted))]
        )
        return figures


# -------------------------------------------------------------------------------------- calls of Python code


class Calls:
    """Python code in a month of candles, called by the API."""

    def __init__(self, path: Path, runs: int) -> None:
        import bkapi as bk
        from bkcore.candles.frame import CandleFrame

        self.runs = runs
        self.count = 0
        candles = CandleFrame.read(path)
        held = with_bracket(crosses(candles.frame), (10.0, 10.0, 1440.0))
        brief = every_interval(candles.frame)
        first_day = from_first_day(candles.frame)
        bk.add_exchange_schema(exchange_name="file", candles={SYMBOL: candles})
        bk.add_frame_schema(
            frame_name="month", start_date=first_day, end_date=first_day + timedelta(days=DAYS)
        )
        bk.add_strategy_schema(strategy_name="silent", get_signal=self.counted)
        bk.add_strategy_schema(strategy_name="asked", get_signal=self.opened)
        bk.add_strategy_schema(strategy_name="idle")
        bk.add_strategy_schema(strategy_name="held", interval="15m", signals=lambda candles: held)
        bk.add_strategy_schema(strategy_name="brief", interval="15m", signals=lambda candles: brief)
        bk.add_strategy_schema(
            strategy_name="called back",
            interval="15m",
            signals=lambda candles: held,
            callbacks={"on_active_ping": self.counted},
        )

    def counted(self, *_: object) -> None:
        """A function that does nothing but be called."""
        self.count += 1

    def read(self, event: Any) -> None:
        """A listener that looks at the result and the stop of the position."""
        self.count += 1
        signal = event.data
        self.seen = signal.pnl.pnl_percentage, signal.price_stop_loss

    def opened(self, symbol: str, when: datetime, price: float) -> dict[str, Any]:
        """A signal that ends in a minute, so that every second tick asks."""
        self.count += 1
        return {
            "position": "long",
            "price_take_profit": price * 1.05,
            "price_stop_loss": price * 0.95,
            "minute_estimated_time": 1,
        }

    def seconds(self, strategy_name: str, **listeners: Callable[[Any], object]) -> float:
        """Seconds of one run; ``listeners`` by the name of their channel."""
        import bkapi as bk

        self.count = 0
        ends = [getattr(bk, f"listen_{channel}")(fn) for channel, fn in listeners.items()]
        context = {"strategy_name": strategy_name, "exchange_name": "file", "frame_name": "month"}
        results = bk.Backtest.run(SYMBOL, context)
        started = time.perf_counter()
        for _ in results:
            pass
        seconds = time.perf_counter() - started
        for end in ends:
            end()
        return seconds

    def per_call(self, strategy_name: str, **listeners: Callable[[Any], object]) -> float:
        """Least microseconds of a run by how often something was called in it."""
        return min(self.seconds(strategy_name, **listeners) / self.count for _ in range(self.runs)) * 1e6

    def inside(self, strategy_name: str, *calls: Callable[[Any], object]) -> list[float]:
        """Least mean microseconds of each of ``calls``, made in turn with the event of every ping."""
        clock = time.perf_counter_ns
        reading = min(-(clock() - clock()) for _ in range(1000))
        spent = [0] * len(calls)

        def act(event: Any) -> None:
            self.count += 1
            for k, call in enumerate(calls):
                started = clock()
                call(event)
                spent[k] += clock() - started

        least = [NEVER] * len(calls)
        for _ in range(self.runs):
            spent[:] = [0] * len(calls)
            self.seconds(strategy_name, active_ping=act)
            means = [total / self.count - reading for total in spent]
            least = [min(pair) for pair in zip(least, means, strict=True)]
        return [nanoseconds / 1000 for nanoseconds in least]

    def commands(self) -> dict[str, float]:
        """Each command at every minute of short positions, granted every time; and one that is refused."""
        import bkapi as bk

        orders: dict[str, Callable[[Any], bool]] = {
            "commit_average_buy": lambda _: bk.commit_average_buy(SYMBOL),
            "commit_partial_profit": lambda _: bk.commit_partial_profit(SYMBOL, 5.0),
            "commit_partial_loss": lambda _: bk.commit_partial_loss(SYMBOL, 5.0),
            "commit_trailing_stop": lambda event: bk.commit_trailing_stop(SYMBOL, 0.5, event.current_price),
            "commit_trailing_take": lambda event: bk.commit_trailing_take(SYMBOL, 0.5, event.current_price),
        }
        refused = 0

        def granted(order: Callable[[Any], bool]) -> Callable[[Any], None]:
            def call(event: Any) -> None:
                nonlocal refused
                refused += not order(event)

            return call

        def ping(event: Any) -> None:
            self.count += 1
            bk.commit_trailing_stop(SYMBOL, 0.5, event.current_price)

        bk.set_config(dict.fromkeys(EVERYWHERE, True))
        figures = {f"{name}_us": self.inside("brief", granted(order))[0] for name, order in orders.items()}
        assert refused == 0, refused
        figures["slowest_command_us"] = max(figures.values())
        figures["ping_with_command_us"] = self.per_call("brief", active_ping=ping)
        figures["refused_command_us"] = self.inside("brief", lambda _: bk.commit_partial_profit(SYMBOL, 0.0))[
            0
        ]
        bk.set_config(dict.fromkeys(EVERYWHERE, False))
        return figures

    def getters(self) -> dict[str, float]:
        """The getters without an argument, each once at every ping."""
        import bkapi as bk
        from bkapi.positions import getters

        priced = {"get_breakeven", "get_position_entry_overlap", "get_position_partial_overlap"}
        names = [name for name in vars(getters) if name.startswith(("get_", "has_")) and name not in priced]
        calls = [partial(_getter, getattr(bk, name)) for name in names]
        each = dict(zip(names, self.inside("held", *calls), strict=True))
        slowest = max(each, key=lambda name: each[name])
        return {
            "getter_us": fmean(each.values()),
            "first_getter_us": self.inside("held", lambda _: bk.get_position_active_minutes(SYMBOL))[0],
            "get_pending_signal_us": each["get_pending_signal"],
            f"slowest_getter_{slowest}_us": each[slowest],
        }

    def measure(self) -> dict[str, float]:
        """Everything that Python code costs."""
        import bkapi as bk

        def wake_again(_: object) -> None:
            self.count += 1
            bk.wake_on(SYMBOL, after_minutes=1)

        def first_wake(event: Any) -> None:
            if event.action == "opened":
                bk.wake_on(SYMBOL, after_minutes=1)

        figures = {
            "get_signal_us": self.per_call("silent"),
            "get_signal_with_trade_us": self.per_call("asked"),
            "ping_listener_us": self.per_call("held", active_ping=self.counted),
            "ping_listener_that_reads_us": self.per_call("held", active_ping=self.read),
            "ping_callback_us": self.per_call("called back"),
            "idle_ping_us": self.per_call("idle", idle_ping=self.counted),
            "wake_us": self.per_call("held", wake=wake_again, signal_event=first_wake),
            "wake_on_us": self.inside("held", lambda _: bk.wake_on(SYMBOL, after_minutes=60))[0],
        }
        return figures | self.commands() | self.getters()


def _getter(get: Callable[[str], object], _: object) -> None:
    get(SYMBOL)


def every_interval(candles: Any) -> Any:
    """A long position of ten minutes in every interval."""
    import polars as pl

    moments = candles.lazy().select(timestamp=pl.col("timestamp") + MINUTE)
    taken = moments.filter(pl.col("timestamp") % INTERVAL == 0).with_columns(position=pl.lit("long"))
    return with_bracket(taken.collect(), (10.0, 10.0, 10.0))


def from_first_day(candles: Any) -> datetime:
    """The first midnight with candles before it."""
    first = datetime.fromtimestamp(candles["timestamp"][0] / 1000, UTC)
    return datetime(first.year, first.month, first.day, tzinfo=UTC) + timedelta(days=1)


# ------------------------------------------------------------------------------------------------ the whole


def compiling(what: str, runs: int) -> float:
    """Least seconds until a first jitted function stands, in fresh processes."""
    code = COMPILING.format(root=str(ROOT), here=str(ROOT / "benchmarks"), what=what)
    outputs = [
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
        for _ in range(runs)
    ]
    return min(map(float, outputs))


def main() -> None:
    """Measure, print a table, end with one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--candles", help="a file of 1m candles; default: real ones where present, else synthetic"
    )
    parser.add_argument("--runs", type=int, default=7)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bk-benchmark-") as name:
        path, source = candle_file(chosen.candles, Path(name))
        figures = Engine(path, chosen.runs).measure() | Calls(path, chosen.runs).measure()
        for what in ("kernel", "manage"):
            figures[f"compile_{what}_s"] = compiling(what, 3)
    targets = {
        target.figure: {
            "value": figures[target.figure],
            "target": f"{'>=' if target.at_least else '<='} {target.limit:g} {target.unit}",
            "is_met": (figures[target.figure] >= target.limit) is target.at_least
            or figures[target.figure] == target.limit,
        }
        for target in TARGETS
    }
    for figure, value in figures.items():
        print(f"{figure:50s} {value:10.3f}")
    for figure, target in targets.items():
        print(f"{figure:50s} {target['target']:20s} {'met' if target['is_met'] else 'MISSED'}")
    rounded = {figure: round(value, 4) for figure, value in figures.items()}
    print(
        json.dumps(
            {"benchmark": "engine", "source": source, **rounded, "targets": targets, "machine": machine()}
        )
    )


if __name__ == "__main__":
    main()
