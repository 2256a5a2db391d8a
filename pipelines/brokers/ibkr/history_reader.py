"""Whole sessions of old bars, for who only reads: a connection of its own, beside the desk's."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from engine.broker import ConnectionState
from engine.calendar import Session
from engine.instrument import Instrument
from pipelines.brokers.ibkr.front_month import traded_contract
from pipelines.brokers.ibkr.history import History, HistoryBar
from pipelines.brokers.ibkr.known_orders import KnownOrders
from pipelines.brokers.ibkr.link import Link
from pipelines.brokers.ibkr.loop_thread import LoopThread
from pipelines.brokers.ibkr.market_clock import ClockKind, MarketClock
from pipelines.brokers.ibkr.messages import ListedContract, Message
from pipelines.brokers.ibkr.pacing import WINDOW_SECONDS, PacingBudget
from pipelines.brokers.ibkr.questions import Questions
from pipelines.brokers.ibkr.settings import IbkrSettings

READER_ID_ABOVE: Final = 1
"""The reader's client id is that of the desk plus this: it has no orders that it could lose."""


class HistoryReader:
    """One connection that asks for nothing but contracts and bars; made by `history_reader`."""

    def __init__(
        self, settings: IbkrSettings, instrument: Instrument, budget: PacingBudget
    ) -> None:
        self._instrument = instrument
        self._thread = LoopThread("ibkr-history")
        self._link = Link(settings, self._hear, self._read_in, _ignore_state, _raise)
        orders, clock = KnownOrders(instrument), MarketClock(ClockKind.LOCAL)
        self._questions = Questions(self._link, orders, instrument, clock)
        self._history = History(self._link, budget)
        self._listed: Sequence[ListedContract] = ()

    def open(self) -> None:
        """Connect; raises `BrokerUnreachable` or `BrokerMismatch`."""
        patience = self._link.settings.patience
        self._thread.start()
        bound = patience.busy_client_seconds + 6 * patience.connect_seconds
        self._thread.call(self._link.connect(), bound, "connect for history")

    def close(self) -> None:
        self._thread.call(self._link.close(), self._link.settings.patience.connect_seconds, "close")
        self._thread.stop()

    def session(self, session: Session) -> tuple[ListedContract, Sequence[HistoryBar]]:
        """The minutes of a session and the dated future they are of, by the roll schedule.

        Waits for the broker's budget of questions, ten minutes at most. Dated contracts are asked
        for and not the continuous one, for which IB lets nobody choose the end of the answer.
        """
        contract = traded_contract(self._listed, self._instrument, session.session_date)
        bound = WINDOW_SECONDS + self._link.settings.patience.history_seconds
        bars = self._thread.call(
            self._history.minutes(
                contract,
                session.opens_at,
                session.closes_at,
                within_seconds=bound,
                regular_hours_only=True,
            ),
            bound + 1,
            f"history of {session.session_date}",
        )
        return contract, bars

    async def _read_in(self) -> None:
        self._listed = await self._questions.contracts()

    def _hear(self, message: Message) -> None:
        self._link.on_message(message)


@contextmanager
def history_reader(
    settings: IbkrSettings, instrument: Instrument, budget: PacingBudget
) -> Iterator[HistoryReader]:
    """A reader connected for the length of a block, under a client id next to the desk's."""
    own = replace(settings, client_id=settings.client_id + READER_ID_ABOVE)
    reader = HistoryReader(own, instrument, budget)
    try:
        reader.open()
        yield reader
    finally:
        reader.close()


def _ignore_state(_state: ConnectionState, _text: str) -> None:
    """A question that a lost connection leaves without an answer raises by itself."""


def _raise(error: BaseException) -> None:
    raise error
