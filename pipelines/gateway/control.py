"""The gateway's control port: one JSON object a line in, one out, on loopback only.

A request is `{"do": VERB, …}`; the answer is `{"ok": true, …}`, or `{"ok": false, "error": WORDS}`,
which leaves the connection open for the next request.
"""

import asyncio
import json
import socket
from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.errors import BrokerUnreachable, InputRefused

LOOPBACK: Final = "127.0.0.1"
LINE_BYTES_MAX: Final = 16 * 1024
CLIENTS_MAX: Final = 16
ANSWER_SECONDS_MAX: Final = 10.0
_TOO_MANY: Final = f"expected at most {CLIENTS_MAX} connections; close one and ask again"

Verb = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Carries out one request, without its `do`; raises `InputRefused` for what it cannot do."""


class ControlPort:
    """Listens for requests and has the verbs carry them out, one after the other."""

    def __init__(self, verbs: Mapping[str, Verb]) -> None:
        self._verbs = verbs
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self, port: int) -> int:
        """Listen on a port, any free one for 0, and return it; raises `OSError` if it is taken."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, port, limit=LINE_BYTES_MAX)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Stop listening and let everybody go."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if len(self._writers) > CLIENTS_MAX:
                await _send(writer, _refusal(_TOO_MANY))
                return
            while line := await reader.readline():
                await _send(writer, self.answer(line))
        except ValueError:
            await _send(writer, _refusal(f"expected a line of at most {LINE_BYTES_MAX} bytes"))
        except ConnectionError:
            return  # Who asked does not listen any more.
        finally:
            self._writers.discard(writer)
            writer.close()

    def answer(self, line: bytes) -> Mapping[str, Any]:
        """The answer to one line; a line that cannot be carried out changes nothing."""
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return _refusal(f"expected one JSON object on a line, got {line[:60]!r}")
        if not isinstance(request, dict):
            return _refusal(f"expected a JSON object, got {line[:60]!r}")
        name = request.pop("do", None)
        verb = self._verbs.get(name) if isinstance(name, str) else None
        if verb is None:
            return _refusal(f"do: {name!r} is none; known are {', '.join(sorted(self._verbs))}")
        try:
            return {"ok": True, **verb(request)}
        except InputRefused as error:
            return _refusal(str(error))


def ask_gateway(port: int, request: Mapping[str, Any]) -> dict[str, Any]:
    """Have a running gateway do something and return its answer.

    Raises `InputRefused` with its words when it refuses, `BrokerUnreachable` when none is there.
    """
    try:
        with socket.create_connection((LOOPBACK, port), timeout=ANSWER_SECONDS_MAX) as link:
            link.sendall(json.dumps(request).encode() + b"\n")
            with link.makefile("rb") as answers:
                answer = json.loads(answers.readline())
    except (OSError, ValueError) as error:
        raise BrokerUnreachable(
            f"expected the control port of a gateway on {LOOPBACK}:{port}, got no answer "
            f"({error}); start one: credence gateway --control-port {port}"
        ) from error
    if not answer.pop("ok", False):
        raise InputRefused(f"the gateway refused: {answer.get('error')}")
    return dict(answer)


def _refusal(words: str) -> Mapping[str, Any]:
    return {"ok": False, "error": words}


async def _send(writer: asyncio.StreamWriter, answer: Mapping[str, Any]) -> None:
    writer.write(json.dumps(answer).encode() + b"\n")
    await writer.drain()
