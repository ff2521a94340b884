"""`python -m tests.dialects` writes `docs/dialects.md` from a run of every dialect: some seconds."""

from __future__ import annotations

import logging

import structlog

from tests.dialects import telephone
from tests.dialects.run import PATH, all_rows, document

logging.disable()
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
PATH.write_text(document(all_rows()) + telephone.section(telephone.all_courses()), "utf-8")
