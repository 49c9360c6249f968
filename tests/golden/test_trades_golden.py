"""The engine gives what was recorded: the sample in this folder in both forms, and all the shared recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.hosts import Choice
from tests.golden.run_trades import Task, judge
from tests.golden.scenario import families, scenario_ids
from tests.golden.test_naive_golden import HERE, SHARED

SAMPLE = [
    Task(folder, family, number, name)
    for folder in (HERE / "data/trades", HERE / "data/edges")
    for family in families(folder)
    for number, name in enumerate(scenario_ids(folder, family))
]
RECORDED = [
    pytest.param(SHARED / "golden" / name, family, id=f"{name}-{family}")
    for name in ("trades", "edges")
    for family in families(SHARED / "golden" / name) or families(HERE / "data" / name)
]


@pytest.mark.parametrize("task", SAMPLE, ids=lambda task: task.id)
def test_the_engine_gives_what_was_recorded(task: Task) -> None:
    verdict = judge(task, Choice())
    assert verdict.state == "matched", "\n".join([task.id, *verdict.lines])


@pytest.mark.parametrize("task", SAMPLE, ids=lambda task: task.id)
def test_a_signal_frame_gives_what_was_recorded(task: Task) -> None:
    verdict = judge(task, Choice(form="signals"))
    told = "\n".join([task.id, *verdict.lines])
    if verdict.state == "skipped":
        assert verdict.lines[0].startswith("the signal frame has no place for signal"), told
    else:
        assert verdict.state == "matched", told


@pytest.mark.parametrize(("folder", "family"), RECORDED)
def test_the_engine_gives_all_that_was_recorded(folder: Path, family: str) -> None:
    if not folder.is_dir():
        pytest.skip(f"no shared recordings at {folder}")
    verdicts = [
        judge(Task(folder, family, number, name), Choice())
        for number, name in enumerate(scenario_ids(folder, family))
    ]
    assert verdicts
    wrong = [verdict for verdict in verdicts if verdict.state != "matched"]
    told = [line for verdict in wrong[:3] for line in (verdict.task.id, *verdict.lines)]
    assert not wrong, "\n".join([f"{len(wrong)} of {len(verdicts)}", *told])
