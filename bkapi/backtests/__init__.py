"""Plays a strategy over history: ``Backtest``.

Imports market, runs, reporting and risk. Begin with ``backtest`` (the documented methods), then ``prepare`` (looks up
and checks everything that a run needs) and ``stream`` (plays the run and yields results).
"""
