"""The HTTP routes of the telephone: Twilio's signed webhooks, and the interface to make and control calls."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar
from urllib.parse import parse_qsl

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import ImmutableMultiDict
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from adapters.logs import library_logger
from adapters.twilio.webhooks import SIGNATURE_HEADER, TWIML_TYPE, is_signed
from machines.facts import SayMode, SayRequested
from machines.telephone_call.effects import SayLastWords
from machines.telephone_call.facts import HangUpWanted, TransferWanted
from orchestrator.access.grants import Grant, Scope
from orchestrator.access.refusal import Refusal
from orchestrator.access.routes import asked_by, refused
from orchestrator.http_bodies import UNCACHED, body_of, is_json
from orchestrator.phone.call_options import CallOptions, OptionError, complaints
from orchestrator.phone.phone_call import PhoneCall
from orchestrator.phone.telephone import STATUS_PATH, VOICE_PATH, CannotDial, Telephone
from orchestrator.settings.types import PhoneNumber
from orchestrator.tools.say_requests import require_words

log = library_logger(__name__)

MAX_BODY_BYTES = 256 * 1024
"""The limit for any request. Twilio's are some kilobytes."""
MAX_FIELDS = 1000
"""Of a form. Twilio's have some tens."""

FORM_TYPE = "application/x-www-form-urlencoded"
_PORT = re.compile(r":\d+$")
MAX_TEXT = 4096
"""Characters of one text to say."""

Body = TypeVar("Body", bound=BaseModel)
Endpoint = Callable[[Request], Awaitable[Response]]


def _with_words(text: str) -> str:
    require_words(text)
    return text


Text = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_with_words)]
"""A text to say."""


class DialBody(CallOptions):
    """The body of `POST /calls`."""

    model_config = ConfigDict(extra="forbid")

    to: PhoneNumber
    machine_detection: bool | None = None
    voicemail_text: Text | None = None


class SayBody(BaseModel):
    """The body of `POST /calls/ID/say`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: Text
    mode: Annotated[SayMode, Field(strict=False)] = SayMode.QUEUE
    interruptible: bool = True


class TransferBody(BaseModel):
    """The body of `POST /calls/ID/transfer`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    to: PhoneNumber
    text: Text


def phone_routes(phone: Telephone) -> list[Route]:
    """The routes of a server's telephone."""

    async def voice(request: Request) -> Response:
        url, form = await _signed(request, phone)
        try:
            document = await phone.voice(url, form, request.query_params)
        except OptionError as error:
            raise HTTPException(400, str(error)) from None
        return Response(document, media_type=TWIML_TYPE)

    async def status(request: Request) -> Response:
        _, form = await _signed(request, phone)
        phone.status(form, request.query_params)
        return Response(status_code=204)

    async def dial(request: Request) -> Response:
        grant = await _permit(request, phone, Scope.DIAL)
        body = await _body(request, DialBody)
        try:
            call = await phone.dial(
                grant,
                body.to,
                body,
                machine_detection=body.machine_detection,
                voicemail_text=body.voicemail_text,
            )
        except CannotDial as error:
            raise HTTPException(503, str(error)) from None
        where = {"location": request.url_for("call", call_id=call.call_id).path}
        return JSONResponse(call.report(), 201, headers={**UNCACHED, **where})

    async def reports(request: Request) -> Response:
        await _permit(request, phone, Scope.READ)
        return JSONResponse(
            {"calls": [call.report() for call in reversed(phone.calls.values())]}, headers=UNCACHED
        )

    async def report(request: Request) -> Response:
        await _permit(request, phone, Scope.READ)
        return JSONResponse(_call(request, phone).report(), headers=UNCACHED)

    async def hang_up(request: Request) -> Response:
        await _permit(request, phone, Scope.DIAL)
        call = _call(request, phone)
        call.take(HangUpWanted())
        return JSONResponse(call.report(), 202, headers=UNCACHED)

    async def say(request: Request) -> Response:
        await _permit(request, phone, Scope.DIAL)
        call = _call(request, phone)
        body = await _body(request, SayBody)
        if not call.say(SayRequested(body.text, body.mode, body.interruptible)):
            raise HTTPException(409, f"nobody is talked to: the call is {call.state}")
        return JSONResponse(call.report(), 202, headers=UNCACHED)

    async def transfer(request: Request) -> Response:
        await _permit(request, phone, Scope.DIAL)
        call = _call(request, phone)
        body = await _body(request, TransferBody)
        phone.check_transfer(call, body.to)
        if SayLastWords(body.text) not in call.take(TransferWanted(body.to, body.text)):
            raise HTTPException(409, f"nobody is talked to: the call is {call.state}")
        return JSONResponse(call.report(), 202, headers=UNCACHED)

    def route(path: str, method: str, endpoint: Endpoint, name: str) -> Route:
        return Route(path, _with_json_errors(endpoint), methods=[method], name=name)

    return [
        route(VOICE_PATH, "POST", voice, "voice"),
        route(STATUS_PATH, "POST", status, "status"),
        route("/calls", "POST", dial, "calls"),
        route("/calls", "GET", reports, "all calls"),
        route("/calls/{call_id}", "GET", report, "call"),
        route("/calls/{call_id}", "DELETE", hang_up, "hang up"),
        route("/calls/{call_id}/say", "POST", say, "say"),
        route("/calls/{call_id}/transfer", "POST", transfer, "transfer"),
    ]


def _with_json_errors(endpoint: Endpoint) -> Endpoint:
    """Answer refusals as JSON."""

    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except HTTPException as refusal:
            return JSONResponse({"error": refusal.detail}, refusal.status_code, headers=UNCACHED)
        except Refusal as refusal:
            return refused(refusal)

    return answered


# --- Twilio -----------------------------------------------------------------------------------------------


async def _signed(request: Request, phone: Telephone) -> tuple[str, ImmutableMultiDict[str, str]]:
    """The URL and the form of a request that Twilio signed. Raises `HTTPException` for any other."""
    token = phone.server.settings.twilio_auth_token
    if token is None:
        phone.complain("asked as by Twilio, but TWILIO_AUTH_TOKEN is not set", path=request.url.path)
        raise HTTPException(
            404, "there is no telephone: TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are not set"
        )
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise HTTPException(415, f"the body must be a form, with the content type {FORM_TYPE}")
    body = await _bytes(request)
    try:
        fields = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise HTTPException(413, f"a form may have {MAX_FIELDS} fields") from None
    form = ImmutableMultiDict(fields)
    urls = asked_urls(request, phone)
    signature = request.headers.get(SIGNATURE_HEADER)
    for url in urls:
        if is_signed(url, form, signature, token.get_secret_value()):
            return url, form
    phone.server.counts["bad signatures"] += 1
    phone.complain(
        "bad signature: set TWILIO_PUBLIC_URL to the address that Twilio is told to ask",
        urls=urls,
        signed=signature is not None,
    )
    raise HTTPException(403, "the signature does not fit: is TWILIO_PUBLIC_URL what Twilio is told to ask?")


def asked_urls(request: Request, phone: Telephone) -> list[str]:
    """What the URL of the request may be outside: Twilio has signed one of these, if it has signed any.

    Somebody in between may end TLS. With and without the usual port is tried by `is_signed`.
    """
    settings = phone.server.settings
    query = f"?{request.url.query}" if request.url.query else ""
    rest = f"{request.url.path}{query}"
    if settings.twilio_public_url is not None:
        bases = [settings.twilio_public_url]
    else:
        hosts, prefix = [request.headers.get("host", "")], ""
        schemes = [request.url.scheme, "https"]
        if settings.twilio_trust_proxy:
            outside, prefix = _told_by_proxy(request), _first(request, "x-forwarded-prefix").rstrip("/")
            schemes = [outside.get("proto", ""), *schemes]
            hosts = [outside.get("host", ""), *hosts]
        prefixes = dict.fromkeys([prefix, ""])
        bases = [
            f"{scheme}://{host}{each}"
            for host in hosts
            for scheme in schemes
            for each in prefixes
            if scheme and host
        ]
    return list(dict.fromkeys(f"{base}{rest}" for base in bases))


def _told_by_proxy(request: Request) -> dict[str, str]:
    """The scheme (`proto`) and the `host` outside, as the nearest proxy to the client has told them."""
    pairs = (each.strip().partition("=") for each in _first(request, "forwarded").split(";"))
    standard = {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
    host, port = _first(request, "x-forwarded-host"), _first(request, "x-forwarded-port")
    usual = {"proto": _first(request, "x-forwarded-proto"), "host": host}
    if host and port and not _PORT.search(host):
        usual["host"] = f"{host}:{port}"
    return {**standard, **{name: value for name, value in usual.items() if value}}


def _first(request: Request, name: str) -> str:
    return request.headers.get(name, "").split(",")[0].strip()


# --- the interface to calls -------------------------------------------------------------------------------


async def _permit(request: Request, phone: Telephone, scope: Scope) -> Grant:
    """What the request may do. Raises `Refusal` unless it may do this: making calls costs money."""
    return await phone.server.doors.enter(asked_by(request), scope)


async def _body(request: Request, kind: type[Body]) -> Body:
    if not is_json(request):
        raise HTTPException(415, "the body must be JSON, with the content type application/json")
    try:
        return kind.model_validate_json(await _bytes(request))
    except ValidationError as error:
        raise HTTPException(400, complaints(error)) from None


def _call(request: Request, phone: Telephone) -> PhoneCall:
    call = phone.calls.get(request.path_params["call_id"])
    if call is None:
        raise HTTPException(404, "there is no such call")
    return call


async def _bytes(request: Request) -> bytes:
    """The bytes of the request's body. Raises `HTTPException` if there are too many."""
    body = await body_of(request, MAX_BODY_BYTES)
    if body is None:
        raise HTTPException(413, f"a request may have {MAX_BODY_BYTES} bytes")
    return body
