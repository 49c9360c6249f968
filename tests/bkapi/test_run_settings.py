"""Which numbers and which fill model a run has: strategy over exchange over configuration."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import bkapi as bk
from bkapi.backtests.backtest import Backtest
from bkapi.backtests.prepare import prepare
from bkapi.base import config
from bkapi.cli.main import app
from bkapi.cli.output import ArgumentError
from bkapi.reporting.conditions import run_conditions
from bkapi.reporting.provenance import provenance
from bkapi.reporting.saved.saved_runs import load_run, save_run
from bkapi.runs.strategy import StrategyRun
from tests.bkapi.short_runs import CONTEXT, MIDNIGHT_MS, SYMBOL, candles_of

CANDLES = candles_of([100 + (minute % 40) * 0.1 for minute in range(400)])
ASK = {"position": "long", "price_take_profit": 104.0, "price_stop_loss": 98.0, "minute_estimated_time": 30}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    bk.reset()
    yield
    bk.reset()


def hourly(candles: pl.DataFrame) -> pl.DataFrame:
    return candles.filter(pl.col("closed_at") % 3_600_000 == 0).select(
        timestamp="closed_at",
        position=pl.lit("long"),
        take_profit_percent=pl.lit(1.0),
        stop_loss_percent=pl.lit(1.0),
        minute_estimated_time=pl.lit(30),
    )


def register(costs: Any = None, **strategy: Any) -> None:
    bk.add_exchange_schema(exchange_name="memory", candles={SYMBOL: CANDLES}, costs=costs)
    bk.add_frame_schema(
        frame_name="minutes", start_date=MIDNIGHT_MS + 5 * 60_000, end_date=MIDNIGHT_MS + 398 * 60_000
    )
    bk.add_strategy_schema(**{"strategy_name": "planned", "signals": hourly, **strategy})


def prepared() -> StrategyRun:
    return prepare(SYMBOL, CONTEXT, source="here")


# ------------------------------------------------------------------------------------------------- who says what


def test_settings_of_the_strategy_come_before_costs_of_the_exchange_before_the_configuration() -> None:
    config.set_config(CC_PERCENT_FEE=0.03, CC_PERCENT_SLIPPAGE=0.04, CC_PERCENT_MAKER_FEE=0.07)
    register(
        bk.Costs(taker_fee_percent=0.05, maker_fee_percent=-0.01, slippage_percent=0.06),
        settings={"CC_PERCENT_SLIPPAGE": 0.02, "CC_SCHEDULE_AWAIT_MINUTES": math.inf},
    )
    settings = prepared().settings
    assert (settings.fee_percent, settings.maker_fee_percent) == (0.05, -0.01)
    assert (settings.slippage_percent, settings.await_minutes) == (0.02, math.inf)
    assert settings.max_lifetime_minutes == 1440
    assert (config.value("CC_PERCENT_FEE"), config.value("CC_PERCENT_SLIPPAGE")) == (0.03, 0.04)


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ({"taker_fee_percent": 0.05}, (0.05, None, 0.1)),
        ({"taker_fee_percent": 0.05, "maker_fee_percent": 0.0}, (0.05, 0.0, 0.1)),
        ({"taker_fee_percent": 0, "slippage_percent": 0}, (0.0, None, 0.0)),
        (None, (0.1, 0.07, 0.1)),
    ],
)
def test_what_costs_leave_out(costs: Any, expected: tuple[float, float | None, float]) -> None:
    config.set_config(CC_PERCENT_MAKER_FEE=0.07)
    register(costs)
    settings = prepared().settings
    assert (settings.fee_percent, settings.maker_fee_percent, settings.slippage_percent) == expected


@pytest.mark.parametrize(
    ("costs", "words"),
    [
        ({}, ["missing taker_fee_percent"]),
        ({"taker_fee_percent": -0.1}, ["taker_fee_percent=-0.1", ">= 0"]),
        ({"taker_fee_percent": math.inf}, ["taker_fee_percent=inf"]),
        ({"taker_fee_percent": 0.1, "maker_fee_percent": math.nan}, ["maker_fee_percent=nan", "rebate"]),
        ({"taker_fee_percent": 0.1, "slippage_percent": -1}, ["slippage_percent=-1"]),
        ({"taker_fee_percent": 0.1, "maker_fee": 0}, ["unknown field 'maker_fee'", "did you mean"]),
    ],
)
def test_costs_that_cannot_be(costs: dict[str, Any], words: list[str]) -> None:
    for make in (
        lambda: bk.Costs(**costs),
        lambda: bk.add_exchange_schema(exchange_name="e", candles={}, costs=costs),
    ):
        with pytest.raises(bk.SchemaError) as caught:
            make()
        for word in words:
            assert word in str(caught.value)


def test_costs_are_frozen() -> None:
    with pytest.raises((bk.BkError, ValueError)):
        bk.Costs(taker_fee_percent=0.1).taker_fee_percent = 0.2  # type: ignore[misc]


@pytest.mark.real_prices
@pytest.mark.parametrize(
    ("configured", "of_settings", "of_strategy", "expected"),
    [
        (None, None, None, config.DEFAULT_FILL_MODEL),
        ("last_close", None, None, "last_close"),
        ("last_close", "next_open", None, "next_open"),
        ("last_close", "next_open", "vwap", "vwap"),
        ("next_open", None, "vwap", "vwap"),
    ],
)
def test_the_fill_model_of_a_run(
    configured: str | None, of_settings: str | None, of_strategy: str | None, expected: str
) -> None:
    if configured:
        config.set_config(CC_FILL_MODEL=configured)
    register(fill=of_strategy, settings={"CC_FILL_MODEL": of_settings} if of_settings else None)
    assert prepared().settings.fill == expected


# ------------------------------------------------------------------------------------- settings that cannot be


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"CC_FEE": 0.1}, ["'CC_FEE' is no constant", "did you mean 'CC_PERCENT_FEE'"]),
        ({"mine": 1}, ["'mine' is no constant", "get_config()"]),
        ({5: 1}, ["settings={5: 1} is not usable"]),
        ({"CC_PERCENT_FEE": -1}, ["CC_PERCENT_FEE=-1 must be a finite number >= 0 (fee per side in PnL)"]),
        ({"CC_FILL_MODEL": "touch"}, ["CC_FILL_MODEL='touch' must be", '"vwap"']),
        ({"CC_MAX_LOG_LINES": 5}, ["CC_MAX_LOG_LINES=5 belongs to the whole process", "set_config("]),
        ({"CC_PERCENT_FEE": "x", "CC_AVG_PRICE_CANDLES_COUNT": 0}, ["CC_PERCENT_FEE='x'", "COUNT=0"]),
        ([("CC_PERCENT_FEE", 1)], ["settings=", "is not usable"]),
    ],
)
def test_settings_are_checked_as_the_configuration_is(settings: Any, words: list[str]) -> None:
    with pytest.raises(bk.SchemaError) as caught:
        bk.add_strategy_schema(strategy_name="dip", settings=settings)
    assert caught.value.field == "settings"
    for word in (*words, "strategy_name='dip'"):
        assert word in str(caught.value)


def test_the_same_words_as_the_configuration_has() -> None:
    with pytest.raises(bk.ConfigError) as of_config:
        config.set_config(CC_SCHEDULE_AWAIT_MINUTES=0.5)
    with pytest.raises(bk.SchemaError) as of_strategy:
        bk.add_strategy_schema(strategy_name="dip", settings={"CC_SCHEDULE_AWAIT_MINUTES": 0.5})
    assert of_config.value.problems[0] in str(of_strategy.value)


def test_rules_between_constants_are_checked_with_the_configuration_of_the_run() -> None:
    register(settings={"CC_PERCENT_FEE": 0.3})
    with pytest.raises(bk.ConfigError) as caught:
        prepared()
    assert "strategy_name='planned'" in str(caught.value)
    assert "CC_MIN_TAKEPROFIT_DISTANCE_PERCENT=0.5 does not cover the costs" in caught.value.problems[0]
    config.set_config(CC_MIN_TAKEPROFIT_DISTANCE_PERCENT=2)
    assert prepared().settings.fee_percent == 0.3


def test_settings_answer_only_for_the_rules_that_they_break() -> None:
    config.set_config(CC_MIN_TAKEPROFIT_DISTANCE_PERCENT=0.1, unsafe=True)
    register(settings={"CC_SCHEDULE_AWAIT_MINUTES": 5})
    assert prepared().settings.min_take_profit_percent == 0.1


# -------------------------------------------------------------------------------------------- every kind of run


def test_a_backtest_pays_what_its_strategy_says() -> None:
    register()
    plain = Backtest.finish(SYMBOL, CONTEXT).trades
    bk.override_strategy_schema(strategy_name="planned", settings={"CC_PERCENT_FEE": 0.0})
    free = Backtest.finish(SYMBOL, CONTEXT).trades
    assert plain.height == free.height > 3
    assert (free["pnl_percent"] - plain["pnl_percent"]).to_list() == pytest.approx(
        [0.2] * free.height, abs=0.01
    )


def test_sweeps_and_walkers_have_the_settings_of_the_backtest() -> None:
    register({"taker_fee_percent": 0.02}, settings={"CC_PERCENT_SLIPPAGE": 0.0, "CC_FILL_MODEL": "vwap"})
    alone = Backtest.finish(SYMBOL, CONTEXT)
    total = float(alone.trades["pnl_percent"].sum())
    space = bk.Space.grid(take_profit_percent=[1.0], stop_loss_percent=[1.0])
    swept = bk.ParameterSweep(CONTEXT, space, symbol=SYMBOL).run(progress=False)
    assert (swept.settings.fee_percent, swept.settings.slippage_percent) == (0.02, 0.0)
    assert swept.frame["total_pnl"].item() == pytest.approx(total, abs=1e-9)
    bk.add_walker_schema(
        walker_name="w",
        exchange_name="memory",
        frame_name="minutes",
        strategies=["planned"],
        metric="total_pnl",
        space=bk.Space.grid(take_profit_percent=[1.0]),
    )
    for _ in bk.Walker.run(SYMBOL, {"walker_name": "w"}):
        pass
    found = bk.Walker.get_data(SYMBOL, {"walker_name": "w"})
    assert found.strategy_results[0].stats.total_pnl == pytest.approx(total, abs=1e-9)


def test_brackets_of_a_space_keep_the_limits_of_the_strategy() -> None:
    register(settings={"CC_MAX_STOPLOSS_DISTANCE_PERCENT": 3})
    wide = bk.Space.grid(stop_loss_percent=[1.0, 4.0])
    with pytest.raises(bk.SweepError, match="stop_loss_percent=4"):
        bk.ParameterSweep(CONTEXT, wide, symbol=SYMBOL)
    bk.add_walker_schema(
        walker_name="w",
        exchange_name="memory",
        frame_name="minutes",
        strategies=["planned"],
        space=wide,
    )
    with pytest.raises(bk.SweepError, match="stop_loss_percent=4"):
        list(bk.Walker.run(SYMBOL, {"walker_name": "w"}))


def test_the_time_for_a_signal_is_that_of_the_strategy(caplog: pytest.LogCaptureFixture) -> None:
    def slow(*_: Any) -> dict[str, Any]:
        time.sleep(1.1)
        return ASK

    bk.add_exchange_schema(exchange_name="memory", candles={SYMBOL: CANDLES})
    start = MIDNIGHT_MS + 5 * 60_000
    bk.add_frame_schema(frame_name="minutes", start_date=start, end_date=start + 60_000)
    bk.add_strategy_schema(
        strategy_name="planned",
        get_signal=slow,
        interval="1h",
        settings={"CC_MAX_SIGNAL_GENERATION_SECONDS": 1},
    )
    run = Backtest.finish(SYMBOL, CONTEXT)
    assert run.trades.is_empty()
    assert run.has_failed


def test_patience_may_be_endless_on_any_candles() -> None:
    config.set_config(CC_SCHEDULE_AWAIT_MINUTES=math.inf, CC_MAX_SIGNAL_LIFETIME_MINUTES=math.inf)
    register(fill="vwap")
    assert Backtest.finish(SYMBOL, CONTEXT).trades.height > 3


# ------------------------------------------------------------------------------- what only real prices know


def test_a_policy_for_real_prices_is_refused_when_a_run_by_averages_is_prepared() -> None:
    register(fill="vwap", policy={"cooldown_minutes": 5})
    for start in (prepared, lambda: bk.ParameterSweep(CONTEXT, bk.Space.grid(), symbol=SYMBOL)):
        with pytest.raises(bk.SchemaError, match=r"cooldown_minutes=5\.0 means nothing under fill='vwap'"):
            start()
    bk.override_strategy_schema(strategy_name="planned", fill="next_open")
    policy = prepared().policy
    assert policy is not None
    assert policy["cooldown_ms"] == 300_000


def test_an_axis_for_real_prices_is_refused_when_a_sweep_by_averages_is_planned() -> None:
    register(fill="vwap")
    space = bk.Space.grid(on_opposite=["ignore", "close"])
    with pytest.raises(bk.SchemaError, match="on_opposite='close' means nothing under fill='vwap'"):
        bk.ParameterSweep(CONTEXT, space, symbol=SYMBOL)
    bk.add_walker_schema(
        walker_name="w",
        exchange_name="memory",
        frame_name="minutes",
        strategies=["planned"],
        space=space,
    )
    with pytest.raises(bk.SchemaError, match="on_opposite='close' means nothing under fill='vwap'"):
        list(bk.Walker.run(SYMBOL, {"walker_name": "w"}))
    bk.override_strategy_schema(strategy_name="planned", fill="next_open")
    assert bk.ParameterSweep(CONTEXT, space, symbol=SYMBOL).space is space


def test_asking_in_a_position_is_for_real_prices() -> None:
    register(fill="vwap", when_in_position=True)
    with pytest.raises(bk.SchemaError, match="when_in_position=True means nothing") as caught:
        prepared()
    assert 'fill="next_open"' in str(caught.value)
    bk.override_strategy_schema(strategy_name="planned", fill="last_close")
    assert prepared().schema.when_in_position


# ------------------------------------------------------------------------------------- what a run says of itself


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"CC_PERCENT_FEE": 0.05}},
        {"settings": {"CC_PERCENT_MAKER_FEE": 0.05}},
        {"settings": {"CC_SCHEDULE_AWAIT_MINUTES": math.inf}},
        {"costs": {"taker_fee_percent": 0.05}},
        {"fill": "next_open"},
        {"fill": "last_close"},
        {"fill": "next_open", "when_in_position": True},
        {"fill": "next_open", "policy": {"cooldown_minutes": 1}},
        {"fill": "next_open", "policy": {"trailing_by": "close"}},
    ],
    ids=str,
)
def test_runs_that_differ_in_a_setting_have_different_hashes(change: dict[str, Any]) -> None:
    hashes = set()
    for fields in ({"fill": "vwap"}, {"fill": change.get("fill", "vwap")}, {"fill": "vwap", **change}):
        bk.reset()
        register(**fields)
        hashes.add(provenance(prepared())["run_hash"])
    assert len(hashes) == (2 if change.get("fill", "vwap") == "vwap" or len(change) == 1 else 3)


def test_it_does_not_matter_who_says_a_setting() -> None:
    settings = []
    for configured, fields in (
        ({}, {"settings": {"CC_PERCENT_FEE": 0.05}}),
        ({}, {"costs": {"taker_fee_percent": 0.05}}),
        ({"CC_PERCENT_FEE": 0.05}, {}),
    ):
        bk.reset()
        config.set_config(configured)
        register(**fields)
        settings.append(provenance(prepared())["settings"])
    assert settings[0] == settings[1] == settings[2]


def test_a_sweep_folder_is_not_continued_with_other_settings(tmp_path: Path) -> None:
    space = bk.Space.grid(take_profit_percent=[1.0, 1.5])
    register(fill="next_open")
    bk.ParameterSweep(CONTEXT, space, symbol=SYMBOL).run(folder=tmp_path, progress=False)
    for change, part in (
        ({"settings": {"CC_PERCENT_MAKER_FEE": 0.05}}, "settings"),
        ({"settings": {}, "fill": "last_close"}, "settings"),
        ({"fill": "next_open", "when_in_position": True}, "strategy"),
    ):
        bk.override_strategy_schema(strategy_name="planned", **change)
        with pytest.raises(bk.BkError, match=rf"\b{part}\b"):
            bk.ParameterSweep(CONTEXT, space, symbol=SYMBOL).run(folder=tmp_path, progress=False)
    bk.override_strategy_schema(strategy_name="planned", when_in_position=False)
    assert bk.ParameterSweep(CONTEXT, space, symbol=SYMBOL).run(folder=tmp_path, progress=False).complete


def test_the_line_under_a_report_tells_the_costs_that_the_run_had(tmp_path: Path) -> None:
    register({"taker_fee_percent": 0.05, "maker_fee_percent": -0.01, "slippage_percent": 0}, fill="next_open")
    run = Backtest.finish(SYMBOL, CONTEXT)
    line = run_conditions(run.strategy_run)
    assert line.startswith(
        "taker fee 0.05 %, maker fee -0.01 % and slippage 0 % per side; fill model next_open: "
    )
    assert line[: line.index(";")] in load_run(save_run(run, tmp_path / "run")).conditions()
    assert line[: line.index(";")] in bk.Backtest.get_report(SYMBOL, CONTEXT)
    bk.override_strategy_schema(strategy_name="planned", fill="vwap")  # it knows no makers
    assert run_conditions(prepared()).startswith("fee 0.05 % and slippage 0 % per side; fill model vwap: ")


# ------------------------------------------------------------------------------------------------ command line


def command(*arguments: str) -> tuple[int, str, BaseException | None]:
    bk.reset()
    done = CliRunner().invoke(app, [*arguments])
    return done.exit_code, done.output, done.exception


STRATEGY = """
import polars as pl
from bkapi import add_strategy_schema

def signals(candles):
    return candles.filter(pl.col("closed_at") % 3_600_000 == 0).select(
        timestamp="closed_at", position=pl.lit("long"),
        take_profit_percent=pl.lit(1.0), stop_loss_percent=pl.lit(1.0), minute_estimated_time=pl.lit(60),
    )

add_strategy_schema(strategy_name="hourly", interval="1h", signals=signals, FIELDS)
"""


@pytest.fixture
def hourly_file(tmp_path: Path) -> str:
    file = tmp_path / "hourly.py"
    file.write_text(
        STRATEGY.replace("FIELDS", "fill='vwap', settings={'CC_FILL_MODEL': 'last_close'}"), encoding="utf-8"
    )
    return str(file)


@pytest.mark.parametrize("fill", ["next_open", "last_close", "vwap"])
def test_the_command_line_has_the_last_word_on_the_fill_model(
    fill: str, hourly_file: str, tmp_path: Path
) -> None:
    code, printed, error = command(
        *("backtest", hourly_file, "--fill", fill, "--end", "2024-01-03", "--save", str(tmp_path / "run")),
        *("--config", "CC_FILL_MODEL=vwap"),
    )
    assert (code, error) == (0, None), printed
    assert f"fill model {fill}:" in printed
    saved = load_run(tmp_path / "run")
    assert (saved.manifest["how"]["fill"], saved.manifest["conditions"]["fill"]) == (fill, fill)
    code, printed, _ = command("repeat", str(tmp_path / "run"), "--yes")
    assert code == 0, printed
    assert "the same:" in printed


def test_without_the_option_the_strategy_or_the_configuration_says_it(
    hourly_file: str, tmp_path: Path
) -> None:
    assert "fill model vwap:" in command("backtest", hourly_file, "--end", "2024-01-03")[1]
    plain = tmp_path / "plain.py"
    plain.write_text(STRATEGY.replace("FIELDS", ""), encoding="utf-8")
    last = ("--config", "CC_FILL_MODEL=last_close", "--config", "CC_PERCENT_MAKER_FEE=0.02")
    printed = command("backtest", str(plain), "--end", "2024-01-03", *last)[1]
    assert "maker fee 0.02 %" in printed
    assert "fill model last_close:" in printed


@pytest.mark.parametrize("name", ["backtest", "sweep", "walk", "lookahead", "demo"])
def test_every_command_that_runs_strategies_refuses_an_unknown_model(name: str, hourly_file: str) -> None:
    target = () if name == "demo" else (hourly_file,)
    code, _, error = command(name, *target, "--fill", "next-open")
    assert code == 1
    assert isinstance(error, ArgumentError)
    assert "--fill 'next-open' is no fill model" in str(error)
    assert "did you mean 'next_open'" in str(error)


def test_a_walk_and_a_sweep_run_under_the_chosen_model(
    hourly_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = StrategyRun.__init__

    def noted(self: StrategyRun, *given: Any, **options: Any) -> None:
        real(self, *given, **options)
        seen.append(self.settings.fill)

    monkeypatch.setattr(StrategyRun, "__init__", noted)
    for arguments in (
        ("walk", hourly_file),
        ("sweep", hourly_file, "--take-profit", "1", "--stop-loss", "1", "--lifetime", "60"),
    ):
        seen.clear()
        code, printed, _ = command(*arguments, "--fill", "last_close", "--end", "2024-01-03")
        assert code == 0, printed
        assert set(seen) == {"last_close"}, arguments


def test_settings_decide_how_many_candles_come_before_the_first_tick(tmp_path: Path) -> None:
    file = tmp_path / "wide.py"
    file.write_text(
        STRATEGY.replace("FIELDS", "settings={'CC_AVG_PRICE_CANDLES_COUNT': 30}"), encoding="utf-8"
    )
    assert command("backtest", str(file), "--fill", "vwap")[0] == 0


def test_a_word_for_a_constant_on_the_command_line() -> None:
    _, _, error = command("backtest", "example", "--config", "CC_FILL_MODEL=best")
    assert isinstance(error, bk.ConfigError)
    assert "CC_FILL_MODEL='best' must be" in str(error)
    code, _, error = command(
        "backtest", "example", "--end", "2024-01-03", "--config", "CC_PERCENT_MAKER_FEE=none"
    )
    assert (code, error) == (0, None)
    _, _, error = command("backtest", "example", "--config", "CC_PERCENT_FEE=none")
    assert isinstance(error, bk.ConfigError)
