"""The tables, as the newest migration leaves them (a test compares). Times are in ms since the epoch."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

REVISION = "0003"
"""The newest migration in `migrations/versions/`."""

REVISION_TABLE = "vantum_revision"
"""The table that says which migration a database has had. Other programs have an `alembic_version`, too."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", String(64), primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("pepper", String(16), nullable=False),
    Column("name", String(200), nullable=False),
    Column("shown", String(16), nullable=False),
    Column("scopes", String(200), nullable=False),
    Column("calls_at_once", BigInteger),
    Column("calls_per_minute", BigInteger),
    Column("tokens_per_minute", BigInteger),
    Column("dials_per_minute", BigInteger),
    Column("micros_per_day", BigInteger),
    Column("created_ms", BigInteger, nullable=False),
    Column("last_used_ms", BigInteger),
    Column("revoked_ms", BigInteger),
)
"""Keys for programs. `digest` is the keyed hash of the secret, `pepper` the mark of the pepper under which it
was hashed, `scopes` their names divided by blanks. Rows are never deleted: it stays known whose calls were
whose."""

used_tokens = Table(
    "used_tokens",
    metadata,
    Column("token_id", String(200), primary_key=True),
    Column("expires_ms", BigInteger, nullable=False),
    Column("uses", BigInteger, nullable=False),
    Index(None, "expires_ms"),
)
"""How often client tokens were used. Rows are deleted once the token has expired."""

# --- what remains of calls: made of their journals, and made anew by `vantum index` ------------------------

calls = Table(
    "calls",
    metadata,
    Column("call_id", String(200), primary_key=True),
    Column("began_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger, nullable=False),
    Column("kind", String(40), nullable=False),
    Column("vantum", String(40), nullable=False),
    Column("policy", String(16), nullable=False),
    Column("language", String(40), nullable=False),
    Column("stt", String(200), nullable=False),
    Column("llm", String(200), nullable=False),
    Column("tts", String(200), nullable=False),
    Column("end_reason", String(40)),
    Column("complete", Boolean, nullable=False),
    Column("lost_records", BigInteger, nullable=False),
    Column("error", Text),
    Column("facts", BigInteger, nullable=False),
    Column("refused_facts", BigInteger, nullable=False),
    Column("turns", BigInteger, nullable=False),
    Column("answers", BigInteger, nullable=False),
    Column("interruptions", BigInteger, nullable=False),
    Column("voided", BigInteger, nullable=False),
    Column("client_errors", BigInteger, nullable=False),
    Column("tool_calls", BigInteger, nullable=False),
    Column("caller_words", BigInteger, nullable=False),
    Column("heard_words", BigInteger, nullable=False),
    Column("unheard_words", BigInteger, nullable=False),
    Column("heard_ms", BigInteger, nullable=False),
    Column("latency_p50_ms", Double),
    Column("latency_p95_ms", Double),
    Column("redacted", Boolean, nullable=False),
    Column("about", Text, nullable=False),
    Column("cost_micros", BigInteger),
    Column("unheard_micros", BigInteger),
    Column("unpriced", BigInteger, nullable=False, server_default="0"),
    Index(None, "began_ms"),
)
"""A row for each call. `stt`, `llm` and `tts` are the names of the providers in order of preference, divided
by commas; `policy` is a hash of all settings of the conversation. `complete` says whether the journal has its
end; `end_reason` is null if it does not say why the call ended. `error` is what a machine raised. `about` is
what the token of the call said of it, as JSON. Costs are in millionths of a dollar; `unpriced` is the number
of its rows in `usage` that have no price."""

turns = Table(
    "turns",
    metadata,
    Column("call_id", String(200), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("turn", BigInteger),
    Column("generation", BigInteger),
    Column("by_model", Boolean, nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("interrupted", Boolean, nullable=False),
    Column("said", Text, nullable=False),
    Column("confidence", Double),
    Column("speech_ms", Double),
    Column("heard", Text, nullable=False),
    Column("unheard", Text, nullable=False),
    Column("said_words", BigInteger, nullable=False),
    Column("heard_words", BigInteger, nullable=False),
    Column("unheard_words", BigInteger, nullable=False),
    Column("heard_ms", Double, nullable=False),
    Column("endpoint_ms", Double),
    Column("transcript_ms", Double),
    Column("first_segment_ms", Double),
    Column("first_audio_ms", Double),
    Column("total_ms", Double),
    Column("stt", String(40), nullable=False),
    Column("llm", String(40), nullable=False),
    Column("tts", String(40), nullable=False),
)
"""What was said in a call, in order: the caller's words (`said`, of turn `turn`) and the answer to them
(number `generation`), as far as it was heard. Either may be missing. `stt`, `llm` and `tts` are the providers
of that time. The latencies are those of `TurnLatency` (`machines/effects.py`)."""

tool_calls = Table(
    "tool_calls",
    metadata,
    Column("call_id", String(200), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("began_ms", BigInteger, nullable=False),
    Column("took_ms", Double),
    Column("name", String(100), nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("arguments", Text, nullable=False),
    Column("result", Text),
)
"""Tool calls that were begun."""

usage = Table(
    "usage",
    metadata,
    Column("call_id", String(200), primary_key=True),
    Column("role", String(10), primary_key=True),
    Column("vendor", String(100), primary_key=True),
    Column("model", String(100), primary_key=True),
    Column("unit", String(40), primary_key=True),
    Column("amount", Double, nullable=False),
    Column("unheard", Double, nullable=False),
    Column("estimated", Double, nullable=False),
    Column("cost_micros", BigInteger),
    Column("unheard_micros", BigInteger),
    Column("price", String(100), nullable=False),
)
"""What a call was used for, by product and unit. `unheard` is the part of it that was for nobody, `estimated`
the part that the vendor has not said; `price` names the list and its date."""

call_edges = Table(
    "call_edges",
    metadata,
    Column("call_id", String(200), primary_key=True),
    Column("packed", LargeBinary, nullable=False),
)
"""What each call has added to `edges`, so that a call that is put again is not added twice."""

edges = Table(
    "edges",
    metadata,
    Column("hour_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("vantum", String(40), primary_key=True),
    Column("policy", String(16), primary_key=True),
    Column("machine", String(40), primary_key=True),
    Column("source", String(80), primary_key=True),
    Column("event", String(80), primary_key=True),
    Column("target", String(80), primary_key=True),
    Column("bucket", BigInteger, primary_key=True, autoincrement=False),
    Column("count", BigInteger, nullable=False),
    Column("dwell_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""How often each transition was taken in an hour, over all calls, by how long the machine had been in its
source (`bucket`, see `orchestrator/calls/edges.py`). Rows stay when calls are erased: nobody is in them."""
