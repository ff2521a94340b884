"""Makes `.venv` and installs one hashed requirements file and the project itself into it.

Run by the Makefile with the system's Python: `python3 .ci/install.py run|test`. Standard library only.
"""

from __future__ import annotations

import platform
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
REASONS = (
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        "The package registry's certificate is not trusted: behind a proxy that makes its own, set PIP_CERT "
        "to the file of that proxy's certificate.",
    ),
    (
        r"ProxyError|Cannot connect to proxy|Missing dependencies for SOCKS",
        "The proxy of HTTPS_PROXY or ALL_PROXY cannot be used: correct it, or unset it.",
    ),
    (r"No space left on device|Errno 28", "The disk is full: the packages need about 1 GB."),
    (
        r"Temporary failure in name resolution|Name or service not known|nodename nor servname"
        r"|getaddrinfo failed|NewConnectionError|Network is unreachable|Connection refused"
        r"|ConnectTimeoutError|ReadTimeoutError|No route to host",
        "The package registry cannot be reached: is there a network? Behind a proxy, set HTTPS_PROXY; with a "
        "registry of your own, set PIP_INDEX_URL.",
    ),
    (
        r"THESE PACKAGES DO NOT MATCH THE HASHES",
        "A package is not the one that was pinned: try again, and if that does not help, do not install it.",
    ),
    (
        r"No matching distribution found",
        "A package has no build for this machine or this Python; or the package registry lacks it.",
    ),
)
"""Why pip fails, by what it says; the first that fits. The last one's words come without a network, too."""
PIP = (str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input")


def main(name: str) -> None:
    requirements = ROOT / ".ci" / "requirements" / f"{name}.txt"
    lines = requirements.read_text().count("\n")
    packages = len(re.findall(r"^\w", requirements.read_text(), re.MULTILINE))
    if lacking := unsupported(platform.system(), platform.machine()):
        sys.exit(lacking)
    began = time.monotonic()
    say(f"Installing {packages} Python packages into .venv (about 30 s, once) ...", end="")
    make_environment()
    with LOG.open("w") as log:
        pip(log, lines, "install", "--require-hashes", "-r", str(requirements))
        pip(log, lines, "install", "--no-deps", "--no-build-isolation", "-e", str(ROOT))
    say(f" done in {time.monotonic() - began:.0f} s.")


def unsupported(system: str, machine: str) -> str:
    """Why the packages cannot be installed on such a machine; empty if they can."""
    if system == "Darwin" and machine == "x86_64":
        return (
            "Vantum's speech models need onnxruntime, which has no build for Macs with Intel processors (or "
            "for a Python that runs under Rosetta): use a Python for arm64, or Linux."
        )
    return ""


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
        sys.exit(failure(LOG.read_text(), str(LOG.relative_to(ROOT))))


def failure(text: str, file: str) -> str:
    """What is told of a run of pip that failed: why, if that is known, and its own words."""
    reason = next((sentence for pattern, sentence in REASONS if re.search(pattern, text)), "")
    errors = [line for line in text.splitlines() if line.startswith("ERROR")]
    return "\n".join(["", *filter(None, [reason]), f"pip failed (all it said is in {file}):", *errors[-5:]])


def say(text: str, end: str = "\n") -> None:
    print(text, end=end, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
