"""Everything that a session's page is made from: stored rows and journal, nothing else."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl

from assets.journal_rows import decision_rows
from assets.kept_searches import KeptSearch, search_before
from assets.ports import MarketStore, SessionJournals, Warehouse
from assets.prior_sessions import contexts_from
from assets.rows import outcome_rows
from engine.calendar import Session
from engine.desk import Fact, SessionClosed, SessionOpened, fact_of
from engine.journal import Broken, Event, Kind, Verified
from engine.kill import KillCause, KillChanged, KillState
from engine.ladder import Reason
from engine.learning.acceptance import DifferenceAccepted
from engine.learning.executions import execution_rows
from engine.learning.ledger_check import LedgerDifference, ledger_difference
from engine.learning.round_trips import round_trips
from engine.learning.vetoes import vetoes
from engine.market import market_frame
from engine.rules import Rules

DESK_ROWS: Final = (
    *("decisions", "executions", "trades", "attribution"),
    *("learning_state", "calibration"),
)
"""The desk tables that a page reads."""

AFTERWARDS: Final = timedelta(minutes=15)
"""How long after the close what happens still belongs to a session whose end nobody journalled."""

_UNTOLD: Final = frozenset({Kind.BAR, Kind.DECISION, Kind.CLOCK, Kind.INTENT, Kind.TRADE})


@dataclass(frozen=True, kw_only=True)
class SessionMaterial:
    """One session: `frame` is its market frame, `rows` the desk tables by name, `refused` its
    counterfactual ledger (`VETO_COLUMNS`), `fills_before` the executions of the sessions before,
    `accepted` what people accepted of its books, `chain` the verdict on the whole journal, `search`
    the newest weekly one before the session.
    """

    session: Session
    rules: Rules
    frame: pl.DataFrame
    rejected: pl.DataFrame
    rows: Mapping[str, pl.DataFrame]
    refused: pl.DataFrame
    events: Sequence[Event]
    fills_before: Iterable[Event]
    accepted: Sequence[DifferenceAccepted]
    chain: Verified | Broken
    search: KeptSearch | None

    @property
    def day(self) -> date:
        return self.session.session_date

    @property
    def is_night_done(self) -> bool:
        """Whether the night has learned from the session: it leaves a row per template."""
        return self.rows["learning_state"].height > 0

    @cached_property
    def trades(self) -> pl.DataFrame:
        """`trades` with cause, scores and verdict of `attribution` beside each; null without."""
        causes = self.rows["attribution"]
        new = [name for name in causes.columns if name not in self.rows["trades"].columns]
        return self.rows["trades"].join(
            causes.select("trade_number", *new), on="trade_number", how="left"
        )

    @property
    def sound_events(self) -> Sequence[Event]:
        """The events up to where the chain breaks, if it does: what follows may not be readable."""
        return _sound(self.events, self.chain)

    @cached_property
    def facts(self) -> Sequence[Fact]:
        """What was journalled beside bars, decisions and the trades themselves, in order."""
        kept = (fact_of(event) for event in self.sound_events if event.kind not in _UNTOLD)
        return [fact for fact in kept if fact is not None]

    @cached_property
    def ledger(self) -> LedgerDifference:
        return ledger_difference(
            self.sound_events,
            self.rules,
            executions=self.rows["executions"],
            trades=self.rows["trades"],
            before=self.fills_before,
            accepted=self.accepted,
        )

    @cached_property
    def own_gates(self) -> Mapping[str, Any]:
        """Our own half of the last decision's gates, as value and limit; empty without a bar."""
        decided = self.rows["decisions"]
        if decided.is_empty():
            return {}
        last: dict[str, Any] = orjson.loads(decided.sort("closes_at")["gates_json"][-1])["own"]
        return last

    @property
    def mode(self) -> str:
        """`"paper"`, or `"replay"`: where the orders went."""
        if self.events and self.events[0].code_version == "replay":
            return "replay"
        opened = [fact for fact in self.facts if isinstance(fact, SessionOpened)]
        return opened[-1].mode.value if opened else "unknown"

    @property
    def is_taught(self) -> bool:
        """Whether it was opened under what a night before it left; true where nobody says."""
        opened = [fact for fact in self.facts if isinstance(fact, SessionOpened)]
        return not opened or bool(opened[-1].standings)

    @cached_property
    def ended_at(self) -> datetime:
        """When the session was over: what its journal tells of later is not of its story."""
        runs = [fact for fact in self.facts if isinstance(fact, SessionOpened | SessionClosed)]
        if runs and isinstance(runs[-1], SessionClosed):
            return runs[-1].at
        return self.session.closes_at + AFTERWARDS

    @cached_property
    def desk_state(self) -> KillState:
        """The kill switch at the end of the session; a lock of an earlier one shows in what it
        refused.
        """
        return self._switch_after([each for each in self._switched if each.at <= self.ended_at])

    @cached_property
    def desk_state_now(self) -> KillState:
        """The kill switch as it was left, by somebody after the session perhaps."""
        return self._switch_after(self._switched)

    @property
    def limit_halt(self) -> str | None:
        """The span, `"day"`, whose loss limit halts the desk; null where a person has to lift it.

        The next open lifts it by itself, once a new span has begun.
        """
        last = self._switched[-1] if self._switched else None
        if last is None or last.after is not KillState.HALTED or last.cause is None:
            return None
        return LIMIT_SPANS.get(last.cause)

    @property
    def _switched(self) -> Sequence[KillChanged]:
        return [fact for fact in self.facts if isinstance(fact, KillChanged)]

    def _switch_after(self, changes: Sequence[KillChanged]) -> KillState:
        if changes:
            return changes[-1].after
        lock = (self.own_gates.get("lock") or [None])[0]
        locks = {
            Reason.KILL_SWITCH_ACTIVE.value: KillState.KILLED,
            Reason.HALTED.value: KillState.HALTED,
        }
        return locks.get(lock, KillState.RUNNING)


LIMIT_SPANS: Final = {
    KillCause.DAILY_LOSS: "day",
    KillCause.WEEKLY_LOSS: "week",
    KillCause.MONTHLY_LOSS: "month",
}
"""What has to be over before the desk enters again after a loss limit."""


def materials(
    market: MarketStore,
    warehouse: Warehouse,
    journals: SessionJournals,
    sessions: Sequence[Session],
    rules: Rules,
    *,
    searches: Path,
) -> Iterator[SessionMaterial]:
    """One after the other, ascending; the market is computed once for all of them.

    Of a session whose night has not been done, decisions, executions and trades are read from its
    journal; what only a night knows is empty. `searches` is the folder of the weekly ones. Raises
    `JournalError` for a session without a journal.
    """
    symbol, first, last = (
        rules.instrument.symbol,
        sessions[0].session_date,
        sessions[-1].session_date,
    )
    bars, rejected = (market.read(name, symbol, first, last) for name in ("bars", "rejected_bars"))
    stored = {name: warehouse.read(name, symbol, first, last) for name in DESK_ROWS}
    frame = market_frame(contexts_from(market, sessions, rules), bars, rules)
    followed = outcome_rows(frame, rules)
    refused = vetoes(frame, followed, stored["decisions"], rules)
    for session in sessions:
        own = pl.col("session_date") == session.session_date
        events, chain = journals.events(session.session_date), journals.verify(session.session_date)
        rows = {name: kept.filter(own) for name, kept in stored.items()}
        own_refused = refused.filter(own)
        if rows["learning_state"].is_empty():
            rows |= _journalled(
                _sound(events, chain),
                journals.fills_before(session.session_date),
                session,
                bars.filter(own),
                rules,
            )
            own_frame, own_followed = (each.filter(own) for each in (frame, followed))
            own_refused = vetoes(own_frame, own_followed, rows["decisions"], rules)
        yield SessionMaterial(
            session=session,
            rules=rules,
            frame=frame.filter(own),
            rejected=rejected.filter(own),
            rows=rows,
            refused=own_refused,
            events=events,
            fills_before=journals.fills_before(session.session_date),
            accepted=journals.accepted(session.session_date),
            chain=chain,
            search=search_before(searches, session.session_date),
        )


def _journalled(
    events: Sequence[Event],
    before: Iterable[Event],
    session: Session,
    bars: pl.DataFrame,
    rules: Rules,
) -> Mapping[str, pl.DataFrame]:
    """What the night will store of a session's journal."""
    decided = decision_rows(
        [event for event in events if event.kind == Kind.DECISION], session, rules
    )
    filled = execution_rows(events, before)
    traded = round_trips(filled, decided, events, bars, rules)
    return {"decisions": decided, "executions": filled, "trades": traded}


def _sound(events: Sequence[Event], chain: Verified | Broken) -> Sequence[Event]:
    if not isinstance(chain, Broken):
        return events
    return [event for event in events if event.seq < chain.seq]
