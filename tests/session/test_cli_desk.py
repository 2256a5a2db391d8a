"""`credence session` and a person's levers, as they are typed."""

import subprocess
import sys

import pytest
from command_line import credence

FIRST, DAY = "2024-06-24", "2024-07-03"
"""The session that is played is a half day."""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    ingested = credence(home, "ingest", "generator:7", "--from", FIRST, "--to", DAY)
    assert ingested.code == 0, ingested.err
    return home


@pytest.fixture(scope="module")
def traded(home):
    asked = ("--mode", "paper", "--broker", "simulated", "--date", DAY, "--json")
    return home, credence(home, "session", *asked)


def test_a_session_by_hand_tells_its_decisions_and_ends_with_one_object(traded):
    _, ended = traded

    answer = ended.json
    assert ended.code == 0, ended.err
    assert (answer["ending"], answer["mode"], answer["position"]) == ("closed", "paper", 0)
    assert sum(answer["actions"].values()) == answer["bars"] == 210
    assert "09:31 ET skip" in ended.err


def test_a_session_that_is_over_is_wrong_usage(traded):
    home, _ = traded

    again = credence(home, "session", "--mode", "paper", "--broker", "simulated", "--date", DAY)

    assert again.code == 2
    assert "was closed at" in again.err


def test_the_levers_of_a_desk_at_rest_are_those_of_its_last_session(traded):
    home, _ = traded

    killed = credence(home, "kill", "--reason", "a test", "--broker", "simulated")
    status = credence(home, "status")
    refused = credence(home, "resume", "--reason", " ")
    resumed = credence(home, "resume", "--reason", "looked at it")
    again = credence(home, "resume", "--reason", "once more", "--json")

    assert [each.code for each in (killed, refused, resumed, again)] == [0, 1, 0, 1]
    assert "the broker says flat" in killed.out
    assert "killed since" in status.out
    assert "desk/paper/MES.sqlite" in status.out
    assert "needs a reason" in refused.err
    assert again.json["outcome"] == "refused"


def test_a_live_session_without_its_conditions_is_a_no(home):
    ended = credence(home, "session", "--mode", "live", "--broker", "simulated", "--date", DAY)

    assert ended.code == 1
    assert "CREDENCE_LIVE_ACCOUNT" in ended.err


def test_a_live_session_without_an_account_asks_no_network(home):
    port = {"broker": "ibkr", "ibkr_port": 1}

    ended = credence(home, "session", "--mode", "live", "--date", DAY, **port)

    assert ended.code == 1
    assert "CREDENCE_LIVE_ACCOUNT" in ended.err
    assert "Nothing was connected to" in ended.err


def test_a_kill_without_a_broker_gives_up_as_told_and_stands(home):
    port = ("--broker", "gateway", "--port", "1", "--give-up", "0", "--mode", "observe")

    ended = credence(home, "kill", *port)

    assert ended.code == 3
    assert "cannot be reached" in ended.out
    assert "killed" in credence(home, "status").out


def test_a_lever_for_a_living_session_waits_for_none_of_the_desks_libraries() -> None:
    code = "import sys, pipelines.cli, pipelines.commands.levers; print(*sys.modules)"

    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    heavy = {"polars", "numpy", "dagster", "duckdb", "pandera", "ib_insync", "exchange_calendars"}
    assert heavy & set(ended.stdout.split()) == set()
