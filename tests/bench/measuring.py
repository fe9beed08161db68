"""What the Python benchmarks measure with."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import tensorbroker as tb

REPETITIONS = 5
LIMIT = 60.0  # seconds: what another process has to do is done by then


def median_of_times(call: Callable[[], object], count: int, before: Callable[[], object] | None = None) -> float:
    """Return the median over `count` calls, each timed by itself; `before` is called before each."""
    taken = []
    for _ in range(count):
        if before is not None:
            before()
        begin = time.perf_counter_ns()
        call()
        taken.append(time.perf_counter_ns() - begin)
    taken.sort()
    return float(taken[count // 2])


def median_ns(call: Callable[[], object], count: int, before: Callable[[], object] | None = None) -> float:
    """Return the same, less what an empty call takes."""
    return max(median_of_times(call, count, before) - median_of_times(lambda: None, min(count, 2000)), 1.0)


def wait_until(so: Callable[[], bool], pause: float = 0.00002) -> None:
    """Look now and then until it is so."""
    deadline = time.monotonic() + LIMIT
    while not so():
        if time.monotonic() > deadline:
            raise TimeoutError("another process did not answer in time")
        time.sleep(pause)


@dataclass
class Results:
    """The values of each figure, one a repetition."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, key: str, value: float) -> None:
        """Take in one repetition's value."""
        self.values.setdefault(key, []).append(value)

    def time(
        self,
        key: str,
        call: Callable[[], object],
        count: int,
        warm: int = 3,
        before: Callable[[], object] | None = None,
    ) -> None:
        """Measure a call, as often as there are repetitions."""
        for _ in range(warm):
            if before is not None:
                before()
            call()
        for _ in range(REPETITIONS):
            self.add(key, median_ns(call, count, before))

    def time_once(self, key: str, call: Callable[[], object], count: int) -> None:
        """Measure a call for one repetition, after one call that is not measured."""
        call()
        self.add(key, median_ns(call, count))


def stop(pid: int) -> None:
    """End a broker, and wait until it is gone."""
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 0.005)


@contextlib.contextmanager
def own_instance(name: str, capacity: str) -> Iterator[tuple[tb.Client, str]]:
    """Give a client of a broker of its own, and the broker's directory; end both."""
    with tempfile.TemporaryDirectory(prefix="tensorbroker-bench-") as runtime_dir:
        client = tb.connect(f"{name}-{os.getpid()}", runtime_dir=runtime_dir, capacity=capacity)
        pid = client.stats()["broker_pid"]
        try:
            yield client, runtime_dir
        finally:
            client.close()
            stop(pid)


@contextlib.contextmanager
def program(text: str, *arguments: str) -> Iterator[None]:
    """Run a Python program beside, and kill it at the end."""
    with subprocess.Popen([sys.executable, "-c", text, *arguments]) as process:
        try:
            yield
        finally:
            process.kill()
