"""What users register: a file per kind of schema, one registry, its documented functions and services.

Imports base and events. Begin with ``base`` (what all schemas share), then the kind that you look for. ``doors`` has
the ``add_..._schema`` functions; ``policy`` and ``space`` describe rules of a strategy and parameters of a sweep.
"""
