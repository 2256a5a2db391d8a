"""Hostile bytes: the gateway lives, forgets them, and its other client notices nothing."""

import asyncio
from itertools import islice
from random import Random

import pytest

from engine.errors import BrokerTimeout
from pipelines.gateway.fuzzing import fuzz, fuzz_gateway, verdict
from pipelines.gateway.hostile import REQUESTS, hostile_frames, hostile_hello

FRAMES = 6_000
"""A slice of what `python -m pipelines.gateway.fuzzing --frames 100000` does."""


@pytest.mark.parametrize("seed", [1, 2])
def test_hostile_frames_do_not_crash_hang_leak_or_reach_another_client(seed: int) -> None:
    found = fuzz_gateway(FRAMES // 2, seed)

    assert verdict(found) == []
    assert found.report.frames == FRAMES // 2
    assert found.report.links > 10
    assert found.report.cut_by_gateway > 0


def test_the_same_seed_sends_the_same_bytes_and_all_kinds_of_them() -> None:
    first, again = (list(islice(hostile_frames(Random(5)), 4_000)) for _ in range(2))

    assert first == again
    sent = {each.bytes[4:].split(b"\0")[0].decode("ascii", "replace") for each in first}
    assert {request[0] for request in REQUESTS} <= sent
    assert 5 < sum(each.ends_framing for each in first) < 50
    assert len({hostile_hello(Random(seed)) for seed in range(200)}) > 5


def test_a_gateway_that_stops_answering_is_found_out() -> None:
    """The planted bug: a server that reads and never answers."""

    async def deaf() -> None:
        async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(1_000):
                pass
            writer.close()

        server = await asyncio.start_server(swallow, "127.0.0.1", 0)
        async with server:
            await fuzz(server.sockets[0].getsockname()[1], 10, 1, answer_seconds_max=0.2)

    with pytest.raises(BrokerTimeout, match="expected the gateway to greet"):
        asyncio.run(deaf())
