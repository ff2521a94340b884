"""Names of settings: with the prefix and in short, other programs' names, and misspelled ones."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.settings.names import stray_names
from orchestrator.settings.settings import Settings, SettingsError
from orchestrator.settings.sources import load_settings, setting_origins, source_doubts
from tests.orchestrator.settings.test_settings import complaint, nothing_configured

__all__ = ["nothing_configured"]

CONDA = "x86_64-conda-linux-gnu"


def test_every_setting_has_a_long_and_a_short_name() -> None:
    for name in Settings.model_fields:
        for written in (f"VANTUM_{name.upper()}", name.upper()):
            with pytest.MonkeyPatch.context() as environment:
                environment.setenv(written, "sqlite:///x.db" if name == "database_url" else "127.0.0.1")
                assert setting_origins() == {name: "the environment"}
                assert source_doubts() == ()


def test_the_long_name_wins_within_a_source_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("VANTUM_LOCAL_THREADS=2\n\nLOCAL_THREADS=3\nVANTUM_PORT=4\n")
    monkeypatch.setenv("PORT", "5")
    settings = load_settings()
    assert (settings.local_threads, settings.port) == (2, 5)
    assert source_doubts() == (
        "VANTUM_LOCAL_THREADS (from .env, line 1) is '2'; "
        "LOCAL_THREADS, which says something else, is left out.",
    )


def test_a_bad_value_is_told_by_the_name_that_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("# mine\n\nexport VANTUM_PORT='http'\n")
    told = "VANTUM_PORT (from .env, line 3) is 'http', but must be a whole number from 0 to 65535."
    assert complaint() == told
    monkeypatch.setenv("VANTUM_PORT", "x")
    assert complaint().startswith("VANTUM_PORT (from the environment) is 'x', but must be")


def test_kubernetes_variables_for_a_service_of_our_name_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "VANTUM_PORT": "tcp://10.0.0.1:3001",
        "VANTUM_SERVICE_HOST": "10.0.0.1",
        "VANTUM_SERVICE_PORT": "3001",
        "VANTUM_SERVICE_PORT_HTTP": "3001",
        "VANTUM_PORT_3001_TCP": "tcp://10.0.0.1:3001",
        "VANTUM_PORT_3001_TCP_PROTO": "tcp",
        "VANTUM_PORT_3001_TCP_PORT": "3001",
        "VANTUM_PORT_3001_TCP_ADDR": "10.0.0.1",
        "VANTUM_PAGE_SERVICE_HOST": "10.0.0.2",
        "VANTUM_PAGE_PORT": "tcp://10.0.0.2:80",
    }.items():
        monkeypatch.setenv(name, value)
    assert (load_settings(), source_doubts()) == (Settings(), ())
    monkeypatch.setenv("PORT", "8080")
    assert load_settings().port == 8080


def test_the_short_host_counts_only_if_it_can_be_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("0.0.0.0", "::1", "127.0.0.2", "localhost"):
        monkeypatch.setenv("HOST", host)
        assert (load_settings().host, source_doubts()) == (host, ())
    for host in (CONDA, "mymac.local"):
        monkeypatch.setenv("HOST", host)
        assert load_settings().host == "localhost"
        assert source_doubts() == (
            f"HOST (from the environment) is '{host}', which is not an IP address and is left out; "
            "if it is meant for Vantum, call it VANTUM_HOST.",
        )
    monkeypatch.setenv("VANTUM_HOST", "mymac.local")
    monkeypatch.setenv("HOST", CONDA)
    assert (load_settings().host, source_doubts()) == ("mymac.local", ())


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("VAD_SILENCE_TRESHOLD_MS", "VAD_SILENCE_THRESHOLD_MS"),
        ("VANTUM_VAD_SILENCE_TRESHOLD_MS", "VAD_SILENCE_THRESHOLD_MS"),
        ("STT_PROVIDER", "STT_PROVIDERS"),
        ("OPENAI_ORGANISATION", "OPENAI_ORGANIZATION"),
        ("DEEPGRAM_KEY_API", "DEEPGRAM_API_KEY"),
        ("GREETNIG", "GREETING"),
        ("VANTUM_GREETINGS", "GREETING"),
        ("vantum_greetings", "GREETING"),
    ],
)
@pytest.mark.parametrize("where", ["environment", "dotenv"])
def test_a_misspelled_name_is_warned_about_with_the_nearest(
    name: str,
    nearest: str,
    where: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if where == "environment":
        monkeypatch.setenv(name, "x")
    else:
        (tmp_path / ".env").write_text(f"PORT=1\n{name}=x\n")
    with caplog.at_level(logging.WARNING, "orchestrator"):
        load_settings()
    place = "the environment" if where == "environment" else ".env, line 2"
    told = f"{name} (from {place}) is not a setting and is left out; the nearest is {nearest}."
    assert source_doubts() == (told,)
    assert caplog.messages == [told]


def test_a_long_name_that_is_near_nothing_is_warned_about_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VANTUM_XYZZY", "x")
    assert source_doubts() == ("VANTUM_XYZZY (from the environment) is not a setting and is left out.",)


COMMON = """PATH HOME HOSTNAME LOGNAME PORTS PORTAL POSTGRES_USER LOG_PATH LANGUAGE TOOLSET OPENAI_BASE_URL
OPENAI_API_BASE ANTHROPIC_API_KEY DEEPGRAM_URL TWILIO_API_KEY TWILIO_API_SECRET LLM_NAME CONDA_PREFIX
HTTP_PROXY PYTHONPATH KUBERNETES_PORT KUBERNETES_SERVICE_HOST DEEPGRAM_SERVICE_HOST SHELL TERM"""


def test_names_of_other_programs_are_none_of_our_business() -> None:
    assert stray_names(COMMON.split(), Settings.model_fields) == {}


@given(name=st.sampled_from(sorted(Settings.model_fields)), data=st.data())
def test_one_wrong_letter_in_a_long_name_is_always_noticed(name: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(name) - 1))
    wrong = f"VANTUM_{name[:place]}{name[place + 1 :]}".upper()
    if wrong.removeprefix("VANTUM_").lower() not in Settings.model_fields:
        assert list(stray_names([wrong], Settings.model_fields)) == [wrong]


def test_a_broken_line_is_told_with_its_file_and_number(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        'PORT=1\n\nthis is prose\nGREETING="unbalanced\n# fine\nBARGE_IN\nLOCAL_THREADS=2\n'
    )
    settings = load_settings()
    assert (settings.port, settings.local_threads, settings.greeting) == (1, 2, "")
    assert source_doubts() == tuple(
        f".env, line {number}, is not NAME=value and is left out." for number in (3, 4, 6)
    )


def test_values_of_a_dotenv_file_are_taken_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THIS", "replaced")
    text = "\ufeffDEEPGRAM_API_KEY=pa$$word${THIS}\r\nCARTESIA_API_KEY=abc#def\r\nPORT=5 # mine\r\n"
    (tmp_path / ".env").write_bytes(text.encode())
    settings = load_settings()
    assert settings.deepgram_api_key is not None
    assert settings.cartesia_api_key is not None
    assert settings.deepgram_api_key.get_secret_value() == "pa$$word${THIS}"
    assert settings.cartesia_api_key.get_secret_value() == "abc#def"
    assert (settings.port, source_doubts()) == (5, ())


def test_secrets_do_not_appear_in_what_is_odd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VANTUM_LLM_API_KEY", "hunter2")
    monkeypatch.setenv("LLM_API_KEY", "hunter3")
    monkeypatch.setenv("LLM_API_KYE", "hunter4")
    assert len(source_doubts()) == 2
    assert "hunter" not in "".join(source_doubts())


def test_a_program_is_told_in_one_sentence_too() -> None:
    for wrong, told in (
        ({"port": "x"}, "PORT is 'x', but must be a whole number from 0 to 65535."),
        ({"prot": 3}, "prot is not a setting; the nearest is port."),
        ({"llm_model": "gpt"}, "LLM_MODEL is 'gpt', but nothing says where to find it: "),
        ({"llm_api_key": 5}, "LLM_API_KEY is (a secret), but must be a key of printable ASCII characters."),
    ):
        with pytest.raises(SettingsError) as caught:
            Settings(**wrong)
        assert str(caught.value).startswith(told)
