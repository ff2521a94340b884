"""Accounts that belong to no key: whose share is taken where nobody has shown one of the book.

Ids of keys have no blank and no capitals, so no key is called like that.
"""

from __future__ import annotations

THIS_MACHINE = "this machine"
"""Programs on the server's own machine, where it has no keys."""
ANYBODY = "anybody"
"""Whoever comes, where the settings let anybody in."""
OWN_KEY = "own key"
"""The user who runs the server."""
API_TOKEN = "API_TOKEN"
"""Whoever has the key of the settings."""
TELEPHONE = "the telephone"
"""Whoever calls the server's telephone number."""
