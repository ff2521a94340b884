"""Turns a response's bytes into an answer: its text piece by piece, its calls, and how it ended.

An answer is open until its server says why it ends, or that nothing more comes. After that the answer cannot
fail: later text and calls are taken, anything else is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from adapters.interfaces import ProviderError, ToolSpec
from adapters.openai import finish_reasons
from adapters.openai.errors import error_body
from adapters.openai.events import Document, Done, EventReader, Read, Unreadable
from adapters.openai.markup import Filtered, MarkupFilter
from adapters.openai.normalized_chunk import Chunk, read
from adapters.openai.tools import MadeCall, StreamedCalls, without_halves
from adapters.openai.written_calls import written_calls
from machines.bounds import LONGEST_ANSWER, LONGEST_BODY, LONGEST_PIECE, LONGEST_THOUGHTS
from machines.facts import ErrorClass

_SHORTEST_REPEAT = 8
"""Characters: a shorter text at the end may be said twice on purpose."""


class Answer:
    """Reads one response.

    Args:
        provider: named in errors.
        key: error messages never show it.
        offered: tools by name.
        limit: the most tokens that were asked for; errors name it if it was too low.
        begins_in_thought: see `MarkupFilter`.
        new_id: gives an id to a call without one.
        note_ignored: called for every document that is neither a chunk nor an error.
        may_be_empty: an answer without text or calls is not an error.
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
    ) -> None:
        self._provider = provider
        self._key = key
        self._offered = offered
        self.limit = limit
        self._note_ignored = note_ignored
        self._may_be_empty = may_be_empty
        self._events = EventReader()
        self._markup = MarkupFilter(offered, begins_in_thought=begins_in_thought)
        self._calls = StreamedCalls(provider, offered, new_id)
        self._text: list[str] = []
        """The text that came, with its markup."""
        self._length = self._solid_from = self._solid_to = 0
        """Of that text: how long it is, and where it is not blank any more at its beginning and end."""
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
        self.over = False
        """Nothing more is read."""
        self.failure: ProviderError | None = None
        """The error to raise once all pieces so far were given."""

    # --- reading ------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> list[str]:
        """Read these bytes; returns the pieces of text in them. An empty piece is a sign of life."""
        return self._read(self._events.feed(data))

    def end(self) -> list[str]:
        """End the response; returns the last pieces."""
        pieces = self._read(self._events.finish())
        if not self.over and not self.finish_reason and not self._whole:
            broke_off = ProviderError(ErrorClass.CONNECTION, f"{self._provider}: the answer broke off")
            pieces += self._failed(self.failure or broke_off)
        self.over = True
        return pieces

    def cut(self) -> None:
        """The response is longer than one may be: end the answer as if the limit of tokens had."""
        self.finish_reason, self.over, self.beyond_bound = self.finish_reason or "length", True, True

    def break_off(self, error: ProviderError) -> None:
        """Note that the connection is lost."""
        self.failure = self.failure or error

    @property
    def complete(self) -> bool:
        """Whether the server has said that the answer ends, so that more is not worth a long wait."""
        return self.over or bool(self.finish_reason)

    def _read(self, events: Sequence[Read]) -> list[str]:
        pieces: list[str] = []
        for event in events:
            if self.over:
                break
            match event:
                case Done():
                    self.over = True
                case Unreadable(what=what, web_page=web_page):
                    pieces += self._not_read(what, web_page)
                case Document():
                    pieces += self._take(read(event))
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
        self.failure, self.over = error, True
        return self._given(Filtered(self._markup.undecided()))

    def _take(self, chunk: Chunk) -> list[str]:
        if chunk.error is not None:
            return (
                [] if self.finish_reason else self._failed(error_body(self._provider, chunk.error, self._key))
            )
        if not chunk.understood:
            self._note_ignored()
        pieces = self._take_text(self._without_repeat(chunk))
        self._keep_reasoning(chunk.reasoning)
        try:
            self._calls.add(chunk.calls)
        except ProviderError as error:
            return pieces if self.finish_reason else [*pieces, *self._failed(error)]
        self.finish_reason = self.finish_reason or chunk.finish or ""
        self._thought = self._thought or chunk.thought
        self._whole = self._whole or chunk.whole
        if not pieces and (chunk.thought or chunk.calls):
            pieces.append("")
        return pieces

    def _without_repeat(self, chunk: Chunk) -> str:
        """The chunk's text, without the answer that some servers repeat as a whole at the end."""
        ends = bool(chunk.finish or self.finish_reason)
        if not chunk.text or not self._text or not (chunk.whole or ends):
            return chunk.text
        # It is put together only for a text that is as long, so that a stream of short ones costs nothing.
        if len(chunk.text) < self._solid_to - self._solid_from:
            return chunk.text
        so_far = "".join(self._text)
        repeated = chunk.text.strip() == so_far.strip()
        if chunk.whole and (repeated and ends):
            return ""
        if len(so_far.strip()) < _SHORTEST_REPEAT:
            return chunk.text
        if chunk.whole and chunk.text.startswith(so_far):
            return chunk.text[len(so_far) :]
        return "" if repeated and len(self._text) > 1 else chunk.text

    def _take_text(self, text: str) -> list[str]:
        if not text:
            return []
        text = text[: LONGEST_ANSWER + 1 - self._length]
        self._text.append(text)
        if not text.isspace():
            if not self._solid_to:
                self._solid_from = self._length + len(text) - len(text.lstrip())
            self._solid_to = self._length + len(text.rstrip())
        self._length += len(text)
        if self._length > LONGEST_ANSWER:
            text = text[:-1]
            self.cut()
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        text = without_halves(text[: len(text) - len(self._half)])
        pieces: list[str] = []
        for start in range(0, len(text), LONGEST_PIECE):
            pieces += self._given(self._markup.push(text[start : start + LONGEST_PIECE]))
        return pieces

    def _given(self, filtered: Filtered) -> list[str]:
        for written in filtered.calls:
            found = written_calls(written, self._offered)
            self._unknown_calls = self._unknown_calls or not found
            for name, arguments in found:
                self._calls.add_written(name, arguments)
        self._said = self._said or bool(filtered.text.strip())
        self._thought = self._thought or filtered.alive
        return [filtered.text] if filtered.text else [""] if filtered.alive else []

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
        return self._markup.orphan

    @property
    def was_cut_off(self) -> bool:
        """Whether the limit of tokens ended it while it was saying something."""
        return finish_reasons.at_limit(self.finish_reason) and self._said

    def last_pieces(self) -> list[str]:
        """The text that was held back, once the answer is over. May set `failure`."""
        if self.failure is not None:
            return []
        cut = finish_reasons.at_limit(self.finish_reason)
        pieces = [piece for piece in self._given(self._markup.finish(cut_off=cut)) if piece]
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
        if self._said or self._calls or self._may_be_empty:
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
