"""Measures a sweep in the workers of a Ray cluster, with the same numbers (extra ``distributed``).

Candles lie once in the object store of each machine. A task measures some combinations of a part. The process that
started the sweep joins, names and writes the parts.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import sysconfig
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

import numpy as np

from bkapi.base import config
from bkapi.errors import MissingExtraError, NotRegisteredError, UnknownNameError
from bkapi.sweeps.measurer import Measured, Measurer, Numbers, Part, in_order, version
from bkapi.sweeps.plan import Float, SweepError, SweepMarket, Told
from bkcore.statistics.metrics import Metric

_RETRIES: Final = 3  # how often a task is repeated whose worker has died
_TASK_SECONDS: Final = 1.0
_LEAST_SECONDS: Final = 0.1
_TASKS_PER_CORE: Final = 4  # at least, so that all cores end at about the same time
_SETUP_SHARE: Final = 0.25  # of a task's time that signals and tables may take
_STORE_BYTES: Final = 256 << 20  # for results that are being sent
_CONNECT_SECONDS: Final = 10.0
_LEAST_ROOM: Final = 4  # tasks on their way to a cluster that has no cores yet


@dataclass(frozen=True)
class Costs:
    """The expected work of a sweep, in seconds of one core."""

    combination: float
    set_of_signals: float
    sets: int
    combinations: int

    def task_seconds(self, cores: int) -> float:
        """How long a task should take: short, so that every core gets some, but worth its signals and tables."""
        work = self.combination * self.combinations
        share = (work + self.set_of_signals * self.sets) / (_TASKS_PER_CORE * max(cores, 1))
        worth_its_signals = min(self.set_of_signals / _SETUP_SHARE, work / max(cores, 1))
        return max(_LEAST_SECONDS, min(_TASK_SECONDS, share), worth_its_signals)


class Cluster:
    """A connection to a Ray cluster: the one that this process uses already, one at an address, or a new one.

    Raises :class:`MissingExtraError` without Ray.
    """

    def __init__(self, address: str | None, threads: int) -> None:
        try:
            import ray
        except ImportError:
            raise MissingExtraError(
                "Ray is not installed.", hint='install the extra: python -m pip install "bkapi[distributed]".'
            ) from None
        self.ray: Any = ray
        self._address = address
        self._threads = threads
        if address is not None and ray.is_initialized():
            raise SweepError(
                f"address={address!r}, but this process is connected to a Ray cluster already.",
                hint="leave address out to use that one, or call ray.shutdown() first.",
            )

    @contextmanager
    def connected(self, candle_bytes: int) -> Iterator[None]:
        """Connect for a block; a connection that was made for it ends with it."""
        if self.ray.is_initialized():
            yield
            return
        try:
            self._connect(candle_bytes)
            yield
        finally:
            self.ray.shutdown()

    def _connect(self, candle_bytes: int) -> None:
        address = self._address or os.environ.get("RAY_ADDRESS")
        options: dict[str, Any] = {"address": address, "logging_level": logging.WARNING}
        if address is None:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # sends no usage statistics
            options |= {
                "address": "local",
                "num_cpus": self._threads,
                "include_dashboard": False,
                "logging_level": logging.ERROR,
                "object_store_memory": _STORE_BYTES + 2 * candle_bytes,
            }
        try:
            if address is not None:
                _check_reachable(address)
            self.ray.init(**options)
        except (OSError, RuntimeError, ValueError, ImportError) as error:
            raise SweepError(
                f"no Ray cluster at address={options['address']!r}: {_first_line(error)}",
                hint="start one with ray start --head, or leave address out to use the cores of this machine. Where "
                "tokens are asked for, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN here, too.",
            ) from error

    def cores(self) -> int:
        """How many cores the cluster has now."""
        return int(self.ray.cluster_resources().get("CPU", 0))


def _check_reachable(address: str) -> None:
    """Raise ``OSError`` when nobody listens at ``host:port``; Ray itself would try for a quarter of an hour."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()


class _UnfinishedPart:
    """A part of which some tasks are not measured yet."""

    def __init__(self, part: Part, groups: Sequence[Numbers]) -> None:
        self.part = part
        self.groups = groups
        self.sent: Any = None  # its numbers in the object store
        self._left = part.numbers.size
        self._found = np.empty((self._left, len(Metric))), np.empty(self._left, np.int64)

    def take(self, span: tuple[int, int], metrics: Float, refused: Numbers) -> bool:
        """Keep the result of a task; returns whether the part is complete."""
        self._found[0][slice(*span)], self._found[1][slice(*span)] = metrics, refused
        self._left -= refused.size
        return not self._left

    def measured(self) -> Measured:
        return self.part, *in_order(self.groups, *self._found)


class _Task(NamedTuple):
    """Combinations ``span`` of a part, counted group after group."""

    of: _UnfinishedPart
    span: tuple[int, int]


def measured_by_ray(
    measurer: Measurer,
    markets: Sequence[SweepMarket],
    trades: float,
    packed: bytes,
    costs: Costs,
    cluster: Cluster,
    parts: Iterator[Part],
    tell: Told,
) -> Generator[Measured, None, None]:
    """Measure parts in the workers of a cluster, several at a time, and yield each when it is complete.

    packed   :func:`pack` of the measurer

    Raises :class:`SweepError` for a task whose workers die again and again, and what the functions of the strategy
    raise.
    """
    ray = cluster.ray
    run = (uuid4().hex, version())
    with cluster.connected(sum(_bytes_of(market) for market in markets)):

        def measure(*task: Any) -> Any:  # travels as code, so that a worker without bk can say so
            return import_module("bkapi.sweeps.ray_cluster").measure_rows(*task)

        send = ray.remote(num_cpus=1, max_retries=_RETRIES)(measure).remote
        work, places = ray.put(packed), [ray.put(market) for market in markets]
        tasks = _tasks(measurer, parts, costs, cluster.cores())
        flying: dict[Any, _Task] = {}
        try:
            while True:
                room = max(_LEAST_ROOM, 2 * cluster.cores())
                while len(flying) < room and (task := next(tasks, None)):
                    part = task.of.part
                    if not part.numbers.size:
                        yield task.of.measured()
                        continue
                    task.of.sent = task.of.sent or ray.put(part.numbers)
                    sent = {"work": work, "market": places[part.place], "numbers": task.of.sent}
                    flying[send(run, sent, part.place, task.span, trades)] = task
                if not flying:
                    return
                ref = ray.wait(list(flying), num_returns=1)[0][0]
                task = flying.pop(ref)
                is_whole = task.of.take(task.span, *_answer(ray, ref))
                tell(task.span[1] - task.span[0])
                if is_whole:
                    yield task.of.measured()
        finally:
            for ref in flying:
                ray.cancel(ref)


def _answer(ray: Any, ref: Any) -> tuple[Float, Numbers]:
    try:
        found: tuple[Float, Numbers] = ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause if isinstance(error.cause, Exception) else error
        if isinstance(cause, UnknownNameError | NotRegisteredError):
            raise SweepError(
                f"the strategy asks for what is registered, and in a worker nothing is: {_first_line(cause)}",
                hint='let its functions work with what they are given, or sweep with engine="local".',
            ) from error
        if isinstance(cause, ImportError) and (cause.name or "").startswith(("bkapi", "bkcore")):
            raise SweepError(
                f"a worker of the Ray cluster cannot import bk: {_first_line(cause)}",
                hint="install it there, the same version as here.",
            ) from error
        raise cause from error
    except ray.exceptions.RayError as error:
        raise SweepError(
            f"the Ray cluster gave some combinations up after {_RETRIES + 1} tries, {type(error).__name__}: "
            f"{_first_line(error)}",
            hint='if memory ran out, lower max_memory, which each worker may use; engine="local" may show more.',
        ) from error
    return found


def _tasks(measurer: Measurer, parts: Iterator[Part], costs: Costs, cores: int) -> Iterator[_Task]:
    seconds = costs.task_seconds(cores)
    for part in parts:
        groups = measurer.groups(part.columns, part.numbers.size)
        of = _UnfinishedPart(part, groups)
        if not groups:
            yield _Task(of, (0, 0))
        for span in _spans([chosen.size for chosen in groups], costs, seconds):
            yield _Task(of, span)


def _spans(sizes: Sequence[int], costs: Costs, seconds: float) -> Iterator[tuple[int, int]]:
    """Groups of these sizes cut into tasks: small groups together, large ones in pieces."""
    begin, place, load = 0, 0, 0.0
    for size in sizes:
        own = size * costs.combination
        if begin < place and load + costs.set_of_signals + own > seconds:
            yield begin, place
            begin, load = place, 0.0
        pieces = min(size, max(1, round(own / seconds)))
        for k in range(1, pieces):
            end = place + size * k // pieces
            yield begin, end
            begin = end
        place += size
        load += costs.set_of_signals + own / pieces
    if begin < place:
        yield begin, place


# ------------------------------------------------------------------------------------------------ in a worker


class _Received(NamedTuple):
    """The sweep that this worker measures, and the market of its last task."""

    run_id: str
    measurer: Measurer
    place: int
    market: SweepMarket


_received: _Received | None = None


def measure_rows(
    run: tuple[str, str], sent: Mapping[str, Any], place: int, span: tuple[int, int], trades: float
) -> tuple[Float, Numbers]:
    """Measure a task in a worker: metrics and refused signals of the combinations ``span`` among the numbers sent.

    run     the sweep it belongs to, and the version of bk that has to measure it
    sent    in the object store: ``work`` (a :class:`Measurer` and the configuration, pickled), ``market``, ``numbers``
    place   of the market in the sweep
    """
    import ray

    global _received
    known = _received
    if known is None or known.run_id != run[0]:
        _check_version(run[1])
        known = _Received(run[0], _unpacked(ray.get(sent["work"])), place, ray.get(sent["market"]))
    elif known.place != place:
        known = known._replace(place=place, market=ray.get(sent["market"]))
    _received, measurer = known, known.measurer
    numbers = ray.get(sent["numbers"])
    columns = measurer.space.columns_at(numbers)
    return measurer.measure(known.market, columns, measurer.groups(columns, numbers.size), trades, span=span)


def _check_version(wanted: str) -> None:
    if version() != wanted:
        raise SweepError(
            f"a worker on {socket.gethostname()} has bk {version()}, this process {wanted}.",
            hint="install the same version everywhere: results have to be identical.",
        )


def _unpacked(work: bytes) -> Measurer:
    from ray import cloudpickle

    try:
        measurer, constants = cloudpickle.loads(work)
    except (ImportError, AttributeError) as error:
        raise SweepError(
            f"a worker on {socket.gethostname()} cannot load the strategy: {_first_line(error)}",
            hint='install what it imports there, or send it: ray.init(..., runtime_env={"working_dir": "."}) first.',
        ) from error
    config.set_config(constants, unsafe=True)
    assert isinstance(measurer, Measurer)
    return measurer


# --------------------------------------------------------------------------------------------- what is sent


def pack(measurer: Measurer) -> bytes:
    """A measurer as bytes; functions of scripts, notebooks and loose files are sent as code.

    Raises :class:`SweepError`, which names what cannot be sent.
    """
    from ray import cloudpickle

    away = measurer.elsewhere(threads=1)
    strategy = away.strategy
    named = {name: getattr(strategy, name) for name in ("signals", "kernel", "manage", "params", "policy")}
    with ExitStack() as stack:
        for name in {str(getattr(value, "__module__", "")) for value in named.values()}:
            if _is_loose(name):
                cloudpickle.register_pickle_by_value(sys.modules[name])
                stack.callback(cloudpickle.unregister_pickle_by_value, sys.modules[name])
        try:
            packed: bytes = cloudpickle.dumps((away, config.get_config()))
        except Exception as error:  # a user's object may raise anything when it is pickled
            raise SweepError(
                f"{_culprit(cloudpickle, named)} of strategy {strategy.strategy_name!r} cannot be sent to workers: "
                f"{_first_line(error)}",
                hint="open files, locks and connections inside the function, keep no generators in its variables, or "
                'sweep with engine="local".',
            ) from error
    return packed


def _is_loose(module: str) -> bool:
    """Whether a module is a file that workers may not have: neither part of bk nor installed."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None or module == "__main__" or module.split(".")[0] in ("bkapi", "bkcore"):
        return False
    installed = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platlib", "purelib")}
    return installed.isdisjoint(Path(file).resolve().parents)


def _culprit(cloudpickle: Any, named: dict[str, Any]) -> str:
    for name, value in named.items():
        try:
            cloudpickle.dumps(value)
        except Exception:  # noqa: BLE001 - found
            return f"the {name}"
    return "a value"


def _bytes_of(market: SweepMarket) -> int:
    columns = market.market
    return columns.timestamps.nbytes + 5 * columns.close.nbytes + market.signals.nbytes


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
