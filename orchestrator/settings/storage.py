"""Settings of what a server keeps: its directory, its database, what remains of calls, the pepper of keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr

from adapters.storage.location import Location, LocationError, location_of
from orchestrator.settings.types import Lowercase, UserPath, header_value

LEAST_PEPPER = 32
"""Characters: nobody can try all of them."""


def _data_directory() -> Path:
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "vantum"


def _database_address(value: SecretStr) -> SecretStr:
    try:
        location_of(value.get_secret_value())
    except LocationError as error:
        raise ValueError(str(error)) from None
    return value


def _long_enough(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < LEAST_PEPPER:
        raise ValueError("too short")
    return value


DatabaseAddress = Annotated[
    SecretStr, AfterValidator(_database_address), Field(json_schema_extra={"format": "database"})
]
"""Secret, since it may hold a password."""
PepperText = Annotated[SecretStr, AfterValidator(_long_enough), Field(json_schema_extra={"format": "pepper"})]


class Storing(BaseModel):
    """What is kept, and where."""

    data_dir: UserPath = Field(
        default_factory=_data_directory, description="Directory of what this server keeps, for its user only"
    )
    keep_calls: bool = Field(
        default=True,
        description="Keep a journal of each call, and rows of it in the database; if not, nothing is kept",
    )
    journal_dir: UserPath | None = Field(
        default=None,
        description="Directory for a journal of each call, for `vantum replay`; "
        "by default journals in DATA_DIR",
    )
    journal_transcripts: Annotated[Literal["full", "redacted"], Lowercase] = Field(
        default="full",
        description="What was said, in journals and rows: as it was, or made unreadable",
    )
    prices_file: UserPath | None = Field(
        default=None, description="TOML file with your own prices, which come before list prices"
    )
    database_url: DatabaseAddress | None = Field(
        default=None,
        description="The database: postgresql://USER:PASSWORD@HOST/NAME (needs the extra `postgres`), or "
        "sqlite:///PATH; by default vantum.db in DATA_DIR, made when something is to be kept",
    )
    key_pepper: Annotated[PepperText | None, BeforeValidator(header_value)] = Field(
        default=None,
        description="Secret under which the secrets of API keys are hashed: the same for all servers that "
        "shall know the same keys; by default one that is kept in DATA_DIR",
    )

    @property
    def journals_at(self) -> Path:
        """Where `vantum serve` keeps journals, if it does."""
        return self.journal_dir or self.data_dir / "journals"

    @property
    def asked_journals(self) -> Path | None:
        """Where journals are kept because somebody said so; None: nobody did, or nothing is to be kept."""
        return self.journal_dir if self.keep_calls else None

    @property
    def database(self) -> Location:
        """Where the database is."""
        if self.database_url is None:
            return Location(self.data_dir / "vantum.db")
        return location_of(self.database_url.get_secret_value())
