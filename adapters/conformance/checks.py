"""Helpers that the conformance checks of all roles share."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import trio

from adapters.interfaces import ProviderError, Samples
from adapters.tasks import errors_in

S = TypeVar("S")

Check = Callable[[S], Awaitable[None]]


class NotConformant(AssertionError):  # noqa: N818 (it says what was found)
    """The adapter does not do what its interface says. The text is one sentence."""


def checked(check: Check[S]) -> Check[S]:
    """The same check; whatever it raises, also out of nurseries, becomes a `NotConformant`."""

    @functools.wraps(check)
    async def run(subject: S) -> None:
        try:
            await check(subject)
        except Exception as error:
            raise NotConformant(_sentence(error)) from error

    return run


def _sentence(error: BaseException) -> str:
    leaves = list(errors_in(error))
    for leaf in leaves:
        if isinstance(leaf, NotConformant):
            return str(leaf)
    leaf = leaves[0]
    return f"raised {type(leaf).__name__}: {leaf}"


def must(condition: bool, sentence: str) -> None:
    """Raise `NotConformant` unless the condition is true."""
    if not condition:
        raise NotConformant(sentence)


@contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    """Fail if the block takes longer. `what` names it, as the subject of a sentence."""
    with trio.move_on_after(seconds) as patience:
        yield
    must(not patience.cancelled_caught, f"{what} took longer than {seconds:g} s")


async def must_fail(seconds: float, what: str, use: Callable[[], Awaitable[None]]) -> None:
    """`use` must raise `ProviderError`, alone or in a group, and nothing else."""
    failed = False
    with within(seconds, what):
        try:
            await use()
        except* ProviderError:
            failed = True
    must(failed, f"{what} raised no ProviderError")


def must_have_a_name(provider: Any) -> None:
    """The provider must have a name."""
    name = getattr(provider, "name", None)
    must(isinstance(name, str) and bool(name), f"its name is {name!r}, but must be a text that is not empty")


def must_be_audio(samples: Any) -> Samples:
    """The samples must be one-dimensional `int16`; returns them."""
    is_audio = isinstance(samples, np.ndarray) and samples.dtype == np.int16 and samples.ndim == 1
    must(is_audio, f"audio must be a one-dimensional numpy array of int16, not {samples!r}")
    return np.asarray(samples, np.int16)
