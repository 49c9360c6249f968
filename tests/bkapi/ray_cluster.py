"""A Ray cluster on this machine, as small as tests need it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "bkapi[distributed]"')


@contextmanager
def small_cluster() -> Iterator[None]:
    """Two workers and a small object store."""
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100 << 20,
        logging_level="ERROR",
        log_to_driver=False,
    )
    yield
    ray.shutdown()
