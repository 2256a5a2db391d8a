"""Everything that a session's page is made from: stored rows and journal, nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl

from assets.kept_searches import KeptSearch, search_before
from assets.ports import MarketStore, SessionJournals, Warehouse
from assets.prior_sessions import contexts_from
from assets.rows import outcome_rows
from engine.calendar import Session
from engine.desk import Fact, SessionOpened, fact_of
from engine.journal import Broken, Event, Kind, Verified
from engine.kill import KillChanged, KillState
from engine.ladder import Reason
from engine.learning.ledger_check import LedgerDifference, ledger_difference
from engine.learning.vetoes import vetoes
from engine.market import market_frame
from engine.rules import Rules

DESK_ROWS: Final = (
    *("decisions", "executions", "trades", "attribution"),
    *("learning_state", "calibration"),
)
"""The desk tables that a page reads."""

_UNTOLD: Final = frozenset({Kind.BAR, Kind.DECISION, Kind.CLOCK, Kind.INTENT, Kind.TRADE})


@dataclass(frozen=True, kw_only=True)
class SessionMaterial:
    """One session: `frame` is its market frame, `rows` the desk tables by name, `refused` its
    counterfactual ledger (`VETO_COLUMNS`), `chain` the verdict on the whole journal, `search` the
    newest weekly one before the session.
    """

    session: Session
    rules: Rules
    frame: pl.DataFrame
    rejected: pl.DataFrame
    rows: Mapping[str, pl.DataFrame]
    refused: pl.DataFrame
    events: Sequence[Event]
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
        chain = self.chain
        if not isinstance(chain, Broken):
            return self.events
        return [event for event in self.events if event.seq < chain.seq]

    @cached_property
    def facts(self) -> Sequence[Fact]:
        """What was journalled beside bars, decisions and the trades themselves, in order."""
        kept = (fact_of(event) for event in self.sound_events if event.kind not in _UNTOLD)
        return [fact for fact in kept if fact is not None]

    @cached_property
    def ledger(self) -> LedgerDifference:
        return ledger_difference(self.rows["trades"], self.rows["executions"], self.sound_events)

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

    @cached_property
    def desk_state(self) -> KillState:
        """The kill switch at the end; a lock of an earlier session shows in what it refused."""
        changes = [fact for fact in self.facts if isinstance(fact, KillChanged)]
        if changes:
            return changes[-1].after
        lock = (self.own_gates.get("lock") or [None])[0]
        locks = {
            Reason.KILL_SWITCH_ACTIVE.value: KillState.KILLED,
            Reason.HALTED.value: KillState.HALTED,
        }
        return locks.get(lock, KillState.RUNNING)


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

    What a night has not written yet is empty; `searches` is the folder of the weekly ones. Raises
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
        yield SessionMaterial(
            session=session,
            rules=rules,
            frame=frame.filter(own),
            rejected=rejected.filter(own),
            rows={name: rows.filter(own) for name, rows in stored.items()},
            refused=refused.filter(own),
            events=journals.events(session.session_date),
            chain=journals.verify(session.session_date),
            search=search_before(searches, session.session_date),
        )
