"""The scenario of one simulated call: all that is drawn from the campaign's seed and the call's number."""

from __future__ import annotations

from collections import Counter
from random import Random

from attrs import evolve, frozen

from machines.breaker import BreakerPolicy
from machines.facts import TurnMode
from machines.phrases import BACKCHANNELS
from machines.policy import ConversationPolicy, LinkPolicy
from orchestrator.sessions.session import LEGACY_PACING, hierarchical_pacing
from orchestrator.simulation.caller import SimulatedCaller
from orchestrator.simulation.faults import Profile, drawn_providers, drawn_tools
from orchestrator.simulation.personalities import PERSONALITIES
from orchestrator.simulation.providers import SimulatedProviders
from orchestrator.tools.tool import Tool

GREETING = "Hello, how can I help you?"
REPROMPT = "What was that?"
NUDGE = "Are you there?"
FILLER = "One moment, please."
OTHER_FILLER = "Still one moment."
HOSTED = 0.25
"""Share of the calls with a host program that has texts said."""
TOOLED = 0.5
"""Share of the calls in which the model has tools."""
KEYPAD = 0.2
"""Share of the calls in which the caller presses keys of a telephone."""
PACINGS = (
    *(hierarchical_pacing(24_000), hierarchical_pacing(8_000)),
    *(evolve(LEGACY_PACING, rate=rate) for rate in (8_000, 24_000)),
)
"""Small and large chunks, as the two dialects send them, at the rates of telephones and of voices."""
WATCHED = 0.2
"""Share of the calls in whose process a `ProviderWatch` probes providers that failed."""


@frozen
class Scenario:
    """What one call is made of. `random` is also drawn from while the call runs."""

    personality: str
    mode: TurnMode
    policy: ConversationPolicy
    providers: SimulatedProviders
    tools: tuple[Tool, ...]
    """The tools that the model may call."""
    caller: SimulatedCaller
    breaker: BreakerPolicy | None
    """The policy of the `ProviderWatch`; None: there is none."""
    host: bool
    """Whether a host program has texts said in the call."""
    keypad: bool
    """Whether the caller presses keys of a telephone."""
    block_ms: int
    random: Random
    injected: Counter[str]
    """What went wrong with the providers and the tools, by kind."""

    @classmethod
    def drawn(cls, seed: str, profile: Profile) -> Scenario:
        """Draw the scenario of this seed."""
        random = Random(seed)
        injected: Counter[str] = Counter()
        pacing = random.choice(PACINGS)
        tools = drawn_tools(profile, random, injected) if random.random() < TOOLED else ()
        return cls(
            personality=random.choice(tuple(PERSONALITIES)),
            mode=random.choice((TurnMode.AUTOMATIC, TurnMode.AUTOMATIC, TurnMode.MANUAL)),
            policy=_policy(random),
            providers=drawn_providers(profile, random, injected, pacing.rate, tools),
            tools=tools,
            caller=SimulatedCaller(
                pacing=pacing,
                closing_takes_ms=random.choice((0, 0, 30, 5000)),
                drops_when_paused=random.random() < 0.5,
            ),
            breaker=_breaker(random) if random.random() < WATCHED else None,
            host=random.random() < HOSTED,
            keypad=random.random() < KEYPAD,
            block_ms=random.choice((64, 128, 256)),
            random=random,
            injected=injected,
        )


def _breaker(random: Random) -> BreakerPolicy:
    return BreakerPolicy(
        failures_to_open=random.choice((1, 2, 3)),
        probe_delays_ms=random.choice(((300, 1000), (1000, 2000, 4000))),
        probe_timeout_ms=random.choice((500, 5000)),
    )


def _policy(random: Random) -> ConversationPolicy:
    """A policy that an operator might choose, with times so short that deadlines are met in most calls."""
    one_of = random.choice
    return ConversationPolicy(
        system_prompt=one_of(("", "Be brief.")),
        greeting=one_of(("", GREETING)),
        reprompt=one_of(("", REPROMPT)),
        idle_after_ms=one_of((0, 1500, 6000)),
        nudges=one_of(((), (NUDGE,), (NUDGE, NUDGE))),
        connect_timeout_ms=one_of((1000, 5000)),
        endpoint_delay_ms=one_of((100, 200, 500, 800)),
        unfinished_delay_ms=one_of((0, 400, 1000)),
        complete_delay_ms=one_of((0, 200)),
        speculations=one_of((0, 1, 3)),
        speculative_speech=random.random() < 0.5,
        barge_in=random.random() < 0.8,
        barge_in_thinking=random.random() < 0.8,
        barge_in_greeting=random.random() < 0.8,
        max_queue=one_of((1, 2, 10)),
        max_host_utterances=one_of((0, 1, 10)),
        barge_in_min_ms=one_of((0, 200, 200, 600)),
        barge_in_min_words=one_of((0, 1, 1, 2)),
        barge_in_patience_ms=one_of((300, 2000)),
        barge_in_false_alarms=one_of((0, 1, 2)),
        backchannels=one_of(((), BACKCHANNELS)),
        backchannel_end_ms=one_of((0, 1500)),
        max_turn_ms=one_of((1500, 60_000)),
        final_transcript_timeout_ms=one_of((1000, 4000)),
        first_segment_timeout_ms=one_of((2000, 10_000)),
        first_token_timeout_ms=one_of((1000, 5000)),
        token_gap_timeout_ms=one_of((500, 5000)),
        answer_timeout_ms=one_of((3000, 30_000)),
        # Playback is reported after each second that was sent, so a shorter time would take slow voices for
        # stalled ones.
        speech_stall_timeout_ms=one_of((3000, 5000)),
        close_timeout_ms=one_of((100, 2000)),
        llm_retry_delays_ms=one_of(((), (0,), (0, 100, 200))),
        voice_retries=one_of((0, 1, 3)),
        max_history=one_of((2, 4, 50)),
        max_history_tokens=one_of((0, 0, 30)),
        digits_timeout_ms=one_of((500, 3000)),
        most_digits=one_of((3, 32)),
        tools_in_parallel=random.random() < 0.7,
        max_tool_steps=one_of((1, 2, 5)),
        tool_filler_after_ms=one_of((0, 700, 2500)),
        tool_fillers=one_of(((), (FILLER,), (FILLER, OTHER_FILLER))),
        hand_over=random.random() < 0.3,
        link=LinkPolicy(
            attempt_timeout_ms=one_of((500, 2500)),
            retry_delays_ms=one_of(((0,), (0, 100, 200, 400))),
            budget_ms=one_of((500, 5000, 15_000)),
        ),
    )
