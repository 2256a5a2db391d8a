"""The partitions are the sessions of the exchange: no holidays, half days, either side of DST."""

import warnings
from datetime import UTC, date, datetime

import dagster as dg
import pytest
from lineage import Lineage

from assets.partitions import (
    FROM_PRIOR_SESSIONS,
    PRIOR_SESSIONS,
    SESSIONS,
    accepted_previews,
    session_partitions,
    sessions_of,
)
from contracts import load_rules

RULES = load_rules().session


def keys(first: str, last: str) -> list[str]:
    return list(SESSIONS.get_partition_keys_in_range(dg.PartitionKeyRange(first, last)))


def test_a_holiday_has_no_partition() -> None:
    assert keys("2024-07-02", "2024-07-08") == [
        *("2024-07-02", "2024-07-03", "2024-07-05", "2024-07-08")
    ]
    assert keys("2024-12-23", "2025-01-03") == [
        *("2024-12-23", "2024-12-24", "2024-12-26", "2024-12-27"),
        *("2024-12-30", "2024-12-31", "2025-01-02", "2025-01-03"),
    ]
    assert not SESSIONS.has_partition_key("2025-01-09")  # A national day of mourning.


def test_a_run_on_a_holiday_is_refused(pristine: Lineage) -> None:
    with pytest.raises(dg.DagsterUnknownPartitionError, match="2024-07-04"):
        pristine.run("market_day", "2024-07-04")


def test_a_half_day_is_a_shorter_session() -> None:
    half, whole = sessions_of(["2024-07-05", "2024-07-03"], RULES)

    assert (str(half.session_date), half.minutes) == ("2024-07-03", 210)
    assert (str(whole.session_date), whole.minutes) == ("2024-07-05", 390)


@pytest.mark.parametrize(
    ("before", "after", "opens_utc"),
    [("2024-03-08", "2024-03-11", (14, 13)), ("2024-11-01", "2024-11-04", (13, 14))],
)
def test_the_clock_change_moves_the_open_and_loses_no_session(
    before: str, after: str, opens_utc: tuple[int, int]
) -> None:
    assert keys(before, after) == [before, after]

    sessions = sessions_of([before, after], RULES)

    assert tuple(session.opens_at.hour for session in sessions) == opens_utc
    assert [session.minutes for session in sessions] == [390, 390]


def test_todays_partition_exists_before_the_open() -> None:
    wednesday = datetime(2024, 7, 10, 4, 1, tzinfo=UTC)  # One minute past midnight in New York.

    partitions = session_partitions(RULES, wednesday.date())

    with dg.partition_loading_context(effective_dt=wednesday) as _:
        assert partitions.get_last_partition_key() == "2024-07-10"


def test_the_last_partition_of_a_holiday_is_the_next_session() -> None:
    fourth = datetime(2024, 7, 4, 16, 0, tzinfo=UTC)

    partitions = session_partitions(RULES, fourth.date())

    with dg.partition_loading_context(effective_dt=fourth) as _:
        assert partitions.get_last_partition_key() == "2024-07-05"


def test_a_context_depends_on_the_sessions_before_its_own_and_not_on_its_own() -> None:
    wanted = SESSIONS.subset_with_partition_keys(["2024-07-08"])

    mapped = FROM_PRIOR_SESSIONS.get_upstream_mapped_partitions_result_for_partitions(
        wanted, SESSIONS, SESSIONS
    )

    upstream = sorted(mapped.partitions_subset.get_partition_keys())
    assert len(upstream) == PRIOR_SESSIONS
    assert upstream[-3:] == ["2024-07-02", "2024-07-03", "2024-07-05"]


def test_the_first_session_of_all_has_nothing_before_it() -> None:
    wanted = SESSIONS.subset_with_partition_keys([str(date(2013, 1, 2))])

    mapped = FROM_PRIOR_SESSIONS.get_upstream_mapped_partitions_result_for_partitions(
        wanted, SESSIONS, SESSIONS
    )

    assert list(mapped.partitions_subset.get_partition_keys()) == []
    assert list(mapped.required_but_nonexistent_subset.get_partition_keys()) == []


def test_only_the_accepted_previews_are_silent() -> None:
    with accepted_previews(), pytest.raises(DeprecationWarning, match="something else"):
        warnings.warn("something else", DeprecationWarning, stacklevel=1)
