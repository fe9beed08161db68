"""iceoryx2's publish and subscribe, both sides spinning: half of a round trip of 8 bytes between two processes.

It has no names that hold the newest array for whoever comes, so it does not run the whole workload.
"""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import os
import time
from typing import Any

import iceoryx2 as iox2

ROUNDS = 4000
REPETITIONS = 5
LIMIT = 60.0  # seconds
PING = f"tensorbroker/bench/{os.environ.setdefault('TENSORBROKER_BENCH_PEER', str(os.getpid()))}/ping"
PONG = PING.replace("ping", "pong")


def ends(sent: str, received: str) -> tuple[Any, Any, Any]:
    """Return a node, a publisher and a subscriber."""
    node = iox2.NodeBuilder.new().create(iox2.ServiceType.Ipc)

    def service(name: str) -> Any:
        builder = node.service_builder(iox2.ServiceName.new(name))
        return builder.publish_subscribe(ctypes.c_uint64).open_or_create()

    return node, service(sent).publisher_builder().create(), service(received).subscriber_builder().create()


def send(publisher: Any) -> None:
    """Send eight bytes, without a copy."""
    sample = publisher.loan_uninit()
    sample.write_payload(ctypes.c_uint64(1)).send()


def receive(subscriber: Any, deadline: float) -> None:
    """Spin until there is a sample."""
    looks = 0
    while (sample := subscriber.receive()) is None:
        looks += 1
        if looks % 100_000 == 0 and time.monotonic() > deadline:
            raise TimeoutError("the other process does not answer")
    sample.delete()


def answer(ready: Any) -> None:
    """Send back what comes."""
    _node, publisher, subscriber = ends(PONG, PING)
    ready.set()
    deadline = time.monotonic() + LIMIT
    for _ in range(ROUNDS * REPETITIONS):
        receive(subscriber, deadline)
        send(publisher)


def main() -> None:
    """Measure it."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    _node, publisher, subscriber = ends(PING, PONG)
    other = context.Process(target=answer, args=(ready,), daemon=True)
    other.start()
    if not ready.wait(LIMIT):
        raise TimeoutError("the other process did not start")
    deadline = time.monotonic() + LIMIT
    values = []
    for _ in range(REPETITIONS):
        taken = []
        for _ in range(ROUNDS):
            begin = time.perf_counter_ns()
            send(publisher)
            receive(subscriber, deadline)
            taken.append(time.perf_counter_ns() - begin)
        values.append(sorted(taken)[ROUNDS // 2] / 2)
    print(json.dumps({"spin_one_way": values}))
    other.join(LIMIT)


if __name__ == "__main__":
    main()
