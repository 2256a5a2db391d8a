"""A start folds on from what the last start kept, and never trusts it further than the journal."""

from collections.abc import Sequence
from dataclasses import replace

import orjson
import pytest
from desk_stage import RULES, SESSION_DATE
from eventful import eventful
from session_stage import SessionStage, simulated

from engine.desk import EMPTY, Mode
from engine.journal import Entry, Stamp
from pipelines.journal_store import JournalReader, JournalWriter
from pipelines.session.files import SessionFiles
from pipelines.session.folding import (
    Kept,
    fold_and_keep,
    fold_whole,
    folded,
    keep,
    kept_beside,
    read_kept,
)
from pipelines.verification.journals import kept_state_findings

EVENTFUL = eventful()
STAMP = Stamp(SESSION_DATE, RULES.contracts_hash, "test")


class Desk:
    """A home whose journal grows, and the starts on it with what they said."""

    def __init__(self, home):
        self.files = SessionFiles(home=home)
        self.journal = self.files.journal(Mode.PAPER, "MES")
        self.kept = kept_beside(self.journal)
        self.said = []

    def write(self, entries: Sequence[Entry]):
        with JournalWriter(self.journal) as writer:
            writer.append(entries, STAMP)

    def start(self, rules=RULES):
        self.said.clear()
        with JournalWriter(self.journal) as writer:
            return fold_and_keep(
                self.files, Mode.PAPER, "MES", rules, head=writer.head, say=self.said.append
            )


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def test_a_start_after_any_event_knows_what_the_whole_journal_tells(desk):
    written = 0
    for entries, live in EVENTFUL.states[::9]:
        desk.write(EVENTFUL.entries[written:entries])
        written = entries
        assert folded(desk.files, Mode.PAPER, "MES", RULES) == live
        assert desk.start() == live
        assert read_kept(desk.journal, RULES).head == JournalReader(desk.journal).head()
        assert desk.said == []


def test_what_was_kept_is_not_folded_again(desk):
    desk.write(EVENTFUL.entries[:100])
    desk.start()
    head, state = read_kept(desk.journal, RULES)
    other = state._replace(bars_before=7)
    keep(Kept(head, other), desk.journal, RULES)

    assert desk.start() == other
    (finding,) = kept_state_findings("MES", desk.journal, RULES)
    assert (finding.passed, "is not; delete MES.state.json" in finding.evidence) == (False, True)
    keep(Kept(head, state), desk.journal, RULES)
    (finding,) = kept_state_findings("MES", desk.journal, RULES)
    assert finding.passed


def damaged(desk):
    plain = orjson.loads(desk.kept.read_bytes())
    plain["state"] = plain["state"].replace('"bars_before":0', '"bars_before":1')
    desk.kept.write_bytes(orjson.dumps(plain))


def cut_short(desk):
    desk.kept.write_bytes(desk.kept.read_bytes()[:-20])


def of_other_contracts(desk):
    desk.start(replace(RULES, contracts_hash="0" * 64))


def of_an_older_copy(desk):
    """The journal was put back to a copy from before the state was kept."""
    kept = desk.kept.read_bytes()
    for path in desk.journal.parent.iterdir():
        path.unlink()
    desk.write(EVENTFUL.entries[:60])
    desk.kept.write_bytes(kept)


def of_another_journal(desk):
    """As many events and more, and other ones."""
    kept = desk.kept.read_bytes()
    for path in desk.journal.parent.iterdir():
        path.unlink()
    desk.write([*EVENTFUL.entries[:40], *EVENTFUL.entries[:1], *EVENTFUL.entries[40:120]])
    desk.kept.write_bytes(kept)


@pytest.mark.parametrize(
    "spoil", [damaged, cut_short, of_other_contracts, of_an_older_copy, of_another_journal]
)
def test_what_does_not_belong_to_the_journal_and_the_code_counts_for_nothing(desk, spoil):
    desk.write(EVENTFUL.entries[:100])
    desk.start()
    spoil(desk)
    head = JournalReader(desk.journal).head()
    whole = fold_whole(desk.journal, RULES, through=head.seq)

    assert read_kept(desk.journal, RULES) is None
    assert desk.start() == whole
    assert [("the whole journal is folded" in line) for line in desk.said] == [True]
    assert read_kept(desk.journal, RULES) == (head, whole)


def test_a_state_that_cannot_be_kept_costs_time_alone(desk):
    desk.write(EVENTFUL.entries)
    (desk.kept / "in the way").mkdir(parents=True)

    assert desk.start() == EVENTFUL.state
    assert ["could not be kept" in line for line in desk.said] == [True]


def test_without_a_journal_the_desk_is_new(desk):
    assert folded(desk.files, Mode.PAPER, "MES", RULES) == EMPTY


def test_a_session_that_is_taken_up_goes_on_from_what_its_first_run_kept(tmp_path):
    stage = SessionStage(tmp_path)
    run_until(stage, "09:50 ET skip")
    at_first = read_kept(stage.journal, RULES)
    left = JournalReader(stage.journal).head()
    run_until(stage, "10:00 ET skip")
    at_second = read_kept(stage.journal, RULES)
    head = JournalReader(stage.journal).head()

    assert at_first is None
    assert at_second.head == left
    assert at_second.state == fold_whole(stage.journal, RULES, through=left.seq)
    assert at_second.state.session is not None
    whole = fold_whole(stage.journal, RULES, through=head.seq)
    assert folded(stage.files, Mode.PAPER, "MES", RULES) == whole
    assert not [line for line in stage.lines if "folded" in line]


def run_until(stage, text):
    run = stage.made(simulated())
    stage.on_line = lambda line: run.stop() if text in line else None
    run.run()
