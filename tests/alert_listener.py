"""A real messenger on loopback: an HTTP listener that keeps what alerts say, and can misbehave."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Event, Thread
from typing import Any

PASSWORD = "hunter2-secret"


@dataclass
class Listener:
    """What was posted, in order; `refusals` are answered with 503, `frozen` with nothing."""

    port: int = 0
    refusals: int = 0
    frozen: Event | None = None
    requests: int = 0
    heard: list[dict[str, Any]] = field(default_factory=list)
    changed: Condition = field(default_factory=Condition)

    @property
    def address(self) -> str:
        """An apprise address with a password in it, and short time-outs."""
        return f"json://user:{PASSWORD}@127.0.0.1:{self.port}/{PASSWORD}?cto=2&rto=2"

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.heard]

    def wait_for(self, count: int, seconds: float = 20.0) -> None:
        """Return when so many alerts were taken; fails when they do not come."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.heard) >= count, seconds), self.heard

    def take(self, message: dict[str, Any]) -> int:
        """The status that one post is answered with."""
        with self.changed:
            self.requests += 1
            if self.refusals:
                self.refusals -= 1
                return 503
            self.heard.append(message)
            self.changed.notify_all()
            return 200


@contextmanager
def listening() -> Iterator[Listener]:
    """A listener on a free port; it is gone when the block ends."""
    listener = Listener()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if listener.frozen is not None:
                listener.frozen.wait(30)
            self.send_response(listener.take(json.loads(body)))
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """A test's output is its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    listener.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield listener
    finally:
        if listener.frozen is not None:
            listener.frozen.set()
        server.shutdown()
        server.server_close()
        thread.join()
