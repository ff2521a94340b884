"""How often something may be done: one number for each who does it, and no background task. Pure.

This is the "generic cell rate algorithm": of everybody it is remembered when all of their share is free
again. What is taken puts that off; nobody may put it off further than their burst allows. Whoever's share is
free again need not be remembered.

Times are whole microseconds of any clock. Whole numbers, so that "again in 1.5 s" is exact: one microsecond
sooner is refused, and then it is let in.
"""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import ge

MICROS = 1_000_000
"""Microseconds in a second."""


@frozen
class Rate:
    """`most` in each `per_s` seconds in the long run, and up to `burst` at once."""

    most: int = field(validator=ge(1))
    per_s: int = field(validator=ge(1))
    burst: int = field(validator=ge(1))


@frozen
class Asked:
    """What became of a request to take something."""

    taken: bool
    free_at: int | None
    """When all is free again, in microseconds times the rate's `most`: to be remembered, and given back the
    next time. None: it is free now, and nothing need be remembered."""
    left: int
    """How much more could be taken at once, at this moment."""
    retry_after_us: int = 0
    """After so long it can be taken, if nobody takes anything else meanwhile; 0 if it was taken."""
    full_after_us: int = 0
    """After so long all is free again."""


class NeverError(ValueError):
    """More was asked for than can ever be taken at once."""


def ask(rate: Rate, free_at: int | None, now_us: int, amount: int = 1) -> Asked:
    """Take `amount` of what `rate` allows to one, if that much is free. `free_at` is of the last answer.

    A clock that goes backwards makes nobody wait longer than for a whole burst. Raises `NeverError` if the
    amount is greater than the burst.
    """
    if amount > rate.burst:
        raise NeverError(f"{amount} are asked for at once, and never more than {rate.burst} may be taken")
    # In units of 1/most microseconds everything is a whole number.
    now, each, room = now_us * rate.most, rate.per_s * MICROS, rate.burst * rate.per_s * MICROS
    begin = now if free_at is None else min(max(now, free_at), now + room)
    wanted = begin + amount * each
    if wanted > now + room:
        return _asked(rate, begin, now, retry_after_us=-(-(wanted - now - room) // rate.most))
    return _asked(rate, wanted, now)


def _asked(rate: Rate, free_at: int, now: int, *, retry_after_us: int = 0) -> Asked:
    used = free_at - now
    left = (rate.burst * rate.per_s * MICROS - used) // (rate.per_s * MICROS)
    return Asked(
        taken=retry_after_us == 0,
        free_at=free_at if used else None,
        left=left,
        retry_after_us=retry_after_us,
        full_after_us=-(-used // rate.most),
    )


# --- failures ---------------------------------------------------------------------------------------------


@frozen
class Patience:
    """How many failures are borne, and how long is waited after more of them: twice as long after each."""

    free: int = field(validator=ge(1))
    """So many failures cost nothing."""
    first_s: int = field(default=60, validator=ge(1))
    """The wait after the next one."""
    longest_s: int = field(default=3600, validator=ge(1))
    """No wait is longer."""

    @property
    def memory_us(self) -> int:
        """Failures are forgotten if none follows for so long, beyond the wait."""
        return self.longest_s * MICROS


@frozen
class Failures:
    """What is remembered of somebody who has failed."""

    count: int
    wait_until_us: int
    """When they may try again."""


def failed(patience: Patience, failures: Failures | None, now_us: int) -> Failures:
    """One more failure, after `failures` of before."""
    before = failures if failures is not None and not forgotten(patience, failures, now_us) else None
    count = 1 if before is None else before.count + 1
    over = count - patience.free
    if over <= 0:
        return Failures(count, now_us)
    # More doublings than a number of this size needs would only make it long.
    wait_s = min(patience.longest_s, patience.first_s << min(over - 1, patience.longest_s.bit_length()))
    return Failures(count, now_us + wait_s * MICROS)


def wait_us(patience: Patience, failures: Failures | None, now_us: int) -> int:
    """How long somebody must wait before the next try; 0: not at all.

    A clock that goes backwards makes nobody wait longer than the longest wait.
    """
    if failures is None:
        return 0
    return max(0, min(failures.wait_until_us - now_us, patience.longest_s * MICROS))


def forgotten(patience: Patience, failures: Failures, now_us: int) -> bool:
    """Whether these failures are too long ago to count."""
    return now_us >= failures.wait_until_us + patience.memory_us
