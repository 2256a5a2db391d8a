"""`credence demo`: the whole story on one page, through the Dagster jobs that the desk runs."""

import json
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final

from engine.errors import SettingsError, SourceError
from pipelines.commands.exits import Exit
from pipelines.commands.screen import Advance, Screen

if TYPE_CHECKING:
    import dagster as dg

    from engine.calendar import Session
    from pipelines.wiring import Wiring

MARK: Final = ".credence-demo"
"""Only a folder with this file in it is emptied for a new demo."""

FIRST_GENERATED: Final = date(2025, 9, 2)
"""Generated demos begin here, so that two people see the same numbers."""

EQUITY_USD: Final = 10_000
POLL_SECONDS: Final = 0.2
SHOWN_TRADES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One Dagster run of the demo: whether it succeeded, and what its checks said."""

    job: str
    succeeded: bool
    checks: tuple[tuple[str, bool, str], ...]


def run_demo(source: str, sessions: int, seed: int, home: Path, *, screen: Screen) -> int:
    """Play the story in a scratch home; 0 when every step and check passed, 1 otherwise."""
    _empty(home)
    wiring = _wiring(source, home)
    chosen = _sessions_of(wiring, sessions)
    first, last = (str(chosen[index].session_date) for index in (0, -1))
    screen.say(f"[bold]Credence demo[/] · {source} · {len(chosen)} sessions {first} to {last}")
    whole = {RANGE_FIRST: first, RANGE_LAST: last}
    ran = [
        _run(wiring, screen, "market_day", tags=whole),
        _run(wiring, screen, "preopen", partition=last),
        _run(wiring, screen, "rehearse_session", partition=last, equity=EQUITY_USD, seed=seed),
    ]
    if all(run.succeeded for run in ran):
        tell(wiring, chosen, seed, screen)
    _verdict(ran, screen)
    screen.say()
    screen.say("[bold]Where to look next[/]")
    screen.say("  make ui DEMO=1                       this demo in the Dagster UI, 127.0.0.1:3000")
    screen.say(f"  CREDENCE_HOME={home} credence journal {last} --at 10:42")
    screen.say(f"  {wiring.reports}/preopen-{wiring.settings.symbol}-{last}.html")
    return Exit.DONE if all(run.succeeded for run in ran) else Exit.NO


RANGE_FIRST: Final = "dagster/asset_partition_range_start"
RANGE_LAST: Final = "dagster/asset_partition_range_end"


def _empty(home: Path) -> None:
    if home.exists() and any(home.iterdir()) and not (home / MARK).exists():
        raise SettingsError(
            f"{home}: expected an empty folder or an earlier demo, found something else; "
            "move it away or set CREDENCE_HOME"
        )
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / MARK).touch()


def _wiring(source: str, home: Path) -> "Wiring":
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    os.environ["GX_ANALYTICS_ENABLED"] = "False"
    from pipelines.settings import Settings
    from pipelines.wiring import Wiring

    return Wiring(settings=Settings(home=home.resolve(), source=source))


def _sessions_of(wiring: "Wiring", count: int) -> "list[Session]":
    """The newest sessions of a source with an own range, else those from `FIRST_GENERATED` on."""
    from contracts.calendar import sessions_between

    has = wiring.source.date_range()
    if has is None:
        rules = wiring.rules.session
        return sessions_between(FIRST_GENERATED, date(2027, 12, 31), rules)[:count]
    found = [
        session
        for session in sessions_between(*has, wiring.rules.session)
        if wiring.source.read(
            wiring.settings.symbol, session.session_date, session.session_date
        ).height
        > session.minutes // 2
    ]
    if not found:
        raise SourceError(f"{wiring.source.name}: expected at least one session, found none")
    return found[-count:]


def _run(
    wiring: "Wiring",
    screen: Screen,
    job: str,
    *,
    partition: str | None = None,
    tags: dict[str, str] | None = None,
    equity: float | None = None,
    seed: int = 0,
) -> Ran:
    """Run one job in this process on the home's instance, with a bar that follows its steps."""
    import dagster as dg

    from pipelines.dagster_home import dagster_home_of
    from pipelines.definitions import definitions_for

    logging.getLogger("dagster").setLevel(logging.ERROR)
    definition = definitions_for(wiring).resolve_job_def(job)
    config: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
    if equity is not None:
        wanted = {"config": {"equity_usd": equity, "seed": seed}}
        config["ops"] = {"trading_session": wanted}
    steps = len(definition.nodes)
    folder = dagster_home_of(wiring.settings.home)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        with screen.progress(f"{job:17s}", steps) as advance, _following(instance, advance):
            result = definition.execute_in_process(
                instance=instance,
                partition_key=partition,
                tags=tags,
                run_config=config,
                raise_on_error=False,
            )
        checks = tuple(
            (each.check_name, each.passed, each.description or "")
            for each in result.get_asset_check_evaluations()
        )
    return Ran(job=job, succeeded=result.success, checks=checks)


class _following:  # noqa: N801 - used as a verb, in a `with`.
    """Advance a progress bar as steps of the newest run end; stops with the block."""

    def __init__(self, instance: "dg.DagsterInstance", advance: Advance) -> None:
        self._instance = instance
        self._advance = advance
        self._ended = Event()
        self._known = {run.run_id for run in instance.get_runs(limit=10)}
        self._thread = Thread(target=self._follow, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        import dagster as dg

        shown: set[str] = set()
        while not self._ended.wait(POLL_SECONDS):
            for run in self._instance.get_runs(limit=1):
                if run.run_id in self._known:
                    continue
                for entry in self._instance.all_logs(
                    run.run_id, of_type=dg.DagsterEventType.STEP_SUCCESS
                ):
                    if entry.step_key and entry.step_key not in shown:
                        shown.add(entry.step_key)
                        self._advance(entry.step_key)


def tell(wiring: "Wiring", chosen: "Sequence[Session]", seed: int, screen: Screen) -> None:
    """The page: what was seen, believed, decided, why not, and what it cost."""
    first, last = chosen[0].session_date, chosen[-1].session_date
    _tell_bars(wiring, first, last, screen)
    _tell_session(wiring, last, screen)
    _tell_replay(wiring, first, last, seed, screen)


def _tell_bars(wiring: "Wiring", first: date, last: date, screen: Screen) -> None:
    import polars as pl

    symbol = wiring.settings.symbol
    bars, rejected, quality, beliefs = (
        wiring.market.read(name, symbol, first, last)
        for name in ("bars", "rejected_bars", "quality", "beliefs")
    )
    events = quality.select(pl.col("quality_events").str.split(",").explode()).to_series()
    named = events.filter(events != "").value_counts(sort=True)
    gate = wiring.rules.constitution.dvs_entry_min
    found = ", ".join(f"{count} {name}" for name, count in named.iter_rows()) or "none"
    screen.table(
        "What came",
        ["", ""],
        [
            ("sessions", bars["session_date"].n_unique()),
            ("bars kept", bars.height),
            ("bars rejected", rejected.height),
            ("bars below the DVS entry gate", quality.filter(pl.col("dvs") < gate).height),
            ("data events", found),
        ],
    )
    sessions = bars["session_date"].n_unique()
    rows = []
    for block in wiring.rules.beliefs.constraints:
        template = next(
            (t for t in wiring.rules.strategies.templates if t.constraint == block.id), None
        )
        if template is not None:
            prefix = block.id.lower()
            held = [
                beliefs.filter(pl.col(f"{prefix}_{side}_effective") >= template.belief_min).height
                for side in ("long", "short")
            ]
            rows.append(
                (block.id, block.question, template.id, *(count / sessions for count in held))
            )
    screen.table(
        "What it believed: bars per session on which the belief was strong enough to act",
        ["", "question", "template", "long", "short"],
        rows,
        numbers=("long", "short"),
    )


def _tell_session(wiring: "Wiring", session_date: date, screen: Screen) -> None:
    import polars as pl

    from engine.wording import clock_at

    symbol = wiring.settings.symbol
    rows = wiring.warehouse.read("decisions", symbol, session_date, session_date)
    screen.say()
    screen.say(f"[bold]What it did on {session_date}[/]")
    acts = rows.filter(~pl.col("action").is_in(["SKIP", "HOLD"]))
    for sentence in acts["sentence"]:
        screen.say(f"  {sentence}")
    if acts.is_empty():
        screen.say("  It did not trade.")
    fills = wiring.warehouse.read("executions", symbol, session_date, session_date)
    for fill in fills.iter_rows(named=True):
        verb = "bought" if fill["side"] > 0 else "sold"
        price = wiring.rules.instrument.to_points(fill["price_ticks"])
        when = clock_at(fill["at"], wiring.rules)
        screen.say(f"  {when} {verb} {fill['quantity']} at {price:,} ({fill['leg']})")
    skips = rows.filter(pl.col("action") == "SKIP")
    reasons = skips.group_by("reason").len("bars").sort("bars", "reason", descending=True)
    screen.table(
        f"Why not: the first no of {skips.height} bars without an entry",
        ["reason", "bars"],
        reasons.iter_rows(),
        numbers=("bars",),
    )
    nearest = _nearest(skips)
    if nearest is not None:
        screen.say("[bold]The nearest miss[/]")
        screen.say(f"  {nearest['sentence']}")
        screen.say(f"  {nearest['counterfactual']}")


def _nearest(skips: Any) -> dict[str, Any] | None:
    """The skipped bar whose best candidate scored highest; null when no bar had a candidate."""
    best: tuple[float, dict[str, Any]] | None = None
    for row in skips.iter_rows(named=True):
        scores = [s["euc"] for s in json.loads(row["scores_json"]) if s["euc"] is not None]
        if scores and (best is None or max(scores) > best[0]):
            best = (max(scores), row)
    return None if best is None else best[1]


def _tell_replay(wiring: "Wiring", first: date, last: date, seed: int, screen: Screen) -> None:
    """All sessions in a row on one account, so that limits carry over as they would."""
    from decimal import Decimal

    from engine.desk import Recording
    from pipelines.replay import ReplaySettings, replay

    symbol = wiring.settings.symbol
    bars, contexts = (wiring.market.read(name, symbol, first, last) for name in ("bars", "context"))
    settings = ReplaySettings(equity_usd=Decimal(EQUITY_USD), recording=Recording.TRADES, seed=seed)
    result = replay(contexts, bars, wiring.rules, settings)
    shown = [
        (
            f"{trade['closed_at']:%Y-%m-%d %H:%M} UTC",
            trade["template"],
            "long" if trade["side"] > 0 else "short",
            trade["exit_kind"],
            trade["gross_ticks"],
            trade["fees_usd"],
            trade["net_usd"],
        )
        for trade in result.trades
    ]
    screen.table(
        f"What {len(result.equity_usd)} sessions in a row would have cost or earned "
        f"({len(shown)} trades"
        + (f", the last {SHOWN_TRADES}" if len(shown) > SHOWN_TRADES else "")
        + ")",
        ["closed", "template", "side", "exit", "ticks", "fees $", "net $"],
        shown[-SHOWN_TRADES:],
        numbers=("ticks", "fees $", "net $"),
    )
    net = sum((Decimal(trade["net_usd"]) for trade in result.trades), Decimal(0))
    fees = sum((Decimal(trade["fees_usd"]) for trade in result.trades), Decimal(0))
    screen.say(
        f"  {len(shown)} trades, net {net:+.2f} USD of which fees {-fees:.2f} USD; "
        f"{result.bars:,} bars replayed, digest {result.digest[:16]}…"
    )


def _verdict(ran: "Sequence[Ran]", screen: Screen) -> None:
    rows = [
        (check, passed, description) for run in ran for check, passed, description in run.checks
    ]
    failed = [row for row in rows if not row[1]]
    screen.say()
    screen.say(f"[bold]Verified[/]: {len(rows) - len(failed)} of {len(rows)} checks passed")
    told = {"journal_chain", "ledger_equals_cash", "live_equals_batch", "preopen_review", "dvs"}
    screen.table(
        "", ["check", "passed", "what it found"], [r for r in rows if not r[1] or r[0] in told]
    )
    for run in ran:
        if not run.succeeded:
            screen.fail(
                f"the job {run.job} did not succeed; `make ui DEMO=1` shows where, step by step"
            )
