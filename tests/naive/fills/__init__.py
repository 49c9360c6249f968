"""The slow twin of the fill models on real prices, ``next_open`` and ``last_close`` (spec fills.md), read aloud.

``run`` is the door: candles, rows of a signal frame, settings and a policy in, trades, orders and counts of rows out.
Like the rest of ``tests/naive`` it shares no code with the product. Begin at ``run.py``, which goes through one candle
step by step; ``rows.py`` says what a row asks for, ``position.py`` what a position holds, ``costs.py`` what it pays.
"""

from tests.naive.fills.run import Outcome, run

__all__ = ["Outcome", "run"]
