"""Where pages lie, and how one is written: whole or not at all."""

from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from assets.report.headline import report_row
from assets.report.model import SessionMaterial

SESSIONS: Final = "sessions"
"""Folder of the sessions' pages under the folder of reports."""


def write_session_page(told: SessionMaterial, reports: Path) -> tuple[dict[str, Any], Path]:
    """Write a session's page; its row of `session_report` and where the page lies."""
    from assets.report.page import session_page  # It brings Altair, which takes a second.

    row = report_row(told)
    name = Path(SESSIONS, told.rules.instrument.symbol, f"{told.day}.html")
    content = session_page(told).encode()
    write_page(reports / name, content)
    digest = sha256(content).hexdigest()
    return {**row, "page": name.as_posix(), "page_sha256": digest}, reports / name


def write_page(path: Path, content: bytes) -> None:
    """Put a page in its place in one step; a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".new")
    aside.write_bytes(content)
    aside.replace(path)


def sha256_of(path: Path) -> str:
    """SHA-256 of a page; empty where there is none."""
    return sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
