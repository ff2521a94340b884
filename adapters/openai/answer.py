"""Turns a response's bytes into an answer: its text piece by piece, its calls, and how it ended.

An answer is open until its server says why it ends, or that nothing more comes. After that the answer cannot
fail: later text and calls are taken, anything else is ignored. A response that simply ends, without a word
about why, ends its answer if that looks complete.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence

from adapters.interfaces import ProviderError, TokensUsed, ToolSpec
from adapters.openai import finish_reasons
from adapters.openai.errors import error_body
from adapters.openai.hidden_text import Filtered, HiddenTextFilter
from adapters.openai.labels import LabelFilter, Labelled
from adapters.openai.normalized_chunk import Chunk, read
from adapters.openai.repeats import Repeats
from adapters.openai.response_documents import Document, DocumentReader, Done, Read, Unreadable
from adapters.openai.streamed_calls import MadeCall, StreamedCalls, without_halves
from adapters.openai.written_calls import written_calls
from machines.bounds import LONGEST_ANSWER, LONGEST_BODY, LONGEST_PIECE, LONGEST_THOUGHTS
from machines.facts import ErrorClass
from machines.language.scripts import CLOSERS, ENDS, SPACED_ENDS

_AFTER_SENTENCE = "".join(CLOSERS) + "*_`~"
"""What may stand behind the end of a sentence: quotes, brackets, and marks for the eye."""


class Answer:
    """Reads one response.

    Args:
        provider: named in errors.
        key: error messages never show it.
        offered: tools by name.
        limit: the most tokens that were asked for; errors name it if it was too low.
        begins_in_thought: see `HiddenTextFilter`.
        new_id: gives an id to a call without one.
        note_ignored: called for every document that is neither a chunk nor an error.
        may_be_empty: the answer goes on from a text, and may have nothing to add to it.
        says_no_end: the end of a response is the end of its answer, since the server says no other.
    """

    def __init__(
        self,
        provider: str,
        key: str,
        *,
        offered: Mapping[str, ToolSpec],
        limit: int | None,
        begins_in_thought: bool,
        new_id: Callable[[int], str],
        note_ignored: Callable[[], None],
        may_be_empty: bool = False,
        says_no_end: bool = False,
    ) -> None:
        self._provider = provider
        self._key = key
        self._offered = offered
        self.limit = limit
        self._note_ignored = note_ignored
        self._may_be_empty = may_be_empty
        self._ends_with_response = may_be_empty or says_no_end
        self._events = DocumentReader()
        self._hidden = HiddenTextFilter(offered, begins_in_thought=begins_in_thought)
        self._labels = LabelFilter(offered)
        self._calls = StreamedCalls(provider, offered, new_id)
        self._repeats = Repeats()
        self._length = 0
        """Of the text that came, with its markup."""
        self.beyond_bound = False
        """It was longer than an answer may be, and is not read further."""
        self._whole = False
        """A whole message came. It ends the answer by itself."""
        self._half = ""
        """The first half of a character that was cut in two."""
        self._reasoning: list[str] = []
        self._reasoning_length = 0
        self._thought = False
        self._said = False
        """Text other than blanks was given."""
        self._unknown_calls = False
        self.finish_reason = ""
        """Why the model ended its answer, once it has."""
        self.settled = False
        """After the reason to end came what mostly comes last."""
        self.more_followed = False
        """Text, calls or thoughts came after the reason to end."""
        self.left_open = False
        """Nothing came after the reason to end, not even the end of the response."""
        self.said_its_end = False
        """The server said in some way that the answer ends."""
        self.used: TokensUsed | None = None
        """The tokens that it has taken, if the server says so."""
        self.amount = 0
        """How many chunks added something."""
        self._came = False
        """Anything came at all, or a chunk did (`_chunks`)."""
        self._chunks = False
        self.over = False
        """Nothing more is read."""
        self.failure: ProviderError | None = None
        """The error to raise once all pieces so far were given."""

    # --- reading ------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> list[str]:
        """Read these bytes; returns the pieces of text in them. An empty piece is a sign of life.

        Comments and blank lines are one, too: a server sends them while it loads a model or waits for one.
        """
        self._came = self._came or bool(data.strip())
        pieces = self._read(self._events.feed(data))
        waiting = self._events.kept_alive() and not (self.finish_reason or self.over)
        return pieces or ([""] if waiting else [])

    def end(self) -> list[str]:
        """End the response; returns the last pieces."""
        pieces = self._read(self._events.finish())
        if not self.over:
            pieces += self._take_text(self._repeats.finish())
            if self.failure is not None or not self._has_ended():
                pieces += self._failed(self.failure or self._broken_off())
        self.over = True
        return pieces

    def _has_ended(self) -> bool:
        """Whether the answer is complete as it is, now that the response has ended."""
        if self.finish_reason or self._whole:
            return True
        if not self._calls.whole:
            return False
        if self._ends_with_response:
            return self._chunks
        return bool(self._calls) or (self._said and _ends_sentence(self._repeats.said()))

    def _broken_off(self) -> ProviderError:
        what = "the answer broke off" if self._came else "an empty response came"
        return ProviderError(ErrorClass.CONNECTION, f"{self._provider}: {what}")

    def wait_no_longer(self) -> list[str]:
        """End the answer, since nothing more came for a while after its reason to end."""
        self.left_open = not self.more_followed and not self.settled
        return self.end()

    def cut(self) -> None:
        """The response is longer than one may be: end the answer as if the limit of tokens had."""
        self.finish_reason, self.over, self.beyond_bound = self.finish_reason or "length", True, True

    def break_off(self, error: ProviderError) -> None:
        """Note that the connection is lost."""
        self.failure = self.failure or error

    @property
    def complete(self) -> bool:
        """Whether the server has said why the answer ends, and has not gone on after that."""
        return self.over or (bool(self.finish_reason) and not self.more_followed)

    @property
    def lacks_content(self) -> bool:
        """Whether there is nothing to say or to do yet, although the answer ended well."""
        reason = self.finish_reason
        ended_well = not (finish_reasons.cut_off(reason) or finish_reasons.broke_off(reason))
        return ended_well and not (self._said or self._calls or self._may_be_empty)

    def _read(self, events: Sequence[Read]) -> list[str]:
        pieces: list[str] = []
        for event in events:
            if self.over:
                break
            match event:
                case Done():
                    self.over = self.said_its_end = True
                case Unreadable(what=what, web_page=web_page):
                    pieces += self._not_read(what, web_page)
                case Document():
                    for chunk in read(event):
                        if not self.over:
                            pieces += self._take(chunk)
        return pieces

    def _not_read(self, what: str, web_page: bool) -> list[str]:
        """Fail for what could not be read: it may have held text or a call that belongs to the answer."""
        if self.finish_reason:
            return []
        if web_page:
            what = "a web page came instead of an answer: is /v1 missing at the end of LLM_BASE_URL?"
            return self._fail(ErrorClass.FATAL, what)
        return self._fail(ErrorClass.TRANSIENT, what)

    def _fail(self, error_class: ErrorClass, what: str) -> list[str]:
        return self._failed(ProviderError(error_class, f"{self._provider}: {what}"))

    def _failed(self, error: ProviderError) -> list[str]:
        held = self._take_text(self._repeats.finish())
        self.failure, self.over = error, True
        undecided = self._given(Filtered(self._hidden.undecided()))
        return [*held, *undecided, *self._unlabelled(Labelled(self._labels.undecided()))]

    def _take(self, chunk: Chunk) -> list[str]:
        self.used = chunk.used or self.used
        if chunk.error is not None:
            return (
                [] if self.finish_reason else self._failed(error_body(self._provider, chunk.error, self._key))
            )
        if not chunk.understood:
            self._note_ignored()
        self._chunks = self._chunks or chunk.understood
        text = self._new_text(chunk)
        pieces = self._take_text(text)
        self._keep_reasoning(chunk.reasoning)
        try:
            called = self._calls.add(chunk.calls, repeated=chunk.whole)
        except ProviderError as error:
            return pieces if self.finish_reason else [*pieces, *self._failed(error)]
        self._note_end(chunk, adds=called or bool(text.strip()))
        self._thought = self._thought or chunk.thought
        self._whole = self._whole or chunk.whole
        if not pieces and (chunk.thought or called):
            pieces.append("")
        return pieces

    def _new_text(self, chunk: Chunk) -> str:
        return self._repeats.new(chunk, ends=bool(chunk.finish or self.finish_reason))

    def _note_end(self, chunk: Chunk, *, adds: bool) -> None:
        """Note what the chunk says about the end. If more follows a reason to end, the last reason counts."""
        self.amount += adds or chunk.thought
        self.more_followed = self.more_followed or bool(self.finish_reason and (adds or chunk.thought))
        if reason := chunk.finish:
            well = not (finish_reasons.broke_off(reason) or finish_reasons.filtered(reason))
            if not self.finish_reason or adds or (self.more_followed and well):
                self.finish_reason = reason
        self.settled = (self.settled and not adds) or bool(self.finish_reason and chunk.closes)
        self.said_its_end = self.said_its_end or bool(self.finish_reason) or chunk.ends or chunk.whole
        self.over = self.over or chunk.ends

    def _take_text(self, text: str) -> list[str]:
        if not text:
            return []
        text = text[: LONGEST_ANSWER + 1 - self._length]
        self._length += len(text)
        if self._length > LONGEST_ANSWER:
            text = text[:-1]
            self.cut()
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        text = without_halves(text[: len(text) - len(self._half)])
        pieces: list[str] = []
        for start in range(0, len(text), LONGEST_PIECE):
            pieces += self._given(self._hidden.push(text[start : start + LONGEST_PIECE]))
        return pieces

    def _given(self, filtered: Filtered) -> list[str]:
        for written in filtered.calls:
            found = written_calls(written, self._offered)
            self._unknown_calls = self._unknown_calls or not found
            for name, arguments in found:
                self._calls.add_written(name, arguments)
        self._thought = self._thought or filtered.alive
        pieces = self._unlabelled(self._labels.push(filtered.text))
        return pieces or ([""] if filtered.alive else [])

    def _unlabelled(self, labelled: Labelled) -> list[str]:
        for name, arguments in labelled.calls:
            self._calls.add_written(name, arguments)
        self._unknown_calls = self._unknown_calls or labelled.unknown_call
        self._said = self._said or bool(labelled.text.strip())
        return [labelled.text] if labelled.text else [""] if labelled.alive else []

    def _keep_reasoning(self, text: str) -> None:
        if text and self._reasoning_length <= LONGEST_THOUGHTS:
            self._reasoning.append(text)
            self._reasoning_length += len(text)

    # --- the end ------------------------------------------------------------------------------------------

    @property
    def reasoning(self) -> str:
        """The model's thoughts; empty if there were too many to keep."""
        return without_halves("".join(self._reasoning)) if self._reasoning_length <= LONGEST_THOUGHTS else ""

    @property
    def began_in_thought(self) -> bool:
        """Whether a thought ended that had not begun in the answer."""
        return self._hidden.orphan

    @property
    def was_cut_off(self) -> bool:
        """Whether the limit of tokens ended it while it was saying something."""
        return finish_reasons.at_limit(self.finish_reason) and self._said

    def last_pieces(self) -> list[str]:
        """The text that was held back, once the answer is over. May set `failure`."""
        if self.failure is not None:
            return []
        held = self._take_text(self._repeats.finish())
        cut = finish_reasons.at_limit(self.finish_reason)
        held += self._given(self._hidden.finish(cut_off=cut))
        held += self._unlabelled(self._labels.finish(cut_off=cut, called=bool(self._calls)))
        pieces = [piece for piece in held if piece]
        self.failure = self._verdict()
        return pieces

    def calls(self) -> list[MadeCall]:
        """The calls; ask after all pieces were taken. Raises `ProviderError`."""
        if self.failure is not None:
            raise self.failure
        return self._calls.finish(self.finish_reason)

    def _verdict(self) -> ProviderError | None:
        if finish_reasons.malformed(self.finish_reason):
            what = f"the model wrote a call that could not be read: {self.finish_reason}"
            return self._error(ErrorClass.UNUSABLE_ANSWER, what)
        if finish_reasons.broke_off(self.finish_reason):
            return self._error(ErrorClass.TRANSIENT, f"the server broke the answer off: {self.finish_reason}")
        if finish_reasons.filtered(self.finish_reason) and not self._calls:
            return self._error(ErrorClass.REFUSED_TEXT, f"the answer was filtered: {self.finish_reason}")
        if self._said or self._calls:
            return None
        if finish_reasons.refused(self.finish_reason):
            return self._error(ErrorClass.REFUSED_TEXT, f"an answer was refused: {self.finish_reason}")
        if self._may_be_empty:
            return None
        if self.beyond_bound:
            bound = f"{LONGEST_ANSWER:,} characters, or {LONGEST_BODY:,} bytes"
            return self._error(
                ErrorClass.UNUSABLE_ANSWER, f"nothing to say in an answer of more than {bound}"
            )
        if finish_reasons.at_limit(self.finish_reason):
            spent = "on thinking" if self._thought else "and said nothing"
            limit = "" if self.limit is None else f" ({self.limit})"
            remedy = "raise it or lower LLM_REASONING_EFFORT"
            what = f"the model spent all tokens of LLM_MAX_TOKENS{limit} {spent}; {remedy}"
            return self._error(ErrorClass.LIMIT_SPENT, what)
        if self._unknown_calls:
            return self._error(
                ErrorClass.UNUSABLE_ANSWER, "an empty answer: a call of a tool that is not offered"
            )
        ended = f" (ended: {self.finish_reason})" if self.finish_reason else ""
        return self._error(ErrorClass.UNUSABLE_ANSWER, f"an empty answer{ended}")

    def _error(self, error_class: ErrorClass, what: str) -> ProviderError:
        return ProviderError(error_class, f"{self._provider}: {what}")


def _ends_sentence(text: str) -> bool:
    """Whether nothing needs to follow: the text ends as a sentence does, or with a picture."""
    end = text.rstrip()[-20:].rstrip(_AFTER_SENTENCE).rstrip()[-1:]
    return end in SPACED_ENDS or end in ENDS or (end != "" and unicodedata.category(end) in ("So", "Sk"))
