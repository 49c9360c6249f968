"""Where lines and files go: writers that work in batches, file names that cannot leave their folder.

Imports base and events. Begin with ``writer``.
"""
