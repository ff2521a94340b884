"""Takes out of a model's text what is not for the caller: thoughts, marks of turns, calls written as text.

Servers without a parser for their model's output send all of this as content. The filter holds text back
only while it may be the beginning of a tag, so at most `_LONGEST - 1` characters of what is said.
"""

from __future__ import annotations

import re

from attrs import frozen

from adapters.openai.tools import ARGUMENT_KEYS, NAME_KEYS

_THOUGHTS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "<seed:think>": "</seed:think>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
}
_CALLS = {
    "<tool_call>": "</tool_call>",
    "<function_call>": "</function_call>",
    "<function=": "</function>",
    "<|tool_call|>": "",
    "[TOOL_CALLS]": "",
    "<|python_tag|>": "",
    "<｜tool▁calls▁begin｜>": "<｜tool▁calls▁end｜>",
    "<|tool_calls_section_begin|>": "<|tool_calls_section_end|>",
    "```json\n{": "```",
    "```tool_call\n{": "```",
}
"""Tags between which calls are written, with what ends them; empty: the end of the answer."""
_OBJECTS = tuple(
    f'{{{blank}"{name}"'
    for blank in ("", " ", "\n", "\n  ", "\n    ")
    for name in ("name", "function", "tool")
)
"""How a call begins that is written as a bare object."""
_CHANNEL, _MESSAGE, _START = "<|channel|>", "<|message|>", "<|start|>"
"""OpenAI's Harmony: `<|start|>assistant<|channel|>analysis<|message|>…<|end|>`."""
_CHANNEL_ENDS = ("<|end|>", "<|call|>", "<|return|>", _START, _CHANNEL)
_MARKS = (
    "<|im_start|>assistant",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|endoftext|>",
    "<|end_of_turn|>",
    "<end_of_turn>",
    "<start_of_turn>model",
    "</s>",
    "<｜end▁of▁sentence｜>",
)
"""What a template writes around turns: dropped."""

_OPENERS = (*_THOUGHTS, *_CALLS, *_OBJECTS, _CHANNEL, _START, *_MARKS)
_ORPHANS = tuple(_THOUGHTS.values())
"""Ends of thoughts whose beginning the template has written, so that nobody was sent it."""
_TAGS = (*_OPENERS, *_ORPHANS)
_TAG = re.compile("|".join(re.escape(tag) for tag in sorted(_TAGS, key=len, reverse=True)))
_LONGEST = max(map(len, _TAGS))
_PREFIXES = frozenset(tag[:length] for tag in _TAGS for length in range(1, len(tag)))
LONGEST_CALL = 16_384
"""Characters of a call that is written as text; what is longer is none, and is dropped."""
_LONGEST_OBJECT = 2048
"""The same of a bare object, which is said if it is no call."""


@frozen
class Filtered:
    """What came of some text."""

    text: str = ""
    """To be said."""
    alive: bool = False
    """Something came that is not said."""
    calls: tuple[str, ...] = ()
    """Calls, as they were written, each with its tags."""


class MarkupFilter:
    """Takes the text of one answer in pieces cut anywhere; what it gives does not depend on where, but for
    blanks at its beginning.

    `begins_in_thought`: hold everything back until a thought ends. If none does, it was the answer.
    """

    def __init__(self, *, begins_in_thought: bool = False) -> None:
        self._held = ""
        """What is not decided on yet."""
        self._opened = ""
        """The tag that opened what is not said; empty while text is said."""
        self._inside: list[str] = []
        """What came since then."""
        self._inside_length = 0
        self._harmony = False
        """A channel is named: nothing is text until its message begins."""
        self._in_thought = begins_in_thought
        self._withheld: list[str] = []
        """What came so far of an answer that begins in a thought."""
        self._said = False
        """Some text was given, other than blanks after a thought."""
        self._thought_over = False
        self.orphan = False
        """A thought ended that nobody saw begin."""

    def push(self, piece: str) -> Filtered:
        """Add a piece."""
        self._held += piece
        return self._filter(last=False)

    def finish(self, *, cut_off: bool = False) -> Filtered:
        """No more comes: what was held back is text, unless it belongs to a thought or a call.

        `cut_off`: the answer ended before its end, so that a thought that did not end is one.
        """
        if self._in_thought and cut_off:
            self._withheld, self._held = [], ""
        return self._filter(last=True)

    def undecided(self) -> str:
        """What is held back while it may be the beginning of a tag, should the answer break off here."""
        return "" if self._in_thought or self._opened else self._held

    def _filter(self, *, last: bool) -> Filtered:
        said: list[str] = []
        calls: list[str] = []
        alive = False
        while True:
            if self._in_thought:
                progress = self._skip_first_thought(last)
            elif self._opened:
                progress = self._go_on_inside(last, said, calls)
            else:
                progress = self._go_on_outside(last, said)
            alive = alive or bool(self._opened or self._in_thought)
            if not progress:
                break
        text = self._without_blanks_after_thought("".join(said))
        return Filtered(text, alive, tuple(calls))

    def _without_blanks_after_thought(self, text: str) -> str:
        if self._thought_over and not self._said:
            text = text.lstrip()
        self._said = self._said or bool(text.strip())
        return text

    # --- outside of tags ----------------------------------------------------------------------------------

    def _go_on_outside(self, last: bool, said: list[str]) -> bool:
        """Give text up to the next tag. Returns whether there is more to do."""
        match = _TAG.search(self._held)
        if match is None:
            keep = 0 if last else self._beginning_of_tag()
            end = len(self._held) - keep
            said.append(self._held[:end])
            self._held = self._held[end:]
            return False
        tag = match[0]
        said.append(self._held[: match.start()])
        self._held = self._held[match.end() :]
        if tag in _ORPHANS:
            self.orphan = self._thought_over = True
        elif tag not in _MARKS:
            self._opened = tag
            self._inside, self._inside_length = [], 0
        return True

    def _beginning_of_tag(self) -> int:
        """How many characters at the end may be the beginning of a tag."""
        for length in range(min(_LONGEST - 1, len(self._held)), 0, -1):
            if self._held[-length:] in _PREFIXES:
                return length
        return 0

    def _skip_first_thought(self, last: bool) -> bool:
        """Find the end of a thought in what came last, where it may have been cut."""
        before = self._withheld[-1] if self._withheld else ""
        window = before + self._held
        found = [(at, tag) for tag in _ORPHANS if (at := window.find(tag)) >= 0]
        if found:
            at, tag = min(found)
            self._withheld, self._held, self._in_thought = [], window[at + len(tag) :], False
            self.orphan = self._thought_over = True
            return True
        # The last part is kept long enough to hold all but the last character of any tag.
        cut = max(0, len(window) - _LONGEST)
        self._withheld[-1:] = [window[:cut], window[cut:]]
        self._held = ""
        if last:
            self._held, self._withheld, self._in_thought = "".join(self._withheld), [], False
        return last

    # --- inside of tags -----------------------------------------------------------------------------------

    def _go_on_inside(self, last: bool, said: list[str], calls: list[str]) -> bool:
        if self._opened in _THOUGHTS:
            return self._skip_to((_THOUGHTS[self._opened],), last, keep=False)
        if self._opened in _CALLS:
            return self._collect_call(last, calls, said)
        if self._opened in _OBJECTS:
            return self._collect_object(last, calls, said)
        return self._go_on_in_channel(last, calls)

    def _skip_to(self, ends: tuple[str, ...], last: bool, *, keep: bool) -> bool:
        """Consume up to the first of these ends, which is consumed too."""
        found = [(at, end) for end in ends if (at := self._held.find(end)) >= 0]
        if not found:
            longest = max(map(len, ends))
            cut = len(self._held) if last else max(0, len(self._held) - longest + 1)
            self._take_inside(self._held[:cut], keep)
            self._held = self._held[cut:]
            if last:
                self._close()
            return False
        at, end = min(found)
        self._take_inside(self._held[:at], keep)
        # What begins another part is left for it.
        self._held = self._held[at:] if end in (_START, _CHANNEL) else self._held[at + len(end) :]
        self._close()
        return True

    def _take_inside(self, text: str, keep: bool) -> None:
        if keep and self._inside_length <= LONGEST_CALL:
            self._inside.append(text)
            self._inside_length += len(text)

    def _close(self) -> None:
        self._opened = ""
        self._harmony = False
        self._thought_over = True

    def _collect_call(self, last: bool, calls: list[str], said: list[str]) -> bool:
        opened, end = self._opened, _CALLS[self._opened]
        if not end:
            self._take_inside(self._held, keep=True)
            self._held = ""
            if last:
                self._close()
                calls.append(opened + self._collected())
            return False
        more = self._skip_to((end,), last, keep=True)
        if not self._opened:
            written = opened + self._collected()
            if opened.startswith("```") and not looks_like_call(written):
                said.append(written + (end if more else ""))
            else:
                calls.append(written)
        return more

    def _collected(self) -> str:
        text = "".join(self._inside) if self._inside_length <= LONGEST_CALL else ""
        self._inside, self._inside_length = [], 0
        return text

    def _collect_object(self, last: bool, calls: list[str], said: list[str]) -> bool:
        """A bare object ends where it is whole. What is no call is text after all."""
        text = self._opened + "".join(self._inside) + self._held
        self._inside.append(self._held)
        held, self._held = self._held, ""
        end = _end_of_object(text) if "}" in held else None
        if end is None and not last and len(text) <= _LONGEST_OBJECT:
            return False
        written, rest = text[: end or len(text)], text[end or len(text) :]
        if end is not None and looks_like_call(written):
            calls.append(written)
            self._close()
        else:
            said.append(written)
            self._opened = ""
        self._inside, self._held = [], rest
        return True

    def _go_on_in_channel(self, last: bool, calls: list[str]) -> bool:
        """Of Harmony's channels `final` is text, one that is addressed to a function a call."""
        if not self._harmony:
            return self._read_header(last)
        addressed = "to=functions." in self._opened
        opened = self._opened
        more = self._skip_to(_CHANNEL_ENDS, last, keep=addressed)
        if not self._opened and addressed:
            calls.append(opened + self._collected())
        return more

    def _read_header(self, last: bool) -> bool:
        """The name of a channel, up to where its message begins."""
        at = self._held.find(_MESSAGE)
        if at < 0:
            if last or len(self._held) > _LONGEST_OBJECT:
                self._held = ""
                self._close()
            return False
        header, self._held = self._held[:at], self._held[at + len(_MESSAGE) :]
        if (self._opened == _START and _CHANNEL not in header) or "final" in header:
            self._close()
        else:
            self._opened, self._harmony = f"{_CHANNEL}{header}", True
            self._inside, self._inside_length = [], 0
        return True


_ARGUMENT_KEY, _NAME_KEY = (re.compile(rf'"(?:{"|".join(keys)})"\s*:') for keys in (ARGUMENT_KEYS, NAME_KEYS))


def looks_like_call(text: str) -> bool:
    """Whether an object has what a call has."""
    return bool(_ARGUMENT_KEY.search(text) and _NAME_KEY.search(text))


def _end_of_object(text: str) -> int | None:
    """Where the object at the beginning of this text ends."""
    depth, in_text, escaped = 0, False, False
    for at, character in enumerate(text):
        if in_text:
            escaped, in_text = character == "\\" and not escaped, character != '"' or escaped
        elif character == '"':
            in_text = True
        elif character in "{[":
            depth += 1
        elif character in "}]":
            depth -= 1
            if depth == 0:
                return at + 1
    return None
