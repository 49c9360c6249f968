"""The configuration: defaults, rules in their documented order, all or nothing."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bkapi.base import config
from bkapi.errors import BkError, ConfigError
from bkcore.intervals import MOST_MINUTES
from bkcore.machine.codes import Fill
from bkcore.machine.settings import FOREVER_MS, READ_CONSTANTS, EngineSettings

pytestmark = pytest.mark.real_prices

SHARED = Path(os.environ.get("BK_SHARED", Path(__file__).parents[2].parent / "shared"))
GOLDEN = SHARED / "golden" / "services" / "config_validation.jsonl"
SPECIFICATION = SHARED / "spec"


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    config.reset_config()
    yield
    config.reset_config()


def cases() -> list[dict[str, Any]]:
    if not GOLDEN.exists():
        return []
    lines = map(json.loads, GOLDEN.read_text(encoding="utf-8").splitlines())
    return [case for case in lines if case["input"]["kind"] == "config"]


def decoded(value: Any) -> Any:
    if value is None:
        return math.nan
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value


def same(actual: Any, expected: Any) -> bool:
    return actual == expected or (actual != actual and expected != expected)  # NaN is NaN


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"no golden data at {GOLDEN}")
@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_golden_cases(case: dict[str, Any]) -> None:
    config.set_config(CC_GET_CANDLES_RETRY_DELAY_MS=0)  # as in all recorded cases
    before = config.get_config()
    overrides = {name: decoded(value) for name, value in case["input"]["overrides"].items()}
    expected = case["expected"]
    if "error" in expected:
        with pytest.raises(ConfigError) as caught:
            config.set_config(overrides, unsafe=case["input"]["unsafe"])
        mentioned = [re.findall(r"CC_[A-Z_0-9]+", problem) for problem in caught.value.problems]
        assert mentioned == expected["error"]["violations"]
    else:
        config.set_config(overrides, unsafe=case["input"]["unsafe"])
    assert (config.get_config() == before) is expected["config_unchanged"]
    for name, value in expected["values"].items():
        assert same(config.value(name), decoded(value))


@pytest.mark.skipif(not SPECIFICATION.exists(), reason=f"no specification at {SPECIFICATION}")
def test_every_documented_constant_has_a_default() -> None:
    to_come = ("front-door.md", "account.md", "deviations.md")  # beyond the documented framework
    documents = [path for path in SPECIFICATION.glob("*.md") if path.name not in to_come]
    text = "".join(path.read_text(encoding="utf-8") for path in documents)
    documented = {name for name in re.findall(r"CC_[A-Z0-9_]+", text) if not name.endswith("_")}
    assert documented == set(config.DEFAULTS)


def test_names_are_unique_and_each_has_a_meaning() -> None:
    assert len(config.DEFAULTS) == len(config.CONSTANTS)
    assert all(constant.meaning for constant in config.CONSTANTS)


def test_defaults_are_valid_and_those_of_the_engine() -> None:
    config.validate_config(config.DEFAULTS)
    fill = config.DEFAULT_FILL_MODEL
    assert EngineSettings.from_config(config.DEFAULTS) == EngineSettings(fill=fill)  # type: ignore[arg-type]


def test_keywords_and_mapping_do_the_same_and_take_effect_at_once() -> None:
    config.set_config({"CC_PERCENT_FEE": 0.05})
    config.set_config(CC_PERCENT_SLIPPAGE=0.02)
    assert (config.value("CC_PERCENT_FEE"), config.value("CC_PERCENT_SLIPPAGE")) == (0.05, 0.02)


def test_all_problems_are_numbered_in_documented_order() -> None:
    broken = {constant.name: -1 for constant in config.CONSTANTS if constant.domain is not config._ANY}
    with pytest.raises(ConfigError) as caught:
        config.set_config(broken)
    lines = caught.value.message.splitlines()
    assert lines[0] == "GLOBAL_CONFIG validation failed:"
    assert [line.split(".")[0] for line in lines[1:]] == [str(number) for number in range(1, 49)]
    assert [re.findall(r"CC_\w+", line) for line in lines[1:20]] == [
        ["CC_PERCENT_SLIPPAGE"],
        ["CC_PERCENT_FEE"],
        ["CC_BREAKEVEN_THRESHOLD"],
        ["CC_MIN_TAKEPROFIT_DISTANCE_PERCENT"],
        ["CC_MIN_STOPLOSS_DISTANCE_PERCENT"],
        ["CC_MAX_STOPLOSS_DISTANCE_PERCENT"],
        ["CC_MIN_STOPLOSS_DISTANCE_PERCENT", "CC_MAX_STOPLOSS_DISTANCE_PERCENT"],
        ["CC_SCHEDULE_AWAIT_MINUTES"],
        ["CC_MAX_SIGNAL_LIFETIME_MINUTES"],
        ["CC_MAX_SIGNAL_GENERATION_SECONDS"],
        ["CC_AVG_PRICE_CANDLES_COUNT"],
        ["CC_GET_CANDLES_RETRY_COUNT"],
        ["CC_GET_CANDLES_RETRY_DELAY_MS"],
        ["CC_GET_CANDLES_PRICE_ANOMALY_THRESHOLD_FACTOR"],
        ["CC_GET_CANDLES_MIN_CANDLES_FOR_MEDIAN"],
        ["CC_MAX_CANDLES_PER_REQUEST"],
        ["CC_ORDER_BOOK_TIME_OFFSET_MINUTES"],
        ["CC_MAX_NOTIFICATIONS"],
        ["CC_MAX_SIGNALS"],
    ]
    assert "unsafe=True" in str(caught.value)
    assert isinstance(caught.value, BkError)


def test_a_refused_change_changes_no_value_not_even_its_good_part(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConfigError):
        config.set_config(CC_AVG_PRICE_CANDLES_COUNT=7, CC_PERCENT_FEE=-1)
    assert config.get_config() == dict(config.DEFAULTS)
    with pytest.raises(ConfigError):
        config.set_config(mine=7, CC_PERCENT_FEE=-1)
    assert config.get_config() == {**config.DEFAULTS, "mine": 7}
    assert "GLOBAL_CONFIG validation failed" in caplog.text


def test_the_take_profit_must_cover_the_costs() -> None:
    with pytest.raises(ConfigError, match=r"at least 0\.60 % \(slippage 0\.20 % \+ fees 0\.40 %"):
        config.set_config(CC_PERCENT_FEE=0.2)
    config.set_config(CC_MIN_TAKEPROFIT_DISTANCE_PERCENT=0.4)


@pytest.mark.parametrize("value", [7, 7.0, np.int64(7), np.float64(7.0)])
def test_an_integer_may_be_written_in_any_way(value: Any) -> None:
    config.set_config(CC_AVG_PRICE_CANDLES_COUNT=value)
    assert config.value("CC_AVG_PRICE_CANDLES_COUNT") == 7


@pytest.mark.parametrize("value", [True, "5", None, math.nan, math.inf, 5.5, 0, [5], np.bool_(True)])
def test_what_is_no_positive_integer(value: Any) -> None:
    with pytest.raises(ConfigError, match="CC_AVG_PRICE_CANDLES_COUNT"):
        config.set_config(CC_AVG_PRICE_CANDLES_COUNT=value)


def test_only_lifetime_and_patience_may_be_infinite() -> None:
    for name in ("CC_MAX_SIGNAL_LIFETIME_MINUTES", "CC_SCHEDULE_AWAIT_MINUTES"):
        config.set_config({name: math.inf})
        for value in (-math.inf, math.nan):
            with pytest.raises(ConfigError, match=name):
                config.set_config({name: value})
    with pytest.raises(ConfigError):
        config.set_config(CC_MAX_SIGNALS=math.inf)
    assert config.engine_settings().record()["await_ms"] == FOREVER_MS


def test_unsafe_skips_the_rules_and_keys_of_ones_own_are_stored() -> None:
    config.set_config({"CC_MIN_TAKEPROFIT_DISTANCE_PERCENT": 0, "CC_MINE": "x"}, unsafe=True)
    assert config.value("CC_MIN_TAKEPROFIT_DISTANCE_PERCENT") == 0
    assert config.get_config()["CC_MINE"] == "x"
    config.reset_config()
    config.set_config(mine=1, CC_XYZ_2=2)  # a digit: no constant has one
    assert (config.get_config()["mine"], config.get_config()["CC_XYZ_2"]) == (1, 2)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CC_FEE", "CC_PERCENT_FEE"),
        ("cc_percent_fee", "CC_PERCENT_FEE"),
        ("Percent_Fee", "CC_PERCENT_FEE"),
        ("CC_MAX_SIGNALS2", "CC_MAX_SIGNALS"),
        ("CC_NOTHING_OF_THE_KIND", "get_config()"),
        (5, "no name"),
    ],
)
def test_a_misspelt_constant_is_refused_and_not_stored(name: Any, meant: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.set_config({name: 0, "CC_PERCENT_SLIPPAGE": 0.0})
    assert repr(name) in str(caught.value)
    assert meant in str(caught.value)
    assert config.get_config() == dict(config.DEFAULTS)


@pytest.mark.parametrize(
    "name",
    [one.name for one in config.CONSTANTS if one.domain not in (config._ANY, config._MAKER_FEE)],
)
@pytest.mark.parametrize(
    "value",
    ["abc", [], None, 10**400, 10**5000, np.array([1, 2]), math.nan, -1],
    ids=lambda value: type(value).__name__,
)
def test_no_constant_takes_an_odd_value(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        config.set_config({name: value})
    assert config.get_config() == dict(config.DEFAULTS)


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("CC_SCHEDULE_AWAIT_MINUTES", MOST_MINUTES),
        ("CC_MAX_SIGNAL_LIFETIME_MINUTES", MOST_MINUTES),
        ("CC_AVG_PRICE_CANDLES_COUNT", 10**9),
    ],
)
def test_what_is_counted_fits_into_the_integers_of_the_engine(name: str, most: int) -> None:
    config.set_config({name: most})
    for value in (most + 1, 2**63, 1e300):
        with pytest.raises(ConfigError, match=f"{most:,}"):
            config.set_config({name: value})


@pytest.mark.parametrize("value", ["many", -3, 0, 10**12, 10**400])
def test_what_the_engine_cannot_compute_with_is_told_even_after_unsafe(value: Any) -> None:
    config.set_config(CC_AVG_PRICE_CANDLES_COUNT=value, unsafe=True)
    with pytest.raises(ConfigError, match="CC_AVG_PRICE_CANDLES_COUNT="):
        config.engine_settings()


@pytest.mark.parametrize("value", [None, math.nan, "long"])
def test_a_lifetime_that_is_no_number_is_told_even_after_unsafe(value: Any) -> None:
    config.set_config(CC_MAX_SIGNAL_LIFETIME_MINUTES=value, unsafe=True)
    with pytest.raises(ConfigError, match="CC_MAX_SIGNAL_LIFETIME_MINUTES="):
        config.engine_settings()


def test_a_block_may_change_constants_for_a_while() -> None:
    config.set_config(CC_PERCENT_FEE=0.05)
    with pytest.raises(ZeroDivisionError), config.restored_config():
        config.set_config(CC_PERCENT_FEE=-3, mine=1, unsafe=True)
        raise ZeroDivisionError
    assert config.get_config() == {**config.DEFAULTS, "CC_PERCENT_FEE": 0.05}


def test_copies_and_defaults_cannot_be_used_to_change_the_values() -> None:
    config.get_config()["CC_PERCENT_FEE"] = 9
    assert config.value("CC_PERCENT_FEE") == 0.1
    with pytest.raises(TypeError):
        config.get_default_config()["CC_PERCENT_FEE"] = 9  # type: ignore[index]
    config.set_config(CC_PERCENT_FEE=0.05)
    assert config.get_default_config()["CC_PERCENT_FEE"] == 0.1


def test_the_fill_model_and_the_maker_fee_reach_the_engine() -> None:
    before = config.engine_settings()
    assert before.fill == config.DEFAULTS["CC_FILL_MODEL"] == config.DEFAULT_FILL_MODEL
    assert (before.maker_fee_percent, before.record()["maker_fee_percent"]) == (None, 0.1)
    config.set_config(CC_FILL_MODEL="last_close", CC_PERCENT_MAKER_FEE=-0.01)
    settings = config.engine_settings()
    assert (settings.fill, settings.maker_fee_percent) == ("last_close", -0.01)
    assert (settings.record()["fill"], settings.record()["maker_fee_percent"]) == (Fill.LAST_CLOSE, -0.01)
    assert config.engine_settings(fill="vwap").fill == "vwap"
    config.set_config(CC_PERCENT_MAKER_FEE=None)
    assert config.engine_settings().maker_fee_percent is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CC_FILL_MODEL", "touch", '"next_open", "last_close" or "vwap"'),
        ("CC_FILL_MODEL", "NEXT_OPEN", "CC_FILL_MODEL='NEXT_OPEN'"),
        ("CC_PERCENT_MAKER_FEE", math.inf, "below 0 for a rebate"),
        ("CC_PERCENT_MAKER_FEE", "0.1", "or None for the taker fee"),
        ("CC_PERCENT_MAKER_FEE", True, "CC_PERCENT_MAKER_FEE=True"),
    ],
)
def test_a_fill_model_or_a_maker_fee_that_is_none(name: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.set_config({name: value})
    assert words in str(caught.value)


@pytest.mark.parametrize("value", ["best", None, [], 5])
def test_a_fill_model_that_there_is_not_is_told_even_after_unsafe(value: Any) -> None:
    config.set_config(CC_FILL_MODEL=value, unsafe=True)
    with pytest.raises(ConfigError, match="CC_FILL_MODEL="):
        config.engine_settings()


def test_every_field_of_the_settings_but_the_step_is_read_from_a_constant() -> None:
    changed: dict[str, Any] = {
        "CC_PERCENT_SLIPPAGE": 0.03,
        "CC_PERCENT_FEE": 0.04,
        "CC_PERCENT_MAKER_FEE": 0.01,
        "CC_MIN_TAKEPROFIT_DISTANCE_PERCENT": 0.7,
        "CC_MIN_STOPLOSS_DISTANCE_PERCENT": 0.6,
        "CC_MAX_STOPLOSS_DISTANCE_PERCENT": 9,
        "CC_MAX_SIGNAL_LIFETIME_MINUTES": 99,
        "CC_POSITION_ENTRY_COST": 7,
        "CC_BREAKEVEN_THRESHOLD": 0.5,
        "CC_SCHEDULE_AWAIT_MINUTES": 8,
        "CC_AVG_PRICE_CANDLES_COUNT": 3,
        "CC_MAX_CANDLES_PER_REQUEST": 20,
        "CC_FILL_MODEL": "last_close",
        "CC_ENABLE_LONG_SIGNAL": False,
        "CC_ENABLE_SHORT_SIGNAL": False,
        "CC_ENABLE_DCA_EVERYWHERE": True,
        "CC_ENABLE_PPPL_EVERYWHERE": True,
        "CC_ENABLE_TRAILING_EVERYWHERE": True,
    }
    assert set(changed) == set(READ_CONSTANTS)
    plain = asdict(config.engine_settings())
    for name, value in changed.items():
        settings = asdict(config.engine_settings(overrides={name: value}))
        assert [settings[field] for field in settings if settings[field] != plain[field]] == [value]
    assert config.get_config() == dict(config.DEFAULTS)
