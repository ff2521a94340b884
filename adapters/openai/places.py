"""What may begin at a place in a model's text: a thought, a call of a tool, a mark of a turn, or only text.

| in the text | taken for |
|---|---|
| a tag named after thinking (`<think>`, `<mm:think>`, `[THINK]`), before anything else | a thought |
| the same later on | a thought if it ends, otherwise text |
| a tag named after tools, functions or a tool on offer, with something like a call in it | a call |
| an object or a list of objects, bare or in a fence, that names a tool and its arguments | a call |
| `name(...)` or `name{...}` of a tool on offer, on its own | a call |
| marks that templates write around turns and channels | – |
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from functools import lru_cache

from attrs import evolve, frozen

from machines.bounds import LONGEST_THOUGHTS

LONGEST_OBJECT = 2048
"""Characters of an object or a fence that may be a call. A longer one is said."""
_LONGEST_MENTION = 500
"""Characters after the tag of a thought within a sentence: the thought has ended by then, or is none."""

CHANNEL, MESSAGE, START = "<|channel|>", "<|message|>", "<|start|>"
"""OpenAI's Harmony: `<|start|>assistant<|channel|>analysis<|message|>…<|end|>`."""
_MARKS = frozenset(
    (
        *("<|im_start|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|eot_id|>", "<|eom_id|>"),
        *("<|end_of_text|>", "<|endoftext|>", "<|end_of_turn|>", "<end_of_turn>", "<start_of_turn>"),
        *("</s>", "<｜end▁of▁sentence｜>", "<channel|>", "<|end_header_id|>", "<|begin_of_text|>"),
    )
)
_BEFORE_ROLES = ("<|im_start|>", "<start_of_turn>", "<|start_header_id|>", "<|start_of_role|>")
_OWN_ROLES = ("assistant", "model")
_OTHER_ROLES = ("user", "human", "system", "tool", "ipython", "observation")
_ROLES = re.compile("|".join((*_OWN_ROLES, *_OTHER_ROLES)))
_ROLES_SO_FAR = frozenset(
    role[:length] for role in (*_OWN_ROLES, *_OTHER_ROLES) for length in range(len(role))
)
_TEMPLATE_MARK = re.compile(r"<\|([a-z][a-z0-9_]{0,31})\|>")
"""A tag that only templates write, such as `<|assistant|>`."""
_OWN_TURN = re.compile(
    r"(?:<\|(?:im_start|start_header_id|start_of_role)\|>|<start_of_turn>)(?:assistant|model)|<\|assistant\|>"
)
_LONGEST_OWN_TURN = len("<|start_header_id|>assistant")
_ENDS_OF_TEXT = ("</s>", "<|endoftext|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>")

_THINKING = frozenset(
    (
        *("think", "thinking", "thought", "thoughts", "reasoning", "scratchpad", "monologue", "reflection"),
        *("antthinking", "analysis", "internal"),
    )
)
_CALLING = frozenset(
    (
        *("tool", "tools", "toolcall", "toolcalls", "tooluse", "function", "functions", "functioncall"),
        *("functioncalls", "invoke", "plugin", "dsml"),
    )
)
_ACTION = frozenset(("action", "start"))
_TAG_NAME = re.compile(r"<([\w:.▁|｜/-]{1,80})")
_PARTS = re.compile(r"[:|｜▁_.\-/]+")
_ATTRIBUTES = re.compile(r"(?:[\s=][^<>\n]{0,200})?>")
_ATTRIBUTES_SO_FAR = re.compile(r"(?:[\s=][^<>\n]{0,200})?\Z")
_CALL_FOLLOWS = re.compile(r"\s{0,40}(?:[{\[<`]|call:)|\n?[\w.-]{1,64}(?:[({<]|\[ARGS\]|[ \t]*\n)")
_CALL_FOLLOWS_SO_FAR = re.compile(r"(?:\s{0,40}c?a?l?l?|\n?[\w.-]{0,64}(?:[ \t]*|\[A?R?G?S?))\Z")
_BRACKETED = re.compile(r"\[(/?)([A-Za-z_]{1,20})\]")
_BRACKETED_CALL = re.compile(r"(?:tool|function)_?calls?", re.IGNORECASE)
_OBJECT = re.compile(r"""(?:\[\s{0,40})?\{\s{0,40}["']""")
_OBJECT_SO_FAR = re.compile(r"(?:\[\s{0,40})?(?:\{\s{0,40})?\Z")
_BRACKET_SO_FAR = re.compile(r"\[(?:/?[A-Za-z_]{0,20}|\s{0,20}[\w.]{0,80})\Z")
_FENCE = re.compile(r"```[\w+#.-]{0,20}[ \t]{0,9}\r?\n\s{0,40}")
_FENCE_SO_FAR = re.compile(r"(?:`{1,3}|```[\w+#.-]{0,20}[ \t]{0,9}(?:\r?\n\s{0,40}|\r)?)\Z")
_FENCE_END = re.compile("```")
_NEVER = re.compile(r"(?!)")
_THINK_SIGN, _THINK_SIGN_END = "◁think▷", "◁/think▷"
_BEFORE_NAMES = r"(?:call:|functions\.|default_api\.|tools\.)?"
_SENTENCE_ENDS = ".!?:;…。！？：；"


class Kind(enum.Enum):
    """What something in the text is taken for."""

    THOUGHT = "thought"
    END_OF_THOUGHT = "end_of_thought"
    CALL = "call"
    WHOLE_CALL = "whole_call"
    """A call that needs no end."""
    FENCE = "fence"
    OBJECT = "object"
    """A call in brackets, if it turns out to be one."""
    PYTHON = "python"
    """The same, if nothing follows it in its line."""
    CHANNEL = "channel"
    MARK = "mark"
    REST = "rest"
    """Another turn, which the model made up. Nothing after it is for the caller."""


@frozen
class Place:
    """What begins here."""

    kind: Kind
    length: int
    """Of the text that tells so."""
    end: re.Pattern[str] = _NEVER
    longest_end: int = 1
    word: str = ""
    """What a thought is called in its tag."""
    bound: int | None = None
    """Within so many characters it must end; otherwise it is text."""


class Undecided:
    """More text must come first."""


UNDECIDED = Undecided()


class Places:
    """Finds what is not for the caller. `offered`: the names of tools."""

    def __init__(self, offered: frozenset[str]) -> None:
        self._offered = offered
        names = "|".join(re.escape(name) for name in sorted(offered, key=len, reverse=True))
        called = rf"(?<![\w.:]){_BEFORE_NAMES}(?:{names})(?=[({{])" if names else "(?!)"
        self._trigger = re.compile(rf"[<\[{{`◁]|functools(?=\[)|{called}")
        self._in_brackets = re.compile(rf"\[\s{{0,20}}{called}")
        self._in_fence = re.compile(rf"[{{\[]|print\(|{called}")
        whole = {f"{before}{name}" for name in offered for before in ("", "call:", "functions.", "tools.")}
        self._beginnings = frozenset(
            each[:length] for each in {*whole, "functools"} for length in range(1, len(each) + 1)
        )
        self._longest = max(map(len, self._beginnings))

    def next(self, text: str, at: int) -> int | None:
        """Where something may begin that is not for the caller."""
        found = self._trigger.search(text, at)
        return None if found is None else found.start()

    def kept(self, text: str, before: str) -> int:
        """How many characters at the end may be the beginning of a tool's name, which begins a word."""
        for length in range(min(self._longest, len(text)), 0, -1):
            if text[-length:] in self._beginnings:
                previous = text[-length - 1 : -length] or (before[-1:] if length == len(text) else "")
                return 0 if previous.isalnum() or previous == "_" else length
        return 0

    def read(self, text: str, at: int, before: str, first: bool, last: bool) -> Place | Undecided | None:
        """What begins at this place; None if it is only text.

        `before`: the text before. `first`: it is blank. `last`: nothing follows the text.
        """
        found: Place | Undecided | None
        match text[at]:
            case "<":
                found = self._tag(text, at, first, last)
            case "[":
                found = self._bracket(text, at, first)
            case "{":
                found = _object(text, at)
            case "`":
                found = self._fence(text, at)
            case "◁":
                found = _sign(text, at)
            case _:
                found = self._name(text, at, before)
        if isinstance(found, Place) and found.kind is Kind.THOUGHT and not (first and found.bound is None):
            bound = LONGEST_THOUGHTS if first or begins_sentence(before) else _LONGEST_MENTION
            return evolve(found, bound=bound)
        return None if last and found is UNDECIDED else found

    def _tag(self, text: str, at: int, first: bool, last: bool) -> Place | Undecided | None:
        named = _TAG_NAME.match(text, at)
        if named is None:
            return UNDECIDED if at == len(text) - 1 else None
        if named.end() == len(text) and not last:
            return UNDECIDED if len(named[1]) < 80 else None
        name = named[1]
        if text.startswith(">", named.end()):
            special = _special(text, at, named[0] + ">", first, last)
            if special is not None:
                return special
        word = name.strip("|｜/").casefold()
        parts = [part for part in _PARTS.split(word) if part]
        thought = bool(parts) and parts[-1] in _THINKING
        call = name.strip("/") in self._offered or not {*parts}.isdisjoint(_CALLING) or word == "python_tag"
        if not (thought or call or {*parts} >= _ACTION or parts == ["action", "end"]):
            written = _TEMPLATE_MARK.match(text, at)
            return Place(Kind.MARK, len(written[0])) if written else None
        rest = _ATTRIBUTES.match(text, named.end())
        if rest is None:
            return UNDECIDED if _ATTRIBUTES_SO_FAR.match(text, named.end()) else None
        length = rest.end() - at
        closes = name.lstrip("|｜").startswith("/") or "end" in parts or re.fullmatch(r"\w[^|]*\|", name)
        if thought:
            if closes:
                return Place(Kind.END_OF_THOUGHT, length)
            return Place(Kind.THOUGHT, length, *_end_of_tag(name), word=parts[-1])
        if closes:
            return Place(Kind.MARK, length)
        if rest[0].endswith("/>") or name.endswith("/"):
            return Place(Kind.WHOLE_CALL, length)
        if len(rest[0]) == 1 and not re.search("[|｜▁]", name) and not _CALL_FOLLOWS.match(text, rest.end()):
            return UNDECIDED if _CALL_FOLLOWS_SO_FAR.match(text, rest.end()) else None
        return Place(Kind.CALL, length, *_end_of_tag(name))

    def _bracket(self, text: str, at: int, first: bool) -> Place | Undecided | None:
        if named := _BRACKETED.match(text, at):
            name, length = named[2], named.end() - at
            end = (re.compile(rf"\[/{name}\]", re.IGNORECASE), length + 1)
            if name.casefold() in _THINKING:
                if named[1]:
                    return Place(Kind.END_OF_THOUGHT, length)
                # In small letters it may be a stage direction: then it has no end.
                return Place(
                    Kind.THOUGHT, length, *end, word=name.casefold(), bound=0 if name != "THINK" else None
                )
            if name == "INST":
                return Place(Kind.MARK, length) if named[1] else Place(Kind.REST, length, *end)
            if _BRACKETED_CALL.fullmatch(name):
                return Place(Kind.MARK, length) if named[1] else Place(Kind.CALL, length, *end)
        if found := _OBJECT.match(text, at) or self._in_brackets.match(text, at):
            return Place(Kind.OBJECT, found.end() - at, bound=LONGEST_OBJECT)
        so_far = _OBJECT_SO_FAR.match(text, at) or _BRACKET_SO_FAR.match(text, at)
        return UNDECIDED if so_far else None

    def _fence(self, text: str, at: int) -> Place | Undecided | None:
        opened = _FENCE.match(text, at)
        if opened is not None:
            if self._in_fence.match(text, opened.end()):
                return Place(Kind.FENCE, opened.end() - at, _FENCE_END, 3, bound=LONGEST_OBJECT)
            rest = text[opened.end() : opened.end() + self._longest + 1]
            if rest in self._beginnings or "print(".startswith(rest):
                return UNDECIDED
            return None
        return UNDECIDED if _FENCE_SO_FAR.match(text, at) else None

    def _name(self, text: str, at: int, before: str) -> Place | None:
        found = self._trigger.match(text, at)
        assert found is not None, "only called where a name begins"
        if found[0] == "functools":
            return Place(Kind.OBJECT, len(found[0]), bound=LONGEST_OBJECT)
        return Place(Kind.PYTHON, len(found[0]), bound=LONGEST_OBJECT) if begins_sentence(before) else None


@lru_cache(256)
def places(offered: frozenset[str]) -> Places:
    """The same for the same tools."""
    return Places(offered)


def begins_sentence(before: str) -> bool:
    """Whether a line or a sentence begins after this text."""
    solid = before.rstrip()
    return not solid or "\n" in before[len(solid) :] or solid[-1] in _SENTENCE_ENDS


def _special(text: str, at: int, tag: str, first: bool, last: bool) -> Place | Undecided | None:
    """A tag that is known as it stands."""
    if tag in (CHANNEL, START):
        return Place(Kind.CHANNEL, len(tag))
    if tag == "<|channel>":
        return Place(Kind.THOUGHT, len(tag), *_ending("<channel|>"), word="channel")
    if tag == "<unused94>":
        return Place(Kind.THOUGHT, len(tag), *_ending("<unused95>"), word="unused")
    length = len(tag)
    if tag in _ENDS_OF_TEXT and not first:
        return Place(Kind.REST, length)
    if tag in _BEFORE_ROLES:
        if role := _ROLES.match(text, at + length):
            length += len(role[0])
            return _turn(role[0], length, first)
        if not last and text[at + length : at + length + 12] in _ROLES_SO_FAR:
            return UNDECIDED
    role_mark = _TEMPLATE_MARK.fullmatch(tag)
    if role_mark is not None and role_mark[1] in _OTHER_ROLES:
        return _turn(role_mark[1], length, first)
    return Place(Kind.MARK, length) if tag in _MARKS else None


def _turn(role: str, length: int, first: bool) -> Place:
    """A turn begins. Another one than the model's may be its prompt once more, or one that it made up."""
    if role in _OWN_ROLES:
        return Place(Kind.MARK, length)
    return Place(Kind.REST, length, _OWN_TURN if first else _NEVER, _LONGEST_OWN_TURN if first else 1)


def _end_of_tag(name: str) -> tuple[re.Pattern[str], int]:
    """The tag that ends what the tag of this name began."""
    for begins in ("begin", "start"):
        if begins in name.casefold():
            return _ending("<" + re.sub(begins, "end", name, flags=re.IGNORECASE) + ">")
    if name.startswith("|"):
        if name.endswith("|"):
            return _ending(f"<|/{name.strip('|')}|>")
        return _ending(f"<{name[1:]}|>")
    return _ending(f"</{name}>")


@lru_cache(256)
def _ending(tag: str) -> tuple[re.Pattern[str], int]:
    return re.compile(re.escape(tag), re.IGNORECASE), len(tag)


def _object(text: str, at: int) -> Place | Undecided | None:
    if found := _OBJECT.match(text, at):
        return Place(Kind.OBJECT, found.end() - at, bound=LONGEST_OBJECT)
    return UNDECIDED if _OBJECT_SO_FAR.match(text, at) else None


def _sign(text: str, at: int) -> Place | Undecided | None:
    if text.startswith(_THINK_SIGN, at):
        return Place(Kind.THOUGHT, len(_THINK_SIGN), *_ending(_THINK_SIGN_END), word="sign")
    if text.startswith(_THINK_SIGN_END, at):
        return Place(Kind.END_OF_THOUGHT, len(_THINK_SIGN_END))
    rest = text[at : at + len(_THINK_SIGN_END)]
    return UNDECIDED if _THINK_SIGN.startswith(rest) or _THINK_SIGN_END.startswith(rest) else None


def any_end_of_thought(text: str) -> tuple[int, int] | None:
    """Where the first tag that ends a thought begins and ends."""
    for found in _END_TAG.finditer(text):
        name = (found[1] or found[2] or "think").strip("|｜/").casefold()
        parts = [part for part in _PARTS.split(name) if part]
        if parts and parts[-1] in _THINKING:
            return found.span()
    return None


LONGEST_END = 40
_END_TAG = re.compile(r"<((?:/|\|/|\|end)[\w:.▁|｜-]{1,32})>|\[/([A-Za-z]{1,16})\]|◁/think▷", re.IGNORECASE)


def names(offered: Iterable[str]) -> frozenset[str]:
    """Tools' names that can be looked for in a text."""
    return frozenset(name for name in offered if name)
