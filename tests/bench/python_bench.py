"""The Python benchmarks of reading, writing and waking: prints one JSON object of times in nanoseconds."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable

import numpy as np
import tensorbroker as tb
from measuring import REPETITIONS, Results, own_instance, program, wait_until
from numpy.typing import NDArray

LARGE = 256 << 20
GIB = 1 << 30
NAP = 0.002  # seconds, after which the broker and its processor have gone to sleep

# Run in a process of its own: says for each version when it had it, and all of its views.
READER = """
import sys, time, tensorbroker as tb
client = tb.connect(sys.argv[1], runtime_dir=sys.argv[2])
stamp = client.open("stamp", "r+").numpy()
version, held = 0, None
stamp[0] = -1
while True:
    newest = client.wait(sys.argv[3], newer_than=version, timeout=60)
    views = newest.numpy()
    stamp[0] = time.monotonic_ns()
    version, held = newest.version, views
"""


def bench_get(client: tb.Client, results: Results) -> None:
    """Reading by name: one of a thousand tensors, and a bundle."""
    for i in range(1000):
        client.put(f"get/{i}", np.ones(1024, np.float32))
    names = itertools.cycle([f"get/{7 * i % 1000}" for i in range(1000)])
    results.time("get_numpy", lambda: client.get(next(names)).numpy(), 20_000, warm=1000)
    client.put("bundle", {f"layer{i}": np.ones(16384, np.float32) for i in range(300)})
    results.time("get_bundle", lambda: client.get("bundle"), 2000)
    results.time("get_bundle_views", lambda: client.get("bundle").numpy(), 500)


def bench_small(client: tb.Client, results: Results) -> None:
    """Writing small tensors: in a burst, and now and then."""
    for size in (4096, 65536):
        array = np.ones(size // 4, np.float32)
        results.time(f"put_{size}", lambda array=array: client.put("put", array), 2000, warm=50)  # type: ignore[misc]
    data = np.ones(1024, np.float32)

    def put_and_delete() -> None:
        client.put("passing", data)
        client.delete("passing")

    def put_and_rest() -> None:
        client.put("rare", data)
        time.sleep(NAP)

    def delete_and_rest() -> None:
        if "rare" in client:
            client.delete("rare")
        time.sleep(NAP)

    results.time("put_and_delete", put_and_delete, 3000, warm=50)
    results.time("delete_asleep", lambda: client.delete("rare"), 300, before=put_and_rest)
    results.time("put_asleep", lambda: client.put("rare", data), 300, before=delete_and_rest)


def bench_large(client: tb.Client, results: Results) -> None:
    """Writing large tensors, beside NumPy's copying."""
    large = np.ones(LARGE // 4, np.float32)
    target = np.empty_like(large)
    target[...] = 0
    for _ in range(REPETITIONS):  # in turn, so that what else the machine does meets both
        results.time_once("memcpy_large", lambda: np.copyto(target, large), 3)
        results.time_once("put_large", lambda: client.put("large", large), 3)
    client.delete("large")
    results.time("create_1gib", lambda: client.create("draft", (GIB // 4,), tb.float32).discard(), 200)


def bench_bundle(client: tb.Client, runtime_dir: str, results: Results) -> None:
    """Publishing a model of 300 arrays of 64 KiB, beside NumPy's copying; and its reader in another process."""
    model = {f"layer{i}": np.full(16384, i, np.float32) for i in range(300)}
    copies = [np.copy(array) for array in model.values()]

    def copy() -> None:
        for to, array in zip(copies, model.values()):
            np.copyto(to, array)

    for _ in range(REPETITIONS):
        results.time_once("memcpy_300_of_64kib", copy, 40)
        results.time_once("put_bundle_of_300", lambda: client.put("model", model), 40)
    stamp = client.zeros(1, dtype=tb.int64, name="stamp").numpy()
    with program(READER, client.instance, runtime_dir, "model"):
        follow(lambda: client.put("model", model), stamp, 100, ("bundle_from_start", "bundle_to_reader"), results)
    client.delete("stamp")


def bench_wake(client: tb.Client, runtime_dir: str, results: Results) -> None:
    """Waking a waiter in another process with a small tensor."""
    stamp = client.zeros(1, dtype=tb.int64, name="stamp").numpy()
    data = np.ones(1, np.float32)
    client.put("wake", data)
    with program(READER, client.instance, runtime_dir, "wake"):
        follow(lambda: client.put("wake", data), stamp, 1000, ("put_to_wake", "put_return_to_wake"), results)
    client.delete("stamp")


def follow(
    put: Callable[[], object],
    stamp: NDArray[np.int64],
    count: int,
    keys: tuple[str, str],
    results: Results,
) -> None:
    """Put versions that the reader takes: how long after the start, and after the return, of each put it had it."""
    for _ in range(REPETITIONS):
        from_start, from_return = [], []
        for _ in range(count):
            wait_until(lambda: stamp[0] > 0)
            stamp[0] = 0
            time.sleep(0.0005)  # the reader sleeps by now
            begin = time.monotonic_ns()
            put()
            returned = time.monotonic_ns()
            wait_until(lambda: stamp[0] > 0)
            from_start.append(int(stamp[0]) - begin)
            from_return.append(max(int(stamp[0]) - returned, 0))
        for key, taken in zip(keys, (from_start, from_return)):
            results.add(key, float(sorted(taken)[count // 2]))


def main() -> None:
    """Run them all."""
    results = Results()
    with own_instance("bench-py", "6GiB") as (client, runtime_dir):
        bench_get(client, results)
        bench_small(client, results)
        bench_large(client, results)
        bench_bundle(client, runtime_dir, results)
        bench_wake(client, runtime_dir, results)
    print(json.dumps(results.values))


if __name__ == "__main__":
    main()
