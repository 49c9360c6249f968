"""What may be read of a position and asked of it.

Imports runs. Begin with ``getters`` (what can be read) and ``commands`` (what can be asked); ``forms`` makes
the two documented forms of each, by context and by names.
"""
