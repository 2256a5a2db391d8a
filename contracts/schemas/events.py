"""Table `events`: the journal, as it is stored."""

from typing import Final

import polars as pl

from contracts.schemas.columns import text
from contracts.schemas.table import Column, Table
from engine.journal import Kind

_HASH: Final = r"^[0-9a-f]{64}$"

EVENTS: Final = Table(
    name="events",
    meaning="The journal: every fact about ourselves, sealed by the hash of all before it.",
    key=("seq",),
    columns=(
        Column(
            name="seq",
            dtype=pl.Int64(),
            unit="number",
            meaning="Place in the chain, from 1, without gaps.",
            low=1,
        ),
        text(
            "at",
            "When it happened, UTC ISO 8601 with microseconds.",
            pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$",
        ),
        text("session_date", "Session it belongs to, ISO 8601.", pattern=r"^\d{4}-\d\d-\d\d$"),
        text("kind", "What it is about.", choices=tuple(kind.value for kind in Kind)),
        text("decision_id", "Decision it belongs to; empty if none."),
        text("order_ref", "Order it belongs to; empty if none."),
        text("payload", "The fact itself, as JSON text."),
        text("contracts_hash", "SHA-256 of the contracts in force.", pattern=_HASH),
        text("code_version", "Version of the code; `replay` for a replayed event."),
        text("previous_hash", "Hash of the event before; zeros for the first.", pattern=_HASH),
        text("hash", "SHA-256 of the previous hash and every other field.", pattern=_HASH),
    ),
)
