"""The slow twin: one backtest run, told rule by rule in plain Python.

It shares no code with the product and uses nothing but the standard library, so that a test may hold the fast
engine against it. ``run`` is the door; every candle is looked at, every average is folded afresh. It prices with the
documented average; ``fills`` is the twin of the fill models on real prices.
"""

from tests.naive.engine import Engine, Outcome, run
from tests.naive.market import Candle, MissingCandlesError

__all__ = ["Candle", "Engine", "MissingCandlesError", "Outcome", "run"]
