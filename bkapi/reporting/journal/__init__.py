"""A record per event, written as it comes: JSON Lines, SQLite, Parquet. Begin with ``services``."""
