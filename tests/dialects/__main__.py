"""`python -m tests.dialects` writes `docs/dialects.md` from a run of every dialect: two minutes."""

from __future__ import annotations

import logging

import structlog

from tests.dialects import speech, telephone
from tests.dialects.run import PATH, all_rows, document

logging.disable()
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
speakers = speech.document(speech.stt_rows(), speech.tts_rows())
PATH.write_text(f"{document(all_rows())}{telephone.section(telephone.all_courses())}\n{speakers}", "utf-8")
