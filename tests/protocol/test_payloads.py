"""Payloads: their wire forms, what is accepted, and the error messages."""

import math
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import (
    HIERARCHICAL,
    REGISTRY,
    Acknowledgement,
    AudioInputChunk,
    AudioInputStart,
    AudioInputStop,
    AudioOutputCancel,
    AudioOutputStart,
    ConversationResponseComplete,
    ConversationResponseStart,
    ConversationStateChanged,
    ErrorPayload,
    InvalidPayload,
    Latency,
    LowConfidencePayload,
    Payload,
    SystemBusy,
    TranscriptResult,
    UnsupportedRate,
    UserInterrupt,
    receive,
    receive_from_server,
)
from protocol.payloads import structure, unstructure, wire_name
from tests.protocol.frames import EVENT_ID, FRESH_ID, NOW, SESSION_ID, frame, read

PAYLOAD_TYPES = list(dict.fromkeys(spec.payload_type for spec in REGISTRY.values()))
ERRORS = (ErrorPayload, LowConfidencePayload)
numbers = st.floats(allow_nan=False, allow_infinity=False)
st.register_type_strategy(float, numbers)
st.register_type_strategy(int, st.integers(-(2**31), 2**32 - 1))
st.register_type_strategy(str, st.text(st.characters(exclude_categories=["Cs"]), max_size=20))


@st.composite
def payloads_of(draw: st.DrawFn, payload_type: type[Payload]) -> Payload:
    rate = {"sampling_rate": st.integers(8000, 48000)} if payload_type is AudioInputStart else {}
    return draw(st.builds(payload_type, **rate))


@pytest.mark.parametrize("payload_type", PAYLOAD_TYPES)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_every_payload_comes_back_from_its_wire_form_unchanged(
    payload_type: type[Payload], data: st.DataObject
) -> None:
    payload = data.draw(payloads_of(payload_type))
    assert structure(payload_type, unstructure(payload)) == payload


@pytest.mark.parametrize("name", [name for name, spec in REGISTRY.items() if spec.payload_type not in ERRORS])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_every_event_crosses_the_wire(name: str, data: st.DataObject) -> None:
    spec = REGISTRY[name]
    payload = data.draw(payloads_of(spec.payload_type))
    if isinstance(payload, TranscriptResult):
        payload = attrs.evolve(payload, is_final="final" in name)
    sent = HIERARCHICAL.encode(payload, session_id=SESSION_ID, event_id=EVENT_ID)
    assert sent is not None
    for reader in [receive] * spec.from_client + [receive_from_server] * spec.from_server:
        received = reader(sent)
        assert (received.event, received.wire_type) == (name, name)
        assert (received.event_id, received.session_id) == (EVENT_ID, SESSION_ID)
        assert received.payload == payload
        assert received.dialect is HIERARCHICAL


# --- what the wire shows ----------------------------------------------------------------------------------


def test_keys_on_the_wire_are_camel_case_and_none_is_absent() -> None:
    assert unstructure(ConversationStateChanged("LISTENING", "THINKING", NOW, substate="generating")) == {
        "from": "LISTENING",
        "to": "THINKING",
        "timestamp": NOW,
        "substate": "generating",
    }
    assert unstructure(AudioInputStart()) == {"samplingRate": 16000}
    assert unstructure(AudioInputStop()) == {}


def test_unknown_parts_of_the_latency_are_absent() -> None:
    payload = ConversationResponseComplete("Yes.", 1, 20.0, latency=Latency(total_ms=412.5))
    assert unstructure(payload)["latency"] == {"totalMs": 412.5}


def test_times_are_floats_even_if_given_as_integers() -> None:
    cancelled = unstructure(AudioOutputCancel("u", "interrupted", int(NOW)))
    assert type(cancelled["timestamp"]) is float


# --- the sampling rate ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_rate", "rate"),
    [
        (8000, 8000),
        (48000, 48000),
        (44100.0, 44100),
        (22050.4, 22050),
        (0, 16000),
        (-0.0, 16000),
        (math.nan, 16000),
        (None, 16000),
    ],
)
def test_a_rate_in_range_is_accepted_and_the_default_is_16000(given_rate: Any, rate: int) -> None:
    payload = structure(AudioInputStart, {"samplingRate": given_rate})
    assert payload.sampling_rate == rate
    assert type(payload.sampling_rate) is int
    assert structure(AudioInputStart, {}).sampling_rate == 16000


@pytest.mark.parametrize(
    ("given_rate", "shown"),
    [
        (7999, "7999"),
        (48001, "48001"),
        (7999.5, "7999.5"),
        (48000.0001, "48000.0001"),
        (96000.0, "96000"),
        (math.inf, "inf"),
        (2**63, str(2**63)),
    ],
)
def test_a_rate_out_of_range_is_refused_with_bounds_and_value(given_rate: float, shown: str) -> None:
    with pytest.raises(UnsupportedRate) as caught:
        structure(AudioInputStart, {"samplingRate": given_rate})
    assert str(caught.value) == f"samplingRate must be from 8000 to 48000 Hz, got {shown}"


@pytest.mark.parametrize("given_rate", [-1, -16000.0, -math.inf, "16000", True, [16000], b"\x10"])
def test_a_rate_that_is_not_a_number_is_an_invalid_payload(given_rate: object) -> None:
    with pytest.raises(InvalidPayload, match=r"^samplingRate must") as caught:
        structure(AudioInputStart, {"samplingRate": given_rate})
    assert not isinstance(caught.value, UnsupportedRate)


def test_a_client_of_ours_cannot_announce_a_rate_out_of_range() -> None:
    with pytest.raises(UnsupportedRate, match="96000"):
        AudioInputStart(sampling_rate=96000)


# --- what is accepted -------------------------------------------------------------------------------------


def test_null_is_absent() -> None:
    sent = {"samplingRate": None, "voiceId": None, "language": None, "turnMode": None}
    assert structure(AudioInputStart, sent) == AudioInputStart()


def test_unknown_keys_are_ignored() -> None:
    assert structure(AudioInputStop, {"reason": "done", "sequenceNumber": 7}) == AudioInputStop("done")


def test_numbers_are_accepted_as_integers_and_floats() -> None:
    assert structure(SystemBusy, {"activeSessions": 3.0, "maxSessions": 4}) == SystemBusy(3, 4)
    assert structure(UserInterrupt, {"timestamp": 5}) == UserInterrupt(5.0)


def test_audio_may_be_empty_odd_and_muted() -> None:
    assert structure(AudioInputChunk, {"audio": b""}) == AudioInputChunk(b"")
    assert structure(AudioInputChunk, {"audio": b"abc", "isMuted": True}) == AudioInputChunk(
        b"abc", None, True
    )


# --- what is not ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload_type", "value", "message"),
    [
        (AudioInputStop, None, "payload is missing"),
        (AudioInputStop, [], "payload must be a map, got an array of 0"),
        (AudioInputStop, {"reason": 5}, "reason must be a string, got 5"),
        (AudioInputChunk, {}, "audio is missing"),
        (AudioInputChunk, {"audio": None}, "audio is missing"),
        (AudioInputChunk, {"audio": "text"}, "audio must be binary, got 'text'"),
        (AudioInputChunk, {"audio": [1, 2]}, "audio must be binary, got an array of 2"),
        (AudioInputChunk, {"audio": b"", "isMuted": 1}, "isMuted must be true or false, got 1"),
        (
            AudioInputChunk,
            {"audio": b"", "timestamp": math.nan},
            "timestamp must be a finite number, got nan",
        ),
        (AudioInputStart, {"turnMode": "auto"}, "turnMode must be one of manual, automatic, got 'auto'"),
        (AudioInputStart, {"turnMode": {}}, "turnMode must be one of manual, automatic, got a map of 0"),
        (AudioInputStart, {"voiceId": b"abc"}, "voiceId must be a string, got 3 bytes"),
        (UserInterrupt, {"timestamp": True}, "timestamp must be a finite number, got True"),
        (
            SystemBusy,
            {"activeSessions": 1.5, "maxSessions": 2},
            "activeSessions must be a whole number, got 1.5",
        ),
        (
            SystemBusy,
            {"activeSessions": "1", "maxSessions": True},
            "activeSessions must be a whole number, got '1'; maxSessions must be a whole number, got True",
        ),
        (
            ConversationResponseComplete,
            {"fullResponse": "", "tokenCount": 0, "duration": 0, "latency": 3},
            "latency must be a map, got 3",
        ),
        (
            ConversationResponseComplete,
            {"fullResponse": "", "tokenCount": 0, "duration": 0, "latency": {"totalMs": "x"}},
            "latency.totalMs must be a finite number, got 'x'",
        ),
        (AudioOutputStart, {}, "utteranceId is missing; samplingRate is missing; timestamp is missing"),
        (Acknowledgement, {"success": 0}, "success must be true or false, got 0"),
    ],
)
def test_a_wrong_payload_is_refused_in_a_sentence(
    payload_type: type[Payload], value: object, message: str
) -> None:
    with pytest.raises(InvalidPayload) as caught:
        structure(payload_type, value)
    assert str(caught.value) == message


def test_a_long_value_is_cut_in_the_sentence() -> None:
    with pytest.raises(InvalidPayload) as caught:
        receive(frame("voicechat.audio.chunk", {"audio": "x" * 100_000}))
    assert str(caught.value).endswith("… (100000 characters)")
    assert len(str(caught.value)) < 120


def test_an_unregistered_extension_type_is_named() -> None:
    with pytest.raises(InvalidPayload, match="audio must be binary, got a Timestamp"):
        receive(bytes.fromhex("82a96576656e7454797065b5") + b"voicechat.audio.chunk" + _timestamp_payload())


def _timestamp_payload() -> bytes:
    return b"\xa7payload\x81\xa5audio\xd6\xff\x00\x00\x00\x01"


def test_extension_fields_that_are_unknown_are_left_out() -> None:
    sent = HIERARCHICAL.encode(ConversationResponseStart(NOW), session_id=SESSION_ID, event_id=FRESH_ID)
    assert read(sent)["payload"] == {"timestamp": NOW}


# --- what is wrong is named -------------------------------------------------------------------------------

RATES = [
    (payload_type, attribute)
    for payload_type in dict.fromkeys(spec.payload_type for spec in REGISTRY.values() if spec.from_client)
    for attribute in attrs.fields(payload_type)
    if attribute.name.endswith("rate")
]


@pytest.mark.parametrize(("payload_type", "attribute"), RATES, ids=lambda each: getattr(each, "name", ""))
def test_every_rate_that_is_out_of_range_is_named(payload_type: type[Payload], attribute: Any) -> None:
    name = wire_name(attribute)
    with pytest.raises(UnsupportedRate) as caught:
        structure(payload_type, {name: 192_001})
    assert str(caught.value) == f"{name} must be from 8000 to 48000 Hz, got 192001"
    with pytest.raises(UnsupportedRate, match=f"^{name} "):
        payload_type(**{attribute.name: 192_001})
    # Rates are read alike: rounded, and 0 stands for the default.
    assert getattr(structure(payload_type, {name: 44_100.2}), attribute.name) == 44_100
    assert getattr(structure(payload_type, {name: 0}), attribute.name) == attribute.default


@pytest.mark.parametrize("name", sorted(name for name, spec in REGISTRY.items() if spec.from_client))
def test_every_field_of_a_wrong_type_is_named_by_its_name_on_the_wire(name: str) -> None:
    payload_type = REGISTRY[name].payload_type
    names = [wire_name(attribute) for attribute in attrs.fields(payload_type)]
    with pytest.raises(InvalidPayload) as caught:
        structure(payload_type, {key: [1] for key in names})
    assert [sentence.split()[0] for sentence in str(caught.value).split("; ")] == names


def test_a_rate_out_of_range_does_not_hide_what_else_is_wrong() -> None:
    with pytest.raises(InvalidPayload) as caught:
        structure(AudioInputStart, {"samplingRate": 96000, "voiceId": 5, "outputSamplingRate": 4000})
    assert str(caught.value) == (
        "samplingRate must be from 8000 to 48000 Hz, got 96000; voiceId must be a string, got 5; "
        "outputSamplingRate must be from 8000 to 48000 Hz, got 4000"
    )


def test_two_rates_out_of_range_are_both_named_and_an_unsupported_rate() -> None:
    with pytest.raises(UnsupportedRate) as caught:
        structure(AudioInputStart, {"samplingRate": 96000, "outputSamplingRate": 4000})
    assert str(caught.value) == (
        "samplingRate must be from 8000 to 48000 Hz, got 96000; "
        "outputSamplingRate must be from 8000 to 48000 Hz, got 4000"
    )
