"""How an extra of this package is installed here: there is no distribution of it to install by name."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]


def install_command(extra: str, root: Path = HERE) -> str:
    """The command that adds an extra, such as `local`, to what is installed; a clone is named in it."""
    if (root / "pyproject.toml").is_file():
        python, clone = (_from_here(each) for each in (Path(sys.executable), root))
        return f"{python} -m pip install -e '{clone}[{extra}]'"
    return f"{_from_here(Path(sys.executable))} -m pip install 'vantum[{extra}] @ git+URL-OF-THE-REPOSITORY'"


def _from_here(path: Path) -> str:
    """The path as somebody in the working directory writes it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
