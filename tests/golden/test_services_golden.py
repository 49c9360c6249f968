"""Do the services give what was recorded? And does the runner tell matches from mismatches?"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.golden.run_services import HANDLERS, judge_family, main
from tests.golden.service_case import differences

ROOT = Path(__file__).resolve().parents[2]
SERVICES = Path(os.environ.get("BK_SHARED", ROOT.parent / "shared")) / "golden" / "services"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("bkapi")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logger.setLevel(level)


@pytest.mark.parametrize("family", HANDLERS)
def test_a_family_matches_its_recording(family: str) -> None:
    if not SERVICES.is_dir():
        pytest.skip(f"no shared recordings at {SERVICES}")
    verdicts = judge_family(SERVICES, family)
    assert any(verdict.state == "matched" for verdict in verdicts)
    for verdict in verdicts:  # a case may need a part that is not built yet, which it names
        assert verdict.state != "mismatched", "\n".join([verdict.id, *verdict.lines])


def flat_case(total: int) -> dict[str, Any]:
    """A sweep without ideas, so that no market is needed but its first candle."""
    report: dict[str, Any] = {
        "point": {
            "hard_stop_percent": 1,
            "trailing_take_percent": 2,
            "hold_minutes": 3,
            "profit_lock_percent": 4,
        },
        "exit_reasons": [
            [name, 0]
            for name in ("data_truncated", "hard_stop", "profit_lock", "time_expired", "trailing_take")
        ],
        "trades": [],
        "profit_factor": "Infinity",
    }
    zeros = (
        "skipped_busy total_pnl_percent avg_pnl_percent win_rate max_series_drawdown_percent calmar_ratio "
        "recovery_factor avg_hold_minutes p95_hold_minutes p99_hold_minutes sharpe sortino"
    )
    report |= dict.fromkeys(zeros.split(), 0)
    criteria = ("sharpe", "sortino", "pnl", "recovery")
    counts = (
        "ideas_directional profile_count truncated_count avg_hold_minutes p95_hold_minutes p99_hold_minutes"
    )
    return {
        "id": f"sweep-{total}",
        "family": "sweep",
        "input": {
            "world": {"market": "flat", "offsets": {}},
            "symbol": "BTCUSDT",
            "grid_axes": {name: [value] for name, value in report["point"].items()},
            "ideas": [],
        },
        "expected": {
            "callbacks": [
                ["ideas", total, 0],
                ["profiles", 0, 0],
                *(["ranking", name, 1, report["point"]] for name in criteria),
                ["done"],
            ],
            "callback_counts": {"authors_trained": 1, "grid_point": 1, "progress_grid": 1},
            "ok": {
                "symbol": "BTCUSDT",
                "ideas_total": total,
                **dict.fromkeys(counts.split(), 0),
                "reports": [report],
                "best": [[name, 0] for name in criteria],
                "tracks": [],
            },
        },
    }


def test_the_runner_tells_matches_from_mismatches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import gzip

    (tmp_path / "markets").mkdir()
    market = "timestamp,open,high,low,close,volume\n1704067200000,1,1,1,1,1\n"
    (tmp_path / "markets/flat.csv.gz").write_bytes(gzip.compress(market.encode()))
    (tmp_path / "weather.jsonl").write_text('{"id": "w", "family": "weather", "input": {}, "expected": []}\n')
    (tmp_path / "sweep.jsonl").write_text(json.dumps(flat_case(0)) + "\n")

    def run(*options: str) -> tuple[int, dict[str, Any], str]:
        code = main([str(tmp_path), *options])
        out = capsys.readouterr().out
        return code, json.loads(out.splitlines()[-1]), out

    code, counts, _ = run()
    assert (code, counts["matched"], counts["mismatched"], counts["skipped"]) == (0, 1, 0, 1)
    assert counts["waiting"] == [{"family": "weather", "scenarios": 1, "reason": "no handler yet"}]
    code, counts, _ = run("--families", "weather")
    assert (code, counts["scenarios"], counts["matched"]) == (1, 1, 0)
    (tmp_path / "sweep.jsonl").write_text("".join(json.dumps(flat_case(total)) + "\n" for total in (0, 5)))
    code, counts, out = run("--families", "sweep")
    assert (code, counts["by_family"]["sweep"]["mismatched"]) == (1, 1)
    assert "MISMATCH sweep-5\n    callbacks[0][1]\n        expected 5\n        got      0" in out
    with pytest.raises(SystemExit, match="no such family: rain; there are sweep, weather"):
        run("--families", "rain")


def test_of_an_error_only_its_kind_counts() -> None:
    recorded = {"result": {"error": {"kind": "not_found", "text": "x not found"}}}
    assert not list(differences(recorded, {"result": {"error": {"kind": "not_found"}}}))
    found = list(differences(recorded, {"result": {"error": {"kind": "already_exists"}}}))
    assert found == [("result.error.kind", "not_found", "already_exists")]
