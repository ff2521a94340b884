"""The telephone of a server: makes and takes calls, and admits their media streams."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from math import inf
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit, urlunsplit

import httpx2
import trio
from attrs import Factory, define, field

from adapters.interfaces import ProviderError
from adapters.logs import library_logger
from adapters.twilio import webhooks as twiml
from machines.facts import ErrorClass
from machines.telephone_call import facts as call_facts
from machines.telephone_call.context import CallContext
from machines.telephone_call.machine import TelephoneCall
from orchestrator.access.accounts import TELEPHONE
from orchestrator.access.credentials import Asked
from orchestrator.access.destinations import Destinations
from orchestrator.access.doors import Doors
from orchestrator.access.grants import Grant, Scope
from orchestrator.access.limits import CallShare, Limits
from orchestrator.access.refusal import Refusal
from orchestrator.addresses import is_loopback
from orchestrator.ids import new_id
from orchestrator.logs import bind_session
from orchestrator.phone.call_key import new_key
from orchestrator.phone.call_options import CallOptions, OptionError, read_options
from orchestrator.phone.media_stream import MediaStream
from orchestrator.phone.phone_call import Direction, PhoneCall
from orchestrator.phone.stream_start import StreamRefused, read_start
from orchestrator.phone.stream_tokens import StreamTokens
from orchestrator.sessions.call_socket import CLOSE_HANDSHAKE_S, CloseCode, MessageSocket
from orchestrator.sessions.served_session import ServedSession
from orchestrator.sessions.session_settings import SessionSettings
from orchestrator.settings.settings import Settings
from protocol import ProtocolError
from protocol.twilio import Media, Started

if TYPE_CHECKING:
    from adapters.twilio.account import TwilioAccount

log = library_logger(__name__)

MEDIA_PATH = "/twilio/media"
VOICE_PATH = "/twilio/voice"
STATUS_PATH = "/twilio/status"
COMPLAINT_S = 60
"""The same complaint is not logged more often than this."""
TOKEN = "token"
"""The custom parameter with a stream's token."""
CALLERS = Grant(TELEPHONE, frozenset({Scope.CALL}))
"""What whoever calls our number may do."""
MACHINES = ("machine_start", "machine_end_beep", "machine_end_silence", "machine_end_other", "fax")
"""`AnsweredBy` values that mean a machine."""


class CannotDial(Exception):  # noqa: N818 (it says what happened)
    """No call can be made now. The text tells the client why."""


class PhoneServer(Protocol):
    """The server, as its telephone sees it."""

    settings: Settings
    counts: Counter[str]
    access_limits: Limits
    doors: Doors

    @property
    def session_settings(self) -> SessionSettings:
        """The settings of sessions."""
        ...

    def no_room(self, promised: int = 0, *, taken: bool = False) -> str | None:
        """Why no session can begin now, in words; None if one can. `promised` more will begin soon.

        `taken`: the call was promised before, so that its load is no reason any more.
        """
        ...

    async def run_session(
        self, connection: MessageSocket, session: ServedSession, share: CallShare | None
    ) -> None:
        """Run a session until it is over, or its account has no money left. There must be room for it."""
        ...


@define(eq=False)
class Telephone:
    """All telephone calls of a server."""

    server: PhoneServer
    http: httpx2.AsyncClient | None = None
    """For Twilio's REST interface; by default, one is made when it is needed."""
    own_url: str | None = None
    """The server's address on this machine; None until it listens."""
    own_key: str = Factory(new_key)
    """Whoever has it may do everything: it is in a file that only this server's user can read."""
    calls: dict[str, PhoneCall] = Factory(dict)
    """By their ids, in the order in which they began."""
    most_remembered: int = 1000
    """Calls that are over and can still be reported."""
    _complained: dict[str, float] = field(factory=dict, init=False)
    """When each complaint was logged last."""
    _tokens: StreamTokens[PhoneCall] = field(factory=StreamTokens, init=False)
    _account: TwilioAccount | None = field(default=None, init=False)
    _nursery: trio.Nursery | None = field(default=None, init=False)
    _chart: TelephoneCall = field(factory=lambda: TelephoneCall(CallContext()), init=False)

    # --- life ---------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Make and take calls while the block runs. When it is left, each call is over and has an outcome."""
        async with AsyncExitStack() as stack:
            self._account = await self._open_account(stack)
            async with trio.open_nursery() as self._nursery:
                try:
                    yield
                finally:
                    for call in self.unfinished():
                        call.take(call_facts.CallAbandoned())
                    self._nursery.cancel_scope.cancel()
                    self._nursery = self._account = None

    async def _open_account(self, stack: AsyncExitStack) -> TwilioAccount | None:
        """The Twilio account, if there is one. Twilio's SDK is loaded only then."""
        settings = self.server.settings
        if settings.twilio_account_sid is None or settings.twilio_auth_token is None:
            return None

        from adapters.twilio.account import TwilioAccount, http_client

        http = self.http if self.http is not None else await stack.enter_async_context(http_client())
        token = settings.twilio_auth_token.get_secret_value()
        return TwilioAccount(http, settings.twilio_account_sid, token, settings.twilio_base_url)

    def unfinished(self) -> list[PhoneCall]:
        """The calls without an outcome."""
        return [call for call in self.calls.values() if call.outcome is None]

    def hang_up_unanswered(self) -> None:
        """End the calls in which no conversation has begun."""
        for call in self.unfinished():
            if not call.is_talking:
                call.take(call_facts.HangUpWanted())

    async def drain(self) -> None:
        """End all calls, and return when they are over."""
        calls = self.unfinished()
        for call in calls:
            call.take(call_facts.HangUpWanted())
        for call in calls:
            await call.over.wait()

    @property
    def public_url(self) -> str | None:
        """The URL at which Twilio reaches this server. A simulated Twilio on this machine needs none."""
        settings = self.server.settings
        here = is_loopback(urlsplit(settings.twilio_base_url).hostname or "")
        return settings.twilio_public_url or (self.own_url if here else None)

    # --- outbound -----------------------------------------------------------------------------------------

    async def dial(
        self,
        grant: Grant,
        to: str,
        options: CallOptions,
        *,
        machine_detection: bool | None = None,
        voicemail_text: str | None = None,
    ) -> PhoneCall:
        """Make a call for whoever has this grant. None means as in the settings.

        Raises `CannotDial`, and `Refusal` for a number that may not be called or if it is too much.
        """
        settings = self.server.settings
        needed = {
            "TWILIO_ACCOUNT_SID": settings.twilio_account_sid,
            "TWILIO_FROM_NUMBER": settings.twilio_from_number,
            "TWILIO_PUBLIC_URL": self.public_url,
        }
        for name, value in needed.items():
            if value is None:
                raise CannotDial(f"{name} is not set: it is needed to make calls")
        self.destinations.check(to, settings.twilio_from_number or "")
        await self.server.access_limits.dial(grant, to)
        share = await self.server.access_limits.begin(grant)
        reason = self.server.no_room(self.promised())
        if reason is not None:
            share.release()
            raise CannotDial(reason)
        text = settings.twilio_voicemail_text if voicemail_text is None else voicemail_text
        detects = settings.twilio_machine_detection or bool(text)
        detects = detects if machine_detection is None else machine_detection
        call = self._new_call(
            Direction.OUTBOUND,
            to,
            settings.twilio_from_number or "",
            options,
            detects,
            share,
            text if detects else "",
        )
        call.take(call_facts.DialWanted())
        return call

    async def place(self, call: PhoneCall) -> str:
        """As `Carrier.place`."""
        from adapters.twilio.account import Order

        assert self._account is not None
        settings = self.server.settings
        base, query = self.public_url, f"?call={call.call_id}"
        order = Order(
            call.to,
            call.from_,
            f"{base}{VOICE_PATH}{query}",
            f"{base}{STATUS_PATH}{query}",
            settings.twilio_ring_timeout_s,
            call.machine_detection,
            bool(call.voicemail_text),
        )
        return await self._account.place(order)

    @property
    def destinations(self) -> Destinations:
        """The numbers that may be called, and that calls may be transferred to."""
        settings = self.server.settings
        chosen = settings.twilio_transfer_to
        return Destinations(settings.dial_allow, () if chosen is None else (chosen,))

    def check_transfer(self, call: PhoneCall, to: str) -> None:
        """Raise `Refusal` unless the call may be transferred to this number."""
        ours = call.from_ if call.direction is Direction.OUTBOUND else call.to
        self.destinations.check(to, self.server.settings.twilio_from_number or ours)

    async def transfer(self, call: PhoneCall, to: str) -> bool:
        """As `Carrier.transfer`. A number that may not be called is refused here too, whoever wants it."""
        try:
            self.check_transfer(call, to)
        except Refusal as refusal:
            raise ProviderError(ErrorClass.FATAL, refusal.sentence) from None
        assert self._account is not None
        assert call.call_sid is not None
        return await self._account.redirect(call.call_sid, twiml.dial(to, _shown(call)))

    async def press(self, call: PhoneCall, keys: str) -> bool:
        """As `Carrier.press`."""
        assert self._account is not None
        assert call.call_sid is not None
        token = self._tokens.issue(call, call.call_sid)
        return await self._account.redirect(call.call_sid, twiml.press(keys, call.media_url, {TOKEN: token}))

    async def hang_up(self, call_sid: str) -> str | None:
        """As `Carrier.hang_up`."""
        assert self._account is not None
        return await self._account.hang_up(call_sid)

    def complain(self, what: str, **more: object) -> None:
        """Log a warning about a request that is refused: the same one once a minute."""
        now = trio.current_time()
        if now - self._complained.get(what, -inf) >= COMPLAINT_S:
            self._complained[what] = now
            log.warning(what, **more)

    # --- Twilio's webhooks --------------------------------------------------------------------------------

    async def voice(self, url: str, form: Mapping[str, str], query: Mapping[str, str]) -> str:
        """TwiML for a call that comes in or was answered; `url` was requested. Raises `OptionError`."""
        call_sid = form.get("CallSid", "")
        call = self._call_of(form, query)
        if call is None and "call" not in query:
            options = read_options(query)
            try:
                share = await self.server.access_limits.begin(CALLERS)
            except Refusal as refusal:
                return self._busy(refusal.sentence)
            reason = self.server.no_room(self.promised())
            if reason is not None:
                share.release()
                return self._busy(reason)
            to, from_ = form.get("To", ""), form.get("From", "")
            call = self._new_call(Direction.INBOUND, to, from_, options, detects=False, share=share)
            call.take(call_facts.CallOffered())
        if call is None or call.outcome is not None or not call_sid:
            return twiml.hang_up()
        call.call_sid = call_sid
        call.take(call_facts.CallAnswered())
        call.media_url = _media_url(url)
        return twiml.connect_stream(call.media_url, {TOKEN: self._tokens.issue(call, call_sid)})

    def _busy(self, reason: str) -> str:
        """The TwiML for a call that is turned away."""
        self.server.counts["calls turned away"] += 1
        self.complain("calls are turned away", reason=reason)
        return twiml.reject_as_busy()

    def status(self, form: Mapping[str, str], query: Mapping[str, str]) -> None:
        """Handle Twilio's report of a call's status, or of who answered it."""
        call = self._call_of(form, query)
        if call is None:
            self.server.counts["unknown calls"] += 1
            return
        call.call_sid = call.call_sid or form.get("CallSid")
        answered_by = form.get("AnsweredBy", "")
        if answered_by in MACHINES:
            records, beeped = answered_by.startswith("machine_end"), answered_by == "machine_end_beep"
            call.take(call_facts.MachineAnswered(records, beeped))
        elif answered_by:
            call.take(call_facts.HumanAnswered())
        call.carrier_says(form.get("CallStatus", ""))

    def _call_of(self, form: Mapping[str, str], query: Mapping[str, str]) -> PhoneCall | None:
        if "call" in query:
            call = self.calls.get(query["call"])
            return call if call is not None and call.call_sid in (None, form.get("CallSid")) else None
        sid = form.get("CallSid")
        return next((each for each in reversed(self.calls.values()) if sid and each.call_sid == sid), None)

    # --- media streams ------------------------------------------------------------------------------------

    async def serve_stream(
        self,
        connection: MessageSocket,
        *,
        asked: Asked,
        on_admitted: Callable[[], None],
    ) -> None:
        """Serve one media stream, which was asked for like this, from its first message to its close.

        `on_admitted` is called when it is known to be let in.
        """
        try:
            started, early = await read_start(connection)
            call = await self._admitted(started, asked)
            on_admitted()
            await self._converse(connection, started, early, call)
        except (StreamRefused, ProtocolError, trio.TooSlowError) as refusal:
            self.server.counts["media streams refused"] += 1
            log.warning("media stream refused", reason=str(refusal) or "it did not begin in time")
            with trio.move_on_after(CLOSE_HANDSHAKE_S):
                await connection.aclose(CloseCode.POLICY_VIOLATION, "refused")

    async def _converse(
        self,
        connection: MessageSocket,
        started: Started,
        early: Sequence[Media],
        call: PhoneCall | None,
    ) -> None:
        if call is not None and call.state == "pressing":
            await call.resume(connection, started, early)
            return
        try:
            options = read_options(started.parameters)
        except OptionError as error:
            raise StreamRefused(str(error)) from None
        reason = self.server.no_room(taken=call is not None)
        if reason is not None:
            raise StreamRefused(reason)
        session = MediaStream(
            connection,
            self.server.session_settings,
            started,
            options if call is None else options.over(call.options),
            self.server.settings.stt_language,
            has_call=call is not None,
            carries_tones=call is None or self.server.settings.twilio_carries_tones,
            lead_ms=self.server.settings.twilio_lead_ms if call is not None else 0,
            early=early,
            press=call.press if call is not None else None,
        )

        async def run() -> None:
            # Who answered may have been waited for.
            reason = self.server.no_room(taken=True)
            if reason is not None:
                raise StreamRefused(reason)
            await self.server.run_session(connection, session, None if call is None else call.share)

        with bind_session(session.session_id):
            if call is None:
                await run()
                # Without a call, nobody can be handed over: the stream may still be open.
                with trio.move_on_after(CLOSE_HANDSHAKE_S):
                    await connection.aclose(CloseCode.NORMAL)
            elif not await call.converse(session, run):
                raise StreamRefused("the call is over")

    async def _admitted(self, started: Started, asked: Asked) -> PhoneCall | None:
        """The call of the stream; None for a stream without a call, which must come from this machine."""
        token = started.parameters.get(TOKEN)
        if token is None:
            open_here = self.server.settings.twilio_open_streams
            if open_here and await self.server.doors.is_on_this_machine(asked):
                return None
            raise StreamRefused("it has no token")
        call = self._tokens.redeem(token, started.call_sid)
        if call is None:
            raise StreamRefused("its token is unknown, used, too old or another call's")
        return call

    # --- the calls ----------------------------------------------------------------------------------------

    def _new_call(
        self,
        direction: Direction,
        to: str,
        from_: str,
        options: CallOptions,
        detects: bool,
        share: CallShare,
        voicemail_text: str = "",
    ) -> PhoneCall:
        assert self._nursery is not None
        call = PhoneCall(
            new_id(),
            direction,
            to,
            from_,
            options,
            detects,
            self,
            self._nursery,
            self._chart,
            self._on_call_over,
            self.server.settings.twilio_transfer_to or "",
            voicemail_text,
            self.server.settings.twilio_screening_ms,
            share,
        )
        share.begins()
        self.calls[call.call_id] = call
        log.info("call begins", call=call.call_id, direction=direction.value)
        return call

    def promised(self) -> int:
        """The number of calls that will need a session and have none yet."""
        return sum(call.session_id is None for call in self.unfinished())

    def _on_call_over(self, call: PhoneCall) -> None:
        assert call.outcome is not None
        self.server.counts[f"calls {call.outcome.value}"] += 1
        finished = [each.call_id for each in self.calls.values() if each.outcome is not None]
        for call_id in finished[: max(0, len(finished) - self.most_remembered)]:
            del self.calls[call_id]


def _shown(call: PhoneCall) -> str | None:
    """The number that is shown to whom a caller is transferred; None: that of the caller."""
    if call.direction is Direction.OUTBOUND:
        return call.from_
    return None if twiml.may_be_shown(call.from_) else call.to


def _media_url(url: str) -> str:
    """The media stream's URL, on the host at which Twilio reached us."""
    parts = urlsplit(url)
    path = parts.path.removesuffix(VOICE_PATH) + MEDIA_PATH
    return urlunsplit(("wss" if parts.scheme == "https" else "ws", parts.netloc, path, "", ""))
