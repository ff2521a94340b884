"""What is allowed, but will probably not work as it is set."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.settings import advice
from orchestrator.settings.settings import Settings

ACCOUNT = {"twilio_account_sid": "AC" + "0" * 32, "twilio_auth_token": "token"}


@pytest.fixture
def in_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advice, "CONTAINER_MARKS", (tmp_path,))


@pytest.fixture
def in_no_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advice, "CONTAINER_MARKS", (tmp_path / "none",))


@pytest.mark.usefixtures("in_a_container")
def test_a_loopback_address_in_a_container_is_told() -> None:
    assert advice.advice(Settings()) == (
        "VANTUM_HOST is 'localhost', which can be reached inside this container only: "
        "set it to 0.0.0.0 if its port is published, and API_TOKEN, since others can reach it then.",
    )
    assert advice.advice(Settings(host="0.0.0.0")) == ()


@pytest.mark.usefixtures("in_no_container")
def test_a_telephone_that_cannot_work_is_told() -> None:
    assert advice.advice(Settings()) == ()
    dials = Settings.model_validate({**ACCOUNT, "twilio_from_number": "+15005550006"})
    assert [each.partition(" ")[0] for each in advice.advice(dials)] == ["TWILIO_FROM_NUMBER"]
    assert advice.advice(dials.model_copy(update={"twilio_public_url": "https://vantum.example"})) == ()
