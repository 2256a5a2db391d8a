"""The laws of every run. Each is a pure function: what breaks it, in words, or null.

`ENTRY_LAWS` judge a bracket on its way to the broker, `STEP_LAWS` one step of the desk,
`WORLD_LAWS` the exchange beside the desk at one instant, `DAY_LAWS` a session that is over.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from engine.broker import (
    BrokerSnapshot,
    ConnectionReported,
    ConnectionState,
    Leg,
    OrderEvent,
    OrderKind,
    OrderReported,
    PlaceBracket,
    WorkingOrder,
)
from engine.desk import DeskState, Input, OperatorCommanded, OperatorVerb, fact_of
from engine.desk.facts import IntentRecorded
from engine.execution_quality import ExecutionQuality
from engine.journal import Broken, Event, Head, Kind, verify
from engine.market import MarketRow
from engine.rules import Rules
from engine.trade import StopMoved, TradePlan
from engine.units import OrderRef, Side
from pipelines.campaign.audit import Books, is_ours

TICK_SECONDS: Final = 5
"""How finely simulated time passes while anything is open, and how often the clock is looked at."""

LATE_SECONDS_MAX: Final = 30
"""A bar older than this is decided for the record only."""

SLIPPAGE_ALLOWANCE_USD: Final = Decimal("15.00")
"""How far a day may end beyond its limit: one exit that pays `slippage_ticks_max` on a market that
has moved as far again since it was asked for (6 + 6 ticks of $1.25)."""

_GRACE: Final = timedelta(seconds=2 * TICK_SECONDS)


# ── A bracket on its way ────────────────────────────────────────────────────────────────────────


class EntryAsked(NamedTuple):
    """A bracket that is about to be sent. `row` is the bar of its decision, null if there is none.

    `books` are the auditor's, null once another hand has traded on the account.
    `clock_slack` is how far the broker's clock may be from the market's.
    """

    at: datetime
    command: PlaceBracket
    plan: TradePlan | None
    row: MarketRow | None
    state: DeskState
    truth: BrokerSnapshot
    equity_usd: Decimal
    books: Books | None
    clock_slack: timedelta
    rules: Rules


def entry_needs_a_running_desk(asked: EntryAsked) -> str | None:
    """Killed or halted means that nothing is entered."""
    kill = asked.state.kill
    return None if kill.is_running else f"an entry while {kill.state.value}: {kill.text}"


def entry_needs_a_flat_account(asked: EntryAsked) -> str | None:
    """At most one position: nothing held and nothing of ours working at the exchange."""
    held = sum(position.quantity for position in asked.truth.positions)
    working = [order.ref for order in asked.truth.working]
    return f"an entry with {held} held and {working} working" if held or working else None


def entry_is_one_contract(asked: EntryAsked) -> str | None:
    """One contract in one order."""
    quantity = asked.command.quantity
    return None if quantity == 1 else f"an entry of {quantity} contracts"


def entry_has_its_bar(asked: EntryAsked) -> str | None:
    """The bracket's decision was made at the close of a bar that exists, and lately."""
    plan, row = asked.plan, asked.row
    if plan is None or row is None or plan.decision_id != asked.command.decision_id:
        return f"{asked.command.entry_ref} has no decision with a bar"
    if asked.at - row.closes_at > timedelta(seconds=LATE_SECONDS_MAX):
        return f"the bar of {row.closes_at:%H:%M} is entered on at {asked.at:%H:%M:%S}"
    return None


def entry_is_a_sound_bracket(asked: EntryAsked) -> str | None:
    """Stop and target on their sides, a limit at most one tick beyond the price, a short life."""
    command, row, law = asked.command, asked.row, asked.rules.execution
    risk = command.side * (command.entry_limit_ticks - command.stop_ticks)
    reward = command.side * (command.target_ticks - command.entry_limit_ticks)
    if risk <= 0 or reward <= 0:
        return f"stop {risk} and target {reward} ticks from the entry"
    if row is None:
        return None
    beyond = command.side * (command.entry_limit_ticks - row.close_ticks)
    if beyond > law.entry_marketable_ticks_max:
        return f"the limit is {beyond} ticks beyond the price"
    life = command.entry_expires_at - row.closes_at
    if life > timedelta(seconds=law.entry_life_seconds):
        return f"the entry lives for {life}"
    return None


def entry_risks_what_it_may(asked: EntryAsked) -> str | None:
    """The stop is within the constitution and the tier of the account, in ticks and in dollars."""
    law, instrument = asked.rules.constitution, asked.rules.instrument
    stop_ticks = abs(asked.command.entry_limit_ticks - asked.command.stop_ticks)
    stop_usd = stop_ticks * instrument.tick_value_usd
    tier = next(
        tier
        for tier in law.tiers
        if tier.equity_usd_below is None or asked.equity_usd < tier.equity_usd_below
    )
    ticks_max = min(law.stop_ticks_max, tier.stop_ticks_max)
    usd_max = min(law.loss_usd_per_trade_max, tier.loss_usd_per_trade_max)
    if stop_ticks > ticks_max or stop_usd > usd_max:
        return f"a stop of {stop_ticks} ticks in tier {tier.name}, {ticks_max} are allowed"
    template = asked.plan.template if asked.plan else ""
    tiers = {block.id: block.tiers for block in asked.rules.strategies.templates}
    if template and tier.name not in tiers[template]:
        return f"{template} in tier {tier.name}"
    return None


def entry_leaves_the_loss_limits(asked: EntryAsked) -> str | None:
    """Realised plus worst case stays within the limits of day, week and month."""
    books, law, row = asked.books, asked.rules.constitution, asked.row
    if books is None or row is None:
        return None
    tick_usd = asked.rules.instrument.tick_value_usd
    stop_ticks = abs(asked.command.entry_limit_ticks - asked.command.stop_ticks)
    slippage_ticks = Decimal(2 * asked.rules.execution.slippage_ticks_per_side)
    fees_usd = 2 * asked.rules.instrument.fees.per_side_usd
    worst_usd = (stop_ticks + slippage_ticks) * tick_usd + fees_usd
    for name, net_usd, limit_usd in (
        ("day", books.net_usd_today, law.loss_usd_per_day_max),
        ("week", books.net_usd_this_week, law.loss_usd_per_week_max),
        ("month", books.net_usd_this_month, law.loss_usd_per_month_max),
    ):
        if worst_usd - net_usd > limit_usd:
            return f"{net_usd} this {name}, and an entry that may lose {worst_usd}"
    return None


def entry_counts_trades(asked: EntryAsked) -> str | None:
    """No more trades in a day than allowed."""
    if asked.books is None:
        return None
    taken, most = len(asked.books.entered_at), asked.rules.constitution.trades_per_day_max
    return f"{taken} trades taken, {most} are allowed" if taken >= most else None


def entry_waits_for_the_cooldown(asked: EntryAsked) -> str | None:
    """Thirty minutes between entries, and no more an hour than allowed."""
    books, law, row = asked.books, asked.rules.constitution, asked.row
    if books is None or row is None or not books.entered_at:
        return None
    decided_at = row.closes_at + asked.clock_slack
    since = decided_at - books.entered_at[-1]
    if since < timedelta(minutes=law.minutes_between_entries_min):
        return f"entered {since} ago"
    lately = [at for at in books.entered_at if decided_at - at < timedelta(hours=1)]
    if len(lately) >= law.entries_per_hour_max:
        return f"{len(lately)} entries within the hour"
    return None


def entry_respects_the_lockout(asked: EntryAsked) -> str | None:
    """Consecutive losses, the last of them today, end the day."""
    books, most = asked.books, asked.rules.constitution.consecutive_losses_max
    if books is None or not books.losses_today or books.loss_streak < most:
        return None
    return f"{books.loss_streak} losses in a row"


def entry_needs_quality(asked: EntryAsked) -> str | None:
    """Data and execution are good enough at the decision, and the feed is live."""
    law, row, state = asked.rules.constitution, asked.row, asked.state
    if row is None:
        return None
    if row.dvs < law.dvs_entry_min:
        return f"DVS {row.dvs}"
    score = eqs_of(state.quality, state.bars_before + row.minute + 1, asked.rules)
    # What has happened since the decision may have taken more; it cannot have given any back.
    if score < law.eqs_kill_below:
        return f"EQS {score:.4f}"
    return None if state.is_feed_live else "the feed is not live"


def entry_is_in_hours(asked: EntryAsked) -> str | None:
    """On a bar on which the market's side of the ladder allows one, before the flatten time."""
    row, before_end = asked.row, asked.rules.session.flatten_minutes_before_end
    if row is None:
        return None
    if row.minutes_to_close <= before_end:
        return f"{row.minutes_to_close} minutes before the close"
    return None if row.may_enter else "on a bar that no template may enter on"


def eqs_of(quality: ExecutionQuality, bar_number: int, rules: Rules) -> float:
    """The score by the words of the specification, not by the desk's code."""
    lost = 0.0
    for trouble in quality.impairments:
        law = rules.execution.eqs_losses[trouble.kind]
        lost += law.amount * 0.5 ** (max(bar_number - trouble.bar_number, 0) / law.half_life_bars)
    return max(0.0, 1.0 - lost)


# ── One step of the desk ────────────────────────────────────────────────────────────────────────


class StepSeen(NamedTuple):
    """One step: what came in, the state before and after it, and what it left on disk."""

    before: DeskState
    happened: Input
    after: DeskState
    events: Sequence[Event]
    rules: Rules


def kill_ends_by_a_person_alone(seen: StepSeen) -> str | None:
    """KILLED is left by a person with a reason, once the broker was seen flat; by nothing else."""
    if not seen.before.kill.is_killed or seen.after.kill.is_killed:
        return None
    happened = seen.happened
    if not isinstance(happened, OperatorCommanded) or happened.verb is not OperatorVerb.RESUME:
        return f"left by {type(happened).__name__}"
    if not happened.reason.strip():
        return "resumed without a reason"
    if not seen.before.kill.is_flat_verified or seen.before.is_exposed:
        return "resumed before the broker was seen flat"
    return None


def trouble_costs_quality(seen: StepSeen) -> str | None:
    """A rejected entry and a lost connection lower the execution quality score at once."""
    happened, before, after = seen.happened, seen.before, seen.after
    if isinstance(happened, ConnectionReported):
        is_new = happened.state is ConnectionState.DOWN and before.down_since is None
    elif isinstance(happened, OrderReported) and happened.event is OrderEvent.REJECTED:
        order = before.orders.find(happened.ref)
        is_new = order is not None and order.is_live and order.leg is Leg.ENTRY
    else:
        return None
    number = before.bar_number(max(happened.at, before.last_bar_at or happened.at))
    law = seen.rules.execution
    score = before.quality.eqs(number, law)
    if is_new and score > 0 and after.quality.eqs(number, law) >= score:
        return f"{type(happened).__name__} {happened.text!r} cost nothing"
    return None


def cancel_is_not_believed(seen: StepSeen) -> str | None:
    """An order that we asked to end is on its way out, and ended only when the broker says so."""
    if isinstance(seen.happened, OrderReported) or not seen.events:
        return None
    for order in seen.after.orders.all:
        earlier = seen.before.orders.find(order.ref)
        if earlier is not None and earlier.is_live and not order.is_live:
            is_told = any(event.order_ref == order.ref for event in seen.events)
            is_answer = any(
                event.kind in (Kind.RECONCILIATION, Kind.ERROR) for event in seen.events
            )
            if not is_told and not is_answer:
                return f"{order.ref} went from {earlier.state.value} to {order.state.value} untold"
    return None


def limit_is_a_halt(seen: StepSeen) -> str | None:
    """A day whose realised loss has reached its limit leaves no running desk."""
    limit = seen.rules.constitution.loss_usd_per_day_max
    is_closed = any(
        event.kind == Kind.TRADE and '"fact":"TradeClosed"' in event.payload
        for event in seen.events
    )
    if is_closed and -seen.after.risk.net_usd_today >= limit and seen.after.kill.is_running:
        return f"{seen.after.risk.net_usd_today} today and running"
    return None


def flat_is_the_brokers_word(seen: StepSeen) -> str | None:
    """After a kill it is the broker's whole truth that says flat, and nothing of our own."""
    for event in seen.events:
        if event.kind == Kind.KILL and '"fact":"FlatVerified"' in event.payload:
            truth = seen.happened
            if not isinstance(truth, BrokerSnapshot) or truth.positions or truth.working:
                return f"called flat after {type(truth).__name__}"
    return None


def strange_orders_kill(seen: StepSeen) -> str | None:
    """A broker's truth with a working order that nobody knows is a desync: the desk is killed."""
    truth = seen.happened
    if not isinstance(truth, BrokerSnapshot) or seen.before.session is None:
        return None
    strange = [o.ref for o in truth.working if seen.after.orders.find(o.ref) is None]
    return (
        f"{strange} work, and the desk runs" if strange and not seen.after.kill.is_killed else None
    )


def stop_moves_toward_profit(seen: StepSeen) -> str | None:
    """A stop is only ever moved toward profit."""
    trade = seen.before.trade
    for event in seen.events:
        if event.kind != Kind.TRADE or '"fact":"StopMoved"' not in event.payload:
            continue
        fact = fact_of(event)
        if isinstance(fact, StopMoved) and trade is not None:
            gained = trade.plan.side * (fact.to_ticks - trade.stop_price_ticks)
            if gained <= 0:
                return f"the stop of {fact.decision_id} moved {-gained} ticks away from profit"
    return None


# ── The exchange beside the desk ────────────────────────────────────────────────────────────────


class WorldSeen(NamedTuple):
    """One instant, with how long things have been as they are; null for not at all.

    `naked_since` a position has had no working stop of its size. `known_since` the desk knows of
    that position. `hearing_since` the desk is up, connected, and gets its questions answered.
    `foreign_lots` is the most that another hand ever held in this run.
    """

    at: datetime
    truth: BrokerSnapshot
    state: DeskState
    naked_since: datetime | None
    known_since: datetime | None
    hearing_since: datetime | None
    late_since: datetime | None
    is_flattening: bool
    foreign_lots: int
    rules: Rules


def at_most_one_contract(seen: WorldSeen) -> str | None:
    """One contract is held at most, beyond what another hand has put there."""
    held = sum(position.quantity for position in seen.truth.positions)
    return f"{held} contracts are held" if abs(held) > 1 + seen.foreign_lots else None


def position_is_protected(seen: WorldSeen) -> str | None:
    """A position the desk knows of has its stop within the stated seconds, or is flattened."""
    within = timedelta(seconds=seen.rules.execution.protect_within_seconds) + _GRACE
    return _naked(seen, seen.known_since, within, "known and unprotected")


def position_is_noticed(seen: WorldSeen) -> str | None:
    """A position nobody told us of is found by the routine reconciliation, and dealt with."""
    law = seen.rules.execution
    patience = law.reconcile_seconds + law.protect_within_seconds + law.flatten_verify_seconds
    within = timedelta(seconds=patience) + 2 * _GRACE
    return _naked(seen, seen.naked_since, within, "unnoticed and unprotected")


def _naked(seen: WorldSeen, since: datetime | None, within: timedelta, what: str) -> str | None:
    if None in (seen.naked_since, since, seen.hearing_since) or seen.is_flattening:
        return None
    since = max(seen.naked_since, since, seen.hearing_since)  # type: ignore[type-var]
    if since is not None and seen.at - since > within:
        return f"{_held(seen)} held, {what} since {since:%H:%M:%S}, at {seen.at:%H:%M:%S}"
    return None


def nothing_is_held_late(seen: WorldSeen) -> str | None:
    """Past the flatten time a position is closed, or being closed."""
    if seen.late_since is None or seen.hearing_since is None or seen.is_flattening:
        return None
    since = max(seen.late_since, seen.hearing_since)
    law = seen.rules.execution
    within = timedelta(seconds=law.flatten_verify_seconds + law.reconcile_seconds) + 2 * _GRACE
    if seen.at - since > within:
        return f"{_held(seen)} held past the flatten time since {since:%H:%M:%S}"
    return None


def _held(seen: WorldSeen) -> int:
    return sum(position.quantity for position in seen.truth.positions)


def covering_stops(truth: BrokerSnapshot) -> list[WorkingOrder]:
    """Working stops that would reduce the position."""
    held = sum(position.quantity for position in truth.positions)
    out = Side.SHORT if held > 0 else Side.LONG
    return [
        order
        for order in truth.working
        if order.kind is OrderKind.STOP_MARKET and order.side is out and not order.is_held
    ]


def is_covered(truth: BrokerSnapshot) -> bool:
    """Whether nothing is held, or stops of at least its size work for all of it."""
    held = abs(sum(position.quantity for position in truth.positions))
    return held == 0 or sum(order.quantity for order in covering_stops(truth)) >= held


# ── A session that is over ──────────────────────────────────────────────────────────────────────


class DaySeen(NamedTuple):
    """A session that was played, settled without faults, and closed.

    `cash_usd` is what the exchange's account moved by, `books` are null once another hand traded.
    """

    at: datetime
    rows: Sequence[MarketRow]
    events: Sequence[Event]
    state: DeskState
    folded: DeskState
    truth: BrokerSnapshot
    sent_refs: Counter[OrderRef]
    cash_usd: Decimal
    books: Books | None
    previous: Head
    rules: Rules


def chain_is_whole(seen: DaySeen) -> str | None:
    """The journal's chain of hashes holds."""
    result = verify(seen.events, start=seen.previous)
    return result.text if isinstance(result, Broken) else None


def fold_is_the_live_state(seen: DaySeen) -> str | None:
    """What the journal folds to is what the desk knows."""
    return differences(seen.folded, seen.state)


def differences(folded: DeskState, live: DeskState) -> str | None:
    """The fields in which two states differ, in words; null if none."""
    if folded == live:
        return None
    names = [name for name, a, b in zip(DeskState._fields, folded, live, strict=True) if a != b]
    return f"the fold differs in {', '.join(names)}"


def every_bar_has_one_decision(seen: DaySeen) -> str | None:
    """Exactly one bar and one decision record for each bar that closed, in order."""
    wanted = [row.closes_at for row in seen.rows]
    for kind in (Kind.BAR, Kind.DECISION):
        told = [datetime.fromisoformat(e.at) for e in seen.events if e.kind == kind]
        if told != wanted:
            extra = Counter(told) - Counter(wanted) or Counter(wanted) - Counter(told)
            return f"{len(told)} {kind.value} records for {len(wanted)} bars; first {min(extra)}"
    return None


def every_order_has_its_decision(seen: DaySeen) -> str | None:
    """An entry belongs to a decision to enter, and that decision to its bar."""
    bars = {event.at for event in seen.events if event.kind == Kind.BAR}
    entered = {
        event.decision_id: event.at
        for event in seen.events
        if event.kind == Kind.DECISION and '"action":"ENTER"' in event.payload
    }
    for event in seen.events:
        if event.kind != Kind.INTENT or "PlaceBracket" not in event.payload:
            continue
        fact = fact_of(event)
        if isinstance(fact, IntentRecorded) and entered.get(fact.decision_id) not in bars:
            return f"an order of {fact.decision_id}, which no bar decided"
    return None


def no_ref_is_sent_twice(seen: DaySeen) -> str | None:
    """No order ref reaches the broker a second time."""
    ref, count = max(seen.sent_refs.items(), key=lambda item: item[1], default=("", 0))
    return f"{ref} was sent {count} times" if count > 1 else None


def the_end_is_flat(seen: DaySeen) -> str | None:
    """Once the exchange lets us, nothing is held, nothing works, and a kill was seen flat."""
    held = sum(position.quantity for position in seen.truth.positions)
    ours = [order.ref for order in seen.truth.working if order.ref and is_ours(order.ref)]
    if held or ours:
        return f"{held} held and {ours} working after the close ({seen.state.kill.state.value})"
    kill = seen.state.kill
    return "killed, and never seen flat" if kill.is_killed and not kill.is_flat_verified else None


def ledger_is_the_cash(seen: DaySeen) -> str | None:
    """What the desk has counted of the day is what the broker's account moved by, to the cent."""
    if seen.books is None:
        return None
    counted = seen.state.risk.net_usd_today
    return f"counted {counted}, paid {seen.cash_usd}" if counted != seen.cash_usd else None


def loss_is_within_the_day(seen: DaySeen) -> str | None:
    """The day's loss is within its limit, but for the stated slippage allowance."""
    least = -seen.rules.constitution.loss_usd_per_day_max - SLIPPAGE_ALLOWANCE_USD
    if seen.books is None or seen.cash_usd >= least:
        return None
    return f"{seen.cash_usd} on one day"


EntryLaw = Callable[[EntryAsked], str | None]
StepLaw = Callable[[StepSeen], str | None]
WorldLaw = Callable[[WorldSeen], str | None]
DayLaw = Callable[[DaySeen], str | None]


def _named(*laws: Callable[..., str | None]) -> Mapping[str, Callable[..., str | None]]:
    return {law.__name__: law for law in laws}


ENTRY_LAWS: Final[Mapping[str, EntryLaw]] = _named(
    entry_needs_a_running_desk,
    entry_needs_a_flat_account,
    entry_is_one_contract,
    entry_has_its_bar,
    entry_is_a_sound_bracket,
    entry_risks_what_it_may,
    entry_leaves_the_loss_limits,
    entry_counts_trades,
    entry_waits_for_the_cooldown,
    entry_respects_the_lockout,
    entry_needs_quality,
    entry_is_in_hours,
)
STEP_LAWS: Final[Mapping[str, StepLaw]] = _named(
    kill_ends_by_a_person_alone,
    trouble_costs_quality,
    cancel_is_not_believed,
    limit_is_a_halt,
    flat_is_the_brokers_word,
    strange_orders_kill,
    stop_moves_toward_profit,
)
WORLD_LAWS: Final[Mapping[str, WorldLaw]] = _named(
    at_most_one_contract, position_is_protected, position_is_noticed, nothing_is_held_late
)
DAY_LAWS: Final[Mapping[str, DayLaw]] = _named(
    chain_is_whole,
    fold_is_the_live_state,
    every_bar_has_one_decision,
    every_order_has_its_decision,
    no_ref_is_sent_twice,
    the_end_is_flat,
    ledger_is_the_cash,
    loss_is_within_the_day,
)
