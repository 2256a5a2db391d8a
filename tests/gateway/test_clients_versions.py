"""Every version of the protocol from 100 to 178, negotiated and spoken."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from client_days import RULES, ibapi_day, insync_day
from planned_market import PLAYED, planned_bars

from pipelines.gateway.assembly import GatewaySettings
from pipelines.gateway.hostile import CONTRACT
from pipelines.gateway.run import running_gateway
from pipelines.gateway.wire_client import WireClient

SECONDS_MAX = 10.0
BARS_OF_THE_DAY = 12 * 9
SPOKEN = ("15", "9", "49", "10", "52")


async def answers(port: int, versions: str) -> dict[str, list[str]]:
    """The first message of each kind that a client of these versions is told."""
    client = await WireClient.greet(port, versions)
    async with asyncio.timeout(SECONDS_MAX):
        told = {"hello": await client.frame()}
        version = int(told["hello"][0])
        client.send(71, 2, 5, "")
        client.send(49, 1)
        client.send(9, 8, 3, *CONTRACT, 0, "", "", *([""] if version >= 176 else []))
        while not all(kind in told for kind in SPOKEN):
            fields = await client.frame()
            told.setdefault(fields[0], fields)
    await client.close()
    return told


def test_every_version_is_greeted_by_the_newest_that_both_know_and_then_spoken() -> None:
    asked = {f"100..{newest}": min(newest, 178) for newest in (*range(100, 179), 201, 999)}

    with running_gateway(
        planned_bars(), RULES, GatewaySettings(session_dates=(PLAYED,))
    ) as gateway:

        async def all_answers() -> dict[str, dict[str, list[str]]]:
            return {each: await answers(gateway.address.port, each) for each in asked}

        told = asyncio.run(all_answers())

    assert {each: int(heard["hello"][0]) for each, heard in told.items()} == asked
    for heard in told.values():
        assert heard["15"][1:] == ["1", "DU1234567"]
        assert heard["9"] == ["9", "1", "1"]
        assert "MES" in heard["10"]


@pytest.mark.parametrize("versions", ["1..99", "179..999", "178..100"])
def test_a_client_that_shares_no_version_is_let_go(versions: str) -> None:
    async def end() -> None:
        client = await WireClient.greet(gateway.address.port, versions)
        try:
            async with asyncio.timeout(SECONDS_MAX):
                await client.frame()
        finally:
            await client.close()

    with (
        running_gateway(planned_bars(), RULES, GatewaySettings(session_dates=(PLAYED,))) as gateway,
        pytest.raises(asyncio.IncompleteReadError),
    ):
        asyncio.run(end())


def without(day: dict[str, Any], *names: str) -> dict[str, Any]:
    """What must be the same at any version: not the version, nor texts, nor what it cannot ask."""
    left_out = {"connected_first", "connected_again", "errors", "values", *names}
    kept = {name: value for name, value in day.items() if name not in left_out}
    return kept | {"bars": day["bars"][:BARS_OF_THE_DAY]}


@pytest.mark.parametrize("version", [111, 131, 145])
def test_the_official_client_lives_the_same_day_at_an_old_version(
    version: int, client_cache: Path
) -> None:
    """Below 111 it refuses to place orders itself."""
    day, newest = ibapi_day(client_cache, version), ibapi_day(client_cache)

    assert day["connected_first"]["server_version"] == version
    unknown_yet = () if version >= 124 else ("history_updated",)
    assert without(day, *unknown_yet) == without(newest, *unknown_yet)


@pytest.mark.parametrize("version", [157, 165])
def test_ib_insync_lives_the_same_day_at_an_old_version(version: int) -> None:
    day = insync_day(version)

    assert day["connected_first"]["server_version"] == version
    assert without(day) == without(insync_day())
