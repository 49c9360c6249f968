"""The slow twin of the fill models gives what was recorded: the sample in this folder, and all shared recordings."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest

from tests.golden.fills_case import Record, differences, judge_all, load
from tests.golden.run_fills_twin import main, play
from tests.golden.scenario import families
from tests.golden.test_naive_golden import HERE, SHARED

SAMPLE = HERE / "data/fills"
RECORDED = SHARED / "golden/fills"
FAMILIES = sorted({scenario["family"] for scenario, _ in load(SAMPLE, "sample")})


def test_the_twin_gives_what_was_recorded_in_the_sample() -> None:
    verdicts = judge_all(play, SAMPLE)
    assert len(verdicts) == len(FAMILIES) >= 30
    assert [verdict for verdict in verdicts if verdict.lines] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_the_twin_gives_all_that_was_recorded(family: str) -> None:
    if not RECORDED.is_dir():
        pytest.skip(f"no shared recordings at {RECORDED}")
    verdicts = judge_all(play, RECORDED, [family])
    assert verdicts
    assert [verdict for verdict in verdicts if verdict.lines] == []


def test_the_sample_has_a_scenario_of_every_recorded_family() -> None:
    if not RECORDED.is_dir():
        pytest.skip(f"no shared recordings at {RECORDED}")
    assert families(RECORDED) == FAMILIES


def test_the_runner_ends_with_one_line_of_counts(capsys: pytest.CaptureFixture[str]) -> None:
    code = main([str(SAMPLE), "--every", "10"])
    counted = json.loads(capsys.readouterr().out.splitlines()[-1])
    by_family = counted.pop("by_family")
    assert code == 0
    assert counted == {"scenarios": 3, "matched": 3, "mismatched": 0, "skipped": 0}
    assert [some["matched"] for some in by_family.values()] == [1, 1, 1]


CHANGES = {
    "trades[0].ended_at": lambda record: record["trades"][0].update(ended_at=0),
    "trades[0].pnl_percent": lambda record: record["trades"][0].update(pnl_percent=1e9),
    "trades[0].reason": lambda record: record["trades"][0].update(reason="luck"),
    "orders[0]": lambda record: record["orders"].append({"kind": "limit"}),
    "rows.taken": lambda record: record["rows"].update(taken=-1),
}


@pytest.mark.parametrize("place", CHANGES)
def test_a_difference_names_its_place(place: str) -> None:
    recorded = next(record for _, record in load(SAMPLE, "sample") if not record["orders"])
    assert list(differences(recorded, deepcopy(recorded))) == []
    changed: Record = deepcopy(recorded)
    CHANGES[place](changed)
    assert [path for path, _, _ in differences(recorded, changed)] == [place]


def test_only_floats_may_differ_and_only_in_their_last_digits() -> None:
    trade = {"opened_at": 1_716_076_800_000, "close_price": 100.0, "pnl_percent": 0.0}
    recorded: Record = {"trades": [trade], "orders": [], "rows": {}}

    def found(**other: float) -> list[str]:
        return [path for path, _, _ in differences(recorded, {**recorded, "trades": [{**trade, **other}]})]

    assert found(close_price=100.0 + 5e-8, pnl_percent=5e-10) == []
    assert found(close_price=100.0 + 2e-7, pnl_percent=2e-9) == [
        "trades[0].close_price",
        "trades[0].pnl_percent",
    ]
    assert found(opened_at=1_716_076_800_001) == ["trades[0].opened_at"]
