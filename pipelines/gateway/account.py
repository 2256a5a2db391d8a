"""The account on the wire: values, portfolio, positions and summaries, and what follows them."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from engine.units import to_cents
from pipelines.gateway.client import Client
from pipelines.gateway.times import LOGIN_ZONE
from pipelines.gateway.venue import Venue
from pipelines.gateway.wire import Fields

UPDATES: Final = -1
"""In place of a request id for values that were not asked for with one."""

SUMMARIES_MAX: Final = 2
"""IB serves two of these requests at a time."""

MULTIS_MAX: Final = 20
_TOO_MANY: Final = "Error processing request.-'bK' : cause - Maximum number of"


class Value(NamedTuple):
    """One value of the account; money has a currency, words have none."""

    text: str
    currency: str


def account_values(venue: Venue) -> dict[str, Value]:
    """Every value of the account by its tag, at the last price."""
    now = venue.market.now()
    account, holding = venue.exchange.account(now), venue.books.holding
    equity = account.equity_usd or Decimal(0)
    available = account.available_funds_usd or Decimal(0)
    unrealized = equity - venue.deposit_usd - holding.realized_usd
    margin = venue.margin_usd * abs(holding.quantity)
    currency = venue.market.instrument.currency
    money = {
        "NetLiquidation": equity,
        "EquityWithLoanValue": equity,
        "TotalCashValue": equity - unrealized,
        "CashBalance": equity - unrealized,
        "TotalCashBalance": equity - unrealized,
        "AvailableFunds": available,
        "ExcessLiquidity": available,
        "FullAvailableFunds": available,
        "FullExcessLiquidity": available,
        "BuyingPower": max(Decimal(0), available),
        "InitMarginReq": margin,
        "MaintMarginReq": margin,
        "FullInitMarginReq": margin,
        "FullMaintMarginReq": margin,
        "FuturesPNL": unrealized,
        "UnrealizedPnL": unrealized,
        "RealizedPnL": holding.realized_usd,
        "GrossPositionValue": Decimal(0),
    }
    words = {"AccountCode": venue.account_id, "AccountReady": "true", "AccountType": "INDIVIDUAL"}
    return {
        **{tag: Value(word, "") for tag, word in words.items()},
        **{tag: Value(str(to_cents(usd)), currency) for tag, usd in money.items()},
    }


def tell_account(venue: Venue, client: Client) -> None:
    """Tell a client whatever changed of what it follows."""
    followed = client.account
    if not (followed.positions or followed.portfolio or followed.summaries or followed.multis):
        return
    values = account_values(venue)
    if followed.portfolio:
        _tell_values(client, UPDATES, values, venue)
        _tell_portfolio(client, venue)
    if followed.positions:
        _tell_position(client, venue)
    for request_id, tags in followed.summaries.items():
        _tell_summary(client, request_id, tags, values, venue)
    for request_id in followed.multis:
        _tell_multi(client, request_id, values, venue)


def on_account_updates(venue: Venue, client: Client, fields: Fields) -> None:
    """6: follow values and portfolio, or stop."""
    fields.skip()
    client.account.portfolio = fields.flag()
    _forget_told(client, UPDATES)
    if client.account.portfolio:
        _tell_values(client, UPDATES, account_values(venue), venue)
        _tell_portfolio(client, venue)
        client.send(8, 1, f"{venue.market.now().astimezone(LOGIN_ZONE):%H:%M}")
        client.send(54, 1, venue.account_id)


def on_positions(venue: Venue, client: Client, _: Fields) -> None:
    """61: tell the position and follow it."""
    client.account.positions = True
    client.account.told.pop((UPDATES, "position"), None)
    if venue.books.holding.quantity:
        _tell_position(client, venue)
    client.send(62, 1)


def on_cancel_positions(_: Venue, client: Client, __: Fields) -> None:
    """64."""
    client.account.positions = False


def on_summary(venue: Venue, client: Client, fields: Fields) -> None:
    """62: tell the values of the tags asked for and follow them."""
    fields.skip()
    request_id, _group, tags = fields.integer(), fields.text(), fields.text()
    if len(client.account.summaries) >= SUMMARIES_MAX:
        client.error(request_id, 322, f"{_TOO_MANY} account summary requests exceeded")
        return
    wanted = frozenset(tag.strip() for tag in tags.split(",")[:100])
    client.account.summaries[request_id] = wanted
    _forget_told(client, request_id)
    _tell_summary(client, request_id, wanted, account_values(venue), venue)
    client.send(64, 1, request_id)


def on_cancel_summary(_: Venue, client: Client, fields: Fields) -> None:
    """63."""
    fields.skip()
    request_id = fields.integer()
    client.account.summaries.pop(request_id, None)
    _forget_told(client, request_id)


def on_multi(venue: Venue, client: Client, fields: Fields) -> None:
    """76: the values again, by request id."""
    fields.skip()
    request_id = fields.integer()
    if len(client.account.multis) >= MULTIS_MAX:
        client.error(request_id, 322, f"{_TOO_MANY} account update requests exceeded")
        return
    client.account.multis.add(request_id)
    _forget_told(client, request_id)
    _tell_multi(client, request_id, account_values(venue), venue)
    client.send(74, 1, request_id)


def on_cancel_multi(_: Venue, client: Client, fields: Fields) -> None:
    """77."""
    fields.skip()
    request_id = fields.integer()
    client.account.multis.discard(request_id)
    _forget_told(client, request_id)


def on_managed_accounts(venue: Venue, client: Client, _: Fields) -> None:
    """17."""
    client.send(15, 1, venue.account_id)


HANDLERS: Final[Mapping[int, Callable[[Venue, Client, Fields], None]]] = {
    6: on_account_updates,
    17: on_managed_accounts,
    61: on_positions,
    62: on_summary,
    63: on_cancel_summary,
    64: on_cancel_positions,
    76: on_multi,
    77: on_cancel_multi,
}


def _tell_values(
    client: Client, request_id: int, values: Mapping[str, Value], venue: Venue
) -> None:
    for tag, (text, currency) in _changed(client, request_id, values).items():
        client.send(6, 2, tag, text, currency, venue.account_id)


def _tell_summary(
    client: Client,
    request_id: int,
    tags: frozenset[str],
    values: Mapping[str, Value],
    venue: Venue,
) -> None:
    wanted = {tag: value for tag, value in values.items() if tag in tags}
    for tag, (text, currency) in _changed(client, request_id, wanted).items():
        client.send(63, 1, request_id, venue.account_id, tag, text, currency)


def _tell_multi(client: Client, request_id: int, values: Mapping[str, Value], venue: Venue) -> None:
    for tag, (text, currency) in _changed(client, request_id, values).items():
        client.send(73, 1, request_id, venue.account_id, "", tag, text, currency)


def _tell_position(client: Client, venue: Venue) -> None:
    holding, future = venue.books.holding, venue.books.held_future
    if future is None or not _is_news(client, "position", f"{holding.quantity}/{holding.cost_usd}"):
        return
    contract = future.fields(exchange="")
    average = holding.average_cost_usd
    client.send(61, 3, venue.account_id, *contract, holding.quantity, average)


def _tell_portfolio(client: Client, venue: Venue) -> None:
    """Message 7: the position with its value at the last price."""
    holding, future = venue.books.holding, venue.books.held_future
    if future is None:
        return
    mark_ticks = venue.mark_ticks or 0
    value_usd = venue.market.instrument.to_usd(mark_ticks)
    worth = f"{holding.quantity}/{holding.cost_usd}/{mark_ticks if holding.quantity else 0}"
    if not _is_news(client, "portfolio", worth):
        return
    client.send(
        7,
        8,
        *future.fields(right="0"),
        holding.quantity,
        venue.market.instrument.to_points(mark_ticks),
        to_cents(holding.quantity * value_usd),
        holding.average_cost_usd,
        to_cents(holding.unrealized_usd(value_usd)),
        to_cents(holding.realized_usd),
        venue.account_id,
    )


def _changed(client: Client, request_id: int, values: Mapping[str, Value]) -> dict[str, Value]:
    """The values that differ from what the client was last told, which are then those."""
    told = client.account.told
    changed = {
        tag: value for tag, value in values.items() if told.get((request_id, tag)) != value.text
    }
    told.update({(request_id, tag): value.text for tag, value in changed.items()})
    return changed


def _is_news(client: Client, name: str, text: str) -> bool:
    told, key = client.account.told, (UPDATES, name)
    if told.get(key) == text:
        return False
    told[key] = text
    return True


def _forget_told(client: Client, request_id: int) -> None:
    told = client.account.told
    for key in [key for key in told if key[0] == request_id and key[1] != "position"]:
        del told[key]
