"""Against fooling oneself: overfitting, random entries, look-ahead.

Imports backtests. Begin with ``overfitting`` and ``lookahead``; docs/overfitting.md says what the numbers
mean.
"""
