"""Virtual environments that benchmarks make for what is never among our dependencies: peers and tools."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path

from benchmarks.load.processes import BenchmarkError

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = ROOT / "benchmarks" / "environments"
"""Git ignores them."""


def environment(name: str, packages: tuple[str, ...]) -> Path:
    """The folder of programs of an environment with these packages, which is made if need be.

    Raises `BenchmarkError` if they cannot be installed.
    """
    directory = ENVIRONMENTS / name
    programs = directory / "bin"
    wanted, stamp = "\n".join(packages), directory / "packages.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"Making {directory.relative_to(ROOT)}: {', '.join(packages)}", flush=True)
        venv.create(directory, with_pip=True, clear=True)
        command = [str(programs / "pip"), "install", "--quiet", "--disable-pip-version-check", *packages]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise BenchmarkError(f"{', '.join(packages)} cannot be installed: {made.stderr[-500:]}")
        stamp.write_text(wanted)
    return programs


def load_path() -> str:
    """Where callers and vendors import from: this checkout, and uvloop where it can be installed."""
    try:
        loop = [
            str(each) for each in environment("loop", ("uvloop",)).parent.glob("lib/python*/site-packages")
        ]
    except BenchmarkError as error:
        print(f"Callers and vendors do without uvloop: {error}")
        loop = []
    return os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""), *loop)))
