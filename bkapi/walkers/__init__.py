"""Which of several strategies, or of their combinations, is best on one market? (spec risk-sizing-walker-sweep.md 3)

Imports backtests, guards and sweeps. Begin with ``walker`` (the documented methods), then ``logic`` (one candidate
after another).
"""
