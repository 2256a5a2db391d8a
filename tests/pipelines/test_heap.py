"""Threads that share one heap, asked of the C library itself."""

import subprocess
import sys

import pytest

HEAPS = """
import ctypes, sys, threading
from pipelines.heap import keep_one_heap

if sys.argv[1] == "one":
    assert keep_one_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(4)

def take_memory():
    assert libc.malloc(1_000)
    together.wait()

threads = [threading.Thread(target=take_memory) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.fopen.restype = ctypes.c_void_p
libc.fclose.argtypes = [ctypes.c_void_p]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
told = libc.fopen(b"/dev/stdout", b"w")
libc.malloc_info(0, told)
libc.fclose(told)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the heaps of the GNU C library")
def test_the_threads_of_a_long_process_share_one_heap():
    told = {
        wanted: subprocess.run(
            [sys.executable, "-c", HEAPS, wanted], capture_output=True, text=True, check=True
        ).stdout
        for wanted in ("one", "many")
    }

    assert told["one"].count("<heap nr=") == 1
    assert told["many"].count("<heap nr=") > 1
