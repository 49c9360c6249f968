"""Are our documents and records those of the golden folder?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden import run_reports

ROOT = Path(__file__).resolve().parents[2]
REPORTS = Path(os.environ.get("BK_SHARED", ROOT.parent / "shared")) / "golden" / "reports"


@pytest.mark.skipif(not REPORTS.is_dir(), reason=f"no golden reports in {REPORTS}; set BK_SHARED")
def test_all_golden_reports_match(capsys: pytest.CaptureFixture[str]) -> None:
    counts = run_reports.run(REPORTS)
    assert counts["scenarios"] > 0
    assert counts["matched"] == counts["scenarios"], capsys.readouterr().out


def result_of(folder: Path) -> tuple[int, dict[str, object]]:
    script = str(Path(run_reports.__file__))
    done = subprocess.run([sys.executable, script, str(folder)], capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_the_runner_tells_matches_from_mismatches(tmp_path: Path) -> None:
    code, counts = result_of(tmp_path)
    assert (code, counts["scenarios"]) == (1, 0)
    (tmp_path / "formatting.json").write_text('{"iso_utc": [[0, "1970-01-01T00:00:00.000Z"]]}')
    code, counts = result_of(tmp_path)
    assert (code, counts["matched"]) == (0, 1)
    (tmp_path / "weather.events.json").write_text("{}")
    empty = {"strategy_name": "a", "symbol": "NONE", "empty_reports": {"risk": "# Rejections"}}
    (tmp_path / "empty.json").write_text(json.dumps(empty))
    code, counts = result_of(tmp_path)
    assert (code, counts["matched"], counts["mismatched"], counts["skipped"]) == (1, 1, 1, 1)


def test_differences_are_told_cell_by_cell() -> None:
    table = "| a | b |\n| --- | --- |\n| 1 | 2 |\n\n*legend*"
    assert not [*run_reports.text_differences(table, table.replace("*legend*", "*another*"), "x")]
    found = [*run_reports.text_differences(table, table.replace("| 2 |", "| 3 |"), "x")]
    assert found == [("x line 3 cell 2", "2 |", "3 |")]
    assert [*run_reports.differences({"a": 1.0, "b": None}, {"a": 1.0 + 1e-12, "b": None})] == []
    assert [*run_reports.differences({"a": None}, {"a": 0.0})] == [("a", None, 0.0)]
