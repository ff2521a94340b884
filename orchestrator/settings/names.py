"""The names of settings in the environment and in `.env`: `VANTUM_PORT`, or in short `PORT`.

Other programs have their names in the same places. So a short name counts only if its value fits the setting,
variables that Kubernetes sets for a service called `vantum` do not count, and a name that is almost one of
ours is reported.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address

from adapters.storage.location import LocationError, location_of

PREFIX = "VANTUM_"
CONFIG_VARIABLE = "VANTUM_CONFIG"
"""Names the TOML file. It is not a setting."""
KEY_VARIABLE = "VANTUM_API_KEY"
"""The key that commands send to a server. It is not a setting: servers have no key of their own."""
_OTHERS = (CONFIG_VARIABLE, KEY_VARIABLE, "VANTUM_NODE_CACHE", "VANTUM_SCREENSHOTS")
"""Our variables that are not settings. All but the first two are for the tests."""
_KUBERNETES = re.compile(r"VANTUM_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_\w+)?)")
"""What Kubernetes puts into the environment of all containers for a service called `vantum` or `vantum-…`."""
_SHORTEST_GUESS = 8
"""Characters. Too many names are near a shorter one."""


def is_foreign(name: str, value: str) -> bool:
    """Whether Kubernetes made a variable that looks like ours: `VANTUM_PORT=tcp://10.0.0.1:3001`."""
    if name == PREFIX + "PORT":
        return "://" in value
    return bool(_KUBERNETES.fullmatch(name))


def is_plausible(setting: str, value: str) -> bool:
    """Whether a short name in the environment can be meant for us.

    Conda sets `HOST` to a compiler's triple, and some shells set it to this machine's name. The server would
    then listen to the outside. `DATABASE_URL` may be another program's, of a kind that we have no use for.
    """
    return setting not in _TESTS or _TESTS[setting](value)


def _is_host(value: str) -> bool:
    if value == "localhost":
        return True
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def _is_database(value: str) -> bool:
    try:
        location_of(value)
    except LocationError:
        return False
    return True


_TESTS: Mapping[str, Callable[[str], bool]] = {"host": _is_host, "database_url": _is_database}
IMPLAUSIBLE: Mapping[str, str] = {
    "host": "is not an IP address",
    "database_url": "names no database of PostgreSQL's or SQLite's",
}
"""What is said of a value that is not plausible."""


def stray_names(names: Iterable[str], settings: Collection[str]) -> dict[str, str]:
    """Names that probably were meant for settings, each with the nearest setting, or "" if none is near."""
    known = {name.upper() for name in settings}
    found: dict[str, str] = {}
    for name in names:
        short = name.upper().removeprefix(PREFIX)
        if short in known or name.upper() in _OTHERS:
            continue
        if name.upper().startswith(PREFIX):
            near = difflib.get_close_matches(short, known, n=1)
            found[name] = near[0] if near else ""
        elif near := [each for each in sorted(known) if _almost(short, each)]:
            found[name] = min(near, key=lambda each: _edits(short, each))
    return found


def _almost(name: str, setting: str) -> bool:
    if min(len(name), len(setting)) < _SHORTEST_GUESS:
        return False
    if abs(len(name) - len(setting)) <= 2 and _edits(name, setting) <= (2 if len(name) > 12 else 1):
        return True
    return sorted(name.split("_")) == sorted(setting.split("_"))


@lru_cache(maxsize=4096)
def _edits(one: str, other: str) -> int:
    """How many letters must be added, left out, replaced or swapped with their neighbours."""
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(one, start=1):
        row = [i]
        for j, wanted in enumerate(other, start=1):
            costs = [rows[-1][j] + 1, row[j - 1] + 1, rows[-1][j - 1] + (letter != wanted)]
            if i > 1 and j > 1 and (letter, one[i - 2]) == (other[j - 2], wanted):
                costs.append(rows[-2][j - 2] + 1)
            row.append(min(costs))
        rows.append(row)
    return rows[-1][-1]
