"""Where lines and files are written: in batches, under names that cannot leave their folder.

Imports base and events. Begin with ``writer``.
"""
