"""Settings of limits: how much one address, one key and one telephone number may take."""

from __future__ import annotations

from pydantic import BaseModel, Field

from orchestrator.settings.types import DialPrefixes


class Limiting(BaseModel):
    """How often something may be done, and what it may cost. Keys of their own limits have those."""

    connections_per_minute_per_address: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Connections in a minute from one address, a quarter of them at once; by default 3000,"
        " or, from this machine or network, where a proxy may be, any number",
    )
    failed_logins_per_address: int = Field(
        default=10,
        ge=1,
        le=1_000_000,
        description="Wrong keys and tokens from one address, after which it must wait: a minute, and twice as"
        " long after each further one",
    )
    max_calls_per_key: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Calls at once with one key; unset: no bound of its own",
    )
    calls_per_minute_per_key: int = Field(
        default=600, ge=1, le=1_000_000, description="Calls that begin in a minute with one key"
    )
    tokens_per_minute_per_key: int = Field(
        default=600, ge=1, le=1_000_000, description="Client tokens that are made in a minute with one key"
    )
    dials_per_minute_per_key: int = Field(
        default=60, ge=1, le=1_000_000, description="Telephone calls that are made in a minute with one key"
    )
    dials_per_hour_per_number: int = Field(
        default=20, ge=1, le=1_000_000, description="Telephone calls in an hour to one number"
    )
    daily_budget_per_key: float | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="US dollars that the calls of one key may cost in a day of UTC, by an estimate; also"
        " those of all who call by telephone, together; unset: any",
    )
    call_price_per_minute: float = Field(
        default=0.06,
        ge=0,
        le=100,
        description="US dollars that a minute of a call is reckoned to cost, for DAILY_BUDGET_PER_KEY",
    )
    budget_goodbye: str = Field(
        default="I have to end this call now. Goodbye.",
        description="Said to running calls when that money is used up; empty: they are hung up on",
    )
    dial_allow: DialPrefixes = Field(
        default=(),
        description="Numbers that may be called, and calls transferred to, by how they begin, such as"
        " +44,+1212; +: all; unset: those of the country of TWILIO_FROM_NUMBER. Numbers of premium rate and"
        " satellites only if a prefix names them, such as +1900",
    )
