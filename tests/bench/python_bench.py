"""The Python benchmarks: prints one JSON object of median times in nanoseconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import tensorbroker as tb

LARGE = 256 << 20
GIB = 1 << 30

# Run in a process of its own: answers each version with the time at which it woke.
WAITER = """
import sys, time, tensorbroker as tb
client = tb.connect(sys.argv[1], runtime_dir=sys.argv[2])
stamp = client.open("wake/stamp", "r+").numpy()
version = 0
stamp[0] = -1
while True:
    t = client.wait("wake/data", newer_than=version, timeout=None)
    stamp[0] = time.monotonic_ns()
    version = t.version
"""


def median_ns(call: Callable[[], object], count: int, warm: int = 3) -> float:
    """The median over `count` calls, each timed by itself, less what an empty call takes."""

    def times(function: Callable[[], object], n: int) -> float:
        taken = []
        for _ in range(n):
            begin = time.perf_counter_ns()
            function()
            taken.append(time.perf_counter_ns() - begin)
        taken.sort()
        return taken[n // 2]

    for _ in range(warm):
        call()
    return max(times(call, count) - times(lambda: None, count), 1.0)


def bench_get(client: tb.Client, results: dict[str, float]) -> None:
    for i in range(1000):
        client.put(f"get/{i}", np.ones(1024, np.float32))
    names = iter([f"get/{i % 1000}" for i in range(0, 7 * 60_000, 7)])
    results["get_numpy"] = median_ns(lambda: client.get(next(names)).numpy(), 20_000, warm=1000)

    client.put("bundle", {f"layer{i}": np.ones(16384, np.float32) for i in range(300)})
    results["get_bundle"] = median_ns(lambda: client.get("bundle"), 2000)
    results["get_bundle_views"] = median_ns(lambda: client.get("bundle").numpy(), 500)


def bench_put(client: tb.Client, results: dict[str, float]) -> None:
    for size in (4096, 65536):
        data = np.ones(size // 4, np.float32)
        results[f"put_{size}"] = median_ns(lambda data=data: client.put("put", data), 2000, warm=50)  # type: ignore[misc]
    large = np.ones(LARGE // 4, np.float32)
    target = np.empty_like(large)
    target[...] = 0
    results["memcpy_large"] = median_ns(lambda: np.copyto(target, large), 15)
    results["put_large"] = median_ns(lambda: client.put("large", large), 15)
    client.delete("large")
    results["create_1gib"] = median_ns(lambda: client.create("draft", (GIB // 4,), tb.float32).discard(), 200)


def bench_wake(client: tb.Client, runtime_dir: str, results: dict[str, float]) -> None:
    stamp = client.zeros(1, dtype=tb.int64, name="wake/stamp").numpy()
    waiter = subprocess.Popen([sys.executable, "-c", WAITER, client.instance, runtime_dir])
    try:
        while stamp[0] == 0:
            time.sleep(0.001)
        data = np.ones(1, np.float32)
        taken = []
        for _ in range(1000):
            stamp[0] = 0
            time.sleep(0.0002)  # the waiter sleeps by now
            begin = time.monotonic_ns()
            client.put("wake/data", data)
            while stamp[0] == 0:
                time.sleep(0.00002)
            taken.append(int(stamp[0]) - begin)
        taken.sort()
        results["put_to_wake"] = taken[len(taken) // 2]
    finally:
        waiter.kill()
        waiter.wait()


def main() -> None:
    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="tensorbroker-bench-") as runtime_dir:
        client = tb.connect(f"bench-py-{os.getpid()}", runtime_dir=runtime_dir, capacity="6GiB")
        pid = client.stats()["broker_pid"]
        try:
            bench_get(client, results)
            bench_put(client, results)
            bench_wake(client, runtime_dir, results)
        finally:
            os.kill(pid, 15)
            client.close()
            while os.path.exists(f"/proc/{pid}"):
                time.sleep(0.01)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
