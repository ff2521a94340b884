"""What is allowed, but will probably not work as it is set: said at the start and by `vantum doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestrator.settings.settings import Settings

CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
"""Files that Docker and Podman put into a container."""


def advice(settings: Settings) -> tuple[str, ...]:
    """One sentence for each thing, with what to do."""
    return (*_container(settings), *_telephone(settings))


def _container(settings: Settings) -> Iterator[str]:
    loopback = settings.host in ("localhost", "::1") or settings.host.startswith("127.")
    if loopback and any(mark.exists() for mark in CONTAINER_MARKS):
        yield (
            f"VANTUM_HOST is {settings.host!r}, which can be reached inside this container only: "
            "set it to 0.0.0.0 if its port is published, and API_TOKEN, since others can reach it then."
        )


def _telephone(settings: Settings) -> Iterator[str]:
    url = settings.twilio_public_url
    if settings.twilio_from_number is not None and url is None:
        yield (
            f"TWILIO_FROM_NUMBER is {settings.twilio_from_number!r}, but TWILIO_PUBLIC_URL is not set: "
            "no call can be made without it."
        )
