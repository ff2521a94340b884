"""Takes out of a model's text what is not for the caller: thoughts, marks of turns, calls written as text.

Servers without a parser for their model's output send all of this as content. The filter holds text back
only while it may be the beginning of a tag: at most `_LONGEST - 1` characters.
"""

from __future__ import annotations

import re

from attrs import frozen

from adapters.openai.tools import ARGUMENT_KEYS, NAME_KEYS, ObjectScanner
from machines.bounds import LONGEST_WRITTEN_CALL

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
"""Tags before calls, each with the tag that ends them. Empty: the end of the answer ends them."""
_OBJECTS = tuple(
    f'{{{blank}"{name}"'
    for blank in ("", " ", "\n", "\n  ", "\n    ")
    for name in ("name", "function", "tool")
)
"""Beginnings of a call that is written as a bare object."""
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
"""Marks that a template writes around turns. They are dropped."""

_OPENERS = (*_THOUGHTS, *_CALLS, *_OBJECTS, _CHANNEL, _START, *_MARKS)
_ORPHANS = tuple(_THOUGHTS.values())
"""Ends of thoughts. If the model's template opened the thought, the answer has only its end."""
_TAGS = (*_OPENERS, *_ORPHANS)
_TAG = re.compile("|".join(re.escape(tag) for tag in sorted(_TAGS, key=len, reverse=True)))
_LONGEST = max(map(len, _TAGS))
_PREFIXES = frozenset(tag[:length] for tag in _TAGS for length in range(1, len(tag)))
_LONGEST_OBJECT = 2048
"""Characters of a bare object that may be a call. A longer one is said."""


@frozen
class Filtered:
    """What the filter makes of some text."""

    text: str = ""
    """To be said."""
    alive: bool = False
    """There was something that is not said: a sign of life."""
    calls: tuple[str, ...] = ()
    """Calls, as they were written, each with its tags."""


class MarkupFilter:
    """Takes the text of one answer in pieces. Where they are cut changes only blanks at the beginning.

    `begins_in_thought`: hold everything back until a thought ends. If none ends, all of it is the answer.
    """

    def __init__(self, *, begins_in_thought: bool = False) -> None:
        self._held = ""
        """Text that may still become part of a tag."""
        self._opened = ""
        """The tag that opened what is not said; empty while text is said."""
        self._inside: list[str] = []
        """The text since that tag."""
        self._inside_length = 0
        self._object = ObjectScanner()
        """Finds the end of the bare object."""
        self._harmony = False
        """The message of a channel goes on."""
        self._in_thought = begins_in_thought
        self._maybe_thought: list[str] = []
        """The text so far of an answer that begins in a thought."""
        self._said = False
        """Text other than blanks was given."""
        self._thought_over = False
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
        if self._in_thought and cut_off:
            self._maybe_thought, self._held = [], ""
        return self._filter(last=True)

    def undecided(self) -> str:
        """The text to say if the answer breaks off here: the possible beginning of a tag."""
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
        """Give the text up to the next tag. Returns whether there is more to do."""
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
            if tag in _OBJECTS:
                self._object = ObjectScanner()
                self._object.push(tag)
        return True

    def _beginning_of_tag(self) -> int:
        """How many characters at the end may be the beginning of a tag."""
        for length in range(min(_LONGEST - 1, len(self._held)), 0, -1):
            if self._held[-length:] in _PREFIXES:
                return length
        return 0

    def _skip_first_thought(self, last: bool) -> bool:
        """Look for the end of a thought in the newest text. Its tag may have been cut in two."""
        before = self._maybe_thought[-1] if self._maybe_thought else ""
        window = before + self._held
        found = [(at, tag) for tag in _ORPHANS if (at := window.find(tag)) >= 0]
        if found:
            at, tag = min(found)
            self._maybe_thought, self._held, self._in_thought = [], window[at + len(tag) :], False
            self.orphan = self._thought_over = True
            return True
        # Keep a last part that is long enough for any tag without its last character.
        cut = max(0, len(window) - _LONGEST)
        self._maybe_thought[-1:] = [window[:cut], window[cut:]]
        self._held = ""
        if last:
            self._held, self._maybe_thought, self._in_thought = "".join(self._maybe_thought), [], False
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
        """Skip up to the first of these ends, and the end itself."""
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
        # These two tags begin the next part: leave them for it.
        self._held = self._held[at:] if end in (_START, _CHANNEL) else self._held[at + len(end) :]
        self._close()
        return True

    def _take_inside(self, text: str, keep: bool) -> None:
        if keep and self._inside_length <= LONGEST_WRITTEN_CALL:
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
        text = "".join(self._inside) if self._inside_length <= LONGEST_WRITTEN_CALL else ""
        self._inside, self._inside_length = [], 0
        return text

    def _collect_object(self, last: bool, calls: list[str], said: list[str]) -> bool:
        """Collect a bare object until it is whole. If it is not a call, say it."""
        self._inside.append(self._held)
        self._inside_length += len(self._held)
        end = self._object.push(self._held)
        self._held = ""
        if end is None and not last and len(self._opened) + self._inside_length <= _LONGEST_OBJECT:
            return False
        text = self._opened + "".join(self._inside)
        written, rest = text[: end or len(text)], text[end or len(text) :]
        if end is not None and looks_like_call(written):
            calls.append(written)
            self._close()
        else:
            said.append(written)
            self._opened = ""
        self._inside, self._inside_length, self._held = [], 0, rest
        return True

    def _go_on_in_channel(self, last: bool, calls: list[str]) -> bool:
        """Go on in a channel of Harmony: `final` is text, and one addressed to a function is a call."""
        if not self._harmony:
            return self._read_header(last)
        addressed = "to=functions." in self._opened
        opened = self._opened
        more = self._skip_to(_CHANNEL_ENDS, last, keep=addressed)
        if not self._opened and addressed:
            calls.append(opened + self._collected())
        return more

    def _read_header(self, last: bool) -> bool:
        """Read the name of a channel, up to the beginning of its message."""
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
    """Whether an object has the fields of a call."""
    return bool(_ARGUMENT_KEY.search(text) and _NAME_KEY.search(text))
