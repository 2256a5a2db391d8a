"""Historical bars: what was asked for, the answer, and the updates of a request kept alive."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pipelines.gateway.bars import (
    BAR_SECONDS,
    DAY_BAR,
    WHAT_TO_SHOW,
    ShownBar,
    bars_between,
    day_bars,
    grown,
    shown,
)
from pipelines.gateway.instruments import Future, Wanted
from pipelines.gateway.market import Market
from pipelines.gateway.order_terms import Refusal
from pipelines.gateway.tape import TapeBar
from pipelines.gateway.times import EXCHANGE_ZONE, bar_time, read_instant
from pipelines.gateway.told import MarketTold
from pipelines.gateway.wire import Field, Fields

BARS_MAX: Final = 50_000
_DURATION: Final = re.compile(r"(\d{1,6}) ([SDWMY])", re.ASCII)
_DAYS: Final = {"W": 7, "M": 31, "Y": 366}
_DAYS_MAX: Final = 5 * 366
_FAILED: Final = "Historical Market Data Service error message:"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRequest:
    """A `reqHistoricalData` as it came; `identity` is what makes two of them the same."""

    request_id: int
    wanted: Wanted
    end: str
    bar_size: str
    duration: str
    what: str
    as_epoch: bool
    is_kept_alive: bool

    @property
    def identity(self) -> tuple[Wanted, str, str, str, str]:
        return (self.wanted, self.end, self.bar_size, self.duration, self.what)


def read_history_request(fields: Fields, version: int) -> HistoryRequest:
    """The request of message 20; `fields` stands behind the message number."""
    if version < 124:
        fields.skip()
    request_id, wanted = fields.integer(), Wanted.read(fields)
    fields.skip()  # includeExpired
    end, bar_size, duration = fields.texts(3)
    fields.skip()  # useRTH: the tape has regular hours alone.
    what, date_format = fields.text(), fields.integer()
    if wanted.sec_type == "BAG":
        fields.skip(4 * fields.count())
    return HistoryRequest(
        request_id=request_id,
        wanted=wanted,
        end=end,
        bar_size=bar_size,
        duration=duration,
        what=what,
        as_epoch=date_format == 2,
        is_kept_alive=version >= 124 and fields.flag(),
    )


@dataclass(slots=True, kw_only=True)
class KeptAlive:
    """A request whose bars go on growing: the bar that grows, and how its updates are written."""

    request: HistoryRequest
    version: int
    seconds: int
    growing: TapeBar | None

    def messages(self, told: MarketTold, market: Market) -> Iterator[list[Field]]:
        """Message 90 for each 5-second bar: the growing bar with that part in it."""
        if isinstance(told, TapeBar):
            self.growing = grown(self.growing, told, self.seconds)
            bar = shown(self.growing, self.request.what, market.instrument)
            at = bar_time(bar.opens_at, self.version, as_epoch=self.request.as_epoch)
            head: list[Field] = [90, self.request.request_id, bar.trades, at]
            yield [*head, bar.open, bar.close, bar.high, bar.low, bar.average, bar.volume]


def history_bars(
    request: HistoryRequest, future: Future, market: Market
) -> tuple[datetime, datetime, list[TapeBar]] | Refusal:
    """Start, end and bars of a request, or why there are none."""
    if request.bar_size not in BAR_SECONDS and request.bar_size != DAY_BAR:
        sizes = ", ".join([*BAR_SECONDS, DAY_BAR])
        cause = f"Historical data bar size setting is invalid. Legal ones are: {sizes}."
        return Refusal(321, f"Error validating request.-'bf' : cause - {cause}")
    if request.what not in WHAT_TO_SHOW:
        return Refusal(162, f"{_FAILED}No historical data query found for {request.what[:20]}")
    if request.is_kept_alive and request.end:
        cause = "End Date/Time is not supported for a request that is kept up to date."
        return Refusal(321, f"Error validating request.-'bf' : cause - {cause}")
    now = market.now()
    until = now if not request.end else _end_of(request.end)
    if until is None:
        return Refusal(10314, "End Date/Time: The date, time, or time-zone entered is invalid.")
    if now - until > timedelta(days=_DAYS_MAX):
        return Refusal(162, f"{_FAILED}HMDS query returned no data: before all bars")
    until = min(until, now)
    since = _start_of(request.duration, until, market)
    if since is None:
        text = "Error validating request.-'bf' : cause - Historical data duration is invalid."
        return Refusal(321, text)
    if (until - since).total_seconds() > BARS_MAX * BAR_SECONDS.get(request.bar_size, 86_400):
        return Refusal(162, f"{_FAILED}Time length exceed max.")
    if request.bar_size == DAY_BAR:
        sessions = market.sessions(since.date(), until.date())
        bars = day_bars(market, sessions, until)
    else:
        bars = bars_between(market, BAR_SECONDS[request.bar_size], since, until)
    if not bars:
        name = f"{future.local_symbol}@{future.instrument.exchange} {request.what.title()}"
        return Refusal(162, f"{_FAILED}HMDS query returned no data: {name}")
    return since, until, bars


def history_message(
    request: HistoryRequest,
    answer: tuple[datetime, datetime, list[TapeBar]],
    market: Market,
    version: int,
) -> list[Field]:
    """Message 17: all bars of the answer at once."""
    since, until, bars = answer
    fields: list[Field] = [17, *([3] if version < 124 else []), request.request_id]
    fields += [bar_time(at, version, as_epoch=False) for at in (since, until)]
    fields.append(len(bars))
    for bar in bars:
        one = shown(bar, request.what, market.instrument)
        fields += [_date_of(one, request, version), one.open, one.high, one.low, one.close]
        fields += [one.volume, one.average]
        fields += ["false", one.trades] if version < 124 else [one.trades]
    return fields


def _date_of(bar: ShownBar, request: HistoryRequest, version: int) -> str:
    if request.bar_size == DAY_BAR:
        return f"{bar.opens_at.astimezone(EXCHANGE_ZONE):%Y%m%d}"
    return bar_time(bar.opens_at, version, as_epoch=request.as_epoch)


def _end_of(text: str) -> datetime | None:
    """The end as it was written; a date alone is the end of that day."""
    return read_instant(f"{text} 23:59:59" if re.fullmatch(r"\d{8}", text) else text)


def _start_of(duration: str, until: datetime, market: Market) -> datetime | None:
    """Where a duration before an end begins; days are sessions, the one that runs included."""
    match = _DURATION.fullmatch(duration)
    if match is None or not int(match[1]):
        return None
    count, unit = int(match[1]), match[2]
    if unit == "S":
        return until - timedelta(seconds=count)
    days = count * _DAYS.get(unit, 2) + (7 if unit == "D" else 0)
    if days > _DAYS_MAX:
        return None
    start = until - timedelta(days=days)
    if unit != "D":
        return start
    sessions = market.sessions(start.date(), until.date())
    begun = [session.opens_at for session in sessions if session.opens_at < until]
    return begun[-count] if len(begun) >= count else start
