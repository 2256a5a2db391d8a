"""The program itself: usage, exit codes, messages, and `credence status`."""

import json
import os
import resource
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from command_line import copied, credence

from contracts import contracts_hash
from engine.desk import fact_of, fold
from engine.desk.encoding import entry_of
from engine.errors import CredenceError, JournalError, SchemaError, StorageFull
from engine.journal import Kind, Stamp
from engine.kill import FlatVerified, KillCause, KillEvent, KillState, KillSwitch, change
from pipelines.commands.exits import Exit, ending_of
from pipelines.dagster_home import dagster_folder_of, lock_of
from pipelines.journal_store import JournalReader, JournalWriter
from pipelines.session.kill_switch import kill_switch_of
from pipelines.settings import Settings
from pipelines.wiring import Wiring

COMMANDS = (
    "demo",
    "up",
    "ingest",
    "replay",
    "status",
    "verify",
    "journal",
    "fit-beliefs",
    "bench",
)
NOON = datetime(2025, 1, 2, 17, 0, tzinfo=UTC)


def test_a_bare_call_lists_the_commands_and_is_wrong_usage(tmp_path: Path) -> None:
    ended = credence(tmp_path)

    assert ended.code == Exit.USAGE
    assert all(f" {name} " in ended.out + ended.err for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, tmp_path: Path) -> None:
    ended = credence(tmp_path, name, "--help")

    assert ended.code == Exit.DONE
    assert f"credence {name}" in ended.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("trade",), "No such command 'trade'"),
        (("status", "--verbose"), "No such option: --verbose"),
        (("ingest",), "Missing argument 'SRC'"),
        (("ingest", "generator:7", "--from", "2025-13-01"), "YYYY-MM-DD, like 2025-10-06"),
        (("replay", "--equity", "-3"), "expected an amount above 0 in US dollars, got '-3'"),
        (("replay", "--equity", "lots"), "expected an amount above 0 in US dollars, got 'lots'"),
        (("replay", "--journal", "some"), "'some' is not"),
        (("journal",), "Missing argument 'DATE'"),
        (("journal", "2025-01-02", "--at", "24:99"), "HH:MM, like 10:42, got"),
        (("up", "--port", "99999"), "less than or equal to 65535"),
        (("demo", "--sessions", "1"), "greater than or equal to 2"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_what_is_wrong(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    ended = credence(tmp_path, *arguments)

    assert ended.code == Exit.USAGE
    assert said in " ".join(ended.err.replace("│", " ").split())
    assert not list(tmp_path.iterdir())


def test_a_misspelt_setting_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    ended = credence(tmp_path, "status", sorce="lean:bars")

    assert ended.code == Exit.USAGE
    assert "CREDENCE_SORCE: no such setting; did you mean CREDENCE_SOURCE?" in ended.err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SchemaError("column x"), Exit.USAGE, "column x"),
        (StorageFull("no room"), Exit.OUTSIDE, "no room"),
        (JournalError("broken"), Exit.OUTSIDE, "broken"),
        (CredenceError("other"), Exit.OUTSIDE, "other"),
        (PermissionError(13, "Permission denied", "/x"), Exit.OUTSIDE, "/x: the system refused"),
        (ZeroDivisionError("by zero"), Exit.OUTSIDE, "unexpected ZeroDivisionError: by zero"),
    ],
)
def test_every_error_has_its_exit_code_and_one_message(
    error: Exception, code: Exit, said: str
) -> None:
    ended = ending_of(error)

    assert ended[0] == code
    assert said in ended[1]


def test_an_unforeseen_error_says_how_to_learn_more() -> None:
    assert "credence --traceback" in ending_of(ZeroDivisionError("by zero"))[1]


def test_a_traceback_is_shown_on_request_only(tmp_path: Path) -> None:
    quiet = credence(tmp_path, "ingest", "teletype:1")
    loud = credence(tmp_path, "--traceback", "ingest", "teletype:1")

    assert (quiet.code, loud.code) == (Exit.USAGE, Exit.USAGE)
    assert "Traceback" not in quiet.err
    assert "Traceback" in loud.err
    assert quiet.err.startswith("error: expected a source, one of generator:SEED")


def test_a_home_that_is_a_file_is_wrong_input_and_said_to_be_one(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("not a folder")

    ended = credence(home, "ingest", "generator:7", "--from", "2025-01-02", "--to", "2025-01-02")

    assert ended.code == Exit.USAGE
    assert f"CREDENCE_HOME: expected a folder, {home} is a file" in ended.err


def test_the_status_of_an_empty_home_says_how_to_begin_and_creates_nothing(
    tmp_path: Path,
) -> None:
    home = tmp_path / "new"

    ended = credence(home, "status")

    assert ended.code == Exit.DONE
    assert "Nothing is stored yet" in ended.out
    assert "credence ingest generator:7" in ended.out
    assert not home.exists()


def test_a_path_with_brackets_is_shown_as_it_is(tmp_path: Path) -> None:
    home = tmp_path / "[bold]home"

    ended = credence(home, "status")

    assert str(home) in ended.out


def test_the_status_counts_what_is_stored(replayed_home: Path) -> None:
    answer = credence(replayed_home, "status", "--json").json

    head = JournalReader(replayed_home / "journals" / "replay-MES.sqlite").head()
    assert list(answer) == [
        "version",
        "home",
        "symbol",
        "source",
        "contracts_hash",
        "contracts_problem",
        "contracts_unsettled",
        "dagster",
        "desk",
        "session",
        "session_problem",
        "tables",
        "warehouse_bytes",
        "journals",
    ]
    assert answer["contracts_hash"] == contracts_hash()
    assert answer["tables"] == [
        {
            "table": table,
            "sessions": 6,
            "first_session_date": "2025-01-02",
            "last_session_date": "2025-01-10",
        }
        for table in ("bars", "rejected_bars")
    ]
    assert answer["journals"] == [
        {
            "name": "journals/replay-MES.sqlite",
            "others": 0,
            "events": head.seq,
            "last_at": "2025-01-10T21:05:00.000000+00:00",
            "last_kind": "session",
            "last_session_date": "2025-01-10",
            "problem": None,
        }
    ]
    assert (answer["desk"]["state"], answer["session"]) == (None, None)


OWN = "desk/paper/MES.sqlite"
"""The journal of a desk that traded a paper account, among the journals."""


def test_the_desks_own_journal_speaks_before_a_newer_rehearsal_or_alert(tmp_path: Path) -> None:
    journals = tmp_path / "journals"
    day = date(2025, 1, 2)
    _write_kill(journals / "desk" / "paper" / "MES.sqlite", day)
    with JournalWriter(journals / "rehearsals" / "MES" / f"{day}.sqlite"):
        pass
    with JournalWriter(journals / "alerts.sqlite"):
        pass

    desk = credence(tmp_path, "status", "--json").json["desk"]

    assert desk["journal"] == "journals/desk/paper/MES.sqlite"
    assert desk["state"] == "killed"


@pytest.mark.parametrize("run", ["waiting", "running"])
def test_a_session_whose_process_is_gone_is_said_to_be_gone(tmp_path: Path, run: str) -> None:
    beat = {
        "at": "2025-01-02T15:00:00+00:00",
        "pid": 1,
        "life": "another life",
        "run": run,
        "mode": "paper",
        "symbol": "MES",
        "session_date": "2025-01-02",
        "account_id": "DU1",
        "market_now": None,
        "desk": "running",
        "desk_text": "",
        "is_flat_verified": True,
        "position": 1,
        "trade": "x",
        "last_bar_at": None,
        "decision": None,
        "feed": "live",
        "is_connected": True,
        "bars": 3,
        "text": "",
    }
    path = tmp_path / "session" / "heartbeat.json"
    path.parent.mkdir()
    path.write_text(json.dumps(beat))

    ended = credence(tmp_path, "status")

    assert "2025-01-02 paper: its process is gone, position 1" in ended.out


def test_the_status_names_a_heartbeat_of_another_version(tmp_path: Path) -> None:
    path = tmp_path / "session" / "heartbeat.json"
    path.parent.mkdir()
    path.write_text('{"mood": "calm"}')

    shown = credence(tmp_path, "status")
    answer = credence(tmp_path, "status", "--json").json

    assert answer["session"] is None
    assert answer["session_problem"].startswith(f"{path}: expected a heartbeat of this version")
    assert "nobody sees whether its session run lives" in " ".join(shown.out.split())
    assert "none ran yet" not in shown.out


def test_the_status_shows_the_same_to_a_person(replayed_home: Path) -> None:
    ended = credence(replayed_home, "status")

    assert "2025-01-10 16:05:00 ET" in ended.out
    assert "not running; start it with: credence up" in ended.out
    assert "may trade: it has no journal of a session, and so no halt" in ended.out
    assert "none ran yet; start one with: credence session" in ended.out
    assert ended.err == ""


def test_the_status_of_rehearsals_is_one_line_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "journals" / "rehearsals" / "MES"
    for day in (date(2025, 1, 2), date(2025, 1, 3)):
        _write_kill(folder / f"{day}.sqlite", day)

    answer = credence(tmp_path, "status", "--json").json

    assert [each["others"] for each in answer["journals"]] == [1]


def test_a_damaged_journal_does_not_hide_the_others(replayed_home: Path, tmp_path: Path) -> None:
    home = copied(replayed_home, tmp_path / "home")
    (home / "journals" / "garbage.sqlite").write_bytes(b"this is no database" * 1_000)

    ended = credence(home, "status", "--json")

    problems = {each["name"]: each["problem"] for each in ended.json["journals"]}
    assert ended.code == Exit.DONE
    assert problems == {
        "journals/garbage.sqlite": "file is not a database",
        "journals/replay-MES.sqlite": None,
    }


def test_a_kill_in_a_replay_or_a_rehearsal_is_none_of_the_desk(tmp_path: Path) -> None:
    day = NOON.date()
    _write_kill(tmp_path / "journals" / "replay-MES.sqlite", day)
    _write_kill(tmp_path / "journals" / "rehearsals" / "MES" / f"{day}.sqlite", day)

    ended = credence(tmp_path, "status", "--json")

    assert set(ended.json["desk"].values()) == {None}


def test_a_kill_without_a_reason_says_so(tmp_path: Path) -> None:
    _write_kill(tmp_path / "journals" / OWN, NOON.date(), text="")

    ended = credence(tmp_path, "journal", str(NOON.date()))
    status = credence(tmp_path, "status")

    assert "the desk is killed, by desk: data_quality." in ended.out
    assert "no reason given; the broker was not seen flat" in status.out


def test_the_status_of_a_killed_desk_is_that_of_its_own_fold(tmp_path: Path) -> None:
    path = tmp_path / "journals" / OWN
    _write_kill(path, NOON.date())

    ended = credence(tmp_path, "status", "--json")

    reader = JournalReader(path)
    rules = Wiring(settings=Settings(home=tmp_path)).rules
    assert kill_switch_of(reader) == fold(map(fact_of, reader.events()), rules).kill
    assert ended.json["desk"] == {
        "state": "killed",
        "cause": "data_quality",
        "text": "DVS 0.10 is below 0.3",
        "since": "2025-01-02T17:00:00+00:00",
        "is_flat_verified": False,
        "journal": f"journals/{OWN}",
    }


@pytest.mark.parametrize("has_traded", [True, False])
def test_the_file_kill_kills_in_the_status_as_it_does_to_the_sensor(
    tmp_path: Path, has_traded: bool
) -> None:
    wiring = Wiring(settings=Settings(home=tmp_path, mode="paper"))
    if has_traded:
        assert credence(tmp_path, "halt", "--mode", "paper").code == Exit.DONE
    kill_file = wiring.session_files.kill_file
    kill_file.write_text("the phone rang")

    desk = credence(tmp_path, "status", "--json").json["desk"]
    shown = credence(tmp_path, "status")

    switch = wiring.kill_switch()
    assert (desk["state"], desk["cause"], desk["text"]) == ("killed", "person", switch.text)
    assert desk["journal"] == (f"journals/{OWN}" if has_traded else None)
    assert switch.is_killed
    assert f"killed: the file {kill_file} is there" in " ".join(shown.out.split())
    assert "may trade" not in shown.out


def test_a_kill_that_was_seen_flat_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "journals" / "replay-MES.sqlite"
    _write_kill(path, NOON.date(), FlatVerified(at=NOON))

    reader = JournalReader(path)

    assert kill_switch_of(reader).state is KillState.KILLED
    assert kill_switch_of(reader).is_flat_verified
    assert len(list(reader.events(kinds=(Kind.KILL,)))) == 2


def test_the_status_knows_whether_the_ui_runs(tmp_path: Path) -> None:
    folder = dagster_folder_of(tmp_path)
    folder.mkdir()

    with lock_of(folder):
        held = credence(tmp_path, "status", "--json").json["dagster"]
    released = credence(tmp_path, "status", "--json").json["dagster"]

    assert held["is_up"] is True
    assert released["is_up"] is False


def test_settings_are_listed_and_secrets_are_not(tmp_path: Path) -> None:
    secret = "mailto://desk:hunter2@example.com"

    ended = credence(tmp_path, "status", "--settings", alerts=secret)
    as_json = credence(tmp_path, "status", "--settings", "--json", alerts=secret)

    assert all(f"CREDENCE_{name.upper()}" in ended.out for name in Settings.model_fields)
    assert "hunter2" not in ended.out + ended.err + as_json.out + as_json.err
    assert as_json.json["CREDENCE_HOME"] == str(tmp_path)


def test_the_status_loads_nothing_heavy(replayed_home: Path) -> None:
    heavy = ("polars", "numpy", "duckdb", "dagster", "pandera", "pandas", "exchange_calendars")
    program = (
        "import sys; from pipelines.cli import run; code = run(['status']);"
        f"print('loaded', [name for name in {heavy!r} if name in sys.modules], code)"
    )

    done = _python(replayed_home, "-c", program)

    assert done.stdout.splitlines()[-1] == "loaded [] 0"


def test_the_status_answers_at_once(replayed_home: Path) -> None:
    seconds = []
    for _ in range(5):
        before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        done = _python(replayed_home, "-m", "pipelines.cli", "status")
        seconds.append(sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before)
        assert done.returncode == 0

    assert min(seconds) < 1.5  # Processor time: what else the machine does must not decide.


def test_a_reader_that_goes_away_is_no_crash(replayed_home: Path) -> None:
    command = f"{sys.executable} -m pipelines.cli journal 2025-01-02 --skips | head -1"

    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        env=os.environ | {"CREDENCE_HOME": str(replayed_home)},
        check=True,
    )

    assert done.stdout.startswith("Thursday 2025-01-02")
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


STATUS_ON_ONE_STREAM = (
    "import os, sys; from contextlib import redirect_stderr; from pipelines.cli import run\n"
    "with redirect_stderr(sys.stdout):"
    " run(['status'], {**os.environ, 'CREDENCE_SYMBOL': 'ESX'})"
)


def _python(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"CREDENCE_HOME": str(home)},
        check=False,
    )


def _write_kill(
    path: Path, day: date, *more: FlatVerified, text: str = "DVS 0.10 is below 0.3"
) -> None:
    killed = change(
        KillSwitch(),
        KillEvent.TRIGGERED,
        at=NOON,
        cause=KillCause.DATA_QUALITY,
        text=text,
    )
    with JournalWriter(path) as journal:
        journal.append(map(entry_of, (killed, *more)), Stamp(day, contracts_hash(), "test"))


def test_the_status_says_first_that_the_contracts_would_be_refused(tmp_path: Path) -> None:
    together = _python(tmp_path, "-c", STATUS_ON_ONE_STREAM)
    ran = credence(tmp_path, "status", symbol="ESX")

    assert ran.code == Exit.USAGE
    assert "no session can trade" in ran.err
    assert "expected a block 'ESX'" in ran.err
    assert together.stdout.startswith("error: no session can trade")


def test_a_desk_on_refused_contracts_does_not_come_up(tmp_path: Path) -> None:
    ran = credence(tmp_path, "up", symbol="ESX")

    assert ran.code == 2
    assert "expected a block 'ESX'" in ran.err
