"""How somebody is turned away: one exception for all doors, with what programs and browsers are told."""

from __future__ import annotations

import math

_CLOSE_CODES = {401: 4401, 403: 4403, 429: 4429}
_TRY_AGAIN_LATER = 1013


class Refusal(Exception):  # noqa: N818 (it says what happened)
    """Somebody may not do what was asked for.

    `status` is the HTTP status (401 without a valid credential, 403 if it does not allow this, 429 if it is
    too much, 503 if it cannot be told now), `sentence` says why to whoever asked, and `retry_after_s` after
    how many seconds another attempt makes sense; None: not without a change.
    """

    def __init__(self, status: int, sentence: str, retry_after_s: float | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        """The headers of an HTTP answer that says so."""
        headers = {"www-authenticate": "Bearer"} if self.status == 401 else {}
        if self.retry_after_s is not None:
            headers["retry-after"] = str(max(1, math.ceil(self.retry_after_s)))
        return headers

    @property
    def close_code(self) -> int:
        """The close code for a browser, which cannot read the status of a refused WebSocket."""
        return _CLOSE_CODES.get(self.status, _TRY_AGAIN_LATER)

    @property
    def close_reason(self) -> str:
        """The reason of that close: the sentence, as far as a close has room, and when to come again."""
        retry = "" if self.retry_after_s is None else f"; retry={round(self.retry_after_s * 1000)}"
        room = 123 - len(retry)
        return self.sentence.encode()[:room].decode("utf-8", "ignore") + retry
