"""One run of the campaign: a case played on the stage, and what it came to."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from random import Random
from typing import Final

from engine.broker import (
    BrokerReport,
    BrokerSnapshot,
    Command,
    FeedReported,
    FeedState,
    FlattenPosition,
    PlaceBracket,
)
from engine.desk import ClockTicked, Input, OperatorVerb, SessionClosed
from engine.exchange import Exchange, PriceBar, exchange_settings
from engine.journal import Head
from engine.market import MarketRow
from pipelines.campaign.audit import Trip, books_of, held_lots, is_ours, trips_of
from pipelines.campaign.case import Case
from pipelines.campaign.day_laws import DAY_LAWS, DaySeen
from pipelines.campaign.entry_laws import ENTRY_LAWS, EntryAsked
from pipelines.campaign.flattening_laws import FLATTENING_LAWS, FlatteningAsked
from pipelines.campaign.law import LawBroken, judge
from pipelines.campaign.minute_path import PART, TICK_SECONDS, parts_after, parts_of
from pipelines.campaign.stage import Stage, sessions_of
from pipelines.campaign.struck import Struck, StruckDesk
from pipelines.campaign.troubles import WorldTrouble, storm_of
from pipelines.campaign.weather import Weather, command
from pipelines.campaign.world_laws import WORLD_LAWS, WorldSeen, is_covered, is_misplaced
from pipelines.replay_sessions import PlayedSession

SETTLING: Final = timedelta(minutes=5)
EQUITIES_USD: Final = (Decimal(2_000), Decimal(5_000), Decimal(20_000))
FLATTENING: Final = timedelta(seconds=20)
"""So long after it was sent a flattening counts as under way: twice its check, and ticks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A law that did not hold: which, how, and on which minute of which session of the run."""

    law: str
    text: str
    session: int
    minute: int


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run came to."""

    case: Case
    sessions: int = 0
    events: int = 0
    trades: int = 0
    happened: Counter[str] = field(default_factory=Counter)
    broken: Broken | None = None


def play(case: Case, stage: Stage) -> Outcome:
    """Play a case; the first law that breaks ends it."""
    run = _Run(case, stage)
    outcome = Outcome(case=case)
    try:
        run.play()
    except LawBroken as broken:
        outcome.broken = Broken(
            law=broken.law, text=str(broken), session=run.number, minute=run.minute
        )
    except Exception as error:  # noqa: BLE001 - Whatever the desk raises is a finding of its own.
        outcome.broken = Broken(
            law=f"no_step_raises ({type(error).__name__})",
            text=str(error),
            session=run.number,
            minute=run.minute,
        )
    outcome.sessions = run.number + 1 - case.first
    outcome.events = len(run.desk.disk)
    outcome.trades = run.trades
    outcome.happened = run.desk.strikes
    return outcome


class _Run:
    """The play of one case: desk, exchange, disk and books of its own."""

    def __init__(self, case: Case, stage: Stage) -> None:
        self.case = case
        self.rules = stage.rules
        self.storm = storm_of(case.seed, case.troubles)
        dice = Random(f"{case.seed}/play")
        self.sessions = sessions_of(
            stage,
            dice,
            first=case.first,
            count=case.sessions,
            is_bad=WorldTrouble.BAD_BARS in self.storm.rates,
        )
        self.equity_usd = dice.choice(EQUITIES_USD)
        settings = exchange_settings(self.rules, self.equity_usd, bar_seconds=TICK_SECONDS)
        self.exchange = Exchange(settings, seed=case.seed, faults=self.storm.plan)
        self.desk = StruckDesk(
            self.rules,
            self.exchange,
            self.storm,
            self.sessions[0].opened.opens_at,
            judge_command=self._judge_command,
        )
        self.weather = Weather(self.storm, self.exchange, self.desk.strikes)
        self.number, self.minute, self.trades = case.first, 0, 0
        self.trips: dict[date, list[Trip]] = {}
        self.is_tainted = False
        self.foreign_lots = 0
        self.rows: dict[datetime, MarketRow] = {}
        self.untold: list[MarketRow] = []
        self.session: PlayedSession = self.sessions[0]
        self.down_until: datetime | None = None
        self.naked_since: datetime | None = None
        self.misplaced_since: datetime | None = None
        self.late_since: datetime | None = None
        self.killed_since: datetime | None = None
        self.hearing_since: datetime | None = None
        self.previous = Head()

    # ── The run ─────────────────────────────────────────────────────────────────────────────────

    def play(self) -> None:
        last = len(self.sessions) - 1
        for place, session in enumerate(self.sessions):
            self.number, self.session = self.case.first + place, session
            until = self.case.until_minute if place == last else None
            self._play_session(session, until)

    def _play_session(self, session: PlayedSession, until: int | None) -> None:
        desk, opened = self.desk, session.opened
        desk.now, desk.is_spared = opened.opens_at, False
        desk.open_on(opened)
        self.minute = -1
        self.untold = []
        self.rows = {row.closes_at: row for row in session.rows}
        cash_before = self.exchange.account(desk.now).equity_usd
        events_before = len(desk.disk)
        self._attempt(self._open)
        for row in session.rows:
            if until is not None and row.minute > until:
                return
            self.minute = row.minute
            self._play_minute(row)
        self._settle_day(session.rows[-1])
        self._judge_day(session, events_before, cash_before)

    def _open(self) -> None:
        desk, opened = self.desk, self.session.opened
        desk.deliver((opened,))
        if not desk.state.kill.is_running and self.weather.wants_resume():
            desk.deliver((command(OperatorVerb.RESUME, "looked at overnight", opened.at),))

    def _play_minute(self, row: MarketRow) -> None:
        desk = self.desk
        if self._is_quiet():
            desk.now = row.closes_at
            self._hear(self.exchange.on_bar(row))
            self._disturb(row)
        else:
            for part in parts_of(row):
                self._play_part(part, row)
        if self.weather.is_dark:
            self.untold.append(row)
        else:
            self._tell_the_untold()
            if self.down_until is None:
                self._attempt(lambda: desk.decide(row))
        if self.down_until is None:
            self._look_at_the_clock()
            self._look()

    def _tell_the_untold(self) -> None:
        """Data are back: the bars of the dark first, and only then are they called live.

        A process that is gone finds them when it wakes.
        """
        desk, untold = self.desk, self.untold
        self.untold = []
        for row in untold:
            if self.down_until is None:
                self._attempt(partial(desk.decide, row))
        if untold:
            self._tell(FeedReported(at=desk.clock(desk.now), state=FeedState.LIVE))

    def _is_quiet(self) -> bool:
        """Whether nothing can happen within this minute but at its close."""
        return (
            self.down_until is None
            and not self.weather.is_silent
            and self.exchange.is_empty
            and not self.desk.desk.wants_clock(self.desk.state)
        )

    def _play_part(self, part: PriceBar, row: MarketRow) -> None:
        desk = self.desk
        desk.now = part.closes_at
        told = self.exchange.on_bar(part)
        if self.down_until is not None:
            if desk.now < self.down_until:
                self._look()
                return
            self._wake()
        else:
            self._hear(told)
        self._disturb(row)
        self._look_at_the_clock()
        self._look()

    def _look_at_the_clock(self) -> None:
        desk, at = self.desk, self.desk.clock(self.desk.now)
        if self.down_until is None and desk.desk.is_due(desk.state, at):
            self._attempt(lambda: desk.deliver((ClockTicked(at=at),)))

    def _hear(self, told: Sequence[BrokerReport]) -> None:
        if told and self.down_until is None:
            self._attempt(lambda: self.desk.hear(told))

    def _tell(self, *inputs: Input) -> None:
        if self.down_until is None:
            self._attempt(lambda: self.desk.deliver(inputs))

    def _attempt(self, act: Callable[[], None]) -> None:
        """Do something with the desk; if that strikes it down, its link is cut and it is gone."""
        try:
            act()
        except Struck as struck:
            self.down_until = self.desk.now + timedelta(seconds=struck.seconds)
            if self.exchange.is_connected:
                self.exchange.disconnect(self.desk.now)

    def _wake(self, *, is_over: bool = False) -> None:
        """A new process; a bar that closes at this very instant is still to be decided in turn."""
        self.down_until, now = None, self.desk.now
        untold = {row.closes_at for row in self.untold}
        missed = [
            row
            for row in self.session.rows
            if (row.closes_at < now or is_over) and row.closes_at not in untold
        ]
        is_dark = self.weather.is_dark
        self._attempt(lambda: self.desk.wake(self.session.opened, missed, is_dark=is_dark))

    def _disturb(self, row: MarketRow) -> None:
        clock = self.desk.clock(self.desk.now)
        for told in self.weather.pass_over(row, self.desk.now, clock):
            self._tell(*told)

    # ── Judging ─────────────────────────────────────────────────────────────────────────────────

    def _look(self) -> None:
        """The exchange beside the desk, at this instant."""
        desk, now = self.desk, self.desk.now
        if self.exchange.is_empty:
            self.naked_since = self.misplaced_since = self.late_since = self.killed_since = None
            return
        truth = self.exchange.truth(now)
        held = held_lots(truth)
        self._notice_others(truth)
        can_hear = (
            self.down_until is None
            and not self.weather.is_silent
            and self.exchange.is_connected
            and desk.unanswered_at != now
        )
        self.hearing_since = (self.hearing_since or now) if can_hear else None
        self.naked_since = None if is_covered(truth) else self.naked_since or now
        is_astray = is_misplaced(truth, desk.state.trade)
        self.misplaced_since = (self.misplaced_since or now) if is_astray else None
        flatten_from = self.session.opened.closes_at - timedelta(
            minutes=self.rules.session.flatten_minutes_before_end
        )
        self.late_since = (self.late_since or now) if held and now >= flatten_from else None
        is_killed = held != 0 and desk.state.kill.is_killed and desk.state.position != 0
        self.killed_since = (self.killed_since or now) if is_killed else None
        flattened_at = desk.flattened_at
        seen = WorldSeen(
            at=now,
            truth=truth,
            state=desk.state,
            naked_since=self.naked_since,
            misplaced_since=self.misplaced_since,
            known_since=desk.known_since,
            hearing_since=self.hearing_since,
            late_since=self.late_since,
            killed_since=self.killed_since,
            is_flattening=flattened_at is not None and now - flattened_at <= FLATTENING,
            foreign_lots=self.foreign_lots,
            rules=self.rules,
        )
        judge(WORLD_LAWS, seen, now)

    def _notice_others(self, truth: BrokerSnapshot) -> None:
        """Another hand's trades make cash and limits theirs too; they are not judged any more."""
        lots = sum(fill.quantity for fill in truth.executions if not is_ours(fill.ref))
        self.is_tainted = self.is_tainted or lots > 0
        self.foreign_lots = max(self.foreign_lots, lots)

    def _judge_command(self, command: Command) -> None:
        if isinstance(command, PlaceBracket):
            self._judge_entry(command)
        elif isinstance(command, FlattenPosition):
            asked = FlatteningAsked(command, self.exchange.truth(self.desk.now))
            judge(FLATTENING_LAWS, asked, self.desk.now)

    def _judge_entry(self, bracket: PlaceBracket) -> None:
        """Every law of an entry, with the auditor's own books."""
        desk, now = self.desk, self.desk.now
        truth = self.exchange.truth(now)
        self._notice_others(truth)
        today = self.session.opened.session_date
        trips = {**self.trips, today: trips_of(truth.executions, self.rules)}
        trade = desk.state.trade
        plan = None if trade is None else trade.plan
        asked = EntryAsked(
            at=now,
            command=bracket,
            plan=plan,
            row=None if plan is None else self.rows.get(plan.decided_at),
            state=desk.state,
            truth=truth,
            equity_usd=self.exchange.account(now).equity_usd or Decimal(0),
            books=None if self.is_tainted else books_of(trips, today),
            clock_slack=abs(desk.clock(now) - now) + PART,
            rules=self.rules,
        )
        judge(ENTRY_LAWS, asked, now)

    def _settle_day(self, row: MarketRow) -> None:
        """No more faults: the desk hears, asks and flattens until all is told, and closes."""
        desk = self.desk
        self.weather.clear(desk.now)
        desk.is_spared = True
        if self.down_until is not None:
            self._wake(is_over=True)
        self._hear(self.exchange.reconnect(desk.now))
        for part in parts_after(row.symbol, desk.now, row.close_ticks, SETTLING):
            self._play_settling(part)
        account = self.exchange.account(desk.now)
        self.desk.deliver(
            (
                SessionClosed(
                    at=desk.clock(desk.now),
                    position=desk.state.position,
                    equity_usd=account.equity_usd,
                ),
            )
        )
        if desk.state.is_exposed or desk.state.kill.is_killed:
            for part in parts_after(row.symbol, desk.now, row.close_ticks, SETTLING):
                self._play_settling(part)
        self.weather.resume()

    def _play_settling(self, part: PriceBar) -> None:
        desk = self.desk
        desk.now = part.closes_at
        told = self.exchange.on_bar(part)
        if self.down_until is not None and desk.now >= self.down_until:
            self._wake(is_over=True)
        if self.down_until is not None:
            return
        self._hear(told)
        if desk.desk.wants_clock(desk.state):
            desk.deliver((ClockTicked(at=desk.clock(desk.now)),))

    def _judge_day(
        self, session: PlayedSession, events_before: int, cash_before: Decimal | None
    ) -> None:
        desk, now = self.desk, self.desk.now
        truth = self.exchange.truth(now)
        today = session.opened.session_date
        self.trips[today] = trips_of(truth.executions, self.rules)
        self.trades += sum(trip.has_entry for trip in self.trips[today])
        cash = (self.exchange.account(now).equity_usd or Decimal(0)) - (cash_before or Decimal(0))
        untold = {row.closes_at for row in self.untold}
        seen = DaySeen(
            at=now,
            rows=[row for row in session.rows if row.closes_at not in untold],
            events=desk.disk[events_before:],
            state=desk.state,
            folded=desk.refold(),
            truth=truth,
            sent_refs=desk.sent_refs,
            cash_usd=cash,
            books=None if self.is_tainted else books_of(self.trips, today),
            previous=self.previous,
            rules=self.rules,
        )
        judge(DAY_LAWS, seen, now)
        if desk.disk:
            self.previous = Head(desk.disk[-1].seq, desk.disk[-1].hash)
