"""The rows of a call, made of its journal record by record: pure, whoever reads the records.

While a call runs, its journal's writer hands over what it has written (`following.py`); later, `vantum index`
reads the file (`indexing.py`). Both give the same rows, since both give the same plain data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

import attrs
import msgpack  # type: ignore[import-untyped]
from attrs import Factory, define, field, frozen

from adapters.storage.writes import KeepCall, Row
from machines import effects as do
from machines import facts
from machines.declarations import Outcome
from machines.effects import Effect
from machines.facts import Role
from orchestrator.calls.edges import EdgeCounts
from orchestrator.calls.prices import Prices
from orchestrator.calls.steps import CONVERSATION, PlainStep, at_ms_in, steps_of
from orchestrator.calls.tool_calls import ToolCalls
from orchestrator.calls.turns import Turns
from orchestrator.calls.usage import Usage, UsageRow
from orchestrator.calls.values import percentile, text_of, whole_ms
from orchestrator.journal.format import HEAD, Head, Used
from orchestrator.journal.records import Plain, RecordError, structured
from orchestrator.journal.redaction import SPOKEN

_TAKEN, _REFUSED = Outcome.TAKEN.value, Outcome.REFUSED.value


@frozen
class CallRow:
    """A row of `calls`."""

    call_id: str
    began_ms: int
    ended_ms: int
    kind: str
    vantum: str
    policy: str
    language: str
    stt: str
    llm: str
    tts: str
    end_reason: str | None
    complete: bool
    lost_records: int
    error: str | None
    facts: int
    refused_facts: int
    turns: int
    answers: int
    interruptions: int
    voided: int
    client_errors: int
    tool_calls: int
    caller_words: int
    heard_words: int
    unheard_words: int
    heard_ms: int
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    cost_micros: int | None
    unheard_micros: int | None
    unpriced: int
    redacted: bool
    about: str


def hash_of_policy(plain_policy: Plain, *, redacted: bool) -> str:
    """16 hexadecimal digits by which calls of the same settings are found.

    In a redacted journal texts are others in each call, so they are left out of it.
    """
    policy = _without_texts(plain_policy) if redacted else plain_policy
    packed = msgpack.packb(policy, unicode_errors="surrogatepass")
    return blake2b(packed, digest_size=8).hexdigest()


def _without_texts(data: Plain) -> Plain:
    if isinstance(data, dict):
        return {name: _without_texts(value) for name, value in data.items() if name not in SPOKEN}
    return [_without_texts(each) for each in data] if isinstance(data, list | tuple) else data


@define
class ProvidersInUse:
    """Which provider of each role a call uses, told by its links."""

    names: Mapping[Role, tuple[str, ...]]
    current: dict[Role, str] = field(init=False)
    """By name."""
    places: dict[Role, int] = field(factory=lambda: dict.fromkeys(Role, 0), init=False)
    _attempts: dict[tuple[Role, int], int] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.current = {role: self._name(role, 0) for role in Role}

    def caused(self, effect: Effect) -> None:
        """Note an attempt to open a link."""
        if isinstance(effect, do.OpenLink):
            self._attempts[effect.role, effect.attempt] = effect.provider

    def opened(self, fact: facts.LinkOpened) -> None:
        """Note that an attempt succeeded."""
        place = self._attempts.get((fact.role, fact.attempt), 0)
        self.places[fact.role], self.current[fact.role] = place, self._name(fact.role, place)

    def _name(self, role: Role, place: int) -> str:
        names = self.names.get(role, ())
        return text_of(names[place], 40) if place < len(names) else ""


@define
class CallFold:
    """Takes the records of one journal in, in order, and makes the rows of its call.

    `take` raises an exception of any kind for what is not a record in its place; the fold is of no use then.
    """

    prices: Prices = Factory(Prices)
    _head: Head | None = field(default=None, init=False)
    _turns: Turns = field(init=False)
    _tools: ToolCalls = field(init=False)
    _usage: Usage = field(init=False)
    _edges: EdgeCounts = field(init=False)
    _providers: ProvidersInUse = field(init=False)
    _counts: Counter[str] = field(factory=Counter, init=False)
    _last_ms: float = field(default=0.0, init=False)
    _end_reason: str | None = field(default=None, init=False)
    _error: str | None = field(default=None, init=False)
    _lost: int | None = field(default=None, init=False)
    """Records that the journal lacks; None as long as its end has not come."""

    def take(self, record: Plain) -> None:
        """Take the next record in, as plain data."""
        kind = record[0]
        if (kind == HEAD) is not (self._head is None) or self._lost is not None:
            raise RecordError("its records are in an order that Vantum never writes")
        match kind:
            case "head":
                self._begin(record)
            case "fact":
                self._fact(record[1])
            case "broke":
                self._broke(record)
            case "used":
                self._usage.note(structured(record[1], Used))
            case "end":
                self._lost = int(record[1])
            case _:
                raise RecordError(f"{kind!r} is not a record")

    @property
    def begun(self) -> bool:
        """Whether there is a call: a head came, and the machines' beginning."""
        return self._head is not None and self._counts["facts"] > 0

    @property
    def complete(self) -> bool:
        """Whether the end has come."""
        return self._lost is not None

    # --- records ------------------------------------------------------------------------------------------

    def _begin(self, record: Plain) -> None:
        head = structured(record[2], Head)
        whole_ms(head.about.began_at)
        epoch_ms = head.about.began_at - head.at_ms
        call_id = text_of(head.about.session_id, 200)
        policy = hash_of_policy(record[2]["policy"], redacted=head.redacted)
        self._head, self._last_ms = head, head.at_ms
        self._turns = Turns(call_id, epoch_ms)
        self._tools = ToolCalls(call_id, epoch_ms)
        self._edges = EdgeCounts(text_of(head.vantum, 40), policy, epoch_ms, head.at_ms)
        self._providers = ProvidersInUse(head.about.providers)
        self._usage = Usage(head.about.products)

    def _fact(self, handled: Plain) -> None:
        self._counts["facts"] += 1
        for step in steps_of(handled):
            self._last_ms = step.at_ms
            self._edges.take(step)
            if step.machine == CONVERSATION:
                self._conversation(step)
            elif step.outcome == _TAKEN:
                self._link(step)
            if step.outcome == _REFUSED:
                self._counts["refused"] += 1

    def _conversation(self, step: PlainStep) -> None:
        fact = step.fact
        if isinstance(fact, facts.ToolFinished):
            self._tools.happened(fact)
        elif fact is not None and step.outcome == _TAKEN:
            self._turns.happened(fact)
            self._usage.happened(fact)
        for effect in step.effects:
            self._usage.caused(effect, fact, self._providers.places[Role.TTS])
            self._turns.caused(effect, step, self._providers.current)
            self._tools.caused(effect, step.at_ms)
            match effect:
                case do.NotifyAnswerStarted():
                    self._counts["answers"] += 1
                case do.NotifyClientError():
                    self._counts["client errors"] += 1
                case do.CloseConversation(reason=reason):
                    self._end_reason = reason.value

    def _link(self, step: PlainStep) -> None:
        fact = step.fact
        if isinstance(fact, facts.LinkOpened):
            self._providers.opened(fact)
        for effect in step.effects:
            self._providers.caused(effect)

    def _broke(self, record: Plain) -> None:
        _, (_, fields), error = record
        self._last_ms = at_ms_in(fields)
        self._error = text_of(error)

    # --- rows ---------------------------------------------------------------------------------------------

    def rows(self) -> KeepCall:
        """The rows of all records so far, after which no further record may come."""
        self._turns.over(self._last_ms, self._providers.current)
        turns, tools, usage = self._turns.rows, self._tools.rows(), self._usage_rows()
        parts = {"turns": _as_rows(turns), "tool_calls": _as_rows(tools), "usage": _as_rows(usage)}
        return KeepCall(attrs.asdict(self._call_row(len(tools), usage)), parts, self._edges.counted())

    def _usage_rows(self) -> list[UsageRow]:
        head = self._known_head()
        lasted_ms = self._last_ms - head.at_ms
        about = head.about
        return self._usage.rows(
            self._turns.call_id, about.dialect, about.began_at, lasted_ms, self._turns.unheard, self.prices
        )

    def _known_head(self) -> Head:
        assert self._head is not None, "rows are made of a call that began"
        return self._head

    def _call_row(self, tool_calls: int, usage: Sequence[UsageRow]) -> CallRow:
        head = self._known_head()
        turns = self._turns.rows
        about, latencies = head.about, [each.total_ms for each in turns if each.total_ms is not None]
        names = {role: text_of(",".join(about.providers.get(role, ())), 200) for role in Role}
        return CallRow(
            call_id=self._turns.call_id,
            began_ms=whole_ms(about.began_at),
            ended_ms=whole_ms(about.began_at + self._last_ms - head.at_ms),
            kind=text_of(about.dialect, 40),
            vantum=self._edges.vantum,
            policy=self._edges.policy,
            language=text_of(head.policy.language, 40),
            stt=names[Role.STT],
            llm=names[Role.LLM],
            tts=names[Role.TTS],
            end_reason=self._end_reason,
            complete=self._lost is not None,
            lost_records=self._lost or 0,
            error=self._error,
            facts=self._counts["facts"],
            refused_facts=self._counts["refused"],
            turns=sum(each.turn is not None for each in turns),
            answers=self._counts["answers"],
            interruptions=sum(each.interrupted for each in turns),
            voided=self._turns.voided,
            client_errors=self._counts["client errors"],
            tool_calls=tool_calls,
            caller_words=sum(each.said_words for each in turns),
            heard_words=sum(each.heard_words for each in turns),
            unheard_words=sum(each.unheard_words for each in turns),
            heard_ms=whole_ms(sum(each.heard_ms for each in turns)),
            latency_p50_ms=percentile(latencies, 0.5),
            latency_p95_ms=percentile(latencies, 0.95),
            cost_micros=_sum(each.cost_micros for each in usage),
            unheard_micros=_sum(each.unheard_micros for each in usage),
            unpriced=sum(each.cost_micros is None for each in usage),
            redacted=head.redacted,
            about=text_of(about.metadata),
        )


def _sum(values: Iterable[int | None]) -> int | None:
    """The sum of what is known; None if nothing is."""
    known = [each for each in values if each is not None]
    return sum(known) if known else None


def _as_rows(made: Sequence[attrs.AttrsInstance]) -> list[Row]:
    return [attrs.asdict(each) for each in made]
