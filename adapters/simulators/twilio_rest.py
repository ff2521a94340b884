"""The simulated Twilio's REST interface for calls: what it refuses, and what it does with an order."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from urllib.parse import parse_qs
from xml.etree import ElementTree

from attrs import frozen

from adapters.simulators.session import Session
from adapters.simulators.telephone_people import Behaviour, person_at
from adapters.simulators.twilio import OVER, TelephoneNetwork
from adapters.simulators.wire import Head, HttpWire, RefusalError

CALLS_PATH = re.compile(r"/2010-04-01/Accounts/(?P<account>\w+)/Calls\.json")
CALL_PATH = re.compile(r"/2010-04-01/Accounts/(?P<account>\w+)/Calls/(?P<call>\w+)\.json")
_JSON = {"content-type": "application/json"}
_NOT_IN_PROGRESS = 21220


@frozen
class Account:
    """The account that a request is for."""

    sid: str
    token: str


def refuse(status: int, reason: str, session: Session, code: int | None = None) -> RefusalError:
    """A refusal as Twilio sends it."""
    del session
    usual = {401: 20003, 404: 20404, 429: 20429}.get(status, 20001 if status < 500 else 20500)
    error = {
        "code": code or usual,
        "message": reason,
        "more_info": f"https://www.twilio.com/docs/errors/{code or usual}",
        "status": status,
    }
    return RefusalError(status, json.dumps(error), _JSON)


def check(head: Head, session: Session) -> None:
    """Raise `RefusalError` for a request that Twilio would refuse whatever its body."""
    account = _account(head)
    keys = session.world.keys
    if account is None or not account.token or (keys is not None and account.token not in keys):
        raise refuse(401, "Authenticate", session)
    if f"/Accounts/{account.sid}/" not in head.path:
        raise refuse(404, "The requested resource was not found", session)


def _account(head: Head) -> Account | None:
    scheme, _, credentials = head.headers.get("authorization", "").partition(" ")
    try:
        sid, _, token = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return Account(sid, token) if scheme.lower() == "basic" else None


async def serve(session: Session, wire: HttpWire, head: Head, body: bytes, network: TelephoneNetwork) -> None:
    """Serve Calls.json and Calls/{sid}.json. Raises `RefusalError`, `HangupError`."""
    form = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    session.exchange.body = {name: value[0] if len(value) == 1 else value for name, value in form.items()}
    account = _account(head)
    assert account is not None  # `check` has seen it
    if session.exchange.route == "twilio.calls":
        _check_order(form, session)
        call = network.dial(account.sid, account.token, form)
        await wire.reply(201, call.as_json(), _JSON)
        return
    found = CALL_PATH.fullmatch(head.path)
    known = network.calls.get(found["call"]) if found is not None else None
    if known is None:
        raise refuse(404, "The requested resource was not found", session)
    if head.method == "POST" and form.get("Status", [""])[0] in ("completed", "canceled"):
        if known.status in OVER:
            raise refuse(400, "Call is not in-progress. Cannot redirect.", session, _NOT_IN_PROGRESS)
        known.end()
    elif head.method == "POST" and "Twiml" in form:
        if known.status != "in-progress":
            raise refuse(400, "Call is not in-progress. Cannot redirect.", session, _NOT_IN_PROGRESS)
        known.redirect(_twiml(form["Twiml"][0], session))
    await wire.reply(200, known.as_json(), _JSON)


def _twiml(text: str, session: Session) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise refuse(400, f"Twiml is not XML: {error}", session, 12100) from None


def _check_order(form: Mapping[str, list[str]], session: Session) -> None:
    to, from_ = (form.get(name, [""])[0] for name in ("To", "From"))
    if not re.fullmatch(r"\+[1-9]\d{4,14}", to) or person_at(to).behaviour is Behaviour.NO_NUMBER:
        raise refuse(400, f"The phone number you are attempting to call, {to}, is not valid.", session, 21211)
    if not re.fullmatch(r"\+[1-9]\d{4,14}", from_):
        raise refuse(400, f"The source phone number provided, {from_}, is not yet verified.", session, 21210)
    if not form.get("Url", [""])[0].startswith(("http://", "https://")):
        raise refuse(400, "Url parameter is required.", session, 21205)


def route_of(method: str, path: str) -> str | None:
    """The name of the route in scenarios; None if it is not one of Twilio's."""
    if method == "POST" and CALLS_PATH.fullmatch(path):
        return "twilio.calls"
    return "twilio.call" if method in ("GET", "POST") and CALL_PATH.fullmatch(path) else None
