"""The database: SQLite in one file, or PostgreSQL. Nobody waits for it: see `store.py`.

SQLAlchemy takes a quarter of a second to load, so only what runs in a worker thread, or in a command, imports
it: `location.py`, `writes.py`, `condition.py`, `writer.py` and `store.py` do not.
"""
