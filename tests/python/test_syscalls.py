"""get() makes no system call: counted by strace over a child's 10,000 gets of names that it did not hold before."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorbroker as tb
from support import LIMIT

COUNT = 10_000

# Between the two marks the child does nothing but what is measured. It holds the last thousand: for more than the lease
# table has room for at a time (4096 at first) the broker is asked to double it.
READER = """
import gc, os, sys
import tensorbroker as tb
names = [f"x{i}" for i in range(int(sys.argv[1]))]
held = [tb.get("first").numpy()] * 1000
gc.disable()
os.sched_get_priority_max(0)
%s
os.sched_get_priority_max(0)
assert sum(int(array[0]) for array in held) == 9_499_500, held
"""
GETS = """
for i, name in enumerate(names):
    held[i % len(held)] = tb.get(name).numpy()
"""
MARK = "sched_get_priority_max"
ALLOCATOR = {"brk", "mmap", "munmap", "madvise", "mremap"}


def calls_between_marks(trace: Path, pid: str) -> list[str]:
    """Return the system calls that the process made between its two marks."""
    names = [
        line.split(None, 1)[1].split("(")[0].strip()
        for line in trace.read_text().splitlines()
        if line.split()[0] == pid
    ]
    first = names.index(MARK)
    return names[first + 1 : names.index(MARK, first + 1)]


def traced(tmp_path: Path, body: str) -> list[str]:
    """Run the reader under strace; return the calls, but for the allocator's."""
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-qq", "-o", str(trace), sys.executable, "-c", READER % body, str(COUNT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT * 3, check=False)
    assert done.returncode == 0, done.stderr
    pid = trace.read_text().split(None, 1)[0]
    return [call for call in calls_between_marks(trace, pid) if call not in ALLOCATOR]


@pytest.fixture
def many_names(client: tb.Client) -> None:
    """Publish so many names."""
    client.put("first", np.array([0]))
    for i in range(COUNT):
        client.put(f"x{i}", np.array([i]))


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not there")
@pytest.mark.timeout(200)
@pytest.mark.usefixtures("many_names")
def test_get_makes_no_system_call(tmp_path: Path) -> None:
    assert traced(tmp_path, GETS) == []
    assert set(traced(tmp_path, "os.getuid(); held = [[9_499_500]]")) == {"getuid"}, "the harness sees what there is"
