"""Where the pepper is: the setting, or a file that is made at the first key."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from orchestrator.access.keys import Pepper
from orchestrator.access.pepper import FILE_NAME, PepperError, kept_pepper, read_pepper
from orchestrator.settings.settings import Settings, SettingsError

PHRASE = "a phrase of thirty-two characters"


def test_without_a_key_there_is_no_pepper(tmp_path: Path) -> None:
    assert read_pepper(Settings(data_dir=tmp_path / "data")) is None
    assert list(tmp_path.iterdir()) == []


def test_a_pepper_is_made_once_and_for_its_user_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    made = kept_pepper(settings)
    assert kept_pepper(settings) == read_pepper(settings) == made
    assert [file.name for file in settings.data_dir.iterdir()] == [FILE_NAME]
    assert (settings.data_dir / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert settings.data_dir.stat().st_mode & 0o777 == 0o700


def test_processes_that_make_one_at_once_agree(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with ThreadPoolExecutor(8) as threads:
        assert len({each.mark for each in threads.map(kept_pepper, [settings] * 8)}) == 1


def test_what_the_file_holds_can_be_set_elsewhere(tmp_path: Path) -> None:
    made = kept_pepper(Settings(data_dir=tmp_path))
    text = (tmp_path / FILE_NAME).read_text()
    elsewhere = Settings(data_dir=tmp_path / "none", key_pepper=SecretStr(text))
    assert kept_pepper(elsewhere) == made
    assert not (tmp_path / "none").exists()


def test_the_setting_wins(tmp_path: Path) -> None:
    kept_pepper(Settings(data_dir=tmp_path))
    assert read_pepper(Settings(data_dir=tmp_path, key_pepper=SecretStr(PHRASE))) == Pepper.of(PHRASE)


def test_a_pepper_that_can_be_guessed_is_refused() -> None:
    sentence = "KEY_PEPPER is (a secret), but must be a secret of 32 or more printable ASCII characters."
    with pytest.raises(SettingsError) as raised:
        Settings(key_pepper=SecretStr("short"))
    assert str(raised.value) == sentence


def test_a_directory_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(PepperError, match=r"^DATA_DIR is '.*data', but key-pepper, .*: Not a directory\.$"):
        kept_pepper(Settings(data_dir=tmp_path / "data"))
