"""A process is known by its number and its life, for numbers come again."""

import os
import subprocess
import sys

from pipelines.session.process import is_running, life_of


def test_a_process_knows_itself() -> None:
    life = life_of(os.getpid())

    assert life is not None
    assert is_running(os.getpid(), life)


def test_another_process_with_the_number_of_a_dead_one_is_not_taken_for_it() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        dead_ones_life, others_life = life_of(os.getpid()), life_of(other.pid)

        assert dead_ones_life is not None
        assert others_life is not None
        assert others_life != dead_ones_life
        assert is_running(other.pid, others_life)
        assert not is_running(other.pid, dead_ones_life)

        other.communicate(b"\n")
    assert not is_running(other.pid, others_life)


def test_a_process_that_only_waits_to_be_buried_is_over() -> None:
    wait_for_a_line = [sys.executable, "-c", "input()"]
    child = subprocess.Popen(wait_for_a_line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    life = life_of(child.pid)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b"\n")
    child.stdin.close()
    child.stdout.read()  # Its end of the pipe is closed when it is over.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert life is not None
    assert not is_running(child.pid, life)
    assert life_of(child.pid) is None
    child.wait()
    child.stdout.close()
