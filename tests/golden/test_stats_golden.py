"""Are our statistics those of the golden folder?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden import run_stats

ROOT = Path(__file__).resolve().parents[2]
STATS = Path(os.environ.get("BK_SHARED", ROOT.parent / "shared")) / "golden" / "stats"

needs_golden = pytest.mark.skipif(
    not STATS.is_dir(), reason=f"no golden statistics in {STATS}; set BK_SHARED"
)


@needs_golden
def test_all_golden_statistics_match(capsys: pytest.CaptureFixture[str]) -> None:
    counts = run_stats.run(STATS)
    assert counts["scenarios"] > 0
    assert counts["matched"] == counts["scenarios"], capsys.readouterr().out


def result_of(folder: Path) -> tuple[int, dict[str, object], str]:
    script = Path(run_stats.__file__)
    done = subprocess.run(
        [sys.executable, str(script), str(folder)], capture_output=True, text=True, check=False
    )
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stdout


def case(total_events: int) -> str:
    expected = {
        "total_events": total_events,
        "total_duration": 0,
        "metric_stats": {},
        "report_metric_order": [],
    }
    tolerance = {"abs": 1e-9, "rel": 1e-9}
    record = {
        "kind": "performance",
        "row_limit": 9,
        "tolerance": tolerance,
        "events": [],
        "expected": expected,
    }
    return json.dumps(record)


def test_the_runner_tells_matches_from_mismatches(tmp_path: Path) -> None:
    code, counts, _ = result_of(tmp_path)
    assert (code, counts["scenarios"]) == (1, 0)
    (tmp_path / "a.json").write_text(case(0))
    code, counts, _ = result_of(tmp_path)
    assert (code, counts["matched"], counts["mismatched"]) == (0, 1, 0)
    (tmp_path / "b.json").write_text(case(3))
    (tmp_path / "c.json").write_text('{"kind": "weather"}')
    (tmp_path / "d.json").write_text('{"kind": "schedule", "expected": {}}')
    code, counts, text = result_of(tmp_path)
    assert (code, counts["matched"], counts["mismatched"], counts["skipped"]) == (1, 1, 2, 1)
    assert "b.json: total_events\n  expected 3\n  actual   0" in text
    assert counts["by_kind"]["weather"]["skipped"] == 1  # type: ignore[index]
