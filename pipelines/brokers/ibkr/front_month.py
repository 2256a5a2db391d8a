"""Which dated future is traded on a day: the nearest one until some days before its expiry."""

from collections.abc import Sequence
from datetime import date, timedelta

from engine.errors import BrokerMismatch
from engine.instrument import Instrument
from pipelines.brokers.ibkr.messages import ListedContract


def traded_contract(
    listed: Sequence[ListedContract],
    instrument: Instrument,
    on: date,
    *,
    held_con_id: int | None = None,
) -> ListedContract:
    """The contract of a day by the roll schedule; a held one stays until it is flat.

    Raises `BrokerMismatch` when none is listed, or the listed one is not the instrument of the
    contract files: other tick, multiplier or currency.
    """
    by_expiry = sorted(listed, key=lambda contract: contract.expiry_date)
    held = next((each for each in by_expiry if each.con_id == held_con_id), None)
    if held is not None and held.expiry_date >= on:
        return checked(held, instrument)
    lead = timedelta(days=instrument.roll_days_before_expiry)
    for contract in by_expiry:
        if on < contract.expiry_date - lead:
            return checked(contract, instrument)
    last = f"the last expires {by_expiry[-1].expiry_date}" if by_expiry else "none is listed"
    raise BrokerMismatch(
        f"{instrument.symbol}: expected a future that expires later than "
        f"{instrument.roll_days_before_expiry} days after {on}, {last}; "
        "check the symbol and the account's permissions"
    )


def checked(contract: ListedContract, instrument: Instrument) -> ListedContract:
    """The contract itself, once it is what `instrument.yaml` says it is."""
    multiplier = instrument.tick_value_usd / instrument.tick_size
    expected = (instrument.symbol, instrument.currency, instrument.tick_size, multiplier)
    found = (contract.symbol, contract.currency, contract.tick_size, contract.multiplier)
    names = ("symbol", "currency", "tick size", "multiplier")
    for name, want, got in zip(names, expected, found, strict=True):
        if want != got:
            raise BrokerMismatch(
                f"{contract.local_symbol}: expected {name} {want} as in instrument.yaml, the "
                f"broker says {got}; correct the file before trading it"
            )
    return contract
