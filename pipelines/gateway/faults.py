"""What can go wrong at the gateway, by name: the changes a person or a plan may ask for.

The names are those of the specification's list; what each does is carried out by
`pipelines.gateway.misfortune`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Final

from contracts.reading import Plain, parse_contract
from engine.calendar import Session
from engine.errors import InputRefused


class Fault(StrEnum):
    """One way in which a gateway fails its client."""

    DISCONNECT = "disconnect"
    DISCONNECT_BEFORE_SEND = "disconnect-before-send"
    DISCONNECT_AFTER_SEND = "disconnect-after-send"
    DISCONNECT_MID_FILL = "disconnect-mid-fill"
    CONNECTIVITY_LOST = "1100"
    RESTORED_DATA_LOST = "1101"
    RESTORED_DATA_KEPT = "1102"
    FREEZE = "freeze"
    REJECT = "reject"
    PARTIAL = "partial"
    LATE_ACK = "late-ack"
    DUPLICATE_STATUS = "dup-status"
    LOST_STATUS = "lost-status"
    NO_COMMISSION = "no-commission"
    LATE_COMMISSION = "late-commission"
    CLIENT_ID_IN_USE = "326"
    COMPETING_SESSION = "10197"
    STALL_BARS = "stall-bars"
    DELAYED_DATA = "delayed-data"
    NO_DATA_RIGHTS = "354"
    MARGIN_CALL = "margin-call"
    DATA_FARM_BROKEN = "2103"
    HISTORY_FARM_BROKEN = "2105"
    CONTRACT_FARM_BROKEN = "2157"
    FOREIGN_POSITION = "foreign-position"
    UNKNOWN_ORDER = "unknown-order"
    WARNING = "warning"
    READ_ONLY = "read-only"
    CANCEL_UNANSWERED = "cancel-unanswered"
    FILL_AFTER_CANCEL = "fill-after-cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKnown:
    """What a fault is: `is_once` cannot be switched off again; `takes` names its own numbers."""

    meaning: str
    is_once: bool = False
    takes: tuple[str, ...] = ()


def _once(meaning: str, *takes: str) -> FaultKnown:
    return FaultKnown(meaning=meaning, is_once=True, takes=takes)


def _switch(meaning: str, *takes: str) -> FaultKnown:
    return FaultKnown(meaning=meaning, takes=takes)


FAULTS: Final[Mapping[Fault, FaultKnown]] = {
    Fault.DISCONNECT: _once("Every connection is closed at once."),
    Fault.DISCONNECT_BEFORE_SEND: _switch("The next order cuts the connection and is lost."),
    Fault.DISCONNECT_AFTER_SEND: _switch("The next order is placed; the cut is all it hears."),
    Fault.DISCONNECT_MID_FILL: _switch("The next fill cuts the connection and is not told."),
    Fault.CONNECTIVITY_LOST: _switch("1100: IB is not reached; off restores with 1102."),
    Fault.RESTORED_DATA_LOST: _once("1101: IB is reached again, subscriptions are gone."),
    Fault.RESTORED_DATA_KEPT: _once("1102: IB is reached again, subscriptions live."),
    Fault.FREEZE: _switch("The socket stays open and nothing is read or answered."),
    Fault.REJECT: _switch("201 for every new order."),
    Fault.PARTIAL: _switch("Orders of more than one contract fill in parts.", "rate"),
    Fault.LATE_ACK: _switch("All that is told of a new order comes later.", "seconds"),
    Fault.DUPLICATE_STATUS: _switch("Every order status comes twice."),
    Fault.LOST_STATUS: _switch("No order status comes; executions do."),
    Fault.NO_COMMISSION: _switch("No commissions; those missed come when it is off."),
    Fault.LATE_COMMISSION: _switch("Commissions come market seconds later.", "seconds"),
    Fault.CLIENT_ID_IN_USE: _switch("326 for every new connection."),
    Fault.COMPETING_SESSION: _switch("10197: another session has the market data."),
    Fault.STALL_BARS: _switch("Bars, quotes and prints stop without a word."),
    Fault.DELAYED_DATA: _switch("10167: market data is delayed."),
    Fault.NO_DATA_RIGHTS: _switch("354: market data is not subscribed."),
    Fault.MARGIN_CALL: _switch("The margin per contract is raised beyond the account."),
    Fault.DATA_FARM_BROKEN: _switch("2103: the market data farm is gone; off says 2104."),
    Fault.HISTORY_FARM_BROKEN: _switch("2105: the history farm is gone; off says 2106."),
    Fault.CONTRACT_FARM_BROKEN: _switch("2157: no contract is found; off says 2158."),
    Fault.FOREIGN_POSITION: _once("Somebody else buys on the account.", "quantity"),
    Fault.UNKNOWN_ORDER: _once("Somebody else places an order on the account."),
    Fault.WARNING: _switch("A warning follows every order, which is live all the same.", "code"),
    Fault.READ_ONLY: _switch("321 for every order and cancel: the API is read-only."),
    Fault.CANCEL_UNANSWERED: _switch("Cancels are neither carried out nor answered."),
    Fault.FILL_AFTER_CANCEL: _switch("An order told to be cancelled can still fill.", "rate"),
}
"""Every fault and what it does."""

_LIMITS: Final = {
    "rate": (0.0, 1.0),
    "seconds": (1.0, 3_600.0),
    "quantity": (-100.0, 100.0),
    "code": (399.0, 10_349.0),
}
_WHOLE: Final = ("quantity", "code")
_SECOND_STEP: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultChange:
    """One fault switched on, or off again; its own numbers are null where nothing was said."""

    fault: Fault
    is_on: bool = True
    rate: float | None = None
    seconds: float | None = None
    quantity: int | None = None
    code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFault:
    """A change and when it comes: at the start of a 5-second bar of every session, or of one."""

    change: FaultChange
    minute: int
    second: int = 0
    session_date: date | None = None

    def at(self, session: Session) -> datetime | None:
        """The instant in a session, or null if it is planned for another one."""
        if self.session_date not in (None, session.session_date):
            return None
        return session.opens_at + timedelta(minutes=self.minute, seconds=self.second)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPlan:
    """A bad day, written down: the seed of the exchange's dice and what goes wrong when."""

    seed: int = 0
    faults: tuple[PlannedFault, ...] = ()

    def by_instant(self, sessions: Sequence[Session]) -> Mapping[datetime, list[FaultChange]]:
        """The changes of these sessions, in the order of the file where instants are the same."""
        found: dict[datetime, list[FaultChange]] = {}
        for session in sessions:
            for planned in self.faults:
                if (at := planned.at(session)) is not None:
                    found.setdefault(at, []).append(planned.change)
        return found


def load_plan(path: Path) -> GatewayPlan:
    """The plan of a YAML file; raises `InputRefused` that names file, entry, key and remedy."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputRefused(f"{path}: expected a file with a plan of faults ({error})") from error
    return read_plan(parse_contract(text, path.name), path.name)


def read_plan(content: Mapping[str, Plain], name: str) -> GatewayPlan:
    """The plan of a mapping with `faults` and, if wished, `seed`."""
    _refuse_unknown(content, ("seed", "faults"), name)
    seed, entries = content.get("seed", 0), content.get("faults")
    if type(seed) is not int:
        raise InputRefused(f"{name}: seed: expected a whole number, got {seed!r}")
    if not isinstance(entries, list):
        raise InputRefused(
            f"{name}: faults: expected a list of entries such as "
            "{minute: 30, fault: reject, turn: on}, got " + type(entries).__name__
        )
    planned = [_planned(entry, f"{name}: faults[{n}]") for n, entry in enumerate(entries)]
    return GatewayPlan(seed=seed, faults=tuple(planned))


def read_change(entry: Mapping[str, object], name: str) -> FaultChange:
    """One change: `fault`, `turn` (on unless said), and the numbers that the fault takes."""
    fault = _fault(entry.get("fault"), name)
    known = FAULTS[fault]
    _refuse_unknown(entry, ("fault", "turn", *known.takes), f"{name}: {fault.value}")
    turn = entry.get("turn", "on")
    if turn not in ("on", "off"):
        raise InputRefused(f"{name}: turn: expected on or off, got {turn!r}")
    if turn == "off" and known.is_once:
        raise InputRefused(f"{name}: {fault.value} happens once and cannot be switched off")
    quantity, code = _number(entry, "quantity", name), _number(entry, "code", name)
    return FaultChange(
        fault=fault,
        is_on=turn == "on",
        rate=_number(entry, "rate", name),
        seconds=_number(entry, "seconds", name),
        quantity=None if quantity is None else int(quantity),
        code=None if code is None else int(code),
    )


def _planned(entry: Plain, name: str) -> PlannedFault:
    if not isinstance(entry, dict):
        raise InputRefused(f"{name}: expected keys and values, got {entry!r}")
    rest = {key: entry[key] for key in entry if key not in ("session", "minute", "second")}
    session_date = entry.get("session")
    if session_date is not None and not isinstance(session_date, date):
        raise InputRefused(
            f"{name}: session: expected a date such as 2025-01-02, got {session_date!r}"
        )
    return PlannedFault(
        change=read_change(rest, name),
        minute=_whole(entry, "minute", 389, 1, name),
        second=_whole({"second": 0, **entry}, "second", 55, _SECOND_STEP, name),
        session_date=session_date,
    )


def _whole(entry: Mapping[str, Plain], key: str, highest: int, step: int, name: str) -> int:
    value = entry.get(key)
    if type(value) is not int or not 0 <= value <= highest or value % step:
        steps = f" in steps of {step}" * (step > 1)
        raise InputRefused(f"{name}: {key}: expected 0 to {highest}{steps}, got {value!r}")
    return value


def _fault(value: object, name: str) -> Fault:
    try:
        return Fault(str(value))
    except ValueError:
        known = [fault.value for fault in Fault]
        near = get_close_matches(str(value), known, n=1, cutoff=0.4)
        meant = f"did you mean {near[0]}? " * bool(near)
        raise InputRefused(
            f"{name}: fault: {value!r} is none; {meant}Known are {', '.join(known)}"
        ) from None


def _number(entry: Mapping[str, object], key: str, name: str) -> float | None:
    value = entry.get(key)
    if value is None:
        return None
    low, high = _LIMITS[key]
    try:
        number = float(str(value))
    except ValueError:
        number = float("nan")
    is_whole = key not in _WHOLE or (number == number // 1 and number != 0)
    if not (low <= number <= high and is_whole):
        raise InputRefused(
            f"{name}: {key}: expected a number from {low:g} to {high:g}, got {value!r}"
        )
    return number


def _refuse_unknown(entry: Mapping[str, object], known: Sequence[str], name: str) -> None:
    if unknown := sorted(set(entry) - set(known)):
        raise InputRefused(f"{name}: unknown key {unknown[0]}; known are {', '.join(known)}")
