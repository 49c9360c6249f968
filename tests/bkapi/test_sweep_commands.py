"""A sweep calls no Python code in its runs, so it refuses callbacks and listeners that may give commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import polars as pl
import pytest

import bkapi as bk
from bkapi import Space, SweepError
from bkapi.schemas.strategy import StrategyCallbacks
from bkcore.synthetic import generate

START = datetime(2024, 1, 1, tzinfo=UTC)
CONTEXT = {"strategy_name": "turns", "exchange_name": "memory", "frame_name": "days"}


def turns(candles: pl.DataFrame, k: int = 1) -> pl.DataFrame:
    return candles.filter(pl.col("closed_at") % 3_600_000 == 0).select(
        timestamp="closed_at",
        position=pl.lit("long"),
        take_profit_percent=pl.lit(5.0),
        stop_loss_percent=pl.lit(5.0),
        minute_estimated_time=pl.lit(240),
    )


def _market() -> None:
    candles = generate(symbol="BTCUSDT", start=START, minutes=3 * 1440, seed=5)
    bk.add_exchange_schema(exchange_name="memory", candles={"BTCUSDT": candles})
    bk.add_frame_schema(
        frame_name="days",
        start_date=datetime(2024, 1, 1, 1, tzinfo=UTC),
        end_date=datetime(2024, 1, 3, tzinfo=UTC),
    )


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    bk.reset()
    _market()
    yield
    bk.Cron.dispose()
    bk.reset()


def add(**callbacks: Any) -> None:
    bk.add_strategy_schema(
        strategy_name="turns", interval="15m", signals=turns, params={"k": 1}, callbacks=callbacks or None
    )


def sweep() -> bk.ParameterSweep:
    return bk.ParameterSweep(CONTEXT, Space.grid(k=[1, 2]), symbol="BTCUSDT")


def helper() -> None:
    bk.commit_close_pending("BTCUSDT")


class Manager:
    """Commands that stand behind a method."""

    def __init__(self) -> None:
        self.act = helper

    def seen(self, *_: Any) -> None:
        self.act()


COMMANDS: dict[str, Callable[..., Any]] = {
    "directly": lambda *_: bk.commit_close_pending("BTCUSDT"),
    "by a helper": lambda *_: helper(),
    "by a method": Manager().seen,
    "partially": partial(helper),
    "inside": lambda *_: [None for _ in range(1) if bk.commit_breakeven("BTCUSDT")],
    "by name": lambda *_: getattr(bk, "commit_breakeven")("BTCUSDT"),  # noqa: B009
    "by the facade": lambda *_: bk.Backtest.commit_breakeven("BTCUSDT", CONTEXT),
    "by stopping": lambda *_: bk.stop_strategy("BTCUSDT"),
    "in a closure": (lambda inner: lambda *_: inner())(helper),
}


@pytest.mark.parametrize("name", StrategyCallbacks.model_fields)
def test_every_callback_that_commands_is_named(name: str) -> None:
    add(**{name: COMMANDS["directly"]})
    with pytest.raises(SweepError, match=f"the callback '{name}' may give commands"):
        sweep()
    with pytest.raises(SweepError, match=f"'{name}'"):
        bk.WalkForward(CONTEXT, Space.grid(k=[1, 2]), symbol="BTCUSDT", train="12h", test="6h").run()


@pytest.mark.parametrize("how", COMMANDS)
def test_a_command_is_found_however_it_is_reached(how: str) -> None:
    add(on_open=COMMANDS[how])
    with pytest.raises(SweepError, match="'on_open'"):
        sweep()


def idle_once(function: Callable[..., Any]) -> None:
    bk.listen_idle_ping_once(lambda event: True, function)


@pytest.mark.parametrize(
    "listen",
    [bk.listen_active_ping, bk.listen_signal_event, idle_once, bk.listen_highest_profit],
)
@pytest.mark.parametrize("how", COMMANDS)
def test_every_listener_that_commands_is_refused(listen: Callable[..., Any], how: str) -> None:
    add()
    made = sweep()
    listen(COMMANDS[how])
    with pytest.raises(SweepError, match=r"the listener .* may give commands"):
        made.run(progress=False)


def test_a_result_is_not_played_again_with_commands() -> None:
    add()
    result = sweep().run(progress=False)
    assert result.trades(0).height
    stop = bk.listen_active_ping(lambda event: helper())
    for ask in (result.trades, result.statistics, result.run):
        with pytest.raises(SweepError, match="may give commands"):
            ask(0)
    stop()
    assert result.trades(0).height


def test_handlers_of_cron_may_command() -> None:
    add()
    bk.Cron.register(name="hourly", interval="1h", handler=lambda info: helper())
    bk.Cron.enable()
    with pytest.raises(SweepError, match="the listener"):
        sweep()


def test_what_only_looks_on_is_swept() -> None:
    seen: list[Any] = []
    add(on_open=lambda *found: seen.append(found), on_close=lambda *_: print("closed"))
    bk.listen_signal_event(seen.append)
    bk.listen_error(seen.append)
    bk.Markdown.enable()
    found = sweep().run(progress=False)
    assert found.frame["total_trades"].to_list() == [bk.Backtest.finish("BTCUSDT", CONTEXT).trades.height] * 2
    assert seen


def closing(*_: Any) -> None:
    bk.commit_close_pending("BTCUSDT")


def asked(symbol: str, when: datetime, price: float) -> dict[str, Any] | None:
    if when.minute == 30:
        helper()
    return (
        None
        if when.minute
        else {"position": "long", "price_take_profit": price * 1.05, "price_stop_loss": price / 2}
    )


def finished(**strategy: Any) -> bk.FinishedRun:
    bk.add_strategy_schema(strategy_name="turns", interval="15m", **({"signals": turns} | strategy))
    return bk.Backtest.finish("BTCUSDT", CONTEXT)


def test_random_entries_refuse_runs_that_python_commands() -> None:
    expected = "'turns' cannot be compared with random entries: .*{}"
    run = finished(callbacks={"on_active_ping": closing})
    with pytest.raises(
        bk.RandomEntriesError, match=expected.format("the callback 'on_active_ping' may give")
    ):
        bk.random_entry_baseline(run)
    with pytest.raises(
        bk.RandomEntriesError, match=r"'on_active_ping'.*\n.*draws=0 judges overfitting without"
    ):
        bk.overfitting_of_runs({"one": run, "other": run})
    assert bk.overfitting_of_runs({"one": run, "other": run}, draws=0).random_entries is None


def test_random_entries_refuse_listeners_askers_loops_and_risk_profiles() -> None:
    plain = finished()
    assert bk.random_entry_baseline(plain, "total_trades", draws=5) is not None
    bk.listen_active_ping(closing)
    with pytest.raises(bk.RandomEntriesError, match=r"the listener 'closing' of .* may give commands"):
        bk.random_entry_baseline(plain)
    bk.reset()
    _market()
    with pytest.raises(bk.RandomEntriesError, match="its get_signal may give commands"):
        bk.random_entry_baseline(finished(signals=None, get_signal=asked))
    bk.override_strategy_schema(strategy_name="turns", get_signal=None, signals=turns)
    stop = bk.listen_active_ping(closing)
    run = bk.Backtest.finish("BTCUSDT", CONTEXT)
    stop()
    with pytest.raises(bk.RandomEntriesError, match="its positions were given commands"):
        bk.random_entry_baseline(run)
    bk.add_risk_schema(risk_name="calm", validations=[lambda payload: None])
    bk.override_strategy_schema(strategy_name="turns", risk_name="calm")
    with pytest.raises(bk.RandomEntriesError, match=r"risk profiles \(calm\) were asked"):
        bk.random_entry_baseline(bk.Backtest.finish("BTCUSDT", CONTEXT))


def test_a_walker_does_not_compare_a_winner_that_python_commands_with_random_entries() -> None:
    add(on_active_ping=closing)
    bk.add_walker_schema(
        walker_name="walk",
        exchange_name="memory",
        frame_name="days",
        strategies=["turns"],
        metric="avg_pnl",
    )
    context = {"walker_name": "walk"}
    for _ in bk.Walker.run("BTCUSDT", context):
        pass
    with pytest.raises(bk.RandomEntriesError, match="'on_active_ping'"):
        bk.Walker.overfitting("BTCUSDT", context)
