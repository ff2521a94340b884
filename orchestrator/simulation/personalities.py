"""Personalities of simulated callers: what each kind of caller does in a call, at random from a seed.

A personality is a function that acts through a `Person`. If it returns before the call is over, the call is
hung up; when the call is over, it is cancelled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from random import Random

import trio
from attrs import define

from machines.conversation.chart import ConversationChart
from machines.facts import EndReason, SayMode, SayRequested, TurnMode
from orchestrator.simulation.call import SimulatedCall
from orchestrator.simulation.speech import VOCABULARY

NOT_LISTENING = frozenset(str(state.id) for state in ConversationChart.answering)
"""In these states it is not the caller's turn: an answer is made, said, or silent for a moment."""
ANSWER_S = 40
"""Longer than any answer: whoever waits for this long waits for the end of it."""
KEYS = "0123456789*ABCD"
"""The keys of a telephone, without the one that ends a string of keys."""
LAST_WORDS = 0.1
"""Probability that a text of the host is the last of the call."""
LAST_REASONS = (EndReason.OPERATOR_HUNG_UP, EndReason.HANDED_OVER)
PAUSES_MS = (200, 200, 500)
"""Silence after words: the short one ends turns by voice activity, the long one those by a provider."""


@define
class Person:
    """A caller in a call, with the turn mode that they use."""

    call: SimulatedCall
    random: Random
    mode: TurnMode

    async def begin(self) -> None:
        """Start to record, in automatic mode. In manual mode each turn does that."""
        if self.mode is TurnMode.AUTOMATIC:
            await self.call.start_recording(self.mode)

    async def turn(self, words: str = "") -> None:
        """Say something and end the turn; without `words`, something at random."""
        if self.mode is TurnMode.MANUAL:
            await self.call.start_recording(self.mode)
        await self.say(words or self.words())
        await self.end_turn()

    async def end_turn(self) -> None:
        """End the turn: by stopping to record in manual mode, by silence in automatic mode."""
        if self.mode is TurnMode.MANUAL:
            await self.call.stop_recording()
        else:
            await self.call.keep_quiet(self.random.choice(PAUSES_MS))

    def words(self, most: int = 4) -> str:
        """Some words of the vocabulary at random, so some sound unfinished."""
        return " ".join(self.random.choices(VOCABULARY, k=self.random.randint(1, most)))

    async def say(self, words: str) -> None:
        """Speak, at a sample rate that some client records with."""
        await self.call.say(words, self.random.choice((16_000,) * 8 + (8_000, 48_000)))

    async def answered(self, patience_s: float = ANSWER_S) -> bool:
        """Wait until the next answer is over and it is the caller's turn; returns whether that came."""
        before = self.call.answers
        return await self.call.within(
            patience_s, lambda: self.call.answers > before and self.call.state not in NOT_LISTENING
        )

    async def spoken_to(self, patience_s: float = ANSWER_S) -> bool:
        """Wait until an answer is being spoken, or a tool runs for it; returns whether that came."""
        going_on = ("speaking", "paused", "running_tools")
        return await self.call.within(patience_s, lambda: self.call.state in going_on)

    async def pause(self, *seconds: float) -> None:
        """Send nothing for one of these times."""
        await trio.sleep(self.random.choice(seconds))


# --- the personalities ------------------------------------------------------------------------------------


async def polite(person: Person) -> None:
    """Speaks in turn, hears every answer to its end, hangs up between two answers."""
    await person.begin()
    for _ in range(person.random.randint(1, 3)):
        await person.turn()
        await person.answered()
        await person.pause(0, 0.5)


async def impatient(person: Person) -> None:
    """Never waits long: asks again, presses the button that interrupts, hangs up while an answer is made."""
    await person.begin()
    for _ in range(person.random.randint(1, 4)):
        await person.turn(person.words(2))
        await person.answered(person.random.choice((0, 0.3, 0.8, 1.5, 3)))
        if person.random.random() < 0.5:
            await person.call.interrupt()


async def mumbling(person: Person) -> None:
    """Breaks off in the middle of phrases, makes sounds without words, coughs."""
    await person.begin()
    for _ in range(person.random.randint(1, 3)):
        if person.mode is TurnMode.MANUAL:
            await person.call.start_recording(person.mode)
        for _ in range(person.random.randint(1, 3)):
            await person.random.choice((_phrase, _unfinished, _sounds, _cough))(person)
            await person.call.keep_quiet(person.random.choice((100, 300, 700, 1200)))
        await person.end_turn()
        await person.answered(person.random.choice((2, ANSWER_S)))


async def _phrase(person: Person) -> None:
    await person.say(person.words(2))


async def _unfinished(person: Person) -> None:
    await person.say(f"{person.words(1)} the")


async def _sounds(person: Person) -> None:
    await person.call.make_noise(person.random.choice((400, 1000)))


async def _cough(person: Person) -> None:
    await person.call.make_noise(person.random.choice((70, 130)))


async def silent(person: Person) -> None:
    """Calls, perhaps says one thing, and then is silent."""
    if person.random.random() < 0.8:
        await person.begin()
    if person.random.random() < 0.5:
        await person.turn()
    for _ in range(person.random.randint(0, 3)):
        await person.call.keep_quiet(person.random.choice((100, 500)))
        await person.pause(1, 4, 12)
    await person.pause(0, 20, 60)


async def interrupting(person: Person) -> None:
    """Interrupts answers and tools that run, again and again: with words, "yes", a cough or the button.

    Sometimes the voice is the answer itself, which comes back from a loudspeaker.
    """
    await person.begin()
    words = person.words()
    await person.turn(words)
    for _ in range(person.random.randint(1, 5)):
        if not await person.spoken_to(10):
            words = person.words()
            await person.turn(words)
            continue
        await person.pause(0, 0.05, 0.3, 1)
        match person.random.randrange(7):
            case 0 | 1:
                words = person.words()
                await person.turn(words)
            case 2:
                await _cough(person)
                await person.call.keep_quiet(person.random.choice(PAUSES_MS))
            case 3:
                await _sounds(person)
                await person.call.keep_quiet(person.random.choice(PAUSES_MS))
            case 4:
                await person.turn("yes")
            case 5:
                # Answers of the simulated model begin with what they answer.
                await person.turn(words)
            case _:
                await person.call.interrupt()
    await person.answered(5)


async def dropping(person: Person) -> None:
    """Is cut off at any time: before the links are up, in the middle of a word, during the goodbye."""
    with trio.move_on_after(person.random.choice((0, 0.01, 0.2, 1, 2, 4, 8)) * person.random.random()):
        await polite(person)
    person.call.hang_up(person.random.choice(tuple(EndReason)))
    if person.random.random() < 0.3:
        await person.call.start_recording(person.mode)
        person.call.hang_up(EndReason.CALLER_DISCONNECTED)
    await person.call.over.wait()


async def erratic(person: Person) -> None:
    """Sends anything in any order, in both turn modes."""
    for _ in range(person.random.randint(1, 20)):
        match person.random.choices(range(7), (4, 4, 5, 4, 2, 1, 2))[0]:
            case 0:
                person.mode = person.random.choice(tuple(TurnMode))
                await person.call.start_recording(person.mode)
            case 1:
                await person.call.stop_recording()
            case 2:
                await person.say(person.words(2))
            case 3:
                await person.call.keep_quiet(person.random.choice((50, 300, 700)))
            case 4:
                await person.call.interrupt()
            case 5:
                await person.pause(0, 0.001, 0.5, 4)
            case _:
                await person.call.within(10, lambda: person.call.state in ("speaking", "quiet"))


# --- the telephone's keys ---------------------------------------------------------------------------------


async def keypad(person: Person) -> None:
    """Presses keys at any time, besides what the caller does: a few, with or without a final `#`."""
    while True:
        await person.pause(0.5, 2, 5, 10)
        for _ in range(person.random.randint(1, 5)):
            await person.call.press(person.random.choice(KEYS))
            await person.pause(0, 0.1, 0.4, 1)
        if person.random.random() < 0.5:
            await person.call.press(person.call.policy.digits_terminator)


# --- the host ---------------------------------------------------------------------------------------------


async def host(person: Person) -> None:
    """The host program, which has texts said at any time, sometimes as the last of the call."""
    while True:
        await person.pause(0, 0.5, 2, 5)
        text = person.random.choice(("One moment, please.", "Your taxi is here. It is waiting."))
        mode, interruptible = person.random.choice(tuple(SayMode)), person.random.random() < 0.7
        then = person.random.choice(LAST_REASONS) if person.random.random() < LAST_WORDS else None
        await person.call.inbox.deliver(SayRequested(text, mode, interruptible, then))


Personality = Callable[[Person], Awaitable[None]]
PERSONALITIES: Mapping[str, Personality] = {
    each.__name__: each for each in (polite, impatient, mumbling, silent, interrupting, dropping, erratic)
}
