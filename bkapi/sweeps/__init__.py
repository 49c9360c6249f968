"""Measures many combinations of parameters, ranks them and looks into them.

Imports backtests, guards and schemas. Begin with ``sweep`` (what a user calls), then ``plan`` (which parameters change
what, and how they are measured); bkcore.sweeps measures.
"""
