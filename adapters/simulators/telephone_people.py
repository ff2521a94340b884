"""The people at simulated telephones: who answers, who does not, and what they say.

The last four digits of a number decide what happens there, as with Twilio's own test numbers.
"""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
import trio
from attrs import frozen

from adapters.interfaces import Samples
from adapters.simulators.session import World
from adapters.simulators.telephone import Telephone
from protocol.twilio import PHONE_RATE

_QUIET_S = 1.2
"""A person speaks when it has been quiet for this long."""
BEEP_S = 0.4
SCREENING = "If you record your name and reason for calling, I will see if this person is available."
_PICKS_UP_S = 5.0
"""Somebody who has their calls screened needs this long to read who calls, and to take the call."""
MENU = {
    "": "For opening hours, press one. For a table, press two.",
    "1": "We are open from nine to five.",
    "2": "For lunch, press one. For dinner, press two.",
    "22": "Your table for dinner is booked. Goodbye.",
}
"""What a menu says, by the keys that were pressed."""
NOT_IN_MENU = "This is not one of the choices."
_PATIENCE_S = 20.0
"""If nothing is heard at all, a person speaks, or gives up, after this."""


class Behaviour(enum.Enum):
    """What happens at a number; the value is its last four digits."""

    NO_NUMBER = "0001"
    """There is no such number; the call is refused."""
    BUSY = "0002"
    NO_ANSWER = "0003"
    FAILS = "0004"
    """The network cannot put the call through."""
    MACHINE = "0005"
    """An answering machine answers."""
    SCREENING = "0006"
    """A telephone asks who calls and why, and its owner takes the call if that is said."""
    FAX = "0007"
    MENU = "0008"
    """A menu asks for keys."""
    ANSWERS = ""
    """At all other numbers a person answers."""


@frozen
class Person:
    """A person, or a machine, that has a number."""

    behaviour: Behaviour = Behaviour.ANSWERS
    reached_after_s: float = 0.5
    answers_after_s: float = 2.0
    detected_after_s: float = 1.5
    """Machine detection takes this long."""
    greeting_s: float = 11.0
    """A machine's greeting takes this long, with silence at its end. Then it beeps and records."""


def person_at(number: str) -> Person:
    """The person who has this number."""
    found = next((each for each in Behaviour if each.value and number.endswith(each.value)), None)
    return Person(found or Behaviour.ANSWERS)


async def talk(telephone: Telephone, person: Person, world: World, pressed: str = "") -> None:
    """Say the lines of the script, each when the other side has finished.

    A machine says its one line at once, beeps, and then records. A menu says what it says after the keys that
    were `pressed` so far.
    """
    match person.behaviour:
        case Behaviour.MACHINE:
            began = trio.current_time()
            await _say(telephone, world, "Please leave a message after the tone.")
            await trio.sleep_until(began + person.greeting_s)
            telephone.say(_beep())
            await telephone.over.wait()
            return
        case Behaviour.FAX:
            telephone.say(_beep())
            await telephone.over.wait()
            return
        case Behaviour.MENU:
            await _say(telephone, world, MENU.get(pressed, NOT_IN_MENU))
            await telephone.over.wait()
            return
        case Behaviour.SCREENING:
            await _say(telephone, world, SCREENING)
            with trio.move_on_after(_PATIENCE_S):
                await telephone.until(lambda: telephone.heard)
            if not telephone.heard:
                return
            await _until_quiet(telephone)
            await trio.sleep(_PICKS_UP_S)
    for line in world.script.caller_says:
        await _until_quiet(telephone)
        if telephone.over.is_set():
            return
        await _say(telephone, world, line)
        await _until_answered(telephone)
    await _until_quiet(telephone)


def _beep() -> Samples:
    seconds = np.arange(round(BEEP_S * PHONE_RATE)) / PHONE_RATE
    return (np.sin(2 * np.pi * 1000 * seconds) * 8000).astype(np.int16)


async def _say(telephone: Telephone, world: World, line: str) -> None:
    speech: Any = await world.voice.speak(line, PHONE_RATE)
    telephone.say(speech.samples)
    await telephone.said()


async def _until_answered(telephone: Telephone) -> None:
    pieces = len(telephone.heard)
    with trio.move_on_after(_PATIENCE_S):
        await telephone.until(lambda: len(telephone.heard) > pieces)


async def _until_quiet(telephone: Telephone) -> None:
    with trio.move_on_after(_PATIENCE_S):
        await telephone.until(lambda: telephone.quiet_seconds() >= _QUIET_S)
