"""A session's page: one HTML file that opens anywhere, without a network."""

from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from assets.report import sections
from assets.report.headline import report_row
from assets.report.look_at import look_at
from assets.report.model import SessionMaterial
from assets.report.pictures import (
    calibration_points,
    calibration_spec,
    png_of,
    session_rows,
    session_spec,
    svg_of,
)
from engine.rules import Rules

_FOLDER: Final = Path(__file__).parent


def session_page(told: SessionMaterial) -> str:
    """The page as HTML; the same rows and journal give the same text."""
    row = report_row(told)
    return rendered(
        "page.html.j2",
        title=f"{told.rules.instrument.symbol} {told.day}",
        told=told,
        row=row,
        findings=look_at(told),
        money_left=sections.money_left(told),
        desk_words=sections.DESK_WORDS[told.desk_state],
        picture=session_picture(told),
        trades=sections.trade_rows(told),
        reasons=sections.reason_rows(told),
        vetoes=sections.veto_rows(told),
        events=event_rows(told.frame),
        calibration=sections.calibration_rows(told),
        curves=_curves(told),
        templates=sections.template_rows(told),
        trust_words=sections.TRUST_WORDS,
        changes=sections.change_rows(told),
        forbidden=sections.no_longer_allowed(told),
        checks=sections.check_rows(told),
    )


def session_picture(told: SessionMaterial) -> str:
    """Price, trades, beliefs and data quality as SVG; empty for a session without a bar."""
    if told.frame.is_empty():
        return ""
    rows = session_rows(told.frame, told.rows["trades"], told.rules)
    return svg_of(picture_spec(told.rules), rows)


def picture_spec(rules: Rules) -> str:
    """What draws a session under these rules."""
    return session_spec(
        belief_min=min(block.belief_min for block in rules.strategies.templates),
        dvs_min=rules.constitution.dvs_entry_min,
    )


def _curves(told: SessionMaterial) -> str:
    rows = told.rows["calibration"]
    return svg_of(calibration_spec(), calibration_points(rows)) if rows.height else ""


def session_png(told: SessionMaterial) -> bytes:
    """The picture of the session as PNG; empty for a session without a bar."""
    if told.frame.is_empty():
        return b""
    rows = session_rows(told.frame, told.rows["trades"], told.rules)
    return png_of(picture_spec(told.rules), rows)


def calibration_png(told: SessionMaterial) -> bytes:
    """The calibration curves as PNG; empty while there are none."""
    rows = told.rows["calibration"]
    return png_of(calibration_spec(), calibration_points(rows)) if rows.height else b""


def event_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """How many bars raised each quality event, and the least score among them."""
    events = frame.select("dvs", event=pl.col("quality_events").str.split(",")).explode("event")
    counted = (
        events.filter(pl.col("event") != "")
        .group_by("event")
        .agg(bars=pl.len(), dvs_min=pl.col("dvs").min())
    )
    return counted.sort("bars", "event", descending=[True, False]).to_dicts()


# ── Setting ─────────────────────────────────────────────────────────────────────────────────────


def rendered(template: str, **values: Any) -> str:
    """A template of this folder with these values; a name that is not given is an error."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        usd=_usd, r=_r, number=_number, percent=_percent, sign=_sign, sentence=_sentence
    )
    return environment


def _usd(amount: Decimal | float) -> str:
    """`"+$28.76"`: a result, with its sign if it has one."""
    sign = "−" if amount < 0 else "+" if amount else ""
    return f"{sign}${abs(amount):,.2f}"


def _r(value: float | None) -> str:
    return "–" if value is None else f"{'−' if value < 0 else '+'}{abs(value):.2f} R"


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _sign(value: Decimal | float | None) -> str:
    """The style of a result: good, bad or even."""
    return "even" if not value else "good" if value > 0 else "bad"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
