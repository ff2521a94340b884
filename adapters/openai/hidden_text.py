"""Takes out of a model's text what is not for the caller: thoughts, marks of turns, calls written as text.

Servers without a parser for their model's output send all of this as content. `places` knows what it looks
like. Text is held back only while it may be the beginning of it, or while it may turn out to be a call or
a thought, within bounds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import frozen

from adapters.interfaces import ToolSpec
from adapters.openai.places import (
    CHANNEL,
    LONGEST_END,
    LONGEST_OBJECT,
    MESSAGE,
    START,
    Kind,
    Place,
    Undecided,
    any_end_of_thought,
    names,
    places,
)
from adapters.openai.streamed_calls import ObjectScanner
from adapters.openai.written_calls import looks_like_call, written_calls
from machines.bounds import LONGEST_WRITTEN_CALL

_CHANNEL_ENDS = re.compile("|".join(map(re.escape, ("<|end|>", "<|call|>", "<|return|>", START, CHANNEL))))
_LONGEST_CHANNEL_END = len(CHANNEL)
_BLANKS = re.compile(r"[ \t]*")
_TAIL = 16
"""Characters of what was said that are remembered."""


@frozen
class Filtered:
    """What the filter makes of some text."""

    text: str = ""
    """To be said."""
    alive: bool = False
    """There was something that is not said: a sign of life."""
    calls: tuple[str, ...] = ()
    """Calls, as they were written, each with its tags."""


class HiddenTextFilter:
    """Takes the text of one answer in pieces. Where they are cut changes only blanks at the beginning.

    `offered`: tools by name. `begins_in_thought`: hold everything back until a thought ends. If none ends,
    all of it is the answer.
    """

    def __init__(
        self, offered: Mapping[str, ToolSpec] | None = None, *, begins_in_thought: bool = False
    ) -> None:
        self._offered = offered or {}
        self._places = places(names(self._offered))
        self._held = ""
        """Text that may still become part of a tag."""
        self._place: Place | None = None
        """What began and is not said; None while text is said."""
        self._opened = ""
        """The text with which it began."""
        self._inside: list[str] = []
        """The text since then."""
        self._inside_length = 0
        self._scanner = ObjectScanner()
        self._mentioned: set[str] = set()
        """Words for thoughts whose tags are only spoken of in this answer."""
        self._harmony = False
        """The message of a channel goes on."""
        self._in_thought = begins_in_thought
        self._maybe_thought: list[str] = []
        """The text so far of an answer that begins in a thought."""
        self._tail = ""
        """The end of what was said."""
        self._said = False
        """Text other than blanks was said."""
        self._given = False
        """The same, of what was given to whoever reads."""
        self._thought_over = False
        self._cut_off = False
        self.orphan = False
        """A thought ended that had not begun in the answer."""

    def push(self, piece: str) -> Filtered:
        """Add a piece."""
        self._held += piece
        return self._filter(last=False)

    def finish(self, *, cut_off: bool = False) -> Filtered:
        """End the answer. Text that was held back is said, unless it belongs to a thought or a call.

        `cut_off`: the limit of tokens ended the answer, so a thought that has not ended stays a thought.
        """
        self._cut_off = cut_off
        if self._in_thought and cut_off:
            self._maybe_thought, self._held = [], ""
        return self._filter(last=True)

    def undecided(self) -> str:
        """The text to say if the answer breaks off here: the possible beginning of a tag."""
        return "" if self._in_thought or self._place else self._held

    def _filter(self, *, last: bool) -> Filtered:
        said: list[str] = []
        calls: list[str] = []
        alive = False
        while True:
            if self._in_thought:
                progress = self._skip_first_thought(last)
            elif self._place is not None:
                progress = self._go_on_inside(self._place, last, said, calls)
            else:
                progress = self._go_on_outside(last, said, calls)
            alive = alive or bool(self._place or self._in_thought)
            if not progress:
                break
        text = self._without_blanks_after_thought("".join(said))
        return Filtered(text, alive, tuple(calls))

    def _without_blanks_after_thought(self, text: str) -> str:
        if self._thought_over and not self._given:
            text = text.lstrip()
        self._given = self._given or bool(text.strip())
        return text

    # --- outside ------------------------------------------------------------------------------------------

    def _go_on_outside(self, last: bool, said: list[str], calls: list[str]) -> bool:
        """Give the text up to what is not for the caller. Returns whether there is more to do."""
        text, start, at = self._held, 0, 0
        while (found := self._places.next(text, at)) is not None:
            self._say(text[start:found], said)
            start, at = found, found + 1
            place = self._places.read(text, found, self._tail, not self._said, last)
            if isinstance(place, Undecided):
                self._held = text[start:]
                return False
            if place is None or (place.bound is not None and place.word in self._mentioned):
                continue
            start = at = found + place.length
            if self._enter(place, text[found:start], calls):
                self._held = text[start:]
                return True
        keep = 0 if last else self._places.kept(text[max(start, at) :], self._tail)
        self._say(text[start : len(text) - keep], said)
        self._held = text[len(text) - keep :] if keep else ""
        return False

    def _say(self, text: str, said: list[str]) -> None:
        if text:
            said.append(text)
            self._tail = (self._tail + text[-_TAIL:])[-_TAIL:]
            self._said = self._said or bool(text.strip())

    def _enter(self, place: Place, opened: str, calls: list[str]) -> bool:
        """Begin what is not said. Returns whether it goes on."""
        match place.kind:
            case Kind.MARK:
                return False
            case Kind.END_OF_THOUGHT:
                self.orphan = self._thought_over = True
                return False
            case Kind.WHOLE_CALL:
                calls.append(opened)
                return False
        self._place, self._opened = place, opened
        self._inside, self._inside_length = [], 0
        self._scanner = ObjectScanner()
        self._scanner.push(opened)
        return True

    def _skip_first_thought(self, last: bool) -> bool:
        """Look for the end of a thought in the newest text. Its tag may have been cut in two."""
        before = self._maybe_thought[-1] if self._maybe_thought else ""
        window = before + self._held
        found = any_end_of_thought(window)
        if found is not None:
            self._maybe_thought, self._held, self._in_thought = [], window[found[1] :], False
            self.orphan = self._thought_over = True
            return True
        # Keep a last part that is long enough for any tag without its last character.
        cut = max(0, len(window) - LONGEST_END)
        self._maybe_thought[-1:] = [window[:cut], window[cut:]]
        self._held = ""
        if last:
            self._held, self._maybe_thought, self._in_thought = "".join(self._maybe_thought), [], False
        return last

    # --- inside -------------------------------------------------------------------------------------------

    def _go_on_inside(self, place: Place, last: bool, said: list[str], calls: list[str]) -> bool:
        if place.kind in (Kind.OBJECT, Kind.PYTHON):
            return self._collect_object(place, last, said, calls)
        if place.kind is Kind.CHANNEL:
            return self._go_on_in_channel(last, calls)
        window = self._held if place.bound is None else self._held[: place.bound - self._inside_length]
        found = place.end.search(window)
        if found is not None:
            self._take_inside(window[: found.start()])
            self._held = self._held[found.end() :]
            self._end(place, found[0], said, calls)
            return True
        if place.bound is not None and self._inside_length + len(self._held) >= place.bound:
            self._take_inside(window)
            self._held = self._held[len(window) :]
            self._is_text(place, said)
            return True
        cut = len(self._held) if last else max(0, len(self._held) - place.longest_end + 1)
        self._take_inside(self._held[:cut])
        self._held = self._held[cut:]
        if not last:
            return False
        if place.kind is Kind.THOUGHT and self._only_mentioned(place):
            self._is_text(place, said)
        else:
            self._end(place, "", said, calls)
        return True

    def _only_mentioned(self, place: Place) -> bool:
        """Whether a thought that never ended was none."""
        return place.bound is not None and not (self._cut_off and place.bound > LONGEST_OBJECT)

    def _take_inside(self, text: str) -> None:
        place = self._place
        kept = place is not None and (place.kind is not Kind.THOUGHT or place.bound is not None)
        bounded = place is not None and place.bound is not None
        if kept and (bounded or self._inside_length <= LONGEST_WRITTEN_CALL):
            self._inside.append(text)
        self._inside_length += len(text)

    def _end(self, place: Place, end: str, said: list[str], calls: list[str]) -> None:
        """What began has ended with this tag, or with the answer."""
        too_long = place.bound is None and self._inside_length > LONGEST_WRITTEN_CALL
        written = self._opened + ("" if too_long else "".join(self._inside)) + end
        if place.kind is Kind.CALL or (place.kind is Kind.FENCE and self._is_call(written)):
            calls.append(written)
        elif place.kind is Kind.FENCE:
            self._say(written, said)
        self._thought_over = self._thought_over or place.kind is not Kind.FENCE or bool(calls)
        self._leave()

    def _is_call(self, written: str) -> bool:
        return bool(written_calls(written, self._offered)) or looks_like_call(written)

    def _is_text(self, place: Place, said: list[str]) -> None:
        """What began was only text. That of a thought is looked through again, for everything else."""
        inside = "".join(self._inside)
        if place.kind is Kind.THOUGHT:
            self._mentioned.add(place.word)
            self._say(self._opened, said)
            self._held = inside + self._held
        else:
            self._say(self._opened + inside, said)
        self._leave()

    def _leave(self) -> None:
        self._place, self._opened = None, ""
        self._inside, self._inside_length = [], 0
        self._harmony = False

    def _collect_object(self, place: Place, last: bool, said: list[str], calls: list[str]) -> bool:
        """Collect a bare call until its brackets are closed. If it is not a call, say it."""
        room = LONGEST_OBJECT - self._inside_length
        window, rest = self._held[:room], self._held[room:]
        before = self._inside_length + len(self._opened)
        ended = self._scanner.end is not None
        end = self._scanner.push(window)
        self._inside.append(window)
        self._inside_length += len(window)
        self._held = rest
        full = self._inside_length >= LONGEST_OBJECT
        if end is None:
            if not (full or last):
                return False
            self._is_text(place, said)
            return True
        if place.kind is Kind.PYTHON:
            # What follows in the line tells whether it stands alone.
            after = window[0 if ended else end - before :]
            solid = after[_BLANKS.match(after).end() :]  # type: ignore[union-attr]
            if not solid and not (full or last):
                return False
            alone = solid[:1] in ("", "\n", "\r")
        else:
            alone = True
        text = self._opened + "".join(self._inside)
        written, self._held = text[:end], text[end:] + self._held
        if alone and self._is_call(written):
            calls.append(written)
            self._thought_over = True
        else:
            self._say(written, said)
        self._leave()
        return True

    # --- channels -----------------------------------------------------------------------------------------

    def _go_on_in_channel(self, last: bool, calls: list[str]) -> bool:
        """Go on in a channel of Harmony: `final` is text, and one addressed to a function is a call."""
        if not self._harmony:
            return self._read_header(last)
        found = _CHANNEL_ENDS.search(self._held)
        if found is None:
            cut = len(self._held) if last else max(0, len(self._held) - _LONGEST_CHANNEL_END + 1)
            self._take_inside(self._held[:cut])
            self._held = self._held[cut:]
            if last:
                self._end_channel(calls)
            return False
        self._take_inside(self._held[: found.start()])
        # These two tags begin the next part: leave them for it.
        self._held = self._held[found.start() if found[0] in (START, CHANNEL) else found.end() :]
        self._end_channel(calls)
        return True

    def _end_channel(self, calls: list[str]) -> None:
        if "to=functions." in self._opened:
            too_long = self._inside_length > LONGEST_WRITTEN_CALL
            calls.append(self._opened + ("" if too_long else "".join(self._inside)))
        self._thought_over = True
        self._leave()

    def _read_header(self, last: bool) -> bool:
        """Read the name of a channel, up to the beginning of its message."""
        at = self._held.find(MESSAGE)
        if at < 0:
            if last or len(self._held) > LONGEST_OBJECT:
                self._held = ""
                self._thought_over = True
                self._leave()
            return False
        header, self._held = self._held[:at], self._held[at + len(MESSAGE) :]
        if (self._opened == START and CHANNEL not in header) or "final" in header:
            self._thought_over = True
            self._leave()
        else:
            self._opened, self._harmony = f"{CHANNEL}{header}", True
        return True
