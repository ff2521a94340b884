"""What remains of calls: the calls, their turns and tool calls, and how often each transition was taken."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    _calls()
    _turns()
    _tool_calls()
    _edges()


def _calls() -> None:
    op.create_table(
        "calls",
        sa.Column("call_id", sa.String(200), nullable=False),
        sa.Column("began_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("vantum", sa.String(40), nullable=False),
        sa.Column("policy", sa.String(16), nullable=False),
        sa.Column("language", sa.String(40), nullable=False),
        sa.Column("stt", sa.String(200), nullable=False),
        sa.Column("llm", sa.String(200), nullable=False),
        sa.Column("tts", sa.String(200), nullable=False),
        sa.Column("end_reason", sa.String(40)),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("lost_records", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("facts", sa.BigInteger(), nullable=False),
        sa.Column("refused_facts", sa.BigInteger(), nullable=False),
        sa.Column("turns", sa.BigInteger(), nullable=False),
        sa.Column("answers", sa.BigInteger(), nullable=False),
        sa.Column("interruptions", sa.BigInteger(), nullable=False),
        sa.Column("voided", sa.BigInteger(), nullable=False),
        sa.Column("client_errors", sa.BigInteger(), nullable=False),
        sa.Column("tool_calls", sa.BigInteger(), nullable=False),
        sa.Column("caller_words", sa.BigInteger(), nullable=False),
        sa.Column("heard_words", sa.BigInteger(), nullable=False),
        sa.Column("unheard_words", sa.BigInteger(), nullable=False),
        sa.Column("heard_ms", sa.BigInteger(), nullable=False),
        sa.Column("latency_p50_ms", sa.Double()),
        sa.Column("latency_p95_ms", sa.Double()),
        sa.Column("redacted", sa.Boolean(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("call_id", name="pk_calls"),
    )
    op.create_index("ix_calls_began_ms", "calls", ["began_ms"])


def _turns() -> None:
    op.create_table(
        "turns",
        sa.Column("call_id", sa.String(200), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("turn", sa.BigInteger()),
        sa.Column("generation", sa.BigInteger()),
        sa.Column("by_model", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("interrupted", sa.Boolean(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Double()),
        sa.Column("speech_ms", sa.Double()),
        sa.Column("heard", sa.Text(), nullable=False),
        sa.Column("unheard", sa.Text(), nullable=False),
        sa.Column("said_words", sa.BigInteger(), nullable=False),
        sa.Column("heard_words", sa.BigInteger(), nullable=False),
        sa.Column("unheard_words", sa.BigInteger(), nullable=False),
        sa.Column("heard_ms", sa.Double(), nullable=False),
        sa.Column("endpoint_ms", sa.Double()),
        sa.Column("transcript_ms", sa.Double()),
        sa.Column("first_segment_ms", sa.Double()),
        sa.Column("first_audio_ms", sa.Double()),
        sa.Column("total_ms", sa.Double()),
        sa.Column("stt", sa.String(40), nullable=False),
        sa.Column("llm", sa.String(40), nullable=False),
        sa.Column("tts", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("call_id", "number", name="pk_turns"),
    )


def _tool_calls() -> None:
    op.create_table(
        "tool_calls",
        sa.Column("call_id", sa.String(200), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("began_ms", sa.BigInteger(), nullable=False),
        sa.Column("took_ms", sa.Double()),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("result", sa.Text()),
        sa.PrimaryKeyConstraint("call_id", "number", name="pk_tool_calls"),
    )


def _edges() -> None:
    op.create_table(
        "call_edges",
        sa.Column("call_id", sa.String(200), nullable=False),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("call_id", name="pk_call_edges"),
    )
    op.create_table(
        "edges",
        sa.Column("hour_ms", sa.BigInteger(), nullable=False),
        sa.Column("vantum", sa.String(40), nullable=False),
        sa.Column("policy", sa.String(16), nullable=False),
        sa.Column("machine", sa.String(40), nullable=False),
        sa.Column("source", sa.String(80), nullable=False),
        sa.Column("event", sa.String(80), nullable=False),
        sa.Column("target", sa.String(80), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("dwell_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "hour_ms", "vantum", "policy", "machine", "source", "event", "target", "bucket", name="pk_edges"
        ),
        sqlite_with_rowid=False,
    )
