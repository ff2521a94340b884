"""Formulas of TeX: their delimiters, what their commands mean, powers; what else begins with a backslash."""

from __future__ import annotations

import re

from machines.language.markup.place import Place
from machines.language.markup.tokens import BLANK, LINE, LINE_END, SILENT, Found, Kind, plain

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
_LONGEST_FORMULA = 200
"""Characters that are searched for the end of one."""


def backslash(place: Place) -> Found | None:
    """A delimiter or a command of TeX, the end of a line, or a character that is not markup."""
    window, whole = place.ahead(2)
    if len(window) < 2 and not whole:
        return None
    if window[1:] and window[1] in "()[]":
        return 2, [SILENT]
    if window[1:] and window[1] in "*_`#~|<>\\-+.!{}&$%,;: ":
        return 2, [BLANK if window[1] in ",;: " else plain(Kind.MARK, window[1])]
    window, whole = place.ahead(300)
    if not whole and _TEX_SO_FAR.match(window):
        return None
    in_path = place.before in (":", "\\") or (len(place.word_before) > 2 and place.before.isalpha())
    if not in_path and (meant := _command(place, window)) is not None:
        return meant
    if place.before not in (":", "\\") and (found := _NEW_LINE.match(window)):
        place.line_start = True
        return found.end(), [
            LINE_END if place.item_line else LINE,
            *([LINE] if len(found[0]) > 2 else []),
        ]
    return 1, [plain(Kind.MARK, "\\")]


def _command(place: Place, window: str) -> Found | None:
    """A command of TeX; None if there is none that we know."""
    if found := _TEX_FRACTION.match(window):
        above, below = (place.inner(part) for part in found.groups())
        return found.end(), [*above, plain(Kind.MARK, "/"), *below]
    if found := _TEX_AROUND.match(window):
        root = [plain(Kind.MARK, "√")] if found[1] == "sqrt" else []
        return found.end(), [*root, *place.inner(found[2])]
    found = _TEX_COMMAND.match(window)
    if found is None:
        return None
    meant = _TEX_MEANS.get(found[1])
    if meant is not None:
        # The blank after a command only ends it. Between signs it is a blank again.
        kind = Kind.WORD if meant.isalpha() else Kind.MARK
        end = found.end() - found[0].endswith(" ")
        return end, [plain(kind, meant)]
    return (found.end(), [SILENT]) if found[1] in _TEX_SILENT else None


def dollar(place: Place) -> Found | None:
    """`$`: a formula, or money."""
    window, whole = place.ahead(2)
    if len(window) < 2 and not whole:
        return None
    if window == "$$":
        return 2, [SILENT]
    if window[1:].isspace() or window[1:].isdigit() or place.before.isalnum():
        return 1, [plain(Kind.MARK, "$")]
    window, whole = place.ahead(_LONGEST_FORMULA)
    found = _INLINE_MATH.match(window)
    if found is None or (found.end() == len(window) and not whole):
        ended = whole or "\n" in window or "$" in window[1:-1]
        return (1, [plain(Kind.MARK, "$")]) if ended else None
    if len(found[1]) > _LONGEST_NAME and not _MATHEMATICAL.search(found[1]):
        return 1, [plain(Kind.MARK, "$")]
    return found.end(), place.inner(found[1])


def power(place: Place) -> Found | None:
    """`^`: what follows it in braces, without them."""
    window, whole = place.ahead(44)
    if not whole and _EXPONENT_SO_FAR.match(window):
        return None
    found = _EXPONENT.match(window)
    if found is None:
        return 1, [plain(Kind.MARK, "^")]
    return found.end(), [plain(Kind.MARK, "^"), *place.inner(found[1])]
