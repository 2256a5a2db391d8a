"""The journal's text: the same bytes live and in batch, true to the bar, honest about changes."""

import json
import re
from datetime import date
from functools import lru_cache
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from decision_cases import RULES, own

from contracts.calendar import session_on, sessions_between
from engine.candidates import SETUP_COLUMNS, add_candidates
from engine.context import session_contexts, session_summaries
from engine.decision import Action, decide, decide_in_full, decision_payload
from engine.generator import generate_bars
from engine.ladder import LADDER, PASSED, STEP, Reason
from engine.market import MarketRow, market_frame, market_rows
from engine.narrative import TEXT_COLUMNS, journal_text
from engine.own_scores import setup_needs
from engine.units import Side
from engine.wording import (
    PHRASES,
    clock,
    clock_at,
    counterfactual,
    lacking,
    needs_of,
    render_decision,
    trade_sentence,
)


@lru_cache(maxsize=1)
def market() -> pl.DataFrame:
    """Thirty generated sessions, over a daylight-saving change."""
    sessions = sessions_between(date(2026, 2, 9), date(2026, 3, 24), RULES.session)
    bars = generate_bars(sessions, 11, RULES.instrument).bars
    contexts = session_contexts(session_summaries(bars, RULES), sessions, RULES)
    return market_frame(contexts, bars, RULES)


@lru_cache(maxsize=1)
def told() -> pl.DataFrame:
    return journal_text(market(), RULES)


@lru_cache(maxsize=1)
def rows() -> list[MarketRow]:
    return market_rows(told())


def texts(frame: pl.DataFrame) -> list[tuple[str, ...]]:
    return frame.select(TEXT_COLUMNS).rows()


# ── The columns ─────────────────────────────────────────────────────────────────────────────────


def test_the_text_of_one_bar_is_the_text_it_has_in_a_batch() -> None:
    frame, batch = market(), texts(told())

    for number in range(0, frame.height, 97):
        assert texts(journal_text(frame[number : number + 1], RULES)) == [batch[number]]


def test_the_text_of_one_session_is_the_text_it_has_in_a_batch() -> None:
    third = market()["session_date"].unique().sort()[2]
    session = market().filter(pl.col("session_date") == third)

    assert texts(journal_text(session, RULES)) == texts(
        told().filter(pl.col("session_date") == third)
    )


def test_every_text_is_present_plain_and_safe_inside_json() -> None:
    for name in TEXT_COLUMNS:
        column = told()[name]
        assert column.null_count() == 0
        assert column.str.len_bytes().equals(column.str.len_chars())
    for name in ("sentence", "counterfactual"):
        assert not told()[name].str.contains(r'["\\]').any()


def test_the_bar_and_its_evidence_are_json_of_the_bars_own_numbers() -> None:
    for number in range(0, told().height, 211):
        bar = told().row(number, named=True)

        seen, evidence = json.loads(bar["bar_json"]), json.loads(bar["evidence_json"])

        assert seen["close_ticks"] == bar["close_ticks"]
        assert seen["bid_ticks"] == bar["bid_ticks"]
        assert seen["volume"] == bar["volume"]
        assert evidence["dvs"] == [pytest.approx(bar["dvs"], abs=1e-4), 0.8]
        assert evidence["f1_long"][1] == 0.65
        for name in ("f1_long", "f4_short", "f5", "f6"):
            value = bar[f"{name}_effective"]
            expected = None if value is None else pytest.approx(value, abs=1e-4)
            assert evidence[name][0] == expected
        assert evidence["minutes_since_wide"] == [bar["minutes_since_wide"], 30]


def test_evidence_names_every_gate_that_can_refuse_a_bar() -> None:
    evidence = json.loads(told()["evidence_json"][0])

    beliefs = {f"f{number}_{side}" for number in (1, 2, 3, 4) for side in ("long", "short")}
    assert set(evidence) == beliefs | {
        "dvs",
        "minutes_to_close",
        "minutes_since_volatility",
        "minutes_since_wide",
        "minutes_since_news",
        "slippage_ticks",
        "friction_ticks",
        "atr_14_ticks",
        "vwap_z",
        "regime",
        "f5",
        "f6",
    }


def test_a_null_is_null_in_json_and_never_a_zero() -> None:
    blind = (
        market()
        .head(1)
        .with_columns(
            pl.lit(None, dtype=pl.Int32).alias("bid_ticks"),
            pl.lit(None, dtype=pl.Float64).alias("friction_ticks"),
        )
    )

    bar = journal_text(blind, RULES).row(0, named=True)

    assert json.loads(bar["bar_json"])["bid_ticks"] is None
    assert json.loads(bar["evidence_json"])["friction_ticks"] is None


def test_each_sentence_opens_with_new_york_time_and_the_reason_of_its_step() -> None:
    zone = ZoneInfo("America/New_York")
    offsets = set()
    for bar in rows()[::53]:
        local = bar.closes_at.astimezone(zone)
        offsets.add(local.utcoffset())
        says = (
            "the market allows an entry."
            if bar.market_step == PASSED
            else f"skip: {PHRASES[LADDER[bar.market_step]]}."
        )
        assert bar.sentence.startswith(f"{local:%H:%M} ET {says}")
    assert len(offsets) == 2


@pytest.mark.parametrize("day", [date(2026, 3, 6), date(2026, 3, 9), date(2026, 11, 27)])
def test_minutes_since_the_open_are_the_new_york_clock(day: date) -> None:
    # Given the days either side of a daylight-saving change, and a half day
    session = session_on(day, RULES.session)

    assert clock(0) == clock_at(session.opens_at, RULES) == "09:30 ET"
    assert clock(session.minutes) == clock_at(session.closes_at, RULES)


def test_a_bar_without_belief_names_the_best_question_the_place_and_the_data() -> None:
    bar = next(bar for bar in rows() if bar.market_step == STEP[Reason.BELIEF_TOO_LOW])

    best = re.search(
        r"Best was (F\d) \(.+, (long|short)\) at (0\.\d\d) of (0\.\d\d); ", bar.sentence
    )

    assert best is not None
    constraint, side, had, needed = best.groups()
    value = bar._asdict()[f"{constraint.lower()}_{side}"]
    assert float(had) <= value < float(had) + 0.01
    assert float(needed) - value == pytest.approx(
        min(
            block.belief_min - known
            for block in RULES.strategies.templates
            for side in Side
            if (known := bar.effective_belief(block.constraint, side)) is not None
        )
    )
    assert re.search(r"price \d\.\d\d deviations (above|below) VWAP; data 1\.00\.$", bar.sentence)


def test_a_lockout_says_until_when() -> None:
    step = STEP[Reason.SPREAD_SLIPPAGE_LOCKOUT]
    bar = told().filter(pl.col("market_step") == step).row(0, named=True)

    ends = clock(bar["minute"] + 1 + 30 - bar["minutes_since_wide"])

    assert bar["sentence"].endswith(f"spread or slippage lockout. Until {ends}.")
    assert f"the spread lockout to end at {ends}" in bar["counterfactual"]


def test_a_doubtful_bar_names_its_data_events() -> None:
    dirty = (
        market()
        .head(1)
        .with_columns(
            pl.lit(0.5).alias("dvs"),
            pl.lit("missing_gap,late_bar").alias("quality_events"),
            pl.lit(STEP[Reason.DVS_TOO_LOW], dtype=pl.Int8).alias("market_step"),
        )
    )

    bar = journal_text(dirty, RULES).row(0, named=True)

    assert bar["sentence"] == (
        "09:31 ET skip: data not clean enough. DVS 0.50 of 0.80: missing_gap,late_bar."
    )
    assert bar["counterfactual"].startswith("it would have taken all of: DVS 0.80, was 0.50; ")


# ── Counterfactuals are true ────────────────────────────────────────────────────────────────────

SINGLE_BELIEF = r"^needs (F\d) (long|short) (0\.\d\d), was"
CANDIDATES = [f"k{number}_{name}" for number in (1, 2, 3, 4) for name in SETUP_COLUMNS]


def may_enter_if(pattern: str) -> list[bool]:
    """Bars whose counterfactual begins with one belief: may they enter once they have it?"""
    asked = told()["counterfactual"].str.extract_groups(pattern).struct.unnest()
    changed = market().drop(CANDIDATES)
    for block in RULES.strategies.templates:
        for side in ("long", "short"):
            column = f"{block.constraint.lower()}_{side}_effective"
            is_named = (asked["1"] == block.constraint) & (asked["2"] == side)
            changed = changed.with_columns(
                pl.when(is_named.fill_null(value=False))
                .then(pl.lit(block.belief_min))
                .otherwise(pl.col(column))
                .alias(column)
            )
    return add_candidates(changed, RULES).filter(asked["1"].is_not_null())["may_enter"].to_list()


def test_a_single_change_that_is_named_would_have_been_an_entry() -> None:
    answers = may_enter_if(SINGLE_BELIEF)

    assert len(answers) > 20
    assert all(answers)


def test_where_no_single_change_is_named_the_belief_alone_would_not_have_been_an_entry() -> None:
    answers = may_enter_if(r"^it would have taken all of: (F\d) (long|short) (0\.\d\d), was")

    assert len(answers) > 20
    assert not any(answers)


def test_a_bar_at_the_close_asks_for_its_time_once() -> None:
    at_the_close = told().filter(pl.col("minutes_to_close") == 0)["counterfactual"]

    assert at_the_close.len() > 20
    assert at_the_close.str.contains("more than 5 minutes to the close").all()
    assert not at_the_close.str.contains("a tradable session").any()


def test_a_bar_that_may_enter_needs_nothing() -> None:
    assert {bar.counterfactual for bar in rows() if bar.may_enter} == {""}


# ── The desk's side of the same bars ────────────────────────────────────────────────────────────


def test_a_quiet_desk_decides_as_the_market_columns_say_on_every_bar() -> None:
    quiet = own()
    for bar in rows():
        decision = decide(bar, quiet, RULES)
        assert decision == decide_in_full(bar, quiet, RULES)
        assert (decision.action is Action.ENTER) is bar.may_enter
        assert bar.may_enter or decision.reason is LADDER[bar.market_step]
        for score, setup in zip(decision.scores, bar.setups, strict=True):
            assert (score.reason, score.euc) == (setup.reason, setup.euc)


def test_the_needs_of_a_setup_are_the_gates_its_columns_say_it_fails() -> None:
    quiet, with_setup = own(), [bar for bar in rows() if bar.setups]
    for bar in with_setup:
        for score, setup in zip(decide(bar, quiet, RULES).scores, bar.setups, strict=True):
            needs = setup_needs(score, setup, bar, quiet, RULES)
            assert bool(needs) is (setup.reason is not None)
    assert len(with_setup) > 50


def test_every_payload_of_a_session_is_json_and_says_the_same_twice() -> None:
    quiet = own()
    for bar in rows()[:390]:
        payload = decision_payload(decide(bar, quiet, RULES), bar, quiet)

        assert json.loads(payload)["market"] == json.loads(bar.evidence_json)
        assert payload == decision_payload(decide(bar, quiet, RULES), bar, quiet)


# ── Words ───────────────────────────────────────────────────────────────────────────────────────


def test_every_reason_has_a_phrase_that_is_safe_inside_json() -> None:
    assert set(PHRASES) == set(LADDER)
    for phrase in PHRASES.values():
        assert json.loads(f'"{phrase}"') == phrase


def test_a_need_never_reads_as_already_met() -> None:
    assert lacking("F1 long", 0.65, 0.61) == "F1 long 0.65, was 0.61"
    assert lacking("F1 long", 0.65, 0.6499) == "F1 long 0.6500, was 0.6499"
    assert lacking("F5 below", 0.65, None) == "F5 below 0.65, was unknown"


def test_needs_survive_the_way_into_a_counterfactual_and_out_of_it() -> None:
    assert counterfactual([]) == ""
    assert counterfactual(["a"]) == "needs a"
    assert counterfactual(["a", "b"]) == "it would have taken all of: a; b"
    assert needs_of("needs a") == "a"
    assert counterfactual([needs_of(counterfactual(["a", "b"]))]) == counterfactual(["a", "b"])


def test_a_bar_of_an_open_trade_tells_its_result_in_ticks_and_r() -> None:
    sentence = trade_sentence(
        73, "hold", "K1 long", gained_ticks=4, risk_ticks=8, detail="stop at break-even"
    )

    assert sentence == "10:43 ET hold K1 long: +4 ticks (+0.50 R). Stop at break-even."


def test_the_cli_prints_the_sentence_and_what_was_missing_below_it() -> None:
    skip = {"sentence": "10:42 ET skip: belief too low.", "counterfactual": "needs F1 long 0.65"}
    enter = {"sentence": "10:42 ET enter K1 long.", "counterfactual": ""}

    assert render_decision(skip) == "10:42 ET skip: belief too low.\n    needs F1 long 0.65"
    assert render_decision(enter) == "10:42 ET enter K1 long."
