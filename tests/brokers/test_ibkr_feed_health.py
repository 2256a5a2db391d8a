"""What the feed is worth: the worst of what is wrong, told when it changes."""

import pytest
from exchange_tables import instant

from engine.broker import FeedReported, FeedState
from pipelines.brokers.ibkr.feed_health import FeedHealth
from pipelines.brokers.ibkr.messages import ErrorTold

AT = instant(1)


def error(code: int, text: str = "words") -> ErrorTold:
    return ErrorTold(request_id=3, code=code, text=text)


def live() -> FeedHealth:
    feed = FeedHealth()
    feed.on_bar(AT)
    return feed


def states(*told: list[FeedReported]) -> list[FeedState]:
    return [report.state for reports in told for report in reports]


def test_the_first_bar_makes_the_feed_live_and_the_next_says_nothing() -> None:
    feed = FeedHealth()

    assert states(feed.on_bar(AT), feed.on_bar(AT)) == [FeedState.LIVE]


def test_nothing_is_said_before_a_bar_or_a_doubt() -> None:
    feed = FeedHealth()

    assert (
        states(feed.on_error(error(2104, "… is OK:usfuture"), AT), feed.on_data_type(1, AT)) == []
    )


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (10197, FeedState.COMPETING),
        (354, FeedState.BROKEN),
        (10089, FeedState.BROKEN),
        (420, FeedState.BROKEN),
        (10167, FeedState.DELAYED),
        (2103, FeedState.BROKEN),
    ],
)
def test_a_code_that_spoils_the_data_is_told_with_its_words(code: int, state: FeedState) -> None:
    (told,) = live().on_error(error(code), AT)

    assert told.state is state
    assert "words" in told.text


@pytest.mark.parametrize("code", [2107, 2108, 2119, 2105, 2157, 162])
def test_an_idle_farm_a_notice_and_farms_of_other_things_spoil_nothing(code: int) -> None:
    assert live().on_error(error(code, "a farm:usfuture"), AT) == []


@pytest.mark.parametrize("code", [2104, 2108])
def test_a_broken_farm_is_well_again_when_it_says_so_itself(code: int) -> None:
    feed = live()
    feed.on_error(error(2103, "broken:usfuture"), AT)

    other = feed.on_error(error(2104, "OK:eufarm"), AT)
    same = feed.on_error(error(code, "OK:usfuture"), AT)

    assert states(other) == []
    assert states(same) == [FeedState.LIVE]


@pytest.mark.parametrize(("data_type", "state"), [(2, FeedState.STALE), (3, FeedState.DELAYED)])
def test_data_that_is_not_live_is_told_until_it_is(data_type: int, state: FeedState) -> None:
    feed = live()

    told = states(feed.on_data_type(data_type, AT), feed.on_bar(AT), feed.on_data_type(1, AT))

    assert told == [state, FeedState.LIVE]


def test_silence_is_told_once_and_ends_with_the_next_bar() -> None:
    feed = live()

    told = states(feed.on_silence(20, AT), feed.on_silence(30, AT), feed.on_bar(AT))

    assert told == [FeedState.STALE, FeedState.LIVE]


def test_a_competing_session_is_over_when_a_bar_comes() -> None:
    feed = live()

    told = states(feed.on_error(error(10197), AT), feed.on_silence(20, AT), feed.on_bar(AT))

    assert told == [FeedState.COMPETING, FeedState.LIVE]


def test_the_worst_doubt_is_told_and_the_rest_when_it_is_gone() -> None:
    feed = live()

    told = states(
        feed.on_error(error(2103, "broken:usfuture"), AT),
        feed.on_data_type(3, AT),
        feed.on_data_type(1, AT),
        feed.on_error(error(2104, "OK:usfuture"), AT),
    )

    assert told == [FeedState.BROKEN, FeedState.DELAYED, FeedState.BROKEN, FeedState.LIVE]


def test_bars_refused_while_another_session_competes_do_not_hide_it() -> None:
    feed = live()

    told = states(feed.on_error(error(10197), AT), feed.on_error(error(420), AT))

    assert told == [FeedState.COMPETING]
