"""The look of the diagrams: one stylesheet inside each, whose rules apply to the diagram's own class only."""

from __future__ import annotations

SCOPE = "vantum-diagram"
NARROW = 640
"""Below this many pixels of width the diagram shows only names, in large type."""

LIGHT = """
  --paper: #fffefb; --room: #f7f6f2; --chip: #fffefb; --ink: #1c1e21; --soft: #5c6066; --line: #cfcbc0;
  --initializing: #52606d; --listening: #0b7269; --thinking: #a04c08;
  --responding: #4a45c4; --ending: #6d655f; --on-accent: #ffffff;
"""

DARK = """
  --paper: #16181b; --room: #1e2125; --chip: #2a2e34; --ink: #eae8e3; --soft: #a7abb2; --line: #454a52;
  --initializing: #a3b1c0; --listening: #4fd1c0; --thinking: #f2b35a;
  --responding: #a5a1ff; --ending: #b8afa8; --on-accent: #101113;
"""

RULES = """
{ font-family: Inter, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif }
.paper { fill: var(--paper) }
text { fill: var(--ink); font-size: 12.5px }
.state { --accent: var(--ending) }
.state.INITIALIZING, .state.CONNECTING { --accent: var(--initializing) }
.state.LISTENING, .state.UP, .state.CLOSED { --accent: var(--listening) }
.state.THINKING, .state.DEGRADED, .state.SUSPECT, .state.TIGHT { --accent: var(--thinking) }
.state.RESPONDING, .state.OPEN { --accent: var(--responding) }
.room { fill: var(--room); stroke: var(--accent); stroke-width: 1.75 }
.name { fill: var(--accent); font-size: 17px; font-weight: 700; letter-spacing: 0.05em }
.chip { fill: var(--chip); stroke: var(--line); stroke-width: 1 }
.substate-name { font-weight: 600 }
.deadline { fill: var(--soft); font-size: 11px }
.target { fill: var(--ink); font-weight: 600 }
.move { fill: var(--soft) }
.way { fill: none; stroke: var(--soft); stroke-width: 1.5 }
.head { fill: var(--soft) }
.begin { fill: var(--soft) }
.label { fill: var(--ink) }
.guard { fill: var(--soft); font-style: italic }
.edge.last .way { stroke-dasharray: 4 4; stroke-width: 1.25 }
.edge.last .label { fill: var(--soft) }
.note { fill: var(--soft); font-size: 11px }
.compact { display: none }
.state.active > .room { fill: var(--accent); fill-opacity: 0.16; stroke-width: 3.5 }
.substate.active .chip { fill: var(--accent); stroke: var(--accent) }
.substate.active .substate-name, .substate.active .deadline { fill: var(--on-accent) }
"""

NARROW_RULES = """
.wide { display: none }
.compact { display: inline }
.compact .name { font-size: 38px; letter-spacing: 0 }
.compact .substate-name { font-size: 28px }
.way, .edge.last .way { stroke-width: 4 }
.edge.last .way { stroke-dasharray: 10 8 }
.room { stroke-width: 4 }
"""


def stylesheet() -> str:
    """The rules for every diagram, also for a page that shows a diagram inline."""
    return "\n".join(
        [
            f".{SCOPE} {{{LIGHT}}}",
            f"@media (prefers-color-scheme: dark) {{ .{SCOPE} {{{DARK}}} }}",
            *_scoped(RULES),
            # A diagram by itself is as wide as its window; inside a page, as wide as the page's container.
            f"@media (max-width: {NARROW}px) {{",
            *_scoped(NARROW_RULES),
            "}",
            f"@container (max-width: {NARROW}px) {{",
            *_scoped(NARROW_RULES),
            "}",
        ]
    )


def _scoped(rules: str) -> list[str]:
    """The rules with the diagram's class before each selector."""
    scoped = []
    for rule in rules.strip().splitlines():
        selectors, body = rule.split("{", 1)
        names = [f".{SCOPE} {selector.strip()}".strip() for selector in selectors.split(",")]
        scoped.append(f"{', '.join(names)} {{{body}")
    return scoped
