"""`credence report`: the page, its gist, and an exit code that a script can act on."""

from pathlib import Path

import pytest
from command_line import copied, credence

DAY, NEXT = "2025-01-07", "2025-01-10"
TRADED_DAY = "2025-01-08"


@pytest.fixture(scope="module")
def home(replayed_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(replayed_home, tmp_path_factory.mktemp("report") / "home")


def test_a_session_without_its_night_has_a_page_that_says_so(home: Path) -> None:
    ended = credence(home, "report", DAY)

    assert ended.code == 1
    assert "Tuesday 2025-01-07" in ended.out
    assert (
        "The night has not learned from this session: run credence learn, or the job" in ended.out
    )
    assert "No bar was decided on." not in ended.out
    page = home / "reports" / "sessions" / "MES" / f"{DAY}.html"
    assert f"the page is {page}" in ended.err
    assert "The night has not learned from this session" in page.read_text()


def test_a_page_before_the_night_tells_the_trades_of_the_journal(
    home: Path, learned_home: Path, tmp_path: Path
) -> None:
    known = copied(learned_home, tmp_path / "home")
    assert credence(known, "replay").code == 0  # As `home` was: without what nights taught.
    assert credence(known, "learn").code == 0
    names = ("trades", "wins", "net_usd", "bars", "entries", "setups_refused", "is_ledger_equal")

    before, after = (credence(each, "report", TRADED_DAY, "--json").json for each in (home, known))

    assert before["trades"] > 0
    assert before["bars"] == 390
    assert [before[name] for name in names] == [after[name] for name in names]
    assert before["headline"].split(".")[0] in after["headline"].replace(" (", ". (")


def test_the_same_session_gives_the_same_page(home: Path) -> None:
    first = credence(home, "report", DAY, "--json").json
    page = Path(first["page"])
    before = page.read_bytes()

    again = credence(home, "report", DAY, "--json").json

    assert again == first
    assert page.read_bytes() == before


def test_the_review_before_the_open_is_one_page_beside_the_data_docs(home: Path) -> None:
    ended = credence(home, "report", NEXT, "--preopen", "--json")

    answer = ended.json
    assert answer["reviewed"] == "2025-01-08"
    assert answer["is_green"] == (ended.code == 0)
    page, docs = Path(answer["page"]), Path(answer["data_docs"])
    assert page == home / "reports" / "preopen" / "MES" / f"{NEXT}.html"
    assert (page.parent / "../../" / docs.name).resolve() == docs
    assert f'href="../../{docs.name}"' in page.read_text()
    assert "No night has been done yet" in page.read_text()


def test_a_day_that_cannot_be_told_of_is_refused_with_the_way_out(home: Path) -> None:
    nothing = credence(home, "report", "2025-01-02", "--preopen")
    holiday = credence(home, "report", "2025-01-01")

    assert (nothing.code, holiday.code) == (2, 2)
    assert "expected a session stored before 2025-01-02 to review, found none" in nothing.err
    assert "2025-01-01" in holiday.err


def test_a_session_that_nobody_played_is_refused(ingested_home: Path, tmp_path: Path) -> None:
    home = copied(ingested_home, tmp_path / "home")

    ended = credence(home, "report", DAY)

    assert ended.code == 2
    assert (
        f"expected a journal with session {DAY}, found none in {home / 'journals'}; "
        f"make one: credence replay --from {DAY} --to {DAY}"
    ) in ended.err
