"""Pictures of a parameter sweep: what its sets came to, and how its cost grows."""

from functools import cache
from typing import Any, Final

import altair as alt

from assets.pictures import BAD, CALM, GOOD, INK
from assets.report.pictures import WIDTH, spec_text

_HALF: Final = (WIDTH - 120) // 2


@cache
def sweep_spec() -> str:
    """Each set by its trades and result, and how many came to how much. Data: sets."""
    sets = alt.Chart(alt.NamedData("sets"))
    kind = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=["set", "best", "today"], range=[CALM, GOOD, BAD]),
        legend=alt.Legend(title=None, orient="top-left", labelColor=INK),
    )
    net = alt.Axis(title="net result, USD", tickCount=6)
    cloud = sets.mark_circle(opacity=0.55, size=24).encode(
        alt.X("trades:Q", scale=alt.Scale(zero=False), axis=alt.Axis(title="trades", tickCount=6)),
        alt.Y("net_usd:Q", scale=alt.Scale(zero=False), axis=net),
        kind,
    )
    named = sets.transform_filter("datum.kind != 'set'").mark_circle(opacity=1.0, size=110)
    marked = named.encode(alt.X("trades:Q"), alt.Y("net_usd:Q"), kind)
    return spec_text(
        alt.hconcat(
            alt.layer(cloud, marked).properties(width=_HALF, height=260),
            alt.layer(_counts(sets), _luck(sets)).properties(width=_HALF, height=260),
            spacing=40,
        )
    )


def _counts(sets: Any) -> Any:
    axis = alt.Axis(title="gain, R a session", tickCount=6)
    gain = alt.X("gain_r:Q", bin=alt.Bin(maxbins=40), axis=axis)
    return sets.mark_bar(color=CALM, opacity=0.6).encode(
        gain, alt.Y("count():Q", axis=alt.Axis(title="sets", tickCount=4))
    )


def _luck(sets: Any) -> Any:
    """Today's rules, which gain nothing over themselves."""
    today = sets.transform_filter("datum.kind == 'today'")
    return today.mark_rule(color=BAD, strokeDash=[4, 3]).encode(alt.X("gain_r:Q"))


@cache
def scaling_spec() -> str:
    """CPU seconds against bars, sets and sessions, one panel each. Data: costs."""
    rows = alt.Chart()
    amount = alt.X(
        "amount:Q",
        axis=alt.Axis(title=None, tickCount=3),
        scale=alt.Scale(nice=True, zero=True),
    )
    seconds = alt.Y("cpu_seconds:Q", axis=alt.Axis(title="CPU seconds", tickCount=4))
    line = rows.mark_line(color=CALM, strokeWidth=1.5).encode(amount, seconds)
    points = rows.mark_circle(color=CALM, size=60, opacity=1.0).encode(amount, seconds)
    panel = alt.layer(line, points, data=alt.NamedData("costs"))
    panel = panel.properties(width=_HALF // 2 + 20, height=200)
    by = alt.Column("what:N", title=None, header=alt.Header(labelColor=INK))
    return spec_text(panel.facet(column=by).resolve_scale(x="independent", y="independent"))
