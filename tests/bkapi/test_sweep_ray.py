"""A sweep in the workers of a Ray cluster is the sweep in this process, bit for bit, and says what it cannot send."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st
from numba import njit

import bkapi as bk
from bkapi import Space, SweepError
from bkapi.errors import AlreadyExistsError, BkError, SchemaError, UnknownNameError
from bkapi.sweeps.plan import SignalSet
from bkapi.sweeps.ray_cluster import Costs, _spans
from tests.bkapi.ray_cluster import ray, small_cluster
from tests.bkapi.test_parameter_sweep import (
    MANY,
    ROWS,
    SYMBOLS,
    hear,
    registered as registered,
    small_parts as small_parts,
    stopping_at,
    sweep,
    swept,
    turns,
)

pytestmark = pytest.mark.xdist_group("cluster")

ROOT = Path(__file__).resolve().parents[2]
LOOKS = Space.grid(look=[5, 30, 60])


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with small_cluster():
        yield


@pytest.fixture
def tiny_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks of a few combinations each."""
    monkeypatch.setattr(Costs, "task_seconds", lambda self, cores: 7.3 * self.combination)


def distributed(space: Space, strategy_name: str = "turns", **options: Any) -> Any:
    return sweep(space, strategy_name, **options).run(progress=False, engine="ray")


# ------------------------------------------------------------------------------------------ identical results


@pytest.mark.parametrize("what", ROWS)
def test_every_plan_gives_the_local_result(what: str) -> None:
    strategy_name, space, options, _ = ROWS[what]
    made = sweep(space, strategy_name, **options)
    wanted = made.run(progress=False)
    result = made.run(progress=False, engine="ray")
    assert result.complete
    assert result.frame.schema == wanted.frame.schema
    assert result.frame.equals(wanted.frame)


@pytest.mark.usefixtures("tiny_tasks")
@pytest.mark.parametrize("what", ["bracket", "policy", "trails", "random", "markets", "conditions", "kernel"])
def test_results_do_not_depend_on_how_work_is_cut(what: str) -> None:
    strategy_name, space, options, _ = ROWS[what]
    made = sweep(space, strategy_name, **options)
    assert made.run(progress=False, engine="ray").frame.equals(made.run(progress=False).frame)


def test_a_plan_is_chosen_for_all_that_share_signals_however_they_are_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tables and paths may round otherwise; without breakeven alone these would go by tables."""
    plans: list[str] = []
    measure = SignalSet.measure

    def listening(self: SignalSet, choice: Any, *arguments: Any) -> Any:
        plans.append(choice.plan)
        return measure(self, choice, *arguments)

    monkeypatch.setattr(SignalSet, "measure", listening)
    axis = [0.5 + k / 40 for k in range(48)]
    for starts, plan in (([None], "tables"), ([None, 0.3], "paths")):
        space = Space.grid(breakeven_from_percent=starts, take_profit_percent=axis, stop_loss_percent=axis)
        made = sweep(space, metrics="all")
        measurer, (market,) = made._measurer, made._markets
        _, columns = space.columns(0, space.size)
        groups = measurer.groups(columns, space.size)
        trades = made.explain().trades
        metrics, refused = measurer.measure(market, columns, groups, trades)
        cut = [
            measurer.measure(market, columns, groups, trades, span=span) for span in ((0, 7), (7, space.size))
        ]
        assert np.array_equal(metrics, np.concatenate([part for part, _ in cut]), equal_nan=True)
        assert np.array_equal(refused, np.concatenate([part for _, part in cut]))
        assert set(plans) == {plan}
        plans.clear()


sizes = st.lists(st.integers(1, 300), max_size=40)
seconds = st.floats(1e-6, 1e3)


@given(sizes, seconds, seconds, seconds)
def test_tasks_hold_every_combination_once_in_order(
    groups: Sequence[int], combination: float, signals: float, task: float
) -> None:
    costs = Costs(combination, signals, len(groups), sum(groups))
    spans = list(_spans(groups, costs, task))
    assert all(begin < end for begin, end in spans)
    assert [begin for begin, _ in spans[1:]] == [end for _, end in spans[:-1]]
    if groups:
        assert (spans[0][0], spans[-1][1]) == (0, sum(groups))
    edges = {0}
    for size in groups:
        edges.add(max(edges) + size)
    if max(groups, default=0) * combination < task:
        assert {edge for span in spans for edge in span} <= edges  # what is short stays whole


@given(sizes, seconds, seconds, st.integers(0, 500))
def test_every_core_gets_work_and_none_waits_for_long(
    groups: Sequence[int], combination: float, signals: float, cores: int
) -> None:
    costs = Costs(combination, signals, max(1, len(groups)), sum(groups))
    lasts = costs.task_seconds(cores)
    assert lasts >= 0.1
    assert lasts <= max(1.0, 4 * signals)
    assert lasts <= max(0.1, 1.0, sum(groups) * combination / max(1, cores))


# -------------------------------------------------------------------------------------- folders and stopping


def parts_in(folder: Path) -> set[str]:
    """The names of parts, which hold digests of their bytes."""
    return {path.name for path in folder.glob("part-*")}


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(("before", "after"), [("local", "ray"), ("ray", "local"), ("ray", "ray")])
def test_one_engine_goes_on_where_the_other_stopped(tmp_path: Path, before: Any, after: Any) -> None:
    made = sweep(MANY, symbols=SYMBOLS)
    wanted = made.run(folder=tmp_path / "whole", progress=False)
    stopped = made.run(folder=tmp_path / "here", progress=stopping_at(500), engine=before)
    assert not stopped.complete
    kept = parts_in(tmp_path / "here")
    assert 0 < len(kept) < 10
    assert len(stopped) == sum(pl.read_parquet(tmp_path / "here" / name).height for name in kept)
    result = made.run(folder=tmp_path / "here", progress=False, engine=after)
    assert result.complete
    assert result.frame.equals(wanted.frame)
    assert parts_in(tmp_path / "here") == parts_in(tmp_path / "whole") > kept
    assert result.trades(result.top(1)["combination"][0], symbol="BTCUSDT").height > 0


@pytest.mark.usefixtures("small_parts", "tiny_tasks")
def test_progress_never_goes_back_and_reaches_the_total() -> None:
    heard: list[tuple[int, int]] = []
    sweep(MANY, symbols=SYMBOLS).run(progress=partial(hear, heard), engine="ray")
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)
    assert {total for _, total in heard} == {1200}
    assert heard[-1] == (1200, 1200)
    assert len({done for done, _ in heard}) > 50


@pytest.mark.usefixtures("small_parts")
def test_ctrl_c_keeps_whole_parts_and_leaves_the_cluster_usable() -> None:
    partly = sweep(MANY).run(progress=stopping_at(300), engine="ray")
    assert not partly.complete
    whole = swept(MANY).frame
    kept = partly.frame
    assert 0 < kept.height < whole.height
    assert kept.equals(whole.filter(pl.col("combination").is_in(kept["combination"].implode())))
    assert distributed(MANY).frame.equals(whole)
    with pytest.raises(KeyboardInterrupt):
        sweep(LOOKS).run(progress=stopping_at(1), engine="ray")


# --------------------------------------------------------------------------------------------- what is sent


@njit
def half(value: float) -> float:
    """A jitted function that a kernel calls."""
    return value / 2.0


@njit
def deep_kernel(
    when: Any,
    price: Any,
    open: Any,  # noqa: A002
    high: Any,
    low: Any,
    close: Any,
    volume: Any,
    params: Any,
    memory: Any,
    signal: Any,
) -> Any:
    """Against the last half of ``params[0]`` minutes."""
    look = int(half(params[0]))
    if close.size <= look:
        return 0
    side = -1 if close[-1] > close[-1 - look] else 1
    signal.side = side
    signal.take_profit = price * (1 + side * 0.01)
    signal.stop_loss = price * (1 - side * 0.01)
    signal.lifetime = 90.0
    return 1


def test_functions_travel_with_what_they_call_and_hold() -> None:
    """A jitted kernel with a jitted helper, a closure with a frame, and a strategy with a lock for its callbacks."""
    lock, extra = threading.Lock(), pl.DataFrame({"more": [3]})
    bk.add_strategy_schema(strategy_name="deep", interval="30m", kernel=deep_kernel, params={"look": 30})
    bk.add_strategy_schema(
        strategy_name="closure",
        interval="30m",
        signals=lambda candles, look: turns(candles, look + extra["more"][0]),
        callbacks={"on_open": lambda *_: lock.acquire()},
        params={"look": 30},
    )
    for name in ("deep", "closure"):
        result = distributed(LOOKS, name)
        assert result.frame.equals(swept(LOOKS, name).frame)
        assert result.frame["total_pnl"].n_unique() == 3


def test_a_strategy_of_a_loose_file_travels_as_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loose_signals.py").write_text(
        "from tests.bkapi.test_parameter_sweep import turns\n\n"
        "def signals(candles, look):\n    return shifted(candles, look)\n\n"
        "def shifted(candles, look):\n    return turns(candles, look + 1)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import loose_signals  # type: ignore[import-not-found]

    bk.add_strategy_schema(
        strategy_name="loose", interval="30m", signals=loose_signals.signals, params={"look": 30}
    )
    assert distributed(LOOKS, "loose").frame.equals(swept(LOOKS, "loose").frame)


def test_candles_are_mapped_and_the_configuration_is_that_of_here() -> None:
    """A worker reads candles from the object store, without a copy of its own, and meets the constants set here."""
    bk.set_config(CC_PERCENT_FEE=0.03)

    def signals(candles: pl.DataFrame, look: int) -> pl.DataFrame:
        if os.getpid() != here:
            assert bk.get_config()["CC_PERCENT_FEE"] == 0.03
            assert not candles["close"].to_numpy().flags.writeable
        return turns(candles, look)

    here = os.getpid()
    bk.add_strategy_schema(strategy_name="looking", interval="30m", signals=signals, params={"look": 30})
    assert distributed(LOOKS, "looking").frame.equals(swept(LOOKS, "looking").frame)


def test_workers_load_kernels_from_the_disk() -> None:
    def counted() -> tuple[bool, int, int]:
        import bkapi.sweeps.ray_cluster  # noqa: F401
        from bkcore import jit

        kernels = {
            id(value): value
            for name, module in list(sys.modules.items())
            if name.startswith("bkcore.")
            for value in vars(module).values()
            if hasattr(value, "stats") and hasattr(value, "nopython_signatures")
        }
        hits = sum(sum(kernel.stats.cache_hits.values()) for kernel in kernels.values())
        misses = sum(sum(kernel.stats.cache_misses.values()) for kernel in kernels.values())
        return jit.COLD_START, hits, misses

    is_cold, hits, misses = ray.get(ray.remote(counted).remote())
    assert not is_cold
    assert hits > 10
    assert misses == 0


def test_errors_and_spaces_can_be_pickled() -> None:
    for error in (
        UnknownNameError("strategy", "dpi", "Sweep", ["dip"]),
        SchemaError("frame", "it is wrong", field="start_date", hint="mend it"),
        AlreadyExistsError("taken", kind="strategy", name="dip"),
        SweepError("no", hint="yes"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert (str(again), again.__dict__, again.args) == (str(error), error.__dict__, error.args)
    space = Space.random(50, seed=3, log="look", look=(2, 90), mode=["a", "b"])
    assert list(pickle.loads(pickle.dumps(space))) == list(space)


# ------------------------------------------------------------------------------------------ what goes wrong


def strategy_that(does: Any, name: str = "odd") -> str:
    """Registers one that does something in a worker, at ``look=60`` only."""
    here = os.getpid()

    def signals(candles: pl.DataFrame, look: int) -> pl.DataFrame:
        if look == 60 and os.getpid() != here:
            does()
        return turns(candles, look)

    bk.add_strategy_schema(strategy_name=name, interval="30m", signals=signals, params={"look": 30})
    return name


def kill_yourself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(marker: Path) -> None:
    if not marker.exists():
        marker.touch()
        kill_yourself()


def divide() -> float:
    return 1 / 0


def import_nothing() -> None:
    __import__("no_such_indicators")


def test_a_task_whose_worker_dies_is_done_again(tmp_path: Path) -> None:
    name = strategy_that(partial(die_once, tmp_path / "died"))
    assert distributed(LOOKS, name).frame.equals(swept(LOOKS, name).frame)
    assert (tmp_path / "died").exists()


def test_a_task_that_kills_every_worker_ends_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bkapi.sweeps.ray_cluster._RETRIES", 1)
    name = strategy_that(kill_yourself)
    with pytest.raises(SweepError, match="after 2 tries, WorkerCrashedError") as caught:
        sweep(LOOKS, name).run(folder=tmp_path, progress=False, engine="ray")
    assert "max_memory" in str(caught.value)
    assert distributed(MANY).complete


@pytest.mark.parametrize(
    ("does", "kind", "words"),
    [
        (divide, ZeroDivisionError, "division by zero"),
        (import_nothing, ModuleNotFoundError, "no_such_indicators"),
        (partial(bk.get_exchange_schema, "memory"), SweepError, "in a worker nothing is: exchange memory"),
    ],
)
def test_what_a_function_raises_in_a_worker_is_raised_here(
    does: Any, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        distributed(LOOKS, strategy_that(does))
    assert isinstance(caught.value.__cause__, ray.exceptions.RayTaskError)


def test_what_cannot_be_sent_is_said_before_anything_is_written(tmp_path: Path) -> None:
    lock = threading.Lock()

    def signals(candles: pl.DataFrame, look: int) -> pl.DataFrame:
        with lock:
            return turns(candles, look)

    bk.add_strategy_schema(strategy_name="locked", interval="30m", signals=signals, params={"look": 30})
    with pytest.raises(
        SweepError, match="the signals of strategy 'locked' cannot be sent to workers"
    ) as told:
        sweep(LOOKS, "locked").run(folder=tmp_path / "new", progress=False, engine="ray")
    assert "'_thread.lock'" in str(told.value)
    assert 'engine="local"' in str(told.value)
    assert not (tmp_path / "new").exists()
    assert swept(LOOKS, "locked").complete


def test_a_module_that_workers_lack_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_indicators.py").write_text("def same(value):\n    return value\n")
    (tmp_path / "own_signals.py").write_text(
        "import own_indicators\nfrom tests.bkapi.test_parameter_sweep import turns\n\n"
        "def signals(candles, look):\n    return turns(candles, own_indicators.same(look))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import own_signals  # type: ignore[import-not-found]

    bk.add_strategy_schema(
        strategy_name="own", interval="30m", signals=own_signals.signals, params={"look": 30}
    )
    with pytest.raises(
        SweepError, match="cannot load the strategy: No module named 'own_indicators'"
    ) as told:
        distributed(LOOKS, "own")
    assert "working_dir" in str(told.value)


def test_another_version_in_a_worker_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bkapi.sweeps.ray_cluster.version", lambda: "0.0.9 abc")
    with pytest.raises(SweepError, match=r"has bk 0\.1\.0 \w+, this process 0\.0\.9 abc"):
        distributed(LOOKS)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"engine": "dask"}, ["engine='dask'", "local or ray"]),
        ({"address": "localhost:6379"}, ["address='localhost:6379'", 'engine="ray"']),
        ({"engine": "ray", "address": "auto"}, ["connected to a Ray cluster already", "ray.shutdown()"]),
    ],
)
def test_an_engine_that_means_nothing_is_refused(
    tmp_path: Path, options: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(SweepError) as caught:
        sweep(LOOKS).run(folder=tmp_path / "new", progress=False, **options)
    for word in words:
        assert word in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(bk.MissingExtraError, match="Ray is not installed") as caught:
        distributed(LOOKS)
    assert 'pip install "bkapi[distributed]"' in str(caught.value)
    assert isinstance(caught.value, BkError)


def test_an_address_where_nobody_listens_is_told_at_once() -> None:
    """In a process of its own: this one is connected."""
    script = """
    import bkapi as bk
    from bkapi.sweeps.ray_cluster import Cluster
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1"):
        try:
            with Cluster(address, 1).connected(0):
                pass
        except bk.SweepError as error:
            print(error.message)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.count("no Ray cluster at address=") == 2
    assert done.stdout.count("Connection refused") == 2


def test_neither_ray_nor_optuna_is_imported_before_it_is_asked_for() -> None:
    script = "import sys, bkapi, bkapi.cli.main; bkapi.Sweep; print({'ray', 'optuna'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
