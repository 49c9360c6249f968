"""How much the property tests try: ``fast`` by default, ``--hypothesis-profile=ci`` for a long look."""

from __future__ import annotations

from collections.abc import Generator
from types import MappingProxyType

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, seed, settings

from tests import shares

_RICH = (HealthCheck.too_slow, HealthCheck.data_too_large)  # a whole market per example is meant to be so

settings.register_profile("fast", max_examples=60, deadline=None, suppress_health_check=_RICH)
settings.register_profile(
    "ci", max_examples=1000, deadline=None, suppress_health_check=_RICH, print_blob=True
)
settings.load_profile("fast")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let every run of the fast profile try the same examples, unless the caller gave a seed.

    The seed of a test, other than the seed of the session, leaves the example database in use: what failed once
    is tried again first.
    """
    profile, given = config.getoption("hypothesis_profile", None), config.getoption("hypothesis_seed", None)
    if profile not in (None, "fast") or given is not None:
        return
    for item in items:
        test = getattr(item, "obj", None)
        if is_hypothesis_test(test):
            seed(0)(getattr(test, "__func__", test))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """Bound the shares that a test counts, over all of its examples."""
    shares.begin()
    result = yield
    shares.end()
    return result


@pytest.fixture(autouse=True)
def _documented_fill_model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most tests are about the documented behaviour, so they run by ``vwap``; ``real_prices`` marks the others."""
    if request.node.get_closest_marker("real_prices") is None:
        from bkapi.base import config

        documented = {"CC_FILL_MODEL": "vwap"}
        monkeypatch.setattr(config, "DEFAULTS", MappingProxyType({**config.DEFAULTS, **documented}))
        monkeypatch.setattr(config, "_current", {**config._current, **documented})


@pytest.fixture(autouse=True, scope="session")
def _nothing_is_cached_on_disk() -> None:
    """A test that wants the candle cache says so; the others must not find what an earlier one has left."""
    from bkapi.market.cache import PersistCandleAdapter

    PersistCandleAdapter.use_dummy()
