"""Many combinations of parameters: planned, measured, ranked and looked into.

Imports backtests and guards. Begin with ``sweep`` (what a user calls), then ``plan`` (which parameters touch
what); bkcore.sweeps measures.
"""
