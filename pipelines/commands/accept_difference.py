"""`credence accept-difference`: a session's books, and a person's word on what does not balance."""

import getpass
from dataclasses import asdict
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from assets.ledger import session_ledger
from contracts.calendar import session_on
from engine.errors import InputRefused
from engine.journal import Kind
from engine.learning.acceptance import CENT, DifferenceAccepted, difference_text, to_cents
from engine.learning.ledger_check import LedgerDifference, mode_of
from engine.modes import Mode
from pipelines.commands.exits import Exit
from pipelines.commands.screen import Screen
from pipelines.journal_store import JournalReader
from pipelines.session_journals import is_over
from pipelines.wiring import Wiring

UNKNOWN: Final = "unknown"
"""The amount of a session whose broker did not tell its money."""


def run_accept_difference(
    wiring: Wiring,
    session_date: date,
    *,
    usd: str | None,
    lots: int | None,
    by: str | None,
    why: str | None,
    as_json: bool,
) -> int:
    """Show how a session's books differ, 1 while nobody accepted it; accept it if it is named.

    Raises `InputRefused` for an amount or lots that are not the difference, for one named in part,
    for books that balance, and for a session that is not over or of which no journal tells.
    """
    screen = Screen.of_process()
    mode, books = _books(wiring, session_date)
    if usd is None and lots is None and why is None:
        _show(screen, session_date, mode, books, as_json=as_json)
        return Exit.DONE if books.is_settled else Exit.NO
    act = DifferenceAccepted(
        at=wiring.clock(),
        session_date=session_date,
        symbol=wiring.rules.instrument.symbol,
        mode=mode,
        usd=_amount(usd),
        lots=_whole(lots),
        by=(by or getpass.getuser()).strip(),
        why=(why or "").strip(),
    )
    _refuse(act, books)
    if books.accepted is None:
        wiring.learning_journal.accept(act)
    _, books = _books(wiring, session_date)
    _show(screen, session_date, mode, books, as_json=as_json)
    return Exit.DONE


def _books(wiring: Wiring, day: date) -> tuple[Mode, LedgerDifference]:
    session, journals = session_on(day, wiring.rules.session), wiring.session_journals
    path = journals.path(day)
    if not path.is_file() or day not in JournalReader(path).sessions():
        raise InputRefused(f"{day}: expected a journal that tells of this session, found none")
    opened = journals.events(day, Kind.SESSION)
    mode = mode_of(opened)
    if mode is None or not is_over(opened, session, wiring.clock()):
        raise InputRefused(f"{day}: expected a session that is over; its books may yet balance")
    return mode, session_ledger(journals, day, wiring.rules)


def _amount(text: str | None) -> Decimal | None:
    if text == UNKNOWN:
        return None
    try:
        amount = Decimal((text or "").replace("$", ""))
        is_exact = amount.is_finite() and amount == amount.quantize(CENT)
    except InvalidOperation:
        is_exact = False
    if not is_exact:
        raise InputRefused(
            f"--usd: expected an amount to the cent, like -12.34, or {UNKNOWN}, "
            f"got {'nothing' if text is None else repr(text)}"
        )
    return amount.quantize(CENT)


def _whole(lots: int | None) -> int:
    if lots is None:
        raise InputRefused("--lots: expected the lots of the difference, like 0 or -1, got nothing")
    return lots


def _refuse(act: DifferenceAccepted, books: LedgerDifference) -> None:
    if not act.why or not act.by:
        raise InputRefused("--why and --by: expected who accepts the difference and why, got none")
    if books.is_equal:
        raise InputRefused(f"{act.session_date}: the books balance, there is nothing to accept")
    if (act.usd, act.lots) != (to_cents(books.difference_usd), books.position):
        raise InputRefused(
            f"{act.session_date}: the difference is {books.difference_text}, got "
            f"{difference_text(act.usd, act.lots)}; accept what there is, or nothing: {books.text}"
        )


def _show(screen: Screen, day: date, mode: Mode, books: LedgerDifference, *, as_json: bool) -> None:
    if as_json:
        screen.json(_plain(day, mode, books))
        return
    moved = books.broker_usd
    screen.table(
        f"Books of {day}, {mode}",
        ("", "value"),
        [
            ("trades earned, USD", f"{books.trades_usd:+.2f}"),
            ("account moved, USD", "not told" if moved is None else f"{moved:+.2f}"),
            ("difference, USD", _usd(books)),
            ("lots left open", f"{books.position:+d}"),
        ],
    )
    screen.say(f"{books.text}.")
    if books.is_equal:
        screen.say("[green]They balance.[/]")
    elif books.accepted is not None:
        screen.say(
            "[yellow]Accepted.[/] It holds for this difference alone. The night, if it is not "
            f"done: credence learn --from {day}"
        )
    else:
        screen.say("[red]They do not balance[/] and nobody has accepted it. To accept it:")
        screen.line(
            f"credence accept-difference {day} --usd {_usd(books)} --lots {books.position} "
            '--why "…"'
        )


def _usd(books: LedgerDifference) -> str:
    cents = to_cents(books.difference_usd)
    return UNKNOWN if cents is None else f"{cents}"


def _plain(day: date, mode: Mode, books: LedgerDifference) -> dict[str, Any]:
    return {
        "session_date": day,
        "mode": mode,
        "trades_usd": books.trades_usd,
        "broker_usd": books.broker_usd,
        "difference_usd": to_cents(books.difference_usd),
        "lots": books.position,
        "is_equal": books.is_equal,
        "is_settled": books.is_settled,
        "accepted": None if books.accepted is None else asdict(books.accepted),
        "text": books.text,
    }
