"""From exceptions to failures: what went wrong in a task, as the machines are told of it."""

from __future__ import annotations

import structlog

from adapters.interfaces import ProviderError
from adapters.tasks import first_error
from machines.facts import ErrorClass, ProviderFailure

log = structlog.get_logger(__name__)


def failure_of(group: BaseExceptionGroup[Exception], task: str) -> ProviderFailure:
    """One failure of the group: a task fails for one reason, however deep in nurseries it was.

    What is no `ProviderError` is a fault of our own or of an SDK; it must end neither the conversation nor
    the server, nor go unheard: it is logged with its traceback.
    """
    error = _cause(group)
    if isinstance(error, ProviderError):
        log.warning("provider failed", task=task, error=str(error), error_class=error.failure.error_class)
        return error.failure
    log.exception("task broke", task=task, exc_info=group)
    return ProviderFailure(ErrorClass.TRANSIENT, f"{task} broke: internal error")


def _cause(group: BaseExceptionGroup[Exception]) -> BaseException:
    """A bug stands above what a provider did: it may be the cause."""
    _, bugs = group.split(ProviderError)
    cause: BaseException = first_error(bugs or group)
    return cause
