"""What a connection to IB Gateway or TWS is made of, and how long each of its waits may take."""

from dataclasses import dataclass, field

from pipelines.brokers.ibkr.client_library import Library
from pipelines.brokers.ibkr.market_clock import ClockKind
from pipelines.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Bounds of every wait, in wall seconds.

    A socket that is silent for `silence_seconds` is asked for the time and has `probe_seconds` to
    answer. Reconnecting starts after `retry_first_seconds`, doubles to `retry_seconds_max` with as
    much jitter again, and gives up after `give_up_seconds`: longer than a weekend's maintenance.
    """

    connect_seconds: float = 10.0
    query_seconds: float = 10.0
    send_seconds: float = 5.0
    silence_seconds: float = 15.0
    probe_seconds: float = 5.0
    busy_client_seconds: float = 90.0
    busy_client_retry_seconds: float = 5.0
    retry_first_seconds: float = 0.5
    retry_seconds_max: float = 30.0
    give_up_seconds: float = 60 * 3600.0
    bar_age_seconds: float = 20.0
    ask_again_seconds: float = 30.0
    history_seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IbkrSettings:
    """Where the gateway listens and as whom we speak to it.

    `account` may be empty when the login has a single one. With `wants_paper` an account that is
    not a paper one (`DU…`) is refused. The client id is the owner of our orders at IB: it stays
    the same for the life of the desk.
    """

    host: str = "127.0.0.1"
    port: int = 4002
    client_id: int = 1
    account: str = ""
    wants_paper: bool = True
    library: Library = Library.IB_INSYNC
    clock: ClockKind = ClockKind.LOCAL
    patience: Patience = field(default_factory=Patience)


def ibkr_settings(settings: Settings, *, wants_paper: bool) -> IbkrSettings:
    """The connection that the environment names, for a mode that wants a paper account or not."""
    return IbkrSettings(
        host=settings.ibkr_host,
        port=settings.ibkr_port,
        client_id=settings.ibkr_client_id,
        account=settings.ibkr_account,
        wants_paper=wants_paper,
        library=Library(settings.ibkr_library),
        clock=ClockKind(settings.ibkr_clock),
    )
