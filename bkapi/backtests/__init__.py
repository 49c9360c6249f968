"""A strategy over history: prepared, streamed, run by ``Backtest``.

Imports runs, reporting and risk. Begin with ``backtest`` (the documented methods), then ``prepare``
(everything that a run needs) and ``stream`` (what it yields).
"""
