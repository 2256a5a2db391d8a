"""Pictures for people: one chart per question, as PNG for the UI's metadata and SVG for reports."""

import base64
from typing import Final

import altair as alt
import polars as pl
import vl_convert

WIDTH: Final = 860
INK: Final = "#1f2933"
CALM: Final = "#3e7cb1"
GOOD: Final = "#2f9e6e"
BAD: Final = "#c8442f"
MUTED: Final = "#9aa5b1"


def markdown_image(chart: alt.TopLevelMixin, caption: str) -> str:
    """A chart as a markdown image that carries its own bytes, so that it shows without a server."""
    return markdown_png(vl_convert.vegalite_to_png(chart.to_json(), scale=1.5), caption)


def markdown_png(png: bytes, caption: str) -> str:
    """A drawn picture as a markdown image that carries its own bytes."""
    return f"![{caption}](data:image/png;base64,{base64.b64encode(png).decode()})"


def _styled(chart: alt.VConcatChart | alt.LayerChart | alt.FacetChart) -> alt.TopLevelMixin:
    plain: alt.TopLevelMixin = chart.configure_view(stroke=None).configure_axis(
        grid=False, labelColor=INK, titleColor=INK
    )
    return plain


def _new_york(frame: pl.DataFrame) -> pl.DataFrame:
    """Local wall-clock time as a naive column, which is what a time axis should show."""
    local = pl.col("closes_at").dt.convert_time_zone("America/New_York").dt.replace_time_zone(None)
    return frame.with_columns(time=local)


def quality_picture(
    bars: pl.DataFrame, quality: pl.DataFrame, *, entry_min: float, points_per_tick: float
) -> alt.TopLevelMixin:
    """Close in points and DVS of one session, with the bars that no entry may use marked.

    `bars` needs closes_at and close_ticks, `quality` closes_at, dvs and quality_events.
    """
    rows = _new_york(
        bars.join(quality.select("closes_at", "dvs", "quality_events"), on="closes_at")
    )
    close = pl.col("close_ticks") * points_per_tick
    rows = rows.select("time", "dvs", "quality_events", close=close)
    base = alt.Chart(alt.InlineData(values=_records(rows)))
    time = alt.X("time:T", title=None, axis=alt.Axis(format="%H:%M"))
    price = base.mark_line(color=INK, strokeWidth=1).encode(
        time, alt.Y("close:Q", scale=alt.Scale(zero=False), title="close")
    )
    doubtful = (
        base.transform_filter(f"datum.dvs < {entry_min}")
        .mark_point(color=BAD, size=18, filled=True)
        .encode(time, alt.Y("close:Q"), tooltip=["quality_events:N"])
    )
    score = base.mark_area(
        line={"color": CALM}, color=CALM, opacity=0.25, interpolate="step-after"
    ).encode(time, alt.Y("dvs:Q", scale=alt.Scale(domain=[0, 1]), title="DVS"))
    gate = alt.Chart(alt.InlineData(values=[{"gate": entry_min}])).mark_rule(
        color=BAD, strokeDash=[4, 3]
    )
    gate = gate.encode(alt.Y("gate:Q"))
    return _styled(
        alt.vconcat(
            alt.layer(price, doubtful).properties(width=WIDTH, height=220),
            alt.layer(score, gate).properties(width=WIDTH, height=110),
        )
    )


def reasons_picture(reasons: pl.DataFrame) -> alt.TopLevelMixin:
    """How often each reason was the first no. Columns: reason, bars."""
    rows = reasons.select("reason", "bars").sort("bars", descending=True)
    base = alt.Chart(alt.InlineData(values=_records(rows)))
    side = alt.Y("reason:N", sort=None, title=None)
    bars = base.mark_bar(color=CALM).encode(side, alt.X("bars:Q", title="bars"))
    text = base.mark_text(align="left", dx=4, color=INK).encode(
        side, alt.X("bars:Q"), text="bars:Q"
    )
    return _styled(
        alt.layer(bars, text).properties(width=WIDTH - 260, height=22 * max(rows.height, 1))
    )


def session_picture(
    bars: pl.DataFrame,
    beliefs: pl.DataFrame,
    fills: pl.DataFrame,
    *,
    belief_min: float,
    points_per_tick: float,
) -> alt.TopLevelMixin:
    """Price in points with fills, and under it the strongest effective belief of each side.

    `bars`: closes_at, close_ticks, vwap_ticks. `beliefs`: closes_at, long, short. `fills`:
    closes_at, price_ticks, leg.
    """
    time = alt.X("time:T", title=None, axis=alt.Axis(format="%H:%M"))
    prices = _new_york(bars).select(
        "time",
        close=pl.col("close_ticks") * points_per_tick,
        vwap=pl.col("vwap_ticks") * points_per_tick,
    )
    base = alt.Chart(alt.InlineData(values=_records(prices)))
    scale = alt.Scale(zero=False)
    price = base.mark_line(color=INK, strokeWidth=1).encode(
        time, alt.Y("close:Q", scale=scale, title="close and VWAP (dashed)")
    )
    vwap = base.mark_line(color=MUTED, strokeDash=[4, 3]).encode(time, alt.Y("vwap:Q"))
    filled = _new_york(fills).select("time", "leg", price=pl.col("price_ticks") * points_per_tick)
    marks = alt.Chart(alt.InlineData(values=_records(filled))).mark_point(
        filled=True, size=110, opacity=0.9
    )
    colours = alt.Scale(
        domain=["entry", "target", "stop", "flatten"], range=[CALM, GOOD, BAD, MUTED]
    )
    fill = marks.encode(
        time,
        alt.Y("price:Q"),
        color=alt.Color("leg:N", scale=colours, title="fill"),
    )
    belief = alt.Chart(alt.InlineData(values=_records(_new_york(beliefs).drop("closes_at"))))
    height = alt.Scale(domain=[0, 1])
    sides = [
        belief.mark_line(color=colour, strokeWidth=1.2).encode(
            time, alt.Y(f"{side}:Q", scale=height, title="belief, long (green) short (red)")
        )
        for side, colour in (("long", GOOD), ("short", BAD))
    ]
    gate = alt.Chart(alt.InlineData(values=[{"gate": belief_min}])).mark_rule(
        color=INK, strokeDash=[4, 3]
    )
    return _styled(
        alt.vconcat(
            alt.layer(price, vwap, fill).properties(width=WIDTH, height=260),
            alt.layer(*sides, gate.encode(alt.Y("gate:Q"))).properties(width=WIDTH, height=120),
        )
    )


def _records(frame: pl.DataFrame) -> list[dict[str, object]]:
    """Rows as Vega expects them: local times as text without a zone."""
    texts = [pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%S")] if "time" in frame.columns else []
    return frame.with_columns(texts).to_dicts()
