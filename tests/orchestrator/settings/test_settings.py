"""Settings: their sources and precedence, and the errors for bad ones."""

from __future__ import annotations

import re
from pathlib import Path

import pydantic
import pytest

from adapters import openai
from adapters.cartesia.stream import CartesiaSettings
from adapters.deepgram.nova import NovaSettings
from machines.facts import TurnMode
from orchestrator.settings.settings import Settings, SettingsError
from orchestrator.settings.sources import load_settings, setting_origins


@pytest.fixture(autouse=True)
def nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and an environment without any setting."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VANTUM_CONFIG", raising=False)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"VANTUM_{name.upper()}", raising=False)
    return tmp_path


def complaint() -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings()
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", [name.upper() for name in Settings.model_fields])
def test_every_setting_is_in_the_documents(name: str) -> None:
    documents = (Path(__file__).resolve().parents[3] / "docs").glob("*.md")
    assert any(f"`{name}`" in each.read_text(encoding="utf-8") for each in documents)


def documented_defaults() -> list[tuple[str, str]]:
    """Of the documents' tables of settings: each name with its default, where there are as many of both."""
    rows: list[tuple[str, str]] = []
    for document in (Path(__file__).resolve().parents[3] / "docs").glob("*.md"):
        for line in document.read_text(encoding="utf-8").splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            names = re.findall(r"`([A-Z][A-Z0-9_]+)`", cells[0])
            if (
                len(cells) != 3
                or not names
                or not {name.lower() for name in names} <= set(Settings.model_fields)
            ):
                continue
            defaults = [each.strip("`") for each in cells[1].split(", ")]
            if len(defaults) == 1:
                defaults *= len(names)
            if len(defaults) == len(names):
                rows += zip(names, defaults, strict=True)
    return rows


def test_the_defaults_in_the_documents_are_the_declared_ones() -> None:
    compared = 0
    for name, told in documented_defaults():
        default = Settings.model_fields[name.lower()].default
        if isinstance(default, bool):
            assert told == str(default).lower(), name
        elif isinstance(default, int | float):
            unit = {"min": 60_000, "h": 3_600_000}
            number, _, of = told.partition(" ")
            assert float(number) * unit.get(of, 1) == default, name
        elif isinstance(default, str) and told and " " not in told and not told.isdigit():
            assert told.strip('"') in (default, "Kyle"), name
        else:
            continue
        compared += 1
    assert compared > 50, "the tables have another form now"


def test_the_defaults_are_the_reference_servers() -> None:
    settings = load_settings()
    assert settings == load_settings()
    assert (settings.port, settings.max_sessions) == (3001, 1000)
    assert (settings.session_idle_timeout_ms, settings.session_max_duration_ms) == (1_800_000, 7_200_000)
    assert (settings.llm_temperature, settings.llm_max_tokens, settings.llm_request_timeout) == (
        0.7,
        500,
        30_000,
    )
    assert (settings.llm_max_messages, settings.llm_max_queue_size) == (50, 10)
    assert (settings.stt_model, settings.stt_language) == ("nova-2", "en-US")
    assert settings.turn_mode is TurnMode.AUTOMATIC
    assert settings.llm_endpoint is None


def test_environment_wins_over_dotenv_and_dotenv_over_toml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vantum.toml").write_text('port = 1\nhost = "toml"\nlocal_threads = 2\n')
    (tmp_path / ".env").write_text("PORT=2\nHOST=dotenv\nSOMEBODY_ELSES=kept out\n")
    monkeypatch.setenv("PORT", "3")
    settings = load_settings()
    assert (settings.port, settings.host, settings.local_threads) == (3, "dotenv", 2)
    assert setting_origins() == {
        "port": "the environment",
        "host": ".env, line 2",
        "local_threads": "vantum.toml",
    }


def test_the_command_line_wins_over_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "3")
    assert load_settings(port=4, host=None).port == 4
    assert load_settings(port=4, host=None).host == "localhost"


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_API_KEY", "")
    monkeypatch.setenv("PORT", "")
    assert load_settings() == Settings()


def test_the_toml_file_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.toml"
    other.write_text("port = 77\n")
    monkeypatch.setenv("VANTUM_CONFIG", str(other))
    assert load_settings().port == 77


def test_a_named_toml_file_that_is_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VANTUM_CONFIG", "nowhere.toml")
    assert complaint() == "VANTUM_CONFIG is 'nowhere.toml', but must name a TOML file that exists."


def test_a_broken_toml_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "vantum.toml").write_text("port = = 1\n")
    assert complaint().startswith("vantum.toml must be a TOML file")


def test_so_is_one_that_is_too_deep(tmp_path: Path) -> None:
    (tmp_path / "vantum.toml").write_text(f"port = {'[' * 100_000}\n")
    assert complaint().startswith("vantum.toml must be a TOML file")


def test_an_unreadable_dotenv_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"PORT=\xff\xfe\n")
    assert complaint().startswith(".env")


def test_an_unknown_key_in_the_toml_file_is_an_error_with_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "vantum.toml").write_text('llm_modle = "x"\n')
    assert complaint() == "llm_modle (from vantum.toml) is not a setting; the nearest is llm_model."


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (
            "PORT",
            "65536",
            "PORT (from the environment) is '65536', but must be a whole number from 0 to 65535.",
        ),
        (
            "PORT",
            "http",
            "PORT (from the environment) is 'http', but must be a whole number from 0 to 65535.",
        ),
        (
            "LLM_TEMPERATURE",
            "nan",
            "LLM_TEMPERATURE (from the environment) is 'nan', but must be a number from 0 to 2.",
        ),
        (
            "LLM_TOP_P",
            "0",
            "LLM_TOP_P (from the environment) is '0', but must be a number above 0, up to 1.",
        ),
        (
            "TURN_MODE",
            "both",
            "TURN_MODE (from the environment) is 'both', but must be one of manual, automatic.",
        ),
        (
            "LOG_LEVEL",
            "loud",
            "LOG_LEVEL (from the environment) is 'loud', but must be one of debug, info, warning, error.",
        ),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(
    name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert complaint() == expected


def test_several_bad_values_are_reported_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("LOCAL_THREADS", "0")
    text = complaint()
    assert "PORT" in text
    assert "LOCAL_THREADS" in text


def test_a_bad_secret_and_a_password_in_an_address_are_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vantum.toml").write_text("llm_api_key = 123456789\n")
    monkeypatch.setenv("LLM_BASE_URL", "ftp://me:hunter2@example.org")
    text = complaint()
    assert "123456789" not in text
    assert "hunter2" not in text
    assert "LLM_API_KEY" in text
    assert "http://" in text


def test_keys_do_not_appear_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_API_KEY", "very-secret")
    assert "very-secret" not in repr(load_settings())


def test_words_for_choices_may_be_written_in_capitals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "WARN")
    monkeypatch.setenv("TURN_MODE", "Manual")
    settings = load_settings()
    assert (settings.log_level, settings.turn_mode) == ("warning", TurnMode.MANUAL)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        Settings().port = 1


def test_paths_may_start_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCAL_LLM_PATH", "~/model.gguf")
    assert load_settings().local_llm_path == tmp_path / "model.gguf"


def test_models_are_kept_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert load_settings().local_models_dir == tmp_path / "vantum" / "models"


def test_an_address_without_a_model_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_BASE_URL", "http://localhost:11434/v1")
    assert complaint().startswith("LLM_BASE_URL is 'http://localhost:11434/v1', but LLM_MODEL is not set")


def test_a_model_without_an_address_or_a_key_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_MODEL", "gpt-5")
    assert complaint().startswith("LLM_MODEL is 'gpt-5', but nothing says where to find it")


def test_a_key_alone_chooses_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    endpoint = load_settings().llm_endpoint
    assert endpoint is not None
    assert (endpoint.base_url, endpoint.model) == (openai.BASE_URL, openai.DEFAULT_MODEL)
    assert endpoint.api_key is not None
    assert endpoint.api_key.get_secret_value() == "key"


def test_openais_key_is_not_sent_to_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("LLM_BASE_URL", "http://localhost:11434/v1/")
    monkeypatch.setenv("LLM_MODEL", "llama")
    endpoint = load_settings().llm_endpoint
    assert endpoint is not None
    assert (endpoint.base_url, endpoint.model, endpoint.api_key) == (
        "http://localhost:11434/v1",
        "llama",
        None,
    )
    monkeypatch.setenv("LLM_BASE_URL", openai.BASE_URL)
    endpoint = load_settings().llm_endpoint
    assert endpoint is not None
    assert endpoint.api_key is not None


def test_openais_organization_is_sent_to_openai_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("OPENAI_ORGANIZATION", "org-1")
    endpoint = load_settings().llm_endpoint
    assert endpoint is not None
    assert endpoint.organization == "org-1"
    monkeypatch.setenv("LLM_BASE_URL", "http://localhost:11434/v1")
    monkeypatch.setenv("LLM_MODEL", "llama")
    endpoint = load_settings().llm_endpoint
    assert endpoint is not None
    assert endpoint.organization is None


# --- lists of providers -----------------------------------------------------------------------------------


def chosen() -> list[tuple[str, ...]]:
    return [choice.names for choice in load_settings().choices]


def test_a_key_chooses_its_vendor_and_no_key_the_embedded_model(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen() == [("local",), ("local",), ("local",)]
    monkeypatch.setenv("DEEPGRAM_API_KEY", "key")
    assert chosen() == [("deepgram",), ("local",), ("local",)]
    monkeypatch.setenv("CARTESIA_API_KEY", "key")
    assert chosen() == [("deepgram",), ("local",), ("cartesia",)]
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    assert chosen() == [("deepgram",), ("openai",), ("cartesia",)]


def test_the_embedded_model_can_be_chosen_though_a_key_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEEPGRAM_API_KEY", "OPENAI_API_KEY", "CARTESIA_API_KEY"):
        monkeypatch.setenv(name, "key")
    for name in ("STT_PROVIDERS", "LLM_PROVIDERS", "TTS_PROVIDERS"):
        monkeypatch.setenv(name, "Local")
    assert chosen() == [("local",), ("local",), ("local",)]
    assert load_settings().embedded


def test_providers_are_kept_in_the_order_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEEPGRAM_API_KEY", "OPENAI_API_KEY", "CARTESIA_API_KEY"):
        monkeypatch.setenv(name, "key")
    monkeypatch.setenv("STT_PROVIDERS", "flux, Deepgram,local")
    monkeypatch.setenv("LLM_PROVIDERS", "openai,local")
    monkeypatch.setenv("TTS_PROVIDERS", "cartesia,local")
    assert chosen() == [("flux", "deepgram", "local"), ("openai", "local"), ("cartesia", "local")]
    assert not load_settings().embedded


def test_a_toml_file_may_list_providers_or_write_them_in_one_text(tmp_path: Path) -> None:
    toml = tmp_path / "vantum.toml"
    toml.write_text('deepgram_api_key = "key"\nstt_providers = ["flux", "local"]\n')
    assert chosen()[0] == ("flux", "local")
    toml.write_text('deepgram_api_key = "key"\nstt_providers = "flux,local"\n')
    assert chosen()[0] == ("flux", "local")
    toml.write_text('stt_providers = ["local", 3]\n')
    assert complaint().startswith("STT_PROVIDERS (from vantum.toml) is 'local,3', but must be auto, or one")


def test_a_dotenv_file_may_name_providers(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DEEPGRAM_API_KEY=key\nSTT_PROVIDERS=deepgram,local\n")
    assert chosen()[0] == ("deepgram", "local")


def test_a_provider_without_its_key_is_left_out_as_long_as_another_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STT_PROVIDERS", "deepgram,flux,local")
    monkeypatch.setenv("LLM_PROVIDERS", "openai,local")
    monkeypatch.setenv("TTS_PROVIDERS", "cartesia,local")
    assert chosen() == [("local",), ("local",), ("local",)]
    stt, llm, tts = load_settings().choices
    assert stt.lacking == {"deepgram": "DEEPGRAM_API_KEY", "flux": "DEEPGRAM_API_KEY"}
    assert (llm.lacking, tts.lacking) == ({"openai": "OPENAI_API_KEY"}, {"cartesia": "CARTESIA_API_KEY"})


@pytest.mark.parametrize(
    ("setting", "value", "key"),
    [
        ("STT_PROVIDERS", "deepgram", "DEEPGRAM_API_KEY"),
        ("STT_PROVIDERS", "deepgram,flux", "DEEPGRAM_API_KEY"),
        ("LLM_PROVIDERS", "openai", "OPENAI_API_KEY"),
        ("TTS_PROVIDERS", "cartesia", "CARTESIA_API_KEY"),
    ],
)
def test_a_role_left_without_a_provider_is_an_error_that_names_the_key(
    setting: str, value: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting, value)
    told = f"{setting} is {value!r}, but {key} is not set: set it, or add local to {setting}."
    assert complaint() == told
    monkeypatch.setenv(key, "")
    assert complaint() == told
    monkeypatch.setenv(key, "key")
    assert load_settings()


@pytest.mark.parametrize(
    ("name", "value", "known"),
    [
        ("STT_PROVIDERS", "google", "deepgram, flux, local"),
        ("STT_PROVIDERS", "deepgram,,local", "deepgram, flux, local"),
        ("STT_PROVIDERS", "auto,local", "deepgram, flux, local"),
        ("LLM_PROVIDERS", "local,local", "openai, local"),
        ("TTS_PROVIDERS", "cartesia,Cartesia", "cartesia, local"),
        ("TTS_PROVIDERS", "deepgram", "cartesia, local"),
    ],
)
def test_an_unknown_or_doubled_provider_is_an_error(
    name: str, value: str, known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert complaint() == (
        f"{name} (from the environment) is {value!r}, but must be auto, or one or more of {known}, "
        "each once, divided by commas."
    )


def test_flux_under_two_names_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "key")
    monkeypatch.setenv("STT_MODEL", "flux")
    monkeypatch.setenv("STT_PROVIDERS", "deepgram,flux")
    assert complaint().startswith("STT_PROVIDERS is 'deepgram,flux', but with STT_MODEL 'flux' deepgram and")
    monkeypatch.setenv("STT_PROVIDERS", "deepgram")
    assert chosen()[0] == ("deepgram",)


@pytest.mark.parametrize("old", ["stt_provider", "tts_provider"])
def test_the_former_settings_of_a_single_provider_are_errors_that_name_the_lists(
    tmp_path: Path, old: str
) -> None:
    (tmp_path / "vantum.toml").write_text(f'{old} = "local"\n')
    assert complaint() == f"{old} (from vantum.toml) is not a setting; the nearest is {old}s."


# --- values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (
            "DEEPGRAM_BASE_URL",
            "api.deepgram.com",
            "starts with wss://, ws://, https:// or http://, such as wss:",
        ),
        ("CARTESIA_BASE_URL", "ftp://example.org", "starts with wss://, ws://, https:// or http://"),
        ("CARTESIA_VOICE_ID", "Kyle", "must be the id of a voice of Cartesia's, such as "),
        ("STT_LANGUAGE", "English!", "must be a language's code, such as en-US, or multi."),
        ("OPENAI_ORGANIZATION", "org\n1", "must be text of printable ASCII characters."),
        ("LLM_MAX_CONTEXT_TOKENS", "99", "must be 0, or a whole number from 100 to 1000000."),
        ("LLM_MAX_CONTEXT_TOKENS", "many", "must be 0, or a whole number from 100 to 1000000."),
        ("LLM_MAX_QUEUE_SIZE", "0", "must be a whole number from 1 to 100."),
        ("LLM_FALLBACK_TIER3_THEN", "shout", "must be one of end, hand_over."),
        ("BARGE_IN", "perhaps", "must be true or false."),
        ("STT_MODEL", "flux-general-en", "must be 'flux', since the caller's language decides"),
    ],
)
def test_a_value_that_no_vendor_accepts_is_an_error(
    name: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    text = complaint()
    assert text.startswith(name)
    assert told in text


def test_the_settings_have_the_same_defaults_as_the_vendors_adapters() -> None:
    settings = load_settings()
    assert settings.stt_model == NovaSettings().model
    assert CartesiaSettings(settings.tts_model, settings.cartesia_voice_id) == CartesiaSettings()


def test_a_key_is_taken_without_the_newline_of_the_file_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "key\n")
    monkeypatch.setenv("CARTESIA_API_KEY", " \n")
    monkeypatch.setenv("OPENAI_API_KEY", " ")
    settings = load_settings()
    assert settings.deepgram_api_key is not None
    assert settings.deepgram_api_key.get_secret_value() == "key"
    assert settings.tts_choice.names == ("local",)
    assert settings.llm_endpoint is None


def test_a_key_that_cannot_be_in_a_header_is_an_error_that_does_not_show_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "hunter2\nHost: example.org")
    text = complaint()
    assert text.startswith("DEEPGRAM_API_KEY (from the environment) is (a secret), but must be a key")
    assert "hunter2" not in text


def test_keys_of_vendors_do_not_appear_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "very-secret")
    monkeypatch.setenv("CARTESIA_API_KEY", "very-secret")
    assert "very-secret" not in repr(load_settings())


def test_every_setting_says_what_it_is_and_belongs_to_one_group() -> None:
    assert all(field.description for field in Settings.model_fields.values())
    groups = [group for group in Settings.__bases__ if issubclass(group, pydantic.BaseModel)]
    grouped = [name for group in groups for name in group.model_fields]
    assert sorted(grouped) == sorted(Settings.model_fields)


SID = "AC" + "0" * 32


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"TWILIO_ACCOUNT_SID": "AC1"}, "'AC1', but must be the SID of an account of Twilio's"),
        ({"TWILIO_ACCOUNT_SID": SID}, f"'{SID}', but TWILIO_AUTH_TOKEN is not set: calls need both"),
        ({"TWILIO_AUTH_TOKEN": "hunter2"}, "(a secret), but TWILIO_ACCOUNT_SID is not set: calls need both"),
        ({"TWILIO_FROM_NUMBER": "555-1234"}, "'555-1234', but must be a telephone number in E.164 form"),
        ({"TWILIO_FROM_NUMBER": "+15005550006"}, "but TWILIO_ACCOUNT_SID is not set"),
        ({"TWILIO_PUBLIC_URL": "vantum.example"}, "must be an address that starts with http://"),
        ({"TWILIO_PUBLIC_URL": "http://vantum.example"}, "must begin with https://: Twilio opens media"),
        ({"TWILIO_RING_TIMEOUT_S": "1"}, "must be a whole number from 5 to 600"),
        ({"TWILIO_TRANSFER_TO": "the boss"}, "must be a telephone number in E.164 form"),
        ({"TWILIO_TRANSFER_TO": "+15005550006"}, "but TWILIO_ACCOUNT_SID is not set"),
        ({"DTMF_TIMEOUT_MS": "100"}, "must be a whole number from 500 to 60000"),
        ({"DTMF_TERMINATOR": "5"}, "must be one of #, *, none"),
    ],
)
def test_incomplete_or_wrong_telephone_settings_are_an_error(
    chosen: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    text = complaint()
    assert text.startswith(next(iter(chosen)))
    assert told in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("given", "read"),
    [("end_call", ("end_call",)), (" End_Call ,transfer_call", ("end_call", "transfer_call")), (",", ())],
)
def test_built_in_tools_are_named_and_divided_by_commas(
    given: str, read: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "TOOLS": given,
        "TWILIO_TRANSFER_TO": "+15005550006",
        "TWILIO_ACCOUNT_SID": SID,
        "TWILIO_AUTH_TOKEN": "token",
    }.items():
        monkeypatch.setenv(name, value)
    assert load_settings().tools == read


@pytest.mark.parametrize(
    ("tools", "told"),
    [
        (
            "hang_up",
            "'hang_up', but must be none, or one or more of end_call, transfer_call, send_digits, each",
        ),
        ("end_call,end_call", "but must be none, or one or more of end_call"),
        ("end_call,transfer_call", "but TWILIO_TRANSFER_TO is not set: transfer_call needs somebody"),
    ],
)
def test_impossible_tools_are_an_error(tools: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLS", tools)
    text = complaint()
    assert text.startswith("TOOLS")
    assert told in text


def test_the_telephone_is_reached_at_its_address_without_a_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_PUBLIC_URL", "https://vantum.example/phone/")
    assert load_settings().twilio_public_url == "https://vantum.example/phone"


@pytest.mark.parametrize(
    "written",
    [
        "+1 555 123 4567",
        "+1 (555) 123-4567",
        "+1.555.123.4567 ",
        "+1/555/1234567\n",
        "tel:+1-555-123-4567",
        "\u202a+1\u00a0555\u2011123\u20134567\u202c",
        "\ufeff\uff0b\uff11 555 123\u200b4567",
        "+1 555 123 \u2212 4567",
    ],
)
def test_a_number_is_dialled_without_what_only_people_read(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", SID)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "token")
    monkeypatch.setenv("TWILIO_TRANSFER_TO", written)
    assert load_settings().twilio_transfer_to == "+15551234567"


@pytest.mark.parametrize(
    "written",
    [
        "+44 (0)20 7946 0018",
        "0044 20 7946 0018",
        "5551234567",
        "+1 555 123 4567 ext 5",
        "+1 555 CALL NOW",
        "+",
    ],
)
def test_a_number_that_would_be_dialled_wrongly_is_refused(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_TRANSFER_TO", written)
    assert "E.164 form: + and the country's code, without 00, (0) and extension" in complaint()
