"""Old minute bars from the broker, within its budget of questions."""

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from engine.errors import BrokerTimeout, BrokerUnreachable
from pipelines.brokers.ibkr.client_library import library_future, request_error
from pipelines.brokers.ibkr.error_codes import HistoryReaction, history_reaction
from pipelines.brokers.ibkr.link import Link
from pipelines.brokers.ibkr.messages import ListedContract
from pipelines.brokers.ibkr.minute_bars import MINUTE
from pipelines.brokers.ibkr.pacing import PacingBudget

LOG: Final = logging.getLogger(__name__)
DAY_SECONDS: Final = 86_400
TRIES_MAX: Final = 3
REFUSED_WAIT_SECONDS: Final = 15.0
"""How long to leave the broker alone after it complained about our pace."""


class HistoryBar(NamedTuple):
    """One closed minute, prices in points; `trades` is null when the broker did not count."""

    opens_at: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int
    trades: int | None


class History:
    """Asks for minutes, and waits its turn rather than be refused."""

    def __init__(self, link: Link, budget: PacingBudget) -> None:
        self._link = link
        self._budget = budget

    async def minutes(
        self,
        contract: ListedContract,
        since: datetime,
        until: datetime,
        *,
        within_seconds: float,
        regular_hours_only: bool = False,
    ) -> Sequence[HistoryBar]:
        """Minutes that opened in [since, until), oldest first; empty when the broker has none.

        Raises `BrokerTimeout` when the budget or the answer needs longer than `within_seconds`,
        `BrokerUnreachable` when the broker refuses for another reason.
        """
        deadline = time.monotonic() + within_seconds
        for _ in range(TRIES_MAX):
            await self._wait_turn(contract, f"{since} {until}", deadline)
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    bars = await self._request(
                        contract, since, until, regular_hours_only=regular_hours_only
                    )
            except TimeoutError:
                break
            except request_error(self._link.settings.library) as error:
                if self._reaction(error, contract) is HistoryReaction.EMPTY:
                    return ()
                await self._pause(REFUSED_WAIT_SECONDS, deadline)
            except ConnectionError as error:
                raise BrokerUnreachable(f"the connection was lost: {error}") from error
            else:
                found = (_bar(bar) for bar in bars)
                return tuple(bar for bar in found if since <= bar.opens_at < until)
        raise BrokerTimeout(
            f"no bars of {contract.local_symbol} from {since} to {until} within "
            f"{within_seconds:g} s; ask again later"
        )

    async def _request(
        self,
        contract: ListedContract,
        since: datetime,
        until: datetime,
        *,
        regular_hours_only: bool,
    ) -> Any:
        library_contract = library_future(self._link.settings.library, contract)
        library_contract.includeExpired = True
        return await self._link.client.reqHistoricalDataAsync(
            library_contract,
            until,
            duration_text(until - since),
            "1 min",
            "TRADES",
            regular_hours_only,
            formatDate=2,
            timeout=0,
        )

    def _reaction(self, error: Any, contract: ListedContract) -> HistoryReaction:
        """What a refusal means; raises `BrokerUnreachable` when asking again is of no use."""
        reaction = history_reaction(error.code, error.message)
        if reaction is HistoryReaction.FAILED:
            raise BrokerUnreachable(
                f"no history of {contract.local_symbol}: {error.code} {error.message}"
            ) from error
        LOG.info("history: %s %s", error.code, error.message)
        return reaction

    async def _wait_turn(self, contract: ListedContract, question: str, deadline: float) -> None:
        name = str(contract.con_id)
        while wait := self._budget.wait_seconds(name, f"{name} {question}", time.monotonic()):
            await self._pause(wait, deadline)
        self._budget.spend(name, f"{name} {question}", time.monotonic())

    async def _pause(self, seconds: float, deadline: float) -> None:
        if time.monotonic() + seconds > deadline:
            raise BrokerTimeout(
                f"the broker allows the next question for old bars in {seconds:.0f} s only "
                "(60 in ten minutes); ask again then"
            )
        await asyncio.sleep(seconds)


def duration_text(span: timedelta) -> str:
    """A span as IB reads it: seconds up to a day, then whole days."""
    seconds = max(int(span.total_seconds()), int(MINUTE.total_seconds()))
    return f"{seconds} S" if seconds <= DAY_SECONDS else f"{-(-seconds // DAY_SECONDS)} D"


def _bar(bar: Any) -> HistoryBar:
    return HistoryBar(
        opens_at=bar.date.astimezone(UTC),
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=int(bar.volume),
        trades=bar.barCount if bar.barCount >= 0 else None,
    )
