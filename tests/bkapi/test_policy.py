"""What a policy may say, what kernels read of it, and what is refused where a run is not at real prices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from bkapi import Policy
from bkapi.errors import SchemaError
from bkapi.schemas.policy import REAL_PRICES_ONLY, refuse_under_vwap
from bkcore.machine.codes import OnOpposite
from bkcore.machine.policy import POLICY, no_policy

#: A value of each field that only real prices know, with what else it needs.
ASKED: dict[str, dict[str, Any]] = {
    "trailing_by": {"trailing_by": "extreme"},
    "take_profit_steps": {"take_profit_steps": [(0, 4), (30, 2.0), (120, -0.5)]},
    "target_from_average_percent": {"target_from_average_percent": 1.5},
    "breakeven_offset_percent": {"breakeven_from_percent": 1, "breakeven_offset_percent": 0.25},
    "partial_profit_percent": {"partial_profit_percent": ((1.5, 33), (150, 100))},
    "partial_loss_percent": {"partial_loss_percent": ((1.0, 50),)},
    "exit_profit_only": {"exit_profit_only": True},
    "on_opposite": {"on_opposite": "reverse"},
    "stop_may_loosen": {"stop_may_loosen": True},
    "cooldown_minutes": {"cooldown_minutes": 7.5},
    "max_hold_minutes": {"max_hold_minutes": 90},
}
#: What kernels then read, besides what the fields of the documented model say.
READ: dict[str, dict[str, Any]] = {
    "trailing_by": {},
    "take_profit_steps": {
        "step_count": 3,
        "step_minutes": [0.0, 30.0, 120.0],
        "step_percent": [4.0, 2.0, -0.5],
    },
    "target_from_average_percent": {"target_from_average": 1.5},
    "breakeven_offset_percent": {"breakeven_from": 1.0, "breakeven_offset": 0.25},
    "partial_profit_percent": {
        "profit_count": 2,
        "profit_at": [1.5, 150.0],
        "profit_percent": [33.0, 100.0],
        "profit_of_entry": 1,
    },
    "partial_loss_percent": {"loss_count": 1, "loss_at": [1.0], "loss_percent": [50.0], "loss_of_entry": 1},
    "exit_profit_only": {"exit_profit_only": 1},
    "on_opposite": {"on_opposite": OnOpposite.REVERSE},
    "stop_may_loosen": {"stop_may_loosen": 1},
    "cooldown_minutes": {"cooldown_ms": 450_000},
    "max_hold_minutes": {"max_hold": 90.0},
}

pytestmark = pytest.mark.real_prices


def changes(policy: Policy) -> dict[str, Any]:
    """The fields of its record that are not those of an empty policy, arrays as far as they are filled."""
    row, empty = policy.record()[0], Policy().record()[0]
    found: dict[str, Any] = {}
    for name in POLICY.names or ():
        one, other = np.atleast_1d(row[name]), np.atleast_1d(empty[name])
        if not np.array_equal(one, other, equal_nan=one.dtype.kind == "f"):
            count = row[f"{name.split('_')[0]}_count"] if one.size > 1 else 1
            found[name] = one[:count].tolist() if row[name].shape else row[name].item()
    return found


def test_an_empty_policy_has_no_rule() -> None:
    record, nothing = Policy().record(), no_policy()
    for name in set(POLICY.names or ()) - {"ladder_factor"}:  # of no meaning without a ladder
        assert np.array_equal(record[name], nothing[name], equal_nan=record[name].dtype.kind == "f"), name


def test_the_tables_of_this_file_know_every_field() -> None:
    assert set(ASKED) == set(READ) == set(REAL_PRICES_ONLY)


@pytest.mark.parametrize("field", ASKED)
def test_kernels_read_what_the_field_says(field: str) -> None:
    assert changes(Policy(**ASKED[field])) == READ[field]


@pytest.mark.parametrize(("by", "code"), [("extreme", 0), ("close", 1)])
def test_trailing_by_is_a_switch(by: str, code: int) -> None:
    assert Policy(trailing_by=by).record()["by_close"] == code  # type: ignore[arg-type]


def test_both_forms_of_partial_levels_go_to_the_same_place() -> None:
    way = changes(Policy(partial_profit=((30, 50),)))
    entry = changes(Policy(partial_profit_percent=((30, 50),)))
    assert entry == {**way, "profit_of_entry": 1}


def test_a_start_of_trailing_stands_apart_from_the_distance() -> None:
    alone = Policy(trailing_stop_from_percent=0.5).record()
    both = Policy(trailing_stop_from_percent=0.5, trailing_stop_distance_percent=1).record()
    assert (alone["stop_from"], alone["stop_from_move"]) == (np.inf, 0.5)
    assert (both["stop_from"], both["stop_from_move"]) == (0.5, 0.5)
    assert Policy(trailing_stop_distance_percent=1).record()["stop_from_move"] == 0.0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"take_profit_steps": ((30, 2), (0, 4))}, ["take_profit_steps=((30.0, 2.0), (0.0, 4.0))", "rising"]),
        ({"take_profit_steps": ((30, 2), (30, 1))}, ["take_profit_steps", "rising"]),
        ({"take_profit_steps": ((-1, 2),)}, ["take_profit_steps=((-1.0, 2.0),)", "minutes from 0 on"]),
        ({"take_profit_steps": ((0, math.nan),)}, ["take_profit_steps"]),
        ({"take_profit_steps": ((math.inf, 1),)}, ["take_profit_steps"]),
        ({"take_profit_steps": tuple((k, 1) for k in range(11))}, ["take_profit_steps", "pairs (minutes"]),
        ({"target_from_average_percent": 0}, ["target_from_average_percent=0"]),
        ({"target_from_average_percent": math.inf}, ["target_from_average_percent=inf"]),
        ({"breakeven_offset_percent": 0.1}, ["does nothing without breakeven_from_percent", "give both"]),
        ({"breakeven_from_percent": 1, "breakeven_offset_percent": math.nan}, ["breakeven_offset_percent"]),
        ({"partial_profit_percent": ((2, 50), (1, 50))}, ["partial_profit_percent", "rising"]),
        ({"partial_profit_percent": ((1, 101),)}, ["partial_profit_percent", "second at most 100"]),
        ({"partial_loss_percent": ((0, 10),)}, ["partial_loss_percent=((0.0, 10.0),)"]),
        ({"partial_loss_percent": ((math.inf, 10),)}, ["partial_loss_percent"]),
        ({"partial_profit": ((101, 10),)}, ["partial_profit=((101.0, 10.0),)", "at most 100"]),
        (
            {"partial_loss": ((50, 50),), "partial_loss_percent": ((1, 50),)},
            ["partial_loss and partial_loss_percent exclude each other", "percent of the way"],
        ),
        ({"trailing_by": "low"}, ["trailing_by='low'", '"extreme"']),
        ({"on_opposite": "flip"}, ["on_opposite='flip'", '"reverse"']),
        ({"cooldown_minutes": -1}, ["cooldown_minutes=-1"]),
        ({"cooldown_minutes": math.inf}, ["cooldown_minutes=inf"]),
        ({"cooldown_minutes": math.nan}, ["cooldown_minutes=nan"]),
        ({"max_hold_minutes": 0}, ["max_hold_minutes=0"]),
        ({"exit_profit_only": "perhaps"}, ["exit_profit_only='perhaps'"]),
        ({"trailing_take_from_percent": 1}, ["does nothing without trailing_take_distance_percent"]),
        ({"dca_cost": 50}, ["dca_cost does nothing without dca_step_percent"]),
    ],
)
def test_what_a_policy_cannot_say(fields: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(SchemaError) as caught:
        Policy(**fields)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("field", ASKED)
def test_what_only_real_prices_know_is_refused_elsewhere(field: str) -> None:
    policy = Policy(**ASKED[field])
    for fill in ("next_open", "last_close"):
        refuse_under_vwap(policy, fill, "dip")  # type: ignore[arg-type]
    with pytest.raises(SchemaError) as caught:
        refuse_under_vwap(policy, "vwap", "dip")
    assert caught.value.field == field
    for word in (f"{field}=", "fill='vwap'", "strategy_name='dip'", 'fill="next_open"'):
        assert word in str(caught.value)


def test_what_asks_for_nothing_is_refused_nowhere() -> None:
    idle = {name: value for name, value in REAL_PRICES_ONLY.items() if name != "trailing_by"}
    refuse_under_vwap(Policy(breakeven_from_percent=1, **idle), "vwap", "dip")  # type: ignore[arg-type]
    refuse_under_vwap(None, "vwap", "dip")


def test_a_start_of_trailing_without_a_distance_is_refused_by_averages() -> None:
    policy = Policy(trailing_stop_from_percent=0.5)
    refuse_under_vwap(policy, "next_open", "dip")
    with pytest.raises(SchemaError, match="does nothing without trailing_stop_distance_percent"):
        refuse_under_vwap(policy, "vwap", "dip")
