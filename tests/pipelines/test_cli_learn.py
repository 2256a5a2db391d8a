"""`credence learn`: the nights of a replay, in order, by one command; and who reads them next."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import product
from pathlib import Path

import pytest
from command_line import copied, credence, ingested

from engine.desk import Mode
from engine.errors import MissingContext
from engine.journal import Head
from pipelines.commands.exits import Exit
from pipelines.commands.learn import _without_market, sessions_to_learn, untaught_sessions
from pipelines.journal_store import JournalReader
from pipelines.replay import ReplaySettings, replay
from pipelines.replay_learning import ReplayNights
from pipelines.settings import load_settings
from pipelines.wiring import Wiring


def wiring_of(home: Path) -> Wiring:
    return Wiring(settings=load_settings({"CREDENCE_HOME": str(home), "CREDENCE_MODE": "paper"}))


def test_the_nights_store_what_the_replay_learned(learned_home: Path) -> None:
    wiring = wiring_of(learned_home)
    dates = wiring.market.session_dates("bars", "MES")
    bars, contexts = (
        wiring.market.read(name, "MES", dates[0], dates[-1]) for name in ("bars", "context")
    )
    nights = ReplayNights(contexts, bars, wiring.rules)
    opened_under = wiring.standings(date(2025, 6, 2))

    settings = ReplaySettings(equity_usd=Decimal(10_000))
    replay(contexts, bars, wiring.rules, settings, nights=nights)

    told = [change for each in wiring.learning_journal.lessons() for change in each.changes]
    assert opened_under == nights.standings()
    assert len(opened_under) == 4
    assert {odds.through for each in opened_under.values() for odds in each.odds} == {dates[-1]}
    assert nights.changes
    assert sorted(told, key=str) == sorted(nights.changes, key=str)


def test_learning_again_changes_nothing(learned_home: Path) -> None:
    def stored() -> tuple[bytes, Head]:
        wiring = wiring_of(learned_home)
        rows = wiring.warehouse.query("SELECT * FROM learning_state ORDER BY ALL")
        return rows.write_csv().encode(), JournalReader(wiring.learning_journal.path).head()

    before = stored()
    again = credence(learned_home, "learn", "--from", "2025-01-08", "--json")

    assert again.code == Exit.DONE
    assert again.json["sessions"] == 2
    assert again.json["failed_checks"] == []
    assert again.json["processor_seconds"] > 0
    assert again.json["seconds"] > 0
    assert [each["template"] for each in again.json["trust"]] == ["K1", "K2", "K3", "K4"]
    assert stored() == before


def test_market_tables_that_are_missing_are_computed_before_the_nights(
    learned_home: Path, tmp_path: Path
) -> None:
    home = copied(learned_home, tmp_path / "home")
    wiring = wiring_of(home)
    dates = sessions_to_learn(wiring, None, None)
    whole = _without_market(wiring, dates)
    for day in dates[2], dates[4]:
        (home / "market" / "outcomes" / "MES" / f"{day}.parquet").unlink()

    assert whole == []
    assert _without_market(wiring, dates) == (dates[2], dates[4])


def test_a_night_that_failed_is_said_as_such_and_not_counted(
    learned_home: Path, tmp_path: Path
) -> None:
    home = copied(learned_home, tmp_path / "home")
    (home / "market" / "bars" / "MES" / "2025-01-03.parquet").write_bytes(b"no table")

    said = credence(home, "learn", "--from", "2025-01-08", "--to", "2025-01-08")
    told = credence(home, "learn", "--from", "2025-01-08", "--to", "2025-01-10", "--json")

    log = Path(said.err.split("the whole log is ")[1].split(";")[0])
    assert (said.code, said.out) == (Exit.NO, "")
    assert said.err.startswith("error: the night of 2025-01-08 failed at ")
    assert "calibration" in said.err.split(": ")[1]
    assert said.err.endswith(
        "; no night was done; when the cause is settled: "
        "credence learn --from 2025-01-08 --to 2025-01-08\n"
    )
    assert len(said.err.splitlines()) == 1
    assert "Stack Trace" in log.read_text()
    assert told.code == Exit.NO
    assert (told.json["succeeded"], told.json["sessions"]) == (False, 0)
    assert told.err.startswith("error: the nights of 2025-01-08 to 2025-01-10 failed at ")


def test_months_of_bars_and_one_traded_day_are_enough_for_its_night(tmp_path: Path) -> None:
    home = ingested(tmp_path / "home")
    played = credence(home, "replay", "--from", "2025-01-10", "--to", "2025-01-10")

    ended = credence(home, "learn", "--json")

    assert played.code == Exit.DONE, played.err
    assert (ended.code, ended.err) == (Exit.DONE, "")
    assert ended.json["sessions"] == 1
    assert [each["template"] for each in ended.json["trust"]] == ["K1", "K2", "K3", "K4"]


def test_nights_that_the_sessions_were_played_without_are_said_to_be(
    learned_home: Path, tmp_path: Path
) -> None:
    home = copied(learned_home, tmp_path / "home")
    taught = untaught_sessions(wiring_of(home), sessions_to_learn(wiring_of(home), None, None))
    assert credence(home, "replay", "--from", "2025-01-08").code == Exit.DONE

    ended = credence(home, "learn", "--from", "2025-01-08")

    assert taught == []
    assert ended.code == Exit.DONE
    said = "Played without what the nights before taught: 1 session, from 2025-01-10 on."
    assert said in ended.out
    assert "credence replay --learn" in ended.out


def test_a_session_that_lacks_its_journal_is_named(learned_home: Path, tmp_path: Path) -> None:
    home = copied(learned_home, tmp_path / "home")
    (home / "journals" / "replay-MES.sqlite").unlink()

    nothing = credence(home, "learn")
    beyond = credence(learned_home, "learn", "--to", "2025-01-31")

    assert nothing.code == Exit.USAGE
    assert "expected sessions with outcomes and a journal, found none" in nothing.err
    assert beyond.code == Exit.USAGE
    assert "expected stored outcomes, found none; run market_day for it" in beyond.err


def traded_home(learned_home: Path, home: Path) -> Wiring:
    """A home whose replayed sessions are those of its desk on paper."""
    wiring = wiring_of(copied(learned_home, home))
    desk = wiring.session_journals.traded(Mode.PAPER)
    desk.parent.mkdir(parents=True)
    desk.write_bytes((home / "journals" / "replay-MES.sqlite").read_bytes())
    return wiring


def forget(wiring: Wiring, days: Sequence[date], *tables: str) -> None:
    for table, day in product(tables, days):
        rows = wiring.warehouse.read(table, "MES", day, day).clear()
        wiring.warehouse.replace_partitions(table, rows, symbol="MES", session_dates=[day])


@pytest.mark.parametrize("lost", ["learning_state", "calibration"])
def test_a_desk_whose_last_session_taught_nothing_or_half_is_not_opened(
    lost: str, learned_home: Path, tmp_path: Path
) -> None:
    wiring = traded_home(learned_home, tmp_path / "home")
    last = wiring.market.session_dates("bars", "MES")[-1]

    known = wiring.standings(date(2025, 6, 2))
    forget(wiring, [last], lost)

    assert len(known) == 4
    with pytest.raises(MissingContext, match=f"expected the night of {last}, whole"):
        wiring.standings(date(2025, 6, 2))


def test_no_night_and_no_session_passes_over_one_that_was_traded(
    learned_home: Path, tmp_path: Path
) -> None:
    wiring = traded_home(learned_home, tmp_path / "home")
    days = wiring.market.session_dates("bars", "MES")
    forget(wiring, days[1:5], "learning_state", "calibration")

    with pytest.raises(MissingContext, match=f"expected the night of {days[1]}, whole"):
        wiring.standings(date(2025, 6, 2))
    ended = credence(tmp_path / "home", "learn", "--from", str(days[5]), mode="paper")

    assert ended.code != Exit.DONE
    assert f"expected the night of {days[1]}, which the desk traded" in ended.err
    assert f"run credence learn --from {days[1]}" in ended.err
    assert sessions_to_learn(wiring, days[1], None) == days[1:]


def test_half_a_night_of_a_rehearsal_opens_no_session(learned_home: Path, tmp_path: Path) -> None:
    wiring = wiring_of(copied(learned_home, tmp_path / "home"))
    last = wiring.market.session_dates("bars", "MES")[-1]
    forget(wiring, [last], "calibration")

    with pytest.raises(MissingContext, match=f"expected the night of {last}, whole"):
        wiring.standings(date(2025, 6, 2))


def test_a_desk_that_never_traded_is_opened_under_nothing(tmp_path: Path) -> None:
    assert wiring_of(tmp_path / "home").standings(date(2025, 6, 2)) == {}
