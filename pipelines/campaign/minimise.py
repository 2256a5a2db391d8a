"""A failing case made smaller while it still fails: fewer troubles, fewer sessions, fewer bars."""

from collections.abc import Callable
from dataclasses import replace

from pipelines.campaign.case import Case
from pipelines.campaign.run import Outcome, play
from pipelines.campaign.stage import Stage
from pipelines.campaign.troubles import storm_of

ATTEMPTS_MAX = 40


def minimised(
    outcome: Outcome, stage: Stage, play: Callable[[Case, Stage], Outcome] = play
) -> Outcome:
    """The smallest case found that breaks the same law; at most `ATTEMPTS_MAX` plays."""
    best, attempts = outcome, 0
    if best.broken is None:
        return best
    law = best.broken.law
    has_shrunk = True
    while has_shrunk and attempts < ATTEMPTS_MAX:
        has_shrunk = False
        for case in _smaller(best):
            attempts += 1
            tried = play(case, stage)
            if tried.broken is not None and tried.broken.law == law:
                best, has_shrunk = tried, True
                break
            if attempts >= ATTEMPTS_MAX:
                break
    return best


def _smaller(outcome: Outcome) -> list[Case]:
    """The next cases to try, the biggest cut first."""
    case, broken = outcome.case, outcome.broken
    if broken is None:
        return []
    cases = []
    sessions = broken.session - case.first + 1
    if case.sessions != sessions:
        cases.append(replace(case, sessions=sessions))
    elif sessions > 1:
        cases.append(replace(case, first=case.first + 1, sessions=sessions - 1))
    troubles = frozenset(storm_of(case.seed, case.troubles).rates)
    cases += [replace(case, troubles=troubles - {trouble}) for trouble in sorted(troubles)]
    if case.until_minute is None:
        cases.append(replace(case, until_minute=broken.minute))
    return cases
