"""The futures that are listed, and how the protocol describes them."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Final

from engine.instrument import Instrument
from pipelines.gateway.market import Market
from pipelines.gateway.times import EXCHANGE_ZONE, EXCHANGE_ZONE_NAME
from pipelines.gateway.wire import Field, Fields

QUARTER_CODES: Final = {3: "H", 6: "M", 9: "U", 12: "Z"}
QUARTERS_LISTED: Final = 5
CON_ID_BASE: Final = 600_000_000
"""Own numbers: base plus the month as YYYYMM, so that a conId stays the same for ever."""

MARKET_RULE_ID: Final = 67
ORDER_TYPES: Final = "DAY,GTC,GTD,LMT,MKT,OCA,STP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Future:
    """One listed month of the instrument."""

    instrument: Instrument
    expires_on: date
    sec_type: str = "FUT"

    @property
    def con_id(self) -> int:
        return CON_ID_BASE + self.expires_on.year * 100 + self.expires_on.month

    @property
    def expiry(self) -> str:
        return f"{self.expires_on:%Y%m%d}"

    @property
    def local_symbol(self) -> str:
        year = self.expires_on.year % 10
        return f"{self.instrument.symbol}{QUARTER_CODES[self.expires_on.month]}{year}"

    @property
    def multiplier(self) -> Decimal:
        return self.instrument.tick_value_usd / self.instrument.tick_size

    def fields(self, *, right: str = "", exchange: str | None = None) -> list[Field]:
        """C11: the contract as most answers carry it, without the primary exchange."""
        instrument = self.instrument
        return [
            self.con_id,
            instrument.symbol,
            self.sec_type,
            self.expiry,
            0.0,
            right,
            _plain(self.multiplier),
            instrument.exchange if exchange is None else exchange,
            instrument.currency,
            self.local_symbol,
            instrument.symbol,
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A contract as a client describes it (C12); an empty field is any."""

    con_id: int = 0
    symbol: str = ""
    sec_type: str = ""
    expiry: str = ""
    multiplier: str = ""
    exchange: str = ""
    currency: str = ""
    local_symbol: str = ""
    trading_class: str = ""

    @classmethod
    def read(cls, fields: Fields) -> "Wanted":
        con_id, symbol, sec_type, expiry = fields.integer(), *fields.texts(3)
        fields.skip(2)  # Strike and right mean nothing for a future.
        multiplier, exchange, _primary, currency, local_symbol, trading_class = fields.texts(6)
        return cls(
            con_id=con_id,
            symbol=symbol,
            sec_type=sec_type,
            expiry=expiry,
            multiplier=multiplier,
            exchange=exchange,
            currency=currency,
            local_symbol=local_symbol,
            trading_class=trading_class,
        )

    def fits(self, future: Future) -> bool:
        """Whether a listed month is one of those described; a conId alone decides."""
        instrument = future.instrument
        if self.con_id:
            return self.con_id == future.con_id
        if not (self.symbol or self.local_symbol):
            return False
        return (
            self.symbol in {"", instrument.symbol}
            and self.sec_type in {"", future.sec_type}
            and future.expiry.startswith(self.expiry)
            and self.multiplier in {"", _plain(future.multiplier)}
            and self.exchange in {"", instrument.exchange}
            and self.currency in {"", instrument.currency}
            and self.local_symbol in {"", future.local_symbol}
            and self.trading_class in {"", instrument.symbol}
        )


class Listing:
    """Which months of the market's instrument exist, and which one its bars are of."""

    def __init__(self, market: Market) -> None:
        self._market = market

    def listed(self) -> list[Future]:
        """The next quarters, the nearest first, by the market's date."""
        today = self._today()
        months = [
            self._future(year, month)
            for year in (today.year, today.year + 1, today.year + 2)
            for month in QUARTER_CODES
        ]
        return [future for future in months if future.expires_on >= today][:QUARTERS_LISTED]

    def traded(self) -> Future:
        """The month that is played: the first that is not yet within the days of the roll."""
        days = timedelta(days=self._market.instrument.roll_days_before_expiry)
        today = self._today()
        return next(each for each in self.listed() if each.expires_on - days > today)

    def find(self, wanted: Wanted) -> list[Future]:
        """The months a description fits; CONTFUT is the traded month under another name."""
        if wanted.sec_type == "CONTFUT":
            traded = self.traded()
            continuous = Future(
                instrument=traded.instrument, expires_on=traded.expires_on, sec_type="CONTFUT"
            )
            return [continuous] if wanted.fits(continuous) else []
        return [future for future in self.listed() if wanted.fits(future)]

    def _today(self) -> date:
        return self._market.now().astimezone(EXCHANGE_ZONE).date()

    def _future(self, year: int, month: int) -> Future:
        """The third Friday of the month, or the session before it."""
        first = date(year, month, 1)
        friday = first + timedelta(days=(4 - first.weekday()) % 7 + 14)
        sessions = self._market.sessions(friday - timedelta(days=4), friday)
        expires_on = sessions[-1].session_date if sessions else friday
        return Future(instrument=self._market.instrument, expires_on=expires_on)

    def hours(self) -> tuple[str, str]:
        """Trading and liquid hours of the next seven days, as contract details write them."""
        today = self._today()
        days = [today + timedelta(days=ahead) for ahead in range(7)]
        by_date = {each.session_date: each for each in self._market.sessions(days[0], days[-1])}
        trading, liquid = list[str](), list[str]()
        for day in days:
            session = by_date.get(day)
            if session is None:
                trading.append(f"{day:%Y%m%d}:CLOSED")
                liquid.append(f"{day:%Y%m%d}:CLOSED")
                continue
            closes = time(12, 15) if session.is_half_day else time(16)
            evening = datetime.combine(day - timedelta(days=1), time(17))
            trading.append(_span(evening, datetime.combine(day, closes)))
            liquid.append(_span(_local(session.opens_at), _local(session.closes_at)))
        return ";".join(trading), ";".join(liquid)


def details_message(
    request_id: int, future: Future, hours: tuple[str, str], version: int
) -> list[Field]:
    """Message 10: everything about one listed month, in the field order of a version."""
    instrument = future.instrument
    tick = _plain(instrument.tick_size)
    fields: list[Field] = [10, *([8] if version < 164 else []), request_id]
    fields += [
        instrument.symbol, future.sec_type, f"{future.expiry} 08:30 {EXCHANGE_ZONE_NAME}", 0, "",
        instrument.exchange, instrument.currency, future.local_symbol, instrument.symbol,
        instrument.symbol, future.con_id, tick,
    ]  # fmt: skip
    if 110 <= version < 164:
        fields.append(1)  # mdSizeMultiplier
    fields += [
        _plain(future.multiplier), ORDER_TYPES, instrument.exchange, 1, 0, instrument.name, "",
        f"{future.expires_on:%Y%m}", "", "", "", EXCHANGE_ZONE_NAME, *hours, "", 0, 0,
    ]  # fmt: skip
    if version >= 121:
        fields.append(2147483647)  # aggGroup
    if version >= 122:
        fields += [instrument.symbol, "IND"]
    if version >= 126:
        fields.append(MARKET_RULE_ID)
    if version >= 134:
        fields.append(future.expiry)
    if version >= 152:
        fields.append("")  # stockType
    if version == 163:
        fields.append(1)
    if version >= 164:
        fields += [1, 1, 1]  # minSize, sizeIncrement, suggestedSizeIncrement
    return fields


def _span(start: datetime, end: datetime) -> str:
    return f"{start:%Y%m%d:%H%M}-{end:%Y%m%d:%H%M}"


def _local(at: datetime) -> datetime:
    return at.astimezone(EXCHANGE_ZONE)


def _plain(number: Decimal) -> str:
    """A decimal without trailing zeros or an exponent."""
    return format(number.normalize(), "f")
