"""The formulas of reports: metrics of a series of trades, overfitting, price profile.

Imports jit. Begin with ``metrics``.
"""
