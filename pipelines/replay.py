"""REPLAY and OBSERVE over stored bars: the desk with the simulated exchange as its broker.

Sessions are computed a chunk at a time and journalled one transaction each. Orders given at the
close of a bar meet the next one; the clock ticks at bar closes, and only while something is open.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from time import perf_counter
from typing import Any, Final, Protocol
from zlib import crc32

import polars as pl

from engine.decision import Action, could_enter
from engine.desk import (
    Desk,
    DeskState,
    OperatorCommanded,
    OperatorVerb,
    Recording,
    SessionClosed,
    SessionOpened,
    fold,
)
from engine.exchange import Exchange, exchange_settings
from engine.journal import REPLAY_CODE, Entry, Stamp
from engine.ladder import Reason
from engine.own_view import Standing
from engine.rules import Rules
from pipelines.collector import collector_at_rest
from pipelines.journal_sink import JournalSink, MemorySink
from pipelines.replay_sessions import PlayedSession, ReplaySettings, jumps_of, played_sessions
from pipelines.shadow import ShadowDesk

SETTLING: Final = timedelta(minutes=5)
"""After the bell: late reports are still heard, and what is left open is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayResult:
    """What a replay did. Decisions are counted on the bars that were not passed over.

    `trades` are the payloads of `TradeClosed`, `equity_usd` the account at the end of each session.
    """

    digest: str
    events: int
    sessions: int
    bars: int
    seconds: float
    actions: Mapping[str, int]
    reasons: Mapping[str, int]
    exits: Mapping[str, int]
    trades: tuple[Mapping[str, Any], ...]
    equity_usd: Mapping[date, Decimal]
    state: DeskState

    @property
    def bars_per_second(self) -> float:
        return self.bars / self.seconds if self.seconds else 0.0


Progress = Callable[[date, int], None]
"""Called after each session with its date and the bars done so far."""


class Nights(Protocol):
    """What is learned between sessions: asked before each open, told after each close."""

    def standings(self) -> Mapping[str, Standing]: ...
    def after(self, entries: Sequence[Entry], stamp: Stamp) -> None: ...


def replay(
    contexts: pl.DataFrame,
    bars: pl.DataFrame,
    rules: Rules,
    settings: ReplaySettings,
    *,
    sink: JournalSink | None = None,
    progress: Progress | None = None,
    nights: Nights | None = None,
) -> ReplayResult:
    """Play every session of `bars` in order; the same arguments give the same digest.

    `bars` are checked bars of one symbol, `contexts` their sessions'. With a sink that already
    holds the beginning of this replay, it goes on from the last session that ended flat there.
    With `nights` each session is opened under what those before it taught; they begin anew, so
    that the sink has to be empty then.
    """
    started = perf_counter()
    brings_odds = any(standing.odds for standing in settings.standings.values())
    settings = replace(settings, has_odds=nights is not None or brings_odds)
    with collector_at_rest():
        loop = _Loop(rules, settings, sink or MemorySink(), nights)
        if loop.last_date is not None:
            bars = bars.filter(pl.col("session_date") > loop.last_date)
        for session in played_sessions(contexts, bars, rules, settings):
            loop.play(session)
            if progress is not None:
                progress(session.opened.session_date, loop.bars)
    return loop.result(perf_counter() - started)


def exchange_seed(seed: int, session_date: date) -> int:
    """The seed of a session's exchange: a session is the same whatever is played before it."""
    return crc32(f"{seed}/{session_date}".encode())


class _Loop:
    """The run of a replay: one desk, one exchange per session, one journal."""

    def __init__(
        self, rules: Rules, settings: ReplaySettings, sink: JournalSink, nights: Nights | None
    ) -> None:
        self.nights = nights
        self.rules = rules
        self.settings = settings
        self.sink = sink
        self.desk = Desk(rules)
        beginning = sink.beginning()
        self.last_date = beginning.last_date
        self.state = fold(beginning.facts, rules)
        self.equity_usd = beginning.equity_usd or settings.equity_usd
        self.exchange: Exchange | None = None
        self.bars = 0
        self.sessions = 0
        self.tally = _Tally()

    def play(self, session: PlayedSession) -> None:
        opened = session.opened
        if self.nights is not None:
            opened = replace(opened, standings=self.nights.standings())
        has_clock = bool(self.settings.faults.rates)
        exchange = self._exchange_of(opened)
        shadow = ShadowDesk(self.desk, self.state, exchange, has_clock=has_clock)
        if self.settings.resumes_killed and self.state.kill.is_killed:
            reason = "looked at overnight, as this replay was asked to assume"
            resume = OperatorCommanded(
                at=opened.at, verb=OperatorVerb.RESUME, by="replay", reason=reason
            )
            shadow.deliver((opened, resume))
        else:
            shadow.deliver((opened,))
        self._play_rows(shadow, session)
        self._settle(shadow, opened)
        stamp = Stamp(opened.session_date, self.rules.contracts_hash, REPLAY_CODE)
        self.sink.commit(shadow.entries, stamp)
        if self.nights is not None:
            self.nights.after(shadow.entries, stamp)
        self.tally.count(shadow)
        self.state = shadow.state
        self.bars += session.height
        self.sessions += 1

    def _exchange_of(self, opened: SessionOpened) -> Exchange:
        """A fresh exchange with the same account, unless the last one still holds something."""
        if self.exchange is None:
            seed = exchange_seed(self.settings.seed, opened.session_date)
            settings = exchange_settings(self.rules, self.equity_usd)
            self.exchange = Exchange(settings, seed=seed, faults=self.settings.faults)
        return self.exchange

    def _play_rows(self, shadow: ShadowDesk, session: PlayedSession) -> None:
        """Every bar, or with jumps those on which something may happen."""
        if not jumps_of(self.settings):
            for row in session.rows:
                shadow.play_bar(row)
        elif self.settings.recording is Recording.FULL:
            self._play_runs(shadow, session)
        else:
            self._play_trades(shadow, session)

    def _play_runs(self, shadow: ShadowDesk, session: PlayedSession) -> None:
        """Runs of quiet bars at once, and every other bar by itself."""
        rows = {row.minute: row for row in session.rows}
        place = 0
        while place < session.height:
            until = session.quiet_until(place)
            if until > place and shadow.is_calm:
                shadow.play_quiet(session.told[place:until])
                place = until
                continue
            minute = session.told[place].minute
            if minute not in rows:
                ahead = session.between(minute - 1, minute + self.settings.window_bars)
                rows |= {row.minute: row for row in ahead}
            shadow.play_bar(rows[minute])
            place += 1

    def _play_trades(self, shadow: ShadowDesk, session: PlayedSession) -> None:
        """The bars that may lead to something, and those of an open trade."""
        kill_below = self.rules.constitution.dvs_kill_below
        enters_from: datetime | None = None
        is_idle, is_known = shadow.is_idle, False
        minute, has_odds = -1, self.settings.has_odds
        for row in session.rows:
            may_enter = is_idle and (could_enter(row) if has_odds else row.may_enter)
            if may_enter:
                # Asked only here: while a trade is open the answer changes often and is not needed.
                if not is_known:
                    enters_from, is_known = self.desk.enters_from(shadow.state), True
                may_enter = enters_from is not None and row.closes_at >= enters_from
            if not is_idle and row.minute > minute + 1:
                self._play_gap(shadow, session, minute, row.minute)
            if not is_idle or may_enter or row.dvs < kill_below:
                shadow.play_bar(row)
                is_idle, is_known = shadow.is_idle, False
            minute = row.minute
        if not is_idle:
            self._play_gap(shadow, session, minute, session.opened.minutes)

    def _play_gap(
        self, shadow: ShadowDesk, session: PlayedSession, after: int, before: int
    ) -> None:
        """The bars that were left out, while the business is still open."""
        for row in session.between(after, before):
            if shadow.is_idle:
                return
            shadow.play_bar(row)

    def _settle(self, shadow: ShadowDesk, opened: SessionOpened) -> None:
        settled_at = opened.closes_at + SETTLING
        shadow.deliver(shadow.exchange.advance(settled_at))
        account = shadow.exchange.account(settled_at)
        truth = shadow.exchange.truth(settled_at)
        closed = SessionClosed(
            at=settled_at, position=shadow.state.position, equity_usd=account.equity_usd
        )
        shadow.deliver((closed,))
        self.tally.equity_usd[opened.session_date] = account.equity_usd or Decimal(0)
        if not truth.positions and not truth.working:
            self.equity_usd = account.equity_usd or self.equity_usd
            self.exchange = None

    def result(self, seconds: float) -> ReplayResult:
        head = self.sink.head
        tally = self.tally
        return ReplayResult(
            digest=head.hash,
            events=head.seq,
            sessions=self.sessions,
            bars=self.bars,
            seconds=seconds,
            actions=tally.actions(),
            reasons=tally.reasons(),
            exits=Counter(str(trade["exit_kind"]) for trade in tally.trades),
            trades=tuple(tally.trades),
            equity_usd=tally.equity_usd,
            state=self.state,
        )


class _Tally:
    """Counts what was decided and keeps the trades that were closed."""

    def __init__(self) -> None:
        self.decisions: Counter[tuple[Action, Reason | None]] = Counter()
        self.trades: list[Mapping[str, Any]] = []
        self.equity_usd: dict[date, Decimal] = {}

    def count(self, shadow: ShadowDesk) -> None:
        self.decisions.update(shadow.decisions)
        self.trades += ({"closed_at": e.at, **json.loads(e.payload)} for e in shadow.closed)

    def actions(self) -> Mapping[str, int]:
        counted: Counter[str] = Counter()
        for (action, _), count in self.decisions.items():
            counted[action.value] += count
        return dict(counted.most_common())

    def reasons(self) -> Mapping[str, int]:
        counted: Counter[str] = Counter()
        for (_, reason), count in self.decisions.items():
            if reason is not None:
                counted[reason.value] += count
        return dict(counted.most_common())


__all__ = ["Progress", "ReplayResult", "ReplaySettings", "exchange_seed", "replay"]
