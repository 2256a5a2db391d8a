"""Interactive Brokers behind the broker port: a synchronous face over a loop in its own thread."""

from collections.abc import Coroutine, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from engine.broker import (
    AccountReported,
    BarReported,
    BrokerReport,
    CancelOrder,
    CompletedOrder,
    ConnectionReported,
    ConnectionState,
    ExecutionReported,
    FlattenPosition,
    MarketReport,
    PlaceBracket,
    PlaceProtection,
    PositionReported,
    ReplaceStop,
    WorkingOrder,
)
from engine.errors import BrokerMismatch, BrokerTimeout, BrokerUnreachable
from engine.rules import Rules
from engine.units import OrderRef
from pipelines.brokers.ibkr.front_month import traded_contract
from pipelines.brokers.ibkr.hearing import Hearing
from pipelines.brokers.ibkr.history import History
from pipelines.brokers.ibkr.hours import regular_session
from pipelines.brokers.ibkr.inbox import Inbox
from pipelines.brokers.ibkr.keeping_pace import KeepingPace
from pipelines.brokers.ibkr.known_orders import KnownOrders
from pipelines.brokers.ibkr.link import Link
from pipelines.brokers.ibkr.loop_thread import LoopThread
from pipelines.brokers.ibkr.market_clock import MarketClock
from pipelines.brokers.ibkr.market_watch import MarketWatch, backfilled
from pipelines.brokers.ibkr.messages import ListedContract, Message
from pipelines.brokers.ibkr.minute_bars import MINUTE
from pipelines.brokers.ibkr.order_desk import OrderDesk
from pipelines.brokers.ibkr.pacing import PacingBudget
from pipelines.brokers.ibkr.positions import HeldPositions
from pipelines.brokers.ibkr.questions import Questions
from pipelines.brokers.ibkr.settings import IbkrSettings

Answer = TypeVar("Answer")
WAITS_AT_MOST: Final = 3
"""Questions that one verb may have to wait for, its own included."""


class IbkrBroker:
    """A `LiveBroker` over one client id at IB Gateway or TWS.

    Errors: `BrokerUnreachable` when nothing was sent or asked, `BrokerTimeout` when nothing is
    known, `DuplicateOrderRef` for a ref that IB has seen, `BrokerMismatch` from `connect` for a
    wrong account or contract. A broken assumption inside the loop is raised by the next reader.
    """

    def __init__(self, settings: IbkrSettings, rules: Rules) -> None:
        self.settings = settings
        self._rules = rules
        self._clock = MarketClock(settings.clock)
        self._inbox = Inbox()
        self._orders = KnownOrders(rules.instrument, settings.client_id)
        self._positions = HeldPositions()
        self._link = Link(settings, self._hear, self._read_in, self._on_state, self._inbox.fail)
        self._questions = Questions(self._link, self._orders, rules.instrument, self._clock)
        self._history = History(self._link, PacingBudget())
        self._market = MarketWatch(
            self._link,
            self._history,
            self._clock,
            lambda instant: regular_session(instant, rules.session),
            self._tell,
        )
        self._desk = OrderDesk(self._link, self._orders, self._questions, self._clock, self._tell)
        self._thread = LoopThread(f"ibkr-{settings.client_id}")
        self._hearing = Hearing(
            self._link,
            self._questions,
            self._orders,
            self._positions,
            self._market,
            self._clock,
            self._tell,
        )
        self._pace = KeepingPace(self._link, self._questions, self._inbox)
        self._is_watching = False

    # ── The connection ──────────────────────────────────────────────────────────────────────────

    @property
    def account_id(self) -> str:
        """The account that is traded; empty before the first connection."""
        return self._link.account

    @property
    def is_up(self) -> bool:
        """Whether the broker hears us, as far as is known."""
        return self._link.is_up

    @property
    def contract(self) -> ListedContract | None:
        """The dated future that is traded; null before the first connection."""
        return self._desk.contract

    def now(self) -> datetime:
        return self._clock.now()

    def connect(self) -> None:
        patience = self.settings.patience
        self._thread.start()
        bound = patience.busy_client_seconds + 6 * patience.connect_seconds
        self._call(self._connect(), "connect", bound)

    def close(self) -> None:
        if self._thread.is_running:
            self._call(self._link.close(), "close", self.settings.patience.connect_seconds)
        self._thread.stop()

    # ── Questions ───────────────────────────────────────────────────────────────────────────────

    def account(self) -> AccountReported:
        return self._ask(self._questions.account(), "account")

    def positions(self) -> Sequence[PositionReported]:
        return self._ask(self._questions.position_reports(), "positions")

    def open_orders(self) -> Sequence[WorkingOrder]:
        return [order for _, order in self._ask(self._questions.open_orders(), "open orders")]

    def executions(self, since: datetime) -> Sequence[ExecutionReported]:
        return self._ask(self._questions.executions(since), "executions")

    def completed_orders(self) -> Sequence[CompletedOrder]:
        return self._ask(self._questions.completed_orders(), "completed orders")

    # ── Orders ──────────────────────────────────────────────────────────────────────────────────

    def place_bracket(self, intent: PlaceBracket) -> None:
        refs = (intent.entry_ref, intent.stop_ref, intent.target_ref)
        self._send(self._desk.place_bracket(intent), "place bracket", refs)

    def place_protection(self, intent: PlaceProtection) -> None:
        refs = (intent.stop_ref, *((intent.target_ref,) if intent.target_ref else ()))
        self._send(self._desk.place_protection(intent), "place protection", refs)

    def replace(self, change: ReplaceStop) -> None:
        self._send(self._desk.replace(change), "replace", (change.ref,))

    def cancel(self, cancel: CancelOrder) -> None:
        self._send(self._desk.cancel(cancel), "cancel", (cancel.ref,))

    def flatten(self, flatten: FlattenPosition) -> None:
        seconds = WAITS_AT_MOST * self.settings.patience.query_seconds + 1
        self._send(self._desk.flatten(flatten), "flatten", (flatten.ref,), seconds)

    # ── The market, and what is told ────────────────────────────────────────────────────────────

    def subscribe(self, symbol: str) -> None:
        self._ask(self._subscribe(symbol), "subscribe")

    def bars(self, symbol: str, since: datetime) -> Sequence[BarReported]:
        seconds = self.settings.patience.history_seconds
        return self._ask(self._bars(symbol, since), "bars", seconds + 1)

    def reports(self) -> Sequence[BrokerReport]:
        return self._inbox.take_broker_reports()

    def told(self) -> Sequence[BrokerReport | MarketReport]:
        return self._inbox.take_all()

    def wait(self, timeout_seconds: float) -> bool:
        return self._inbox.wait(timeout_seconds)

    def caught_up(self) -> None:
        if self._inbox.settle():  # A quote calls for nothing, and IB limits what we may ask.
            self._thread.soon(self._pace.say_caught_up())

    # ── Inside the loop ─────────────────────────────────────────────────────────────────────────

    async def _connect(self) -> None:
        await self._link.connect()
        if not self._is_watching:
            self._is_watching = True
            self._link.start(self._market.watch())

    async def _read_in(self) -> None:
        """After each connect and restoration: the contract, the clock, and the subscriptions."""
        self._link.ask_time()
        held = await self._questions.positions()
        self._positions.learn(held)
        listed = await self._questions.contracts()
        symbol = self._rules.instrument.symbol
        held_id = next((p.con_id for p in held if p.symbol == symbol), None)
        today = self._clock.now().astimezone(ZoneInfo(self._rules.session.timezone)).date()
        self._desk.contract = traded_contract(
            listed, self._rules.instrument, today, held_con_id=held_id
        )
        if self._market.is_subscribed:
            self._market.subscribe(self._desk.contract)

    async def _subscribe(self, symbol: str) -> None:
        self._market.subscribe(self._contract_of(symbol))

    async def _bars(self, symbol: str, since: datetime) -> Sequence[BarReported]:
        now = self._clock.now()
        until = now.replace(second=0, microsecond=0)
        if until - since < MINUTE:
            return []
        bars = await self._history.minutes(
            self._contract_of(symbol),
            since,
            until,
            within_seconds=self.settings.patience.history_seconds,
        )
        return [backfilled(symbol, bar, now) for bar in bars]

    def _contract_of(self, symbol: str) -> ListedContract:
        self._link.client  # noqa: B018 - raises `BrokerUnreachable` without a connection.
        contract = self._desk.contract
        if contract is None or symbol != contract.symbol:
            raise BrokerMismatch(
                f"expected {self._rules.instrument.symbol}, the desk's instrument, got {symbol}"
            )
        return contract

    def _hear(self, message: Message) -> None:
        """Every message of the gateway, first of all; nothing may be raised into the library."""
        try:
            self._hearing.hear(message)
        except Exception as error:  # noqa: BLE001 - handed to the reader, who stops the desk.
            self._inbox.fail(error)

    def _on_state(self, state: ConnectionState, text: str) -> None:
        now = self._clock.now()
        reports: list[BrokerReport] = []
        if state is ConnectionState.DOWN:
            lost = "sent, and the connection was lost before it was acknowledged"
            reports += self._orders.lost(self._orders.unacknowledged(), now, lost)
        self._tell([ConnectionReported(at=now, state=state, text=text), *reports])

    def _tell(self, reports: Iterable[BrokerReport | MarketReport]) -> None:
        self._inbox.put(reports, self._clock.now())

    async def _once_up(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """The work, unless there is nobody to do it with."""
        try:
            self._link.demand_up()
        except BrokerUnreachable:
            work.close()
            raise
        return await work

    # ── From the outside into the loop ──────────────────────────────────────────────────────────

    def _call(self, work: Coroutine[Any, Any, Answer], what: str, seconds: float) -> Answer:
        return self._thread.call(work, seconds, what)

    def _ask(
        self, work: Coroutine[Any, Any, Answer], what: str, seconds: float | None = None
    ) -> Answer:
        bound = WAITS_AT_MOST * self.settings.patience.query_seconds + 1
        return self._call(self._once_up(work), what, bound if seconds is None else seconds)

    def _send(
        self,
        work: Coroutine[Any, Any, None],
        what: str,
        refs: Sequence[OrderRef],
        seconds: float | None = None,
    ) -> None:
        bound = self.settings.patience.send_seconds if seconds is None else seconds
        try:
            self._ask(work, what, bound)
        except BrokerTimeout as error:
            self._thread.soon(self._lose(refs, f"{what}: {error}"))
            raise

    async def _lose(self, refs: Sequence[OrderRef], text: str) -> None:
        self._tell(self._orders.lost(refs, self._clock.now(), text))
