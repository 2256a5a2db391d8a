"""The review before the open as HTML."""

import polars as pl

from assets.report.page import event_rows, rendered
from assets.report.pictures import quality_rows, quality_spec, svg_of
from assets.report.preopen import PreopenMaterial, rejected_rows
from assets.report.sections import TRUST_WORDS, template_rows_of
from assets.report.today import market_refusals, today, wrong


def preopen_page(of: PreopenMaterial, *, details: str) -> str:
    """The page; `details` is the address of the Great Expectations page, relative to it."""
    return rendered(
        "preopen.html.j2",
        title=f"{of.rules.instrument.symbol} before the open of {of.session.session_date}",
        of=of,
        details=details,
        came=_came(of),
        wrong=wrong(of),
        today=today(of),
        rejected=rejected_rows(of),
        events=event_rows(of.frame),
        refusals=market_refusals(of).to_dicts(),
        picture=_picture(of),
        templates=template_rows_of(of.state, of.rules),
        trust_words=TRUST_WORDS,
        findings=sorted(of.review.findings, key=lambda each: each.passed),
    )


def _came(of: PreopenMaterial) -> dict[str, object]:
    """What was delivered, in numbers."""
    points = float(of.rules.instrument.tick_size)
    return of.frame.select(
        bars=pl.len(),
        source=pl.col("source").unique().sort().str.join(", "),
        volume=pl.col("volume").sum(),
        low=pl.col("low_ticks").min() * points,
        high=pl.col("high_ticks").max() * points,
        close=pl.col("close_ticks").last() * points,
        dvs_mean=pl.col("dvs").mean(),
        dvs_min=pl.col("dvs").min(),
    ).row(0, named=True)


def _picture(of: PreopenMaterial) -> str:
    gate = of.rules.constitution.dvs_entry_min
    return svg_of(quality_spec(dvs_min=gate), quality_rows(of.frame, of.rules))
