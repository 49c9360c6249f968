"""How a documented service passes questions on: a line each, with the text, types and signature of whom it asks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Forwarding:
    """Base of the services with methods made by :func:`forwarded`."""

    def _ask(self, method: Callable[..., R], given: Mapping[str, Any]) -> R:
        """The answer to a question: ``method`` of whom this service asks, with the arguments by name."""
        raise NotImplementedError


def forwarded(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """``method`` of another class as one of a :class:`Forwarding` service."""
    signature = inspect.signature(method)

    @wraps(method)
    def forward(self: Forwarding, /, *args: P.args, **kwargs: P.kwargs) -> R:
        _, *given = signature.bind(self, *args, **kwargs).arguments.items()
        return self._ask(method, dict(given))

    return forward
