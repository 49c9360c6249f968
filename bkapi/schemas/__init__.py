"""What may be registered: a file per kind of schema, one registry, its documented doors and services.

Imports base and events. Begin with ``base`` (what all schemas share), then the kind that you look for;
``doors`` has the ``add_..._schema`` functions, ``policy`` and ``space`` are words that a strategy and a sweep
are described with.
"""
