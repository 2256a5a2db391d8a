"""Which future is traded on a day, and what is refused."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from exchange_tables import MES

from engine.errors import BrokerMismatch
from pipelines.brokers.ibkr.front_month import traded_contract
from pipelines.brokers.ibkr.messages import ListedContract

MARCH = ListedContract(
    con_id=1,
    symbol="MES",
    local_symbol="MESH5",
    exchange="CME",
    currency="USD",
    expiry_date=date(2025, 3, 21),
    multiplier=Decimal(5),
    tick_size=Decimal("0.25"),
)
JUNE = replace(MARCH, con_id=2, local_symbol="MESM5", expiry_date=date(2025, 6, 20))
LISTED = [JUNE, MARCH]


@pytest.mark.parametrize(
    ("on", "name"),
    [
        (date(2025, 3, 3), "MESH5"),
        (date(2025, 3, 12), "MESH5"),
        (date(2025, 3, 13), "MESM5"),
        (date(2025, 3, 21), "MESM5"),
        (date(2025, 6, 11), "MESM5"),
    ],
)
def test_the_next_month_is_traded_from_eight_days_before_expiry(on: date, name: str) -> None:
    assert traded_contract(LISTED, MES, on).local_symbol == name


def test_a_position_keeps_its_month_until_it_is_flat() -> None:
    on = date(2025, 3, 14)

    assert traded_contract(LISTED, MES, on, held_con_id=1) == MARCH
    assert traded_contract(LISTED, MES, on, held_con_id=None) == JUNE


def test_an_expired_month_is_not_kept_for_a_stale_position() -> None:
    assert traded_contract(LISTED, MES, date(2025, 3, 24), held_con_id=1) == JUNE


def test_no_month_left_is_refused_with_the_last_expiry() -> None:
    with pytest.raises(BrokerMismatch, match="the last expires 2025-06-20"):
        traded_contract(LISTED, MES, date(2025, 6, 12))
    with pytest.raises(BrokerMismatch, match="none is listed"):
        traded_contract([], MES, date(2025, 6, 12))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"multiplier": Decimal(50)}, "multiplier 5"),
        ({"tick_size": Decimal("0.5")}, "tick size 0.25"),
        ({"currency": "EUR"}, "currency USD"),
        ({"symbol": "ES"}, "symbol MES"),
    ],
)
def test_a_contract_unlike_the_contract_file_is_refused(
    change: dict[str, object], name: str
) -> None:
    other = replace(MARCH, **change)  # type: ignore[arg-type]

    with pytest.raises(BrokerMismatch, match=f"expected {name} as in instrument.yaml"):
        traded_contract([other], MES, date(2025, 3, 3))
