"""The numbers of a report, from frames of trades and events.

Imports base; the formulas of trades are in bkcore.statistics. Begin with ``records`` (what the statistics of
each kind hold), then ``measured`` (how they come about).
"""
