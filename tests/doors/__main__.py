"""`python -m tests.doors` writes the tables of `docs/access.md`, from a run through real sockets."""

from __future__ import annotations

import logging

import structlog
import trio

from tests.doors.table import PATH, all_rows, with_table

logging.disable()
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
PATH.write_text(with_table(PATH.read_text("utf-8"), trio.run(all_rows)), "utf-8")
