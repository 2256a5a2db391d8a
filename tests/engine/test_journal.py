"""The chain: what it seals it can verify, and whatever was done to it has a number."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import JournalError
from engine.journal import (
    START,
    Broken,
    Chain,
    Entry,
    Event,
    Head,
    Kind,
    Stamp,
    Verified,
    hash_of,
    require_whole,
    verify,
)

STAMP = Stamp(date(2024, 3, 5), "c" * 64, "test")
AT = datetime(2024, 3, 5, 14, 31, tzinfo=UTC)


def entries(count: int) -> list[Entry]:
    return [
        Entry(Kind.BAR, AT + timedelta(minutes=n), f'{{"n":{n}}}', f"MES-{n}", "")
        for n in range(count)
    ]


def sealed(count: int) -> list[Event]:
    return Chain().seal(entries(count), STAMP)


def test_a_sealed_chain_verifies_to_its_head():
    events = sealed(5)

    assert verify(events) == Verified(events=5, head=Head(5, events[-1].hash))


def test_the_hash_covers_every_field_but_itself():
    event = sealed(1)[0]

    for field in Event._fields[:-1]:
        value = getattr(event, field)
        changed = event._replace(**{field: value + 1 if isinstance(value, int) else value + "x"})
        assert hash_of(changed) != event.hash, field


@given(st.integers(0, 9), st.sampled_from(["payload", "kind", "at", "decision_id", "code_version"]))
def test_a_changed_event_is_found_at_its_number(index, field):
    events = sealed(10)
    events[index] = events[index]._replace(**{field: "changed"})

    broken = verify(events)

    assert isinstance(broken, Broken)
    assert broken.seq == index + 1


@given(st.integers(0, 8))
def test_a_missing_event_is_found_at_its_number(index):
    events = sealed(10)
    del events[index]

    broken = verify(events)

    assert isinstance(broken, Broken)
    assert broken.seq == index + 1


@given(st.integers(0, 8))
def test_two_events_that_changed_places_are_found_at_the_first(index):
    events = sealed(10)
    events[index], events[index + 1] = events[index + 1], events[index]

    broken = verify(events)

    assert isinstance(broken, Broken)
    assert broken.seq == index + 1


def test_an_event_resealed_by_a_forger_breaks_at_the_next_one():
    events = sealed(5)
    forged = events[2]._replace(payload='{"n":99}')
    events[2] = forged._replace(hash=hash_of(forged))

    broken = verify(events)

    assert isinstance(broken, Broken)
    assert broken.seq == 4


def test_a_chain_cut_at_its_end_is_found_by_the_head_kept_elsewhere():
    events = sealed(5)
    head = Head(5, events[-1].hash)

    whole_in_itself = verify(events[:3])
    broken = verify(events[:3], end=head)

    assert isinstance(whole_in_itself, Verified)
    assert isinstance(broken, Broken)
    assert broken.seq == 4


def test_sealing_in_pieces_gives_the_same_chain():
    whole, pieces = Chain(), Chain()

    at_once = whole.seal(entries(10), STAMP)
    in_pieces = [event for entry in entries(10) for event in pieces.seal([entry], STAMP)]

    assert at_once == in_pieces
    assert whole.head == pieces.head


def test_the_first_event_follows_the_genesis():
    assert sealed(1)[0].previous_hash == START.hash
    assert verify([]) == Verified(events=0, head=START)


def test_a_broken_chain_is_refused_with_its_number():
    with pytest.raises(JournalError, match="broken at event 2"):
        require_whole(verify(sealed(3)[:1] + sealed(3)[2:]))


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 3, 3, 15, 42, tzinfo=UTC),
        datetime(2026, 3, 3, 0, 0, tzinfo=UTC),
        datetime(2026, 3, 3, 15, 42, 7, tzinfo=UTC),
        datetime(2026, 3, 3, 15, 42, 0, 1, tzinfo=UTC),
        datetime(2026, 3, 4, 0, 1, tzinfo=UTC),
        datetime(2026, 3, 3, 10, 42, tzinfo=timezone(timedelta(hours=-5))),
    ],
)
def test_an_instant_is_written_as_isoformat_writes_it(at: datetime) -> None:
    stamp = Stamp(date(2026, 3, 3), "rules", "code")

    (event,) = Chain().seal([Entry(Kind.CLOCK, at, "{}")], stamp)

    assert event.at == at.isoformat(timespec="microseconds")
