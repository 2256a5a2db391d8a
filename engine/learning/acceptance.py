"""A person's word on a session whose books do not balance: this difference, and no other."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from engine.modes import Mode

CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceAccepted:
    """Who accepted by how much one session's account and fills differ, and why.

    `usd` is to the cent, null where the broker did not tell its money at both ends; `lots` are
    signed. It counts for this difference alone: it lapses once the session's books say another.
    """

    at: datetime
    session_date: date
    symbol: str
    mode: Mode
    usd: Decimal | None
    lots: int
    by: str
    why: str

    @property
    def text(self) -> str:
        return f"{self.by} accepted a difference of {difference_text(self.usd, self.lots)}: " + (
            self.why
        )


def to_cents(usd: Decimal | None) -> Decimal | None:
    """An amount as a person names it; null stays null."""
    return None if usd is None else usd.quantize(CENT)


def difference_text(usd: Decimal | None, lots: int) -> str:
    """`-12.34 USD and 0 lots`, or that the money is not known."""
    money = "an unknown amount" if usd is None else f"{usd:+.2f} USD"
    return f"{money} and {lots:+d} {'lot' if abs(lots) == 1 else 'lots'}"


def newest_for(
    acts: Iterable[DifferenceAccepted], *, session_date: date, symbol: str, mode: Mode
) -> DifferenceAccepted | None:
    """The last word on a session of an instrument in a mode; null if nobody gave one."""
    said = [
        act
        for act in acts
        if (act.session_date, act.symbol, act.mode) == (session_date, symbol, mode)
    ]
    return said[-1] if said else None
