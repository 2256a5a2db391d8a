"""A session whose exit nobody was told: the desk is locked out until a person accepts it, exactly.

On a real home that ran one session on paper until its process died with a position.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from command_line import copied, credence, ingested

from engine.broker import AccountReported
from engine.desk import Mode, SessionOpened, fact_of
from engine.desk.encoding import entry_of
from engine.errors import InputRefused, MissingContext
from engine.journal import Entry, Event, Kind, Stamp
from pipelines.commands.accept_difference import run_accept_difference
from pipelines.commands.exits import Exit
from pipelines.journal_store import JournalReader, JournalWriter
from pipelines.settings import load_settings
from pipelines.wiring import Wiring

AFTER = date(2025, 1, 13)


def wiring_of(home: Path) -> Wiring:
    return Wiring(settings=load_settings({"CREDENCE_HOME": str(home), "CREDENCE_MODE": "paper"}))


def until_the_first_fill(events: Sequence[Event]) -> list[Event]:
    """The events until an entry was filled and paid for, and the bars of the next minutes."""
    filled = next(at for at, each in enumerate(events) if each.kind == Kind.EXECUTION)
    return list(events[: filled + 8])


def write(path: Path, events: Sequence[Event]) -> None:
    """A journal of some events, as a desk on paper would have left it."""
    with JournalWriter(path) as writer:
        for each in events:
            stamp = Stamp(
                date.fromisoformat(each.session_date), each.contracts_hash, each.code_version
            )
            at = datetime.fromisoformat(each.at)
            entry = Entry(each.kind, at, each.payload, each.decision_id, each.order_ref)
            fact = fact_of(each)
            if isinstance(fact, SessionOpened):
                entry = entry_of(replace(fact, mode=Mode.PAPER))
            writer.append([entry], stamp)


@pytest.fixture(scope="module")
def struck(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose desk died in its only session, with a position."""
    home = ingested(tmp_path_factory.mktemp("struck") / "home")
    assert credence(home, "replay").code == Exit.DONE
    journals = wiring_of(home).session_journals
    events = list(JournalReader(journals.replayed).events())
    day = next(each.session_date for each in events if each.kind == Kind.EXECUTION)
    own = [each for each in events if each.session_date == day]
    write(journals.traded(Mode.PAPER), until_the_first_fill(own))
    journals.replayed.unlink()
    return home


def day_of(home: Path) -> date:
    (day,) = wiring_of(home).session_journals.traded_dates()
    return day


def learn(home: Path) -> tuple[int, str]:
    day = str(day_of(home))
    ended = credence(home, "learn", "--from", day, "--to", day)
    return ended.code, ended.err


def accept(home: Path, *arguments: str) -> tuple[int, str]:
    ended = credence(home, "accept-difference", str(day_of(home)), *arguments)
    return ended.code, ended.err


def test_a_person_lets_the_desk_in_again_by_naming_the_difference_and_only_so(
    struck: Path, tmp_path: Path
) -> None:
    home = copied(struck, tmp_path / "home")
    day, wiring = str(day_of(home)), wiring_of(home)
    shown = credence(home, "accept-difference", day, "--json")
    usd, lots = shown.json["difference_usd"], str(shown.json["lots"])
    why = ("--why", "the PC died", "--by", "ann")
    more = str(Decimal(usd) + Decimal("0.01"))

    locked = learn(home)
    with pytest.raises(MissingContext):
        wiring.standings(AFTER)
    refused = [
        accept(home, "--usd", more, "--lots", lots, *why),
        accept(home, "--usd", usd, "--lots", "0", *why),
        accept(home, "--usd", usd, "--lots", lots),
        accept(home, "--usd", "12.345", "--lots", lots, *why),
        accept(home, "--usd", usd, *why),
    ]
    still_locked = learn(home)
    given = accept(home, "--usd", usd, "--lots", lots, *why)
    opened = learn(home)

    assert shown.code == Exit.NO
    assert abs(int(lots)) == 1
    assert [locked[0], still_locked[0]] == [Exit.NO, Exit.NO]
    assert "ledger_equals_cash" in locked[1]
    assert [code for code, _ in refused] == [Exit.USAGE] * 5
    assert f"the difference is {Decimal(usd):+.2f} USD and {int(lots):+d} lot" in refused[0][1]
    assert given[0] == Exit.DONE
    assert opened[0] == Exit.DONE, opened[1]
    assert opened[1].count("ann accepted a difference of") == 2
    assert wiring.standings(AFTER)
    tables = {
        name: wiring.warehouse.read(name, "MES", date(2025, 1, 1), AFTER)
        for name in ("executions", "trades")
    }
    assert (tables["executions"].height, tables["trades"].height) == (1, 0)
    (word,) = wiring.learning_journal.accepted(date.fromisoformat(day))
    assert (word.by, word.why, word.mode) == ("ann", "the PC died", Mode.PAPER)
    report = credence(home, "report", day)
    assert "One entry whose end no execution tells: its result is unknown" in report.out
    assert "Ledger and broker differ, as was accepted" in report.out
    told = credence(home, "journal", day, "--json").json["told"][-1]["text"]
    assert "ann accepted a difference of" in told
    (found,) = [
        each
        for each in credence(home, "verify", "--json").json["findings"]
        if each["check"] == "ledger = cash"
    ]
    assert found["passed"] is True
    assert "ann accepted a difference of" in found["evidence"]

    pay(home, Decimal("-5.00"))
    lapsed = learn(home)
    of_verify = credence(home, "verify")

    assert lapsed[0] == Exit.NO
    assert "which it no longer is" in lapsed[1]
    assert of_verify.code == Exit.NO
    assert credence(home, "accept-difference", day).code == Exit.NO


def pay(home: Path, usd: Decimal) -> None:
    """The broker tells of another equity, late."""
    path = wiring_of(home).session_journals.traded(Mode.PAPER)
    events = list(JournalReader(path).events())
    told = [fact_of(each) for each in events if each.kind == Kind.ACCOUNT]
    last = [each.equity_usd for each in told if isinstance(each, AccountReported)][-1]
    assert last is not None
    stamp = Stamp(day_of(home), events[-1].contracts_hash, events[-1].code_version)
    report = AccountReported(
        at=datetime.fromisoformat(events[-1].at), equity_usd=last + usd, available_funds_usd=None
    )
    with JournalWriter(path) as writer:
        writer.append([entry_of(report)], stamp)


def test_books_that_balance_have_nothing_to_accept(replayed_home: Path) -> None:
    balanced = credence(replayed_home, "accept-difference", "2025-01-03")
    given = credence(
        *(replayed_home, "accept-difference", "2025-01-03"),
        *("--usd", "0", "--lots", "0", "--why", "nothing"),
    )

    assert balanced.code == Exit.DONE
    assert "They balance." in balanced.out
    assert given.code == Exit.USAGE
    assert "there is nothing to accept" in given.err


def test_a_session_that_may_go_on_is_not_accepted(struck: Path) -> None:
    home, day = struck, day_of(struck)
    early = Wiring(
        settings=load_settings({"CREDENCE_HOME": str(home)}),
        clock=lambda: datetime(day.year, day.month, day.day, 20, 30, tzinfo=UTC),
    )
    with pytest.raises(InputRefused, match="expected a session that is over"):
        run_accept_difference(early, day, usd=None, lots=None, by=None, why=None, as_json=True)
