"""Pictures of a page as SVG, drawn by Vega from specifications that are built once.

Making a chart in Altair costs more than drawing it, and compiling it a quarter as much, so both are
done once and only the data changes. Colours are those of `assets.pictures`; the page's style sheet
turns them for the dark.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import altair as alt
import orjson
import polars as pl
import vl_convert

from assets.pictures import BAD, CALM, GOOD, INK, MUTED
from engine.rules import Rules

WIDTH: Final = 900
_FRAME: Final = re.compile(r'^<svg([^>]*?) width="[\d.]+" height="[\d.]+"')

Rows = Sequence[Mapping[str, Any]]
Panel = Any
"""A chart of Altair, whose layers and facets share no type that can be configured."""


def svg_of(spec: str, rows: Mapping[str, Rows]) -> str:
    """The drawing of a specification with these rows, as wide as the page lets it be."""
    content = orjson.loads(_compiled(spec))
    for source in content["data"]:
        if source["name"] in rows:
            source["values"] = rows[source["name"]]
    drawn: str = vl_convert.vega_to_svg(orjson.dumps(content).decode())
    return _FRAME.sub(r"<svg\1", drawn)


@cache
def _compiled(spec: str) -> bytes:
    """A specification of Vega-Lite as one of Vega, still without rows."""
    return orjson.dumps(vl_convert.vegalite_to_vega(spec))


def png_of(spec: str, rows: Mapping[str, Rows]) -> bytes:
    """The same as PNG on white, for places that show no SVG."""
    drawn: bytes = vl_convert.vegalite_to_png(_filled(spec, rows, background="white"), scale=1.5)
    return drawn


def _filled(spec: str, rows: Mapping[str, Rows], **changes: str) -> str:
    content = orjson.loads(spec)
    content["datasets"] = {**content.get("datasets", {}), **rows}
    return orjson.dumps({**content, **changes}).decode()


def spec_text(chart: Panel) -> str:
    """A chart in the style of all pictures, as the text that `svg_of` fills."""
    styled = chart.configure(background="transparent", font="sans-serif")
    styled = styled.configure_view(stroke=None).configure_axis(
        grid=False, labelColor=INK, titleColor=INK, domainColor=MUTED, tickColor=MUTED
    )
    return orjson.dumps(styled.to_dict()).decode()


# ── The session ─────────────────────────────────────────────────────────────────────────────────


@cache
def session_spec(*, belief_min: float, dvs_min: float) -> str:
    """Price with trades, beliefs and DVS above each other. Data: bars, trades, gates."""
    return spec_text(
        alt.vconcat(
            _price_panel(),
            _belief_panel(belief_min),
            _dvs_panel(dvs_min),
            spacing=6,
        )
    )


def session_rows(frame: pl.DataFrame, trades: pl.DataFrame, rules: Rules) -> Mapping[str, Rows]:
    """The data of `session_spec`: a market frame and `trades` of one session."""
    points = float(rules.instrument.tick_size)
    strongest = [
        pl.max_horizontal(f"f{number}_{side}_effective" for number in (1, 2, 3, 4)).alias(side)
        for side in ("long", "short")
    ]
    bars = frame.select(
        _local("closes_at", rules).alias("time"),
        "dvs",
        *strongest,
        close=pl.col("close_ticks") * points,
        vwap=pl.col("vwap_ticks") * points,
    )
    held = trades.select(
        _local("opened_at", rules).alias("time"),
        _local("closed_at", rules).alias("until"),
        "side",
        entry=pl.col("entry_ticks") * points,
        exit=pl.col("exit_ticks") * points,
        stop=pl.col("stop_price_ticks") * points,
        target=pl.col("target_price_ticks") * points,
        is_win=pl.col("net_usd") > 0,
    )
    return {"bars": bars.to_dicts(), "trades": held.to_dicts()}


def _local(name: str, rules: Rules) -> pl.Expr:
    """An instant as local wall-clock text without a zone, which is what a time axis shows."""
    zone = rules.session.timezone
    return pl.col(name).dt.convert_time_zone(zone).dt.strftime("%Y-%m-%dT%H:%M:%S")


def _time(*, has_labels: bool) -> alt.X:
    axis = alt.Axis(format="%H:%M", labels=has_labels, ticks=has_labels, title=None)
    return alt.X("time:T", axis=axis)


def _height(field: str, title: str, **scale: Any) -> alt.Y:
    return alt.Y(f"{field}:Q", scale=alt.Scale(**scale), axis=alt.Axis(title=title, tickCount=4))


def _price_panel() -> Panel:
    bars, held = (alt.Chart(alt.NamedData(name)) for name in ("bars", "trades"))
    time, price = _time(has_labels=False), _height("close", "price", zero=False)
    won = alt.condition("datum.is_win", alt.value(GOOD), alt.value(BAD))
    levels = [
        held.mark_rule(color=colour, strokeDash=[3, 3], strokeWidth=1.2).encode(
            alt.X("time:T"), alt.X2("until:T"), alt.Y(f"{level}:Q")
        )
        for level, colour in (("stop", BAD), ("target", GOOD))
    ]
    marks: dict[str, Any] = {
        "filled": True,
        "size": 150,
        "opacity": 1.0,
        "stroke": "white",
        "strokeWidth": 1,
    }
    return alt.layer(
        bars.mark_line(color=MUTED, strokeDash=[4, 3], strokeWidth=1).encode(
            time, alt.Y("vwap:Q", scale=alt.Scale(zero=False))
        ),
        bars.mark_line(color=INK, strokeWidth=1.1).encode(time, price),
        *levels,
        held.mark_rule(strokeWidth=3).encode(
            alt.X("time:T"), alt.X2("until:T"), alt.Y("entry:Q"), alt.Y2("exit:Q"), color=won
        ),
        held.mark_point(shape="triangle-up", color=CALM, **marks)
        .transform_filter("datum.side > 0")
        .encode(alt.X("time:T"), alt.Y("entry:Q")),
        held.mark_point(shape="triangle-down", color=CALM, **marks)
        .transform_filter("datum.side < 0")
        .encode(alt.X("time:T"), alt.Y("entry:Q")),
        held.mark_point(shape="circle", **{**marks, "size": 90}).encode(
            alt.X("until:T"), alt.Y("exit:Q"), color=won
        ),
    ).properties(width=WIDTH, height=280)


def _belief_panel(belief_min: float) -> Panel:
    bars = alt.Chart(alt.NamedData("bars"))
    sides = [
        bars.mark_line(color=colour, strokeWidth=1.2).encode(
            _time(has_labels=False), _height(side, "belief", domain=[0, 1])
        )
        for side, colour in (("long", GOOD), ("short", BAD))
    ]
    return alt.layer(*sides, _gate(belief_min)).properties(width=WIDTH, height=90)


def _dvs_panel(dvs_min: float) -> Panel:
    area = (
        alt.Chart(alt.NamedData("bars"))
        .mark_area(color=CALM, opacity=0.3, line={"color": CALM}, interpolate="step-after")
        .encode(_time(has_labels=True), _height("dvs", "data (DVS)", domain=[0, 1]))
    )
    return alt.layer(area, _gate(dvs_min)).properties(width=WIDTH, height=60)


def _gate(value: float) -> Panel:
    rule = alt.Chart(alt.InlineData(values=[{"gate": value}])).mark_rule(
        color=INK, strokeDash=[4, 3], strokeWidth=0.8
    )
    return rule.encode(alt.Y("gate:Q"))


@cache
def quality_spec(*, dvs_min: float) -> str:
    """Price with doubtful bars marked, and the DVS under it. Data: bars."""
    bars = alt.Chart(alt.NamedData("bars"))
    time = _time(has_labels=False)
    price = alt.layer(
        bars.mark_line(color=INK, strokeWidth=1.1).encode(
            time, _height("close", "price", zero=False)
        ),
        bars.transform_filter(f"datum.dvs < {dvs_min}")
        .mark_point(color=BAD, size=22, filled=True, opacity=1.0)
        .encode(time, alt.Y("close:Q")),
    ).properties(width=WIDTH, height=200)
    return spec_text(alt.vconcat(price, _dvs_panel(dvs_min), spacing=6))


def quality_rows(frame: pl.DataFrame, rules: Rules) -> Mapping[str, Rows]:
    """The data of `quality_spec`: a market frame of one session."""
    close = pl.col("close_ticks") * float(rules.instrument.tick_size)
    bars = frame.select(_local("closes_at", rules).alias("time"), "dvs", close=close)
    return {"bars": bars.to_dicts()}


# ── Calibration ─────────────────────────────────────────────────────────────────────────────────


@cache
def calibration_spec() -> str:
    """One panel per template: what was said against what came. Data: bins, ends."""
    side = alt.Color(
        "side:N", scale=alt.Scale(domain=["long", "short"], range=[GOOD, BAD]), legend=None
    )
    said = alt.X("p_win_mean:Q", scale=alt.Scale(domain=[0, 1]), axis=_share("said p(win)"))
    came = alt.Y("win_rate:Q", scale=alt.Scale(domain=[0, 1]), axis=_share("came true"))
    rows = alt.Chart().transform_filter("datum.kind == 'bin'")
    ends = alt.Chart().transform_filter("datum.kind == 'base'")
    diagonal = (
        alt.Chart()
        .transform_filter("datum.kind == 'end'")
        .mark_line(color=MUTED, strokeWidth=1)
        .encode(said, came)
    )
    base = ends.mark_rule(strokeDash=[4, 3], strokeWidth=1, opacity=0.7).encode(
        alt.Y("win_rate:Q"), color=side
    )
    interval = rows.mark_rule(strokeWidth=1.4).encode(
        said, alt.Y("win_rate_low:Q"), alt.Y2("win_rate_high:Q"), color=side
    )
    points = rows.mark_circle(opacity=1.0).encode(
        said, came, color=side, size=alt.Size("outcomes:Q", legend=None, scale=_SIZES)
    )
    panel = alt.layer(diagonal, base, interval, points, data=alt.NamedData("bins"))
    named = alt.Column(
        "template:N", title=None, header=alt.Header(labelColor=INK, labelFontWeight="bold")
    )
    return spec_text(panel.properties(width=180, height=180).facet(column=named))


_SIZES: Final = alt.Scale(range=[12, 120])


def _share(title: str) -> alt.Axis:
    return alt.Axis(title=title, values=[0, 0.25, 0.5, 0.75, 1], format=".2~f")


def calibration_points(rows: pl.DataFrame) -> Mapping[str, Rows]:
    """The data of `calibration_spec`: rows of `calibration` of one session."""
    side = pl.when(pl.col("side") > 0).then(pl.lit("long")).otherwise(pl.lit("short"))
    kind = pl.when(pl.col("bin") == 0).then(pl.lit("base")).otherwise(pl.lit("bin"))
    shown = rows.select(
        *("template", "p_win_mean", "win_rate", "win_rate_low", "win_rate_high", "outcomes"),
        side=side,
        kind=kind,
    )
    corners = [
        {"template": template, "kind": "end", "p_win_mean": end, "win_rate": end}
        for template in rows["template"].unique().sort()
        for end in (0.0, 1.0)
    ]
    return {"bins": [*shown.to_dicts(), *corners]}
