"""What calls were used for, and what they cost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns, and make the table."""
    with op.batch_alter_table("calls") as calls:
        calls.add_column(sa.Column("cost_micros", sa.BigInteger()))
        calls.add_column(sa.Column("unheard_micros", sa.BigInteger()))
        calls.add_column(sa.Column("unpriced", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "usage",
        sa.Column("call_id", sa.String(200), nullable=False),
        sa.Column("role", sa.String(10), nullable=False),
        sa.Column("vendor", sa.String(100), nullable=False),
        sa.Column("model", sa.String(100), nullable=False),
        sa.Column("unit", sa.String(40), nullable=False),
        sa.Column("amount", sa.Double(), nullable=False),
        sa.Column("unheard", sa.Double(), nullable=False),
        sa.Column("estimated", sa.Double(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger()),
        sa.Column("unheard_micros", sa.BigInteger()),
        sa.Column("price", sa.String(100), nullable=False),
        sa.PrimaryKeyConstraint("call_id", "role", "vendor", "model", "unit", name="pk_usage"),
    )
