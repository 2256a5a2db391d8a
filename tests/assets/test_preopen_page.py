"""The page before the open: what came, what is wrong, and what the desk will do about it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from lineage import LAST_DAY, Lineage

from assets.report.look_at import Finding, Gravity
from assets.report.preopen import PreopenMaterial, preopen_material
from assets.report.preopen_page import preopen_page
from assets.report.today import market_refusals, today, wrong
from contracts.calendar import session_on
from contracts.schemas import columns_of
from engine.kill import KillCause, KillState, KillSwitch
from engine.ladder import Reason
from engine.learning.learning_state import next_learning
from engine.learning.shadow_trades import SHADOW_COLUMNS
from pipelines.operator_jobs import OPERATOR_JOBS

DAY = date.fromisoformat(LAST_DAY)
REVIEWED = date(2024, 7, 9)


@pytest.fixture(scope="module")
def material(pristine: Lineage) -> PreopenMaterial:
    return preopen_of(pristine)


def preopen_of(lineage: Lineage) -> PreopenMaterial:
    wiring = lineage.wiring
    session = session_on(DAY, wiring.rules.session)
    found = preopen_material(
        wiring.market, wiring.warehouse, session, wiring.rules, wiring.kill_switch()
    )
    assert found is not None
    return found


def traded(*results: tuple[date, str]) -> pl.DataFrame:
    columns = columns_of("trades")
    schema = {name: columns[name] for name in ("session_date", "trade_number", "net_usd")}
    rows = [(day, number, Decimal(usd)) for number, (day, usd) in enumerate(results, start=1)]
    return pl.DataFrame(rows, schema=schema, orient="row")


def learned(of: PreopenMaterial, *results: float) -> pl.DataFrame:
    """The state of a night in which K1 had these results, in multiples of the risk."""
    columns = ("template", "regime", "phase", "closed_at", "net_r", "entry_slippage_ticks")
    schema = {name: columns_of("trades")[name] for name in columns}
    bell = of.reviewed.closes_at
    rows = [("K1", "range", 1, bell, net_r, 0.5) for net_r in results]
    trades = pl.DataFrame(rows, schema=schema, orient="row")
    before = pl.DataFrame(schema=columns_of("learning_state"))
    shadows = pl.DataFrame(schema=SHADOW_COLUMNS)
    return next_learning(before, trades, shadows, REVIEWED, of.rules).state


def calibrated() -> pl.DataFrame:
    """A calibration in which the map of K4 long was earned."""
    row = {
        "symbol": "MES",
        "session_date": REVIEWED,
        "template": "K4",
        "side": 1,
        "bin": 0,
        "outcomes": 9000,
        "sessions": 60,
        "is_map_earned": True,
        "brier_map_ahead": 0.2013,
        "brier_base_ahead": 0.2047,
        "map_json": '{"beliefs":[0.2,0.7],"p_win":[0.2,0.45]}',
    }
    return pl.DataFrame([row], schema=columns_of("calibration"))


def scored(of: PreopenMaterial, bars: int, dvs: float) -> pl.DataFrame:
    return of.frame.with_columns(
        dvs=pl.when(pl.col("minute") < bars).then(dvs).otherwise(1.0),
        quality_events=pl.when(pl.col("minute") < bars)
        .then(pl.lit("stuck_feed"))
        .otherwise(pl.lit("")),
    )


def own(**gates: Any) -> Mapping[str, Any]:
    return {name: [value, None] for name, value in gates.items()}


def switch(state: KillState, cause: KillCause) -> KillSwitch:
    at = datetime(2024, 7, 9, 20, 20, tzinfo=UTC)
    return KillSwitch(state=state, cause=cause, text="as told", since=at)


Change = Callable[[PreopenMaterial], PreopenMaterial]
TODAY: Mapping[str, tuple[Change, Gravity, str]] = {
    "a kill that stands": (
        lambda of: replace(of, kill=switch(KillState.KILLED, KillCause.DATA_QUALITY)),
        Gravity.STOP,
        "It enters nothing: the kill switch is on since 2024-07-09 16:20 ET (as told).",
    ),
    "a halt of this morning": (
        lambda of: replace(of, kill=switch(KillState.HALTED, KillCause.PERSON)),
        Gravity.STOP,
        "It enters nothing: the desk is halted since 2024-07-09 16:20 ET (as told).",
    ),
    "a halt by a limit that is still reached": (
        lambda of: replace(
            of,
            kill=switch(KillState.HALTED, KillCause.MONTHLY_LOSS),
            traded=traded((date(2024, 7, 1), "-150.00")),
        ),
        Gravity.STOP,
        "It enters nothing: the desk is halted since",
    ),
    "a month that is used up": (
        lambda of: replace(of, traded=traded((date(2024, 7, 1), "-150.00"))),
        Gravity.STOP,
        "It enters nothing: the loss limit of the month is used.",
    ),
    "a week with little left": (
        lambda of: replace(of, traded=traded((date(2024, 7, 8), "-30"), (REVIEWED, "-30"))),
        Gravity.LOOK,
        "It may lose $15.00 of $75.00 more this week.",
    ),
    "a loss at the end": (
        lambda of: replace(of, own=own(loss_streak=1)),
        Gravity.LOOK,
        (
            "It starts with 1 loss in a row: the next loss ends its day, being one of at least 2 "
            "in a row. Losses of earlier sessions count, but they bar nothing until a loss of "
            "today joins them."
        ),
    ),
    "losses that only the trades still tell": (
        lambda of: replace(
            of, own=own(loss_streak=0), traded=traded((date(2024, 7, 8), "9"), (REVIEWED, "-9"))
        ),
        Gravity.LOOK,
        "It starts with 1 loss in a row: the next loss ends its day",
    ),
    "a template in quarantine": (
        lambda of: replace(of, state=learned(of, -1.0, -1.0)),
        Gravity.LOOK,
        "K1 may not enter: in quarantine; it trades in shadow.",
    ),
    "odds of the prior": (
        lambda of: replace(of, state=learned(of)),
        Gravity.KNOW,
        "Every p_win is the prior's: no map has been earned.",
    ),
    "odds that were earned": (
        lambda of: replace(of, state=learned(of), calibration=calibrated()),
        Gravity.KNOW,
        (
            "K4 long: p_win comes from the map of 2024-07-09 "
            "(Brier score 0.2013 ahead against 0.2047, 9000 outcomes in 60 sessions)."
        ),
    ),
    "a small account": (
        lambda of: replace(of, own=own(equity_usd=2000.0)),
        Gravity.KNOW,
        "K3, K4 may not enter at this equity (tier S).",
    ),
    "bars that no entry may use": (
        lambda of: replace(of, frame=scored(of, 12, 0.7)),
        Gravity.LOOK,
        "On data like this it enters nothing on 12 of 390 bars (score below 0.8).",
    ),
    "bars that close a trade": (
        lambda of: replace(of, frame=scored(of, 5, 0.5)),
        Gravity.LOOK,
        "On data like this it tightens or closes an open trade on 5 of 390 bars (score below 0.6).",
    ),
    "bars that kill": (
        lambda of: replace(of, frame=scored(of, 2, 0.1)),
        Gravity.LOOK,
        "On data like this it kills: cancels all, flattens and stays down on 2 of 390 bars",
    ),
    "half a day": (
        lambda of: replace(of, session=session_on(date(2024, 7, 3), of.rules.session)),
        Gravity.LOOK,
        "Half a session: it closes at 13:00 ET.",
    ),
    "a history too short": (
        lambda of: replace(of, context={"prior_sessions": 2, "atr_median_0_ticks": None}),
        Gravity.LOOK,
        "Only 2 sessions before it: 1 half hour without a usual range",
    ),
}


@pytest.mark.parametrize("planted", TODAY)
def test_what_the_desk_will_do_today_follows_from_what_is_known(
    material: PreopenMaterial, planted: str
) -> None:
    change, gravity, text = TODAY[planted]

    after = today(change(material))

    assert said(after, text) == [gravity]
    assert said(today(material), text) == []
    assert after == sorted(after, key=lambda each: each.gravity)


def said(findings: list[Finding], text: str) -> list[Gravity]:
    return [each.gravity for each in findings if text in each.text]


def test_a_lever_pulled_after_the_last_decision_is_on_the_page(damaged: Lineage) -> None:
    wiring = damaged.wiring
    halt = next(job for job in OPERATOR_JOBS if job.name == "halt")
    config = {"ops": {"halt_lever": {"config": {"reason": "news at ten"}}}}
    before = preopen_of(damaged)

    pulled = halt.execute_in_process(resources={"wiring": wiring}, run_config=config)

    after = preopen_of(damaged)
    assert pulled.success
    assert (before.lock, after.lock) == (None, Reason.HALTED)
    assert "(news at ten)" in today(after)[0].text
    assert "Stay closed" in preopen_page(after, details="details.html")


def test_a_halt_by_a_limit_whose_period_is_over_keeps_nothing_closed(
    material: PreopenMaterial,
) -> None:
    halted = switch(KillState.HALTED, KillCause.DAILY_LOSS)

    after = replace(material, kill=halted, traded=traded((REVIEWED, "-30.00")))

    assert after.lock is None


def test_a_win_ends_the_losses_in_a_row_whatever_the_last_decision_counted(
    material: PreopenMaterial,
) -> None:
    won = traded((date(2024, 7, 8), "-9"), (REVIEWED, "9"))

    after = replace(material, own=own(loss_streak=2), traded=won)

    assert after.loss_streak == 0


def test_rejected_rows_stand_on_the_page_as_they_were_written(material: PreopenMaterial) -> None:
    row = {
        "symbol": "MES",
        "session_date": REVIEWED,
        "source_row": 17,
        "reason": "off_grid",
        "opens_at_text": "2024-07-09 13:47",
        "close_text": "5571.13",
        "source": "csv:bars.csv",
    }
    other = {**row, "source_row": 40}
    rows = pl.DataFrame([other, row], schema=columns_of("rejected_bars"))
    of = replace(material, rejected=rows)

    page = preopen_page(of, details="docs.html")

    assert said(wrong(of), "2 rows rejected.") == [Gravity.LOOK]
    assert "<td>off grid</td>" in page
    assert "2024-07-09 13:47, 5571.13</td>" in page
    assert '<td class="n">17</td>' in page


def test_a_session_that_fails_its_review_keeps_the_desk_closed(material: PreopenMaterial) -> None:
    findings = tuple(
        replace(each, passed=each.column != "volume_total") for each in material.review.findings
    )
    red = replace(material, review=replace(material.review, findings=findings))

    page = preopen_page(red, details="docs.html")

    assert "Stay closed" in page
    assert "Fit to open" in preopen_page(material, details="docs.html")
    assert said(today(red), "It does not open: the review is not green.") == [Gravity.STOP]
    assert said(wrong(red), "volume total: ") == [Gravity.STOP]


def test_a_sound_session_has_nothing_wrong(material: PreopenMaterial) -> None:
    assert wrong(material) == []


def test_what_the_market_alone_refused_counts_every_bar_once(material: PreopenMaterial) -> None:
    counted = market_refusals(material)

    passing = int(material.frame["may_enter"].sum())
    assert counted["bars"].sum() + passing == material.frame.height
    assert counted.filter(words="inside a no-trade window")["bars"].item() > 100


def test_the_review_links_its_page_and_says_what_the_desk_will_do(damaged: Lineage) -> None:
    result = damaged.run("preopen", LAST_DAY)

    (review,) = (
        each for each in result.get_asset_check_evaluations() if each.check_name == "preopen_review"
    )
    page = damaged.root / "reports" / "preopen" / "MES" / f"{LAST_DAY}.html"
    assert review.metadata["page"].value == str(page)
    assert "Before the open of Wednesday 10 July 2024" in page.read_text()
    lines = [row.data["the_desk_today"] for row in review.metadata["today"].records]
    assert any("what is open is closed at" in line for line in lines)
