"""The budget of questions for old bars, on a clock that the tests turn."""

from pipelines.brokers.ibkr.pacing import PacingBudget


def spent(budget: PacingBudget, count: int, *, start: float = 0.0, step: float = 3.0) -> None:
    for n in range(count):
        budget.spend("MES", f"question {start} {n}", start + n * step)


def test_a_first_question_may_be_asked_at_once() -> None:
    assert PacingBudget().wait_seconds("MES", "a", 0.0) == 0


def test_the_same_question_waits_fifteen_seconds_and_another_one_does_not() -> None:
    budget = PacingBudget()
    budget.spend("MES", "a", 100.0)

    assert budget.wait_seconds("MES", "a", 104.0) == 11
    assert budget.wait_seconds("MES", "b", 104.0) == 0
    assert budget.wait_seconds("MES", "a", 115.0) == 0


def test_the_sixty_first_question_waits_until_the_first_is_ten_minutes_old() -> None:
    budget = PacingBudget()
    spent(budget, 60)

    assert budget.wait_seconds("MES", "new", 180.0) == 420
    assert budget.wait_seconds("MES", "new", 599.0) == 1
    assert budget.wait_seconds("MES", "new", 600.0) == 0


def test_no_more_than_five_questions_go_out_for_one_contract_in_two_seconds() -> None:
    budget = PacingBudget()
    spent(budget, 5, start=10.0, step=0.1)

    assert budget.wait_seconds("MES", "new", 10.5) == 1.5
    assert budget.wait_seconds("ES", "new", 10.5) == 0


def test_obeying_the_budget_never_exceeds_it_and_never_starves() -> None:
    budget, now, asked = PacingBudget(), 0.0, []

    for n in range(200):
        while wait := budget.wait_seconds("MES", f"question {n}", now):
            now += wait
        budget.spend("MES", f"question {n}", now)
        asked.append(now)

    assert all(later - earlier >= 600 for earlier, later in zip(asked, asked[60:], strict=False))
    assert now < 200 / 60 * 600


def test_what_is_older_than_the_window_is_forgotten() -> None:
    budget = PacingBudget()
    spent(budget, 60)

    budget.wait_seconds("MES", "new", 10_000.0)

    assert len(budget._asked) == 0
