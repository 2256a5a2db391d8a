"""The books of a session: what they ask of executions, and what a person's word counts for."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from night_cases import FEE, FLAT, PRICE, RULES, Night, at, market_of

from engine.broker import AccountReported, ExecutionReported
from engine.desk import Mode
from engine.desk.encoding import entry_of
from engine.journal import Chain, Event, Stamp
from engine.learning.acceptance import DifferenceAccepted
from engine.learning.executions import execution_rows
from engine.learning.ledger_check import ledger_difference
from engine.units import OrderRef, Side

CALM = market_of(*[FLAT] * 60)
DAY, YESTERDAY = date(2024, 1, 3), date(2024, 1, 2)
TICK = RULES.instrument.tick_value_usd
BOUGHT = ExecutionReported(
    at=at(-1430),
    execution_id="7.1.01",
    ref=OrderRef(f"{YESTERDAY}/MES-1440/entry"),
    symbol="MES",
    side=Side.LONG,
    quantity=1,
    price_ticks=PRICE,
)
STOPPED = replace(
    BOUGHT,
    at=at(-1420),
    execution_id="7.2.01",
    ref=OrderRef(f"{YESTERDAY}/MES-1440/stop"),
    side=Side.SHORT,
    price_ticks=PRICE - 8,
)


def yesterday(*fills: ExecutionReported) -> list[Event]:
    return Chain().seal(map(entry_of, fills), Stamp(YESTERDAY, RULES.contracts_hash, "test"))


def word(usd: str | None, lots: int = 0) -> DifferenceAccepted:
    return DifferenceAccepted(
        at=at(600),
        session_date=DAY,
        symbol="MES",
        mode=Mode.PAPER,
        usd=None if usd is None else Decimal(usd),
        lots=lots,
        by="ann",
        why="withdrew it",
    )


def withdrawn(usd: str) -> Night:
    """A trade that won a tick, and money that somebody took out."""
    night = (
        Night(CALM).planned().filled(10.1, "entry", 1, PRICE).filled(12, "target", -1, PRICE + 1)
    )
    return night.accounts(TICK - 2 * FEE + Decimal(usd)).opened()


def test_money_that_was_taken_out_is_named_to_the_cent() -> None:
    books = withdrawn("-12.34").ledger()

    assert (books.is_equal, books.is_settled) == (False, False)
    assert (books.difference_usd, books.position) == (Decimal("-12.34"), 0)
    assert "the difference is -12.34 USD and +0 lots" in books.text


def test_a_difference_that_a_person_accepted_settles_the_books_and_is_not_called_equal() -> None:
    books = withdrawn("-12.34").ledger(word("-12.34"))

    assert (books.is_equal, books.is_settled) == (False, True)
    assert "ann accepted a difference of -12.34 USD and +0 lots: withdrew it" in books.text


@pytest.mark.parametrize(
    "said",
    [
        word("-12.35"),
        word("-12.34", 1),
        word(None),
        replace(word("-12.34"), session_date=YESTERDAY),
        replace(word("-12.34"), mode=Mode.LIVE),
        replace(word("-12.34"), symbol="ES"),
    ],
)
def test_a_word_on_another_difference_session_mode_or_instrument_settles_nothing(
    said: DifferenceAccepted,
) -> None:
    assert not withdrawn("-12.34").ledger(said).is_settled


def test_a_word_lapses_when_the_difference_changes_and_the_newest_one_is_in_force() -> None:
    first, second = word("-12.34"), word("-20")

    changed = withdrawn("-20.00").ledger(first)
    again = withdrawn("-20.00").ledger(first, second)
    back = withdrawn("-12.34").ledger(first, second)

    assert (changed.is_settled, changed.lapsed) == (False, first)
    assert "ann accepted -12.34 USD and +0 lots, which it no longer is" in changed.text
    assert (again.accepted, back.lapsed) == (second, second)


def test_a_part_of_a_cent_is_no_other_difference() -> None:
    assert withdrawn("-12.3412").ledger(word("-12.34")).is_settled


def test_books_that_balance_need_no_word() -> None:
    books = withdrawn("0").ledger(word("-12.34"))

    assert books.is_equal
    assert (books.accepted, books.lapsed) == (None, None)


def test_an_entry_whose_exit_was_never_told_leaves_a_lot_and_no_result() -> None:
    night = Night(CALM).holding(0, 0).planned().filled(10.1, "entry", 1, PRICE)
    night.accounts(Decimal(-2)).opened()

    books = night.ledger()

    assert night.trades().is_empty()
    assert (books.difference_usd, books.position) == (Decimal(-2), 1)
    assert "bought 1 at 5000.00, 09:40 ET, by 2024-01-03/MES-1440/entry" in books.text
    assert "no execution tells the other side" in books.text
    assert night.ledger(word("-2", 1)).is_settled


def test_what_was_over_before_the_desk_first_looked_is_in_the_account_already() -> None:
    night = Night(CALM).filled(-60, "", 1, PRICE, ref="").filled(-50, "", -1, PRICE - 4, ref="")

    books = night.accounts(Decimal(0)).opened().ledger()

    assert books.is_equal
    assert books.before_usd == -4 * TICK - 2 * FEE
    assert "more were over before the desk first looked" in books.text


def test_a_position_that_the_broker_held_at_the_first_look_may_be_closed() -> None:
    night = Night(CALM).holding(0, 1).filled(5, "flatten", -1, PRICE).accounts(Decimal(0)).opened()

    assert night.ledger().position == 0


def test_a_correction_of_an_earlier_sessions_fill_is_no_fill_of_today() -> None:
    before = Night(CALM, [BOUGHT, STOPPED])
    better = replace(STOPPED, execution_id="7.2.02", price_ticks=PRICE - 6)
    night = Night(CALM).holding(0, 0).accounts(2 * TICK).opened()
    night.facts.insert(-1, better)

    rows = execution_rows(night.events, yesterday(BOUGHT, STOPPED))
    books = night.ledger(before=before)

    assert rows.is_empty()
    assert books.is_equal
    assert books.corrections_usd == 2 * TICK
    assert "corrections of earlier sessions' fills" in books.text


def test_a_correction_told_before_the_first_look_has_moved_the_account_already() -> None:
    better = replace(STOPPED, execution_id="7.2.02", price_ticks=PRICE - 6)
    night = Night(CALM).accounts(Decimal(0)).opened()
    night.facts.insert(0, better)

    books = ledger_difference(night.events, RULES, before=yesterday(BOUGHT, STOPPED))

    assert books.is_equal
    assert books.corrections_usd == 0


def test_a_fill_of_yesterday_told_again_is_no_fill_of_today() -> None:
    night = Night(CALM, [STOPPED])

    assert execution_rows(night.events, yesterday(BOUGHT, STOPPED)).is_empty()
    assert execution_rows(night.events, yesterday(BOUGHT)).height == 1


def test_an_exchange_that_numbers_anew_each_day_does_not_hide_todays_fill() -> None:
    own = replace(STOPPED, ref=OrderRef(f"{DAY}/MES-1440/stop"), at=at(3))

    assert execution_rows(Night(CALM, [own]).events, yesterday(BOUGHT, STOPPED)).height == 1


def test_a_shadows_trades_are_not_asked_of_an_account_that_knows_nothing_of_them() -> None:
    night = Night(CALM).planned().filled(10.1, "entry", 1, PRICE).filled(12, "stop", -1, PRICE - 8)
    night.accounts(Decimal(0)).opened(Mode.OBSERVE)

    books = night.ledger()

    assert books.is_equal
    assert books.text.startswith("the shadow's trades would have earned -11")


def test_a_broker_that_never_told_its_money_leaves_an_unknown_difference() -> None:
    night = Night(CALM).opened()

    assert night.ledger().text.startswith(
        "the trades earned +0.00 USD, the account moved by nothing"
    )
    assert not night.ledger().is_settled
    assert night.ledger(word(None)).is_settled


def test_the_last_word_of_the_broker_is_in_the_window_though_the_session_was_never_closed() -> None:
    money = AccountReported(at=at(0), equity_usd=Decimal(5000), available_funds_usd=None)
    later = replace(money, at=at(30), equity_usd=Decimal(4990))

    books = Night(CALM).told(money, later).opened().ledger()

    assert books.broker_usd == -10
