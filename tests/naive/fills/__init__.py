"""The slow twin of the fill models on real prices, ``next_open`` and ``last_close`` (spec fills.md), read aloud.

``run`` is the door: candles, rows of a signal frame, settings and a policy in, trades, orders and counts of rows out.
Like the rest of ``tests/naive`` it shares no code with the product. Begin at ``machine.py``, which goes through one
candle step by step; ``rows.py`` says what a row asks for, ``position.py`` what a position holds, ``costs.py`` what it
pays. Where a sentence can be read in two ways, the recorded scenarios decide (golden/fills/README.md 4).
"""

from tests.naive.fills.outcome import Outcome
from tests.naive.fills.run import run

__all__ = ["Outcome", "run"]
