"""The ``bk`` command.

Imports every room, each inside the command that needs it, so that ``bk --help`` answers at once. Begin with ``main``.
"""
