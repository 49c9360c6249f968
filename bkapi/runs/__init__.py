"""Plays one strategy on one symbol: moves the machine on and tells listeners what happens.

Imports schemas, events, market and statistics. Begin with ``strategy`` (the loop), then ``event_delivery`` (which
listener hears what, in which order). ``ledger`` knows the runs of this process; ``finished`` holds what a run leaves
behind.
"""
