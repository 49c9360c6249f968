"""The engine gives what was recorded of the fill models on real prices: the sample here, and all shared recordings."""

from __future__ import annotations

from functools import partial

import pytest

from tests.golden.fills_case import judge_all
from tests.golden.fills_engine import play
from tests.golden.run_fills import main
from tests.golden.test_fills_twin_golden import FAMILIES, RECORDED, SAMPLE


@pytest.mark.parametrize("driver", ["skip", "run", "step"])
def test_the_engine_gives_what_was_recorded_in_the_sample(driver: str) -> None:
    verdicts = judge_all(partial(play, driver=driver), SAMPLE)
    assert len(verdicts) == len(FAMILIES) >= 30
    assert [verdict for verdict in verdicts if verdict.lines] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_the_engine_gives_all_that_was_recorded(family: str) -> None:
    if not RECORDED.is_dir():
        pytest.skip(f"no shared recordings at {RECORDED}")
    verdicts = judge_all(play, RECORDED, [family])
    assert verdicts
    assert [verdict for verdict in verdicts if verdict.lines] == []


def test_the_command_prints_its_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(SAMPLE), "--families", "sample"]) == 0
    assert '"mismatched": 0' in capsys.readouterr().out.splitlines()[-1]
