"""Odds in a replay: walked forward, the same whichever bars are passed over, and journalled."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

import pytest
from replay_market import RULES, Market, market, settings

from engine.desk import Recording, SessionOpened, fact_of
from engine.errors import InputRefused
from engine.journal import Chain, Entry, Event, Kind, Stamp
from engine.odds import BeliefMap, EarnedOdds
from engine.own_view import Standing
from pipelines.replay import Nights, ReplayResult, replay
from pipelines.replay_learning import ReplayNights

BOLD = BeliefMap(beliefs=(0.5,), p_win=(0.75,))
EASY = replace(
    RULES,
    beliefs=replace(RULES.beliefs, calibration_outcomes_min=50),
    learning=replace(
        RULES.learning,
        calibration=replace(RULES.learning.calibration, sessions_min=6, confidence=0.1),
    ),
)
"""Rules under which a map is earned within weeks."""


class BoldNights:
    """Nights that give every template the same map; of the session itself where that is planted."""

    def __init__(self, dates: Sequence[date], *, looks_ahead: bool = False) -> None:
        self.dates = list(dates)
        self.looks_ahead = looks_ahead
        self.played = 0
        self.events: list[Event] = []

    def standings(self) -> Mapping[str, Standing]:
        if not self.played:
            return {}
        through = self.dates[self.played - 1 + self.looks_ahead]
        odds = tuple(
            EarnedOdds(side=side, through=through, why="by hand", belief_map=BOLD)
            for side in (-1, 1)
        )
        return dict.fromkeys(("K1", "K2", "K3", "K4"), Standing(odds=odds))

    def after(self, entries: Sequence[Entry], stamp: Stamp) -> None:
        self.played += 1
        self.events += Chain().seal(entries, stamp)


def dates_of(played: Market) -> list[date]:
    return played.bars["session_date"].unique().sort().to_list()


def played_under(
    played: Market, nights: Nights | None, recording: Recording, *, jumps: bool = True
) -> ReplayResult:
    wanted = settings(recording=recording, jumps=jumps)
    return replay(played.contexts, played.bars, RULES, wanted, nights=nights)


@pytest.mark.parametrize("recording", list(Recording))
def test_bars_that_are_passed_over_change_nothing_under_odds(recording: Recording) -> None:
    played = market(12)
    dates = dates_of(played)

    fast = played_under(played, BoldNights(dates), recording)
    slow = played_under(played, BoldNights(dates), recording, jumps=False)
    without = played_under(played, None, recording)

    assert fast.digest == slow.digest
    assert len(fast.trades) > len(without.trades)


def test_a_replay_of_trades_makes_the_trades_of_the_full_one_under_odds() -> None:
    played = market(12)
    dates = dates_of(played)

    full = played_under(played, BoldNights(dates), Recording.FULL)
    trades = played_under(played, BoldNights(dates), Recording.TRADES)

    assert [each["net_usd"] for each in full.trades] == [each["net_usd"] for each in trades.trades]


def test_a_replay_whose_odds_look_ahead_is_refused() -> None:
    played = market(12)

    with pytest.raises(InputRefused, match="expected odds of nights before session"):
        played_under(played, BoldNights(dates_of(played), looks_ahead=True), Recording.TRADES)


def test_the_journal_says_which_odds_a_session_had_and_who_used_them() -> None:
    played = market(12)

    nights = BoldNights(dates_of(played))

    played_under(played, nights, Recording.FULL)

    through: dict[str, str] = {}
    for event in nights.events:
        if event.kind == Kind.SESSION and isinstance(opened := fact_of(event), SessionOpened):
            odds = [each for one in opened.standings.values() for each in one.odds]
            through[event.session_date] = odds[0].source if odds else "prior"
    entered = [
        (event.session_date, payload)
        for event in nights.events
        if event.kind == Kind.DECISION
        and (payload := json.loads(event.payload))["action"] == "ENTER"
    ]
    assert len(set(through.values())) == 12
    assert entered
    for day, payload in entered:
        chosen = next(one for one in payload["scores"] if one["template"] == payload["chosen"])
        assert chosen["p_win_from"] == through[day]
        assert f"by the {through[day]}" in payload["sentence"]


def test_maps_are_earned_from_the_sessions_before_and_none_after() -> None:
    played = market(24)
    dates = dates_of(played)
    ends = played.bars["session_date"] <= dates[15]
    shorter = Market(played.contexts, played.bars.filter(ends))

    def opened_under(part: Market) -> dict[date, Mapping[str, Standing]]:
        seen: dict[date, Mapping[str, Standing]] = {}

        class Watched(ReplayNights):
            def standings(self) -> Mapping[str, Standing]:
                told = super().standings()
                seen[dates[len(seen)]] = told
                return told

        nights = Watched(part.contexts, part.bars, EASY)
        replay(part.contexts, part.bars, EASY, settings(), nights=nights)
        return seen

    whole, part = opened_under(played), opened_under(shorter)

    maps = {
        day: [each for one in told.values() for each in one.odds if isinstance(each, EarnedOdds)]
        for day, told in whole.items()
    }
    assert {day: whole[day] for day in dates[:16]} == part
    assert not any(maps[day] for day in dates[:6])
    assert any(maps[day] for day in dates[8:])
    assert all(each.through < day for day, earned in maps.items() for each in earned)
