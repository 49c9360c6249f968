"""Which signals may be taken, given what is open, and how large they are.

Imports market and schemas. Begin with ``client`` (one profile), then ``run_risk`` (what a run asks) and
``sizing``.
"""
