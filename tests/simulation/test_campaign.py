"""A slice of the fault campaign, its cases and its planted bugs. `make campaign` plays the rest."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import SettingsError
from engine.exchange import FaultKind
from pipelines.campaign.campaign import run_campaign
from pipelines.campaign.case import Case
from pipelines.campaign.catalogue import MUTATIONS
from pipelines.campaign.day_laws import DAY_LAWS
from pipelines.campaign.entry_laws import ENTRY_LAWS
from pipelines.campaign.flattening_laws import FLATTENING_LAWS
from pipelines.campaign.minimise import minimised
from pipelines.campaign.mutants import catch
from pipelines.campaign.run import Broken, Outcome, play
from pipelines.campaign.stage import Stage, the_stage
from pipelines.campaign.step_laws import STEP_LAWS
from pipelines.campaign.troubles import TROUBLES, WorldTrouble, storm_of
from pipelines.campaign.world_laws import WORLD_LAWS

ROOT = Path(__file__).resolve().parents[2]
IN_CI = ("drop the write-ahead", "put the stop on the wrong side")


def test_every_law_holds_over_a_slice_of_the_campaign():
    total = run_campaign(40, 0, workers=1)

    assert [(o.case.text, o.broken) for o in total.broken] == []
    assert total.sessions >= 40
    assert total.trades > 20
    assert len(total.happened) >= 4


def test_one_number_is_one_run():
    once, again, other = (play(Case(seed=seed), the_stage()) for seed in (4, 4, 5))

    assert (once.events, once.happened) == (again.events, again.happened)
    assert once.events != other.events


def test_every_trouble_comes_up_among_the_seeds():
    drawn = Counter(trouble for seed in range(300) for trouble in storm_of(seed).rates)

    assert set(drawn) == set(TROUBLES)


def test_taking_a_trouble_away_leaves_the_rates_of_the_others():
    whole = storm_of(17)
    kept = frozenset(sorted(whole.rates)[:1])

    cut = storm_of(17, kept)

    assert cut.rates == {trouble: whole.rates[trouble] for trouble in kept}
    assert (cut.skew_seconds, cut.outage_seconds) == (whole.skew_seconds, whole.outage_seconds)


@pytest.mark.parametrize(
    "case",
    [
        Case(seed=4711),
        Case(seed=1, first=2, sessions=1, until_minute=143),
        Case(seed=1, troubles=frozenset({FaultKind.LOST, WorldTrouble.RESTART})),
        Case(seed=1, troubles=frozenset()),
    ],
)
def test_a_case_is_read_as_it_was_printed(case):
    assert Case.of(case.text) == case


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "-1",
        "1:troubles=plague",
        "1:sessions=0",
        "1:sessions=",
        "1:a=b",
        "1:first=1:first=2",
    ],
)
def test_a_line_that_is_no_case_is_refused_with_its_shape(text):
    with pytest.raises(SettingsError, match="SEED"):
        Case.of(text)


def fails_by_a_lost_message(case: Case, _: Stage) -> Outcome:
    """A desk that breaks a law on minute 40 of its second session, if messages are lost."""
    sessions = 3 - case.first if case.sessions is None else case.sessions
    troubles = storm_of(case.seed, case.troubles).rates
    is_there = case.first <= 1 < case.first + sessions and FaultKind.LOST in troubles
    broken = Broken(law="a law", text="", session=1, minute=40)
    return Outcome(case=case, broken=broken if is_there else None)


def test_a_failing_case_loses_all_that_it_does_not_need():
    seed = next(n for n in range(99) if len(r := storm_of(n).rates) > 3 and FaultKind.LOST in r)
    failing = fails_by_a_lost_message(Case(seed=seed), the_stage())

    small = minimised(failing, the_stage(), fails_by_a_lost_message)

    assert small.case == Case(
        seed=seed, first=1, sessions=1, troubles=frozenset({FaultKind.LOST}), until_minute=40
    )


def test_every_planted_bug_still_finds_its_place_and_its_test():
    assert len(MUTATIONS) >= 25
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    for mutation in MUTATIONS:
        for edit in mutation.edits:
            text = (ROOT / edit.path).read_text(encoding="utf-8")
            assert text.count(edit.old) == 1, mutation.name
        assert not mutation.test or (ROOT / mutation.test).is_file(), mutation.name


def test_bugs_planted_in_the_desk_are_caught():
    chosen = [replace(m, test="") for m in MUTATIONS if m.name in IN_CI]

    caught = catch(chosen, 0, sessions=60, workers=1)

    assert {one.mutation: one.by for one in caught} == {
        "drop the write-ahead": "nothing_is_sent_before_it_is_on_disk",
        "put the stop on the wrong side": "entry_is_a_sound_bracket",
    }


def test_the_page_names_every_law_trouble_and_planted_bug():
    page = (ROOT / "docs" / "campaign.md").read_text(encoding="utf-8")

    laws = (*STEP_LAWS, *ENTRY_LAWS, *FLATTENING_LAWS, *WORLD_LAWS, *DAY_LAWS)
    assert [law.__name__ for law in laws if f"| `{law.__name__}` |" not in page] == []
    assert [trouble for trouble in TROUBLES if f"| `{trouble}` |" not in page] == []
    assert [bug.name for bug in MUTATIONS if f"| {bug.name} |" not in page] == []


def test_the_changelog_counts_what_there_is():
    log = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    laws = (*STEP_LAWS, *ENTRY_LAWS, *FLATTENING_LAWS, *WORLD_LAWS, *DAY_LAWS)
    beside = ("nothing_is_sent_before_it_is_on_disk", "no_step_raises")
    assert f"{len(TROUBLES)} families of trouble, {len(laws) + len(beside)} laws" in log
    assert f"and {len(MUTATIONS)} planted bugs" in log
