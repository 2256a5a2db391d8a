"""Planted faults: each kind is there, where its label says, and the checks of the desk see it."""

from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from contracts import load_rules
from contracts.calendar import sessions_between
from engine.bars import check_bars
from engine.context import join_context, session_contexts, session_summaries
from engine.errors import InputRefused
from engine.generator import REJECTED_KINDS, FaultKind, generate_bars, plant_faults
from engine.quality import QUALITY_EVENTS, add_quality

RULES = load_rules()
MES = RULES.instrument
SESSIONS = sessions_between(date(2025, 1, 6), date(2025, 1, 24), RULES.session)
CLEAN = generate_bars(SESSIONS, 11, MES).bars
PER_KIND = 5
FAULTED = plant_faults(CLEAN, 3, MES, per_kind=PER_KIND)


def test_every_kind_is_planted_as_often_as_asked_and_far_from_the_next() -> None:
    labels = FAULTED.labels

    assert set(labels["kind"]) == {kind.value for kind in FaultKind}
    assert labels["kind"].value_counts()["count"].unique().to_list() == [PER_KIND]
    apart = labels.select(pl.col("minute").diff().over("session_date")).drop_nulls()
    assert apart["minute"].min() >= 16


def test_the_same_seed_plants_the_same_faults() -> None:
    again = plant_faults(CLEAN, 3, MES, per_kind=PER_KIND)
    other = plant_faults(CLEAN, 4, MES, per_kind=PER_KIND)

    assert_frame_equal(again.raw, FAULTED.raw)
    assert_frame_equal(again.labels, FAULTED.labels)
    assert not other.labels.equals(FAULTED.labels)


def test_no_fault_asked_for_delivers_exactly_the_clean_bars() -> None:
    raw = plant_faults(CLEAN, 3, MES, kinds=()).raw

    checked = check_bars(raw, MES, SESSIONS)
    assert checked.bars.equals(CLEAN)
    assert (checked.rejected.height, checked.out_of_order) == (0, 0)


def test_a_row_that_is_no_bar_is_rejected_for_the_reason_on_its_label() -> None:
    checked = check_bars(FAULTED.raw, MES, SESSIONS)

    planted = FAULTED.labels.filter("is_rejected").select("opens_at", reason="kind")
    found = checked.rejected.select(
        opens_at=FAULTED.raw["opens_at"].gather(checked.rejected["source_row"]), reason="reason"
    ).sort("opens_at")
    assert_frame_equal(found, planted)
    assert found.height == PER_KIND * len(REJECTED_KINDS)
    assert checked.out_of_order == PER_KIND  # The rows delivered after their successor.


def test_a_doubtful_bar_raises_the_event_on_its_label() -> None:
    kinds = [kind for kind in FaultKind if kind in QUALITY_EVENTS]
    doubtful = plant_faults(CLEAN, 3, MES, kinds=kinds, per_kind=8)

    bars = check_bars(doubtful.raw, MES, SESSIONS).bars
    contexts = session_contexts(session_summaries(bars, RULES), SESSIONS, RULES)
    judged = add_quality(join_context(bars, contexts), RULES).select(
        "opens_at", "quality_events", "bar_score"
    )

    seen = doubtful.labels.join(judged, on="opens_at")
    missed = seen.filter(
        ~pl.col("quality_events").str.contains(pl.col("kind"))
        & (pl.col("kind") != FaultKind.TIME_REGRESSION)
        # The first session has no prior settlement to be out of band from.
        & (
            (pl.col("kind") != FaultKind.PRICE_BAND)
            | (pl.col("session_date") != SESSIONS[0].session_date)
        )
    )
    assert missed.rows() == []
    assert seen.height == 8 * len(kinds)


def test_clean_bars_raise_no_event_at_all() -> None:
    contexts = session_contexts(session_summaries(CLEAN, RULES), SESSIONS, RULES)

    judged = add_quality(join_context(CLEAN, contexts), RULES)

    assert judged.filter(pl.col("quality_events") != "").height == 0


def test_more_faults_than_there_is_room_for_are_refused() -> None:
    with pytest.raises(InputRefused, match="blocks of 16 minutes"):
        plant_faults(CLEAN.head(390), 3, MES, per_kind=2)
