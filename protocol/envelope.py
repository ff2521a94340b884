"""The envelope of a message: event type, ids, and the payload."""

from __future__ import annotations

from attrs import frozen

from protocol.codec import pack, unpack
from protocol.errors import MalformedMessage, describe


@frozen
class Envelope:
    """One message. Ids are strings of any form (ours are UUIDv7); None if the client sent none.

    `payload` is what was decoded, not validated. `request_type` is set in error replies only.
    """

    event_type: str | None
    event_id: str | None
    session_id: str | None
    payload: object
    request_type: str | None = None

    def to_bytes(self) -> bytes:
        """The binary frame, without header fields that are None."""
        header = {
            "eventType": self.event_type,
            "eventId": self.event_id,
            "sessionId": self.session_id,
            "requestType": self.request_type,
        }
        return pack(
            {key: value for key, value in header.items() if value is not None} | {"payload": self.payload}
        )

    @classmethod
    def from_bytes(cls, frame: bytes | str) -> Envelope:
        """Read a frame. Raises `MalformedMessage`, which carries the ids that could be read.

        An empty id counts as absent, as in the reference.
        """
        if isinstance(frame, str):
            raise MalformedMessage(
                f"a text frame of {len(frame)} characters; messages are binary MessagePack"
            )
        message = unpack(frame)
        if not isinstance(message, dict):
            raise MalformedMessage(f"a message must be a map, got {describe(message)}")
        event_type, event_id, session_id, request_type = (
            message.get(key) for key in ("eventType", "eventId", "sessionId", "requestType")
        )
        for key, value in (("eventType", event_type), ("eventId", event_id), ("sessionId", session_id)):
            if value is not None and not isinstance(value, str):
                raise MalformedMessage(
                    f"{key} must be a string, got {describe(value)}",
                    event_id=event_id if isinstance(event_id, str) else None,
                    session_id=session_id if isinstance(session_id, str) else None,
                )
        return cls(
            event_type or None,
            event_id or None,
            session_id or None,
            message.get("payload"),
            request_type if isinstance(request_type, str) else None,
        )
