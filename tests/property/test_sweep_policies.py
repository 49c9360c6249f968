"""Policies made column by column are the policies made one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from bkapi import Policy, Space
from bkapi.errors import SchemaError
from bkapi.sweeps.policies import policy_records
from tests.property.scenes import policies

VALUES: dict[str, list[Any]] = {
    "close_at_profit_percent": [None, 0.3, -0.1, 2],
    "close_at_loss_percent": [None, 0.3, 2],
    "breakeven_from_percent": [None, 0, 0.5],
    "trailing_stop_from_percent": [0.0, 1, -0.5],
    "trailing_stop_distance_percent": [None, 0.3, 1],
    "trailing_take_from_percent": [0.0, 1.0],
    "trailing_take_distance_percent": [None, 0.4],
    "partial_profit": [(), ((30, 33), (60, 50)), ((100.0, 10.0),)],
    "partial_loss": [(), ((50, 50),)],
    "dca_step_percent": [None, 0.5],
    "dca_most_entries": [2, 5],
    "dca_cost": [None, 50],
    "dca_cost_factor": [1.0, 2],
    "trailing_by": ["extreme", "close"],
    "take_profit_steps": [(), ((0, 4.0), (30, -0.5)), ((5.5, 1),)],
    "target_from_average_percent": [None, 1.5],
    "breakeven_offset_percent": [0.0, -0.2, 1],
    "partial_profit_percent": [(), ((0.5, 30), (150.0, 100))],
    "partial_loss_percent": [(), ((1, 50),)],
    "exit_profit_only": [False, True],
    "on_opposite": ["ignore", "close", "reverse"],
    "stop_may_loosen": [False, True],
    "cooldown_minutes": [0, 7.5],
    "max_hold_minutes": [None, 90],
}


def test_every_field_can_be_varied() -> None:
    assert set(VALUES) == set(Policy.model_fields)


def test_a_trailing_stop_without_a_distance_is_for_real_prices() -> None:
    space = Space.zip(trailing_stop_from_percent=[0.5, 1.0], trailing_stop_distance_percent=[1.0, None])
    columns = space.columns(0, 2)[1]
    with pytest.raises(SchemaError, match="does nothing without trailing_stop_distance_percent"):
        policy_records({}, columns, 2, fill="vwap")
    records = policy_records({}, columns, 2, fill="next_open")
    assert records["stop_from"].tolist() == [0.5, np.inf]
    assert records["stop_from_move"].tolist() == [0.5, 1.0]


@given(policies(), st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=6), st.data())
def test_columns_make_the_records_that_rows_make(base: Policy, names: list[str], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 5))
    rows = {name: [data.draw(st.sampled_from(VALUES[name])) for _ in range(count)] for name in names}
    known = base.model_dump(exclude_unset=True) if data.draw(st.booleans()) else {}
    space = Space.zip(**rows) if rows else Space.grid()
    columns = space.columns(0, count)[1]
    each = [{**known, **{name: rows[name][k] for name in names}} for k in range(count)]
    try:
        wanted = np.concatenate([Policy(**fields).record() for fields in each])
    except SchemaError as error:
        with pytest.raises(SchemaError) as caught:
            policy_records(known, columns, count, fill="next_open")
        assert str(caught.value).splitlines()[0].split()[:4] == str(error).splitlines()[0].split()[:4]
        return
    got = policy_records(known, columns, count, fill="next_open")
    for field in wanted.dtype.names or ():
        assert np.array_equal(got[field], wanted[field], equal_nan=got[field].dtype.kind == "f"), field
