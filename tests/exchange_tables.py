"""Tiny tables for tests of the exchange: bars by four numbers, brackets by four prices."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from engine.broker import (
    BrokerReport,
    CancelOrder,
    ExecutionReported,
    FlattenPosition,
    OrderReported,
    PlaceBracket,
    ReplaceStop,
)
from engine.exchange import Exchange, ExchangeSettings, PriceBar
from engine.instrument import Fees, Instrument
from engine.units import DecisionId, OrderRef, Side

OPEN_AT = datetime(2024, 3, 5, 14, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

MES = Instrument(
    symbol="MES",
    name="Micro E-mini S&P 500",
    exchange="CME",
    currency="USD",
    tick_size=Decimal("0.25"),
    tick_value_usd=Decimal("1.25"),
    price_band_share=0.07,
    round_number_points=Decimal(50),
    roll_days_before_expiry=8,
    fees=Fees(
        commission_usd=Decimal("0.25"),
        exchange_usd=Decimal("0.35"),
        regulatory_usd=Decimal("0.02"),
        effective_date=date(2024, 1, 1),
        source="test",
    ),
)
FEE = Decimal("0.62")


def settings(
    *,
    slippage_ticks: float = 0.0,
    on_touch: bool = False,
    latency_ms: int = 0,
    quotes: bool = False,
    margin_usd: int = 0,
) -> ExchangeSettings:
    return ExchangeSettings(
        instrument=MES,
        deposit_usd=Decimal(5000),
        slippage_ticks=slippage_ticks,
        slippage_ticks_max=6.0,
        limit_fills_on_touch=on_touch,
        order_latency_ms=latency_ms,
        matches_bar_quotes=quotes,
        margin_usd_per_contract=Decimal(margin_usd),
    )


def instant(minute: float) -> datetime:
    """Minutes since the open; bar n lies between instant(n) and instant(n + 1)."""
    return OPEN_AT + minute * MINUTE


def bar(
    minute: int,
    open_ticks: int,
    high_ticks: int,
    low_ticks: int,
    close_ticks: int,
    *,
    bid: int | None = None,
    ask: int | None = None,
    slippage: float | None = None,
) -> PriceBar:
    return PriceBar(
        "MES",
        instant(minute + 1),
        open_ticks,
        high_ticks,
        low_ticks,
        close_ticks,
        bid,
        ask,
        slippage,
    )


def refs(name: str) -> tuple[OrderRef, OrderRef, OrderRef]:
    return OrderRef(f"{name}/entry"), OrderRef(f"{name}/stop"), OrderRef(f"{name}/target")


ENTRY, STOP, TARGET = refs("a")
FLAT = OrderRef("a/flatten")


def bracket(
    entry: int,
    stop: int,
    target: int,
    *,
    quantity: int = 1,
    sent: float = 1,
    life_seconds: float = 90,
    name: str = "a",
) -> PlaceBracket:
    """A bracket whose side follows from where its target lies."""
    entry_ref, stop_ref, target_ref = refs(name)
    return PlaceBracket(
        decision_id=DecisionId(name),
        symbol="MES",
        side=Side.LONG if target > entry else Side.SHORT,
        quantity=quantity,
        entry_ref=entry_ref,
        stop_ref=stop_ref,
        target_ref=target_ref,
        entry_limit_ticks=entry,
        stop_ticks=stop,
        target_ticks=target,
        entry_expires_at=instant(sent) + timedelta(seconds=life_seconds),
    )


def cancel(ref: OrderRef) -> CancelOrder:
    return CancelOrder(ref=ref)


def move_stop(ref: OrderRef, stop_ticks: int) -> ReplaceStop:
    return ReplaceStop(ref=ref, stop_ticks=stop_ticks)


def flatten(ref: OrderRef = FLAT) -> FlattenPosition:
    return FlattenPosition(symbol="MES", ref=ref)


def story(reports: list[BrokerReport]) -> list[str]:
    """Order events and fills of a list of reports, one short line each, in order."""
    lines = []
    for report in reports:
        if isinstance(report, OrderReported):
            lines.append(f"{report.ref} {report.event.value}")
        elif isinstance(report, ExecutionReported):
            sign = "+" if report.side is Side.LONG else "-"
            lines.append(f"{report.ref} {sign}{report.quantity}@{report.price_ticks}")
    return lines


def fills(reports: list[BrokerReport]) -> list[str]:
    return [line for line in story(reports) if "@" in line]


def entered(exchange: Exchange, *, quantity: int = 1) -> Exchange:
    """Long from 100 with a stop at 94 and a target at 108, filled at the open of bar 1."""
    exchange.submit(bracket(100, 94, 108, quantity=quantity), instant(1))
    assert fills(exchange.on_bar(bar(1, 100, 102, 99, 101))) == [f"{ENTRY} +{quantity}@100"]
    return exchange
