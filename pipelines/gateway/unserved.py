"""Requests of the protocol that the gateway does not serve, answered in IB's own words."""

from typing import Final

from pipelines.gateway.client import Client
from pipelines.gateway.wire import Fields

REQUEST_ID_PLACES: Final = {
    10: 1, 21: 1, 22: 0, 52: 1, 54: 1, 55: 1, 67: 1, 68: 1, 74: 1, 78: 0, 79: 0, 81: 0, 83: 0,
    84: 0, 86: 0, 87: 0, 88: 0, 92: 0, 94: 0, 96: 0, 100: 0, 102: 0, 104: 0,
}  # fmt: skip
"""Requests with an id: how many fields stand between the message number and the id."""

WITHOUT_REQUEST_ID: Final = {12, 18, 19, 24, 65, 66, 69, 72, 73, 80, 82, 85, 91}
SILENT: Final = {11, 13, 14, 23, 53, 56, 57, 70, 75, 89, 90, 93, 95, 101, 103}
"""Cancels of what was never begun, and the log level: nothing to answer."""


def answer_unserved(client: Client, message: int, fields: Fields) -> None:
    """Say that a request is not served, or that no version of the protocol knows it."""
    if message in SILENT:
        return
    if message in REQUEST_ID_PLACES:
        fields.skip(REQUEST_ID_PLACES[message])
        text = "Error validating request.-'aa' : cause - The request is not supported here."
        client.error(fields.integer(), 321, text)
    elif message in WITHOUT_REQUEST_ID:
        client.error(-1, 321, f"Error validating request.-'aa' : cause - No answer to {message}.")
    else:
        client.error(-1, 505, "Fatal Error: Unknown message id.")
