"""What was said in a call, by both sides, in order; of answers, how much of it was heard."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from attrs import Factory, define, field, frozen

from machines import effects as do
from machines import facts
from machines.effects import Effect, StopCause, TurnLatency
from machines.facts import Fact, Role
from machines.phrases import words_of
from machines.playback_ledger import PlaybackLedger
from orchestrator.calls.steps import PlainStep
from orchestrator.calls.values import real_number, text_of, whole_ms


class TurnOutcome(enum.Enum):
    """What became of an answer."""

    HEARD = "heard"
    """To its end."""
    INTERRUPTED = "interrupted"
    """The caller said something else."""
    FAILED = "failed"
    """Text to speech did not go on."""
    ENDED = "ended"
    """The call was over before."""
    UNANSWERED = "unanswered"
    """There is none."""
    LOST = "lost"
    """The journal does not say."""


_STOPPED = {
    None: TurnOutcome.HEARD,
    StopCause.INTERRUPTED: TurnOutcome.INTERRUPTED,
    StopCause.FAILED: TurnOutcome.FAILED,
    StopCause.ENDED: TurnOutcome.ENDED,
}


@frozen
class TurnRow:
    """A row of `turns`."""

    call_id: str
    number: int
    at_ms: int
    turn: int | None
    generation: int | None
    by_model: bool
    outcome: str
    interrupted: bool
    said: str
    confidence: float | None
    speech_ms: float | None
    heard: str
    unheard: str
    said_words: int
    heard_words: int
    unheard_words: int
    heard_ms: float
    endpoint_ms: float | None
    transcript_ms: float | None
    first_segment_ms: float | None
    first_audio_ms: float | None
    total_ms: float | None
    stt: str
    llm: str
    tts: str


@define
class _Words:
    """Words of the caller that no row has yet."""

    at_ms: float
    turn: int
    texts: list[str]
    confidence: float
    speech_ms: float

    def join(self, more: do.NotifyTranscript) -> None:
        self.turn = more.turn
        self.texts.append(more.text)
        self.confidence = min(self.confidence, more.confidence)
        self.speech_ms += more.speech_ms


@define
class _Speech:
    """An answer that is being said."""

    number: int
    began_ms: float
    by_model: bool
    words: _Words | None
    """What it answers. Words that come later are not about it, or interrupt it."""
    ledger: PlaybackLedger = Factory(PlaybackLedger)
    stopped: StopCause | None = None


_MODELS_OWN = frozenset(
    kind.name for kind in (facts.GenerationFinished, facts.GenerationFailed, facts.DeadlinePassed)
)
"""Events after which an answer of which nothing was said is over by itself: it asked for tools, failed or was
late."""
NO_LATENCY = TurnLatency(None, None, None, None, None)


@define
class Turns:
    """Makes rows of what was said, out of the facts that the conversation took and its effects."""

    call_id: str
    epoch_ms: float
    """When the conversation's time was 0, in ms since the epoch."""
    rows: list[TurnRow] = Factory(list)
    voided: int = 0
    """Answers of the model that the caller, or the end, forestalled: nothing of them was said."""
    unheard: dict[int, float] = Factory(dict)
    """By number of the answer, the share of it, from 0 to 1, that nobody heard; of what was said."""
    _words: _Words | None = field(default=None, init=False)
    _speech: _Speech | None = field(default=None, init=False)
    _asked: int | None = field(default=None, init=False)
    """The answer that the model was asked for last."""

    def happened(self, fact: Fact) -> None:
        """Take in a fact that the conversation took."""
        speech = self._speech
        match fact:
            case facts.SegmentVoiced(utterance=number) if speech and number == speech.number:
                speech.ledger.voiced(fact)
            case facts.PlaybackAt(utterance=number) if speech and number == speech.number:
                speech.ledger.moved(fact)
            case facts.PlaybackFinished(utterance=number) if speech and number == speech.number:
                speech.ledger.all_heard = True

    def caused(self, effect: Effect, step: PlainStep, providers: Mapping[Role, str]) -> None:
        """Take in what the conversation asked for in a step. `providers` are those in use now, by name."""
        at_ms = step.at_ms
        match effect:
            case do.NotifyTranscript(is_final=True, text=text) if text.strip():
                self._note_words(effect, at_ms)
            case do.NotifyAnswerStarted(generation=number):
                self._asked = number
            case do.NotifySegment(generation=number, text=text):
                self._speech_of(number, at_ms).ledger.add(text)
            case do.RestartSpeech() if self._speech:
                self._cut(self._speech.ledger, step.fact, at_ms)
            case do.StopSpeech(cause=cause) if self._speech:
                self._speech.stopped = cause
            case do.NotifyAnswerEnded():
                self._answer_ended(effect, step.event, at_ms, providers)

    def over(self, at_ms: float, providers: Mapping[Role, str]) -> None:
        """The journal ends at `at_ms`."""
        if self._speech is not None:
            self._add_answer(self._speech, TurnOutcome.LOST, at_ms, NO_LATENCY, providers)
        if self._words is not None:
            self._add(self._words, TurnOutcome.UNANSWERED, at_ms, providers)

    def _speech_of(self, number: int, at_ms: float) -> _Speech:
        """The answer with this number, which begins now if it has not before."""
        if self._speech is None or self._speech.number != number:
            self._speech = _Speech(number, at_ms, number == self._asked, self._words)
            self._words = None
        return self._speech

    def _note_words(self, words: do.NotifyTranscript, at_ms: float) -> None:
        if self._words is None:
            self._words = _Words(at_ms, words.turn, [words.text], words.confidence, words.speech_ms)
        else:
            self._words.join(words)

    def _cut(self, ledger: PlaybackLedger, fact: Fact | None, at_ms: float) -> None:
        """The voice broke off, and says the rest again."""
        beyond_ms = ledger.heard_ms(at_ms) - ledger.known_ms()
        ledger.cut(fact.voiced_ms if isinstance(fact, facts.SynthesisFailed) else max(0.0, beyond_ms))

    def _answer_ended(
        self, ended: do.NotifyAnswerEnded, event: str, at_ms: float, providers: Mapping[Role, str]
    ) -> None:
        speech = self._speech
        if speech is not None and speech.number == ended.generation:
            self._add_answer(speech, _STOPPED[speech.stopped], at_ms, ended.latency, providers)
            self._speech = None
        elif event not in _MODELS_OWN:
            # The caller's words wait on, for another answer or for more of them.
            self.voided += 1

    def _add_answer(
        self,
        speech: _Speech,
        outcome: TurnOutcome,
        at_ms: float,
        latency: TurnLatency,
        providers: Mapping[Role, str],
    ) -> None:
        heard, unheard = speech.ledger.split(at_ms)
        whole = len(heard) + len(unheard)
        self.unheard[speech.number] = len(unheard) / whole if whole else 0.0
        self._add(
            speech.words,
            outcome,
            speech.began_ms,
            providers,
            generation=speech.number,
            by_model=speech.by_model,
            heard=heard,
            unheard=unheard,
            heard_ms=speech.ledger.heard_ms(at_ms),
            latency=latency,
        )

    def _add(
        self,
        words: _Words | None,
        outcome: TurnOutcome,
        at_ms: float,
        providers: Mapping[Role, str],
        *,
        generation: int | None = None,
        by_model: bool = False,
        heard: str = "",
        unheard: str = "",
        heard_ms: float = 0.0,
        latency: TurnLatency = NO_LATENCY,
    ) -> None:
        said = " ".join(words.texts) if words else ""
        row = TurnRow(
            call_id=self.call_id,
            number=len(self.rows) + 1,
            at_ms=whole_ms(self.epoch_ms + (words.at_ms if words else at_ms)),
            turn=words.turn if words else None,
            generation=generation,
            by_model=by_model,
            outcome=outcome.value,
            interrupted=outcome is TurnOutcome.INTERRUPTED,
            said=text_of(said),
            confidence=real_number(words.confidence) if words else None,
            speech_ms=real_number(words.speech_ms) if words else None,
            heard=text_of(heard),
            unheard=text_of(unheard),
            said_words=len(words_of(said)),
            heard_words=len(words_of(heard)),
            unheard_words=len(words_of(unheard)),
            heard_ms=real_number(heard_ms) or 0.0,
            endpoint_ms=real_number(latency.endpoint_ms),
            transcript_ms=real_number(latency.transcript_ms),
            first_segment_ms=real_number(latency.first_segment_ms),
            first_audio_ms=real_number(latency.first_audio_ms),
            total_ms=real_number(latency.total_ms),
            stt=providers[Role.STT],
            llm=providers[Role.LLM],
            tts=providers[Role.TTS],
        )
        self.rows.append(row)
