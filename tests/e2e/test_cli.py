"""The command line as a new user meets it: every command, and every way to get it wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.e2e.processes import ROOT, bk, bk_from_nothing

STRATEGY = """
import polars as pl
from bkapi import add_strategy_schema

def signals(candles):
    return candles.filter(pl.col("closed_at") % 3_600_000 == 0).select(
        timestamp="closed_at", position=pl.lit("long"),
        take_profit_percent=pl.lit(1.0), stop_loss_percent=pl.lit(1.0), minute_estimated_time=pl.lit(60),
    )

add_strategy_schema(strategy_name="hourly", interval="1h", signals=signals)
"""
_REGISTER = "from bkapi import add_strategy_schema as add\n"
STRATEGIES = {
    "notes.txt": "buy low",
    "silent.py": "",
    "typo.py": "x = 1\ndef (:\n",
    "two.py": f"{_REGISTER}for name in ('first', 'second'):\n    add(strategy_name=name, interval='1h')\n",
    "wrong.py": f"{_REGISTER}def signals(candles):\n    return 1 / 0\n"
    "add(strategy_name='a', interval='1h', signals=signals)\n",
    "query.py": f"{_REGISTER}import polars as pl\ndef signals(candles):\n    return candles.select(pl.col('rsi'))\n"
    "add(strategy_name='a', interval='1h', signals=signals)\n",
    "lazy.py": f"{_REGISTER}import polars as pl\n"
    "add(strategy_name='a', interval='1h', signals=lambda c: c.lazy().select(pl.col('rsi')))\n",
    "helpers.py": f"{_REGISTER}add(strategy_name='a', interval='1h', signals=lambda c: c)\n",
    "several.py": f"{_REGISTER}import polars as pl\n"
    "def made(minutes):\n"
    "    def signals(candles):\n"
    "        return candles.filter(pl.col('closed_at') % (minutes * 60_000) == 0).select(\n"
    "            timestamp='closed_at', position=pl.lit('long'), take_profit_percent=pl.lit(1.0),\n"
    "            stop_loss_percent=pl.lit(1.0), minute_estimated_time=pl.lit(minutes))\n"
    "    return signals\n"
    "def broken(candles):\n    raise ValueError('no idea')\n"
    "add(strategy_name='patient', interval='1h', signals=made(240))\n"
    "add(strategy_name='hasty', interval='1h', signals=made(60))\n"
    "add(strategy_name='broken', interval='1h', signals=broken)\n",
    "asked.py": f"{_REGISTER}def ask(symbol, when, price):\n    raise ValueError('no idea')\n"
    "add(strategy_name='a', interval='1h', get_signal=ask)\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two weeks of candles, a strategy file, a file with a hole."""
    place = tmp_path_factory.mktemp("bk")
    made = bk("data", "generate", "BTCUSDT-1m.parquet", "--days", "14", "--seed", "5", cwd=place)
    assert made.returncode == 0, made.stderr
    (place / "hourly.py").write_text(STRATEGY)
    candles = pl.read_parquet(place / "BTCUSDT-1m.parquet")
    pl.concat([candles.head(5000), candles.tail(5000)]).write_parquet(place / "HOLED-1m.parquet")
    candles.write_csv(place / "nameless.csv")
    for name, text in STRATEGIES.items():
        (place / name).write_text(text)
    return place


def test_a_strategy_file_runs_and_reports(folder: Path) -> None:
    run = bk_from_nothing(
        "backtest", "hourly.py", "--candles", "BTCUSDT-1m.parquet", "--report", "out", cwd=folder
    )
    assert run.returncode == 0, run.stderr
    assert "total_signals" in run.stdout
    assert "fee 0.1 % and slippage 0.1 % per side" in run.stdout
    assert "report: out (report.md, trades.csv, trades.parquet" in run.stdout
    trades = pl.read_parquet(folder / "out" / "trades.parquet")
    assert len(trades) > 100
    assert (folder / "out" / "report.md").read_text().startswith("# hourly on BTCUSDT")


def test_json_is_one_object_and_the_configuration_counts(folder: Path) -> None:
    dear, free = (
        json.loads(
            bk(
                "backtest",
                "hourly.py",
                "--candles",
                "BTCUSDT-1m.parquet",
                "--json",
                "--config",
                f"CC_PERCENT_FEE={fee}",
                cwd=folder,
            ).stdout
        )
        for fee in (0.1, 0)
    )
    assert dear["total_signals"] == free["total_signals"] > 100
    assert free["avg_pnl"] - dear["avg_pnl"] == pytest.approx(0.2, abs=0.01)


def test_a_sweep_ranks_and_writes_every_combination(folder: Path) -> None:
    run = bk_from_nothing(
        *("sweep", "hourly.py", "--candles", "BTCUSDT-1m.parquet", "--take-profit", "0.6:1.2:0.3"),
        *(
            "--stop-loss",
            "0.6,1",
            "--lifetime",
            "30,60",
            "--top",
            "3",
            "--by",
            "total_pnl",
            "--out",
            "all.parquet",
        ),
        cwd=folder,
    )
    assert run.returncode == 0, run.stderr
    assert "The best 3 of 12 combinations by total_pnl" in run.stdout
    assert len(pl.read_parquet(folder / "all.parquet")) == 12
    assert run.stderr == ""  # no progress bar where nobody looks


def test_candle_files_are_checked_converted_and_resampled(folder: Path) -> None:
    checked = bk("data", "check", "HOLED-1m.parquet", cwd=folder)
    assert "1 gaps" in checked.stdout
    assert "10,160" in checked.stdout
    for target in ("copy.csv", "copy.arrow"):
        assert bk("data", "convert", "BTCUSDT-1m.parquet", target, cwd=folder).returncode == 0
    back = bk(
        "data", "convert", "copy.csv", "back.parquet", "--symbol", "BTCUSDT", "--interval", "1m", cwd=folder
    )
    assert back.returncode == 0, back.stderr
    assert pl.read_parquet(folder / "back.parquet").equals(pl.read_parquet(folder / "BTCUSDT-1m.parquet"))
    longer = bk(
        "data", "resample", "BTCUSDT-1m.parquet", "BTCUSDT-1h.parquet", "--interval", "1h", cwd=folder
    )
    assert "336 candles of 1h" in longer.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("backtest hourly.py --candles nowhere.parquet", "there is no such file"),
        ("backtest hourli.py", "did you mean 'hourly.py'"),
        ("backtest hourly.py --strategy daily", "daily"),
        ("backtest hourly.py --candles HOLED-1m.parquet", "10,160 candles are missing"),
        ("backtest hourly.py --candles HOLED-1m.parquet", "pass --gaps fill to repeat the last close"),
        ("backtest hourly.py --candles HOLED-1m.parquet --gaps mend", "--gaps mend is no gap policy"),
        ("backtest example --gaps keep", "--gaps keep is about a candle file"),
        ("sweep example --gaps raise", "--gaps raise is about a candle file"),
        ("walk example --symbol ETHUSDT", "--symbol ETHUSDT is about a candle file"),
        ("lookahead example --gaps fill", "--gaps fill is about a candle file"),
        ("backtest example --start 0001-01-01", "from 1970 to 2199"),
        ("backtest example --start 2024-02-02 --end 2024-02-01", "empty timeframe range"),
        ("backtest hourly.py --candles days/*.csv", "no file matches"),
        ("backtest hourly.py --candles nameless.csv", "pass --symbol BTCUSDT"),
        ("backtest hourly.py --config CC_PERCENT_FE=1", "did you mean 'CC_PERCENT_FEE'"),
        ("backtest hourly.py --config CC_PERCENT_FEE=-1", "CC_PERCENT_FEE"),
        ("backtest hourly.py --config CC_PERCENT_FEE=much", "has no value"),
        ("backtest hourly.py --start 2031-01-01", "empty timeframe range"),
        ("backtest hourly.py --end yesterday", "is not a moment"),
        ("backtest hourly.py --frame-interval 7m", "unknown interval"),
        ("sweep hourly.py --take-profit 3:1:1", "empty or endless range"),
        ("sweep hourly.py --take-profit many", "neither a list nor a range"),
        ("sweep hourly.py --stop-loss 50", "stop_loss_percent=50 is not between"),
        ("sweep hourly.py --fill vwap --lifetime 1.5", "not a whole number"),
        ("sweep hourly.py --by luck --lifetime 60", "luck"),
        ("sweep hourly.py --by sharp_ratio --lifetime 60", "did you mean 'sharpe_ratio'"),
        ("sweep hourly.py --out nowhere/all.csv", "there is no such folder"),
        ("sweep hourly.py --take-profit 1:90:0.1 --stop-loss 1:20:0.1 --lifetime 1:1440:1", "brackets"),
        ("sweep hourly.py --out ranking.xlsx", "no known suffix"),
        ("data convert BTCUSDT-1m.parquet copy.xyz", "copy.xyz"),
        ("data resample BTCUSDT-1m.parquet x.parquet --interval 7m", "unknown --interval 7m"),
        ("data resample HOLED-1m.parquet x.parquet --interval 1h --gaps keep", "pass --holes drop"),
        ("data resample HOLED-1m.parquet x.parquet --interval 1h --gaps keep --holes mend", "--holes mend"),
        ("data check hourly.py", "hourly.py"),
        ("data check .", "is a directory"),
        ("data generate x.parquet --gaps 99999", "gaps=99999"),
        ("backtest --candles BTCUSDT-1m.parquet notes.txt", "is not a Python file"),
        ("backtest lazy.py", "the lazy signal frame cannot be collected"),
        ("backtest helpers.py", "unknown column 'open'"),
        ("backtest typo.py", "typo.py, line 2: SyntaxError"),
        ("backtest wrong.py", "wrong.py, line 3: ZeroDivisionError: division by zero"),
        ("sweep wrong.py", "wrong.py, line 3: ZeroDivisionError: division by zero"),
        ("backtest query.py", "query.py, line 4: ColumnNotFoundError"),
        ("backtest silent.py", "registers no strategy"),
        ("backtest two.py", "registers 2 strategies: first, second"),
    ],
)
def test_a_mistake_gets_one_clear_error(folder: Path, arguments: str, words: str) -> None:
    before = sorted(folder.iterdir())
    run = bk(*arguments.split(), cwd=folder)
    assert run.returncode == 1
    assert words in run.stderr
    assert "Hint:" in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""
    assert [path for path in sorted(folder.iterdir()) if path.name != "__pycache__"] == [
        path for path in before if path.name != "__pycache__"
    ]


def test_an_error_in_the_users_file_names_its_line(folder: Path) -> None:
    (folder / "broken.py").write_text("x = 1\ny = x / 0\n")
    run = bk_from_nothing("backtest", "broken.py", cwd=folder)
    assert run.returncode == 1
    assert "broken.py, line 2: ZeroDivisionError" in run.stderr


def test_what_a_run_survives_is_told_once(folder: Path) -> None:
    run = bk("backtest", "asked.py", "--candles", "BTCUSDT-1m.parquet", cwd=folder)
    assert run.returncode == 3
    told, *trace = run.stderr.splitlines()
    assert told == "warning (335 times): asked.py, line 3: ValueError: no idea"
    assert trace == [f'  File "{folder / "asked.py"}", line 3, in ask', "    raise ValueError('no idea')"]
    assert "335 errors in get_signal, the first: ValueError: no idea" in run.stdout


@pytest.mark.parametrize("command", ["backtest", "sweep", "walk"])
def test_signals_that_were_all_refused_are_no_success(folder: Path, command: str) -> None:
    near = STRATEGY.replace("take_profit_percent=pl.lit(1.0)", "take_profit_percent=pl.lit(0.1)")
    (folder / "near.py").write_text(near)
    how = ("--take-profit", "own", "--stop-loss", "own", "--lifetime", "60") if command == "sweep" else ()
    run = bk(command, "near.py", "--candles", "BTCUSDT-1m.parquet", *how, cwd=folder)
    assert run.returncode == 3
    assert run.stderr.count("warning") == 1, run.stderr
    assert "Invalid signal for long position (BTCUSDT):" in run.stderr
    assert "is closer than 0.5 %" in run.stderr


def test_some_refused_signals_are_told_and_no_failure(folder: Path) -> None:
    percent = "pl.when(pl.col('closed_at') % 7_200_000 == 0).then(0.1).otherwise(1.0)"
    (folder / "half.py").write_text(
        STRATEGY.replace("take_profit_percent=pl.lit(1.0)", f"take_profit_percent={percent}")
    )
    run = bk("backtest", "half.py", "--candles", "BTCUSDT-1m.parquet", cwd=folder)
    assert run.returncode == 0
    assert "is closer than 0.5 %" in run.stderr
    assert "signals refused" in run.stdout


def test_a_pattern_joins_dumps(folder: Path) -> None:
    candles = pl.read_parquet(folder / "BTCUSDT-1m.parquet")
    (folder / "dumps").mkdir()
    for day in range(2):
        part = candles[day * 1440 : (day + 1) * 1440]
        part.write_csv(folder / "dumps" / f"BTCUSDT-1m-2024-01-0{day + 1}.csv", include_header=False)
    checked = bk("data", "check", "dumps/*.csv", cwd=folder)
    assert "BTCUSDT 1m: 2,880 candles, all checks passed" in checked.stdout
    joined = bk("data", "convert", "dumps/BTC*.csv", "joined-BTCUSDT-1m.arrow", cwd=folder)
    assert "2,880 candles" in joined.stdout
    direct, through = (
        bk("backtest", "hourly.py", "--candles", source, "--json", cwd=folder).stdout
        for source in ("dumps/*.csv", "joined-BTCUSDT-1m.arrow")
    )
    assert json.loads(direct) == json.loads(through)


def test_holes_are_kept_or_dropped_on_request(folder: Path) -> None:
    for holes, count in (("drop", 166), ("keep", 168)):
        run = bk(
            *("data", "resample", "HOLED-1m.parquet", f"BTCUSDT-1h-{holes}.csv", "--interval", "1h"),
            *("--gaps", "keep", "--holes", holes),
            cwd=folder,
        )
        assert f"{count} candles of 1h" in run.stdout, run.stderr


@pytest.mark.parametrize("by", ["trend", "certainty_ratio", "take_profit_percent", "avg_pnl"])
def test_the_ranking_shows_what_it_ranks_by_and_fits_a_terminal(folder: Path, by: str) -> None:
    command = ("sweep", "hourly.py", "--lifetime", "60", "--take-profit", "0.6,1,2", "--stop-loss", "1")
    run = bk(*command, "--by", by, cwd=folder, COLUMNS="80")
    assert run.returncode == 0, run.stderr
    head, body = re.split("─+", run.stdout)
    for word in by.split("_"):
        assert word in head
    assert "…" not in run.stdout
    *rows, guards = body.strip().splitlines()
    assert len(rows) == 3
    assert guards.startswith("3 trials (worth 1), deflated Sharpe ratio ")


def test_a_walk_ranks_the_strategies_of_a_file(folder: Path) -> None:
    run = bk("walk", "several.py", "--candles", "BTCUSDT-1m.parquet", "--metric", "total_pnl", cwd=folder)
    assert run.returncode == 3, run.stderr  # one of them is broken
    assert "The best 2 of 2 strategies on BTCUSDT by total_pnl" in run.stdout
    told, judged = run.stdout.split("2 trials (worth ")
    assert "deflated Sharpe ratio" in judged
    ranks = [line.split()[:2] for line in told.splitlines() if line.split()[:1] in (["1"], ["2"])]
    assert {name for _, name in ranks} == {"patient", "hasty"}
    assert "failed: 1 of 3" in run.stdout
    assert "several.py, line" in run.stderr
    assert "Conditions: fee 0.1 %" in run.stdout


def test_a_walk_compares_combinations(folder: Path) -> None:
    how = (
        "--strategy",
        "hasty",
        "--vary",
        "take_profit_percent=1,2",
        "--vary",
        "stop_loss_percent=0.8:1.2:0.2",
    )
    run = bk("walk", "several.py", "--candles", "BTCUSDT-1m.parquet", *how, "--out", "walk.csv", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert "The best 6 of 6 strategies" in run.stdout
    table = pl.read_csv(folder / "walk.csv")
    assert sorted(set(table["take_profit_percent"])) == [1, 2]
    assert bk("walk", "several.py", "--metric", "sharp_ratio", cwd=folder).returncode == 1


def test_a_look_ahead_is_named_with_its_moment(folder: Path) -> None:
    honest = bk("lookahead", "hourly.py", "--candles", "BTCUSDT-1m.parquet", "--moments", "4", cwd=folder)
    assert (honest.returncode, honest.stdout) == (0, "hourly: no look-ahead at 4 moments\n"), honest.stderr
    ahead = STRATEGY.replace("return candles.filter(", "return candles.filter(ahead(candles) > 0).filter(")
    ahead += "\ndef ahead(candles):\n    return pl.col('close').shift(-1)\n"
    (folder / "ahead.py").write_text(ahead)
    (folder / "marked.py").write_text(
        ahead.replace("def ahead", "import bkapi as bk\n@bk.indicator\ndef ahead")
    )
    for command in ("ahead.py --indicator ahead", "marked.py"):
        found = bk("lookahead", *command.split(), "--candles", "BTCUSDT-1m.parquet", cwd=folder)
        assert found.returncode == 1
        told = (
            r"look-ahead, indicator of 2024-01-\d\d \d\d:\d\d UTC depends on what comes after it in 'ahead'\n"
        )
        assert re.search(told + r"  with the true future: \d+\.\d+\n  when the market \w+: ", found.stdout), (
            found.stdout
        )
    wrong = bk("lookahead", "ahead.py", "--indicator", "ahed", cwd=folder)
    assert "did you mean 'ahead'" in wrong.stderr


def test_a_file_with_several_strategies_and_helpers_is_checked(folder: Path) -> None:
    """Another strategy's function and a helper that takes candles are no indicators; each strategy is judged."""
    other = STRATEGY.replace("def signals", "def ahead").replace("signals=signals", "signals=ahead")
    other = other.replace('"hourly"', '"ahead"').replace(
        "pl.lit(1.0)", "1 + 99 * (pl.col('close').shift(-1) > 0).cast(float)"
    )
    helper = "\ndef hourly(candles):\n    return candles.filter(pl.col('closed_at') % 3_600_000 == 0)\n"
    (folder / "many.py").write_text(STRATEGY + other + helper)
    one = bk("lookahead", "many.py", "--strategy", "hourly", "--moments", "2", cwd=folder)
    assert (one.returncode, one.stdout) == (0, "hourly: no look-ahead at 2 moments\n"), one.stderr
    each = bk("lookahead", "many.py", "--moments", "2", cwd=folder)
    assert each.returncode == 1
    assert "hourly: no look-ahead at 2 moments" in each.stdout
    assert re.search(
        r"ahead: look-ahead, signal of .* after it in 'price_(take_profit|stop_loss)'", each.stdout
    ), each.stdout


def test_help_names_every_command(folder: Path) -> None:
    text = bk_from_nothing("--help", cwd=folder).stdout
    for command in ("backtest", "sweep", "walk", "demo", "data", "warmup", "version"):
        assert command in text
    versions = json.loads(bk_from_nothing("version", "--json", cwd=folder).stdout)
    assert {"bk", "python", "numba", "numpy", "polars"} <= set(versions)


def test_the_warm_up_leaves_no_kernel_to_be_compiled() -> None:
    """Every module with a kernel is among those that it imports."""
    script = "import sys; from importlib import import_module; from bkapi.cli import main\n"
    script += "import_module('bkapi.backtests.backtest'); [*map(import_module, main._WARMED)]\n"
    script += "print(*main._WARMED_BESIDE, *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=600, check=True
    )
    with_kernels = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "bkcore").rglob("*.py")
        if re.search(r"^ *@kernel\(|= kernel\(", path.read_text(), re.M)
    }
    assert len(with_kernels) > 10
    missing = sorted(with_kernels - set(done.stdout.split()))
    assert missing == []


def test_the_demo_ends_with_a_report(folder: Path) -> None:
    run = bk_from_nothing("demo", "--out", "demo", cwd=folder)
    assert run.returncode == 0, run.stderr
    assert "The best 10 of 1,000 combinations" in run.stdout
    assert f"report: {(folder / 'demo').resolve()}" in run.stdout
    assert len(pl.read_parquet(folder / "demo" / "sweep.parquet")) == 1000
    assert (folder / "demo" / "report.md").read_text().count("|") > 100


def test_the_readme_example_runs(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    code = text.split("```python\n")[1].split("```")[0]
    (tmp_path / "example.py").write_text(code)
    run = subprocess.run(
        [sys.executable, "example.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    shown = text.split("```text\n")[1].split("```")[0]
    assert run.stdout.strip() == shown.strip()


def test_no_committed_text_names_a_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in (".py", ".pyi", ".md", ".toml", ".yaml", ".txt", "") and path.is_file():
            text = path.read_text(errors="ignore")
            for place in ("/ho" + "me/", "/wo" + "rk/", "/ro" + "ot/", "/Us" + "ers/"):
                assert place not in text, f"{name} names {place}"


def test_a_sweep_explains_itself_and_varies_whatever_a_strategy_has(folder: Path) -> None:
    axes = ("--take-profit", "1,2", "--stop-loss", "1", "--lifetime", "own", "--vary", "fast=5,10")
    told = bk("sweep", "example", *axes, "--explain", cwd=folder)
    assert told.returncode == 0, told.stderr
    assert "4 combinations x 1 market, 2 sets of signals" in told.stdout
    assert "plan: " in told.stdout
    first = bk("sweep", "example", *axes, "--folder", "parts", "--out", "first.parquet", cwd=folder)
    again = bk("sweep", "example", *axes, "--folder", "parts", "--out", "again.parquet", cwd=folder)
    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    frame = pl.read_parquet(folder / "first.parquet")
    assert frame.equals(pl.read_parquet(folder / "again.parquet"))
    assert frame["fast"].to_list() == [5, 10, 5, 10]
    other = bk("sweep", "example", *axes[:2], "--folder", "parts", cwd=folder)
    assert other.returncode == 1
    assert "belongs to another sweep" in other.stderr
    wrong = bk("sweep", "example", "--vary", "fats=1,2", cwd=folder)
    assert "did you mean 'fast'" in wrong.stderr


def test_a_store_of_candles_is_filled_checked_and_read(folder: Path) -> None:
    assert "no candles in lake" in bk("data", "store", "list", "--root", "lake", cwd=folder).stdout
    filled = bk("data", "store", "import", "binance", "BTCUSDT-1m.parquet", "--root", "lake", cwd=folder)
    assert re.fullmatch(r"[\d,]+ new candles\n", filled.stdout), filled.stderr
    again = bk("data", "store", "import", "binance", "BTCUSDT-1m.parquet", "--root", "lake", cwd=folder)
    assert again.stdout == "0 new candles\n"
    named = ("binance", "BTCUSDT", "1m")
    nearly = bk("data", "store", "check", "binance", "BTCUSD", "1m", "--root", "lake", cwd=folder)
    assert nearly.returncode == 1
    assert "did you mean 'binance BTCUSDT 1m'" in " ".join(nearly.stderr.replace("│", " ").split())
    assert "binance BTCUSDT 1m: 1 months" in bk("data", "store", "list", "--root", "lake", cwd=folder).stdout
    written = bk("data", "store", "export", *named, "out-BTCUSDT-1m.parquet", "--root", "lake", cwd=folder)
    assert written.returncode == 0, written.stderr
    assert pl.read_parquet(folder / "out-BTCUSDT-1m.parquet").equals(
        pl.read_parquet(folder / "BTCUSDT-1m.parquet")
    )
    (folder / "out-BTCUSDT-1m.parquet").unlink()
    next((folder / "lake").rglob("2*.parquet")).write_bytes(b"PAR1 broken PAR1")
    checked = bk("data", "store", "check", *named, "--root", "lake", cwd=folder)
    assert checked.returncode == 1
    assert "damaged, put aside into" in checked.stdout
    unknown = bk("data", "store", "export", *named, "x.csv", "--root", "lake", cwd=folder)
    assert unknown.returncode == 1
    assert "binance BTCUSDT 1m: no candles in" in unknown.stderr


COMMANDS = (
    "--help",
    "backtest --help",
    "backtest hourly.py --candles BTCUSDT-1m.parquet --report rep",
    "report saved --rows 3",
    "repeat saved",
    "walk several.py --candles BTCUSDT-1m.parquet",
    "sweep hourly.py --candles BTCUSDT-1m.parquet --take-profit 1,2 --stop-loss 1,2 --lifetime 60",
    "data check HOLED-1m.parquet",
    "data store list --root nowhere-\u20ac",
    "backtest nowhere-\u20ac\u4e2d.py",
    "backtest nowhere-\udce9.py",
)


@pytest.mark.parametrize("encoding", ["ascii", "cp437", "cp1252", "utf-8"])
def test_every_command_survives_every_encoding(folder: Path, encoding: str) -> None:
    """Output that the terminal cannot show becomes question marks, not a traceback."""
    if not (folder / "saved").exists():
        made = bk("backtest", "hourly.py", "--candles", "BTCUSDT-1m.parquet", "--save", "saved", cwd=folder)
        assert made.returncode == 0
    commands = [line.split() for line in COMMANDS]
    # One process for all of them: the streams are those of the encoding.
    code = (
        "import sys, io, bkapi, traceback\n"
        "from bkapi.cli import main\n"
        f"for line in {commands!r}:\n"
        "    sys.argv = ['bk', *line]; bkapi.reset()\n"
        "    try: main.main()\n"
        "    except SystemExit: pass\n"
        "    except BaseException: traceback.print_exc(); sys.exit(9)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding},
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode(encoding, "replace")
    assert b"Traceback" not in run.stderr
    assert run.stdout.decode(encoding)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
@pytest.mark.parametrize("target", ["/dev/full", "closed"])
def test_an_output_that_takes_nothing_is_one_sentence(folder: Path, target: str) -> None:
    command = f"{sys.executable} -m bkapi.cli version " + (">&-" if target == "closed" else f"> {target}")
    run = subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )
    assert (run.returncode, "No space left" in run.stderr) == (
        (0, False) if target == "closed" else (1, True)
    )
    assert "Traceback" not in run.stderr
    assert len(run.stderr.splitlines()) <= 1
