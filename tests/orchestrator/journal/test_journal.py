"""The journal: records come back as written, torn files are read as far as possible, calls do not wait."""

from __future__ import annotations

import enum
import os
import types
import typing
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import attrs
import msgpack  # type: ignore[import-untyped]
import pytest
import structlog
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from machines.effects import Effect
from machines.evidence import Evidence, judge
from machines.facts import Fact, LinkWanted, Role, SegmentReady, TranscriptFinal
from machines.phrases import (
    BACKCHANNELS,
    backchannels_for,
    sounds_unfinished,
    without_backchannels,
    words_of,
)
from machines.policy import ConversationPolicy
from machines.system import ConversationSystem, Handled, ProviderChain
from orchestrator.journal import writer as journal_writer
from orchestrator.journal.directory import check_directory
from orchestrator.journal.format import MAGIC, Broke, End, Head, JournalError, Record, frame, read_journal
from orchestrator.journal.records import (
    EFFECTS,
    FACTS,
    effect_of,
    fact_of,
    handled_of,
    plain_effect,
    plain_fact,
    plain_handled,
)
from orchestrator.journal.redaction import KEPT, SPOKEN, Redactor
from orchestrator.journal.writer import INCOMPLETE, Journals, open_journals
from orchestrator.simulation import simulated_call
from orchestrator.simulation.campaign import Campaign
from tests.orchestrator.journal.journals import ABOUT, broken_call, differences, journal_of, kept_in, write
from tests.orchestrator.real_servers import eventually, quick_providers, serving
from tests.orchestrator.wire_clients import connect

Watch = Callable[[], AbstractContextManager[None]]
CALLS = 15


# --- every fact and effect --------------------------------------------------------------------------------


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Everything that a field of this type may hold, except NaN, which does not equal itself."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return st.one_of(*map(values, typing.get_args(hint)))
    if typing.get_origin(hint) is tuple:
        return st.lists(values(typing.get_args(hint)[0]), max_size=3).map(tuple)
    if hint is float:
        return st.floats(allow_nan=False) | st.integers(-(2**40), 2**40)
    if hint is int:
        return st.integers(-(2**63), 2**64 - 1)
    if hint is str:
        return st.text(st.characters(exclude_categories=()))
    if attrs.has(hint):
        return instances(hint)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return st.sampled_from(hint)
    return {bool: st.booleans(), type(None): st.none()}[hint]


def instances(kind: type[Any]) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{each.alias: values(hints[each.name]) for each in attrs.fields(kind)})


def through_bytes(data: Any) -> Any:
    packed = msgpack.packb(data, unicode_errors="surrogatepass")
    return msgpack.unpackb(packed, unicode_errors="surrogatepass")


@pytest.mark.repeats
@pytest.mark.parametrize("kind", FACTS.values(), ids=lambda kind: kind.name)
@given(data=st.data())
def test_every_fact_comes_back_as_it_was(kind: type[Fact], data: st.DataObject) -> None:
    fact = data.draw(instances(kind))
    back = fact_of(through_bytes(plain_fact(fact)))
    assert type(back) is kind
    assert back == fact


@pytest.mark.repeats
@pytest.mark.parametrize("kind", EFFECTS.values(), ids=lambda kind: kind.name)
@given(data=st.data())
def test_every_effect_comes_back_as_it_was(kind: type[Effect], data: st.DataObject) -> None:
    effect = data.draw(instances(kind))
    back = effect_of(through_bytes(plain_effect(effect)))
    assert type(back) is kind
    assert back == effect


def test_what_a_fact_led_to_comes_back_in_its_order() -> None:
    handled = ConversationSystem(ConversationPolicy()).start(5.0)
    assert handled_of(through_bytes(plain_handled(handled))) == handled
    backwards = Handled(handled.steps, handled.effects[::-1])
    assert handled_of(through_bytes(plain_handled(backwards))) == backwards


def test_the_head_comes_back_in_full(tmp_path: Path) -> None:
    policy = ConversationPolicy(system_prompt="Be brief.", llm_retry_delays_ms=(0, 1.5), barge_in=False)
    provider_chains = {role: ProviderChain(2, frozenset({1})) for role in Role}
    head = Head(ABOUT, policy, provider_chains, 12.5)
    beginning = ConversationSystem(policy, provider_chains=provider_chains).start(12.5)
    journal = journal_of(tmp_path / "a.journal", [head, beginning])
    assert journal.head == head
    assert journal.head.vantum
    assert journal.head.statemachine.startswith("3.")


# --- whole calls ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def calls() -> list[list[Record]]:
    """The records of calls in which much goes wrong, without their ends."""
    return [list(call.records[:-1]) for call in Campaign(3, "hostile").calls(CALLS)]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(CALLS))
def test_the_journal_of_every_call_is_replayed_without_a_difference(
    number: int, calls: list[list[Record]], tmp_path: Path
) -> None:
    records = calls[number]
    journal = journal_of(tmp_path / "a.journal", records)
    assert len(journal.handled) + len(journal.used) == len(records) - 2
    assert (journal.torn_bytes, journal.ended is not None) == (0, True)
    assert differences(journal) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", range(CALLS))
def test_a_redacted_journal_is_replayed_without_a_difference_too(
    number: int, calls: list[list[Record]], tmp_path: Path
) -> None:
    journal = journal_of(tmp_path / "a.journal", calls[number], Redactor())
    assert journal.head.redacted
    assert differences(journal) == []


async def short_call() -> list[Record]:
    records: list[Record] = []
    async with simulated_call(journal=kept_in(records)) as call:
        await call.take_turn("hello please")
        await call.reaches("speaking")
    return records


@pytest.mark.repeats
async def test_a_journal_torn_at_any_byte_is_read_up_to_the_last_whole_record(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    records = await short_call()
    data = write(tmp_path / "whole.journal", records).read_bytes()
    ends = [sum(len(frame(each)) for each in records[: count + 1]) for count in range(len(records))]
    torn = tmp_path / "torn.journal"
    for length in range(0, len(data), 3):
        torn.write_bytes(data[:length])
        whole = sum(end <= length for end in ends)
        if whole < 2:
            with pytest.raises(JournalError, match="breaks off before the call begins"):
                read_journal(torn)
            continue
        journal = read_journal(torn)
        assert len(journal.handled) + len(journal.used) == whole - 2
        assert journal.torn_bytes == length - ends[whole - 1]
        assert journal.end is None


@pytest.mark.repeats
@pytest.mark.parametrize("bit", [0, 7])
async def test_damage_in_the_middle_is_told_from_a_torn_end(
    bit: int, tmp_path: Path, autojump_clock: MockClock
) -> None:
    records = await short_call()
    data = write(tmp_path / "whole.journal", records).read_bytes()
    last = len(data) - len(frame(End()))
    damaged = tmp_path / "damaged.journal"
    for place in range(len(MAGIC), len(data), 11):
        damaged.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
        if place < last:
            with pytest.raises(JournalError, match=r"is damaged at byte \d+, before record"):
                read_journal(damaged)
        else:
            assert read_journal(damaged).torn_bytes == len(data) - last


async def test_a_record_that_was_cut_out_or_overwritten_is_damage(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    frames = [frame(each) for each in await short_call()]
    damaged = tmp_path / "damaged.journal"
    for number in range(len(frames) - 1):
        for instead in (frames[number][:-5], bytes(len(frames[number])), b"x" * 9):
            whole = MAGIC if number == 0 else b""
            damaged.write_bytes(b"".join([*frames[:number], whole + instead, *frames[number + 1 :]]))
            with pytest.raises(JournalError, match="is damaged at byte"):
                read_journal(damaged)


@pytest.mark.repeats
@pytest.mark.repeats
@given(rest=st.binary(max_size=40) | st.just(bytes(4096)))
def test_whatever_a_crash_leaves_at_the_end_is_not_a_record(
    rest: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("torn") / "a.journal"
    head = Head(ABOUT, ConversationPolicy(), {}, 0.0)
    beginning = ConversationSystem(ConversationPolicy()).start(0.0)
    path.write_bytes(frame(head) + frame(beginning) + rest)
    journal = read_journal(path)
    assert journal.handled == ()
    assert journal.torn_bytes == len(rest)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"hello", "is not a journal of Vantum"),
        (b"", "breaks off before the call begins"),
        (b"Vantum journal\n" + bytes(100), "breaks off before the call begins"),
    ],
)
def test_a_foreign_file_is_an_error_of_one_sentence(data: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    path.write_bytes(data)
    with pytest.raises(JournalError, match=complaint) as caught:
        read_journal(path)
    assert str(caught.value).endswith(".")


# --- the process's journals -------------------------------------------------------------------------------


def call_of(journals: Journals, name: str, facts: int = 3) -> None:
    """The journal of a call with so many facts."""
    with journals.of_call(attrs.evolve(ABOUT, session_id=name)) as journal:
        system = ConversationSystem(ConversationPolicy())
        journal.begin(ConversationPolicy(), {}, 0.0)
        journal.add(system.start(0.0))
        for number in range(facts):
            journal.add(system.handle(LinkWanted(Role.STT, at_ms=float(number))))


def logged(logs: list[Any], event: str) -> int:
    return sum(line["event"] == event for line in logs)


async def test_each_call_has_a_file_of_its_own(tmp_path: Path) -> None:
    check_directory(tmp_path / "new" / "directory")
    async with open_journals(tmp_path / "new" / "directory", redacted=False, counts=Counter()) as journals:
        call_of(journals, "one", facts=1)
        call_of(journals, "two", facts=2)
    for name, facts in (("one", 1), ("two", 2)):
        path = tmp_path / "new" / "directory" / f"{name}.journal"
        assert path.stat().st_mode & 0o077 == 0
        journal = read_journal(path)
        assert (journal.head.about.session_id, len(journal.handled)) == (name, facts)
        assert journal.end is not None
        assert differences(journal) == []


async def test_records_are_written_while_the_call_goes_on(tmp_path: Path) -> None:
    async with open_journals(tmp_path, redacted=False, counts=Counter()) as journals:
        with journals.of_call(ABOUT) as journal:
            system = ConversationSystem(ConversationPolicy())
            journal.begin(ConversationPolicy(), {}, 0.0)
            journal.add(system.start(0.0))
            path = tmp_path / f"{ABOUT.session_id}.journal"
            await eventually(lambda: path.exists() and path.stat().st_size > 0)
            assert read_journal(path).end is None
            written = path.stat().st_size
            journal.add(system.handle(LinkWanted(Role.STT)))
            await eventually(lambda: path.stat().st_size > written)


async def test_after_waiting_for_written_everything_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / f"{ABOUT.session_id}.journal"
    async with open_journals(tmp_path, redacted=False, counts=Counter()) as journals:
        with journals.of_call(ABOUT) as journal:
            system = ConversationSystem(ConversationPolicy())
            journal.begin(ConversationPolicy(), {}, 0.0)
            journal.add(system.start(0.0))
            await journal.written()
            for number in range(3):
                journal.add(system.handle(LinkWanted(Role.STT)))
                await journal.written()
                assert len(read_journal(path).handled) == number + 1
            await journal.written()


async def test_several_calls_may_wait_for_what_is_written(tmp_path: Path) -> None:
    async def one(journals: Journals, name: str) -> None:
        with journals.of_call(attrs.evolve(ABOUT, session_id=name)) as journal:
            system = ConversationSystem(ConversationPolicy())
            journal.begin(ConversationPolicy(), {}, 0.0)
            journal.add(system.start(0.0))
            for number in range(5):
                journal.add(system.handle(LinkWanted(Role.STT)))
                await journal.written()
                assert len(read_journal(tmp_path / f"{name}.journal").handled) == number + 1

    async with (
        open_journals(tmp_path, redacted=False, counts=Counter()) as journals,
        trio.open_nursery() as nursery,
    ):
        for number in range(5):
            nursery.start_soon(one, journals, str(number))


@pytest.mark.parametrize("lacking", ["disk", "room"])
async def test_if_nothing_can_be_written_nobody_waits_for_it(lacking: str, tmp_path: Path) -> None:
    if lacking == "disk":
        (tmp_path / f"{ABOUT.session_id}.journal").mkdir()
    async with open_journals(tmp_path, redacted=False, counts=Counter()) as journals:
        if lacking == "room":
            journals.most_waiting = 1
        with journals.of_call(ABOUT) as journal:
            for number in range(3):
                journal.begin(ConversationPolicy(), {}, float(number))
                with trio.fail_after(120):
                    await journal.written()


async def test_if_too_many_records_wait_a_journal_is_incomplete_and_says_so(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    with structlog.testing.capture_logs() as logs:
        async with open_journals(tmp_path, redacted=False, counts=counts) as journals:
            journals.most_waiting = 5
            call_of(journals, "one", facts=10)
    journal = read_journal(tmp_path / "one.journal")
    assert len(journal.handled) == 3
    assert journal.end is not None
    assert journal.end.lost == 7
    assert counts[INCOMPLETE] == logged(logs, "journal incomplete") == 1
    assert differences(journal) == []


async def test_a_disk_that_cannot_be_written_to_is_logged_once_and_disturbs_no_call(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    (tmp_path / "one.journal").mkdir()
    with structlog.testing.capture_logs() as logs:
        async with open_journals(tmp_path, redacted=False, counts=counts) as journals:
            call_of(journals, "one")
            await eventually(lambda: counts[INCOMPLETE])
            call_of(journals, "two")
    assert counts[INCOMPLETE] == logged(logs, "journal cannot be written") == 1
    assert read_journal(tmp_path / "two.journal").end is not None


async def test_a_full_disk_leaves_a_journal_that_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = 4000

    def write_while_there_is_room(descriptor: int, data: bytes) -> int:
        nonlocal room
        if room == 0:
            raise OSError(28, "No space left on device")
        written = os.write(descriptor, data[:room])
        room -= written
        return written

    monkeypatch.setattr(journal_writer, "append", write_while_there_is_room)
    with structlog.testing.capture_logs() as logs:
        async with open_journals(tmp_path, redacted=False, counts=Counter()) as journals:
            call_of(journals, "one", facts=100)
    assert logged(logs, "journal cannot be written") == 1
    journal = read_journal(tmp_path / "one.journal")
    assert journal.torn_bytes > 0
    assert len(journal.handled) > 0
    assert differences(journal) == []


def test_a_directory_that_cannot_be_written_to_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(JournalError) as caught:
        check_directory(tmp_path / "file" / "journals")
    assert str(caught.value).startswith(f"JOURNAL_DIR is '{tmp_path}/file/journals', but journals cannot be")


async def test_a_fact_that_breaks_a_machine_is_in_the_journal_and_breaks_it_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    journal = journal_of(tmp_path / "a.journal", await broken_call())
    broke = journal.handled[-1]
    assert isinstance(broke, Broke)
    assert broke.error.startswith("IndexError")
    assert differences(journal) == []


# --- at a real socket -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("transcripts", ["full", "redacted"])
async def test_calls_of_a_server_are_journalled_and_nothing_is_left(
    transcripts: str, tmp_path: Path, leaves_nothing: Watch
) -> None:
    with leaves_nothing():
        settings = {"journal_dir": tmp_path, "journal_transcripts": transcripts}
        async with serving(quick_providers(), **settings) as running:
            async with connect(running.port) as first, connect(running.port) as second:
                await first.until(lambda: first.messages)
                await second.until(lambda: second.messages)
            await eventually(lambda: not running.server.sessions)
    paths = sorted(tmp_path.iterdir())  # noqa: ASYNC240
    assert len(paths) == 2
    for path in paths:
        journal = read_journal(path)
        assert journal.head.about.session_id == path.stem
        assert journal.head.redacted is (transcripts == "redacted")
        assert journal.ended is not None
        assert journal.end is not None
        assert differences(journal) == []


# --- redaction --------------------------------------------------------------------------------------------

PLAIN = {
    *("digits_terminator", "message", "event_type", "event_id", "source", "target", "substate", "cause"),
    *("language", "gap", "id", "name"),
}
"""Fields with text that nobody said. The last two are those of a tool call."""


def texts(kind: type[Any]) -> set[str]:
    """The names of all fields with text, also inside of fields."""
    found: set[str] = set()
    hints = typing.get_type_hints(kind)
    for each in attrs.fields(kind):
        inner = {hints[each.name], *typing.get_args(hints[each.name])}
        found |= {each.name for hint in inner if hint is str}
        found |= {name for hint in inner if attrs.has(hint) for name in texts(hint)}
    return found


def test_of_every_field_with_text_it_is_known_whether_somebody_said_it() -> None:
    kinds = [*FACTS.values(), *EFFECTS.values(), ConversationPolicy]
    found = set().union(*map(texts, kinds))
    # What a token says of a call is no fact, but in the journal's head.
    assert found | {"metadata"} == SPOKEN | PLAIN


async def test_nothing_that_was_said_is_in_a_redacted_journal(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    records = await short_call()
    said = {
        word
        for record in records
        if isinstance(record, Handled)
        for step in record.steps
        if isinstance(step.fact, TranscriptFinal | SegmentReady)
        for word in step.fact.text.split()
        if word.strip(".,!?").lower() not in KEPT
    }
    assert len(said) > 2
    open_file = write(tmp_path / "open.journal", records).read_bytes()
    redacted = write(tmp_path / "redacted.journal", records, Redactor()).read_bytes()
    for word in said:
        assert word.encode() in open_file
        assert word.encode() not in redacted


@pytest.mark.repeats
@given(st.text(), st.text())
def test_redaction_keeps_what_machines_ask_of_a_text(one: str, other: str) -> None:
    redactor = Redactor()
    hidden, other_hidden = redactor.words(one), redactor.words(other)
    assert len(hidden) == len(one)
    assert [len(word) for word in hidden.split()] == [len(word) for word in one.split()]
    assert [each.isascii() for each in hidden] == [each.isascii() for each in one]
    assert redactor.words(f"{one} {other}") == f"{hidden} {other_hidden}"
    assert redactor.words(one) == hidden


@pytest.mark.parametrize(
    ("language", "text"),
    [
        *(
            ("en", "Mhmm, yeahhh"),
            ("de", "Jaja, mm-hm"),
            ("ja", "うんうんうん"),
            ("ko", "네네네"),
            ("th", "ค่ะๆ"),
        ),
        *(("en", "my name is"), ("en", "yes I do")),
        *(("zh", "很暖和"), ("zh", "票和"), ("de", "Ja ich will")),
        *(
            ("en", "Five five five five"),
            ("zh", "五五五五"),
            ("ko", "일일 일일 일일"),
            ("ru", "пять пять пять"),
        ),
        *(("de", "fünf fünf fünf"), ("en", "1 1 1 1")),
        *(("ar", "٥ ٥ ٥"), ("en", "taxi taxi taxi taxi")),
    ],
)
def test_redacted_words_count_as_the_words_themselves(language: str, text: str) -> None:
    for _ in range(20):
        hidden = Redactor().words(text)
        assert sounds_unfinished(hidden, language) == sounds_unfinished(text, language)
        assert _own(hidden, language) == _own(text, language)
        given, judged = _judged(text, language), _judged(hidden, language)
        assert judged is given, hidden


def _own(text: str, language: str) -> int:
    return len(without_backchannels(words_of(text), backchannels_for(text, BACKCHANNELS, language)))


def _judged(text: str, language: str) -> Evidence:
    return judge(text, 0.8, None, least=0.35, sure=0.75, clear=0.8, language=language)


def test_digits_that_were_said_do_not_stay() -> None:
    assert Redactor().words("five") != "five"
    assert {Redactor().words("五") for _ in range(40)} != {"五"}
