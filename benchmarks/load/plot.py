"""Draws `report.json` of a load benchmark as `report.svg`. Runs in the environment of the tools.

python benchmarks/load/plot.py benchmarks/results/NAME
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

import matplotlib  # type: ignore[import-not-found, unused-ignore]

matplotlib.use("svg")
from matplotlib import pyplot  # type: ignore[import-not-found, unused-ignore]

PANELS = (
    ("speech end to first audio, ms", "answer_p50", "answer_p95"),
    ("onset to clear, ms", "clear_p50", "clear_p95"),
    ("CPU of one core, %", "cpu_percent", None),
    ("errors", "wrong", None),
)


def main(directory: Path) -> None:
    """Draw."""
    content = json.loads((directory / "report.json").read_text())
    rows = [row for row in content["rows"] if not row["discarded"]]
    for row in rows:
        row["wrong"] = sum(row["errors"].values())
    figure, axes = pyplot.subplots(2, 2, figsize=(11, 7.5))
    for axis, (title, solid, dashed) in zip(axes.flat, PANELS, strict=True):
        for server in dict.fromkeys(row["server"] for row in rows):
            own = [row for row in rows if row["server"] == server]
            calls = sorted({row["calls"] for row in own})
            colour = None
            for name, style in ((solid, "-o"), (dashed, "--")):
                if name is None:
                    continue
                values = [
                    statistics.median(row[name] or 0 for row in own if row["calls"] == each) for each in calls
                ]
                label = server if style == "-o" else None
                (drawn,) = axis.plot(calls, values, style, color=colour, label=label, markersize=4)
                colour = drawn.get_color()
        axis.set_title(title + (" (p50 solid, p95 dashed)" if dashed else ""), fontsize=10)
        axis.set_xlabel("calls")
        axis.grid(alpha=0.3)
        if solid.endswith("p50"):
            axis.set_yscale("log")
        else:
            axis.set_ylim(bottom=0)
    axes[0][0].legend(fontsize=8)
    figure.suptitle(f"{content['about']['line']} calls on one core, {content['at']}", fontsize=11)
    figure.tight_layout()
    figure.savefig(directory / "report.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
