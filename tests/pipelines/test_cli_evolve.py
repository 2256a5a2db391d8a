"""`credence evolve`, `promote`, `rollback`: proposed by the week, decided by a person."""

import getpass
import json
import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command_line import copied, credence

import contracts
from contracts import contracts_hash, load_rules
from contracts.promotions import promotions
from engine.learning.calibration import FORECAST_COLUMNS, calibrate
from engine.learning.calibration_table import calibration_rows
from engine.learning.evolution import Proposal
from engine.learning.variants import variants
from pipelines.commands.exits import Exit
from pipelines.evolution import (
    Evolution,
    _keep,
    kept_evolution,
    session_results,
    shadowed,
)
from pipelines.odds_of_nights import OddsOfNights, odds_of_nights
from pipelines.settings import load_settings
from pipelines.stored_bars import stored_bars
from pipelines.wiring import Wiring

RULES = load_rules("MES")
PRIOR = OddsOfNights(standings={})
VARIANT, CHANGED = next(
    (variant, changed)
    for variant, changed in variants(RULES, RULES.learning.evolution)
    if variant.key == "templates[K1].time_stop_minutes"
)
WORTH_IT = Evolution(
    through=date(2025, 1, 6),
    sessions=3,
    tried=90,
    best=Proposal(
        name=VARIANT.name,
        tried=90,
        sessions=3,
        gain_r=0.2,
        gain_ahead_r=0.1,
        sharpe=0.5,
        sharpe_of_luck=0.3,
        deflated_sharpe=0.97,
        is_worth_it=True,
    ),
    variant=VARIANT,
    why_not=None,
    contracts_hash=RULES.contracts_hash,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Contract files of one's own."""
    folder = tmp_path / "contracts"
    folder.mkdir()
    for path in Path(contracts.__file__).parent.glob("*.yaml"):
        shutil.copy(path, folder)
    return folder


@pytest.fixture
def home(ingested_home: Path, tmp_path: Path) -> Path:
    """Six sessions of bars, marked as if their outcomes had been made."""
    home = copied(ingested_home, tmp_path / "home")
    shutil.copytree(home / "market" / "bars", home / "market" / "outcomes")
    return home


def wiring_of(home: Path) -> Wiring:
    return Wiring(settings=load_settings({"CREDENCE_HOME": str(home)}))


def test_results_are_what_the_account_moved_by_in_risks(home: Path) -> None:
    stored = stored_bars(wiring_of(home).market, RULES, None, None)

    results = session_results(stored, RULES, PRIOR)

    replayed = credence(home, "replay", "--journal", "trades", "--json").json
    moved = float(replayed["last_equity_usd"]) - 10_000
    assert results.size == 6
    assert results.sum() * 15 == pytest.approx(moved)
    assert np.any(results != 0)


def test_variants_are_judged_by_the_odds_that_the_desk_had(home: Path) -> None:
    wiring = wiring_of(home)
    stored = stored_bars(wiring.market, RULES, None, None)
    nights = stored.session_dates[1::2]
    wiring.warehouse.replace_partitions(
        "calibration", pl.concat(map(bold_night, nights)), symbol="MES", session_dates=nights
    )

    odds = odds_of_nights(wiring.warehouse, stored.session_dates, RULES)

    through = {
        day: {each.through for standing in told.values() for each in standing.odds}
        for day, told in odds.standings.items()
    }
    _, second, third, fourth, fifth, sixth = stored.session_dates
    assert through == {third: {second}, fourth: {second}, fifth: {fourth}, sixth: {fourth}}
    prior = session_results(stored, RULES, PRIOR)
    taught = session_results(stored, RULES, odds)
    assert list(taught[:2]) == list(prior[:2])
    assert list(taught) != list(prior)
    assert list(taught) == list(session_results(stored, RULES, odds))


def bold_night(night: date) -> pl.DataFrame:
    """A calibration that has earned the same bold map for every template and side."""
    wins = np.tile([True, True, True, False], 10)
    forecasts = pl.DataFrame(
        {
            "session_date": [date(2024, 1, 2) + timedelta(days=n) for n in range(40)],
            "belief": np.full(40, 0.6),
            "p_win": np.full(40, 0.5),
            "is_win": wins,
        }
    )
    judged = calibrate(
        pl.concat(
            forecasts.with_columns(
                template=pl.lit(block.id), side=pl.lit(side, dtype=pl.Int8)
            ).select(*FORECAST_COLUMNS)
            for block in RULES.strategies.templates
            for side in (-1, 1)
        ),
        RULES.learning.calibration,
        outcomes_min=10,
    )
    return calibration_rows([replace(each, is_earned=True) for each in judged], night, RULES)


def test_with_few_trades_nothing_is_tried(home: Path) -> None:
    answer = credence(home, "evolve", "--json").json

    assert answer["best"] is None
    assert answer["why_not"] == "0 attributed trades, 10 are needed"
    assert kept_evolution(wiring_of(home), None).why_not == answer["why_not"]


def test_a_proposal_is_promoted_by_a_person_and_taken_back_by_one_command(
    home: Path, folder: Path
) -> None:
    _keep(wiring_of(home), WORTH_IT)
    before = contracts_hash(folder)

    done = credence(home, "promote", "--reason", "won its month", "--json", contracts=folder)
    promoted = load_rules("MES", folder)
    undone = credence(home, "rollback", contracts=folder)

    assert done.code == Exit.DONE
    assert done.json["key"] == VARIANT.key
    assert promoted.strategies == CHANGED.strategies
    assert undone.code == Exit.DONE
    assert contracts_hash(folder) == before
    assert [line.reason for line in promotions(folder)] == [
        "won its month",
        "rolls back promotion 1: won its month",
    ]


def test_a_promotion_and_its_rollback_stand_in_the_learning_journal_with_their_numbers(
    home: Path, folder: Path
) -> None:
    _keep(wiring_of(home), WORTH_IT)
    by = getpass.getuser()

    done = credence(home, "promote", "--reason", "won its month", "--json", contracts=folder)
    credence(home, "rollback", contracts=folder)

    day = done.json["journalled_after"]
    told = credence(home, "journal", day, "--json", contracts=folder).json["told"]
    verified = credence(home, "verify", "--json", contracts=folder).json
    numbers = (
        "(the best of 90 variants on 3 sessions through 2025-01-06: +0.200 R a session, "
        "+0.100 R ahead of the choice, deflated Sharpe ratio 0.97)."
    )
    texts = [each["text"].split(" ET: ")[1] for each in told]
    key = "strategies.templates[K1].time_stop_minutes"
    before, after = f"{VARIANT.before:g}", f"{VARIANT.after:g}"
    assert texts == [
        f"{by} promoted {key} {before} → {after}: won its month {numbers}",
        f"{by} took back promotion 1, {key} {after} → {before} {numbers}",
    ]
    of_learning = [each for each in verified["findings"] if "learning" in each["subject"]]
    assert [(each["check"], each["passed"]) for each in of_learning] == [("chain", True)]
    assert of_learning[0]["evidence"].startswith("2 events unbroken")


def test_what_may_be_luck_is_not_promoted_unless_a_person_insists(home: Path, folder: Path) -> None:
    _keep(wiring_of(home), replace(WORTH_IT, why_not="it may be luck"))
    before = contracts_hash(folder)

    refused = credence(home, "promote", "--reason", "I like it", contracts=folder)
    kept = contracts_hash(folder)
    insisted = credence(home, "promote", "--reason", "I like it", "--anyway", contracts=folder)

    assert refused.code == Exit.NO
    assert "nothing to promote: it may be luck" in refused.err
    assert kept == before
    assert insisted.code == Exit.DONE
    assert contracts_hash(folder) != before


def test_a_proposal_is_no_step_from_contracts_it_was_not_compared_with(
    home: Path, folder: Path
) -> None:
    _keep(wiring_of(home), WORTH_IT)
    credence(home, "promote", "--reason", "won its month", contracts=folder)
    promoted = contracts_hash(folder)

    again = credence(home, "promote", "--reason", "once more", "--anyway", contracts=folder)

    assert again.code == Exit.USAGE
    assert f"contracts {RULES.contracts_hash[:12]}, today's are {promoted[:12]}" in again.err
    assert contracts_hash(folder) == promoted
    assert [line.reason for line in promotions(folder)] == ["won its month"]


def test_without_a_search_there_is_nothing_to_promote(home: Path, folder: Path) -> None:
    ended = credence(home, "promote", "2025-01-03", "--reason", "x", contracts=folder)

    assert ended.code == Exit.USAGE
    assert "expected a search through 2025-01-03, found none" in ended.err


def test_a_proposal_is_followed_on_the_sessions_after_it(home: Path) -> None:
    wiring = wiring_of(home)
    _keep(wiring, WORTH_IT)
    _keep(wiring, replace(WORTH_IT, through=date(2025, 1, 3), why_not="it may be luck"))

    (followed,) = shadowed(wiring)

    later = stored_bars(wiring.market, RULES, date(2025, 1, 7), None)
    gain = session_results(later, CHANGED, PRIOR) - session_results(later, RULES, PRIOR)
    assert followed.variant == VARIANT
    assert followed.sessions == len(later.session_dates) == 3
    assert followed.gain_r == pytest.approx(gain.mean())


def test_a_search_that_was_damaged_is_named(home: Path) -> None:
    _keep(wiring_of(home), WORTH_IT)
    path = home / "evolution" / "2025-01-06.json"
    content = json.loads(path.read_text())
    del content["variant"]
    path.write_text(json.dumps(content))

    ended = credence(home, "promote", "--reason", "x")

    assert ended.code == Exit.USAGE
    assert "expected a kept search" in ended.err
