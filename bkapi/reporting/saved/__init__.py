"""A whole run written down, read again and exported. Begin with ``saved_runs``."""
