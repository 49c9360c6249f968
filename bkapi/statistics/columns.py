"""Which columns may a metric name, and of which is less better?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bkapi.errors import UnknownNameError
from bkcore.errors import did_you_mean
from bkcore.statistics.metrics import METRIC_NAMES

#: Metrics of which less is better.
LESS_IS_BETTER: Final = ("max_drawdown", "std_dev", "loss_count", "max_loss_streak", "refused_signals")


def check_column(name: str, known: Sequence[str] = (*METRIC_NAMES, "refused_signals")) -> None:
    """Raise :class:`UnknownNameError` for a name that no column of a sweep has."""
    if name not in known:
        raise UnknownNameError(
            "metric", name, "sweep", known, hint=did_you_mean(name, known) + "choose a listed one."
        )
