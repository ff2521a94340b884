"""Turns the exceptions of a task into the `ProviderFailure` that the machine is told."""

from __future__ import annotations

from adapters.interfaces import ProviderError
from adapters.logs import library_logger
from adapters.tasks import first_error
from machines.facts import ErrorClass, ProviderFailure

log = library_logger(__name__)


def failure_of(group: BaseExceptionGroup[Exception], task: str) -> ProviderFailure:
    """The failure of a task: of one exception of the group, however deeply nested.

    What it cost, if a caller waited for it, is logged for the machine (`LogFailure`).

    An exception other than `ProviderError` is a bug of ours or of an SDK. It must not end the conversation or
    the server, and is logged with its traceback.
    """
    error = _cause(group)
    if isinstance(error, ProviderError) and error.failure.idle:
        log.info("idle link closed", task=task, error=str(error))
        return error.failure
    if isinstance(error, ProviderError):
        log.info("provider failed", task=task, error=str(error), error_class=error.failure.error_class)
        return error.failure
    log.exception("task broke", task=task, exc_info=group)
    return ProviderFailure(ErrorClass.TRANSIENT, f"{task} broke: internal error")


def _cause(group: BaseExceptionGroup[Exception]) -> BaseException:
    """The first bug, or else the first `ProviderError`: the bug may be its cause."""
    _, bugs = group.split(ProviderError)
    cause: BaseException = first_error(bugs or group)
    return cause
