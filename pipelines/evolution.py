"""Weekly proposals: every small change of one number, replayed with costs against today's numbers.

A proposal changes nothing. It is kept, followed on the sessions after it like a shadow, and written
into a contract only by a person.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from assets.learned_history import LearnedHistory
from engine.desk import Recording
from engine.errors import InputRefused
from engine.learning.evolution import Floats, Proposal, best_proposal
from engine.learning.variants import Variant, variants
from engine.market import market_frame
from engine.rules import Rules
from pipelines.odds_of_nights import OddsOfNights, odds_of_nights
from pipelines.replay import ReplaySettings, replay
from pipelines.storage.atomic import write_atomically
from pipelines.stored_bars import StoredBars, stored_bars
from pipelines.wiring import Wiring

EQUITY_USD: Final = Decimal(10_000)
"""Account of every replay compared: in the highest tier all templates may trade."""

ATTRIBUTED: Final = "SELECT count(*) AS trades FROM attribution WHERE symbol = ?"

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evolution:
    """What one week's search came to. `best` is null where nothing changed anything for the better.

    `why_not` says in words why nothing is proposed; null when `best` is worth promoting.
    `contracts_hash` is that of the rules every variant was compared with.
    """

    through: date
    sessions: int
    tried: int
    best: Proposal | None
    variant: Variant | None
    why_not: str | None
    contracts_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadowed:
    """An earlier proposal beside today's parameters, on the sessions after it was made."""

    through: date
    variant: Variant
    sessions: int
    gain_r: float


def evolve(wiring: Wiring, progress: Progress) -> Evolution:
    """Try every variant on the newest stored sessions, keep and return what came of it.

    Raises `InputRefused` without stored sessions.
    """
    rules = wiring.rules
    stored = _newest(wiring)
    refusal = _too_little(wiring, stored)
    tried = variants(rules, rules.learning.evolution)
    found: Proposal | None = None
    if refusal is None:
        odds = odds_of_nights(wiring.warehouse, stored.session_dates, rules)
        today = session_results(stored, rules, odds)
        results: dict[str, Floats] = {}
        for variant, changed in tried:
            results[variant.name] = session_results(stored, changed, odds)
            progress(variant.name)
        found = best_proposal(today, results, rules.learning.evolution)
        refusal = _refusal(found, rules)
    best = None if found is None else _named(found.name, [each for each, _ in tried])
    done = Evolution(
        through=stored.session_dates[-1],
        sessions=len(stored.session_dates),
        tried=len(tried),
        best=found,
        variant=best,
        why_not=refusal,
        contracts_hash=rules.contracts_hash,
    )
    _keep(wiring, done)
    return done


def session_results(stored: StoredBars, rules: Rules, odds: OddsOfNights) -> Floats:
    """Net result of each session under some rules, in multiples of the most a trade may lose.

    Each is opened under the odds that the desk had. So is a variant of what a belief remembers or
    weighs: its own maps would only be fitted once it was promoted.
    """
    settings = ReplaySettings(
        equity_usd=EQUITY_USD, recording=Recording.TRADES, resumes_killed=True
    )
    nights = odds.nights(stored.session_dates) if odds.are_any_earned else None
    played = replay(stored.contexts, stored.bars, rules, settings, nights=nights)
    equity = [EQUITY_USD, *played.equity_usd.values()]
    risk = rules.constitution.loss_usd_per_trade_max
    return np.array([float((after - before) / risk) for before, after in pairwise(equity)])


def shadowed(wiring: Wiring) -> list[Shadowed]:
    """Earlier proposals that were worth promoting, on the stored sessions after each."""
    dates = wiring.market.session_dates("outcomes", wiring.settings.symbol)
    found = []
    for each in kept_evolutions(wiring):
        after = [day for day in dates if day > each.through]
        if each.why_not is not None or each.variant is None or not after:
            continue
        changed = _changed(each.variant, wiring.rules)
        if changed is None:
            continue
        later = stored_bars(wiring.market, wiring.rules, after[0], after[-1])
        odds = odds_of_nights(wiring.warehouse, later.session_dates, wiring.rules)
        gain = session_results(later, changed, odds) - session_results(later, wiring.rules, odds)
        found.append(
            Shadowed(
                through=each.through,
                variant=each.variant,
                sessions=len(after),
                gain_r=float(gain.mean()),
            )
        )
    return found


def kept_evolutions(wiring: Wiring) -> list[Evolution]:
    """Every week's search, oldest first."""
    return [_read(path) for path in sorted(wiring.searches.glob("*.json"))]


def kept_evolution(wiring: Wiring, through: date | None) -> Evolution:
    """The search through a session, or the newest; raises `InputRefused` naming what there is."""
    kept = kept_evolutions(wiring)
    chosen = [each for each in kept if through is None or each.through == through]
    if not chosen:
        there = ", ".join(str(each.through) for each in kept) or "none"
        wanted = "a search" if through is None else f"a search through {through}"
        raise InputRefused(
            f"{wiring.searches}: expected {wanted}, found {there}; run credence evolve"
        )
    return chosen[-1]


def _newest(wiring: Wiring) -> StoredBars:
    dates = wiring.market.session_dates("outcomes", wiring.settings.symbol)
    if not dates:
        raise InputRefused(
            f"{wiring.home.root}: expected stored sessions with outcomes, found none; "
            "run market_day over some"
        )
    wanted = dates[-wiring.rules.learning.calibration.sessions_max :]
    return stored_bars(wiring.market, wiring.rules, wanted[0], wanted[-1])


def _too_little(wiring: Wiring, stored: StoredBars) -> str | None:
    """Why it is too early to propose anything; null when it is not."""
    law = wiring.rules.learning.evolution
    symbol = wiring.settings.symbol
    attributed = int(wiring.warehouse.query(ATTRIBUTED, [symbol])["trades"][0])
    frame = market_frame(stored.contexts, stored.bars, wiring.rules)
    history = LearnedHistory(frame, wiring.rules)
    odds = odds_of_nights(wiring.warehouse, history.dates, wiring.rules)
    shadows = sum(history.shadows(day, odds.standings.get(day, {})).height for day in history.dates)
    if attributed < law.attributed_min:
        return f"{attributed} attributed trades, {law.attributed_min} are needed"
    if shadows < law.shadow_trades_min:
        return f"{shadows} shadow trades, {law.shadow_trades_min} are needed"
    return None


def _refusal(found: Proposal | None, rules: Rules) -> str | None:
    if found is None:
        return "no variant would have been better"
    if found.is_worth_it:
        return None
    needed = rules.learning.evolution.confidence
    return (
        f"the best of {found.tried} variants may be luck: deflated Sharpe ratio "
        f"{found.deflated_sharpe:.2f}, {needed:.2f} is needed; gain ahead of the choice "
        f"{found.gain_ahead_r:+.3f} R a session"
    )


def _named(name: str, tried: Sequence[Variant]) -> Variant:
    return next(each for each in tried if each.name == name)


def _changed(variant: Variant, rules: Rules) -> Rules | None:
    """Today's rules with one number changed; null where it has moved meanwhile."""
    for each, changed in variants(rules, rules.learning.evolution):
        if each == variant:
            return changed
    return None


def _keep(wiring: Wiring, done: Evolution) -> None:
    content = asdict(done) | {"through": done.through.isoformat()}
    text = json.dumps(content, indent=1, ensure_ascii=False)
    path = wiring.searches / f"{done.through}.json"
    write_atomically(path, text.encode(), wiring.home.aside)


def _read(path: Path) -> Evolution:
    try:
        content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        best, variant = content["best"], content["variant"]
        return Evolution(
            **{
                **content,
                "through": date.fromisoformat(content["through"]),
                "best": None if best is None else Proposal(**best),
                "variant": None if variant is None else Variant(**variant),
            }
        )
    except (KeyError, TypeError, ValueError) as error:  # Torn JSON and no UTF-8 are the latter.
        raise InputRefused(
            f"{path}: expected a kept search, got {error}; remove it and search again with "
            "credence evolve"
        ) from error
