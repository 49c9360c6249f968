"""What users may read of a position, and which commands they may give it.

Imports events, runs and schemas. Begin with ``getters`` (what can be read) and ``commands`` (what can be asked);
``forms`` makes the two documented forms of each: in a context, and with the names given.
"""
