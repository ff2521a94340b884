r"""The one place that cleans a model's text: what is shown and remembered, and what is sent to a voice.

A `Reader` takes text in pieces and gives tokens. Each token says how it is shown and how it is said. It is
given as soon as nothing that follows can change it, so the tokens do not depend on where the text was
divided. The reader looks ahead a few hundred characters at most, so its work grows in proportion to the text.

| in the text | shown | said |
|---|---|---|
| marks of Markdown (pairs of `*` `_` `**` `~~`, backticks, `#` `>` `-` at a line's start) | – | – |
| the same elsewhere (`john_smith`, `_smith`, `C#`, `*69`, `4*`, `x < 5`) | as it is | as it is |
| a link, an image | its text | its text |
| an address (URL, e-mail) | as it is | as it is |
| tags and comments of HTML and SSML; half of one at the end | – | – |
| other tags (`<name>`) | as they are | as they are |
| the same around words (`<answer>It is noon.</answer>`) | – | – |
| speech markup (`<emotion .../>`) | – | by voices that take it |
| citations (`[1]`, `【4†source】`), delimiters of TeX (`\(`, `$x$`) | – | – |
| commands of TeX (`\times`, `\frac{1}{2}`) | what they mean (`×`, `1/2`) | what they mean |
| a reference (`[our site][1]`); where it leads (`[1]: https://…`) | its text; – | its text; – |
| an arrow between words (`A → B`, `A -> B`) | as it is | as a pause |
| an index (`x[0]`) | as it is | as it is |
| an emoji; a keycap | as it is; its digit | –; its digit |
| a fence with one line of code; with more | the line; – | the line; – |
| a row of a table; its rules, boxes | cells with commas; – | cells with commas; – |
| a bar elsewhere (`yes|no`) | as it is | as a pause |
| entities (`&amp;`) | what they mean | what they mean |
| invisible characters | – | – |
"""

from __future__ import annotations

import enum
import html
import re

from attrs import frozen

from machines.language.scripts import CLOSERS, MARKS, OPENERS, UNSPACED, has_sound


class Kind(enum.Enum):
    """The kinds of tokens that cutting a text tells apart."""

    WORD = "word"
    """Letters or digits; one cluster in scripts without blanks."""
    ADDRESS = "address"
    MARK = "mark"
    """A character of punctuation."""
    SILENT = "silent"
    """Not said: markup, an emoji, a citation."""
    TAG = "tag"
    """Speech markup."""
    BLANK = "blank"
    LINE = "line"
    """The end of a line that may go on in the next."""
    LINE_END = "line_end"
    """The end of a heading, a list's item or a table's row."""
    ITEM = "item"
    """A heading, an item of a list or a table's row begins; `shown` is its number, if it has one."""
    BREAK = "break"
    """The model wants the text cut here."""


@frozen
class Token:
    """A piece of text."""

    kind: Kind
    shown: str = ""
    said: str = ""
    markup: str = ""
    """Speech markup as it was written."""


BLANK, LINE, LINE_END = Token(Kind.BLANK), Token(Kind.LINE), Token(Kind.LINE_END)
SILENT, ITEM, BREAK_TOKEN = Token(Kind.SILENT), Token(Kind.ITEM), Token(Kind.BREAK)


def _plain(kind: Kind, text: str) -> Token:
    return Token(kind, text, text)


# --- patterns ---------------------------------------------------------------------------------------------

_LONGEST_WORD = 64
_LONGEST_RUN = 500
"""Characters of ASCII without a blank that are searched for an address."""
_LONGEST_TAG = 260
_LONGEST_MARKS = 64

_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]"
)
_OTHER_BLANKS = re.compile("[\t\x0b\x0c\r\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_OTHER_LINES = re.compile("[\x85\u2028\u2029]")
_SPEECH_TAGS = ("emotion", "speed", "volume", "break", "spell")
"""Markup for voices that understand it. It is not sent to the others."""
_BLOCKS = frozenset(
    ("p", "div", "li", "ul", "ol", "tr", "table", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "pre")
)
_HTML = _BLOCKS | frozenset(
    """
    a abbr address article aside audio b bdi bdo big blockquote body button canvas caption center
    cite code col dd del details dfn dl dt em embed figcaption figure font footer form head header
    html i iframe img input ins kbd label legend link main mark meta nav noscript object option
    picture q s samp script section select small source span strike strong style sub summary sup svg
    tbody td template textarea tfoot th thead time title track tt u var video wbr speak prosody
    say-as phoneme emphasis voice lang
    """.split()  # noqa: SIM905
)
"""The names of HTML, and the last seven of SSML."""
_ATTRIBUTE = r"""\s+[\w:.-]+\s*=\s*(?:"[^"<>\n]*"|'[^'<>\n]*'|[^\s"'<>]+)"""
_TAG = re.compile(rf"</?([A-Za-z][\w:-]*)(?:{_ATTRIBUTE})*\s*/?>")
_TAG_SO_FAR = re.compile(
    rf"""<(?:/?(?:[A-Za-z][\w:-]*(?:(?:{_ATTRIBUTE})*\s*(?:\s[\w:.-]+(?:\s*=\s*(?:"[^"<>\n]*|'[^'<>\n]*"""
    r"""|[^\s"'<>]*)?)?)?\s*/?)?)?)?$"""
)
_COMMENT = re.compile(r"<!--[^\n]*?-->")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^\s<>]+|[^\s<>@]+@[^\s<>]+)>")
_AUTOLINK_SO_FAR = re.compile(r"<[A-Za-z][^\s<>]*$")
_BREAK = re.compile(r"\|\|[ ]{0,3}BREAK[ ]{0,3}\|\|", re.IGNORECASE)
_BREAK_SO_FAR = re.compile(
    r"\|(?:\|[ ]{0,3}(?:B(?:R(?:E(?:A(?:K(?:[ ]{0,3}\|?)?)?)?)?)?)?)?\s*$", re.IGNORECASE
)
_LINK = re.compile(
    r"!?\[([^\[\]\n]{0,200})\]"
    r'\(([^()\s]{0,500}(?:\([^()\s]{0,200}\)[^()\s]{0,200})?)(?:[ ]+"[^"\n]{0,200}")?\)'
)
_REFERENCE = re.compile(r"!?\[([^\[\]\n]{1,200})\]\[[^\[\]\n]{0,60}\]")
_LINK_SO_FAR = re.compile(r"!?\[[^\[\]\n]{0,200}(?:\](?:\([^\n]{0,500}|\[[^\[\]\n]{0,60})?)?$")
_DEFINITION = re.compile(r"\[([^\[\]\n]{1,60})\]:[ ]+(<?(?:https?://|www\.|mailto:|[/#])[^\n]*(?=\n|$))?")
_DEFINITION_SO_FAR = re.compile(r"\[[^\[\]\n]{0,60}(?:\](?::[ ]*<?[a-z:/.#]{0,9})?)?$")
_ARROW = re.compile(
    "[\u2190\u2192\u2194\u21a6\u21d0\u21d2\u21d4\u2794\u2799\u279c\u27a1\u27f5-\u27fa]\ufe0f?"
    "|-{1,3}>|={1,3}>|<-{1,2}>|<={1,2}>"
)
_ARROW_SO_FAR = re.compile("<?[-=]{0,3}$")
_CITATION = re.compile(r"\[\^?\d{1,3}(?:[,;–-][ ]?\d{1,3})*\]|【[^】\n]{0,60}†[^】\n]{0,60}】|【\d{1,3}】")
_CITATION_SO_FAR = re.compile(r"【[^】\n]{0,120}$")
_ENTITY = re.compile(r"&(?:#\d{1,6}|#[xX][0-9a-fA-F]{1,5}|[A-Za-z]{2,8});")
_ENTITY_SO_FAR = re.compile(r"&#?[0-9A-Za-z]{0,8}$")
_RUN = re.compile(r"[A-Za-z0-9._%+\-:/?#@&=~,;!$'()*]+")
_ADDRESS = re.compile(
    r"(?:(?:https?|ftp|wss?)://|www\.)[A-Za-z0-9._%+\-:/?#@&=~,;!$'()*]+"
    r"|(?:mailto:)?[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)*"
)
_WORD = re.compile(
    rf"(?=[^\W_])[{UNSPACED}][{MARKS}]*|(?:(?![{UNSPACED}])[^\W_][{MARKS}]*){{1,{_LONGEST_WORD}}}"
)
_EMOJI = re.compile(
    "[\u2190-\u21ff\u2300-\u23ff\u25a0-\u27bf\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
    "[\ufe00-\ufe0f\u200d\u20e3\U000e0020-\U000e007f\u2190-\u21ff\u2300-\u23ff\u25a0-\u27bf\u2b00-\u2bff"
    "\U0001f000-\U0001faff]{0,32}"
)
_DRAWING = re.compile("[\u2500-\u259f]{1,64}|[\ufe00-\ufe0f\u200c\u200d\u20e3\U000e0020-\U000e007f]")
_TEX_FRACTION = re.compile(r"\\[dt]?frac\{([^{}\n]{1,80})\}\{([^{}\n]{1,80})\}")
_TEX_AROUND = re.compile(
    r"\\(sqrt|(?:text|math)(?:rm|bf|it|sf|tt|bb|cal)?|operatorname|boxed|emph|overline|underline|hat|vec)"
    r"\{([^{}\n]{0,160})\}"
)
_TEX_COMMAND = re.compile(r"\\([A-Za-z]{2,14})(?![A-Za-z])[ ]?")
_TEX_SO_FAR = re.compile(r"\\[A-Za-z]{0,14}[ ]?(?:\{[^{}\n]{0,160}(?:\}(?:\{[^{}\n]{0,80})?)?)?$")
_TEX_SIGNS = """
times × cdot × div ÷ pm ± approx ≈ neq ≠ ne ≠ leq ≤ le ≤ geq ≥ ge ≥ infty ∞ degree ° circ ° sum ∑ int ∫
to → rightarrow → Rightarrow → leftarrow ← ldots … dots … alpha α beta β gamma γ delta δ Delta Δ epsilon ε
theta θ lambda λ mu μ pi π rho ρ sigma σ Sigma Σ phi φ omega ω Omega Ω
""".split()  # noqa: SIM905
_TEX_MEANS = dict(zip(_TEX_SIGNS[::2], _TEX_SIGNS[1::2], strict=True))
_TEX_SILENT = frozenset(("left", "right", "quad", "qquad", "displaystyle", "limits", "big", "Big"))
_NEW_LINE = re.compile(r"(?:\\n){1,3}(?![A-Za-z])|(?:\\n){1,3}(?=[A-Z])")
"""The end of a line that was escaped twice."""
_INLINE_MATH = re.compile(r"\$(?![\s\d$])([^$\n]{1,160})(?<!\s)\$(?!\d)")
_MATHEMATICAL = re.compile(r"[\\^_=+<>{}]")
_LONGEST_NAME = 3
"""Characters between two dollar signs that are a formula without any sign of one."""
_EXPONENT = re.compile(r"\^\{([^{}\n]{1,40})\}")
_EXPONENT_SO_FAR = re.compile(r"\^(?:\{[^{}\n]{0,40})?$")
_LINES = re.compile(r"\n{2,}")
_PARTNERS = {
    "*": re.compile(r"(?:(?<=\d)\*(?!\d)|(?<=[^\d\s*])\*)(?!\*)"),
    "_": re.compile(r"(?<=[^\s_])_(?!\w)"),
}
"""What closes a single mark of Markdown: at the end of a word, and for `*` also within one."""
_LONGEST_EMPHASIS = 200
_MARKDOWN_RUN = re.compile(rf"([*_~#`])\1{{0,{_LONGEST_MARKS}}}")

_FENCE = re.compile(r"(?:```+|~~~+)[ ]?[\w+#.-]{0,20}[ ]*\n")
_FENCE_SO_FAR = re.compile(r"(?:`+|~+)[ ]?[\w+#.-]{0,20}[ ]*$")
_RULE = re.compile(r"([-*_=─━])(?:[ ]*\1){2,80}[ ]*(?=\n|$)")
_RULE_SO_FAR = re.compile(r"([-*_=─━])(?:[ ]*\1){0,80}[ ]*$")
_TABLE_RULE = re.compile(r"(?:\||:?-+:?[ ]*\|)[ :|-]*-[ :|-]*(?=\n|$)")
_TABLE_RULE_SO_FAR = re.compile(r"(?:\||:?-*:?[ ]*(?:\||$))[ :|-]{0,200}$")
_HEADING = re.compile(r"#{1,6}[ ]+(?=[^\s\d])")
_BULLET = re.compile(r"([-+*•‣◦–—])[ ]+(?:\[[ xX]\][ ]+)?(?=([^\s]))")
_NUMBER = re.compile(r"(\d{1,3}[.)])(?=[ ]+\S)")
_QUOTE = re.compile(r"(?:>[ ]?){1,5}(?=[^\s\d>=])")
_LINE_START_SO_FAR = re.compile(
    r"(?:#{1,6}[ ]{0,9}|[-+*•‣◦–—][ ]{0,9}(?:\[(?:[ xX]\]?[ ]{0,9})?)?"
    r"|\d{1,3}(?:[.)][ ]{0,9})?|(?:>[ ]?){1,5})$"
)


_LAST_WORD = re.compile(r"[^\W\d_]{2,}(?:['-][^\W\d_]+)*[.!?]+[\"')\]]*")
"""A word and what ends its sentence."""


class Reader:
    """Reads the tokens of one text that comes in pieces. `inline`: the text does not begin a line."""

    def __init__(self, *, inline: bool = False) -> None:
        self._text = ""
        self._at = 0
        self._final = False
        self._before = ""
        """The character before the place that is read, of those that are shown."""
        self._solid = ""
        """The last character that is not a blank."""
        self._line_start = not inline
        self._item_line = False
        """The line is a heading, an item of a list or a row of a table."""
        self._table = False
        self._bullet_lines = False
        """The line before was an item with a bullet."""
        self._word_before = ""
        """The word that ends here; empty where none does."""
        self._emphasised: set[str] = set()
        """Marks of Markdown that are open."""
        self._code: _Fence | None = None

    def push(self, piece: str) -> list[Token]:
        """Add a piece; returns the tokens that are certain now."""
        piece = _OTHER_LINES.sub("\n", _OTHER_BLANKS.sub(" ", _INVISIBLE.sub("", piece)))
        self._text = self._text[self._at :] + piece
        self._at = 0
        return self._read()

    def pause(self) -> list[Token]:
        """Nothing has come for a while: gives a word that ends a sentence, if that is all that is kept.

        It was kept since an address may begin like this ("noon." like "noon.example").
        """
        if self._code is not None or not _LAST_WORD.fullmatch(self._text, self._at):
            return []
        self._final = True
        tokens = self._read()
        self._final = False
        return tokens

    def finish(self) -> list[Token]:
        """End the text; returns the last tokens."""
        self._final = True
        tokens = self._read()
        if self._code is not None:
            tokens += self._code.tokens()
            self._code = None
        return tokens

    def _read(self) -> list[Token]:
        tokens: list[Token] = []
        while self._at < len(self._text):
            found = self._read_code() if self._code is not None else self._next()
            if found is None:
                break
            length, read = found
            silent = bool(read) and all(token is SILENT for token in read)
            if length and not silent:
                blank = bool(read) and read[-1].kind in (Kind.BLANK, Kind.BREAK, Kind.LINE)
                last = self._text[self._at + length - 1]
                self._before = " " if blank and last != "\n" else last
                self._solid = self._solid if self._before == " " else self._before
                self._word_before = read[-1].shown if read and read[-1].kind is Kind.WORD else ""
            self._at += length
            tokens += read
        return tokens

    # --- a place in the text ------------------------------------------------------------------------------

    def _next(self) -> tuple[int, list[Token]] | None:
        """The length of what stands here, and its tokens; None if more text must come first."""
        character = self._text[self._at]
        if character == "\n":
            end = LINE_END if self._item_line else LINE
            lines = _LINES.match(self._text, self._at)
            if lines is not None or self._item_line:
                self._emphasised.clear()
            self._line_start, self._item_line, self._table = True, False, False
            return (1, [end]) if lines is None else (lines.end() - self._at, [end, LINE])
        if character == " ":
            return 1, [BLANK]
        if self._line_start:
            found = self._at_line_start()
            if found is None or found[0]:
                return found
        self._line_start = False
        if character.isalnum():
            return self._word()
        read = _READ.get(character)
        return read(self) if read is not None else self._other()

    def _ahead(self, most: int) -> tuple[str, bool]:
        """At most `most` characters from here, and whether they are final: later text cannot add to them."""
        window = self._text[self._at : self._at + most]
        return window, self._final or len(window) == most

    def _at_line_start(self) -> tuple[int, list[Token]] | None:
        """Read Markdown at the beginning of a line; length 0 if there is none."""
        window, whole = self._ahead(200)
        undecided = (_FENCE_SO_FAR, _RULE_SO_FAR, _TABLE_RULE_SO_FAR, _LINE_START_SO_FAR, _DEFINITION_SO_FAR)
        if not whole and any(each.match(window) for each in undecided):
            return None
        if found := _FENCE.match(window):
            self._code = _Fence(window[:3])
            return found.end(), [LINE_END]
        if found := _RULE.match(window) or _TABLE_RULE.match(window):
            self._line_start, self._item_line = False, True
            return found.end(), [ITEM]
        if found := _DEFINITION.match(window):
            if found[2] and found.end() == len(window) and not whole:
                return None
            if found[2] or found[1][0] == "^":
                self._line_start, self._item_line = False, True
                return found.end(), [ITEM]
        bullets, self._bullet_lines = self._bullet_lines, False
        if found := _HEADING.match(window):
            self._line_start, self._item_line = False, True
            return found.end(), [ITEM]
        if found := _BULLET.match(window):
            # "- 5 degrees" is cold, unless it stands in a list.
            if not found[2].isdigit() or found[1] in "*•‣◦" or bullets:
                self._line_start, self._item_line, self._bullet_lines = False, True, True
                return found.end(), [ITEM]
        elif found := _NUMBER.match(window):
            self._line_start, self._item_line = False, True
            return found.end(), [Token(Kind.ITEM, found[1], found[1])]
        elif found := _QUOTE.match(window):
            return found.end(), [SILENT]
        elif window[0] == "|" and not _BREAK_SO_FAR.match(window) and not _BREAK.match(window):
            self._line_start, self._item_line, self._table = False, True, True
            return 1, [ITEM]
        return 0, []

    def _word(self) -> tuple[int, list[Token]] | None:
        """Read a word or an address."""
        if self._text[self._at].isascii() and not self._before.isalnum():
            window, whole = self._ahead(_LONGEST_RUN)
            run = _RUN.match(window)
            if run is not None:
                if run.end() == len(window) and not whole:
                    return None
                if address := _ADDRESS.match(run[0]):
                    length = _address_end(address[0])
                    return length, [_plain(Kind.ADDRESS, address[0][:length])]
        window, whole = self._ahead(4 * _LONGEST_WORD)
        found = _WORD.match(window)
        if found is None:  # a number such as ½
            return 1, [_plain(Kind.WORD, window[0])]
        if found.end() == len(window) and not whole:
            return None
        return found.end(), [_plain(Kind.WORD, found[0])]

    def _other(self) -> tuple[int, list[Token]] | None:
        window, whole = self._ahead(40)
        if _ARROW.match(window):
            return self._arrow()
        if found := _EMOJI.match(window):
            if found.end() == len(window) and not whole:
                return None
            return found.end(), [Token(Kind.SILENT, found[0])]
        if found := _DRAWING.match(window):
            return found.end(), [SILENT]
        return 1, [_plain(Kind.MARK, window[0])]

    def _arrow(self) -> tuple[int, list[Token]] | None:
        """An arrow, or a character that may begin one: a pause between words, and nothing elsewhere."""
        window, whole = self._ahead(40)
        found = _ARROW.match(window)
        if found is None:
            return None if not whole and _ARROW_SO_FAR.match(window) else (1, [_plain(Kind.MARK, window[0])])
        rest = window[found.end() :]
        if not rest.lstrip(" ") and not whole:
            return None
        following = rest.lstrip(" ")[:1]
        shown = found[0]
        if not self._solid or not (self._solid.isalnum() or self._solid in CLOSERS or self._solid in "*_`°%"):
            return found.end(), [Token(Kind.SILENT, shown)]
        if not following or not (following.isalnum() or following in OPENERS or following in "*_`$€£<"):
            return found.end(), [Token(Kind.SILENT, shown)]
        if rest[:1] == " ":
            return found.end(), [SILENT, Token(Kind.MARK, shown, ",")]
        return found.end(), [SILENT, Token(Kind.MARK, shown, ", ")]

    # --- characters that may be markup ----------------------------------------------------------------------

    def _angle(self) -> tuple[int, list[Token]] | None:
        """`<`: a tag, an address, or less than."""
        window, whole = self._ahead(_LONGEST_TAG)
        if window[1:2] in ("-", "="):
            return self._arrow()
        if found := _AUTOLINK.match(window):
            return found.end(), [_plain(Kind.ADDRESS, found[1])]
        if found := _COMMENT.match(window):
            return found.end(), [SILENT]
        if found := _TAG.match(window):
            name = found[1].lower()
            if name in _SPEECH_TAGS:
                return found.end(), [Token(Kind.TAG, markup=found[0])]
            if name in _HTML or window[1] == "/":
                return found.end(), [LINE if name in _BLOCKS else SILENT]
            # A tag that nobody knows may wrap the answer, or words of it. Elsewhere it is something to be
            # filled in, or part of a name.
            after = window[found.end() : found.end() + 1]
            if not self._before.isalnum():
                if not after and not whole:
                    return None
                if after.isalnum() or (self._before in ("", "\n") and after != " "):
                    return found.end(), [SILENT]
            return 1, [_plain(Kind.MARK, "<")]
        cut_off = _TAG_SO_FAR.match(window)
        if not whole and (cut_off or _AUTOLINK_SO_FAR.match(window) or window.startswith("<!")):
            return None
        if self._final and cut_off and re.match(rf"</?(?:{_HALF_TAGS})\b", window, re.IGNORECASE):
            return len(window), [SILENT]
        return 1, [_plain(Kind.MARK, "<")]

    def _bracket(self) -> tuple[int, list[Token]] | None:
        """`[`, `![` or `【`: a link, an image, a citation, or a bracket."""
        window, whole = self._ahead(1200)
        if found := _LINK.match(window):
            label = found[1]
            return found.end(), [SILENT] if label.strip("^").isdigit() else tokens_of(label, inline=True)
        if not self._word_before and (found := _REFERENCE.match(window)):
            label = found[1]
            return found.end(), [SILENT] if label.strip("^").isdigit() else tokens_of(label, inline=True)
        if not whole and (_LINK_SO_FAR.match(window) or _CITATION_SO_FAR.match(window) or window == "!"):
            return None
        if (found := _CITATION.match(window)) and not self._is_index(found[0]):
            return found.end(), [SILENT]
        return 1, [_plain(Kind.MARK, window[0])]

    def _is_index(self, bracketed: str) -> bool:
        """Whether a number in brackets belongs to the name before it. Sources are counted from 1."""
        name = self._word_before if bracketed[0] == "[" else ""
        return bool(name) and (bracketed == "[0]" or len(name) == 1)

    def _bar(self) -> tuple[int, list[Token]] | None:
        """`|`: the model's marker for a break, the edge of a table's cell, or a bar."""
        window, whole = self._ahead(40)
        if found := _BREAK.match(window):
            return found.end(), [BREAK_TOKEN]
        if found := _BREAK_SO_FAR.match(window):
            return (found.end(), [SILENT]) if self._final else None if not whole else (1, [SILENT])
        if not self._table:
            following = window[1:2]
            if not following and not whole:
                return None
            apart = not self._before.isalnum() or not following.isalnum()
            return 1, [Token(Kind.MARK, "|", "" if apart else ", ")]
        rest = window[1:].lstrip(" ")
        last = not rest or rest[0] in "\n|"
        if last or self._before in "|.,;:!?":
            return 1, [SILENT]
        return 1, [SILENT, _plain(Kind.MARK, ",")]

    def _entity(self) -> tuple[int, list[Token]] | None:
        window, whole = self._ahead(12)
        found = _ENTITY.match(window)
        if found is None:
            return None if not whole and _ENTITY_SO_FAR.match(window) else (1, [_plain(Kind.MARK, "&")])
        meant = html.unescape(found[0])
        if meant.isspace():
            return found.end(), [BLANK]
        following = window[found.end() : found.end() + 1]
        if not following and not whole:
            return None
        # Do not show what would be markup if somebody read the text again.
        silent = meant == found[0] or (meant in "<&" and (following.isalpha() or following in "/#!"))
        return found.end(), [SILENT if silent and following else _plain(Kind.MARK, meant)]

    def _backslash(self) -> tuple[int, list[Token]] | None:
        """A delimiter or a command of TeX, the end of a line, or a character that is not markup."""
        window, whole = self._ahead(2)
        if len(window) < 2 and not whole:
            return None
        if window[1:] and window[1] in "()[]":
            return 2, [SILENT]
        if window[1:] and window[1] in "*_`#~|<>\\-+.!{}&$%,;: ":
            return 2, [BLANK if window[1] in ",;: " else _plain(Kind.MARK, window[1])]
        window, whole = self._ahead(300)
        if not whole and _TEX_SO_FAR.match(window):
            return None
        in_path = self._before in (":", "\\") or (len(self._word_before) > 2 and self._before.isalpha())
        if not in_path and (meant := self._tex(window)) is not None:
            return meant
        if self._before not in (":", "\\") and (found := _NEW_LINE.match(window)):
            self._line_start = True
            return found.end(), [
                LINE_END if self._item_line else LINE,
                *([LINE] if len(found[0]) > 2 else []),
            ]
        return 1, [_plain(Kind.MARK, "\\")]

    def _tex(self, window: str) -> tuple[int, list[Token]] | None:
        """A command of TeX; None if there is none that we know."""
        if found := _TEX_FRACTION.match(window):
            above, below = (tokens_of(part, inline=True) for part in found.groups())
            return found.end(), [*above, _plain(Kind.MARK, "/"), *below]
        if found := _TEX_AROUND.match(window):
            root = [_plain(Kind.MARK, "√")] if found[1] == "sqrt" else []
            return found.end(), [*root, *tokens_of(found[2], inline=True)]
        found = _TEX_COMMAND.match(window)
        if found is None:
            return None
        meant = _TEX_MEANS.get(found[1])
        if meant is not None:
            # The blank after a command only ends it. Between signs it is a blank again.
            kind = Kind.WORD if meant.isalpha() else Kind.MARK
            end = found.end() - found[0].endswith(" ")
            return end, [_plain(kind, meant)]
        return (found.end(), [SILENT]) if found[1] in _TEX_SILENT else None

    def _dollar(self) -> tuple[int, list[Token]] | None:
        window, whole = self._ahead(2)
        if len(window) < 2 and not whole:
            return None
        if window == "$$":
            return 2, [SILENT]
        if window[1:].isspace() or window[1:].isdigit() or self._before.isalnum():
            return 1, [_plain(Kind.MARK, "$")]
        window, whole = self._ahead(_LONGEST_EMPHASIS)
        found = _INLINE_MATH.match(window)
        if found is None or (found.end() == len(window) and not whole):
            ended = whole or "\n" in window or "$" in window[1:-1]
            return (1, [_plain(Kind.MARK, "$")]) if ended else None
        if len(found[1]) > _LONGEST_NAME and not _MATHEMATICAL.search(found[1]):
            return 1, [_plain(Kind.MARK, "$")]
        return found.end(), tokens_of(found[1], inline=True)

    def _power(self) -> tuple[int, list[Token]] | None:
        window, whole = self._ahead(44)
        if not whole and _EXPONENT_SO_FAR.match(window):
            return None
        found = _EXPONENT.match(window)
        if found is None:
            return 1, [_plain(Kind.MARK, "^")]
        return found.end(), [_plain(Kind.MARK, "^"), *tokens_of(found[1], inline=True)]

    def _markdown(self) -> tuple[int, list[Token]] | None:
        """`*` `_` `~` `#` or a backtick: markup in pairs at words' edges, elsewhere the character itself."""
        window, whole = self._ahead(_LONGEST_MARKS + 8)
        run = _MARKDOWN_RUN.match(window)
        assert run is not None, "only called at such a mark"
        rest = window[run.end() :]
        if not whole and not rest.strip(" "):
            return None
        if run[0] == "_" and not self._before.isalnum():
            window, whole = self._ahead(_LONGEST_RUN)
            around = _RUN.match(window)
            if around is not None and around.end() == len(window) and not whole:
                return None
            address = _ADDRESS.match(around[0]) if around is not None else None
            if address is not None and window[(end := _address_end(address[0])) : end + 1] != "_":
                return end, [_plain(Kind.ADDRESS, address[0][:end])]
        marks_up = self._marks_up(run[0], rest[:1])
        if marks_up is None:
            return None
        return run.end(), [SILENT if marks_up else self._meant(run[0], rest)]

    def _meant(self, run: str, rest: str) -> Token:
        if run == "*" and rest.lstrip(" ")[:1].isdigit() and self._solid.isdigit():
            return Token(Kind.MARK, "*", "×")
        return _plain(Kind.MARK, run)

    def _marks_up(self, run: str, after: str) -> bool | None:
        """Whether these characters are markup; None if more text must come first."""
        mark, before = run[0], self._before
        apart_before, apart_after = before in ("", " ", "\n"), after in ("", " ", "\n")
        if mark == "`":
            return True
        if mark == "#":
            return len(run) > 1 and apart_before
        if mark == "~" and len(run) == 1:
            return False
        if apart_before and (apart_after or after in ".,;:!?)"):
            return len(run) > 1
        if before.isalnum() and after.isalnum():  # within a word
            if mark != "_" and (_UNSPACED.match(before) or _UNSPACED.match(after)):
                return not (before.isdigit() and after.isdigit())
            return mark in self._emphasised and mark != "_"
        opens = not apart_after and not before.isalnum() and mark not in self._emphasised
        if mark == "_" and opens and not (apart_before or before in OPENERS or before in "\"'*_~`"):
            opens = False
        if opens:
            partner = len(run) > 1 or self._has_partner(mark)
            if partner:
                self._emphasised.add(mark)
            return partner
        closes = not apart_before and not after.isalnum()
        if closes and (len(run) > 1 or mark in self._emphasised):
            self._emphasised.discard(mark)
            return True
        return False

    def _has_partner(self, mark: str) -> bool | None:
        """Whether a single mark is closed in its paragraph; None if more text must come first."""
        window, whole = self._ahead(_LONGEST_EMPHASIS)
        line, newline, _ = window[1:].partition("\n" if self._item_line else "\n\n")
        found = _PARTNERS[mark].search(line)
        whole = whole or bool(newline)
        if found is not None and (whole or found.end() < len(line)):
            return True
        return False if whole else None

    # --- fences -------------------------------------------------------------------------------------------

    def _read_code(self) -> tuple[int, list[Token]] | None:
        """Read the next line in a fence, or what has come of it."""
        code = self._code
        assert code is not None, "only called in a fence"
        rest = self._text[self._at : self._at + _LONGEST_RUN]
        newline = rest.find("\n")
        if not code.within_line:
            stripped = rest.lstrip(" ")
            if len(stripped) < 3 and newline < 0 and not self._final:
                return None
            if stripped.startswith(code.mark):
                end = rest.find(code.mark) + 3
                self._code, self._line_start = None, False
                return end, [*code.tokens(), LINE_END]
        if newline < 0 and not code.lines and len(rest) < _LONGEST_RUN and not self._final:
            return None
        code.within_line = newline < 0
        end = newline + 1 if newline >= 0 else len(rest)
        code.add(rest[:end])
        self._before = "\n"
        return end, []


class _Fence:
    """Code between fences. A single line is said, more are not."""

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.lines = 0
        self.within_line = False
        self._first = ""

    def add(self, text: str) -> None:
        """Add the next line, or a part of one."""
        if text.strip():
            if self.lines == 0:
                self._first = text.strip()
            self.lines += 1

    def tokens(self) -> list[Token]:
        """The tokens of the line that is said."""
        return tokens_of(self._first, inline=True) if self.lines == 1 else []


_UNSPACED = re.compile(f"[{UNSPACED}]")
_HALF_TAGS = "|".join(name[:length] for name in _SPEECH_TAGS for length in range(2, len(name) + 1))
_READ = {
    "<": Reader._angle,
    "[": Reader._bracket,
    "!": Reader._bracket,
    "【": Reader._bracket,
    "|": Reader._bar,
    "&": Reader._entity,
    "\\": Reader._backslash,
    "$": Reader._dollar,
    "^": Reader._power,
    "-": Reader._arrow,
    "=": Reader._arrow,
    **dict.fromkeys("*_~#`", Reader._markdown),
}


def _address_end(address: str) -> int:
    """The length of an address without the punctuation that follows it in a sentence."""
    while address and (
        address[-1] in ".,;:!?'*_~-" or (address[-1] == ")" and address.count("(") < address.count(")"))
    ):
        address = address[:-1]
    return len(address)


def visible(text: str) -> str:
    """The text without characters that are shown nowhere, and without those that turn the direction."""
    return _INVISIBLE.sub("", text)


# --- whole texts ------------------------------------------------------------------------------------------


def tokens_of(text: str, *, inline: bool = False) -> list[Token]:
    """The tokens of a whole text. `inline`: the text does not begin a line."""
    reader = Reader(inline=inline)
    return [*reader.push(text), *reader.finish()]


def shown(tokens: list[Token]) -> str:
    """The text that is shown and remembered."""
    return _rendered([(token, token.shown) for token in tokens])


def said(tokens: list[Token], keep: re.Pattern[str] | None = None) -> str:
    """The text that is sent to a voice; empty if it has no sound. Tags that `keep` matches stay."""
    spoken = [
        (
            token,
            token.markup
            if token.markup and keep is not None and keep.fullmatch(token.markup)
            else token.said,
        )
        for token in tokens
    ]
    return _rendered(spoken) if any(has_sound(token.said) for token in tokens) else ""


def marked(tokens: list[Token]) -> str:
    """The text that is shown, with its speech markup; empty if it has no markup."""
    if not any(token.kind is Kind.TAG for token in tokens):
        return ""
    return _rendered([(token, token.markup or token.shown) for token in tokens])


def _rendered(pieces: list[tuple[Token, str]]) -> str:
    """Join the pieces with single blanks, but without one that stood only before something left out."""
    parts: list[str] = []
    blank = left_out = False
    for token, text in pieces:
        if token.kind in _BLANKS:
            blank = True
        elif not text:
            left_out = True
        else:
            if blank and parts and not (left_out and text[0] in ".,;:!?)]}"):
                parts.append(" ")
            parts.append(text)
            blank = left_out = token.kind is Kind.TAG and "spell" not in text.lower()
    return "".join(parts)


_BLANKS = frozenset({Kind.BLANK, Kind.LINE, Kind.LINE_END, Kind.BREAK})
