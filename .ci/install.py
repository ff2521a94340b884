"""Makes `.venv` and installs one hashed requirements file and the project itself into it.

Run by the Makefile with the system's Python: `python3 .ci/install.py run|test`. Standard library only.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOG = VENV / "install.log"
PIP = (str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input")


def main(name: str) -> None:
    requirements = ROOT / ".ci" / "requirements" / f"{name}.txt"
    lines = requirements.read_text().count("\n")
    packages = len(re.findall(r"^\w", requirements.read_text(), re.MULTILINE))
    began = time.monotonic()
    say(f"Installing {packages} Python packages into .venv (about 30 s, once) ...", end="")
    make_environment()
    with LOG.open("w") as log:
        pip(log, lines, "install", "--require-hashes", "-r", str(requirements))
        pip(log, lines, "install", "--no-deps", "--no-build-isolation", "-e", str(ROOT))
    say(f" done in {time.monotonic() - began:.0f} s.")


def make_environment() -> None:
    if PYTHON.exists():
        return
    made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True)
    if made.returncode != 0:
        sys.exit(
            f"\n{sys.executable} cannot make a virtual environment; on Debian and Ubuntu, "
            f"`apt-get install python3-venv` helps. It said: {made.stdout.strip() or made.stderr.strip()}"
        )


def pip(log: TextIO, lines: int, *arguments: str) -> None:
    """Run pip, its output going to the log, telling every tenth of the way through the requirements."""
    process = subprocess.Popen(
        [*PIP, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    told = 0
    for line in process.stdout:
        log.write(line)
        log.flush()
        place = re.search(r"\(line (\d+)\)", line)
        tenth = int(place[1]) * 10 // lines if place else told
        if tenth > told:
            told = tenth
            say(f" {told * 10}%", end="")
    if process.wait() != 0:
        errors = [line for line in LOG.read_text().splitlines() if line.startswith("ERROR")]
        sys.exit(f"\npip failed (all it said is in {LOG.relative_to(ROOT)}):\n" + "\n".join(errors[-5:]))


def say(text: str, end: str = "\n") -> None:
    print(text, end=end, flush=True)


main(sys.argv[1])
