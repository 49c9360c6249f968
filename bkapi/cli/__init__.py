"""The ``bk`` command: one file a group of commands.

Imports every room, each when a command needs it, so that ``bk --help`` answers at once. Begin with ``main``.
"""
