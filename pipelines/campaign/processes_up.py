"""`credence up` for the campaign: `python -m pipelines.campaign.processes_up HOME PORT`."""

import sys
from pathlib import Path
from typing import Final

from pipelines.up import run_up

MODULE: Final = "pipelines.campaign.processes_definitions"


def main(home: str, port: str) -> int:
    """Serve the desk of a home until interrupted; the exit code of `credence up`."""

    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    return run_up(Path(home), port=int(port), say=say, module=MODULE)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
