"""The race: an engine that cannot take part, or falls, has a row that says so; the others go on."""

import os
import sys
from dataclasses import asdict, replace
from pathlib import Path

import orjson
import pytest
from command_line import credence

from engine.errors import SettingsError
from pipelines.commands import bench_against
from pipelines.commands.exits import Exit
from pipelines.stopwatch.comparison import Cause, Comparison, Difference
from pipelines.stopwatch.engines import ENGINES, engines_named
from pipelines.stopwatch.environments import Unusable, environment_of
from pipelines.stopwatch.race import Entrant, Run, bars_per_second, one_core, run_once
from pipelines.stopwatch.side_by_side import Compared, SideBySide

RUN = Run(
    version="1.0",
    setup_seconds=1.0,
    warm_up_seconds=0.0,
    run_seconds=2.0,
    cpu_seconds=1.0,
    peak_rss_mb=100.0,
    trades=(),
)


def entrant(key: str, *seconds: float, command: tuple[str, ...] = ()) -> Entrant:
    runs = [replace(RUN, run_seconds=took) for took in seconds]
    return Entrant(key=key, title=f"the {key}", simulates="all of it", command=command, runs=runs)


def script(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_every_engine_has_its_script_and_its_pinned_packages() -> None:
    for engine in ENGINES:
        lines = engine.requirements.read_text(encoding="utf-8").split()

        assert engine.script.is_file()
        assert lines
        assert all("==" in line for line in lines)


def test_an_engine_is_chosen_by_its_name_or_all_are() -> None:
    assert engines_named("all") == ENGINES
    assert [engine.key for engine in engines_named("vectorbt")] == ["vectorbt"]
    with pytest.raises(SettingsError, match="expected one of all, nautilus, backtesting"):
        engines_named("moon")


def test_an_engine_that_cannot_be_installed_says_why(tmp_path: Path) -> None:
    missing = tmp_path / "requirements.txt"
    missing.write_text(f"{tmp_path}/nowhere-1.0-py3-none-any.whl\n", encoding="utf-8")

    answer = environment_of(replace(ENGINES[0], requirements=missing), tmp_path / "place")

    assert isinstance(answer, Unusable)
    assert answer.reason.startswith("not installable here: ")
    assert "nowhere" in answer.reason


def test_a_script_that_falls_keeps_its_last_words_and_is_not_asked_again(tmp_path: Path) -> None:
    count = tmp_path / "count"
    code = f"open({str(count)!r}, 'a').write('x'); raise ValueError('no bars')"
    falls = entrant("falls", command=script(code))

    run_once(falls, tmp_path / "answer.json")
    run_once(falls, tmp_path / "answer.json")

    assert falls.problem is not None
    assert "ended with code 1: ValueError: no bars" in falls.problem
    assert falls.runs == []
    assert count.read_text(encoding="utf-8") == "x"


@pytest.mark.parametrize("words", ["", "[]", '{"version": "1.0"}'])
def test_an_answer_that_is_none_is_told(words: str, tmp_path: Path) -> None:
    code = f"import sys; open(sys.argv[1], 'w').write({words!r})"
    mumbles = entrant("mumbles", command=script(code))

    run_once(mumbles, tmp_path / "answer.json")

    assert mumbles.problem is not None
    assert mumbles.problem.startswith("its answer could not be read")


def test_nobody_is_given_the_answer_of_the_one_before(tmp_path: Path) -> None:
    answer = tmp_path / "answer.json"
    answer.write_bytes(orjson.dumps(asdict(RUN)))
    silent = entrant("silent", command=script("pass"))

    run_once(silent, answer)

    assert silent.runs == []
    assert silent.problem is not None
    assert "FileNotFoundError" in silent.problem


def test_a_run_has_one_core_and_ours_are_given_back(tmp_path: Path) -> None:
    usual = os.sched_getaffinity(0)

    with one_core():
        inside = os.sched_getaffinity(0)

    assert inside == {max(usual)}
    assert os.sched_getaffinity(0) == usual


def test_speed_is_that_of_the_median_run() -> None:
    runs = entrant("a", 4.0, 2.0, 10.0)

    assert bars_per_second(runs, 1_000) == 250.0
    assert bars_per_second(runs, 1_000, "cpu_seconds") == 1_000.0
    assert bars_per_second(entrant("b"), 1_000) is None


def test_the_ratio_compares_each_run_with_that_of_its_own_turn() -> None:
    measured = side_by_side(
        entrant("full", 2.0, 20.0, 2.0), entrant("trades", 1.0), entrant("nautilus", 4.0, 40.0, 2.0)
    )

    full, full_cpu, trades, trades_cpu, busy = bench_against.ratio_rows(measured)

    assert (full["value"], full["passed"], full["runs"]) == (2.0, True, [2.0, 2.0, 1.0])
    assert (trades["value"], trades["passed"]) == (4.0, False)
    assert [row["value"] for row in (full_cpu, trades_cpu)] == [1.0, 1.0]
    assert [row["passed"] for row in (full_cpu, trades_cpu)] == [None, None]
    assert (busy["value"], busy["passed"]) == (100.0, None)


def test_without_nautilus_the_targets_are_neither_met_nor_missed() -> None:
    measured = side_by_side(entrant("full", 2.0), entrant("trades", 1.0))

    assert [row["passed"] for row in bench_against.ratio_rows(measured)] == [None] * 5


def test_a_difference_without_a_cause_is_a_no() -> None:
    odd = Difference(cause=Cause.UNEXPLAINED, ours=None, theirs=None)
    known = Difference(cause=Cause.FEES, ours=None, theirs=None)

    assert bench_against.is_explained(side_by_side(compared=(known,)))
    assert not bench_against.is_explained(side_by_side(compared=(known, odd)))


def test_the_table_shows_who_did_not_run_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    absent = entrant("absent")
    absent.problem = "not installable here: no network"
    measured = side_by_side(entrant("full", 2.0), absent)

    bench_against.show(bench_against.Screen.of_process(), measured)

    shown = capsys.readouterr().out
    assert "did not run" in shown
    assert "the absent: not installable here: no network" in shown
    assert "500" in shown


def test_an_unknown_engine_is_wrong_usage(tmp_path: Path) -> None:
    ended = credence(tmp_path, "bench", "--against", "moon")

    assert ended.code == Exit.USAGE
    assert "expected one of all, nautilus, backtesting, backtrader, vectorbt" in ended.err


def test_bars_belong_to_the_race_alone(tmp_path: Path) -> None:
    ended = credence(tmp_path, "bench", "--bars", "5000")

    assert ended.code == Exit.USAGE
    assert "expected --against NAME beside --bars" in ended.err


def side_by_side(*entrants: Entrant, compared: tuple[Difference, ...] = ()) -> SideBySide:
    row = Compared(
        words="busy rule, at this close",
        engine="nautilus",
        title="the x",
        bars=1_000,
        ours=1,
        theirs=1,
        bars_per_cpu_second=10.0,
        result=Comparison(same=0, differences=compared),
    )
    return SideBySide(bars=1_000, entrants=entrants, compared=(row,))
