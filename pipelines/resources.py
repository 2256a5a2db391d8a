"""What the assets of one desk ask for, wherever they are executed."""

from collections.abc import Mapping

from pipelines.tables_io import DeskTables, MarketTables
from pipelines.wiring import Wiring


def resources_of(wiring: Wiring) -> Mapping[str, object]:
    """Resources by name; those of a trading session are not among them."""
    return {
        "rules": wiring.rules,
        "source": wiring.source,
        "market": wiring.market,
        "seen": wiring.seen,
        "warehouse": wiring.warehouse,
        "reports": wiring.reports,
        "searches": wiring.searches,
        "kill_switch": wiring.kill_switch,
        "session_journals": wiring.session_journals,
        "learning_journal": wiring.learning_journal,
        "market_tables": MarketTables(wiring.market, wiring.rules),
        "desk_tables": DeskTables(wiring.warehouse, wiring.rules),
    }
