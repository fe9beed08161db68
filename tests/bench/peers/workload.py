"""The workload that all peers run, this project too: prints one JSON object of times in nanoseconds.

A peer publishes arrays for other processes under names and reads them back, as its own documentation says. What it
reads is looked at, so that a lazy mapping is paid for.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

REPETITIONS = 5
LARGE_REPETITIONS = 3
LARGE = 256 << 20


class Peer(ABC):
    """One way to give other processes an array."""

    @abstractmethod
    def put(self, name: str, array: Any) -> Any:
        """Copy a float32 array to where others find it, and return what they find it by."""

    @abstractmethod
    def get(self, key: Any) -> Any:
        """Return the array as a process does that does not hold it."""

    @abstractmethod
    def free(self, key: Any) -> None:
        """Give its memory back."""


def median(call: Callable[[], object], count: int) -> float:
    """Return the median time of a call."""
    taken = []
    for _ in range(count):
        begin = time.perf_counter_ns()
        call()
        taken.append(time.perf_counter_ns() - begin)
    return float(sorted(taken)[count // 2])


class Workload:
    """What is measured of a peer."""

    def __init__(self, peer: Peer) -> None:
        """Start with nothing."""
        self.values: dict[str, list[float]] = {}
        self._peer = peer
        self._numbers = itertools.count()

    def put(self, array: Any) -> Any:
        """Publish under a name that nobody used."""
        return self._peer.put(f"bench.{os.getpid()}.{next(self._numbers)}", array)

    def _measure(self, what: str, call: Callable[[], object], count: int, repetitions: int = REPETITIONS) -> None:
        self.values[what] = [median(call, count) for _ in range(repetitions)]

    def small(self) -> None:
        """4 KiB."""
        array = np.arange(1024, dtype=np.float32)
        key = self.put(array)
        if not np.array_equal(self._peer.get(key), array):
            raise RuntimeError("what was read is not what was put")
        self._measure("get", lambda: self._peer.get(key)[0], 2000)
        self._measure("put_and_free", lambda: self._peer.free(self.put(array)), 1000)
        self._peer.free(key)

    def large(self) -> None:
        """256 MiB."""
        array = np.ones(LARGE // 4, dtype=np.float32)
        self._peer.free(self.put(array))  # the pages are warm where a peer keeps them
        self._measure("put_and_free_large", lambda: self._peer.free(self.put(array)), 2, LARGE_REPETITIONS)

    def model(self) -> None:
        """300 arrays of 64 KiB."""
        arrays = [np.full(16384, i, dtype=np.float32) for i in range(300)]
        published: list[Any] = []

        def publish() -> None:
            for old in published:
                self._peer.free(old)
            published[:] = [self.put(array) for array in arrays]

        self._measure("publish_300", publish, 4, LARGE_REPETITIONS)
        self._measure("get_300", lambda: [self._peer.get(one)[0] for one in published], 10)
        for one in published:
            self._peer.free(one)


def run(peer: Peer) -> None:
    """Measure a peer."""
    workload = Workload(peer)
    workload.small()
    workload.large()
    workload.model()
    print(json.dumps(workload.values), flush=True)
