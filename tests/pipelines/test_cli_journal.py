"""`credence journal`: a session told in plain English, and why one decision was as it was."""

import json
import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest
from command_line import copied, credence

from contracts import load_rules
from engine.broker import FeedState
from engine.journal import Kind
from engine.ladder import LADDER, Reason
from engine.own_view import OwnFacts, own_view
from engine.risk import RiskState
from pipelines.commands.exits import Exit
from pipelines.commands.gates import GATES, Gate, GateRow, gate_rows
from pipelines.journal_store import JournalReader

JOURNAL = Path("journals") / "replay-MES.sqlite"
RULES: Final = load_rules()
NOON: Final = datetime(2025, 1, 3, 17, tzinfo=UTC)


def decisions_of(home: Path, day: str) -> list[dict[str, object]]:
    events = JournalReader(home / JOURNAL).events(
        session_date=date.fromisoformat(day), kinds=(Kind.DECISION,)
    )
    return [json.loads(event.payload) for event in events]


def a_day_with_an_entry(home: Path) -> str:
    reader = JournalReader(home / JOURNAL)
    entered = (
        event.session_date
        for event in reader.events(kinds=(Kind.DECISION,))
        if event.payload.startswith('{"action":"ENTER"')
    )
    return next(entered)


def test_a_day_is_told_by_what_was_done_and_counted_by_what_was_not(replayed_home: Path) -> None:
    day = a_day_with_an_entry(replayed_home)

    ended = credence(replayed_home, "journal", day)
    answer = credence(replayed_home, "journal", day, "--json").json

    done = [each for each in decisions_of(replayed_home, day) if each["action"] != "SKIP"]
    told = [each["decision"] for each in answer["told"] if each["decision"]]
    assert told == done
    assert sum(answer["skips_by_reason"].values()) == 390 - len(done)
    assert all(str(each["sentence"]) in ended.out for each in done)
    assert all(reason in ended.out for reason in answer["skips_by_reason"])
    assert str(replayed_home / JOURNAL) in ended.err.replace("\n", "")


def test_how_each_trade_ended_is_told_with_its_money(replayed_home: Path) -> None:
    day = a_day_with_an_entry(replayed_home)

    trades = [
        each["text"]
        for each in credence(replayed_home, "journal", day, "--json").json["told"]
        if each["kind"] == "trade"
    ]

    assert trades
    assert all(" closed by " in text and "of fees." in text for text in trades)


def test_all_bars_are_told_with_skips(replayed_home: Path) -> None:
    answer = credence(replayed_home, "journal", "2025-01-03", "--skips", "--json").json
    ended = credence(replayed_home, "journal", "2025-01-03", "--skips")

    told = [each["decision"] for each in answer["told"] if each["decision"]]
    assert told == decisions_of(replayed_home, "2025-01-03")
    assert all(str(each["sentence"]) in ended.out for each in told)
    assert "Bars without a trade" not in ended.out


def test_why_it_did_not_trade_at_a_minute_is_answered_in_full(replayed_home: Path) -> None:
    ended = credence(replayed_home, "journal", "2025-01-03", "--at", "10:42")
    answer = credence(replayed_home, "journal", "2025-01-03", "--at", "10:42", "--json").json

    record = answer["decision"]["decision"]
    assert answer["decision"]["at"] == "2025-01-03T15:42:00+00:00"
    assert answer["decision"]["at_new_york"] == "10:42:00"
    assert record == decisions_of(replayed_home, "2025-01-03")[71]
    assert record["sentence"].startswith("10:42 ET skip")
    assert record["sentence"] in ended.out
    assert record["counterfactual"] in ended.out.replace("\n", "")
    assert f"SKIP, {record['reason']}" in ended.out
    assert all(gate.words in ended.out for gate in GATES)
    assert ended.out.count("NO, the reason") == 1
    assert all(f"F{number}" in ended.out for number in range(1, 7))


def test_the_scores_of_an_entry_are_shown(replayed_home: Path) -> None:
    day = a_day_with_an_entry(replayed_home)
    told = credence(replayed_home, "journal", day, "--json").json["told"]
    entry = next(each for each in told if each["kind"] == "ENTER")

    ended = credence(replayed_home, "journal", day, "--at", entry["at_new_york"][:5])

    assert "Candidates" in ended.out
    assert "passes" in ended.out
    assert f"{entry['decision']['scores'][0]['euc']:.3f}" in ended.out


def test_every_gate_of_a_record_is_shown_in_words(replayed_home: Path) -> None:
    record = decisions_of(replayed_home, "2025-01-03")[100]

    known = {(gate.group, gate.name) for gate in GATES}
    recorded = {(group, name) for group in ("own", "market") for name in dict(record[group] or {})}
    beliefs = {
        ("market", f"f{number}{side}") for number in range(1, 7) for side in ("", "_long", "_short")
    }
    assert recorded - beliefs == known


QUIET: Final = OwnFacts(
    lock=None,
    is_flat=True,
    risk=RiskState(),
    eqs=1.0,
    equity_usd=Decimal(10_000),
    standings={},
)
"""A desk that nothing of its own keeps from entering."""


def losing(net_usd: str, losses: int = 1) -> RiskState:
    """A session that lost this much in as many trades, and earlier ones nothing."""
    lost = Decimal(net_usd)
    risk = RiskState(net_usd_today=lost, net_usd_this_week=lost, net_usd_this_month=lost)
    return replace(risk, losses_today=losses, loss_streak=losses)


OWN_REASONS: Final = {
    Reason.KILL_SWITCH_ACTIVE: replace(QUIET, lock=Reason.KILL_SWITCH_ACTIVE),
    Reason.HALTED: replace(QUIET, lock=Reason.HALTED),
    Reason.IN_POSITION: replace(QUIET, is_flat=False),
    Reason.DAILY_LOSS_LIMIT: replace(QUIET, risk=losing("-22.48")),
    Reason.WEEKLY_LOSS_LIMIT: replace(QUIET, risk=RiskState(net_usd_this_week=Decimal(-70))),
    Reason.MONTHLY_LOSS_LIMIT: replace(QUIET, risk=RiskState(net_usd_this_month=Decimal(-145))),
    Reason.MAX_TRADES_REACHED: replace(
        QUIET, risk=RiskState(entered_at=(NOON - timedelta(hours=3), NOON - timedelta(hours=2)))
    ),
    Reason.CONSECUTIVE_LOSS_LOCKOUT: replace(QUIET, risk=losing("-4", losses=2)),
    Reason.COOLDOWN_ACTIVE: replace(QUIET, risk=RiskState(entered_at=(NOON,))),
    Reason.FEED_NOT_LIVE: replace(QUIET, feed=FeedState.DELAYED),
    Reason.EQS_TOO_LOW: replace(QUIET, eqs=0.5),
    Reason.TEMPLATE_NOT_ALLOWED_BY_TIER: replace(QUIET, equity_usd=None),
}
"""What of our own gives each reason."""


def rows_of(facts: OwnFacts, reason: Reason | None) -> list[GateRow]:
    """The table of a decision at noon by these facts; the record names the reason given."""
    own = json.loads(own_view(facts, RULES).gates)
    record = {"reason": reason, "own": own, "market": {}, "scores": []}
    return gate_rows(record, NOON, RULES)


@pytest.mark.parametrize("reason", OWN_REASONS)
def test_a_gate_of_our_own_fails_by_its_number_for_the_reason_that_it_gives(
    reason: Reason,
) -> None:
    told = rows_of(OWN_REASONS[reason], reason)
    judged = rows_of(OWN_REASONS[reason], None)

    (refused,) = [place for place, row in enumerate(told) if row.is_reason]
    assert [place for place, row in enumerate(judged) if row.holds is False] == [refused]
    assert all(row.holds is not False for row in rows_of(QUIET, None))


@pytest.mark.parametrize("reason", LADDER)
def test_the_table_of_every_reason_has_one_gate_that_says_no(
    reason: Reason, replayed_home: Path
) -> None:
    record = {**decisions_of(replayed_home, "2025-01-03")[100], "reason": reason}

    (row,) = [row for row in gate_rows(record, NOON, RULES) if row.is_reason]

    assert row.holds is False


def test_no_gate_before_the_reason_of_a_journalled_skip_says_no(replayed_home: Path) -> None:
    story = credence(replayed_home, "journal", "2025-01-03", "--skips", "--json").json

    for each in story["told"]:
        if each["kind"] == "SKIP":
            rows = gate_rows(each["decision"], datetime.fromisoformat(each["at"]), RULES)
            place = [row.is_reason for row in rows].index(True)
            assert all(row.holds is not False for row in rows[:place]), each["text"]


def test_what_is_left_to_lose_is_held_against_the_smallest_risk() -> None:
    rows = rows_of(OWN_REASONS[Reason.DAILY_LOSS_LIMIT], Reason.DAILY_LOSS_LIMIT)

    (today,) = [row for row in rows if row.words == "left to lose today, USD"]
    assert (today.value, today.asks, today.holds) == (7.52, "≥ 9.99, the smallest risk", False)


@pytest.mark.parametrize(
    ("sign", "value", "limit", "holds"),
    [
        ("≥", 0.8, 0.8, True),
        ("≥", 0.79, 0.8, False),
        (">", -30.0, -30.0, False),
        ("<", 1, 2, True),
        ("<", 2, 2, False),
        ("", 1, 2, None),
    ],
)
def test_a_gate_holds_or_not_by_its_sign(
    sign: str, value: float, limit: float, holds: bool | None
) -> None:
    assert Gate("own", "x", "x", sign).holds(value, limit) is holds


def test_the_unknown_never_holds_but_what_never_happened_does() -> None:
    assert Gate("market", "dvs", "data", "≥").holds(None, 0.8) is False
    assert Gate("market", "since", "since", "≥", null_holds=True).holds(None, 60) is True


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("2025-01-01",), "2025-01-01 is no session of XNYS: New Year's Day"),
        (("2025-01-04",), "Saturday"),
        (("2025-07-02",), "make one: credence replay --from 2025-07-02 --to 2025-07-02"),
        (("2025-01-03", "--at", "08:15"), "it has 390, from 09:31 to 16:00 ET"),
    ],
)
def test_what_no_journal_holds_is_refused_with_the_reason(
    arguments: tuple[str, ...], said: str, replayed_home: Path
) -> None:
    ended = credence(replayed_home, "journal", *arguments)

    assert ended.code == Exit.USAGE
    assert said in ended.err
    assert ended.out == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("2025-01-03", "--at", "10:42:30"), "expected HH:MM, like 10:42, got '10:42:30'"),
        (("2025-01-03", "--at", "1042"), "expected HH:MM, like 10:42, got '1042'"),
        (("06/10/2025",), "expected YYYY-MM-DD, like 2025-10-06, got '06/10/2025'"),
    ],
)
def test_a_time_or_a_date_that_is_none_is_answered_with_an_example(
    words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    ended = credence(tmp_path, "journal", *words)

    assert ended.code == Exit.USAGE
    assert said in " ".join(ended.err.replace("│", " ").split())
    assert "%" not in ended.err


def test_a_home_without_a_journal_says_how_to_make_one(ingested_home: Path) -> None:
    ended = credence(ingested_home, "journal", "2025-01-03")

    assert ended.code == Exit.USAGE
    assert "make one: credence replay" in ended.err


def test_the_newest_journal_with_the_session_is_told(replayed_home: Path, tmp_path: Path) -> None:
    home = copied(replayed_home, tmp_path / "home")
    newer = home / "journals" / "rehearsals" / "MES" / "2025-01-03.sqlite"
    newer.parent.mkdir(parents=True)
    newer.write_bytes((home / JOURNAL).read_bytes())
    later = (home / JOURNAL).stat().st_mtime + timedelta(hours=1).total_seconds()
    os.utime(newer, (later, later))

    answer = credence(home, "journal", "2025-01-03", "--json").json
    chosen = credence(home, "journal", "2025-01-03", "--of", "replay", "--json").json
    told = credence(home, "journal", "2025-01-03")
    refused = credence(home, "journal", "2025-01-03", "--of", "paper")

    assert answer["journal"] == str(newer)
    assert answer["other_journals"] == ["replay-MES"]
    assert chosen["journal"] == str(home / JOURNAL)
    assert "this day is also in replay-MES; choose one with --of NAME" in told.err
    assert refused.code == Exit.USAGE
    assert "found only rehearsals/MES/2025-01-03, replay-MES" in refused.err


def test_what_the_desk_itself_did_is_told_before_a_newer_replay(
    replayed_home: Path, tmp_path: Path
) -> None:
    home = copied(replayed_home, tmp_path / "home")
    desk = home / "journals" / "desk" / "paper" / "MES.sqlite"
    desk.parent.mkdir(parents=True)
    desk.write_bytes((home / JOURNAL).read_bytes())
    os.utime(desk, (0, 0))

    answer = credence(home, "journal", "2025-01-03", "--json").json

    assert answer["journal"] == str(desk)


def test_a_journal_that_cannot_be_read_is_passed_over(replayed_home: Path, tmp_path: Path) -> None:
    home = copied(replayed_home, tmp_path / "home")
    (home / "journals" / "garbage.sqlite").write_bytes(b"this is no database" * 1_000)

    answer = credence(home, "journal", "2025-01-03", "--json").json

    assert answer["journal"] == str(home / JOURNAL)


def test_quiet_bars_that_were_not_recorded_are_explained(
    ingested_home: Path, tmp_path: Path
) -> None:
    home = copied(ingested_home, tmp_path / "home")
    credence(home, "replay", "--journal", "trades")

    ended = credence(home, "journal", "2025-01-03", "--at", "10:42")

    assert ended.code == Exit.USAGE
    assert "(--journal trades) leaves quiet bars out" in ended.err
