"""One attempt to connect, and what it must find: a free client id and the right account."""

import asyncio
from asyncio import FIRST_COMPLETED
from collections.abc import Sequence
from typing import Any, Final

from engine.errors import BrokerMismatch, BrokerUnreachable, ClientIdInUse
from pipelines.brokers.ibkr.error_codes import LinkReaction, link_reaction
from pipelines.brokers.ibkr.market_clock import ClockKind
from pipelines.brokers.ibkr.settings import IbkrSettings

PAPER_PREFIX: Final = "DU"
STEPS: Final = 3
"""The library waits once for the socket, once for its first questions, once for executions."""


async def open_client(client: Any, settings: IbkrSettings) -> None:
    """Connect a client of the library and let it ask its first questions.

    Raises `ClientIdInUse` or `BrokerUnreachable`; what is left of the client is the caller's.
    """
    if settings.clock is ClockKind.TOLD:
        client.client.MaxRequests = 0  # IB's limit of messages a second is not a simulation's.
    codes: list[int] = []
    client.errorEvent += lambda _, code, *__: codes.append(code)
    try:
        await _connected(client, settings)
    except (OSError, TimeoutError) as error:
        if any(link_reaction(code) is LinkReaction.CLIENT_ID_IN_USE for code in codes):
            raise ClientIdInUse(
                f"{address(settings)}: client id {settings.client_id} is in use (326); end the "
                "other program that uses it, or wait until the gateway lets its session go"
            ) from error
        raise BrokerUnreachable(
            f"{address(settings)}: cannot connect ({str(error) or type(error).__name__}); check "
            "that IB Gateway runs, is logged in and accepts API clients on this port"
        ) from error


def chosen_account(managed: Sequence[str], settings: IbkrSettings) -> str:
    """The account to trade; raises `BrokerMismatch` when the login does not have the right one."""
    names = ", ".join(managed) or "none"
    if not settings.account and len(managed) != 1:
        raise BrokerMismatch(
            f"CREDENCE_IBKR_ACCOUNT: the login has the accounts {names}; name the one to trade"
        )
    account = settings.account or managed[0]
    if account not in managed:
        raise BrokerMismatch(
            f"CREDENCE_IBKR_ACCOUNT: expected {account}, the login has {names}; "
            "correct the setting or log in with the other user"
        )
    if settings.wants_paper and not account.startswith(PAPER_PREFIX):
        raise BrokerMismatch(
            f"{address(settings)}: expected a paper account ({PAPER_PREFIX}…), got {account}; "
            "log the gateway in to paper trading, or point CREDENCE_IBKR_PORT to it"
        )
    return account


def address(settings: IbkrSettings) -> str:
    """Where the gateway listens, for messages."""
    return f"{settings.host}:{settings.port}"


async def _connected(client: Any, settings: IbkrSettings) -> None:
    """Await the library's connect, which waits its whole time for one that was refused."""
    seconds = settings.patience.connect_seconds
    refused = asyncio.Event()
    client.client.apiError += lambda _: refused.set()
    opening = asyncio.create_task(
        client.connectAsync(
            settings.host,
            settings.port,
            settings.client_id,
            seconds,
            account=settings.account,
        )
    )
    refusal = asyncio.create_task(refused.wait())
    try:
        await asyncio.wait((opening, refusal), timeout=STEPS * seconds, return_when=FIRST_COMPLETED)
        await asyncio.sleep(0)  # The library may be about to say more than that it failed.
        if not opening.done():
            raise ConnectionError("the gateway closed the connection, or did not answer")
        opening.result()
    finally:
        refusal.cancel()
        opening.cancel()
        await asyncio.gather(opening, refusal, return_exceptions=True)
