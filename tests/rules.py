"""How a test calls a rule, which only kernels can call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def from_python(rule: Any) -> Callable[..., Any]:
    """The rule as a function of Python, compiled for each combination of types at its first call."""

    def call(*arguments: Any) -> Any:
        return rule(*arguments)

    compiled: Callable[..., Any] = njit(error_model="numpy")(call)
    return compiled
