"""The troubles that come from outside the exchange: silence, other hands, margin, feed, people."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Final

from engine.broker import BrokerReport, FeedReported, FeedState, OrderKind
from engine.desk import OperatorCommanded, OperatorVerb
from engine.errors import BrokerUnreachable
from engine.exchange import Exchange, FaultKind, PlaceOrder
from engine.market import MarketRow
from engine.units import OrderRef, Side
from pipelines.campaign.troubles import TROUBLES, Storm, WorldTrouble

MARGIN_USD: Final = Decimal(100_000)
MARGIN_LASTS: Final = timedelta(minutes=3)
FAR_TICKS: Final = 4_000
HUSHED: Final = (FaultKind.LOST, FaultKind.QUERY_TIMEOUT)

Told = BrokerReport | FeedReported | OperatorCommanded


class Weather:
    """What comes over one run, by its seed; `happened` counts it."""

    def __init__(self, storm: Storm, exchange: Exchange, happened: Counter[str]) -> None:
        self.storm = storm
        self.exchange = exchange
        self.happened = happened
        self.silent_until: datetime | None = None
        self._stale_until: datetime | None = None
        self._margin_until: datetime | None = None
        self._dark_until: datetime | None = None
        self._orders = 0
        self._dice = {trouble: Random(f"{storm.seed}/{trouble}") for trouble in TROUBLES}

    @property
    def is_silent(self) -> bool:
        return self.silent_until is not None

    @property
    def is_dark(self) -> bool:
        """Whether no bar is told, while orders are as ever."""
        return self._dark_until is not None

    def pass_over(self, row: MarketRow, now: datetime, clock: datetime) -> Iterator[Sequence[Told]]:
        """What the desk is to hear of it, one thing after the other; `clock` is the broker's."""
        self._pass_by(now)
        if not self.storm.rates:
            return
        if not self.is_silent and self._strikes(WorldTrouble.SILENCE):
            self._fall_silent(now)
        if self._margin_until is None and self._strikes(WorldTrouble.MARGIN_CALL):
            self.happened["margin call"] += 1
            self._margin_until = now + MARGIN_LASTS
            self.exchange.set_margin(MARGIN_USD, now)
        if self._strikes(WorldTrouble.STRANGE_ORDER):
            yield self._order_by_hand(row, now)
        if not self.is_dark and self._strikes(WorldTrouble.DEAD_DATA):
            self.happened["dead data"] += 1
            minutes = self._dice[WorldTrouble.DEAD_DATA].choice((5, 30, 400))
            self._dark_until, self._stale_until = now + timedelta(minutes=minutes), None
            yield (FeedReported(at=clock, state=FeedState.STALE, text="no bars"),)
        elif not self.is_dark and self._strikes(WorldTrouble.STALE_FEED):
            self.happened["stale feed"] += 1
            minutes = self._dice[WorldTrouble.STALE_FEED].randint(1, 9)
            self._stale_until = now + timedelta(minutes=minutes)
            yield (FeedReported(at=clock, state=FeedState.STALE),)
        elif self._stale_until is not None and now >= self._stale_until:
            self._stale_until = None
            yield (FeedReported(at=clock, state=FeedState.LIVE),)
        if self._strikes(WorldTrouble.PERSON):
            dice = self._dice[WorldTrouble.PERSON]
            verb = dice.choice(tuple(OperatorVerb))
            self.happened[f"a person: {verb}"] += 1
            yield (command(verb, dice.choice(("", "to see what it does")), clock),)

    def clear(self, now: datetime) -> None:
        """No more faults until `resume`."""
        self.silent_until = self._dark_until = None
        self._end_margin_call(now)
        for kind in {*self.storm.plan.rates, *HUSHED}:
            self.exchange.switch(kind, 0.0)

    def resume(self) -> None:
        """The exchange's faults as the storm has them."""
        for kind, rate in self.storm.plan.rates.items():
            self.exchange.switch(kind, rate)

    def wants_resume(self) -> bool:
        """Whether a person resumes a desk that comes out of the night halted or killed."""
        return self._dice[WorldTrouble.PERSON].random() < 0.8

    def _pass_by(self, now: datetime) -> None:
        if self.silent_until is not None and now >= self.silent_until:
            self.silent_until = None
            for kind in HUSHED:
                self.exchange.switch(kind, self.storm.plan.rates.get(kind, 0.0))
        if self._dark_until is not None and now >= self._dark_until:
            self._dark_until = None
        if self._margin_until is not None and now >= self._margin_until:
            self._end_margin_call(now)

    def _end_margin_call(self, now: datetime) -> None:
        if self._margin_until is not None:
            self._margin_until = None
            self.exchange.set_margin(Decimal(0), now)

    def _strikes(self, trouble: WorldTrouble) -> bool:
        rate = self.storm.rates.get(trouble)
        return rate is not None and self._dice[trouble].random() < rate

    def _fall_silent(self, now: datetime) -> None:
        """The connection stands, and nothing is told or answered."""
        self.happened["silence"] += 1
        seconds = self._dice[WorldTrouble.SILENCE].choice((10, 40, 120, 400))
        self.silent_until = now + timedelta(seconds=seconds)
        for kind in HUSHED:
            self.exchange.switch(kind, 1.0)

    def _order_by_hand(self, row: MarketRow, now: datetime) -> Sequence[BrokerReport]:
        """Somebody else's order on our account: far from the market, or one that trades."""
        self._orders += 1
        self.happened["order by another hand"] += 1
        trades = self._dice[WorldTrouble.STRANGE_ORDER].random() < 0.5
        order = PlaceOrder(
            ref=OrderRef(f"hand-{self._orders}"),
            symbol=row.symbol,
            side=Side.LONG,
            kind=OrderKind.MARKET if trades else OrderKind.LIMIT,
            quantity=1,
            price_ticks=None if trades else row.close_ticks - FAR_TICKS,
        )
        try:
            return self.exchange.submit(order, now)
        except BrokerUnreachable:
            return ()


def command(verb: OperatorVerb, reason: str, at: datetime) -> OperatorCommanded:
    """A person's lever."""
    return OperatorCommanded(at=at, verb=verb, by="ada", reason=reason)
