"""What IB says of itself without being asked, by code."""

from collections.abc import Mapping
from typing import Final

FARMS_OK: Final[Mapping[int, str]] = {
    2104: "Market data farm connection is OK:usfuture",
    2106: "HMDS data farm connection is OK:ushmds",
    2158: "Sec-def data farm connection is OK:secdefnj",
}
FARMS_BROKEN: Final[Mapping[int, str]] = {
    2103: "Market data farm connection is broken:usfuture",
    2105: "HMDS data farm connection is broken:ushmds",
    2157: "Sec-def data farm connection is broken:secdefnj",
}
CONNECTIVITY: Final[Mapping[int, str]] = {
    1100: "Connectivity between IB and Trader Workstation has been lost.",
    1101: "Connectivity between IB and Trader Workstation has been restored- data lost.",
    1102: "Connectivity between IB and Trader Workstation has been restored- data maintained.",
    2110: "Connectivity between Trader Workstation and server is broken. "
    "It will be restored automatically.",
}
