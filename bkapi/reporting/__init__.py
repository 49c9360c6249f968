"""How what happened becomes statistics, documents and records: thirteen kinds of report from one table."""
