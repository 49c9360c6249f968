"""One run of one strategy: the machine is moved on, and who listens hears of it.

Imports what stands below: schemas, events, market, statistics. Begin with ``strategy`` (the loop), then
``event_delivery`` (who hears what, in which order); ``ledger`` knows the runs of this process, ``finished``
what a run leaves behind.
"""
