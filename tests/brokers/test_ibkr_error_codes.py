"""The table of IB's codes, row by row: what each one calls for."""

import pytest

from pipelines.brokers.ibkr.error_codes import (
    DATA_REACTIONS,
    LINK_REACTIONS,
    ORDER_REACTIONS,
    DataReaction,
    HistoryReaction,
    LinkReaction,
    OrderReaction,
    data_reaction,
    farm_of,
    history_reaction,
    link_reaction,
    order_reaction,
)

REFUSED, IN_DOUBT = OrderReaction.REFUSED, OrderReaction.IN_DOUBT
LIVES, ENDING = OrderReaction.LIVES, OrderReaction.ENDING

ORDER_ROWS = {
    103: IN_DOUBT,
    104: IN_DOUBT,
    105: REFUSED,
    110: REFUSED,
    135: REFUSED,
    161: IN_DOUBT,
    201: REFUSED,
    202: ENDING,
    203: REFUSED,
    321: REFUSED,
    354: IN_DOUBT,
    387: REFUSED,
    399: LIVES,
    404: LIVES,
    434: REFUSED,
    492: LIVES,
    10006: REFUSED,
    10147: IN_DOUBT,
    10148: IN_DOUBT,
    10197: IN_DOUBT,
    10311: IN_DOUBT,
    10349: LIVES,
}
DATA_ROWS = {
    354: DataReaction.BROKEN,
    420: DataReaction.BROKEN,
    10089: DataReaction.BROKEN,
    10090: DataReaction.BROKEN,
    10167: DataReaction.DELAYED,
    10168: DataReaction.BROKEN,
    10182: DataReaction.ASK_AGAIN,
    10186: DataReaction.BROKEN,
    10197: DataReaction.COMPETING,
    10225: DataReaction.ASK_AGAIN,
}
LINK_ROWS = {
    326: LinkReaction.CLIENT_ID_IN_USE,
    1100: LinkReaction.CUT,
    1101: LinkReaction.RESTORED_WITHOUT_DATA,
    1102: LinkReaction.RESTORED,
    1300: LinkReaction.RECONNECT,
    2103: LinkReaction.FARM_BROKEN,
    2104: LinkReaction.FARM_OK,
    2105: LinkReaction.FARM_BROKEN,
    2106: LinkReaction.FARM_OK,
    2107: LinkReaction.FARM_IDLE,
    2108: LinkReaction.FARM_IDLE,
    2110: LinkReaction.CUT,
    2157: LinkReaction.FARM_BROKEN,
    2158: LinkReaction.FARM_OK,
}


@pytest.mark.parametrize(("code", "reaction"), ORDER_ROWS.items())
def test_a_code_with_an_orders_id_has_its_reaction(code: int, reaction: OrderReaction) -> None:
    assert order_reaction(code) is reaction


@pytest.mark.parametrize(("code", "reaction"), DATA_ROWS.items())
def test_a_code_with_a_subscriptions_id_has_its_reaction(code: int, reaction: DataReaction) -> None:
    assert data_reaction(code) is reaction


@pytest.mark.parametrize(("code", "reaction"), LINK_ROWS.items())
def test_a_code_without_an_id_has_its_reaction(code: int, reaction: LinkReaction) -> None:
    assert link_reaction(code) is reaction


def test_every_row_of_the_tables_is_tested() -> None:
    assert ORDER_ROWS == ORDER_REACTIONS
    assert DATA_ROWS == DATA_REACTIONS
    assert LINK_ROWS == LINK_REACTIONS


def test_a_code_nobody_knows_leaves_an_order_in_doubt_and_nothing_else() -> None:
    assert order_reaction(99_999) is OrderReaction.IN_DOUBT
    assert data_reaction(99_999) is None
    assert link_reaction(99_999) is None


@pytest.mark.parametrize("code", [2100, 2109, 2137, 2199])
def test_a_warning_of_the_2100s_leaves_an_order_alive(code: int) -> None:
    assert order_reaction(code) is OrderReaction.LIVES


@pytest.mark.parametrize(
    ("code", "text", "reaction"),
    [
        (162, "Historical Market Data Service error message:API pacing violation", "WAIT"),
        (420, "Invalid Real-time Query:Historical data request pacing violation", "WAIT"),
        (162, "Historical Market Data Service error message:HMDS query returned no data", "EMPTY"),
        (162, "API historical data query cancelled: 7", "CANCELLED"),
        (366, "No historical data query found for ticker id:7", "CANCELLED"),
        (162, "Trading TWS session is connected from a different IP address", "FAILED"),
        (200, "No security definition has been found for the request", "FAILED"),
    ],
)
def test_the_text_says_what_became_of_a_question_for_old_bars(
    code: int, text: str, reaction: str
) -> None:
    assert history_reaction(code, text) is HistoryReaction[reaction]


def test_a_farm_is_named_at_the_end_of_its_notice() -> None:
    assert farm_of("Market data farm connection is OK:usfuture") == "usfuture"
    assert farm_of("Market data farm connection is OK") == "Market data farm connection is OK"
