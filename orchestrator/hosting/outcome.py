"""The outcome of a host's conversation, and the errors for one that has none or cannot begin."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from machines.facts import EndReason
from machines.history import Message


@frozen
class ConversationOutcome:
    """What is known of a conversation that is over.

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
    """The messages of both sides; answers only as far as the caller heard them."""
    answers: int
    """Answers that began, of the model and of the host."""
    interruptions: int
    """Answers that the caller interrupted."""
    client_errors: int
    """Errors that were reported (`ClientErrorReported`)."""
    refused_facts: int
    """Facts that came too late to matter. Small numbers are normal."""
    audio_received_ms: float
    audio_dropped_ms: float
    """The part of it that was dropped for want of room."""
    journal: Path | None
    """Its file, complete some 50 ms later or when the orchestrator is closed; None if none is kept."""
    speculative_answers: int = 0
    """Requests to the model before the end of a turn (`LLM_ANTICIPATIONS`)."""
    speculative_answers_used: int = 0
    """Those of them whose answer the caller got. The others were paid for and dropped."""


class OrchestratorBusy(Exception):  # noqa: N818 (it says what happened)
    """As many conversations are running as may run at once.

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
            assert str(busy) == "1 conversations are running, which is the limit"
    ```
    """


class ConversationLost(Exception):  # noqa: N818 (it says what happened)
    """The conversation was cancelled or failed before its end, so it has no outcome.

    What it failed of is its `__cause__`, and comes out of the conversation's block.

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
