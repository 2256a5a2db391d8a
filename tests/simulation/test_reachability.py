"""Everything that can happen does: every reason, template and exit kind, over generated markets.

Markets, faults and accounts are tried one after the other until nothing is missing: a change of a
contract may change which of them are needed, but not whether they can be found.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import polars as pl
from replay_market import RULES, Market, context_of, market, settings

from contracts.calendar import sessions_between
from engine.bars import check_bars
from engine.broker import FeedReported, FeedState
from engine.desk import EMPTY, Desk, OperatorCommanded, OperatorVerb, Recording
from engine.exchange import Exchange, FaultKind, FaultPlan, exchange_settings
from engine.generator import plant_faults
from engine.ladder import LADDER
from engine.own_view import Standing
from engine.trade import ExitKind
from pipelines.replay import replay
from pipelines.replay_sessions import played_sessions
from pipelines.shadow import ShadowDesk

TIER_B = Decimal(20_000)
WALKED = {"recording": Recording.TRADES, "jumps": False}
TEMPLATES = {template.id for template in RULES.strategies.templates}

OUT_OF_THE_MARKETS_REACH = {ExitKind.OPPOSITE_BELIEF.value}
"""One constraint, believed on both sides: the thesis fails first. `test_desk_trades` reaches it."""


class Reached(NamedTuple):
    """What happened, and how often."""

    reasons: Counter[str]
    exits: Counter[str]
    templates: Counter[str]


def played(of: Market, **changes: object) -> Reached:
    result = replay(of.contexts, of.bars, RULES, settings(**{**WALKED, **changes}))
    return Reached(
        Counter(result.reasons),
        Counter(result.exits),
        Counter(str(trade["template"]) for trade in result.trades),
    )


def spoiled(seed: int) -> Reached:
    """Bars with planted data faults, checked as any source's are."""
    clean = market(10, seed).bars
    raw = plant_faults(clean, seed, RULES.instrument, per_kind=6).raw
    days = sessions_between(clean["session_date"].min(), clean["session_date"].max(), RULES.session)
    bars = check_bars(raw, RULES.instrument, days).bars
    return played(Market(context_of(bars), bars), resumes_killed=True)


def faulted(seed: int) -> Reached:
    rates = {FaultKind.REJECT: 0.5, FaultKind.DISCONNECT: 0.002}
    return played(market(10, seed), seed=seed, faults=FaultPlan(rates=rates), resumes_killed=True)


def quarantined(seed: int) -> Reached:
    standing = Standing(is_quarantined=True)
    return played(market(6, seed), standings=dict.fromkeys(TEMPLATES, standing))


def gapped(seed: int) -> Reached:
    """The feed falls silent for two minutes soon after every entry."""
    whole = market(8, seed)
    trades = replay(whole.contexts, whole.bars, RULES, settings(**WALKED)).trades
    filled_at = [datetime.fromisoformat(str(t["opened_at"])) for t in trades if t["opened_at"]]
    minutes = [at.replace(second=0, microsecond=0) for at in filled_at]
    silent = [at + timedelta(minutes=later) for at in minutes for later in (1, 2)]
    bars = whole.bars.filter(~pl.col("opens_at").is_in(silent))
    return played(Market(whole.contexts, bars))


def feed_of(opens_at: datetime, number: int) -> list[FeedReported]:
    """The last of six sessions is watched on delayed data."""
    is_delayed = number == 5
    return [FeedReported(at=opens_at, state=FeedState.DELAYED)] if is_delayed else []


def by_hand(seed: int) -> Reached:
    """A late start, a feed that is not live, and a person at the levers: halt, flatten, kill."""
    of = market(6, seed)
    reasons: Counter[str] = Counter()
    exits: Counter[str] = Counter()
    for number, session in enumerate(
        played_sessions(of.contexts, of.bars, RULES, settings(**WALKED))
    ):
        shadow = ShadowDesk(Desk(RULES), EMPTY, Exchange(exchange_settings(RULES, TIER_B)))
        shadow.deliver((session.opened, *feed_of(session.opened.at, number)))
        verb = (None, OperatorVerb.FLATTEN, OperatorVerb.HALT, OperatorVerb.KILL)[number % 4]
        for row in session.rows[345 if verb is None else 30 :]:
            shadow.play_bar(row)
            if verb is not None and shadow.state.position != 0:
                at = row.closes_at
                lever = OperatorCommanded(at=at, verb=verb, by="ada", reason="to see it happen")
                shadow.deliver((lever,))
        reasons.update(str(reason) for _, reason in shadow.decisions.elements())
        exits.update(
            entry.payload.split('"exit_kind":"')[1].split('"')[0] for entry in shadow.closed
        )
    return Reached(reasons, exits, Counter())


def attempts() -> Iterator[Callable[[], Reached]]:
    """Something for every reason first, then more of the same."""
    starts = (date(2020, 3, 2), date(2022, 6, 1), date(2024, 1, 2))
    for seed in (3, 26):
        yield lambda seed=seed: played(market(40, seed), equity_usd=TIER_B)
    for seed in range(2, 8):
        yield lambda seed=seed: gapped(seed)
        yield lambda seed=seed: spoiled(seed)
        yield lambda seed=seed: faulted(seed)
        yield lambda seed=seed: quarantined(seed)
        yield lambda seed=seed: by_hand(seed)
        for start in starts:
            yield lambda seed=seed, start=start: played(market(12, seed, start), equity_usd=TIER_B)
        yield lambda seed=seed: played(market(12, seed), equity_usd=Decimal(2_000))
    for seed in range(27, 60):  # A week's limit needs two bad days in one: one market in nine.
        yield lambda seed=seed: played(market(40, seed), equity_usd=TIER_B)


def test_every_reason_every_template_and_every_exit_happens():
    wanted = {reason.value for reason in LADDER} | TEMPLATES
    wanted |= {kind.value for kind in ExitKind} - OUT_OF_THE_MARKETS_REACH
    missing = set(wanted)

    for attempt in attempts():
        for counted in attempt():
            missing -= set(counted)
        if not missing:
            break

    assert missing == set()


def test_a_reason_that_no_attempt_can_bring_about_would_be_missed():
    counted = played(market(2), equity_usd=TIER_B)

    assert {"BELIEF_TOO_LOW"} <= set(counted.reasons)
    assert {reason.value for reason in LADDER} - set(counted.reasons)
