"""From a response's bytes to an answer: its text piece by piece, its calls, and how it ended.

An answer is open until its server says why it ends, or that nothing more comes. From then on nothing can fail
it: what still comes is taken if it is text or a call, else left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from adapters.interfaces import ProviderError, ToolSpec
from adapters.openai import finish_reasons
from adapters.openai.errors import error_body
from adapters.openai.events import Document, Done, EventReader, Read, Unreadable
from adapters.openai.markup import Filtered, MarkupFilter
from adapters.openai.normalized_chunk import Chunk, read
from adapters.openai.tools import MadeCall, StreamedCalls, without_halves, written_calls
from machines.facts import ErrorClass

LONGEST_PIECE = 4096
"""Characters: a longer text is given in pieces, so that nobody who takes them works long on one."""
LONGEST_ANSWER = 200_000
"""Characters of text, some three hours of speech; what comes after is not read."""
_LONGEST_REASONING = 65_536
"""Characters that are kept to be given back."""
_SHORTEST_REPEAT = 8
"""Characters: a shorter text at the end may be said twice on purpose."""


class Answer:
    """Reads one response.

    Args:
        provider: named in errors.
        key: kept out of errors.
        offered: tools by name.
        limit: the tokens that were asked for at most, named where they were too few.
        begins_in_thought: see `MarkupFilter`.
        new_id: gives an id to a call without one.
        note_ignored: told of every document that is neither a chunk nor an error.
        may_be_empty: an answer without text and calls is none the worse.
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
        self._markup = MarkupFilter(begins_in_thought=begins_in_thought)
        self._calls = StreamedCalls(provider, offered, new_id)
        self._text: list[str] = []
        """What came as text, markup included."""
        self._length = 0
        self._whole = False
        """A whole message came, which needs no other end."""
        self._half = ""
        """The first half of a character that was cut in two."""
        self._reasoning: list[str] = []
        self._reasoning_length = 0
        self._thought = False
        self._said = False
        """Something that is no blank was given."""
        self._unknown_calls = False
        self.finish_reason = ""
        """Why the model ended its answer, once it has."""
        self.over = False
        """Nothing more is read."""
        self.failure: ProviderError | None = None
        """Why the answer cannot be gone on with: to be raised when all pieces so far were given."""

    # --- what is read -------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> list[str]:
        """The pieces of text that these bytes bring. Empty ones are signs of life."""
        return self._read(self._events.feed(data))

    def end(self) -> list[str]:
        """The response is over: the last pieces."""
        pieces = self._read(self._events.finish())
        if not self.over and not self.finish_reason and not self._whole:
            broke_off = ProviderError(ErrorClass.CONNECTION, f"{self._provider}: the answer broke off")
            pieces += self._failed(self.failure or broke_off)
        self.over = True
        return pieces

    def break_off(self, error: ProviderError) -> None:
        """The connection is lost."""
        self.failure = self.failure or error

    @property
    def complete(self) -> bool:
        """Whether the server has said that the answer ends: it is not worth waiting long for more."""
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
        """It may have held text, or a call, and without them the answer would not be the model's."""
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
        """The chunk's text, unless it is the whole answer once more, as some servers send it at the end."""
        ends = bool(chunk.finish or self.finish_reason)
        if not chunk.text or not self._text or not (chunk.whole or ends):
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
        self._text.append(text)
        self._length += len(text)
        if self._length > LONGEST_ANSWER:
            text = text[: max(0, len(text) - (self._length - LONGEST_ANSWER))]
            self.finish_reason, self.over = self.finish_reason or "length", True
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
        if text and self._reasoning_length <= _LONGEST_REASONING:
            self._reasoning.append(text)
            self._reasoning_length += len(text)

    # --- how it ended -------------------------------------------------------------------------------------

    @property
    def reasoning(self) -> str:
        """What the model thought, as far as it is worth keeping."""
        return (
            without_halves("".join(self._reasoning)) if self._reasoning_length <= _LONGEST_REASONING else ""
        )

    @property
    def began_in_thought(self) -> bool:
        """A thought ended that nobody saw begin."""
        return self._markup.orphan

    @property
    def was_cut_off(self) -> bool:
        """It ended at the limit, in the midst of what it said."""
        return finish_reasons.at_limit(self.finish_reason) and self._said

    def last_pieces(self) -> list[str]:
        """What was held back, once the answer is over. May set `failure`."""
        if self.failure is not None:
            return []
        cut = finish_reasons.at_limit(self.finish_reason)
        pieces = [piece for piece in self._given(self._markup.finish(cut_off=cut)) if piece]
        self.failure = self._verdict()
        return pieces

    def calls(self) -> list[MadeCall]:
        """The calls, after all pieces. Raises `ProviderError`."""
        if self.failure is not None:
            raise self.failure
        return self._calls.finish(self.finish_reason)

    def _verdict(self) -> ProviderError | None:
        if finish_reasons.broke_off(self.finish_reason):
            return self._error(ErrorClass.TRANSIENT, f"the server broke the answer off: {self.finish_reason}")
        if finish_reasons.filtered(self.finish_reason) and not self._calls:
            return self._error(ErrorClass.REFUSED_TEXT, f"the answer was withheld: {self.finish_reason}")
        if self._said or self._calls or self._may_be_empty:
            return None
        if finish_reasons.at_limit(self.finish_reason):
            spent = "on thinking" if self._thought else "and said nothing"
            limit = "" if self.limit is None else f" ({self.limit})"
            remedy = "raise it or lower LLM_REASONING_EFFORT"
            what = f"the model spent all tokens of LLM_MAX_TOKENS{limit} {spent}; {remedy}"
            return self._error(ErrorClass.FATAL, what)
        if self._unknown_calls:
            return self._error(ErrorClass.TRANSIENT, "an empty answer: a call of a tool that is not offered")
        ended = f" (ended: {self.finish_reason})" if self.finish_reason else ""
        return self._error(ErrorClass.TRANSIENT, f"an empty answer{ended}")

    def _error(self, error_class: ErrorClass, what: str) -> ProviderError:
        return ProviderError(error_class, f"{self._provider}: {what}")
