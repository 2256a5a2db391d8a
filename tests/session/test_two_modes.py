"""A day on which the desk ran in two modes: everybody who asks is told of the same one."""

from pathlib import Path

import pytest
from replay_market import RULES
from session_stage import SessionStage, bars_of_session, session, simulated

from engine.desk import Mode
from engine.journal import Kind
from pipelines.journal_reading import session_story
from pipelines.journal_store import JournalReader
from pipelines.session.plan import Ending
from pipelines.session.seen_bars import DeskBars
from pipelines.session_journals import HomeJournals
from pipelines.settings import load_settings
from pipelines.storage import Home
from pipelines.wiring import Wiring

DAY = session().session_date


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> SessionStage:
    """On paper no bar was told, and so none decided; observed, it has every one."""
    stage = SessionStage(tmp_path_factory.mktemp("two_modes"))
    assert stage.run(simulated(minutes=0)).ending is Ending.CLOSED
    assert stage.run(simulated(), mode=Mode.OBSERVE).ending is Ending.CLOSED
    return stage


def journals(home: Path) -> HomeJournals:
    return HomeJournals(home=Home(root=home), rules=RULES)


def test_a_mode_that_decided_nothing_does_not_tell_of_a_day_that_another_played(
    stage: SessionStage,
) -> None:
    observed = stage.files.journal(Mode.OBSERVE, "MES")

    told = journals(stage.home)

    assert JournalReader(stage.journal).sessions() == [DAY]
    assert told.path(DAY) == observed
    assert len(told.events(DAY, Kind.DECISION)) == 390
    assert told.seals([DAY]) == JournalReader(observed).seals()


def test_the_bars_and_the_journal_of_a_day_are_those_of_one_mode(stage: SessionStage) -> None:
    seen = DeskBars(files=stage.files, rules=RULES).of(session())

    decided = journals(stage.home).events(DAY, Kind.DECISION)

    assert seen.height == len(decided) == bars_of_session().height


def test_the_story_of_the_day_is_of_that_mode_though_another_was_acted_for_last(
    stage: SessionStage,
) -> None:
    stage.journal.touch()  # The paper desk's journal is now the one written last.
    wiring = Wiring(settings=load_settings({"CREDENCE_HOME": str(stage.home)}))

    story = session_story(wiring, DAY)

    assert story.journal == stage.files.journal(Mode.OBSERVE, "MES")
    assert story.others == ("desk/paper/MES",)
