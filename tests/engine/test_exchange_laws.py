"""Laws of the exchange over random bars, commands and faults: its own books are always right."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from exchange_tables import (
    FEE,
    MES,
    MINUTE,
    bar,
    bracket,
    cancel,
    flatten,
    instant,
    move_stop,
    refs,
    settings,
)
from hypothesis import given
from hypothesis import strategies as st

from engine.broker import (
    BrokerReport,
    BrokerSnapshot,
    Command,
    ExecutionReported,
    Leg,
    QueryBroker,
)
from engine.errors import BrokerTimeout, BrokerUnreachable
from engine.exchange import ALIEN_REF, Exchange, FaultKind, FaultPlan, PriceBar
from engine.exchange.book import BookOrder
from engine.units import OrderRef

SLIPPAGE_MAX = 6
TELLING = (
    FaultKind.DELAYED,
    FaultKind.DUPLICATED,
    FaultKind.REORDERED,
    FaultKind.LATE_COMMISSION,
)


@dataclass(frozen=True)
class Minute:
    """One bar, as differences from the last close, and what is asked for when it has closed."""

    gap: int
    body: int
    up: int
    down: int
    action: str
    offset: int
    stop: int
    target: int
    quantity: int


@dataclass(frozen=True)
class Session:
    """What came of a script: everything heard, and the books to hold it against."""

    heard: list[list[BrokerReport]]
    executions: tuple[ExecutionReported, ...]
    orders: dict[OrderRef, BookOrder]
    bars: list[PriceBar]
    position: int
    equity_usd: Decimal
    bars_skipped: int


MINUTES = st.builds(
    Minute,
    gap=st.integers(-4, 4),
    body=st.integers(-6, 6),
    up=st.integers(0, 6),
    down=st.integers(0, 6),
    action=st.sampled_from(
        ["nothing", "nothing", "long", "short", "long", "cancel", "move", "flatten", "query"]
    ),
    offset=st.integers(-2, 3),
    stop=st.integers(1, 8),
    target=st.integers(1, 8),
    quantity=st.integers(1, 3),
)
SCRIPTS = st.lists(MINUTES, min_size=5, max_size=25)
RATES = st.dictionaries(st.sampled_from(FaultKind), st.sampled_from([0.1, 0.4, 1.0]), max_size=5)
SEEDS = st.integers(0, 2**32)


def command(minute: Minute, number: int, close: int, last: str) -> Command | None:
    """What the script asks for when bar `number` has closed; `last` names the last bracket sent."""
    sign = {"long": 1, "short": -1}.get(minute.action)
    if sign is not None:
        entry = close + sign * minute.offset
        return bracket(
            entry,
            entry - sign * minute.stop,
            entry + sign * minute.target,
            quantity=minute.quantity,
            sent=number + 1,
            life_seconds=60 * minute.quantity + 30,
            name=f"n{number}",
        )
    return {
        "nothing": None,
        "cancel": cancel(refs(last)[minute.offset % 3]),
        "move": move_stop(refs(last)[1], close + minute.offset - 4),
        "flatten": flatten(OrderRef(f"n{number}/flatten")),
        "query": QueryBroker(cause="script"),
    }[minute.action]


def play(
    script: Sequence[Minute],
    *,
    seed: int = 0,
    rates: dict[FaultKind, float] | None = None,
    restarts: bool = False,
    skips_idle_bars: bool = False,
) -> Session:
    rules = settings(slippage_ticks=1.5, latency_ms=250)
    exchange = Exchange(rules, seed=seed, faults=FaultPlan(rates=rates or {}))
    heard, bars, last, close, skipped = [], list[PriceBar](), "none", 1000, 0
    for number, minute in enumerate(script):
        open_ticks = close + minute.gap
        close = open_ticks + minute.body
        high, low = max(open_ticks, close) + minute.up, min(open_ticks, close) - minute.down
        bars.append(bar(number, open_ticks, high, low, close))
        if restarts:
            exchange = Exchange.restore(rules, json.loads(json.dumps(exchange.state())))
        if skips_idle_bars and exchange.is_idle:
            skipped += 1
        else:
            heard.append(exchange.on_bar(bars[-1]))
        asked = command(minute, number, close, last)
        last = f"n{number}" if minute.action in ("long", "short") else last
        if asked is not None:
            heard.append(send(exchange, asked, number + 1))
    end = instant(len(script))
    return Session(
        heard=heard,
        executions=tuple(exchange._book.account.executions),
        orders=exchange._book.orders,
        bars=bars,
        position=sum(p.quantity for p in exchange.truth(end).positions),
        equity_usd=exchange.account(end).equity_usd or Decimal("NaN"),
        bars_skipped=skipped,
    )


def send(exchange: Exchange, asked: Command, minute: int) -> list[BrokerReport]:
    try:
        return exchange.submit(asked, instant(minute))
    except (BrokerUnreachable, BrokerTimeout):
        return []


# ── The laws, as lists of what breaks them ──────────────────────────────────────────────────────


def books_out_of_balance(session: Session) -> list[str]:
    """Lots and cash: the position is the sum of executions, money is price moves less fees."""
    broken, held, mark, cash = [], 0, 0, Decimal(5000)
    for execution in sorted(session.executions, key=lambda e: e.execution_id):
        cash += MES.to_usd(held * (execution.price_ticks - mark)) - FEE * execution.quantity
        held, mark = held + execution.side * execution.quantity, execution.price_ticks
    cash += MES.to_usd(held * (session.bars[-1].close_ticks - mark))
    if held != session.position:
        broken.append(f"executions sum to {held}, the position is {session.position}")
    if cash != session.equity_usd:
        broken.append(f"executions come to ${cash}, the account says ${session.equity_usd}")
    return broken


def oca_overrun(session: Session) -> list[str]:
    """Brackets whose stop and target together closed more than the entry opened."""
    filled = dict.fromkeys(session.orders, 0)
    for execution in session.executions:
        if execution.ref != ALIEN_REF:
            filled[execution.ref] += execution.quantity
    return [
        order.ref
        for order in session.orders.values()
        if order.leg is Leg.ENTRY and order.group is not None
        if filled[OrderRef(order.ref.replace("entry", "stop"))]
        + filled[OrderRef(order.ref.replace("entry", "target"))]
        > filled[order.ref]
        or filled[order.ref] > order.quantity
    ]


def dishonest_prices(session: Session) -> list[str]:
    """Fills worse than a limit, better than a stop or the market, or slipped beyond the maximum."""
    broken, seen = [], set[OrderRef]()
    for execution in session.executions:
        at = execution.at
        bars = [b for b in session.bars if b.closes_at - MINUTE <= at <= b.closes_at]
        low = min(b.low_ticks for b in bars)
        high = max(b.high_ticks for b in bars)
        order, price, side = (
            session.orders.get(execution.ref),
            execution.price_ticks,
            execution.side,
        )
        best, worst = (low, high) if side > 0 else (high, low)
        if order is not None and order.leg in (Leg.ENTRY, Leg.TARGET):
            limit = order.price_ticks or 0
            is_honest = side * (price - limit) <= 0 <= side * (price - best)
        elif order is not None and order.leg is Leg.STOP and order.ref not in seen:
            stop = order.price_ticks or 0
            beyond = max(stop, worst) if side > 0 else min(stop, worst)
            is_honest = side * (price - stop) >= 0 >= side * (price - beyond) - SLIPPAGE_MAX
        else:
            is_honest = side * (price - best) >= 0 >= side * (price - worst) - SLIPPAGE_MAX
        seen.add(execution.ref)
        if not is_honest:
            broken.append(f"{execution.ref} at {price} in a bar from {low} to {high}")
    return broken


def out_of_time(session: Session) -> list[str]:
    """Fills before the order arrived or after its life was over."""
    return [
        execution.execution_id
        for execution in session.executions
        if (order := session.orders.get(execution.ref)) is not None
        if order.expires_at is not None and execution.at > order.expires_at
    ]


@given(SCRIPTS, RATES, SEEDS)
def test_the_books_are_right_under_every_fault(
    script: list[Minute], rates: dict[FaultKind, float], seed: int
) -> None:
    session = play(script, seed=seed, rates=rates)

    assert books_out_of_balance(session) == []
    assert oca_overrun(session) == []
    assert dishonest_prices(session) == []
    assert out_of_time(session) == []


BUSY = [
    Minute(0, 1, 3, 3, action, 2, 4, 4, 2)
    for action in ("long", "nothing", "nothing", "long", "nothing", "move", "nothing", "flatten")
] + [Minute(0, 0, 9, 9, "nothing", 0, 1, 1, 1)] * 2


def test_the_busy_script_is_busy() -> None:
    legs = {execution.ref.split("/")[1] for execution in play(BUSY).executions}

    assert {"entry", "stop"} <= legs
    assert len(play(BUSY).executions) >= 4


@pytest.mark.parametrize(
    ("law", "change"),
    [
        (books_out_of_balance, {"quantity": 1}),
        (books_out_of_balance, {"price_ticks": 1}),
        (oca_overrun, {"quantity": 9}),
        (dishonest_prices, {"price_ticks": 1}),
        (dishonest_prices, {"price_ticks": 9999}),
        (out_of_time, {"at": instant(1) + 600 * MINUTE}),
    ],
)
def test_each_law_sees_a_planted_breach(law: object, change: dict[str, object]) -> None:
    session = play(BUSY)
    assert callable(law)
    assert law(session) == []

    first, *rest = session.executions
    planted = replace(session, executions=(replace(first, **change), *rest))  # type: ignore[arg-type]
    if law is dishonest_prices or law is books_out_of_balance or law is oca_overrun:
        assert law(planted) != []
    else:
        assert law(planted) == [first.execution_id]


@given(SCRIPTS, RATES, SEEDS)
def test_the_same_seed_gives_the_same_session(
    script: list[Minute], rates: dict[FaultKind, float], seed: int
) -> None:
    assert play(script, seed=seed, rates=rates) == play(script, seed=seed, rates=rates)


def test_another_seed_gives_another_session() -> None:
    rates = {FaultKind.LOST: 0.5, FaultKind.PARTIAL_FILL: 0.5}

    assert play(BUSY, seed=1, rates=rates) != play(BUSY, seed=2, rates=rates)


@given(SCRIPTS, RATES, SEEDS)
def test_a_session_restored_from_json_before_every_bar_goes_on_the_same(
    script: list[Minute], rates: dict[FaultKind, float], seed: int
) -> None:
    straight = play(script, seed=seed, rates=rates)

    assert play(script, seed=seed, rates=rates, restarts=True) == straight


@given(SCRIPTS, st.dictionaries(st.sampled_from(TELLING), st.just(0.5)), SEEDS)
def test_faults_of_telling_never_change_what_happened(
    script: list[Minute], rates: dict[FaultKind, float], seed: int
) -> None:
    bent, straight = play(script, seed=seed, rates=rates), play(script, seed=seed)

    assert bent.executions == straight.executions
    assert bent.equity_usd == straight.equity_usd


@given(SCRIPTS, st.dictionaries(st.sampled_from(TELLING), st.just(0.5)), SEEDS)
def test_without_loss_everything_is_heard_in_the_end(
    script: list[Minute], rates: dict[FaultKind, float], seed: int
) -> None:
    quiet = [Minute(0, 0, 0, 0, "nothing", 0, 1, 1, 1)] * 6
    bent = play([*script, *quiet], seed=seed, rates=rates)
    straight = play([*script, *quiet], seed=seed)

    assert said(bent) == said(straight)


def said(session: Session) -> set[BrokerReport]:
    reports = [report for batch in session.heard for report in batch]
    return {report for report in reports if not isinstance(report, BrokerSnapshot)}


@given(SCRIPTS, SEEDS)
def test_a_bar_skipped_while_idle_changes_nothing(script: list[Minute], seed: int) -> None:
    seen, skipped = play(script, seed=seed), play(script, seed=seed, skips_idle_bars=True)

    assert skipped.bars_skipped > 0
    assert skipped.executions == seen.executions
    assert skipped.equity_usd == seen.equity_usd
    assert said(skipped) == said(seen)
