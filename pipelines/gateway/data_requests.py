"""Requests for instruments and market data, and what is pushed to those who follow it."""

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final

from pipelines.gateway.bars import BAR_SECONDS, WHAT_TO_SHOW, bucket_of, completes_minute
from pipelines.gateway.client import Client
from pipelines.gateway.feeds import DELAYED, LIVE, PRINTS, QUOTES, BarFeed, Feed, PrintFeed, TopFeed
from pipelines.gateway.history import (
    HistoryRequest,
    KeptAlive,
    history_bars,
    history_message,
    read_history_request,
)
from pipelines.gateway.instruments import Wanted, details_message
from pipelines.gateway.market import Switches, Trade
from pipelines.gateway.order_terms import Refusal, ambiguous, not_found
from pipelines.gateway.tape import TapeBar
from pipelines.gateway.told import MarketTold
from pipelines.gateway.venue import Venue
from pipelines.gateway.wire import Fields

FEEDS_MAX: Final = 100
"""Market data lines of one client."""

PACING_SECONDS: Final = 600.0
PACING_REQUESTS_MAX: Final = 60
SAME_REQUEST_SECONDS: Final = 15.0
_FAILED: Final = "Historical Market Data Service error message:"
_NO_RIGHTS: Final = "No market data permissions for CME FUT"


def push(venue: Venue, client: Client, told: MarketTold) -> None:
    """Send what a client follows of the market; a line that may not be served says so once."""
    if venue.switches.stalls_bars:
        return
    feeds = client.feeds
    for request_id, feed in list(feeds.by_id.items()):
        if (refusal := _denied(feed, venue.switches)) is not None:
            if request_id not in feeds.silenced:
                feeds.silenced.add(request_id)
                client.error(request_id, refusal.code, refusal.text)
            continue
        feeds.silenced.discard(request_id)
        if isinstance(feed, TopFeed) and feed.is_delayed != venue.switches.delays_data:
            _say_data_type(client, feed, venue.switches)
        for message in feed.messages(told, venue.market):
            client.send(*message)
    if feeds.by_id and isinstance(told, TapeBar) and completes_minute(told):
        client.pace.told_bar()


def on_details(venue: Venue, client: Client, fields: Fields) -> None:
    """9: every listed month that fits a description."""
    fields.skip()
    request_id, wanted = fields.integer(), Wanted.read(fields)
    found = venue.listing.find(wanted)
    if not found or venue.switches.lists_no_contracts:
        client.error(request_id, *not_found())
        return
    hours = venue.listing.hours()
    for future in found:
        client.send(*details_message(request_id, future, hours, client.version))
    client.send(52, 1, request_id)


def on_history(venue: Venue, client: Client, fields: Fields) -> None:
    """20: bars of the past, and if asked for the updates of the bar that grows."""
    request = read_history_request(fields, client.version)
    refusal = _refusal(venue, request.wanted) or _too_fast(venue, client, request)
    if refusal is None and _may_not_see(venue.switches):
        refusal = Refusal(162, f"{_FAILED}{_NO_RIGHTS}")
    if refusal is not None:
        client.error(request.request_id, *refusal)
        return
    answer = history_bars(request, venue.listing.traded(), venue.market)
    if isinstance(answer, Refusal):
        client.error(request.request_id, *answer)
        return
    client.send(*history_message(request, answer, venue.market, client.version))
    seconds = BAR_SECONDS.get(request.bar_size)
    if request.is_kept_alive and seconds is not None:
        last = answer[2][-1]
        grows = bucket_of(last.opens_at, seconds) == bucket_of(venue.market.now(), seconds)
        kept = KeptAlive(
            request=request,
            version=client.version,
            seconds=seconds,
            growing=last if grows else None,
        )
        _follow(venue, client, request.request_id, kept)


def on_real_time_bars(venue: Venue, client: Client, fields: Fields) -> None:
    """50: follow 5-second bars; they are always of 5 seconds, whatever size is asked for."""
    fields.skip()
    request_id, wanted = fields.integer(), Wanted.read(fields)
    fields.skip()
    what = fields.text()
    if what not in WHAT_TO_SHOW:
        text = "Error validating request.-'bl' : cause - What to show is invalid"
        client.error(request_id, 321, text)
    elif (refusal := _refusal(venue, wanted)) is not None:
        client.error(request_id, *refusal)
    else:
        _follow(venue, client, request_id, BarFeed(request_id=request_id, what=what))


def on_tick_by_tick(venue: Venue, client: Client, fields: Fields) -> None:
    """97: follow prints or quotes one by one."""
    request_id, wanted, kind = fields.integer(), Wanted.read(fields), fields.text()
    tick_type = {**PRINTS, **QUOTES}.get(kind)
    if tick_type is None:
        client.error(request_id, 321, "Error validating request.-'cs' : cause - Unknown tick type")
    elif (refusal := _refusal(venue, wanted)) is not None:
        client.error(request_id, *refusal)
    else:
        _follow(venue, client, request_id, PrintFeed(request_id=request_id, tick_type=tick_type))


def on_market_data(venue: Venue, client: Client, fields: Fields) -> None:
    """1: follow quotes and last trades, or have them once."""
    fields.skip()
    request_id, wanted = fields.integer(), Wanted.read(fields)
    if wanted.sec_type == "BAG":
        client.error(request_id, *not_found())
        return
    has_delta_neutral_contract = fields.flag()
    fields.skip(3 if has_delta_neutral_contract else 0)
    fields.skip()  # Generic ticks: none is served.
    is_snapshot = fields.flag()
    feed = TopFeed(request_id=request_id)
    refusal = _refusal(venue, wanted) or _denied(feed, venue.switches)
    if refusal is not None:
        client.error(request_id, *refusal)
        return
    if not is_snapshot and not _follow(venue, client, request_id, feed):
        return
    tick = format(venue.market.instrument.tick_size.normalize(), "f")
    client.send(81, request_id, tick, "", 0)
    _say_data_type(client, feed, venue.switches)
    for told in (venue.quote, _last_trade(venue)):
        if told is not None:
            for message in feed.messages(told, venue.market):
                client.send(*message)
    if is_snapshot:
        client.send(57, 1, request_id)


def on_cancel_history(_: Venue, client: Client, fields: Fields) -> None:
    """25; a request that is not alive any more is told so, as IB does."""
    fields.skip()
    request_id = fields.integer()
    if not client.feeds.drop(request_id):
        client.error(
            request_id, 366, "No historical data query found for ticker id:" + str(request_id)
        )


def on_cancel_feed(_: Venue, client: Client, fields: Fields) -> None:
    """2 and 51."""
    fields.skip()
    _drop(client, fields.integer())


def on_cancel_tick_by_tick(_: Venue, client: Client, fields: Fields) -> None:
    """98."""
    _drop(client, fields.integer())


def on_data_type(_: Venue, __: Client, fields: Fields) -> None:
    """59: there is nothing to choose, data is live unless a fault delays it."""
    fields.skip()
    fields.integer()


def refuse_disconnected(message: int, client: Client, fields: Fields) -> None:
    """10182 for a request for data while IB is not reached."""
    if message in {1, 50} or (message == 20 and client.version < 124):
        fields.skip()
    client.error(fields.integer(), 10182, "Failed to request live updates (disconnected).")


LIVE_DATA: Final = frozenset({1, 20, 50, 97})
"""Requests for data that need IB to be reached."""

HANDLERS: Final[Mapping[int, Callable[[Venue, Client, Fields], None]]] = {
    1: on_market_data,
    2: on_cancel_feed,
    9: on_details,
    20: on_history,
    25: on_cancel_history,
    50: on_real_time_bars,
    51: on_cancel_feed,
    59: on_data_type,
    97: on_tick_by_tick,
    98: on_cancel_tick_by_tick,
}


def _refusal(venue: Venue, wanted: Wanted) -> Refusal | None:
    """Why there is no data for a description: unknown, ambiguous, or a month not played."""
    found = venue.listing.find(wanted)
    if not found:
        return not_found()
    if len(found) > 1:
        return ambiguous(wanted)
    if found[0].con_id != venue.listing.traded().con_id:
        return Refusal(354, "Requested market data is not subscribed.")
    return None


def _denied(feed: Feed, switches: Switches) -> Refusal | None:
    """Why a line may not be served right now."""
    if switches.competing_session:
        return Refusal(10197, "No market data during competing live session")
    if isinstance(feed, TopFeed):
        text = "Requested market data is not subscribed."
        return Refusal(354, text) if switches.has_no_data_rights else None
    if not _may_not_see(switches):
        return None
    if isinstance(feed, PrintFeed):
        return Refusal(10189, f"Failed to request tick-by-tick data.{_NO_RIGHTS}")
    return Refusal(420, f"Invalid Real-time Query:{_NO_RIGHTS}")


def _may_not_see(switches: Switches) -> bool:
    return switches.has_no_data_rights or switches.delays_data


def _follow(venue: Venue, client: Client, request_id: int, feed: Feed) -> bool:
    """Begin a line, or say why not."""
    refusal = _denied(feed, venue.switches)
    if request_id in client.feeds.by_id:
        refusal = Refusal(102, "Duplicate ticker ID.")
    elif len(client.feeds.by_id) >= FEEDS_MAX:
        refusal = Refusal(101, "Max number of tickers has been reached.")
    if refusal is not None:
        client.error(request_id, *refusal)
        return False
    client.feeds.by_id[request_id] = feed
    return True


def _drop(client: Client, request_id: int) -> None:
    if not client.feeds.drop(request_id):
        client.error(request_id, 300, f"Can't find EId with tickerId:{request_id}")


def _say_data_type(client: Client, feed: TopFeed, switches: Switches) -> None:
    feed.is_delayed = switches.delays_data
    feed.told.clear()
    if feed.is_delayed:
        text = "Requested market data is not subscribed. Displaying delayed market data."
        client.error(feed.request_id, 10167, text)
    client.send(58, 1, feed.request_id, DELAYED if feed.is_delayed else LIVE)


def _last_trade(venue: Venue) -> Trade | None:
    if venue.mark_ticks is None:
        return None
    return Trade(venue.market.now(), venue.mark_ticks, 1)


def _too_fast(venue: Venue, client: Client, request: HistoryRequest) -> Refusal | None:
    """162 for a request beyond IB's pacing, while that is enforced."""
    now, asked = monotonic(), client.feeds.asked
    while asked and (now - asked[0][0] > PACING_SECONDS or len(asked) > PACING_REQUESTS_MAX):
        asked.popleft()
    is_again = any(
        now - at < SAME_REQUEST_SECONDS and identity == request.identity for at, identity in asked
    )
    is_too_many = len(asked) >= PACING_REQUESTS_MAX
    asked.append((now, request.identity))
    if venue.switches.enforces_pacing and (is_again or is_too_many):
        return Refusal(162, f"{_FAILED}Historical data request pacing violation")
    return None
