"""The slow twin gives what was recorded: the sample in this folder, and a slice of the shared recordings."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.golden.hosts import Choice
from tests.golden.run_trades import Task, judge, main
from tests.golden.scenario import differences, families, is_same, scenario_ids

HERE = Path(__file__).parent
SHARED = Path(os.environ.get("BK_SHARED", Path(__file__).parents[3] / "shared"))
NAIVE = Choice("naive")


def sample(folder: Path, every: int = 1) -> Iterator[Task]:
    """One scenario in ``every`` of each family of a folder."""
    for family in families(folder):
        for number, name in enumerate(scenario_ids(folder, family)):
            if number % every == 0:
                yield Task(folder, family, number, name)


def assert_matches(task: Task) -> None:
    verdict = judge(task, NAIVE)
    assert verdict.state == "matched", "\n".join([task.id, *verdict.lines])


@pytest.mark.parametrize(
    "task", [*sample(HERE / "data/trades"), *sample(HERE / "data/edges")], ids=lambda task: task.id
)
def test_the_twin_gives_what_was_recorded(task: Task) -> None:
    assert_matches(task)


@pytest.mark.parametrize(("name", "every"), [("trades", 16), ("edges", 3)])
def test_the_twin_gives_what_was_recorded_in_the_shared_scenarios(name: str, every: int) -> None:
    folder = SHARED / "golden" / name
    if not folder.is_dir():
        pytest.skip(f"no shared recordings at {folder}")
    for task in sample(folder, every):
        assert_matches(task)


def test_the_runner_ends_with_one_line_of_counts(capsys: pytest.CaptureFixture[str]) -> None:
    code = main([str(HERE / "data/edges"), "--engine", "naive", "--families", "plan,fills", "--workers", "0"])
    counted = json.loads(capsys.readouterr().out.splitlines()[-1])
    none = {"scenarios": 1, "matched": 1, "mismatched": 0, "skipped": 0}
    assert code == 0
    assert counted == {
        **{state: 2 * number for state, number in none.items()},
        "by_family": {"plan": none, "fills": none},
        "waiting": [],
    }


def test_a_difference_names_its_place() -> None:
    expected = {"events": [{"e": "signal", "t": 1755562320000, "price": 16}], "error_count": 0}
    got = {"events": [{"e": "signal", "t": 1755562320001, "price": 16.5}, {"e": "error"}], "error_count": 0}
    assert [path for path, _, _ in differences(expected, got)] == [
        "events[0].t",
        "events[0].price",
        "events[1] (lengths 1 and 2)",
    ]


@pytest.mark.parametrize(
    ("expected", "got", "same"),
    [
        (0.1 + 0.2, 0.3, True),
        (16, 16.0, True),
        (1.0, 1.0 + 1e-8, False),
        (1755562320000, 1755562320000.5, False),
        (True, 1, False),
        (None, 0, False),
        ("long", "long", True),
    ],
)
def test_only_floats_may_differ_and_only_in_their_last_digits(
    expected: object, got: object, same: bool
) -> None:
    assert is_same(expected, got) is same
