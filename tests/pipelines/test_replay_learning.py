"""A replay that learns: each session is opened under what those before it taught, and no more."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise

import pytest
from replay_market import RULES, Market, market, settings

from engine.journal import Entry, Kind, Stamp
from engine.learning.learning_state import reliabilities
from engine.own_view import Standing
from pipelines.journal_sink import MemorySink
from pipelines.replay import Nights, ReplayResult, replay
from pipelines.replay_learning import ReplayNights

SESSIONS = 40


class Watched:
    """Nights that keep what every session was opened under and left behind."""

    def __init__(self, nights: ReplayNights) -> None:
        self.nights = nights
        self.opened_under: dict[date, Mapping[str, Standing]] = {}
        self.entries: dict[date, Sequence[Entry]] = {}

    def standings(self) -> Mapping[str, Standing]:
        self._last = self.nights.standings()
        return self._last

    def after(self, entries: Sequence[Entry], stamp: Stamp) -> None:
        self.opened_under[stamp.session_date] = self._last
        self.entries[stamp.session_date] = list(entries)
        self.nights.after(entries, stamp)


def learned(played: Market, nights: Nights | None = None) -> tuple[ReplayResult, ReplayNights]:
    own = ReplayNights(played.contexts, played.bars, RULES)
    result = replay(
        played.contexts,
        played.bars,
        RULES,
        settings(),
        sink=MemorySink(),
        nights=nights or own,
    )
    return result, own


@pytest.fixture(scope="module")
def watched() -> Watched:
    played = market(SESSIONS)
    watch = Watched(ReplayNights(played.contexts, played.bars, RULES))
    learned(played, watch)
    return watch


def decisions(entries: Sequence[Entry]) -> list[Mapping[str, object]]:
    return [json.loads(each.payload) for each in entries if each.kind == Kind.DECISION]


def test_templates_lose_trust_and_win_it_back_within_two_months(watched: Watched) -> None:
    seen = {change.after.value for change in watched.nights.changes}

    assert {"quarantined", "probation"} <= seen


def test_no_template_enters_while_it_is_quarantined(watched: Watched) -> None:
    refused = 0
    for day, entries in watched.entries.items():
        closed = {
            template
            for template, standing in watched.opened_under[day].items()
            if standing.is_quarantined
        }
        for decision in decisions(entries):
            assert decision.get("chosen") not in closed or decision["action"] != "ENTER"
            refused += decision["reason"] == "STRATEGY_QUARANTINED"
    assert refused > 0


def test_a_session_is_opened_under_the_night_before_and_not_its_own(watched: Watched) -> None:
    changed_on = {change.session_date: change for change in watched.nights.changes}
    days = sorted(watched.opened_under)

    for day, following in pairwise(days):
        change = changed_on.get(day)
        if change is None or change.after.value != "quarantined":
            continue
        assert not watched.opened_under[day][change.template].is_quarantined
        assert watched.opened_under[following][change.template].is_quarantined


def test_the_first_session_is_opened_under_nothing(watched: Watched) -> None:
    assert watched.opened_under[min(watched.opened_under)] == {}


def test_the_same_replay_learns_the_same() -> None:
    played = market(12)

    first, second = learned(played), learned(played)

    assert first[0].digest == second[0].digest
    assert first[1].state.equals(second[1].state)


def test_what_later_sessions_hold_teaches_nothing_to_earlier_ones() -> None:
    long, short = market(SESSIONS), market(12)
    days = short.bars["session_date"].unique().to_list()

    whole = ReplayNights(long.contexts, long.bars, RULES)
    watch = Watched(whole)
    learned(long, watch)
    part = Watched(ReplayNights(short.contexts, short.bars, RULES))
    learned(short, part)

    assert {day: watch.opened_under[day] for day in days} == part.opened_under


def test_the_window_of_each_template_is_what_the_nights_have_seen(watched: Watched) -> None:
    for each in reliabilities(watched.nights.state):
        assert len(each.window) <= RULES.learning.reliability.window
        dates = [result.session_date for result in each.window]
        assert dates == sorted(dates)
