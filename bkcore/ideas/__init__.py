"""The documented sweep over a feed of trading ideas, the one sanctioned exception from the one state machine.

Imports jit and statistics. Begin with ``sweep``.
"""
