"""Writes `docs/faults.md` from a run of every cell: `python -m tests.faults`. Takes some minutes."""

from __future__ import annotations

import logging

import structlog

from tests.faults.run import document
from tests.faults.table import PATH

logging.disable()  # the SDKs log every message that they do not know
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
PATH.write_text(document(), "utf-8")
