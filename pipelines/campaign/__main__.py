"""A slice of the campaign in this process: `python -m pipelines.campaign SESSIONS SEED`.

Ends with 1 and `law<TAB>what` at the first law that breaks, and with 0 when none does.
"""

import sys
from itertools import count

from pipelines.campaign.case import Case
from pipelines.campaign.run import play
from pipelines.campaign.stage import the_stage


def main(sessions: int, seed: int) -> int:
    """Play runs from a seed on until so many sessions are done or a law breaks."""
    played = 0
    for number in count(seed):
        outcome = play(Case(seed=number), the_stage())
        played += outcome.sessions
        if outcome.broken is not None:
            print(f"{outcome.broken.law}\tseed {number}: {outcome.broken.text}")
            return 1
        if played >= sessions:
            return 0
    raise AssertionError("the seeds do not end")


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
