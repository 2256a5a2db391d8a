"""What was told of the market, on a disk that lost power in the middle of a line."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from lever_stage import SOON, kept_broker
from replay_market import RULES
from session_stage import SessionStage, session
from told_bars import PLAIN, SESSION

from engine.broker import BarReported
from engine.desk import Mode
from engine.kill import KillState
from pipelines.session.bars import SessionBars
from pipelines.session.plan import Ending, StopPolicy


def bar(minute: int) -> BarReported:
    opens_at = PLAIN.opens_at + timedelta(minutes=minute)
    return replace(PLAIN, opens_at=opens_at, at=opens_at + timedelta(minutes=1))


TOLD = tuple(bar(minute) for minute in range(3))


def opened(folder: Path, said: list[str]) -> SessionBars:
    return SessionBars(SESSION, RULES.instrument, folder, source="session", say=said.append)


def kept(folder: Path, bars: Iterable[BarReported]) -> bytes:
    """The log of a run that was told these bars, in this folder."""
    opened(folder, []).add([*bars])
    return (folder / "told.jsonl").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return kept(tmp_path_factory.mktemp("whole"), TOLD)


def test_a_last_line_cut_anywhere_costs_only_its_own_minute_at_every_later_start(
    tmp_path: Path, whole: bytes
) -> None:
    log = tmp_path / "told.jsonl"
    begins_at = whole.rindex(b"\n", 0, -1) + 1
    for cut_at in range(begins_at, len(whole)):
        log.write_bytes(whole[:cut_at])
        said: list[str] = []

        second = opened(tmp_path, said)
        at_start = second.frame["opens_at"].to_list()
        second.add(TOLD[2:])
        third = opened(tmp_path, said)

        assert at_start == [each.opens_at for each in TOLD[:2]]
        assert third.frame["opens_at"].to_list() == [each.opens_at for each in TOLD]
        assert log.read_bytes() == whole
        assert len(said) == (cut_at > begins_at)
        assert all(f"{log}, line 3: cut short" in line for line in said)


@pytest.mark.parametrize(
    "line", [b'{"at":"2024-11-29T14:3{"at":', b"\0\0\0", b"", b"[]", b"{}", b'{"at":5}', b"\xff"]
)
def test_a_line_that_is_no_bar_is_skipped_and_said_and_the_others_are_read(
    tmp_path: Path, whole: bytes, line: bytes
) -> None:
    first, second, third = whole.splitlines()
    log = tmp_path / "told.jsonl"
    log.write_bytes(b"\n".join((first, line, third, b"")))
    said: list[str] = []

    bars = opened(tmp_path, said)
    bars.add(TOLD)

    assert bars.frame["opens_at"].to_list() == [each.opens_at for each in TOLD]
    assert [f"{log}, line 2: not a bar" in each for each in said] == [True]
    assert log.read_bytes().splitlines()[-1] == second


def test_with_a_position_open_every_start_after_a_torn_line_goes_on_and_ends_flat(
    holding: SessionStage,
) -> None:
    stage = holding
    log = stage.files.bars(Mode.PAPER, "MES", session().session_date) / "told.jsonl"
    log.write_bytes(log.read_bytes()[:-37])

    second = stage.made(kept_broker(stage), stop_policy=StopPolicy.LEAVE_PROTECTED)
    stage.on_line = lambda line: second.stop() if " hold " in line else None
    stopped = second.run()
    stage.on_line = lambda line: None
    third = stage.run(kept_broker(stage))

    assert (stopped.ending, abs(stopped.state.position)) == (Ending.STOPPED, 1)
    assert (third.ending, third.state.position) == (Ending.CLOSED, 0)
    assert third.state.kill.state is KillState.RUNNING
    assert third.bars.height == SOON
    assert len([line for line in stage.lines if ": cut short" in line]) == 1
    assert not kept_broker(stage).positions()
