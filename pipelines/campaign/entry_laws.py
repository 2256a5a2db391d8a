"""What has to hold for a bracket on its way to the broker."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from engine.broker import BrokerSnapshot, PlaceBracket
from engine.desk import DeskState
from engine.execution_quality import ExecutionQuality
from engine.market import MarketRow
from engine.rules import Rules
from engine.trade import TradePlan
from pipelines.campaign.audit import Books, held_lots
from pipelines.campaign.law import Law

LATE_SECONDS_MAX: Final = 30
"""A bar older than this is decided for the record only."""


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
    held = held_lots(asked.truth)
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
    decided_bar = state.bars_before + row.minute + 1
    score = eqs_of(_before_bar(state.quality, decided_bar), decided_bar, asked.rules)
    if score < law.eqs_entry_min:
        return f"EQS {score:.4f} at the decision"
    # What has happened since the decision may have taken more.
    if eqs_of(state.quality, decided_bar, asked.rules) < law.eqs_kill_below:
        return "an EQS that kills"
    return None if state.is_feed_live else "the feed is not live"


def entry_is_in_hours(asked: EntryAsked) -> str | None:
    """On a bar on which the market's side of the ladder allows one, before the flatten time."""
    row, session = asked.row, asked.rules.session
    before_end = max(session.flatten_minutes_before_end, session.no_entry_minutes_before_end)
    if row is None:
        return None
    decided_minute = row.minute + 1
    for window in session.no_trade_windows:
        if window.from_minute <= decided_minute < window.until_minute:
            return f"{decided_minute} minutes after the open, in a window without entries"
    if row.minutes_to_close <= before_end:
        return f"{row.minutes_to_close} minutes before the close"
    return None if row.may_enter else "on a bar that no template may enter on"


def _before_bar(quality: ExecutionQuality, bar_number: int) -> ExecutionQuality:
    """The troubles that were surely known at a bar's close."""
    known = tuple(each for each in quality.impairments if each.bar_number < bar_number)
    return ExecutionQuality(impairments=known)


def eqs_of(quality: ExecutionQuality, bar_number: int, rules: Rules) -> float:
    """The score by the words of the specification, not by the desk's code."""
    lost = 0.0
    for trouble in quality.impairments:
        law = rules.execution.eqs_losses[trouble.kind]
        lost += law.amount * 0.5 ** (max(bar_number - trouble.bar_number, 0) / law.half_life_bars)
    return max(0.0, 1.0 - lost)


ENTRY_LAWS: Final[tuple[Law[EntryAsked], ...]] = (
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
