"""Saves and restores the memory of a machine, fast enough for millions of times."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any

import attrs
from attrs import frozen

from machines.conversation.context import TurnTimes
from machines.driver import Driver
from machines.playback_ledger import PlaybackLedger, SpokenSegment


@frozen
class Snapshot:
    """The memory of one machine."""

    fixed: tuple[Any, ...]
    """The values of the fields that are immutable."""
    changing: tuple[Any, ...]
    """Copies of the values that change in place. The copies never change."""


@frozen
class Fields:
    """How a class of memory is read: its fields' paths (`turns.queue`), and getters of all their values."""

    fixed: tuple[str, ...]
    fixed_values: Callable[[Any], tuple[Any, ...]]
    changing: tuple[str, ...]
    changing_values: Callable[[Any], tuple[Any, ...]]


def snapshot(driver: Driver[Any]) -> Snapshot:
    """Save a machine's memory."""
    fields = _fields(driver.context.__class__)
    changing = fields.changing_values(driver.context)
    return Snapshot(fields.fixed_values(driver.context), tuple(COPY[type(each)](each) for each in changing))


def restore(driver: Driver[Any], kept: Snapshot) -> None:
    """Restore a machine's memory."""
    context = driver.context
    fields = _fields(context.__class__)
    for path, value, now in zip(fields.fixed, kept.fixed, fields.fixed_values(context), strict=True):
        if now is not value:
            _set(context, path, value)
    for path, value in zip(fields.changing, kept.changing, strict=True):
        _set(context, path, COPY[type(value)](value))


def _set(context: Any, path: str, value: object) -> None:
    part, _, name = path.rpartition(".")
    setattr(getattr(context, part) if part else context, name, value)


_ledger_values = attrgetter(*(field.name for field in attrs.fields(PlaybackLedger)))


@cache
def _fields(kind: type[attrs.AttrsInstance]) -> Fields:
    fixed, changing = _paths(kind)
    return Fields(fixed, attrgetter(*fixed), changing, attrgetter(*changing))


def _paths(kind: type[attrs.AttrsInstance], above: str = "") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The paths of the fields with immutable values, and of those whose values change in place.

    A value that changes in place has a factory as its default. So has a part of the memory, which is read
    field by field.
    """
    fixed: tuple[str, ...] = ()
    changing: tuple[str, ...] = ()
    for field in attrs.fields(kind):
        default, path = field.default, f"{above}{field.name}"
        made: Any = getattr(default, "factory", None)
        if made is None:
            fixed += (path,)
        elif made in COPY:
            changing += (path,)
        else:
            part_fixed, part_changing = _paths(made, f"{path}.")
            fixed, changing = fixed + part_fixed, changing + part_changing
    return fixed, changing


def _copied_ledger(ledger: PlaybackLedger) -> PlaybackLedger:
    segments, *others = _ledger_values(ledger)
    return PlaybackLedger([_copied_segment(each) for each in segments], *others)


def _copied_segment(segment: SpokenSegment) -> SpokenSegment:
    return SpokenSegment(segment.text, segment.duration_ms, segment.words, segment.unsayable, segment.filler)


def _copied_times(times: TurnTimes) -> TurnTimes:
    return TurnTimes(times.voice_ended, times.turn_over, times.words_known, times.first_segment)


COPY: dict[type, Callable[[Any], Any]] = {
    list: list.copy,
    PlaybackLedger: _copied_ledger,
    TurnTimes: _copied_times,
}
"""How each kind of value that changes in place is copied. No two fields share such a value."""
