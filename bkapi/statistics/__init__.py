"""The numbers of a report, from frames of trades and events.

Imports base; the formulas of trades are in bkcore.statistics. Begin with ``records`` (which numbers each kind has),
then ``measured`` (how they are computed).
"""
