"""Known ways to get a desk wrong, each planted as a change of its source and to be caught."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One piece of text of one file, which must be there exactly once, and what replaces it."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A planted bug. `test` is the test that must catch it where the campaign alone may not."""

    name: str
    edits: tuple[Edit, ...]
    test: str


def _bug(name: str, path: str, old: str, new: str, test: str = "") -> Mutation:
    return Mutation(name=name, edits=(Edit(path=path, old=old, new=new),), test=test)


MUTATIONS: Final = (
    _bug(
        "drop the write-ahead",
        "engine/desk/turn.py",
        "self.note(IntentRecorded(at=self.at, decision_id=decision_id, command=command))",
        "self.apply(IntentRecorded(at=self.at, decision_id=decision_id, command=command))",
    ),
    _bug(
        "return a live step's commands before its commit",
        "pipelines/live_step.py",
        "if step.entries else []",
        "if step.entries and not step.commands else []",
        "tests/pipelines/test_live_step.py",
    ),
    _bug(
        "book an execution that is told twice",
        "engine/ledger.py",
        "        if self.knows(execution):\n            return self\n"
        "        base, _ = _identity(execution.execution_id)\n"
        "        kept = tuple(f for f in self.executions if _identity(f.execution_id)[0] != base)",
        "        kept = self.executions",
    ),
    _bug(
        "use an order ref again",
        "engine/supervisor.py",
        "number = len(orders.of(decision_id, leg)) + 1",
        "number = 1",
        "tests/engine/test_desk_trades.py",
    ),
    _bug(
        "send the bracket again with every answer",
        "engine/desk/reports.py",
        "    if state.orders.of(trade.plan.decision_id, Leg.ENTRY):\n        return\n    life",
        "    life",
    ),
    Mutation(
        name="trust our own cancel",
        edits=(
            Edit(
                path="engine/supervisor.py",
                old="return orders.after_event(command.ref, OrderEvent.CANCEL_REQUESTED, at)",
                new="return orders.after_event(command.ref, OrderEvent.CANCELLED, at)",
            ),
            Edit(
                path="engine/supervisor.py",
                old="order.after(OrderEvent.CANCEL_REQUESTED, at) if order.is_live",
                new="order.after(OrderEvent.CANCELLED, at) if order.is_live",
            ),
        ),
        test="",
    ),
    _bug(
        "answer nothing that a reconciliation finds",
        "engine/desk/reports.py",
        "    for finding in found:",
        "    for finding in found[:0]:",
    ),
    _bug(
        "hear nothing of what a reconciliation tells",
        "engine/reconciliation.py",
        "    return tuple(reports)",
        "    return ()",
    ),
    _bug(
        "let the day lose five dollars more",
        "engine/risk.py",
        "constitution.loss_usd_per_day_max + risk.net_usd_today,",
        "constitution.loss_usd_per_day_max + 5 + risk.net_usd_today,",
        "tests/engine/test_risk.py",
    ),
    _bug(
        "forget the week's limit",
        "engine/risk.py",
        "constitution.loss_usd_per_week_max, risk.net_usd_this_week),",
        "constitution.loss_usd_per_week_max, risk.net_usd_today),",
        "tests/engine/test_risk.py",
    ),
    _bug(
        "take one trade too many",
        "engine/risk.py",
        "risk.trades_today >= constitution.trades_per_day_max",
        "risk.trades_today > constitution.trades_per_day_max",
        "tests/engine/test_risk.py",
    ),
    _bug(
        "lock out after one loss too many",
        "engine/risk.py",
        "risk.loss_streak >= constitution.consecutive_losses_max",
        "risk.loss_streak > constitution.consecutive_losses_max",
        "tests/engine/test_risk.py",
    ),
    _bug(
        "forget the cooldown",
        "engine/risk.py",
        "    entries = risk.entered_at\n    if not entries:",
        "    entries = risk.entered_at\n    if entries:",
        "tests/engine/test_risk.py",
    ),
    _bug(
        "count no entries an hour",
        "engine/risk.py",
        "return max(apart, entries[-counted] + timedelta(hours=1))",
        "return apart",
        "tests/engine/test_risk.py",
    ),
    _bug(
        "leave fees and slippage out of the worst case",
        "engine/risk.py",
        " + Decimal(friction_ticks) * instrument.tick_value_usd",
        "",
        "tests/engine/test_risk.py",
    ),
    _bug(
        "ignore the tier's widest stop",
        "engine/own_view.py",
        "return min(law.stop_ticks_max, tier.stop_ticks_max, affordable)",
        "return law.stop_ticks_max",
        "tests/engine/test_decision_ladder.py",
    ),
    _bug(
        "trade two contracts",
        "engine/desk/bars.py",
        "quantity=rules.constitution.contracts_max,",
        "quantity=2 * rules.constitution.contracts_max,",
    ),
    _bug(
        "put the stop on the wrong side",
        "engine/supervisor.py",
        "stop_ticks=plan.stop_price_ticks,\n        target_ticks=plan.target_price_ticks,\n"
        "        entry_expires_at",
        "stop_ticks=plan.target_price_ticks,\n        target_ticks=plan.stop_price_ticks,\n"
        "        entry_expires_at",
    ),
    _bug(
        "let an entry live for ten times as long",
        "engine/supervisor.py",
        "at + timedelta(seconds=rules.entry_life_seconds)",
        "at + timedelta(seconds=10 * rules.entry_life_seconds)",
    ),
    _bug(
        "chase the price by five ticks",
        "engine/supervisor.py",
        "entry_limit_ticks=plan.entry_limit_ticks,",
        "entry_limit_ticks=plan.entry_limit_ticks + 5 * plan.side,",
    ),
    Mutation(  # The template asks the same, so that both must be wrong.
        name="move a stop away from profit",
        edits=(
            Edit(
                path="engine/trade.py",
                old="side * (stop_price_ticks - trade.stop_price_ticks) > 0",
                new="side * (stop_price_ticks - trade.stop_price_ticks) != 0",
            ),
            Edit(
                path="engine/strategies/template.py",
                old="trade.side * (best.stop_price_ticks - trade.stop_price_ticks) > 0",
                new="trade.side * (best.stop_price_ticks - trade.stop_price_ticks) != 0",
            ),
        ),
        test="tests/engine/test_trade.py",
    ),
    _bug(
        "flatten without a cancel at Interactive Brokers",
        "pipelines/brokers/ibkr/order_desk.py",
        "        self._cancel_all(client, flatten.symbol, listed)\n        for position, contract",
        "        for position, contract",
        "tests/simulation/test_broker_suite.py",
    ),
    _bug(
        "kill without flattening",
        "engine/desk/care.py",
        "    if turn.state.is_exposed:\n        _flatten(turn)",
        "    _ = _flatten",
    ),
    _bug(
        "flatten again without asking",
        "engine/desk/care.py",
        "    if any(_may_still_fill(turn.state, order) for order in sent):",
        "    if any(_may_still_fill(turn.state, order) for order in ()):",
    ),
    _bug(
        "call a killed desk flat without asking",
        "engine/desk/care.py",
        '        turn.ask("verify flat")',
        "        turn.note(FlatVerified(at=turn.at))\n        return",
    ),
    _bug(
        "resume a killed desk at the next open",
        "engine/desk/apply.py",
        "    state = state._replace(session=fact, risk=",
        "    state = state._replace(kill=type(state.kill)(), session=fact, risk=",
    ),
    _bug(
        "resume without a reason",
        "engine/kill.py",
        "    if not reason.strip():",
        "    if not reason.strip() and not switch.is_killed:",
        "tests/engine/test_kill.py",
    ),
    _bug(
        "lose the kill at a restart",
        "engine/desk/apply.py",
        "lambda state, fact: state if fact is None else apply(state, fact, rules), facts, start",
        "lambda state, fact: state if fact is None or isinstance(fact, KillChanged)"
        " else apply(state, fact, rules), facts, start",
    ),
    _bug(
        "go on after the day's limit",
        "engine/desk/trades.py",
        "    if cause is None or kill.state is KillState.KILLED",
        "    if cause is KillCause.DAILY_LOSS or cause is None or kill.state is KillState.KILLED",
        "tests/engine/test_desk_kills.py",
    ),
    _bug(
        "never let the execution quality fall",
        "engine/execution_quality.py",
        "return min(1.0, max(0.0, 1.0 - lost))",
        "return 1.0",
    ),
    _bug(
        "think nothing of a reject",
        "engine/desk/reports.py",
        "    OrderState.REJECTED: Trouble.REJECT,\n",
        "",
    ),
    Mutation(
        name="enter on a bar that is late",
        edits=(
            Edit(
                path="engine/own_view.py",
                old="if facts.feed not in (None, FeedState.LIVE):",
                new="if facts.feed is FeedState.BROKEN:",
            ),
            Edit(
                path="engine/desk/reports.py",
                old="is_clean and is_fresh and state.is_feed_live and state.kill.is_running",
                new="is_clean and is_fresh and state.kill.is_running",
            ),
        ),
        test="tests/session/test_feed.py",
    ),
    _bug(
        "leave a position without its stop",
        "engine/desk/apply.py",
        "return None if any(order.is_live for order in stops) else at",
        "return None",
        "tests/engine/test_desk_protection.py",
    ),
    _bug(
        "hold past the flatten time",
        "engine/trade.py",
        "if row.minutes_to_close <= rules.session.flatten_minutes_before_end:",
        "if row.minutes_to_close < 0:",
        "tests/engine/test_trade.py",
    ),
    _bug(
        "wait for ever for a lost order",
        "engine/supervisor.py",
        "if at - order.changed_at > patience)",
        "if at - order.changed_at > 1000 * patience)",
        "tests/engine/test_supervisor.py",
    ),
    _bug(
        "ignore a margin call",
        "engine/kill.py",
        "if available_funds_usd is None or available_funds_usd >= 0:",
        "if available_funds_usd is None or available_funds_usd >= -1_000_000:",
        "tests/engine/test_kill.py",
    ),
    _bug(
        "ignore a lost connection",
        "engine/kill.py",
        "    if down_since is None or not has_exposure:",
        "    if down_since is None or has_exposure:",
        "tests/engine/test_kill.py",
    ),
    _bug(
        "leave the fees out of a result",
        "engine/desk/trades.py",
        "            fees_usd=fees_usd,\n            net_usd=gross_usd - fees_usd,",
        "            fees_usd=fees_usd,\n            net_usd=gross_usd,",
    ),
    _bug(
        "count nothing that was traded outside a trade",
        "engine/desk/trades.py",
        "    fills = state.ledger.uncounted\n",
        "    fills = state.ledger.uncounted[:0]\n",
        "tests/engine/test_desk_outside.py",
    ),
    _bug(
        "wait for ever for the end of a trade that another hand ended",
        "engine/desk/trades.py",
        "    if trade.state is TradeState.CLOSING and not state.is_exposed:",
        "    if trade.state is TradeState.CLOSING and state.is_exposed:",
        "tests/engine/test_desk_outside.py",
    ),
    _bug(
        "let another hand into our trade",
        "engine/desk/care.py",
        "    if position == own and (trade is None or own * trade.plan.side >= 0):",
        "    if position == 0 or (trade is not None and position * trade.plan.side > 0):",
        "tests/engine/test_desk_outside.py",
    ),
    _bug(
        "never look at the broker while flat",
        "engine/desk/care.py",
        "if seconds >= law.reconcile_flat_seconds:",
        "if seconds >= 86_400 * law.reconcile_flat_seconds:",
        "tests/engine/test_desk_protection.py",
    ),
    _bug(
        "look no oftener past the flatten time",
        "engine/desk/care.py",
        "seconds >= law.reconcile_seconds and session",
        "seconds >= law.reconcile_flat_seconds and session",
        "tests/engine/test_desk_protection.py",
    ),
    _bug(
        "carry yesterday's result into today",
        "engine/risk.py",
        "            session_date=session_date,\n            net_usd_this_week",
        "            session_date=session_date,\n            net_usd_today=self.net_usd_today,\n"
        "            net_usd_this_week",
        "tests/engine/test_risk.py",
    ),
    _bug(
        "decide a bar twice",
        "engine/desk/desk.py",
        "row.closes_at <= state.last_bar_at",
        "row.closes_at < state.last_bar_at",
    ),
    _bug(
        "leave no record of a bar with a trade open",
        "engine/desk/bars.py",
        "asked, row, turn.rules)\n    _record(turn, decision, row, own)",
        "asked, row, turn.rules)",
    ),
    _bug(
        "seal an event without the one before it",
        "engine/journal.py",
        "            previous = digest\n        return events",
        "        return events",
        "tests/engine/test_journal.py",
    ),
    _bug(
        "take a stop on its way for protection",
        "engine/desk/apply.py",
        "any(order.is_live and order.state not in _UNHEARD for order in stops)",
        "any(order.is_live for order in stops)",
        "tests/engine/test_desk_protection.py",
    ),
    _bug(
        "repair what a crossed answer seems to lack",
        "engine/desk/reports.py",
        "if not (finding.is_repairable and is_first_look):",
        "if finding is not None:",
        "tests/engine/test_desk_protection.py",
    ),
    _bug(
        "believe a word of flat for ever",
        "engine/desk/apply.py",
        "changed = changed._replace(kill=replace(changed.kill, is_flat_verified=False))",
        "pass",
        "tests/engine/test_desk_kills.py",
    ),
    _bug(
        "leave an entry at work when a person halts",
        "engine/desk/desk.py",
        "text=text, by=command.by))\n            cancel_entries(turn)",
        "text=text, by=command.by))",
        "tests/engine/test_desk_kills.py",
    ),
    _bug(
        "leave a stop at work where it does not belong",
        "engine/reconciliation.py",
        "if ours.changed_at <= settled_before:",
        "if ours is None:",
    ),
    _bug(
        "enter on an answer that has to be looked at again",
        "engine/desk/reports.py",
        "if not (is_clean and is_fresh",
        "if not (is_fresh",
        "tests/engine/test_desk_entries.py",
    ),
    _bug(
        "lift the halt of a limit at every open",
        "engine/desk/trades.py",
        "    if still is None:",
        "    if still is None or turn.at:",
        "tests/engine/test_desk_kills.py",
    ),
    _bug(
        "wait for a bar at the flatten time",
        "engine/desk/care.py",
        "    _give_up_waiting(turn)\n    _flatten_without_a_bar(turn)",
        "    _give_up_waiting(turn)",
        "tests/engine/test_desk_clock.py",
    ),
    _bug(
        "book what was settled yesterday again",
        "engine/ledger.py",
        "return base in self.settled or any(",
        "return any(",
        "tests/engine/test_desk_outside.py",
    ),
    _bug(
        "leave a counted result when its fill is corrected",
        "engine/desk/apply.py",
        "state = state._replace(risk=state.risk.corrected(rules.instrument.to_usd(ticks)))",
        "pass",
        "tests/engine/test_desk_outside.py",
    ),
    _bug(
        "keep a state without its open question",
        "engine/desk/encoding.py",
        "return to_json(state)",
        "return to_json(state._replace(query=None))",
    ),
    _bug(
        "fold on from the state of another journal",
        "pipelines/session/folding.py",
        "if not JournalReader(journal).has(head):",
        "if head.seq > JournalReader(journal).head().seq:",
        "tests/session/test_folding.py",
    ),
    _bug(
        "look ahead in a signal",
        "engine/signals/trend.py",
        'move = pl.col("close_ticks") - lag("close_ticks", MICRO_TREND_BARS)',
        'move = pl.col("close_ticks").shift(-1) - lag("close_ticks", MICRO_TREND_BARS)',
        "tests/engine/test_signal_laws.py",
    ),
    _bug(
        "let a late status undo a fill",
        "engine/orders.py",
        "(_S.FILLED, _E.CANCELLED): _S.FILLED,",
        "(_S.FILLED, _E.CANCELLED): _S.CANCELLED,",
        "tests/engine/test_orders.py",
    ),
    _bug(
        "enter on an execution that is too bad",
        "engine/own_view.py",
        "if facts.eqs < law.eqs_entry_min:",
        "if facts.eqs < law.eqs_kill_below:",
    ),
    _bug(
        "ignore a person's kill",
        "engine/desk/desk.py",
        "turn.kill(KillCause.PERSON, text, by=command.by)",
        "pass",
    ),
    _bug(
        "end the entries of a halt and go on",
        "engine/desk/desk.py",
        "            turn.note(change(kill, event, at=at, cause=cause, text=text, by=command.by))\n"
        "            cancel_entries(turn)",
        "            cancel_entries(turn)",
    ),
    _bug(
        "ignore a person's flattening",
        "engine/desk/desk.py",
        "close_trade(turn, ExitKind.PERSON)",
        "pass",
        "tests/engine/test_desk_clock.py",
    ),
    _bug(
        "forget the windows without entries",
        "engine/gates.py",
        "(Reason.SESSION_WINDOW_BLOCK, _is_outside_windows(rules)),",
        "(Reason.SESSION_WINDOW_BLOCK, pl.lit(True)),",
    ),
)
