"""What every command is given: the environment of the call, and the options that many share."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from pipelines.wiring import Wiring


def read_date(text: str | datetime) -> datetime:
    """A date as typed, as the instant that typer wants of it."""
    return _read(str(text)[:10] if isinstance(text, datetime) else text, "%Y-%m-%d", DATE_LIKE)


def read_clock(text: str | datetime) -> datetime:
    """A New York time as typed, on no particular day."""
    return _read(f"{text:%H:%M}" if isinstance(text, datetime) else text, "%H:%M", TIME_LIKE)


def _read(text: str, form: str, like: str) -> datetime:
    try:
        return datetime.strptime(text, form)  # noqa: DTZ007 - A date or a time alone, no instant.
    except ValueError:
        raise typer.BadParameter(f"expected {like}, got {text!r}") from None


DATE_LIKE: Final = "YYYY-MM-DD, like 2025-10-06"
TIME_LIKE: Final = "HH:MM, like 10:42"

First = Annotated[
    datetime | None,
    typer.Option("--from", parser=read_date, metavar="DATE", help="First session date."),
]
Last = Annotated[
    datetime | None,
    typer.Option("--to", parser=read_date, metavar="DATE", help="Last session date."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer as one JSON object.")]
Symbol = Annotated[
    str | None, typer.Option(metavar="NAME", help="Instrument; else CREDENCE_SYMBOL.")
]


@dataclass(slots=True, kw_only=True)
class Call:
    """One call of the program: the environment it reads, and how it shows an unforeseen error."""

    environ: Mapping[str, str]
    shows_traceback: bool = False

    def settings(self, symbol: str | None = None) -> "Settings":
        """The settings of the environment, with another symbol if one is given."""
        from pipelines.settings import load_settings

        return load_settings({**self.environ, **({"CREDENCE_SYMBOL": symbol} if symbol else {})})

    def wiring(self, symbol: str | None = None) -> "Wiring":
        """The parts of the desk on the data home of the environment."""
        from pipelines.wiring import Wiring

        return Wiring(settings=self.settings(symbol))


class JournalSize(StrEnum):
    """How much a replay writes down."""

    FULL = "full"
    TRADES = "trades"


def usd_of(text: str | Decimal) -> Decimal:
    """An amount as typed; typer passes the default through here as well."""
    try:
        amount = Decimal(str(text).removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount <= 0:
        raise typer.BadParameter(f"expected an amount above 0 in US dollars, got {text!r}")
    return amount


def day_of(instant: datetime | None) -> date | None:
    """The date that typer read as an instant; null stays null."""
    return None if instant is None else instant.date()
