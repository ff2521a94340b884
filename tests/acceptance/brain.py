"""A language model server with scripted answers, for calls whose course must not depend on a model's mood."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def scripted_brain(answers: Mapping[str, str], thinking_s: float = 0.0) -> Iterator[str]:
    """Serve OpenAI's interface on loopback: the answer whose key the caller's last words hold.

    Gives the base URL. Words that hold no key are answered with "I see."; every answer begins after
    `thinking_s`, as a real model's does, so that a page has time to show it.
    """
    never = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the model list, which tells that the server is there
            self._send("application/json", json.dumps({"object": "list", "data": []}))

        def do_POST(self) -> None:
            request: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["content-length"])))
            words = request["messages"][-1]["content"].lower()
            answer = next((text for key, text in answers.items() if key in words), "I see.")
            never.wait(thinking_s)
            pieces = [_chunk({"content": f"{word} "}, None) for word in answer.split()]
            self._send("text/event-stream", "".join([*pieces, _chunk({}, "stop"), "data: [DONE]\n\n"]))

        def log_message(self, format: str, *args: object) -> None:
            """Not into the test's output."""

        def _send(self, kind: str, body: str) -> None:
            data = body.encode()
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


def _chunk(delta: dict[str, str], finish: str | None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {
        "id": "1",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "scripted",
        "choices": [choice],
    }
    return f"data: {json.dumps(chunk)}\n\n"
