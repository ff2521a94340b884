"""How a host's conversations end, or why they do not begin."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from machines.facts import EndReason
from machines.history import Message


@frozen
class ConversationOutcome:
    """A conversation that is over.

    ```python
    transport = MemoryTransport()
    async with orchestrator.conversation(transport) as conversation:
        await transport.hang_up()
        outcome = await conversation.outcome()
    assert outcome.reason is EndReason.CALLER_HUNG_UP and outcome.history == ()
    ```
    """

    reason: EndReason
    duration_ms: float
    history: tuple[Message, ...]
    """The exchanges, with each answer as far as it was heard."""
    answers: int
    """Answers that were begun, whoever's the words."""
    interruptions: int
    """Those of them that the caller cut off."""
    client_errors: int
    """What went wrong and was told (`ClientErrorReported`)."""
    refused_facts: int
    """What came too late to matter: normal, in small numbers."""
    audio_received_ms: float
    audio_dropped_ms: float
    """The part of it that nothing listened to, for want of room."""
    journal: Path | None
    """Its file, complete some 50 ms later, or when the orchestrator is closed; None if none is kept."""


class OrchestratorBusy(Exception):  # noqa: N818 (it says what happened)
    """There are as many conversations as there may be.

    ```python
    from orchestrator.simulation import SimulatedProviders

    one_at_a_time = Settings(max_sessions=1)
    async with (
        open_orchestrator(one_at_a_time, providers=SimulatedProviders().for_calls()) as small,
        small.conversation(MemoryTransport()),
    ):
        try:
            async with small.conversation(MemoryTransport()):
                raise AssertionError("there was room")
        except OrchestratorBusy as busy:
            assert str(busy) == "all 1 conversations that there may be at once are being held"
    ```
    """


class ConversationLost(Exception):  # noqa: N818 (it says what happened)
    """The conversation was cancelled, or failed, before its end: it has no outcome.

    ```python
    with trio.CancelScope() as scope:
        async with orchestrator.conversation(MemoryTransport()) as conversation:
            scope.cancel()
            await trio.sleep_forever()
    try:
        await conversation.outcome()
    except ConversationLost as lost:
        assert "cancelled" in str(lost)
    ```
    """
