"""Opens ONNX models, on the CPU and with a given number of threads, which sleep when idle."""

from __future__ import annotations

from pathlib import Path

import onnxruntime  # type: ignore[import-untyped]

from adapters.embedded.models import ModelsError, require

_ERRORS_ONLY = 3


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """Load a model. Blocks. Raises `ModelsError` if there is no such file or it is not a model.

    Spinning is off, because the waiting threads of one model would take cores from the others.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(require(path), options, providers=["CPUExecutionProvider"])
    except ModelsError:
        raise
    except Exception as error:  # onnxruntime's own exceptions have no common base
        raise ModelsError(f"The model file {path} cannot be loaded: {error}") from error
