"""Instants as the protocol writes and reads them."""

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

EXCHANGE_ZONE_NAME: Final = "US/Central"
EXCHANGE_ZONE: Final = ZoneInfo(EXCHANGE_ZONE_NAME)
"""Zone of the instrument: of its hours, and of its bars from version 174 on."""

LOGIN_ZONE_NAME: Final = "US/Eastern"
LOGIN_ZONE: Final = ZoneInfo(LOGIN_ZONE_NAME)
"""Zone of the account: of executions, and of times that come without one."""


def in_login_zone(at: datetime) -> str:
    """An instant as executions carry it: `YYYYMMDD HH:MM:SS TZ`."""
    return f"{at.astimezone(LOGIN_ZONE):%Y%m%d %H:%M:%S} {LOGIN_ZONE_NAME}"


def bar_time(at: datetime, version: int, *, as_epoch: bool) -> str:
    """A bar's time: seconds since 1970, or text in the zone that the version expects."""
    if as_epoch:
        return str(int(at.timestamp()))
    if version >= 174:
        return f"{at.astimezone(EXCHANGE_ZONE):%Y%m%d %H:%M:%S} {EXCHANGE_ZONE_NAME}"
    return f"{at.astimezone(LOGIN_ZONE):%Y%m%d  %H:%M:%S}"


def read_instant(text: str) -> datetime | None:
    """`YYYYMMDD HH:MM:SS [TZ]`, or `YYYYMMDD-HH:MM:SS` in UTC; null if it is neither."""
    parts = text.split()
    try:
        if len(parts) == 1:
            return datetime.strptime(parts[0], "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC)
        zone = ZoneInfo(parts[2]) if len(parts) == 3 else LOGIN_ZONE
        local = datetime.strptime(f"{parts[0]} {parts[1]}", "%Y%m%d %H:%M:%S").replace(tzinfo=zone)
        return local.astimezone(UTC)
    except (ValueError, KeyError, IndexError, OverflowError, OSError):
        return None
