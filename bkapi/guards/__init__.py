"""Can the result be trusted? Checks for overfitting, random entries and look-ahead.

Imports backtests, market, risk and statistics. Begin with ``overfitting`` and ``lookahead``; docs/overfitting.md says
what the numbers mean.
"""
