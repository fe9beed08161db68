"""The Python benchmarks of what there is before and between calls: importing, starting a broker, an idle broker."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measuring import Results, own_instance, stop

PROCESSES = 15  # that import, or start a broker
IDLE = 3.0  # seconds
SETTLING = 2.0  # seconds after which a broker has done what it does behind its clients' backs

IMPORT = """
import time, numpy
begin = time.perf_counter_ns()
import tensorbroker
print(time.perf_counter_ns() - begin)
"""
CONNECT = """
import sys, time, numpy, tensorbroker
begin = time.perf_counter_ns()
client = tensorbroker.connect(sys.argv[1], runtime_dir=sys.argv[2], autostart=True)
print(time.perf_counter_ns() - begin, client.stats()["broker_pid"])
"""


def output_of(text: str, *arguments: str) -> list[int]:
    """Return the numbers that a Python program prints."""
    command = [sys.executable, "-c", text, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60)
    return [int(word) for word in done.stdout.split()]


def bench_start(results: Results) -> None:
    """The first import, and the first connect(), of new processes."""
    for i in range(PROCESSES):
        results.add("import", float(output_of(IMPORT)[0]))
        with tempfile.TemporaryDirectory(prefix="tensorbroker-bench-") as runtime_dir:
            taken, pid = output_of(CONNECT, f"start-{os.getpid()}-{i}", runtime_dir)
            results.add("connect_autostart", float(taken))
            stop(pid)


def wakeups(pid: int) -> int:
    """Return how often the threads of a process have gone to sleep so far."""
    count = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        match = re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status.read_text(), re.MULTILINE)
        count += int(match[1]) if match else 0
    return count


def bytes_beside_the_arena(pid: int) -> float:
    """Return what a process has in memory, less the pages of tensor data."""
    total, is_arena = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        first, *others = line.split()
        if "-" in first:
            is_arena = ".arena." in line
        elif first == "Rss:" and not is_arena:
            total += int(others[0]) << 10
    return float(total)


def bench_idle(results: Results) -> None:
    """A broker that has tensors, a client, and nothing to do; the pages that it had prepared are gone by then."""
    with own_instance("idle", "1GiB") as (client, _):
        for i in range(1000):
            client.put(f"idle/{i}", np.ones(1024, np.float32))
        pid = client.stats()["broker_pid"]
        time.sleep(SETTLING)  # only now has it pages that it prepared: before, there are none that could go
        deadline = time.monotonic() + 60
        while client.stats()["counters"]["warm_bytes"] > 0 and time.monotonic() < deadline:
            time.sleep(1)
        time.sleep(SETTLING)
        for _ in range(3):
            before = wakeups(pid)
            time.sleep(IDLE)
            results.add("idle_wakeups_per_s", (wakeups(pid) - before) / IDLE)
            results.add("idle_broker_bytes", bytes_beside_the_arena(pid))


def main() -> None:
    """Run them all."""
    results = Results()
    bench_start(results)
    bench_idle(results)
    print(json.dumps(results.values))


if __name__ == "__main__":
    main()
