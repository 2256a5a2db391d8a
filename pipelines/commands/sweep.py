"""`credence sweep`: many parameter sets over stored or generated bars, and whether one is luck.

Nothing is proposed and nothing is changed: a sweep shows how results depend on the numbers.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl

from assets.report.pictures import svg_of
from assets.report.sweep_pictures import scaling_spec, sweep_spec
from engine.learning.evolution import Proposal
from engine.learning.parameter_sets import knobs
from pipelines.commands.exits import Exit
from pipelines.commands.screen import Screen
from pipelines.sources import parse_source
from pipelines.storage.atomic import write_atomically
from pipelines.stored_bars import StoredBars, stored_bars
from pipelines.sweep import Sweep, SweepRequest, sweep
from pipelines.sweep_bars import bars_of_source, first_sessions, newest_sessions
from pipelines.sweep_scaling import PARTS, Cost, scaling
from pipelines.sweep_table import best_of, sweep_rows
from pipelines.wiring import Wiring

SHOWN: Final = 5
NAME_CHARACTERS_MAX: Final = 60
"""Of what a picture's name says of its bars; the name of a file has an end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweptBars:
    """Which bars: those stored, or of a source; `sessions` of them, the newest or first ones."""

    source: str | None
    first_date: date | None
    last_date: date | None
    sessions: int | None

    def read(self, wiring: Wiring) -> StoredBars:
        """The bars with their contexts; raises `InputRefused` where there are none."""
        rules = wiring.rules
        if self.source is None:
            found = stored_bars(wiring.market, rules, self.first_date, self.last_date)
            return found if self.sessions is None else newest_sessions(found, self.sessions)
        source = parse_source(self.source, wiring.settings.contracts)
        found = bars_of_source(source, rules, self.first_date, self.last_date)
        return found if self.sessions is None else first_sessions(found, self.sessions)


def run_sweep(wiring: Wiring, bars: SweptBars, request: SweepRequest, *, as_json: bool) -> int:
    """Sweep, store and draw it, and tell what is best; 1 when a checked set is not its replay."""
    screen = Screen.of_process()
    rules = wiring.rules
    stored = bars.read(wiring)
    with screen.progress("sweeping", request.sets + request.checked) as advance:
        swept = sweep(stored, rules, request, advance)
    rows = sweep_rows(swept, rules, seed=request.seed, source=stored.sources)
    best = best_of(swept, rules)
    differing = [each for each in swept.checked if each.difference is not None]
    answer = _answer(swept, rows, best, request)
    if not differing:
        through = swept.session_dates[-1]
        _store(wiring, rows, through)
        drawn = svg_of(sweep_spec(), {"sets": _points(rows, best)})
        name = re.sub(r"\W+", "-", stored.sources)[:NAME_CHARACTERS_MAX]
        answer["picture"] = str(_draw(wiring, f"{through}-{name}.svg", drawn))
    if as_json:
        screen.json(answer)
    else:
        _show(screen, answer, rows, len(knobs(rules)))
    return Exit.NO if differing else Exit.DONE


def run_scaling(wiring: Wiring, bars: SweptBars, request: SweepRequest, *, as_json: bool) -> int:
    """Measure what a sweep costs for more bars, more sets and more sessions, and draw it."""
    screen = Screen.of_process()
    stored = bars.read(wiring)
    with screen.progress("measuring", len(PARTS) * request.sets) as advance:
        costs = scaling(stored, wiring.rules, request, advance)
    drawn = svg_of(scaling_spec(), {"costs": [each._asdict() for each in costs]})
    picture = _draw(wiring, "scaling.svg", drawn)
    if as_json:
        screen.json({"costs": [each._asdict() for each in costs], "picture": str(picture)})
        return Exit.DONE
    columns = Cost._fields
    screen.table("What a sweep costs", columns, sorted(costs), numbers=columns[1:])
    screen.say(f"  picture  {picture}")
    return Exit.DONE


def _store(wiring: Wiring, rows: pl.DataFrame, through: date) -> None:
    """In place of the last sweep of the same bars through a session; those of others stay."""
    symbol = wiring.rules.instrument.symbol
    known = wiring.warehouse.read("sweep", symbol, through, through)
    others = known.filter(pl.col("source") != rows["source"][0])
    wiring.warehouse.replace_partitions(
        "sweep", pl.concat([others, rows]), symbol=symbol, session_dates=[through]
    )


def _draw(wiring: Wiring, name: str, drawn: str) -> Path:
    path = wiring.home.root / "sweeps" / name
    write_atomically(path, drawn.encode(), wiring.home.aside)
    return path


def _points(rows: pl.DataFrame, best: Proposal | None) -> list[dict[str, Any]]:
    name = -1 if best is None else int(best.name)
    kind = (
        pl.when(pl.col("number") == 0)
        .then(pl.lit("today"))
        .when(pl.col("number") == name)
        .then(pl.lit("best"))
        .otherwise(pl.lit("set"))
    )
    shown = rows.select("trades", "gain_r", kind.alias("kind"), pl.col("net_usd").cast(pl.Float64))
    return shown.to_dicts()


def _answer(
    swept: Sweep, rows: pl.DataFrame, best: Proposal | None, request: SweepRequest
) -> dict[str, Any]:
    return {
        "first_session_date": swept.session_dates[0],
        "last_session_date": swept.session_dates[-1],
        "sessions": len(swept.session_dates),
        "source": rows["source"][0],
        "bars": swept.bars,
        "sets": len(swept.sets),
        "seed": request.seed,
        "processes": request.processes,
        "trades": int(rows["trades"].sum()),
        "replayed": int(rows["is_replayed"].sum()),
        "seconds": round(swept.seconds, 2),
        "cpu_seconds": round(swept.cpu_seconds, 2),
        "check_seconds": round(swept.check_seconds, 2),
        "peak_rss_mb": round(swept.peak_rss_mb, 1),
        "today_net_usd": rows["net_usd"][0],
        "best": None if best is None else asdict(best),
        "best_changes": None
        if best is None
        else orjson.loads(rows["changes_json"][int(best.name)]),
        "checked": [asdict(each) for each in swept.checked],
    }


def _show(screen: Screen, answer: Mapping[str, Any], rows: pl.DataFrame, numbers: int) -> None:
    screen.say(
        f"[bold]{answer['sets']:,} parameter sets[/] of {numbers} numbers on "
        f"{answer['sessions']:,} sessions, {answer['bars']:,} bars, {answer['first_session_date']} "
        f"to {answer['last_session_date']}"
    )
    screen.say(
        f"  {answer['trades']:,} trades in {answer['seconds']:.1f} s on {answer['processes']} "
        f"processes; {answer['cpu_seconds']:.1f} s of processor time, at most "
        f"{answer['peak_rss_mb']:,.0f} MB each; {answer['replayed']} sets replayed bar by bar"
    )
    columns = ("number", "trades", "wins", "net_usd", "gain_r", "sharpe", "deflated_sharpe")
    top = rows.sort("gain_r", descending=True).head(SHOWN)
    shown = pl.concat([rows.head(1), top.filter(pl.col("number") > 0)]).select(columns).rows()
    screen.table("Today's rules, and the sets that came to most", columns, shown, numbers=columns)
    _judge(screen, answer)
    for each in answer["checked"]:
        said = each["difference"] or f"{each['trades']:,} trades equal to the full replay"
        screen.line(f"  checked  set {each['number']}: {said}")
    if "picture" in answer:
        screen.say(f"  picture  {answer['picture']}")
    else:
        screen.fail("a swept set is not what its replay is: nothing was stored; report this")


def _judge(screen: Screen, answer: Mapping[str, Any]) -> None:
    best = answer["best"]
    if best is None:
        screen.say("No set gains over today's rules, or the sessions are too few to tell.")
        return
    verdict = "may well be luck" if not best["is_worth_it"] else "is hardly luck"
    screen.say(
        f"The best of {best['tried']:,}, set {best['name']}, {verdict}: Sharpe ratio "
        f"{best['sharpe']:.3f} a session, {best['sharpe_of_luck']:.3f} for the luckiest of so "
        f"many without merit, deflated {best['deflated_sharpe']:.2f}; choosing the best so far and "
        f"trading it next would have gained {best['gain_ahead_r']:+.3f} R a session."
    )
