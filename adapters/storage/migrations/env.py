"""What alembic runs: the migrations, on the connection and in the transaction that `migrate.py` has begun."""

from __future__ import annotations

from alembic import context

from adapters.storage.tables import REVISION_TABLE, metadata

# SQLite cannot change a column: alembic then copies the table.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=REVISION_TABLE,
    render_as_batch=True,
)
context.run_migrations()
