"""What the conversation knows of its provider links, and what it tells them."""

from __future__ import annotations

from attrs import evolve

from machines import effects as do
from machines import facts
from machines.conversation.context import Context
from machines.conversation.failure_reports import log_failure
from machines.declarations import causes
from machines.driver import Chart
from machines.facts import EndReason, Role

UNAVAILABLE = {
    Role.STT: do.ClientError.STT_UNAVAILABLE,
    Role.LLM: do.ClientError.LLM_UNAVAILABLE,
    Role.TTS: do.ClientError.TTS_UNAVAILABLE,
}


def renew_tts(context: Context) -> None:
    """Have the link of text to speech opened again, if that is due and nothing is being said."""
    unable = context.links.tts_renewal
    if unable is not None and context.answer.speech_open is None:
        context.links.tts_renewal = None
        _renew(context, Role.TTS, unable)


def _renew(context: Context, role: Role, unable: tuple[int, ...]) -> None:
    context.links.renewing |= {role}
    context.ask(do.RenewLink(role, unable))


def return_to_recovered(context: Context) -> None:
    """Have the links return to the preferred providers that recovered meanwhile."""
    recovered = sorted(context.links.recovered, key=lambda each: (each[0].value, each[1]))
    context.links.recovered = frozenset()
    context.ask(*(do.ReturnLink(role, provider) for role, provider in recovered))


class Links(Chart[Context]):
    """Guards and actions on links."""

    # --- guards ------------------------------------------------------------------------------------------

    def last_link(self, fact: facts.LinkUp) -> bool:
        """The links of all other roles are up already."""
        return self.context.links.up | {fact.role} == frozenset(Role)

    def can_say_goodbye(self, fact: facts.LinkDown) -> bool:
        """Text to speech works, so that the caller can be told that the call ends."""
        return fact.role is not Role.TTS and Role.TTS in self.context.links.up

    def tts_lost(self, fact: facts.LinkDown) -> bool:
        """The link that is lost for good is that of text to speech."""
        return fact.role is Role.TTS

    # --- actions -----------------------------------------------------------------------------------------

    @causes(do.Acknowledge)
    def note_link(self, fact: facts.LinkUp) -> None:
        """Keep which role works, and answer the requests that waited for the last link to be renewed."""
        context, role = self.context, frozenset({fact.role})
        context.links.up |= role
        context.links.fallbacks_ready = (
            context.links.fallbacks_ready | role
            if fact.fallback_ready
            else context.links.fallbacks_ready - role
        )
        if fact.role is Role.STT:
            context.links.ends_turns = fact.ends_turns
        context.links.renewing -= role
        if not context.links.renewing:
            context.ask(*(do.Acknowledge(request) for request in context.recording.held))
            context.recording.held = ()

    @causes()
    def note_language(self, fact: facts.LanguageChanged) -> None:
        """Decide about words by what the caller speaks now."""
        self.context.policy = evolve(self.context.policy, language=fact.language)

    @causes(do.RenewLink)
    def renew_links(self, fact: facts.LanguageChanged) -> None:
        """Have the links of speech to text and text to speech opened again. What is being said goes on."""
        _renew(self.context, Role.STT, fact.unable_stt)
        self.context.links.tts_renewal = fact.unable_tts
        renew_tts(self.context)

    @causes()
    def note_link_lost(self, fact: facts.LinkLost) -> None:
        """Remember that the role cannot be used. The link machine replaces the link."""
        self.context.links.up -= {fact.role}
        self.context.links.recovered -= {
            each for each in self.context.links.recovered if each[0] is fact.role
        }

    @causes()
    def note_recovered(self, fact: facts.PreferredProviderRecovered) -> None:
        """Remember that a preferred provider works again. Returning to it must wait until nobody speaks."""
        self.context.links.recovered |= {(fact.role, fact.provider)}

    @causes(do.ReturnLink)
    def return_to_preferred(self, fact: facts.PreferredProviderRecovered) -> None:
        """Have the link return to the preferred provider at once."""
        self.context.ask(do.ReturnLink(fact.role, fact.provider))

    @causes(do.NotifyClientError)
    def report_link_lost(self, fact: facts.LinkDown) -> None:
        """Tell the client which role is lost for good. It is why the call ends."""
        self.context.ask(do.NotifyClientError(UNAVAILABLE[fact.role], fact.failure.message, retryable=False))
        self.context.end_reason = EndReason.PROVIDER_UNAVAILABLE

    @causes(do.NotifyClientError, do.LogFailure)
    def report_links_late(self) -> None:
        """Tell the client which roles were not ready in time. It is why the call ends."""
        waited_ms = self.context.policy.connect_timeout_ms
        for role in Role:
            if role not in self.context.links.up:
                message = f"{role.name} was not ready within {waited_ms:.0f} ms"
                failure = facts.ProviderFailure(facts.ErrorClass.TIMEOUT, message)
                log_failure(self.context, role, failure, waited_ms)
                self.context.ask(do.NotifyClientError(UNAVAILABLE[role], message, retryable=True))
        self.context.end_reason = EndReason.PROVIDER_UNAVAILABLE
