"""The registry of events has the 44 events of the event-system document."""

import re
from pathlib import Path

import pytest

from protocol import (
    DEPRECATED_ALIASES,
    EVENTS,
    LEGACY_REGISTRY,
    REGISTRY,
    SYNONYMS,
    Direction,
    ErrorPayload,
    UnknownEvent,
    event_spec,
    get_all_client_events,
    get_all_server_events,
    get_event_action,
    get_event_category,
    get_event_domain,
    get_events_for_domain,
    is_bidirectional_event,
    is_client_event,
    is_critical_event,
    is_server_event,
    registry_table,
)
from protocol.__main__ import renewed

# name, direction (in, out, both), priority, legacy names
DOCUMENT = """
connection.lifecycle.ack                out  critical  connection.ack
connection.lifecycle.heartbeat          both high
connection.lifecycle.disconnect         both high
connection.error.general                out  high      error.error
connection.error.timeout                out  high
connection.error.auth_failed            out  critical
audio.input.start                       in   high      voicechat.audio.start
audio.input.chunk                       in   normal    voicechat.audio.chunk
audio.input.stop                        in   high      voicechat.audio.end
audio.output.start                      out  high      voicechat.response.start
audio.output.chunk                      out  normal    voicechat.response.chunk
audio.output.complete                   out  normal    voicechat.response.complete
audio.output.cancel                     out  high      voicechat.response.interrupt voicechat.response.stop
audio.error.invalid_format              out  high      voicechat.audio.error
audio.error.unsupported_rate            out  high      voicechat.audio.error
audio.error.buffer_overflow             out  high      voicechat.audio.error
transcript.interim.result               out  normal
transcript.final.result                 out  high
transcript.error.low_confidence         out  normal
transcript.error.stt_failed             out  high
conversation.state.changed              out  high
conversation.state.interrupted          out  high
conversation.response.start             out  high
conversation.response.token             out  normal
conversation.response.complete          out  high
conversation.error.llm_timeout          out  high
conversation.error.llm_failed           out  high
conversation.error.context_too_long     out  high
user.action.interrupt                   in   high
user.action.end_call                    in   critical
user.action.mute                        in   normal
user.action.unmute                      in   normal
user.feedback.sentiment                 in   low
system.status.ready                     out  high
system.status.busy                      out  normal
system.status.maintenance               out  critical
system.notification.rate_limit_warning  out  normal
system.notification.quota_exceeded      out  high
error.general.unknown                   out  high      error.unknown error.error
error.general.internal_server_error     out  critical  voicechat.audio.error voicechat.response.error
error.service.stt_unavailable           out  critical
error.service.llm_unavailable           out  critical
error.service.tts_unavailable           out  critical  voicechat.error
error.service.telephony_unavailable     out  critical
"""
ROWS = [line.split() for line in DOCUMENT.strip().splitlines()]
SHORT = {
    Direction.CLIENT_TO_SERVER: "in",
    Direction.SERVER_TO_CLIENT: "out",
    Direction.BIDIRECTIONAL: "both",
}


def test_the_registry_is_the_documents_list() -> None:
    registered = [
        [spec.name, SHORT[spec.direction], spec.priority.value, *spec.legacy_names]
        for spec in REGISTRY.values()
    ]
    assert registered == ROWS
    assert len(registered) == 44


def test_every_event_has_a_version_a_meaning_and_fields() -> None:
    for spec in REGISTRY.values():
        assert spec.version == "1.0.0"
        assert spec.description.endswith(".")


def test_every_error_event_carries_the_error_payload() -> None:
    errors = [spec for spec in REGISTRY.values() if ".error." in spec.name or spec.name.startswith("error.")]
    assert len(errors) == 17
    assert all(issubclass(spec.payload_type, ErrorPayload) for spec in errors)


def test_the_nested_constant_names_every_event_and_no_other() -> None:
    named = {
        value
        for domain in vars(EVENTS).values()
        if isinstance(domain, type)
        for category in vars(domain).values()
        if isinstance(category, type)
        for key, value in vars(category).items()
        if key.isupper()
    }
    assert named == set(REGISTRY)
    assert EVENTS.audio.input.START == "audio.input.start"


def test_no_hierarchical_name_looks_like_an_error_to_the_shipped_client() -> None:
    assert not [name for name in REGISTRY if name.endswith(".error")]


def test_legacy_names_point_to_what_replaced_them() -> None:
    assert DEPRECATED_ALIASES["voicechat.audio.end"] == EVENTS.audio.input.STOP
    assert DEPRECATED_ALIASES["voicechat.response.stop"] == EVENTS.audio.output.CANCEL
    assert DEPRECATED_ALIASES["voicechat.response.interrupt"] == EVENTS.audio.output.CANCEL
    assert LEGACY_REGISTRY["error.error"].replaced_by == (
        EVENTS.connection.error.GENERAL,
        EVENTS.error.general.UNKNOWN,
    )
    assert {
        name for name, event in LEGACY_REGISTRY.items() if event.direction is Direction.CLIENT_TO_SERVER
    } == {
        "voicechat.audio.start",
        "voicechat.audio.chunk",
        "voicechat.audio.end",
    }
    assert SYNONYMS == {"audio.input.end": "audio.input.stop"}


def test_a_name_consists_of_domain_category_and_action() -> None:
    name = "audio.input.start"
    assert (get_event_domain(name), get_event_category(name), get_event_action(name)) == (
        "audio",
        "input",
        "start",
    )


def test_each_event_has_exactly_one_direction() -> None:
    for name in REGISTRY:
        assert [is_client_event(name), is_server_event(name), is_bidirectional_event(name)].count(True) == 1


def test_bidirectional_events_belong_to_both_sides() -> None:
    both = {spec.name for spec in get_all_client_events()} & {spec.name for spec in get_all_server_events()}
    assert both == {EVENTS.connection.lifecycle.HEARTBEAT, EVENTS.connection.lifecycle.DISCONNECT}
    assert len(get_all_client_events()) == 10
    assert len(get_all_server_events()) == 36


def test_critical_events_are_distinguished_from_others() -> None:
    assert is_critical_event("user.action.end_call")
    assert not is_critical_event("user.action.mute")


def test_events_are_found_by_domain() -> None:
    assert [spec.name for spec in get_events_for_domain("user")][-1] == "user.feedback.sentiment"
    assert (
        sum(len(get_events_for_domain(domain)) for domain in {name.split(".")[0] for name in REGISTRY}) == 44
    )
    assert get_events_for_domain("weather") == ()


@pytest.mark.parametrize("name", ["voicechat.audio.start", "audio.input", "", "audio.input.end"])
def test_a_name_outside_the_registry_is_unknown(name: str) -> None:
    with pytest.raises(UnknownEvent, match=re.escape(repr(name))):
        event_spec(name)


def test_the_reference_table_lists_every_event_name_and_field() -> None:
    table = registry_table()
    for name in [*REGISTRY, *LEGACY_REGISTRY, *SYNONYMS]:
        assert f"`{name}`" in table
    for fragment in (
        '`turnMode?`: "manual" or "automatic"',
        "`audio`: bin",
        "`from`: string, `to`: string, `timestamp`: number",
        "`latency?`: map of (`endpointMs?`: number",
        "`error`: map of (`message`: string, `code`: string, `timestamp`: number)",
    ):
        assert fragment in table


def test_every_row_of_the_reference_table_has_as_many_cells_as_its_head() -> None:
    for table in registry_table().split("\n\n"):
        if table.startswith("|"):
            assert len({line.count(" | ") for line in table.strip().splitlines()}) == 1


def test_the_documented_tables_are_those_of_the_registry() -> None:
    documented = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")

    assert renewed(documented) == documented, "run `make diagrams`"
