"""Where the call goes once the words of a finished turn are known, or will not come any more."""

from __future__ import annotations

from typing import Any

from statemachine import State
from statemachine.transition_list import TransitionList


def words_settled(listening: Any, generating: State, understood: str, on: list[str]) -> TransitionList:
    """The rows of the chart that three events share.

    If the caller has gone on speaking or recording, the call goes back to them. If not, and the guard
    `understood` holds, the words are answered. The rows after these say what happens otherwise.
    """
    finalizing, on = listening.finalizing, [*on, "acknowledge"]
    goes_on: TransitionList = (
        finalizing.to(listening.hearing, cond="speaking_on", on=on)
        | finalizing.to(listening.endpointing, cond="pausing_again", on=on)
        | finalizing.to(listening.quiet, cond="recording_on", on=on)
        | finalizing.to(generating, cond=understood, on=[*on, "generate"])
    )
    return goes_on
