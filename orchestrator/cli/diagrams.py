"""Writes the pictures and tables of the machines into a directory: the body of `vantum diagrams`."""

from __future__ import annotations

from pathlib import Path

from machines import diagrams


def write(directory: Path) -> list[Path]:
    """Write all files into `directory`, which is made if need be; returns their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, content in diagrams.files().items():
        path = directory / name
        path.write_bytes(content.encode())
        paths.append(path)
    return paths


def stale(directory: Path) -> list[Path]:
    """The files in `directory` that are missing, or are not what `write` would write."""
    found = []
    for name, content in diagrams.files().items():
        path = directory / name
        if not path.is_file() or path.read_bytes() != content.encode():
            found.append(path)
    return found
