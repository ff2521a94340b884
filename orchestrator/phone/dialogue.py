"""Whether a telephone call is a dialogue: what of ours is being said, and whether it answers the other side.

Whoever hears an answer to their words out is a person, whatever the carrier takes them for.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from adapters.tasks import Signal


@define(eq=False)
class Dialogue:
    """Follows what both sides of one call say."""

    on_words: Callable[[bool], object] = lambda answered: None
    """Called when the other side has said words after something of ours was heard, and (True) when the
    answer to them was heard to its end."""
    _saying: int | None = field(default=None, init=False)
    """The answer that is being said, from its first text to its end."""
    _replies: bool = field(default=False, init=False)
    """It answers words of the other side."""
    _cut: bool = field(default=False, init=False)
    """It is not heard to its end."""
    _was_heard: bool = field(default=False, init=False)
    """Something of ours was said and is over."""
    _words_wait: bool = field(default=False, init=False)
    """The other side has said words that nothing was said to yet."""
    _over: bool = field(default=False, init=False)
    _silent: Signal = field(factory=Signal, init=False)

    def heard(self) -> None:
        """The other side has said words."""
        self._words_wait = True
        if self._was_heard:
            self.on_words(False)

    def says(self, answer: int) -> None:
        """A text of this answer is being said."""
        if answer != self._saying:
            self._saying, self._cut = answer, False
            self._replies, self._words_wait = self._words_wait, False

    def cut(self) -> None:
        """What is being said is not heard to its end."""
        self._cut = True

    def said(self, answer: int) -> None:
        """The answer is over."""
        if answer != self._saying:
            return
        self._saying, self._was_heard = None, True
        self._silent.wake_all()
        if self._replies and not self._cut:
            self.on_words(True)

    def end(self) -> None:
        """Nobody says anything any more."""
        self._over = True
        self._silent.wake_all()

    async def fall_silent(self) -> None:
        """Return when nothing of ours is being said, or the call is over."""
        while self._saying is not None and not self._over:
            await self._silent.wait()
