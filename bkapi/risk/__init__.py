"""Which signals may open, given what is open already, and how large are they?

Imports events, positions, runs and schemas. Begin with ``client`` (one profile), then ``run_risk`` (what a run asks)
and ``sizing``.
"""
