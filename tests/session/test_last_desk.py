"""Whose lever it is when nobody names a mode: that of the desk somebody acted for last."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import credence

from engine.desk import Mode
from engine.kill import KillState
from pipelines.journal_store import JournalReader, JournalWriter
from pipelines.operator_jobs import lever_desk
from pipelines.session.files import SessionFiles
from pipelines.session.kill_switch import kill_switch_of
from pipelines.session.lock import session_lock
from pipelines.settings import Settings
from pipelines.wiring import Wiring

STRUCK = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from engine.desk.encoding import entry_of
from engine.journal import Stamp
from engine.kill import FlatVerified
from engine.modes import Mode
from pipelines.journal_store import JournalReader, JournalWriter
from pipelines.session.files import SessionFiles
from pipelines.session.lock import session_lock

files = SessionFiles(home=Path(sys.argv[1]))
path = files.journal(Mode.LIVE, "MES")
day = JournalReader(path).sessions()[-1]
with (
    session_lock(files, what="a session run", mode=Mode.LIVE, symbol="MES", session_date=day),
    JournalWriter(path) as writer,
):
    writer.append([entry_of(FlatVerified(at=datetime.now(UTC)))], Stamp(day, "x", "test"))
    os.kill(os.getpid(), signal.SIGKILL)
"""
"""A process that acts for the LIVE desk and is struck by SIGKILL before SQLite tidies up."""


def let_rest(home: Path, mode: Mode) -> None:
    """A desk of this mode that was acted for, and let go of."""
    for pulled in (("halt",), ("resume", "--reason", "a test")):
        assert credence(home, *pulled, "--mode", mode.value).code == 0


def strike_live(home: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", STRUCK, str(home)], check=False)
    assert ended.returncode == -signal.SIGKILL


def state_of(home: Path, mode: Mode) -> KillState:
    return kill_switch_of(JournalReader(SessionFiles(home=home).journal(mode, "MES"))).state


def nothing(_home: Path) -> None:
    """Nothing else happens."""


def refused_on_paper(home: Path) -> None:
    """A run in another mode that was refused before it wrote anything to its journal."""
    files = SessionFiles(home=home)
    with (
        session_lock(files, what="a run", mode=Mode.PAPER, symbol="MES", session_date=None),
        JournalWriter(files.journal(Mode.PAPER, "MES")),
    ):
        pass


@pytest.mark.parametrize("has_paper", [True, False])
@pytest.mark.parametrize("after", [nothing, refused_on_paper])
def test_a_lever_and_the_status_mean_the_desk_that_was_struck_not_the_one_closed_before(
    tmp_path: Path, after: Callable[[Path], None], has_paper: bool
) -> None:
    let_rest(tmp_path, Mode.LIVE)
    if has_paper:
        let_rest(tmp_path, Mode.PAPER)
    strike_live(tmp_path)
    after(tmp_path)

    status = credence(tmp_path, "status", "--json").json
    halted = credence(tmp_path, "halt", "--reason", "what was that")

    assert status["desk"]["journal"] == "journals/desk/live/MES.sqlite"
    assert halted.code == 0
    assert state_of(tmp_path, Mode.LIVE) is KillState.HALTED
    assert not has_paper or state_of(tmp_path, Mode.PAPER) is KillState.RUNNING


def test_reading_a_journal_does_not_make_it_the_newest(tmp_path: Path) -> None:
    for mode in (Mode.PAPER, Mode.LIVE):
        let_rest(tmp_path, mode)
    list(JournalReader(SessionFiles(home=tmp_path).journal(Mode.PAPER, "MES")).events())

    assert credence(tmp_path, "halt").code == 0

    assert state_of(tmp_path, Mode.LIVE) is KillState.HALTED
    assert state_of(tmp_path, Mode.PAPER) is KillState.RUNNING


def test_a_lever_in_the_ui_means_the_desk_that_was_struck_else_its_own(tmp_path: Path) -> None:
    wiring = Wiring(settings=Settings(home=tmp_path, mode="paper", live_account="U1"))
    let_rest(tmp_path, Mode.LIVE)
    at_rest = lever_desk(wiring).mode

    strike_live(tmp_path)
    struck = lever_desk(wiring)

    assert (at_rest, struck.mode) == (Mode.PAPER, Mode.LIVE)
    assert struck.live_account == "U1"
