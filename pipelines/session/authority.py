"""Whether a session may send orders: by mode, account, checklist and a person's confirmation."""

from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Final

from engine.errors import NotAuthorised
from engine.modes import Mode
from pipelines.session.files import SessionFiles
from pipelines.session.process import read_json, write_json

PAPER_PREFIX: Final = "DU"
"""Interactive Brokers' paper accounts are named so; a real account never is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecklistRecord:
    """The outcome of a day's deployment checklist: its instrument, code and contracts."""

    session_date: str
    symbol: str
    code: str
    contracts_hash: str
    passed: bool

    def write(self, files: SessionFiles) -> None:
        """Leave the record where a LIVE session looks for it."""
        write_json(files.checklist(date.fromisoformat(self.session_date)), asdict(self))

    @classmethod
    def read(cls, files: SessionFiles, session_date: date) -> "ChecklistRecord | None":
        """The record of a day; null without one. Raises `NotAuthorised` for one it cannot read."""
        path = files.checklist(session_date)
        plain = read_json(path)
        if plain is None:
            return None
        try:
            return cls(**{name: plain[name] for name in cls.__slots__})
        except KeyError as missing:
            raise NotAuthorised(
                f"{path}: expected the field {missing}; run credence checklist again"
            ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveConsent:
    """What LIVE asks of a person: the account in the environment, and the same one confirmed."""

    account: str | None = None
    confirmed_account: str | None = None


def require_authority(
    mode: Mode,
    account_id: str,
    *,
    session_date: date,
    symbol: str,
    code: str,
    contracts_hash: str,
    consent: LiveConsent,
    files: SessionFiles,
) -> None:
    """Pass silently, or raise `NotAuthorised` with what is missing and how to get it.

    OBSERVE sends no orders and needs nothing.
    """
    if mode is Mode.PAPER and not account_id.startswith(PAPER_PREFIX):
        raise NotAuthorised(
            f"PAPER expected an account whose name begins with {PAPER_PREFIX}, the broker says "
            f"{account_id or 'nothing'}: that may be real money. Log in to the paper account, "
            "or use --mode observe"
        )
    if mode is Mode.LIVE:
        _require_consent(account_id, consent)
        wanted = ChecklistRecord(
            session_date=session_date.isoformat(),
            symbol=symbol,
            code=code,
            contracts_hash=contracts_hash,
            passed=True,
        )
        found = ChecklistRecord.read(files, session_date)
        _require_checklist(found, wanted, files.checklist(session_date))


def _require_consent(account_id: str, consent: LiveConsent) -> None:
    if not consent.account:
        raise NotAuthorised(
            "LIVE expected CREDENCE_LIVE_ACCOUNT to name the account that may be traded; "
            f"the broker says {account_id}. Set it, or use --mode paper"
        )
    if account_id != consent.account:
        raise NotAuthorised(
            f"LIVE expected the account {consent.account} of CREDENCE_LIVE_ACCOUNT, the broker "
            f"says {account_id}; log in to the right one"
        )
    if consent.confirmed_account != consent.account:
        raise NotAuthorised(
            f"LIVE expected a person's confirmation: --confirm {consent.account}, "
            f"got {consent.confirmed_account or 'none'}"
        )


def _require_checklist(found: ChecklistRecord | None, wanted: ChecklistRecord, path: Path) -> None:
    if found is None:
        raise NotAuthorised(f"LIVE expected today's checklist in {path}, found none; run it first")
    if not found.passed:
        raise NotAuthorised(
            f"{path}: today's checklist did not pass, or was not finished; mend what it names"
        )
    if found != wanted:
        raise NotAuthorised(
            f"{path}: the checklist passed for {_subject(found)}, this is {_subject(wanted)}; "
            "run it again for this instrument, this code and these contracts"
        )


def _subject(record: ChecklistRecord) -> str:
    return f"{record.session_date} {record.symbol} {record.code} {record.contracts_hash}"
