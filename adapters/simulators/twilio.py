"""The simulated Twilio's telephone network: calls, the people in them, and what it asks the server.

Calls are ordered through REST (`twilio_rest.py`), or come from outside (`TelephoneNetwork.ring`). In both
cases the simulator requests the server's addresses like Twilio, signed with the account's auth token
(`twilio_webhooks.py`), and performs the TwiML that it gets: `<Connect><Stream>`, `<Reject>`, `<Hangup>` and,
in a call that REST redirects, `<Dial>` and `<Play digits>`. Keys reach the other end by the latter only: the
network removes tones from audio, as Twilio is reported to do.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlencode
from xml.etree import ElementTree

import h11
import trio
from attrs import Factory, define, field
from websockets.exceptions import InvalidHandshake

from adapters.simulators.script import Latency
from adapters.simulators.session import World
from adapters.simulators.telephone import NO_LATENCY, Telephone
from adapters.simulators.telephone_people import BEEP_S, Behaviour, Person, person_at, talk
from adapters.simulators.twilio_webhooks import ask, signature_of
from adapters.tasks import Signal, first_error
from adapters.vendor_socket import OpenStream
from protocol.twilio import Started

_SIGNATURE_HEADER = "x-twilio-signature"
_CALLER_ID = re.compile(r"\+(?!266696687$|7378742833$|2562533$|8656696$|86282452253$)[1-9][0-9]{4,14}")
"""What Twilio shows to somebody who is called: a number, and not what stands for a withheld one."""
_FORM = "application/x-www-form-urlencoded"
_WEBHOOK_S = 15.0
"""How long Twilio waits for an answer."""
_OTHERS_TALK_S = 30.0
"""How long a person talks whom a caller is connected to."""
_KEY_S, _PAUSE_S = 0.2, 0.5
"""How long a key and a pause take."""
OVER = ("completed", "busy", "no-answer", "failed", "canceled")
"""The statuses of calls that are over."""

Talk = Callable[[Telephone], Awaitable[None]]
"""What a person does on the telephone; the call ends when both this and the stream are over."""


# --- a call -----------------------------------------------------------------------------------------------


@define(eq=False)
class SimulatedCall:
    """One call in the simulated network."""

    sid: str
    account_sid: str
    auth_token: str
    to: str
    from_: str
    direction: str
    voice_url: str
    status_url: str = ""
    events: tuple[str, ...] = ()
    detection_url: str = ""
    detects_message_end: bool = False
    ring_timeout_s: float = 60.0
    status: str = "queued"
    statuses: list[str] = Factory(list)
    """All statuses of the call, in order."""
    reported: str = ""
    """The newest status that was reported, if that was asked for."""
    complaints: list[str] = Factory(list)
    """Errors in the server's answers."""
    telephone: Telephone | None = None
    """The end of its newest media stream."""
    streams: int = 0
    """So many media streams were opened."""
    pressed: str = ""
    """The keys that the server has pressed."""
    dialled: list[str] = Factory(list)
    """The numbers that it was connected to after a redirect."""
    over: trio.Event = Factory(trio.Event)
    _ended: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    """Cancelled to end the call."""
    _redirected: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    """Cancelled to end what its TwiML says, after a redirect."""
    _goes_on: ElementTree.Element | None = field(default=None, init=False)
    """The TwiML that it goes on with after a redirect."""

    def fields(self) -> dict[str, str]:
        """The fields about the call in every webhook request."""
        return {
            "CallSid": self.sid,
            "AccountSid": self.account_sid,
            "From": self.from_,
            "To": self.to,
            "Direction": self.direction,
            "CallStatus": self.status,
            "ApiVersion": "2010-04-01",
        }

    def as_json(self) -> str:
        """The call as REST shows it."""
        return json.dumps(
            {
                "sid": self.sid,
                "account_sid": self.account_sid,
                "to": self.to,
                "from": self.from_,
                "status": self.status,
                "direction": self.direction,
                "api_version": "2010-04-01",
                "uri": f"/2010-04-01/Accounts/{self.account_sid}/Calls/{self.sid}.json",
            }
        )

    def end(self) -> None:
        """Somebody hangs up."""
        self._ended.cancel()

    def _new_step(self) -> trio.CancelScope:
        """The scope of the next thing that the TwiML says."""
        self._redirected = trio.CancelScope()
        return self._redirected

    def redirect(self, document: ElementTree.Element) -> None:
        """Go on with other TwiML."""
        self._goes_on = document
        self._redirected.cancel()


_MACHINES = {Behaviour.MACHINE: "machine_end_beep", Behaviour.SCREENING: "machine_end_silence"}
"""What detection finds at the end of a machine's greeting."""
_VERDICTS = {
    **dict.fromkeys(_MACHINES, "machine_start"),
    Behaviour.FAX: "fax",
    Behaviour.MENU: "unknown",
}
"""What detection finds in other cases; of all others, that they are human."""


# --- the network ------------------------------------------------------------------------------------------


@define(eq=False)
class TelephoneNetwork:
    """All calls, and the people who make and answer them."""

    world: World
    nursery: trio.Nursery
    open_stream: OpenStream = trio.open_tcp_stream
    """Connects to the server that answers the calls."""
    jitter: Latency = NO_LATENCY
    """The jitter of media streams."""
    talks: Talk | None = None
    """What people do on the telephone, if it is not what the script says."""
    calls: dict[str, SimulatedCall] = Factory(dict)
    _changed: Signal = Factory(Signal)

    # --- calls ---

    def ring(
        self, voice_url: str, *, auth_token: str, account_sid: str, to: str, from_: str, status_url: str = ""
    ) -> SimulatedCall:
        """Somebody calls a number whose calls are answered at `voice_url`."""
        call = self._add(auth_token, account_sid, to, from_, "inbound", url=voice_url)
        call.status_url = status_url
        self.nursery.start_soon(self._run, call, self._receive)
        return call

    def dial(self, account_sid: str, auth_token: str, form: Mapping[str, list[str]]) -> SimulatedCall:
        """Make a call that REST orders."""

        def first(name: str, default: str = "") -> str:
            return form.get(name, [default])[0]

        call = self._add(
            auth_token, account_sid, first("To"), first("From"), "outbound-api", url=first("Url")
        )
        call.status_url = first("StatusCallback")
        call.events = tuple(form.get("StatusCallbackEvent", ["completed"]))
        call.ring_timeout_s = float(first("Timeout", "60"))
        if first("MachineDetection"):
            call.detection_url = first("AsyncAmdStatusCallback")
            call.detects_message_end = first("MachineDetection") == "DetectMessageEnd"
        self.nursery.start_soon(self._run, call, self._deliver)
        return call

    def _add(
        self, auth_token: str, account: str, to: str, from_: str, how: str, *, url: str
    ) -> SimulatedCall:
        draw = random.Random(f"{self.world.seed} call {len(self.calls)}")
        sid = f"CA{draw.getrandbits(128):032x}"
        call = self.calls[sid] = SimulatedCall(sid, account, auth_token, to, from_, how, url)
        return call

    async def _run(self, call: SimulatedCall, work: Callable[[SimulatedCall], Awaitable[None]]) -> None:
        with call._ended:
            await work(call)
        if call._ended.cancelled_caught and call.status not in OVER:
            await self._becomes(call, "completed" if call.status == "in-progress" else "canceled")
        elif call.reported != call.status:
            await self._report(call)  # its end was not told any more
        call.over.set()

    async def _receive(self, call: SimulatedCall) -> None:
        """Run a call from outside."""
        call.status = "ringing"
        document = await self._post(call, call.voice_url)
        if document is None:
            await self._becomes(call, "failed")
        elif (rejected := document.find("Reject")) is not None:
            await self._becomes(call, "busy" if rejected.get("reason") == "busy" else "no-answer")
        else:
            call.status = "in-progress"
            await self._perform(call, document, Person())
            await self._becomes(call, "completed")

    async def _deliver(self, call: SimulatedCall) -> None:
        """Run a call to somebody."""
        person = person_at(call.to)
        await self._becomes(call, "initiated")
        await trio.sleep(person.reached_after_s)
        if person.behaviour in (Behaviour.FAILS, Behaviour.BUSY):
            await self._becomes(call, "failed" if person.behaviour is Behaviour.FAILS else "busy")
            return
        await self._becomes(call, "ringing")
        if person.behaviour is Behaviour.NO_ANSWER:
            await trio.sleep(call.ring_timeout_s)
            await self._becomes(call, "no-answer")
            return
        await trio.sleep(person.answers_after_s)
        await self._becomes(call, "in-progress")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._detect, call, person)
            document = await self._post(call, call.voice_url)
            if document is not None:
                await self._perform(call, document, person)
            nursery.cancel_scope.cancel()
        await self._becomes(call, "completed")

    async def _detect(self, call: SimulatedCall, person: Person) -> None:
        if call.detection_url:
            at_end = call.detects_message_end and person.behaviour in _MACHINES
            await trio.sleep(person.greeting_s + BEEP_S if at_end else person.detected_after_s)
            usual = _VERDICTS.get(person.behaviour, "human")
            found = _MACHINES[person.behaviour] if at_end else usual
            await self._post(call, call.detection_url, {"AnsweredBy": found})

    async def _perform(self, call: SimulatedCall, document: ElementTree.Element, person: Person) -> None:
        """Do what the TwiML says, until that is done or the call ends."""
        going_on: ElementTree.Element | None = document
        while going_on is not None:
            call._goes_on = None
            for play in going_on.iterfind("Play"):
                with call._new_step():
                    await self._press(call, play.get("digits", ""))
            if call._goes_on is not None:
                pass
            elif (stream := going_on.find("Connect/Stream")) is not None:
                await self._stream(call, stream, person)
            elif (dial := going_on.find("Dial")) is not None:
                with call._new_step():
                    await self._connect(call, dial)
            going_on = call._goes_on

    async def _connect(self, call: SimulatedCall, dial: ElementTree.Element) -> None:
        """`<Dial>`: somebody answers and talks for a while, or nobody answers. Then the call ends."""
        number = dial.findtext("Number", "")
        if not _CALLER_ID.fullmatch(dial.get("callerId", call.from_)):
            call.complaints.append("13214: the caller ID is invalid")
            return
        call.dialled.append(number)
        self._change()
        if person_at(number).behaviour is Behaviour.ANSWERS:
            await trio.sleep(_OTHERS_TALK_S)

    async def _press(self, call: SimulatedCall, digits: str) -> None:
        """`<Play digits>`: press keys and wait for each `w`."""
        for digit in digits:
            await trio.sleep(_PAUSE_S if digit == "w" else _KEY_S)
            if digit != "w":
                call.pressed += digit
        self._change()

    async def _stream(self, call: SimulatedCall, stream: ElementTree.Element, person: Person) -> None:
        parameters = {str(each.get("name")): str(each.get("value")) for each in stream.iter("Parameter")}
        step = call._new_step()
        call.streams += 1
        sid = f"MZ{call.streams:02}{call.sid[4:]}"
        started = Started(sid, call.sid, call.account_sid, parameters)
        call.telephone = Telephone(
            stream.get("url", ""),
            started,
            self.open_stream,
            self.jitter,
            seed=self.world.seed,
            dialect=self.world.phone_dialect,
        )
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(call.telephone.run)
                self._change()
                with step:
                    if self.talks is not None:
                        await self.talks(call.telephone)
                    else:
                        await talk(call.telephone, person, self.world, call.pressed)
                call.telephone.hang_up()
        except* (OSError, InvalidHandshake, TimeoutError) as group:
            call.complaints.append(f"the media stream could not be opened: {first_error(group)!r}")

    async def _becomes(self, call: SimulatedCall, status: str) -> None:
        """Give the call another status, and report it if that was asked for."""
        call.status = status
        call.statuses.append(status)
        self._change()
        await self._report(call)

    async def _report(self, call: SimulatedCall) -> None:
        for told in self.world.phone_dialect.reports_of(call.status, call.statuses[:-1]):
            event = {"in-progress": "answered"}.get(told, "completed" if told in OVER else told)
            if call.status_url and (event in call.events or (event == "completed" and not call.events)):
                await self._post(call, call.status_url, {"CallStatus": told})
        call.reported = call.status

    async def until(self, happened: Callable[[], object]) -> None:
        """Return once `happened()`, which is called after every change of a call."""
        while not happened():
            await self._changed.wait()

    def _change(self) -> None:
        self._changed.wake_all()

    # --- requests to the server ---

    async def _post(
        self, call: SimulatedCall, url: str, more: Mapping[str, str] | None = None
    ) -> ElementTree.Element | None:
        """Make a webhook request; returns the TwiML of the answer, if any. Errors become complaints."""
        form = {**call.fields(), **(more or {})}
        headers = {_SIGNATURE_HEADER: signature_of(url, form, call.auth_token), "content-type": _FORM}
        with trio.move_on_after(_WEBHOOK_S):
            try:
                status, body = await ask("POST", url, headers, urlencode(form).encode(), self.open_stream)
            except (OSError, h11.RemoteProtocolError, trio.BrokenResourceError) as error:
                call.complaints.append(f"{url} cannot be asked: {error!r}")
                return None
            if status >= 300:
                call.complaints.append(f"{url} answered {status}: {body.decode(errors='replace')}")
                return None
            return _document(body, call)
        call.complaints.append(f"{url} did not answer within {_WEBHOOK_S:g} s")
        return None


def _document(body: bytes, call: SimulatedCall) -> ElementTree.Element | None:
    if not body:
        return None
    try:
        return ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        call.complaints.append(f"no TwiML: {error}")
        return None
