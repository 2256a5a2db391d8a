"""The review before the open on one page: what came, what is wrong with it, what the desk will do.

Built on the newest stored session before the one about to open, on what the last night left, and
on the Great Expectations review.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl

from assets.ports import MarketStore, Warehouse
from assets.preopen_review import Finding, Review, review_session
from assets.prior_sessions import PRIOR_SESSIONS, contexts_from, lacking_prior
from assets.report.pages import write_page
from assets.standings import calibration_before, state_before
from contracts.calendar import session_on
from engine.calendar import Session
from engine.desk.trades import LIMITS, reached_limit
from engine.kill import KillSwitch
from engine.ladder import Reason
from engine.market import market_frame
from engine.risk import RiskState, tier_of
from engine.rules import Rules, Tier

PREOPEN: Final = "preopen"
"""Folder of these pages under the folder of reports."""


@dataclass(frozen=True, kw_only=True)
class PreopenMaterial:
    """What is known before `session` opens. `reviewed` is the newest stored session, `frame` its
    market frame; `state` and `calibration` are what the last night left, `own` our gates at the
    last decision (value and limit), `traded` the net results, oldest first. Any of them may be
    empty. `kill` is the switch as it stands now.
    """

    session: Session
    reviewed: Session
    rules: Rules
    frame: pl.DataFrame
    rejected: pl.DataFrame
    context: Mapping[str, Any]
    review: Review
    state: pl.DataFrame
    calibration: pl.DataFrame
    own: Mapping[str, Any]
    traded: pl.DataFrame
    kill: KillSwitch

    @cached_property
    def risk(self) -> RiskState:
        """The counters with which the session opens, from the stored trades."""
        counted = RiskState(session_date=None)
        for row in self.traded.iter_rows(named=True):
            counted = counted.new_session(row["session_date"]).closed(row["net_usd"])
        return counted.new_session(self.session.session_date)

    @property
    def loss_streak(self) -> int:
        """Losses in a row at the end of the last session.

        The trades known begin with this week or month: where all of them lost, what the last
        decision counted may reach further back.
        """
        counted = self.risk.loss_streak
        if counted < self.traded.height:
            return counted
        return max(counted, int((self.own.get("loss_streak") or [0])[0]))

    @property
    def lock(self) -> Reason | None:
        """The lock under which the session opens; null for none.

        A halt by a limit whose period is over is lifted at the open.
        """
        if self.kill.is_killed:
            return Reason.KILL_SWITCH_ACTIVE
        is_lifted = self.kill.cause in LIMITS and not reached_limit(
            self.risk, self.rules.constitution
        )
        return None if self.kill.is_running or is_lifted else Reason.HALTED

    @property
    def tier(self) -> Tier | None:
        """The capital tier of the last equity known; null without one."""
        equity = (self.own.get("equity_usd") or [None])[0]
        return None if equity is None else tier_of(Decimal(str(equity)), self.rules.constitution)


def preopen_material(
    market: MarketStore, warehouse: Warehouse, session: Session, rules: Rules, kill: KillSwitch
) -> PreopenMaterial | None:
    """What the page of a session is made from; null when no session is stored before it."""
    symbol, day = rules.instrument.symbol, session.session_date
    dates = [each for each in market.session_dates("bars", symbol) if each < day]
    if not dates:
        return None
    reviewed = session_on(dates[-1], rules.session)
    bars = market.read("bars", symbol, dates[-PRIOR_SESSIONS:][0], dates[-1])
    is_reviewed = pl.col("session_date") == dates[-1]
    context = contexts_from(market, [session], rules).row(0, named=True)
    own_bars = bars.filter(is_reviewed)
    return PreopenMaterial(
        session=session,
        reviewed=reviewed,
        rules=rules,
        frame=market_frame(contexts_from(market, [reviewed], rules), own_bars, rules),
        rejected=market.read("rejected_bars", symbol, dates[-1], dates[-1]),
        context=context,
        review=_of_the_day_before(
            review_session(
                own_bars,
                bars.filter(~is_reviewed),
                minutes=reviewed.minutes,
                price_band_share=rules.instrument.price_band_share,
            ),
            context["prior_session_date"],
            session,
        ),
        state=state_before(warehouse, day, rules),
        calibration=calibration_before(warehouse, day, rules),
        own=_last_gates(warehouse, session, rules),
        traded=_traded(warehouse, session, rules),
        kill=kill,
    )


def _of_the_day_before(review: Review, known_of: date | None, session: Session) -> Review:
    """The review, which also asks whether the context is of the session right before."""
    lacking = lacking_prior(known_of, session)
    found = Finding(
        expectation="context_to_know_the_session_before",
        column="prior_session_date",
        expected=lacking or str(session.prior_session_date),
        observed=str(known_of),
        passed=lacking is None,
    )
    return replace(review, findings=(*review.findings, found))


def _last_gates(warehouse: Warehouse, session: Session, rules: Rules) -> Mapping[str, Any]:
    found = warehouse.query(
        "SELECT gates_json FROM decisions WHERE symbol = ? AND session_date < ? "
        "ORDER BY closes_at DESC LIMIT 1",
        [rules.instrument.symbol, session.session_date],
    )["gates_json"]
    own: Mapping[str, Any] = orjson.loads(found[0])["own"] if len(found) else {}
    return own


def _traded(warehouse: Warehouse, session: Session, rules: Rules) -> pl.DataFrame:
    """Trades of the week and month that the session falls into, and before it."""
    day = session.session_date
    first = min(day.replace(day=1), day - timedelta(days=day.weekday()))
    before = day - timedelta(days=1)
    rows = warehouse.read("trades", rules.instrument.symbol, first, before)
    return rows.select("session_date", "trade_number", "net_usd").sort(
        "session_date", "trade_number"
    )


def write_preopen_page(of: PreopenMaterial, reports: Path) -> tuple[Path, Path]:
    """Write the page and, beside it, that of Great Expectations; where the two lie."""
    from assets.report.preopen_page import preopen_page

    symbol, day = of.rules.instrument.symbol, of.session.session_date
    details = reports / f"preopen-{symbol}-{day}.html"
    page = reports / PREOPEN / symbol / f"{day}.html"
    write_page(details, of.review.page.encode())
    write_page(page, preopen_page(of, details=f"../../{details.name}").encode())
    return page, details


def rejected_rows(of: PreopenMaterial) -> Sequence[Mapping[str, Any]]:
    """Rejected rows by reason, most first, each with the first of them as it was written."""
    written = pl.concat_str(
        pl.col("opens_at_text", "open_text", "high_text", "low_text", "close_text", "volume_text"),
        separator=", ",
        ignore_nulls=True,
    )
    counted = (
        of.rejected.sort("source_row")
        .group_by("reason")
        .agg(rows=pl.len(), first_row=pl.col("source_row").first(), written=written.first())
    )
    return counted.sort("rows", "reason", descending=[True, False]).to_dicts()
