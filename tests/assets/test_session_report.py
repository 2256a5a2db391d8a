"""The page of a session: what it says, that it says it always alike, and what it warns of."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from lineage import LAST_DAY, Lineage, evaluations, materialized, tamper

from assets.kept_searches import search_before
from assets.report.headline import headline, report_row
from assets.report.look_at import Gravity, look_at
from assets.report.model import AFTERWARDS, SessionMaterial, materials
from assets.report.page import session_page
from assets.report.sections import money_left, no_longer_allowed, trade_rows, veto_rows
from contracts.calendar import session_on
from contracts.schemas import columns_of
from engine.broker import FeedReported, FeedState
from engine.desk.encoding import entry_of
from engine.desk.facts import AlertRaised
from engine.errors import InputRefused
from engine.journal import Broken, Chain, Event, Stamp
from engine.kill import KillCause, KillChanged, KillEvent, KillState

DAY = date.fromisoformat(LAST_DAY)
AT = datetime(2024, 7, 10, 15, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def told(
    pristine: Lineage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Lineage, dg.ExecuteInProcessResult]]:
    """A home whose last session has had its night, and what the run said."""
    with closing(pristine.copied_to(tmp_path_factory.mktemp("told") / "home")) as lineage:
        yield lineage, lineage.run("nightly", LAST_DAY)


@pytest.fixture(scope="module")
def night(told: tuple[Lineage, dg.ExecuteInProcessResult]) -> Lineage:
    assert told[1].success
    return told[0]


@pytest.fixture(scope="module")
def material(night: Lineage) -> SessionMaterial:
    return material_of(night)


def material_of(lineage: Lineage) -> SessionMaterial:
    wiring = lineage.wiring
    (found,) = materials(
        wiring.market,
        wiring.warehouse,
        wiring.session_journals,
        [session_on(DAY, wiring.rules.session)],
        wiring.rules,
        searches=wiring.searches,
    )
    return found


def with_rows(of: SessionMaterial, **rows: pl.DataFrame) -> SessionMaterial:
    return replace(of, rows={**of.rows, **rows})


def with_facts(of: SessionMaterial, *facts: Any) -> SessionMaterial:
    stamp = Stamp(of.day, of.rules.contracts_hash, "test")
    events: list[Event] = Chain().seal([entry_of(fact) for fact in facts], stamp)
    return replace(of, events=[*of.events, *events])


def without_trades(of: SessionMaterial) -> SessionMaterial:
    decided = of.rows["decisions"].filter(pl.col("action") == "SKIP")
    empty = {
        name: pl.DataFrame(schema=columns_of(name))
        for name in ("trades", "attribution", "executions")
    }
    return with_rows(of, decisions=decided, **empty)


def test_a_night_leaves_one_page_that_needs_nothing_else(night: Lineage) -> None:
    (row,) = stored(night)

    page = (night.wiring.reports / row["page"]).read_text()

    assert row["page"] == f"sessions/MES/{LAST_DAY}.html"
    assert row["headline"] in page
    assert "Wednesday 10 July 2024" in page
    assert page.count("<svg") == 2
    assert not re.search(r"<script|<link|<img|src=|@import|url\(", page)
    hosts = set(re.findall(r"https?://[^\"' <]+", page))
    assert hosts == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_the_page_says_how_many_variants_the_last_search_tried_and_how_far_it_was_luck(
    material: SessionMaterial, tmp_path: Path
) -> None:
    best = {"name": "K1 30 → 32", "gain_r": 0.2, "gain_ahead_r": -0.1, "deflated_sharpe": 0.41}
    kept = {"through": "2024-07-05", "sessions": 60, "tried": 90, "best": best, "why_not": "luck"}
    for day in ("2024-07-05", LAST_DAY):
        content = kept if day != LAST_DAY else {**kept, "tried": 91}
        (tmp_path / f"{day}.json").write_text(json.dumps(content))

    page = session_page(replace(material, search=search_before(tmp_path, DAY)))

    assert "The last weekly search" not in session_page(material)
    assert (
        "K1 30 → 32: the best of 90 variants on 60 sessions through 2024-07-05: +0.200 R a "
        "session, -0.100 R ahead of the choice, deflated Sharpe ratio 0.41; the search proposed "
        "nothing: luck."
    ) in page


def test_a_search_that_found_nothing_says_why_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "2024-07-05.json"
    path.write_text(
        '{"through": "2024-07-05", "sessions": 60, "tried": 90, "best": null, "why_not": "none"}'
    )
    found = search_before(tmp_path, DAY)
    path.write_text('{"through": "2024-07-05"}')

    assert found is not None
    assert (found.tried, found.name, found.evidence, found.why_not) == (90, None, None, "none")
    with pytest.raises(InputRefused, match=r"2024-07-05\.json: expected a kept search"):
        search_before(tmp_path, DAY)


def stored(lineage: Lineage) -> list[dict[str, Any]]:
    return lineage.wiring.warehouse.read("session_report", "MES", DAY, DAY).to_dicts()


def test_the_row_of_a_session_is_what_its_tables_say(
    night: Lineage, material: SessionMaterial
) -> None:
    (row,) = stored(night)
    trades = material.rows["trades"]

    assert row["trades"] == trades.height > 0
    assert row["net_usd"] == sum(trades["net_usd"], Decimal(0))
    assert row["bars"] == 390
    assert row["refused_r"] == material.refused["net_r"].sum()
    assert row["journal_digest"] == material.events[-1].hash
    assert row["is_ledger_equal"]
    assert row["is_chain_whole"]
    assert row["desk_state"] == "running"


def test_the_verdict_and_the_parts_of_every_trade_are_on_the_page(
    material: SessionMaterial,
) -> None:
    page = session_page(material)

    for trade in trade_rows(material):
        assert trade["verdict"].replace("'", "&#39;") in page
        assert f"{trade['cause']} {trade['cause_name']}" in page
        parts = {part["name"]: part["usd"] for part in trade["parts"]}
        assert sum(usd for name, usd in parts.items() if name != "net") == parts["net"]


def test_the_same_night_writes_the_same_bytes(night: Lineage) -> None:
    before = stored(night)

    again = materialized(night.run("nightly", LAST_DAY))

    assert stored(night) == before
    assert again[f"session_report {LAST_DAY}"]["partitions_changed"] == 0


def test_the_asset_links_its_page_and_shows_its_pictures(
    told: tuple[Lineage, dg.ExecuteInProcessResult],
) -> None:
    lineage, result = told

    said = materialized(result)[f"session_report {LAST_DAY}"]

    assert said["page"] == str(lineage.wiring.reports / f"sessions/MES/{LAST_DAY}.html")
    assert said["session"].startswith("![session](data:image/png;base64,iVBOR")
    assert said["beliefs"].startswith("![beliefs](data:image/png;base64,iVBOR")
    assert said["net_usd"] == float(stored(lineage)[0]["net_usd"])
    assert evaluations(result)["pages_are_as_written"]
    assert evaluations(result)["session_report_schema"]


def test_a_page_somebody_wrote_over_is_found(night: Lineage) -> None:
    page = night.wiring.reports / stored(night)[0]["page"]
    before = page.read_bytes()

    page.write_bytes(before.replace(b"Before the next open", b"Nothing"))
    changed = night.check("pages_are_as_written", LAST_DAY)
    page.write_bytes(before)

    assert not changed.passed
    assert night.check("pages_are_as_written", LAST_DAY).passed


def test_a_session_without_trades_says_why_not(material: SessionMaterial) -> None:
    quiet = without_trades(material)

    said, page = headline(quiet), session_page(quiet)

    counted = material.rows["decisions"].filter(pl.col("action") == "SKIP")["reason"]
    most = counted.value_counts(sort=True)["count"][0]
    assert said.startswith("No trade: ")
    assert f"on {most} of {quiet.rows['decisions'].height} bars" in said
    assert said in page
    assert '<div class="figure even">$0.00</div>' in page


def test_a_session_without_a_bar_and_without_a_night_still_has_a_page(
    material: SessionMaterial,
) -> None:
    none = {name: pl.DataFrame(schema=columns_of(name)) for name in material.rows}
    empty = replace(
        material, frame=material.frame.clear(), refused=material.refused.clear(), rows=none
    )

    page = session_page(empty)

    assert "No bar was decided on." in page
    assert "No bar of this session is stored." in page
    assert "390 minutes of 390 without a stored bar." in page
    assert "The night has not learned from this session" in page


def kill(after: KillState, event: KillEvent) -> KillChanged:
    return KillChanged(
        at=AT,
        event=event,
        before=KillState.RUNNING,
        after=after,
        cause=KillCause.DATA_QUALITY,
        text="DVS 0.1 is below 0.3",
    )


def test_a_lever_pulled_weeks_later_is_no_part_of_the_session(material: SessionMaterial) -> None:
    later = datetime(2024, 11, 22, 16, 30, tzinfo=UTC)
    halted = replace(
        kill(KillState.HALTED, KillEvent.PERSON_HALTED), at=later, by="root", text="lunch"
    )
    of = with_facts(material, halted)

    found = {each.text: each.gravity for each in look_at(of)}

    assert found["2024-11-22 11:30 ET (after the session) the desk was halted by root: lunch."]
    assert (of.desk_state, of.desk_state_now) == (KillState.RUNNING, KillState.HALTED)
    (left,) = (text for text, gravity in found.items() if gravity is Gravity.STOP)
    assert left.startswith("The desk was halted after the session and left so.")
    assert report_row(of)["desk_state"] == "running"
    assert 'desk at the end <b class="good">free to trade</b>' in session_page(of)


def test_a_killed_desk_is_not_called_flat_by_its_page(material: SessionMaterial) -> None:
    page = session_page(with_facts(material, kill(KillState.KILLED, KillEvent.TRIGGERED)))

    assert '<b class="bad">killed: locked until a person resumes it</b>' in page


def test_what_happens_after_the_close_is_told_apart(material: SessionMaterial) -> None:
    closes_at = material.session.closes_at
    assert material.ended_at <= closes_at + AFTERWARDS
    alert = AlertRaised(at=closes_at + 2 * AFTERWARDS, text="disk is full")

    found = [each.text for each in look_at(with_facts(material, alert))]

    assert "Alert, 1 time, last 16:30 ET (after the session): disk is full." in found


def rejected(of: SessionMaterial, count: int) -> pl.DataFrame:
    columns = columns_of("rejected_bars")
    row = {
        "symbol": "MES",
        "session_date": of.day,
        "source_row": 4,
        "reason": "off_grid",
        "source": "csv:<b>bars</b>.csv",
    }
    return pl.DataFrame([row] * count, schema=columns)


Change = Callable[[SessionMaterial], SessionMaterial]
PLANTED: Mapping[str, tuple[Change, Gravity, str]] = {
    "a broken journal": (
        lambda of: replace(of, chain=Broken(seq=7, text="event 7 was changed")),
        Gravity.STOP,
        "The journal is broken at event 7: event 7 was changed.",
    ),
    "a fill that is missing": (
        lambda of: with_rows(of, executions=of.rows["executions"].head(1)),
        Gravity.STOP,
        "Ledger and broker differ",
    ),
    "a night that was not done": (
        lambda of: with_rows(of, learning_state=of.rows["learning_state"].clear()),
        Gravity.STOP,
        "The night has not learned from this session",
    ),
    "a kill": (
        lambda of: with_facts(of, kill(KillState.KILLED, KillEvent.TRIGGERED)),
        Gravity.STOP,
        "The desk ended killed.",
    ),
    "an alert that repeats": (
        lambda of: with_facts(of, *[AlertRaised(at=AT, text="no stop at the broker")] * 3),
        Gravity.LOOK,
        "Alert, 3 times: no stop at the broker.",
    ),
    "a feed that stood still": (
        lambda of: with_facts(of, FeedReported(at=AT, state=FeedState.STALE)),
        Gravity.LOOK,
        "Market data was not live 1 time (stale), first at 11:00 ET.",
    ),
    "rows that are no bars": (
        lambda of: replace(of, rejected=rejected(of, 2)),
        Gravity.LOOK,
        "2 rows of the source rejected: 2 off grid.",
    ),
    "a bar that is missing": (
        lambda of: replace(of, frame=of.frame.head(389)),
        Gravity.LOOK,
        "1 minute of 390 without a stored bar.",
    ),
    "doubtful bars": (
        lambda of: replace(of, frame=lowered(of, 3, 0.7)),
        Gravity.LOOK,
        "3 bars below a data score of 0.8: no entry.",
    ),
    "a bar that kills": (
        lambda of: replace(of, frame=lowered(of, 1, 0.2)),
        Gravity.STOP,
        "1 bar below a data score of 0.3: the desk kills.",
    ),
    "a trade that nobody decided": (
        lambda of: with_rows(of, trades=undecided(of.rows["trades"])),
        Gravity.STOP,
        "Trade 1 was decided by nobody: find out who traded.",
    ),
}


def lowered(of: SessionMaterial, count: int, dvs: float) -> pl.DataFrame:
    early = pl.col("minute") < count
    return of.frame.with_columns(dvs=pl.when(early).then(dvs).otherwise("dvs"))


def undecided(trades: pl.DataFrame) -> pl.DataFrame:
    return trades.with_columns(decision_id=pl.lit(None, pl.String))


@pytest.mark.parametrize("planted", PLANTED)
def test_what_went_wrong_is_what_to_look_at_first(material: SessionMaterial, planted: str) -> None:
    change, gravity, text = PLANTED[planted]
    before = {finding.text for finding in look_at(material)}

    after = look_at(change(material))

    found = [finding for finding in after if text in finding.text]
    assert [finding.gravity for finding in found] == [gravity]
    assert found[0].text not in before
    assert after == sorted(after, key=lambda finding: finding.gravity)
    assert found[0].text.replace("'", "&#39;") in session_page(change(material))


def test_a_clean_session_has_nothing_grave(material: SessionMaterial) -> None:
    assert [each.text for each in look_at(material) if each.gravity is Gravity.STOP] == []


def test_a_journal_that_was_changed_is_on_the_page_of_its_session(damaged: Lineage) -> None:
    tamper(damaged.journal(LAST_DAY), "update entries set payload = '{}' where seq = 30")

    findings = look_at(material_of(damaged))

    assert findings[0].text.startswith("The journal is broken at event 30: ")


def test_refusals_that_would_have_lost_are_what_they_saved(material: SessionMaterial) -> None:
    schema = material.refused.schema
    refused = pl.DataFrame(
        [
            (DAY, "BELIEF_TOO_LOW", "K1", 3, 1, -1.5),
            (DAY, "BELIEF_TOO_LOW", "K2", 1, 0, -0.5),
            (DAY, "NOISE_VETO", "K1", 1, 1, 1.0),
        ],
        schema=schema,
        orient="row",
    )
    of = replace(material, refused=refused)

    saved, cost = veto_rows(of)

    assert (saved["words"], saved["templates"], saved["setups"]) == ("belief too low", "K1, K2", 4)
    assert (saved["net_r"], saved["share"]) == (-2.0, 1.0)
    assert (cost["words"], cost["net_r"], cost["share"]) == ("too much noise", 1.0, -0.5)
    page = session_page(of)
    assert "saved 1.00 R</b>" in page
    assert "cost 1.00 R</td>" in page


def test_what_is_no_longer_allowed_is_said_with_its_reason(material: SessionMaterial) -> None:
    own = pl.col("trust").is_not_null()
    is_k2, is_k3 = (own & (pl.col("template") == name) for name in ("K2", "K3"))
    state = material.rows["learning_state"].with_columns(
        trust=pl.when(is_k2)
        .then(pl.lit("quarantined"))
        .when(is_k3)
        .then(pl.lit("throttled_2"))
        .otherwise(pl.when(own).then(pl.lit("active"))),
        trigger=pl.when(is_k2).then(pl.lit("losses_in_a_row")),
        is_quarantined=pl.when(own).then(is_k2),
        modifier=pl.when(own).then(pl.when(is_k3).then(1.5).otherwise(1.0)),
    )
    of = with_rows(material, learning_state=state)
    halted = with_facts(of, kill(KillState.HALTED, KillEvent.PERSON_HALTED))

    said = no_longer_allowed(halted)

    assert said[0] == "Enter at all: the desk is halted until a person resumes it."
    assert said[1] == "K2 (failed break): in quarantine for losses in a row."
    assert said[2] == (
        "K3 (sweep reversal): only where its edge pays 1.5 times its cost (throttled hard)."
    )
    assert report_row(halted)["quarantined"] == "K2"


def test_a_week_that_lost_starts_tomorrow_with_less(material: SessionMaterial) -> None:
    gates = '{"own":{"net_usd_this_week":[-60.0,-75.0],"net_usd_this_month":[10.0,-150.0]}}'
    decided = material.rows["decisions"].with_columns(gates_json=pl.lit(gates))

    said = no_longer_allowed(with_rows(material, decisions=decided))

    assert said[-1] == "Lose more than $15.00 this week: $60.00 of $75.00 is gone."


def test_the_money_left_for_the_next_session_is_said(material: SessionMaterial) -> None:
    gates = '{"own":{"net_usd_this_week":[-60.0,-75.0],"net_usd_this_month":[10.0,-150.0]}}'
    decided = material.rows["decisions"].with_columns(gates_json=pl.lit(gates))

    of = with_rows(material, decisions=decided)

    assert money_left(of) == (
        "The next session, 2024-07-11, may lose $15.00: a day may lose $30.00, and there is left "
        "of the week $15.00 of $75.00, of the month $150.00 of $150.00."
    )
    assert money_left(of) in session_page(of)
    assert money_left(with_rows(of, decisions=decided.clear())) == ""


def test_text_from_outside_is_never_markup(material: SessionMaterial) -> None:
    alert = AlertRaised(at=AT, text="<script>alert(1)</script>")

    page = session_page(with_facts(material, alert))

    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_loss_limit_is_no_halt_that_a_person_has_to_lift(material: SessionMaterial) -> None:
    stopped = replace(
        kill(KillState.HALTED, KillEvent.LIMIT_REACHED),
        cause=KillCause.WEEKLY_LOSS,
        text="the weekly loss limit is reached",
    )
    of = with_facts(material, stopped)

    (left,) = (each for each in look_at(of) if each.text.startswith("The desk ended"))

    assert left.gravity is Gravity.LOOK
    assert left.text == (
        "The desk ended halted by the loss limit of the week: it enters again by itself when a new "
        "week opens."
    )
    assert no_longer_allowed(of)[0] == (
        "Enter before the week is over: its loss limit is used. The halt ends by itself."
    )
    assert "resume" not in "".join(no_longer_allowed(of))
