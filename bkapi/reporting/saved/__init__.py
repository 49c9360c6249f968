"""Saves whole runs, reads them again and exports them. Begin with ``saved_runs``."""
