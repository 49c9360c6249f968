"""The documented sweep over a feed of trading ideas (spec risk-sizing-walker-sweep.md 4).

Imports market, schemas and sweeps. Begin with ``sweep``; bkcore.ideas follows the prices.
"""
