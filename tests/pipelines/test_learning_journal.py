"""The journal of the nights: every change once, a corrected night beside what it had said."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from command_line import copied, credence
from replay_market import RULES

from engine.errors import JournalError, RetryLater
from engine.journal import Verified
from engine.learning.acceptance import DifferenceAccepted
from engine.learning.lessons import About, OddsChanged, lesson_of, odds_changes
from engine.learning.promotion import Evidence, Promotion
from engine.learning.reliability import Trigger, Trust, TrustChanged
from engine.modes import Mode
from pipelines.journal_store import JournalReader, JournalWriter
from pipelines.learning_journal import LearningJournal
from pipelines.settings import load_settings
from pipelines.wiring import Wiring

MONDAY, TUESDAY, WEDNESDAY = date(2024, 7, 8), date(2024, 7, 9), date(2024, 7, 10)


def shut(night: date, template: str = "K2") -> TrustChanged:
    return TrustChanged(
        session_date=night,
        template=template,
        before=Trust.ACTIVE,
        after=Trust.QUARANTINED,
        trigger=Trigger.LOSSES_IN_A_ROW,
        results=2,
        win_rate=0.1 + 0.2,
        expectancy_r=-1.0625,
        text=f"{template}: quarantined for losses in a row (2 results, 0% won, -1.06 R each)",
    )


@pytest.fixture
def journal(tmp_path: Path) -> LearningJournal:
    return LearningJournal(path=tmp_path / "learning" / "MES.sqlite", rules=RULES)


def test_a_change_is_journalled_with_its_numbers(journal: LearningJournal) -> None:
    written = journal.record(About.TRUST, {MONDAY: [shut(MONDAY)], TUESDAY: []})

    (lesson,) = journal.lessons()
    (event,) = journal.events(MONDAY)
    assert written == [lesson]
    assert lesson.changes == (shut(MONDAY),)
    assert not lesson.corrects
    assert (event.kind, event.session_date) == ("learning", "2024-07-08")
    assert event.at == "2024-07-08T20:00:00.000000+00:00"
    assert journal.events(TUESDAY) == []


def test_a_night_done_again_adds_nothing(journal: LearningJournal) -> None:
    night = {MONDAY: [shut(MONDAY)], TUESDAY: [shut(TUESDAY, "K1"), shut(TUESDAY)]}
    journal.record(About.TRUST, night)

    assert journal.record(About.TRUST, night) == []
    assert journal.record(About.TRUST, {TUESDAY: night[TUESDAY]}) == []
    assert len(journal.lessons()) == 2


def test_a_night_that_comes_to_something_else_says_both(journal: LearningJournal) -> None:
    journal.record(About.TRUST, {MONDAY: [shut(MONDAY)], WEDNESDAY: [shut(WEDNESDAY)]})

    journal.record(About.TRUST, {MONDAY: [shut(MONDAY, "K1")]})
    journal.record(About.TRUST, {MONDAY: []})

    said = journal.lessons()[:1] + journal.lessons()[2:]
    assert [lesson_of(event.payload) for event in journal.events(MONDAY)] == said
    assert [each.corrects for each in said] == [False, True, True]
    assert [each.changes for each in said] == [(shut(MONDAY),), (shut(MONDAY, "K1"),), ()]
    assert [event.session_date for event in journal.events(MONDAY)] == [
        "2024-07-08",
        "2024-07-10",
        "2024-07-10",
    ]
    assert isinstance(JournalReader(journal.path).verify(), Verified)


def test_a_night_that_had_changed_nothing_and_now_changes_something_is_a_correction(
    journal: LearningJournal,
) -> None:
    journal.record(About.TRUST, {MONDAY: []})

    (first,) = journal.record(About.TRUST, {TUESDAY: [shut(TUESDAY)]})
    (again,) = journal.record(About.TRUST, {MONDAY: [shut(MONDAY)]}, done_before={MONDAY})

    assert [first.corrects, again.corrects] == [False, True]


def accepted(usd: str, at: datetime) -> DifferenceAccepted:
    return DifferenceAccepted(
        at=at,
        session_date=MONDAY,
        symbol="MES",
        mode=Mode.PAPER,
        usd=Decimal(usd),
        lots=1,
        by="ann",
        why="the exit was told to nobody",
    )


def test_what_a_person_accepted_of_a_session_stands_in_order_and_under_its_night(
    journal: LearningJournal,
) -> None:
    at = datetime(2024, 7, 10, 12, 0, tzinfo=UTC)
    journal.record(About.TRUST, {TUESDAY: [shut(TUESDAY)]})

    journal.accept(accepted("-12.34", at))
    journal.accept(accepted("-20", at))

    assert [each.usd for each in journal.accepted(MONDAY)] == [Decimal("-12.34"), Decimal(-20)]
    assert journal.accepted(TUESDAY) == []
    assert [event.at[:10] for event in journal.events(MONDAY)] == ["2024-07-10"] * 2
    assert len(journal.lessons()) == 1
    assert isinstance(JournalReader(journal.path).verify(), Verified)


def test_trust_and_odds_of_one_night_do_not_correct_each_other(journal: LearningJournal) -> None:
    odds = OddsChanged(
        session_date=MONDAY,
        template="K4",
        side=1,
        is_earned=True,
        outcomes=900,
        sessions=40,
        brier_map_ahead=0.20,
        brier_base_ahead=0.21,
        text="K4 long: its map gives p_win from now on",
    )
    journal.record(About.TRUST, {MONDAY: [shut(MONDAY)]})
    journal.record(About.ODDS, {MONDAY: [odds]})

    assert journal.record(About.TRUST, {MONDAY: [shut(MONDAY)]}) == []
    assert [each.corrects for each in journal.lessons()] == [False, False]


def test_a_second_writer_waits(journal: LearningJournal) -> None:
    journal.record(About.TRUST, {MONDAY: [shut(MONDAY)]})

    with JournalWriter(journal.path), pytest.raises(RetryLater, match="another process"):
        journal.record(About.TRUST, {TUESDAY: [shut(TUESDAY)]})


def test_a_lesson_of_another_version_is_named(journal: LearningJournal) -> None:
    with pytest.raises(JournalError, match="expected a record of"):
        lesson_of('{"fact":"LessonOfTomorrow"}')


def promotion(number: int, at: datetime, undoes: int | None = None) -> Promotion:
    return Promotion(
        number=number,
        at=at,
        by="ann",
        file="beliefs",
        key="constraints[F1].memory",
        before=0.8,
        after=0.805,
        reason="won its month",
        hash_before="a",
        hash_after="b",
        undoes=undoes,
        evidence=Evidence(
            through=MONDAY,
            sessions=60,
            tried=90,
            gain_r=0.1 + 0.2,
            gain_ahead_r=0.1,
            deflated_sharpe=0.97,
        ),
    )


def test_promotions_stand_after_the_last_session_that_opened(journal: LearningJournal) -> None:
    on_tuesday = datetime(2024, 7, 9, 23, 0, tzinfo=UTC)
    before_the_open = datetime(2024, 7, 10, 13, 29, tzinfo=UTC)
    first, second = promotion(1, on_tuesday), promotion(2, before_the_open, undoes=1)
    journal.record(About.TRUST, {WEDNESDAY: [shut(WEDNESDAY)]})

    journal.follow(lambda: [first])
    journal.follow(lambda: [first, second])
    journal.record(About.TRUST, {WEDNESDAY: [shut(WEDNESDAY)], TUESDAY: [shut(TUESDAY)]})

    tuesday = [lesson_of(event.payload) for event in journal.events(TUESDAY)]
    assert tuesday[:2] == [first, second]
    assert len(tuesday) == 3
    assert len(journal.events(WEDNESDAY)) == 1
    assert isinstance(JournalReader(journal.path).verify(), Verified)


def test_a_promotion_that_a_crash_kept_out_of_the_journal_follows_with_the_next(
    journal: LearningJournal,
) -> None:
    at = datetime(2024, 7, 9, 23, 0, tzinfo=UTC)
    lines = [promotion(number, at) for number in (1, 2, 3)]
    journal.follow(lambda: lines[:1])

    journal.follow(lambda: lines)

    assert [lesson_of(event.payload) for event in journal.events(TUESDAY)] == lines


def test_nothing_is_promoted_while_the_journal_is_written(journal: LearningJournal) -> None:
    promoted: list[Promotion] = []

    def promote() -> list[Promotion]:
        promoted.append(promotion(1, datetime(2024, 7, 9, tzinfo=UTC)))
        return promoted

    with JournalWriter(journal.path), pytest.raises(RetryLater, match="another process"):
        journal.follow(promote)

    assert promoted == []


def wholes(*rows: tuple[str, int, bool]) -> pl.DataFrame:
    scores = {"outcomes": 900, "sessions": 40, "brier_map_ahead": 0.2, "brier_base_ahead": 0.21}
    named = [
        {"bin": 0, "template": name, "side": side, "is_map_earned": earned, **scores}
        for name, side, earned in rows
    ]
    return pl.DataFrame(named)


def test_maps_that_are_earned_or_lost_are_changes_and_others_are_not() -> None:
    before = wholes(("K1", 1, True), ("K2", 1, False), ("K4", -1, True))
    after = wholes(("K1", 1, True), ("K2", 1, True), ("K4", -1, False), ("K4", 1, True))

    changes = odds_changes(before, after, MONDAY)

    numbers = "(Brier score 0.2000 ahead against 0.2100, 900 outcomes in 40 sessions)"
    assert [each.text for each in changes] == [
        f"K2 long: its map gives p_win from now on {numbers}",
        f"K4 short: back to the prior {numbers}",
        f"K4 long: its map gives p_win from now on {numbers}",
    ]
    assert [each.is_earned for each in changes] == [True, False, True]


def test_the_commands_take_the_journal_of_nights_for_what_it_is(
    replayed_home: Path, tmp_path: Path
) -> None:
    home = copied(replayed_home, tmp_path / "home")
    wiring = Wiring(settings=load_settings({"CREDENCE_HOME": str(home)}))
    day = wiring.market.session_dates("bars", "MES")[-1]
    wiring.learning_journal.record(About.TRUST, {day: [shut(day)]})
    wiring.learning_journal.record(About.TRUST, {day: [replace(shut(day), template="K1")]})

    story = credence(home, "journal", str(day), "--json").json
    verified = credence(home, "verify", "--json").json
    status = credence(home, "status", "--json").json

    learned = [each["text"] for each in story["told"] if each["kind"] == "learning"]
    assert learned == [
        f"the night: {shut(day).text}.",
        f"the night, corrected: {shut(day).text}.",
    ]
    assert story["journal"].endswith("replay-MES.sqlite")
    assert story["other_journals"] == []
    of_nights = [each for each in verified["findings"] if "learning" in each["subject"]]
    assert [(each["check"], each["passed"]) for each in of_nights] == [("chain", True)]
    assert status["desk"]["journal"] is None
    assert "journals/learning/MES.sqlite" in [each["name"] for each in status["journals"]]
