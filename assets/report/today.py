"""What the desk will do today about the data, the calendar, its limits and its templates."""

from collections.abc import Iterator
from zoneinfo import ZoneInfo

import polars as pl

from assets.report.look_at import Finding, Gravity
from assets.report.preopen import PreopenMaterial
from assets.report.sections import TRUST_WORDS
from engine.ladder import LADDER, PASSED
from engine.learning.calibration_table import with_odds
from engine.learning.learning_state import reliabilities, standings
from engine.learning.reliability import standing
from engine.odds import EarnedOdds
from engine.wording import PHRASES, clock, side_name, times, usd


def today(of: PreopenMaterial) -> list[Finding]:
    """Everything that the desk will refuse or do differently, gravest first."""
    parts = (_opening, _limits, _templates, _odds, _data, _hours)
    found = [finding for part in parts for finding in part(of)]
    return sorted(found, key=lambda each: each.gravity)


def wrong(of: PreopenMaterial) -> list[Finding]:
    """What is wrong with the reviewed session, gravest first."""
    found = [
        Finding(
            Gravity.STOP,
            f"{each.column.replace('_', ' ')}: {each.observed} came, {each.expected} was expected "
            f"({each.expectation.replace('_', ' ')}).",
        )
        for each in of.review.findings
        if not each.passed
    ]
    missing = of.reviewed.minutes - of.frame.height
    if missing:
        found.append(Finding(Gravity.LOOK, f"{times(missing, 'minute')} without a bar."))
    if of.rejected.height:
        found.append(Finding(Gravity.LOOK, f"{times(of.rejected.height, 'row')} rejected."))
    doubtful = _below(of, of.rules.constitution.dvs_entry_min)
    if doubtful:
        found.append(
            Finding(Gravity.LOOK, f"{times(doubtful, 'bar')} with a data score that bars entries.")
        )
    return sorted(found, key=lambda each: each.gravity)


def _opening(of: PreopenMaterial) -> Iterator[Finding]:
    """Whether it opens at all."""
    if not of.review.passed:
        yield Finding(
            Gravity.STOP,
            "It does not open: the review is not green. Ingest the session again from a sound "
            "source (credence ingest SRC --replace) and run the job preopen, or leave it closed.",
        )
    if of.lock is not None:
        yield Finding(
            Gravity.STOP,
            f"It enters nothing: {PHRASES[of.lock]}{_since(of)}. See credence status; when the "
            "cause is settled: credence resume --reason TEXT.",
        )


def _since(of: PreopenMaterial) -> str:
    """When the switch was moved, and why; a file KILL has no instant."""
    since, zone = of.kill.since, ZoneInfo(of.rules.session.timezone)
    at = "" if since is None else f" since {since.astimezone(zone):%Y-%m-%d %H:%M} ET"
    return f"{at} ({of.kill.text or of.kill.cause or 'no reason given'})"


def _limits(of: PreopenMaterial) -> Iterator[Finding]:
    """What is left to lose, and losses in a row."""
    law, risk = of.rules.constitution, of.risk
    for span, net, limit in (
        ("week", risk.net_usd_this_week, law.loss_usd_per_week_max),
        ("month", risk.net_usd_this_month, law.loss_usd_per_month_max),
    ):
        left = limit + net
        if left <= 0:
            yield Finding(Gravity.STOP, f"It enters nothing: the loss limit of the {span} is used.")
        elif net < 0:
            yield Finding(
                Gravity.LOOK if left < law.loss_usd_per_day_max else Gravity.KNOW,
                f"It may lose {usd(left)} of {usd(limit)} more this {span}.",
            )
    streak = of.loss_streak
    if streak:
        is_last = streak + 1 >= law.consecutive_losses_max
        ends = (
            f": the next loss ends its day, being one of at least {law.consecutive_losses_max} in "
            "a row. Losses of earlier sessions count, but they bar nothing until a loss of today "
            "joins them"
        )
        yield Finding(
            Gravity.LOOK if is_last else Gravity.KNOW,
            f"It starts with {times(streak, 'loss', 'losses')} in a row{ends if is_last else ''}.",
        )


def _templates(of: PreopenMaterial) -> Iterator[Finding]:
    """Standings of the last night, and what the account is too small for."""
    law, tier = of.rules.learning.reliability, of.tier
    if of.state.is_empty():
        yield Finding(Gravity.KNOW, "No night has been done yet: every template starts trusted.")
    for each in reliabilities(of.state):
        told = standing(each, law)
        if told.is_quarantined:
            yield Finding(
                Gravity.LOOK, f"{each.template} may not enter: in quarantine; it trades in shadow."
            )
        elif told.modifier > 1.0:
            yield Finding(
                Gravity.LOOK,
                f"{each.template} pays {told.modifier:g} times its cost: "
                f"{TRUST_WORDS[each.trust.value]}.",
            )
    if tier is not None:
        shut = [each.id for each in of.rules.strategies.templates if tier.name not in each.tiers]
        if shut:
            yield Finding(
                Gravity.KNOW, f"{', '.join(shut)} may not enter at this equity (tier {tier.name})."
            )


def _odds(of: PreopenMaterial) -> Iterator[Finding]:
    """Whose odds a score is made of: a map's that was earned, else the prior's."""
    if of.state.is_empty():
        return
    night = of.state["session_date"][0]
    told = with_odds(standings(of.state, of.rules), of.calibration, night, of.rules)
    earned = [
        (template, odds)
        for template, standing_of in sorted(told.items())
        for odds in standing_of.odds
        if isinstance(odds, EarnedOdds)
    ]
    for template, odds in earned:
        yield Finding(
            Gravity.KNOW,
            f"{template} {side_name(odds.side)}: p_win comes from the {odds.source} ({odds.why}).",
        )
    if not earned:
        yield Finding(Gravity.KNOW, "Every p_win is the prior's: no map has been earned.")


def _data(of: PreopenMaterial) -> Iterator[Finding]:
    """What data like the reviewed session's will meet."""
    law = of.rules.constitution
    prior = of.context["prior_sessions"]
    unknown = sum(
        value is None for name, value in of.context.items() if name.startswith("atr_median")
    )
    if unknown:
        yield Finding(
            Gravity.LOOK,
            f"Only {times(prior, 'session')} before it: {times(unknown, 'half hour')} without a "
            "usual range, so signals that need it stay unknown, and unknown never passes.",
        )
    for gate, act in (
        (law.dvs_entry_min, "enters nothing"),
        (law.dvs_hold_min, "tightens or closes an open trade"),
        (law.dvs_kill_below, "kills: cancels all, flattens and stays down"),
    ):
        below = _below(of, gate)
        if below:
            yield Finding(
                Gravity.LOOK,
                f"On data like this it {act} on {below} of {of.frame.height} bars (score below "
                f"{gate:g}).",
            )


def _hours(of: PreopenMaterial) -> Iterator[Finding]:
    """When it may enter by the clock."""
    rules, minutes = of.rules.session, of.session.minutes
    if of.session.is_half_day:
        yield Finding(Gravity.LOOK, f"Half a session: it closes at {clock(minutes)}.")
    windows = ", ".join(
        f"{clock(each.from_minute)} to {clock(each.until_minute)} ({each.name.replace('_', ' ')})"
        for each in rules.no_trade_windows
    )
    last = clock(minutes - rules.no_entry_minutes_before_end)
    flat = clock(minutes - rules.flatten_minutes_before_end)
    yield Finding(
        Gravity.KNOW, f"No entry {windows}, nor from {last}; what is open is closed at {flat}."
    )


def market_refusals(of: PreopenMaterial) -> pl.DataFrame:
    """How many reviewed bars the market alone would have refused, by first no: words, bars."""
    steps = of.frame.filter(pl.col("market_step") < PASSED)["market_step"]
    words = [PHRASES[LADDER[step]] for step in steps]
    counted = pl.DataFrame({"words": words}, schema={"words": pl.String})
    return counted.group_by("words").len("bars").sort("bars", "words", descending=[True, False])


def _below(of: PreopenMaterial, gate: float) -> int:
    return int((of.frame["dvs"] < gate).sum())
